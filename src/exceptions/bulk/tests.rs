//! Acts on many records over a real store, with a clock that is moved by hand.

#![allow(clippy::unwrap_used, reason = "test code: a panic is the report")]

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use tempfile::TempDir;

use super::asking::{self, AskError, Asked, Listed, Said};
use super::filter::Filter;
use super::running::{Pace, Runner};
use super::{MEMBERS_MAX, REPLAY, RESEND, Settings};
use crate::clock::{Clock as _, ManualClock, SeededEntropy, SharedEntropy, later};
use crate::domain::due::DueTimes;
use crate::domain::policy::Policies;
use crate::envelope::ids::{BulkId, DeliveryId};
use crate::exceptions::replay::Desk;
use crate::observe::{Metrics, Observer};
use crate::processor::Processor;
use crate::processor::rules::Rules;
use crate::store::bulk::{BulkMember, BulkRow};
use crate::store::contract::build::{Maker, act, at, delivered, order, settle, start};
use crate::store::sqlite::{Options, SqliteStore};
use crate::store::view::Paging;
use crate::store::write::{Act, Conclusion, Erasure};
use crate::store::{DeliveryFilter, SharedStore, StoreError};

struct Rig {
    store: SharedStore,
    clock: Arc<ManualClock>,
    entropy: SharedEntropy,
    maker: Maker,
    settings: Settings,
    runner: Runner,
    _dir: TempDir,
}

impl Rig {
    fn new() -> Rig {
        let dir = tempfile::tempdir().unwrap();
        let clock = Arc::new(ManualClock::new(at(60)));
        let options = Options { settle_wait: Duration::ZERO, ..Options::new(dir.path().join("crossdock.db"), true) };
        let store: SharedStore = Arc::new(SqliteStore::open(options, clock.clone()).unwrap());
        let entropy: SharedEntropy = Arc::new(SeededEntropy::new(9));
        let runner = runner(&store, &clock, &entropy);
        let settings = Settings::default();
        Rig { store, clock, entropy, maker: Maker::default(), settings, runner, _dir: dir }
    }

    async fn delivered(&self, number: &str) -> DeliveryId {
        let (_, delivery) = self.maker.waiting(&self.store, number).await;
        let started = start(&self.store, delivery).await.unwrap();
        settle(&self.store, started, delivered()).await;
        delivery
    }

    async fn list(&self, what: &str, filter: &Filter) -> Result<Listed, AskError> {
        asking::list(self.store.as_ref(), what, filter, (&DueTimes::default(), self.clock.now(), "user:anna")).await
    }

    async fn try_ask(&self, what: &str, filter: Filter, per_minute: u32) -> Result<BulkRow, AskError> {
        let listed = self.list(what, &filter).await?;
        let count = Some(u64::try_from(listed.targets.count()).unwrap());
        let act = Act { actor: "user:anna".into(), at: self.clock.now(), ..act(&format!("bulk.{what}")) };
        let asked = Asked { filter, per_minute: Some(per_minute), count, act };
        asking::ask(self.store.as_ref(), self.entropy.as_ref(), &self.settings, listed, asked).await
    }

    async fn ask(&self, what: &str, filter: Filter, per_minute: u32) -> BulkId {
        self.try_ask(what, filter, per_minute).await.unwrap().id
    }

    async fn say(&self, bulk: BulkId, actor: &str, said: Said) -> Result<BulkRow, StoreError> {
        let act = Act { actor: actor.into(), at: self.clock.now(), ..act(said.action()) };
        asking::rule(self.store.as_ref(), &self.settings, bulk, said, act).await
    }

    async fn row(&self, bulk: BulkId) -> BulkRow {
        self.store.bulk(bulk).await.unwrap().unwrap()
    }

    async fn members(&self, bulk: BulkId) -> Vec<BulkMember> {
        self.store.bulk_members(bulk, None, Paging::default()).await.unwrap().items
    }

    async fn second_effects(&self) -> usize {
        let page = self.store.deliveries(DeliveryFilter::default(), Paging { limit: 200, cursor: None }).await.unwrap();
        page.items.iter().filter(|row| row.purpose == "resend").count()
    }

    /// Passes for a while, ten a second; how many members of each act were over at the end of each second.
    async fn seconds(&mut self, seconds: u64, acts: &[BulkId]) -> Vec<Vec<u64>> {
        let mut seen = Vec::new();
        for _ in 0..seconds {
            for _ in 0..10 {
                self.runner.pass().await.unwrap();
                self.clock.advance(Duration::from_millis(100));
            }
            let mut over = Vec::new();
            for act in acts {
                let row = self.row(*act).await;
                over.push(row.acted + row.skipped);
            }
            seen.push(over);
        }
        seen
    }
}

fn runner(store: &SharedStore, clock: &Arc<ManualClock>, entropy: &SharedEntropy) -> Runner {
    let rules = Rules {
        config_version: "c1".into(),
        origins: BTreeMap::default(),
        routes: Arc::default(),
        policies: Policies::default(),
        destination_policies: BTreeMap::default(),
        mappings: Arc::default(),
    };
    let processor = Arc::new(Processor::new(store.clone(), clock.clone(), entropy.clone(), rules));
    let desk = Desk {
        store: store.clone(),
        processor,
        clock: clock.clone(),
        wake: Arc::new(|| {}),
        render: Arc::new(|_| None),
    };
    let observer = Arc::new(Observer::new(Metrics::new()));
    Runner { desk, entropy: entropy.clone(), observer, pace: Pace::default() }
}

fn since_noon() -> Filter {
    Filter { since: Some(at(0)), ..Filter::default() }
}

fn numbers(numbers: &[&str]) -> Filter {
    Filter { increment_ids: numbers.iter().map(|&number| number.to_owned()).collect(), ..Filter::default() }
}

#[tokio::test]
async fn key_3_c_nothing_goes_before_its_time_and_then_no_faster_than_its_rate() {
    let mut rig = Rig::new();
    for number in ["1", "2", "3", "4"] {
        rig.delivered(number).await;
    }
    let slow = rig.ask(RESEND, numbers(&["1", "2"]), 20).await;
    let quick = rig.ask(RESEND, numbers(&["3", "4"]), 60).await;
    let before = rig.seconds(30, &[slow, quick]).await;
    assert!(before.iter().all(|over| over == &[0, 0]), "the undo window is thirty seconds: {before:?}");
    assert_eq!(rig.second_effects().await, 0);
    let after = rig.seconds(5, &[slow, quick]).await;
    assert_eq!(after, [[1, 1], [1, 2], [1, 2], [2, 2], [2, 2]], "one every three seconds, and one a second");
    assert_eq!((rig.row(slow).await.state, rig.second_effects().await), ("done".to_owned(), 4));
    assert_eq!(rig.runner.pass().await.unwrap(), None, "nothing is left to come back for");
    for member in rig.members(slow).await {
        assert_eq!((member.state.as_str(), member.result.as_deref()), ("acted", Some("resent")));
        let made = rig.store.delivery(member.made.unwrap()).await.unwrap().unwrap().delivery;
        assert_eq!((made.purpose.as_str(), made.subject_id), ("resend", member.subject.increment_id));
    }
    let audit = rig.store.audit(Paging::default()).await.unwrap().items;
    let made: Vec<_> = audit.iter().filter(|row| row.action == "delivery.resend").collect();
    assert_eq!(made.len(), 4, "api_5: every member's effect has a row of its own");
    assert!(made.iter().all(|row| row.actor == "user:anna" && row.from.starts_with("bulk blk_")), "{made:?}");
}

#[tokio::test]
async fn api_2_a_new_process_goes_on_with_the_first_member_that_is_not_marked() {
    let mut rig = Rig::new();
    for number in ["1", "2", "3"] {
        rig.delivered(number).await;
    }
    let bulk = rig.ask(RESEND, since_noon(), 60).await;
    rig.clock.advance(Duration::from_secs(30));
    rig.runner.pass().await.unwrap();
    // Cut off after the second member's turn came.
    rig.store.take_turn(bulk, rig.clock.now()).await.unwrap().unwrap();
    rig.runner = runner(&rig.store, &rig.clock, &rig.entropy);
    rig.store.count_deaths().await.unwrap();
    rig.seconds(3, &[bulk]).await;
    let row = rig.row(bulk).await;
    assert_eq!((row.state.as_str(), row.acted, rig.second_effects().await), ("done", 3, 3));
}

#[tokio::test]
async fn poi_1_a_member_over_which_the_service_ended_again_and_again_is_left_to_a_person() {
    let mut rig = Rig::new();
    for number in ["1", "2"] {
        rig.delivered(number).await;
    }
    let bulk = rig.ask(RESEND, since_noon(), 60).await;
    rig.clock.advance(Duration::from_secs(30));
    for _ in 0..3 {
        rig.store.take_turn(bulk, rig.clock.now()).await.unwrap().unwrap();
        rig.store.count_deaths().await.unwrap();
    }
    rig.seconds(2, &[bulk]).await;
    let members = rig.members(bulk).await;
    assert_eq!(members.iter().map(|member| member.state.as_str()).collect::<Vec<_>>(), ["skipped", "acted"]);
    assert!(members[0].explanation.contains("ended 3 times"), "{}", members[0].explanation);
}

#[tokio::test]
async fn members_that_changed_meanwhile_are_skipped_with_the_reason_and_the_others_go() {
    let mut rig = Rig::new();
    let kept = rig.delivered("1").await;
    rig.delivered("2").await;
    rig.delivered("3").await;
    let bulk = rig.ask(RESEND, since_noon(), 600).await;
    let erasure = Erasure {
        kind: "order".into(),
        id: "2".into(),
        system: None,
        scope: None,
        until: at(500),
        even_if_open: false,
        now: at(61),
        act: Some(act("erase")),
    };
    rig.store.erase(erasure).await.unwrap();
    // The first is being sent a second time already, on somebody's word.
    let alone = Act { at: at(61), ..act("delivery.resend") };
    crate::exceptions::resend::resend(rig.store.as_ref(), &SeededEntropy::new(3), kept, "1", alone).await.unwrap();
    rig.clock.advance(Duration::from_secs(30));
    rig.seconds(1, &[bulk]).await;
    let members = rig.members(bulk).await;
    let states: Vec<_> = members.iter().map(|member| member.state.as_str()).collect();
    assert_eq!(states, ["skipped", "skipped", "acted"]);
    assert!(members[0].explanation.contains("second time already"), "{}", members[0].explanation);
    assert!(members[1].explanation.contains("was erased"), "{}", members[1].explanation);
    assert_eq!((rig.row(bulk).await.skipped, rig.second_effects().await), (2, 2));

    // Exceptions: one is dismissed meanwhile, one still waits after its replay.
    for number in ["4", "5"] {
        let envelope = rig.maker.arrive(&rig.store, number, &format!("event of {number}")).await;
        rig.store.conclude(envelope, rig.maker.complain(number, Some("erp"), "cause"), at(1)).await.unwrap();
    }
    let replay = rig.ask(REPLAY, Filter { code: Some("unmapped_sku".into()), ..Filter::default() }, 600).await;
    let first = rig.members(replay).await[0].exception_id.unwrap();
    let step = crate::exceptions::handling::dismiss("a test order").unwrap();
    let handling = crate::store::cases::Handling { exception: first, step, act: act("exception.dismiss") };
    rig.store.handle(handling).await.unwrap();
    rig.clock.advance(Duration::from_secs(30));
    rig.seconds(1, &[replay]).await;
    let members = rig.members(replay).await;
    assert!(members[0].state == "skipped" && members[0].explanation.contains("already dismissed"), "{members:?}");
    assert_eq!((members[1].state.as_str(), members[1].result.as_deref()), ("acted", Some("still_parked")));
    let row = rig.row(replay).await;
    assert_eq!((row.state.as_str(), row.acted, row.still_parked, row.skipped), ("done", 1, 1, 1));
}

#[tokio::test]
async fn above_the_threshold_a_second_person_approves_and_nobody_approves_twice() {
    let mut rig = Rig::new();
    rig.settings = Settings { approve_above: 1, ..Settings::default() };
    for number in ["1", "2"] {
        rig.delivered(number).await;
    }
    let bulk = rig.ask(RESEND, since_noon(), 600).await;
    assert_eq!(rig.row(bulk).await.state, "awaiting_approval");
    let after = rig.seconds(40, &[bulk]).await;
    assert_eq!(after.last().unwrap(), &[0], "however long it waits");
    for same in ["user:anna", "token:Anna", "cli:anna"] {
        let refused = rig.say(bulk, same, Said::Approve).await.unwrap_err().to_string();
        assert!(refused.contains("it takes a second person"), "{refused}");
        assert!(rig.say(bulk, same, Said::Refuse).await.is_err());
    }
    let (one, other) =
        tokio::join!(rig.say(bulk, "user:ben", Said::Approve), rig.say(bulk, "user:carl", Said::Approve));
    assert!(one.is_ok() != other.is_ok(), "{one:?} {other:?}");
    let row = rig.row(bulk).await;
    assert_eq!(row.begins_at, Some(later(rig.clock.now(), rig.settings.undo)), "the window begins with the approval");
    let before = rig.seconds(30, &[bulk]).await;
    assert_eq!(before.last().unwrap(), &[0]);
    assert_eq!(rig.seconds(1, &[bulk]).await, [[2]]);
    // An act of one goes without.
    assert_eq!(rig.try_ask(RESEND, numbers(&["1"]), 600).await.unwrap().state, "waiting");
}

#[tokio::test]
async fn what_is_undone_has_no_effect_and_what_is_stopped_goes_no_further() {
    let mut rig = Rig::new();
    for number in ["1", "2", "3"] {
        rig.delivered(number).await;
    }
    let undone = rig.ask(RESEND, since_noon(), 60).await;
    assert_eq!(rig.say(undone, "user:anna", Said::Undo).await.unwrap().state, "undone");
    rig.seconds(40, &[undone]).await;
    assert_eq!(rig.second_effects().await, 0);
    let stopped = rig.ask(RESEND, since_noon(), 60).await;
    rig.clock.advance(Duration::from_secs(30));
    assert_eq!(rig.seconds(2, &[stopped]).await, [[1], [2]]);
    assert_eq!(rig.say(stopped, "user:ben", Said::Stop).await.unwrap().left, 1);
    assert_eq!(rig.seconds(5, &[stopped]).await.last().unwrap(), &[2]);
    assert_eq!(rig.second_effects().await, 2);
    let states: Vec<_> = rig.members(stopped).await.into_iter().map(|member| member.state).collect();
    assert_eq!(states, ["acted", "acted", "left"]);
}

#[tokio::test]
async fn what_is_missing_is_told_and_the_list_must_be_the_one_that_was_seen() {
    let rig = Rig::new();
    rig.delivered("1").await;
    let listed = rig.list(RESEND, &since_noon()).await.unwrap();
    assert_eq!((listed.at_destination, listed.destinations.get("erp")), (1, Some(&1)));
    let act = Act { actor: "user:anna".into(), reason: " ".into(), ..act("bulk.resend") };
    let asked = |count, per_minute| Asked { filter: since_noon(), per_minute, count, act: act.clone() };
    for (count, per_minute, wrong) in [
        (Some(1), None, vec!["reason"]),
        (None, None, vec!["reason", "count"]),
        (Some(2), Some(0), vec!["per_minute", "reason", "count"]),
    ] {
        let asked = asked(count, per_minute);
        let answer = asking::ask(rig.store.as_ref(), rig.entropy.as_ref(), &rig.settings, listed.clone(), asked)
            .await
            .unwrap_err();
        let AskError::Findings(findings) = answer else { panic!("{answer}") };
        assert_eq!(findings.iter().map(|finding| finding.member).collect::<Vec<_>>(), wrong);
    }
    let nothing = rig.try_ask(RESEND, numbers(&["404"]), 60).await.unwrap_err().to_string();
    assert!(nothing.contains("nothing is meant"), "{nothing}");
    assert!(rig.store.bulks(None, Paging::default()).await.unwrap().items.is_empty());
}

/// Writes so many parked orders down, a thousand a request.
async fn park(rig: &Rig, from: usize, to: usize) {
    for chunk in (from..to).collect::<Vec<_>>().chunks(1_000) {
        let record = |number: &usize| {
            let number = format!("{number:09}");
            let mut record = rig.maker.record(&number, &format!("event of {number}"), &number);
            record.subject = order(&number);
            record.conclusion = Some(Conclusion { ..rig.maker.complain(&number, Some("erp"), "cause") });
            record
        };
        rig.store.append(rig.maker.arrival(chunk.iter().map(record).collect())).await.unwrap();
    }
}

#[tokio::test]
async fn ten_thousand_members_are_one_act_and_one_more_is_too_many() {
    let rig = Rig::new();
    park(&rig, 0, MEMBERS_MAX).await;
    let listed = rig.list(REPLAY, &Filter::default()).await.unwrap();
    assert_eq!((listed.targets.count(), listed.exceptions.len()), (MEMBERS_MAX, asking::SAMPLE));
    assert_eq!(listed.exceptions[0].subject.increment_id, "000000000", "the oldest first");
    let row = rig.try_ask(REPLAY, Filter::default(), 1_200).await.unwrap();
    assert_eq!((row.state.as_str(), row.total), ("awaiting_approval", 10_000));
    let page = rig.store.bulk_members(row.id, None, Paging { limit: 200, cursor: None }).await.unwrap();
    assert_eq!(page.items.len(), 200);
    assert_eq!((page.items[199].number, page.items[199].subject.increment_id.as_str()), (200, "000000199"));
    assert!(page.next_cursor.is_some());
    park(&rig, MEMBERS_MAX, MEMBERS_MAX + 1).await;
    let refused = rig.list(REPLAY, &Filter::default()).await.unwrap_err().to_string();
    assert!(refused.contains("more than 10000"), "{refused}");
    let narrowed = Filter { increment_ids: vec!["000010000".into()], ..Filter::default() };
    assert_eq!(rig.list(REPLAY, &narrowed).await.unwrap().targets.count(), 1);
}
