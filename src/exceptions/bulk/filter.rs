//! Which records are meant, in the words that the lists know.

use serde::{Deserialize, Serialize};

use super::{REPLAY, RESEND};
use crate::clock::Timestamp;
use crate::domain::defect::{ExceptionCode, Severity};
use crate::domain::due::DueTimes;
use crate::exceptions::{due, handling};
use crate::store::{DeliveryFilter, ExceptionFilter};

/// Longest text of a filter, in characters: it is kept with the act and in the audit.
const TEXT_MAX: usize = 200;
/// Most numbers that one filter names.
const NUMBERS_MAX: usize = 1_000;

/// States of exceptions whose records can be processed again.
pub const REPLAYED_STATES: [&str; 4] = ["waiting", "open", "assigned", "snoozed"];
/// States of deliveries that can be done a second time.
pub const RESENT_STATES: [&str; 2] = ["delivered", "abandoned"];

/// As it is asked, and kept with the act. What is left out narrows nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Filter {
    /// Of exceptions or deliveries.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub state: Option<String>,
    /// The origin that sent the events.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub origin: Option<String>,
    /// What they are about: `order`, …
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kind: Option<String>,
    /// One destination.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub destination: Option<String>,
    /// Order numbers, or ids of whatever else they are about; any of them.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub increment_ids: Vec<String>,
    /// Opened, or made, no earlier.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub since: Option<Timestamp>,
    /// Opened, or made, before.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub until: Option<Timestamp>,
    /// Of exceptions.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub code: Option<String>,
    /// Of exceptions: one cause.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fingerprint: Option<String>,
    /// Of exceptions.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub severity: Option<String>,
    /// Of exceptions: whose desk they are on.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub owner: Option<String>,
    /// Of exceptions: a name, `me` or `nobody`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub assignee: Option<String>,
    /// Of exceptions: should have been seen to by now.
    #[serde(skip_serializing_if = "is_false")]
    pub overdue: bool,
    /// Of exceptions: in the message, the value, the path or the remedy.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub text: Option<String>,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "shaped for serde")]
fn is_false(flag: &bool) -> bool {
    !flag
}

/// What is wrong with a filter.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{member}: {message}")]
pub struct Finding {
    /// Of the filter, or empty for the whole.
    pub member: &'static str,
    /// In a sentence.
    pub message: String,
}

fn finding(member: &'static str, message: impl Into<String>) -> Finding {
    Finding { member, message: message.into() }
}

impl Filter {
    /// What cannot be asked like this; empty where all is well.
    pub fn findings(&self, what: &str) -> Vec<Finding> {
        let mut findings = Vec::new();
        if self.increment_ids.len() > NUMBERS_MAX {
            findings.push(finding("increment_ids", format!("names at most {NUMBERS_MAX} numbers")));
        }
        let numbers = self.increment_ids.iter().map(|number| ("increment_ids", number));
        let too_long = |(_, text): &(&str, &String)| text.chars().count() > TEXT_MAX;
        findings.extend(self.texts().chain(numbers).find(too_long).map(|(member, _)| {
            let message = format!("has at most {TEXT_MAX} characters");
            finding(member, message)
        }));
        if let (Some(since), Some(until)) = (self.since, self.until)
            && since >= until
        {
            findings.push(finding("until", "lies behind since"));
        }
        let words: &[(&'static str, &Option<String>, &[&str])] = match what {
            REPLAY => &[
                ("state", &self.state, &REPLAYED_STATES),
                ("severity", &self.severity, &Severity::WORDS),
                ("owner", &self.owner, &handling::OWNERS),
            ],
            _ => &[("state", &self.state, &RESENT_STATES)],
        };
        for (member, given, known) in words {
            if given.as_ref().is_some_and(|word| !known.contains(&word.as_str())) {
                findings.push(finding(member, format!("is one of {}", known.join(", "))));
            }
        }
        let is_known = |code: &String| ExceptionCode::ALL.iter().any(|known| known.as_str() == code);
        if what == REPLAY && self.code.as_ref().is_some_and(|code| !is_known(code)) {
            findings.push(finding("code", "is no code of the catalogue"));
        }
        if what == RESEND {
            self.findings_of_resend(&mut findings);
        }
        findings
    }

    fn texts(&self) -> impl Iterator<Item = (&'static str, &String)> {
        let all = [
            ("state", &self.state),
            ("origin", &self.origin),
            ("kind", &self.kind),
            ("destination", &self.destination),
            ("code", &self.code),
            ("fingerprint", &self.fingerprint),
            ("severity", &self.severity),
            ("owner", &self.owner),
            ("assignee", &self.assignee),
            ("text", &self.text),
        ];
        all.into_iter().filter_map(|(member, text)| Some((member, text.as_ref()?)))
    }

    fn findings_of_resend(&self, findings: &mut Vec<Finding>) {
        for (member, given) in [
            ("code", self.code.is_some()),
            ("fingerprint", self.fingerprint.is_some()),
            ("severity", self.severity.is_some()),
            ("owner", self.owner.is_some()),
            ("assignee", self.assignee.is_some()),
            ("overdue", self.overdue),
            ("text", self.text.is_some()),
        ] {
            if given {
                findings.push(finding(member, "is for exceptions, and this is about deliveries"));
            }
        }
        // Everything that a shop ever sold is nobody's intention.
        if self.since.is_none() && self.increment_ids.is_empty() {
            findings.push(finding("since", "say since when, or name order numbers: not everything that was ever sent"));
        }
    }

    /// Of exceptions, one for each number that is named.
    ///
    /// # Errors
    /// When the assignee is no name.
    pub fn exceptions(&self, times: &DueTimes, now: Timestamp, actor: &str) -> Result<Vec<ExceptionFilter>, Finding> {
        let assignee = self.assignee.as_deref().map(|word| handling::person(Some(word), actor)).transpose();
        let one = ExceptionFilter {
            state: self.state.clone(),
            code: self.code.clone(),
            fingerprint: self.fingerprint.clone(),
            subject_id: None,
            severity: self.severity.clone(),
            owner: self.owner.clone(),
            assignee: assignee.map_err(|why| finding("assignee", why))?.map(Option::unwrap_or_default),
            destination: self.destination.clone(),
            overdue: self.overdue.then(|| due::overdue(times, now)),
            text: self.text.clone().filter(|text| !text.is_empty()),
            origin: self.origin.clone(),
            kind: self.kind.clone(),
            since: self.since,
            until: self.until,
        };
        Ok(each(&self.increment_ids, |subject_id| ExceptionFilter { subject_id, ..one.clone() }))
    }

    /// Of deliveries that are final, one for each state and number.
    pub fn deliveries(&self) -> Vec<DeliveryFilter> {
        let states = RESENT_STATES.into_iter().filter(|state| self.state.as_deref().is_none_or(|word| word == *state));
        let of_state = |state: &str| {
            let one = DeliveryFilter {
                destination: self.destination.clone(),
                state: Some(state.to_owned()),
                subject_id: None,
                origin: self.origin.clone(),
                kind: self.kind.clone(),
                since: self.since,
                until: self.until,
            };
            each(&self.increment_ids, |subject_id| DeliveryFilter { subject_id, ..one.clone() })
        };
        states.flat_map(of_state).collect()
    }
}

fn each<T>(numbers: &[String], with: impl Fn(Option<String>) -> T) -> Vec<T> {
    if numbers.is_empty() {
        return vec![with(None)];
    }
    let mut numbers = numbers.to_vec();
    numbers.sort_unstable();
    numbers.dedup();
    numbers.into_iter().map(|number| with(Some(number))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::from_micros;

    #[test]
    fn a_filter_is_read_strictly_and_said_again_as_it_was() {
        let text = r#"{"origin":"hooks","increment_ids":["000000042"],"since":"2026-03-01T10:00:00Z"}"#;
        let filter: Filter = serde_json::from_str(text).unwrap();
        assert_eq!(serde_json::to_string(&filter).unwrap(), text);
        assert!(serde_json::from_str::<Filter>(r#"{"order":"1"}"#).is_err());
        assert!(filter.findings(REPLAY).is_empty() && filter.findings(RESEND).is_empty());
    }

    #[test]
    fn what_cannot_be_meant_is_told_by_member() {
        let members = |filter: &Filter, what: &str| -> Vec<&str> {
            filter.findings(what).into_iter().map(|finding| finding.member).collect()
        };
        assert_eq!(members(&Filter::default(), REPLAY), Vec::<&str>::new());
        assert_eq!(members(&Filter::default(), RESEND), ["since"]);
        let odd = Filter {
            state: Some("resolved".into()),
            severity: Some("bad".into()),
            owner: Some("nobody".into()),
            since: Some(from_micros(2)),
            until: Some(from_micros(2)),
            increment_ids: vec!["1".into(); NUMBERS_MAX + 1],
            ..Filter::default()
        };
        assert_eq!(members(&odd, REPLAY), ["increment_ids", "until", "state", "severity", "owner"]);
        let long = Filter { text: Some("é".repeat(TEXT_MAX + 1)), ..Filter::default() };
        assert_eq!(members(&long, REPLAY), ["text"]);
        let of_exceptions = Filter { code: Some("unmapped_sku".into()), overdue: true, ..Filter::default() };
        assert_eq!(members(&of_exceptions, RESEND), ["code", "overdue", "since"]);
    }

    #[test]
    fn a_number_named_twice_is_looked_for_once() {
        let filter = Filter { increment_ids: vec!["2".into(), "1".into(), "2".into()], ..Filter::default() };
        let of = filter.exceptions(&DueTimes::default(), from_micros(0), "token:anna").unwrap();
        let numbers: Vec<_> = of.iter().filter_map(|one| one.subject_id.as_deref()).collect();
        assert_eq!(numbers, ["1", "2"]);
        assert_eq!(filter.deliveries().len(), 4, "delivered and abandoned ones of each");
    }
}
