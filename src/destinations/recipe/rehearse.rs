//! The requests that a recipe would make of a document, without making any: for `crossdock render` and `check`.
//!
//! What would be taken from answers is pretended: numbers that follow from names alone, so that the same order shows the same
//! requests. Steps with a condition are shown with it, since what it asks for is not known.

use std::fmt;
use std::sync::Arc;

use minijinja::Value;
use minijinja::value::{Object, ObjectRepr};
use serde::Serialize;
use sha2::{Digest as _, Sha256};

use super::step::{Step, Unwritten};
use super::{Recipe, Work};
use crate::destinations::Destination;
use crate::envelope::keys::{IdempotencyKey, KeyParts};
use crate::store::write::SealedRequest;

/// A step as it would be asked.
#[derive(Debug, Serialize)]
pub struct Rehearsed {
    /// Its name.
    pub step: String,
    /// What it is there for.
    pub kind: &'static str,
    /// Only where this holds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub when: Option<String>,
    /// For each of a list; the first is shown.
    #[serde(skip_serializing_if = "is_one")]
    pub times: usize,
    /// `POST`
    #[serde(skip_serializing_if = "Option::is_none")]
    pub method: Option<String>,
    /// Where.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
    /// Headers, without credentials.
    pub headers: Vec<(String, String)>,
    /// What would be sent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub body: Option<String>,
    /// Why it cannot be asked.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub problem: Option<String>,
    /// The line of its template at which it fails, where that is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub line: Option<usize>,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "shaped for serde")]
fn is_one(times: &usize) -> bool {
    *times == 1
}

impl Rehearsed {
    /// A request that takes no steps.
    pub fn of(step: &str, request: SealedRequest) -> Rehearsed {
        Rehearsed {
            step: step.to_owned(),
            kind: "create",
            when: None,
            times: 1,
            method: Some(request.method),
            url: Some(request.url),
            headers: request.headers,
            body: Some(String::from_utf8_lossy(&request.body).into_owned()).filter(|body| !body.is_empty()),
            problem: None,
            line: None,
        }
    }

    /// As it stands among others at a destination that is sent several records at a time.
    #[must_use]
    pub fn in_a_list(self) -> Rehearsed {
        Rehearsed { body: self.body.map(|body| format!("[{body}]")), ..self }
    }

    /// A poll whose request cannot be written.
    pub fn unasked(poll: &str, problem: String) -> Rehearsed {
        Rehearsed {
            step: poll.to_owned(),
            kind: "poll",
            when: None,
            times: 1,
            method: None,
            url: None,
            headers: Vec::new(),
            body: None,
            problem: Some(problem),
            line: None,
        }
    }
}

/// As people read requests; JSON is indented.
impl fmt::Display for Rehearsed {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "\n## {} ({})", self.step, self.kind)?;
        if self.times != 1 {
            write!(formatter, ", {} times, the first", self.times)?;
        }
        if let Some(when) = &self.when {
            write!(formatter, ", only when {when}")?;
        }
        writeln!(formatter)?;
        if let Some(problem) = &self.problem {
            writeln!(formatter, "cannot be asked: {problem}")?;
        }
        if let (Some(method), Some(url)) = (&self.method, &self.url) {
            writeln!(formatter, "{method} {url}")?;
        }
        for (name, value) in &self.headers {
            writeln!(formatter, "{name}: {value}")?;
        }
        let Some(body) = &self.body else { return Ok(()) };
        let is_json = serde_json::from_str::<serde::de::IgnoredAny>(body).is_ok();
        if is_json { writeln!(formatter, "\n{}", crate::json::indented(body)) } else { writeln!(formatter, "\n{body}") }
    }
}

/// Everything found, under any name.
#[derive(Debug)]
struct Pretended {
    path: String,
    /// Names that are maps.
    maps: Vec<String>,
}

impl Object for Pretended {
    fn repr(self: &Arc<Self>) -> ObjectRepr {
        ObjectRepr::Map
    }

    fn get_value(self: &Arc<Self>, key: &Value) -> Option<Value> {
        let name = key.as_str().map_or_else(|| key.to_string(), str::to_owned);
        let path = format!("{}.{name}", self.path);
        if self.maps.contains(&name) {
            return Some(Value::from_object(Pretended { path, maps: Vec::new() }));
        }
        let digest = Sha256::digest(path.as_bytes());
        Some(Value::from(1_000 + u32::from(u16::from_be_bytes([digest[0], digest[1]]) % 9_000)))
    }
}

impl Destination {
    /// The requests that this destination would be sent of a document; nothing is sent and nothing is asked.
    ///
    /// # Errors
    /// It is no document of ours, or nothing here serves its purpose.
    pub fn rehearse(&self, document: &[u8]) -> Result<Vec<Rehearsed>, String> {
        let (purpose, key) = named(self, document)?;
        let Some(profile) = self.recipe() else {
            let request = self.render(&purpose, &bytes::Bytes::copy_from_slice(document), &key, "")?;
            return Ok(vec![Rehearsed::of("create", request)]);
        };
        self.rehearse_with(&profile.recipe, document)
    }

    /// The same by another recipe than the configured one.
    pub(super) fn rehearse_with(&self, recipe: &Recipe, document: &[u8]) -> Result<Vec<Rehearsed>, String> {
        let (purpose, key) = named(self, document)?;
        if !recipe.serves(&purpose) {
            return Err(super::no_steps(&purpose));
        }
        let rehearsed = recipe.rehearse(&Work::new(&purpose, document, &key)?);
        let in_a_list = self.batch().is_some();
        Ok(if in_a_list { rehearsed.into_iter().map(Rehearsed::in_a_list).collect() } else { rehearsed })
    }
}

/// A document's purpose, and the key of its first report at an installation that has no name.
fn named(destination: &Destination, document: &[u8]) -> Result<(String, IdempotencyKey), String> {
    let document: serde_json::Value =
        serde_json::from_slice(document).map_err(|_| "the document is no JSON object".to_owned())?;
    let text = |pointer: &str| document.pointer(pointer).and_then(serde_json::Value::as_str).unwrap_or_default();
    let purpose = text("/purpose");
    let key = IdempotencyKey::derive(&KeyParts {
        installation: "",
        destination: destination.name(),
        system: text("/order/system"),
        subject_kind: "order",
        subject_scope: "",
        subject_id: text("/order/increment_id"),
        purpose,
        revision: "",
        generation: 0,
    });
    Ok((purpose.to_owned(), key))
}

impl Recipe {
    /// Every step for the work's purpose, as it would be asked.
    pub fn rehearse(&self, work: &Work) -> Vec<Rehearsed> {
        let maps = self.steps.iter().flat_map(Step::maps).map(str::to_owned).collect();
        let found = Value::from_object(Pretended { path: "found".to_owned(), maps });
        self.steps_for(&work.purpose).map(|step| self.rehearsed(step, work, &found)).collect()
    }

    fn rehearsed(&self, step: &Step, work: &Work, found: &Value) -> Rehearsed {
        let mut shown = Rehearsed {
            step: step.name.clone(),
            kind: step.kind.as_str(),
            when: step.when.as_ref().map(|when| when.source().to_owned()),
            times: 1,
            method: None,
            url: None,
            headers: Vec::new(),
            body: None,
            problem: None,
            line: None,
        };
        match self.rehearsed_request(step, work, found, &mut shown.times) {
            Ok(Some(request)) => {
                shown.body = Some(String::from_utf8_lossy(&request.body).into_owned()).filter(|body| !body.is_empty());
                (shown.method, shown.url) = (Some(request.method), Some(request.url));
                shown.headers = request.headers;
            }
            Ok(None) => {}
            Err(Unwritten { why, line }) => (shown.problem, shown.line) = (Some(why), line),
        }
        shown
    }

    fn rehearsed_request(
        &self,
        step: &Step,
        work: &Work,
        found: &Value,
        times: &mut usize,
    ) -> Result<Option<SealedRequest>, Unwritten> {
        let Some(request) = &step.request else { return Ok(None) };
        let mut item = None;
        if let Some(each) = &step.each {
            let context = self.context_of(work, found.clone(), None);
            let list = each.value(&context)?;
            let items: Vec<Value> =
                list.try_iter().map_err(|_| Unwritten::from("each is no list".to_owned()))?.collect();
            *times = items.len();
            let Some(first) = items.into_iter().next() else { return Ok(None) };
            item = Some(first);
        }
        let context = self.context_of(work, found.clone(), item.as_ref());
        request.written(&self.base, &context).map(Some)
    }
}
