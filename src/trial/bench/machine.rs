//! What Linux says about processes and disks.

use std::fs::File;
use std::io::Write as _;
use std::path::Path;
use std::time::Instant;

use anyhow::Context as _;

/// Flushes that are timed.
const FLUSHES: usize = 200;

/// CPU time of a process, user and system, in microseconds; the kernel counts in steps of 10 ms.
pub(super) fn cpu_micros(pid: u32) -> anyhow::Result<u64> {
    let stat = read(pid, "stat")?;
    let (_, after_name) = stat.rsplit_once(')').context("the name of a process stands in brackets")?;
    let ticks = after_name.split_whitespace().skip(11).take(2).map(str::parse::<u64>);
    let ticks: u64 = ticks.sum::<Result<_, _>>().context("CPU time is counted in ticks")?;
    Ok(ticks * 10_000)
}

/// Memory of a process in MB: now, and the most it ever had.
pub(super) fn memory_mb(pid: u32) -> anyhow::Result<(f64, f64)> {
    let status = read(pid, "status")?;
    let of = |name: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(name)).context("Linux counts memory")?;
        let kilobytes: f64 = line.trim().trim_end_matches(" kB").parse().context("memory is counted in kB")?;
        anyhow::Ok(kilobytes / 1024.0)
    };
    Ok((of("VmRSS:")?, of("VmHWM:")?))
}

fn read(pid: u32, name: &str) -> anyhow::Result<String> {
    let path = format!("/proc/{pid}/{name}");
    std::fs::read_to_string(&path).with_context(|| format!("{path} cannot be read: figures need Linux"))
}

/// Median time to make 4 KB durable in this folder, in milliseconds.
pub(super) fn flush_millis(folder: &Path) -> anyhow::Result<f64> {
    let path = folder.join("flushed");
    let mut file = File::create(&path)?;
    let mut times = Vec::with_capacity(FLUSHES);
    for _ in 0..FLUSHES {
        let began = Instant::now();
        file.write_all(&[7; 4096])?;
        file.sync_data()?;
        times.push(began.elapsed().as_secs_f64() * 1000.0);
    }
    std::fs::remove_file(path)?;
    Ok(median(times))
}

/// The middle one; 0 for none.
pub(super) fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or_default()
}
