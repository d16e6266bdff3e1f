//! What a destination says in its own words may name the buyer: "no customer Anna Weber". Such words end in the record of the
//! attempt, in an exception and in the log, where nobody needs a name, and where an erasure would have to look for it
//! (DAT-1). What the document itself says of its people is taken out of them before they go anywhere.

use bytes::Bytes;
use serde_json::Value;

use super::machine::{DeliveryEvent, Withheld};
use super::sending::Report;
use crate::domain::personal::People;

/// Takes what the document says of its people out of all that was said of the attempt.
pub(super) fn keep(report: &mut Report, document: &Bytes) {
    if is_ours(&report.event) {
        return;
    }
    // A document that cannot be read names nobody.
    let document: Value = serde_json::from_slice(document).unwrap_or_default();
    let people = People::of(&document);
    let discreet = |text: &mut String| *text = people.kept_out_of(text);
    discreet(&mut report.seen.detail);
    report.seen.steps = report.seen.steps.take().map(|steps| of_steps(&steps, &people));
    match &mut report.event {
        DeliveryEvent::Seen { outcome, .. } => outcome.details().for_each(discreet),
        DeliveryEvent::Looked { finding, .. } => finding.details().for_each(discreet),
        DeliveryEvent::Withheld(Withheld::CannotAsk(detail) | Withheld::CannotWrite(detail))
        | DeliveryEvent::Failed { detail, .. } => discreet(detail),
        DeliveryEvent::Withheld(_) | DeliveryEvent::ProcessDied(_) => {}
    }
}

/// The record of the steps, in the sentences that may repeat what was answered.
fn of_steps(steps: &str, people: &People) -> String {
    let mut seen: Value = serde_json::from_str(steps).unwrap_or_default();
    for step in seen.as_array_mut().into_iter().flatten() {
        if let Some(Value::String(detail)) = step.get_mut("detail") {
            *detail = people.kept_out_of(detail);
        }
    }
    seen.to_string()
}

/// Whether the words are ours alone, as for nearly all attempts.
fn is_ours(event: &DeliveryEvent) -> bool {
    use crate::destinations::{AttemptOutcome, Finding};
    matches!(
        event,
        DeliveryEvent::Seen { outcome: AttemptOutcome::Accepted(_) | AttemptOutcome::AlreadyApplied(_), .. }
            | DeliveryEvent::Looked { finding: Finding::Absent, .. }
    )
}
