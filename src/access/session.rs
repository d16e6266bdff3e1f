//! Sessions: a secret in a cookie, and how long it is good for (API-4).
//!
//! The cookie is `__Host-crossdock`: HTTPS only, this host only, never seen by a script, never sent from another site. On
//! plain HTTP a browser keeps it only where the page came from this very machine; there it is called `crossdock`, and a
//! request that did not go to a loopback name is not believed under that name.

use std::fmt;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::{HeaderMap, HeaderName, header};

use super::audit::Actor;
use super::caller::Caller;
use super::origin;
use crate::clock::{Entropy, Timestamp, later};
use crate::envelope::keys::Digest;
use crate::store::accounts::{SessionRow, UserRow};

/// The cookie on HTTPS.
pub const COOKIE: &str = "__Host-crossdock";

/// The cookie on plain HTTP, on this very machine.
pub const PLAIN_COOKIE: &str = "crossdock";

/// A session's use is written down at most so often.
pub const SEEN_EVERY: Duration = Duration::from_mins(1);

/// On a call that a page makes by itself, so that an open page alone keeps nobody signed in.
pub const WATCHING: HeaderName = HeaderName::from_static("crossdock-watching");

/// A session that begins later than this from now was written under another clock.
const AHEAD_MAX: Duration = Duration::from_mins(2);

/// 256 bits.
const SECRET_BYTES: usize = 32;

/// How long a session lives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lifetime {
    /// Unused for so long, it ends.
    pub idle: Duration,
    /// It ends then in any case.
    pub absolute: Duration,
}

impl Default for Lifetime {
    fn default() -> Self {
        Lifetime { idle: Duration::from_mins(30), absolute: Duration::from_hours(8) }
    }
}

impl Lifetime {
    /// Whether a session is still good. One from the future is not: the clock was set back, and it would outlive its time.
    pub fn holds(self, session: &SessionRow, now: Timestamp) -> bool {
        let ahead = later(now, AHEAD_MAX);
        now < session.expires_at
            && now < later(session.created_at, self.absolute)
            && now < later(session.seen_at, self.idle)
            && session.created_at <= ahead
            && session.seen_at <= ahead
    }
}

/// The secret of a session; prints as `***`.
#[derive(Clone, PartialEq, Eq)]
pub struct SessionSecret(String);

impl fmt::Debug for SessionSecret {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("***")
    }
}

impl SessionSecret {
    /// A fresh one.
    pub fn new(entropy: &dyn Entropy) -> Self {
        SessionSecret(random(entropy))
    }

    /// What the cookie of a request holds; `None` when it is not there, stands twice, or is not of our form.
    pub fn of(headers: &HeaderMap) -> Option<Self> {
        secret_in(headers, [COOKIE, PLAIN_COOKIE]).map(SessionSecret)
    }

    /// What is kept of it.
    pub fn digest(&self) -> Digest {
        Digest::of_fields(&["crossdock.session.v1", &self.0])
    }

    /// The token that a call which changes something must carry beside the cookie. It follows from the secret, which the
    /// store does not hold: whoever reads the store can make neither.
    pub fn csrf_token(&self) -> String {
        Digest::of_fields(&["crossdock.csrf.v1", &self.0]).hex()
    }

    /// The `Set-Cookie` that hands it to a browser. `secure`: the page came over HTTPS.
    pub fn cookie(&self, secure: bool, lifetime: Lifetime) -> String {
        set_cookie([COOKIE, PLAIN_COOKIE], secure, &self.0, "Strict", lifetime.absolute.as_secs())
    }
}

/// The `Set-Cookie`s that take either cookie away.
pub fn forgotten() -> [String; 2] {
    [true, false].map(|secure| set_cookie([COOKIE, PLAIN_COOKIE], secure, "", "Strict", 0))
}

/// 256 bits that nobody guesses, as text for a cookie or an address.
pub(crate) fn random(entropy: &dyn Entropy) -> String {
    let mut bytes = [0; SECRET_BYTES];
    entropy.fill(&mut bytes);
    URL_SAFE_NO_PAD.encode(bytes)
}

/// What a cookie of ours holds, under its name for HTTPS or for this very machine; `None` when it is not there, stands
/// twice, or is not of our form.
pub(crate) fn secret_in(headers: &HeaderMap, [guarded, plain]: [&str; 2]) -> Option<String> {
    let mut found = Vec::new();
    for value in headers.get_all(header::COOKIE) {
        for pair in value.to_str().ok()?.split(';') {
            let (name, value) = pair.trim().split_once('=').unwrap_or_default();
            if name == guarded || (name == plain && origin::is_sent_to_loopback(headers)) {
                found.push((name, value));
            }
        }
    }
    // Two of one name: one of them was planted.
    let of = |wanted: &str| found.iter().filter(|(name, _)| *name == wanted).count();
    let name = if of(guarded) > 0 { guarded } else { plain };
    let (_, secret) = found.iter().find(|(known, _)| *known == name).filter(|_| of(name) == 1)?;
    let ours = secret.len() == 43 && secret.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte));
    ours.then(|| (*secret).to_owned())
}

/// The `Set-Cookie` of a cookie of ours, for this host alone and hidden from scripts.
pub(crate) fn set_cookie([guarded, plain]: [&str; 2], secure: bool, value: &str, same_site: &str, age: u64) -> String {
    let (name, secure) = if secure { (guarded, "; Secure") } else { (plain, "") };
    format!("{name}={value}; Path=/; HttpOnly; SameSite={same_site}; Max-Age={age}{secure}")
}

/// Somebody who is signed in.
#[derive(Clone, Debug)]
pub struct SignedIn {
    /// Who, as they are now.
    pub user: UserRow,
    /// Ends then at the latest.
    pub expires_at: Timestamp,
    /// What a form or a call must carry beside the cookie.
    pub csrf_token: String,
    /// Names the session without opening it.
    pub(super) digest: Digest,
}

impl SignedIn {
    /// What they may do.
    pub fn caller(&self) -> Caller {
        Caller::user(self.clone())
    }

    /// For audit rows.
    pub fn actor(&self) -> Actor {
        Actor::User(self.user.name.clone())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::{SeededEntropy, from_micros};
    use crate::envelope::ids::UserId;

    fn row(created: i64, seen: i64) -> SessionRow {
        let at = |seconds: i64| from_micros(seconds * 1_000_000);
        SessionRow {
            user: UserRow {
                id: UserId::new(at(0), &SeededEntropy::new(1)),
                name: "anna".into(),
                email: String::new(),
                role: "viewer".into(),
                password: true,
                totp: false,
                recovery_codes: 0,
                vouched_for: false,
                issuer: None,
                created_at: at(0),
                disabled_at: None,
                last_login_at: None,
            },
            created_at: at(created),
            seen_at: at(seen),
            expires_at: at(created + 8 * 3600),
        }
    }

    #[test]
    fn api_4_a_session_ends_after_thirty_idle_minutes_or_eight_hours() {
        let (lifetime, at) = (Lifetime::default(), |seconds: i64| from_micros(seconds * 1_000_000));
        assert!(lifetime.holds(&row(0, 0), at(1799)));
        assert!(!lifetime.holds(&row(0, 0), at(1800)));
        assert!(lifetime.holds(&row(0, 8 * 3600 - 10), at(8 * 3600 - 1)));
        assert!(!lifetime.holds(&row(0, 8 * 3600 - 10), at(8 * 3600)));
        assert!(!lifetime.holds(&row(10_000, 10_000), at(1_000)), "the clock was set back");
    }

    #[test]
    fn api_4_cookies_are_read_by_their_place_and_never_twice() {
        let read = |host: &str, cookies: &[&str]| {
            let mut headers = HeaderMap::new();
            headers.insert(header::HOST, host.parse().unwrap());
            for cookie in cookies {
                headers.append(header::COOKIE, cookie.parse().unwrap());
            }
            SessionSecret::of(&headers).map(|secret| secret.0)
        };
        let secret = SessionSecret::new(&SeededEntropy::new(1)).0;
        let other = SessionSecret::new(&SeededEntropy::new(2)).0;
        let host = format!("a=b; __Host-crossdock={secret}; c=d");
        assert_eq!(read("console.example.com", &[&host]), Some(secret.clone()));
        let plain = format!("crossdock={secret}");
        assert_eq!(read("console.example.com", &[&plain]), None, "any neighbour can set a plain one");
        for loopback in ["127.0.0.1:8080", "localhost", "[::1]:8080"] {
            assert_eq!(read(loopback, &[&plain]), Some(secret.clone()));
        }
        let planted = format!("__Host-crossdock={other}");
        assert_eq!(read("console.example.com", &[&host, &planted]), None);
        assert_eq!(read("localhost", &["crossdock=short"]), None);
    }

    #[test]
    fn api_4_the_cookie_is_for_this_host_alone_and_hidden_from_scripts() {
        let secret = SessionSecret::new(&SeededEntropy::new(1));
        let cookie = secret.cookie(true, Lifetime::default());
        assert!(cookie.starts_with("__Host-crossdock=") && cookie.ends_with("; Secure"), "{cookie}");
        assert!(cookie.contains("; Path=/; HttpOnly; SameSite=Strict; Max-Age=28800"), "{cookie}");
        assert!(!cookie.contains("Domain"));
        assert_eq!(format!("{secret:?}"), "***");
        assert_ne!(secret.csrf_token(), secret.digest().hex());
    }
}
