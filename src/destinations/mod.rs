//! The other side of the bay: what a destination is, what we send it and how its answers are read.
//!
//! The cast. A [`Destination`] is whole and valid, or it was refused by [`Destination::new`]. It *renders* a canonical
//! document into a sealed request (KEY-5), *sends* sealed requests through its own [`transport`], and *reads* what came
//! back into an [`AttemptOutcome`] (delivery-semantics section 8). Its [`profile`] says how the other side speaks;
//! [`http`] is the one that posts the canonical document as it stands. [`private`] keeps requests away from addresses
//! nobody named (DAT-5), [`credentials`] holds what is shown at the door and never sealed.
//!
//! Deliberately absent: retries, schedules and state. What an outcome leads to is decided by `delivery::machine`; a
//! destination answers one question at a time and remembers nothing but its credential.

pub mod batch;
pub mod credentials;
pub mod csrf;
pub mod find;
pub mod http;
pub mod limits;
pub mod outcome;
pub mod private;
pub mod profile;
pub mod profiles;
pub mod recipe;
pub mod signing;
pub mod tls;
pub mod tokens;
pub mod transport;

use std::collections::BTreeMap;
use std::time::Duration;

use ::http::HeaderName;
use bytes::Bytes;
use reqwest::Url;

use crate::clock::Timestamp;
use crate::envelope::keys::IdempotencyKey;
use crate::store::write::SealedRequest;

pub use batch::Batch;
pub use credentials::{CredentialUse, Credentials, Occasion, OutboundAuth, Reload, Shown};
use csrf::Pairing;
pub use find::{Find, FindSettings, Finding, Sought};
pub use http::read::ExistsRule;
pub use limits::{Account, ClosedHours, Limits};
pub use outcome::{AttemptOutcome, BodyEnd, Health, Mark, Receipt, Rejection, ResponseSeen, Wait, Wire};
pub use private::Network;
use profile::{Profile, RecipeProfile};
use recipe::said::RecipeSaid;
use recipe::{Recipe, Work};
use signing::Signing;
use tls::Tls;
use tokens::Tokens;
pub use transport::Late;
use transport::Transport;

/// What protects the destination from a second effect (delivery-semantics section 1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Guard {
    /// It stores our idempotency key for that long.
    Key {
        /// Never zero (RET-7).
        window: Duration,
    },
    /// It refuses a second record with the same external id.
    Unique,
    /// It can be asked by our reference.
    Find,
    /// Nothing.
    None,
}

/// What configuration says about one destination of profile `http`.
#[derive(Clone)]
pub struct Settings {
    /// Configured name.
    pub name: String,
    /// Where documents are posted.
    pub url: String,
    /// What protects it from doubles.
    pub guard: Guard,
    /// What we show at its door.
    pub auth: OutboundAuth,
    /// Our signature on every request, if it wants one.
    pub signing: Option<Signing>,
    /// Reads the credential anew when it was refused; `None` where it cannot change while we run.
    pub reload: Option<Reload>,
    /// Whom we believe it to be, and who we are to it.
    pub tls: Tls,
    /// ATT-3: longest wait for a connection.
    pub connect_timeout: Duration,
    /// ATT-3: longest wait for the whole answer.
    pub request_timeout: Duration,
    /// An idle connection is closed after this. Short, because a server that closes first turns our next request into
    /// an uncertain one; Node's default is 5 s.
    pub idle_timeout: Duration,
    /// Requests under way at once.
    pub concurrency: u32,
    /// How often it may be asked, and when not.
    pub limits: Limits,
    /// What it shares with other destinations.
    pub account: Option<Account>,
    /// Another destination that every order reaches first, if it is to go there at all.
    pub after: Option<String>,
    /// How many records go out together; `None`: each alone.
    pub batch: Option<Batch>,
    /// RET-1: pauses after failure 1, 2, …; one attempt more than pauses.
    pub retry_delays: Vec<Duration>,
    /// RET-2.
    pub age_limit: Duration,
    /// Private addresses that may be called; nothing else private ever is.
    pub allow_private: Vec<Network>,
    /// The destination promises that a 5xx never took effect: without it a 5xx on a write is uncertain.
    pub five_xx_never_applies: bool,
    /// Where a success body carries the destination's own number: JSON pointers, tried before the usual ones.
    pub receipt: Vec<String>,
    /// Header that carries the idempotency key.
    pub key_header: String,
    /// How to look whether a record is there; guards `find` and `unique` need it.
    pub find: Option<FindSettings>,
    /// What it answers for a record that it has already; `None`: 409 under the guards `find` and `unique`.
    pub already_exists: Option<ExistsRule>,
    /// How it is spoken to, if not by posting the canonical document.
    pub recipe: Option<RecipeSettings>,
    /// Answers in place of the network.
    #[cfg(test)]
    pub simulated: Option<SimulatedNetwork>,
}

/// A recipe and what a destination sets of it.
#[derive(Clone, Debug)]
pub struct RecipeSettings {
    /// The recipe.
    pub said: RecipeSaid,
    /// Its settings.
    pub with: BTreeMap<String, serde_json::Value>,
    /// How long the destination may take until a record shows (UNC-4).
    pub settle_after: Duration,
    /// Amounts that differ there are told and accepted; else a person decides.
    pub accepts_differences: bool,
}

/// What the simulation puts in place of the network.
#[cfg(test)]
pub type SimulatedNetwork =
    std::sync::Arc<dyn Fn(reqwest::Request) -> std::pin::Pin<Box<dyn Future<Output = Wire> + Send>> + Send + Sync>;

impl Settings {
    /// The defaults of delivery-semantics with the guard `none`.
    pub fn new(name: &str, url: &str) -> Self {
        Settings {
            name: name.to_owned(),
            url: url.to_owned(),
            guard: Guard::None,
            auth: OutboundAuth::None,
            signing: None,
            reload: None,
            tls: Tls::default(),
            connect_timeout: Duration::from_secs(5),
            request_timeout: Duration::from_secs(30),
            idle_timeout: Duration::from_secs(4),
            concurrency: 8,
            limits: Limits::default(),
            account: None,
            after: None,
            batch: None,
            retry_delays: default_retry_delays(),
            age_limit: Duration::from_hours(7 * 24),
            allow_private: Vec::new(),
            five_xx_never_applies: false,
            receipt: Vec::new(),
            key_header: "idempotency-key".to_owned(),
            find: None,
            already_exists: None,
            recipe: None,
            #[cfg(test)]
            simulated: None,
        }
    }
}

/// RET-1: 14 attempts in about 76 hours.
pub fn default_retry_delays() -> Vec<Duration> {
    [2, 10, 30, 120, 600, 1_800, 3_600, 7_200, 14_400, 28_800, 43_200, 86_400, 86_400].map(Duration::from_secs).to_vec()
}

/// A destination we can deliver to.
///
/// Invariants: its URL passes the address guard as far as that can be known without a look-up, a key guard has a
/// window, the guards `find` and `unique` can look, concurrency and time-outs are not zero.
pub struct Destination {
    name: String,
    url: Url,
    guard: Guard,
    profile: Profile,
    credentials: Credentials,
    signing: Option<Signing>,
    transport: Transport,
    /// To further hosts that a recipe asks.
    others: Vec<Transport>,
    find: Option<(Find, Option<Transport>)>,
    request_timeout: Duration,
    concurrency: u32,
    limits: Limits,
    account: Option<Account>,
    after: Option<String>,
    batch: Option<Batch>,
    retry_delays: Vec<Duration>,
    age_limit: Duration,
}

impl Destination {
    /// Checks everything and reports every problem at once, each a sentence.
    pub fn new(settings: Settings) -> Result<Self, Vec<String>> {
        let mut problems = numbers(&settings);
        problems.extend(guard_problem(&settings));
        let url = private::destination_url(&settings.url, &settings.allow_private)
            .map_err(|found| problems.extend(found))
            .ok();
        let key_header = HeaderName::from_bytes(settings.key_header.to_ascii_lowercase().as_bytes())
            .map_err(|_| problems.push(format!("key_header \"{}\" is not a header name", settings.key_header)))
            .ok();
        problems.extend(
            settings
                .receipt
                .iter()
                .filter(|pointer| !pointer.starts_with('/'))
                .map(|pointer| format!("receipt \"{pointer}\" is not a JSON pointer: it starts with a slash")),
        );
        let pairing = url.as_ref().map_or_else(|| Ok(None), |url| pairing(&settings, url));
        let pairing = pairing.map_err(|found| problems.push(found)).ok();
        let credentials = credentials_of(&settings).map_err(|found| problems.extend(found)).ok();
        let credentials = credentials.zip(pairing).map(|(credentials, pairing)| credentials.paired(pairing));
        let transport =
            url.as_ref().and_then(|url| Transport::new(&settings, url).map_err(|problem| problems.push(problem)).ok());
        let find = look(&settings, url.as_ref()).map_err(|found| problems.extend(found)).ok();
        let (Some(url), Some(key_header), Some(credentials), Some(transport), Some(find)) =
            (url, key_header, credentials, transport, find)
        else {
            return Err(problems);
        };
        if !problems.is_empty() {
            return Err(problems);
        }
        let mut others = Vec::new();
        let profile = match &settings.recipe {
            Some(said) => {
                let recipe = Recipe::new(said.said.clone(), &said.with, &url)?;
                for host in recipe.hosts() {
                    let host = private::destination_url(host.as_str(), &settings.allow_private)?;
                    others.push(Transport::new(&settings, &host).map_err(|problem| vec![problem])?);
                }
                let recipe = recipe.accepting_differences(said.accepts_differences);
                Profile::Recipe(Box::new(RecipeProfile {
                    recipe,
                    settings: said.clone(),
                    settle_after: said.settle_after,
                }))
            }
            None => Profile::Http(http::HttpProfile {
                key_header: key_header.as_str().to_owned(),
                reading: http::read::Rules {
                    receipt: settings.receipt,
                    five_xx_never_applies: settings.five_xx_never_applies,
                    already_exists: settings.already_exists,
                },
            }),
        };
        if settings.batch.is_some() {
            let recipe = match &profile {
                Profile::Recipe(profile) => Some(&profile.recipe),
                Profile::Http(_) => None,
            };
            let problems = batch::problems(matches!(settings.guard, Guard::Key { .. }), recipe);
            if !problems.is_empty() {
                return Err(problems);
            }
        }
        Ok(Destination {
            name: settings.name,
            url,
            guard: settings.guard,
            profile,
            credentials,
            signing: settings.signing,
            transport,
            others,
            find,
            request_timeout: settings.request_timeout,
            concurrency: settings.concurrency,
            limits: settings.limits,
            account: settings.account,
            after: settings.after,
            batch: settings.batch,
            retry_delays: settings.retry_delays,
            age_limit: settings.age_limit,
        })
    }

    /// Configured name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// What protects it from doubles.
    pub fn guard(&self) -> Guard {
        self.guard
    }

    /// Requests under way at once.
    pub fn concurrency(&self) -> u32 {
        self.concurrency
    }

    /// How often it may be asked, and when not.
    pub fn limits(&self) -> &Limits {
        &self.limits
    }

    /// What it shares with other destinations.
    pub fn account(&self) -> Option<&Account> {
        self.account.as_ref()
    }

    /// Another destination that every order reaches first, if it is to go there at all.
    pub fn after(&self) -> Option<&str> {
        self.after.as_deref()
    }

    /// How many records go out together, if not each alone.
    pub fn batch(&self) -> Option<&Batch> {
        self.batch.as_ref()
    }

    /// Longest wait for an answer.
    pub fn request_timeout(&self) -> Duration {
        self.request_timeout
    }

    /// RET-1: pauses after failure 1, 2, ….
    pub fn retry_delays(&self) -> &[Duration] {
        &self.retry_delays
    }

    /// RET-2.
    pub fn age_limit(&self) -> Duration {
        self.age_limit
    }

    /// Our signature on every request, if it wants one.
    pub fn signing(&self) -> Option<&Signing> {
        self.signing.as_ref()
    }

    /// What is shown at its door.
    pub fn credentials(&self) -> &Credentials {
        &self.credentials
    }

    /// Where it is.
    pub fn url(&self) -> &Url {
        &self.url
    }

    /// The request as it will go out on every attempt (KEY-5), from a document and what its steps found. Total and without
    /// side effects.
    ///
    /// # Errors
    /// Why it cannot be put in the destination's words.
    pub fn render(
        &self,
        purpose: &str,
        document: &Bytes,
        key: &IdempotencyKey,
        found: &str,
    ) -> Result<SealedRequest, String> {
        match &self.profile {
            Profile::Http(profile) => Ok(http::render::render(profile, self.url.as_str(), document, key)),
            Profile::Recipe(profile) => {
                let work = Work::new(purpose, document, key)?;
                profile.recipe.create(&work, &recipe::found(found))
            }
        }
    }

    /// How it is spoken to in steps, if it is.
    pub fn recipe(&self) -> Option<&RecipeProfile> {
        match &self.profile {
            Profile::Http(_) => None,
            Profile::Recipe(profile) => Some(profile),
        }
    }

    /// Whether something has to be asked there before that purpose can be put in its words.
    pub fn prepares(&self, purpose: &str) -> bool {
        self.recipe().is_some_and(|profile| profile.recipe.prepares(purpose))
    }

    /// How long until a record shows there and whether it is looked for before the first send; `None`: it cannot be asked.
    pub fn looking(&self) -> Option<(Duration, bool)> {
        match &self.profile {
            Profile::Http(_) => self.find().map(|find| (find.settle_after(), find.first())),
            Profile::Recipe(profile) => {
                profile.recipe.looks_for("order.create").then_some((profile.settle_after, true))
            }
        }
    }

    /// Sends sealed bytes with what belongs to this attempt alone: the credential and `extra`.
    pub async fn send(&self, request: &SealedRequest, extra: impl Into<Shown>) -> Wire {
        let other = self.others.iter().find(|other| other.leads_to(&request.url));
        other.unwrap_or(&self.transport).send(request, extra.into()).await.0
    }

    /// As [`Destination::send`], with the answer that was not there in time, should it still come.
    pub async fn send_and_keep(&self, request: &SealedRequest, extra: impl Into<Shown>) -> (Wire, Option<Late>) {
        self.transport.send(request, extra.into()).await
    }

    /// How to look, if it can be asked.
    pub fn find(&self) -> Option<&Find> {
        self.find.as_ref().map(|(find, _)| find)
    }

    /// Whether deliveries of that purpose can be looked for here.
    pub fn looks_for(&self, purpose: &str) -> bool {
        match &self.profile {
            Profile::Http(_) => self.find().is_some_and(|find| find.looks_for(purpose)),
            Profile::Recipe(profile) => profile.recipe.looks_for(purpose),
        }
    }

    /// Asks whether a record is there, with what belongs to this attempt alone.
    pub async fn ask(&self, sought: &Sought, extra: impl Into<Shown>) -> Wire {
        let own = self.find.as_ref().and_then(|(_, transport)| transport.as_ref());
        own.unwrap_or(&self.transport).send(&sought.request, extra.into()).await.0
    }

    /// What the answer, or its absence, means (delivery-semantics section 8, for a write).
    pub fn read(&self, purpose: &str, wire: &Wire, now: Timestamp) -> AttemptOutcome {
        match wire {
            Wire::Answered(response) => match &self.profile {
                Profile::Http(profile) => http::read::read(&profile.reading, self.guard, response, now),
                Profile::Recipe(profile) => profile.recipe.read_create(purpose, wire, self.guard, now).0,
            },
            Wire::Forbidden(detail) => {
                AttemptOutcome::Rejected(Rejection { mark: Mark::Configuration, status: None, detail: detail.clone() })
            }
            Wire::NoCredential(refused) => refused.outcome(),
            Wire::NotSent(detail) => {
                AttemptOutcome::Unavailable { detail: format!("not sent: {detail}"), wait: Wait::default() }
            }
            Wire::Lost(detail) => AttemptOutcome::Uncertain { detail: detail.clone(), wait: Wait::default() },
        }
    }
}

/// What is shown at the door; one that is fetched is fetched by a way of its own, under the same rules (DAT-5).
fn credentials_of(settings: &Settings) -> Result<Credentials, Vec<String>> {
    let OutboundAuth::Fetched(exchange) = &settings.auth else {
        return Credentials::new(&settings.auth, settings.reload.clone()).map_err(|problem| vec![problem]);
    };
    exchange.check().map_err(|problem| vec![format!("auth: {problem}")])?;
    let named = |found: Vec<String>| found.into_iter().map(|problem| format!("auth: {problem}")).collect::<Vec<_>>();
    let url = private::destination_url(exchange.url(), &settings.allow_private).map_err(named)?;
    let transport = Transport::new(settings, &url).map_err(|problem| vec![problem])?;
    Ok(Credentials::fetched(Tokens::new(exchange.clone(), transport)))
}

/// The pair that every write shows, if the recipe says so.
fn pairing(settings: &Settings, url: &Url) -> Result<Option<Pairing>, String> {
    let Some(csrf) = settings.recipe.as_ref().and_then(|recipe| recipe.said.csrf.as_ref()) else { return Ok(None) };
    let header = HeaderName::from_bytes(csrf.header.to_ascii_lowercase().as_bytes())
        .map_err(|_| format!("csrf: \"{}\" is not a header name", csrf.header))?;
    let address = format!("{}{}", url.as_str().trim_end_matches('/'), csrf.path);
    let there = Url::parse(&address).ok().filter(|there| there.origin() == url.origin());
    let there = there.ok_or_else(|| format!("csrf: \"{}\" is no path of the destination", csrf.path))?;
    let transport = Transport::new(settings, &there)?;
    Ok(Some(Pairing::new(there.into(), header, transport)))
}

/// How to look, with a transport of its own where that is another host.
fn look(settings: &Settings, url: Option<&Url>) -> Result<Option<(Find, Option<Transport>)>, Vec<String>> {
    let Some(how) = &settings.find else { return Ok(None) };
    let find = Find::new(how.clone(), &settings.allow_private)?;
    let base = find.base()?;
    let same = url.is_some_and(|url| url.origin() == base.origin());
    let transport = if same { None } else { Some(Transport::new(settings, &base).map_err(|problem| vec![problem])?) };
    Ok(Some((find, transport)))
}

fn guard_problem(settings: &Settings) -> Option<String> {
    match settings.guard {
        Guard::Key { window } if window.is_zero() => {
            Some("guard = \"key\" needs a key_window: how long the destination remembers a key (RET-7)".to_owned())
        }
        Guard::Unique | Guard::Find if settings.find.is_none() && settings.recipe.is_none() => {
            Some("guards \"unique\" and \"find\" must be able to look: say how under find".to_owned())
        }
        Guard::Key { .. } | Guard::Unique | Guard::Find | Guard::None => None,
    }
}

fn numbers(settings: &Settings) -> Vec<String> {
    let durations = [
        ("connect_timeout", settings.connect_timeout),
        ("request_timeout", settings.request_timeout),
        ("idle_timeout", settings.idle_timeout),
        ("age_limit", settings.age_limit),
    ];
    let mut problems: Vec<String> = durations
        .iter()
        .filter(|(_, value)| value.is_zero())
        .map(|(name, _)| format!("{name} must be longer than nothing"))
        .collect();
    if settings.name.is_empty() {
        problems.push("a destination needs a name".to_owned());
    }
    if !(1..=1_024).contains(&settings.concurrency) {
        problems.push(format!("concurrency is {}: it must lie between 1 and 1024", settings.concurrency));
    }
    if settings.retry_delays.iter().any(Duration::is_zero) {
        problems.push("a retry delay of nothing would flood the destination".to_owned());
    }
    problems
}

#[cfg(test)]
pub(crate) mod double;
#[cfg(test)]
mod tests;
