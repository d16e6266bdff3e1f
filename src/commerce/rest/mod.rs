//! Commerce's REST interface, as far as the router needs it: one call, and what it came to.
//!
//! [`Rest`] is the port. What asks (orders read back, the sweep, the catalogue, registration) is written against it and
//! tested with a scripted double; who answers over the wire knows credentials, limits and error shapes.

pub mod client;
#[cfg(test)]
pub mod double;
mod error;
pub mod oauth;
pub mod orders;
pub mod search;
#[cfg(test)]
mod tests;

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

pub use client::{Auth, Client, Settings};

/// A call's eventual answer.
pub type Reply<'a> = Pin<Box<dyn Future<Output = Result<Answered, RestError>> + Send + 'a>>;

/// A shared Commerce instance.
pub type SharedRest = Arc<dyn Rest>;

/// One Commerce instance.
pub trait Rest: Send + Sync + 'static {
    /// Its configured name, part of every key.
    fn system(&self) -> &str;

    /// Makes one call, within the instance's limits; reads are tried again where that may help, writes never.
    fn call(&self, call: Call) -> Reply<'_>;
}

/// What is asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Call {
    /// GET, POST, PUT.
    pub method: http::Method,
    /// Behind the base address and the store scope, each segment percent-encoded: `/V1/orders/42`.
    pub path: String,
    /// Plain names and values in the order they are sent; the client encodes them.
    pub query: Vec<(String, String)>,
    /// JSON text.
    pub body: Option<Bytes>,
    /// Whose eyes it is seen with.
    pub scope: Scope,
}

impl Call {
    /// A read with all stores' eyes.
    pub fn get(path: impl Into<String>) -> Self {
        Call { method: http::Method::GET, path: path.into(), query: Vec::new(), body: None, scope: Scope::All }
    }

    /// A write with all stores' eyes.
    pub fn post(path: impl Into<String>, body: impl Into<Bytes>) -> Self {
        Call { method: http::Method::POST, body: Some(body.into()), ..Call::get(path) }
    }

    /// With one more query pair.
    #[must_use]
    pub fn with(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.query.push((name.into(), value.into()));
        self
    }
}

/// The store view a call is made for (adobe-commerce 3.1: a path segment with `paas`, a header with `saas`).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Scope {
    /// Admin scope: `all`.
    #[default]
    All,
    /// The default store view.
    Default,
    /// One store view by its code.
    View(String),
}

/// A 2xx answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answered {
    /// 200, 202.
    pub status: u16,
    /// JSON text as it was sent.
    pub body: Bytes,
}

/// Why there is no 2xx answer, in classes that are treated differently.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RestError {
    /// 404: no such entity, or not committed yet.
    #[error("Commerce knows no such record: {0}")]
    NotFound(String),
    /// 401 or 403; the text says what to look at (credentials, ACL, the bearer setting).
    #[error("Commerce refused our credentials: {0}")]
    Unauthorized(String),
    /// Another 4xx: asking again changes nothing.
    #[error("Commerce refused the call ({status}): {message}")]
    Refused {
        /// Its status.
        status: u16,
        /// Its message with the parameters filled in.
        message: String,
    },
    /// 429.
    #[error("Commerce limits our calls")]
    Limited {
        /// What it asked for.
        retry_after: Option<Duration>,
    },
    /// 5xx, maintenance, a page of a gateway, or an answer that is no JSON.
    #[error("Commerce could not answer: {message}")]
    Unavailable {
        /// What was seen, without the body.
        message: String,
        /// What it asked for.
        retry_after: Option<Duration>,
    },
    /// No answer: refused, timed out, not resolved, certificate.
    #[error("Commerce was not reached: {0}")]
    Unreachable(String),
    /// The answer is larger than we take.
    #[error("the answer is larger than {0} bytes")]
    TooLarge(usize),
}

impl RestError {
    /// Whether asking again later may help without anybody doing anything.
    pub fn passes(&self) -> bool {
        match self {
            RestError::Limited { .. } | RestError::Unavailable { .. } | RestError::Unreachable(_) => true,
            RestError::NotFound(_)
            | RestError::Unauthorized(_)
            | RestError::Refused { .. }
            | RestError::TooLarge(_) => false,
        }
    }
}
