//! People: which names they may have, and the acts that change them, told alike by API and command line (API-5).

use super::roles::Role;
use crate::clock::{Entropy, Timestamp};
use crate::envelope::ids::UserId;
use crate::store::accounts::{NewUser, UserChange, UserRow};
use serde_json::{Value, json};

/// Characters of a name.
pub const NAME_CHARS_MAX: usize = 64;

/// A name or an address that nobody can have.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidUser {
    /// Of the name.
    #[error("a user's name has 1 to {NAME_CHARS_MAX} characters: letters, digits and . _ @ + -, no spaces")]
    Name,
    /// A word of our own.
    #[error("\"{0}\" is not a name for a person: choose another")]
    Reserved(&'static str),
    /// Of the address.
    #[error("an email address has one @ with something on either side, at most 254 characters, and no spaces")]
    Email,
}

/// The name by which one signs in: upper and lower case are one.
pub fn name_key(name: &str) -> String {
    name.to_lowercase()
}

/// Whether somebody may have this name.
///
/// # Errors
/// Why not.
pub fn check_name(name: &str) -> Result<(), InvalidUser> {
    let fits = |letter: char| letter.is_alphanumeric() || "._@+-".contains(letter);
    if name.is_empty() || name.chars().count() > NAME_CHARS_MAX || !name.chars().all(fits) {
        return Err(InvalidUser::Name);
    }
    // `me` is a path of the API, the others are actors of the audit.
    let reserved = ["me", "system", "anonymous"].into_iter().find(|word| *word == name_key(name));
    reserved.map_or(Ok(()), |word| Err(InvalidUser::Reserved(word)))
}

/// Whether this can be an address; empty: none.
///
/// # Errors
/// When it cannot.
pub fn check_email(email: &str) -> Result<(), InvalidUser> {
    let sides = email.split_once('@');
    let fits = sides.is_some_and(|(who, host)| !who.is_empty() && !host.is_empty() && !host.contains('@'));
    let plain = email.len() <= 254 && !email.chars().any(|letter| letter.is_control() || letter.is_whitespace());
    if email.is_empty() || (fits && plain) { Ok(()) } else { Err(InvalidUser::Email) }
}

/// A new person. `password`: its PHC form.
///
/// # Errors
/// When name or address cannot be.
pub fn new(
    name: &str,
    email: &str,
    role: Role,
    password: Option<String>,
    now: Timestamp,
    entropy: &dyn Entropy,
) -> Result<NewUser, InvalidUser> {
    check_name(name)?;
    check_email(email)?;
    Ok(NewUser {
        id: UserId::new(now, entropy),
        name: name.to_owned(),
        name_key: name_key(name),
        email: email.to_owned(),
        role: role.as_str().to_owned(),
        password,
        vouched: None,
        created_at: now,
    })
}

/// What an act says of a new person.
pub fn told(user: &NewUser) -> String {
    let mut told = json!({ "name": user.name, "role": user.role, "password": user.password.is_some() });
    if let Some(vouched) = &user.vouched {
        told["issuer"] = json!(vouched.issuer);
    }
    told.to_string()
}

/// What an act says of changes: before and after, never a secret.
pub fn changes_told(user: &UserRow, changes: &[UserChange]) -> (String, String) {
    let (mut before, mut after) = (json!({ "name": user.name }), json!({}));
    for change in changes {
        let (what, was, is): (&str, Value, Value) = match change {
            UserChange::Role(role) | UserChange::Granted(role) => ("role", json!(user.role), json!(role)),
            UserChange::Email(_) => ("email", json!(!user.email.is_empty()), json!("changed")),
            UserChange::Password(_) => ("password", json!(user.password), json!("changed")),
            UserChange::Disabled(disabled) => ("disabled", json!(user.disabled_at.is_some()), json!(disabled)),
            UserChange::TotpEnrol(_) => ("second_factor", json!(user.totp), json!("enrolled")),
            UserChange::TotpConfirm(..) => ("second_factor", json!(user.totp), json!(true)),
            UserChange::TotpRemove => ("second_factor", json!(user.totp), json!(false)),
            UserChange::SignOut => ("sessions", json!("any"), json!("ended")),
        };
        before[what] = was;
        after[what] = is;
    }
    (before.to_string(), after.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_plain_words_of_any_language() {
        for name in ["anna", "Zoë.K", "anna@example.com", "李小龍", "o-brien+erp"] {
            assert_eq!(check_name(name), Ok(()), "{name}");
        }
        for name in ["", " anna", "anna b", "a\u{202e}b", "a\u{301}", "a\0", "a/b", &"x".repeat(65)] {
            assert_eq!(check_name(name), Err(InvalidUser::Name), "{name:?}");
        }
        assert_eq!(check_name("Me"), Err(InvalidUser::Reserved("me")));
        assert_eq!(name_key("ZOË"), name_key("zoë"));
    }

    #[test]
    fn addresses_are_looked_at_and_not_judged() {
        for email in ["", "a@b", "zoë@example.com"] {
            assert_eq!(check_email(email), Ok(()), "{email}");
        }
        for email in ["a", "@b", "a@", "a@b@c", "a b@c", "a\r\n@b"] {
            assert_eq!(check_email(email), Err(InvalidUser::Email), "{email:?}");
        }
    }
}
