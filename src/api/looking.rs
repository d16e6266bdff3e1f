//! What releasing would come to: every member's document beside the one made before, before anything is done.

use axum::Json;
use axum::extract::State;
use serde::{Deserialize, Serialize};

use super::error::ApiError;
use super::exceptions::{self, ListQuery};
use super::extract::{FromPath, FromQuery};
use super::page::paging;
use super::state::{Api, ExpansionProblem, Preview, Replayed};
use crate::access::Operator;
use crate::access::caller::Caller;
use crate::access::roles::CanReplay;
use crate::domain::mapping::{MappingRow, Table};
use crate::envelope::ids::ExceptionId;
use crate::store::ExceptionFilter;
use crate::store::view::{ExceptionRow, ExceptionSubject, Page, Paging};

/// Members of a preview when nothing else is asked.
const LIMIT: u32 = 20;

/// A page of members, and what each would come to.
#[derive(Debug, Serialize)]
pub struct Looked {
    /// The version of the mapping tables that this holds for: hand it to a release, which refuses another.
    pub(super) mappings_version: u64,
    /// Of this page.
    pub(super) counts: Counts,
    pub(super) items: Vec<Member>,
    next_cursor: Option<String>,
}

/// How many of a page would come to what.
#[derive(Clone, Copy, Debug, Default, Serialize)]
pub struct Counts {
    /// On their way.
    pub(super) released: usize,
    /// Of them: with the document they had.
    pub(super) unchanged: usize,
    /// Still waiting for a person.
    pub(super) still_parked: usize,
    /// No route wants them any more.
    pub(super) ignored: usize,
    /// Cannot be replayed.
    pub(super) refused: usize,
}

/// One member, and what it would come to.
#[derive(Debug, Serialize)]
pub struct Member {
    exception_id: ExceptionId,
    subject: ExceptionSubject,
    /// As in a replay, or `refused`.
    result: String,
    explanation: String,
    /// The documents are those that were made before.
    would_not_change: bool,
    problems: Vec<ExpansionProblem>,
    documents: Vec<Preview>,
}

/// Where a page starts and how long it is.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PageQuery {
    limit: Option<u32>,
    cursor: Option<String>,
}

/// `GET /exceptions/groups/{fingerprint}/preview`
pub async fn group(
    operator: Operator<CanReplay>,
    State(api): State<Api>,
    FromPath(fingerprint): FromPath<String>,
    FromQuery(query): FromQuery<PageQuery>,
) -> Result<Json<Looked>, ApiError> {
    exceptions::group(&api, &fingerprint).await?;
    let filter = ExceptionFilter { fingerprint: Some(fingerprint), ..ExceptionFilter::default() };
    look(&api, operator.caller(), filter, paging(query.limit, query.cursor)?, None).await.map(Json)
}

/// `GET /exceptions/preview`
pub async fn filtered(
    operator: Operator<CanReplay>,
    State(api): State<Api>,
    FromQuery(mut query): FromQuery<ListQuery>,
) -> Result<Json<Looked>, ApiError> {
    let filter = query.filter(&api, &operator.actor().to_string())?;
    if filter.state.as_deref().is_some_and(|state| !["waiting", "open", "assigned", "snoozed"].contains(&state)) {
        return Err(ApiError::bad_request(
            "only what waits is released: state is one of waiting, open, assigned, snoozed",
        ));
    }
    look(&api, operator.caller(), filter, query.paging()?, None).await.map(Json)
}

/// A page of what a filter lets through, with one more mapping row if one is given.
pub(super) async fn look(
    api: &Api,
    caller: &Caller,
    filter: ExceptionFilter,
    paging: Paging,
    supposing: Option<(Table, MappingRow)>,
) -> Result<Looked, ApiError> {
    let mappings_version = api.store.mappings_version().await?;
    let paging = Paging { limit: if paging.limit == 0 { LIMIT } else { paging.limit }, ..paging };
    let Page { items, next_cursor } = api.store.exceptions(filter, paging).await?;
    let previews = api.engines.previews(items.iter().map(|row| row.id).collect(), supposing).await?;
    let mut counts = Counts::default();
    let seen = |preview: Result<Replayed, String>| preview.map(|replayed| replayed.seen_by(caller));
    let items = items.into_iter().zip(previews).map(|(row, (_, preview))| counts.member(row, seen(preview))).collect();
    Ok(Looked { mappings_version, counts, items, next_cursor })
}

impl Member {
    /// In a line.
    pub(super) fn line(&self) -> String {
        let same = if self.would_not_change { ", with the document it had" } else { "" };
        let (id, number, result) = (self.exception_id, &self.subject.increment_id, self.result.replace('_', " "));
        format!("{id}  {number} would be {result}{same}: {}", self.explanation)
    }
}

impl Counts {
    /// Counts one that would come to this, and shows it.
    pub(super) fn member(&mut self, row: ExceptionRow, preview: Result<Replayed, String>) -> Member {
        let (exception_id, subject) = (row.id, row.subject);
        let replayed = match preview {
            Ok(replayed) => replayed,
            Err(explanation) => {
                self.refused += 1;
                let (problems, documents) = (Vec::new(), Vec::new());
                let result = "refused".to_owned();
                return Member {
                    exception_id,
                    subject,
                    result,
                    explanation,
                    would_not_change: false,
                    problems,
                    documents,
                };
            }
        };
        let would_not_change = would_not_change(&replayed);
        match replayed.result.as_str() {
            "still_parked" => self.still_parked += 1,
            "ignored" => self.ignored += 1,
            _ => {
                self.released += 1;
                self.unchanged += usize::from(would_not_change);
            }
        }
        Member {
            exception_id,
            subject,
            result: replayed.result,
            explanation: replayed.explanation,
            would_not_change,
            problems: replayed.problems,
            documents: replayed.documents,
        }
    }
}

fn would_not_change(replayed: &Replayed) -> bool {
    let same = |document: &Preview| document.known_before && document.changes.is_empty();
    !replayed.documents.is_empty() && replayed.documents.iter().all(same)
}
