//! Tells open pages that something changed. What changed they ask for themselves, with their own permission.

use std::convert::Infallible;
use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use http::StatusCode;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::time::Sleep;

use super::desk::Desk;
use crate::api::Api;
use crate::store::view::Paging;

/// How often it is looked whether something changed.
const EVERY: Duration = Duration::from_secs(1);
/// Where the stream is.
pub const PATH: &str = "/console/live";
/// A page asks for a new stream after this time, so that a session that ended is noticed.
const STREAM_MAX: Duration = Duration::from_mins(10);
/// Newest acts on many whose going is a change.
const ACTS: u32 = 10;
/// Pages that may listen at a time.
const LISTENERS_MAX: usize = 200;

/// The number of changes so far, as far as anybody listens.
#[derive(Clone)]
pub struct Live {
    changes: watch::Sender<u64>,
    ended: watch::Sender<bool>,
    places: Arc<Semaphore>,
}

impl fmt::Debug for Live {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Live").finish_non_exhaustive()
    }
}

impl Default for Live {
    fn default() -> Self {
        Live {
            changes: watch::Sender::new(0),
            ended: watch::Sender::new(false),
            places: Arc::new(Semaphore::new(LISTENERS_MAX)),
        }
    }
}

impl Live {
    /// Looks regularly whether something changed, while somebody listens.
    pub async fn watch(self, api: Api, mut stopped: watch::Receiver<bool>) {
        let mut before = None;
        loop {
            tokio::select! {
                () = tokio::time::sleep(EVERY) => {}
                _ = stopped.changed() => {
                    // Open pages are told to come again, to the next process.
                    self.ended.send_replace(true);
                    return;
                }
            }
            if self.changes.receiver_count() == 0 {
                before = None;
                continue;
            }
            // A store that cannot answer now is told of elsewhere.
            let Ok(ledger) = api.store.ledger().await else { continue };
            let Ok(acts) = api.store.bulks(None, Paging { limit: ACTS, cursor: None }).await else { continue };
            let now = (ledger, api.engines.destinations(), acts.items);
            // Before the first look anything may have happened since the pages were made.
            if before.as_ref() != Some(&now) {
                self.changes.send_modify(|changes| *changes += 1);
            }
            before = Some(now);
        }
    }
}

/// `GET /console/live`
pub async fn stream(desk: Result<Desk, Response>) -> Response {
    // Whose session has ended is asked to sign in by the next page, not by a stream: 204 tells the browser to come no more.
    let Ok(desk) = desk else { return StatusCode::NO_CONTENT.into_response() };
    let live = desk.console().live.clone();
    let Ok(place) = live.places.clone().try_acquire_owned() else {
        return StatusCode::SERVICE_UNAVAILABLE.into_response();
    };
    let listener = Listener {
        changes: live.changes.subscribe(),
        ended: live.ended.subscribe(),
        until: Box::pin(tokio::time::sleep(STREAM_MAX)),
        greeted: false,
        _place: place,
    };
    let stream = futures_util::stream::unfold(listener, |mut listener| async move {
        // What happened between the making of the page and now is told at once.
        if std::mem::replace(&mut listener.greeted, true) {
            tokio::select! {
                changed = listener.changes.changed() => changed.ok()?,
                () = &mut listener.until => return None,
                _ = listener.ended.wait_for(|ended| *ended) => return None,
            }
        }
        let change = *listener.changes.borrow_and_update();
        Some((Ok::<_, Infallible>(Event::default().event("changed").data(change.to_string())), listener))
    });
    let stream = Sse::new(stream).keep_alive(KeepAlive::new().interval(QUIET_MAX));
    // A proxy that collects what it passes on would hold a change back.
    ([("x-accel-buffering", "no")], stream).into_response()
}

/// Less than proxies wait for an answer that says nothing: ours wait 12 seconds.
const QUIET_MAX: Duration = Duration::from_secs(5);

/// An open page.
struct Listener {
    changes: watch::Receiver<u64>,
    ended: watch::Receiver<bool>,
    until: Pin<Box<Sleep>>,
    greeted: bool,
    _place: OwnedSemaphorePermit,
}
