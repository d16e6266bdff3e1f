//! Sends the messages of one contact, one after the other, from the outbox.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;

use super::Alerting;
use super::channel::Sent;
use super::notice::Notice;
use crate::clock::{Timestamp, later};
use crate::observe::Event;
use crate::store::StoreError;
use crate::store::alerts::{DueMessage, MessageEnd};

/// The outbox is looked at this often although nobody rang: quiet hours end, and pauses.
const LOOK: Duration = Duration::from_secs(1);
/// After try 1, 2, …; then it has failed: about five hours.
const PAUSES: [u64; 11] = [1, 2, 5, 15, 60, 300, 900, 1_800, 3_600, 3_600, 7_200];
/// What the channel will not take like this is tried a few times only: somebody may be putting it right.
const REFUSED_MAX: u32 = 4;

/// Until the service stops.
pub(super) async fn run(
    alerting: Arc<Alerting>,
    contact: String,
    mut written: watch::Receiver<u64>,
    mut stopped: watch::Receiver<bool>,
) {
    let mut paused_until = None;
    while !*stopped.borrow() {
        written.mark_unchanged();
        let now = alerting.clock.now();
        let paused = paused_until.is_some_and(|until| now < until);
        let sent = if paused { Ok(false) } else { one(&alerting, &contact, &mut paused_until).await };
        match sent {
            Ok(true) => continue,
            Ok(false) => {}
            Err(StoreError::Stopped) => {
                let _ = stopped.changed().await;
                return;
            }
            Err(error) => tracing::warn!(contact, %error, "the outbox of alerts could not be read"),
        }
        tokio::select! {
            () = tokio::time::sleep(LOOK) => {}
            _ = written.changed() => {}
            _ = stopped.changed() => return,
        }
    }
}

/// One message, if one is due.
async fn one(alerting: &Alerting, contact: &str, paused_until: &mut Option<Timestamp>) -> Result<bool, StoreError> {
    let now = alerting.clock.now();
    let Some(message) = alerting.store.take_message(contact.to_owned(), now).await? else { return Ok(false) };
    let sent = match (serde_json::from_str::<Notice>(&message.notice), alerting.contacts.channels.get(contact)) {
        (Ok(notice), Some(channel)) => channel.send(&message.id.to_string(), &notice, now).await,
        (Err(_), _) | (_, None) => Sent::Refused { why: "the stored message cannot be read".to_owned() },
    };
    let at = alerting.clock.now();
    let end = end(&message, &sent, alerting.entropy.unit(), at);
    if let Sent::Later { after: Some(after), .. } = &sent {
        // It was said to us, not of this message.
        *paused_until = Some(later(at, *after));
    }
    let (outcome, detail) = match (&end, &sent) {
        (MessageEnd::Sent, Sent::Accepted { answer }) => ("sent", answer.as_str()),
        (MessageEnd::Later { why, .. }, _) => ("put_off", why.as_str()),
        (MessageEnd::Failed { why }, _) => ("failed", why.as_str()),
        (MessageEnd::Sent, _) => ("sent", ""),
    };
    let took: Duration = at.duration_since(message.created_at).try_into().unwrap_or_default();
    alerting.observer.note(&Event::AlertMessage { contact, outcome, detail, took });
    let failed = matches!(end, MessageEnd::Failed { .. });
    alerting.store.settle_message(message.id, end, at).await?;
    if failed {
        // The next contact is told at once.
        alerting.bell.notify_one();
    }
    Ok(true)
}

/// What follows for a message.
fn end(message: &DueMessage, sent: &Sent, jitter: f64, at: Timestamp) -> MessageEnd {
    let (why, after, refused) = match sent {
        Sent::Accepted { .. } => return MessageEnd::Sent,
        Sent::Later { why, after } => (why.clone(), *after, false),
        Sent::Refused { why } => (why.clone(), None, true),
    };
    let place = usize::try_from(message.attempts.saturating_sub(1)).unwrap_or(usize::MAX);
    match PAUSES.get(place) {
        Some(pause) if !(refused && message.attempts >= REFUSED_MAX) => {
            let pause = Duration::from_secs(*pause).mul_f64(0.8 + 0.4 * jitter);
            MessageEnd::Later { due_at: later(at, pause.max(after.unwrap_or_default())), why }
        }
        _ => MessageEnd::Failed { why },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::{SeededEntropy, from_micros};
    use crate::envelope::ids::MessageId;

    fn after(attempts: u32, sent: &Sent) -> Option<i64> {
        let now = from_micros(0);
        let message = DueMessage {
            id: MessageId::new(now, &SeededEntropy::new(1)),
            notice: String::new(),
            attempts,
            created_at: now,
        };
        match end(&message, sent, 0.5, now) {
            MessageEnd::Sent => Some(0),
            MessageEnd::Later { due_at, .. } => Some(due_at.as_second()),
            MessageEnd::Failed { .. } => None,
        }
    }

    #[test]
    fn a_message_is_tried_for_hours_and_a_refused_one_a_few_times() {
        let later = Sent::Later { why: "reset".to_owned(), after: None };
        assert_eq!(
            [1, 2, 5, 11, 12].map(|attempts| after(attempts, &later)),
            [Some(1), Some(2), Some(60), Some(7_200), None]
        );
        let refused = Sent::Refused { why: "status 404".to_owned() };
        assert_eq!([1, 3, 4].map(|attempts| after(attempts, &refused)), [Some(1), Some(5), None]);
        assert_eq!(after(1, &Sent::Accepted { answer: String::new() }), Some(0));
    }

    #[test]
    fn what_the_channel_asks_for_is_a_floor() {
        let wait = |seconds| Sent::Later { why: "429".to_owned(), after: Some(Duration::from_secs(seconds)) };
        assert_eq!(after(1, &wait(30)), Some(30));
        assert_eq!(after(8, &wait(30)), Some(1_800));
    }
}
