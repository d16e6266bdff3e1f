//! A parked delivery in words: the exception a person reads.

use super::machine::Problem;
use crate::clock::Timestamp;
use crate::destinations::{Mark, Rejection};
use crate::domain::defect::{Defect, ExceptionCode, Owner, Severity};
use crate::envelope::ids::{DeliveryId, ExceptionId};
use crate::store::write::{NewException, Subject};

/// What the exception is about.
pub struct Parked<'a> {
    /// The delivery.
    pub delivery: DeliveryId,
    /// Its destination.
    pub destination: &'a str,
    /// Its subject.
    pub subject: &'a Subject,
    /// `order.create`, …
    pub purpose: &'a str,
    /// It may have taken effect.
    pub uncertain: bool,
}

/// The exception to open.
pub fn exception(id: ExceptionId, problem: &Problem, parked: &Parked<'_>, now: Timestamp) -> NewException {
    let defect = defect(problem, parked);
    let (severity, owner) = whose(problem, defect.code);
    NewException {
        id,
        code: defect.code.as_str().to_owned(),
        severity: severity.as_str().to_owned(),
        owner: owner.as_str().to_owned(),
        subject: parked.subject.clone(),
        destination: Some(parked.destination.to_owned()),
        delivery: Some(parked.delivery),
        fingerprint: defect.fingerprint(),
        path: defect.path,
        value: None,
        message: defect.message,
        remedy: defect.remedy,
        opened_at: now,
    }
}

/// The exception of a delivery whose destination the configuration no longer names.
pub fn stranded(id: ExceptionId, parked: &Parked<'_>, now: Timestamp) -> NewException {
    let Parked { destination, purpose, .. } = parked;
    let detail = format!("the destination {destination} is no longer configured, so nothing is sent");
    let rejection = Rejection { mark: Mark::Configuration, status: None, detail };
    NewException {
        message: format!("{purpose} waits for {destination}, which is no longer configured: nothing is sent"),
        remedy: format!(
            "Configure [destinations.{destination}] again and retry the delivery, or abandon the delivery with a reason."
        ),
        ..exception(id, &Problem::Rejected(rejection), parked, now)
    }
}

/// By the catalogue, but for refusals that are not about the record.
fn whose(problem: &Problem, code: ExceptionCode) -> (Severity, Owner) {
    match problem {
        Problem::Rejected(Rejection { mark: Mark::Configuration, .. }) => (code.severity(), Owner::Integration),
        Problem::Rejected(Rejection { mark: Mark::Gone | Mark::OurBug, .. }) => {
            (Severity::Critical, Owner::Integration)
        }
        Problem::Rejected(Rejection { mark: Mark::Record | Mark::Exists | Mark::StaleKey | Mark::Unmet, .. })
        | Problem::FoundDifferent { .. }
        | Problem::TotalsDiffer { .. }
        | Problem::FoundMany { .. }
        | Problem::OutcomeUncertain { .. }
        | Problem::RetriesExhausted { .. }
        | Problem::TooOld { .. }
        | Problem::Crashed { .. } => (code.severity(), code.owner()),
    }
}

fn defect(problem: &Problem, parked: &Parked<'_>) -> Defect {
    let Parked { destination, purpose, .. } = parked;
    let doubt = if parked.uncertain { "; an earlier attempt may have taken effect" } else { "" };
    let (code, message, remedy, like) = match problem {
        Problem::Rejected(rejection) if rejection.mark == Mark::Unmet => (
            ExceptionCode::RejectedByDestination,
            format!("{purpose} cannot be put to {destination}: {}{doubt}", rejection.detail),
            remedy_of_refusal(rejection.mark, destination),
            alike(&rejection.detail),
        ),
        Problem::TotalsDiffer { detail } => (
            ExceptionCode::TotalsDifferAtDestination,
            format!("{destination} has {purpose} with other amounts: {detail}"),
            format!(
                "Correct the record in {destination} or its tax settings, then retry the delivery, which compares again; or \
                 settle the delivery as applied with its number, if the difference is accepted."
            ),
            String::new(),
        ),
        Problem::Rejected(rejection) => (
            ExceptionCode::RejectedByDestination,
            format!("{destination} refused {purpose}: {}{doubt}", rejection.detail),
            remedy_of_refusal(rejection.mark, destination),
            alike(&rejection.detail),
        ),
        Problem::OutcomeUncertain { detail } => (
            ExceptionCode::OutcomeUncertain,
            format!("{destination} may or may not have applied {purpose}: {detail}"),
            format!(
                "Look in {destination} for this record. If it is there, settle the delivery as applied with its number; \
                 if it is not, send it again. It is never sent twice without your word."
            ),
            String::new(),
        ),
        Problem::FoundDifferent { detail } => (
            ExceptionCode::FoundDifferent,
            format!("{destination} has a record under the reference of {purpose} with other content: {detail}{doubt}"),
            format!(
                "Compare the two in {destination}. If that record is this one, settle the delivery as applied with its \
                 number; if it is in the way, correct it there and retry the delivery, which looks again before it sends."
            ),
            String::new(),
        ),
        Problem::FoundMany { detail } => (
            ExceptionCode::FoundMany,
            format!("{destination} has more than one record under the reference of {purpose}: {detail}{doubt}"),
            format!(
                "Cancel the surplus records in {destination}, then settle the delivery as applied with the number of the \
                 one that stays. Nothing more is sent meanwhile."
            ),
            String::new(),
        ),
        Problem::RetriesExhausted { attempts, detail } => (
            ExceptionCode::RetriesExhausted,
            format!("{destination} did not take {purpose} in {attempts} attempts; the last: {detail}{doubt}"),
            format!("Bring {destination} back, then retry the delivery."),
            String::new(),
        ),
        Problem::TooOld { detail } => (
            ExceptionCode::TooOld,
            format!("{purpose} for {destination} is past its age limit; the last: {detail}{doubt}"),
            "Decide whether it still makes sense there: retry the delivery, or abandon it with a reason.".to_owned(),
            String::new(),
        ),
        Problem::Crashed { detail } => (
            ExceptionCode::CrashedWorker,
            format!("our own code failed on {purpose} for {destination}: {detail}{doubt}"),
            "Report it with the delivery's id; retry the delivery after an update.".to_owned(),
            alike(detail),
        ),
    };
    Defect::new(code, "", message).with_remedy(remedy).with_cause(format!("{destination}: {like}"))
}

fn remedy_of_refusal(mark: Mark, destination: &str) -> String {
    match mark {
        Mark::Exists => format!(
            "{destination} says that it has this record already. Look there: settle the delivery as applied if it is ours, \
             else correct the record that is in the way and retry the delivery."
        ),
        Mark::StaleKey => format!(
            "{destination} repeats the failure it stored for this key and cannot be asked what it has: look there, then \
             settle the delivery as applied, or correct the order and replay the event, which makes a new key."
        ),
        Mark::Unmet => format!(
            "Add what is missing in {destination} (a product, a customer), in a mapping or in its settings, then retry the \
             delivery."
        ),
        Mark::Record => {
            format!("Correct what {destination} complains about (the order, or a mapping), then replay the event.")
        }
        Mark::Configuration => {
            format!("Check the URL and settings of destination {destination}, then retry the delivery.")
        }
        Mark::Gone => {
            format!("{destination} says that it is gone and is held: correct its URL, release it, retry the delivery.")
        }
        Mark::OurBug => "The same idempotency key was met with another payload, which must not happen: report it with \
                         the delivery's id before anything is sent again."
            .to_owned(),
    }
}

/// The sentence with its numbers taken out: forty-two orders refused for one reason are one group.
fn alike(detail: &str) -> String {
    let mut out = String::with_capacity(detail.len());
    for word in detail.split_whitespace() {
        let word = if word.bytes().any(|byte| byte.is_ascii_digit()) && !is_status(word) { "#" } else { word };
        out.push_str(word);
        out.push(' ');
    }
    out
}

/// Three digits alone, `422`: the status tells causes apart.
fn is_status(word: &str) -> bool {
    let word = word.trim_end_matches(':');
    word.len() == 3 && word.bytes().all(|byte| byte.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::{SeededEntropy, from_micros};

    fn opened(problem: &Problem, uncertain: bool) -> NewException {
        let entropy = SeededEntropy::new(3);
        let subject =
            Subject { kind: "order".into(), system: "acme".into(), scope: "1".into(), id: "000000042".into() };
        let delivery = DeliveryId::new(from_micros(0), &entropy);
        let parked = Parked { delivery, destination: "erp", subject: &subject, purpose: "order.create", uncertain };
        exception(ExceptionId::new(from_micros(0), &entropy), problem, &parked, from_micros(5))
    }

    fn refusal(mark: Mark, detail: &str) -> Problem {
        Problem::Rejected(Rejection { mark, status: Some(422), detail: detail.to_owned() })
    }

    #[test]
    fn a_refusal_names_the_destination_the_status_and_its_words() {
        let opened = opened(&refusal(Mark::Record, "answered 422 Unprocessable Entity: unknown customer"), false);
        assert_eq!(opened.code, "rejected_by_destination");
        assert_eq!((opened.path.as_str(), opened.destination.as_deref()), ("", Some("erp")));
        assert_eq!(opened.message, "erp refused order.create: answered 422 Unprocessable Entity: unknown customer");
        assert!(!opened.remedy.is_empty() && opened.delivery.is_some());
    }

    #[test]
    fn alike_refusals_share_a_fingerprint() {
        let of = |detail: &str| opened(&refusal(Mark::Record, detail), false).fingerprint;
        let one = of("answered 422 Unprocessable Entity: order 000000042 has no customer");
        assert_eq!(one, of("answered 422 Unprocessable Entity: order 000000043 has no customer"));
        assert_ne!(one, of("answered 400 Bad Request: order 000000042 has no customer"));
        assert_ne!(one, of("answered 422 Unprocessable Entity: order 000000042 has no lines"));
    }

    #[test]
    fn key_6_a_reused_key_is_critical_and_belongs_to_integration() {
        let opened = opened(&refusal(Mark::OurBug, "answered 422"), false);
        assert_eq!((opened.severity.as_str(), opened.owner.as_str()), ("critical", "integration"));
    }

    #[test]
    fn p5_doubt_left_by_an_earlier_attempt_is_told() {
        let opened = opened(&refusal(Mark::Record, "answered 422"), true);
        assert!(opened.message.ends_with("an earlier attempt may have taken effect"), "{}", opened.message);
    }
}
