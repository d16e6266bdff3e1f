//! What this machine can do: rates, latencies, CPU and memory of the service as it is installed.
//!
//! The service runs as a process of its own with a store on a real disk and every flush on. Sender, bare handler and ERP
//! live in this process and share the machine with it; CPU times are the sums of both processes. Each rate stands beside
//! the rate of a bare handler that reads the same bodies in the same round, since the ratio travels between machines.
//! Every case ends with the books compared: what was acknowledged is at the ERP, once.

mod events;
mod machine;
mod report;
pub mod stage;

use std::path::PathBuf;
use std::time::Duration;

pub use report::{Case, EventCase, OpenLoop, Ratios, Report, Times};

use machine::median;
use stage::{Kind, Stage};

/// Connections of each case.
pub const CONNECTIONS: [usize; 5] = [1, 8, 32, 64, 128];
/// The case that ratios are quoted from.
const QUOTED: usize = 64;
/// The case where the express lane keeps up.
const EXPRESS: usize = 8;

/// What to measure.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Rounds whose medians are reported.
    pub rounds: usize,
    /// Length of one case.
    pub time: Duration,
    /// Connections; 64 and 8 are needed for the ratios.
    pub connections: Vec<usize>,
    /// Orders in each store before anything is measured.
    pub stored: usize,
    /// An empty folder on the disk to measure.
    pub folder: PathBuf,
    /// The program: `crossdock` itself.
    pub binary: PathBuf,
}

/// One case of one round.
#[derive(Clone, Copy, Debug)]
struct Figure {
    rps: f64,
    cpu_us: f64,
    times: Times,
}

/// Figures of one kind and number of connections, by round.
struct Row {
    kind: Kind,
    connections: usize,
    figures: Vec<Figure>,
}

/// Measures; `progress` is told every step before it begins: how many are done, how many there are, and its name.
///
/// # Errors
/// When the folder cannot be used, the service does not start, or the books differ after a case.
pub fn run(settings: &Settings, progress: &dyn Fn(usize, usize, &str)) -> anyhow::Result<Report> {
    let mut rows: Vec<Row> = Vec::new();
    for connections in &settings.connections {
        for kind in [Kind::Floor, Kind::Accept, Kind::Whole] {
            rows.push(Row { kind, connections: *connections, figures: Vec::new() });
        }
    }
    // Starting, warming up, two runs at a steady rate, one order at a time, and events.
    let steps = rows.len() * settings.rounds + 6;
    let mut done = 0;
    let mut step = |name: &str| {
        progress(done, steps, name);
        done += 1;
    };
    step("starting the service twice, and filling its stores");
    let mut stage = Stage::set(settings)?;
    let rss_at_rest_mb = stage.memory_mb()?.0;
    step("warming up");
    for kind in [Kind::Floor, Kind::Accept, Kind::Whole] {
        stage.case(kind, EXPRESS, settings.time / 2)?;
    }
    let mut orders_per_fsync = None;
    for _ in 0..settings.rounds {
        for row in &mut rows {
            step(&format!("{} with {} connections", row.kind.as_str(), row.connections));
            let commits = stage.commits()?;
            let figure = stage.case(row.kind, row.connections, settings.time)?;
            if row.kind == Kind::Accept && row.connections == QUOTED {
                orders_per_fsync = stage.orders_per_commit(commits)?;
            }
            row.figures.push(figure);
        }
    }
    let capacity = |kind: Kind| {
        let best = rows.iter().filter(|row| row.kind == kind).map(|row| row.median(|figure| figure.rps));
        best.fold(0.0, f64::max)
    };
    step("accept at a third of its capacity");
    let open_loop = stage.open_loop(capacity(Kind::Accept) / 3.0, settings.time * 3)?;
    step("the whole path at a third of its capacity");
    let accept_to_erp_ms = stage.reach_erp(Some(capacity(Kind::Whole) / 3.0), QUOTED, settings.time * 3)?;
    step("one order at a time");
    let idle_to_erp_ms = stage.idle(settings.time)?;
    let (_, rss_mb) = stage.memory_mb()?;
    let fdatasync_ms = stage.flush_millis()?;
    let order_bytes = stage.order_bytes();
    stage.strike()?;
    step("signing events, pushing them, and reading their orders back");
    let floor_now = rows.iter().find(|row| row.kind == Kind::Floor && row.connections == QUOTED);
    let (events, read_back) = events::measure(settings, floor_now.map_or(0.0, |row| row.median(|figure| figure.rps)))?;
    let cases = |kind: Kind| rows.iter().filter(|row| row.kind == kind).map(|row| row.case(&rows)).collect();
    let (floor, accept, delivered): (Vec<Case>, Vec<Case>, Vec<Case>) =
        (cases(Kind::Floor), cases(Kind::Accept), cases(Kind::Whole));
    let at = |cases: &[Case], connections: usize| cases.iter().find(|case| case.connections == connections).cloned();
    let of_floor = |cases, connections| at(cases, connections).map_or(0.0, |case| case.of_floor);
    let quoted = (at(&floor, QUOTED), at(&delivered, QUOTED));
    Ok(Report {
        floor_rps: quoted.0.as_ref().map_or(0.0, |case| case.rps),
        delivered_per_s: quoted.1.as_ref().map_or(0.0, |case| case.rps),
        ratios: Ratios {
            accept: of_floor(&accept, QUOTED),
            deliver: of_floor(&delivered, QUOTED),
            express: of_floor(&delivered, EXPRESS),
            cpu: if let (Some(floor), Some(whole)) = &quoted { whole.cpu_us / floor.cpu_us } else { 0.0 },
        },
        fdatasync_ms,
        floor,
        accept,
        delivered,
        accept_to_erp_ms,
        idle_to_erp_ms,
        open_loop,
        events,
        read_back,
        orders_per_fsync,
        rss_mb,
        rss_at_rest_mb,
        stored: settings.stored,
        cores: std::thread::available_parallelism().map_or(1, usize::from),
        order_bytes,
        rounds: settings.rounds,
        seconds: settings.time.as_secs_f64(),
        build: if cfg!(debug_assertions) { "debug" } else { "release" },
    })
}

impl Row {
    fn median(&self, of: impl Fn(&Figure) -> f64) -> f64 {
        median(self.figures.iter().map(of).collect())
    }

    fn case(&self, rows: &[Row]) -> Case {
        let rates = self.figures.iter().map(|figure| figure.rps);
        let floor = rows.iter().find(|row| row.kind == Kind::Floor && row.connections == self.connections);
        // Round by round: a busy neighbour slows both.
        let shares = floor.map(|floor| self.figures.iter().zip(&floor.figures).map(|(one, floor)| one.rps / floor.rps));
        Case {
            connections: self.connections,
            rps: self.median(|figure| figure.rps),
            rps_range: rates.fold((f64::MAX, 0.0), |(low, high), rate| (rate.min(low), rate.max(high))),
            p50_ms: self.median(|figure| figure.times.p50),
            p99_ms: self.median(|figure| figure.times.p99),
            p999_ms: self.median(|figure| figure.times.p999),
            cpu_us: self.median(|figure| figure.cpu_us),
            of_floor: shares.map_or(0.0, |shares| median(shares.collect())),
        }
    }
}
