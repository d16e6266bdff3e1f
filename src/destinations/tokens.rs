//! Credentials that are fetched: OAuth 2 client credentials, with a secret or a signed assertion, and logins that give a
//! token or cookies.
//!
//! One is fetched when the first request needs it, kept until a little before it ends, and fetched anew when it was refused
//! ([`Kept`]). What the other side says of the fetch is what it would have said of the
//! request: it does not know us, or it cannot be reached and nothing was sent.

use std::fmt;
use std::time::Duration;

use ::http::header::{AUTHORIZATION, COOKIE};
use ::http::{HeaderMap, HeaderName, HeaderValue};
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, RSA_PKCS1_SHA256, RSA_PSS_SHA256, RsaKeyPair,
};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use bytes::Bytes;
use minijinja::value::Serde;
use minijinja::{Value, context};
use reqwest::Url;
use serde_json::json;

use super::credentials::{Kept, Shown, cookies_set};
use super::http::{read, render};
use super::outcome::{CredentialRefused, ResponseSeen, Wire};
use super::transport::Transport;
use crate::clock::Timestamp;
use crate::json::{self, Json, Limits};
use crate::store::write::SealedRequest;
use crate::templates::{Form, Template};

/// Good for so long where nobody says for how long.
const UNSAID: Duration = Duration::from_mins(5);
/// An assertion is used at once.
const ASSERTION_SECONDS: i64 = 300;

/// How a credential is fetched.
#[derive(Clone, PartialEq, Eq)]
pub enum Exchange {
    /// OAuth 2, grant type `client_credentials` (RFC 6749 section 4.4).
    OAuth2(OAuth2),
    /// A request of the other side's own.
    Login(Login),
}

/// OAuth 2 client credentials.
#[derive(Clone, PartialEq, Eq)]
pub struct OAuth2 {
    /// The token endpoint.
    pub token_url: String,
    /// Who we are.
    pub client_id: String,
    /// How we show it.
    pub proof: Proof,
    /// What we ask for; empty for what is usual.
    pub scope: String,
    /// Further members of the request: `audience`, `resource`.
    pub extra: Vec<(String, String)>,
}

/// What shows that we are the client.
#[derive(Clone, PartialEq, Eq)]
pub enum Proof {
    /// `client_secret` among the members.
    SecretInBody(String),
    /// Basic authentication.
    SecretInHeader(String),
    /// An assertion signed with a private key (RFC 7523).
    Assertion {
        /// PEM, PKCS #8.
        private_key: String,
        /// `kid`
        key_id: String,
        /// How it signs.
        algorithm: Algorithm,
    },
}

/// How an assertion is signed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Algorithm {
    /// RSASSA-PSS with SHA-256.
    Ps256,
    /// RSASSA-PKCS1 with SHA-256.
    Rs256,
    /// ECDSA on P-256 with SHA-256.
    Es256,
}

/// A login of the other side's own.
#[derive(Clone, PartialEq, Eq)]
pub struct Login {
    /// Where.
    pub url: String,
    /// JSON.
    pub body: String,
    /// JSON pointer to the token in the answer.
    pub token: Option<String>,
    /// Cookies to send along; all of them if the list is empty and no token is named.
    pub cookies: Vec<String>,
    /// Header that carries the token.
    pub header: String,
    /// Its value: with `{token}` in it, or a template over the `answer`.
    pub value: String,
    /// How long it is good for.
    pub lifetime: Duration,
}

impl fmt::Debug for Exchange {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Exchange::OAuth2(oauth) => write!(formatter, "OAuth2({} at {}, ***)", oauth.client_id, oauth.token_url),
            Exchange::Login(login) => write!(formatter, "Login({}, ***)", login.url),
        }
    }
}

impl Exchange {
    /// Where it is fetched.
    pub fn url(&self) -> &str {
        match self {
            Exchange::OAuth2(oauth) => &oauth.token_url,
            Exchange::Login(login) => &login.url,
        }
    }

    /// A text of the other side's, in which our own secrets are not repeated.
    fn without_secrets(&self, text: String) -> String {
        let secrets = match self {
            Exchange::OAuth2(oauth) => match &oauth.proof {
                Proof::SecretInBody(secret) | Proof::SecretInHeader(secret) => vec![secret.clone()],
                Proof::Assertion { .. } => Vec::new(),
            },
            Exchange::Login(login) => texts(&login.body),
        };
        secrets.iter().filter(|secret| !secret.is_empty()).fold(text, |text, secret| text.replace(secret, "***"))
    }

    /// Checks what can be checked without the other side.
    ///
    /// # Errors
    /// One sentence, without the secret.
    pub fn check(&self) -> Result<(), String> {
        match self {
            Exchange::OAuth2(OAuth2 { proof: Proof::Assertion { private_key, algorithm, .. }, .. }) => {
                signed(private_key, *algorithm, b"try").map(|_| ())
            }
            Exchange::OAuth2(_) => Ok(()),
            Exchange::Login(login) => {
                HeaderName::from_bytes(login.header.as_bytes())
                    .map_err(|_| format!("\"{}\" is not a header name", login.header))?;
                if login.is_template() {
                    login.template()?;
                } else if login.token.is_some() && !login.value.contains("{token}") {
                    return Err("value says where the token stands in the header: write {token} into it".to_owned());
                }
                Ok(())
            }
        }
    }
}

/// The credential in force, and how the next one is fetched.
pub struct Tokens {
    exchange: Exchange,
    transport: Transport,
    kept: Kept,
}

impl Tokens {
    /// Nothing is fetched yet.
    pub fn new(exchange: Exchange, transport: Transport) -> Self {
        Tokens { exchange, transport, kept: Kept::default() }
    }

    /// The headers of a request, under that version of the credential.
    ///
    /// # Errors
    /// What came instead, as it would have come for the request itself.
    pub async fn headers(&self, version: u64, now: Timestamp) -> Result<HeaderMap, Wire> {
        self.kept.headers(version, now, self.fetch(now)).await
    }

    async fn fetch(&self, now: Timestamp) -> Result<(HeaderMap, Duration), Wire> {
        let request = self.request(now).map_err(Wire::NotSent)?;
        let response = match self.transport.send(&request, Shown::default()).await.0 {
            Wire::Answered(response) => response,
            refused @ Wire::NoCredential(_) => return Err(refused),
            // Nothing of the record was sent, whatever became of the asking.
            Wire::Forbidden(detail) | Wire::NotSent(detail) | Wire::Lost(detail) => {
                return Err(Wire::NotSent(format!("no credential: {detail}")));
            }
        };
        match response.status {
            200..=299 => self.read(&response).map_err(|problem| Wire::NotSent(format!("no credential: {problem}"))),
            // The endpoint says with any of these that it does not know us (RFC 6749 section 5.2: invalid_client is 401 or 400).
            400 | 401 | 403 | 429 => {
                let said = self.exchange.without_secrets(read::describe(&response));
                let detail = format!("no credential: {} {said}", self.exchange.url());
                let (status, wait) = (response.status, read::wait(&response, now));
                Err(Wire::NoCredential(Box::new(CredentialRefused { status, detail, wait })))
            }
            status => Err(Wire::NotSent(format!("no credential: {} answered {status}", self.exchange.url()))),
        }
    }

    fn request(&self, now: Timestamp) -> Result<SealedRequest, String> {
        let (body, mut headers) = match &self.exchange {
            Exchange::OAuth2(oauth) => oauth.request(now)?,
            Exchange::Login(login) => {
                (login.body.clone(), vec![("content-type".to_owned(), "application/json".to_owned())])
            }
        };
        headers.push(("accept".to_owned(), "application/json".to_owned()));
        headers.push(("user-agent".to_owned(), render::USER_AGENT.to_owned()));
        let (method, url, body) = ("POST".to_owned(), self.exchange.url().to_owned(), Bytes::from(body));
        let digest = render::digest(&method, &url, &headers, &body);
        Ok(SealedRequest { method, url, headers, body, digest, body_is_document: false })
    }

    fn read(&self, response: &ResponseSeen) -> Result<(HeaderMap, Duration), String> {
        let json = json::parse(&response.body, &Limits::default()).ok();
        let at = |pointer: &str| json.as_ref().and_then(|json| json.pointer(pointer)).and_then(Json::as_text);
        let mut headers = HeaderMap::new();
        match &self.exchange {
            Exchange::OAuth2(_) => {
                let token = at("/access_token").filter(|token| !token.is_empty());
                let token = token.ok_or("the token endpoint's answer has no access_token")?;
                headers.insert(AUTHORIZATION, sensitive(&format!("Bearer {token}"))?);
                let seconds = at("/expires_in").and_then(|seconds| seconds.parse().ok());
                Ok((headers, seconds.map_or(UNSAID, Duration::from_secs).max(Duration::from_secs(1))))
            }
            Exchange::Login(login) => {
                if let Some(pointer) = &login.token {
                    let token = at(pointer).filter(|token| !token.is_empty());
                    let token = token.ok_or_else(|| format!("the login's answer has no token at {pointer}"))?;
                    let name = HeaderName::from_bytes(login.header.as_bytes()).map_err(|error| error.to_string())?;
                    headers.insert(name, sensitive(&login.value.replace("{token}", token))?);
                }
                if login.is_template() {
                    let answer: serde_json::Value = serde_json::from_slice(&response.body)
                        .map_err(|_| "the login's answer is no JSON".to_owned())?;
                    // What went wrong may quote the answer, which holds the secret.
                    let value = login.template()?.render(&context! { answer => Value::from(Serde(answer)) });
                    let value = value.map_err(|_| "the login's answer lacks what value is made of".to_owned())?;
                    let name = HeaderName::from_bytes(login.header.as_bytes()).map_err(|error| error.to_string())?;
                    headers.insert(name, sensitive(&value)?);
                }
                let cookies = cookies(&response.headers, login);
                if let Some(missing) =
                    login.cookies.iter().find(|name| !cookies.iter().any(|(known, _)| known == *name))
                {
                    return Err(format!("the login's answer sets no cookie {missing}"));
                }
                if !cookies.is_empty() {
                    let all: Vec<String> = cookies.iter().map(|(name, value)| format!("{name}={value}")).collect();
                    headers.insert(COOKIE, sensitive(&all.join("; "))?);
                }
                if headers.is_empty() {
                    Err("the login gives neither token nor cookie".to_owned())
                } else {
                    Ok((headers, login.lifetime))
                }
            }
        }
    }
}

impl Login {
    fn is_template(&self) -> bool {
        self.value.contains("{{")
    }

    fn template(&self) -> Result<Template, String> {
        Template::new("value", Form::Line, &self.value).map_err(|problem| problem.to_string())
    }
}

impl OAuth2 {
    fn request(&self, now: Timestamp) -> Result<(String, Vec<(String, String)>), String> {
        let mut form = vec![("grant_type", "client_credentials".to_owned())];
        let mut headers = vec![("content-type".to_owned(), "application/x-www-form-urlencoded".to_owned())];
        if !self.scope.is_empty() {
            form.push(("scope", self.scope.clone()));
        }
        match &self.proof {
            Proof::SecretInBody(secret) => {
                form.push(("client_id", self.client_id.clone()));
                form.push(("client_secret", secret.clone()));
            }
            Proof::SecretInHeader(secret) => {
                let pair = STANDARD.encode(format!("{}:{secret}", self.client_id));
                headers.push(("authorization".to_owned(), format!("Basic {pair}")));
            }
            Proof::Assertion { private_key, key_id, algorithm } => {
                let kind = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";
                form.push(("client_assertion_type", kind.to_owned()));
                form.push(("client_assertion", self.assertion(private_key, key_id, *algorithm, now)?));
            }
        }
        let members = form.iter().map(|(name, value)| (*name, value.as_str()));
        let members = members.chain(self.extra.iter().map(|(name, value)| (name.as_str(), value.as_str())));
        let mut form = Url::parse("form:").expect("a constant address");
        form.query_pairs_mut().extend_pairs(members);
        Ok((form.query().unwrap_or_default().to_owned(), headers))
    }

    fn assertion(
        &self,
        private_key: &str,
        key_id: &str,
        algorithm: Algorithm,
        now: Timestamp,
    ) -> Result<String, String> {
        let word = match algorithm {
            Algorithm::Ps256 => "PS256",
            Algorithm::Rs256 => "RS256",
            Algorithm::Es256 => "ES256",
        };
        let at = now.as_second();
        let head = json!({ "typ": "JWT", "alg": word, "kid": key_id });
        let scope: Vec<&str> = self.scope.split_whitespace().collect();
        let claims = json!({
            "iss": self.client_id, "sub": self.client_id, "aud": self.token_url, "scope": scope, "iat": at,
            "exp": at + ASSERTION_SECONDS, "jti": format!("{}-{}", self.client_id, now.as_microsecond()),
        });
        let encoded = |part: &serde_json::Value| URL_SAFE_NO_PAD.encode(part.to_string());
        let message = format!("{}.{}", encoded(&head), encoded(&claims));
        let signature = signed(private_key, algorithm, message.as_bytes())?;
        Ok(format!("{message}.{}", URL_SAFE_NO_PAD.encode(signature)))
    }
}

fn signed(pem: &str, algorithm: Algorithm, message: &[u8]) -> Result<Vec<u8>, String> {
    let body: String = pem.lines().map(str::trim).filter(|line| !line.starts_with("-----")).collect();
    let der = STANDARD.decode(body).map_err(|_| "the private key is no PEM".to_owned())?;
    let random = SystemRandom::new();
    let failed = |_| "the private key cannot sign".to_owned();
    match algorithm {
        Algorithm::Es256 => {
            let pair = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &der)
                .map_err(|_| "the private key is no P-256 key in PKCS #8".to_owned())?;
            pair.sign(&random, message).map(|signature| signature.as_ref().to_vec()).map_err(failed)
        }
        Algorithm::Ps256 | Algorithm::Rs256 => {
            let pair =
                RsaKeyPair::from_pkcs8(&der).map_err(|_| "the private key is no RSA key in PKCS #8".to_owned())?;
            let mut signature = vec![0; pair.public_modulus_len()];
            match algorithm {
                Algorithm::Rs256 => pair.sign(&RSA_PKCS1_SHA256, &random, message, &mut signature),
                _ => pair.sign(&RSA_PSS_SHA256, &random, message, &mut signature),
            }
            .map_err(failed)?;
            Ok(signature)
        }
    }
}

/// Every text of a login's body: which of them is the password only the other side knows.
fn texts(body: &str) -> Vec<String> {
    fn gather(value: &serde_json::Value, into: &mut Vec<String>) {
        match value {
            serde_json::Value::String(text) => into.push(text.clone()),
            serde_json::Value::Array(elements) => elements.iter().for_each(|element| gather(element, into)),
            serde_json::Value::Object(members) => members.values().for_each(|member| gather(member, into)),
            serde_json::Value::Null | serde_json::Value::Bool(_) | serde_json::Value::Number(_) => {}
        }
    }
    let mut all = Vec::new();
    if let Ok(body) = serde_json::from_str(body) {
        gather(&body, &mut all);
    }
    all
}

fn cookies(headers: &HeaderMap, login: &Login) -> Vec<(String, String)> {
    let wanted = |name: &str| {
        if login.cookies.is_empty() {
            login.token.is_none() && !login.is_template()
        } else {
            login.cookies.iter().any(|known| known == name)
        }
    };
    cookies_set(headers).into_iter().filter(|(name, _)| wanted(name)).collect()
}

fn sensitive(text: &str) -> Result<HeaderValue, String> {
    let mut value = HeaderValue::from_str(text).map_err(|_| "the credential cannot stand in a header".to_owned())?;
    value.set_sensitive(true);
    Ok(value)
}
