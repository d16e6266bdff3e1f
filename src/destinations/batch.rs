//! Several records in one request: a list of what each of them is sent alone.
//!
//! Every record keeps a request of its own, sealed as ever (KEY-5). What goes out is put together from the sealed ones in
//! the moment it leaves and is kept nowhere, so that a record goes out the next time as it went out this time, in whatever
//! company, and is erased with its person alone (DAT-1). What comes back is taken apart again: for each record what it would
//! have been answered alone.

use std::time::Duration;

use serde_json::value::RawValue;

use super::http::render;
use super::outcome::{AttemptOutcome, ResponseSeen, Wait, Wire};
use super::recipe::Recipe;
use crate::envelope::keys::Digest;
use crate::store::write::SealedRequest;

/// How many records go out together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Batch {
    /// Most records in a request.
    pub up_to: u32,
    /// How long the first of them waits for others.
    pub wait: Duration,
    /// Most bytes in a request; one record may be larger, and goes alone.
    pub bytes: usize,
}

/// Why records cannot be sent together, each a sentence; `is_keyed`: the destination remembers the key of every record.
pub fn problems(is_keyed: bool, recipe: Option<&Recipe>) -> Vec<String> {
    let mut problems = Vec::new();
    if !is_keyed {
        // An answer that is lost leaves all of them in doubt; only a guard that knows each of them takes each again.
        let needs = "batch needs guard = \"key\": after a lost answer every record is sent again alone, which only a flow that \
                     tells records apart (a de-dupe shape on what names a record) takes for the same";
        problems.push(needs.to_owned());
    }
    match recipe.map(Recipe::takes_batches) {
        Some(Ok(())) => {}
        Some(Err(problem)) => problems.push(problem),
        None => problems.push("batch is for profiles that take a list: patchworks and the like".to_owned()),
    }
    problems
}

/// Whether both can stand in one request.
pub fn fit(one: &SealedRequest, other: &SealedRequest) -> bool {
    let names = |request: &SealedRequest| request.headers.iter().map(|(name, _)| name.clone()).collect::<Vec<_>>();
    one.method == other.method && one.url == other.url && names(one) == names(other)
}

/// One request for all of them, in their order; they [`fit`]. A header that says something else of each, such as its key,
/// says a digest of all.
pub fn put_together(requests: &[&SealedRequest]) -> Option<SealedRequest> {
    let (first, others) = requests.split_first()?;
    let headers = first.headers.iter().enumerate().map(|(place, (name, value))| {
        let is_shared = others.iter().all(|other| other.headers.get(place).is_some_and(|(_, one)| one == value));
        if is_shared {
            return (name.clone(), value.clone());
        }
        let values: Vec<&str> = requests.iter().filter_map(|one| Some(one.headers.get(place)?.1.as_str())).collect();
        (name.clone(), named(&values))
    });
    let headers: Vec<(String, String)> = headers.collect();
    let size = requests.iter().map(|one| one.body.len() + 1).sum::<usize>() + 1;
    let mut body = Vec::with_capacity(size);
    for request in requests {
        body.push(if body.is_empty() { b'[' } else { b',' });
        body.extend_from_slice(&request.body);
    }
    body.push(b']');
    let digest = render::digest(&first.method, &first.url, &headers, &body);
    Some(SealedRequest {
        method: first.method.clone(),
        url: first.url.clone(),
        headers,
        body: body.into(),
        digest,
        body_is_document: false,
    })
}

/// What several are called together, from what each is called: the same again for the same ones in the same order.
pub fn named(each: &[&str]) -> String {
    format!("batch-{}", data_encoding::HEXLOWER.encode(&Digest::of_fields(each).short()))
}

/// What became of one of several.
#[derive(Debug)]
pub enum Said {
    /// What it would have been answered alone.
    OfIt(Wire),
    /// What was answered to all of them.
    OfAll(Wire),
}

/// An answer to several records, taken apart: one for each of `names`, in their order. `pointer` leads to what an entry of
/// the answer says it is about; without it an answer speaks of all of them.
///
/// The answer is a list of entries, or a list with that list in it. An entry is read as a list of one, which is how one
/// record alone is answered. Of what no entry, or more than one, speaks nobody knows whether it was done.
pub fn take_apart(wire: &Wire, names: &[String], pointer: Option<&str>) -> Vec<Said> {
    let response = match (wire, pointer) {
        (Wire::Answered(response), Some(pointer)) if (200..300).contains(&response.status) => Some((response, pointer)),
        _ => None,
    };
    let Some((response, pointer)) = response else {
        return names.iter().map(|_| Said::OfAll(wire.clone())).collect();
    };
    let entries: Vec<(Option<String>, &RawValue)> =
        entries(&response.body).into_iter().map(|entry| (name_in(entry, pointer), entry)).collect();
    let of = |name: &String| {
        let mut own = entries.iter().filter(|(says, _)| says.as_ref() == Some(name)).map(|(_, entry)| *entry);
        match (own.next(), own.next()) {
            (Some(entry), None) => alone(response, entry),
            (None, _) => Wire::Lost(format!("the answer has no entry with {name} at {pointer}")),
            (Some(_), Some(_)) => Wire::Lost(format!("the answer has more than one entry with {name} at {pointer}")),
        }
    };
    names.iter().map(|name| Said::OfIt(of(name))).collect()
}

fn alone(response: &ResponseSeen, entry: &RawValue) -> Wire {
    Wire::Answered(ResponseSeen { body: format!("[{}]", entry.get()).into(), ..response.clone() })
}

/// The entries of a list, or of the only list in a list; of anything else none.
fn entries(body: &[u8]) -> Vec<&RawValue> {
    let list: Vec<&RawValue> = serde_json::from_slice(body).unwrap_or_default();
    match list.as_slice() {
        [only] => serde_json::from_str(only.get()).unwrap_or(list),
        _ => list,
    }
}

/// What an entry says it is about: a text, or a number as it is written.
fn name_in(entry: &RawValue, pointer: &str) -> Option<String> {
    let value: serde_json::Value = serde_json::from_str(entry.get()).ok()?;
    match value.pointer(pointer)? {
        serde_json::Value::String(text) => Some(text.clone()),
        serde_json::Value::Number(number) => Some(number.to_string()),
        _ => None,
    }
}

/// What an answer to all of them means for each. A refusal says nothing of which of them it means, nor does *done
/// already*: nothing was applied, and each goes alone.
pub fn of_each(outcome: AttemptOutcome, status: Option<u16>, together: usize) -> AttemptOutcome {
    match outcome {
        AttemptOutcome::Rejected(_) | AttemptOutcome::AlreadyApplied(_) => {
            let answered = status.map_or_else(|| "refused".to_owned(), |status| format!("answered {status}"));
            let detail = format!("{together} records sent together were {answered}; each goes alone now");
            AttemptOutcome::Unavailable { detail, wait: Wait::default() }
        }
        outcome => outcome,
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;
    use crate::destinations::{BodyEnd, Mark, Rejection};

    fn sealed(key: &str, body: &'static str) -> SealedRequest {
        let headers = vec![
            ("content-type".to_owned(), "application/json".to_owned()),
            ("idempotency-key".to_owned(), key.to_owned()),
        ];
        let (method, url) = ("POST".to_owned(), "https://flows.example.com/w1".to_owned());
        let digest = render::digest(&method, &url, &headers, body.as_bytes());
        SealedRequest {
            method,
            url,
            headers,
            body: Bytes::from_static(body.as_bytes()),
            digest,
            body_is_document: false,
        }
    }

    fn answer(status: u16, body: &str) -> Wire {
        let body = Bytes::from(body.to_owned());
        Wire::Answered(ResponseSeen { status, headers: ::http::HeaderMap::new(), body, end: BodyEnd::Complete })
    }

    fn bodies(said: &[Said]) -> Vec<String> {
        let one = |said: &Said| match said {
            Said::OfIt(Wire::Answered(response)) => String::from_utf8_lossy(&response.body).into_owned(),
            Said::OfIt(Wire::Lost(detail)) => format!("lost: {detail}"),
            Said::OfAll(_) => "all".to_owned(),
            Said::OfIt(other) => format!("{other:?}"),
        };
        said.iter().map(one).collect()
    }

    #[test]
    fn key_5_the_bytes_of_each_stand_in_it_as_they_were_sealed() {
        let (one, two) = (sealed("k1", r#"{"a":1.10}"#), sealed("k2", r#"{"b":"é"}"#));
        assert!(fit(&one, &two));
        let both = put_together(&[&one, &two]).unwrap();
        assert_eq!(both.body, r#"[{"a":1.10},{"b":"é"}]"#);
        assert!(render::is_intact(&both));
        assert_eq!(both.headers[0].1, "application/json");
        assert!(both.headers[1].1.starts_with("batch-"), "{:?}", both.headers);
        assert_eq!(put_together(&[&one, &two]).unwrap().headers, both.headers, "derived, not drawn");
        assert_ne!(put_together(&[&two, &one]).unwrap().headers, both.headers);
        let alone = put_together(&[&one]).unwrap();
        assert_eq!((alone.body.as_ref(), alone.headers[1].1.as_str()), (r#"[{"a":1.10}]"#.as_bytes(), "k1"));
        assert!(put_together(&[]).is_none());
        let elsewhere = SealedRequest { url: "https://flows.example.com/w2".to_owned(), ..two };
        assert!(!fit(&one, &elsewhere));
    }

    #[test]
    fn each_entry_of_an_answer_is_read_as_if_it_stood_alone() {
        let names = ["1".to_owned(), "2".to_owned(), "3".to_owned()];
        let said = |body: &str| bodies(&take_apart(&answer(200, body), &names, Some("/n")));
        let flat = r#"[{"n":"2","so":1.10},{"n":1},{"n":"3"},{"n":"3"},{"x":1}]"#;
        let expected =
            [r#"[{"n":1}]"#, r#"[{"n":"2","so":1.10}]"#, "lost: the answer has more than one entry with 3 at /n"];
        assert_eq!(said(flat), expected);
        assert_eq!(said(&format!("[{flat}]")), expected);
        for hollow in ["", "[]", "{}", "null", "[[]]", "<html>", r#"[{"n":["1"]}]"#, r#"{"n":"1"}"#] {
            assert!(said(hollow).iter().all(|said| said.starts_with("lost: the answer has no entry")), "{hollow}");
        }
    }

    #[test]
    fn an_answer_that_is_no_success_or_names_nobody_is_an_answer_to_all() {
        let names = ["1".to_owned(), "2".to_owned()];
        for wire in [answer(503, r#"[{"n":"1"}]"#), answer(422, "[]"), Wire::Lost("reset".to_owned())] {
            assert_eq!(bodies(&take_apart(&wire, &names, Some("/n"))), ["all", "all"]);
        }
        assert_eq!(bodies(&take_apart(&answer(202, "{}"), &names, None)), ["all", "all"]);
    }

    #[test]
    fn a_refusal_of_several_refuses_none_of_them_for_good() {
        let refusal = Rejection { mark: Mark::Record, status: Some(422), detail: "Anna has no postcode".to_owned() };
        let outcome = of_each(AttemptOutcome::Rejected(refusal), Some(422), 7);
        let AttemptOutcome::Unavailable { detail, .. } = outcome else { panic!("{outcome:?}") };
        assert_eq!(detail, "7 records sent together were answered 422; each goes alone now");
        let doubt = AttemptOutcome::Uncertain { detail: "reset".to_owned(), wait: Wait::default() };
        assert_eq!(of_each(doubt.clone(), None, 7), doubt);
    }
}
