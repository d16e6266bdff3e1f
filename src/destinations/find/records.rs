//! Our record among the records of an answer.

use super::super::outcome::{BodyEnd, Receipt, ResponseSeen};
use crate::destinations::http::read;
use crate::domain::decimal;
use crate::envelope::keys::Digest;
use crate::json::{self, Json, Limits};

/// Where in an answer records stand, and in a record what tells ours.
#[derive(Clone, Debug)]
pub struct Records {
    /// JSON pointer to the list; without one the answer is a record.
    pub list: Option<String>,
    /// In a record: our reference.
    pub reference: String,
    /// In a record: its own id.
    pub id: Option<String>,
    /// In a record: the SHA-256 of the body we sent, hex or base64.
    pub digest: Option<String>,
    /// In a record: the grand total.
    pub total: Option<String>,
}

/// What is known of ours.
#[derive(Clone, Copy, Debug)]
pub struct Ours<'a> {
    /// Our reference.
    pub reference: &'a str,
    /// The document's grand total.
    pub total: Option<&'a str>,
    /// Of the body that was sent.
    pub digest: &'a Digest,
}

/// What an answer shows.
#[derive(Debug)]
pub enum Sighting<'j, 'a> {
    /// Nothing of ours.
    Absent,
    /// One record under our reference.
    One {
        /// The record.
        record: &'j Json<'a>,
        /// Its own id.
        receipt: Receipt,
        /// What differs from ours, in words; `None`: it is ours.
        difference: Option<String>,
    },
    /// More than one under our reference.
    Many {
        /// How many.
        count: usize,
        /// In words, with their ids.
        detail: String,
    },
}

/// The JSON of a complete answer that does not say that it failed.
///
/// # Errors
/// Why nothing can be read from it, in words.
pub fn body(response: &ResponseSeen) -> Result<Json<'_>, String> {
    match response.end {
        BodyEnd::Complete => {}
        BodyEnd::CutOff => return Err("the body broke off".to_owned()),
        BodyEnd::TooLarge => return Err("the body is larger than we read".to_owned()),
    }
    let body = json::parse(&response.body, &Limits::default()).map_err(|_| "its body is not JSON".to_owned())?;
    if read::says_failed(&body) {
        return Err("its body says that it failed".to_owned());
    }
    Ok(body)
}

impl Records {
    /// Looks for ours. *Absent* is said only of an answer that can be read and names nothing of ours.
    ///
    /// # Errors
    /// What keeps the answer from being read as records, in words.
    pub fn sight<'j, 'a>(&self, body: &'j Json<'a>, ours: &Ours<'_>) -> Result<Sighting<'j, 'a>, String> {
        let items = self.items(body)?;
        let named: Vec<(&'j Json<'a>, &str)> =
            items.iter().filter_map(|item| Some((*item, item.pointer(&self.reference)?.as_text()?))).collect();
        if named.is_empty() && !items.is_empty() {
            return Err(format!("no record in it has our reference's place {}", self.reference));
        }
        let found: Vec<&'j Json<'a>> =
            named.iter().filter(|(_, text)| *text == ours.reference).map(|(item, _)| *item).collect();
        match found[..] {
            [] if self.list.is_none() && !named.is_empty() => Err("it is about another record".to_owned()),
            [] => Ok(Sighting::Absent),
            [record] => {
                Ok(Sighting::One { record, receipt: self.receipt(record), difference: self.difference(record, ours) })
            }
            _ => Ok(self.many(&found)),
        }
    }

    /// The records of an answer. A list that is `null` is empty; one that is missing is no list.
    fn items<'j, 'a>(&self, body: &'j Json<'a>) -> Result<Vec<&'j Json<'a>>, String> {
        let Some(list) = &self.list else {
            return Ok(if matches!(body, Json::Null) { Vec::new() } else { vec![body] });
        };
        match body.pointer(list) {
            Some(Json::Array(items)) => Ok(items.iter().collect()),
            Some(Json::Null) => Ok(Vec::new()),
            Some(_) | None => Err(format!("there is no list at \"{list}\"")),
        }
    }

    /// What differs in a record under our reference; `None`: what can be compared agrees. Either of the two suffices
    /// (UNC-4).
    fn difference(&self, record: &Json<'_>, ours: &Ours<'_>) -> Option<String> {
        let mut differences = Vec::new();
        if let Some(there) = self.digest.as_deref() {
            if text_at(record, there).is_some_and(|there| is_digest(there, ours.digest)) {
                return None;
            }
            differences.push("the content digest is another".to_owned());
        }
        if let Some(there) = self.total.as_deref() {
            let there = text_at(record, there);
            if there.zip(ours.total).is_some_and(|(there, ours)| is_equal(there, ours)) {
                return None;
            }
            let shown = |total: Option<&str>| total.map_or_else(|| "none".to_owned(), short);
            differences.push(format!("its total is {}, ours is {}", shown(there), shown(ours.total)));
        }
        (!differences.is_empty()).then(|| differences.join(", and "))
    }

    fn many<'j, 'a>(&self, records: &[&'j Json<'a>]) -> Sighting<'j, 'a> {
        let ids: Vec<String> = records.iter().take(5).filter_map(|record| self.receipt(record).0).collect();
        let ids = if ids.is_empty() { String::new() } else { format!(": {}", ids.join(", ")) };
        let count = records.len();
        Sighting::Many { count, detail: format!("it is there {count} times{ids}") }
    }

    fn receipt(&self, record: &Json<'_>) -> Receipt {
        let id = self.id.as_deref().and_then(|pointer| text_at(record, pointer));
        Receipt(id.map(short).filter(|id| !id.is_empty()))
    }
}

fn text_at<'j>(record: &'j Json<'_>, pointer: &str) -> Option<&'j str> {
    record.pointer(pointer)?.as_text()
}

fn is_digest(there: &str, ours: &Digest) -> bool {
    let there = there.trim();
    there.eq_ignore_ascii_case(&ours.hex()) || there == data_encoding::BASE64.encode(&ours.0)
}

/// As exact decimals: `33.60` is `33.6`.
fn is_equal(there: &str, ours: &str) -> bool {
    matches!((decimal::parse(there), decimal::parse(ours)), (Ok(there), Ok(ours)) if there == ours)
}

fn short(text: &str) -> String {
    text.trim().chars().filter(|symbol| !symbol.is_control()).take(200).collect()
}
