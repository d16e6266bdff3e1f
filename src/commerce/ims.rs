//! Tokens of Adobe's identity service (IMS), by client credentials: one for everybody who waits, renewed before its end.

use std::time::Duration;

use http::header;
use reqwest::Url;
use serde::Deserialize;
use tokio::sync::Mutex;

use super::rest::oauth::encode;
use crate::clock::{SharedClock, Timestamp, later};

/// Where Adobe gives tokens.
pub const TOKEN_URL: &str = "https://ims-na1.adobelogin.com/ims/token/v3";
/// A token is renewed this long before its end.
const RENEW_AHEAD: Duration = Duration::from_mins(5);
/// An answer with a token is a few kilobytes.
const BODY_BYTES_MAX: usize = 256 * 1024;

/// Client credentials for Adobe's identity service.
#[derive(Clone)]
pub struct Ims {
    /// Also sent as `x-api-key`.
    pub client_id: String,
    /// Its secret.
    pub client_secret: String,
    /// Asked for with each token.
    pub scopes: Vec<String>,
    /// The organisation.
    pub org_id: Option<String>,
    /// [`TOKEN_URL`], or another one.
    pub token_url: Url,
}

/// Why there is no token.
#[derive(Debug)]
pub enum NoToken {
    /// The credentials are refused; the status.
    Refused(u16),
    /// A later try may help.
    Unavailable(String),
    /// No answer.
    Unreached(reqwest::Error),
}

/// The token in force.
pub struct Tokens {
    ims: Ims,
    clock: SharedClock,
    kept: Mutex<Option<Token>>,
}

struct Token {
    text: String,
    until: Timestamp,
}

#[derive(Deserialize)]
struct Given {
    access_token: String,
    expires_in: u64,
}

impl Tokens {
    /// None yet.
    pub fn new(ims: Ims, clock: SharedClock) -> Self {
        Tokens { ims, clock, kept: Mutex::new(None) }
    }

    /// What they are asked for with.
    pub fn credentials(&self) -> &Ims {
        &self.ims
    }

    /// The token in force; who comes while it is fetched waits for it.
    ///
    /// # Errors
    /// When there is none and none is given.
    pub async fn in_force(&self, http: &reqwest::Client) -> Result<String, NoToken> {
        let mut kept = self.kept.lock().await;
        if let Some(token) = kept.as_ref().filter(|token| self.clock.now() < token.until) {
            return Ok(token.text.clone());
        }
        let token = self.fetch(http).await?;
        Ok(kept.insert(token).text.clone())
    }

    /// This one was refused: the next to ask gets another, unless somebody has renewed it already.
    pub async fn forget(&self, refused: &str) {
        let mut kept = self.kept.lock().await;
        if kept.as_ref().is_some_and(|token| token.text == refused) {
            *kept = None;
        }
    }

    async fn fetch(&self, http: &reqwest::Client) -> Result<Token, NoToken> {
        let form = [
            ("grant_type", "client_credentials"),
            ("client_id", &self.ims.client_id),
            ("client_secret", &self.ims.client_secret),
            ("scope", &self.ims.scopes.join(",")),
        ];
        let form: Vec<String> = form.iter().map(|(name, value)| format!("{name}={}", encode(value))).collect();
        let sent = http.post(self.ims.token_url.clone()).header(header::CONTENT_TYPE, FORM).body(form.join("&"));
        let mut response = sent.send().await.map_err(NoToken::Unreached)?;
        let status = response.status().as_u16();
        let mut body = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(NoToken::Unreached)? {
            if body.len() + chunk.len() > BODY_BYTES_MAX {
                return Err(NoToken::Unavailable("Adobe's identity service answers too much".to_owned()));
            }
            body.extend_from_slice(&chunk);
        }
        match status {
            200..=299 => {}
            400..=428 | 430..=499 => return Err(NoToken::Refused(status)),
            _ => return Err(NoToken::Unavailable(format!("Adobe's identity service answers status {status}"))),
        }
        let given: Given = serde_json::from_slice(&body)
            .map_err(|_| NoToken::Unavailable("Adobe's identity service answers without a token".to_owned()))?;
        let life = Duration::from_secs(given.expires_in);
        let until = later(self.clock.now(), life.saturating_sub(RENEW_AHEAD.min(life / 10)));
        Ok(Token { text: given.access_token, until })
    }
}

const FORM: &str = "application/x-www-form-urlencoded";
