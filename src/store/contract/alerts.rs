//! Alerts and the messages about them.

use super::build::{Maker, at};
use crate::clock::SeededEntropy;
use crate::domain::defect::Severity;
use crate::envelope::ids::{AlertId, MessageId};
use crate::store::alerts::{ALERTS_KEPT, Alert, AlertChange, Farewell, MessageEnd, MessageKind, NewMessage};
use crate::store::write::Act;
use crate::store::{SharedStore, StoreError};

fn alert(entropy: &SeededEntropy, subject: &str, seconds: u64) -> Alert {
    Alert {
        id: AlertId::new(at(seconds), entropy),
        rule: "exceptions".into(),
        subject: subject.into(),
        severity: Severity::Error,
        what: "A SKU is not in the table".into(),
        next: "add the row".into(),
        waiting: 1,
        since: at(seconds),
        opened_at: at(seconds),
        changed_at: at(seconds),
        clear_since: None,
        resolved_at: None,
        acknowledged_at: None,
        acknowledged_by: None,
        level: 0,
        told_at: at(seconds),
        relapses: 0,
        unreached: false,
    }
}

fn message(entropy: &SeededEntropy, contact: &str, due: u64) -> NewMessage {
    NewMessage {
        id: MessageId::new(at(0), entropy),
        contact: contact.into(),
        kind: MessageKind::Raised,
        level: 0,
        notice: "it began".into(),
        due_at: at(due),
    }
}

fn raised(alert: &Alert, messages: Vec<NewMessage>) -> AlertChange {
    AlertChange { alert: alert.clone(), messages, fresh: Vec::new(), farewell: None }
}

fn over(entropy: &SeededEntropy, alert: &Alert, seconds: u64, contacts: &[&str]) -> AlertChange {
    let to = contacts.iter().map(|contact| ((*contact).into(), MessageId::new(at(seconds), entropy), at(seconds)));
    AlertChange {
        alert: Alert { resolved_at: Some(at(seconds)), changed_at: at(seconds), ..alert.clone() },
        messages: Vec::new(),
        fresh: Vec::new(),
        farewell: Some(Farewell { notice: "it is over".into(), to: to.collect() }),
    }
}

async fn take(store: &SharedStore, contact: &str, seconds: u64) -> Option<(MessageId, String, u32)> {
    let message = store.take_message(contact.into(), at(seconds)).await.unwrap()?;
    Some((message.id, message.notice, message.attempts))
}

fn act(id: AlertId) -> Act {
    crate::access::Actor::System.act("alert.acknowledge", id, at(9))
}

pub async fn an_alert_and_its_messages_are_written_together_and_a_contact_is_told_once(store: &SharedStore) {
    let entropy = SeededEntropy::new(3);
    let one = alert(&entropy, "mug", 1);
    let first = message(&entropy, "ops", 1);
    store.write_alerts(vec![raised(&one, vec![first.clone()])]).await.unwrap();
    store.write_alerts(vec![raised(&one, vec![message(&entropy, "ops", 1)])]).await.unwrap();
    assert_eq!(store.open_alerts().await.unwrap(), std::slice::from_ref(&one));
    let again = store.write_alerts(vec![raised(&alert(&entropy, "mug", 2), vec![message(&entropy, "lead", 1)])]).await;
    assert!(again.is_err(), "one open alert of a rule and a subject");
    assert_eq!(take(store, "lead", 9).await, None, "and nothing of it was written");
    assert_eq!(take(store, "ops", 0).await, None, "not due");
    assert_eq!(take(store, "ops", 1).await, Some((first.id, "it began".into(), 1)));
    assert_eq!(
        take(store, "ops", 1).await,
        Some((first.id, "it began".into(), 2)),
        "until somebody says what came of it"
    );
    let later = MessageEnd::Later { due_at: at(30), why: "status 503".into() };
    store.settle_message(first.id, later, at(2)).await.unwrap();
    assert_eq!(take(store, "ops", 29).await, None);
    assert_eq!(take(store, "ops", 30).await, Some((first.id, "it began".into(), 3)));
    store.settle_message(first.id, MessageEnd::Sent, at(31)).await.unwrap();
    assert_eq!(take(store, "ops", 99).await, None, "told once");
}

pub async fn who_was_told_hears_of_the_end_after_the_beginning_and_who_was_not_hears_of_neither(store: &SharedStore) {
    let entropy = SeededEntropy::new(4);
    let one = alert(&entropy, "mug", 1);
    let contacts = ["ops", "slow", "asleep", "stranger"];
    let messages = vec![message(&entropy, "ops", 1), message(&entropy, "slow", 1), message(&entropy, "asleep", 900)];
    store.write_alerts(vec![raised(&one, messages)]).await.unwrap();
    let (told, ..) = take(store, "ops", 1).await.unwrap();
    store.settle_message(told, MessageEnd::Sent, at(2)).await.unwrap();
    // Perhaps it arrived, perhaps not.
    let (tried, ..) = take(store, "slow", 1).await.unwrap();
    store.settle_message(tried, MessageEnd::Later { due_at: at(50), why: "reset".into() }, at(2)).await.unwrap();
    store.write_alerts(vec![over(&entropy, &one, 10, &contacts)]).await.unwrap();
    assert_eq!(store.open_alerts().await.unwrap(), []);
    assert_eq!(take(store, "ops", 10).await.unwrap().1, "it is over");
    assert_eq!(take(store, "slow", 49).await, None, "the end waits for the beginning");
    let (tried, words, _) = take(store, "slow", 50).await.unwrap();
    assert_eq!(words, "it began");
    store.settle_message(tried, MessageEnd::Sent, at(51)).await.unwrap();
    assert_eq!(take(store, "slow", 51).await.unwrap().1, "it is over");
    assert_eq!((take(store, "asleep", 9_999).await, take(store, "stranger", 9_999).await), (None, None));
}

pub async fn what_waits_for_the_morning_says_what_is_true_then(store: &SharedStore) {
    let entropy = SeededEntropy::new(5);
    let one = alert(&entropy, "mug", 1);
    let messages = vec![message(&entropy, "ops", 1), message(&entropy, "asleep", 900)];
    store.write_alerts(vec![raised(&one, messages)]).await.unwrap();
    take(store, "ops", 1).await.unwrap();
    let grown = Alert { waiting: 42, ..one };
    let fresh = vec![(MessageKind::Raised, "it grew".to_owned())];
    store.write_alerts(vec![AlertChange { fresh, ..raised(&grown, vec![]) }]).await.unwrap();
    assert_eq!(take(store, "asleep", 900).await.unwrap().1, "it grew");
    assert_eq!(take(store, "ops", 1).await.unwrap().1, "it began", "a repeat says the same");
}

pub async fn api_5_an_alert_is_taken_once_and_stays_taken(store: &SharedStore) {
    let entropy = SeededEntropy::new(6);
    let one = alert(&entropy, "mug", 1);
    store.write_alerts(vec![raised(&one, vec![])]).await.unwrap();
    assert_eq!(store.alert(one.id).await.unwrap().map(|known| known.id), Some(one.id));
    store.acknowledge_alert(one.id, act(one.id)).await.unwrap();
    assert!(store.alert(one.id).await.unwrap().is_some_and(|known| known.acknowledged_at.is_some()));
    store.write_alerts(vec![raised(&Alert { waiting: 7, ..one.clone() }, vec![])]).await.unwrap();
    let open = store.open_alerts().await.unwrap();
    let taken = (open[0].state(), open[0].waiting, open[0].acknowledged_by.as_deref(), open[0].acknowledged_at);
    assert_eq!(taken, ("acknowledged", 7, Some("system"), Some(at(9))), "a look does not take it back");
    let twice = store.acknowledge_alert(one.id, act(one.id)).await;
    assert!(matches!(twice, Err(StoreError::NotAllowed(_))), "{twice:?}");
    store.write_alerts(vec![over(&entropy, &one, 10, &[])]).await.unwrap();
    let late = store.acknowledge_alert(one.id, act(one.id)).await;
    assert!(matches!(late, Err(StoreError::NotAllowed(_))), "{late:?}");
    let other = AlertId::new(at(1), &entropy);
    assert_eq!(store.alert(other).await.unwrap(), None);
    assert!(matches!(store.acknowledge_alert(other, act(other)).await, Err(StoreError::NotFound(_))));
    assert_eq!(store.audit_head().await.unwrap().rows, 1, "one act");
}

pub async fn nobody_reached_relapses_and_what_is_kept(store: &SharedStore) {
    let entropy = SeededEntropy::new(7);
    let one = alert(&entropy, "mug", 1);
    let messages = vec![message(&entropy, "ops", 1), message(&entropy, "gone", 1)];
    store.write_alerts(vec![raised(&one, messages)]).await.unwrap();
    assert_eq!(store.give_up_messages(vec!["ops".into()], at(2)).await.unwrap(), 1);
    assert!(!store.open_alerts().await.unwrap()[0].unreached, "one may still be told");
    let (id, ..) = take(store, "ops", 1).await.unwrap();
    store.settle_message(id, MessageEnd::Failed { why: "status 410".into() }, at(3)).await.unwrap();
    assert!(store.open_alerts().await.unwrap()[0].unreached);
    store.write_alerts(vec![over(&entropy, &one, 10, &["ops"])]).await.unwrap();
    assert_eq!(take(store, "ops", 99).await, None, "who could not be told is not told of the end");
    store.write_alerts(vec![raised(&alert(&entropy, "mug", 20), vec![])]).await.unwrap();
    store.write_alerts(vec![raised(&alert(&entropy, "cup", 20), vec![])]).await.unwrap();
    let relapses = store.open_alerts().await.unwrap().iter().map(|alert| alert.relapses).collect::<Vec<_>>();
    assert_eq!(relapses, [1, 0]);
    for number in 0..ALERTS_KEPT as u64 + 5 {
        let one = Alert { rule: "lag".into(), ..alert(&entropy, "erp", 100 + number) };
        store.write_alerts(vec![raised(&one, vec![])]).await.unwrap();
        store.write_alerts(vec![over(&entropy, &one, 100 + number, &[])]).await.unwrap();
    }
    let kept = store.recent_alerts(u32::MAX).await.unwrap();
    assert_eq!((kept.len(), kept[0].resolved_at), (ALERTS_KEPT + 2, None), "open ones first");
}

pub async fn orders_are_counted_once_by_the_hour_they_came(store: &SharedStore) {
    let maker = Maker::default();
    for number in ["1", "2", "3"] {
        maker.waiting(store, number).await;
    }
    assert!(!store.count_orders(at(0)).await.unwrap(), "all of them");
    store.count_orders(at(0)).await.unwrap();
    maker.waiting(store, "4").await;
    store.count_orders(at(0)).await.unwrap();
    let hours = store.order_hours().await.unwrap();
    assert_eq!(hours.iter().map(|hour| hour.orders).sum::<u64>(), 4, "{hours:?}");
    assert!(hours.iter().all(|hour| hour.hour <= hour.last_at), "{hours:?}");
    store.mark_alive(at(5)).await.unwrap();
}
