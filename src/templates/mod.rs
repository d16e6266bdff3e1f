//! What is sent in another system's words: templates over our canonical documents.
//!
//! A template is total and without side effects: it sees the document and nothing else, costs a bounded number of
//! steps, and writes a bounded number of bytes. Numbers stay exact: a canonical document carries decimals as text, the
//! [`numbers`] of a template reckon with exact decimals, and a binary fraction is refused wherever it would be printed.
//! Whatever a buyer wrote is escaped for where it goes, chosen by the template's [`Form`]; in JSON the author writes the
//! quotation marks, so that a template reads like the request it makes.
//!
//! JSON is read back before it counts: what is not JSON is an error at its line, `omit` takes members out that have
//! nothing to say, and a comma before a closing bracket is forgiven, since loops leave one.
//!
//! Deliberately absent: files, time, chance, inheritance, macros.

mod numbers;
mod text;
mod tidy;
#[cfg(test)]
mod tests;

use std::fmt;

use minijinja::value::ValueKind;
use minijinja::{AutoEscape, Environment, Error, ErrorKind, Output, State, UndefinedBehavior, Value};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

/// Statements of the engine that a template of ours does not have.
const ABSENT: [&str; 7] = ["macro", "call", "import", "from", "include", "extends", "block"];
/// Steps that one rendering may take: an order of a thousand lines, a hundred steps each, and room.
const FUEL: u64 = 2_000_000;
/// As much as a sentence can bear.
const MESSAGE_CHARS_MAX: usize = 300;
/// Bytes that one rendering may write.
const BYTES_MAX: usize = 8 * 1024 * 1024;
/// Steps of a template that somebody only tries out. A step pays for 64 bytes, so this also bounds what it holds to 32 MB.
const TRIED_FUEL: u64 = 500_000;
/// Bytes that a template may write while it is tried out.
const TRIED_BYTES_MAX: usize = 1024 * 1024;
/// Longest template that is tried out, in bytes: the longest of ours has six thousand.
pub const TRIED_SOURCE_BYTES_MAX: usize = 64 * 1024;
/// Unreserved characters of an address stay as they are.
const IN_ADDRESS: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// A text as one segment of a path, or as one value of a query.
pub fn segment(text: &str) -> String {
    utf8_percent_encode(text, IN_ADDRESS).to_string()
}

/// What a template writes, and so how what it prints is escaped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// A JSON text.
    Json,
    /// XML, printed in text or in attributes.
    Xml,
    /// An address. What prints nothing in it is refused: a search for nothing in particular finds everything.
    Address,
    /// A body of type `application/x-www-form-urlencoded`.
    Fields,
    /// One field of a CSV row, printed without quotation marks around it.
    Csv,
    /// A text of parts with JSON in them, as a batch of `OData` V2 is: what is printed is escaped as in JSON, so that nothing
    /// printed begins a line, and lines end as the internet ends them.
    Parts,
    /// A header, or text for people: nothing is escaped, and line breaks are refused.
    Line,
}

impl Form {
    /// As the environment's name for it; it never leaves this room.
    fn as_str(self) -> &'static str {
        match self {
            Form::Json => "json",
            Form::Xml => "xml",
            Form::Address => "address",
            Form::Fields => "fields",
            Form::Csv => "csv",
            Form::Parts => "parts",
            Form::Line => "line",
        }
    }
}

/// Why a template cannot be used, or could not be rendered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// The template.
    pub template: String,
    /// Its line, counted from one, where that is known.
    pub line: Option<usize>,
    /// One sentence.
    pub message: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.template)?;
        if let Some(line) = self.line {
            write!(formatter, " line {line}")?;
        }
        write!(formatter, ": {}", self.message)
    }
}

/// A template that was read. Cheap to render, never changed.
#[derive(Debug)]
pub struct Template {
    environment: Environment<'static>,
    name: String,
    form: Form,
    bytes_max: usize,
}

impl Template {
    /// Reads a template.
    ///
    /// # Errors
    /// [`Problem`] with the line of what cannot be read.
    pub fn new(name: &str, form: Form, source: &str) -> Result<Template, Problem> {
        if let Some((line, word)) = forbidden(source) {
            let message = format!("`{word}` is not for templates: they have neither macros nor parts");
            return Err(Problem { template: name.to_owned(), line: Some(line), message });
        }
        let mut environment = environment(form);
        let read = environment.add_template_owned(name.to_owned(), source.to_owned());
        read.map_err(|error| problem(name, &error))?;
        Ok(Template { environment, name: name.to_owned(), form, bytes_max: BYTES_MAX })
    }

    /// The same within the bounds of a trial: its author is whoever asks, and not who configures.
    pub fn bound_as_tried(&mut self) {
        self.environment.set_fuel(Some(TRIED_FUEL));
        self.bytes_max = TRIED_BYTES_MAX;
    }

    /// What the template makes of a document and what stands beside it.
    ///
    /// # Errors
    /// [`Problem`]: something is missing, cannot be exact, is too long, or the result is not what its form says.
    pub fn render(&self, context: &Value) -> Result<String, Problem> {
        let failed = |error: &Error| problem(&self.name, error);
        let template = self.environment.get_template(&self.name).map_err(|error| failed(&error))?;
        let mut out = Bounded { bytes: Vec::new(), bytes_max: self.bytes_max, full: false };
        if let Err(error) = template.render_captured_to(context.clone(), &mut out) {
            return Err(if out.full {
                self.problem(format!("it writes more than {} bytes", self.bytes_max))
            } else {
                failed(&error)
            });
        }
        let text = String::from_utf8(out.bytes).map_err(|_| self.problem("it writes text that is not UTF-8"))?;
        match self.form {
            Form::Json => tidy::json(&text).map_err(|(line, message)| Problem { line, ..self.problem(message) }),
            Form::Line if text.trim().contains(['\r', '\n', '\0']) => {
                Err(self.problem("it writes more than one line where one belongs"))
            }
            Form::Line | Form::Address | Form::Fields => Ok(text.trim().to_owned()),
            Form::Parts if text.contains('\0') => Err(self.problem("it writes a NUL")),
            Form::Parts => Ok(text.replace("\r\n", "\n").replace('\n', "\r\n")),
            Form::Xml | Form::Csv => Ok(text),
        }
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    fn problem(&self, message: impl Into<String>) -> Problem {
        Problem { template: self.name.clone(), line: None, message: message.into() }
    }
}

/// An expression in the language of templates: a condition, or a list to go through.
#[derive(Debug)]
pub struct Expression {
    environment: Environment<'static>,
    name: String,
    source: String,
}

impl Expression {
    /// Reads an expression.
    ///
    /// # Errors
    /// [`Problem`]: it cannot be read.
    pub fn new(name: &str, source: &str) -> Result<Expression, Problem> {
        let mut environment = environment(Form::Line);
        // Whether something is there is a fair question; what is not there is still never reckoned with.
        environment.set_undefined_behavior(UndefinedBehavior::SemiStrict);
        environment.compile_expression(source).map_err(|error| problem(name, &error))?;
        Ok(Expression { environment, name: name.to_owned(), source: source.to_owned() })
    }

    /// As it was written.
    pub fn source(&self) -> &str {
        &self.source
    }

    /// Its value.
    ///
    /// # Errors
    /// [`Problem`]: something is missing, or it takes too many steps.
    pub fn value(&self, context: &Value) -> Result<Value, Problem> {
        let compiled = self.environment.compile_expression(&self.source);
        let value = compiled.and_then(|expression| expression.eval(context));
        value.map_err(|error| problem(&self.name, &error))
    }

    /// Whether it holds. What is not there does not.
    ///
    /// # Errors
    /// As [`Expression::value`].
    pub fn holds(&self, context: &Value) -> Result<bool, Problem> {
        self.value(context).map(|value| value.is_true())
    }
}

/// The first statement that calls for other templates or for itself, with its line: the engine knows them, a recipe does not.
fn forbidden(source: &str) -> Option<(usize, &str)> {
    source.match_indices("{%").find_map(|(at, _)| {
        // A statement may begin on a line of its own.
        let statement = source[at + 2..].trim_start_matches(['-', '+']).trim_start();
        let word = statement.split(|char: char| !char.is_alphanumeric()).next()?;
        let line = source[..at].matches('\n').count() + 1;
        ABSENT.contains(&word).then_some((line, word))
    })
}

fn problem(name: &str, error: &Error) -> Problem {
    let message: String = match (error.kind(), error.detail()) {
        (ErrorKind::OutOfFuel, _) => "it takes too many steps".to_owned(),
        (ErrorKind::UndefinedError, None) => "it prints something that the document does not have".to_owned(),
        (kind, None) => kind.to_string(),
        (ErrorKind::InvalidOperation, Some(detail)) => detail.to_owned(),
        (kind, Some(detail)) => format!("{kind}: {detail}"),
    };
    // What is refused may be quoted, and may be as long as a buyer's patience.
    let message = if message.chars().count() > MESSAGE_CHARS_MAX {
        format!("{}…", message.chars().take(MESSAGE_CHARS_MAX).collect::<String>())
    } else {
        message
    };
    Problem { template: name.to_owned(), line: error.line(), message }
}

/// A refusal by one of our own filters, in one sentence.
fn refused(message: impl Into<std::borrow::Cow<'static, str>>) -> Error {
    Error::new(ErrorKind::InvalidOperation, message)
}

fn environment(form: Form) -> Environment<'static> {
    let mut environment = Environment::empty();
    environment.set_undefined_behavior(UndefinedBehavior::Strict);
    environment.set_fuel(Some(FUEL));
    environment.set_auto_escape_callback(move |_| AutoEscape::Custom(form.as_str().into()));
    environment.set_formatter(move |out, state, value| print(form, out, state, value));
    builtins(&mut environment);
    numbers::add(&mut environment);
    text::add(&mut environment);
    environment
}

/// What the language brings and cannot make a binary fraction with.
fn builtins(environment: &mut Environment<'static>) {
    use minijinja::{filters, tests};
    environment.add_filter("default", filters::default);
    environment.add_filter("first", filters::first);
    environment.add_filter("items", filters::items);
    environment.add_filter("join", filters::join);
    environment.add_filter("last", filters::last);
    environment.add_filter("length", filters::length);
    environment.add_filter("lower", filters::lower);
    environment.add_filter("members", members);
    environment.add_filter("replace", filters::replace);
    environment.add_filter("reject", filters::reject);
    environment.add_filter("rejectattr", filters::rejectattr);
    environment.add_filter("select", filters::select);
    environment.add_filter("selectattr", filters::selectattr);
    environment.add_filter("trim", filters::trim);
    environment.add_filter("unique", unique);
    environment.add_filter("upper", filters::upper);
    environment.add_test("defined", tests::is_defined);
    environment.add_test("undefined", tests::is_undefined);
    environment.add_test("none", tests::is_none);
    environment.add_test("true", tests::is_true);
    environment.add_test("false", tests::is_false);
    environment.add_test("eq", tests::is_eq);
    environment.add_test("ne", tests::is_ne);
    environment.add_test("in", tests::is_in);
    environment.add_test("startingwith", tests::is_startingwith);
    environment.add_test("endingwith", tests::is_endingwith);
}

/// Each element once, in their order; unlike the language's own, a letter in another case is another letter.
#[expect(clippy::needless_pass_by_value, reason = "filters take what a template hands them, by value")]
fn unique(list: Value) -> Result<Vec<Value>, Error> {
    let mut seen = std::collections::BTreeSet::new();
    Ok(list.try_iter()?.filter(|element| seen.insert(element.clone())).collect())
}

/// The member of that very name of each element that has one; a dot in it is part of the name.
#[expect(clippy::needless_pass_by_value, reason = "filters take what a template hands them, by value")]
fn members(list: Value, name: &str) -> Result<Vec<Value>, Error> {
    let there = |value: &Value| !value.is_undefined() && !value.is_none();
    Ok(list.try_iter()?.filter_map(|element| element.get_attr(name).ok().filter(there)).collect())
}

/// Prints one value, escaped for where it goes.
fn print(form: Form, out: &mut Output<'_>, _state: &State<'_, '_>, value: &Value) -> Result<(), Error> {
    let text = match value.kind() {
        ValueKind::Undefined => return Err(Error::from(ErrorKind::UndefinedError)),
        ValueKind::None => return Err(refused("it prints something that is null; use `| default(\"…\")` or `| omit`")),
        ValueKind::Bool | ValueKind::String => value.to_string(),
        ValueKind::Number if value.is_integer() => value.to_string(),
        ValueKind::Number => {
            return Err(refused("it prints a binary fraction; reckon with `plus`, `times`, `rounded`"));
        }
        ValueKind::Plain if numbers::is_exact(value) => value.to_string(),
        _ => return Err(refused("it prints a list or an object; print its members, or use `| json`")),
    };
    if form == Form::Address && text.trim().is_empty() {
        return Err(refused(
            "it prints nothing in an address, which may ask for everything; leave the part out with an `if`",
        ));
    }
    let written = if value.is_safe() { out.write_str(&text) } else { write(form, out, &text) };
    written.map_err(|_| Error::new(ErrorKind::WriteFailure, "there is no room for more"))
}

fn write(form: Form, out: &mut Output<'_>, text: &str) -> fmt::Result {
    match form {
        Form::Json | Form::Parts => {
            // A NUL marks what is omitted, and hardly any database takes one.
            let quoted = serde_json::to_string(&text.replace('\0', "\u{fffd}")).map_err(|_| fmt::Error)?;
            out.write_str(&quoted[1..quoted.len() - 1])
        }
        Form::Xml => out.write_str(&text::xml(text)),
        Form::Address | Form::Fields => utf8_percent_encode(text, IN_ADDRESS).try_for_each(|part| out.write_str(part)),
        Form::Csv => out.write_str(&text::csv(text)),
        Form::Line => out.write_str(text),
    }
}

/// Takes so many bytes and no more.
struct Bounded {
    bytes: Vec<u8>,
    bytes_max: usize,
    full: bool,
}

impl std::io::Write for Bounded {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        if self.bytes.len() + bytes.len() > self.bytes_max {
            self.full = true;
            return Err(std::io::Error::from(std::io::ErrorKind::WriteZero));
        }
        self.bytes.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}
