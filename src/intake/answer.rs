//! What a sender is told, in the words of its kind (delivery-semantics section 3, DESIGN 2.6).
//!
//! Pure: results in, a response out. Errors are problem documents (RFC 9457) with a request id and without reasons that
//! would help a forger, stack traces or echoes of the input beyond a record's key and the path of a problem (ANS-1).
//!
//! A flow's answer for a single object repeats `event_id` and the word of its `status` at the top, whether it was taken
//! or not, so that a flow builder reads one place; a refused batch carries the numeric `status` of a problem document.

use std::time::Duration;

use axum::body::Body;
use axum::response::Response;
use http::{HeaderValue, StatusCode, header};
use serde::Serialize;
use serde_json::{Map, Value, json};

use crate::config::OriginType;
use crate::envelope::ids::{EnvelopeId, RequestId};

/// How an origin is spoken to, and which shapes it sends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Dialect {
    /// Adobe Commerce's blocking webhooks: always an operation.
    CommerceHook,
    /// Adobe I/O Events: a 4xx would drop the event for ever.
    CommerceEvents,
    /// A Patchworks flow: one result a record.
    Patchworks,
    /// An ERP or warehouse: one result a record.
    Backoffice,
}

impl From<OriginType> for Dialect {
    fn from(kind: OriginType) -> Self {
        match kind {
            OriginType::CommerceWebhook => Dialect::CommerceHook,
            OriginType::CommerceEvents => Dialect::CommerceEvents,
            OriginType::Patchworks => Dialect::Patchworks,
            OriginType::Backoffice => Dialect::Backoffice,
        }
    }
}

impl Dialect {
    /// Whether the sender reads what is wrong with its records. One that does not is never refused for content: what it
    /// sent is stored and becomes an exception.
    pub fn tells_problems(self) -> bool {
        match self {
            Dialect::Patchworks | Dialect::Backoffice => true,
            Dialect::CommerceHook | Dialect::CommerceEvents => false,
        }
    }
}

/// What became of one record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RecordStatus {
    /// New, and durable.
    Accepted,
    /// Known with the same content.
    Duplicate,
    /// Its event id is known with other content.
    Conflict,
    /// Not taken.
    Rejected,
}

impl RecordStatus {
    /// The word in an answer. A conflict is a rejection whose problem says why.
    pub fn as_str(self) -> &'static str {
        match self {
            RecordStatus::Accepted => "accepted",
            RecordStatus::Duplicate => "duplicate",
            RecordStatus::Conflict | RecordStatus::Rejected => "rejected",
        }
    }
}

/// One thing that is wrong with a record.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ProblemLine {
    /// Where in the body.
    pub path: String,
    /// What, and what to do.
    pub message: String,
}

/// One record's line in the answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RecordResult {
    /// Its business key, if it has one.
    pub key: Option<String>,
    /// Its envelope: the first one for duplicates and conflicts.
    pub event_id: Option<EnvelopeId>,
    /// What became of it.
    pub status: RecordStatus,
    /// Why it was not taken.
    pub problems: Vec<ProblemLine>,
}

impl RecordResult {
    fn json(&self) -> Value {
        json!({
            "key": self.key,
            "event_id": self.event_id,
            "status": self.status.as_str(),
            "problems": self.problems,
        })
    }
}

/// What is said of a record that the store has seen, besides its status.
pub fn notes(status: RecordStatus) -> Vec<ProblemLine> {
    match status {
        RecordStatus::Conflict => vec![ProblemLine {
            path: String::new(),
            message: "the event id was used before for other content, which stands; send this under an id of its own"
                .to_owned(),
        }],
        RecordStatus::Accepted | RecordStatus::Duplicate | RecordStatus::Rejected => Vec::new(),
    }
}

/// The status code and body for the results of an authentic request.
pub fn verdict(dialect: Dialect, results: &[RecordResult], request_id: RequestId) -> (StatusCode, Value) {
    match dialect {
        Dialect::CommerceHook => (StatusCode::OK, json!({ "op": "success" })),
        Dialect::CommerceEvents => (StatusCode::OK, json!({ "status": "accepted" })),
        Dialect::Patchworks | Dialect::Backoffice => {
            let status = flow_status(results);
            (status, flow_body(status, results, request_id))
        }
    }
}

/// 202 if any record is new, else 200 if any was known, else a refusal; nothing sent is nothing wrong.
fn flow_status(results: &[RecordResult]) -> StatusCode {
    let any = |status: RecordStatus| results.iter().any(|result| result.status == status);
    if any(RecordStatus::Accepted) {
        return StatusCode::ACCEPTED;
    }
    if results.is_empty() || any(RecordStatus::Duplicate) {
        return StatusCode::OK;
    }
    match results {
        [only] if only.status == RecordStatus::Conflict => StatusCode::CONFLICT,
        _ => StatusCode::UNPROCESSABLE_ENTITY,
    }
}

fn flow_body(status: StatusCode, results: &[RecordResult], request_id: RequestId) -> Value {
    let mut body = Map::new();
    if status.is_client_error() {
        let (title, detail) = match (status, results) {
            (StatusCode::CONFLICT, _) => ("Event id in use", "The event id was used before for other content."),
            (_, [_]) => ("Record not taken", "The record was not taken; see its problems."),
            _ => ("No record taken", "None of the records was taken; see the problems of each."),
        };
        body = Problem::new(status, title, request_id).detail(detail).members();
    }
    body.insert("results".to_owned(), results.iter().map(RecordResult::json).collect());
    if let [only] = results {
        body.insert("event_id".to_owned(), json!(only.event_id));
        body.insert("status".to_owned(), json!(only.status.as_str()));
    }
    Value::Object(body)
}

/// The response for the results of an authentic request.
pub fn answer(dialect: Dialect, results: &[RecordResult], request_id: RequestId) -> Response {
    let (status, body) = verdict(dialect, results, request_id);
    respond(status, if status.is_client_error() { PROBLEM_JSON } else { JSON }, &body)
}

/// 200 with this document.
pub(super) fn plain(body: &Value) -> Response {
    respond(StatusCode::OK, JSON, body)
}

/// Stops the action in Commerce that called the hook; only for origins that ask for it.
pub fn hook_exception(message: &str) -> Response {
    respond(StatusCode::OK, JSON, &json!({ "op": "exception", "message": message }))
}

/// A problem document in the making.
#[derive(Clone, Debug)]
pub struct Problem {
    status: StatusCode,
    title: String,
    detail: Option<String>,
    request_id: RequestId,
    retry_after: Option<Duration>,
}

impl Problem {
    /// Status, a title for its kind, and the request it answers.
    pub fn new(status: StatusCode, title: &str, request_id: RequestId) -> Self {
        Problem { status, title: title.to_owned(), detail: None, request_id, retry_after: None }
    }

    /// A sentence about this occurrence. Never a reason for a failed verification.
    #[must_use]
    pub fn detail(mut self, detail: &str) -> Self {
        self.detail = Some(detail.to_owned());
        self
    }

    /// When to come again; rounded up to whole seconds, at least one.
    #[must_use]
    pub fn retry_after(mut self, wait: Duration) -> Self {
        self.retry_after = Some(wait);
        self
    }

    /// The status it will be answered with.
    pub fn status(&self) -> StatusCode {
        self.status
    }

    fn members(&self) -> Map<String, Value> {
        let mut members = Map::new();
        members.insert("type".to_owned(), json!("about:blank"));
        members.insert("title".to_owned(), json!(self.title));
        members.insert("status".to_owned(), json!(self.status.as_u16()));
        if let Some(detail) = &self.detail {
            members.insert("detail".to_owned(), json!(detail));
        }
        members.insert("request_id".to_owned(), json!(self.request_id));
        members
    }
}

/// The response of a problem.
pub fn problem(problem: &Problem) -> Response {
    let mut response = respond(problem.status, PROBLEM_JSON, &Value::Object(problem.members()));
    if let Some(wait) = problem.retry_after {
        let seconds = (wait.as_secs() + u64::from(wait.subsec_nanos() > 0)).max(1);
        response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(seconds));
    }
    response
}

/// 503: nothing is wrong with the request, it may come again.
pub fn unavailable(request_id: RequestId, wait: Duration) -> Problem {
    Problem::new(StatusCode::SERVICE_UNAVAILABLE, "Temporarily unavailable", request_id).retry_after(wait)
}

const JSON: HeaderValue = HeaderValue::from_static("application/json");
const PROBLEM_JSON: HeaderValue = HeaderValue::from_static("application/problem+json");

fn respond(status: StatusCode, kind: HeaderValue, body: &Value) -> Response {
    let text = serde_json::to_vec(body).expect("a value always serialises");
    let mut response = Response::new(Body::from(text));
    *response.status_mut() = status;
    response.headers_mut().insert(header::CONTENT_TYPE, kind);
    response
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::{SeededEntropy, from_micros};

    fn request() -> RequestId {
        RequestId::new(from_micros(0), &SeededEntropy::new(1))
    }

    fn result(key: &str, status: RecordStatus) -> RecordResult {
        let event_id =
            (status != RecordStatus::Rejected).then(|| EnvelopeId::new(from_micros(1_000_000), &SeededEntropy::new(2)));
        let problems = match status {
            RecordStatus::Rejected => vec![ProblemLine { path: "items".into(), message: "is missing".into() }],
            other => notes(other),
        };
        RecordResult { key: Some(key.to_owned()), event_id, status, problems }
    }

    #[test]
    fn a_hook_is_always_told_success_once_it_is_authentic() {
        use RecordStatus::{Accepted, Conflict, Duplicate, Rejected};
        for status in [Accepted, Duplicate, Conflict, Rejected] {
            let (code, body) = verdict(Dialect::CommerceHook, &[result("1", status)], request());
            assert_eq!((code, body), (StatusCode::OK, json!({ "op": "success" })), "{status:?}");
            assert_eq!(verdict(Dialect::CommerceEvents, &[result("1", status)], request()).0, StatusCode::OK);
        }
        assert_eq!(verdict(Dialect::CommerceHook, &[], request()).1, json!({ "op": "success" }));
    }

    #[test]
    fn a_flow_gets_one_status_for_the_whole_batch() {
        use RecordStatus::{Accepted, Conflict, Duplicate, Rejected};
        let table: [(&[RecordStatus], u16); 10] = [
            (&[], 200),
            (&[Accepted], 202),
            (&[Duplicate], 200),
            (&[Conflict], 409),
            (&[Rejected], 422),
            (&[Rejected, Duplicate, Accepted], 202),
            (&[Rejected, Duplicate], 200),
            (&[Rejected, Rejected], 422),
            (&[Conflict, Rejected], 422),
            (&[Conflict, Accepted], 202),
        ];
        for (statuses, code) in table {
            let results: Vec<RecordResult> = statuses.iter().map(|status| result("1", *status)).collect();
            for dialect in [Dialect::Patchworks, Dialect::Backoffice] {
                assert_eq!(verdict(dialect, &results, request()).0.as_u16(), code, "{statuses:?}");
            }
        }
    }

    #[test]
    fn a_single_object_has_its_event_id_and_status_at_the_top() {
        let (_, body) = verdict(Dialect::Patchworks, &[result("000000042", RecordStatus::Accepted)], request());
        let id = body["event_id"].as_str().unwrap();
        assert!(id.starts_with("env_"));
        assert_eq!(
            body,
            json!({
                "results": [{ "key": "000000042", "event_id": id, "status": "accepted", "problems": [] }],
                "event_id": id,
                "status": "accepted",
            })
        );
        let two = [result("1", RecordStatus::Accepted), result("2", RecordStatus::Rejected)];
        let (_, body) = verdict(Dialect::Patchworks, &two, request());
        assert_eq!(body.get("status"), None);
        assert_eq!(body["results"][1]["problems"], json!([{ "path": "items", "message": "is missing" }]));
        assert_eq!(body["results"][1]["event_id"], Value::Null);
    }

    #[test]
    fn ans_1_a_refused_record_is_a_problem_document_with_its_results() {
        let (_, body) = verdict(Dialect::Patchworks, &[result("42", RecordStatus::Conflict)], request());
        assert_eq!(body["title"], "Event id in use");
        assert_eq!(body["status"], "rejected");
        assert_eq!(body["results"][0]["status"], "rejected");
        assert!(body["results"][0]["problems"][0]["message"].as_str().unwrap().contains("event id"));
        assert!(body["request_id"].as_str().unwrap().starts_with("req_"));
        let refused = [result("1", RecordStatus::Rejected), result("2", RecordStatus::Rejected)];
        let response = answer(Dialect::Patchworks, &refused, request());
        assert_eq!(response.headers()[header::CONTENT_TYPE], "application/problem+json");
        assert_eq!(verdict(Dialect::Patchworks, &refused, request()).1["status"], 422);
    }

    #[test]
    fn retry_after_is_whole_seconds_and_never_zero() {
        for (wait, header) in [(0, "1"), (1_000, "1"), (1_001, "2"), (60_000, "60")] {
            let response = problem(&unavailable(request(), Duration::from_millis(wait)));
            assert_eq!(response.status(), StatusCode::SERVICE_UNAVAILABLE);
            assert_eq!(response.headers()[header::RETRY_AFTER], header);
        }
        let plain = problem(&Problem::new(StatusCode::UNAUTHORIZED, "Not authenticated", request()));
        assert!(!plain.headers().contains_key(header::RETRY_AFTER));
    }
}
