//! `crossdock commerce`: is our registration in Commerce right, make it, and try it out.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};
use clap::{Args, Subcommand};

use super::{Outcome, Shared, open, print};
use crate::app::registering::{Line, absent, hook, list, registered, rests, shown, standing, verify};
use crate::commerce::registration::{self, Standing};
use crate::commerce::rest::Call;
use crate::config::{Config, Edition, OriginSettings, OriginType};
use crate::intake::signature::sign::CommerceSigner;

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
