//! The figures of a run, as JSON and as tables.

use serde::Serialize;

/// One case at one number of connections: medians of the rounds.
#[derive(Clone, Debug, Serialize)]
pub struct Case {
    /// At once.
    pub connections: usize,
    /// Orders a second.
    pub rps: f64,
    /// The slowest and the fastest round.
    pub rps_range: (f64, f64),
    /// Half of them took at most so long.
    pub p50_ms: f64,
    /// 99 of 100.
    pub p99_ms: f64,
    /// 999 of 1,000.
    pub p999_ms: f64,
    /// CPU time of sender, service and ERP for an order.
    pub cpu_us: f64,
    /// Share of the floor's rate at as many connections.
    pub of_floor: f64,
}

/// Times of a kind.
#[derive(Clone, Copy, Debug, Default, Serialize)]
pub struct Times {
    /// Half of them.
    pub p50: f64,
    /// 99 of 100.
    pub p99: f64,
    /// 999 of 1,000.
    pub p999: f64,
}

/// Orders that come at a steady rate, whatever the answers.
#[derive(Clone, Copy, Debug, Default, Serialize)]
pub struct OpenLoop {
    /// A third of the capacity measured before.
    pub rps: f64,
    /// From when an order was due until it was acknowledged.
    pub p50_ms: f64,
    /// 99 of 100.
    pub p99_ms: f64,
    /// 999 of 1,000.
    pub p999_ms: f64,
    /// The longest time without any answer.
    pub largest_gap_ms: f64,
}

/// Adobe's events, each with two RSA signatures.
#[derive(Clone, Debug, Default, Serialize)]
pub struct EventCase {
    /// At once.
    pub connections: usize,
    /// How many were pushed.
    pub events: usize,
    /// Events a second, to the last answer; with their orders read back, to the last order at the ERP.
    pub rps: f64,
    /// CPU time of pusher, service, Commerce and ERP for an event.
    pub cpu_us: f64,
    /// Half were answered within so long.
    pub p50_ms: f64,
    /// 99 of 100.
    pub p99_ms: f64,
    /// Share of the floor's rate at 64 connections.
    pub of_floor: f64,
}

/// Rates as shares of the floor's, same connections, same round.
#[derive(Clone, Copy, Debug, Default, Serialize)]
pub struct Ratios {
    /// Durable accept at 64 connections.
    pub accept: f64,
    /// Whole path at 64 connections, emptying the queue included.
    pub deliver: f64,
    /// Whole path at 8 connections, where the express lane keeps up.
    pub express: f64,
    /// CPU time of an order on the whole path, in CPU times of the floor; 64 connections.
    pub cpu: f64,
}

/// Everything measured.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    /// A bare handler that reads the same bodies, 64 connections, requests a second.
    pub floor_rps: f64,
    /// To make 4 KB durable in the folder of the stores.
    pub fdatasync_ms: f64,
    /// Verified, decoded, durable, answered.
    pub accept: Vec<Case>,
    /// Accepted, expanded, delivered, confirmed; times are from sending to the ERP having it.
    pub delivered: Vec<Case>,
    /// The floor.
    pub floor: Vec<Case>,
    /// Of `delivered`, the case of 64 connections.
    pub delivered_per_s: f64,
    /// From when an order was due until the ERP had it, at a third of the capacity of the whole path.
    pub accept_to_erp_ms: Times,
    /// The same for one order at a time.
    pub idle_to_erp_ms: Times,
    /// Accept at a third of its capacity.
    pub open_loop: OpenLoop,
    /// Events verified, durable, answered; no route wants them.
    pub events: EventCase,
    /// Events whose orders are read from Commerce, compiled and delivered.
    pub read_back: EventCase,
    /// Orders that shared a durable commit at 64 connections; absent where the service does not count commits.
    pub orders_per_fsync: Option<f64>,
    /// The most memory the service had.
    pub rss_mb: f64,
    /// Before the first order.
    pub rss_at_rest_mb: f64,
    /// Shares of the floor.
    pub ratios: Ratios,
    /// Orders in each store before measuring.
    pub stored: usize,
    /// Of this machine.
    pub cores: usize,
    /// Of one body.
    pub order_bytes: usize,
    /// Rounds whose medians these are.
    pub rounds: usize,
    /// Length of one case.
    pub seconds: f64,
    /// `release` or `debug`: only the first is worth quoting.
    pub build: &'static str,
}

impl Report {
    /// Rows of the table of rates.
    pub fn cases(&self) -> Vec<Vec<String>> {
        let kinds = [("floor", &self.floor), ("accept", &self.accept), ("whole path", &self.delivered)];
        let mut rows = Vec::new();
        for (kind, cases) in kinds {
            for case in cases {
                rows.push(vec![
                    kind.to_owned(),
                    case.connections.to_string(),
                    format!("{:.0} ({:.0} to {:.0})", case.rps, case.rps_range.0, case.rps_range.1),
                    format!("{:.1} %", 100.0 * case.of_floor),
                    format!("{:.0}", case.cpu_us),
                    format!("{:.2}", case.p50_ms),
                    format!("{:.2}", case.p99_ms),
                    format!("{:.2}", case.p999_ms),
                ]);
            }
        }
        for (kind, case) in [("events", &self.events), ("  read back", &self.read_back)] {
            rows.push(vec![
                kind.to_owned(),
                case.connections.to_string(),
                format!("{:.0}", case.rps),
                format!("{:.1} %", 100.0 * case.of_floor),
                format!("{:.0}", case.cpu_us),
                format!("{:.2}", case.p50_ms),
                format!("{:.2}", case.p99_ms),
                String::new(),
            ]);
        }
        rows
    }

    /// Rows of the other figures.
    pub fn others(&self) -> Vec<Vec<String>> {
        let OpenLoop { rps, p50_ms, p99_ms, p999_ms, largest_gap_ms } = self.open_loop;
        let times = |times: Times| format!("{:.2} / {:.2} / {:.2} ms", times.p50, times.p99, times.p999);
        let mut rows = vec![
            ("fdatasync of 4 KB", format!("{:.3} ms", self.fdatasync_ms)),
            ("accept at a steady rate of", format!("{rps:.0} a second")),
            ("  p50 / p99 / p999", format!("{p50_ms:.2} / {p99_ms:.2} / {p999_ms:.2} ms")),
            ("  largest gap between answers", format!("{largest_gap_ms:.1} ms")),
            ("to the ERP, a third of capacity", times(self.accept_to_erp_ms)),
            ("to the ERP, one at a time", times(self.idle_to_erp_ms)),
            ("CPU of the whole path", format!("{:.1} floors", self.ratios.cpu)),
            ("memory of the service", format!("{:.0} MB at rest, {:.0} MB at most", self.rss_at_rest_mb, self.rss_mb)),
        ];
        if let Some(orders) = self.orders_per_fsync {
            rows.push(("orders a commit, 64 connections", format!("{orders:.1}")));
        }
        rows.into_iter().map(|(what, figure)| vec![what.to_owned(), figure]).collect()
    }
}
