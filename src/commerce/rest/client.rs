//! Commerce over the wire: scope, credentials, limits, and a second try for reads.

use std::error::Error as _;
use std::fmt::Write as _;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http::{HeaderMap, HeaderValue, Method, header};
use reqwest::{Request, Response, Url, redirect, retry};
use tokio::sync::Semaphore;

use super::oauth::{self, Credentials, encode};
use super::{Answered, Call, Reply, Rest, RestError, Scope, error};
use crate::clock::{SharedClock, SharedEntropy};
use crate::commerce::ims::{Ims, NoToken, Tokens};
use crate::destinations::Network;
use crate::destinations::http::retry_after::{self, RetryAfter};
use crate::destinations::private::{AddressGuard, CheckedResolver};

/// The largest answer that is taken.
const BODY_BYTES_MAX: usize = 16 * 1024 * 1024;
/// How often a read is tried.
const TRIES: u32 = 3;
/// Who is asked to wait longer than this gives the answer to its caller instead.
const WAIT_MAX: Duration = Duration::from_secs(20);
const FIRST_WAIT: Duration = Duration::from_millis(500);

/// How we prove who we are.
#[derive(Clone)]
pub enum Auth {
    /// Not at all.
    None,
    /// Signed requests.
    OAuth1(Credentials),
    /// A fixed token.
    Bearer(String),
    /// Tokens from Adobe's identity service.
    Ims(Ims),
}

/// One instance.
#[derive(Clone)]
pub struct Settings {
    /// Its name.
    pub system: String,
    /// Adobe Commerce as a Cloud Service: the store is a header, not a part of the path.
    pub saas: bool,
    /// Without a slash at its end.
    pub base_url: Url,
    /// Credentials.
    pub auth: Auth,
    /// Private networks it may live in.
    pub allow_private: Vec<Network>,
    /// Requests at once.
    pub concurrency: u32,
    /// Until connected.
    pub connect_timeout: Duration,
    /// Until answered in full.
    pub request_timeout: Duration,
}

/// One Commerce instance over HTTP.
pub struct Client {
    settings: Settings,
    http: reqwest::Client,
    slots: Semaphore,
    clock: SharedClock,
    entropy: SharedEntropy,
    tokens: Option<Tokens>,
}

/// An error, and whether the very next try may succeed.
struct Failure {
    error: RestError,
    again: bool,
}

impl From<RestError> for Failure {
    fn from(error: RestError) -> Self {
        let again = matches!(error, RestError::Limited { .. } | RestError::Unavailable { .. });
        Failure { error, again }
    }
}

impl Client {
    /// Builds the client; nothing is called yet.
    ///
    /// # Errors
    /// When no HTTP client can be made, or the address is a private one that is not named.
    pub fn new(settings: Settings, clock: SharedClock, entropy: SharedEntropy) -> Result<Self, String> {
        let plain = settings.base_url.scheme() == "http";
        let guard = AddressGuard::new(&settings.allow_private, plain);
        guard.check_host(&settings.base_url).map_err(|refusal| format!("base_url: {refusal}"))?;
        let mut builder = reqwest::Client::builder()
            .http1_only()
            .no_proxy()
            .referer(false)
            .redirect(redirect::Policy::none())
            .retry(retry::never())
            .dns_resolver(CheckedResolver::new(guard.clone()))
            .tcp_nodelay(true)
            .connect_timeout(settings.connect_timeout)
            .timeout(settings.request_timeout)
            .user_agent(concat!("crossdock/", env!("CARGO_PKG_VERSION")));
        if let Auth::Ims(ims) = &settings.auth {
            guard.check_host(&ims.token_url).map_err(|refusal| format!("token URL: {refusal}"))?;
        } else if plain {
            builder = builder.tls_certs_only([]);
        }
        let http = builder.build().map_err(|error| format!("no HTTP client can be made: {}", words(&error)))?;
        let slots = Semaphore::new(usize::try_from(settings.concurrency.max(1)).unwrap_or(1));
        let tokens = match &settings.auth {
            Auth::Ims(ims) => Some(Tokens::new(ims.clone(), clock.clone())),
            Auth::None | Auth::OAuth1(_) | Auth::Bearer(_) => None,
        };
        Ok(Client { settings, http, slots, clock, entropy, tokens })
    }

    async fn made(&self, call: Call) -> Result<Answered, RestError> {
        let url = self.url(&call)?;
        let id = self.random();
        let (mut tries, mut renewed) = (1, false);
        loop {
            let Failure { error, again } = match self.attempt(&call, &url, &id, &mut renewed).await {
                Ok(answered) => return Ok(answered),
                Err(failure) => failure,
            };
            let wait = self.wait(&error, tries);
            // A write may have been done although no answer says so.
            if call.method != Method::GET || !again || tries == TRIES || wait > WAIT_MAX {
                return Err(error);
            }
            tracing::debug!(system = self.settings.system, request_id = id, tries, %error, "reading again");
            tokio::time::sleep(wait).await;
            tries += 1;
        }
    }

    /// Once, or twice where only our token had ended: a refused call was not done.
    async fn attempt(&self, call: &Call, url: &Url, id: &str, renewed: &mut bool) -> Result<Answered, Failure> {
        let _slot = self.slots.acquire().await.expect("the semaphore is never closed");
        let token = self.token().await?;
        let done = self.once(call, url, id, token.as_deref()).await;
        let Err(Failure { error: RestError::Unauthorized(_), .. }) = &done else { return done };
        let Some(refused) = token.filter(|_| !*renewed) else { return done };
        *renewed = true;
        if let Some(tokens) = &self.tokens {
            tokens.forget(&refused).await;
        }
        let token = self.token().await?;
        self.once(call, url, id, token.as_deref()).await
    }

    async fn once(&self, call: &Call, url: &Url, id: &str, token: Option<&str>) -> Result<Answered, Failure> {
        let mut request = Request::new(call.method.clone(), url.clone());
        self.headers(call, url, id, token, request.headers_mut())?;
        if let Some(body) = &call.body {
            *request.body_mut() = Some(body.clone().into());
        }
        let response = self.http.execute(request).await.map_err(|error| unreached(&error))?;
        self.answered(response).await
    }

    async fn answered(&self, response: Response) -> Result<Answered, Failure> {
        let status = response.status().as_u16();
        let retry_after = match retry_after::parse(response.headers(), self.clock.now()) {
            RetryAfter::Floor(wait) => Some(wait),
            RetryAfter::Absent | RetryAfter::Ignored => None,
        };
        let body = collect(response).await?;
        if !(200..300).contains(&status) {
            return Err(error::of(status, &body, retry_after, &self.settings.auth).into());
        }
        if serde_json::from_slice::<serde::de::IgnoredAny>(&body).is_err() {
            let message = format!("status {status} with a body that is no JSON");
            return Err(RestError::Unavailable { message, retry_after }.into());
        }
        Ok(Answered { status, body })
    }

    fn url(&self, call: &Call) -> Result<Url, RestError> {
        let mut text = self.settings.base_url.as_str().trim_end_matches('/').to_owned();
        match &call.scope {
            Scope::All if !self.settings.saas => text.push_str("/all"),
            Scope::View(code) if !self.settings.saas => {
                text.push('/');
                text.push_str(&encode(code));
            }
            Scope::All | Scope::Default | Scope::View(_) => {}
        }
        text.push_str(&call.path);
        for (at, (name, value)) in call.query.iter().enumerate() {
            text.push(if at == 0 { '?' } else { '&' });
            let _ = write!(text, "{}={}", encode(name), encode(value));
        }
        Url::parse(&text).map_err(|_| RestError::Refused { status: 0, message: "the address is none".to_owned() })
    }

    fn headers(
        &self,
        call: &Call,
        url: &Url,
        id: &str,
        token: Option<&str>,
        headers: &mut HeaderMap,
    ) -> Result<(), RestError> {
        headers.insert(header::ACCEPT, HeaderValue::from_static("application/json"));
        headers.insert("x-request-id", value(id)?);
        if call.body.is_some() {
            headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
        }
        if self.settings.saas {
            match &call.scope {
                Scope::All => headers.insert("store", HeaderValue::from_static("all")),
                Scope::View(code) => headers.insert("store", value(code)?),
                Scope::Default => None,
            };
        }
        let authorization = match &self.settings.auth {
            Auth::None => return Ok(()),
            Auth::OAuth1(credentials) => {
                oauth::header(credentials, call.method.as_str(), url, &self.random(), self.clock.now().as_second())
            }
            Auth::Bearer(token) => format!("Bearer {token}"),
            Auth::Ims(ims) => {
                headers.insert("x-api-key", value(&ims.client_id)?);
                if let Some(org_id) = &ims.org_id {
                    headers.insert("x-gw-ims-org-id", value(org_id)?);
                }
                format!("Bearer {}", token.unwrap_or_default())
            }
        };
        let mut authorization = value(&authorization)?;
        authorization.set_sensitive(true);
        headers.insert(header::AUTHORIZATION, authorization);
        Ok(())
    }

    async fn token(&self) -> Result<Option<String>, Failure> {
        let Some(tokens) = &self.tokens else { return Ok(None) };
        let token = tokens.in_force(&self.http).await.map_err(|reason| match reason {
            NoToken::Refused(status) => {
                let message = format!("Adobe's identity service gives no token (status {status}): check auth");
                RestError::Unauthorized(message).into()
            }
            NoToken::Unavailable(message) => RestError::Unavailable { message, retry_after: None }.into(),
            NoToken::Unreached(error) => unreached(&error),
        });
        token.map(Some)
    }

    /// What was asked for, or twice as long as before; a little less or more, so that not all come at once.
    fn wait(&self, error: &RestError, tries: u32) -> Duration {
        let (RestError::Limited { retry_after } | RestError::Unavailable { retry_after, .. }) = error else {
            return FIRST_WAIT.mul_f64(0.5 + self.entropy.unit());
        };
        let usual = FIRST_WAIT * 2_u32.pow(tries - 1);
        retry_after.unwrap_or_default() + usual.mul_f64(0.5 + self.entropy.unit() / 2.0)
    }

    /// 128 bits in hex.
    fn random(&self) -> String {
        let mut bytes = [0_u8; 16];
        self.entropy.fill(&mut bytes);
        format!("{:032x}", u128::from_be_bytes(bytes))
    }
}

impl Rest for Client {
    fn system(&self) -> &str {
        &self.settings.system
    }

    fn call(&self, call: Call) -> Reply<'_> {
        Box::pin(self.made(call))
    }
}

fn value(text: &str) -> Result<HeaderValue, RestError> {
    let message = || "a credential or store code cannot be sent in a header".to_owned();
    HeaderValue::from_str(text).map_err(|_| RestError::Refused { status: 0, message: message() })
}

async fn collect(mut response: Response) -> Result<Bytes, Failure> {
    let mut body = BytesMut::new();
    while let Some(chunk) = response.chunk().await.map_err(|error| unreached(&error))? {
        if body.len() + chunk.len() > BODY_BYTES_MAX {
            return Err(RestError::TooLarge(BODY_BYTES_MAX).into());
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body.freeze())
}

/// Trying again is worth it at once only where no connection came about.
fn unreached(error: &reqwest::Error) -> Failure {
    Failure { again: error.is_connect(), error: RestError::Unreachable(words(error)) }
}

/// The error and its innermost cause, without the URL.
fn words(error: &reqwest::Error) -> String {
    let what = match (error.is_connect(), error.is_timeout()) {
        (_, true) => "time ran out",
        (true, false) => "no connection",
        (false, false) => "the connection ended without a whole answer",
    };
    let mut cause = error.source();
    while let Some(deeper) = cause.and_then(std::error::Error::source) {
        cause = Some(deeper);
    }
    cause.map_or_else(|| what.to_owned(), |cause| format!("{what}: {cause}"))
}
