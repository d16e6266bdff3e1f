//! What a person may do about an exception short of repairing its record: whose it is, until when it rests, what is noted,
//! and that nothing shall come of it. The rules of the words; the store carries it out.

use std::time::Duration;

use crate::clock::{Timestamp, later};
use crate::store::cases::Step;

/// Longest name of somebody who looks after exceptions, in characters.
const NAME_MAX: usize = 64;
/// Longest note, in characters.
const NOTE_MAX: usize = 4_000;
/// Longest reason, in characters.
const REASON_MAX: usize = 1_000;
/// An exception that rests longer than this is forgotten rather than put off.
const REST_MAX: Duration = Duration::from_hours(24 * 90);

/// Whose desk one may be on.
pub const OWNERS: [&str; 3] = ["operations", "finance", "integration"];

/// A word that stands for whoever acts.
pub const ME: &str = "me";
/// A word that stands for nobody.
pub const NOBODY: &str = "nobody";

/// The bare name of an actor: `anna` of `token:anna`.
pub fn name_of(actor: &str) -> &str {
    actor.split_once(':').map_or(actor, |(_, name)| name)
}

/// Whom a word names: `me` is whoever acts; nothing, an empty word and `nobody` are nobody.
///
/// # Errors
/// In a sentence, when it is no name.
pub fn person(word: Option<&str>, actor: &str) -> Result<Option<String>, String> {
    let name = match word.map(str::trim) {
        None | Some("" | NOBODY) => return Ok(None),
        Some(ME) => name_of(actor),
        Some(name) => name,
    };
    if name.chars().count() > NAME_MAX || name.chars().any(char::is_control) {
        return Err(format!("a name has 1 to {NAME_MAX} characters, and no line breaks"));
    }
    Ok(Some(name.to_owned()))
}

/// Puts an exception off.
///
/// # Errors
/// In a sentence, when the time is past or too far away.
pub fn snooze(until: Option<Timestamp>, now: Timestamp) -> Result<Step, String> {
    match until {
        Some(until) if until <= now => Err("the time is past: name one that is to come".to_owned()),
        Some(until) if until > later(now, REST_MAX) => {
            Err("an exception rests for 90 days at most: dismiss what nothing shall come of".to_owned())
        }
        until => Ok(Step::Snooze(until)),
    }
}

/// A note; line breaks are one character whoever wrote them.
///
/// # Errors
/// In a sentence, when it is empty, too long, or holds characters that drive a terminal.
pub fn note(text: &str) -> Result<Step, String> {
    let text = text.replace("\r\n", "\n");
    let text = text.trim();
    let drives = |letter: char| letter.is_control() && letter != '\n' && letter != '\t';
    match () {
        () if text.is_empty() => Err("a note says something".to_owned()),
        () if text.chars().count() > NOTE_MAX => Err(format!("a note has at most {NOTE_MAX} characters")),
        () if text.chars().any(drives) => {
            Err("a note has no control characters beside line breaks and tabs".to_owned())
        }
        () => Ok(Step::Note(text.to_owned())),
    }
}

/// Dismisses an exception; the reason is shown for ever.
///
/// # Errors
/// In a sentence, when there is no reason.
pub fn dismiss(reason: &str) -> Result<Step, String> {
    let reason = reason.trim();
    match () {
        () if reason.is_empty() => {
            Err("say why nothing shall come of it: the order's timeline shows it for ever".to_owned())
        }
        () if reason.chars().count() > REASON_MAX => Err(format!("a reason has at most {REASON_MAX} characters")),
        () if reason.chars().any(char::is_control) => Err("a reason is one line".to_owned()),
        () => Ok(Step::Dismiss(reason.to_owned())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::from_micros;

    #[test]
    fn me_is_whoever_acts_and_nothing_is_nobody() {
        assert_eq!(person(Some("me"), "token:anna").unwrap().as_deref(), Some("anna"));
        assert_eq!(person(Some(" ben "), "token:anna").unwrap().as_deref(), Some("ben"));
        for nobody in [None, Some(""), Some("nobody")] {
            assert_eq!(person(nobody, "cli:root").unwrap(), None);
        }
        assert!(person(Some("a\nb"), "x").is_err() && person(Some(&"x".repeat(65)), "x").is_err());
    }

    #[test]
    fn an_exception_rests_for_a_while_to_come() {
        let now = from_micros(1_000_000);
        assert!(snooze(Some(now), now).is_err());
        assert!(snooze(Some(later(now, REST_MAX)), now).is_ok() && snooze(None, now).is_ok());
        assert!(snooze(Some(later(now, REST_MAX + Duration::from_secs(1))), now).is_err());
    }

    #[test]
    fn hostile_notes_are_refused_and_real_ones_keep_their_lines() {
        let Ok(Step::Note(text)) = note("  called\r\nthe ERP\t<b>'; DROP TABLE</b> ") else { panic!("a note") };
        assert_eq!(text, "called\nthe ERP\t<b>'; DROP TABLE</b>");
        for bad in ["", " \n ", "\u{1b}[2J", "a\0b", &"é".repeat(4_001)] {
            assert!(note(bad).is_err(), "{bad:?}");
        }
        assert!(dismiss(" ").is_err() && dismiss("a\nb").is_err() && dismiss("a test order").is_ok());
    }
}
