//! API tokens: made, shown once, looked up by digest.

use std::collections::HashMap;
use std::fmt;
use std::sync::Mutex;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use super::origin::Forged;
use super::roles::{Role, Scopes};
use crate::clock::{Entropy, SharedClock, Timestamp, later};
use crate::envelope::ids::TokenId;
use crate::envelope::keys::Digest;
use crate::store::view::TokenRow;
use crate::store::write::NewToken;
use crate::store::{SharedStore, StoreError};

/// What every secret starts with, so that a scanner of leaked secrets recognises it.
pub const PREFIX: &str = "cdk_";

/// A revoked token is refused at the latest after this time.
const REMEMBERED: Duration = Duration::from_secs(2);

/// Tokens in use at the same time that are worth remembering.
const REMEMBERED_MAX: usize = 1024;

/// The secret of a token; prints as `***` except through [`TokenSecret::reveal`].
#[derive(Clone, PartialEq, Eq)]
pub struct TokenSecret(String);

impl TokenSecret {
    /// The text to hand to its owner, once.
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for TokenSecret {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("***")
    }
}

/// A name that no token can have.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a token's name has 1 to 64 characters: letters, digits, spaces and . _ @ -")]
pub struct InvalidTokenName;

/// Makes a token of a role, narrowed to scopes: the secret for its owner, and the row for the store.
pub fn mint(
    name: &str,
    (role, scopes): (Role, &Scopes),
    expires_at: Option<Timestamp>,
    now: Timestamp,
    entropy: &dyn Entropy,
) -> Result<(TokenSecret, NewToken), InvalidTokenName> {
    let fits = |letter: char| letter.is_alphanumeric() || " ._@-".contains(letter);
    if name.trim() != name || name.is_empty() || name.chars().count() > 64 || !name.chars().all(fits) {
        return Err(InvalidTokenName);
    }
    let mut bytes = [0_u8; 32];
    entropy.fill(&mut bytes);
    let secret = format!("{PREFIX}{}", URL_SAFE_NO_PAD.encode(bytes));
    let token = NewToken {
        id: TokenId::new(now, entropy),
        name: name.to_owned(),
        role: role.as_str().to_owned(),
        scopes: scopes.words().iter().map(|&word| word.to_owned()).collect(),
        secret: Digest::of(secret.as_bytes()),
        created_at: now,
        expires_at,
    };
    Ok((TokenSecret(secret), token))
}

/// Why a caller is not let in.
#[derive(Debug, thiserror::Error)]
pub enum Denied {
    /// No token, a malformed one, or one that is not valid: the caller is not told which.
    #[error("a valid bearer token or session is needed")]
    Unknown,
    /// A session's cookie, and a call that another page may have made.
    #[error(transparent)]
    Forged(#[from] Forged),
    /// The store could not be asked.
    #[error("the token could not be checked")]
    Store(#[from] StoreError),
}

/// Looks tokens up, remembering the valid ones for two seconds.
pub struct Tokens {
    store: SharedStore,
    clock: SharedClock,
    known: Mutex<HashMap<Digest, (Timestamp, TokenRow)>>,
}

impl Tokens {
    /// Over the tokens of this store.
    pub fn new(store: SharedStore, clock: SharedClock) -> Self {
        Tokens { store, clock, known: Mutex::new(HashMap::new()) }
    }

    /// Whose secret this is.
    pub async fn who(&self, secret: &str) -> Result<TokenRow, Denied> {
        // 32 bytes in base64 are 43 characters: anything else need not be looked up.
        let body = secret.strip_prefix(PREFIX).ok_or(Denied::Unknown)?;
        if body.len() != 43 {
            return Err(Denied::Unknown);
        }
        let digest = Digest::of(secret.as_bytes());
        let now = self.clock.now();
        if let Some(token) = self.remembered(&digest, now) {
            return if expired(&token, now) { Err(Denied::Unknown) } else { Ok(token) };
        }
        let token = self.store.token_by_secret(digest, now).await?.ok_or(Denied::Unknown)?;
        self.remember(digest, &token, now);
        Ok(token)
    }

    /// Forgets everything: a revocation through this process takes effect at once.
    pub fn forget(&self) {
        self.known.lock().expect("no holder of this lock panics").clear();
    }

    fn remembered(&self, digest: &Digest, now: Timestamp) -> Option<TokenRow> {
        let known = self.known.lock().expect("no holder of this lock panics");
        known.get(digest).filter(|(since, _)| is_fresh(*since, now)).map(|(_, token)| token.clone())
    }

    fn remember(&self, digest: Digest, token: &TokenRow, now: Timestamp) {
        let mut known = self.known.lock().expect("no holder of this lock panics");
        if known.len() >= REMEMBERED_MAX {
            known.retain(|_, (since, _)| is_fresh(*since, now));
        }
        if known.len() < REMEMBERED_MAX {
            known.insert(digest, (now, token.clone()));
        }
    }
}

/// A clock that was set back makes nothing fresh: the store is asked again.
fn is_fresh(since: Timestamp, now: Timestamp) -> bool {
    since <= now && now < later(since, REMEMBERED)
}

fn expired(token: &TokenRow, now: Timestamp) -> bool {
    token.expires_at.is_some_and(|at| at <= now)
}

impl fmt::Debug for Tokens {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Tokens").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::{SeededEntropy, from_micros};

    #[test]
    fn a_secret_is_recognisable_and_only_its_digest_is_kept() {
        let entropy = SeededEntropy::new(3);
        let (secret, token) =
            mint("Anna ERP", (Role::Viewer, &Scopes::default()), None, from_micros(0), &entropy).unwrap();
        assert!(secret.reveal().starts_with("cdk_") && secret.reveal().len() == 47);
        assert_eq!(token.secret, Digest::of(secret.reveal().as_bytes()));
        assert_eq!(format!("{secret:?}"), "***");
        let (other, _) = mint("x", (Role::Admin, &Scopes::default()), None, from_micros(0), &entropy).unwrap();
        assert_ne!(other, secret);
    }

    #[test]
    fn names_that_could_confuse_a_log_are_refused() {
        for name in ["", " a", "a\nb", "a,b", &"x".repeat(65)] {
            let all = (Role::Viewer, &Scopes::default());
            assert!(mint(name, all, None, from_micros(0), &SeededEntropy::new(1)).is_err(), "{name:?}");
        }
    }
}
