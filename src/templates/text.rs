//! Texts in templates: cut, wrapped, mapped, dated, escaped.

#![expect(clippy::needless_pass_by_value, reason = "filters take what a template hands them, by value")]

use jiff::Timestamp;
use minijinja::value::{Kwargs, ValueKind};
use minijinja::{AutoEscape, Environment, Error, State, Value};
use sha2::{Digest as _, Sha256};

use super::tidy::OMITTED;
use super::{Form, refused};

/// Widest column that anything is cut or wrapped to.
const WIDTH_MAX: usize = 100_000;

pub(super) fn add(environment: &mut Environment<'static>) {
    environment.add_filter("omit", omit);
    environment.add_filter("cut", cut);
    environment.add_filter("wrapped", wrapped);
    environment.add_filter("mapped", mapped);
    environment.add_filter("date", date);
    environment.add_filter("hex", hex);
    environment.add_filter("uuid", uuid);
    environment.add_filter("json", json);
    environment.add_filter("base64", |text: &str| data_encoding::BASE64.encode(text.as_bytes()));
    environment.add_filter("base64url", |text: &str| data_encoding::BASE64URL.encode(text.as_bytes()));
    environment.add_filter("quoted", |text: &str| format!("'{}'", text.replace('\'', "''")));
    environment.add_filter("needed", needed);
    environment.add_filter("words", words);
    environment.add_filter("padded", padded);
}

/// Takes the member out when there is nothing in it: absent, null, or an empty text or list.
fn omit(state: &State<'_, '_>, value: &Value) -> Result<Value, Error> {
    if *state.auto_escape() != AutoEscape::Custom(Form::Json.as_str().into()) {
        return Err(refused("`omit` takes members out of JSON; elsewhere leave the part out with an `if`"));
    }
    let nothing = match value.kind() {
        ValueKind::Undefined | ValueKind::None => true,
        ValueKind::String => value.as_str().is_some_and(str::is_empty),
        ValueKind::Seq | ValueKind::Map => value.len() == Some(0),
        _ => false,
    };
    Ok(if nothing { Value::from_safe_string(OMITTED.to_string()) } else { value.clone() })
}

/// A text as it is; a list as its elements, with commas; nothing for nothing.
fn words(value: &Value) -> Result<String, Error> {
    match value.kind() {
        ValueKind::Undefined | ValueKind::None => Ok(String::new()),
        ValueKind::Seq | ValueKind::Iterable => {
            let words = value.try_iter()?.map(|element| element.to_string()).collect::<Vec<_>>();
            Ok(words.join(", "))
        }
        _ => Ok(value.to_string()),
    }
}

/// The value itself, if it is there and not empty; else an error in the author's words: `{{ found.products[line.sku] |
/// needed("it has no product " ~ line.sku) }}`.
fn needed(value: &Value, otherwise: String) -> Result<Value, Error> {
    let nothing = value.is_undefined() || value.is_none() || value.as_str().is_some_and(str::is_empty);
    if nothing { Err(refused(otherwise)) } else { Ok(value.clone()) }
}

/// Digits with noughts before them, so many in all: `11 | padded(2)`, `7 | padded(2)` is `07`.
fn padded(value: &Value, digits: usize) -> Result<String, Error> {
    let text = value.to_string();
    if !text.bytes().all(|byte| byte.is_ascii_digit()) || text.is_empty() {
        return Err(refused(format!("\"{text}\" is not digits only, so no noughts go before it")));
    }
    let digits = width(digits)?;
    Ok(format!("{text:0>digits$}"))
}

fn width(value: usize) -> Result<usize, Error> {
    if value == 0 || value > WIDTH_MAX {
        return Err(refused(format!("a width of {value}; from 1 to {WIDTH_MAX}")));
    }
    Ok(value)
}

/// The first so many characters.
fn cut(text: &str, at: usize) -> Result<String, Error> {
    Ok(text.chars().take(width(at)?).collect())
}

/// Lines of at most so many characters, broken between words where that is possible. Nothing is lost but white space at
/// the breaks.
fn wrapped(text: &str, at: usize) -> Result<Vec<String>, Error> {
    let at = width(at)?;
    let mut lines = Vec::new();
    for paragraph in text.lines() {
        let (mut line, mut width) = (String::new(), 0);
        for word in paragraph.split_whitespace() {
            let letters = word.chars().count();
            if width > 0 && width + 1 + letters > at {
                lines.push(std::mem::take(&mut line));
                width = 0;
            }
            if width > 0 {
                line.push(' ');
                width += 1;
            }
            for char in word.chars() {
                if width == at {
                    lines.push(std::mem::take(&mut line));
                    width = 0;
                }
                line.push(char);
                width += 1;
            }
        }
        if !line.is_empty() {
            lines.push(line);
        }
    }
    Ok(lines)
}

/// The entry of a map of codes: `tax_code | mapped(codes.tax)`, or with a word for what is not in it:
/// `| mapped(codes.tax, default="NONE")`.
fn mapped(value: &Value, codes: &Value, options: Kwargs) -> Result<Value, Error> {
    let otherwise: Option<Value> = options.get("default")?;
    options.assert_all_used()?;
    if codes.kind() != ValueKind::Map {
        return Err(refused("what it maps by is no map of codes"));
    }
    let found = codes.get_item(value).ok().filter(|found| !found.is_undefined() && !found.is_none());
    found.or(otherwise).ok_or_else(|| refused(format!("there is no code for \"{value}\"")))
}

/// A time of the document in another spelling, UTC or with `offset` in hours, so many `days` later:
/// `placed_at | date("%Y-%m-%d", offset=1, days=2)`.
fn date(value: &str, spelling: &str, options: Kwargs) -> Result<String, Error> {
    let offset: i8 = options.get::<Option<i8>>("offset")?.unwrap_or(0);
    let days: i16 = options.get::<Option<i16>>("days")?.unwrap_or(0);
    options.assert_all_used()?;
    let at: Timestamp = value.parse().map_err(|_| refused(format!("\"{value}\" is no time")))?;
    let at = at.checked_add(jiff::SignedDuration::from_hours(i64::from(days) * 24));
    let at = at.map_err(|_| refused(format!("{days} days from \"{value}\"")))?;
    if !(-12..=14).contains(&offset) {
        return Err(refused(format!("an offset of {offset} hours")));
    }
    let zoned = jiff::tz::Offset::constant(offset).to_datetime(at);
    jiff::fmt::strtime::format(spelling, zoned)
        .map_err(|error| refused(format!("\"{spelling}\" is no spelling of a date: {error}")))
}

/// So many hexadecimal digits (at most 64) that follow from a text alone: a key in the form another system prescribes.
fn hex(text: &str, digits: usize) -> Result<String, Error> {
    if digits == 0 || digits > 64 {
        return Err(refused(format!("{digits} hexadecimal digits; from 1 to 64")));
    }
    let mut all = data_encoding::HEXLOWER.encode(&Sha256::digest(text.as_bytes()));
    all.truncate(digits);
    Ok(all)
}

/// A UUID (version 8) that follows from a text alone.
fn uuid(text: &str) -> String {
    let digest = Sha256::digest(text.as_bytes());
    let mut bytes = [0; 16];
    bytes.copy_from_slice(&digest[..16]);
    uuid::Builder::from_custom_bytes(bytes).into_uuid().to_string()
}

/// A list or an object as JSON text; in a JSON template as it stands, elsewhere escaped like any text.
fn json(state: &State<'_, '_>, value: &Value) -> Result<Value, Error> {
    without_fractions(value)?;
    let text = serde_json::to_string(value).map_err(|_| refused("it cannot be written as JSON"))?;
    let text = text.replace("\\u0000", "\\ufffd");
    let stands = *state.auto_escape() == AutoEscape::Custom(Form::Json.as_str().into());
    Ok(if stands { Value::from_safe_string(text) } else { Value::from(text) })
}

fn without_fractions(value: &Value) -> Result<(), Error> {
    match value.kind() {
        ValueKind::Number if !value.is_integer() => Err(refused("it prints a binary fraction")),
        ValueKind::Seq | ValueKind::Iterable => value.try_iter()?.try_for_each(|element| without_fractions(&element)),
        ValueKind::Map => value.try_iter()?.try_for_each(|name| without_fractions(&value.get_item(&name)?)),
        _ => Ok(()),
    }
}

pub(super) fn xml(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for char in text.chars() {
        match char {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&apos;"),
            // What XML 1.0 cannot hold in any spelling.
            '\u{0}'..='\u{8}' | '\u{b}' | '\u{c}' | '\u{e}'..='\u{1f}' | '\u{fffe}' | '\u{ffff}' => {
                out.push('\u{fffd}');
            }
            _ => out.push(char),
        }
    }
    out
}

/// A field that holds a separator, a quotation mark or a line break is put in quotation marks (RFC 4180).
pub(super) fn csv(text: &str) -> String {
    if text.contains([',', ';', '\t', '"', '\r', '\n']) {
        format!("\"{}\"", text.replace('"', "\"\""))
    } else {
        text.to_owned()
    }
}
