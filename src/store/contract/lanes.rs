//! Promises about what follows an order after its first report: revisions, cancellations, held changes, overtaking.

use std::time::Duration;

use super::build::{
    Maker, again, at, delivered, delivery_state, due, key, ledger, settle, settle_so_far, start, start_of, state,
};
use super::guards::{look, on};
use crate::envelope::ids::{DeliveryId, EnvelopeId};
use crate::envelope::revision::{Revision, Standing, short};
use crate::store::pack::pack;
use crate::store::view::Ledger;
use crate::store::write::{
    AttemptPurpose, AttemptStart, Conclusion, Decision, Hint, Ladder, Making, NextState, OrderReport, Progress,
    Reported, Rung, Stage, StartedAttempt, SubjectFacts, Verdict,
};
use crate::store::{SharedStore, StoreError};

/// What a report says, `seconds` after noon.
fn revision(seconds: u64, content: &str) -> Revision {
    Revision::of(Some(at(seconds)), content)
}

impl Maker {
    /// A report of order 42 with what would follow it at `erp`.
    pub fn report(&self, seconds: u64, content: &str) -> Conclusion {
        let revision = revision(seconds, content);
        let mut conclusion = self.create("42", &["erp"]);
        conclusion.facts = SubjectFacts { updated_at: Some(at(seconds)), ..SubjectFacts::default() };
        conclusion.deliveries[0].report = Some(Reported { revision, cancelled: None });
        let mut follow = |purpose: &str, cancelled| {
            let document = self.document("erp");
            let text = revision.to_string();
            let mut delivery = self.delivery(&document, key("42", "erp", purpose, &text, 0), purpose, &text);
            delivery.report = Some(Reported { revision, cancelled });
            conclusion.documents.push(document);
            delivery
        };
        let change = Some(follow("order.change", None));
        let cancellation = content.starts_with("cancelled").then(|| follow("order.cancel", Some(short(content))));
        conclusion.reports.push(OrderReport {
            destination: "erp".into(),
            revision,
            cancels: content == "cancelled all",
            change,
            cancellation,
            unwanted: "no route".into(),
        });
        for document in &mut conclusion.documents {
            document.body = pack(format!("{{\"seconds\":{seconds},\"content\":\"{content}\"}}").as_bytes());
        }
        conclusion
    }

    /// A report of order 42 that is stored, claimed and concluded.
    async fn reports(&self, store: &SharedStore, seconds: u64, content: &str) -> EnvelopeId {
        let envelope = self.arrive(store, "42", &format!("{seconds} {content}")).await;
        store.conclude(envelope, self.report(seconds, content), at(100)).await.unwrap();
        envelope
    }

    /// A change of order 42 without the order.
    async fn hints(&self, store: &SharedStore, seconds: u64, hold: u64) -> EnvelopeId {
        let mut record = self.record("42", &format!("hint {seconds}"), "hint");
        record.kind = "order_change".into();
        let id = record.id;
        store.append(self.arrival(vec![record])).await.unwrap();
        store.conclude(id, self.hint(seconds, hold), at(1)).await.unwrap();
        id
    }

    fn hint(&self, seconds: u64, hold: u64) -> Conclusion {
        let mut unknown = self.exception("42", None, "unknown");
        unknown.code = "order_not_found".into();
        let hint = Hint {
            updated_at: Some(at(seconds)),
            cancels: false,
            hold: Duration::from_secs(hold),
            unknown: Some(unknown),
            incomplete: Some(self.exception("42", None, "incomplete")),
            unwanted: "no route".into(),
            read: None,
        };
        Conclusion { hint: Some(hint), ..Conclusion::default() }
    }
}

/// Purpose and state of everything in the lane of order 42, oldest first.
async fn lane(store: &SharedStore) -> Vec<(String, String)> {
    let told = store.order("42".into()).await.unwrap().remove(0);
    told.deliveries.into_iter().map(|one| (one.delivery.purpose, one.delivery.state)).collect()
}

fn is(lane: &[(String, String)], wanted: &[(&str, &str)]) {
    let seen: Vec<(&str, &str)> = lane.iter().map(|(purpose, state)| (purpose.as_str(), state.as_str())).collect();
    assert_eq!(seen, wanted);
}

/// The delivery whose turn it is, applied.
async fn applies(store: &SharedStore) -> DeliveryId {
    let id = due(store).await[0].id;
    let started = start(store, id).await.unwrap();
    assert!(settle(store, started, delivered()).await);
    id
}

pub async fn lane_3_a_create_that_was_not_sealed_takes_the_newer_report_and_never_an_older_one(store: &SharedStore) {
    let maker = Maker::default();
    let first = maker.reports(store, 20, "b").await;
    let older = maker.reports(store, 10, "a").await;
    let newer = maker.reports(store, 30, "c").await;
    let same = maker.reports(store, 40, "c").await;
    let late = maker.reports(store, 35, "d").await;
    is(&lane(store).await, &[("order.create", "waiting")]);
    let mut states = Vec::new();
    for envelope in [first, older, newer, same, late] {
        states.push(state(store, envelope).await);
    }
    assert_eq!(states, ["superseded", "superseded", "received", "superseded", "superseded"]);
    applies(store).await;
    assert_eq!(ledger(store).await, Ledger { accepted: 5, done: 1, superseded: 4, ..Ledger::default() });
}

pub async fn lane_3_changes_wait_behind_the_create_and_the_newest_wins(store: &SharedStore) {
    let maker = Maker::default();
    maker.reports(store, 10, "a").await;
    let create = start(store, due(store).await[0].id).await.unwrap();
    let overtaken = maker.reports(store, 20, "b").await;
    maker.reports(store, 30, "c").await;
    is(
        &lane(store).await,
        &[("order.create", "in_flight"), ("order.change", "superseded"), ("order.change", "waiting")],
    );
    assert!(due(store).await.is_empty(), "lane_1");
    assert_eq!(state(store, overtaken).await, "superseded");
    settle(store, create, again()).await;
    assert_eq!(due(store).await[0].purpose, "order.create");
    applies(store).await;
    applies(store).await;
    assert!(due(store).await.is_empty());
    assert_eq!(ledger(store).await, Ledger { accepted: 3, done: 2, superseded: 1, ..Ledger::default() });
}

pub async fn lane_3_a_sealed_change_is_sent_before_the_newer_one(store: &SharedStore) {
    let maker = Maker::default();
    maker.reports(store, 10, "a").await;
    applies(store).await;
    maker.reports(store, 20, "b").await;
    let started = start(store, due(store).await[0].id).await.unwrap();
    maker.reports(store, 30, "c").await;
    settle(store, started, again()).await;
    let first = applies(store).await;
    assert_ne!(applies(store).await, first);
    is(
        &lane(store).await,
        &[("order.create", "delivered"), ("order.change", "delivered"), ("order.change", "delivered")],
    );
    ledger(store).await;
}

pub async fn lane_3_a_change_from_while_its_create_was_looked_for_gives_way_to_what_the_create_takes(
    store: &SharedStore,
) {
    let maker = Maker::default();
    maker.reports(store, 10, "a").await;
    let looking = look(store, due(store).await[0].id).await;
    let between = maker.reports(store, 20, "b").await;
    is(&lane(store).await, &[("order.create", "in_flight"), ("order.change", "waiting")]);
    settle(store, looking, on(Rung::Cleared, 0, 0)).await;
    let newest = maker.reports(store, 30, "c").await;
    is(&lane(store).await, &[("order.create", "waiting"), ("order.change", "superseded")]);
    let create = applies(store).await;
    assert_eq!(carried(store, create).await, revision(30, "c"));
    assert!(due(store).await.is_empty(), "nothing older follows");
    assert_eq!((state(store, between).await.as_str(), state(store, newest).await.as_str()), ("superseded", "done"));
    assert_eq!(ledger(store).await, Ledger { accepted: 3, done: 1, superseded: 2, ..Ledger::default() });
}

pub async fn lane_5_a_cancelled_create_is_never_sent_and_older_reports_do_not_bring_it_back(store: &SharedStore) {
    let maker = Maker::default();
    let created = maker.reports(store, 10, "cancelled some").await;
    let cancelled = maker.reports(store, 30, "cancelled all").await;
    let late = maker.reports(store, 20, "b").await;
    is(&lane(store).await, &[("order.create", "superseded"), ("order.cancel", "superseded")]);
    for envelope in [created, cancelled, late] {
        assert_eq!(state(store, envelope).await, "superseded");
    }
    assert!(due(store).await.is_empty());
    // Wanted after all, and nothing was ever sent: the same create takes its place again.
    let again = maker.reports(store, 40, "d").await;
    is(&lane(store).await, &[("order.create", "waiting"), ("order.cancel", "superseded")]);
    applies(store).await;
    assert_eq!(state(store, again).await, "done");
    assert_eq!(ledger(store).await, Ledger { accepted: 4, done: 1, superseded: 3, ..Ledger::default() });
}

/// Its record is there, or a job makes it, and what follows is not finished: that is neither doubt nor *never sent*.
pub async fn lane_5_an_order_that_is_there_and_unfinished_is_cancelled_by_what_follows(store: &SharedStore) {
    let maker = Maker::default();
    maker.reports(store, 10, "a").await;
    let create = due(store).await[0].id;
    let started = start(store, create).await.unwrap();
    let there = |found: &str| Some(Progress { stage: Stage::Made, found: found.into(), ..Progress::default() });
    let exception = || Box::new(maker.exception("42", Some("erp"), "it is there, but confirm: answered 422"));
    let parked = NextState::Parked { exception: exception(), uncertain: false };
    settle_so_far(store, started, parked, there(r#"{"id":7}"#)).await;
    // KEY-7: nobody replaces what is there, and dismissing is no way to forget it.
    let document = maker.document("erp");
    let successor = maker.successor(&document, key("42", "erp", "order.create", "", 1), "order.create", "", 1);
    let verdict = Verdict::Replace { document, delivery: successor };
    let replaced = Decision { delivery: create, verdict, act: super::build::act("delivery.decide") };
    assert!(matches!(store.decide(replaced).await, Err(StoreError::NotAllowed(_))));
    let cancelled = maker.reports(store, 20, "cancelled all").await;
    is(&lane(store).await, &[("order.create", "parked"), ("order.cancel", "waiting")]);
    // Given up is what was left to do; the cancellation goes where the order is.
    let verdict = Verdict::Abandon { reason: "confirmed by hand".into() };
    store.decide(Decision { delivery: create, verdict, act: super::build::act("delivery.decide") }).await.unwrap();
    is(&lane(store).await, &[("order.create", "abandoned"), ("order.cancel", "waiting")]);
    applies(store).await;
    assert_eq!(state(store, cancelled).await, "done");
    assert_eq!(ledger(store).await.difference(), 0);
}

/// A create that stands parked, its record taken there to be made by a job.
async fn with_a_job(store: &SharedStore, maker: &Maker, number: &str, making: Making) -> DeliveryId {
    let create = due(store).await.into_iter().find(|due| due.subject.id == number).unwrap().id;
    let started = start(store, create).await.unwrap();
    let progress = Progress { stage: Stage::Made, making, found: r#"{"job":7}"#.into() };
    let exception = Box::new(maker.exception(number, Some("erp"), "the job made nothing"));
    settle_so_far(store, started, NextState::Parked { exception, uncertain: false }, Some(progress)).await;
    create
}

/// KEY-7: another request takes the place only of one that does nothing any more.
pub async fn key_7_what_a_job_makes_is_not_replaced_and_what_it_did_not_make_is(store: &SharedStore) {
    let maker = Maker::default();
    for (number, making, allowed) in
        [("1", Making::Done, false), ("2", Making::Awaited, false), ("3", Making::Spent, true)]
    {
        maker.waiting(store, number).await;
        let create = with_a_job(store, &maker, number, making).await;
        let (_, row) = store.delivery_origin(create).await.unwrap().unwrap();
        assert_eq!((row.progress.making, row.progress.is_there()), (making, !allowed));
        let document = maker.document("erp");
        let successor = maker.successor(&document, key(number, "erp", "order.create", "", 1), "order.create", "", 1);
        let verdict = Verdict::Replace { document, delivery: successor };
        let replaced =
            store.decide(Decision { delivery: create, verdict, act: super::build::act("delivery.decide") }).await;
        assert_eq!(replaced.is_ok(), allowed, "{making:?}: {replaced:?}");
    }
}

pub async fn lane_5_an_order_that_a_job_did_not_make_is_never_sent_again(store: &SharedStore) {
    let maker = Maker::default();
    maker.reports(store, 10, "a").await;
    with_a_job(store, &maker, "42", Making::Spent).await;
    let cancelled = maker.reports(store, 20, "cancelled all").await;
    is(&lane(store).await, &[("order.create", "superseded")]);
    assert_eq!(state(store, cancelled).await, "superseded");
    assert!(due(store).await.is_empty());
}

pub async fn lane_5_a_create_in_doubt_is_not_withdrawn(store: &SharedStore) {
    let maker = Maker::default();
    maker.reports(store, 10, "a").await;
    let started = start(store, due(store).await[0].id).await.unwrap();
    settle(store, started, again()).await;
    maker.reports(store, 20, "cancelled all").await;
    is(&lane(store).await, &[("order.create", "waiting"), ("order.cancel", "waiting")]);
    applies(store).await;
    applies(store).await;
    assert_eq!(ledger(store).await.done, 2);
}

pub async fn lane_4_a_held_change_is_due_and_shows_up_with_its_order_or_in_time(store: &SharedStore) {
    let maker = Maker::default();
    let hint = maker.hints(store, 5, 900).await;
    assert_eq!(state(store, hint).await, "received");
    assert_eq!(ledger(store).await, Ledger { accepted: 1, due: 1, ..Ledger::default() });
    assert!(store.claim_envelopes(9).await.unwrap().is_empty(), "its time has not come");
    let asked = maker.hints(store, 4, 0).await;
    assert_eq!(state(store, asked).await, "exception", "it waited long enough");
    maker.reports(store, 5, "a").await;
    for waits in [hint, asked] {
        assert_eq!(state(store, waits).await, "received", "its order came");
        let again: Vec<EnvelopeId> = store.claim_envelopes(9).await.unwrap().into_iter().map(|one| one.id).collect();
        assert_eq!(again, [waits]);
        store.conclude(waits, maker.hint(5, 900), at(2_001)).await.unwrap();
        assert_eq!(state(store, waits).await, "superseded", "the order says as much");
    }
    assert_eq!(ledger(store).await, Ledger { accepted: 3, due: 1, superseded: 2, ..Ledger::default() });
}

pub async fn lane_4_a_held_change_keeps_nobody_waiting(store: &SharedStore) {
    let maker = Maker::default();
    maker.hints(store, 50, 900).await;
    let envelope = maker.arrive(store, "42", "e").await;
    store.conclude(envelope, maker.report(10, "a"), at(2)).await.unwrap();
    assert_eq!(due(store).await.len(), 1);
    // It says something newer than the order that came: a person is asked.
    let claimed = store.claim_envelopes(9).await.unwrap();
    store.conclude(claimed[0].id, maker.hint(50, 900), at(3)).await.unwrap();
    assert_eq!(state(store, claimed[0].id).await, "exception");
    ledger(store).await;
}

/// Parks the head of the lane.
async fn parks(store: &SharedStore, maker: &Maker, uncertain: bool) -> DeliveryId {
    let id = due(store).await[0].id;
    let started = start(store, id).await.unwrap();
    let exception = Box::new(maker.exception("42", Some("erp"), "refused"));
    settle(store, started, NextState::Parked { exception, uncertain }).await;
    id
}

/// An effect of order 42 that may overtake.
async fn comments(store: &SharedStore, maker: &Maker, number: &str, overtakes: bool) -> DeliveryId {
    let envelope = maker.arrive(store, "42", number).await;
    let mut conclusion = Conclusion::default();
    maker.intend(&mut conclusion, "erp", key("42", "erp", "comment", number, 0), "comment", number);
    conclusion.deliveries[0].overtakes = overtakes;
    let id = conclusion.deliveries[0].id;
    store.conclude(envelope, conclusion, at(2)).await.unwrap();
    id
}

pub async fn lane_2_a_parked_head_lets_pass_what_may_overtake(store: &SharedStore) {
    let maker = Maker::default();
    maker.waiting(store, "42").await;
    let waits = comments(store, &maker, "c1", false).await;
    let before = comments(store, &maker, "c2", true).await;
    let parked = parks(store, &maker, false).await;
    let after = comments(store, &maker, "c3", true).await;
    assert_eq!(applies(store).await, before);
    assert_eq!(applies(store).await, after);
    assert!(due(store).await.is_empty(), "the lane is closed for what holds");
    let verdict = Verdict::Retry { due_at: at(5) };
    store.decide(Decision { delivery: parked, verdict, act: super::build::act("retry") }).await.unwrap();
    assert_eq!(applies(store).await, parked);
    assert_eq!(applies(store).await, waits);
    ledger(store).await;
}

pub async fn lane_2_what_overtakes_keeps_lane_1_and_gives_the_place_back(store: &SharedStore) {
    let maker = Maker::default();
    maker.waiting(store, "42").await;
    let parked = parks(store, &maker, false).await;
    let comment = comments(store, &maker, "c1", true).await;
    let other = comments(store, &maker, "c2", true).await;
    let started = start(store, comment).await.unwrap();
    assert!(start(store, other).await.is_none(), "lane_1");
    let retry =
        || Decision { delivery: parked, verdict: Verdict::Retry { due_at: at(5) }, act: super::build::act("retry") };
    store.decide(retry()).await.unwrap();
    assert!(start(store, parked).await.is_none(), "lane_1");
    assert!(matches!(store.decide(retry()).await, Err(StoreError::NotAllowed(_))));
    settle(store, started, delivered()).await;
    assert_eq!(applies(store).await, parked);
    assert_eq!(applies(store).await, other);
    ledger(store).await;
}

pub async fn lane_2_a_replacement_takes_its_place_before_what_overtook_it(store: &SharedStore) {
    let maker = Maker::default();
    maker.waiting(store, "42").await;
    let parked = parks(store, &maker, false).await;
    let comment = comments(store, &maker, "c1", true).await;
    let document = maker.document("erp");
    let key = super::build::create_key("42", "erp", 1);
    let delivery = maker.successor(&document, key, "order.create", "", 1);
    let successor = delivery.id;
    let verdict = Verdict::Replace { document, delivery };
    store.decide(Decision { delivery: parked, verdict, act: super::build::act("replace") }).await.unwrap();
    assert_eq!(applies(store).await, successor);
    assert_eq!(applies(store).await, comment);
    ledger(store).await;
}

pub async fn unc_1_nothing_overtakes_a_head_in_doubt(store: &SharedStore) {
    let maker = Maker::default();
    maker.waiting(store, "42").await;
    let parked = parks(store, &maker, true).await;
    comments(store, &maker, "c1", true).await;
    assert!(due(store).await.is_empty());
    assert_eq!(delivery_state(store, parked).await, "parked");
    ledger(store).await;
}

/// The create takes what the change said before it gave way; that this was said earlier too makes it no older.
pub async fn lane_3_a_change_that_gave_way_makes_the_create_that_says_the_same_no_older(store: &SharedStore) {
    use Step::{Look, Report};
    lane_3_holds(store, &[Look(0, 0), Look(0, 2), Report(1, 0), Report(5, 2), Report(0, 1)]).await;
}

/// What the create took is of the same second as the change that gave way, and newer; the change's content then returns.
pub async fn lane_3_what_a_change_said_that_gave_way_is_news_when_it_returns(store: &SharedStore) {
    use Step::{Look, Report};
    lane_3_holds(store, &[Report(2, 3), Look(3, 2), Report(3, 3), Report(5, 2)]).await;
}

/// One step of a lane's history.
#[derive(Clone, Copy, Debug)]
pub enum Step {
    /// A report as of so many seconds after noon, with this content.
    Report(u64, u8),
    /// The head is sent, and applied or not.
    Send(bool),
    /// The same as a report while a head that was never sent is looked for, and not there.
    Look(u64, u8),
}

/// Whatever the order of reports and attempts: what is applied gets strictly newer, and ends with the newest content.
pub async fn lane_3_holds(store: &SharedStore, steps: &[Step]) {
    let maker = Maker::default();
    let (mut said, mut newest, mut applied) = (Vec::new(), None::<Revision>, Vec::new());
    for (index, step) in steps.iter().enumerate() {
        let looking = match step {
            Step::Look(..) => look_for_unsealed(store).await,
            Step::Report(..) | Step::Send(_) => None,
        };
        match *step {
            // The very same report is a duplicate, which the dedup keys keep from coming here.
            Step::Report(seconds, content) | Step::Look(seconds, content) if !said.contains(&(seconds, content)) => {
                said.push((seconds, content));
                let report = revision(seconds, &content.to_string());
                let envelope = maker.arrive(store, "42", &index.to_string()).await;
                store.conclude(envelope, maker.report(seconds, &content.to_string()), at(100)).await.unwrap();
                newest = Some(match newest {
                    Some(newest) if report.standing(&newest) == Standing::Older => newest,
                    Some(newest) if report.standing(&newest) == Standing::Same => {
                        Revision { updated_at: newest.updated_at.max(report.updated_at), ..newest }
                    }
                    _ => report,
                });
            }
            Step::Report(..) | Step::Look(..) => {}
            Step::Send(works) => send(store, works, &mut applied).await,
        }
        if let Some(looking) = looking {
            settle(store, looking, on(Rung::Cleared, 0, 0)).await;
        }
        ledger(store).await;
    }
    while !due(store).await.is_empty() {
        send(store, true, &mut applied).await;
    }
    for pair in applied.windows(2) {
        assert_eq!(pair[1].standing(&pair[0]), Standing::Newer, "{steps:?}: {applied:?}");
    }
    assert_eq!(applied.last().map(|last| last.content), newest.map(|newest| newest.content), "{steps:?}");
}

async fn look_for_unsealed(store: &SharedStore) -> Option<StartedAttempt> {
    let head = due(store).await.into_iter().next().filter(|head| head.sealed.is_none())?;
    Some(look(store, head.id).await)
}

async fn send(store: &SharedStore, works: bool, applied: &mut Vec<Revision>) {
    let Some(id) = due(store).await.first().map(|due| due.id) else { return };
    let started = start(store, id).await.unwrap();
    settle(store, started, if works { delivered() } else { again() }).await;
    if works {
        applied.push(carried(store, id).await);
    }
}

/// What a delivery says.
async fn carried(store: &SharedStore, id: DeliveryId) -> Revision {
    let row = store.delivery(id).await.unwrap().unwrap().delivery;
    let document = store.document(row.document_id).await.unwrap().unwrap();
    let body = document.body.unwrap();
    let (seconds, content) = (body["seconds"].as_u64().unwrap(), body["content"].as_str().unwrap().to_owned());
    revision(seconds, &content)
}

/// Nothing of it is sealed here, and yet its first document may be what the destination has.
pub async fn bak_3_a_create_that_may_have_been_sent_before_a_restore_keeps_its_document(store: &SharedStore) {
    let maker = Maker::default();
    maker.reports(store, 10, "a").await;
    let create = due(store).await[0].clone();
    let look = AttemptStart { seal: None, purpose: AttemptPurpose::Find, ..start_of(&create) };
    let marked = store.start_attempts(vec![look]).await.unwrap().remove(0);
    let ladder = Ladder::at(Rung::Restored);
    settle(store, marked, NextState::Waiting { due_at: at(5), uncertain: true, counts: false, ladder }).await;
    maker.reports(store, 20, "b").await;
    is(&lane(store).await, &[("order.create", "waiting"), ("order.change", "waiting")]);
    assert_eq!(due(store).await[0].document_id, create.document_id);
    maker.reports(store, 30, "cancelled all").await;
    let states = [("order.create", "waiting"), ("order.change", "superseded"), ("order.cancel", "waiting")];
    is(&lane(store).await, &states);
    applies(store).await;
    applies(store).await;
    assert_eq!(ledger(store).await, Ledger { accepted: 3, done: 2, superseded: 1, ..Ledger::default() });
}

/// At a destination that makes what it does not find, a change would make the order that was given up.
pub async fn lane_5_what_waits_behind_a_create_that_is_given_up_is_never_sent(store: &SharedStore) {
    let maker = Maker::default();
    maker.reports(store, 10, "a").await;
    let create = due(store).await[0].id;
    let started = start(store, create).await.unwrap();
    let changed = maker.reports(store, 20, "b").await;
    let exception = Box::new(maker.exception("42", Some("erp"), "refused"));
    settle(store, started, NextState::Parked { exception, uncertain: false }).await;
    let verdict = Verdict::Abandon { reason: "a test order".into() };
    let decision = Decision { delivery: create, verdict, act: super::build::act("delivery.decide") };
    store.decide(decision).await.unwrap();
    is(&lane(store).await, &[("order.create", "abandoned"), ("order.change", "superseded")]);
    assert_eq!(state(store, changed).await, "superseded");
    assert!(due(store).await.is_empty());
    ledger(store).await;
    assert!(store.silent_envelopes(0, 9).await.unwrap().silent.is_empty());
}

/// It has a time of its own, so nobody is alarmed about it.
pub async fn p6_a_held_change_is_not_silent(store: &SharedStore) {
    let maker = Maker::default();
    maker.hints(store, 5, 900).await;
    let looked = store.silent_envelopes(0, 9).await.unwrap();
    assert_eq!((looked.looked_at, looked.silent), (1, Vec::new()));
}
