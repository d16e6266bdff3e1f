//! One line of text, read as everything it may be. Pure.

use super::{TEXT_MAX, email, sku, trace};
use crate::envelope::ids::{DeliveryId, DocumentId, EnvelopeId, ExceptionId, IncidentId};
use crate::store::finding::Question;

/// Digits of an order number as Commerce makes it.
const DIGITS: usize = 9;
/// Most digits that leading zeros are tried for.
const DIGITS_MAX: usize = 12;
/// Fewest digits that are taken for an order number when words stand before them.
const TAIL_MIN: usize = 6;
/// Shortest part of a number that is looked for.
const PART_MIN: usize = 3;

/// Why a text is not looked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unusable {
    /// Nothing to look for.
    #[error("q is empty: give an order number, an ERP number, an e-mail address, a SKU or an id")]
    Empty,
    /// Too long.
    #[error("q is longer than {TEXT_MAX} characters: give one number, address, SKU or id")]
    TooLong,
    /// A control character stands in it.
    #[error("q holds a control character: give one line of text")]
    Control,
}

/// An id of ours, which says itself what it names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OurId {
    /// `env_…`
    Event(EnvelopeId),
    /// `dlv_…`
    Delivery(DeliveryId),
    /// `exc_…`
    Exception(ExceptionId),
    /// `doc_…`
    Document(DocumentId),
    /// `inc_…`
    Incident(IncidentId),
}

/// What was asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Asked {
    /// For one record by our own id.
    Id(OurId),
    /// It begins like one of our ids and is none: the name of what it would be.
    BrokenId(&'static str),
    /// Anything else.
    Text(Question),
}

/// Reads a text.
///
/// # Errors
/// When there is nothing that could be looked for.
pub fn read(text: &str) -> Result<Asked, Unusable> {
    // Bounded before anything is done with it.
    if text.len() > TEXT_MAX * 8 {
        return Err(Unusable::TooLong);
    }
    if text.trim().chars().any(char::is_control) {
        return Err(Unusable::Control);
    }
    let text: String = text.chars().filter(|letter| !is_invisible(*letter)).collect();
    let text = text.trim();
    let text = text.strip_prefix('"').and_then(|text| text.strip_suffix('"')).unwrap_or(text).trim();
    if text.is_empty() {
        return Err(Unusable::Empty);
    }
    if text.chars().count() > TEXT_MAX {
        return Err(Unusable::TooLong);
    }
    Ok(our_id(text).unwrap_or_else(|| Asked::Text(question(text))))
}

/// Marks of direction and width, which come along when text is copied and are never typed.
fn is_invisible(letter: char) -> bool {
    matches!(letter, '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{2069}' | '\u{feff}' | '\u{61c}')
}

fn our_id(text: &str) -> Option<Asked> {
    let lower = text.to_ascii_lowercase();
    let (prefix, _) = lower.split_once('_')?;
    let (id, name) = match prefix {
        EnvelopeId::PREFIX => (lower.parse().ok().map(OurId::Event), "an event"),
        DeliveryId::PREFIX => (lower.parse().ok().map(OurId::Delivery), "a delivery"),
        ExceptionId::PREFIX => (lower.parse().ok().map(OurId::Exception), "an exception"),
        DocumentId::PREFIX => (lower.parse().ok().map(OurId::Document), "a document"),
        IncidentId::PREFIX => (lower.parse().ok().map(OurId::Incident), "an incident"),
        _ => return None,
    };
    // A SKU may well begin like this; only what has an id's length is a damaged one.
    match id {
        Some(id) => Some(Asked::Id(id)),
        None if (20..40).contains(&lower.len()) && !lower.contains(' ') => Some(Asked::BrokenId(name)),
        None => None,
    }
}

fn question(text: &str) -> Question {
    let number = text.trim_start_matches('#').trim();
    let email = email(text);
    let is_email = email.is_some();
    let key = text.to_ascii_lowercase();
    Question {
        numbers: if is_email { Vec::new() } else { numbers(number) },
        ending: ending(number),
        receipt: Some(text.to_owned()),
        sku: if is_email { None } else { sku(text) },
        value: (!is_email).then(|| text.to_owned()),
        key: key.starts_with("ek1-").then_some(key),
        trace: if is_email { None } else { trace(text) },
        part: (!is_email && number.chars().count() >= PART_MIN).then(|| number.to_owned()),
        email,
    }
}

fn is_digits(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())
}

/// The number as typed; with the zeros it may have; without words or a prefix before it.
fn numbers(text: &str) -> Vec<String> {
    let mut numbers = vec![text.to_owned()];
    let mut add = |number: String| {
        if !number.is_empty() && !numbers.contains(&number) {
            numbers.push(number);
        }
    };
    if is_digits(text) {
        let bare = text.trim_start_matches('0');
        if !bare.is_empty() {
            add(format!("{bare:0>DIGITS$}"));
            (bare.len()..=DIGITS_MAX).for_each(|width| add(format!("{bare:0>width$}")));
        }
    } else {
        let start = text.trim_end_matches(|letter: char| letter.is_ascii_digit()).len();
        let digits = &text[start..];
        if digits.len() >= TAIL_MIN {
            add(digits.to_owned());
        }
    }
    numbers.retain(|number| !number.is_empty());
    numbers
}

/// Behind a store's prefix Commerce fills up to nine digits.
fn ending(text: &str) -> Option<String> {
    let bare = text.trim_start_matches('0');
    (is_digits(text) && !bare.is_empty() && bare.len() <= DIGITS).then(|| format!("{bare:0>DIGITS$}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(text: &str) -> Question {
        match read(text).unwrap() {
            Asked::Text(question) => question,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_number_is_tried_with_the_zeros_it_may_have_and_behind_a_prefix() {
        let question = asked("42");
        assert_eq!(question.numbers[..3], ["42", "000000042", "042"]);
        assert_eq!(question.ending.as_deref(), Some("000000042"));
        assert_eq!(question.part, None, "two digits are part of everything");
        assert_eq!(asked("#000000042").numbers[..2], ["000000042", "42"]);
        assert_eq!(asked("Order 000000042").numbers, ["Order 000000042", "000000042"]);
        assert_eq!(asked("MUG-42").numbers, ["MUG-42"]);
        assert_eq!(asked("0").ending, None);
        assert_eq!(asked("2000000042").ending, None, "it has its prefix already");
    }

    #[test]
    fn an_address_is_an_address_and_nothing_else() {
        let question = asked(" Anna.Weiß@Example.COM");
        assert_eq!(question.email.as_deref(), Some("anna.weiß@example.com"));
        assert_eq!((question.sku, question.value, question.part), (None, None, None));
        for text in ["anna@", "@example.com", "anna @example.com"] {
            assert_eq!(asked(text).email, None, "{text}");
        }
    }

    #[test]
    fn our_own_ids_say_what_they_name_and_damaged_ones_are_told_from_skus() {
        let id = "env_01jq0000000000000000000000";
        assert_eq!(read(&id.to_uppercase()).unwrap(), Asked::Id(OurId::Event(id.parse().unwrap())));
        assert_eq!(read("dlv_01jq000000000000000000000").unwrap(), Asked::BrokenId("a delivery"));
        assert_eq!(asked("doc_holder").sku.as_deref(), Some("doc_holder"));
        assert_eq!(asked("\"ek1-ABC\"").key.as_deref(), Some("ek1-abc"));
    }

    #[test]
    fn hostile_text_is_refused_or_means_itself() {
        assert_eq!(read(" \u{200f} \u{feff}"), Err(Unusable::Empty));
        assert_eq!(read("\"\""), Err(Unusable::Empty));
        assert_eq!(read(&"x".repeat(TEXT_MAX + 1)), Err(Unusable::TooLong));
        assert_eq!(read(&"\u{10ffff}".repeat(100_000)), Err(Unusable::TooLong));
        assert_eq!(read("a\0b"), Err(Unusable::Control));
        assert_eq!(asked("\u{202e}000000042\u{202c}").numbers[0], "000000042");
        assert_eq!(asked("%").receipt.as_deref(), Some("%"));
        assert_eq!(asked("٤٢٤٢").ending, None, "digits of other scripts are letters to Commerce");
    }
}
