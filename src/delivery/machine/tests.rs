use super::*;
use crate::clock::from_micros;
use crate::destinations::default_retry_delays;

/// Where an attempt that may have taken effect leaves a delivery.
const DOUBT: Ladder = Ladder { rung: Rung::Doubt, absent: 0, look_failures: 0 };
const HOUR: Duration = Duration::from_hours(1);
pub(super) const KEY: Guard = Guard::Key { window: Duration::from_hours(10) };

pub(super) fn at(seconds: u64) -> Timestamp {
    later(from_micros(1_772_366_400_000_000), Duration::from_secs(seconds))
}

/// Made at 0, first tried at 0.
pub(super) fn first() -> InFlight {
    InFlight {
        created_at: at(0),
        first_attempt_at: at(0),
        sent: false,
        generation: 0,
        failures: 0,
        uncertain: false,
        ladder: Ladder::default(),
        ahead: Ahead::Nothing,
        looked_for: true,
    }
}

fn policy(guard: Guard) -> Policy {
    Policy { guard, retry: RetryPolicy::new(&default_retry_delays()), age_limit: 7 * 24 * HOUR, looks: None }
}

/// What happens to `delivery` after `seconds` when the destination lets us see `outcome`.
fn after(delivery: &InFlight, guard: Guard, seconds: u64, outcome: AttemptOutcome) -> Step {
    let event = DeliveryEvent::Seen { outcome, health: Health::Answered, credential: CredentialUse::First };
    step(delivery, event, &policy(guard), Moment { now: at(seconds), jitter: 0.5 })
}

fn unavailable() -> AttemptOutcome {
    AttemptOutcome::Unavailable { detail: "gone fishing".into(), wait: Wait::default() }
}

fn uncertain() -> AttemptOutcome {
    AttemptOutcome::Uncertain { detail: "no answer in time".into(), wait: Wait::default() }
}

fn rejected(mark: Mark, status: Option<u16>) -> AttemptOutcome {
    AttemptOutcome::Rejected(Rejection { mark, status, detail: "answered no".into() })
}

fn waiting(seconds: u64, uncertain: bool, counts: bool) -> Next {
    let ladder = if uncertain { Ladder::at(Rung::Doubt) } else { Ladder::default() };
    Next::Waiting { due_at: at(seconds), uncertain, counts, ladder }
}

fn code(next: &Next) -> &'static str {
    match next {
        Next::Delivered(_) => "delivered",
        Next::Waiting { .. } => "waiting",
        Next::Renewed => "renewed",
        Next::Parked { problem, .. } => match problem {
            Problem::Rejected(_) => "rejected_by_destination",
            Problem::OutcomeUncertain { .. } => "outcome_uncertain",
            Problem::FoundDifferent { .. } => "found_different",
            Problem::FoundMany { .. } => "found_many",
            Problem::TotalsDiffer { .. } => "totals_differ_at_destination",
            Problem::RetriesExhausted { .. } => "retries_exhausted",
            Problem::TooOld { .. } => "too_old",
            Problem::Crashed { .. } => "crashed_worker",
        },
    }
}

fn is_in_doubt(next: &Next) -> bool {
    match next {
        Next::Delivered(_) | Next::Renewed => false,
        Next::Waiting { uncertain, .. } | Next::Parked { uncertain, .. } => *uncertain,
    }
}

#[test]
fn accepted_and_already_applied_are_final_with_their_receipt() {
    let receipt = Receipt(Some("SO-1".into()));
    let doubtful = InFlight { uncertain: true, failures: 3, ladder: DOUBT, ..first() };
    for outcome in [AttemptOutcome::Accepted(receipt.clone()), AttemptOutcome::AlreadyApplied(receipt.clone())] {
        // However late: what is applied is applied.
        let step = after(&doubtful, Guard::None, 10_000_000, outcome);
        assert_eq!(step.next, Next::Delivered(receipt.clone()));
        assert_eq!(step.effects, [Effect::Health(Health::Answered), Effect::Answered]);
    }
}

#[test]
fn section_8_a_rejection_parks_the_record_and_its_mark_says_what_follows_for_the_destination() {
    let of = |mark, status| {
        let step = after(&first(), KEY, 0, rejected(mark, status));
        assert_eq!((code(&step.next), is_in_doubt(&step.next)), ("rejected_by_destination", false));
        step.effects[1..].to_vec()
    };
    assert_eq!(of(Mark::Record, Some(422)), [Effect::Answered]);
    let reason = "answered no".to_owned();
    assert_eq!(of(Mark::Configuration, Some(302)), [Effect::RefusedForConfiguration { reason }]);
    assert_eq!(of(Mark::Configuration, None), []);
    assert!(matches!(of(Mark::Gone, Some(410))[..], [Effect::Hold { .. }, Effect::Alarm { .. }]), "RET-6");
    assert!(matches!(of(Mark::OurBug, Some(422))[..], [Effect::Answered, Effect::Alarm { .. }]), "KEY-6");
}

#[test]
fn section_8_a_refused_credential_refreshes_once_then_holds_the_destination_not_the_record() {
    let with = |credential| {
        let outcome = AttemptOutcome::Credential { detail: "answered 401".into() };
        let event = DeliveryEvent::Seen { outcome, health: Health::Answered, credential };
        let step = step(&first(), event, &policy(KEY), Moment { now: at(5), jitter: 0.5 });
        assert_eq!(step.next, waiting(5, false, false), "free of charge");
        step.effects[1..].to_vec()
    };
    assert_eq!(with(CredentialUse::First), [Effect::RefreshCredential]);
    assert!(matches!(with(CredentialUse::Refreshed)[..], [Effect::Hold { .. }]));
    assert_eq!(with(CredentialUse::Stale), []);
}

#[test]
fn ret_2_throttling_costs_no_attempt_and_pauses_the_destination() {
    let wait = Wait { floor: Some(Duration::from_mins(1)), whole_destination: true, ignored: false };
    let step = after(&first(), KEY, 5, AttemptOutcome::Throttled { detail: "slow".into(), wait });
    assert_eq!(step.next, waiting(65, false, false));
    assert_eq!(step.effects[1..], [Effect::Pause { floor: Some(Duration::from_mins(1)) }]);
    let step = after(&first(), KEY, 5, AttemptOutcome::Throttled { detail: "slow".into(), wait: Wait::default() });
    assert_eq!(step.effects[1..], [Effect::Pause { floor: None }]);
}

#[test]
fn ret_2_what_our_own_rate_puts_off_costs_no_attempt_and_pauses_nobody() {
    let step = after(&first(), KEY, 5, AttemptOutcome::Deferred { free_in: Duration::from_mins(1) });
    assert_eq!(step.next, waiting(65, false, false));
    assert_eq!(step.effects[1..], []);
}

#[test]
fn ret_1_unavailable_goes_by_the_schedule_with_jitter() {
    assert_eq!(after(&first(), Guard::None, 100, unavailable()).next, waiting(102, false, true));
    let third = InFlight { failures: 2, ..first() };
    assert_eq!(after(&third, Guard::None, 100, unavailable()).next, waiting(130, false, true));
    for (jitter, seconds) in [(0.0, 80), (1.0, 120)] {
        let fourth = InFlight { failures: 3, ..first() };
        let event =
            DeliveryEvent::Seen { outcome: unavailable(), health: Health::Answered, credential: CredentialUse::First };
        // 120 s × 0.8 and × 1.2.
        let Next::Waiting { due_at, .. } = step(&fourth, event, &policy(KEY), Moment { now: at(0), jitter }).next
        else {
            panic!("it waits");
        };
        assert_eq!(due_at.as_second() - at(0).as_second(), 120 * seconds / 100);
    }
}

#[test]
fn ret_1_after_fourteen_failures_the_retries_are_exhausted() {
    let thirteenth = InFlight { failures: 12, ..first() };
    assert_eq!(code(&after(&thirteenth, Guard::None, 100, unavailable()).next), "waiting");
    let last = InFlight { failures: 13, ..first() };
    let next = after(&last, Guard::None, 100, unavailable()).next;
    let problem = Problem::RetriesExhausted { attempts: 14, detail: "gone fishing".into() };
    assert_eq!(next, Next::Parked { problem, uncertain: false });
}

#[test]
fn ret_2_past_the_age_limit_nothing_waits_any_longer() {
    let week = 7 * 24 * 3_600;
    for outcome in [
        unavailable(),
        AttemptOutcome::Credential { detail: String::new() },
        AttemptOutcome::Throttled { detail: String::new(), wait: Wait::default() },
        AttemptOutcome::Deferred { free_in: Duration::ZERO },
    ] {
        assert_eq!(code(&after(&first(), Guard::None, week - 1, outcome.clone()).next), "waiting");
        assert_eq!(code(&after(&first(), Guard::None, week, outcome).next), "too_old");
    }
    assert_eq!(turn(&first(), &policy(KEY), at(week - 1)), Turn::Send);
    assert_eq!(turn(&first(), &policy(KEY), at(week)), Turn::Withhold(Withheld::TooOld));
}

#[test]
fn ret_3_retry_after_is_a_floor_and_on_503_pauses_the_destination() {
    let wait = |seconds, whole_destination| Wait {
        floor: Some(Duration::from_secs(seconds)),
        whole_destination,
        ignored: false,
    };
    let step = after(&first(), KEY, 0, AttemptOutcome::Unavailable { detail: String::new(), wait: wait(60, false) });
    assert_eq!((step.next, step.effects.len()), (waiting(60, false, true), 1));
    let step = after(&first(), KEY, 0, AttemptOutcome::Unavailable { detail: String::new(), wait: wait(1, true) });
    assert_eq!(step.next, waiting(2, false, true), "the schedule is later");
    assert_eq!(step.effects[1..], [Effect::Pause { floor: Some(Duration::from_secs(1)) }]);
    let step = after(&first(), KEY, 0, AttemptOutcome::Uncertain { detail: String::new(), wait: wait(60, true) });
    assert_eq!(step.next, waiting(60, true, true));
    let silent = Wait { floor: None, whole_destination: true, ignored: false };
    let step = after(&first(), KEY, 0, AttemptOutcome::Uncertain { detail: String::new(), wait: silent });
    assert_eq!(step.effects.len(), 1, "a 503 without Retry-After pauses nothing");
}

#[test]
fn unc_2_under_a_key_guard_the_same_bytes_go_again_inside_nine_tenths_of_the_window() {
    // The window is 10 h, its nine tenths end at 9 h.
    let limit = 9 * 3_600;
    assert_eq!(after(&first(), KEY, 100, uncertain()).next, waiting(102, true, true));
    let next = after(&first(), KEY, limit, uncertain()).next;
    assert_eq!((code(&next), is_in_doubt(&next)), ("outcome_uncertain", true));
    // The fifth pause is 600 s: it would overstep, so there is one last try just before the end, then a person decides.
    let fifth = InFlight { failures: 4, uncertain: true, sent: true, ladder: DOUBT, ..first() };
    assert_eq!(after(&fifth, KEY, limit - 100, uncertain()).next, waiting(limit - 1, true, true));
    assert_eq!(code(&after(&fifth, KEY, limit - 1, uncertain()).next), "outcome_uncertain");
}

#[test]
fn unc_2_a_floor_beyond_the_window_is_not_undercut() {
    let wait = Wait { floor: Some(10 * HOUR), whole_destination: false, ignored: false };
    let next = after(&first(), KEY, 0, AttemptOutcome::Uncertain { detail: String::new(), wait }).next;
    assert_eq!(code(&next), "outcome_uncertain");
}

#[test]
fn unc_2_a_doubtful_delivery_that_was_held_past_its_window_is_not_sent() {
    let doubtful = InFlight { uncertain: true, failures: 1, sent: true, ladder: DOUBT, ..first() };
    let limit = 9 * 3_600;
    assert_eq!(turn(&doubtful, &policy(KEY), at(limit - 1)), Turn::Send);
    assert_eq!(turn(&doubtful, &policy(KEY), at(limit)), Turn::Withhold(Withheld::WindowClosed));
    let sure = InFlight { uncertain: false, ladder: Ladder::default(), ..doubtful.clone() };
    assert_eq!(turn(&sure, &policy(KEY), at(limit)), Turn::Send, "a definite failure has no window");
    let moment = Moment { now: at(limit), jitter: 0.5 };
    let next = step(&doubtful, DeliveryEvent::Withheld(Withheld::WindowClosed), &policy(KEY), moment).next;
    assert_eq!((code(&next), is_in_doubt(&next)), ("outcome_uncertain", true));
}

#[test]
fn a_person_may_send_again_what_is_past_its_window_or_age() {
    // A person's retry starts the schedule anew: attempts were made, none counts.
    let by_person = InFlight {
        uncertain: true,
        failures: 0,
        sent: true,
        ladder: Ladder { rung: Rung::Asked, absent: 0, look_failures: 0 },
        ..first()
    };
    assert_eq!(turn(&by_person, &policy(KEY), at(30 * 24 * 3_600)), Turn::Send);
    // Once: in doubt again it is a person's again.
    assert_eq!(code(&after(&by_person, KEY, 10 * 3_600, uncertain()).next), "outcome_uncertain");
}

#[test]
fn unc_5_without_a_guard_doubt_goes_to_a_person_at_once() {
    // The guards that know records by their reference are none where nobody can be asked for this one.
    for guard in [Guard::None, Guard::Unique, Guard::Find] {
        let next = after(&first(), guard, 0, uncertain()).next;
        let problem = Problem::OutcomeUncertain { detail: "no answer in time".into() };
        assert_eq!(next, Next::Parked { problem, uncertain: true });
    }
}

#[test]
fn p5_doubt_is_sticky_until_an_answer_says_applied() {
    let doubtful = InFlight { uncertain: true, failures: 1, sent: true, ladder: DOUBT, ..first() };
    for outcome in [
        unavailable(),
        rejected(Mark::Record, Some(422)),
        AttemptOutcome::Credential { detail: String::new() },
        AttemptOutcome::Throttled { detail: String::new(), wait: Wait::default() },
        AttemptOutcome::Deferred { free_in: Duration::ZERO },
    ] {
        assert!(is_in_doubt(&after(&doubtful, KEY, 10, outcome.clone()).next), "{outcome:?}");
        assert!(!is_in_doubt(&after(&first(), KEY, 10, outcome).next));
    }
    let last = InFlight { failures: 13, ..doubtful };
    let next = after(&last, KEY, 10, unavailable()).next;
    assert_eq!((code(&next), is_in_doubt(&next)), ("retries_exhausted", true));
}

#[test]
fn p5_a_definite_failure_after_doubt_still_respects_the_window() {
    let doubtful = InFlight { uncertain: true, failures: 4, sent: true, ladder: DOUBT, ..first() };
    assert_eq!(after(&doubtful, KEY, 9 * 3_600 - 100, unavailable()).next, waiting(9 * 3_600 - 1, true, true));
}

#[test]
fn every_attempt_that_leaves_doubt_counts() {
    // The schedule and the window rely on it.
    for event in [
        DeliveryEvent::ProcessDied(AttemptPurpose::Send),
        DeliveryEvent::Seen { outcome: uncertain(), health: Health::Failed, credential: CredentialUse::First },
    ] {
        let next = step(&first(), event, &policy(KEY), Moment { now: at(1), jitter: 0.5 }).next;
        assert!(matches!(next, Next::Waiting { uncertain: true, counts: true, .. }), "{next:?}");
    }
}

#[test]
fn att_1_an_attempt_cut_short_by_the_end_of_the_process_is_uncertain() {
    let died = |guard| {
        step(
            &first(),
            DeliveryEvent::ProcessDied(AttemptPurpose::Send),
            &policy(guard),
            Moment { now: at(5), jitter: 0.5 },
        )
    };
    assert_eq!(died(KEY).next, waiting(7, true, true));
    assert_eq!(code(&died(Guard::None).next), "outcome_uncertain");
    assert_eq!(died(KEY).effects, [], "it says nothing about the destination");
    let unknown = step(
        &first(),
        DeliveryEvent::ProcessDied(AttemptPurpose::Send),
        &Policy::unknown(),
        Moment { now: at(5), jitter: 0.5 },
    );
    assert_eq!(code(&unknown.next), "outcome_uncertain");
}

#[test]
fn ret_2_an_attempt_withheld_from_a_shut_destination_costs_nothing() {
    let moment = Moment { now: at(5), jitter: 0.5 };
    let shut = step(&first(), DeliveryEvent::Withheld(Withheld::DestinationShut), &policy(KEY), moment);
    assert_eq!((shut.next, shut.effects), (waiting(0, false, false), Vec::new()), "it keeps its place in the backlog");
    let old = step(&first(), DeliveryEvent::Withheld(Withheld::TooOld), &policy(KEY), moment);
    assert_eq!((code(&old.next), is_in_doubt(&old.next)), ("too_old", false));
}

#[test]
fn poi_2_a_failure_of_our_own_parks_that_record_only() {
    for sent in [false, true] {
        let event = DeliveryEvent::Failed { sent, detail: "a bug".into() };
        let step = step(&first(), event, &policy(KEY), Moment { now: at(5), jitter: 0.5 });
        assert_eq!((code(&step.next), is_in_doubt(&step.next)), ("crashed_worker", sent));
        assert_eq!(step.effects, [Effect::Alarm { what: "a bug".into() }]);
    }
}

#[test]
fn ret_5_the_breaker_hears_of_every_attempt_that_was_tried() {
    for health in [Health::Answered, Health::Failed, Health::ConnectFailed, Health::Unknown] {
        let event = DeliveryEvent::Seen { outcome: unavailable(), health, credential: CredentialUse::First };
        let step = step(&first(), event, &policy(KEY), Moment { now: at(5), jitter: 0.5 });
        assert_eq!(step.effects[0], Effect::Health(health));
    }
}

#[test]
fn ret_5_a_refusal_never_counts_against_the_destination_whatever_its_status() {
    let told = |outcome| {
        let event = DeliveryEvent::Seen { outcome, health: Health::Failed, credential: CredentialUse::First };
        let moment = Moment { now: at(5), jitter: 0.5 };
        step(&first(), event, &policy(KEY), moment).effects.remove(0)
    };
    for (mark, status) in
        [(Mark::StaleKey, 500), (Mark::StaleKey, 503), (Mark::Configuration, 501), (Mark::Exists, 500)]
    {
        assert_eq!(told(rejected(mark, Some(status))), Effect::Health(Health::Answered), "{mark:?} {status}");
    }
    assert_eq!(told(uncertain()), Effect::Health(Health::Failed));
    assert_eq!(told(unavailable()), Effect::Health(Health::Failed));
}
