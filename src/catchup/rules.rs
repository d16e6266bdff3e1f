//! What is searched for, when a search has seen everything, and how far it got then. Pure.

use std::time::Duration;

use crate::clock::{Timestamp, from_micros, later};
use crate::commerce::parse::{self, Reading};
use crate::commerce::rest::{Call, RestError};
use crate::json::{self, Json, Limits};

/// Orders a page. Shops may limit pages, and no default limit is below this.
pub const PAGE_SIZE: u64 = 100;
/// How often one search starts over because the list shrank under it.
pub const RESTARTS_MAX: u32 = 3;
/// How long an order that is listed and cannot be found is waited for before it is put before a person.
pub const ABSENT_MAX: Duration = Duration::from_mins(15);

const SECOND: Duration = Duration::from_secs(1);
/// `updated_at` in Commerce: UTC without a zone. A text that it cannot read as a time would match every order.
const TIME: &str = "%Y-%m-%d %H:%M:%S";

/// An order as the list shows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    /// Id in Commerce's database.
    pub entity_id: u64,
    /// Order number.
    pub number: Option<String>,
    /// Store view.
    pub store_id: Option<u64>,
    /// Last change, by Commerce's clock.
    pub updated_at: Option<Timestamp>,
}

/// One page of the list.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Listing {
    /// What is on it.
    pub rows: Vec<Row>,
    /// How many orders the whole list has.
    pub total: u64,
}

/// What follows a page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Next {
    /// The page after it.
    Page,
    /// Everything was seen.
    Done,
    /// Orders went out of the list while it was read, and others may have slipped past: from the first page.
    Again,
}

/// From when on changes are searched for. A position ahead of our clock is believed no more than the clock.
pub fn since(position: Timestamp, overlap: Duration, now: Timestamp) -> Timestamp {
    let micros = i64::try_from(overlap.as_micros()).unwrap_or(i64::MAX);
    from_micros(position.min(now).as_microsecond().saturating_sub(micros))
}

/// The position after everything was taken in that was there when `newest` was the newest change. It never goes back,
/// and a change from the future (an import, a wrong clock) does not carry it past what is yet to come.
pub fn moved(position: Timestamp, newest: Timestamp, now: Timestamp) -> Timestamp {
    position.min(now).max(newest.min(now))
}

/// As it is kept.
pub fn written(position: Timestamp) -> String {
    position.to_string()
}

/// As it was kept.
pub fn read(position: &str) -> Option<Timestamp> {
    position.parse().ok()
}

/// A time as Commerce spells it.
pub fn spelled(at: Timestamp) -> String {
    at.strftime(TIME).to_string()
}

/// Asks for a page. By id: an order that changes meanwhile keeps its place, so that nothing slips past between two pages.
pub fn page(since: Timestamp, page: u64) -> Call {
    listing(since, "entity_id", "ASC", PAGE_SIZE).with("searchCriteria[currentPage]", page.to_string())
}

/// Asks for the newest change.
pub fn newest(since: Timestamp) -> Call {
    listing(since, "updated_at", "DESC", 1).with("searchCriteria[currentPage]", "1")
}

fn listing(since: Timestamp, by: &str, direction: &str, size: u64) -> Call {
    let filter = |part: &str| format!("searchCriteria[filter_groups][0][filters][0][{part}]");
    Call::get("/V1/orders")
        .with(filter("field"), "updated_at")
        .with(filter("value"), spelled(since))
        .with(filter("condition_type"), "gteq")
        .with("searchCriteria[sortOrders][0][field]", by)
        .with("searchCriteria[sortOrders][0][direction]", direction)
        .with("searchCriteria[pageSize]", size.to_string())
        .with("fields", "items[entity_id,increment_id,store_id,updated_at],total_count")
}

/// Reads a page. `items` is null where there are none.
///
/// # Errors
/// What cannot be read, in words: nothing of such a page is used.
pub fn listed(body: &[u8], system: &str) -> Result<Listing, String> {
    let whole =
        json::parse(body, &Limits::default()).map_err(|error| format!("the list of orders cannot be read: {error}"))?;
    let total = whole.present("total_count").and_then(Json::as_text).and_then(|total| total.parse().ok());
    let total = total.ok_or("the list of orders has no total_count")?;
    let items = whole.present("items").and_then(Json::elements).unwrap_or_default();
    let row = |item: &&Json<'_>| {
        let header = parse::header(item, &Reading { system, ..Reading::default() });
        let entity_id = header.entity_id.ok_or("the list of orders has one without an entity_id")?;
        Ok(Row { entity_id, number: header.increment_id, store_id: header.store_id, updated_at: header.updated_at })
    };
    let rows = items.iter().map(row).collect::<Result<_, String>>()?;
    Ok(Listing { rows, total })
}

/// What follows page `page` (from 1), on which `rows` orders were, `fresh` of them for the first time. `before`: how many
/// orders the list had at the page before.
pub fn after(page: u64, rows: usize, fresh: usize, total: u64, before: Option<u64>) -> Next {
    if before.is_some_and(|before| total < before) {
        return Next::Again;
    }
    if page.saturating_mul(PAGE_SIZE) >= total {
        return Next::Done;
    }
    // Not at the end, and nothing new: the list is another than it was, or pages are not counted as we count them.
    if rows == 0 || fresh == 0 { Next::Again } else { Next::Page }
}

/// Whether the order must be read, given the newest change known here.
pub fn is_wanted(row: &Row, known: Option<Timestamp>) -> bool {
    match (row.updated_at, known) {
        (Some(there), Some(here)) => there > here,
        _ => true,
    }
}

/// Whether an order that is listed and not found is waited for: a replica may lag behind.
pub fn is_waited_for(row: &Row, now: Timestamp) -> bool {
    row.updated_at.is_some_and(|at| now < later(at, ABSENT_MAX))
}

/// The pause after search number `failures` (from 1) in a row that failed, times 0.8 to 1.2 as `jitter` goes from 0 to 1.
/// What passes by itself is asked again soon, what a person must mend rarely; never sooner than Commerce asked for.
pub fn pause_after(error: Option<&RestError>, failures: u32, jitter: f64) -> Duration {
    let passes = error.is_none_or(RestError::passes);
    let (first, most) = if passes { (SECOND, SECOND * 60) } else { (SECOND * 15, SECOND * 300) };
    let doubled = first.saturating_mul(1_u32.checked_shl(failures.saturating_sub(1)).unwrap_or(u32::MAX));
    let asked = match error {
        Some(RestError::Limited { retry_after } | RestError::Unavailable { retry_after, .. }) => *retry_after,
        _ => None,
    };
    let pause = doubled.min(most).mul_f64(0.8 + 0.4 * jitter.clamp(0.0, 1.0));
    pause.max(asked.unwrap_or_default().min(SECOND * 3_600))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn at(seconds: i64) -> Timestamp {
        from_micros(seconds * 1_000_000)
    }

    #[test]
    fn a_search_asks_in_commerces_spelling_and_by_what_does_not_move() {
        let call = page("2026-11-23T04:50:45Z".parse().unwrap(), 2);
        let asks = |name: &str, value: &str| call.query.contains(&(name.to_owned(), value.to_owned()));
        assert!(asks("searchCriteria[filter_groups][0][filters][0][value]", "2026-11-23 04:50:45"), "{call:?}");
        assert!(asks("searchCriteria[sortOrders][0][field]", "entity_id") && asks("searchCriteria[currentPage]", "2"));
    }

    #[test]
    fn a_list_without_items_is_empty_and_one_that_cannot_be_read_is_not() {
        assert_eq!(listed(br#"{"items":null,"total_count":0}"#, "acme"), Ok(Listing::default()));
        let one = listed(
            br#"{"items":[{"entity_id":3,"increment_id":"000000003","store_id":1,"updated_at":"2026-11-23 04:50:00"}],"total_count":7}"#,
            "acme",
        )
        .unwrap();
        assert_eq!((one.total, one.rows[0].entity_id, one.rows[0].store_id), (7, 3, Some(1)));
        assert_eq!(one.rows[0].updated_at, Some("2026-11-23T04:50:00Z".parse().unwrap()));
        for unreadable in ["[]", "<html>", r#"{"items":[]}"#, r#"{"items":[{}],"total_count":1}"#] {
            assert!(listed(unreadable.as_bytes(), "acme").is_err(), "{unreadable}");
        }
    }

    #[test]
    fn a_page_leads_on_to_the_end_and_a_list_that_shrinks_or_repeats_starts_over() {
        assert_eq!(after(1, 100, 100, 250, None), Next::Page);
        assert_eq!(after(2, 100, 100, 251, Some(250)), Next::Page, "it grew");
        assert_eq!(after(3, 50, 50, 250, Some(250)), Next::Done);
        assert_eq!(after(1, 0, 0, 0, None), Next::Done);
        assert_eq!(after(2, 100, 100, 249, Some(250)), Next::Again, "one left");
        assert_eq!(after(2, 100, 0, 250, Some(250)), Next::Again, "the page before once more");
        assert_eq!(after(2, 0, 0, 250, Some(250)), Next::Again, "no end, and nothing there");
    }

    #[test]
    fn an_order_is_wanted_when_it_is_newer_there_or_a_time_is_missing() {
        let row = |updated_at| Row { entity_id: 1, number: None, store_id: None, updated_at };
        assert!(is_wanted(&row(Some(at(2))), Some(at(1))) && is_wanted(&row(Some(at(2))), None));
        assert!(is_wanted(&row(None), Some(at(1))));
        assert!(!is_wanted(&row(Some(at(1))), Some(at(1))) && !is_wanted(&row(Some(at(1))), Some(at(2))));
        assert!(is_waited_for(&row(Some(at(0))), at(899)) && !is_waited_for(&row(Some(at(0))), at(900)));
        assert!(!is_waited_for(&row(None), at(0)));
    }

    #[test]
    fn what_a_person_must_mend_is_asked_for_rarely() {
        let refused = RestError::Unauthorized("the consumer isn't authorized".to_owned());
        assert_eq!(pause_after(Some(&refused), 1, 0.5), SECOND * 15);
        assert_eq!(pause_after(Some(&refused), 40, 0.5), SECOND * 300);
        assert_eq!(pause_after(Some(&RestError::Unreachable(String::new())), 40, 0.5), SECOND * 60);
        let limited = RestError::Limited { retry_after: Some(SECOND * 90) };
        assert_eq!(pause_after(Some(&limited), 1, 0.0), SECOND * 90);
    }

    proptest! {
        #[test]
        fn p1_a_position_never_passes_what_was_seen_nor_the_clock(
            position in 0_i64..2_000, newest in 0_i64..2_000, now in 0_i64..2_000, overlap in 0_u64..500
        ) {
            let after = moved(at(position), at(newest), at(now));
            prop_assert!(after <= at(now));
            prop_assert!(after <= at(position.max(newest)));
            prop_assert!(after >= at(position.min(now)), "it does not go back");
            prop_assert_eq!(read(&written(after)), Some(after));
            prop_assert!(since(after, Duration::from_secs(overlap), at(now)) <= after);
        }
    }
}
