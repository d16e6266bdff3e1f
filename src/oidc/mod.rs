//! OpenID Connect: who an identity provider says that somebody is (decision 0072).
//!
//! The authorization-code flow with PKCE (OpenID Connect Core 1.0 section 3.1, RFC 7636, RFC 9207). The cast: a
//! [`Provider`] begins a sign-in and finishes it; between the two stands a row of `pending`, good once, for ten minutes
//! and in the browser that began it alone. `asking` reads what the provider publishes through the checked way out (DAT-5)
//! and never follows a redirect; `token` is pure and believes nothing but a signature of a key that the provider
//! publishes, made with the algorithm that is the key's own.
//!
//! The signatures are checked by the cryptography library of our TLS. Without the cargo feature `oidc` there is no
//! [`Provider`], and a configuration that wants one is refused.
//!
//! Deliberately absent: people and roles, which are `access`'s; the userinfo endpoint and refresh tokens, since all that
//! counts is who came and when; HMAC, encrypted tokens, and keys that a token brings along.

#[cfg(feature = "oidc")]
mod asking;
#[cfg(feature = "oidc")]
mod pending;
#[cfg(feature = "oidc")]
mod provider;
#[cfg(feature = "oidc")]
pub mod token;

#[cfg(not(feature = "oidc"))]
#[path = "absent.rs"]
mod provider;

pub use provider::Provider;

use http::HeaderMap;
use serde_json::{Map, Value};

use crate::access::session::{self, SessionSecret};
use crate::clock::Entropy;
use crate::destinations::private::Network;

/// Whether this binary can sign people in with an identity provider.
pub const AVAILABLE: bool = cfg!(feature = "oidc");

/// Where the provider sends people back to, below our origin: a page of the console.
pub const ANSWER_PATH: &str = "/console/sign-in/answer";

/// The cookie that ties a sign-in to the browser that began it, on HTTPS and on plain HTTP of this very machine.
pub const COOKIES: [&str; 2] = ["__Host-crossdock-provider", "crossdock-provider"];

/// A sign-in that is not finished by then is begun again.
pub const PENDING_SECONDS: u64 = 600;

/// Which provider, and who we are to it.
#[derive(Clone)]
pub struct Settings {
    /// What people call it.
    pub name: String,
    /// Its issuer identifier, to the letter.
    pub issuer: String,
    /// Ours.
    pub client_id: String,
    /// Ours.
    pub client_secret: String,
    /// What is asked for; `openid` among it.
    pub scopes: Vec<String>,
    /// Private addresses that it may live at.
    pub allow_private: Vec<Network>,
}

/// The secret of the browser that began a sign-in; prints as `***`.
#[derive(Clone, PartialEq, Eq)]
pub struct Binding(String);

impl std::fmt::Debug for Binding {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("***")
    }
}

impl Binding {
    /// The one that a browser has already, so that two pages of it can sign in side by side.
    pub fn of(headers: &HeaderMap) -> Option<Self> {
        session::secret_in(headers, COOKIES).map(Binding)
    }

    /// A fresh one.
    pub fn new(entropy: &dyn Entropy) -> Self {
        Binding(session::random(entropy))
    }

    /// The `Set-Cookie` that hands it to a browser. `Lax`: the provider's page leads back to us, which `Strict` would hide
    /// it from.
    pub fn cookie(&self, secure: bool) -> String {
        session::set_cookie(COOKIES, secure, &self.0, "Lax", PENDING_SECONDS)
    }
}

/// Where a person came from, to be led back to.
#[derive(Clone, Debug, Default)]
pub struct Beginning {
    /// The page they wanted.
    pub next: String,
    /// The session they had; it ends when the next begins.
    pub before: Option<SessionSecret>,
}

/// What the provider sends back in the browser's address.
#[derive(Clone, Copy, Debug)]
pub struct ProviderAnswer<'a> {
    /// Which sign-in it is.
    pub state: &'a str,
    /// Buys the token.
    pub code: Option<&'a str>,
    /// Who answers (RFC 9207).
    pub issuer: Option<&'a str>,
    /// Why there is no code.
    pub error: Option<&'a str>,
}

/// Somebody whom the provider vouches for.
#[derive(Clone, Debug)]
pub struct Vouched {
    /// The provider.
    pub issuer: String,
    /// Theirs at the provider, for ever.
    pub subject: String,
    /// All that the token says.
    pub claims: Map<String, Value>,
    /// Where they came from.
    pub beginning: Beginning,
}

/// Why the provider vouches for nobody. The words are ours and repeat nothing of what was sent.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Failed {
    /// No such sign-in in this browser: never begun, over, or answered before.
    #[error("this sign-in was not begun in this browser, took too long, or was answered already: begin it again")]
    Stale,
    /// The provider says no.
    #[error("the identity provider did not sign you in: {0}")]
    Denied(&'static str),
    /// What came is not to be believed; the reason is for whoever runs the service.
    #[error("what the identity provider sent cannot be believed, so nobody was signed in; the audit says why")]
    Doubt(String),
    /// It cannot be asked.
    #[error("the identity provider cannot be asked just now; the audit says why")]
    Unavailable(String),
    /// Too many sign in.
    #[error("too many people sign in at once: try again in a moment")]
    Busy,
    /// Nobody knows what our address is.
    #[error("the identity provider has to send people back: set access.public_url to the address they see")]
    Nowhere,
}

impl Failed {
    /// The reason, for the audit.
    pub fn reason(&self) -> String {
        match self {
            Failed::Doubt(why) | Failed::Unavailable(why) => why.clone(),
            Failed::Stale | Failed::Denied(_) | Failed::Busy | Failed::Nowhere => self.to_string(),
        }
    }
}

/// What an error code of the provider means (RFC 6749 section 4.1.2.1, OpenID Connect Core section 3.1.2.6); a code that
/// nobody knows is not repeated.
pub fn refusal(code: &str) -> &'static str {
    match code {
        "access_denied" => "it was declined there, or you are not assigned to this application",
        "login_required" | "interaction_required" | "consent_required" | "account_selection_required" => {
            "it wants to be asked in person: begin again"
        }
        "temporarily_unavailable" | "server_error" => "it has trouble of its own: try again in a moment",
        "unauthorized_client" | "invalid_request" | "invalid_scope" | "unsupported_response_type" => {
            "this application is not set up there as it is here"
        }
        _ => "it gave no reason that is known here",
    }
}
