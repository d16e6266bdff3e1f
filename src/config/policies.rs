//! `[policies]`, and what a destination says otherwise.

use serde::Deserialize;
use toml::{Spanned, Table};

use super::problem::nearest;
use super::read::{Field, Report, Section};
pub use crate::domain::policy::Policies;

/// Policies of the file, with `over` (a destination's own) laid over `under` (the file's), key by key.
///
/// Each key is read by itself, so that one wrong value does not hide the next.
pub(super) fn policies(under: &Section<'_>, over: Option<&Section<'_>>, report: &mut Report<'_>) -> Policies {
    let mut table = Table::new();
    // The file's own keys have been reported when the file's policies were read.
    let mut silent = Vec::new();
    for (name, field) in under.entries() {
        match one(&name, &field) {
            Ok(value) => drop(table.insert(name, value)),
            Err(message) => silent.push((field, message)),
        }
    }
    let Some(over) = over else {
        for (field, message) in silent {
            refuse(&field, &message, report);
        }
        return whole(table);
    };
    for (name, field) in over.entries() {
        match one(&name, &field) {
            Ok(value) => drop(table.insert(name, value)),
            Err(message) => refuse(&field, &message, report),
        }
    }
    whole(table)
}

fn whole(table: Table) -> Policies {
    toml::Value::Table(table).try_into().unwrap_or_default()
}

/// One key, proved acceptable.
fn one(name: &str, field: &Field<'_>) -> Result<toml::Value, String> {
    let spanned = Spanned::new(0..0, field.value.clone());
    let value = toml::Value::deserialize(toml::de::ValueDeserializer::from(spanned))
        .map_err(|error| error.message().to_owned())?;
    let mut table = Table::new();
    table.insert(name.to_owned(), value.clone());
    let read: Result<Policies, _> = toml::Value::Table(table).try_into();
    read.map(|_| value).map_err(|error| error.message().to_owned())
}

/// The engine's sentence "unknown field x, expected one of y, z" becomes its first half and the nearest of the second.
fn refuse(field: &Field<'_>, message: &str, report: &mut Report<'_>) {
    let (fault, expected) = message.trim().split_once(", expected ").unwrap_or((message.trim(), ""));
    let given = fault.split('`').nth(1).unwrap_or_default();
    let known: Vec<&str> = expected.split('`').skip(1).step_by(2).collect();
    let remedy = match nearest(given, known.iter().copied()) {
        Some(word) => format!("did you mean \"{word}\"?"),
        None if known.is_empty() => "see [policies] in crossdock.example.toml".to_owned(),
        None => format!("known: {}", known.join(", ")),
    };
    report.error(&field.place, format!("is not a policy: {fault}"), remedy);
}
