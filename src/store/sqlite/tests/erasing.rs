//! Erasure where it meets what waits: held changes, requests that several orders came in, second effects.

use std::sync::Arc;
use std::time::Duration;

use super::keeping::{all, erasure};
use super::{folder, open};
use crate::clock::SeededEntropy;
use crate::envelope::keys::Digest;
use crate::store::books::{CallName, Keep, KeptAnswer};
use crate::store::cases::{Handling, Step};
use crate::store::contract::build::{Maker, act, at, delivered, delivery_state, key, ledger, settle, start, state};
use crate::store::view::Paging;
use crate::store::write::{Act, Conclusion, Decision, Erasure, Hint, NewDelivery, Replay, Resend, Verdict};
use crate::store::{ExceptionFilter, SharedStore, Store as _};

/// A change that came before its order.
fn hint() -> Conclusion {
    let hint = Hint {
        updated_at: Some(at(5)),
        cancels: false,
        hold: Duration::from_mins(15),
        unknown: None,
        incomplete: None,
        unwanted: "no route takes it".into(),
        read: None,
    };
    Conclusion { hint: Some(hint), ..Conclusion::default() }
}

#[tokio::test]
async fn dat_1_a_change_that_waits_for_its_order_is_not_read_again_after_its_erasure() {
    let folder = folder();
    let store = Arc::new(open(&folder.path().join("crossdock.db")));
    let shared: SharedStore = store.clone();
    let maker = Maker::default();
    let held = maker.arrive(&shared, "42", "change").await;
    store.conclude(held, hint(), at(1)).await.unwrap();
    let refused = store.erase(erasure("42")).await.unwrap_err().to_string();
    assert!(refused.contains("waits for its order"), "{refused}");
    assert_eq!(state(&shared, held).await, "received", "P6: it still waits");
    let erased = store.erase(Erasure { even_if_open: true, ..erasure("42") }).await.unwrap();
    assert_eq!(erased.given_up, 1);
    assert_eq!(state(&shared, held).await, "ignored");
    ledger(&shared).await;
    assert_eq!(store.verify().await.unwrap(), Vec::<String>::new());
    // The order comes later, as a new event: nothing of before wakes up.
    maker.waiting(&shared, "42").await;
    assert!(store.claim_envelopes(9).await.unwrap().is_empty());
}

/// A person's words may name the buyer.
#[tokio::test]
async fn dat_1_what_people_wrote_about_an_erased_order_goes_with_it() {
    let folder = folder();
    let path = folder.path().join("crossdock.db");
    let store = Arc::new(open(&path));
    let shared: SharedStore = store.clone();
    let maker = Maker::default();
    let (dismissed, _) = maker.parked(&shared, "1").await;
    let (given_up, delivery) = maker.parked(&shared, "2").await;
    let paging = || (ExceptionFilter { state: Some("all".into()), ..ExceptionFilter::default() }, Paging::default());
    let exceptions = store.exceptions(paging().0, paging().1).await.unwrap().items;
    let of = |number: &str| exceptions.iter().find(|one| one.subject.increment_id == number).unwrap().id;
    let handle = async |number: &str, step| {
        store.handle(Handling { exception: of(number), step, act: act("exception.handle") }).await.unwrap();
    };
    for number in ["1", "2"] {
        handle(number, Step::Note("Mrs Weiss called".into())).await;
    }
    handle("1", Step::Dismiss("Mrs Weiss bought it in the shop".into())).await;
    let verdict = Verdict::Abandon { reason: "Mrs Weiss changed her mind".into() };
    store
        .decide(Decision { delivery, verdict, act: Act { reason: String::new(), ..act("delivery.decide") } })
        .await
        .unwrap();
    let told = async || {
        let mut told = vec![format!("{:?}", store.exceptions(paging().0, paging().1).await.unwrap().items)];
        for (number, event) in [("1", dismissed), ("2", given_up)] {
            told.push(format!("{:?}", store.notes(of(number)).await.unwrap()));
            told.push(format!("{:?}", store.event(event).await.unwrap()));
            told.push(format!("{:?}", store.order(number.into()).await.unwrap()));
        }
        told.concat()
    };
    assert!(told().await.matches("Weiss").count() >= 6, "{}", told().await);
    for number in ["1", "2"] {
        store.erase(erasure(number)).await.unwrap();
    }
    let told = told().await;
    assert!(!told.contains("Weiss"), "{told}");
    assert_eq!(store.verify().await.unwrap(), Vec::<String>::new());
}

/// One body for several orders: what one of them still needs is never taken from it by another's erasure.
#[tokio::test]
async fn dat_1_erasing_one_order_of_a_request_never_takes_the_body_that_another_is_still_made_from() {
    let folder = folder();
    let path = folder.path().join("crossdock.db");
    let store = Arc::new(open(&path));
    let shared: SharedStore = store.clone();
    let maker = Maker::default();
    let records = ["1", "2", "3", "4"].map(|number| maker.record(number, number, number));
    let [done, parked, held, unread] = [0, 1, 2, 3].map(|at: usize| records[at].id);
    store.append(maker.arrival(records.into())).await.unwrap();
    store.conclude(done, Conclusion::default(), at(1)).await.unwrap();
    let refused = async || store.erase(erasure("1")).await.unwrap_err().to_string();
    assert!(refused().await.contains("still being processed"));
    let parking = maker.complain("2", None, "cause");
    for (event, conclusion) in [(parked, parking), (held, hint()), (unread, Conclusion::default())] {
        store.conclude(event, conclusion, at(1)).await.unwrap();
    }
    let why = refused().await;
    assert!(why.contains("waits for a person") || why.contains("waits for its order"), "{why}");
    assert!(store.envelope(parked).await.is_ok(), "its body is there");
    // A restore that applies the list again cannot wait for the others, and must not keep the service from starting.
    store.erase(Erasure { act: None, ..erasure("1") }).await.unwrap();
    assert!(store.envelope(parked).await.is_ok());
    all(&store, 200).await;
    assert!(store.envelope(parked).await.is_ok(), "still needed");
    // The others are through: the change's order came, and a person has found the record to be of no use.
    maker.waiting(&shared, "3").await;
    let claimed = store.claim_envelopes(9).await.unwrap();
    assert_eq!(claimed.iter().map(|one| one.id).collect::<Vec<_>>(), [held]);
    store.conclude(held, Conclusion::default(), at(3)).await.unwrap();
    let replay = Replay { envelope: parked, conclusion: Conclusion::default(), act: act("exception.replay") };
    store.replay(replay).await.unwrap();
    all(&store, 400).await;
    let gone = store.envelope(parked).await.unwrap_err().to_string();
    assert!(gone.contains("erased"), "{gone}");
    assert_eq!(store.verify().await.unwrap(), Vec::<String>::new());
}

#[tokio::test]
async fn key_3_what_was_erased_or_expired_cannot_be_sent_a_second_time() {
    let folder = folder();
    let store = Arc::new(open(&folder.path().join("crossdock.db")));
    let shared: SharedStore = store.clone();
    let maker = Maker::default();
    let (_, delivery) = maker.waiting(&shared, "42").await;
    let started = start(&shared, delivery).await.unwrap();
    settle(&shared, started, delivered()).await;
    let (_, row) = store.delivery_origin(delivery).await.unwrap().unwrap();
    store.erase(erasure("42")).await.unwrap();
    // Read before the erasure, written after it.
    let spare = key("42", "erp", "resend", "order.create", 1);
    let new = maker.delivery(&maker.document("erp"), spare, "resend", "order.create");
    let new = NewDelivery { document: row.document_id, generation: 1, ..new };
    let resend = Resend { original: delivery, delivery: new, act: act("delivery.resend") };
    let refused = store.resend(resend).await.unwrap_err().to_string();
    assert!(refused.contains("erased"), "{refused}");
    let entropy = SeededEntropy::new(9);
    let told = crate::exceptions::resend::resend(store.as_ref(), &entropy, delivery, "42", act("delivery.resend"));
    let told = told.await.unwrap_err().to_string();
    assert!(told.contains("the document was erased"), "{told}");
    assert_eq!(store.verify().await.unwrap(), Vec::<String>::new());
}

#[tokio::test]
async fn dat_1_applied_again_after_a_restore_erasure_keeps_the_ledger_in_events_and_in_money() {
    let folder = folder();
    let store = Arc::new(open(&folder.path().join("crossdock.db")));
    let shared: SharedStore = store.clone();
    let maker = Maker::default();
    let unread = maker.arrive(&shared, "1", "e").await;
    let (_, behind_a_create) = maker.waiting(&shared, "2").await;
    let (_, parked) = maker.parked(&shared, "3").await;
    for number in ["1", "2", "3"] {
        store.erase(Erasure { even_if_open: true, act: None, ..erasure(number) }).await.unwrap();
    }
    assert_eq!(state(&shared, unread).await, "ignored");
    for delivery in [behind_a_create, parked] {
        assert_eq!(delivery_state(&shared, delivery).await, "abandoned");
    }
    ledger(&shared).await;
    assert_eq!(store.verify().await.unwrap(), Vec::<String>::new());
}

#[tokio::test]
async fn dat_1_the_answer_of_a_call_about_an_erased_order_stays_without_its_words() {
    let folder = folder();
    let store = Arc::new(open(&folder.path().join("crossdock.db")));
    let shared: SharedStore = store.clone();
    let maker = Maker::default();
    let calls = ["42", "43"].map(|number| (number, Digest::of(number.as_bytes())));
    for (number, scope) in calls {
        let event = maker.arrive(&shared, number, number).await;
        store.conclude(event, maker.complain(number, None, "Anna Weiß"), at(1)).await.unwrap();
        let told = format!(
            "{{\"envelope_id\":\"{event}\",\"problems\":[{{\"message\":\"\\\"Anna Weiß\\\" has no number\"}}]}}"
        );
        let answer = KeptAnswer { status: 200, headers: Vec::new(), body: told.into() };
        let call = CallName { scope, fingerprint: Digest::of(b"call") };
        let keep = Keep::new(call, Arc::new(move |_| answer.clone()));
        let conclusion = maker.complain(number, None, "Anna Weiß");
        let act = Act { keep: Some(keep), ..act("exception.replay") };
        store.replay(Replay { envelope: event, conclusion, act }).await.unwrap();
    }
    store.erase(Erasure { even_if_open: true, ..erasure("42") }).await.unwrap();
    let [erased, other] = calls.map(|(_, scope)| store.kept_answer(scope, at(100)));
    let told = |answer: KeptAnswer| String::from_utf8(answer.body.to_vec()).unwrap();
    let erased = told(erased.await.unwrap().expect("API-2: a repeat still acts once").1);
    assert!(!erased.contains("Anna") && erased.contains("erased") && erased.contains("env_"), "{erased}");
    assert!(told(other.await.unwrap().unwrap().1).contains("Anna Weiß"), "another order's");
}
