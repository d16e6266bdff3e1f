use crate::clock::from_micros;
use proptest::prelude::*;

use super::*;
use crate::destinations::outcome::Wait;

fn time(seconds: i64) -> Timestamp {
    from_micros(1_700_000_000_000_000 + seconds * 1_000_000)
}

fn spot(seconds: i64, id: &str) -> Spot {
    Spot { at: Some(time(seconds)), id: (!id.is_empty()).then(|| id.to_owned()) }
}

fn row(spot: Spot) -> Row {
    Row { source: format!("{spot:?}"), spot: Ok(spot), records: Vec::new() }
}

fn page(spots: &[Spot]) -> Page {
    Page { rows: spots.iter().cloned().map(row).collect() }
}

fn behind(spot: Spot, skip: u64) -> Next {
    Next::Behind(Since { spot, skip })
}

#[test]
fn a_page_leads_behind_its_last_record_and_an_empty_one_nowhere() {
    let since = Since { spot: spot(0, ""), skip: 0 };
    assert_eq!(after(&since, &page(&[spot(1, "7"), spot(2, "3")]), 2, false), Ok(behind(spot(2, "3"), 1)));
    assert_eq!(after(&since, &page(&[]), 2, false), Ok(Next::End));
    // A short page may be the other side's own limit: only nothing is the end.
    assert_eq!(after(&since, &page(&[spot(1, "7")]), 200, false), Ok(behind(spot(1, "7"), 1)));
    // What is inclusive shows the last one again.
    let there = Since { spot: spot(2, "3"), skip: 1 };
    assert_eq!(after(&there, &page(&[spot(2, "3")]), 200, false), Ok(Next::End));
}

#[test]
fn records_of_one_time_go_on_by_their_ids_or_by_how_many_were_read() {
    let since = Since { spot: spot(5, "9"), skip: 1 };
    assert_eq!(after(&since, &page(&[spot(5, "10"), spot(5, "11")]), 2, false), Ok(behind(spot(5, "11"), 3)));
    let first = Since { spot: spot(0, ""), skip: 0 };
    let next = Since { spot: spot(5, ""), skip: 2 };
    assert_eq!(after(&first, &page(&[spot(5, ""), spot(5, "")]), 2, false), Ok(Next::Behind(next.clone())));
    assert_eq!(after(&next, &page(&[spot(5, ""), spot(6, "")]), 2, false), Ok(behind(spot(6, ""), 1)));
    assert_eq!(after(&next, &page(&[spot(5, ""), spot(5, "")]), 2, false), Ok(behind(spot(5, ""), 4)));
}

#[test]
fn a_page_that_leads_nowhere_is_told_and_not_asked_for_ever() {
    let since = Since { spot: spot(5, "9"), skip: 1 };
    let same = [spot(5, "8"), spot(5, "9")];
    assert!(after(&since, &page(&same), 2, true).unwrap_err().contains("never gets further"));
    assert!(after(&since, &page(&same), 2, false).unwrap_err().contains("never gets further"));
    let counted = Since { spot: spot(5, ""), skip: 2 };
    assert!(after(&counted, &page(&[spot(5, ""), spot(5, "")]), 2, true).is_err(), "it does not skip");
    let older = [spot(1, "1"), spot(2, "2")];
    assert!(after(&since, &page(&older), 2, false).is_err(), "it does not look at since");
    assert_eq!(after(&since, &page(&older), 3, false), Ok(Next::End));
    let disordered = [spot(7, "1"), spot(6, "2")];
    assert!(after(&since, &page(&disordered), 3, false).unwrap_err().contains("order of their positions"));
    let lost = Page { rows: vec![Row { spot: Err("no time".into()), source: String::new(), records: Vec::new() }] };
    assert!(after(&since, &lost, 1, false).unwrap_err().contains("says where it stands"));
    assert_eq!(after(&since, &lost, 2, false), Ok(Next::End), "the others of a page go on");
}

#[test]
fn numbers_are_ordered_as_numbers_and_the_first_page_has_nothing_before_it() {
    assert!(is_behind(&spot(5, "10"), &spot(5, "9")) && !is_behind(&spot(5, "9"), &spot(5, "10")));
    assert!(is_behind(&spot(5, "b"), &spot(5, "a")) && is_behind(&spot(5, "1"), &spot(5, "")));
    let id = |id: &str| Spot { at: None, id: Some(id.into()) };
    let first = Since::default();
    assert_eq!(after(&first, &page(&[id("1"), id("2")]), 2, false), Ok(behind(id("2"), 2)));
}

#[test]
fn a_position_never_goes_back_and_a_record_from_the_future_does_not_carry_it_away() {
    let kept = Kept { at: Some(time(10)), id: Some("4".into()), ..Kept::default() };
    let since = |spot: Spot| Since { spot, skip: 0 };
    assert_eq!(moved(&kept, &since(spot(5, "9")), false, time(100)), kept);
    let on = Kept { at: Some(time(20)), id: Some("9".into()), ..Kept::default() };
    assert_eq!(moved(&kept, &since(spot(20, "9")), false, time(100)), on);
    let ahead = moved(&kept, &since(spot(9_999, "9")), false, time(100));
    assert_eq!(ahead, Kept { at: Some(time(100)), id: None, ..Kept::default() });
    let whole = moved(&Kept::default(), &since(Spot { at: None, id: Some("7".into()) }), true, time(1));
    assert_eq!(whole, Kept { id: Some("7".into()), ..Kept::default() });
}

#[test]
fn a_run_begins_behind_its_position_less_the_overlap() {
    let kept = Kept { at: Some(time(1_000)), id: Some("4".into()), ..Kept::default() };
    let overlap = Duration::from_mins(10);
    assert_eq!(start(&kept, false, overlap, time(2_000)).spot, spot(400, ""));
    assert_eq!(start(&kept, false, overlap, time(700)).spot, spot(100, ""), "our clock went back");
    assert_eq!(start(&kept, true, overlap, time(2_000)).spot, Spot { at: None, id: Some("4".into()) });
}

#[test]
fn stk_5_each_reading_of_stock_is_later_than_the_one_before() {
    let kept = Kept { as_of: Some(time(10)), ..Kept::default() };
    assert_eq!(read_at(&kept, time(11)), time(11));
    assert!(read_at(&kept, time(5)) > time(10), "also when our clock went back");
    assert!(read_at(&kept, time(10)) > time(10));
}

#[test]
fn ded_3_the_same_state_of_a_record_has_one_name_and_another_state_another() {
    let of = |spot: Spot, source: &str| Row { spot: Ok(spot), source: source.to_owned(), records: Vec::new() };
    let one = identity(&of(spot(1, "7"), "{}"), "WH", None);
    assert_eq!(one, identity(&of(spot(1, "7"), "{}"), "WH", None));
    for other in [
        identity(&of(spot(2, "7"), "{}"), "WH", None),
        identity(&of(spot(1, "8"), "{}"), "WH", None),
        identity(&of(spot(1, "7"), "{\"a\":1}"), "WH", None),
        identity(&of(spot(1, "7"), "{}"), "WH2", None),
        identity(&of(spot(1, "7"), "{}"), "WH", Some("{}")),
    ] {
        assert_ne!(one, other);
    }
}

#[test]
fn stk_1_a_stock_value_is_absolute_and_whole_or_it_is_told_what_it_lacks() {
    let stock = |record: &str| message(Entity::Stock, record, time(0));
    let written = stock(r#"{"sku":"A","location":"WH","quantity":"12"}"#).unwrap();
    let wanted =
        format!(r#"{{"mode":"delta","as_of":"{}","items":[{{"sku":"A","location":"WH","quantity":"12"}}]}}"#, time(0));
    assert_eq!(written, wanted);
    for (record, lacks) in [
        (r#"{"quantity":"1"}"#, "no sku"),
        (r#"{"sku":" ","quantity":"1"}"#, "no sku"),
        (r#"{"sku":"A"}"#, "no quantity"),
        (r#"{"sku":"A","quantity":"many"}"#, "\"many\""),
        (r#"{"sku":"A","quantity":null}"#, "no quantity"),
        ("[]", "no sku"),
    ] {
        assert!(stock(record).unwrap_err().contains(lacks), "{record}");
    }
    let fulfilment = |record: &str| message(Entity::Fulfilments, record, time(0));
    let whole = r#"{"reference":"D-9","order":{"increment_id":"42"},"items":[{"sku":"A","quantity":"1"}]}"#;
    assert_eq!(fulfilment(whole).unwrap(), whole);
    for (record, lacks) in [
        (r#"{"order":{"increment_id":"42"},"items":[{}]}"#, "no reference"),
        (r#"{"reference":"D-9","items":[{}]}"#, "its order"),
        (r#"{"reference":"D-9","order":{"increment_id":"42"},"items":[]}"#, "no items"),
    ] {
        assert!(fulfilment(record).unwrap_err().contains(lacks), "{record}");
    }
}

#[test]
fn a_poll_that_fails_rests_longer_each_time_and_as_long_as_it_is_asked_to() {
    let pause = |passes, failures| pause_after(passes, failures, None, 0.5);
    assert_eq!(pause(true, 1), Duration::from_secs(2));
    assert_eq!(pause(true, 3), Duration::from_secs(8));
    assert_eq!(pause(true, u32::MAX), Duration::from_mins(5));
    assert_eq!(pause(false, 1), Duration::from_secs(15), "a person has to act");
    assert_eq!(pause(false, 40), Duration::from_mins(10));
    assert_eq!(pause_after(true, 1, Some(Duration::from_secs(90)), 0.5), Duration::from_secs(90));
    let throttled = Unread::Outcome(AttemptOutcome::Throttled { detail: String::new(), wait: Wait::default() });
    assert_eq!((word(&throttled), word(&Unread::Unmet(String::new()))), ("limited", "unmet"));
}

proptest! {
    /// A system that sorts by time and id and shows what is behind a position: however many stand at one time, and however
    /// small its pages, each record is read, and none is read without end.
    #[test]
    fn every_record_is_read_whatever_the_pages_and_the_ties(
        times in proptest::collection::vec(0_i64..6, 0..60),
        size in 1_usize..9,
        with_ids in any::<bool>(),
    ) {
        let mut all: Vec<Spot> = times.iter().enumerate()
            .map(|(id, at)| spot(*at, &if with_ids { id.to_string() } else { String::new() })).collect();
        all.sort_by_key(|spot| (spot.at, spot.id.as_ref().and_then(|id| id.parse::<u64>().ok())));
        let (mut since, mut read, mut pages) = (Since { spot: spot(-1, ""), skip: 0 }, 0, 0);
        loop {
            let shown: Vec<Spot> = all.iter()
                .filter(|one| if with_ids { is_behind(one, &since.spot) } else { one.at >= since.spot.at })
                .skip(if with_ids { 0 } else { usize::try_from(since.skip).unwrap() })
                .take(size).cloned().collect();
            read += shown.len();
            pages += 1;
            prop_assert!(pages <= all.len() + 2);
            // Ties without ids look alike, so only how many they are can be told from the page before.
            match after(&since, &page(&shown), size, false).map_err(TestCaseError::fail)? {
                Next::End => break,
                Next::Behind(next) => since = next,
            }
        }
        prop_assert_eq!(read, all.len());
    }
}
