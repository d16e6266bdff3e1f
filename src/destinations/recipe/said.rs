//! A recipe as it is written, before it is checked.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::rules::RuleSaid;

/// The whole file.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RecipeSaid {
    /// One sentence: which system, which interface.
    pub about: String,
    /// What protects this system from a second effect, unless the destination says otherwise.
    #[serde(default)]
    pub guard: GuardSaid,
    /// How often its system may be called, unless the destination says otherwise: `["240/m"]`.
    #[serde(default)]
    pub rate: Vec<String>,
    /// A pair that every write shows, where its system wants that.
    pub csrf: Option<CsrfSaid>,
    /// What a destination may set, as `with = { … }`; templates read it as `with.name`.
    #[serde(default)]
    pub settings: BTreeMap<String, SettingSaid>,
    /// Code maps; templates read them as `maps.name`.
    #[serde(default)]
    pub maps: BTreeMap<String, BTreeMap<String, String>>,
    /// A template of the number that the destination gave it.
    pub receipt: Option<String>,
    /// Its system takes a list of the bodies that records have alone; how its answer is read.
    pub batch: Option<BatchSaid>,
    /// Steps, in order.
    pub steps: Vec<StepSaid>,
    /// What is read back from a system that does not tell of it by itself.
    #[serde(default)]
    pub polls: Vec<PollSaid>,
    /// Rules for every step, tried behind its own.
    #[serde(default)]
    pub rules: Vec<RuleSaid>,
}

/// How an answer to several records speaks of each. Without a word it speaks of the request.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BatchSaid {
    /// JSON pointer to what an entry of the answer says it is about.
    pub named: Option<String>,
    /// A template of what that is for a record: `{{ order.increment_id }}` where nothing is said.
    pub is: Option<String>,
}

/// Where the token and the cookies of every write come from.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CsrfSaid {
    /// What stands behind the destination's URL; read with the header set to `fetch`.
    pub path: String,
    /// The header's name.
    #[serde(default = "csrf_header")]
    pub header: String,
}

fn csrf_header() -> String {
    "x-csrf-token".to_owned()
}

/// The words for what protects a system from a second effect.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum GuardSaid {
    /// It stores our key; how long is the destination's `key_window`.
    Key,
    /// It refuses a second record with the same external id.
    Unique,
    /// It can be asked by our reference.
    Find,
    /// Nothing.
    #[default]
    None,
}

/// Something a destination may set.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SettingSaid {
    /// What it is, in one sentence.
    pub about: String,
    /// What it is when nobody says; without one it must be said.
    pub default: Option<serde_json::Value>,
    /// All that it may be.
    #[serde(default)]
    pub one_of: Vec<serde_json::Value>,
}

/// What a step is there for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// Asks whether our record is there. Every attempt begins with it.
    Find,
    /// Reads what the next steps need.
    Lookup,
    /// Makes sure that something is there which the record needs, a customer; looked up before, and harmless twice.
    Ensure,
    /// Makes our record: the one write that must not happen twice.
    Create,
    /// Asks how far the system is with a record that it makes later; only until the find shows the record.
    Await,
    /// Takes the record that is there one step on; what has been done already it does not do again.
    Advance,
    /// Compares what is there with ours.
    Verify,
}

impl Kind {
    /// The word in the file.
    pub fn as_str(self) -> &'static str {
        match self {
            Kind::Find => "find",
            Kind::Lookup => "lookup",
            Kind::Ensure => "ensure",
            Kind::Create => "create",
            Kind::Await => "await",
            Kind::Advance => "advance",
            Kind::Verify => "verify",
        }
    }
}

/// A step.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StepSaid {
    /// Its name, in messages and records.
    pub name: String,
    /// What it is there for.
    pub kind: Kind,
    /// The purposes it serves.
    #[serde(default = "orders", rename = "for")]
    pub purposes: Vec<String>,
    /// An expression; the step is left out where it does not hold.
    pub when: Option<String>,
    /// `GET` unless there is a body, then `POST`.
    pub method: Option<String>,
    /// The name of a setting with the URL of another host that this step asks; never of a create. Where it is empty the step
    /// is left out.
    pub host: Option<String>,
    /// A template of what stands behind the destination's URL. Without one nothing is asked: only for `verify`.
    pub path: Option<String>,
    /// Templates of headers.
    #[serde(default)]
    pub headers: BTreeMap<String, String>,
    /// What the body is.
    #[serde(rename = "type")]
    pub form: Option<FormSaid>,
    /// A template of the body.
    pub body: Option<String>,
    /// An expression with a list: the step is done once for each, as `item`. What it takes becomes a map by `item`; what is
    /// taken with a `key` is a map by that already, and those of all items are joined.
    pub each: Option<String>,
    /// A template: no two orders do this and the following lookups at the same time where it says the same.
    pub one_at_a_time: Option<String>,
    /// How long an answer of a lookup is good for other orders: `"1h"`.
    pub keep: Option<String>,
    /// Variables taken from the answer.
    #[serde(default)]
    pub take: BTreeMap<String, TakeSaid>,
    /// Of `find`: where the records stand; without it the answer is one record.
    pub list: Option<String>,
    /// Of `find`: where our reference stands in a record.
    pub reference: Option<String>,
    /// Of `find`: a template of our reference.
    pub is: Option<String>,
    /// Of `find`: where a record's grand total stands, if it tells ours from another.
    pub total: Option<String>,
    /// Of `find`: statuses that say that it is not there.
    #[serde(default)]
    pub absent: Vec<u16>,
    /// What answers mean, tried in order.
    #[serde(default)]
    pub rules: Vec<RuleSaid>,
    /// Of `verify`: what must agree.
    #[serde(default)]
    pub expect: Vec<ExpectSaid>,
}

fn orders() -> Vec<String> {
    vec!["order.create".to_owned()]
}

/// What is read again and again.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PollSaid {
    /// Its name, in messages, metrics and the position that is kept.
    pub name: String,
    /// What a record becomes.
    pub entity: Entity,
    /// It reads everything there is, once, before anything that changes is read.
    #[serde(default)]
    pub once: bool,
    /// Most records of one answer.
    #[serde(default = "page")]
    pub page: u32,
    /// `GET` unless there is a body, then `POST`.
    pub method: Option<String>,
    /// A template of what stands behind the destination's URL; it sees `since` and `page`.
    pub path: String,
    /// Templates of headers.
    #[serde(default)]
    pub headers: BTreeMap<String, String>,
    /// What the body is.
    #[serde(rename = "type")]
    pub form: Option<FormSaid>,
    /// A template of the body.
    pub body: Option<String>,
    /// Where the records stand in the answer.
    pub list: String,
    /// Where a record stands among the others; the list is in that order.
    pub position: SpotSaid,
    /// Variables taken from the answer.
    #[serde(default)]
    pub take: BTreeMap<String, TakeSaid>,
    /// What else is to be known of the records of an answer, asked behind it.
    #[serde(default)]
    pub lookups: Vec<StepSaid>,
    /// An expression with a list: a record becomes one of ours for each, as `item`.
    pub each: Option<String>,
    /// An expression; a record (and item) for which it does not hold is not ours.
    pub when: Option<String>,
    /// A template of one record in our words.
    pub record: String,
    /// What answers mean, tried in order.
    #[serde(default)]
    pub rules: Vec<RuleSaid>,
}

fn page() -> u32 {
    100
}

/// What a record that was read becomes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Entity {
    /// One item of stock.
    Stock,
    /// A fulfilment.
    Fulfilments,
}

impl Entity {
    /// The word in the file, and in the path by which others send it to us.
    pub fn as_str(self) -> &'static str {
        match self {
            Entity::Stock => "stock",
            Entity::Fulfilments => "fulfilments",
        }
    }
}

/// Templates of where a record stands among the others.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SpotSaid {
    /// When it changed, by the other system's clock: RFC 3339. Of a poll that reads everything there is none.
    pub at: Option<String>,
    /// What tells records of one time apart.
    pub id: Option<String>,
}

/// What a body is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum FormSaid {
    /// `application/json`
    Json,
    /// `text/xml`
    Xml,
    /// `application/x-www-form-urlencoded`
    Form,
    /// `text/csv`
    Csv,
    /// Parts with JSON in them, under a content type of the step's own.
    Text,
}

/// A variable taken from an answer: a JSON pointer, or more words for it.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(untagged)]
pub enum TakeSaid {
    /// What stands there.
    At(String),
    /// From elsewhere, or several.
    From(FromSaid),
}

/// Where a variable comes from.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct FromSaid {
    /// JSON pointer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub at: Option<String>,
    /// A header instead of the body.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub header: Option<String>,
    /// Only what follows the last of these; nothing where there is none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub after: Option<String>,
    /// And of that only what comes before the first of these.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub before: Option<String>,
    /// JSON pointer to a list, of which each member gives one entry of a map, or of a list.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub list: Option<String>,
    /// In a member: the entry's name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
    /// In a member: the entry's value.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub value: Option<String>,
}

/// Two amounts that must agree.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct ExpectSaid {
    /// What it is, in words: `grand total`.
    pub what: String,
    /// A template of the destination's.
    pub there: String,
    /// A template of ours.
    pub ours: String,
    /// A template of how far they may lie apart; nothing unless said.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub within: Option<String>,
}
