//! RUN-4: room on the store's disk. Warned under 15 %, stock refused under 10 %, all intake under 5 % or 512 MiB, while
//! what was taken in goes on being delivered.
//!
//! Writing outcomes needs room too. A file of ballast beside the store holds some; when the disk is full it goes, and
//! comes back when there is room for it. What it holds never counts as free: else letting it go would open intake, which
//! would fill the disk in earnest.

use std::fs::{File, OpenOptions};
use std::io::{self, Write as _};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;

use crate::intake::load::{DiskLevel, Load};
use crate::observe::disk::DiskSpace;
use crate::observe::{Event, Health, Observer};

/// At most five seconds after there is room intake is open again; one look a second costs nothing.
const LOOK: Duration = Duration::from_secs(1);

const WARN_PER_MILLE: u64 = 150;
const SCARCE_PER_MILLE: u64 = 100;
const FULL_PER_MILLE: u64 = 50;
const FULL_BYTES: u64 = 512 << 20;

/// Asks the disk; `None` when it cannot say.
pub type Probe = Arc<dyn Fn() -> Option<DiskSpace> + Send + Sync>;

/// What so much room means.
pub fn level(space: DiskSpace) -> DiskLevel {
    let share = space.free_per_mille();
    if share < FULL_PER_MILLE || space.free_bytes < FULL_BYTES {
        DiskLevel::Full
    } else if share < SCARCE_PER_MILLE {
        DiskLevel::Scarce
    } else if share < WARN_PER_MILLE {
        DiskLevel::Low
    } else {
        DiskLevel::Plenty
    }
}

/// A file that only takes room.
#[derive(Debug)]
pub struct Ballast {
    path: PathBuf,
    bytes: u64,
}

impl Ballast {
    /// Not made yet; `None` for a size of nothing.
    pub fn new(path: PathBuf, bytes: u64) -> Option<Self> {
        (bytes > 0).then_some(Ballast { path, bytes })
    }

    /// Whether it holds what it should.
    pub fn is_there(&self) -> bool {
        std::fs::metadata(&self.path).is_ok_and(|file| file.len() == self.bytes)
    }

    /// Takes the room.
    ///
    /// # Errors
    /// When there is none; nothing is left behind then.
    pub fn take(&self) -> io::Result<()> {
        let made = self.fill();
        if made.is_err() {
            self.release();
        }
        made
    }

    /// Gives the room back; `true` if there was any.
    pub fn release(&self) -> bool {
        std::fs::remove_file(&self.path).is_ok()
    }

    fn fill(&self) -> io::Result<()> {
        let file = OpenOptions::new().write(true).create(true).truncate(true).open(&self.path)?;
        // Blocks and not only a length: a hole would give nothing back. Where the file system cannot, zeros do.
        match rustix::fs::fallocate(&file, rustix::fs::FallocateFlags::empty(), 0, self.bytes) {
            Ok(()) => file.sync_all(),
            Err(rustix::io::Errno::OPNOTSUPP | rustix::io::Errno::NOSYS) => zeros(file, self.bytes),
            Err(error) => Err(error.into()),
        }
    }
}

fn zeros(mut file: File, bytes: u64) -> io::Result<()> {
    let chunk = vec![0_u8; 1 << 20];
    let mut left = bytes;
    while left > 0 {
        let now = usize::try_from(left).unwrap_or(usize::MAX).min(chunk.len());
        file.write_all(&chunk[..now])?;
        left -= now as u64;
    }
    file.sync_all()
}

/// The judgement between two looks.
pub struct Watcher {
    probe: Probe,
    ballast: Option<Ballast>,
    level: DiskLevel,
}

impl Watcher {
    /// Nothing looked at yet.
    pub fn new(probe: Probe, ballast: Option<Ballast>) -> Self {
        Watcher { probe, ballast, level: DiskLevel::Plenty }
    }

    /// One look: the level, and the room it comes from. Lets the ballast go, or takes it again. A disk that cannot be
    /// asked is as it was.
    pub fn look(&mut self) -> Option<(DiskLevel, DiskSpace)> {
        let space = (self.probe)()?;
        let level_now = level(self.without_ballast(space));
        if let Some(ballast) = &self.ballast {
            let there = ballast.is_there();
            if level_now == DiskLevel::Full && there {
                if ballast.release() {
                    tracing::warn!(
                        bytes = ballast.bytes,
                        "the disk is full: the ballast was released to write outcomes"
                    );
                }
            } else if level_now != DiskLevel::Full && !there {
                match ballast.take() {
                    Ok(()) => tracing::info!(bytes = ballast.bytes, "the ballast is in place"),
                    Err(error) => tracing::warn!(%error, "there is no room for the ballast"),
                }
            }
        }
        self.level = level_now;
        Some((level_now, space))
    }

    /// What would be free with the ballast in its place.
    fn without_ballast(&self, space: DiskSpace) -> DiskSpace {
        match &self.ballast {
            Some(ballast) if !ballast.is_there() => {
                DiskSpace { free_bytes: space.free_bytes.saturating_sub(ballast.bytes), ..space }
            }
            Some(_) | None => space,
        }
    }
}

/// Before the store is opened: opening writes, so a disk that filled up while nobody served must give its ballast back
/// first, or the service that would settle and make room could never start.
pub fn make_room(probe: &Probe, ballast: Option<&Ballast>) {
    let Some(ballast) = ballast.filter(|ballast| ballast.is_there()) else { return };
    if probe().is_some_and(|space| level(space) == DiskLevel::Full) && ballast.release() {
        tracing::warn!(bytes = ballast.bytes, "the disk is full: the ballast was released to open the store");
    }
}

/// Until the service stops.
pub(super) async fn run(
    probe: Probe,
    ballast: Option<Ballast>,
    load: Arc<Load>,
    observer: Arc<Observer>,
    health: Arc<Health>,
    mut stopped: watch::Receiver<bool>,
) {
    let mut watcher = Watcher::new(probe, ballast);
    while !*stopped.borrow() {
        let known = watcher.level;
        // Making the ballast may take a moment where it has to be written.
        let looked = tokio::task::spawn_blocking(move || (watcher.look(), watcher)).await;
        let Ok((seen, back)) = looked else { return };
        watcher = back;
        if let Some((level, space)) = seen {
            load.set_disk(level);
            match level {
                DiskLevel::Full => health.hold("disk", "the disk is nearly full: nothing is taken in; make room"),
                DiskLevel::Plenty | DiskLevel::Low | DiskLevel::Scarce => health.clear("disk"),
            }
            if level != known {
                observer.note(&Event::DiskChanged { level: level.as_str(), rank: level as u8, free: space.free_bytes });
            }
        }
        tokio::select! {
            () = tokio::time::sleep(LOOK) => {}
            _ = stopped.changed() => return,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU64, Ordering};

    use super::*;

    const GIB: u64 = 1 << 30;

    fn space(free_bytes: u64, total_bytes: u64) -> DiskSpace {
        DiskSpace { free_bytes, total_bytes }
    }

    #[test]
    fn run_4_levels_of_the_disk() {
        let of = |per_mille: u64| level(space(per_mille * GIB, 1_000 * GIB));
        assert_eq!(
            [of(1000), of(150), of(149), of(100)],
            [DiskLevel::Plenty, DiskLevel::Plenty, DiskLevel::Low, DiskLevel::Low]
        );
        assert_eq!(
            [of(99), of(50), of(49), of(0)],
            [DiskLevel::Scarce, DiskLevel::Scarce, DiskLevel::Full, DiskLevel::Full]
        );
        assert_eq!(level(space(511 << 20, GIB)), DiskLevel::Full, "half of a small disk, and too little all the same");
        assert_eq!(level(space(512 << 20, GIB)), DiskLevel::Plenty);
    }

    #[test]
    fn run_4_the_ballast_goes_when_the_disk_is_full_and_comes_back_with_room() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("crossdock.db.ballast");
        let free = Arc::new(AtomicU64::new(50 * GIB));
        let asked = free.clone();
        let probe: Probe = Arc::new(move || Some(space(asked.load(Ordering::SeqCst), 100 * GIB)));
        let mut watcher = Watcher::new(probe, Ballast::new(path.clone(), 3 << 20));
        let mut look = |bytes: u64| {
            free.store(bytes, Ordering::SeqCst);
            watcher.look().map(|(level, _)| level)
        };
        assert_eq!(look(50 * GIB), Some(DiskLevel::Plenty));
        assert_eq!(std::fs::metadata(&path).unwrap().len(), 3 << 20);
        let blocks = std::os::unix::fs::MetadataExt::blocks(&std::fs::metadata(&path).unwrap());
        assert!(blocks * 512 >= 3 << 20, "it takes real room");
        assert_eq!(look(4 * GIB), Some(DiskLevel::Full));
        assert!(!path.exists(), "released");
        assert_eq!(look(5 * GIB + (1 << 20)), Some(DiskLevel::Full), "what the ballast gave back does not count");
        assert!(!path.exists());
        assert_eq!(look(6 * GIB), Some(DiskLevel::Scarce));
        assert!(path.exists(), "back in place");
        assert_eq!(look(20 * GIB), Some(DiskLevel::Plenty));
    }

    #[test]
    fn run_4_without_room_no_ballast_is_left_half_made() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("ballast");
        let ballast = Ballast::new(path.clone(), u64::MAX / 4).unwrap();
        assert!(ballast.take().is_err());
        assert!(!path.exists() && !ballast.is_there());
        assert!(Ballast::new(path, 0).is_none());
    }
}
