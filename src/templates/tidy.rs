//! From what a JSON template wrote to the JSON that is sent.

use crate::json::{self, Json, JsonError, Limits};

/// Stands where a member has nothing to say; no text of a document can hold it, since JSON escapes it on its way in.
pub(super) const OMITTED: char = '\0';

/// Longer than any request should be deep, wide or long; the bytes are bounded already.
const LIMITS: Limits = Limits { depth_max: 64, string_bytes_max: 8 << 20, number_chars_max: 128, items_max: 100_000 };

/// Compact JSON, without the members that were omitted and without commas before a closing bracket.
///
/// # Errors
/// What is wrong, with the line it stands in.
pub(super) fn json(text: &str) -> Result<String, (Option<usize>, String)> {
    let (clean, lines) = without_loose_commas(text);
    let read = json::parse(clean.as_bytes(), &LIMITS).map_err(|error| {
        let at = match error {
            JsonError::Syntax { at, .. } | JsonError::Limit { at, .. } | JsonError::DuplicateName { at, .. } => at,
            JsonError::Empty => return (None, "it writes nothing".to_owned()),
        };
        let line = lines.partition_point(|start| *start <= at).max(1);
        (None, format!("what it writes is no JSON, at line {line} of the result: {error}"))
    })?;
    Ok(kept(read).to_string())
}

/// The text with `, ]` as ` ]`, marks outside of strings in quotation marks, and where each of its lines begins.
fn without_loose_commas(text: &str) -> (String, Vec<usize>) {
    let (mut clean, mut lines) = (String::with_capacity(text.len()), vec![0]);
    let (mut inside, mut escaped, mut comma) = (false, false, None);
    for char in text.chars() {
        if inside {
            // The mark itself is the only control character that a template can print.
            if char == OMITTED {
                clean.push_str("\\u0000");
            } else {
                clean.push(char);
            }
            (inside, escaped) = (escaped || char != '"', !escaped && char == '\\');
            continue;
        }
        match char {
            ']' | '}' => {
                if let Some(place) = comma.take() {
                    clean.replace_range(place..=place, " ");
                }
            }
            ',' => comma = Some(clean.len()),
            _ if char.is_ascii_whitespace() => {}
            _ => comma = None,
        }
        match char {
            OMITTED => clean.push_str("\"\\u0000\""),
            _ => clean.push(char),
        }
        inside = char == '"';
        if char == '\n' {
            lines.push(clean.len());
        }
    }
    (clean, lines)
}

fn kept(json: Json<'_>) -> Json<'_> {
    match json {
        Json::Array(items) => Json::Array(items.into_iter().filter(|item| !is_omitted(item)).map(kept).collect()),
        Json::Object(members) => {
            let members = members.into_iter().filter(|(_, value)| !is_omitted(value));
            Json::Object(members.map(|(name, value)| (name, kept(value))).collect())
        }
        other => other,
    }
}

fn is_omitted(json: &Json<'_>) -> bool {
    matches!(json, Json::String(text) if text.contains(OMITTED))
}
