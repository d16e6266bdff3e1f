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
