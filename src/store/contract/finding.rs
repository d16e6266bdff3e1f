//! Promises about finding records, and about what came and went.

use super::build::{Maker, again, at, delivered, order, settle, start};
use crate::envelope::ids::EnvelopeId;
use crate::store::finding::{Indexed, Question, Source, Term, TermKind};
use crate::store::pack::pack;
use crate::store::running::Position;
use crate::store::traffic::HOURS;
use crate::store::write::{Conclusion, Erasure, Retire};
use crate::store::{SharedStore, write};

fn term(kind: TermKind, text: &str) -> Term {
    Term { kind, text: text.into() }
}

/// Writes the next slice as if every body named this buyer and this item.
async fn index(store: &SharedStore, buyer: &str) -> bool {
    let mut any = false;
    loop {
        let mut slice = store.unindexed(64).await.unwrap();
        if slice.from == slice.to {
            return any;
        }
        any = true;
        let bodies = std::mem::take(&mut slice.bodies);
        let terms = bodies
            .iter()
            .flat_map(|one| {
                [(one.source, one.row, term(TermKind::Email, buyer)), (one.source, one.row, term(TermKind::Sku, "mug"))]
            })
            .collect();
        assert!(store.index(Indexed { slice, terms, at: at(5) }).await.unwrap());
    }
}

async fn numbers_of(store: &SharedStore, buyer: &str) -> Vec<String> {
    let question = Question { email: Some(buyer.into()), ..Question::default() };
    let found = store.find(question).await.unwrap().email;
    assert_eq!(found.count, found.newest.len() as u64);
    found.newest.into_iter().map(|order| order.increment_id).collect()
}

fn erasure(number: &str) -> Erasure {
    Erasure {
        kind: "order".into(),
        id: number.into(),
        system: None,
        scope: None,
        until: at(9),
        even_if_open: true,
        now: at(9),
        act: Some(super::build::act("erase")),
    }
}

pub async fn orders_are_found_by_their_buyer_and_items_once_the_index_is_there(store: &SharedStore) {
    let maker = Maker::default();
    for number in ["1", "2"] {
        maker.waiting(store, number).await;
    }
    assert_eq!(numbers_of(store, "anna@example.com").await, [] as [&str; 0]);
    let behind = store.find(Question::default()).await.unwrap().behind;
    assert_eq!(behind, 2);
    assert!(index(store, "anna@example.com").await);
    assert_eq!(numbers_of(store, "anna@example.com").await, ["2", "1"], "newest first");
    assert_eq!(numbers_of(store, "ben@example.com").await, [] as [&str; 0]);
    let found = store.find(Question { sku: Some("mug".into()), ..Question::default() }).await.unwrap();
    assert_eq!((found.sku.count, found.behind), (2, 0));
    assert!(!index(store, "ben@example.com").await, "what is written is not written again");
    assert_eq!(store.positions().await.unwrap(), [] as [Position; 0], "it is no search of another system");
}

pub async fn a_slice_is_written_once_and_only_where_the_index_is(store: &SharedStore) {
    let maker = Maker::default();
    maker.waiting(store, "1").await;
    // Two who read the same slice: the second writes nothing, and neither is lost.
    index(store, "a@b").await;
    maker.waiting(store, "2").await;
    let (one, other) = (store.unindexed(64).await.unwrap(), store.unindexed(64).await.unwrap());
    let write = async |slice| store.index(Indexed { slice, terms: Vec::new(), at: at(5) }).await.unwrap();
    assert!(write(one).await);
    assert!(!write(other).await);
    let next = store.unindexed(64).await.unwrap();
    assert_eq!(next.from, next.to);
}

pub async fn numbers_receipts_keys_and_causes_lead_to_their_records(store: &SharedStore) {
    let maker = Maker::default();
    let (_, delivery) = maker.waiting(store, "2000000042").await;
    let started = start(store, delivery).await.unwrap();
    settle(store, started, delivered()).await;
    let parked = maker.arrive(store, "000000007", "7").await;
    store.conclude(parked, maker.complain("000000007", None, "MUG-%"), at(1)).await.unwrap();
    index(store, "a@b").await;
    let key = store.delivery(delivery).await.unwrap().unwrap().delivery.key;
    let question = Question {
        numbers: vec!["000000007".into(), "7".into()],
        ending: Some("000000042".into()),
        receipt: Some("SO-1".into()),
        key: Some(key),
        value: Some("mug-%".into()),
        part: Some("0000".into()),
        ..Question::default()
    };
    let found = store.find(question.clone()).await.unwrap();
    let numbers = |orders: &[crate::store::view::OrderRow]| -> Vec<String> {
        orders.iter().map(|order| order.increment_id.clone()).collect()
    };
    assert_eq!(numbers(&found.orders), ["000000007"]);
    assert_eq!(numbers(&found.prefixed), ["2000000042"]);
    assert_eq!((found.receipts[0].id, found.keyed[0].id), (delivery, delivery));
    assert_eq!((found.parked[0].fingerprint.as_str(), found.parked[0].orders), ("MUG-%", 1));
    assert_eq!(numbers(&found.parts), [] as [&str; 0], "parts are for when nothing else is found");

    let part = async |text: &str| {
        let found = store.find(Question { part: Some(text.into()), ..Question::default() }).await.unwrap();
        let mut numbers = numbers(&found.parts);
        numbers.sort();
        numbers
    };
    assert_eq!(part("0042").await, ["2000000042"], "an end");
    assert_eq!(part("2000").await, ["2000000042"], "a beginning");
    assert_eq!(part("00000").await, ["000000007", "2000000042"], "a middle");
    for wildcard in ["%", "_00", "0%0", "*", "000000007'--"] {
        assert_eq!(part(wildcard).await, [] as [&str; 0], "{wildcard} means itself");
    }
    let nothing = Question { value: Some("MUG-_".into()), receipt: Some("SO-%".into()), ..Question::default() };
    assert!(store.find(nothing).await.unwrap().is_empty());
}

pub async fn a_senders_id_leads_to_its_event(store: &SharedStore) {
    let maker = Maker::default();
    let envelope: EnvelopeId = maker.arrive(store, "1", "1").await;
    let mut slice = store.unindexed(64).await.unwrap();
    while slice.bodies.is_empty() {
        assert!(store.index(Indexed { slice, terms: Vec::new(), at: at(5) }).await.unwrap());
        slice = store.unindexed(64).await.unwrap();
    }
    assert_eq!((slice.bodies[0].source, slice.bodies[0].of_order), (Source::Event, true));
    assert!(slice.bodies[0].body.starts_with(b"{\"order\""), "plain, whatever the file holds");
    let terms = vec![(Source::Event, slice.bodies[0].row, term(TermKind::Trace, "abc-123"))];
    store.index(Indexed { slice, terms, at: at(5) }).await.unwrap();
    let found = store.find(Question { trace: Some("abc-123".into()), ..Question::default() }).await.unwrap();
    assert_eq!(found.traced.iter().map(|event| event.id).collect::<Vec<_>>(), [envelope]);
}

pub async fn dat_1_an_erased_buyer_is_found_by_nothing_even_if_the_index_was_on_its_way(store: &SharedStore) {
    let maker = Maker::default();
    for number in ["1", "2"] {
        let record = maker.record(number, number, number);
        let id = record.id;
        let body = pack(format!("{{\"number\":\"{number}\"}}").as_bytes());
        store.append(write::Arrival { body, ..maker.arrival(vec![record]) }).await.unwrap();
        store.conclude(id, maker.create(number, &["erp"]), at(1)).await.unwrap();
    }
    index(store, "anna@example.com").await;
    store.erase(erasure("1")).await.unwrap();
    assert_eq!(numbers_of(store, "anna@example.com").await, ["2"]);

    // Read before the erasure, written after it.
    let change = maker.arrive(store, "2", "2 again").await;
    store.conclude(change, Conclusion::default(), at(2)).await.unwrap();
    let mut slice = store.unindexed(64).await.unwrap();
    let row = slice.bodies.iter().find(|one| one.source == Source::Event).expect("the change").row;
    slice.bodies.clear();
    store.erase(erasure("2")).await.unwrap();
    let terms = vec![(Source::Event, row, term(TermKind::Email, "anna@example.com"))];
    assert!(store.index(Indexed { slice, terms, at: at(9) }).await.unwrap());
    assert_eq!(numbers_of(store, "anna@example.com").await, [] as [&str; 0]);
    let found = store.find(Question { sku: Some("mug".into()), ..Question::default() }).await.unwrap();
    assert_eq!(found.sku.count, 0);
    assert_eq!(store.recount().await.unwrap(), [] as [&str; 0]);
}

pub async fn dat_2_a_buyer_is_found_as_long_as_a_body_names_him(store: &SharedStore) {
    let maker = Maker::default();
    let (_, delivery) = maker.waiting(store, "1").await;
    let started = start(store, delivery).await.unwrap();
    settle(store, started, delivered()).await;
    let (_, open) = maker.waiting(store, "2").await;
    let started = start(store, open).await.unwrap();
    settle(store, started, again()).await;
    index(store, "anna@example.com").await;
    let retire = Retire { now: at(100), bodies_before: at(90), attempts_before: at(0), rows: 64 };
    while store.retire(retire).await.unwrap().bodies > 0 {}
    assert_eq!(numbers_of(store, "anna@example.com").await, ["2"], "the open one keeps its body");
    let found = store.find(Question { sku: Some("mug".into()), ..Question::default() }).await.unwrap();
    assert_eq!(found.sku.count, 2, "what was bought is no person");
}

pub async fn traffic_counts_what_was_committed_by_hour_and_destination(store: &SharedStore) {
    let maker = Maker::default();
    let (_, delivery) = maker.waiting(store, "1").await;
    let started = start(store, delivery).await.unwrap();
    settle(store, started, delivered()).await;
    maker.parked(store, "2").await;
    maker.waiting_for(store, "3", "wms").await;
    let position = Position {
        system: "acme".into(),
        kind: "newest".into(),
        position: "17 000000017".into(),
        at: at(4),
        trouble: None,
    };
    store.keep_position(position).await.unwrap();

    let traffic = store.traffic(at(60)).await.unwrap();
    let hours = usize::try_from(HOURS).unwrap();
    assert_eq!((traffic.hours.len(), traffic.week_before.len()), (hours, hours));
    let running = traffic.hours.last().unwrap();
    assert_eq!((running.accepted, running.delivered, running.parked), (3, 1, 1));
    assert!(running.starts_at <= at(60) && traffic.hours[0].starts_at < running.starts_at);
    assert_eq!(traffic.hours[..hours - 1].iter().map(|hour| hour.accepted).sum::<u64>(), 0);
    let erp = traffic.destinations.iter().find(|one| one.destination == "erp").unwrap();
    assert_eq!(
        (erp.delivered_last_hour, erp.waiting, erp.lag_p50_ms),
        (1, 0, Some(5_000)),
        "three seconds: the class to five"
    );
    let wms = traffic.destinations.iter().find(|one| one.destination == "wms").unwrap();
    assert_eq!((wms.delivered_last_hour, wms.waiting, wms.lag_p50_ms), (0, 1, None));
    assert!(wms.oldest_waiting_at.is_some());
    let acme = &traffic.newest_orders[0];
    assert_eq!(acme.here.as_ref().unwrap().increment_id, order("3").id);
    let there = acme.there.as_ref().unwrap();
    assert_eq!((there.increment_id.as_str(), there.is_here), ("000000017", false));

    let week = jiff::SignedDuration::from_hours(7 * 24);
    let later = store.traffic(at(60) + week).await.unwrap();
    assert_eq!(later.week_before.last().unwrap().accepted, 3);
    assert_eq!(later.hours.iter().map(|hour| hour.accepted).sum::<u64>(), 0);
    assert_eq!(later.destinations.iter().map(|one| one.delivered_last_hour).sum::<u64>(), 0);
}
