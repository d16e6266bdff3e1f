//! `[origins.NAME] poll = { … }`: what is read out of a back office that does not send by itself.

use std::collections::BTreeMap;
use std::time::Duration;

use super::destinations::DestinationSettings;
use super::origins::OriginSettings;
use super::problem::nearest;
use super::read::{Field, Report, Section};
use super::units::shown;
use crate::clock::Timestamp;
use crate::destinations::recipe::said::Entity;

const SECOND: Duration = Duration::from_secs(1);
const DAY: Duration = Duration::from_hours(24);

/// What an origin reads, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PollSettings {
    /// A key of `Config::destinations`, whose recipe says how.
    pub destination: String,
    /// From the end of one run to the next.
    pub every: Duration,
    /// How far a run reaches back behind what was read.
    pub overlap: Duration,
    /// Where the very first run begins; the time of that run, if nobody says.
    pub from: Option<Timestamp>,
    /// What is read.
    pub read: Vec<Entity>,
}

pub(super) fn poll(field: &Field<'_>, report: &mut Report<'_>) -> Option<PollSettings> {
    let mut section = field.section("the poll of an origin", report)?;
    let destination = section.required("destination", "name the destination that is read", report);
    let destination = destination.and_then(|field| field.text(report)).map(str::to_owned);
    let every = section.duration_or("every", SECOND * 60, (SECOND, DAY), report);
    // Longer than a transaction of the other side may take: what it commits late stands before what was read.
    let overlap = section.duration_or("overlap", SECOND * 600, (SECOND, DAY * 7), report);
    let from = section.field("from").and_then(|field| field.instant(report));
    let words = [("stock", Entity::Stock), ("fulfilments", Entity::Fulfilments)];
    let read = match section.field("read") {
        None => words.map(|(_, entity)| entity).to_vec(),
        Some(field) => {
            let items = field.list(true, report);
            if items.is_empty() {
                report.error(&field.place, "is an empty list", "name stock, fulfilments or both, or remove it");
            }
            items.iter().filter_map(|item| item.choice(&words, report)).collect()
        }
    };
    section.finish(report);
    Some(PollSettings { destination: destination?, every, overlap, from, read })
}

/// Whom an origin reads from must be there and say how it is read.
pub(super) fn check(
    root: &mut Section<'_>,
    origins: &BTreeMap<String, OriginSettings>,
    destinations: &BTreeMap<String, DestinationSettings>,
    names: &[String],
    report: &mut Report<'_>,
) {
    let mut quiet = report.fresh();
    for (name, mut section) in root.named("origins", &mut quiet) {
        let poll = section.field("poll").and_then(|field| field.section("the poll of an origin", &mut quiet));
        let Some(field) = poll.and_then(|mut poll| poll.field("destination")) else { continue };
        let Some(poll) = origins.get(&name).and_then(|origin| origin.poll.as_ref()) else { continue };
        if !names.contains(&poll.destination) {
            let known = names.iter().map(String::as_str);
            let remedy = match nearest(&poll.destination, known.clone()) {
                Some(word) => format!("did you mean \"{word}\"?"),
                None if names.is_empty() => "the file has no destination: add one".to_owned(),
                None => format!("known: {}", known.collect::<Vec<_>>().join(", ")),
            };
            let message = format!("\"{}\" is no destination of this file", shown(&poll.destination));
            report.error(&field.place, message, remedy);
            continue;
        }
        // One that did not parse has been told of.
        let Some(destination) = destinations.get(&poll.destination) else { continue };
        let polls = destination.recipe.as_ref().map(|recipe| recipe.said.polls.as_slice()).unwrap_or_default();
        for entity in &poll.read {
            if polls.iter().all(|known| known.entity != *entity) {
                let message = format!(
                    "\"{}\" cannot be read: the profile {} has no poll for {}",
                    poll.destination,
                    destination.profile.as_str(),
                    entity.as_str()
                );
                let remedy = "give it a recipe with [[polls]] (docs/destinations/write-a-profile.md), say with read what \
                              there is to read, or let the system post to us";
                report.error(&field.place, message, remedy);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::config::{Config, OriginSettings};

    fn read(poll: &str, auth: &str) -> Result<OriginSettings, String> {
        let text = format!(
            r#"
[commerce.acme]
[origins.erp-out]
type = "backoffice"
commerce = "acme"
{auth}
poll = {poll}
[destinations.erp]
profile = "tryton"
url = "https://erp.example.com/erp"
with = {{ company = 1, shop = 1 }}
[destinations.plain]
profile = "http"
url = "https://plain.example.com/orders"
"#
        );
        let loaded = Config::read(&text, Path::new("/nowhere"), &|_| None);
        let told = |problems: Vec<crate::config::Problem>| {
            problems.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
        };
        loaded.map_err(told).map(|mut loaded| loaded.config.origins.remove("erp-out").expect("it stands there"))
    }

    #[test]
    fn a_poll_names_its_destination_and_gets_the_usual_rest() {
        let origin = read(r#"{ destination = "erp" }"#, "").unwrap();
        assert!(origin.auth.is_empty(), "what is only read needs no credential for posting");
        let both = vec![Entity::Stock, Entity::Fulfilments];
        let usual = PollSettings {
            destination: "erp".into(),
            every: SECOND * 60,
            overlap: SECOND * 600,
            from: None,
            read: both,
        };
        assert_eq!(origin.poll, Some(usual));
        let said =
            r#"{ destination = "erp", every = "5s", overlap = "1h", from = "2026-01-01T00:00:00Z", read = "stock" }"#;
        let poll = read(said, "auth = { type = \"bearer\", token = \"0123456789abcdef0123\" }").unwrap().poll.unwrap();
        assert_eq!((poll.every, poll.overlap, poll.read), (SECOND * 5, SECOND * 3_600, vec![Entity::Stock]));
        assert_eq!(poll.from, "2026-01-01T00:00:00Z".parse().ok());
    }

    #[test]
    fn a_poll_that_cannot_be_meant_is_told_with_what_to_do() {
        for (poll, told) in [
            (r#"{ every = "1m" }"#, "destination: is missing"),
            (r#"{ destination = "erq" }"#, "\"erq\" is no destination of this file; did you mean \"erp\"?"),
            (r#"{ destination = "plain" }"#, "the profile http has no poll for stock"),
            (r#"{ destination = "erp", every = "0s" }"#, "out of bounds"),
            (r#"{ destination = "erp", overlap = "0s" }"#, "out of bounds"),
            (r#"{ destination = "erp", from = "yesterday" }"#, "is not an instant"),
            (r#"{ destination = "erp", read = [] }"#, "is an empty list"),
            (r#"{ destination = "erp", read = ["orders"] }"#, "\"orders\" is not known here"),
            (r#"{ destination = "erp", evry = "1m" }"#, "did you mean \"every\"?"),
            (r#""erp""#, "write a table"),
        ] {
            let problems = read(poll, "").map(|_| ()).unwrap_err();
            assert!(problems.contains(told), "{poll}: {problems}");
        }
        let hook = Config::read(
            "[commerce.a]\n[origins.h]\ntype = \"patchworks\"\ncommerce = \"a\"\nauth = { type = \"bearer\", token = \"0123456789abcdef0123\" }\npoll = { destination = \"erp\" }",
            Path::new("/nowhere"),
            &|_| None,
        );
        let problems = hook.unwrap_err();
        assert!(problems.iter().any(|one| one.to_string().contains("poll: is not a key")), "{problems:?}");
    }
}
