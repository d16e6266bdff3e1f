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
    requests_max: usize,
    bytes_max: usize,
}

/// A request's share of the [`Room`]; given back when dropped. It grows with what was really received: a client that
/// promises much and sends slowly costs its connection and nothing else (PRS-4).
#[derive(Debug)]
pub struct Share {
    requests: Arc<Semaphore>,
    bytes: Arc<Semaphore>,
    place: Option<OwnedSemaphorePermit>,
    held: Option<OwnedSemaphorePermit>,
}

impl Room {
    /// Room for `requests` at once with `bytes` of bodies among them.
    pub fn new(requests: usize, bytes: usize) -> Self {
        Room {
            requests: Arc::new(Semaphore::new(requests)),
            bytes: Arc::new(Semaphore::new(bytes)),
            requests_max: requests,
            bytes_max: bytes,
        }
    }

    /// How full it is, in thousandths: of requests or of bytes, whichever is fuller.
    pub fn fullness(&self) -> u64 {
        let share = |free: usize, most: usize| (most.saturating_sub(free) as u64) * 1_000 / (most.max(1) as u64);
        share(self.requests.available_permits(), self.requests_max)
            .max(share(self.bytes.available_permits(), self.bytes_max))
    }

    /// An empty share, if there is room now for one more request with a body of `expected` bytes; `None`: shed before
    /// reading (PRS-2).
    pub fn offer(&self, expected: usize) -> Option<Share> {
        if self.requests.available_permits() == 0 || self.bytes.available_permits() < expected {
            return None;
        }
        Some(Share { requests: self.requests.clone(), bytes: self.bytes.clone(), place: None, held: None })
    }
}

impl Share {
    /// So many bytes more have arrived. `false`: there is no room for them.
    pub fn grow(&mut self, bytes: usize) -> bool {
        let Some(more) =
            u32::try_from(bytes).ok().and_then(|bytes| self.bytes.clone().try_acquire_many_owned(bytes).ok())
        else {
            return false;
        };
        match &mut self.held {
            Some(held) => held.merge(more),
            None => self.held = Some(more),
        }
        true
    }

    /// The body is complete: takes a place among the requests being handled. `false`: there is none.
    pub fn enter(&mut self) -> bool {
        self.place = self.requests.clone().try_acquire_owned().ok();
        self.place.is_some()
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
        let (mut first, mut second) = (room.offer(60).unwrap(), room.offer(60).unwrap());
        assert!(first.grow(50) && first.grow(10) && first.enter());
        assert!(!second.grow(60), "no bytes left");
        assert!(room.offer(41).is_none(), "not even begun");
        assert!(second.grow(40) && second.enter());
        assert!(room.offer(0).is_none(), "no place left");
        drop(first);
        drop(second);
        let mut whole = room.offer(100).unwrap();
        assert!(whole.grow(100) && whole.enter());
    }

    #[test]
    fn prs_4_promised_bytes_cost_nothing_until_they_arrive() {
        let room = Room::new(2, 100);
        let slow: Vec<Share> = (0..50).map(|_| room.offer(100).unwrap()).collect();
        let mut quick = room.offer(100).unwrap();
        assert!(quick.grow(100) && quick.enter());
        drop(slow);
    }

    #[test]
    fn a_pace_allows_its_burst_then_its_rate() {
        let pace = Pace::new(3, Duration::from_secs(3));
        let start = Instant::now();
        assert!((0..3).all(|_| pace.take(start).is_ok()));
        assert_eq!(pace.take(start), Err(Duration::from_secs(1)));
        assert!(pace.take(start + Duration::from_secs(1)).is_ok());
        assert!(pace.take(start + Duration::from_secs(1)).is_err());
        assert!((0..3).all(|_| pace.take(start + Duration::from_mins(1)).is_ok()));
    }
}
