//! The only doors to now and to chance: [`Clock`] and [`Entropy`]. Everything else takes them as arguments.

use std::cell::RefCell;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::time::Duration;

/// An instant of wall time, UTC. The store keeps microseconds.
pub type Timestamp = jiff::Timestamp;

/// Wall time. Timers (time-outs, sleeps) use tokio's monotonic clock instead (RUN-5).
pub trait Clock: Send + Sync + 'static {
    /// The present instant, whole microseconds.
    fn now(&self) -> Timestamp;
}

/// A shared clock.
pub type SharedClock = Arc<dyn Clock>;

/// The machine's clock.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    fn now(&self) -> Timestamp {
        // The store keeps microseconds: an instant that went through it must compare equal to itself.
        from_micros(Timestamp::now().as_microsecond())
    }
}

/// A clock that a test moves by hand.
#[derive(Debug)]
pub struct ManualClock(AtomicI64);

impl ManualClock {
    /// Starts at `now`.
    pub fn new(now: Timestamp) -> Self {
        ManualClock(AtomicI64::new(now.as_microsecond()))
    }

    /// Moves forward.
    pub fn advance(&self, by: Duration) {
        let micros = i64::try_from(by.as_micros()).expect("tests move by less than 292,000 years");
        self.0.fetch_add(micros, Ordering::SeqCst);
    }
}

impl Clock for ManualClock {
    fn now(&self) -> Timestamp {
        from_micros(self.0.load(Ordering::SeqCst))
    }
}

/// An instant from the store's microseconds; values outside jiff's range (years −9999 to 9999) are clamped.
pub fn from_micros(micros: i64) -> Timestamp {
    Timestamp::from_microsecond(micros).unwrap_or(if micros < 0 { Timestamp::MIN } else { Timestamp::MAX })
}

/// `at + by`, clamped to the representable range.
pub fn later(at: Timestamp, by: Duration) -> Timestamp {
    let micros = i64::try_from(by.as_micros()).unwrap_or(i64::MAX);
    from_micros(at.as_microsecond().saturating_add(micros))
}

/// `at - by`, clamped to the representable range.
pub fn earlier(at: Timestamp, by: Duration) -> Timestamp {
    let micros = i64::try_from(by.as_micros()).unwrap_or(i64::MAX);
    from_micros(at.as_microsecond().saturating_sub(micros))
}

/// So many in a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rate {
    /// How many, at least 1.
    pub count: u32,
    /// In which time; not zero.
    pub per: Duration,
}

/// Random bits.
pub trait Entropy: Send + Sync + 'static {
    /// Fills `bytes`.
    fn fill(&self, bytes: &mut [u8]);

    /// A draw in `0.0 ..= 1.0`, for jitter; never for money.
    fn unit(&self) -> f64 {
        let mut bytes = [0_u8; 4];
        self.fill(&mut bytes);
        f64::from(u32::from_le_bytes(bytes)) / f64::from(u32::MAX)
    }
}

/// Shared chance.
pub type SharedEntropy = Arc<dyn Entropy>;

/// The operating system's randomness, and nothing else. Draws of an id's size come from a supply that each thread
/// fetches in one call; longer ones, which secrets are, are fetched themselves.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemEntropy;

/// The longest draw from the supply.
const DRAW_BYTES_MAX: usize = 16;
const SUPPLY_BYTES: usize = 512;

thread_local! {
    /// Bytes fetched, and how many of them are used. A used byte is overwritten.
    static SUPPLY: RefCell<([u8; SUPPLY_BYTES], usize)> = const { RefCell::new(([0; SUPPLY_BYTES], SUPPLY_BYTES)) };
}

impl Entropy for SystemEntropy {
    fn fill(&self, bytes: &mut [u8]) {
        if bytes.len() > DRAW_BYTES_MAX {
            return fetch(bytes);
        }
        SUPPLY.with_borrow_mut(|(supply, used)| {
            if supply.len() - *used < bytes.len() {
                fetch(supply);
                *used = 0;
            }
            let drawn = &mut supply[*used..*used + bytes.len()];
            bytes.copy_from_slice(drawn);
            drawn.fill(0);
            *used += bytes.len();
        });
    }
}

fn fetch(bytes: &mut [u8]) {
    getrandom::fill(bytes).expect("the operating system has randomness");
}

/// Reproducible chance for tests and simulation (`SplitMix64`); not for secrets.
#[derive(Debug)]
pub struct SeededEntropy(AtomicU64);

impl SeededEntropy {
    /// The same seed gives the same draws.
    pub fn new(seed: u64) -> Self {
        SeededEntropy(AtomicU64::new(seed))
    }
}

impl Entropy for SeededEntropy {
    fn fill(&self, bytes: &mut [u8]) {
        for chunk in bytes.chunks_mut(8) {
            let mut word =
                self.0.fetch_add(0x9e37_79b9_7f4a_7c15, Ordering::SeqCst).wrapping_add(0x9e37_79b9_7f4a_7c15);
            word = (word ^ (word >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            word = (word ^ (word >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
            word ^= word >> 31;
            chunk.copy_from_slice(&word.to_le_bytes()[..chunk.len()]);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn no_draw_of_the_system_comes_twice() {
        let mut seen = HashSet::new();
        for length in [10, 16, 7, 32].into_iter().cycle().take(4_000) {
            let mut bytes = [0_u8; 32];
            SystemEntropy.fill(&mut bytes[..length]);
            assert_ne!(bytes[..length], [0; 32][..length], "a used byte");
            assert!(seen.insert(bytes[..length].to_vec()), "{bytes:?}");
        }
    }
}
