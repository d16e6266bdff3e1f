use super::*;

const FIRST: &str = "2026-03-01T10:00:01Z";
const SECOND: &str = "2026-03-01T10:00:02Z";

fn sent(version: u32) -> Sent {
    Sent {
        number: "42".to_owned(),
        version,
        body: format!("body-{version}"),
        document: Some(format!("document-{version}")),
        forged: false,
        told: Told::Yes,
    }
}

fn event(id: &str, body: &str, state: &str) -> StoredEvent {
    StoredEvent { id: id.to_owned(), body: body.to_owned(), state: state.to_owned() }
}

fn delivery(state: &str) -> StoredDelivery {
    StoredDelivery {
        event: "env_1".to_owned(),
        destination: "erp".to_owned(),
        key: "ek1-a".to_owned(),
        purpose: "order.create".to_owned(),
        state: state.to_owned(),
        excused: false,
    }
}

fn applied(purpose: &str, revision: &str, key: &str) -> Applied {
    Applied {
        number: "42".to_owned(),
        purpose: purpose.to_owned(),
        revision: revision.to_owned(),
        key: Some(key.to_owned()),
        digest: "document-1".to_owned(),
    }
}

/// An order that was sent, stored and delivered.
fn good() -> History {
    let stored = Stored {
        events: vec![event("env_1", "body-1", "done")],
        deliveries: vec![delivery("delivered")],
        open: Vec::new(),
    };
    History {
        sent: vec![sent(1)],
        stored: BTreeMap::from([("42".to_owned(), stored)]),
        applied: vec![applied("order.create", FIRST, "ek1-a")],
    }
}

fn order(history: &mut History) -> &mut Stored {
    history.stored.get_mut("42").unwrap()
}

#[track_caller]
fn check(change: impl FnOnce(&mut History), expected: &[Fault]) {
    let mut history = good();
    change(&mut history);
    let mut faults: Vec<Fault> = judge(&history).into_iter().map(|finding| finding.fault).collect();
    faults.dedup();
    assert_eq!(faults, expected);
}

#[test]
fn a_history_that_keeps_every_promise_has_no_findings() {
    check(|_| {}, &[]);
    check(|history| history.sent.push(Sent { told: Told::Nothing, ..sent(2) }), &[]);
    check(|history| history.sent.push(Sent { told: Told::No(503), ..sent(2) }), &[]);
    check(
        |history| {
            history.applied.push(applied("order.change", SECOND, "ek1-b"));
            history.applied.push(applied("order.cancel", SECOND, "ek1-c"));
        },
        &[],
    );
}

#[test]
fn p1_an_acknowledged_order_is_lost_when_neither_the_erp_nor_the_store_accounts_for_it() {
    check(|history| history.applied.clear(), &[Fault::Lost]);
    check(|history| history.stored.clear(), &[Fault::Lost]);
    check(|history| history.sent.push(sent(2)), &[Fault::Lost]);
    let parked = |history: &mut History| {
        history.applied.clear();
        order(history).deliveries[0] = StoredDelivery { excused: true, ..delivery("parked") };
        order(history).open.push("rejected_by_destination".to_owned());
    };
    check(parked, &[]);
}

#[test]
fn p3_two_effects_for_one_operation_are_doubled_whatever_their_keys() {
    check(|history| history.applied.push(applied("order.create", FIRST, "ek1-a")), &[Fault::Doubled]);
    check(|history| history.applied.push(applied("order.create", FIRST, "ek1-b")), &[Fault::Doubled]);
    let changes = |history: &mut History| {
        history.applied.extend([applied("order.change", SECOND, "ek1-b"), applied("order.change", SECOND, "ek1-c")]);
    };
    check(changes, &[Fault::Doubled]);
}

#[test]
fn p4_effects_against_the_order_of_their_lane_are_disordered() {
    check(|history| history.applied.insert(0, applied("order.change", FIRST, "ek1-b")), &[Fault::Disordered]);
    let backwards = |history: &mut History| {
        history.applied[0].revision = SECOND.to_owned();
        history.applied.push(applied("order.change", FIRST, "ek1-b"));
    };
    check(backwards, &[Fault::Disordered]);
}

#[test]
fn p6_what_is_open_although_there_was_time_is_stuck() {
    for state in ["waiting", "in_flight", "parked"] {
        check(|history| order(history).deliveries[0] = delivery(state), &[Fault::Stuck]);
    }
    check(|history| order(history).events[0].state = "received".to_owned(), &[Fault::Stuck]);
    check(|history| order(history).events[0].state = "exception".to_owned(), &[Fault::Stuck]);
}

#[test]
fn lane_2_what_waits_behind_a_record_a_person_is_asked_about_is_not_stuck() {
    let behind = |history: &mut History, head: StoredDelivery| {
        history.sent.push(sent(2));
        history.applied.clear();
        let stored = order(history);
        stored.open.push("rejected_by_destination".to_owned());
        stored.events[0].state = "exception".to_owned();
        stored.events.push(event("env_2", "body-2", "received"));
        let change =
            StoredDelivery { event: "env_2".to_owned(), purpose: "order.change".to_owned(), ..delivery("waiting") };
        stored.deliveries = vec![head, change];
        stored.rests()
    };
    let parked = StoredDelivery { excused: true, ..delivery("parked") };
    check(|history| assert!(behind(history, parked.clone())), &[]);
    // Behind a head that moves, that nobody is asked about, or in another lane.
    check(|history| assert!(!behind(history, delivery("waiting"))), &[Fault::Stuck]);
    check(|history| assert!(!behind(history, delivery("parked"))), &[Fault::Stuck]);
    let elsewhere = StoredDelivery { destination: "shop".to_owned(), ..parked.clone() };
    check(|history| assert!(!behind(history, elsewhere)), &[Fault::Stuck]);
    // Not concluded: no delivery of it waits behind anything.
    let unread = |history: &mut History| {
        behind(history, parked.clone());
        order(history).deliveries.truncate(1);
        assert!(!order(history).rests());
    };
    check(unread, &[Fault::Stuck]);
}

#[test]
fn a_document_that_is_no_expansion_of_what_was_sent_is_wrong() {
    check(|history| history.applied[0].digest = "document-9".to_owned(), &[Fault::WrongContent]);
    let second_state = |history: &mut History| {
        history.sent.push(Sent { told: Told::Nothing, ..sent(2) });
        history.applied[0].digest = "document-2".to_owned();
    };
    check(second_state, &[]);
}

#[test]
fn key_5_one_key_with_two_documents_is_a_reused_key() {
    let reused = |history: &mut History| {
        history.applied.push(Applied { digest: "document-2".to_owned(), ..applied("order.change", SECOND, "ek1-a") });
    };
    check(reused, &[Fault::KeyReused]);
}

#[test]
fn what_nobody_signed_is_forged_wherever_it_shows() {
    let forged = |told| Sent { forged: true, told, number: "66".to_owned(), ..sent(1) };
    check(|history| history.sent.push(forged(Told::No(401))), &[]);
    check(|history| history.sent.push(forged(Told::Yes)), &[Fault::Forged]);
    let stored = |history: &mut History| {
        history.sent.push(forged(Told::No(401)));
        let events = vec![event("env_1", "body-1", "done")];
        history.stored.insert("66".to_owned(), Stored { events, ..Stored::default() });
    };
    check(stored, &[Fault::Forged]);
    let invented = |history: &mut History| {
        history.applied.push(Applied { number: "77".to_owned(), ..applied("order.create", FIRST, "ek1-z") });
    };
    check(invented, &[Fault::WrongContent, Fault::Forged]);
}
