//! The journal of a registration: every event for seven days, read by position, whether it was pushed or not.

use http::{HeaderMap, header};

use super::answer::Answer;
use super::tree::Tree;
use crate::clock::Timestamp;

/// Where it is read.
pub(super) const PATH: &str = "/events/organizations/4711/integrations/815/registration-1";

/// Events per answer where the reader names no limit.
const PAGE_EVENTS: usize = 100;

/// Entries by position, counted from 1.
#[derive(Default)]
pub(super) struct Journal {
    entries: Vec<(Timestamp, Tree)>,
    /// Entries that are gone, being older than seven days.
    gone: usize,
}

/// Who may read.
pub(super) struct Reader<'a> {
    pub(super) token: &'a str,
    pub(super) client_id: &'a str,
}

impl Journal {
    pub(super) fn append(&mut self, at: Timestamp, event: Tree) {
        self.entries.push((at, event));
    }

    /// Everything so far grows older than seven days.
    pub(super) fn expire(&mut self) {
        self.gone = self.entries.len();
    }

    /// How many events were ever written.
    pub(super) fn len(&self) -> usize {
        self.entries.len()
    }

    /// One page from where the query says, with the address of the next.
    pub(super) fn read(
        &self,
        base: &str,
        pairs: &[(String, String)],
        headers: &HeaderMap,
        reader: &Reader<'_>,
        now: Timestamp,
    ) -> Answer {
        let header = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
        let bearer = header(header::AUTHORIZATION.as_str()).and_then(|value| value.strip_prefix("Bearer "));
        if bearer != Some(reader.token) {
            return Answer::message(401, "Oauth token is not valid");
        }
        if header("x-api-key") != Some(reader.client_id) || header("x-ims-org-id").is_none() {
            return Answer::message(403, "Api Key or organization is not valid");
        }
        let get = |name: &str| pairs.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str());
        let start = match (get("since"), get("seek"), get("latest")) {
            (Some(_), Some(_), _) => return Answer::message(400, "since and seek exclude each other"),
            (Some(since), None, _) => match number(since) {
                Some(position) if position < self.gone => return Answer::message(410, "the position has expired"),
                Some(position) if position <= self.entries.len() => position,
                _ => return Answer::message(400, "the position is not valid"),
            },
            (None, Some(seek), _) => match sought(seek, now) {
                Some(from) => self.entries.iter().take_while(|(at, _)| *at < from).count().max(self.gone),
                None => return Answer::message(400, "seek is not a negative duration"),
            },
            (None, None, Some("true")) => self.entries.len(),
            (None, None, _) => self.gone,
        };
        let limit = get("limit").and_then(|limit| limit.parse().ok()).unwrap_or(PAGE_EVENTS).max(1);
        self.page(base, start, limit)
    }

    fn page(&self, base: &str, start: usize, limit: usize) -> Answer {
        let entry = |(index, (_, event)): (usize, &(Timestamp, Tree))| {
            Tree::object([("position", Tree::Text(position(index + 1))), ("event", event.clone())])
        };
        let events: Vec<Tree> = self.entries.iter().enumerate().skip(start).take(limit).map(entry).collect();
        let (count, end) = (events.len(), start + events.len());
        let mut answer = if count == 0 {
            Answer::plain(204, Answer::JSON, "")
        } else {
            let page = Tree::object([("last", Tree::Text(position(end))), ("count", Tree::number(count))]);
            Answer::ok(Tree::object([("events", Tree::List(events)), ("_page", page)]))
        };
        if count == 0 {
            answer.headers.push(("retry-after", "10".to_owned()));
        }
        answer.headers.push(("link", format!("<{base}{PATH}?since={}&limit={limit}>; rel=\"next\"", position(end))));
        answer
    }
}

/// Positions are opaque to readers.
fn position(number: usize) -> String {
    format!("stand-in.{number:08x}")
}

fn number(position: &str) -> Option<usize> {
    usize::from_str_radix(position.strip_prefix("stand-in.")?, 16).ok()
}

/// `-PT2H` before now.
fn sought(text: &str, now: Timestamp) -> Option<Timestamp> {
    let span: jiff::Span = text.parse().ok()?;
    if !span.is_negative() {
        return None;
    }
    let duration = span.to_duration(jiff::SpanRelativeTo::days_are_24_hours()).ok()?;
    now.checked_add(duration).ok()
}
