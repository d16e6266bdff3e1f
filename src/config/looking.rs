//! `find` and `already_exists` of a destination: how to look whether a record is there, and what says that it is.

use std::time::Duration;

use super::destinations::Guard;
use super::net::Network;
use super::problem::Complaint;
use super::read::{Field, Report, Section};
use crate::destinations::find::default_absent_status;
use crate::destinations::{ExistsRule, Find, FindSettings};

const SECOND: Duration = Duration::from_secs(1);

/// The table `find`; whatever can be checked without a document is checked.
pub(super) fn find(
    section: &mut Section<'_>,
    allowed: &[Network],
    guard: Guard,
    request_timeout: Duration,
    report: &mut Report<'_>,
) -> Option<FindSettings> {
    let field = section.field("find")?;
    let mut table = field.section("find", report)?;
    let methods = [("GET", "GET"), ("POST", "POST")];
    let method = table.field("method").and_then(|field| field.choice(&methods, report)).unwrap_or("GET");
    let url = table.required("url", "name the address to ask", report);
    let url = url.and_then(|field| field.text(report)).map(str::to_owned);
    let reference = table.required("reference", "name where our reference stands in the answer", report);
    let reference = reference.and_then(|field| field.parse(report, json_pointer));
    let mut pointer =
        |name, report: &mut Report<'_>| table.field(name).and_then(|field| field.parse(report, json_pointer));
    let (id, digest, total) = (pointer("id", report), pointer("digest", report), pointer("total", report));
    let value = table.field("value").and_then(|field| field.text(report)).map(str::to_owned);
    let absent = table.field("absent_status").map(|field| statuses(&field, report));
    let purposes = table.field("purposes").map(|field| texts(&field, report));
    // UNC-4.
    let settle_after = (request_timeout * 2).max(SECOND * 60);
    let bounds = (SECOND / 10, SECOND * 3_600 * 24);
    let settle_after = table.duration_or("settle_after", settle_after, bounds, report);
    let first = table.boolean_or("first", guard == Guard::Find, report);
    table.finish(report);
    let (url, reference) = (url?, reference?);
    let mut settings = FindSettings::new(&url, &reference);
    method.clone_into(&mut settings.method);
    settings.value = value.unwrap_or(settings.value);
    settings.absent_status = absent.unwrap_or_else(|| default_absent_status(&url));
    settings.purposes = purposes.unwrap_or(settings.purposes);
    (settings.id, settings.digest, settings.total) = (id, digest, total);
    (settings.settle_after, settings.first) = (settle_after, first);
    if settings.total.is_none() && settings.digest.is_none() {
        let remedy = "say where its total stands, such as total = \"/items/0/total\", if the answer has one";
        report.warn(&field.place, "compares nothing: whatever stands under our reference is taken as ours", remedy);
    }
    let allowed: Vec<_> = allowed.iter().filter_map(|network| network.to_string().parse().ok()).collect();
    if let Err(problems) = Find::new(settings.clone(), &allowed) {
        for problem in problems {
            report.error(&field.place, problem, "the manual shows a whole one in crossdock.example.toml");
        }
    }
    Some(settings)
}

/// The table `already_exists`.
pub(super) fn already_exists(section: &mut Section<'_>, report: &mut Report<'_>) -> Option<ExistsRule> {
    let field = section.field("already_exists")?;
    let mut table = field.section("already_exists", report)?;
    let status = table.field("status").map(|field| statuses(&field, report));
    let pointer = table.field("pointer").and_then(|field| field.parse(report, json_pointer));
    let text = table.field("text").and_then(|field| field.text(report)).map(str::to_owned);
    table.finish(report);
    if pointer.is_some() && text.is_none() {
        report.error(&field.place.below("text"), "is missing", "say which words stand at the pointer");
    }
    Some(ExistsRule { status: status.unwrap_or_else(|| vec![409]), pointer, text })
}

fn statuses(field: &Field<'_>, report: &mut Report<'_>) -> Vec<u16> {
    let codes = field.list(false, report);
    codes.iter().filter_map(|code| u16::try_from(code.count((100, 599), report)?).ok()).collect()
}

fn texts(field: &Field<'_>, report: &mut Report<'_>) -> Vec<String> {
    let items = field.list(false, report);
    if items.iter().any(|item| item.text(report) == Some("resend")) {
        report.error(&field.place, "names resend, which nothing can tell from what it repeats", "take it out");
    }
    items.iter().filter_map(|item| item.text(report)).map(str::to_owned).collect()
}

fn json_pointer(text: &str) -> Result<String, Complaint> {
    if text.starts_with('/') {
        return Ok(text.to_owned());
    }
    Err(Complaint::new("is not a JSON pointer", "write it with slashes, such as /items/0/id"))
}
