//! Whether an origin would be reached as its configuration says: what Commerce has registered, and a request of our own by the
//! same way. For `crossdock commerce` and `origins`, and for the console's *Check now*.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use serde::Serialize;

use crate::clock::{Clock as _, Entropy as _, SharedClock, SharedEntropy, SystemClock, SystemEntropy};
use crate::commerce::registration::{self, Hook, PROBE, Standing};
use crate::commerce::rest::{Call, RestError, SharedRest};
use crate::config::{AuthSetting, Config, Edition, OriginSettings, OriginType};
use crate::intake::signature::sign::{COMMERCE_SIGNATURE, CommerceSigner, hmac_hex, standard_webhooks};

/// Commerce waits no longer for a webhook's answer than what we recommend.
const SLOW: Duration = Duration::from_secs(2);
/// Over this Commerce writes a notice.
const SOFT: Duration = Duration::from_millis(500);
/// Longest wait for our own service.
const PATIENCE: Duration = Duration::from_secs(10);

/// One line of the report.
#[derive(Clone, Debug, Serialize)]
pub struct Line {
    /// `ok`, `note`, `untried`, `unknown`, `missing`, `differs`, `failed`.
    pub verdict: &'static str,
    /// The origin.
    pub origin: String,
    /// What was looked at.
    pub what: &'static str,
    /// What was found, in a sentence.
    pub detail: String,
}

impl Line {
    /// A line.
    pub fn new(verdict: &'static str, origin: &str, what: &'static str, detail: impl Into<String>) -> Line {
        Line { verdict, origin: origin.to_owned(), what, detail: detail.into() }
    }
}

/// The Commerce instances that can be asked.
///
/// # Errors
/// When one cannot be used as it is configured.
pub fn rests(config: &Config) -> anyhow::Result<BTreeMap<String, SharedRest>> {
    let clock: SharedClock = std::sync::Arc::new(SystemClock);
    let entropy: SharedEntropy = std::sync::Arc::new(SystemEntropy);
    crate::app::commerce_of(config, &clock, &entropy)
}

/// The hook that an origin wants; its headers are those of the first way in that has any. Another way in is another hook's.
///
/// # Errors
/// When nothing of that origin is registered in Commerce.
pub fn hook(config: &Config, origin: &OriginSettings, url: &str) -> anyhow::Result<Hook> {
    if origin.kind != OriginType::CommerceWebhook {
        bail!("{} is an origin of type {}: nothing of it is registered in Commerce", origin.name, origin.kind.as_str());
    }
    let url = url.trim_end_matches('/');
    let mut headers = Vec::new();
    for auth in &origin.auth {
        if headers.is_empty() {
            header_of(auth, &mut headers);
        }
    }
    let saas = config.commerce.get(&origin.commerce).is_some_and(|commerce| commerce.edition == Edition::Saas);
    Ok(Hook {
        name: format!("{}_orders", origin.name.replace('-', "_")),
        saas,
        url: format!("{url}/in/{}/orders", origin.name),
        headers,
    })
}

fn header_of(auth: &AuthSetting, into: &mut Vec<(String, String)>) {
    match auth {
        AuthSetting::Header { name, values } => {
            into.extend(values.iter().next().map(|value| (name.to_string(), value.value.expose().clone())));
        }
        AuthSetting::All(parts) => parts.iter().for_each(|part| header_of(part, into)),
        _ => {}
    }
}

/// How the registrations of every origin of Commerce stand, or of one.
///
/// # Errors
/// When an instance cannot be used as it is configured.
pub async fn list(config: &Config, only: Option<&str>, url: Option<&str>) -> anyhow::Result<Vec<Line>> {
    let rests = rests(config)?;
    let mut lines = Vec::new();
    for origin in config.origins.values().filter(|origin| only.is_none_or(|only| only == origin.name)) {
        if matches!(origin.kind, OriginType::CommerceWebhook | OriginType::CommerceEvents) {
            let standing = standing(config, &rests, origin, url).await;
            lines.extend(shown(&origin.name, standing, url.is_some() || origin.kind == OriginType::CommerceEvents));
        }
    }
    Ok(lines)
}

/// What Commerce itself says of the registration: whether it is required, how long it waits, what it carries. Nothing is
/// said of it where Commerce cannot be asked; the way in was tried all the same.
///
/// # Errors
/// When an instance cannot be used as it is configured.
pub async fn registered(config: &Config, origin: &OriginSettings, url: Option<&str>) -> anyhow::Result<Vec<Line>> {
    if !matches!(origin.kind, OriginType::CommerceWebhook | OriginType::CommerceEvents) {
        return Ok(Vec::new());
    }
    let addressed = url.is_some() || origin.kind == OriginType::CommerceEvents;
    Ok(match standing(config, &rests(config)?, origin, url).await {
        Err(reason) => vec![Line::new("note", &origin.name, "registration", format!("not compared: {reason}"))],
        standing => shown(&origin.name, standing, addressed),
    })
}

/// How an origin's registration stands in Commerce.
///
/// # Errors
/// Why that cannot be told.
pub async fn standing(
    config: &Config,
    rests: &BTreeMap<String, SharedRest>,
    origin: &OriginSettings,
    url: Option<&str>,
) -> Result<Standing, String> {
    let rest = rests.get(&origin.commerce).ok_or_else(|| {
        format!(
            "[commerce.{}] has no base_url, so Commerce cannot be asked; `subscribe --xml` prints the file",
            origin.commerce
        )
    })?;
    if origin.kind == OriginType::CommerceEvents {
        let listed =
            rest.call(Call::get("/V1/eventing/getEventSubscriptions")).await.map_err(|error| absent(&error))?;
        return registration::event_standing(&listed.body);
    }
    let hook =
        hook(config, origin, url.unwrap_or("https://crossdock.example.com")).map_err(|error| error.to_string())?;
    let listed = rest.call(Call::get("/V1/webhooks/list")).await.map_err(|error| absent(&error))?;
    hook.standing(&listed.body)
}

/// The call is not there without the module, and not allowed without the resource.
pub fn absent(error: &RestError) -> String {
    match error {
        RestError::NotFound(_) => {
            "Commerce does not offer registration over REST: the module is missing or older than \
                                   that; `subscribe --xml` prints the file"
                .to_owned()
        }
        RestError::Unauthorized(words) => format!(
            "{words} (registering takes Magento_AdobeCommerceWebhooks::webhooks_list and \
             Magento_AdobeCommerceEventsClient::event_subscribe)"
        ),
        other => other.to_string(),
    }
}

/// The standing in lines; without an address of ours what it calls is not compared.
pub fn shown(origin: &str, standing: Result<Standing, String>, addressed: bool) -> Vec<Line> {
    match standing {
        Err(reason) => vec![Line::new("unknown", origin, "registration", reason)],
        Ok(Standing::Missing) => vec![Line::new("missing", origin, "registration", "Commerce knows none of ours")],
        Ok(Standing::Right) => vec![Line::new("ok", origin, "registration", "as it should be")],
        Ok(Standing::Other(points)) => {
            let points = points.into_iter().filter(|point| addressed || !point.starts_with("it calls "));
            let lines: Vec<Line> = points.map(|point| Line::new("differs", origin, "registration", point)).collect();
            if lines.is_empty() { vec![Line::new("ok", origin, "registration", "as it should be")] } else { lines }
        }
    }
}

/// Sends ourselves a test as the origin's sender would, by `url` or else by where the service listens.
///
/// # Errors
/// When no HTTP client can be made.
pub async fn verify(
    config: &Config,
    origin: &OriginSettings,
    url: Option<&str>,
    own_key: Option<&CommerceSigner>,
) -> anyhow::Result<Vec<Line>> {
    let listens = format!("http://{}", config.server.listen);
    let base = url.unwrap_or(&listens).trim_end_matches('/');
    let name = origin.name.as_str();
    let http = reqwest::Client::builder().redirect(reqwest::redirect::Policy::none()).timeout(PATIENCE);
    let http = http.build().context("no HTTP client can be made")?;
    if origin.kind == OriginType::CommerceEvents {
        return Ok(challenged(&http, name, base).await);
    }
    let address = if origin.kind == OriginType::CommerceWebhook { "orders" } else { "orders?test=1" };
    let address = format!("{base}/in/{name}/{address}");
    let mut lines = Vec::new();
    let body = format!(r#"{{"subject":[],"eventName":"{PROBE}","data":{{"at":"{}"}}}}"#, SystemClock.now());
    match post(&http, &address, &body, &[]).await {
        Err(reason) => {
            lines.push(Line::new("failed", name, "reachable", format!("{address}: {reason}")));
            return Ok(lines);
        }
        Ok(Reply { status: 401, .. }) => {
            lines.push(Line::new("ok", name, "guarded", "a request without credentials is refused"));
        }
        Ok(Reply { status: 404, .. }) => {
            let words =
                format!("{address} answers 404: the service that runs has no such origin, or a proxy cuts the path");
            lines.push(Line::new("failed", name, "reachable", words));
            return Ok(lines);
        }
        Ok(Reply { status, .. }) => {
            let words =
                format!("a request without credentials is answered {status} instead of 401: who answers there?");
            lines.push(Line::new("failed", name, "guarded", words));
        }
    }
    let mut signed = false;
    for auth in &origin.auth {
        let Some(headers) = credentials(auth, &body, own_key) else { continue };
        signed = true;
        lines.extend(tried(name, post(&http, &address, &body, &headers).await));
    }
    if !signed {
        let words = "not tried: only Commerce holds the key that signs. Press Test Webhook there and look at \
                     `crossdock capture` or the log here, or add a key of your own to public_keys and name its private half \
                     with --private-key";
        lines.push(Line::new("untried", name, "signature", words));
    }
    Ok(lines)
}

/// What became of a test with credentials. A flow is told that the test is no record, which only who was let in is.
fn tried(name: &str, answer: Result<Reply, String>) -> Vec<Line> {
    let Reply { status, took, body } = match answer {
        Ok(answer) => answer,
        Err(reason) => return vec![Line::new("failed", name, "credentials", reason)],
    };
    let mut lines = vec![match status {
        200..=299 => Line::new("ok", name, "credentials", "the test was let in, and nothing is made of it"),
        // A flow is told that the test is no record; a 422 of somebody else's says nothing of us.
        422 if body.contains("\"results\"") => {
            Line::new("ok", name, "credentials", "the test was let in, and nothing is made of it")
        }
        401 | 403 => Line::new(
            "failed",
            name,
            "credentials",
            "the service refuses what this configuration says: it runs with another one, or something on the way changes \
             the body or drops the header",
        ),
        413 => {
            Line::new("failed", name, "credentials", "something on the way, or body_bytes_max, lets no body through")
        }
        503 => Line::new("failed", name, "credentials", "the service takes nothing in now: see `crossdock doctor`"),
        other => Line::new("failed", name, "credentials", format!("answered {other}")),
    }];
    let words = format!("answered within {} ms", took.as_millis());
    if took > SOFT && took < SLOW {
        let words = "that is over the soft timeout we recommend: Commerce writes a notice at each order";
        lines.push(Line::new("note", name, "time", words));
    }
    lines.push(if took < SLOW {
        Line::new("ok", name, "time", words)
    } else {
        Line::new(
            "failed",
            name,
            "time",
            format!("{words}: a shopper would wait that long; Commerce gives up after its timeout"),
        )
    });
    lines
}

/// What shows one way in, as far as we hold what it takes.
fn credentials(auth: &AuthSetting, body: &str, signer: Option<&CommerceSigner>) -> Option<Vec<(String, String)>> {
    let first = |values: &crate::config::Secrets| values.iter().next().map(|value| value.value.expose().clone());
    Some(match auth {
        AuthSetting::RsaSignature { signed, .. } => {
            vec![(COMMERCE_SIGNATURE.to_owned(), signer?.sign(body.as_bytes(), *signed))]
        }
        AuthSetting::Header { name, values } => vec![(name.to_string(), first(values)?)],
        AuthSetting::Bearer { tokens } => vec![("authorization".to_owned(), format!("Bearer {}", first(tokens)?))],
        AuthSetting::Basic { user, passwords } => {
            let encoded = data_encoding::BASE64.encode(format!("{user}:{}", first(passwords)?).as_bytes());
            vec![("authorization".to_owned(), format!("Basic {encoded}"))]
        }
        AuthSetting::Hmac { header, secrets } => {
            vec![(header.to_string(), hmac_hex(&first(secrets)?, body.as_bytes()))]
        }
        AuthSetting::StandardWebhooks { secrets } => {
            let mut bytes = [0; 12];
            SystemEntropy.fill(&mut bytes);
            let (id, now) = (format!("msg_{}", data_encoding::HEXLOWER.encode(&bytes)), SystemClock.now().as_second());
            let signature = standard_webhooks(&first(secrets)?, &id, now, body.as_bytes())?;
            vec![
                ("webhook-id".to_owned(), id),
                ("webhook-timestamp".to_owned(), now.to_string()),
                ("webhook-signature".to_owned(), signature),
            ]
        }
        AuthSetting::All(parts) => {
            let parts: Option<Vec<_>> = parts.iter().map(|part| credentials(part, body, signer)).collect();
            parts?.concat()
        }
    })
}

/// An answer to a test.
struct Reply {
    status: u16,
    took: Duration,
    body: String,
}

async fn post(
    http: &reqwest::Client,
    address: &str,
    body: &str,
    headers: &[(String, String)],
) -> Result<Reply, String> {
    let begun = Instant::now();
    let mut request = http.post(address).header("content-type", "application/json").body(body.to_owned());
    for (name, value) in headers {
        request = request.header(name, value);
    }
    let response = request.send().await.map_err(|error| unreached(&error))?;
    let (status, took) = (response.status().as_u16(), begun.elapsed());
    Ok(Reply { status, took, body: response.text().await.unwrap_or_default() })
}

/// Adobe's challenge, as it comes when a registration is saved.
async fn challenged(http: &reqwest::Client, name: &str, base: &str) -> Vec<Line> {
    let mut bytes = [0; 8];
    SystemEntropy.fill(&mut bytes);
    let challenge = data_encoding::HEXLOWER.encode(&bytes);
    let address = format!("{base}/in/{name}?challenge={challenge}");
    let answer = match http.get(&address).send().await {
        Ok(response) => (response.status().as_u16(), response.text().await.unwrap_or_default()),
        Err(error) => return vec![Line::new("failed", name, "reachable", format!("{address}: {}", unreached(&error)))],
    };
    let mut lines = vec![if answer == (200, challenge) {
        Line::new("ok", name, "challenge", "answered as Adobe wants it")
    } else {
        let words =
            format!("answered {} with something else than the challenge: Adobe would not register it", answer.0);
        Line::new("failed", name, "challenge", words)
    }];
    let words = "Adobe alone signs events: save the registration, then look at `crossdock orders` or the log";
    lines.push(Line::new("note", name, "signature", words));
    lines
}

fn unreached(error: &reqwest::Error) -> String {
    if error.is_timeout() {
        return format!("no answer within {} s", PATIENCE.as_secs());
    }
    let mut cause: &dyn std::error::Error = error;
    while let Some(deeper) = cause.source() {
        cause = deeper;
    }
    format!("not reached: {cause}; is the service running, and is the address the one a load balancer serves?")
}

/// Everything that can be told of an origin from here: the way in, and what Commerce has registered. `listens` is where the
/// service is reached on this machine; the way through the internet is tried where `server.public_url` says which it is.
///
/// # Errors
/// When no HTTP client can be made, or an instance cannot be used as it is configured.
pub async fn check(config: &Config, origin: &OriginSettings, listens: &str) -> anyhow::Result<Vec<Line>> {
    let public = config.server.public_url.as_deref();
    let mut lines = verify(config, origin, Some(public.unwrap_or(listens)), None).await?;
    if public.is_none() {
        let words = "[server] public_url is not set: the way in was tried on this machine and not through the internet";
        lines.push(Line::new("note", &origin.name, "address", words));
    }
    lines.extend(registered(config, origin, public).await?);
    Ok(lines)
}
