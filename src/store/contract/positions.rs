//! Promises about how far regular searches got.

use super::build::{Maker, at, order};
use crate::store::SharedStore;
use crate::store::running::{Gap, Position};
use crate::store::write::{Conclusion, SubjectFacts};

pub async fn a_search_goes_on_where_it_was_and_each_has_its_own_place(store: &SharedStore) {
    let place = |kind: &str, position: &str, seconds| Position {
        system: "acme".into(),
        kind: kind.into(),
        position: position.into(),
        at: at(seconds),
        trouble: None,
    };
    let kept = async |kind: &str| store.position("acme".into(), kind.into()).await.unwrap();
    assert_eq!(kept("sweep").await, None);
    for position in [place("sweep", "one", 1), place("journal", "abc", 2), place("sweep", "two", 3)] {
        store.keep_position(position).await.unwrap();
    }
    assert_eq!(kept("sweep").await, Some(place("sweep", "two", 3)));
    assert_eq!(kept("journal").await, Some(place("journal", "abc", 2)));
    assert_eq!(store.positions().await.unwrap(), [place("journal", "abc", 2), place("sweep", "two", 3)]);
    assert_eq!(store.position("other".into(), "sweep".into()).await.unwrap(), None);
    let stuck = Position { trouble: Some("it refuses us".into()), ..place("sweep", "two", 3) };
    store.keep_position(stuck.clone()).await.unwrap();
    assert_eq!(kept("sweep").await, Some(stuck), "what stands in the way is told and moves nothing");
    store.keep_position(place("sweep", "two", 3)).await.unwrap();
    assert_eq!(kept("sweep").await, Some(place("sweep", "two", 3)));
}

pub async fn what_is_known_of_orders_is_told_in_the_order_they_are_asked_for(store: &SharedStore) {
    let maker = Maker::default();
    for (id, seconds) in [("1", 5), ("2", 7)] {
        let envelope = maker.arrive(store, id, id).await;
        let facts = SubjectFacts { updated_at: Some(at(seconds)), ..SubjectFacts::default() };
        store.conclude(envelope, Conclusion { facts, ..Conclusion::default() }, at(9)).await.unwrap();
    }
    maker.arrive(store, "3", "3").await;
    let asked = ["2", "9", "3", "1"].into_iter().map(order).collect();
    assert_eq!(store.known_updates(asked).await.unwrap(), [Some(at(7)), None, None, Some(at(5))]);
}

pub async fn a_missing_number_is_asked_for_once_and_old_orders_open_no_hole(store: &SharedStore) {
    let maker = Maker::default();
    for (id, placed) in [
        ("10", Some(at(1))),
        ("11", None),
        ("12", Some(at(0) - jiff::SignedDuration::from_hours(2))),
        ("13", Some(at(2))),
    ] {
        let envelope = maker.arrive(store, id, id).await;
        let facts = SubjectFacts { placed_at: placed, ..SubjectFacts::default() };
        store.conclude(envelope, Conclusion { facts, ..Conclusion::default() }, at(9)).await.unwrap();
    }
    let newest = store.newest_numbers("acme".into(), 10).await.unwrap();
    let numbers: Vec<&str> = newest.iter().map(|(_, number, _)| number.as_str()).collect();
    assert_eq!(numbers, ["13", "10"], "a hint has no date, and 12 was placed before we listened");
    assert_eq!(store.newest_numbers("acme".into(), 1).await.unwrap().len(), 1);
    assert_eq!(store.newest_numbers("other".into(), 10).await.unwrap(), []);

    let gap = |number: &str, outcome: &str, seconds| Gap {
        system: "acme".into(),
        scope: "1".into(),
        number: number.into(),
        outcome: outcome.into(),
        asked_at: at(seconds),
    };
    for gap in [gap("11", "reserved", 3), gap("12", "refused", 4), gap("12", "found", 5)] {
        store.keep_gap(gap).await.unwrap();
    }
    let asked =
        [("1", "12"), ("1", "13"), ("2", "11"), ("1", "11")].map(|(scope, number)| (scope.into(), number.into()));
    assert_eq!(store.gaps_asked("acme".into(), asked.to_vec()).await.unwrap(), [true, false, false, true]);
    assert_eq!(store.gaps(10).await.unwrap(), [gap("12", "found", 5), gap("11", "reserved", 3)]);
    assert_eq!(store.gaps(1).await.unwrap().len(), 1);
}
