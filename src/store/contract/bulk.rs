//! Promises about acts on many records at once.

use super::build::{Maker, act, at, delivered, settle, start};
use crate::clock::{SeededEntropy, Timestamp};
use crate::envelope::ids::{BulkId, EnvelopeId, ExceptionId};
use crate::store::bulk::{BulkRow, BulkStep, ENDED_KEPT, Mark, NewBulk, OPEN_MAX, OrderTotal, Ruling, Target, Targets};
use crate::store::view::Paging;
use crate::store::write::{Act, Conclusion, Replay, SubjectFacts};
use crate::store::{DeliveryFilter, ExceptionFilter, SharedStore, StoreError};

fn new(targets: Targets, begins_at: Option<Timestamp>, seed: u64) -> NewBulk {
    let id = BulkId::new(at(60), &SeededEntropy::new(seed));
    let act = Act { target: id.to_string(), ..act("bulk.replay") };
    let (filter, sums) = (r#"{"origin":"hooks"}"#.to_owned(), "[]".to_owned());
    NewBulk { id, targets, filter, sums, per_minute: 60, begins_at, act }
}

fn ruling(bulk: BulkId, step: BulkStep) -> Ruling {
    Ruling { bulk, step, act: Act { actor: "user:ben".into(), target: bulk.to_string(), ..act("bulk.rule") } }
}

/// Records that wait for a person.
async fn parked(store: &SharedStore, maker: &Maker, numbers: &[&str]) -> Vec<(EnvelopeId, ExceptionId)> {
    let mut made = Vec::new();
    for number in numbers {
        let envelope = maker.arrive(store, number, &format!("event of {number}")).await;
        let conclusion = maker.complain(number, Some("erp"), "cause");
        let exception = conclusion.exceptions[0].id;
        store.conclude(envelope, conclusion, at(1)).await.unwrap();
        made.push((envelope, exception));
    }
    made
}

async fn ask(store: &SharedStore, records: &[(EnvelopeId, ExceptionId)]) -> BulkId {
    let ids = records.iter().map(|(_, exception)| *exception).collect();
    store.ask_bulk(new(Targets::Replay(ids), Some(at(90)), 1)).await.unwrap().id
}

fn done(bulk: BulkId, number: u32) -> Mark {
    Mark { bulk, number, result: Some("released".into()), explanation: "to erp".into(), made: None }
}

fn skipped(bulk: BulkId, number: u32) -> Mark {
    Mark { result: None, explanation: "it quotes Weiss".into(), ..done(bulk, number) }
}

async fn replay(
    store: &SharedStore,
    (envelope, exception): (EnvelopeId, ExceptionId),
    conclusion: Conclusion,
    mark: Mark,
) -> Result<(), StoreError> {
    let act = Act { target: exception.to_string(), member: Some(mark), ..act("exception.replay") };
    store.replay(Replay { envelope, conclusion, act }).await
}

async fn now(store: &SharedStore, bulk: BulkId) -> BulkRow {
    store.bulk(bulk).await.unwrap().expect("the act exists")
}

async fn states(store: &SharedStore, bulk: BulkId) -> Vec<String> {
    let page = store.bulk_members(bulk, None, Paging::default()).await.unwrap();
    page.items.into_iter().map(|member| member.state).collect()
}

pub async fn api_2_a_members_mark_is_written_with_its_effect_or_neither_is_there(store: &SharedStore) {
    let maker = Maker::default();
    let records = parked(store, &maker, &["1", "2"]).await;
    let bulk = ask(store, &records).await;
    assert_eq!(store.take_turn(bulk, at(89)).await.unwrap(), None, "its time has not come");
    let early = replay(store, records[0], maker.create("1", &["erp"]), done(bulk, 1)).await;
    assert!(matches!(early, Err(StoreError::NotAllowed(_))), "{early:?}");
    let turn = store.take_turn(bulk, at(90)).await.unwrap().expect("the first member");
    assert_eq!((turn.number, turn.target), (1, Target::Replay(records[0].1)));
    assert_eq!((turn.subject_id.as_str(), turn.deaths), ("1", 0));
    assert_eq!(store.take_turn(bulk, at(91)).await.unwrap().unwrap().number, 1, "until it is marked");
    replay(store, records[0], maker.create("1", &["erp"]), done(bulk, 1)).await.unwrap();
    let rows = store.audit(Paging::default()).await.unwrap().items.len();
    // Its exception is closed; and a repeat on another record fails on the mark.
    let twice = replay(store, records[1], maker.create("2", &["erp"]), done(bulk, 1)).await.unwrap_err();
    assert!(twice.to_string().contains("had its turn already"), "{twice}");
    assert!(store.exception(records[1].1).await.unwrap().unwrap().is_waiting(), "and its effect is not there");
    assert_eq!(store.audit(Paging::default()).await.unwrap().items.len(), rows, "nor a trace of it");
    assert_eq!(store.take_turn(bulk, at(92)).await.unwrap().unwrap().number, 2);
    store.mark_member(skipped(bulk, 2), at(92)).await.unwrap();
    let row = now(store, bulk).await;
    assert_eq!((row.state.as_str(), row.total, row.acted, row.skipped, row.left), ("done", 2, 1, 1, 0));
    assert_eq!((row.began_at, row.ended_at, row.ended_by), (Some(at(90)), Some(at(92)), None));
    assert_eq!(store.take_turn(bulk, at(93)).await.unwrap(), None);
    assert_eq!(states(store, bulk).await, ["acted", "skipped"]);
}

pub async fn api_5_what_is_stopped_goes_no_further_and_says_by_whom(store: &SharedStore) {
    let maker = Maker::default();
    let records = parked(store, &maker, &["1", "2", "3"]).await;
    let bulk = ask(store, &records).await;
    let early = store.rule_bulk(ruling(bulk, BulkStep::Stop)).await.unwrap_err().to_string();
    assert!(early.contains("can be taken back"), "{early}");
    store.take_turn(bulk, at(90)).await.unwrap();
    replay(store, records[0], maker.create("1", &["erp"]), done(bulk, 1)).await.unwrap();
    store.take_turn(bulk, at(91)).await.unwrap();
    let late = store.rule_bulk(ruling(bulk, BulkStep::Undo)).await.unwrap_err().to_string();
    assert!(late.contains("it has begun"), "{late}");
    let stopped = store.rule_bulk(ruling(bulk, BulkStep::Stop)).await.unwrap();
    assert_eq!((stopped.state.as_str(), stopped.acted, stopped.left), ("stopped", 1, 2));
    assert_eq!((stopped.ended_by.as_deref(), stopped.ending.as_str()), (Some("user:ben"), "because"));
    // The second member was under way when somebody stopped the act.
    let late = replay(store, records[1], maker.create("2", &["erp"]), done(bulk, 2)).await.unwrap_err();
    assert!(late.to_string().contains("nothing more of it is done"), "{late}");
    assert!(store.exception(records[1].1).await.unwrap().unwrap().is_waiting());
    assert_eq!(states(store, bulk).await, ["acted", "left", "left"]);
    let left = store.bulk_members(bulk, Some("left".into()), Paging::default()).await.unwrap().items;
    assert_eq!(left.iter().map(|member| member.number).collect::<Vec<_>>(), [2, 3]);
    assert!(store.rule_bulk(ruling(bulk, BulkStep::Stop)).await.is_err(), "once");
    let row = &store.audit(Paging::default()).await.unwrap().items[0];
    assert_eq!(
        (row.actor.as_str(), row.reason.as_str(), row.target.clone()),
        ("user:ben", "because", bulk.to_string())
    );
    assert!(row.before.contains("running") && row.after.contains("stopped"), "{row:?}");
}

pub async fn an_act_waits_for_its_approval_and_is_ruled_about_once(store: &SharedStore) {
    let maker = Maker::default();
    let records = parked(store, &maker, &["1"]).await;
    let ids = || Targets::Replay(vec![records[0].1]);
    let [approved, refused, undone] = [1, 2, 3].map(|seed| store.ask_bulk(new(ids(), None, seed)));
    let [approved, refused, undone] = [approved.await.unwrap().id, refused.await.unwrap().id, undone.await.unwrap().id];
    assert!(store.open_bulks().await.unwrap().is_empty());
    assert_eq!(store.take_turn(approved, at(9_000)).await.unwrap(), None);
    let approve = BulkStep::Approve { begins_at: at(120) };
    // Two at once: one is first.
    let both = tokio::join!(store.rule_bulk(ruling(approved, approve)), store.rule_bulk(ruling(approved, approve)));
    assert!(both.0.is_ok() != both.1.is_ok(), "{both:?}");
    let row = now(store, approved).await;
    assert_eq!(
        (row.state.as_str(), row.begins_at, row.approved_by.as_deref()),
        ("waiting", Some(at(120)), Some("user:ben"))
    );
    assert!(store.rule_bulk(ruling(approved, BulkStep::Refuse)).await.is_err());
    assert_eq!(store.rule_bulk(ruling(refused, BulkStep::Refuse)).await.unwrap().state, "refused");
    assert_eq!(store.rule_bulk(ruling(undone, BulkStep::Undo)).await.unwrap().state, "undone");
    assert!(store.rule_bulk(ruling(refused, approve)).await.is_err());
    assert_eq!(store.rule_bulk(ruling(approved, BulkStep::Undo)).await.unwrap().state, "undone", "approved, not begun");
    assert_eq!(store.take_turn(approved, at(9_000)).await.unwrap(), None);
    assert!(store.exception(records[0].1).await.unwrap().unwrap().is_waiting());
    let nobody = BulkId::new(at(0), &SeededEntropy::new(99));
    assert!(matches!(store.rule_bulk(ruling(nobody, BulkStep::Undo)).await, Err(StoreError::NotFound(_))));
    let all = store.bulks(None, Paging::default()).await.unwrap().items;
    assert_eq!(all.iter().map(|row| row.id).collect::<Vec<_>>(), [undone, refused, approved], "newest first");
    let of_state = store.bulks(Some("refused".into()), Paging::default()).await.unwrap().items;
    assert_eq!(of_state.iter().map(|row| row.id).collect::<Vec<_>>(), [refused]);
}

pub async fn poi_1_how_often_a_process_ended_over_a_member_is_counted(store: &SharedStore) {
    let maker = Maker::default();
    let records = parked(store, &maker, &["1", "2"]).await;
    let bulk = ask(store, &records).await;
    for deaths in 0..3 {
        assert_eq!(store.take_turn(bulk, at(90)).await.unwrap().unwrap().deaths, deaths);
        // What is tried again by the same process killed nobody.
        assert_eq!(store.take_turn(bulk, at(90)).await.unwrap().unwrap().deaths, deaths);
        store.count_deaths().await.unwrap();
    }
    store.mark_member(skipped(bulk, 1), at(91)).await.unwrap();
    store.count_deaths().await.unwrap();
    assert_eq!(store.take_turn(bulk, at(92)).await.unwrap().unwrap().deaths, 0, "each member has its own");
}

pub async fn members_come_in_pages_in_their_order_and_old_acts_go(store: &SharedStore) {
    let maker = Maker::default();
    let numbers: Vec<String> = (0..120).map(|number| format!("{number}")).collect();
    let records = parked(store, &maker, &numbers.iter().map(String::as_str).collect::<Vec<_>>()).await;
    let first = ask(store, &records).await;
    let (mut seen, mut cursor) = (Vec::new(), None);
    loop {
        let page = store.bulk_members(first, None, Paging { limit: 50, cursor }).await.unwrap();
        assert!(page.items.len() <= 50);
        seen.extend(page.items.into_iter().map(|member| (member.number, member.subject.increment_id)));
        cursor = page.next_cursor;
        if cursor.is_none() {
            break;
        }
    }
    let expected: Vec<(u32, String)> = (1..).zip(numbers).collect();
    assert_eq!(seen, expected);
    store.rule_bulk(ruling(first, BulkStep::Undo)).await.unwrap();
    for seed in 0..=u64::from(ENDED_KEPT) {
        let targets = Targets::Replay(vec![records[0].1]);
        let bulk = store.ask_bulk(new(targets, Some(at(90)), 1_000 + seed)).await.unwrap().id;
        store.rule_bulk(ruling(bulk, BulkStep::Undo)).await.unwrap();
    }
    assert_eq!(store.bulk(first).await.unwrap(), None, "it is one of the oldest");
    assert!(store.bulk_members(first, None, Paging::default()).await.unwrap().items.is_empty());
    let unknown = Targets::Replay(vec![ExceptionId::new(at(0), &SeededEntropy::new(7))]);
    assert!(matches!(store.ask_bulk(new(unknown, None, 5)).await, Err(StoreError::NotFound(_))));
    assert!(matches!(store.ask_bulk(new(Targets::Replay(Vec::new()), None, 6)).await, Err(StoreError::NotAllowed(_))));
}

pub async fn run_5_a_window_is_as_long_as_it_was_said_whatever_the_clock_does(store: &SharedStore) {
    let maker = Maker::default();
    let records = parked(store, &maker, &["1"]).await;
    let bulk = ask(store, &records).await;
    // The clock showed 70 s and jumps an hour ahead, with twenty seconds left.
    store.shift_due(at(70), 3_600_000_000).await.unwrap();
    assert_eq!(now(store, bulk).await.begins_at, Some(at(3_690)));
    assert_eq!(store.take_turn(bulk, at(3_689)).await.unwrap(), None);
    store.shift_due(at(3_680), -3_600_000_000).await.unwrap();
    assert!(store.take_turn(bulk, at(90)).await.unwrap().is_some());
    for seed in 1..u64::from(OPEN_MAX) {
        store.ask_bulk(new(Targets::Replay(vec![records[0].1]), None, 1_000 + seed)).await.unwrap();
    }
    let refused = store.ask_bulk(new(Targets::Replay(vec![records[0].1]), None, 5)).await.unwrap_err().to_string();
    assert!(refused.contains("100 such acts are open"), "{refused}");
}

pub async fn dat_1_what_was_said_of_an_erased_orders_member_goes(store: &SharedStore) {
    let maker = Maker::default();
    let records = parked(store, &maker, &["1", "2"]).await;
    let bulk = ask(store, &records).await;
    for number in 1..=2 {
        store.take_turn(bulk, at(90)).await.unwrap();
        store.mark_member(skipped(bulk, number), at(91)).await.unwrap();
    }
    let erasure = crate::store::write::Erasure {
        kind: "order".into(),
        id: "1".into(),
        system: None,
        scope: None,
        until: at(200),
        even_if_open: true,
        now: at(200),
        act: Some(act("erase")),
    };
    store.erase(erasure).await.unwrap();
    let told: Vec<String> = store
        .bulk_members(bulk, None, Paging::default())
        .await
        .unwrap()
        .items
        .into_iter()
        .map(|one| one.explanation)
        .collect();
    assert_eq!(told, ["erased", "it quotes Weiss"]);
}

pub async fn lists_are_narrowed_by_origin_kind_and_time(store: &SharedStore) {
    let maker = Maker::default();
    let records = parked(store, &maker, &["1"]).await;
    let (_, delivery) = maker.waiting(store, "2").await;
    let started = start(store, delivery).await.unwrap();
    settle(store, started, delivered()).await;
    let text = |word: &str| Some(word.to_owned());
    for (found, origin, kind, since, until) in [
        (1, None, None, None, None),
        (1, text("hooks"), text("order"), Some(at(0)), Some(at(60))),
        (0, text("flows"), None, None, None),
        (0, None, text("stock"), None, None),
        (0, None, None, Some(at(60)), None),
        (0, None, None, None, Some(at(0))),
    ] {
        let filter =
            ExceptionFilter { origin: origin.clone(), kind: kind.clone(), since, until, ..ExceptionFilter::default() };
        assert_eq!(store.exceptions(filter.clone(), Paging::default()).await.unwrap().items.len(), found, "{filter:?}");
        assert_eq!(store.exception_groups(filter.clone()).await.unwrap().len(), found, "{filter:?}");
        for state in [None, text("delivered")] {
            let (origin, kind) = (origin.clone(), kind.clone());
            let filter = DeliveryFilter { state, origin, kind, since, until, ..DeliveryFilter::default() };
            let page = store.deliveries(filter.clone(), Paging::default()).await.unwrap();
            assert_eq!((page.items.len(), page.next_cursor), (found, None), "{filter:?}");
        }
    }
    let facts = SubjectFacts { currency: text("GBP"), grand_total: text("30.0000"), ..SubjectFacts::default() };
    let envelope = maker.arrive(store, "1", "a later report").await;
    store.conclude(envelope, Conclusion { facts, ..maker.complain("1", None, "other") }, at(2)).await.unwrap();
    let both = store.exceptions(ExceptionFilter::default(), Paging::default()).await.unwrap().items;
    let ids: Vec<ExceptionId> = both.iter().map(|row| row.id).chain([records[0].1]).collect();
    let total = OrderTotal { currency: "GBP".into(), grand_total: "30.0000".into() };
    assert_eq!(store.totals_behind(Targets::Replay(ids)).await.unwrap(), [Some(total)], "each order once");
    assert_eq!(store.totals_behind(Targets::Resend(vec![delivery])).await.unwrap(), [None], "one without a total");
}
