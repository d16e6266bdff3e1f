//! Promises about the books: answers kept with their effect, money, silence, and who did what.

use std::sync::Arc;

use super::build::{Maker, act, at, delivered, facts, settle, start};
use crate::envelope::keys::Digest;
use crate::store::books::{AuditHead, CallName, Done, Keep, KeptAnswer, MoneyRow};
use crate::store::view::Paging;
use crate::store::write::{Act, Conclusion, Decision, NextState, SubjectFacts, Verdict};
use crate::store::{SharedStore, StoreError};

fn call(name: &str) -> CallName {
    CallName { scope: Digest::of_fields(&["scope", name]), fingerprint: Digest::of(b"call") }
}

fn answer(text: &str) -> KeptAnswer {
    KeptAnswer {
        status: 200,
        headers: vec![("content-type".into(), "text/plain".into())],
        body: text.to_owned().into(),
    }
}

async fn kept(store: &SharedStore, name: &str, seconds: u64) -> Option<KeptAnswer> {
    store.kept_answer(call(name).scope, at(seconds)).await.unwrap().map(|(fingerprint, answer)| {
        assert_eq!(fingerprint, call(name).fingerprint);
        answer
    })
}

/// An act whose answer says how the delivery stands in its transaction.
fn telling(name: &str, action: &str) -> Act {
    let keep = Keep::new(
        call(name),
        Arc::new(|done| match done {
            Done::Delivery(delivery) => answer(&delivery.delivery.state),
            Done::Exception(exception) => answer(&exception.state),
            Done::Bulk(bulk) => answer(&bulk.state),
            Done::Mappings(version) => answer(&version.to_string()),
            Done::Otherwise => answer("done"),
        }),
    );
    Act { keep: Some(keep), ..act(action) }
}

pub async fn api_2_an_answer_is_kept_with_its_effect_or_neither_is_there(store: &SharedStore) {
    let maker = Maker::default();
    let (_, delivery) = maker.parked(store, "42").await;
    let decide = |name: &str| Decision {
        delivery,
        verdict: Verdict::Retry { due_at: at(70) },
        act: telling(name, "delivery.decide"),
    };
    let first = decide("one");
    let told = first.act.keep.clone().unwrap();
    store.decide(first).await.unwrap();
    assert_eq!(kept(store, "one", 60).await, Some(answer("waiting")), "as the effect left it");
    assert_eq!(told.told(), Some(answer("waiting")));
    assert!(matches!(store.decide(decide("two")).await, Err(StoreError::NotAllowed(_))));
    assert_eq!(kept(store, "two", 60).await, None, "no effect, no answer");
    let version = store.import_mappings("skus".into(), Vec::new(), telling("three", "mappings.import")).await.unwrap();
    assert_eq!(kept(store, "three", 60).await, Some(answer(&version.to_string())));
    let token = maker.token("ci", "s1", None);
    store.create_token(token.clone(), telling("four", "token.create")).await.unwrap();
    store.revoke_token(token.id, telling("five", "token.revoke")).await.unwrap();
    store.record(telling("six", "destination.release")).await.unwrap();
    for name in ["four", "five", "six"] {
        assert_eq!(kept(store, name, 60).await, Some(answer("done")), "{name}");
    }
}

pub async fn api_2_the_first_answer_stands_for_72_hours_and_is_swept_after(store: &SharedStore) {
    let hours = 3_600;
    store.keep_answer(call("one"), answer("first"), at(0)).await.unwrap();
    store.keep_answer(call("one"), answer("second"), at(1)).await.unwrap();
    assert_eq!(kept(store, "one", 72 * hours).await, Some(answer("first")));
    assert_eq!(store.sweep_answers(at(72 * hours)).await.unwrap(), 0);
    assert_eq!(kept(store, "one", 72 * hours + 1).await, None, "outdated, swept or not");
    store.keep_answer(call("one"), answer("third"), at(72 * hours + 1)).await.unwrap();
    assert_eq!(kept(store, "one", 72 * hours + 2).await, Some(answer("third")), "the key is free again");
    assert_eq!(store.sweep_answers(at(200 * hours)).await.unwrap(), 1);
    assert_eq!(kept(store, "one", 72 * hours + 2).await, None);
}

fn priced(currency: &str, total: Option<&str>) -> SubjectFacts {
    SubjectFacts { currency: Some(currency.into()), grand_total: total.map(str::to_owned), ..facts("new", 1) }
}

fn row(currency: &str, state: &str, orders: u64, total: &str) -> MoneyRow {
    MoneyRow {
        system: "acme".into(),
        currency: currency.into(),
        state: state.into(),
        orders,
        total: total.into(),
        without_total: 0,
    }
}

pub async fn p2_every_order_is_in_one_sum_and_moves_with_its_state(store: &SharedStore) {
    let maker = Maker::default();
    for (number, currency, total) in
        [("1", "GBP", "30.0000"), ("2", "GBP", "0.1"), ("3", "GBP", "0.2"), ("4", "EUR", "99999999999.9999")]
    {
        let envelope = maker.arrive(store, number, number).await;
        let conclusion = Conclusion { facts: priced(currency, Some(total)), ..maker.create(number, &["erp"]) };
        store.conclude(envelope, conclusion, at(2)).await.unwrap();
    }
    assert_eq!(store.money().await.unwrap(), [row("EUR", "due", 1, "99999999999.9999"), row("GBP", "due", 3, "30.30")]);
    let due = store.due_deliveries(at(90), vec![crate::store::Slots::new("erp", 9)]).await;
    let ids: Vec<_> = due.unwrap().into_iter().map(|head| (head.subject.id.clone(), head.id)).collect();
    for (number, id) in ids {
        let started = start(store, id).await.unwrap();
        let next = match number.as_str() {
            "2" => delivered(),
            "3" => {
                let exception = Box::new(maker.exception("3", Some("erp"), "refused"));
                NextState::Parked { exception, uncertain: false }
            }
            _ => continue,
        };
        settle(store, started, next).await;
    }
    let expected = [
        row("EUR", "due", 1, "99999999999.9999"),
        row("GBP", "delivered", 1, "0.10"),
        row("GBP", "due", 1, "30.00"),
        row("GBP", "parked", 1, "0.20"),
    ];
    assert_eq!(store.money().await.unwrap(), expected);
    // An order that says no amount is counted, not guessed; a corrected one moves to its sum.
    let fifth = maker.arrive(store, "5", "5").await;
    let ignored = |total| Conclusion {
        facts: SubjectFacts { updated_at: Some(at(9)), ..priced("GBP", total) },
        ignored: Some("no route".into()),
        ..Conclusion::default()
    };
    store.conclude(fifth, ignored(Some("12,50")), at(3)).await.unwrap();
    let without = MoneyRow { without_total: 1, ..row("GBP", "ignored", 1, "0.00") };
    assert!(store.money().await.unwrap().contains(&without));
    let again = maker.arrive(store, "5", "5b").await;
    store.conclude(again, ignored(Some("12.50")), at(4)).await.unwrap();
    assert!(store.money().await.unwrap().contains(&row("GBP", "ignored", 1, "12.50")));
    assert_eq!(store.recount().await.unwrap(), Vec::<String>::new());
}

pub async fn p6_every_unfinished_envelope_is_looked_at_and_none_is_silent(store: &SharedStore) {
    let maker = Maker::default();
    maker.parked(store, "1").await;
    maker.waiting(store, "2").await;
    let (_, flying) = maker.waiting(store, "3").await;
    start(store, flying).await.unwrap();
    // Behind: one at the processor, one in its lane.
    maker.arrive(store, "4", "4a").await;
    maker.arrive(store, "4", "4b").await;
    let behind = maker.arrive(store, "1", "1b").await;
    let mut change = Conclusion::default();
    maker.intend(&mut change, "erp", super::build::key("1", "erp", "order.change", "r1", 0), "order.change", "r1");
    store.conclude(behind, change, at(2)).await.unwrap();
    let (mut looked_at, mut after) = (0, 0);
    loop {
        let slice = store.silent_envelopes(after, 2).await.unwrap();
        assert_eq!(slice.silent, Vec::new());
        looked_at += slice.looked_at;
        let Some(next) = slice.next else { break };
        after = next;
    }
    assert_eq!(looked_at, 6);
}

pub async fn api_5_every_act_is_a_row_with_who_what_from_where_and_why(store: &SharedStore) {
    assert_eq!(store.audit_head().await.unwrap(), AuditHead { rows: 0, digest: "0".repeat(64) });
    let before = r#"{"rows":1}"#.to_owned();
    let import = Act { before: before.clone(), ..act("mappings.import") };
    store.import_mappings("skus".into(), Vec::new(), import).await.unwrap();
    store.record(act("destination.release")).await.unwrap();
    let rows = store.audit(Paging::default()).await.unwrap().items;
    let [release, import] = &rows[..] else { panic!("{rows:?}") };
    assert_eq!((release.number, release.action.as_str()), (2, "destination.release"));
    assert_eq!((import.number, import.actor.as_str(), import.from.as_str()), (1, "token:anna", "192.0.2.7"));
    assert_eq!((&import.before, import.after.as_str(), import.reason.as_str()), (&before, "{}", "because"));
    assert_eq!((import.target.as_str(), import.at), ("somewhere", at(60)));
    let head = store.audit_head().await.unwrap();
    assert_eq!((head.rows, &head.digest), (2, &release.digest));
    let newest = store.audit(Paging { limit: 1, cursor: None }).await.unwrap();
    assert_eq!(newest.items, rows[..1]);
    let older = store.audit(Paging { limit: 1, cursor: newest.next_cursor }).await.unwrap();
    assert_eq!((older.items.as_slice(), older.next_cursor), (&rows[1..], None));
    assert_eq!(store.audit_after(1).await.unwrap(), rows[..1]);
    assert_eq!(store.audit_break().await.unwrap(), None);
    // A refused act is none.
    let refused = store.revoke_token(Maker::default().token("x", "x", None).id, act("token.revoke")).await;
    assert!(refused.is_err());
    assert_eq!(store.audit_head().await.unwrap().rows, 2);
}
