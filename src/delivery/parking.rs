//! A parked delivery in words: the exception a person reads.

use super::machine::Problem;
use crate::clock::Timestamp;
use crate::destinations::{Mark, Rejection};
use crate::envelope::ids::{DeliveryId, ExceptionId};
use crate::envelope::keys::Digest;
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

struct Words {
    code: &'static str,
    severity: &'static str,
    owner: &'static str,
    message: String,
    remedy: String,
    /// What alike problems have in common, beside code and destination.
    cause: String,
}

/// The exception to open.
pub fn exception(id: ExceptionId, problem: &Problem, parked: &Parked<'_>, now: Timestamp) -> NewException {
    let words = words(problem, parked);
    let fingerprint = Digest::of_fields(&[words.code, parked.destination, &words.cause]).hex()[..16].to_owned();
    NewException {
        id,
        code: words.code.to_owned(),
        severity: words.severity.to_owned(),
        owner: words.owner.to_owned(),
        subject: parked.subject.clone(),
        destination: Some(parked.destination.to_owned()),
        delivery: Some(parked.delivery),
        path: String::new(),
        value: None,
        message: words.message,
        remedy: words.remedy,
        fingerprint,
        opened_at: now,
    }
}

fn words(problem: &Problem, parked: &Parked<'_>) -> Words {
    let Parked { destination, purpose, .. } = parked;
    match problem {
        Problem::Rejected(rejection) => rejected(rejection, parked),
        Problem::OutcomeUncertain { detail } => Words {
            code: "outcome_uncertain",
            severity: "critical",
            owner: "operations",
            message: format!("{destination} may or may not have applied {purpose}: {detail}"),
            remedy: format!(
                "Look in {destination} for this record. If it is there, settle the delivery as applied with its number; \
                 if it is not, send it again. It is never sent twice without your word."
            ),
            cause: String::new(),
        },
        Problem::RetriesExhausted { attempts, detail } => Words {
            code: "retries_exhausted",
            severity: "error",
            owner: "integration",
            message: format!("{destination} did not take {purpose} in {attempts} attempts; the last: {detail}{}", doubt(parked)),
            remedy: format!("Bring {destination} back, then retry the delivery."),
            cause: String::new(),
        },
        Problem::TooOld { detail } => Words {
            code: "too_old",
            severity: "error",
            owner: "operations",
            message: format!("{purpose} for {destination} is past its age limit; the last: {detail}{}", doubt(parked)),
            remedy: "Decide whether it still makes sense there: retry the delivery, or abandon it with a reason.".to_owned(),
            cause: String::new(),
        },
        Problem::Crashed { detail } => Words {
            code: "crashed_worker",
            severity: "critical",
            owner: "integration",
            message: format!("our own code failed on {purpose} for {destination}: {detail}{}", doubt(parked)),
            remedy: "Report it with the delivery's id; retry the delivery after an update.".to_owned(),
            cause: alike(detail),
        },
    }
}

fn rejected(rejection: &Rejection, parked: &Parked<'_>) -> Words {
    let Parked { destination, purpose, .. } = parked;
    let (severity, owner, remedy) = match rejection.mark {
        Mark::Record => (
            "error",
            "operations",
            format!("Correct what {destination} complains about (the order, or a mapping), then replay the event."),
        ),
        Mark::Configuration => (
            "error",
            "integration",
            format!("Check the URL and settings of destination {destination}, then retry the delivery."),
        ),
        Mark::Gone => (
            "critical",
            "integration",
            format!("{destination} says that it is gone and is held: correct its URL, release it, retry the delivery."),
        ),
        Mark::OurBug => (
            "critical",
            "integration",
            "The same idempotency key was met with another payload, which must not happen: report it with the \
             delivery's id before anything is sent again."
                .to_owned(),
        ),
    };
    Words {
        code: "rejected_by_destination",
        severity,
        owner,
        message: format!("{destination} refused {purpose}: {}{}", rejection.detail, doubt(parked)),
        remedy,
        cause: alike(&rejection.detail),
    }
}

fn doubt(parked: &Parked<'_>) -> &'static str {
    if parked.uncertain { "; an earlier attempt may have taken effect" } else { "" }
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
        let subject = Subject { kind: "order".into(), system: "acme".into(), scope: "1".into(), id: "000000042".into() };
        let delivery = DeliveryId::new(from_micros(0), &entropy);
        let parked =
            Parked { delivery, destination: "erp", subject: &subject, purpose: "order.create", uncertain };
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
        assert_eq!(
            opened.message,
            "erp refused order.create: answered 422 Unprocessable Entity: unknown customer"
        );
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
