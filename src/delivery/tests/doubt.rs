//! Finding out whether a request took effect: the ladder of delivery-semantics section 9 on real sockets.

use std::sync::Arc;
use std::time::Duration;

use super::rig::{Ears, KEY, Rig, open, settings, start, within};
use crate::clock::ManualClock;
use crate::destinations::double::{Double, Play, Seen};
use crate::destinations::{self, ExistsRule, FindSettings, Guard};
use crate::envelope::keys::{IdempotencyKey, KeyParts};
use crate::store::contract::build::{Maker, act, at, create_key, key, start_of};
use crate::store::view::Paging;
use crate::store::write::{Conclusion, Decision, Verdict};
use crate::store::{ExceptionFilter, copies};

/// A destination that can be asked at `/orders?ref=`, a minute after what it may have taken.
fn asks(one: &mut destinations::Settings, guard: Guard, first: bool) {
    one.guard = guard;
    one.find = Some(FindSettings {
        id: Some("/items/0/id".into()),
        // The document of these tests has no order number: its delivery is known by its key.
        value: "{{ key }}".into(),
        first,
        ..FindSettings::new(&format!("{}?ref={{{{ key }}}}", one.url), "/items/0/reference")
    });
}

async fn rig(guard: Guard, first: bool) -> Rig {
    Rig::new(|one| asks(one, guard, first)).await
}

fn nothing() -> Play {
    Play::answer(200, &[("content-type", "application/json")], "{\"items\":[]}")
}

/// What is there, under the key of this order.
fn there(number: &str, ids: &[&str]) -> Play {
    let key = create_key(number, "erp", 0);
    let items: Vec<String> =
        ids.iter().map(|id| format!("{{\"id\":\"{id}\",\"reference\":\"{}\"}}", key.as_str())).collect();
    Play::answer(200, &[("content-type", "application/json")], &format!("{{\"items\":[{}]}}", items.join(",")))
}

fn methods(seen: &[Seen]) -> Vec<&str> {
    seen.iter().map(|seen| seen.head.split(' ').next().unwrap_or_default()).collect()
}

async fn purposes(rig: &Rig, delivery: crate::envelope::ids::DeliveryId) -> Vec<(String, String)> {
    let made = rig.row(delivery).await.attempts_made;
    made.into_iter().map(|made| (made.purpose, made.outcome.unwrap_or_default())).collect()
}

fn pairs(expected: &[(&str, &str)]) -> Vec<(String, String)> {
    expected.iter().map(|(purpose, outcome)| ((*purpose).to_owned(), (*outcome).to_owned())).collect()
}

#[tokio::test]
async fn unc_4_absent_twice_after_a_lost_request_and_the_sealed_bytes_go_again() {
    let rig = rig(Guard::Find, false).await;
    rig.erp().play([Play::CloseAfterReading, nothing(), nothing()]);
    let delivery = rig.order("000000042").await;
    rig.finished(1).await;
    let row = rig.row(delivery).await.delivery;
    assert_eq!((row.state.as_str(), row.uncertain), ("waiting", true));
    rig.pass(59);
    rig.settle_down().await;
    assert_eq!(rig.erp().seen().len(), 1, "it has a minute to show");
    rig.pass(2);
    rig.finished(2).await;
    rig.settle_down().await;
    assert_eq!(rig.erp().seen().len(), 2, "one look is not enough");
    rig.pass(61);
    rig.finished(4).await;
    let seen = rig.erp().seen();
    assert_eq!(methods(&seen), ["POST", "GET", "GET", "POST"]);
    assert_eq!(seen[3].body, seen[0].body, "KEY-5");
    assert_eq!(seen[3].header("idempotency-key"), seen[0].header("idempotency-key"));
    assert!(seen[1].body.is_empty() && seen[1].header("idempotency-key").is_none());
    let expected = [("send", "uncertain"), ("find", "absent"), ("find", "absent"), ("send", "accepted")];
    assert_eq!(purposes(&rig, delivery).await, pairs(&expected), "ATT-2: a look is evidence");
    assert_eq!(rig.row(delivery).await.delivery.state, "delivered");
}

#[tokio::test]
async fn unc_4_found_and_ours_it_is_applied_with_its_number_and_never_sent_again() {
    for absent_first in [false, true] {
        let rig = rig(Guard::Find, false).await;
        rig.erp().play([Play::CloseAfterReading]);
        rig.erp().play(absent_first.then(nothing));
        rig.erp().play([there("000000042", &["SO-77"])]);
        let delivery = rig.order("000000042").await;
        rig.finished(1).await;
        rig.pass(61);
        rig.finished(2).await;
        rig.pass(61);
        rig.ears.until("it is settled", |told| told.settled == [delivery]).await;
        let row = rig.row(delivery).await.delivery;
        assert_eq!((row.state.as_str(), row.receipt.as_deref()), ("delivered", Some("SO-77")));
        rig.pass(10_000);
        rig.settle_down().await;
        assert_eq!(methods(&rig.erp().seen()).iter().filter(|method| **method == "POST").count(), 1);
    }
}

#[tokio::test]
async fn unc_4_several_found_park_and_alarm() {
    let rig = rig(Guard::Find, false).await;
    rig.erp().play([Play::CloseAfterReading, there("000000042", &["SO-1", "SO-2"])]);
    let delivery = rig.order("000000042").await;
    rig.finished(1).await;
    rig.pass(61);
    rig.finished(2).await;
    let row = rig.row(delivery).await.delivery;
    assert_eq!((row.state.as_str(), row.uncertain), ("parked", true));
    let exception = rig.exceptions().await.remove(0);
    assert_eq!((exception.code.as_str(), exception.severity.as_str()), ("found_many", "critical"));
    assert!(exception.message.contains("SO-1, SO-2"), "{}", exception.message);
    rig.ears.told(|told| assert_eq!(told.alarms, 1));
}

#[tokio::test]
async fn unc_4_it_is_looked_for_before_the_first_send_where_configuration_says_so() {
    let rig = rig(Guard::Find, true).await;
    rig.erp().play([there("000000041", &["SO-5"]), nothing()]);
    let known = rig.order("000000041").await;
    rig.finished(1).await;
    let row = rig.row(known).await;
    assert_eq!((row.delivery.state.as_str(), row.delivery.receipt.as_deref()), ("delivered", Some("SO-5")));
    assert!(row.sealed.is_none(), "nothing was sent, so nothing was sealed");
    let new = rig.order("000000042").await;
    rig.finished(3).await;
    assert_eq!(purposes(&rig, new).await, pairs(&[("find", "absent"), ("send", "accepted")]));
    assert_eq!(methods(&rig.erp().seen()), ["GET", "GET", "POST"]);
    assert_eq!(rig.erp().seen()[2].header("crossdock-attempt"), Some("2"));
}

#[tokio::test]
async fn unc_6_while_looks_fail_nothing_is_sent_and_the_sends_schedule_stands() {
    let rig = Rig::new(|one| {
        asks(one, Guard::Find, false);
        one.retry_delays = vec![Duration::from_secs(2); 3];
    })
    .await;
    rig.erp().play([
        Play::CloseAfterReading,
        Play::status(500),
        Play::answer(200, &[], "<html>log in</html>"),
        Play::status(404),
        nothing(),
        Play::Reset,
        nothing(),
    ]);
    let delivery = rig.order("000000042").await;
    for attempts in 1..=7 {
        rig.finished(attempts).await;
        assert_eq!(methods(&rig.erp().seen())[1..].iter().filter(|method| **method == "POST").count(), 0);
        rig.pass(61);
    }
    rig.finished(8).await;
    assert_eq!(rig.row(delivery).await.delivery.state, "delivered");
    let (_, origin) = rig.store.delivery_origin(delivery).await.unwrap().unwrap();
    assert_eq!(origin.failures, 1, "only the lost send counted");
}

#[tokio::test]
async fn unc_6_looks_that_fail_to_the_end_go_to_a_person() {
    let rig = Rig::new(|one| {
        asks(one, Guard::Find, false);
        one.retry_delays = vec![Duration::from_secs(2); 2];
    })
    .await;
    rig.erp().play([Play::CloseAfterReading, Play::status(404), Play::status(404), Play::status(404)]);
    let delivery = rig.order("000000042").await;
    for attempts in 1..=4 {
        rig.finished(attempts).await;
        rig.pass(61);
    }
    assert_eq!(rig.row(delivery).await.delivery.state, "parked");
    assert_eq!(rig.exceptions().await[0].code, "outcome_uncertain");
    rig.pass(100_000);
    rig.settle_down().await;
    assert_eq!(methods(&rig.erp().seen()), ["POST", "GET", "GET", "GET"]);
    // A person's word: one look before it is sent again.
    rig.erp().play([nothing()]);
    let verdict = Verdict::Retry { due_at: at(5) };
    rig.store.decide(Decision { delivery, verdict, act: act("delivery.retry") }).await.unwrap();
    rig.delivery.wake();
    rig.finished(6).await;
    assert_eq!(methods(&rig.erp().seen())[4..], ["GET", "POST"]);
    assert_eq!(rig.row(delivery).await.delivery.state, "delivered");
}

#[tokio::test]
async fn unc_1_the_lane_stays_closed_while_its_head_is_in_doubt() {
    let rig = rig(Guard::Find, false).await;
    rig.erp().play([Play::CloseAfterReading, nothing(), there("000000042", &["SO-1"])]);
    rig.order("000000042").await;
    rig.finished(1).await;
    let envelope = rig.maker.arrive(&rig.store, "000000042", "refunded").await;
    let mut refund = Conclusion::default();
    rig.maker.intend(&mut refund, "erp", key("000000042", "erp", "refund", "r1", 0), "refund", "r1");
    let behind = refund.deliveries[0].id;
    rig.store.conclude(envelope, refund, at(6)).await.unwrap();
    rig.delivery.wake();
    rig.settle_down().await;
    for attempts in 2..=3 {
        assert_eq!(rig.row(behind).await.delivery.state, "waiting");
        rig.pass(61);
        rig.finished(attempts).await;
    }
    rig.finished(4).await;
    assert_eq!(methods(&rig.erp().seen()), ["POST", "GET", "GET", "POST"]);
    assert_eq!(rig.row(behind).await.delivery.state, "delivered");
}

#[tokio::test]
async fn unc_3_a_refusal_for_existence_is_applied_only_if_the_look_proves_it_ours() {
    let rig = rig(Guard::Unique, false).await;
    let taken = || Play::answer(409, &[], "{\"detail\":\"external id is taken\"}");
    rig.erp().play([Play::CloseAfterReading, taken(), there("000000042", &["SO-9"])]);
    let delivery = rig.order("000000042").await;
    rig.finished(1).await;
    rig.pass(3);
    rig.finished(3).await;
    let row = rig.row(delivery).await.delivery;
    assert_eq!((row.state.as_str(), row.receipt.as_deref()), ("delivered", Some("SO-9")));
    assert_eq!(methods(&rig.erp().seen()), ["POST", "POST", "GET"], "UNC-3: it is sent again first");

    rig.erp().play([taken(), nothing(), nothing()]);
    let refused = rig.order("000000043").await;
    rig.finished(5).await;
    rig.pass(61);
    rig.finished(6).await;
    assert_eq!(rig.row(refused).await.delivery.state, "parked");
    assert_eq!(rig.exceptions().await[0].code, "rejected_by_destination");
}

#[tokio::test]
async fn unc_3_a_destination_may_say_in_its_own_words_that_it_exists() {
    let rig = Rig::new(|one| {
        asks(one, Guard::Unique, false);
        one.already_exists =
            Some(ExistsRule { status: vec![400], pointer: Some("/code".into()), text: Some("duplicate".into()) });
    })
    .await;
    rig.erp().play([
        Play::answer(400, &[], "{\"code\":\"ERR_DUPLICATE_REF\"}"),
        there("000000042", &["SO-9"]),
        Play::answer(400, &[], "{\"code\":\"ERR_CUSTOMER\"}"),
        Play::status(409),
    ]);
    let ours = rig.order("000000042").await;
    rig.finished(2).await;
    assert_eq!(rig.row(ours).await.delivery.receipt.as_deref(), Some("SO-9"));
    for (opened, number) in [(1, "000000043"), (2, "000000044")] {
        let refused = rig.order(number).await;
        rig.ears.until("it is refused", |told| told.exceptions.len() == opened).await;
        assert_eq!(rig.row(refused).await.delivery.state, "parked", "no look for {number}");
    }
}

#[tokio::test]
async fn unc_2_past_its_window_a_key_is_looked_for() {
    let rig = Rig::new(|one| asks(one, Guard::Key { window: Duration::from_hours(1) }, false)).await;
    rig.erp().play([Play::CloseAfterReading, nothing(), there("000000042", &["SO-3"])]);
    let delivery = rig.order("000000042").await;
    rig.finished(1).await;
    rig.pass(3_600);
    rig.finished(2).await;
    rig.pass(61);
    rig.finished(3).await;
    assert_eq!(methods(&rig.erp().seen()), ["POST", "GET", "GET"]);
    assert_eq!(rig.row(delivery).await.delivery.receipt.as_deref(), Some("SO-3"));
}

#[tokio::test]
async fn key_3_b_a_key_whose_failure_is_stored_is_given_up_for_the_next_generation() {
    let rig = rig(KEY, false).await;
    let stored = Play::answer(500, &[("idempotency-replayed", "true")], "{\"detail\":\"the period is closed\"}");
    rig.erp().play([Play::status(500), stored, nothing(), nothing()]);
    let delivery = rig.order("000000042").await;
    rig.finished(1).await;
    rig.pass(3);
    rig.finished(3).await;
    rig.pass(61);
    rig.finished(5).await;
    assert_eq!(rig.row(delivery).await.delivery.state, "superseded");
    let seen = rig.erp().seen();
    assert_eq!(methods(&seen), ["POST", "POST", "GET", "GET", "POST"]);
    assert_eq!(seen[4].body, seen[0].body);
    let next = IdempotencyKey::derive(&KeyParts {
        installation: rig.store.installation_id(),
        destination: "erp",
        system: "acme",
        subject_kind: "order",
        subject_scope: "1",
        subject_id: "000000042",
        purpose: "order.create",
        revision: "",
        generation: 1,
    });
    assert_eq!(seen[1].header("idempotency-key"), seen[0].header("idempotency-key"));
    assert_eq!(seen[4].header("idempotency-key"), Some(next.as_str()));
    let ledger = rig.store.ledger().await.unwrap();
    assert_eq!((ledger.done, ledger.difference()), (1, 0));
}

#[tokio::test]
async fn section_8_a_look_that_is_refused_our_credential_holds_the_destination_and_is_not_counted() {
    let rig = rig(Guard::Find, true).await;
    rig.erp().play([Play::status(401), Play::status(401)]);
    let delivery = rig.order("000000042").await;
    rig.finished(2).await;
    assert_eq!(rig.state(), "held");
    let row = rig.row(delivery).await.delivery;
    assert_eq!((row.state.as_str(), row.uncertain), ("waiting", false));
    rig.erp().play([nothing()]);
    assert!(rig.delivery.release("erp"));
    rig.finished(4).await;
    assert_eq!(rig.row(delivery).await.delivery.state, "delivered");
}

/// An ERP that is slow, not deaf: its answer comes after the attempt was settled as uncertain, and counts.
#[tokio::test]
async fn att_2_an_answer_that_comes_late_still_makes_it_applied() {
    for guard in [Guard::None, Guard::Find] {
        let rig = Rig::new(|one| {
            asks(one, guard, false);
            one.request_timeout = Duration::from_millis(300);
        })
        .await;
        let (hang, go) = Play::hang();
        rig.erp().play([hang]);
        let delivery = rig.order("000000042").await;
        rig.finished(1).await;
        let row = rig.row(delivery).await.delivery;
        let expected = if guard == Guard::None { "parked" } else { "waiting" };
        assert_eq!((row.state.as_str(), row.uncertain), (expected, true));
        go.notify_one();
        rig.ears.until("the late answer is heard", |told| told.settled == [delivery]).await;
        let row = rig.row(delivery).await;
        assert_eq!((row.delivery.state.as_str(), row.delivery.uncertain), ("delivered", false));
        assert!(rig.exceptions().await.is_empty(), "what a person was told is taken back");
        let outcomes: Vec<_> = row.attempts_made.iter().filter_map(|made| made.outcome.as_deref()).collect();
        assert_eq!(outcomes, ["uncertain", "accepted"]);
        rig.pass(1_000);
        rig.settle_down().await;
        assert_eq!(rig.erp().seen().len(), 1);
    }
}

/// What waits and what is under way in a copy may have taken effect since: whoever can be asked is asked before anything
/// is sent, and only a key alone goes out again unasked.
#[tokio::test]
async fn bak_3_what_was_open_in_a_copy_is_looked_for_before_anything_is_sent() {
    let (look, send) = ("GET", "POST");
    for (guard, can_be_asked, expected) in [
        (Guard::Find, true, &[look, look, send][..]),
        (Guard::Unique, true, &[look, look, send]),
        (KEY, true, &[look, look, send]),
        (KEY, false, &[send]),
        (Guard::None, false, &[]),
    ] {
        for under_way in [false, true] {
            let (folder, clock) = (tempfile::tempdir().unwrap(), Arc::new(ManualClock::new(at(5))));
            let original = open(&folder, &clock);
            let (_, delivery) = Maker::default().waiting(&original, "000000042").await;
            if under_way {
                let (_, row) = original.delivery_origin(delivery).await.unwrap().unwrap();
                original.start_attempts(vec![start_of(&row)]).await.unwrap();
            }
            let copy = folder.path().join("copy.db");
            copies::copy(&folder.path().join("store.db"), &copy, at(5), &mut |_, _| {}).unwrap();
            let elsewhere = tempfile::tempdir().unwrap();
            let hold = copies::hold(&elsewhere.path().join("store.db")).unwrap();
            copies::put_in_place(&hold, &copy, at(6)).unwrap();
            drop(hold);

            let erp = Double::start().await;
            let mut one = settings("erp", &erp);
            one.guard = guard;
            if can_be_asked {
                asks(&mut one, guard, false);
                erp.play([nothing(), nothing()]);
            }
            let store = open(&elsewhere, &clock);
            let ears = Arc::new(Ears::default());
            let engine = start(&store, &clock, &ears, vec![one]);
            within("it is recovered", engine.recovered()).await;
            let what = format!("{guard:?}, asked {can_be_asked}, under way {under_way}");
            let row = within(&format!("it is decided: {what}"), async {
                loop {
                    let row = store.delivery(delivery).await.unwrap().unwrap().delivery;
                    if row.state != "waiting" && row.state != "in_flight" {
                        return row;
                    }
                    clock.advance(Duration::from_secs(61));
                    engine.wake();
                    tokio::time::sleep(Duration::from_millis(60)).await;
                }
            })
            .await;
            // Sealed for another host than this one: what was under way in the copy is a person's in the end.
            let seen = erp.seen();
            let methods: Vec<&str> = methods(&seen).into_iter().collect();
            let expected: Vec<&str> = if under_way {
                expected.iter().copied().filter(|method| *method == look).collect()
            } else {
                expected.to_vec()
            };
            assert_eq!(methods, expected, "{what}");
            let delivered = !under_way && !expected.is_empty();
            assert_eq!(row.state, if delivered { "delivered" } else { "parked" }, "{what}");
            let open = store.exceptions(ExceptionFilter::default(), Paging { limit: 9, cursor: None }).await.unwrap();
            assert_eq!(open.items.len(), usize::from(!delivered), "P6: {what}");
            assert_eq!(store.ledger().await.unwrap().difference(), 0, "{what}");
            engine.stop(Duration::from_secs(5)).await;
        }
    }
}

/// The rung a delivery stands on survives the process; a look that was under way leaves no doubt of its own.
#[tokio::test]
async fn unc_4_the_ladder_is_climbed_across_restarts() {
    let (folder, clock) = (tempfile::tempdir().unwrap(), Arc::new(ManualClock::new(at(5))));
    let erp = Double::start().await;
    let mut one = settings("erp", &erp);
    asks(&mut one, Guard::Find, true);
    let store = open(&folder, &clock);
    let (hang, _go) = Play::hang();
    erp.play([nothing(), Play::CloseAfterReading, nothing(), hang, nothing()]);
    let (_, delivery) = Maker::default().waiting(&store, "000000042").await;
    let ears = Arc::new(Ears::default());
    let engine = start(&store, &clock, &ears, vec![one.clone()]);
    ears.until("it was lost", |told| told.finished == 2).await;
    engine.stop(Duration::from_secs(5)).await;
    store.close().await.unwrap();

    let store = open(&folder, &clock);
    let ears = Arc::new(Ears::default());
    let engine = start(&store, &clock, &ears, vec![one.clone()]);
    clock.advance(Duration::from_secs(61));
    engine.wake();
    ears.until("it was looked for once", |told| told.finished == 1).await;
    clock.advance(Duration::from_secs(61));
    engine.wake();
    within("the second look is asked", erp.has_seen(4)).await;
    engine.stop(Duration::from_millis(20)).await;
    store.close().await.unwrap();

    let store = open(&folder, &clock);
    let ears = Arc::new(Ears::default());
    let engine = start(&store, &clock, &ears, vec![one]);
    within("it is recovered", engine.recovered()).await;
    ears.until("it is delivered", |told| told.settled == [delivery]).await;
    assert_eq!(methods(&erp.seen()), ["GET", "POST", "GET", "GET", "GET", "POST"]);
    let made = store.delivery(delivery).await.unwrap().unwrap().attempts_made;
    let outcomes: Vec<&str> = made.iter().filter_map(|made| made.outcome.as_deref()).collect();
    assert_eq!(outcomes, ["absent", "uncertain", "absent", "unavailable", "absent", "accepted"]);
    engine.stop(Duration::from_secs(5)).await;
}
