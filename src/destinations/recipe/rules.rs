//! What an answer means, by ordered rules over status, header, content type, JSON path and words. First match wins.
//!
//! A rule states facts about an answer; all that it states must hold. It never decides what follows: that is the
//! delivery's, which knows what was asked and what a second request would do.

use std::time::Duration;

use ::http::{HeaderMap, HeaderName};
use rust_decimal::Decimal;
use serde::{Deserialize, Serialize};

use crate::destinations::http::read;
use crate::destinations::outcome::{BodyEnd, ResponseSeen};
use crate::json::{self, Json, Limits};

/// Only the start of an answer is searched for words.
const WORDS_BYTES_MAX: usize = 16 * 1024;
/// No answer may silence us longer (RET-3).
const WAIT_MAX: Duration = Duration::from_hours(24);

/// What an answer means.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Meaning {
    /// The step did what it was to do.
    Done,
    /// It had been done before; whose it is has to be found out.
    AlreadyDone,
    /// Nothing was done, and the same request will do nothing.
    Permanent,
    /// Nothing was done, and no record will fare better until somebody sets something right there: a flow that is switched
    /// off. The third in a row holds the destination.
    Misconfigured,
    /// Nothing was done, and a later attempt may do it.
    Transient,
    /// Too fast; nothing was done.
    Throttled,
    /// The credential was not taken: it is made anew, once.
    Credential,
    /// It may have been done.
    Uncertain,
}

/// Statuses of a rule: one, a hundred (`"4xx"`), or several.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(untagged)]
enum StatusSaid {
    One(u16),
    Words(String),
    Several(Vec<StatusSaid>),
}

/// One rule as it is written. All that is stated must hold.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct RuleSaid {
    /// `400`, `"4xx"`, or a list of such.
    #[serde(skip_serializing_if = "Option::is_none")]
    status: Option<StatusSaid>,
    /// Name of a header that must be there, with `header_is` a value it must have (without case).
    #[serde(skip_serializing_if = "Option::is_none")]
    header: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    header_is: Option<String>,
    /// A part of the content type.
    #[serde(skip_serializing_if = "Option::is_none")]
    content_type: Option<String>,
    /// A JSON pointer to a list: it is enough that the rule holds of one member, in which `at`, `because` and `wait_at` are read.
    #[serde(skip_serializing_if = "Option::is_none")]
    any: Option<String>,
    /// A JSON pointer into the answer; what must be there is said by the next ones, or it must only be there.
    #[serde(skip_serializing_if = "Option::is_none")]
    at: Option<String>,
    /// One of these texts, exactly.
    #[serde(skip_serializing_if = "Option::is_none")]
    is: Option<Vec<String>>,
    /// How the text there begins.
    #[serde(skip_serializing_if = "Option::is_none")]
    starts: Option<String>,
    /// What the text there contains, without case.
    #[serde(skip_serializing_if = "Option::is_none")]
    contains: Option<String>,
    /// Nothing is there: no member, `null`, an empty text, list or object, `false`.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    empty: bool,
    /// Words anywhere in the answer, without case.
    #[serde(skip_serializing_if = "Option::is_none")]
    body: Option<String>,
    /// What it means.
    means: Meaning,
    /// Where the answer says how many seconds to wait.
    #[serde(skip_serializing_if = "Option::is_none")]
    wait_at: Option<String>,
    /// Header with that number, beside `Retry-After`.
    #[serde(skip_serializing_if = "Option::is_none")]
    wait_header: Option<String>,
    /// What that number counts.
    #[serde(default, skip_serializing_if = "WaitUnit::is_seconds")]
    wait_unit: WaitUnit,
    /// Where the answer explains itself.
    #[serde(skip_serializing_if = "Option::is_none")]
    because: Option<String>,
}

/// What the number of a wait counts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
enum WaitUnit {
    #[default]
    #[serde(rename = "s")]
    Seconds,
    #[serde(rename = "ms")]
    Milliseconds,
}

impl WaitUnit {
    #[expect(clippy::trivially_copy_pass_by_ref, reason = "shaped for serde")]
    fn is_seconds(&self) -> bool {
        *self == WaitUnit::Seconds
    }
}

/// What must stand at a pointer.
#[derive(Clone, Debug)]
enum There {
    Anything,
    Nothing,
    OneOf(Vec<String>),
    Begins(String),
    Contains(String),
}

/// A rule that was checked.
#[derive(Clone, Debug)]
pub struct Rule {
    statuses: Vec<(u16, u16)>,
    header: Option<(HeaderName, Option<String>)>,
    content_type: Option<String>,
    any: Option<String>,
    at: Option<(String, There)>,
    body: Option<String>,
    /// What it means.
    pub means: Meaning,
    wait_at: Option<String>,
    wait_header: Option<HeaderName>,
    wait_unit: WaitUnit,
    because: Option<String>,
}

/// What a rule says of an answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verdict {
    /// What it means.
    pub means: Meaning,
    /// The place of the rule, counted from nought.
    pub rule: usize,
    /// How long the destination asks us to wait, beside `Retry-After`; at most a day.
    pub wait: Option<Duration>,
    /// Its own words.
    pub because: Option<String>,
}

impl Rule {
    /// Checks a rule.
    ///
    /// # Errors
    /// Every problem, each a sentence.
    pub fn new(said: RuleSaid) -> Result<Rule, Vec<String>> {
        let mut problems = Vec::new();
        let mut statuses = Vec::new();
        if let Some(status) = &said.status {
            collect(status, &mut statuses, &mut problems);
        }
        for pointer in [&said.any, &said.at, &said.wait_at, &said.because].into_iter().flatten() {
            if !pointer.is_empty() && !pointer.starts_with('/') {
                problems.push(format!("\"{pointer}\" is not a JSON pointer: it starts with a slash"));
            }
        }
        let there = there(&said, &mut problems);
        if said.any.is_some() && said.at.is_none() {
            problems.push("any says which list, and at does not say what stands in a member".to_owned());
        }
        let header = said.header.as_deref().and_then(|name| name_of(name, &mut problems));
        if said.header_is.is_some() && said.header.is_none() {
            problems.push("header_is says a value, and header does not say of which header".to_owned());
        }
        let wait_header = said.wait_header.as_deref().and_then(|name| name_of(name, &mut problems));
        let states = !statuses.is_empty()
            || said.header.is_some()
            || said.content_type.is_some()
            || said.at.is_some()
            || said.body.is_some();
        if !states && problems.is_empty() {
            problems.push("it states nothing, so it would hold of every answer".to_owned());
        }
        if !problems.is_empty() {
            return Err(problems);
        }
        Ok(Rule {
            statuses,
            header: header.map(|name| (name, said.header_is)),
            content_type: said.content_type.map(|text| text.to_lowercase()),
            any: said.any,
            at: said.at.zip(there),
            body: said.body.map(|text| text.to_lowercase()),
            means: said.means,
            wait_at: said.wait_at,
            wait_header,
            wait_unit: said.wait_unit,
            because: said.because,
        })
    }

    /// What it speaks of: the answer, or the first member of a list that it holds of. `None`: it does not hold. Of an answer
    /// that cannot be read nothing is known, not even that something is missing in it.
    fn holds<'j, 'b>(&self, response: &ResponseSeen, words: &str, body: Option<&'j Json<'b>>) -> Option<&'j Json<'b>> {
        if !self.holds_of_the_whole(response, words) {
            return None;
        }
        let Some((pointer, there)) = &self.at else { return Some(body.unwrap_or(&Json::Null)) };
        match &self.any {
            None => body.filter(|body| stands(body, pointer, there)),
            Some(list) => {
                let members = body?.pointer(list)?.elements()?;
                members.into_iter().find(|member| stands(member, pointer, there))
            }
        }
    }

    fn holds_of_the_whole(&self, response: &ResponseSeen, words: &str) -> bool {
        let status =
            self.statuses.is_empty() || self.statuses.iter().any(|(from, to)| (*from..=*to).contains(&response.status));
        let header = self.header.as_ref().is_none_or(|(name, value)| {
            let mut seen = response.headers.get_all(name).iter().filter_map(|seen| seen.to_str().ok());
            seen.any(|seen| value.as_deref().is_none_or(|value| seen.trim().eq_ignore_ascii_case(value)))
        });
        let content_type = self.content_type.as_deref().is_none_or(|part| {
            let seen = response.headers.get(::http::header::CONTENT_TYPE).and_then(|seen| seen.to_str().ok());
            seen.is_some_and(|seen| seen.to_lowercase().contains(part))
        });
        let said = self.body.as_deref().is_none_or(|text| words.contains(text));
        status && header && content_type && said
    }

    fn wait(&self, headers: &HeaderMap, body: Option<&Json<'_>>) -> Option<Duration> {
        let in_body = self.wait_at.as_deref().and_then(|pointer| body?.pointer(pointer)?.as_text());
        let in_header = self.wait_header.as_ref().and_then(|name| headers.get(name)?.to_str().ok());
        // Some write the unit behind it: "11 seconds".
        let number = in_body.or(in_header)?.split_whitespace().next()?;
        let number = crate::domain::decimal::parse(number).ok()?;
        let seconds = match self.wait_unit {
            WaitUnit::Seconds => number,
            WaitUnit::Milliseconds => number / Decimal::ONE_THOUSAND,
        };
        // Whole seconds, rounded up: a wait that is cut short is no wait.
        let seconds = u64::try_from(seconds.ceil()).ok()?;
        Some(Duration::from_secs(seconds).min(WAIT_MAX))
    }
}

/// What the first rule that holds says of an answer; `None`: no rule knows it.
pub fn verdict(rules: &[Rule], response: &ResponseSeen) -> Option<Verdict> {
    let whole = response.end == BodyEnd::Complete;
    let parsed = whole.then(|| json::parse(&response.body, &Limits::default()).ok()).flatten();
    let start = &response.body[..response.body.len().min(WORDS_BYTES_MAX)];
    let words = String::from_utf8_lossy(start).to_lowercase();
    let holding = |(place, rule)| Some((place, rule, Rule::holds(rule, response, &words, parsed.as_ref())?));
    let (place, rule, spoken_of) = rules.iter().enumerate().find_map(holding)?;
    let because = rule.because.as_deref().and_then(|pointer| spoken_of.pointer(pointer)?.as_text());
    Some(Verdict {
        means: rule.means,
        rule: place,
        wait: rule.wait(&response.headers, Some(spoken_of)),
        because: because.map(read::one_line).filter(|words| !words.is_empty()),
    })
}

fn collect(said: &StatusSaid, into: &mut Vec<(u16, u16)>, problems: &mut Vec<String>) {
    match said {
        StatusSaid::One(status) if (100..=599).contains(status) => into.push((*status, *status)),
        StatusSaid::One(status) => problems.push(format!("{status} is no status")),
        StatusSaid::Several(several) => several.iter().for_each(|one| collect(one, into, problems)),
        StatusSaid::Words(words) => match words.strip_suffix("xx").and_then(|hundred| hundred.parse::<u16>().ok()) {
            Some(hundred @ 1..=5) => into.push((hundred * 100, hundred * 100 + 99)),
            _ => problems.push(format!("\"{words}\" is no status: write 400, \"4xx\", or a list of such")),
        },
    }
}

fn name_of(name: &str, problems: &mut Vec<String>) -> Option<HeaderName> {
    let read = HeaderName::from_bytes(name.to_ascii_lowercase().as_bytes()).ok();
    if read.is_none() {
        problems.push(format!("\"{name}\" is not a header name"));
    }
    read
}

fn there(said: &RuleSaid, problems: &mut Vec<String>) -> Option<There> {
    let mut stated = Vec::new();
    stated.extend(said.is.clone().map(There::OneOf));
    stated.extend(said.starts.clone().map(There::Begins));
    stated.extend(said.contains.as_ref().map(|text| There::Contains(text.to_lowercase())));
    stated.extend(said.empty.then_some(There::Nothing));
    if said.at.is_none() && !stated.is_empty() {
        problems
            .push("is, starts, contains and empty say what stands at a pointer, and at does not say where".to_owned());
    }
    if stated.len() > 1 {
        problems.push("it states several things of one place: take one of is, starts, contains, empty".to_owned());
    }
    said.at.as_ref()?;
    Some(stated.pop().unwrap_or(There::Anything))
}

fn stands(body: &Json<'_>, pointer: &str, there: &There) -> bool {
    let found = body.pointer(pointer);
    let text = || found.and_then(Json::as_text);
    match there {
        There::Anything => !is_nothing(found),
        There::Nothing => is_nothing(found),
        There::OneOf(texts) => text().is_some_and(|text| texts.iter().any(|one| one == text)),
        There::Begins(start) => text().is_some_and(|text| text.starts_with(start.as_str())),
        There::Contains(part) => text().is_some_and(|text| text.to_lowercase().contains(part.as_str())),
    }
}

fn is_nothing(found: Option<&Json<'_>>) -> bool {
    match found {
        None | Some(Json::Null | Json::Bool(false)) => true,
        Some(Json::String(text)) => text.is_empty(),
        Some(Json::Array(items)) => items.is_empty(),
        Some(Json::Object(members)) => members.is_empty(),
        Some(Json::Bool(true) | Json::Number(_)) => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rules(text: &str) -> Vec<Rule> {
        #[derive(Deserialize)]
        struct Recipe {
            rules: Vec<RuleSaid>,
        }
        let recipe: Recipe = toml::from_str(text).unwrap();
        recipe.rules.into_iter().map(|said| Rule::new(said).unwrap()).collect()
    }

    fn answer(status: u16, headers: &[(&'static str, &'static str)], body: &str) -> ResponseSeen {
        let headers = headers.iter().map(|(name, value)| (HeaderName::from_static(name), value.parse().unwrap()));
        ResponseSeen { status, headers: headers.collect(), body: body.to_owned().into(), end: BodyEnd::Complete }
    }

    /// Answers of real systems, as the reference lists them.
    const RULES: &str = r#"
[[rules]] # JSON-RPC: an error inside 200
status = 200
at = "/error/0"
is = ["UserWarning", "ConcurrencyException"]
means = "transient"
because = "/error/1"
[[rules]]
status = 200
at = "/error"
means = "permanent"
because = "/error/message"
[[rules]] # a RESTlet that is too busy
status = 400
at = "/error/code"
is = ["SSS_REQUEST_LIMIT_EXCEEDED"]
means = "throttled"
[[rules]] # the unique id is taken
status = [400, "5xx"]
body = "must be unique"
means = "already-done"
[[rules]]
status = 403
header = "X-CSRF-Token"
header_is = "Required"
means = "credential"
[[rules]]
status = "4xx"
at = "/error/code"
starts = "Internal_"
means = "transient"
[[rules]]
status = 429
at = "/errors/0/extensions/time_remaining"
means = "throttled"
wait_at = "/errors/0/extensions/time_remaining"
[[rules]]
status = 503
means = "throttled"
wait_header = "next-period-seconds"
[[rules]] # a success that names nothing is none
status = "2xx"
content_type = "json"
at = "/id"
empty = true
means = "uncertain"
"#;

    #[test]
    fn the_first_rule_that_holds_says_what_an_answer_means() {
        let rules = rules(RULES);
        let json = [("content-type", "application/json")];
        for (response, wanted) in [
            (answer(200, &json, r#"{"error":["UserWarning","Try\n later"]}"#), Some((0, Meaning::Transient))),
            (answer(200, &json, r#"{"error":{"message":"no"}}"#), Some((1, Meaning::Permanent))),
            (answer(200, &json, r#"{"error":null,"id":5}"#), None),
            (answer(400, &json, r#"{"error":{"code":"SSS_REQUEST_LIMIT_EXCEEDED"}}"#), Some((2, Meaning::Throttled))),
            (answer(500, &[], "The web id MUST be unique."), Some((3, Meaning::AlreadyDone))),
            (answer(403, &[("x-csrf-token", "required")], ""), Some((4, Meaning::Credential))),
            (answer(403, &[("x-csrf-token", "abc")], ""), None),
            (answer(409, &json, r#"{"error":{"code":"Internal_TenantUnavailable"}}"#), Some((5, Meaning::Transient))),
            (answer(409, &json, r#"{"error":{"code":"Application_X"}}"#), None),
            (answer(200, &json, "{}"), Some((8, Meaning::Uncertain))),
            (answer(200, &[("content-type", "text/html")], "<html>"), None),
        ] {
            let seen = verdict(&rules, &response).map(|verdict| (verdict.rule, verdict.means));
            assert_eq!(seen, wanted, "{response:?}");
        }
        let told = verdict(&rules, &answer(200, &json, r#"{"error":["UserWarning","Try\n later"]}"#)).unwrap();
        assert_eq!(told.because.as_deref(), Some("Try later"));
    }

    #[test]
    fn an_answer_may_say_how_long_to_wait_and_is_believed_a_day_at_most() {
        let rules = rules(RULES);
        let slow = |seconds: &str| {
            let body = format!(r#"{{"errors":[{{"extensions":{{"time_remaining":{seconds}}}}}]}}"#);
            verdict(&rules, &answer(429, &[], &body)).unwrap().wait
        };
        assert_eq!(slow("7"), Some(Duration::from_secs(7)));
        assert_eq!(slow("\"1.2\""), Some(Duration::from_secs(2)));
        assert_eq!(slow("99999999"), Some(WAIT_MAX));
        assert_eq!(slow("-3"), None);
        assert_eq!(slow("\"soon\""), None);
        let busy = verdict(&rules, &answer(503, &[("next-period-seconds", "12")], "")).unwrap();
        assert_eq!(busy.wait, Some(Duration::from_secs(12)));
    }

    #[test]
    fn a_batch_is_read_by_its_parts() {
        let rules = rules(
            r#"
[[rules]] # a part that was refused: the group is undone
status = 200
any = "/responses"
at = "/status"
is = ["400", "409"]
means = "permanent"
because = "/body/error/message"
[[rules]]
status = 200
any = "/responses"
at = "/status"
starts = "5"
means = "uncertain"
[[rules]]
status = 200
at = "/responses/0/status"
is = ["201"]
means = "done"
[[rules]]
status = 200
means = "uncertain"
"#,
        );
        let failed = r#"{"responses":[{"id":"1","status":424,"body":{"error":{"message":"a part failed"}}},
            {"id":"2","status":400,"body":{"error":{"message":"no item X"}}}]}"#;
        for (body, wanted, because) in [
            (failed, (0, Meaning::Permanent), Some("no item X")),
            (r#"{"responses":[{"status":201},{"status":503}]}"#, (1, Meaning::Uncertain), None),
            (r#"{"responses":[{"status":201},{"status":"201"}]}"#, (2, Meaning::Done), None),
            (r#"{"responses":[]}"#, (3, Meaning::Uncertain), None),
            (r#"{"responses":"none"}"#, (3, Meaning::Uncertain), None),
            ("<html>", (3, Meaning::Uncertain), None),
        ] {
            let seen = verdict(&rules, &answer(200, &[], body)).unwrap();
            assert_eq!(((seen.rule, seen.means), seen.because.as_deref()), (wanted, because), "{body}");
        }
    }

    #[test]
    fn of_an_answer_that_broke_off_nothing_is_known_but_its_head_and_its_words() {
        let rules = rules(RULES);
        let cut =
            ResponseSeen { end: BodyEnd::CutOff, ..answer(200, &[("content-type", "application/json")], "{\"id\":") };
        assert_eq!(verdict(&rules, &cut), None, "an id that did not arrive is not an id that is not there");
    }

    #[test]
    fn a_rule_that_cannot_be_meant_is_refused_with_the_reason() {
        for (text, told) in [
            ("means = \"done\"", "states nothing"),
            ("status = 99\nmeans = \"done\"", "99 is no status"),
            ("status = \"6xx\"\nmeans = \"done\"", "\"6xx\" is no status"),
            ("at = \"error\"\nmeans = \"done\"", "not a JSON pointer"),
            ("is = [\"x\"]\nmeans = \"done\"", "at does not say where"),
            ("at = \"/a\"\nis = [\"x\"]\nempty = true\nmeans = \"done\"", "several things of one place"),
            ("header = \"a b\"\nmeans = \"done\"", "not a header name"),
            ("status = 200\nany = \"/parts\"\nmeans = \"done\"", "at does not say what stands in a member"),
            ("header_is = \"a\"\nstatus = 200\nmeans = \"done\"", "of which header"),
        ] {
            let said: RuleSaid = toml::from_str(text).unwrap();
            let problems = Rule::new(said).unwrap_err().join("; ");
            assert!(problems.contains(told), "{text}: {problems}");
        }
        assert!(toml::from_str::<RuleSaid>("stauts = 200\nmeans = \"done\"").is_err());
        assert!(toml::from_str::<RuleSaid>("status = 200\nmeans = \"fine\"").is_err());
    }
}
