//! What we show at a destination's door. Added to each request, never sealed, never stored, never printed.
//!
//! A refused credential is read anew once and tried once more; refused again, the destination is held
//! (delivery-semantics section 8). Several requests may be refused at the same moment with the same credential: each
//! carries the version it used, so that only the first of them causes a refresh and none a premature hold.

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use ::http::header::AUTHORIZATION;
use ::http::{HeaderMap, HeaderName, HeaderValue};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::outcome::Wire;
use super::tokens::{Exchange, Tokens};
use crate::clock::Timestamp;

/// A credential of ours.
#[derive(Clone)]
pub enum OutboundAuth {
    /// None.
    None,
    /// `Authorization: Bearer …`.
    Bearer(String),
    /// `Authorization: Basic …`.
    Basic {
        /// The user; no colon.
        user: String,
        /// The password.
        password: String,
    },
    /// A fixed value in a header.
    Header {
        /// Its name.
        name: String,
        /// The value.
        value: String,
    },
    /// Several of them.
    Headers(Vec<(String, String)>),
    /// Fetched.
    Fetched(Exchange),
}

impl fmt::Debug for OutboundAuth {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            OutboundAuth::None => formatter.write_str("None"),
            OutboundAuth::Bearer(_) => formatter.write_str("Bearer(***)"),
            OutboundAuth::Basic { .. } => formatter.write_str("Basic(***)"),
            OutboundAuth::Header { name, .. } => write!(formatter, "Header({name}: ***)"),
            OutboundAuth::Headers(all) => {
                let names: Vec<&str> = all.iter().map(|(name, _)| name.as_str()).collect();
                write!(formatter, "Headers({}: ***)", names.join(", "))
            }
            OutboundAuth::Fetched(exchange) => write!(formatter, "{exchange:?}"),
        }
    }
}

/// Reads the credential anew from where configuration says it is; `None` if it cannot be read.
pub type Reload = Arc<dyn Fn() -> Option<OutboundAuth> + Send + Sync>;

/// What a refusal says about the credential it met.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CredentialUse {
    /// Another one is in force by now: try with that.
    Stale,
    /// It had worked, or was never tried before: read it anew.
    First,
    /// It is what reading anew gave, and nothing was accepted since.
    Refreshed,
}

/// The credential in force.
pub struct Credentials {
    held: Mutex<Held>,
    reload: Option<Reload>,
    tokens: Option<Tokens>,
}

struct Held {
    headers: HeaderMap,
    version: u64,
    refreshed: bool,
}

impl Credentials {
    /// Refuses what cannot stand in a header.
    pub fn new(auth: &OutboundAuth, reload: Option<Reload>) -> Result<Self, String> {
        let held = Held { headers: headers(auth)?, version: 0, refreshed: false };
        Ok(Credentials { held: Mutex::new(held), reload, tokens: None })
    }

    /// As [`Credentials::new`], with one that is fetched.
    pub fn fetched(tokens: Tokens) -> Self {
        let held = Held { headers: HeaderMap::new(), version: 0, refreshed: false };
        Credentials { held: Mutex::new(held), reload: None, tokens: Some(tokens) }
    }

    /// The headers to send, with the version to report on.
    ///
    /// # Errors
    /// There is none now: what came when it was to be fetched, as it would have come for the request itself.
    pub async fn presented(&self, now: Timestamp) -> (u64, Result<HeaderMap, Wire>) {
        let (version, headers) = {
            let held = self.lock();
            (held.version, held.headers.clone())
        };
        match &self.tokens {
            None => (version, Ok(headers)),
            Some(tokens) => (version, tokens.headers(version, now).await),
        }
    }

    /// What a refusal of that version means.
    pub fn judge(&self, version: u64) -> CredentialUse {
        let held = self.lock();
        if version != held.version {
            CredentialUse::Stale
        } else if held.refreshed {
            CredentialUse::Refreshed
        } else {
            CredentialUse::First
        }
    }

    /// Reads the credential anew. One that cannot be read or sent leaves the old one in force.
    pub fn refresh(&self) {
        let fresh = self.reload.as_ref().and_then(|reload| reload()).and_then(|auth| headers(&auth).ok());
        let mut held = self.lock();
        held.version += 1;
        held.refreshed = true;
        if let Some(headers) = fresh {
            held.headers = headers;
        }
    }

    /// The destination let us in, or a person says that it will.
    pub fn accepted(&self) {
        self.lock().refreshed = false;
    }

    fn lock(&self) -> MutexGuard<'_, Held> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn headers(auth: &OutboundAuth) -> Result<HeaderMap, String> {
    let mut headers = HeaderMap::new();
    let (name, text) = match auth {
        OutboundAuth::None | OutboundAuth::Fetched(_) => return Ok(headers),
        OutboundAuth::Headers(all) => {
            for (name, value) in all {
                let one = OutboundAuth::Header { name: name.clone(), value: value.clone() };
                headers.extend(self::headers(&one)?);
            }
            return Ok(headers);
        }
        OutboundAuth::Bearer(token) if token.is_empty() => return Err("the bearer token is empty".to_owned()),
        OutboundAuth::Bearer(token) => (AUTHORIZATION, format!("Bearer {token}")),
        OutboundAuth::Basic { user, .. } if user.contains(':') => {
            return Err("a user name of basic authentication cannot hold a colon".to_owned());
        }
        OutboundAuth::Basic { user, password } => {
            (AUTHORIZATION, format!("Basic {}", STANDARD.encode(format!("{user}:{password}"))))
        }
        OutboundAuth::Header { name, value } => {
            let name =
                HeaderName::from_bytes(name.as_bytes()).map_err(|_| format!("\"{name}\" is not a header name"))?;
            (name, value.clone())
        }
    };
    let mut value = HeaderValue::from_str(&text)
        .map_err(|_| format!("the credential for {name} holds characters that no header can carry"))?;
    value.set_sensitive(true);
    headers.insert(name, value);
    Ok(headers)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn now() -> Timestamp {
        crate::clock::from_micros(0)
    }

    #[test]
    fn forms_of_credentials() {
        let shown = |auth: &OutboundAuth| {
            let headers = headers(auth).unwrap();
            headers.iter().next().map(|(name, value)| format!("{name}: {}", value.to_str().unwrap()))
        };
        assert_eq!(shown(&OutboundAuth::None), None);
        assert_eq!(shown(&OutboundAuth::Bearer("t0k".into())).unwrap(), "authorization: Bearer t0k");
        let basic = OutboundAuth::Basic { user: "Aladdin".into(), password: "open sesame".into() };
        assert_eq!(shown(&basic).unwrap(), "authorization: Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==");
        let own = OutboundAuth::Header { name: "X-Api-Key".into(), value: "k".into() };
        assert_eq!(shown(&own).unwrap(), "x-api-key: k");
        assert!(!format!("{own:?}{basic:?}").contains("sesame"));
    }

    #[test]
    fn credentials_that_no_header_can_carry_are_refused_without_showing_them() {
        for auth in [
            OutboundAuth::Bearer("secret\r\nx: y".into()),
            OutboundAuth::Bearer(String::new()),
            OutboundAuth::Header { name: "a b".into(), value: "secret".into() },
            OutboundAuth::Basic { user: "a:b".into(), password: "secret".into() },
        ] {
            let problem = Credentials::new(&auth, None).err().unwrap();
            assert!(!problem.contains("secret"), "{problem}");
        }
    }

    #[tokio::test]
    async fn only_the_first_of_many_refusals_refreshes_and_only_the_second_round_holds() {
        let reload: Reload = Arc::new(|| Some(OutboundAuth::Bearer("new".into())));
        let credentials = Credentials::new(&OutboundAuth::Bearer("old".into()), Some(reload)).unwrap();
        let (first, _) = credentials.presented(now()).await;
        assert_eq!(credentials.judge(first), CredentialUse::First);
        credentials.refresh();
        assert_eq!(credentials.judge(first), CredentialUse::Stale);
        let (second, headers) = credentials.presented(now()).await;
        assert_eq!(headers.unwrap()["authorization"], "Bearer new");
        assert_eq!(credentials.judge(second), CredentialUse::Refreshed);
        credentials.accepted();
        assert_eq!(credentials.judge(second), CredentialUse::First);
    }
}
