//! How a contact is told: a signed webhook, Slack, Teams, a Patchworks flow, or e-mail ([`super::email`]).
//!
//! Every way is walked under the rules of destinations (DAT-5): no redirects, private addresses only where they are named,
//! bounded answers. An address that is a secret itself (Slack, Teams, a flow's trigger) appears in no message, log or view.

use std::fmt;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue};
use reqwest::Url;

use super::email::{Email, EmailSettings};
use super::notice::{Notice, one_line};
use crate::clock::Timestamp;
use crate::destinations::http::retry_after::{self, RetryAfter};
use crate::destinations::private::destination_url;
use crate::destinations::signing::Signing;
use crate::destinations::tls::Tls;
use crate::destinations::transport::Transport;
use crate::destinations::{
    self, AttemptOutcome, BodyEnd, Destination, Network, RecipeSettings, Shown, Wait, Wire, profiles,
};
use crate::envelope::keys::{Digest, IdempotencyKey};
use crate::store::write::SealedRequest;

/// A text that never prints itself.
#[derive(Clone)]
pub struct Hidden(pub String);

impl fmt::Debug for Hidden {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("***")
    }
}

/// The way to an address.
#[derive(Clone, Debug)]
pub struct Door {
    /// Where.
    pub url: Hidden,
    /// Private addresses that may be called.
    pub allow_private: Vec<Network>,
    /// Longest wait for an answer.
    pub timeout: Duration,
}

impl Door {
    fn settings(&self, name: &str) -> destinations::Settings {
        destinations::Settings {
            allow_private: self.allow_private.clone(),
            connect_timeout: self.timeout.min(Duration::from_secs(5)),
            request_timeout: self.timeout,
            concurrency: 2,
            tls: Tls::default(),
            ..destinations::Settings::new(name, &self.url.0)
        }
    }

    fn open(&self, name: &str) -> Result<(Url, Transport), Vec<String>> {
        let url = destination_url(&self.url.0, &self.allow_private).map_err(|found| self.without_address(found))?;
        let transport = Transport::new(&self.settings(name), &url).map_err(|problem| vec![problem])?;
        Ok((url, transport))
    }

    /// Whether it can be used.
    ///
    /// # Errors
    /// Every problem, without the address.
    pub fn check(&self) -> Result<(), Vec<String>> {
        self.open("check").map(drop)
    }

    /// Problems name the URL, which is the secret.
    fn without_address(&self, found: Vec<String>) -> Vec<String> {
        found.into_iter().map(|problem| problem.replace(&self.url.0, "***")).collect()
    }

    /// Scheme and host: what is not secret of it.
    fn host(&self) -> String {
        let host = Url::parse(&self.url.0).ok();
        host.map_or_else(|| "***".to_owned(), |url| format!("{}/…", url.origin().ascii_serialization()))
    }
}

/// How a contact is told.
#[derive(Clone, Debug)]
pub enum ChannelSettings {
    /// The notice itself, signed as Standard Webhooks says.
    Webhook {
        /// Where.
        door: Door,
        /// With what it is signed.
        signing: Option<Signing>,
    },
    /// An incoming webhook.
    Slack {
        /// Where.
        door: Door,
    },
    /// A workflow that is started by a webhook.
    Teams {
        /// Where.
        door: Door,
    },
    /// A flow, by the start API or by its webhook trigger.
    Patchworks {
        /// Where.
        door: Door,
        /// The flow's id; `None`: the address is a webhook trigger.
        flow: Option<String>,
        /// The API key of the start API.
        key: Option<Hidden>,
        /// With what it is signed (`X-HMAC-HASH`).
        signing: Option<Signing>,
    },
    /// A mail server.
    Email(EmailSettings),
}

impl ChannelSettings {
    /// The word in the configuration.
    pub fn kind(&self) -> &'static str {
        match self {
            ChannelSettings::Webhook { .. } => "webhook",
            ChannelSettings::Slack { .. } => "slack",
            ChannelSettings::Teams { .. } => "teams",
            ChannelSettings::Patchworks { .. } => "patchworks",
            ChannelSettings::Email(_) => "email",
        }
    }

    /// Where it leads, without what is secret of it.
    pub fn address(&self) -> String {
        match self {
            ChannelSettings::Webhook { door, .. }
            | ChannelSettings::Slack { door }
            | ChannelSettings::Teams { door }
            | ChannelSettings::Patchworks { door, .. } => door.host(),
            ChannelSettings::Email(email) => email.address(),
        }
    }
}

/// What became of one try.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Sent {
    /// The channel took it.
    Accepted {
        /// What it said.
        answer: String,
    },
    /// Not now.
    Later {
        /// In words, without secrets.
        why: String,
        /// It asked for so long a wait.
        after: Option<Duration>,
    },
    /// Not like this.
    Refused {
        /// In words, without secrets.
        why: String,
    },
}

/// A contact that can be told.
pub enum Channel {
    /// By a request of ours.
    Http(Box<Http>),
    /// By starting a flow.
    Flow(Box<Flow>),
    /// By e-mail.
    Email(Box<Email>),
}

/// A request of ours.
pub struct Http {
    url: Url,
    transport: Transport,
    style: Style,
    signing: Option<Signing>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Style {
    Plain,
    Slack,
    Teams,
}

/// A Patchworks flow.
pub struct Flow {
    destination: Destination,
    key: Option<HeaderValue>,
}

impl Channel {
    /// Checks everything.
    ///
    /// # Errors
    /// Every problem, without a secret.
    pub fn new(name: &str, settings: &ChannelSettings) -> Result<Self, Vec<String>> {
        let http = |door: &Door, style, signing: Option<&Signing>| {
            let (url, transport) = door.open(name)?;
            Ok(Channel::Http(Box::new(Http { url, transport, style, signing: signing.cloned() })))
        };
        match settings {
            ChannelSettings::Webhook { door, signing } => http(door, Style::Plain, signing.as_ref()),
            ChannelSettings::Slack { door } => http(door, Style::Slack, None),
            ChannelSettings::Teams { door } => http(door, Style::Teams, None),
            ChannelSettings::Patchworks { door, flow, key, signing } => {
                Flow::new(name, door, flow.as_deref(), key.as_ref(), signing.as_ref())
                    .map(|flow| Channel::Flow(Box::new(flow)))
            }
            ChannelSettings::Email(email) => Email::new(email).map(|email| Channel::Email(Box::new(email))),
        }
    }

    /// Tells. `id` is the same at every try, so that who hears twice can know.
    pub async fn send(&self, id: &str, notice: &Notice, now: Timestamp) -> Sent {
        match self {
            Channel::Http(http) => http.send(id, notice, now).await,
            Channel::Flow(flow) => flow.send(id, notice, now).await,
            Channel::Email(email) => email.send(id, notice).await,
        }
    }
}

impl Http {
    async fn send(&self, id: &str, notice: &Notice, now: Timestamp) -> Sent {
        let body = match self.style {
            Style::Plain => plain(notice),
            Style::Slack => notice.slack().to_string().into(),
            Style::Teams => notice.teams().to_string().into(),
        };
        let headers = self.signing.as_ref().map(|signing| signing.headers(id, now, &body)).unwrap_or_default();
        let request = request("POST", &self.url, id, body);
        let (wire, _) = self.transport.send(&request, Shown::from(headers)).await;
        let sent = read(&wire, now);
        // Connectors of the old kind answer 200 with the failure in words.
        match sent {
            Sent::Accepted { answer } if self.style == Style::Teams && answer.contains("delivery failed") => {
                Sent::Later { why: answer, after: None }
            }
            sent => sent,
        }
    }
}

fn plain(notice: &Notice) -> Bytes {
    serde_json::to_vec(notice).expect("a notice is plain data").into()
}

fn request(method: &str, url: &Url, id: &str, body: Bytes) -> SealedRequest {
    let header = |name: &str, value: &str| (name.to_owned(), value.to_owned());
    SealedRequest {
        method: method.to_owned(),
        url: url.as_str().to_owned(),
        headers: vec![
            header("content-type", "application/json"),
            header("user-agent", concat!("crossdock/", env!("CARGO_PKG_VERSION"))),
            header("idempotency-key", &format!("\"{id}\"")),
        ],
        digest: Digest::of(&body),
        body,
        body_is_document: false,
    }
}

/// What an answer, or its absence, means for a message: a second one is a nuisance, a lost one is worse.
fn read(wire: &Wire, now: Timestamp) -> Sent {
    match wire {
        Wire::Answered(response) => {
            let status = response.status;
            let said: String = one_line(&wire.excerpt().unwrap_or_default()).trim().chars().take(120).collect();
            let answer = if said.is_empty() { format!("status {status}") } else { format!("status {status}: {said}") };
            let after = match retry_after::parse(&response.headers, now) {
                RetryAfter::Floor(floor) => Some(floor),
                RetryAfter::Absent | RetryAfter::Ignored => None,
            };
            match status {
                200..=299 if response.end != BodyEnd::CutOff => Sent::Accepted { answer },
                200..=299 | 408 | 425 | 429 | 500..=599 => Sent::Later { why: answer, after },
                _ => Sent::Refused { why: answer },
            }
        }
        Wire::Forbidden(why) => Sent::Refused { why: why.clone() },
        Wire::NoCredential(refused) => Sent::Later { why: refused.detail.clone(), after: refused.wait.floor },
        Wire::NotSent(why) | Wire::Lost(why) => Sent::Later { why: why.clone(), after: None },
    }
}

impl Flow {
    fn new(
        name: &str,
        door: &Door,
        flow: Option<&str>,
        key: Option<&Hidden>,
        signing: Option<&Signing>,
    ) -> Result<Self, Vec<String>> {
        let profile = if flow.is_some() { "patchworks" } else { "patchworks-webhook" };
        let shipped = profiles::shipped(profile).expect("the profiles of Patchworks are shipped");
        let with = flow.map(|flow| ("flow".to_owned(), flow.into()));
        let recipe = RecipeSettings {
            said: toml::from_str(shipped.recipe).expect("a test reads every recipe that is shipped"),
            with: with.into_iter().collect(),
            settle_after: Duration::from_mins(1),
            accepts_differences: false,
        };
        let settings =
            destinations::Settings { recipe: Some(recipe), signing: signing.cloned(), ..door.settings(name) };
        let destination = Destination::new(settings).map_err(|found| door.without_address(found))?;
        let key = key.map(|key| {
            let mut value =
                HeaderValue::from_str(&key.0).map_err(|_| vec!["key cannot be sent in a header".to_owned()])?;
            value.set_sensitive(true);
            Ok::<_, Vec<String>>(value)
        });
        Ok(Flow { destination, key: key.transpose()? })
    }

    async fn send(&self, id: &str, notice: &Notice, now: Timestamp) -> Sent {
        // The recipe starts a flow with any document; that it is made for orders is its word for "do it".
        const PURPOSE: &str = "order.create";
        let rendered = self.destination.render(PURPOSE, &plain(notice), &IdempotencyKey::from_stored(id), "{}");
        let request = match rendered {
            Ok(request) => request,
            Err(why) => return Sent::Refused { why },
        };
        let signed = self.destination.signing().map(|signing| signing.headers(id, now, &request.body));
        let mut headers: HeaderMap = signed.unwrap_or_default();
        headers.extend(self.key.clone().map(|key| (HeaderName::from_static("authorization"), key)));
        let wire = self.destination.send(&request, headers).await;
        let outcome = self.destination.read(PURPOSE, &wire, now);
        let detail = one_line(&outcome.detail());
        match outcome {
            AttemptOutcome::Accepted(_) | AttemptOutcome::AlreadyApplied(_) => Sent::Accepted { answer: detail },
            AttemptOutcome::Rejected(_) | AttemptOutcome::Credential { .. } => Sent::Refused { why: detail },
            AttemptOutcome::Throttled { wait, .. }
            | AttemptOutcome::Unavailable { wait, .. }
            | AttemptOutcome::Uncertain { wait, .. } => Sent::Later { why: detail, after: floor(wait) },
            AttemptOutcome::Deferred { free_in } => Sent::Later { why: detail, after: Some(free_in) },
        }
    }
}

fn floor(wait: Wait) -> Option<Duration> {
    wait.floor
}

/// Asks an address whose answer does not matter but for its status.
pub(super) struct Ping {
    url: Url,
    transport: Transport,
}

impl Ping {
    pub(super) fn new(door: &Door) -> Result<Self, Vec<String>> {
        let (url, transport) = door.open("dead_man")?;
        Ok(Ping { url, transport })
    }

    pub(super) async fn ping(&self, now: Timestamp) -> Sent {
        let request = SealedRequest {
            headers: vec![("user-agent".to_owned(), concat!("crossdock/", env!("CARGO_PKG_VERSION")).to_owned())],
            ..request("GET", &self.url, "", Bytes::new())
        };
        read(&self.transport.send(&request, Shown::default()).await.0, now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::destinations::ResponseSeen;

    fn answered(status: u16, retry_after: Option<&'static str>, body: &'static str) -> Wire {
        let mut headers = HeaderMap::new();
        headers.extend(retry_after.map(|wait| (http::header::RETRY_AFTER, HeaderValue::from_static(wait))));
        Wire::Answered(ResponseSeen { status, headers, body: body.into(), end: BodyEnd::Complete })
    }

    #[test]
    fn what_an_answer_means_for_a_message() {
        let now = crate::clock::from_micros(0);
        let is = |wire: Wire| match read(&wire, now) {
            Sent::Accepted { .. } => "accepted".to_owned(),
            Sent::Later { after, .. } => format!("later {after:?}"),
            Sent::Refused { .. } => "refused".to_owned(),
        };
        for (wire, expected) in [
            (answered(200, None, "ok"), "accepted"),
            (answered(202, None, ""), "accepted"),
            (answered(429, Some("7"), "rate_limited"), "later Some(7s)"),
            (answered(503, None, ""), "later None"),
            (answered(404, None, "no_service"), "refused"),
            (answered(302, None, ""), "refused"),
            (Wire::Lost("reset".to_owned()), "later None"),
            (Wire::NotSent("refused".to_owned()), "later None"),
            (Wire::Forbidden("private".to_owned()), "refused"),
        ] {
            assert_eq!(is(wire), expected);
        }
        let Sent::Refused { why } = read(&answered(404, None, "no_service\r\nX: y"), now) else { panic!("refused") };
        assert_eq!(why, "status 404: no_service  X: y");
    }

    #[test]
    fn dat_3_an_address_that_is_a_secret_is_shown_nowhere() {
        let secret = "https://hooks.slack.com/services/T000/B000/verysecret";
        let door = Door { url: Hidden(secret.to_owned()), allow_private: Vec::new(), timeout: Duration::from_secs(5) };
        let settings = ChannelSettings::Slack { door: door.clone() };
        assert_eq!(settings.address(), "https://hooks.slack.com/…");
        assert!(!format!("{settings:?}").contains("verysecret"));
        let broken = Door { url: Hidden("http://10.0.0.1/verysecret".to_owned()), ..door };
        let problems = Channel::new("ops", &ChannelSettings::Teams { door: broken }).err().unwrap().join("; ");
        assert!(!problems.contains("verysecret") && problems.contains("allow_private"), "{problems}");
        let nonsense =
            Door { url: Hidden("verysecret".to_owned()), allow_private: Vec::new(), timeout: Duration::ZERO };
        let problems = Channel::new("ops", &ChannelSettings::Slack { door: nonsense }).err().unwrap().join("; ");
        assert!(!problems.contains("verysecret"), "{problems}");
    }
}
