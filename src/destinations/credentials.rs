//! What we show at a destination's door. Added to each request, never sealed, never stored, never printed.
//!
//! A refused credential is read anew once and tried once more; refused again, the destination is held
//! (delivery-semantics section 8). Several requests may be refused at the same moment with the same credential: each
//! carries the version it used, so that only the first of them causes a refresh and none a premature hold.

use std::fmt;
use std::future::Future;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use ::http::header::{AUTHORIZATION, COOKIE, SET_COOKIE};
use ::http::{HeaderMap, HeaderName, HeaderValue};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use data_encoding::HEXLOWER;
use reqwest::Url;

use super::csrf::Pairing;
use super::outcome::Wire;
use super::tokens::{Exchange, Tokens};
use crate::clock::{Entropy, Timestamp, later};
use crate::oauth1;

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
    /// A member of the query, added to each request and never sealed, stored or printed with its address.
    Query {
        /// Its name.
        name: String,
        /// The value.
        value: String,
    },
    /// A signature of each request (OAuth 1.0a).
    OAuth1 {
        /// What is signed with.
        credentials: oauth1::Credentials,
        /// Whose door it is, where the other side asks for that.
        realm: Option<String>,
    },
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
            OutboundAuth::Query { name, .. } => write!(formatter, "Query({name}=***)"),
            OutboundAuth::OAuth1 { realm, .. } => write!(formatter, "OAuth1(realm {realm:?}, ***)"),
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

/// What a request shows beside what was sealed of it.
#[derive(Clone, Default)]
pub struct Shown {
    /// Further headers.
    pub headers: HeaderMap,
    /// A further member of the query, name and value.
    pub query: Option<(String, String)>,
}

impl fmt::Debug for Shown {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<&str> = self.headers.keys().map(HeaderName::as_str).collect();
        let query = self.query.as_ref().map(|(name, _)| name.as_str());
        write!(formatter, "Shown({}, query {query:?}: ***)", names.join(", "))
    }
}

impl From<HeaderMap> for Shown {
    fn from(headers: HeaderMap) -> Self {
        Shown { headers, query: None }
    }
}

/// The request that something is shown for.
#[derive(Clone, Copy)]
pub struct Occasion<'a> {
    /// `GET`, …
    pub method: &'a str,
    /// Its address.
    pub url: &'a str,
    /// When.
    pub now: Timestamp,
    /// Chance, for a nonce.
    pub entropy: &'a dyn Entropy,
}

/// What was fetched, until a little before it ends or until it was refused. All requests that wait for it wait for one
/// fetch, and share what came of it: a wrong password goes out once, not once for each of them.
#[derive(Default)]
pub(super) struct Kept {
    kept: tokio::sync::Mutex<Option<Fetched>>,
    failed: Mutex<Failed>,
}

/// Fetches that came to nothing.
#[derive(Default)]
struct Failed {
    times: u64,
    /// Under which version of the credential the last one was, and what came instead.
    last: Option<(u64, Wire)>,
}

struct Fetched {
    version: u64,
    headers: HeaderMap,
    until: Timestamp,
}

impl Kept {
    /// The headers under that version of the credential; `fetch` is used where there are none, and says for how long its
    /// own are good.
    pub(super) async fn headers(
        &self,
        version: u64,
        now: Timestamp,
        fetch: impl Future<Output = Result<(HeaderMap, Duration), Wire>>,
    ) -> Result<HeaderMap, Wire> {
        let before = self.failed().times;
        let mut kept = self.kept.lock().await;
        // One that was fetched for a later version while this request waited is newer than what it asks for.
        if let Some(kept) = kept.as_ref().filter(|kept| kept.version >= version && now < kept.until) {
            return Ok(kept.headers.clone());
        }
        if let Some(wire) = self.failed().since(before, version) {
            return Err(wire);
        }
        let fetched = fetch.await;
        let (headers, lifetime) = fetched.inspect_err(|wire| self.failed().keep(version, wire))?;
        let early = (lifetime / 10).min(Duration::from_mins(1));
        let until = later(now, lifetime.saturating_sub(early));
        *kept = Some(Fetched { version, headers: headers.clone(), until });
        Ok(headers)
    }

    fn failed(&self) -> MutexGuard<'_, Failed> {
        self.failed.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Failed {
    fn keep(&mut self, version: u64, wire: &Wire) {
        self.times += 1;
        self.last = Some((version, wire.clone()));
    }

    /// What the last fetch came to, if it ended after so many others and is no older than what is asked for.
    fn since(&self, times: u64, version: u64) -> Option<Wire> {
        let (under, wire) = self.last.as_ref().filter(|_| self.times > times)?;
        (*under >= version).then(|| wire.clone())
    }
}

/// The cookies that an answer sets, name and value; one that is set twice is what was said last (RFC 6265 section 5.3).
pub(super) fn cookies_set(headers: &HeaderMap) -> Vec<(String, String)> {
    let set = headers.get_all(SET_COOKIE).iter().filter_map(|value| value.to_str().ok());
    let pairs = set.filter_map(|text| text.split(';').next()?.split_once('='));
    let mut cookies: Vec<(String, String)> = Vec::new();
    for (name, value) in pairs.map(|(name, value)| (name.trim(), value.trim())) {
        cookies.retain(|(known, _)| known != name);
        if !value.is_empty() {
            cookies.push((name.to_owned(), value.to_owned()));
        }
    }
    cookies
}

/// The credential in force.
pub struct Credentials {
    held: Mutex<Held>,
    reload: Option<Reload>,
    tokens: Option<Tokens>,
    pairing: Option<Pairing>,
}

struct Held {
    fixed: Fixed,
    version: u64,
    refreshed: bool,
}

/// What does not have to be fetched.
#[derive(Clone, Default)]
struct Fixed {
    shown: Shown,
    signs: Option<(oauth1::Credentials, Option<String>)>,
}

impl Credentials {
    /// Refuses what cannot stand in a header.
    pub fn new(auth: &OutboundAuth, reload: Option<Reload>) -> Result<Self, String> {
        let held = Held { fixed: fixed(auth)?, version: 0, refreshed: false };
        Ok(Credentials { held: Mutex::new(held), reload, tokens: None, pairing: None })
    }

    /// As [`Credentials::new`], with one that is fetched.
    pub fn fetched(tokens: Tokens) -> Self {
        let held = Held { fixed: Fixed::default(), version: 0, refreshed: false };
        Credentials { held: Mutex::new(held), reload: None, tokens: Some(tokens), pairing: None }
    }

    /// Every write shows a CSRF pair beside it.
    #[must_use]
    pub fn paired(self, pairing: Option<Pairing>) -> Self {
        Credentials { pairing, ..self }
    }

    /// What to show, with the version to report on.
    ///
    /// # Errors
    /// There is none now: what came when it was to be fetched, as it would have come for the request itself.
    pub async fn presented(&self, occasion: Occasion<'_>) -> (u64, Result<Shown, Wire>) {
        let (version, Fixed { mut shown, signs }) = {
            let held = self.lock();
            (held.version, held.fixed.clone())
        };
        if let Some((credentials, realm)) = signs {
            match signature(&credentials, realm.as_deref(), occasion) {
                Ok(header) => shown.headers.insert(AUTHORIZATION, header),
                Err(problem) => return (version, Err(Wire::Forbidden(problem))),
            };
        }
        if let Some(tokens) = &self.tokens {
            // Rare and large: what every attempt keeps meanwhile should be small.
            match Box::pin(tokens.headers(version, occasion.now)).await {
                Ok(headers) => shown.headers = headers,
                Err(wire) => return (version, Err(wire)),
            }
        }
        if let Some(pairing) = self.pairing.as_ref().filter(|_| Pairing::wants(occasion.method)) {
            match Box::pin(pairing.headers(version, occasion.now, shown.headers.clone())).await {
                Ok(pair) => add(&mut shown.headers, pair),
                Err(wire) => return (version, Err(wire)),
            }
        }
        (version, Ok(shown))
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
        let fresh = self.reload.as_ref().and_then(|reload| reload()).and_then(|auth| fixed(&auth).ok());
        let mut held = self.lock();
        held.version += 1;
        held.refreshed = true;
        if let Some(fixed) = fresh {
            held.fixed = fixed;
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

/// Cookies of both stand in one header.
fn add(headers: &mut HeaderMap, more: HeaderMap) {
    let cookies: Vec<&str> =
        [&*headers, &more].into_iter().filter_map(|some| some.get(COOKIE)?.to_str().ok()).collect();
    let joined = if cookies.len() == 2 { HeaderValue::from_str(&cookies.join("; ")).ok() } else { None };
    headers.extend(more);
    if let Some(mut cookies) = joined {
        cookies.set_sensitive(true);
        headers.insert(COOKIE, cookies);
    }
}

fn signature(
    credentials: &oauth1::Credentials,
    realm: Option<&str>,
    occasion: Occasion<'_>,
) -> Result<HeaderValue, String> {
    let url = Url::parse(occasion.url).map_err(|_| "not sent: the sealed URL is none".to_owned())?;
    let mut nonce = [0_u8; 16];
    occasion.entropy.fill(&mut nonce);
    let signed = oauth1::Signed::new(occasion.method, &url);
    let header = credentials.header(realm, signed, &HEXLOWER.encode(&nonce), occasion.now.as_second());
    let mut value = HeaderValue::from_str(&header).map_err(|_| "the credential cannot stand in a header".to_owned())?;
    value.set_sensitive(true);
    Ok(value)
}

fn fixed(auth: &OutboundAuth) -> Result<Fixed, String> {
    let (query, signs) = match auth {
        OutboundAuth::Query { name, value } if name.is_empty() || value.is_empty() => {
            return Err("the name or the value of a credential in the query is empty".to_owned());
        }
        OutboundAuth::Query { name, value } => (Some((name.clone(), value.clone())), None),
        OutboundAuth::OAuth1 { credentials, realm } => (None, Some((credentials.clone(), realm.clone()))),
        _ => (None, None),
    };
    Ok(Fixed { shown: Shown { headers: headers(auth)?, query }, signs })
}

fn headers(auth: &OutboundAuth) -> Result<HeaderMap, String> {
    let mut headers = HeaderMap::new();
    let (name, text) = match auth {
        OutboundAuth::None | OutboundAuth::Fetched(_) | OutboundAuth::Query { .. } | OutboundAuth::OAuth1 { .. } => {
            return Ok(headers);
        }
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

    use crate::clock::{SeededEntropy, from_micros};

    async fn presented(credentials: &Credentials) -> (u64, Shown) {
        let entropy = SeededEntropy::new(1);
        let url = "https://erp.example.com/orders?q=a%20b";
        let occasion = Occasion { method: "POST", url, now: from_micros(0), entropy: &entropy };
        let (version, shown) = credentials.presented(occasion).await;
        (version, shown.unwrap())
    }

    #[tokio::test]
    async fn a_wrong_password_goes_out_once_for_all_who_wait_for_it() {
        let (kept, asked) = (Kept::default(), std::sync::atomic::AtomicU32::new(0));
        let fetch = || async {
            asked.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
            tokio::task::yield_now().await;
            Err(Wire::NotSent("no credential".to_owned()))
        };
        let now = from_micros(0);
        let all = tokio::join!(
            kept.headers(0, now, fetch()),
            kept.headers(0, now, fetch()),
            kept.headers(0, now, fetch()),
            kept.headers(1, now, fetch()),
        );
        assert!(all.0.is_err() && all.1.is_err() && all.2.is_err() && all.3.is_err());
        let times = || asked.load(std::sync::atomic::Ordering::SeqCst);
        assert_eq!(times(), 2, "once for the version it was, once for the one read anew");
        assert!(kept.headers(1, now, fetch()).await.is_err());
        assert_eq!(times(), 3, "who comes later asks again");
    }

    #[test]
    fn a_cookie_that_is_set_twice_is_what_was_said_last() {
        let mut headers = HeaderMap::new();
        for set in ["sid=old; Path=/", "node=1", "sid=new; Secure", "gone=x", "gone=; Max-Age=0", "nonsense"] {
            headers.append(SET_COOKIE, HeaderValue::from_static(set));
        }
        let cookies = cookies_set(&headers);
        let pairs: Vec<_> = cookies.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        assert_eq!(pairs, [("node", "1"), ("sid", "new")]);
    }

    #[tokio::test]
    async fn a_signature_is_made_anew_for_each_request_and_a_query_credential_stands_beside_the_address() {
        let keys = ["ck", "cs", "tk", "ts"].map(str::to_owned);
        let [consumer_key, consumer_secret, access_token, access_token_secret] = keys;
        let credentials = oauth1::Credentials { consumer_key, consumer_secret, access_token, access_token_secret };
        let auth = OutboundAuth::OAuth1 { credentials: credentials.clone(), realm: Some("123_SB1".into()) };
        let (_, shown) = presented(&Credentials::new(&auth, None).unwrap()).await;
        let header = shown.headers["authorization"].to_str().unwrap().to_owned();
        let part = |name: &str| {
            let from = header.split(&format!("{name}=\"")).nth(1).unwrap();
            from.split('"').next().unwrap().to_owned()
        };
        let own = [
            ("oauth_consumer_key", "ck"),
            ("oauth_nonce", &part("oauth_nonce")),
            ("oauth_signature_method", "HMAC-SHA256"),
            ("oauth_timestamp", "0"),
            ("oauth_token", "tk"),
            ("oauth_version", "1.0"),
        ];
        let url = Url::parse("https://erp.example.com/orders?q=a%20b").unwrap();
        let base = oauth1::base_string(oauth1::Signed::new("POST", &url), &own);
        assert_eq!(part("oauth_signature"), oauth1::encode(&oauth1::sign("cs&ts", &base)));
        assert_eq!(part("realm"), "123_SB1");
        assert!(shown.headers["authorization"].is_sensitive() && !format!("{auth:?}").contains("ts"));

        let auth = OutboundAuth::Query { name: "patchworks_signature".into(), value: "s3cr3t&x".into() };
        let (_, shown) = presented(&Credentials::new(&auth, None).unwrap()).await;
        assert_eq!(shown.query, Some(("patchworks_signature".into(), "s3cr3t&x".into())));
        assert!(shown.headers.is_empty() && !format!("{auth:?}").contains("s3cr3t"));
        let empty = OutboundAuth::Query { name: "k".into(), value: String::new() };
        assert!(Credentials::new(&empty, None).is_err());
    }

    #[test]
    fn cookies_of_login_and_pair_stand_in_one_header() {
        let with = |cookie: &'static str| HeaderMap::from_iter([(COOKIE, HeaderValue::from_static(cookie))]);
        let mut headers = with("a=1");
        add(&mut headers, with("b=2; c=3"));
        assert_eq!(headers[COOKIE], "a=1; b=2; c=3");
        let mut headers = HeaderMap::new();
        add(&mut headers, with("b=2"));
        assert_eq!(headers[COOKIE], "b=2");
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
        let (first, _) = presented(&credentials).await;
        assert_eq!(credentials.judge(first), CredentialUse::First);
        credentials.refresh();
        assert_eq!(credentials.judge(first), CredentialUse::Stale);
        let (second, shown) = presented(&credentials).await;
        assert_eq!(shown.headers["authorization"], "Bearer new");
        assert_eq!(credentials.judge(second), CredentialUse::Refreshed);
        credentials.accepted();
        assert_eq!(credentials.judge(second), CredentialUse::First);
    }
}
