//! A cursor over the TOML tree that collects every problem instead of stopping at the first.
//!
//! A [`Section`] remembers which keys were asked for; [`Section::finish`] reports all others, so "unknown keys are
//! errors" needs no second list of names that could differ from what is really read.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::str::FromStr as _;
use std::time::Duration;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::problem::{Complaint, Problem, nearest};
use super::secret::{Dated, Secret, Secrets};
use super::units::{self, show_duration, shown};
use crate::clock::Timestamp;

/// Largest secret or key file; anything bigger is the wrong file.
const SECRET_FILE_BYTES_MAX: u64 = 64 * 1024;

/// What was found so far, and the doors to the outside: environment and files.
pub(super) struct Report<'a> {
    text: &'a str,
    base: &'a Path,
    env: &'a dyn Fn(&str) -> Option<String>,
    pub(super) problems: Vec<Problem>,
    pub(super) warnings: Vec<Problem>,
}

impl<'a> Report<'a> {
    /// An empty report on `text`, whose relative paths are relative to `base`.
    pub(super) fn new(text: &'a str, base: &'a Path, env: &'a dyn Fn(&str) -> Option<String>) -> Self {
        Report { text, base, env, problems: Vec::new(), warnings: Vec::new() }
    }

    /// The same doors with nothing found yet, for a second look at what has been reported already.
    pub(super) fn fresh(&self) -> Report<'a> {
        Report::new(self.text, self.base, self.env)
    }

    pub(super) fn error(&mut self, place: &Place, message: impl Into<String>, remedy: impl Into<String>) {
        let problem = self.problem(place, Complaint::new(message, remedy));
        self.problems.push(problem);
    }

    pub(super) fn complain(&mut self, place: &Place, complaint: Complaint) {
        let problem = self.problem(place, complaint);
        self.problems.push(problem);
    }

    pub(super) fn warn(&mut self, place: &Place, message: impl Into<String>, remedy: impl Into<String>) {
        let problem = self.problem(place, Complaint::new(message, remedy));
        self.warnings.push(problem);
    }

    /// The path as the service will open it.
    pub(super) fn resolve(&self, path: &str) -> PathBuf {
        self.base.join(path)
    }

    /// The line (from 1) of a byte offset.
    pub(super) fn line(&self, at: usize) -> usize {
        let at = at.min(self.text.len());
        self.text.as_bytes()[..at].split(|byte| *byte == b'\n').count()
    }

    fn problem(&self, place: &Place, complaint: Complaint) -> Problem {
        let line = place.at.map(|at| self.line(at));
        Problem { path: place.path.clone(), line, message: complaint.message, remedy: complaint.remedy }
    }
}

/// Where in the file something stands; `at` is a byte offset, `None` for what is not there.
#[derive(Clone, Debug, Default)]
pub(super) struct Place {
    pub(super) path: String,
    pub(super) at: Option<usize>,
}

impl Place {
    /// A name below this place.
    pub(super) fn below(&self, name: &str) -> Place {
        let path = if self.path.is_empty() { name.to_owned() } else { format!("{}.{name}", self.path) };
        Place { path, at: self.at }
    }
}

/// One value of the file.
#[derive(Clone)]
pub(super) struct Field<'t> {
    pub(super) place: Place,
    pub(super) value: &'t DeValue<'t>,
}

impl<'t> Field<'t> {
    fn new(path: String, value: &'t Spanned<DeValue<'t>>) -> Self {
        Field { place: Place { path, at: Some(value.span().start) }, value: value.get_ref() }
    }

    fn mistyped(&self, wanted: &str, report: &mut Report<'_>) {
        report.error(&self.place, format!("is of type {}", self.value.type_str()), format!("write {wanted}"));
    }

    /// A string that is not empty.
    pub(super) fn text(&self, report: &mut Report<'_>) -> Option<&'t str> {
        match self.value.as_str() {
            None => self.mistyped("a string in quotes", report),
            Some("") => report.error(&self.place, "is empty", "give it a value or remove it"),
            Some(text) => return Some(text),
        }
        None
    }

    /// A string in some notation.
    pub(super) fn parse<T>(
        &self,
        report: &mut Report<'_>,
        read: impl FnOnce(&str) -> Result<T, Complaint>,
    ) -> Option<T> {
        match read(self.text(report)?) {
            Ok(value) => Some(value),
            Err(complaint) => {
                report.complain(&self.place, complaint);
                None
            }
        }
    }

    /// One word of a closed list.
    pub(super) fn choice<T: Clone>(&self, choices: &[(&str, T)], report: &mut Report<'_>) -> Option<T> {
        let text = self.text(report)?;
        let found = choices.iter().find(|(word, _)| *word == text).map(|(_, value)| value.clone());
        if found.is_none() {
            let words: Vec<&str> = choices.iter().map(|(word, _)| *word).collect();
            let remedy = nearest(text, words.iter().copied()).map_or_else(
                || format!("write one of {}", words.join(", ")),
                |word| format!("did you mean \"{word}\"?"),
            );
            report.error(&self.place, format!("\"{}\" is not known here", shown(text)), remedy);
        }
        found
    }

    pub(super) fn boolean(&self, report: &mut Report<'_>) -> Option<bool> {
        let value = self.value.as_bool();
        if value.is_none() {
            self.mistyped("true or false", report);
        }
        value
    }

    /// A whole number within bounds.
    pub(super) fn count(&self, bounds: (u64, u64), report: &mut Report<'_>) -> Option<u64> {
        let Some(number) = self.value.as_integer() else {
            self.mistyped("a whole number", report);
            return None;
        };
        let digits = number.as_str().replace('_', "");
        let value = u64::from_str_radix(digits.trim_start_matches('+'), number.radix()).ok();
        let value = value.filter(|value| (bounds.0..=bounds.1).contains(value));
        if value.is_none() {
            let remedy = format!("write a whole number from {} to {}", bounds.0, bounds.1);
            report.error(&self.place, "is out of bounds", remedy);
        }
        value
    }

    /// A duration within bounds.
    pub(super) fn duration(&self, bounds: (Duration, Duration), report: &mut Report<'_>) -> Option<Duration> {
        let value = self.parse(report, units::duration)?;
        if (bounds.0..=bounds.1).contains(&value) {
            return Some(value);
        }
        let remedy = format!("write {} to {}", show_duration(bounds.0), show_duration(bounds.1));
        report.error(&self.place, format!("{} is out of bounds", show_duration(value)), remedy);
        None
    }

    /// The items of an array; a single value counts as a list of one where `single` says so.
    pub(super) fn list(&self, single: bool, report: &mut Report<'_>) -> Vec<Field<'t>> {
        match self.value {
            DeValue::Array(items) => items
                .iter()
                .enumerate()
                .map(|(index, item)| Field::new(format!("{}[{index}]", self.place.path), item))
                .collect(),
            _ if single => vec![self.clone()],
            _ => {
                self.mistyped("a list in square brackets", report);
                Vec::new()
            }
        }
    }

    /// A table; `what` names it in messages ("an origin of type patchworks").
    pub(super) fn section(&self, what: &str, report: &mut Report<'_>) -> Option<Section<'t>> {
        let table = self.value.as_table();
        if table.is_none() {
            self.mistyped("a table", report);
        }
        Some(Section { place: self.place.clone(), table: Some(table?), asked: Vec::new(), what: what.to_owned() })
    }

    /// `env:NAME`, `file:PATH`, or the value itself. `literal` says whether it stood in the file.
    fn source(&self, report: &mut Report<'_>) -> Option<(String, bool)> {
        let text = self.text(report)?;
        if let Some(name) = text.strip_prefix("env:") {
            return self.environment_value(name, report).map(|value| (value, false));
        }
        if let Some(path) = text.strip_prefix("file:") {
            return self.file_value(path, report).map(|value| (value, false));
        }
        Some((text.to_owned(), true))
    }

    fn environment_value(&self, name: &str, report: &mut Report<'_>) -> Option<String> {
        let value = (report.env)(name).filter(|value| !value.is_empty());
        if value.is_none() {
            let message = format!("the environment variable {} is not set or empty", shown(name));
            report.error(&self.place, message, "set it before starting");
        }
        value
    }

    fn file_value(&self, path: &str, report: &mut Report<'_>) -> Option<String> {
        let full = report.resolve(path);
        let read = std::fs::metadata(&full).and_then(|metadata| {
            if !metadata.is_file() || metadata.len() > SECRET_FILE_BYTES_MAX {
                return Err(std::io::Error::other("not a file of at most 64 KiB"));
            }
            std::fs::read_to_string(&full)
        });
        match read {
            Ok(content) if !content.trim().is_empty() => Some(content.trim_end_matches(['\r', '\n']).to_owned()),
            Ok(_) => {
                report.error(&self.place, format!("the file {} is empty", full.display()), "put the value into it");
                None
            }
            Err(error) => {
                let message = format!("the file {} cannot be read: {error}", full.display());
                report.error(&self.place, message, "paths are relative to the configuration file");
                None
            }
        }
    }

    /// One secret. A literal works and warns.
    pub(super) fn secret(&self, report: &mut Report<'_>) -> Option<Secret<String>> {
        let (value, literal) = self.source(report)?;
        if literal {
            report.warn(&self.place, "is a secret written into the file", "use env:NAME or file:PATH");
        }
        Some(Secret::new(value))
    }

    /// One or several values, each `"…"` or `{ value = "…", until = "2026-03-01T00:00:00Z" }`.
    fn dated<T>(
        &self,
        report: &mut Report<'_>,
        read: impl Fn(&Field<'t>, &mut Report<'_>) -> Option<T>,
    ) -> Vec<Dated<T>> {
        let fields = self.list(true, report);
        if fields.is_empty() {
            report.error(&self.place, "is an empty list", "name at least one value");
        }
        let mut values = Vec::new();
        for field in fields {
            if field.value.is_table() {
                let Some(mut section) = field.section("a value with an end", report) else { continue };
                let value = section.required("value", "give the value", report);
                let until = section.field("until").and_then(|until| until.instant(report));
                section.finish(report);
                values.extend(value.and_then(|value| read(&value, report)).map(|value| Dated { value, until }));
            } else {
                values.extend(read(&field, report).map(Dated::always));
            }
        }
        values
    }

    /// One or several secrets, all valid (SIG-8).
    pub(super) fn secrets(&self, report: &mut Report<'_>) -> Secrets {
        self.dated(report, Field::secret)
    }

    /// One or several public texts (keys), read like secrets without the warning.
    pub(super) fn public_texts(&self, report: &mut Report<'_>) -> Vec<Dated<(String, Place)>> {
        self.dated(report, |field, report| field.source(report).map(|(text, _)| (text, field.place.clone())))
    }

    /// A time with its zone.
    pub(super) fn instant(&self, report: &mut Report<'_>) -> Option<Timestamp> {
        let text = match self.value {
            DeValue::Datetime(datetime) => datetime.to_string(),
            _ => self.text(report)?.to_owned(),
        };
        let instant = Timestamp::from_str(&text).ok();
        if instant.is_none() {
            report.error(&self.place, "is not an instant", "write it with its zone, such as 2026-03-01T00:00:00Z");
        }
        instant
    }
}

/// A table of the file, or the absence of one (all defaults).
pub(super) struct Section<'t> {
    pub(super) place: Place,
    table: Option<&'t DeTable<'t>>,
    asked: Vec<&'static str>,
    what: String,
}

impl<'t> Section<'t> {
    /// The whole file.
    pub(super) fn root(table: &'t DeTable<'t>) -> Self {
        Section { place: Place::default(), table: Some(table), asked: Vec::new(), what: "the file".to_owned() }
    }

    /// Names what this table turned out to be, for messages.
    pub(super) fn describe(&mut self, what: String) {
        self.what = what;
    }

    /// The value of a key, if it is there.
    pub(super) fn field(&mut self, name: &'static str) -> Option<Field<'t>> {
        self.asked.push(name);
        let value = self.table?.get(name)?;
        Some(Field::new(self.place.below(name).path, value))
    }

    /// Whether nothing is said of a key.
    pub(super) fn is_without(&self, name: &str) -> bool {
        !self.entries().contains_key(name)
    }

    /// The value of a key that must be there.
    pub(super) fn required(&mut self, name: &'static str, remedy: &str, report: &mut Report<'_>) -> Option<Field<'t>> {
        let field = self.field(name);
        if field.is_none() {
            report.error(&self.place.below(name), "is missing", remedy);
        }
        field
    }

    pub(super) fn duration_or(
        &mut self,
        name: &'static str,
        default: Duration,
        bounds: (Duration, Duration),
        report: &mut Report<'_>,
    ) -> Duration {
        self.field(name).and_then(|field| field.duration(bounds, report)).unwrap_or(default)
    }

    pub(super) fn bytes_or(
        &mut self,
        name: &'static str,
        default: u64,
        bounds: (u64, u64),
        report: &mut Report<'_>,
    ) -> u64 {
        let Some(field) = self.field(name) else { return default };
        let value = if field.value.is_integer() {
            return field.count(bounds, report).unwrap_or(default);
        } else {
            field.parse(report, units::bytes)
        };
        match value {
            Some(value) if !(bounds.0..=bounds.1).contains(&value) => {
                let remedy = format!("write {} to {} bytes", bounds.0, bounds.1);
                report.error(&field.place, format!("{value} bytes are out of bounds"), remedy);
                default
            }
            value => value.unwrap_or(default),
        }
    }

    pub(super) fn count_or(
        &mut self,
        name: &'static str,
        default: u32,
        bounds: (u32, u32),
        report: &mut Report<'_>,
    ) -> u32 {
        let bounds = (u64::from(bounds.0), u64::from(bounds.1));
        self.field(name)
            .and_then(|field| field.count(bounds, report))
            .map_or(default, |count| u32::try_from(count).expect("the bounds are of that width"))
    }

    pub(super) fn boolean_or(&mut self, name: &'static str, default: bool, report: &mut Report<'_>) -> bool {
        self.field(name).and_then(|field| field.boolean(report)).unwrap_or(default)
    }

    /// A sub-table; absent means "all defaults".
    pub(super) fn section(&mut self, name: &'static str, report: &mut Report<'_>) -> Section<'t> {
        let absent =
            Section { place: self.place.below(name), table: None, asked: Vec::new(), what: format!("[{name}]") };
        match self.field(name) {
            None => absent,
            Some(field) => field.section(&format!("[{name}]"), report).unwrap_or(absent),
        }
    }

    /// The named tables of a room (`[origins.NAME]`), in the order of their names; ill-named ones are reported.
    pub(super) fn named(&mut self, name: &'static str, report: &mut Report<'_>) -> Vec<(String, Section<'t>)> {
        let room = self.section(name, report);
        let mut sections = Vec::new();
        for (key, value) in room.table.into_iter().flatten() {
            let key = key.get_ref().to_string();
            let field = Field::new(room.place.below(&shown(&key)).path, value);
            if !is_name(&key) {
                report.error(&field.place, "is not a name", NAME_REMEDY);
            }
            sections.extend(field.section(&format!("[{name}.{}]", shown(&key)), report).map(|section| (key, section)));
        }
        sections
    }

    /// All entries, for tables that another reader takes over.
    pub(super) fn entries(&self) -> BTreeMap<String, Field<'t>> {
        let entries = self.table.into_iter().flatten();
        entries
            .map(|(key, value)| {
                let key = key.get_ref().to_string();
                let path = self.place.below(&shown(&key)).path;
                (key, Field::new(path, value))
            })
            .collect()
    }

    /// Reports every key that nobody asked for.
    pub(super) fn finish(self, report: &mut Report<'_>) {
        for (key, _) in self.table.into_iter().flatten() {
            let name = key.get_ref().as_ref();
            if self.asked.contains(&name) {
                continue;
            }
            let mut place = self.place.below(&shown(name));
            place.at = Some(key.span().start);
            let remedy = nearest(name, self.asked.iter().copied())
                .map_or_else(|| known(&self.asked), |word| format!("did you mean \"{word}\"?"));
            report.error(&place, format!("is not a key of {}", self.what), remedy);
        }
    }
}

fn known(asked: &[&str]) -> String {
    let mut words = asked.to_vec();
    words.sort_unstable();
    words.dedup();
    format!("known keys: {}", words.join(", "))
}

/// What to do about a bad name.
pub(super) const NAME_REMEDY: &str = "names are 1 to 64 of a-z, 0-9, - and _, and begin with a letter or digit";

/// Names go into URLs, metrics and idempotency keys: `[a-z0-9][a-z0-9_-]*`, at most 64.
pub(super) fn is_name(text: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    text.len() <= 64
        && text.bytes().next().is_some_and(plain)
        && text.bytes().all(|byte| plain(byte) || byte == b'-' || byte == b'_')
}
