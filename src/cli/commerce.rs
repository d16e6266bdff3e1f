//! `crossdock commerce`: is our registration in Commerce right, make it, and try it out.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use clap::{Args, Subcommand};
use serde::Serialize;

use super::{Outcome, Shared, open, print};
use crate::clock::{Entropy as _, SharedEntropy, SystemEntropy};
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

/// What is done.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  crossdock commerce list\n  crossdock commerce subscribe --origin hooks --url https://crossdock.example.com --dry-run\n  \
                        crossdock commerce verify --origin hooks --url https://crossdock.example.com\n\n\
                        Exit code 1 when something is missing or wrong."
)]
pub struct Commerce {
    #[command(subcommand)]
    act: Act,
}

#[derive(Debug, Subcommand)]
enum Act {
    /// Show how the registrations of every origin of Commerce stand
    #[command(after_help = "Example:\n  crossdock commerce list --url https://crossdock.example.com --json")]
    List {
        /// Only this origin
        #[arg(long, value_name = "NAME")]
        origin: Option<String>,
        /// Where Commerce reaches us, without /in/…
        #[arg(long, value_name = "URL")]
        url: Option<String>,
    },
    /// Register an origin in Commerce where that is missing, and print what to do where REST cannot
    #[command(
        after_help = "Examples:\n  crossdock commerce subscribe --origin hooks --url https://crossdock.example.com --dry-run\n  \
                            crossdock commerce subscribe --origin hooks --url https://crossdock.example.com --xml\n\n\
                            What is there and differs is shown and left alone: correct it in the admin, or remove it there\n\
                            and subscribe again."
    )]
    Subscribe {
        /// The origin; see `origins` in the configuration
        #[arg(long, value_name = "NAME")]
        origin: String,
        /// Where Commerce reaches us, without /in/…
        #[arg(long, value_name = "URL")]
        url: String,
        /// Change nothing, and show what would be sent
        #[arg(long)]
        dry_run: bool,
        /// Change nothing, and print the XML for a module or app/etc
        #[arg(long)]
        xml: bool,
    },
    /// Send ourselves a test as Commerce or a flow would, and explain each step that fails
    #[command(
        after_help = "Examples:\n  crossdock commerce verify --origin hooks\n  crossdock commerce verify --origin flows --url https://crossdock.example.com\n\n\
                            The test is verified like any other request, and nothing is made of it. Without --url the\n\
                            address is the one the service listens at, which says nothing about the way through the internet."
    )]
    Verify {
        /// The origin; see `origins` in the configuration
        #[arg(long, value_name = "NAME")]
        origin: String,
        /// Where the service is reached, without /in/…
        #[arg(long, value_name = "URL")]
        url: Option<String>,
        /// A private key (PEM, PKCS #8) whose public half is among `public_keys`: signs the test as Commerce does
        #[arg(long, value_name = "FILE")]
        private_key: Option<PathBuf>,
    },
}

/// One line of the report.
#[derive(Debug, Serialize)]
struct Line {
    verdict: &'static str,
    origin: String,
    what: &'static str,
    detail: String,
}

impl Line {
    fn new(verdict: &'static str, origin: &str, what: &'static str, detail: impl Into<String>) -> Line {
        Line { verdict, origin: origin.to_owned(), what, detail: detail.into() }
    }
}

/// Does it, and prints what was found.
pub async fn run(verb: Commerce, shared: &Shared) -> anyhow::Result<Outcome> {
    let config = open::config(shared)?.config;
    let lines = match verb.act {
        Act::List { origin, url } => {
            if let Some(origin) = &origin {
                known(&config, origin)?;
            }
            list(&config, origin.as_deref(), url.as_deref().map(base).transpose()?).await?
        }
        Act::Subscribe { origin, url, xml: true, .. } => {
            let origin = known(&config, &origin)?;
            print::out(&by_hand(&config, origin, base(&url)?)?)?;
            return Ok(Outcome::Done);
        }
        Act::Subscribe { origin, url, dry_run, xml: false } => {
            let origin = known(&config, &origin)?;
            let lines = subscribe(&config, origin, base(&url)?, dry_run).await?;
            if !shared.json && lines.iter().any(|line| matches!(line.verdict, "unknown" | "failed")) {
                eprintln!("What to do by hand:\n\n{}", by_hand(&config, origin, &url)?);
            }
            lines
        }
        Act::Verify { origin, url, private_key } => {
            let url = url.as_deref().map(base).transpose()?;
            let signer = private_key.map(|path| signer(&path)).transpose()?;
            let origin = known(&config, &origin)?;
            let mut lines = verify(&config, origin, url, signer.as_ref()).await?;
            lines.extend(registered(&config, origin, url).await?);
            lines
        }
    };
    if shared.json {
        print::json(&lines)?;
    } else if lines.is_empty() {
        eprintln!("no origin of type commerce-webhook or commerce-events is configured");
    } else {
        let widest = lines.iter().map(|line| line.origin.chars().count()).max().unwrap_or(0);
        let told = |line: &Line| {
            let Line { verdict, origin, what, detail } = line;
            format!("{verdict:<8} {origin:<widest$}  {what:<12}  {}\n", print::visible(detail))
        };
        print::out(&lines.iter().map(told).collect::<String>())?;
    }
    let fine = lines.iter().all(|line| matches!(line.verdict, "ok" | "note"));
    Ok(if fine && !lines.is_empty() { Outcome::Done } else { Outcome::Findings })
}

fn known<'c>(config: &'c Config, origin: &str) -> anyhow::Result<&'c OriginSettings> {
    let names = || config.origins.keys().cloned().collect::<Vec<_>>().join(", ");
    config.origins.get(origin).with_context(|| format!("there is no origin {origin}; there are: {}", names()))
}

/// An address without a path of ours behind it.
fn base(url: &str) -> anyhow::Result<&str> {
    let parsed = reqwest::Url::parse(url)
        .map_err(|error| anyhow::anyhow!("--url {url} is no address ({error}); write https://crossdock.example.com"))?;
    if !matches!(parsed.scheme(), "http" | "https") || !parsed.has_host() {
        bail!("--url {url} is no web address; write https://crossdock.example.com");
    }
    if parsed.query().is_some() || parsed.fragment().is_some() || parsed.path().contains("/in/") {
        bail!("--url {url} has more than an address: write it without /in/… and without a query");
    }
    Ok(url.trim_end_matches('/'))
}

fn signer(path: &Path) -> anyhow::Result<CommerceSigner> {
    let text = std::fs::read_to_string(path).with_context(|| format!("{} cannot be read", path.display()))?;
    CommerceSigner::from_private_pem(&text).map_err(|problem| anyhow::anyhow!("{}: {problem}", path.display()))
}

/// The file and the commands, or the steps in the admin where an edition has no files.
fn by_hand(config: &Config, origin: &OriginSettings, url: &str) -> anyhow::Result<String> {
    let events = origin.kind == OriginType::CommerceEvents;
    let saas = config.commerce.get(&origin.commerce).is_some_and(|commerce| commerce.edition == Edition::Saas);
    Ok(match (events, saas) {
        (true, true) => registration::event_steps(),
        (false, true) => registration::hook_steps(&hook(config, origin, url)?),
        (true, false) => registration::event_xml(),
        (false, false) => hook(config, origin, url)?.xml(),
    })
}

fn rests(config: &Config) -> anyhow::Result<BTreeMap<String, SharedRest>> {
    let entropy: SharedEntropy = std::sync::Arc::new(SystemEntropy);
    crate::app::commerce_of(config, &open::clock(), &entropy)
}

/// The hook that an origin wants; its headers are those of the first way in that has any. Another way in is another hook's.
fn hook(config: &Config, origin: &OriginSettings, url: &str) -> anyhow::Result<Hook> {
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

async fn list(config: &Config, only: Option<&str>, url: Option<&str>) -> anyhow::Result<Vec<Line>> {
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
async fn registered(config: &Config, origin: &OriginSettings, url: Option<&str>) -> anyhow::Result<Vec<Line>> {
    if !matches!(origin.kind, OriginType::CommerceWebhook | OriginType::CommerceEvents) {
        return Ok(Vec::new());
    }
    let addressed = url.is_some() || origin.kind == OriginType::CommerceEvents;
    Ok(match standing(config, &rests(config)?, origin, url).await {
        Err(reason) => vec![Line::new("note", &origin.name, "registration", format!("not compared: {reason}"))],
        standing => shown(&origin.name, standing, addressed),
    })
}

async fn standing(
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
fn absent(error: &RestError) -> String {
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

fn shown(origin: &str, standing: Result<Standing, String>, addressed: bool) -> Vec<Line> {
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

async fn subscribe(config: &Config, origin: &OriginSettings, url: &str, dry_run: bool) -> anyhow::Result<Vec<Line>> {
    let events = origin.kind == OriginType::CommerceEvents;
    let (path, body) = if events {
        ("/V1/eventing/eventSubscribe", registration::event_body())
    } else {
        ("/V1/webhooks/subscribe", hook(config, origin, url)?.body())
    };
    let rests = rests(config)?;
    let standing = standing(config, &rests, origin, Some(url)).await;
    let missing = standing == Ok(Standing::Missing);
    let mut lines = shown(&origin.name, standing, true);
    if missing && dry_run {
        let mut shown = body;
        if let Some(headers) = shown.pointer_mut("/webhook/headers").and_then(serde_json::Value::as_array_mut) {
            for header in headers {
                header["value"] = "…".into();
            }
        }
        lines.push(Line::new("note", &origin.name, "would send", format!("POST {path} {shown}")));
    } else if missing {
        let rest = rests.get(&origin.commerce).context("asked a moment ago")?;
        // Never tried again by itself: two calls at once overwrite each other's subscriptions in Commerce.
        lines = match rest.call(Call::post(path, body.to_string())).await {
            Ok(_) => shown(&origin.name, self::standing(config, &rests, origin, Some(url)).await, true),
            Err(error) => vec![Line::new("failed", &origin.name, "registration", absent(&error))],
        };
    }
    if events {
        let address = format!("{}/in/{}", url.trim_end_matches('/'), origin.name);
        let words =
            format!("register {address} as webhook of the project's registration in the Adobe Developer Console");
        lines.push(Line::new("note", &origin.name, "next", words));
    } else {
        let saas = config.commerce.get(&origin.commerce).is_some_and(|commerce| commerce.edition == Edition::Saas);
        if !saas {
            let commands = registration::commands(events).trim_end().replace('\n', "; ");
            lines.push(Line::new("note", &origin.name, "then type", commands));
        }
        let words = "sign the requests: Stores > Configuration > Adobe Services > Webhooks, Enabled = Yes, Regenerate key \
                     pair; copy the public key into public_keys";
        lines.push(Line::new("note", &origin.name, "next", words));
    }
    Ok(lines)
}

async fn verify(
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
    let body = format!(r#"{{"subject":[],"eventName":"{PROBE}","data":{{"at":"{}"}}}}"#, open::clock().now());
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
            let (id, now) =
                (format!("msg_{}", data_encoding::HEXLOWER.encode(&bytes)), open::clock().now().as_second());
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
