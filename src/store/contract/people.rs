//! Promises about what people do.

use super::build::{
    Maker, act, again, at, create_key, delivered, delivery_state, due, key, ledger, settle, start, state,
};
use crate::envelope::ids::ExceptionId;
use crate::envelope::keys::Digest;
use crate::store::cases::{Handling, MappingEdit, Step};
use crate::store::view::{ExceptionRow, Ledger, MappingRecord, Paging};
use crate::store::write::{Conclusion, Decision, Edit, NewDocument, NextState, Replay, Verdict};
use crate::store::{ExceptionFilter, SharedStore, StoreError};

async fn open(store: &SharedStore) -> usize {
    store.exceptions(ExceptionFilter::default(), Paging::default()).await.unwrap().items.len()
}

pub async fn replay_closes_what_was_open_and_writes_what_is_new(store: &SharedStore) {
    let maker = Maker::default();
    let envelope = maker.arrive(store, "42", "e1").await;
    let early = Replay { envelope, conclusion: Conclusion::default(), act: act("exception.replay") };
    assert!(matches!(store.replay(early).await, Err(StoreError::NotAllowed(_))));
    store.conclude(envelope, maker.complain("42", Some("erp"), "one"), at(1)).await.unwrap();
    let conclusion = maker.complain("42", Some("erp"), "two");
    store.replay(Replay { envelope, conclusion, act: act("exception.replay") }).await.unwrap();
    let left = store.exceptions(ExceptionFilter::default(), Paging::default()).await.unwrap().items;
    assert_eq!(left.iter().map(|exception| exception.fingerprint.as_str()).collect::<Vec<_>>(), ["two"]);
    assert_eq!(state(store, envelope).await, "exception");
    let conclusion = maker.create("42", &["erp"]);
    store.replay(Replay { envelope, conclusion, act: act("exception.replay") }).await.unwrap();
    assert_eq!((open(store).await, due(store).await.len()), (0, 1));
    assert_eq!(ledger(store).await, Ledger { accepted: 1, due: 1, ..Ledger::default() });
}

pub async fn replay_leaves_a_parked_sealed_delivery_to_a_decision(store: &SharedStore) {
    let maker = Maker::default();
    let (envelope, delivery) = maker.parked(store, "42").await;
    let conclusion = maker.create("42", &["erp"]);
    store.replay(Replay { envelope, conclusion, act: act("exception.replay") }).await.unwrap();
    assert_eq!(delivery_state(store, delivery).await, "parked");
    assert_eq!((open(store).await, state(store, envelope).await.as_str()), (1, "exception"));
}

pub async fn p1_replaying_the_first_content_does_not_close_the_complaint_about_the_second(store: &SharedStore) {
    let maker = Maker::default();
    let envelope = maker.arrive(store, "42", "e1").await;
    store.conclude(envelope, maker.complain("42", Some("erp"), "unmapped"), at(1)).await.unwrap();
    let mut record = maker.record("42", "e1", "changed");
    let conflict = maker.exception("42", None, "conflict");
    let id = conflict.id;
    record.on_conflict = Some(conflict);
    store.append(maker.arrival(vec![record])).await.unwrap();
    let conclusion = || maker.create("42", &["erp"]);
    store.replay(Replay { envelope, conclusion: conclusion(), act: act("exception.replay") }).await.unwrap();
    let left = store.exceptions(ExceptionFilter::default(), Paging::default()).await.unwrap().items;
    assert_eq!(left.iter().map(|exception| exception.id).collect::<Vec<_>>(), [id]);
    // By name a person closes it.
    let named = crate::store::write::Act { target: id.to_string(), ..act("exception.replay") };
    store.replay(Replay { envelope, conclusion: conclusion(), act: named }).await.unwrap();
    assert_eq!(open(store).await, 0);
}

async fn decide(
    store: &SharedStore,
    delivery: crate::envelope::ids::DeliveryId,
    verdict: Verdict,
) -> Result<(), StoreError> {
    store.decide(Decision { delivery, verdict, act: act("delivery.decide") }).await
}

pub async fn p5_a_replay_decided_before_another_one_is_not_carried_out_after_it(store: &SharedStore) {
    let maker = Maker::default();
    let (_, delivery) = maker.parked(store, "42").await;
    let seen = store.exceptions(ExceptionFilter::default(), Paging::default()).await.unwrap().items.remove(0).id;
    let replay = || Decision {
        delivery,
        verdict: Verdict::Retry { due_at: at(60) },
        act: crate::store::write::Act { target: seen.to_string(), ..act("exception.replay") },
    };
    store.decide(replay()).await.unwrap();
    // The first one goes out and comes back in doubt, before the second one is carried out.
    let started = start(store, delivery).await.unwrap();
    let exception = Box::new(maker.exception("42", Some("erp"), "in doubt"));
    settle(store, started, NextState::Parked { exception, uncertain: true }).await;
    assert!(matches!(store.decide(replay()).await, Err(StoreError::NotAllowed(_))));
    assert_eq!(delivery_state(store, delivery).await, "parked");
}

pub async fn key_4_retry_sends_the_same_bytes_with_the_same_key(store: &SharedStore) {
    let maker = Maker::default();
    let (envelope, delivery) = maker.parked(store, "42").await;
    decide(store, delivery, Verdict::Retry { due_at: at(70) }).await.unwrap();
    let head = due(store).await.remove(0);
    assert_eq!((head.id, head.key.clone(), head.failures), (delivery, create_key("42", "erp", 0), 0));
    assert_eq!(head.sealed.unwrap().body.as_ref(), b"order 42");
    assert_eq!((open(store).await, state(store, envelope).await.as_str()), (0, "received"));
    let started = start(store, delivery).await.unwrap();
    assert_eq!(started.number, 2);
    settle(store, started, delivered()).await;
    assert_eq!(ledger(store).await.done, 1);
}

pub async fn key_3_a_replacement_takes_the_place_in_the_lane(store: &SharedStore) {
    let maker = Maker::default();
    let (envelope, old) = maker.parked(store, "42").await;
    let change = maker.arrive(store, "42", "change").await;
    let mut behind = Conclusion::default();
    maker.intend(&mut behind, "erp", key("42", "erp", "order.change", "r1", 0), "order.change", "r1");
    store.conclude(change, behind, at(2)).await.unwrap();
    let document = maker.document("erp");
    let taken = maker.delivery(&document, create_key("42", "erp", 0), "order.create", "");
    let refused = decide(store, old, Verdict::Replace { document: document.clone(), delivery: taken }).await;
    assert!(matches!(refused, Err(StoreError::NotAllowed(_))));
    assert_eq!((delivery_state(store, old).await.as_str(), open(store).await), ("parked", 1));
    let delivery = maker.successor(&document, create_key("42", "erp", 1), "order.create", "", 1);
    let new = delivery.id;
    decide(store, old, Verdict::Replace { document, delivery }).await.unwrap();
    assert_eq!(due(store).await.iter().map(|head| head.id).collect::<Vec<_>>(), [new]);
    assert_eq!(delivery_state(store, old).await, "superseded");
    let started = start(store, new).await.unwrap();
    settle(store, started, delivered()).await;
    assert_eq!((state(store, envelope).await.as_str(), due(store).await.len()), ("done", 1));
}

pub async fn key_3_a_an_edited_document_replaces_the_one_it_was_made_of_and_says_the_same_of_its_order(
    store: &SharedStore,
) {
    let maker = Maker::default();
    let (_, old) = maker.parked(store, "42").await;
    let before = store.delivery(old).await.unwrap().unwrap().delivery;
    let edit = |original| Edit { original, by: "token:anna".into(), reason: "a postcode".into() };
    let verdict = |original| {
        let document = NewDocument { edit: Some(edit(original)), ..maker.document("erp") };
        let delivery = maker.successor(&document, create_key("42", "erp", 1), "order.create", "", 1);
        Verdict::Replace { document, delivery }
    };
    // Made of a document that the delivery no longer sends.
    let another = decide(store, old, verdict(maker.document("erp").id)).await;
    assert!(matches!(another, Err(StoreError::NotAllowed(_))));
    assert_eq!((delivery_state(store, old).await.as_str(), open(store).await), ("parked", 1));
    decide(store, old, verdict(before.document_id)).await.unwrap();
    let head = due(store).await.remove(0);
    let new = store.delivery(head.id).await.unwrap().unwrap().delivery;
    assert!(new.edited && !before.edited && new.reported_at == before.reported_at, "{new:?}");
    let document = store.document(new.document_id).await.unwrap().unwrap().edited.unwrap();
    assert_eq!(
        (document.original, document.by.as_str(), document.reason.as_str()),
        (before.document_id, "token:anna", "a postcode")
    );
    let again = decide(store, old, verdict(before.document_id)).await;
    assert!(matches!(again, Err(StoreError::NotAllowed(_))), "of two at once one goes");
}

pub async fn key_5_an_uncertain_delivery_is_not_replaced(store: &SharedStore) {
    let maker = Maker::default();
    let (_, delivery) = maker.waiting(store, "42").await;
    let started = start(store, delivery).await.unwrap();
    let exception = Box::new(maker.exception("42", Some("erp"), "uncertain"));
    settle(store, started, NextState::Parked { exception, uncertain: true }).await;
    let document = maker.document("erp");
    let successor = maker.successor(&document, create_key("42", "erp", 1), "order.create", "", 1);
    let refused = decide(store, delivery, Verdict::Replace { document, delivery: successor }).await;
    assert!(matches!(refused, Err(StoreError::NotAllowed(_))));
    assert_eq!(open(store).await, 1);
}

pub async fn key_7_what_was_applied_is_never_sent_or_replaced_again(store: &SharedStore) {
    let maker = Maker::default();
    let (envelope, delivery) = maker.waiting(store, "42").await;
    let started = start(store, delivery).await.unwrap();
    settle(store, started, delivered()).await;
    let document = maker.document("erp");
    let successor = maker.delivery(&document, create_key("42", "erp", 1), "order.create", "");
    for verdict in [
        Verdict::Retry { due_at: at(70) },
        Verdict::Replace { document, delivery: successor },
        Verdict::Abandon { reason: "no".into() },
    ] {
        assert!(matches!(decide(store, delivery, verdict).await, Err(StoreError::NotAllowed(_))));
    }
    // Processed again, as an edit would be: the create that exists is met, and no second one is made.
    let conclusion = maker.create("42", &["erp"]);
    store.replay(Replay { envelope, conclusion, act: act("exception.replay") }).await.unwrap();
    assert_eq!((delivery_state(store, delivery).await.as_str(), due(store).await.len()), ("delivered", 0));
    assert_eq!((state(store, envelope).await.as_str(), ledger(store).await.done), ("done", 1));
}

pub async fn an_abandoned_delivery_frees_its_lane(store: &SharedStore) {
    let maker = Maker::default();
    let (envelope, delivery) = maker.parked(store, "42").await;
    let change = maker.arrive(store, "42", "change").await;
    let mut behind = Conclusion::default();
    maker.intend(&mut behind, "erp", key("42", "erp", "order.change", "r1", 0), "order.change", "r1");
    store.conclude(change, behind, at(2)).await.unwrap();
    decide(store, delivery, Verdict::Abandon { reason: "test order".into() }).await.unwrap();
    assert_eq!(due(store).await.len(), 1);
    let event = store.event(envelope).await.unwrap().unwrap();
    assert_eq!((event.state.as_str(), event.explanation.as_str()), ("ignored", "given up by token:anna: test order"));
    assert_eq!(ledger(store).await, Ledger { accepted: 2, ignored: 1, due: 1, ..Ledger::default() });
}

pub async fn a_person_can_say_that_it_was_applied(store: &SharedStore) {
    let maker = Maker::default();
    let (envelope, delivery) = maker.parked(store, "42").await;
    decide(store, delivery, Verdict::Applied { receipt: Some("SO-9".into()) }).await.unwrap();
    let row = store.delivery(delivery).await.unwrap().unwrap().delivery;
    assert_eq!((row.state.as_str(), row.receipt.as_deref(), row.settled_at), ("delivered", Some("SO-9"), Some(at(60))));
    assert_eq!((state(store, envelope).await.as_str(), open(store).await), ("done", 0));
}

pub async fn only_a_parked_delivery_is_decided_about(store: &SharedStore) {
    let maker = Maker::default();
    let (_, delivery) = maker.waiting(store, "42").await;
    let refused = decide(store, delivery, Verdict::Applied { receipt: None }).await;
    assert!(matches!(refused, Err(StoreError::NotAllowed(_))));
    let started = start(store, delivery).await.unwrap();
    assert!(decide(store, delivery, Verdict::Retry { due_at: at(1) }).await.is_err());
    settle(store, started, again()).await;
    assert_eq!(delivery_state(store, delivery).await, "waiting");
}

fn row(key: &str, value: &str, destination: &str) -> MappingRecord {
    MappingRecord { key: key.into(), value: value.into(), destination: destination.into() }
}

pub async fn mappings_are_replaced_whole_and_versioned(store: &SharedStore) {
    assert_eq!(store.mappings_version().await.unwrap(), 0);
    let rows = vec![row("b", "2", ""), row("a", "1", ""), row("a", "9", "erp")];
    assert_eq!(store.import_mappings("skus".into(), rows, act("mappings.import")).await.unwrap(), 1);
    let rows = vec![row("c", "3", "")];
    assert_eq!(store.import_mappings("skus".into(), rows.clone(), act("mappings.import")).await.unwrap(), 2);
    assert_eq!(store.import_mappings("stores".into(), Vec::new(), act("mappings.import")).await.unwrap(), 3);
    assert_eq!(store.mapping_rows("skus".into()).await.unwrap(), rows);
    let heads = store.mapping_tables().await.unwrap();
    let heads: Vec<_> = heads.iter().map(|head| (head.table.as_str(), head.rows, head.version)).collect();
    assert_eq!(heads, [("skus", 1, 2), ("stores", 0, 3)]);
    assert_eq!(store.mappings_version().await.unwrap(), 3);
}

pub async fn a_mapping_key_twice_is_refused_by_name(store: &SharedStore) {
    let rows = vec![row("24-WG085", "1", ""), row("24-WG085", "2", "erp"), row("24-WG085", "3", "")];
    let refused = store.import_mappings("skus".into(), rows, act("mappings.import")).await;
    let Err(StoreError::NotAllowed(reason)) = refused else { panic!("{refused:?}") };
    assert!(reason.contains("24-WG085"), "{reason}");
    assert_eq!(store.mappings_version().await.unwrap(), 0);
}

pub async fn tokens_live_until_revoked_or_expired(store: &SharedStore) {
    let maker = Maker::default();
    let token = maker.token("ci", "s1", Some(at(100)));
    store.create_token(token.clone(), act("token.create")).await.unwrap();
    let again = store.create_token(maker.token("ci", "s2", None), act("token.create")).await;
    assert!(matches!(again, Err(StoreError::NotAllowed(_))));
    let secret = Digest::of(b"s1");
    assert_eq!(store.token_by_secret(secret, at(99)).await.unwrap().unwrap().name, "ci");
    assert!(store.token_by_secret(secret, at(100)).await.unwrap().is_none());
    store.revoke_token(token.id, act("token.revoke")).await.unwrap();
    assert!(store.token_by_secret(secret, at(1)).await.unwrap().is_none());
    store.create_token(maker.token("ci", "s2", None), act("token.create")).await.unwrap();
    assert_eq!(store.tokens().await.unwrap().len(), 2);
    let unknown = store.revoke_token(maker.token("x", "x", None).id, act("token.revoke")).await;
    assert!(matches!(unknown, Err(StoreError::NotFound(_))));
}

async fn handled(store: &SharedStore, exception: ExceptionId, step: Step) -> Result<ExceptionRow, StoreError> {
    store.handle(Handling { exception, step, act: act("exception.handle") }).await
}

async fn first_open(store: &SharedStore) -> ExceptionId {
    store.exceptions(ExceptionFilter::default(), Paging::default()).await.unwrap().items[0].id
}

pub async fn p6_a_dismissed_delivery_is_given_up_and_one_in_doubt_is_not(store: &SharedStore) {
    let maker = Maker::default();
    let (envelope, delivery) = maker.parked(store, "42").await;
    let change = maker.arrive(store, "42", "change").await;
    let mut behind = Conclusion::default();
    maker.intend(&mut behind, "erp", key("42", "erp", "order.change", "r1", 0), "order.change", "r1");
    store.conclude(change, behind, at(2)).await.unwrap();
    let done = handled(store, first_open(store).await, Step::Dismiss("a test".into())).await.unwrap();
    assert_eq!(done.state, "dismissed");
    assert_eq!((delivery_state(store, delivery).await.as_str(), due(store).await.len()), ("abandoned", 1));
    assert_eq!(state(store, envelope).await, "ignored");
    let (_, doubtful) = maker.waiting(store, "43").await;
    let started = start(store, doubtful).await.unwrap();
    let exception = Box::new(maker.exception("43", Some("erp"), "in doubt"));
    settle(store, started, NextState::Parked { exception, uncertain: true }).await;
    let refused = handled(store, first_open(store).await, Step::Dismiss("a test".into())).await;
    let Err(StoreError::NotAllowed(why)) = refused else { panic!("{refused:?}") };
    assert!(why.contains("may have taken effect"), "{why}");
    assert_eq!((delivery_state(store, doubtful).await.as_str(), open(store).await), ("parked", 1));
    assert!(store.recount().await.unwrap().is_empty());
}

pub async fn p6_dismissing_one_complaint_leaves_the_others_and_what_is_under_way(store: &SharedStore) {
    let maker = Maker::default();
    let envelope = maker.arrive(store, "42", "e1").await;
    let mut conclusion = maker.create("42", &["wms"]);
    conclusion.exceptions = vec![maker.exception("42", Some("erp"), "one"), maker.exception("42", Some("erp"), "two")];
    store.conclude(envelope, conclusion, at(1)).await.unwrap();
    let head = due(store).await.remove(0).id;
    let started = start(store, head).await.unwrap();
    handled(store, first_open(store).await, Step::Dismiss("known".into())).await.unwrap();
    assert_eq!((open(store).await, state(store, envelope).await.as_str()), (1, "exception"));
    handled(store, first_open(store).await, Step::Dismiss("known too".into())).await.unwrap();
    assert_eq!(state(store, envelope).await, "received", "its delivery elsewhere is in flight");
    settle(store, started, delivered()).await;
    assert_eq!(ledger(store).await, Ledger { accepted: 1, done: 1, ..Ledger::default() });
    assert!(store.recount().await.unwrap().is_empty());
}

pub async fn single_rows_of_a_table_change_with_a_version_and_a_history(store: &SharedStore) {
    let edit = async |set: Vec<MappingRecord>, gone: &[(&str, &str)]| {
        let gone = gone.iter().map(|(key, to)| ((*key).to_owned(), (*to).to_owned())).collect();
        store.edit_mappings("skus".into(), MappingEdit { set, gone }, act("mappings.edit")).await
    };
    assert_eq!(edit(vec![row("a", "1", "")], &[]).await.unwrap(), 1, "the table need not be there");
    assert_eq!(edit(vec![row("a", "2", ""), row("a", "9", "erp")], &[]).await.unwrap(), 2);
    assert_eq!(edit(vec![row("a", "2", "")], &[("b", "")]).await.unwrap(), 2, "nothing changes");
    assert_eq!(edit(Vec::new(), &[("a", "erp")]).await.unwrap(), 3);
    assert!(matches!(edit(vec![row("c", "1", "")], &[("c", "")]).await, Err(StoreError::NotAllowed(_))));
    assert_eq!(store.mapping_rows("skus".into()).await.unwrap(), [row("a", "2", "")]);
    let heads = store.mapping_tables().await.unwrap();
    assert_eq!((heads[0].rows, heads[0].version, store.mappings_version().await.unwrap()), (1, 3, 3));
    let rows = vec![row("a", "3", ""), row("d", "4", "")];
    store.import_mappings("skus".into(), rows, act("mappings.import")).await.unwrap();
    let page = store.mapping_changes("skus".into(), None, Paging::default()).await.unwrap().items;
    let told: Vec<_> = page
        .iter()
        .map(|change| (change.key.as_str(), change.before.as_deref(), change.after.as_deref(), change.version))
        .collect();
    assert_eq!(
        told,
        [
            ("d", None, Some("4"), 4),
            ("a", Some("2"), Some("3"), 4),
            ("a", Some("9"), None, 3),
            ("a", None, Some("9"), 2),
            ("a", Some("1"), Some("2"), 2),
            ("a", None, Some("1"), 1),
        ]
    );
    let of_d = store.mapping_changes("skus".into(), Some("d".into()), Paging { limit: 1, cursor: None }).await.unwrap();
    assert_eq!((of_d.items.len(), of_d.next_cursor), (1, None));
}
