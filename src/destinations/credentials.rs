//! What we show at a destination's door. Added to each request, never sealed, never stored, never printed.
//!
//! A refused credential is read anew once and tried once more; refused again, the destination is held
//! (delivery-semantics section 8). Several requests may be refused at the same moment with the same credential: each
//! carries the version it used, so that only the first of them causes a refresh and none a premature hold.

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use ::http::header::AUTHORIZATION;
use ::http::{HeaderName, HeaderValue};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

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
}

impl fmt::Debug for OutboundAuth {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            OutboundAuth::None => formatter.write_str("None"),
            OutboundAuth::Bearer(_) => formatter.write_str("Bearer(***)"),
            OutboundAuth::Basic { .. } => formatter.write_str("Basic(***)"),
            OutboundAuth::Header { name, .. } => write!(formatter, "Header({name}: ***)"),
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
}

struct Held {
    header: Option<(HeaderName, HeaderValue)>,
    version: u64,
    refreshed: bool,
}

impl Credentials {
    /// Refuses what cannot stand in a header.
    pub fn new(auth: &OutboundAuth, reload: Option<Reload>) -> Result<Self, String> {
        let held = Held { header: header(auth)?, version: 0, refreshed: false };
        Ok(Credentials { held: Mutex::new(held), reload })
    }

    /// The header to send, with the version to report on.
    pub fn presented(&self) -> (u64, Option<(HeaderName, HeaderValue)>) {
        let held = self.lock();
        (held.version, held.header.clone())
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
        let fresh = self.reload.as_ref().and_then(|reload| reload()).and_then(|auth| header(&auth).ok());
        let mut held = self.lock();
        held.version += 1;
        held.refreshed = true;
        if let Some(header) = fresh {
            held.header = header;
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

fn header(auth: &OutboundAuth) -> Result<Option<(HeaderName, HeaderValue)>, String> {
    let (name, text) = match auth {
        OutboundAuth::None => return Ok(None),
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
    Ok(Some((name, value)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn forms_of_credentials() {
        let shown = |auth: &OutboundAuth| {
            let (_, header) = Credentials::new(auth, None).unwrap().presented();
            header.map(|(name, value)| format!("{name}: {}", value.to_str().unwrap()))
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

    #[test]
    fn only_the_first_of_many_refusals_refreshes_and_only_the_second_round_holds() {
        let reload: Reload = Arc::new(|| Some(OutboundAuth::Bearer("new".into())));
        let credentials = Credentials::new(&OutboundAuth::Bearer("old".into()), Some(reload)).unwrap();
        let (first, _) = credentials.presented();
        assert_eq!(credentials.judge(first), CredentialUse::First);
        credentials.refresh();
        assert_eq!(credentials.judge(first), CredentialUse::Stale);
        let (second, header) = credentials.presented();
        assert_eq!(header.unwrap().1, "Bearer new");
        assert_eq!(credentials.judge(second), CredentialUse::Refreshed);
        credentials.accepted();
        assert_eq!(credentials.judge(second), CredentialUse::First);
    }
}
