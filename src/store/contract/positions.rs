//! Promises about how far regular searches got.

use super::build::{Maker, at, order};
use crate::store::SharedStore;
use crate::store::running::Position;
use crate::store::write::{Conclusion, SubjectFacts};

pub async fn a_search_goes_on_where_it_was_and_each_has_its_own_place(store: &SharedStore) {
    let place = |kind: &str, position: &str, seconds| Position {
        system: "acme".into(),
        kind: kind.into(),
        position: position.into(),
        at: at(seconds),
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
