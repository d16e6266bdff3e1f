//! Where reading goes on, what a record is called, and how long a poll rests. Pure.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::clock::{Timestamp, earlier, later};
use crate::destinations::AttemptOutcome;
use crate::destinations::recipe::poll::{Page, Row, Since, Spot, Unread};
use crate::destinations::recipe::said::Entity;
use crate::domain::decimal;
use crate::envelope::keys::Digest;
use crate::json::{self, Json, Limits};

const SECOND: Duration = Duration::from_secs(1);

/// How far a poll got, as it is kept.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Kept {
    /// The newest change that is here, by the other system's clock and never later than ours.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub at: Option<Timestamp>,
    /// The record that was read last.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub id: Option<String>,
    /// Where the configuration said that it begins.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub from: Option<Timestamp>,
    /// When stock was read last, by our clock.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub as_of: Option<Timestamp>,
    /// Everything was read once.
    #[serde(skip_serializing_if = "std::ops::Not::not", default)]
    pub whole: bool,
}

/// As it is kept.
pub fn written(kept: &Kept) -> String {
    serde_json::to_string(kept).expect("times and texts always serialise")
}

/// As it was kept.
pub fn read(position: &str) -> Option<Kept> {
    serde_json::from_str(position).ok()
}

/// Where a run begins: behind what is here, less the overlap, in which what was committed late is found.
pub fn start(kept: &Kept, once: bool, overlap: Duration, now: Timestamp) -> Since {
    if once {
        return Since { spot: Spot { at: None, id: kept.id.clone() }, skip: 0 };
    }
    // A position ahead of our clock is believed no more than the clock.
    let at = kept.at.map(|at| earlier(at.min(now), overlap));
    Since { spot: Spot { at, id: None }, skip: 0 }
}

/// What follows a page.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Next {
    /// Nothing is behind it.
    End,
    /// The next page is behind this.
    Behind(Since),
}

/// What a page leads to.
///
/// # Errors
/// It leads nowhere: in words.
pub fn after(since: &Since, page: &Page, size: usize, same_again: bool) -> Result<Next, String> {
    let full = page.rows.len() >= size;
    let spots: Vec<&Spot> = page.rows.iter().filter_map(|row| row.spot.as_ref().ok()).collect();
    if let Some(pair) = spots.windows(2).find(|pair| is_behind(pair[0], pair[1])) {
        return Err(format!(
            "the records do not stand in the order of their positions: {} before {}",
            shown(pair[0]),
            shown(pair[1])
        ));
    }
    let Some(last) = spots.last() else {
        return if full { Err("no record of the page says where it stands".to_owned()) } else { Ok(Next::End) };
    };
    let begins_now = since.spot == Spot::default();
    if begins_now || is_behind(last, &since.spot) {
        let alike = spots.iter().rev().take_while(|spot| spot.at == last.at).count();
        let skip = u64::try_from(alike).unwrap_or(u64::MAX);
        let same_time = last.at.is_some() && since.spot.at == last.at;
        let skip = if same_time && alike == spots.len() { since.skip.saturating_add(skip) } else { skip };
        return Ok(Next::Behind(Since { spot: (*last).clone(), skip }));
    }
    let stuck = || Err(format!("it never gets further than {}: page after page is the same", shown(last)));
    // Records of one time, told apart by nothing but how many of them were read.
    let counted = last.id.is_none() && last.at.is_some() && last.at == since.spot.at;
    match (counted, same_again, full) {
        (true, false, _) => {
            let skip = since.skip.saturating_add(u64::try_from(spots.len()).unwrap_or(u64::MAX));
            Ok(Next::Behind(Since { spot: since.spot.clone(), skip }))
        }
        (_, _, true) => stuck(),
        (_, _, false) => Ok(Next::End),
    }
}

/// Whether `one` stands behind `other`.
fn is_behind(one: &Spot, other: &Spot) -> bool {
    let ids = || match (&one.id, &other.id) {
        (Some(one), Some(other)) => match (one.parse::<u64>(), other.parse::<u64>()) {
            (Ok(one), Ok(other)) => one > other,
            _ => one > other,
        },
        (Some(_), None) => true,
        (None, _) => false,
    };
    match (one.at, other.at) {
        (Some(one), Some(other)) if one != other => one > other,
        _ => ids(),
    }
}

fn shown(spot: &Spot) -> String {
    let at = spot.at.map(|at| at.to_string());
    let words: Vec<String> = at.into_iter().chain(spot.id.clone()).collect();
    words.join(" ").chars().take(100).collect()
}

/// The position after everything up to `since` is durable. It never goes back, and a record from the future (an import, a
/// wrong clock) does not carry it past what is yet to come.
pub fn moved(kept: &Kept, since: &Since, once: bool, now: Timestamp) -> Kept {
    if once {
        return Kept { id: since.spot.id.clone(), ..kept.clone() };
    }
    let Some(at) = since.spot.at.map(|at| at.min(now)) else { return kept.clone() };
    if kept.at.is_some_and(|known| at < known) {
        return kept.clone();
    }
    let id = since.spot.id.clone().filter(|_| since.spot.at == Some(at));
    Kept { at: Some(at), id, ..kept.clone() }
}

/// When stock was read: by our clock, and never at the same time as before.
pub fn read_at(kept: &Kept, now: Timestamp) -> Timestamp {
    kept.as_of.map_or(now, |before| now.max(later(before, Duration::from_micros(1))))
}

/// What names this state of a record, for ever: where it stands and what its system says of it, for which item; and what we
/// write of it, where that is part of the state.
pub fn identity(row: &Row, item: &str, written: Option<&str>) -> Digest {
    let (at, id) = match &row.spot {
        Ok(spot) => (spot.at.map(|at| at.to_string()).unwrap_or_default(), spot.id.clone().unwrap_or_default()),
        Err(_) => Default::default(),
    };
    Digest::of_fields(&[&at, &id, &row.source, item, written.unwrap_or_default()])
}

/// A record as others would post it.
///
/// # Errors
/// What it lacks.
pub fn message(entity: Entity, record: &str, as_of: Timestamp) -> Result<String, String> {
    let json = json::parse(record.as_bytes(), &Limits::default()).map_err(|error| error.to_string())?;
    let text = |json: Option<&Json<'_>>| json.and_then(Json::as_text).is_some_and(|text| !text.trim().is_empty());
    match entity {
        Entity::Stock => {
            if !text(json.get("sku")) {
                return Err("it has no sku".to_owned());
            }
            let quantity = json.get("quantity").and_then(Json::as_text).ok_or("it has no quantity")?;
            decimal::parse(quantity).map_err(|reason| format!("its quantity \"{quantity}\" is {reason}"))?;
            Ok(format!(r#"{{"mode":"delta","as_of":"{as_of}","items":[{record}]}}"#))
        }
        Entity::Fulfilments => {
            if !text(json.get("reference")) {
                return Err("it has no reference".to_owned());
            }
            if !text(json.get("order").and_then(|order| order.get("increment_id"))) {
                return Err("it does not name its order".to_owned());
            }
            match json.get("items").and_then(Json::elements) {
                Some(items) if !items.is_empty() => Ok(record.to_owned()),
                _ => Err("it has no items".to_owned()),
            }
        }
    }
}

/// The word for metrics and the log.
pub fn word(unread: &Unread) -> &'static str {
    match unread {
        Unread::Outcome(outcome) => match outcome {
            AttemptOutcome::Accepted(_) | AttemptOutcome::AlreadyApplied(_) => "other",
            AttemptOutcome::Rejected(_) => "refused",
            AttemptOutcome::Credential { .. } => "unauthorized",
            AttemptOutcome::Throttled { .. } => "limited",
            AttemptOutcome::Deferred { .. } => "deferred",
            AttemptOutcome::Unavailable { .. } | AttemptOutcome::Uncertain { .. } => "unavailable",
        },
        Unread::Unreadable(_) => "unreadable",
        Unread::Unmet(_) => "unmet",
    }
}

/// How long a poll rests after it failed so often in a row. What only a person can change is not asked every few seconds.
pub fn pause_after(passes: bool, failures: u32, asked: Option<Duration>, jitter: f64) -> Duration {
    let (first, most) = if passes { (SECOND * 2, SECOND * 300) } else { (SECOND * 15, SECOND * 600) };
    let doubled = first.saturating_mul(1_u32.checked_shl(failures.saturating_sub(1)).unwrap_or(u32::MAX));
    let pause = doubled.min(most).mul_f64(0.8 + 0.4 * jitter.clamp(0.0, 1.0));
    pause.max(asked.unwrap_or_default().min(SECOND * 3_600))
}

#[cfg(test)]
mod tests;
