//! What one attempt came to: first as it was seen on the wire, then as what it means.

use std::time::Duration;

use ::http::HeaderMap;
use bytes::Bytes;

/// What was seen on the wire.
#[derive(Clone, Debug)]
pub enum Wire {
    /// A status line and headers came back.
    Answered(ResponseSeen),
    /// The request may not leave: its address or host is not one we may call. No byte was sent.
    Forbidden(String),
    /// What we would have shown at the door was refused us where it is fetched. No byte of the request was sent, so no
    /// rule for its answers speaks of this.
    NoCredential(Box<CredentialRefused>),
    /// No request byte left: look-up, connect or TLS failed, or the connection closed before the request was begun.
    NotSent(String),
    /// Anything else. In doubt it is this one: bytes may have arrived and may have taken effect.
    Lost(String),
}

/// The place where a credential is fetched gave none.
#[derive(Clone, Debug)]
pub struct CredentialRefused {
    /// Its status.
    pub status: u16,
    /// One sentence, with nothing of the answer in it that could repeat a secret.
    pub detail: String,
    /// How long to wait, where it asks us to slow down.
    pub wait: Wait,
}

impl CredentialRefused {
    /// What that means for whatever was to be sent.
    pub fn outcome(&self) -> AttemptOutcome {
        let (detail, wait) = (self.detail.clone(), self.wait);
        match self.status {
            429 => AttemptOutcome::Throttled { detail, wait },
            _ => AttemptOutcome::Credential { detail },
        }
    }
}

/// An answer.
#[derive(Clone, Debug)]
pub struct ResponseSeen {
    /// HTTP status.
    pub status: u16,
    /// As sent; never stored.
    pub headers: HeaderMap,
    /// What arrived of the body.
    pub body: Bytes,
    /// Whether that is all of it.
    pub end: BodyEnd,
}

/// How the body ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BodyEnd {
    /// All of it arrived.
    Complete,
    /// The connection ended first, or time ran out.
    CutOff,
    /// We stopped reading at the cap (ATT-3).
    TooLarge,
}

/// What a call says about the destination itself; feeds the breaker (RET-5).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Health {
    /// It answered, whatever it said below 500.
    Answered,
    /// 5xx, time-out, reset.
    Failed,
    /// It could not be reached at all.
    ConnectFailed,
    /// Nothing was tried.
    Unknown,
}

impl Wire {
    /// HTTP status, if an answer came.
    pub fn status(&self) -> Option<u16> {
        match self {
            Wire::Answered(response) => Some(response.status),
            Wire::NoCredential(refused) => Some(refused.status),
            Wire::Forbidden(_) | Wire::NotSent(_) | Wire::Lost(_) => None,
        }
    }

    /// For the breaker.
    pub fn health(&self) -> Health {
        match self {
            Wire::Answered(response) if response.status >= 500 || response.end == BodyEnd::CutOff => Health::Failed,
            Wire::Answered(_) => Health::Answered,
            // The place where credentials are fetched is not the destination.
            Wire::Forbidden(_) | Wire::NoCredential(_) => Health::Unknown,
            Wire::NotSent(_) => Health::ConnectFailed,
            Wire::Lost(_) => Health::Failed,
        }
    }

    /// The start of the body as text, at most 4 KiB, for the record of the attempt.
    pub fn excerpt(&self) -> Option<String> {
        match self {
            Wire::Answered(response) if !response.body.is_empty() => {
                Some(String::from_utf8_lossy(&response.body[..response.body.len().min(EXCERPT_BYTES)]).into_owned())
            }
            Wire::Answered(_) | Wire::Forbidden(_) | Wire::NoCredential(_) | Wire::NotSent(_) | Wire::Lost(_) => None,
        }
    }
}

/// Room for a replacement character (three bytes) in place of a character cut in half.
const EXCERPT_BYTES: usize = 4 * 1024 - 2;

/// What the attempt tells us to do next (delivery-semantics section 8).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AttemptOutcome {
    /// Applied now.
    Accepted(Receipt),
    /// Applied before, and it is ours.
    AlreadyApplied(Receipt),
    /// Definitely not applied, and the same request will not be.
    Rejected(Rejection),
    /// The destination does not know us.
    Credential {
        /// One sentence.
        detail: String,
    },
    /// Too fast.
    Throttled {
        /// One sentence.
        detail: String,
        /// How long to wait.
        wait: Wait,
    },
    /// Not asked: that is as much as the destination allows in a time. It said nothing, so nothing follows for it.
    Deferred {
        /// In what time the next request may go.
        free_in: Duration,
    },
    /// Definitely not applied, and a later attempt may be.
    Unavailable {
        /// One sentence.
        detail: String,
        /// How long to wait.
        wait: Wait,
    },
    /// It may have been applied.
    Uncertain {
        /// One sentence.
        detail: String,
        /// How long to wait.
        wait: Wait,
    },
}

impl AttemptOutcome {
    /// The word in the record of the attempt, in metrics and logs.
    pub fn as_str(&self) -> &'static str {
        match self {
            AttemptOutcome::Accepted(_) => "accepted",
            AttemptOutcome::AlreadyApplied(_) => "already_applied",
            AttemptOutcome::Rejected(_) => "rejected",
            AttemptOutcome::Credential { .. } => "credential",
            AttemptOutcome::Throttled { .. } => "throttled",
            AttemptOutcome::Deferred { .. } => "deferred",
            AttemptOutcome::Unavailable { .. } => "unavailable",
            AttemptOutcome::Uncertain { .. } => "uncertain",
        }
    }

    /// One sentence for the record of the attempt.
    pub fn detail(&self) -> String {
        match self {
            AttemptOutcome::Accepted(Receipt(Some(number))) => format!("accepted as {number}"),
            AttemptOutcome::Accepted(Receipt(None)) => "accepted".to_owned(),
            AttemptOutcome::AlreadyApplied(Receipt(Some(number))) => format!("had been applied before as {number}"),
            AttemptOutcome::AlreadyApplied(Receipt(None)) => "had been applied before".to_owned(),
            AttemptOutcome::Rejected(rejection) => rejection.detail.clone(),
            AttemptOutcome::Deferred { free_in } => {
                let seconds = free_in.as_secs_f64().ceil();
                format!(
                    "not sent: the destination is asked as much as it allows; the next request may go in {seconds} s"
                )
            }
            AttemptOutcome::Credential { detail }
            | AttemptOutcome::Throttled { detail, .. }
            | AttemptOutcome::Unavailable { detail, .. }
            | AttemptOutcome::Uncertain { detail, .. } => detail.clone(),
        }
    }

    /// The sentences that may repeat what was answered.
    pub fn details(&mut self) -> impl Iterator<Item = &mut String> {
        let detail = match self {
            AttemptOutcome::Rejected(rejection) => Some(&mut rejection.detail),
            AttemptOutcome::Credential { detail }
            | AttemptOutcome::Throttled { detail, .. }
            | AttemptOutcome::Unavailable { detail, .. }
            | AttemptOutcome::Uncertain { detail, .. } => Some(detail),
            AttemptOutcome::Accepted(_) | AttemptOutcome::AlreadyApplied(_) | AttemptOutcome::Deferred { .. } => None,
        };
        detail.into_iter()
    }

    /// Whether a `Retry-After` came that could not be used (RET-3 counts them).
    pub fn retry_after_ignored(&self) -> bool {
        match self {
            AttemptOutcome::Throttled { wait, .. }
            | AttemptOutcome::Unavailable { wait, .. }
            | AttemptOutcome::Uncertain { wait, .. } => wait.ignored,
            AttemptOutcome::Accepted(_)
            | AttemptOutcome::AlreadyApplied(_)
            | AttemptOutcome::Rejected(_)
            | AttemptOutcome::Deferred { .. }
            | AttemptOutcome::Credential { .. } => false,
        }
    }
}

/// The destination's own number of what it made, if it says.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Receipt(pub Option<String>);

/// A definite *not applied*.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rejection {
    /// Whose problem it is.
    pub mark: Mark,
    /// HTTP status, if an answer came.
    pub status: Option<u16>,
    /// One sentence with the status and the shortened answer.
    pub detail: String,
}

/// Whose problem a rejection is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mark {
    /// This record's.
    Record,
    /// The destination's address or settings: 3xx, 501, 505, or an address we may not call.
    Configuration,
    /// The destination is gone (RET-6).
    Gone,
    /// Ours: a key was used with another payload (KEY-6).
    OurBug,
    /// It exists there already; whose it is has to be found out.
    Exists,
    /// The failure that the destination stored for this key, once more (KEY-3 b).
    StaleKey,
    /// Nobody's yet: it cannot be put in the destination's words, since something it needs is not there.
    Unmet,
}

/// What `Retry-After` asked for (RET-3).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Wait {
    /// The next attempt comes no earlier; at most 24 h.
    pub floor: Option<Duration>,
    /// It was said for the whole destination (429, 503).
    pub whole_destination: bool,
    /// One came that is past, negative or garbled.
    pub ignored: bool,
}
