//! Adobe's journal: the events of the last seven days, read where push left some out.
//!
//! A position is an address that the journal gave us. It is kept only after every event before it is durable, so a process
//! that ends anywhere reads a page again, whose events are duplicates then. The events themselves enter like pushed ones.
//!
//! The cast: [`rules`] says what an answer means, [`Reader`] reads one journal through its ports, [`wire`] is the way there,
//! [`serve`] reads all of them again and again.

pub mod rules;
pub mod serve;
pub mod wire;

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use reqwest::Url;
use tokio::sync::Notify;

use crate::store::StoreError;

use rules::{Answer, Refused, Turn};

/// The eventual outcome of a port.
pub type Soon<'a, T, E> = Pin<Box<dyn Future<Output = Result<T, E>> + Send + 'a>>;

/// Asks the journal, with a bearer token and without following redirects.
pub trait Fetch: Send + Sync + 'static {
    /// One GET; the error says why there was no answer.
    fn get<'a>(&'a self, url: &'a Url) -> Soon<'a, Answer, String>;
}

/// Takes an event in as if it had been pushed.
pub trait TakeEvent: Send + Sync + 'static {
    /// Durable when it returns `Ok`; the same event twice makes nothing new.
    fn take<'a>(&'a self, event: &'a [u8]) -> Soon<'a, (), StoreError>;
}

/// Where the position is kept.
pub trait Positions: Send + Sync + 'static {
    /// The one kept last.
    fn kept(&self) -> Soon<'_, Option<String>, StoreError>;
    /// Durable when it returns `Ok`.
    fn keep<'a>(&'a self, position: &'a str) -> Soon<'a, (), StoreError>;
}

/// What reads one journal.
pub struct Reader {
    /// As configured.
    pub home: Url,
    /// The way there.
    pub fetch: Arc<dyn Fetch>,
    /// Where events go.
    pub take: Arc<dyn TakeEvent>,
    /// How far it was read.
    pub positions: Arc<dyn Positions>,
    /// Rung when events are lost for good: Commerce itself is to be searched.
    pub missed: Arc<Notify>,
}

/// What a reading came to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Read {
    /// Events taken in, duplicates among them.
    pub taken: u64,
    /// The position had expired, or was another journal's.
    pub gap: bool,
    /// What the journal asks us to wait.
    pub pause: Option<Duration>,
}

/// Why a reading came to no end; what was taken in until then is kept.
#[derive(Debug, thiserror::Error)]
pub enum Trouble {
    /// An answer that cannot be used.
    #[error(transparent)]
    Refused(#[from] Refused),
    /// No answer.
    #[error("the journal was not reached: {0}")]
    Unreachable(String),
    /// Nothing can be written down.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl Reader {
    /// Reads to the journal's present end.
    ///
    /// # Errors
    /// When it does not get there; the next reading goes on behind the last page that is durable.
    pub async fn read(&self) -> Result<Read, Trouble> {
        let mut read = Read::default();
        let mut at = match self.positions.kept().await? {
            None => rules::first(&self.home),
            Some(kept) => match rules::resumed(&self.home, &kept) {
                Some(at) => at,
                None => self.rewind(&mut read).await?,
            },
        };
        loop {
            let answer = self.fetch.get(&at).await.map_err(Trouble::Unreachable)?;
            match rules::turn(&self.home, &at, &answer)? {
                Turn::Page { events, next } => {
                    for event in &events {
                        self.take.take(event.as_bytes()).await?;
                        read.taken += 1;
                    }
                    self.keep(&next).await?;
                    at = next;
                }
                Turn::End { next, pause } => {
                    self.keep(&next).await?;
                    read.pause = pause;
                    return Ok(read);
                }
                Turn::Gone => at = self.rewind(&mut read).await?,
            }
        }
    }

    /// The position is of no use: all that the journal still holds is read, what it no longer holds is searched for.
    async fn rewind(&self, read: &mut Read) -> Result<Url, StoreError> {
        // Rung before the position moves: a process that ends between the two notices the gap again.
        self.missed.notify_one();
        tracing::warn!(
            journal = self.home.host_str(),
            "the journal is read from its oldest event: older ones may be missing"
        );
        read.gap = true;
        self.keep(&self.home).await?;
        Ok(self.home.clone())
    }

    async fn keep(&self, next: &Url) -> Result<(), StoreError> {
        self.positions.keep(&rules::written(&self.home, next)).await
    }
}

#[cfg(test)]
mod tests;
