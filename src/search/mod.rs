//! Finding anything: how what people type and what bodies say is spelled alike, and the task that writes the index.
//!
//! [`question`] reads one line of text as everything it may be; [`terms`] reads a body for what it is found by. Both spell
//! with the same functions here, or nothing would ever be found. [`Indexer`] follows the store's rows behind the events.
//!
//! Deliberately absent: answers in words, which are the API's, and digests, which are the store's.

mod indexer;
pub mod question;
pub mod terms;

pub use indexer::Indexer;

/// Longest text that is looked for, in characters.
pub const TEXT_MAX: usize = 200;
/// Longest item number that is indexed, in characters; Commerce's are at most 64.
const SKU_MAX: usize = TEXT_MAX;

/// An address as it is compared: nobody's mailbox tells capitals apart in practice.
pub fn email(text: &str) -> Option<String> {
    let text = text.trim();
    let (name, host) = text.rsplit_once('@')?;
    let one_word = !text.chars().any(|letter| letter.is_whitespace() || letter.is_control());
    (one_word && !name.is_empty() && !host.is_empty() && text.chars().count() <= TEXT_MAX).then(|| text.to_lowercase())
}

/// An item number as it is compared; Commerce's database does not tell capitals apart either.
pub fn sku(text: &str) -> Option<String> {
    let text = text.trim();
    (!text.is_empty() && text.chars().count() <= SKU_MAX).then(|| text.to_lowercase())
}

/// A sender's id as it is compared.
pub fn trace(text: &str) -> Option<String> {
    let text = text.trim();
    let long_enough = (8..=TEXT_MAX).contains(&text.chars().count());
    long_enough.then(|| text.to_lowercase())
}
