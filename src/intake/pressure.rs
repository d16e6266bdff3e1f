//! Bounds on what arrives: requests in hand, bytes in hand, and one origin's pace (PRS-1, PRS-2).

use std::sync::Arc;
use std::sync::Mutex;
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::Instant;

/// Room for requests being handled and for their bodies.
#[derive(Debug)]
pub struct Room {
    requests: Arc<Semaphore>,
    bytes: Arc<Semaphore>,
}

/// A request's share of the [`Room`]; given back when dropped.
#[derive(Debug)]
pub struct Share {
    _request: OwnedSemaphorePermit,
    _bytes: OwnedSemaphorePermit,
}

impl Room {
    /// Room for `requests` at once with `bytes` of bodies among them.
    pub fn new(requests: usize, bytes: usize) -> Self {
        Room { requests: Arc::new(Semaphore::new(requests)), bytes: Arc::new(Semaphore::new(bytes)) }
    }

    /// A share for a body of up to `bytes`; `None` when there is none left: shed before reading.
    pub fn take(&self, bytes: usize) -> Option<Share> {
        let request = self.requests.clone().try_acquire_owned().ok()?;
        let bytes = self.bytes.clone().try_acquire_many_owned(u32::try_from(bytes).ok()?).ok()?;
        Some(Share { _request: request, _bytes: bytes })
    }
}

/// At most `burst` requests at once and one every `interval` in the long run (the generic cell rate algorithm).
#[derive(Debug)]
pub struct Pace {
    interval: Duration,
    burst: u32,
    /// When a request would be exactly on time.
    due: Mutex<Option<Instant>>,
}

impl Pace {
    /// `count` requests every `per`; also the burst.
    pub fn new(count: u32, per: Duration) -> Self {
        let count = count.max(1);
        Pace { interval: per / count, burst: count, due: Mutex::new(None) }
    }

    /// Takes one request at `now`, or says how long to wait.
    ///
    /// # Errors
    /// The time after which the next one would be accepted.
    pub fn take(&self, now: Instant) -> Result<(), Duration> {
        let mut due = self.due.lock().expect("nothing panics while pacing");
        let on_time = due.unwrap_or(now).max(now);
        let ahead = on_time - now;
        let allowed = self.interval * (self.burst - 1);
        if let Some(wait) = ahead.checked_sub(allowed).filter(|wait| !wait.is_zero()) {
            return Err(wait);
        }
        *due = Some(on_time + self.interval);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prs_1_room_is_bounded_in_requests_and_bytes_and_comes_back() {
        let room = Room::new(2, 100);
        let first = room.take(60).unwrap();
        assert!(room.take(60).is_none(), "no bytes left");
        let second = room.take(40).unwrap();
        assert!(room.take(0).is_none(), "no place left");
        drop(first);
        drop(second);
        assert!(room.take(100).is_some());
    }

    #[test]
    fn a_pace_allows_its_burst_then_its_rate() {
        let pace = Pace::new(3, Duration::from_secs(3));
        let start = Instant::now();
        assert!((0..3).all(|_| pace.take(start).is_ok()));
        assert_eq!(pace.take(start), Err(Duration::from_secs(1)));
        assert!(pace.take(start + Duration::from_secs(1)).is_ok());
        assert!(pace.take(start + Duration::from_secs(1)).is_err());
        assert!((0..3).all(|_| pace.take(start + Duration::from_secs(60)).is_ok()));
    }
}
