use super::super::tests::{KEY, at, first};
use super::super::{DeliveryEvent, Looks, Moment, step};
use super::*;
use crate::delivery::backoff::RetryPolicy;
use crate::destinations::{Receipt, default_retry_delays};
use crate::store::write::AttemptPurpose;

const SETTLE: Duration = Duration::from_mins(1);
const HOUR: Duration = Duration::from_hours(1);
const EVERY_RUNG: [Rung; 7] =
    [Rung::Fresh, Rung::Cleared, Rung::Doubt, Rung::Restored, Rung::Exists, Rung::StaleKey, Rung::Asked];

/// A destination with this guard that can be asked.
fn asks(guard: Guard, first: bool) -> Policy {
    Policy {
        guard,
        retry: RetryPolicy::new(&default_retry_delays()),
        age_limit: 7 * 24 * HOUR,
        looks: Some(Looks { settle_after: SETTLE, first }),
    }
}

fn deaf(guard: Guard) -> Policy {
    Policy { looks: None, ..asks(guard, false) }
}

/// Sent once, with this known of it.
fn on(rung: Rung) -> InFlight {
    let uncertain = matches!(rung, Rung::Doubt | Rung::Restored | Rung::Asked);
    InFlight { sent: true, failures: 1, uncertain, ladder: Ladder::at(rung), ..first() }
}

fn after(delivery: &InFlight, policy: &Policy, seconds: u64, finding: Finding) -> Step {
    let event = DeliveryEvent::Looked { finding, health: Health::Answered, credential: CredentialUse::First };
    step(delivery, event, policy, Moment { now: at(seconds), jitter: 0.5 })
}

fn unavailable() -> Finding {
    Finding::Failed(AttemptOutcome::Unavailable { detail: "answered 500".into(), wait: Wait::default() })
}

fn waiting(seconds: u64, uncertain: bool, ladder: Ladder) -> Next {
    Next::Waiting { due_at: at(seconds), uncertain, counts: false, ladder }
}

fn absent(rung: Rung, absent: u32) -> Ladder {
    Ladder { rung, absent, look_failures: 0 }
}

fn problem(next: Next) -> (Problem, bool) {
    match next {
        Next::Parked { problem, uncertain } => (problem, uncertain),
        other => panic!("it is not parked: {other:?}"),
    }
}

/// A recipe may have nothing to look with and still ask for what it needs.
#[test]
fn section_9_where_nobody_can_be_asked_preparing_is_no_look() {
    for guard in [KEY, Guard::None] {
        for rung in [Rung::Doubt, Rung::Restored, Rung::Fresh] {
            let delivery = InFlight { ahead: Ahead::Prepare, uncertain: true, ..on(rung) };
            let next = after(&delivery, &deaf(guard), 30, Finding::Absent).next;
            assert_eq!(next, waiting(30, true, Ladder::at(rung)), "{guard:?} {rung:?}: what was in doubt still is");
        }
        let asked = InFlight { ahead: Ahead::Prepare, ..on(Rung::Asked) };
        assert_eq!(after(&asked, &deaf(guard), 30, Finding::Absent).next, waiting(30, true, Ladder::at(Rung::Cleared)));
    }
}

#[test]
fn section_9_what_the_next_attempt_does() {
    use Turn::{Look, Send};
    let person = || Turn::Withhold(Withheld::InDoubt);
    let closed = || Turn::Withhold(Withheld::WindowClosed);
    // Inside and past the window of 9 h with a look; inside and past it without.
    let rows = [
        (Rung::Fresh, [Send, Send, Send, Send, Send, Send]),
        (Rung::Cleared, [Send, Send, Send, Send, Send, Send]),
        (Rung::Doubt, [Send, Look, Send, Look, Send, closed()]),
        (Rung::Restored, [Look, Look, Look, Look, Send, closed()]),
        (Rung::Exists, [Look, Look, Look, Look, person(), person()]),
        (Rung::StaleKey, [Look, Look, Look, Look, person(), person()]),
        (Rung::Asked, [Send, Look, Send, Look, Send, Send]),
    ];
    for (rung, expected) in rows {
        let (soon, late) = (at(60), at(9 * 3_600));
        let given = [
            turn(&on(rung), &asks(KEY, false), soon),
            turn(&on(rung), &asks(KEY, false), late),
            turn(&on(rung), &asks(Guard::Unique, false), soon),
            turn(&on(rung), &asks(Guard::Find, false), soon),
            turn(&on(rung), &deaf(KEY), soon),
            turn(&on(rung), &deaf(KEY), late),
        ];
        assert_eq!(given, expected, "{rung:?}");
    }
    let refused = InFlight { uncertain: false, ..on(Rung::Asked) };
    assert_eq!(turn(&refused, &asks(Guard::Find, false), at(60)), Look, "what was refused may be there all the same");
    assert_eq!(turn(&refused, &asks(Guard::Unique, false), at(60)), Send);
    for (rung, expected) in
        [(Rung::Doubt, person()), (Rung::Restored, person()), (Rung::Asked, Send), (Rung::Fresh, Send)]
    {
        assert_eq!(turn(&on(rung), &deaf(Guard::None), at(60)), expected, "{rung:?}");
    }
}

#[test]
fn unc_4_what_was_never_sent_is_looked_for_first_where_configuration_says_so() {
    let never = InFlight { sent: false, ..first() };
    for guard in [Guard::Find, Guard::Unique, KEY] {
        assert_eq!(turn(&never, &asks(guard, true), at(0)), Turn::Look, "{guard:?}");
        assert_eq!(turn(&never, &asks(guard, false), at(0)), Turn::Send, "{guard:?}");
        let again = if guard == Guard::Find { Turn::Look } else { Turn::Send };
        assert_eq!(turn(&InFlight { sent: true, ..never.clone() }, &asks(guard, true), at(0)), again, "{guard:?}");
    }
    let next = after(&never, &asks(Guard::Find, true), 5, Finding::Absent).next;
    assert_eq!(next, waiting(5, false, absent(Rung::Cleared, 0)), "one look suffices before anything was sent");
}

#[test]
fn unc_4_absent_twice_in_a_row_with_time_between_clears_the_doubt() {
    let policy = asks(Guard::Find, true);
    for rung in [Rung::Doubt, Rung::Restored] {
        let once = after(&on(rung), &policy, 100, Finding::Absent).next;
        assert_eq!(once, waiting(160, true, absent(rung, 1)));
        let again = InFlight { ladder: absent(rung, 1), ..on(rung) };
        let twice = after(&again, &policy, 160, Finding::Absent).next;
        assert_eq!(twice, waiting(160, false, absent(Rung::Cleared, 0)));
    }
    // A look that failed in between is no second look, and does not take the first one back either.
    let between = InFlight { ladder: Ladder { look_failures: 1, ..absent(Rung::Doubt, 1) }, ..on(Rung::Doubt) };
    assert_eq!(after(&between, &policy, 160, Finding::Absent).next, waiting(160, false, absent(Rung::Cleared, 0)));
}

#[test]
fn unc_4_the_first_look_comes_when_the_request_has_had_time_to_show() {
    let policy = asks(Guard::Find, false);
    let lost = |wait| DeliveryEvent::Seen {
        outcome: AttemptOutcome::Uncertain { detail: "no answer".into(), wait },
        health: Health::Failed,
        credential: CredentialUse::First,
    };
    let at_ten = Moment { now: at(10), jitter: 0.5 };
    let expected =
        |seconds| Next::Waiting { due_at: at(seconds), uncertain: true, counts: true, ladder: Ladder::at(Rung::Doubt) };
    assert_eq!(step(&first(), lost(Wait::default()), &policy, at_ten).next, expected(70));
    let floor = Wait { floor: Some(Duration::from_mins(5)), whole_destination: true, ignored: false };
    assert_eq!(step(&first(), lost(floor), &policy, at_ten).next, expected(310));
    let died = DeliveryEvent::ProcessDied(AttemptPurpose::Send);
    assert_eq!(step(&first(), died, &policy, at_ten).next, expected(70));
}

#[test]
fn unc_4_found_ours_is_applied_found_another_or_several_is_a_persons() {
    let policy = asks(Guard::Find, true);
    for rung in EVERY_RUNG {
        let receipt = Receipt(Some("SO-1".into()));
        // However late, and however often it was looked for in vain.
        assert_eq!(
            after(&on(rung), &policy, 10_000_000, Finding::Ours(receipt.clone())).next,
            Next::Delivered(receipt)
        );
        let different = Finding::Different { receipt: Receipt(None), detail: "its total is another".into() };
        let (found, uncertain) = problem(after(&on(rung), &policy, 5, different).next);
        assert_eq!(found, Problem::FoundDifferent { detail: "its total is another".into() });
        assert_eq!(uncertain, on(rung).uncertain || rung == Rung::StaleKey, "KEY-3 a: {rung:?}");
        let step = after(&on(rung), &policy, 5, Finding::Many { count: 2, detail: "twice".into() });
        assert!(step.effects.contains(&Effect::Alarm { what: "twice".into() }), "{:?}", step.effects);
        assert_eq!(problem(step.next).0, Problem::FoundMany { detail: "twice".into() });
    }
}

#[test]
fn unc_3_a_refusal_for_existence_leads_to_a_look_and_absent_twice_is_a_rejection() {
    let exists = || DeliveryEvent::Seen {
        outcome: AttemptOutcome::Rejected(Rejection { mark: Mark::Exists, status: Some(409), detail: "taken".into() }),
        health: Health::Answered,
        credential: CredentialUse::First,
    };
    let now = Moment { now: at(10), jitter: 0.5 };
    for guard in [Guard::Unique, Guard::Find] {
        let doubtful = on(Rung::Doubt);
        assert_eq!(
            step(&doubtful, exists(), &asks(guard, false), now).next,
            waiting(10, true, Ladder::at(Rung::Exists))
        );
        assert_eq!(
            step(&first(), exists(), &asks(guard, false), now).next,
            waiting(10, false, Ladder::at(Rung::Exists))
        );
    }
    let refused = on(Rung::Exists);
    let policy = asks(Guard::Unique, false);
    assert_eq!(after(&refused, &policy, 10, Finding::Absent).next, waiting(70, false, absent(Rung::Exists, 1)));
    let again = InFlight { ladder: absent(Rung::Exists, 1), ..refused };
    let (found, uncertain) = problem(after(&again, &policy, 70, Finding::Absent).next);
    assert!(matches!(found, Problem::Rejected(Rejection { mark: Mark::Exists, .. })) && !uncertain);
    // Nobody to ask: a plain refusal.
    let (found, _) = problem(step(&first(), exists(), &deaf(Guard::Unique), now).next);
    assert!(matches!(found, Problem::Rejected(_)));
}

#[test]
fn unc_6_a_look_that_fails_is_looked_again_and_never_falls_through_to_sending() {
    let policy = asks(Guard::Find, true);
    let refusal = |mark, status| {
        Finding::Failed(AttemptOutcome::Rejected(Rejection { mark, status: Some(status), detail: "no".into() }))
    };
    for rung in EVERY_RUNG {
        for failure in [unavailable(), refusal(Mark::Record, 404), refusal(Mark::Configuration, 302)] {
            let mut delivery = on(rung);
            for failures in 1..=13 {
                let next = after(&delivery, &policy, 10, failure.clone()).next;
                let Next::Waiting { uncertain, counts, ladder, .. } = next else { panic!("{rung:?}: {next:?}") };
                assert_eq!((uncertain, counts), (delivery.uncertain, false), "it is never counted as a send");
                assert_eq!(ladder, Ladder { look_failures: failures, ..Ladder::at(rung) });
                delivery.ladder = ladder;
            }
            let (found, uncertain) = problem(after(&delivery, &policy, 10, failure.clone()).next);
            assert_eq!(uncertain, delivery.uncertain);
            let doubt = matches!(found, Problem::OutcomeUncertain { .. });
            assert_eq!(doubt, uncertain, "{found:?}");
        }
    }
    // The schedule of the sends stands where it stood.
    assert_eq!(
        after(&on(Rung::Doubt), &policy, 10, unavailable()).next,
        waiting(12, true, Ladder { look_failures: 1, ..Ladder::at(Rung::Doubt) })
    );
}

#[test]
fn section_8_a_look_that_is_refused_our_credential_or_throttled_costs_nothing() {
    let policy = asks(Guard::Find, true);
    let credential = |credential| {
        let finding = Finding::Failed(AttemptOutcome::Credential { detail: "answered 401".into() });
        let event = DeliveryEvent::Looked { finding, health: Health::Answered, credential };
        step(&on(Rung::Doubt), event, &policy, Moment { now: at(5), jitter: 0.5 })
    };
    assert_eq!(credential(CredentialUse::First).effects[1..], [Effect::RefreshCredential]);
    assert!(matches!(credential(CredentialUse::Refreshed).effects[1..], [Effect::Hold { .. }]));
    assert_eq!(credential(CredentialUse::First).next, waiting(5, true, Ladder::at(Rung::Doubt)));
    let wait = Wait { floor: Some(SETTLE), whole_destination: true, ignored: false };
    let throttled = Finding::Failed(AttemptOutcome::Throttled { detail: "slow".into(), wait });
    let step = after(&on(Rung::Doubt), &policy, 5, throttled);
    assert_eq!(step.next, waiting(65, true, Ladder::at(Rung::Doubt)));
    assert_eq!(step.effects[1..], [Effect::Pause { floor: Some(SETTLE) }]);
    let deferred = AttemptOutcome::Deferred { free_in: SETTLE };
    let step = after(&on(Rung::Doubt), &policy, 5, Finding::Failed(deferred.clone()));
    assert_eq!((step.next, &step.effects[1..]), (waiting(65, true, Ladder::at(Rung::Doubt)), [].as_slice()));
    let unfinished = Finding::Unfinished { receipt: Receipt::default(), outcome: deferred };
    let step = after(&on(Rung::Doubt), &policy, 5, unfinished);
    assert_eq!((step.next, &step.effects[1..]), (waiting(65, false, Ladder::at(Rung::Cleared)), [].as_slice()));
}

#[test]
fn att_1_a_look_cut_short_by_the_end_of_the_process_leaves_no_doubt_of_its_own() {
    let died = DeliveryEvent::ProcessDied(AttemptPurpose::Find);
    let never = InFlight { sent: false, ..first() };
    let next = step(&never, died, &asks(Guard::Find, true), Moment { now: at(5), jitter: 0.5 }).next;
    assert_eq!(next, waiting(5, false, Ladder::default()));
}

#[test]
fn key_3_b_a_stored_failure_and_nothing_there_makes_a_new_generation() {
    let stale = |status| DeliveryEvent::Seen {
        outcome: AttemptOutcome::Rejected(Rejection {
            mark: Mark::StaleKey,
            status: Some(status),
            detail: "as before".into(),
        }),
        health: Health::Answered,
        credential: CredentialUse::First,
    };
    let now = Moment { now: at(10), jitter: 0.5 };
    let policy = asks(KEY, false);
    assert_eq!(step(&on(Rung::Doubt), stale(500), &policy, now).next, waiting(10, true, Ladder::at(Rung::StaleKey)));
    let spent = on(Rung::StaleKey);
    assert_eq!(after(&spent, &policy, 10, Finding::Absent).next, waiting(70, false, absent(Rung::StaleKey, 1)));
    let again = InFlight { ladder: absent(Rung::StaleKey, 1), ..spent };
    assert_eq!(after(&again, &policy, 70, Finding::Absent).next, Next::Renewed);
    let sixth = InFlight { generation: 5, ..again };
    let (found, _) = problem(after(&sixth, &policy, 70, Finding::Absent).next);
    assert!(matches!(found, Problem::Rejected(Rejection { mark: Mark::StaleKey, .. })), "not for ever");
    // Nobody to ask: a stored refusal is a refusal, a stored 5xx leaves its doubt.
    let (found, uncertain) = problem(step(&first(), stale(422), &deaf(KEY), now).next);
    assert!(matches!(found, Problem::Rejected(_)) && !uncertain);
    assert!(matches!(step(&first(), stale(500), &deaf(KEY), now).next, Next::Waiting { uncertain: true, .. }));
}

#[test]
fn unc_2_past_its_window_a_key_that_can_be_asked_is_looked_for_instead_of_going_to_a_person() {
    let late = 9 * 3_600;
    let lost = DeliveryEvent::Seen {
        outcome: AttemptOutcome::Uncertain { detail: "no answer".into(), wait: Wait::default() },
        health: Health::Failed,
        credential: CredentialUse::First,
    };
    let next = step(&on(Rung::Doubt), lost, &asks(KEY, false), Moment { now: at(late), jitter: 0.5 }).next;
    assert!(matches!(next, Next::Waiting { uncertain: true, .. }), "{next:?}");
    assert_eq!(turn(&on(Rung::Doubt), &asks(KEY, false), at(late)), Turn::Look);
}

#[test]
fn key_3_c_what_has_no_record_of_its_own_there_is_unguarded_and_a_persons_in_doubt() {
    // A cancellation, or a deliberate second effect: finding the order says nothing about it.
    let other = InFlight { looked_for: false, sent: false, ..first() };
    let lost = || DeliveryEvent::ProcessDied(AttemptPurpose::Send);
    for guard in [Guard::Find, Guard::Unique] {
        let policy = asks(guard, true);
        assert_eq!(turn(&other, &policy, at(0)), Turn::Send);
        let next = step(&other, lost(), &policy, Moment { now: at(5), jitter: 0.5 }).next;
        assert!(matches!(problem(next), (Problem::OutcomeUncertain { .. }, true)));
    }
}

#[test]
fn ret_1_after_the_last_try_absent_twice_ends_the_schedule_instead_of_sending() {
    let policy = asks(Guard::Find, false);
    let last = InFlight { failures: 14, ladder: absent(Rung::Doubt, 1), ..on(Rung::Doubt) };
    let (found, uncertain) = problem(after(&last, &policy, 100, Finding::Absent).next);
    assert!(matches!(found, Problem::RetriesExhausted { attempts: 14, .. }) && !uncertain);
}

#[test]
fn ret_2_a_look_past_the_age_limit_is_not_looked_again() {
    let (found, uncertain) =
        problem(after(&on(Rung::Doubt), &asks(Guard::Find, false), 8 * 24 * 3_600, unavailable()).next);
    assert!(matches!(found, Problem::TooOld { .. }) && uncertain);
    let old = InFlight { failures: 1, ..on(Rung::Doubt) };
    assert_eq!(turn(&old, &asks(Guard::Find, false), at(8 * 24 * 3_600)), Turn::Withhold(Withheld::TooOld));
    assert_eq!(turn(&on(Rung::Asked), &asks(Guard::Find, false), at(8 * 24 * 3_600)), Turn::Look, "a person's word");
}

#[test]
fn unc_2_a_key_that_seems_to_be_from_the_future_is_taken_for_forgotten() {
    let window = Duration::from_hours(10);
    let guard = Guard::Key { window };
    let sent_at = |seconds: u64| InFlight { first_attempt_at: at(seconds), ..on(Rung::Doubt) };
    let slightly = sent_at(3_600);
    assert_eq!(turn(&slightly, &deaf(guard), at(0)), Turn::Send, "within the tenth that is left alone");
    let far = sent_at(3_700);
    assert_eq!(turn(&far, &deaf(guard), at(0)), Turn::Withhold(Withheld::WindowClosed));
    assert_eq!(turn(&far, &asks(guard, false), at(0)), Turn::Look);
}

#[test]
fn bak_3_what_was_under_way_in_a_copy_is_looked_for_and_not_only_repeated() {
    for guard in [KEY, Guard::Unique] {
        let died = DeliveryEvent::ProcessDied(AttemptPurpose::Send);
        let step = step(&on(Rung::Restored), died, &asks(guard, false), Moment { now: at(5), jitter: 0.5 });
        let Next::Waiting { uncertain: true, ladder, .. } = step.next else { panic!("{guard:?}") };
        assert_eq!(ladder.rung, Rung::Restored, "{guard:?}");
    }
}

#[test]
fn unc_4_a_look_clears_one_send_where_nothing_else_keeps_a_second_record_away() {
    let cleared = on(Rung::Cleared);
    let cleared = InFlight { uncertain: false, ..cleared };
    let moment = Moment { now: at(5), jitter: 0.5 };
    let answers = |outcome: AttemptOutcome, policy: &Policy| {
        let event = DeliveryEvent::Seen { outcome, health: Health::Answered, credential: CredentialUse::First };
        match step(&cleared, event, policy, moment).next {
            Next::Waiting { ladder, .. } => ladder.rung,
            other => panic!("{other:?}"),
        }
    };
    let throttled = || AttemptOutcome::Throttled { detail: "slow".into(), wait: Wait::default() };
    let busy = || AttemptOutcome::Unavailable { detail: "busy".into(), wait: Wait::default() };
    let stranger = || AttemptOutcome::Credential { detail: "who are you".into() };
    let find = asks(Guard::Find, true);
    assert_eq!([answers(throttled(), &find), answers(busy(), &find)], [Rung::Fresh, Rung::Fresh]);
    assert_eq!(turn(&InFlight { ladder: Ladder::at(Rung::Fresh), ..cleared.clone() }, &find, at(6)), Turn::Look);
    assert_eq!(answers(stranger(), &find), Rung::Cleared, "else every refusal would be the first");
    for guarded in [asks(KEY, true), asks(Guard::Unique, true), asks(Guard::Find, false)] {
        assert_eq!([answers(throttled(), &guarded), answers(busy(), &guarded)], [Rung::Cleared, Rung::Cleared]);
    }
}

fn making() -> Finding {
    Finding::Making { detail: "job: answered 200 OK: pending".into(), wait: Wait::default() }
}

#[test]
fn ret_2_a_job_is_asked_less_and_less_often_at_no_charge_until_the_order_is_too_old() {
    let policy = asks(Guard::Unique, true);
    for rung in EVERY_RUNG {
        let delivery = InFlight { ahead: Ahead::Await, ..on(rung) };
        let paused = |seconds: u64, pause: u64| {
            let next = after(&delivery, &policy, seconds, making()).next;
            assert_eq!(next, waiting(seconds + pause, false, Ladder::at(Rung::Cleared)), "{rung:?} at {seconds}");
        };
        paused(4, 2);
        paused(400, 100);
        paused(3 * 86_400, 15 * 60);
        let (problem, uncertain) = problem(after(&delivery, &policy, 7 * 86_400, making()).next);
        assert!(matches!(problem, Problem::TooOld { .. }) && uncertain, "it may be made yet");
    }
    // Its age alone never ends it unseen, and what ends it leaves it in doubt.
    let old = InFlight { ahead: Ahead::Await, uncertain: false, ..on(Rung::Cleared) };
    assert_eq!(turn(&old, &policy, at(8 * 86_400)), Turn::Look);
    let swept = DeliveryEvent::Withheld(Withheld::TooOld);
    let next = step(&old, swept, &policy, Moment { now: at(8 * 86_400), jitter: 0.5 }).next;
    assert!(problem(next).1, "it may be made yet");
    let asked = Finding::Making { detail: String::new(), wait: Wait { floor: Some(HOUR), ..Wait::default() } };
    let next = after(&on(Rung::Cleared), &policy, 4, asked).next;
    assert_eq!(next, waiting(4 + 3_600, false, Ladder::at(Rung::Cleared)), "as long as it asked for");
}

#[test]
fn unc_6_a_job_that_cannot_be_seen_is_asked_by_the_schedule_and_stays_in_doubt() {
    let policy = asks(Guard::Unique, true);
    // Right after the create, and later.
    for delivery in [on(Rung::Cleared), InFlight { ahead: Ahead::Await, ..on(Rung::Cleared) }] {
        let unseen = || {
            let detail = "answered 500".to_owned();
            Finding::Unseen { outcome: AttemptOutcome::Unavailable { detail, wait: Wait::default() } }
        };
        let next = after(&delivery, &policy, 30, unseen()).next;
        let ladder = Ladder { rung: Rung::Cleared, absent: 0, look_failures: 1 };
        assert_eq!(next, waiting(32, true, ladder));
        let worn = InFlight { ladder: Ladder { look_failures: 99, ..ladder }, ..delivery };
        let (problem, uncertain) = problem(after(&worn, &policy, 30, unseen()).next);
        assert!(matches!(problem, Problem::OutcomeUncertain { .. }) && uncertain, "{problem:?}");
    }
}

#[test]
fn key_3_b_what_a_job_did_not_make_is_a_persons_and_then_the_next_generations() {
    let policy = asks(Guard::Unique, true);
    let refused = || Rejection { mark: Mark::Record, status: Some(400), detail: "closed period".into() };
    let delivery = InFlight { ahead: Ahead::Await, ..on(Rung::Doubt) };
    let (told, uncertain) = problem(after(&delivery, &policy, 30, Finding::NotMade(refused())).next);
    assert_eq!((told, uncertain), (Problem::Rejected(refused()), false), "it is known that nothing was made");

    let forgotten = || Finding::Forgotten { detail: "answered 404".into() };
    let next = after(&on(Rung::Cleared), &policy, 30, forgotten()).next;
    assert_eq!(next, waiting(90, true, absent(Rung::Cleared, 1)));
    let again = InFlight { ladder: absent(Rung::Cleared, 1), ahead: Ahead::Await, ..on(Rung::Cleared) };
    let (told, uncertain) = problem(after(&again, &policy, 90, forgotten()).next);
    assert!(matches!(told, Problem::OutcomeUncertain { .. }) && uncertain, "{told:?}");

    let asked = InFlight { ahead: Ahead::Renew, generation: 9, ..on(Rung::Asked) };
    assert_eq!(turn(&asked, &policy, at(30)), Turn::Look, "never sent without a look");
    assert_eq!(after(&asked, &policy, 30, Finding::Absent).next, Next::Renewed, "however often a person says so");
}
