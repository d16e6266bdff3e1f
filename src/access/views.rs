//! Views: which names and filters somebody may keep, and who may change one. Pure.

use crate::store::saved::{Filter, SavedView};

/// Characters of a view's name: it stands on a tab.
pub const NAME_CHARS_MAX: usize = 60;

/// Characters of one value of a filter.
pub const VALUE_CHARS_MAX: usize = 500;

/// A list that can be filtered, and what it can be filtered by: the members of its query in the API.
#[derive(Clone, Copy, Debug)]
pub struct List {
    /// As views name it.
    pub name: &'static str,
    /// Members of its query.
    pub members: &'static [&'static str],
}

const EXCEPTIONS: &[&str] = &[
    "state",
    "code",
    "fingerprint",
    "increment_id",
    "severity",
    "owner",
    "assignee",
    "destination",
    "overdue",
    "text",
];

/// Every list there is.
pub const LISTS: [List; 4] = [
    List { name: "exceptions", members: EXCEPTIONS },
    List { name: "groups", members: EXCEPTIONS },
    List { name: "orders", members: &["state", "system", "increment_id"] },
    List { name: "deliveries", members: &["state", "destination", "increment_id"] },
];

/// A view that nobody can keep.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidView {
    /// Of the name.
    #[error("a view's name has 1 to {NAME_CHARS_MAX} characters that can be seen")]
    Name,
    /// Of the list.
    #[error("a view is of one of these lists: exceptions, groups, orders, deliveries")]
    List,
    /// Of the filter.
    #[error("this list cannot be filtered by that; it can by {0}")]
    Member(String),
    /// Of a value.
    #[error("a value of a filter has 1 to {VALUE_CHARS_MAX} characters and no control character")]
    Value,
}

/// A name as it is written, and the key that tells it from others: upper and lower case, and more or less space, are one.
///
/// # Errors
/// When nobody can have it.
pub fn name(given: &str) -> Result<(String, String), InvalidView> {
    let words: Vec<&str> = given.split_whitespace().collect();
    let name = words.join(" ");
    let hidden = |letter: char| {
        letter.is_control()
            || matches!(letter, '\u{ad}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}')
    };
    // Bytes are at least as many as characters: what is huge is not counted.
    if name.is_empty() || name.len() > NAME_CHARS_MAX * 4 || name.chars().count() > NAME_CHARS_MAX {
        return Err(InvalidView::Name);
    }
    if name.chars().any(hidden) {
        return Err(InvalidView::Name);
    }
    let key = name.to_lowercase();
    Ok((name, key))
}

/// The list of that name.
///
/// # Errors
/// When there is none.
pub fn list(name: &str) -> Result<List, InvalidView> {
    LISTS.into_iter().find(|list| list.name == name).ok_or(InvalidView::List)
}

/// A filter without what asks for nothing.
///
/// # Errors
/// When the list does not know a member, or a value cannot be one. Whether the list takes the value is the list's to say.
pub fn filter(list: List, given: Filter) -> Result<Filter, (String, InvalidView)> {
    let mut filter = Filter::new();
    for (member, value) in given {
        if value.trim().is_empty() {
            continue;
        }
        if !list.members.contains(&member.as_str()) {
            return Err((member.chars().take(40).collect(), InvalidView::Member(list.members.join(", "))));
        }
        if value.chars().count() > VALUE_CHARS_MAX || value.chars().any(char::is_control) {
            return Err((member, InvalidView::Value));
        }
        filter.insert(member, value.trim().to_owned());
    }
    Ok(filter)
}

/// Whether somebody may change a view or take it away: its keeper may, and a shared one also whoever may share.
pub fn may_change(view: &SavedView, may_share: bool) -> bool {
    view.mine || (view.shared && may_share)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_seen_trimmed_and_told_apart_whatever_their_case() {
        assert_eq!(name("  Überfällig \n heute "), Ok(("Überfällig heute".into(), "überfällig heute".into())));
        assert_eq!(name("ÜBERFÄLLIG  HEUTE").unwrap().1, name("Überfällig heute").unwrap().1);
        assert!(name(&"é".repeat(60)).is_ok() && name("📦 late").is_ok() && name("<b>&").is_ok());
        for bad in ["", " \t", "a\u{0}b", "a\u{202e}b", "\u{200b}", &"é".repeat(61), &"x".repeat(1 << 20)] {
            assert_eq!(name(bad), Err(InvalidView::Name), "{}", bad.len());
        }
    }

    #[test]
    fn filters_ask_for_what_their_list_knows() {
        let pairs =
            |pairs: &[(&str, &str)]| pairs.iter().map(|(name, value)| ((*name).into(), (*value).into())).collect();
        let orders = list("orders").unwrap();
        assert_eq!(filter(orders, pairs(&[("state", " parked "), ("system", "")])), Ok(pairs(&[("state", "parked")])));
        assert!(
            matches!(filter(orders, pairs(&[("limit", "5")])), Err((member, InvalidView::Member(_))) if member == "limit")
        );
        assert!(filter(orders, pairs(&[("system", &"x".repeat(501))])).is_err());
        assert!(filter(orders, pairs(&[("system", "a\nb")])).is_err());
        assert_eq!(list("tokens").unwrap_err(), InvalidView::List);
    }
}
