//! The language of an answer: JSON, XML for whoever puts it first, and a page for a browser, which is always an error.

use std::fmt::Write as _;

use super::answer::Answer;
use super::tree::Tree;

const NEVER_FAILS: &str = "writing to a string never fails";

/// What `Accept` comes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Wanted {
    Json,
    Xml,
    Page,
}

/// The kind with the highest weight, the first of equals.
pub(super) fn wanted(accept: &str) -> Wanted {
    let mut best = (0, Wanted::Json);
    for part in accept.split(',') {
        let mut parameters = part.split(';').map(str::trim);
        let kind = parameters.next().unwrap_or_default();
        let weight = parameters.find_map(|text| text.strip_prefix("q=")).map_or(1000, thousandths);
        let wanted = match kind {
            "application/xml" | "text/xml" => Wanted::Xml,
            "text/html" => Wanted::Page,
            _ => Wanted::Json,
        };
        if weight > best.0 {
            best = (weight, wanted);
        }
    }
    best.1
}

/// `0.5` as 500.
fn thousandths(text: &str) -> u32 {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    let fraction: String = fraction.chars().chain("000".chars()).take(3).collect();
    whole.parse::<u32>().unwrap_or(1) * 1000 + fraction.parse::<u32>().unwrap_or(0)
}

/// The same answer as XML.
pub(super) fn as_xml(answer: &Answer) -> Answer {
    let mut out = "<?xml version=\"1.0\"?>\n<response>\n".to_owned();
    if let Ok(tree) = Tree::parse(answer.body.as_bytes()) {
        element(&tree, 1, &mut out);
    }
    out.push_str("</response>\n");
    Answer { headers: answer.headers.clone(), ..Answer::plain(answer.status, "application/xml; charset=utf-8", &out) }
}

fn element(tree: &Tree, depth: usize, out: &mut String) {
    let members: Vec<(&str, &Tree)> = match tree {
        Tree::Object(members) => members.iter().map(|(name, value)| (name.as_str(), value)).collect(),
        Tree::List(items) => items.iter().map(|item| ("item", item)).collect(),
        _ => return,
    };
    let indent = "  ".repeat(depth);
    for (name, value) in members {
        match value {
            Tree::Object(_) | Tree::List(_) => {
                writeln!(out, "{indent}<{name}>").expect(NEVER_FAILS);
                element(value, depth + 1, out);
                writeln!(out, "{indent}</{name}>").expect(NEVER_FAILS);
            }
            other => {
                let text = match other {
                    Tree::Bool(value) => value.to_string(),
                    other => other.as_text().unwrap_or_default().replace('&', "&amp;").replace('<', "&lt;"),
                };
                writeln!(out, "{indent}<{name}>{text}</{name}>").expect(NEVER_FAILS);
            }
        }
    }
}
