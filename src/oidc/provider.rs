//! The flow: a sign-in is begun, the provider answers in the browser's address, and the answer's code buys the token.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use reqwest::Url;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use tokio::sync::{Mutex as AsyncMutex, Semaphore};

use super::asking::{Asking, Said};
use super::pending::{Pending, Waiting, binding_digest};
use super::token::{self, Doubt, Expected, Keys};
use super::{Beginning, Binding, Failed, ProviderAnswer, Settings, Vouched, refusal};
use crate::access::session::random;
use crate::clock::{SharedClock, SharedEntropy, Timestamp, later};

/// What the provider publishes of itself and its keys is read again after so long.
const KEPT_FOR: Duration = Duration::from_hours(1);

/// Keys that cannot be read again are used for so long.
const USED_FOR: Duration = Duration::from_hours(24);

/// Between two readings of the keys, whatever key a token names.
const FLOOR: Duration = Duration::from_mins(1);

/// Sign-ins that may ask the provider at once; beyond, people are asked to wait.
const AT_ONCE: usize = 8;

/// What a provider says of itself (OpenID Connect Discovery 1.0 section 3).
#[derive(Clone, Deserialize)]
struct Document {
    issuer: String,
    authorization_endpoint: String,
    token_endpoint: String,
    jwks_uri: String,
    #[serde(default)]
    token_endpoint_auth_methods_supported: Option<Vec<String>>,
    /// RFC 9207: then an answer that does not name its issuer is a forged one.
    #[serde(default)]
    authorization_response_iss_parameter_supported: bool,
}

/// Its addresses, looked at.
#[derive(Clone)]
struct Published {
    authorization: Url,
    token: Url,
    keys: Url,
    secret_in_body: bool,
    names_issuer: bool,
}

struct Kept<T> {
    what: T,
    read_at: Timestamp,
}

impl<T> Kept<T> {
    /// One from the future is not: the clock was set back.
    fn is_younger(&self, than: Duration, now: Timestamp) -> bool {
        self.read_at <= now && now < later(self.read_at, than)
    }
}

/// What the token endpoint gives.
#[derive(Deserialize)]
struct Given {
    id_token: Option<String>,
    access_token: Option<String>,
}

/// An identity provider that vouches for people.
pub struct Provider {
    settings: Settings,
    asking: Asking,
    discovery: Url,
    clock: SharedClock,
    entropy: SharedEntropy,
    waiting: Mutex<Waiting>,
    published: AsyncMutex<Option<Kept<Published>>>,
    keys: AsyncMutex<Option<Kept<Keys>>>,
    at_once: Semaphore,
}

impl std::fmt::Debug for Provider {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Provider").field("issuer", &self.settings.issuer).finish_non_exhaustive()
    }
}

impl Provider {
    /// Nothing is asked yet.
    ///
    /// # Errors
    /// When it cannot be asked as it is configured.
    pub fn new(settings: Settings, clock: SharedClock, entropy: SharedEntropy) -> Result<Self, String> {
        let issuer = Url::parse(&settings.issuer).map_err(|error| format!("issuer is not a URL: {error}"))?;
        let discovery = format!("{}/.well-known/openid-configuration", settings.issuer.trim_end_matches('/'));
        let discovery = Url::parse(&discovery).map_err(|error| format!("issuer is not a URL: {error}"))?;
        Ok(Provider {
            asking: Asking::new(&issuer, &settings.allow_private)?,
            settings,
            discovery,
            clock,
            entropy,
            waiting: Mutex::default(),
            published: AsyncMutex::default(),
            keys: AsyncMutex::default(),
            at_once: Semaphore::new(AT_ONCE),
        })
    }

    /// What people call it.
    pub fn name(&self) -> &str {
        &self.settings.name
    }

    /// Begins a sign-in: where the browser goes. `redirect_uri`: where the provider is to send it back to.
    ///
    /// # Errors
    /// Why it cannot begin.
    pub async fn begin(&self, redirect_uri: &str, binding: &Binding, beginning: Beginning) -> Result<String, Failed> {
        let _place = self.at_once.try_acquire().map_err(|_| Failed::Busy)?;
        let published = self.published().await?;
        let [state, nonce, verifier] = std::array::from_fn(|_| random(&*self.entropy));
        let mut url = published.authorization;
        url.query_pairs_mut()
            .append_pair("response_type", "code")
            .append_pair("client_id", &self.settings.client_id)
            .append_pair("redirect_uri", redirect_uri)
            .append_pair("scope", &self.settings.scopes.join(" "))
            .append_pair("state", &state)
            .append_pair("nonce", &nonce)
            .append_pair("code_challenge", &token::challenge(&verifier))
            .append_pair("code_challenge_method", "S256");
        let pending = Pending {
            binding: binding_digest(binding),
            nonce,
            verifier,
            redirect_uri: redirect_uri.to_owned(),
            beginning,
            begun_at: self.clock.now(),
        };
        self.waiting().put(&state, pending);
        Ok(url.into())
    }

    /// Finishes a sign-in that this browser began. Whatever comes of it, the answer is used up.
    ///
    /// # Errors
    /// Why the provider vouches for nobody.
    pub async fn finish(&self, answer: ProviderAnswer<'_>, binding: Option<&Binding>) -> Result<Vouched, Failed> {
        let pending = self.waiting().take(answer.state, binding, self.clock.now()).ok_or(Failed::Stale)?;
        let _place = self.at_once.try_acquire().map_err(|_| Failed::Busy)?;
        let published = self.published().await?;
        match answer.issuer {
            Some(issuer) if issuer != self.settings.issuer => {
                return Err(Failed::Doubt("the answer names another issuer".to_owned()));
            }
            None if published.names_issuer => {
                return Err(Failed::Doubt("the answer does not name its issuer".to_owned()));
            }
            _ => {}
        }
        if let Some(error) = answer.error {
            return Err(Failed::Denied(refusal(error)));
        }
        let code = answer.code.filter(|code| !code.is_empty());
        let code = code.ok_or_else(|| Failed::Doubt("the answer holds no code".to_owned()))?;
        let given = self.buy(&published, code, &pending).await?;
        let id_token = given.id_token.ok_or_else(|| {
            Failed::Doubt("the token endpoint gives no id_token: is openid among the scopes?".to_owned())
        })?;
        let expected = Expected {
            issuer: &self.settings.issuer,
            client_id: &self.settings.client_id,
            nonce: &pending.nonce,
            access_token: given.access_token.as_deref(),
        };
        let (subject, claims) = self.believed(&id_token, expected, &published).await?;
        Ok(Vouched { issuer: self.settings.issuer.clone(), subject, claims, beginning: pending.beginning })
    }

    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn buy(&self, published: &Published, code: &str, pending: &Pending) -> Result<Given, Failed> {
        let mut form = vec![
            ("grant_type", "authorization_code"),
            ("code", code),
            ("redirect_uri", &pending.redirect_uri),
            ("code_verifier", &pending.verifier),
        ];
        let authorization = if published.secret_in_body {
            form.push(("client_id", &self.settings.client_id));
            form.push(("client_secret", &self.settings.client_secret));
            None
        } else {
            // RFC 6749 section 2.3.1: either is form-encoded before they are joined.
            let pair = [&self.settings.client_id, &self.settings.client_secret].map(|text| form_encoded(text));
            Some(format!("Basic {}", STANDARD.encode(pair.join(":"))))
        };
        let mut encoded = Url::parse("form:").expect("a constant address");
        encoded.query_pairs_mut().extend_pairs(form);
        let form = encoded.query().unwrap_or_default().to_owned();
        let said = self.asking.post(&published.token, form, authorization).await.map_err(Failed::Unavailable)?;
        match said.status {
            200 => read(&said, "the token endpoint's answer").map_err(Failed::Doubt),
            400..=499 => Err(Failed::Doubt(format!("the token endpoint refuses ({}): {}", said.status, why(&said)))),
            status => Err(Failed::Unavailable(format!("the token endpoint answers {status}"))),
        }
    }

    /// What the token says, once more with keys read anew where it names one that is not known.
    async fn believed(
        &self,
        id_token: &str,
        expected: Expected<'_>,
        published: &Published,
    ) -> Result<(String, serde_json::Map<String, serde_json::Value>), Failed> {
        let keys = self.keys(published, false).await?;
        let first = token::verify(id_token, &keys, expected, self.clock.now());
        let judged = match first {
            Err(Doubt::UnknownKey) => {
                let keys = self.keys(published, true).await?;
                token::verify(id_token, &keys, expected, self.clock.now())
            }
            judged => judged,
        };
        judged.map_err(|doubt| Failed::Doubt(doubt.to_string()))
    }

    async fn published(&self) -> Result<Published, Failed> {
        let mut kept = self.published.lock().await;
        let now = self.clock.now();
        if let Some(kept) = kept.as_ref().filter(|kept| kept.is_younger(KEPT_FOR, now)) {
            return Ok(kept.what.clone());
        }
        let said = self.asking.get(&self.discovery).await.map_err(Failed::Unavailable)?;
        let document: Document = read_ok(&said, "the provider's openid-configuration").map_err(Failed::Unavailable)?;
        let published = self.looked_at(&document).map_err(Failed::Unavailable)?;
        *kept = Some(Kept { what: published.clone(), read_at: now });
        Ok(published)
    }

    fn looked_at(&self, document: &Document) -> Result<Published, String> {
        if document.issuer != self.settings.issuer {
            return Err(
                "the provider's openid-configuration names another issuer: copy its issuer to the letter".into()
            );
        }
        let methods = document.token_endpoint_auth_methods_supported.as_deref();
        // `client_secret_basic` is what is meant where nothing is said (Discovery section 3).
        let secret_in_body = methods.is_some_and(|methods| {
            let offers = |wanted: &str| methods.iter().any(|method| method == wanted);
            offers("client_secret_post") && !offers("client_secret_basic")
        });
        Ok(Published {
            authorization: self.asking.address("authorization_endpoint", &document.authorization_endpoint)?,
            token: self.asking.address("token_endpoint", &document.token_endpoint)?,
            keys: self.asking.address("jwks_uri", &document.jwks_uri)?,
            secret_in_body,
            names_issuer: document.authorization_response_iss_parameter_supported,
        })
    }

    /// The provider's keys. `anew`: one that was named is not among them.
    async fn keys(&self, published: &Published, anew: bool) -> Result<Keys, Failed> {
        let mut kept = self.keys.lock().await;
        let now = self.clock.now();
        let young = if anew { FLOOR } else { KEPT_FOR };
        if let Some(kept) = kept.as_ref().filter(|kept| kept.is_younger(young, now)) {
            return Ok(kept.what.clone());
        }
        let read = match self.asking.get(&published.keys).await {
            Ok(said) if said.status == 200 => Keys::read(&said.body),
            Ok(said) => Err(format!("the provider's keys: it answers {}", said.status)),
            Err(problem) => Err(problem),
        };
        match (read, kept.as_ref()) {
            (Ok(keys), _) => {
                *kept = Some(Kept { what: keys.clone(), read_at: now });
                Ok(keys)
            }
            // The provider's trouble of a moment is no reason to send everybody away.
            (Err(_), Some(before)) if before.is_younger(USED_FOR, now) => Ok(before.what.clone()),
            (Err(problem), _) => Err(Failed::Unavailable(problem)),
        }
    }
}

fn read_ok<T: DeserializeOwned>(said: &Said, what: &str) -> Result<T, String> {
    if said.status != 200 {
        return Err(format!("{what}: it answers {}", said.status));
    }
    read(said, what)
}

fn read<T: DeserializeOwned>(said: &Said, what: &str) -> Result<T, String> {
    // What exactly is wrong may quote the answer, which holds tokens.
    serde_json::from_slice(&said.body).map_err(|_| format!("{what} does not have the form that is needed"))
}

/// The error of a token endpoint (RFC 6749 section 5.2), in words of ours.
fn why(said: &Said) -> &'static str {
    #[derive(Deserialize)]
    struct Refusal {
        error: String,
    }
    let refusal = serde_json::from_slice::<Refusal>(&said.body).map(|refusal| refusal.error);
    match refusal.as_deref() {
        Ok("invalid_client") => "it does not know client_id and client_secret",
        Ok("invalid_grant") => "the code is used up, over, or was given for another address",
        Ok("unauthorized_client") => "this application may not sign people in there",
        Ok("invalid_scope") => "it does not know the scopes",
        _ => "it gives no reason that is known here",
    }
}

fn form_encoded(text: &str) -> String {
    let mut encoded = Url::parse("form:").expect("a constant address");
    encoded.query_pairs_mut().append_key_only(text);
    encoded.query().unwrap_or_default().to_owned()
}
