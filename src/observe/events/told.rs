//! What each event says in the log.

use super::Event;
use crate::envelope::ids::DeliveryId;

/// Info is what an operator should know; a healthy order passes at debug.
pub(in crate::observe) fn log(event: &Event<'_>) {
    match event {
        Event::RequestReceived { .. }
        | Event::Committed { .. }
        | Event::CatalogueRead { .. }
        | Event::DeadManPinged { outcome: "sent", .. }
        | Event::JournalRead { outcome: "done", taken: 0, .. }
        | Event::PollEnded { outcome: "done", new: 0, .. } => {}
        Event::RequestStored { origin, .. } => tracing::debug!(origin.name = origin, "a request was stored"),
        Event::RequestRefused { origin, reason, detail } => {
            tracing::warn!(origin.name = origin, reason = reason.as_str(), detail, "a request was refused");
        }
        Event::PushMissed { origin, status } => tracing::error!(
            origin.name = origin,
            status,
            "a signed request of Adobe I/O was refused for good: its events are on the journal only"
        ),
        Event::ValidationAsked { origin, host } => tracing::warn!(
            origin.name = origin,
            host,
            "Adobe I/O asks to validate the registration by an address, which is never called: save the registration \
             again, its challenge is answered"
        ),
        Event::SigningKeyUnread { origin, path, reason } => {
            tracing::warn!(origin.name = origin, path, reason, "a signing key of Adobe I/O could not be read");
        }
        Event::EnvelopeAccepted { origin, envelope } => {
            tracing::debug!(origin.name = origin, envelope.id = %envelope, "an event was accepted");
        }
        Event::DuplicateSeen { origin, first } => {
            tracing::debug!(origin.name = origin, envelope.id = %first, "an event came again");
        }
        Event::ConflictSeen { origin, first } => {
            tracing::warn!(origin.name = origin, envelope.id = %first, "an event id came again with other content");
        }
        Event::RecordRejected { origin, path } => {
            tracing::warn!(origin.name = origin, path, "a record could not be taken");
        }
        Event::AttemptStarted { destination, delivery, number } => {
            tracing::debug!(destination.name = destination, delivery.id = %delivery, attempt = number, "an attempt starts");
        }
        Event::AttemptFinished { destination, delivery, number, outcome, detail, .. } => {
            log_attempt(destination, *delivery, *number, outcome, detail);
        }
        Event::DeliverySettled { destination, delivery, .. } => {
            tracing::debug!(destination.name = destination, delivery.id = %delivery, "a delivery is confirmed");
        }
        Event::ExceptionOpened { exception, code, increment_id, message, .. } => {
            tracing::error!(
                exception.id = %exception, code, order.increment_id = increment_id, detail = message,
                "a record needs a person"
            );
        }
        Event::DestinationStateChanged { destination, state, reason } => match *state {
            "open" | "half_open" | "closed" => {
                tracing::info!(destination.name = destination, state, reason, "a destination changed");
            }
            "held" => tracing::error!(destination.name = destination, state, reason, "a destination is held"),
            _ => tracing::warn!(destination.name = destination, state, reason, "a destination changed"),
        },
        Event::ExceptionStorm { code, fingerprint, destination, paused } => tracing::error!(
            code,
            group = fingerprint,
            destination.name = destination,
            paused,
            "many records were parked by one cause: repair it once and release the group"
        ),
        Event::CommitsTooSlow { refusing: true } => {
            tracing::error!("commits take more than a second: nothing is taken in until the disk is quicker");
        }
        Event::CommitsTooSlow { refusing: false } => tracing::info!("commits are quick enough: intake is open"),
        Event::DiskChanged { level, free, .. } => match *level {
            "full" => tracing::error!(level, free, "the disk is nearly full: nothing is taken in; make room"),
            "scarce" => tracing::error!(level, free, "the disk is filling: stock is refused; make room"),
            "low" => tracing::warn!(level, free, "the disk is filling: make room"),
            _ => tracing::info!(level, free, "there is room on the disk"),
        },
        Event::IncidentOpened { destination, kind, why, waiting } => tracing::error!(
            destination.name = destination,
            kind,
            why,
            waiting,
            "a destination is in trouble; what is meant for it is safe and waits"
        ),
        Event::IncidentEnded { destination, kind, lasted } => tracing::info!(
            destination.name = destination,
            kind,
            lasted_s = lasted.as_secs(),
            "a destination is well again and its backlog has gone"
        ),
        Event::AlertRaised { rule, severity, what, waiting } => {
            tracing::warn!(rule, severity, detail = what, waiting, "an alert was raised");
        }
        Event::AlertEnded { rule, what, lasted } => {
            tracing::info!(rule, detail = what, lasted_s = lasted.as_secs(), "an alert is over");
        }
        Event::AlertMessage { contact, outcome: "sent", detail, took } => {
            tracing::info!(contact, detail, took_ms = took.as_millis(), "a contact was told");
        }
        Event::AlertMessage { contact, outcome: "failed", detail, .. } => {
            tracing::error!(contact, detail, "a contact could not be told; the next one is");
        }
        Event::AlertMessage { contact, detail, .. } => {
            tracing::warn!(contact, detail, "a contact could not be told yet");
        }
        Event::DeadManPinged { outcome, detail } => {
            tracing::warn!(outcome, detail, "the outside monitor was not told that we are well");
        }
        Event::CatalogueFetched { system, known, failed: None } => {
            tracing::debug!(system, known, "products were read from Commerce");
        }
        Event::CatalogueFetched { system, failed: Some(reason), .. } => {
            tracing::warn!(
                system,
                reason,
                "products could not be read from Commerce: orders go on without for a while"
            );
        }
        Event::MappingsReloaded { version } => tracing::info!(version, "the mapping tables were read anew"),
        Event::OperatorActed { actor, action, target } => {
            tracing::info!(actor, action, target, "an operator acted");
        }
        Event::LedgerDiffers { by } => {
            tracing::error!(by = %by, "the ledger does not add up: keep the file and run doctor --recount");
        }
        Event::EnvelopesSilent { count, example } => {
            tracing::error!(count, envelope.id = %example, "unfinished events have neither a due time nor an exception");
        }
        Event::ReadWanted { system } => tracing::debug!(commerce.name = system, "an order is to be read back"),
        Event::ReadEnded { system, outcome: "read" | "absent", .. } => {
            tracing::debug!(commerce.name = system, "an order was looked up");
        }
        Event::ReadEnded { system, outcome, detail } => {
            tracing::warn!(commerce.name = system, outcome, detail, "an order could not be read");
        }
        Event::ReadsHeld { system, held: true, why } => tracing::error!(
            commerce.name = system,
            why,
            "orders cannot be read from Commerce: what needs them is safe and waits; correct the credentials"
        ),
        Event::ReadsHeld { system, held: false, .. } => {
            tracing::info!(commerce.name = system, "orders can be read from Commerce again");
        }
        Event::SweepEnded { system, outcome: "done", taken: 0, .. } => {
            tracing::debug!(commerce.name = system, "Commerce holds no order that is not here");
        }
        Event::SweepEnded { system, outcome: "done", taken, .. } => {
            tracing::info!(commerce.name = system, taken, "orders that did not reach us were read from Commerce");
        }
        Event::SweepEnded { system, outcome: outcome @ ("unauthorized" | "refused"), detail, .. } => tracing::error!(
            commerce.name = system,
            outcome,
            detail,
            "Commerce refuses the search for lost orders: it starts again where it was; correct the credentials"
        ),
        Event::SweepEnded { system, outcome, taken, detail, .. } => {
            tracing::warn!(commerce.name = system, outcome, taken, detail, "Commerce could not be searched to the end");
        }
        Event::JournalRead { origin, outcome: "done", taken, .. } => {
            tracing::info!(origin.name = origin, taken, "events were read from Adobe's journal");
        }
        Event::JournalRead { origin, outcome: "gap", taken, .. } => tracing::error!(
            origin.name = origin,
            taken,
            "Adobe's journal no longer holds what was to be read next: it is read from its oldest event, and Commerce is \
             searched for the rest"
        ),
        Event::JournalRead { origin, outcome: outcome @ ("unauthorized" | "refused"), detail, .. } => tracing::error!(
            origin.name = origin,
            outcome,
            detail,
            "Adobe's journal cannot be read: it goes on where it was; look at the origin's journal in the configuration"
        ),
        Event::JournalRead { origin, outcome, detail, .. } => {
            tracing::warn!(origin.name = origin, outcome, detail, "Adobe's journal could not be read to its end");
        }
        Event::PollEnded { origin, poll, outcome: "done", new, unreadable, .. } => {
            tracing::info!(origin.name = origin, poll, new, unreadable, "a back office was read");
        }
        Event::PollEnded { origin, destination, poll, outcome: "shut", detail, .. } => tracing::info!(
            origin.name = origin,
            destination.name = destination,
            poll,
            detail,
            "a back office is not read now: it goes on where it was"
        ),
        Event::PollEnded { origin, destination, poll, outcome, detail, .. }
            if matches!(*outcome, "unauthorized" | "refused" | "unmet" | "stuck") =>
        {
            tracing::error!(
                origin.name = origin,
                destination.name = destination,
                poll,
                outcome,
                detail,
                "a back office cannot be read: it goes on where it was; correct its credentials or the polls of its recipe"
            );
        }
        Event::PollEnded { origin, destination, poll, outcome, detail, .. } => tracing::warn!(
            origin.name = origin,
            destination.name = destination,
            poll,
            outcome,
            detail,
            "a back office could not be read to the end"
        ),
        Event::BackupMade { path, bytes, took, .. } => {
            let took_ms = u64::try_from(took.as_millis()).unwrap_or(u64::MAX);
            tracing::info!(path, bytes, took_ms, "the store was copied and the copy proved");
        }
        Event::BackupFailed { reason } => tracing::error!(reason, "the store could not be copied"),
        Event::CheckFailed { findings, first } => {
            tracing::error!(findings, first, "the store is not what it should be");
        }
        Event::Restored { copied_at, in_doubt } => {
            tracing::warn!(%copied_at, in_doubt, "the restored store is taken over");
        }
        Event::Retired { bodies, attempts } => tracing::info!(bodies, attempts, "what is no longer needed was removed"),
        Event::ClockJumped { by } => {
            tracing::warn!(by_ms = u64::try_from(by.as_millis()).unwrap_or(u64::MAX), "the wall clock jumped");
        }
    }
}

fn log_attempt(destination: &str, delivery: DeliveryId, number: u32, outcome: &str, detail: &str) {
    if matches!(outcome, "accepted" | "already_applied") {
        tracing::debug!(destination.name = destination, delivery.id = %delivery, attempt = number, outcome, "an attempt ended");
    } else {
        tracing::warn!(
            destination.name = destination, delivery.id = %delivery, attempt = number, outcome, detail,
            "an attempt ended"
        );
    }
}
