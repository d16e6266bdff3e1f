//! What is refused when, and for how long (PRS-2, PRS-3, RUN-4).
//!
//! | reason                                    | queries | stock | order changes | new orders |
//! |-------------------------------------------|---------|-------|---------------|------------|
//! | hands nearly full (requests, bytes, commits) | from 70 % | from 80 % | from 90 % | when full |
//! | disk under 10 %                           |         | refused |             |            |
//! | disk under 5 % or 512 MiB                 |         | refused | refused     | refused    |
//! | commits too slow for ten seconds          |         | refused | refused     | refused    |
//!
//! A backlog of deliveries is no reason (PRS-3). Health and metrics do not come by here at all. What is refused hears
//! when to come again: one second, and as long as the last commits took, and a little more by chance, so that senders do
//! not all come back together.

use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, Ordering};
use std::time::Duration;

use tokio::time::Instant;

use super::pressure::Room;

/// PRS-2: nobody is sent away for longer.
const RETRY_AFTER_MAX: Duration = Duration::from_mins(1);
/// PRS-3: a commit that takes longer is slow.
pub const COMMIT_SLOW: Duration = Duration::from_secs(1);

/// What somebody wants of us, the first to be refused first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Cargo {
    /// A question of the console or the API.
    Query,
    /// Stock levels: the next full count brings them again.
    Stock,
    /// A change of something we know.
    Change,
    /// New orders, and whatever does not say what it is.
    Order,
}

impl Cargo {
    /// In thousandths of what we can hold: from here on it is refused.
    fn refused_from(self) -> u64 {
        match self {
            Cargo::Query => 700,
            Cargo::Stock => 800,
            Cargo::Change => 900,
            Cargo::Order => 1_000,
        }
    }
}

/// How much room the disk has, as far as it matters here.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub enum DiskLevel {
    /// 15 % or more.
    #[default]
    Plenty,
    /// Under 15 %: somebody should make room.
    Low,
    /// Under 10 %: stock is refused.
    Scarce,
    /// Under 5 % or 512 MiB: nothing is taken in.
    Full,
}

impl DiskLevel {
    const ALL: [DiskLevel; 4] = [DiskLevel::Plenty, DiskLevel::Low, DiskLevel::Scarce, DiskLevel::Full];

    /// The word in logs.
    pub fn as_str(self) -> &'static str {
        match self {
            DiskLevel::Plenty => "plenty",
            DiskLevel::Low => "low",
            DiskLevel::Scarce => "scarce",
            DiskLevel::Full => "full",
        }
    }
}

/// Commits since the service began.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Commits {
    /// Begun to be waited for.
    pub begun: u64,
    /// Answered, one way or the other.
    pub ended: u64,
    /// Answered after more than [`COMMIT_SLOW`].
    pub slow: u64,
}

/// What we hold and how well it goes; asked by every request.
#[derive(Debug)]
pub struct Load {
    /// Room for requests and bytes.
    pub room: Room,
    queue_max: u64,
    begun: AtomicU64,
    ended: AtomicU64,
    slow: AtomicU64,
    /// Of the last commit, in milliseconds.
    last_wait_ms: AtomicU64,
    disk: AtomicU8,
    commits_too_slow: AtomicBool,
}

/// A commit that is waited for.
#[derive(Debug)]
pub struct Waiting<'l> {
    load: &'l Load,
    since: Instant,
}

impl Load {
    /// Nothing held, plenty of disk.
    pub fn new(room: Room, commit_queue_max: u32) -> Self {
        Load {
            room,
            queue_max: u64::from(commit_queue_max.max(1)),
            begun: AtomicU64::new(0),
            ended: AtomicU64::new(0),
            slow: AtomicU64::new(0),
            last_wait_ms: AtomicU64::new(0),
            disk: AtomicU8::new(0),
            commits_too_slow: AtomicBool::new(false),
        }
    }

    /// Whether it may come in.
    ///
    /// # Errors
    /// Why not, for the log.
    pub fn admits(&self, cargo: Cargo) -> Result<(), &'static str> {
        if cargo != Cargo::Query {
            let disk = self.disk();
            if disk == DiskLevel::Full {
                return Err("the disk is nearly full");
            }
            if disk == DiskLevel::Scarce && cargo == Cargo::Stock {
                return Err("the disk is filling: no stock for now");
            }
            if self.commits_too_slow.load(Ordering::Relaxed) {
                return Err("commits take too long");
            }
        }
        if self.fullness() >= cargo.refused_from() {
            return Err("too much is in hand");
        }
        Ok(())
    }

    /// When to come again; `chance` in 0 to 1.
    pub fn retry_after(&self, chance: f64) -> Duration {
        let backlog = Duration::from_millis(self.last_wait_ms.load(Ordering::Relaxed));
        let wait = (Duration::from_secs(1) + backlog).min(RETRY_AFTER_MAX);
        wait.mul_f64(1.0 + 0.5 * chance.clamp(0.0, 1.0)).min(RETRY_AFTER_MAX)
    }

    /// A commit is waited for from now on, until the answer is dropped.
    pub fn committing(&self) -> Waiting<'_> {
        self.begun.fetch_add(1, Ordering::Relaxed);
        Waiting { load: self, since: Instant::now() }
    }

    /// For whoever judges the commits.
    pub fn commits(&self) -> Commits {
        // Ended first: one that begins and ends in between must not make more ended than begun.
        let ended = self.ended.load(Ordering::Relaxed);
        let slow = self.slow.load(Ordering::Relaxed);
        Commits { begun: self.begun.load(Ordering::Relaxed), ended, slow }
    }

    /// Nothing was answered for so long although something waits.
    pub fn stalled(&self, time: Duration) {
        self.last_wait_ms.fetch_max(millis(time), Ordering::Relaxed);
    }

    /// PRS-3: refuse, or no longer.
    pub fn refuse_for_commits(&self, refuse: bool) {
        self.commits_too_slow.store(refuse, Ordering::Relaxed);
    }

    /// RUN-4: so much room is there.
    pub fn set_disk(&self, level: DiskLevel) {
        self.disk.store(level as u8, Ordering::Relaxed);
    }

    /// How much room there is.
    pub fn disk(&self) -> DiskLevel {
        DiskLevel::ALL[usize::from(self.disk.load(Ordering::Relaxed)).min(3)]
    }

    /// The fullest of what is bounded, in thousandths.
    fn fullness(&self) -> u64 {
        let commits = self.commits();
        let waiting = commits.begun.saturating_sub(commits.ended);
        (waiting * 1_000 / self.queue_max).max(self.room.fullness())
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        let waited = self.since.elapsed();
        self.load.last_wait_ms.store(millis(waited), Ordering::Relaxed);
        if waited > COMMIT_SLOW {
            self.load.slow.fetch_add(1, Ordering::Relaxed);
        }
        self.load.ended.fetch_add(1, Ordering::Relaxed);
    }
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use tokio::time::advance;

    use super::*;

    const ALL: [Cargo; 4] = [Cargo::Query, Cargo::Stock, Cargo::Change, Cargo::Order];

    fn load(requests: usize) -> Load {
        Load::new(Room::new(requests, 1_000_000), 10)
    }

    fn admitted(load: &Load) -> Vec<Cargo> {
        ALL.into_iter().filter(|cargo| load.admits(*cargo).is_ok()).collect()
    }

    #[tokio::test(start_paused = true)]
    async fn prs_2_queries_go_first_then_stock_then_changes_and_new_orders_last() {
        let load = load(100);
        let mut waiting = Vec::new();
        for left in [4, 4, 4, 4, 4, 4, 4, 3, 2, 1, 0] {
            assert_eq!(admitted(&load), ALL[4 - left..], "with {} commits waited for", waiting.len());
            waiting.push(load.committing());
        }
        drop(waiting);
        assert_eq!(admitted(&load).len(), 4);
    }

    #[test]
    fn prs_2_requests_in_hand_count_as_commits_do() {
        let load = load(10);
        let shares: Vec<_> = (0..8)
            .map(|_| {
                let mut share = load.room.offer(0).unwrap();
                assert!(share.enter());
                share
            })
            .collect();
        assert_eq!(admitted(&load), [Cargo::Change, Cargo::Order]);
        drop(shares);
    }

    #[test]
    fn run_4_the_disk_refuses_stock_first_and_then_all_intake_but_no_query() {
        let load = load(10);
        for (level, refused) in
            [(DiskLevel::Plenty, 0), (DiskLevel::Low, 0), (DiskLevel::Scarce, 1), (DiskLevel::Full, 3)]
        {
            load.set_disk(level);
            assert_eq!((load.disk(), admitted(&load).len()), (level, 4 - refused));
            assert!(load.admits(Cargo::Query).is_ok());
        }
        load.set_disk(DiskLevel::Plenty);
        load.refuse_for_commits(true);
        assert_eq!(admitted(&load), [Cargo::Query]);
    }

    #[tokio::test(start_paused = true)]
    async fn prs_2_retry_after_is_a_second_and_the_age_of_the_backlog_with_jitter_up_to_a_minute() {
        let load = load(10);
        assert_eq!(
            (load.retry_after(0.0), load.retry_after(1.0)),
            (Duration::from_secs(1), Duration::from_millis(1_500))
        );
        let waiting = load.committing();
        advance(Duration::from_secs(9)).await;
        drop(waiting);
        assert_eq!(
            (load.retry_after(0.0), load.retry_after(0.5)),
            (Duration::from_secs(10), Duration::from_millis(12_500))
        );
        assert_eq!(load.commits(), Commits { begun: 1, ended: 1, slow: 1 });
        load.stalled(Duration::from_hours(1));
        assert_eq!((load.retry_after(0.0), load.retry_after(1.0)), (RETRY_AFTER_MAX, RETRY_AFTER_MAX));
    }
}
