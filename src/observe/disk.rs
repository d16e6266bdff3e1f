//! Room left on the disk of a file.

use std::path::Path;

/// Free and whole size of a file system, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
pub struct DiskSpace {
    /// What an unprivileged process may still write.
    pub free_bytes: u64,
    /// The whole file system.
    pub total_bytes: u64,
}

impl DiskSpace {
    /// Of the file system that holds `path`, or would hold it (the nearest directory that exists).
    pub fn of(path: &Path) -> Option<Self> {
        let place = path.ancestors().map(|place| if place.as_os_str().is_empty() { Path::new(".") } else { place });
        let existing = place.into_iter().find(|place| place.exists())?;
        let stat = rustix::fs::statvfs(existing).ok()?;
        Some(DiskSpace { free_bytes: stat.f_bavail * stat.f_frsize, total_bytes: stat.f_blocks * stat.f_frsize })
    }

    /// The free share in thousandths, 0 for a file system without size.
    pub fn free_per_mille(&self) -> u64 {
        let share = u128::from(self.free_bytes) * 1000 / u128::from(self.total_bytes.max(1));
        u64::try_from(share).unwrap_or(1000)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_does_not_exist_yet_is_judged_by_its_directory() {
        let space = DiskSpace::of(&std::env::temp_dir().join("not/there/yet.db")).unwrap();
        assert!(space.total_bytes > 0 && space.free_per_mille() <= 1000);
        assert!(DiskSpace::of(Path::new("not-there.db")).is_some());
    }
}
