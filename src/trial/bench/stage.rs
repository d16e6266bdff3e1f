//! Sender, bare handler and ERP in this process, two services beside it: one whose orders nobody wants, one that delivers.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use tokio::runtime::{Builder, Runtime};

use super::{Figure, OpenLoop, Settings, Times, machine};
use crate::demo::erp::{ErpOptions, StandInErp};
use crate::trial::load::{self, Course, Orders, Sent, percentile};
use crate::trial::service::{Log, Service};

/// Lines of every order: about 5.9 KB.
const LINES: usize = 4;
/// Orders of a case, at most.
const CASE_ORDERS_MAX: usize = 4_000_000;
/// So many times the orders that the last case took are signed beforehand; any more are signed when they are sent.
const SIGNED_AHEAD: f64 = 1.5;
/// The floor repeats the same orders.
const FLOOR_ORDERS: usize = 100_000;
/// Until the ERP has everything.
const DRAIN_PATIENCE: Duration = Duration::from_mins(2);
/// Connections that fill a store.
const FILLING: usize = 64;
/// Between two orders that come one at a time.
const IDLE_PAUSE: Duration = Duration::from_millis(5);

/// What a case exercises.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// A bare handler.
    Floor,
    /// Up to the acknowledgement; no route wants the order.
    Accept,
    /// Up to the ERP.
    Whole,
}

impl Kind {
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Kind::Floor => "floor",
            Kind::Accept => "accept",
            Kind::Whole => "whole path",
        }
    }
}

/// A running service and where it listens.
struct Running {
    service: Service,
    address: SocketAddr,
    /// Index of the next order; a few are passed over when a case ends.
    next: usize,
    /// Orders acknowledged.
    acknowledged: usize,
    /// Orders a second of the last case.
    rate: f64,
}

/// When the ERP had each order, by index.
type Arrivals = Arc<Mutex<Vec<(usize, Instant)>>>;

/// Everything set up.
pub(super) struct Stage {
    folder: std::path::PathBuf,
    sender: Runtime,
    /// Kept for the bare handler that runs on it.
    floor: Runtime,
    floor_address: SocketAddr,
    erp_runtime: Runtime,
    erp: StandInErp,
    arrivals: Arrivals,
    accept: Running,
    whole: Running,
    template: Arc<Orders>,
    log: Log,
    /// CPU time of all processes when the last case began.
    cpu_before: u64,
}

impl Stage {
    pub(super) fn set(settings: &Settings) -> anyhow::Result<Stage> {
        let cores = std::thread::available_parallelism().map_or(2, usize::from);
        let runtime = |workers| Builder::new_multi_thread().worker_threads(workers).enable_all().build();
        let (sender, floor, erp_runtime) = (runtime(1)?, runtime(cores)?, runtime(1)?);
        let floor_address = floor.block_on(bare_handler())?;
        let options = ErpOptions { forgetful: true, reads_documents: false, ..ErpOptions::default() };
        let erp = erp_runtime.block_on(StandInErp::start_with(options)).context("the ERP cannot listen")?;
        let arrivals = Arrivals::default();
        let book = Arc::clone(&arrivals);
        erp.watch(Box::new(move |body| note(&book, body)));
        let log = Log::default();
        let start = |name: &str, routes: &str| {
            let folder = settings.folder.join(name);
            let text = configuration(routes, &erp.url(), CONCURRENCY);
            let (service, address) = sender.block_on(start(&settings.binary, &folder, &text, &log))?;
            anyhow::Ok(Running { service, address, next: 0, acknowledged: 0, rate: 0.0 })
        };
        let accept = start("accept", "[]")?;
        let whole = start("whole", r#"[{ name = "orders", accepts = ["order"], to = ["erp"] }]"#)?;
        let template = Arc::new(Orders::signed(LINES, FLOOR_ORDERS));
        let folder = settings.folder.clone();
        let mut stage = Stage {
            folder,
            sender,
            floor,
            floor_address,
            erp_runtime,
            erp,
            arrivals,
            accept,
            whole,
            template,
            log,
            cpu_before: 0,
        };
        stage.fill(settings.stored)?;
        Ok(stage)
    }

    /// Orders through the front door until each store holds so many.
    fn fill(&mut self, stored: usize) -> anyhow::Result<()> {
        for kind in [Kind::Accept, Kind::Whole] {
            while self.running(kind).acknowledged < stored {
                let left = stored - self.running(kind).acknowledged;
                self.send(kind, FILLING, Duration::from_mins(10), None, left.min(100_000))?;
                self.drain(kind)?;
            }
        }
        Ok(())
    }

    /// One case; the ERP has everything when it ends.
    pub(super) fn case(&mut self, kind: Kind, connections: usize, time: Duration) -> anyhow::Result<Figure> {
        let sent = self.send(kind, connections, time, None, CASE_ORDERS_MAX)?;
        self.drain(kind)?;
        let elapsed = if kind == Kind::Whole { self.last_arrival(sent.began) } else { sent.elapsed };
        let cpu = self.cpu_micros()? - self.cpu_before;
        let times = if kind == Kind::Whole { self.times_to_erp(&sent)? } else { times(&sent) };
        #[expect(clippy::cast_precision_loss, reason = "counts of a few seconds")]
        let count = sent.count as f64;
        #[expect(clippy::cast_precision_loss, reason = "microseconds of a few seconds")]
        let cpu_us = cpu as f64 / count;
        Ok(Figure { rps: count / elapsed.as_secs_f64(), cpu_us, times })
    }

    /// Accept at a steady rate.
    pub(super) fn open_loop(&mut self, rate: f64, time: Duration) -> anyhow::Result<OpenLoop> {
        let sent = self.send(Kind::Accept, 64, time, Some(rate), CASE_ORDERS_MAX)?;
        let Times { p50, p99, p999 } = times(&sent);
        let largest_gap_ms = sent.largest_gap.as_secs_f64() * 1000.0;
        Ok(OpenLoop { rps: rate, p50_ms: p50, p99_ms: p99, p999_ms: p999, largest_gap_ms })
    }

    /// From when an order was due until the ERP had it.
    pub(super) fn reach_erp(&mut self, rate: Option<f64>, connections: usize, time: Duration) -> anyhow::Result<Times> {
        let sent = self.send(Kind::Whole, connections, time, rate, CASE_ORDERS_MAX)?;
        self.drain(Kind::Whole)?;
        self.times_to_erp(&sent)
    }

    /// One order at a time, with a pause in which everything comes to rest.
    pub(super) fn idle(&mut self, time: Duration) -> anyhow::Result<Times> {
        self.reach_erp(Some(1.0 / IDLE_PAUSE.as_secs_f64()), 1, time)
    }

    /// Memory of the service that delivers: now, and at most.
    pub(super) fn memory_mb(&self) -> anyhow::Result<(f64, f64)> {
        let (accept, whole) =
            (machine::memory_mb(self.accept.service.pid())?, machine::memory_mb(self.whole.service.pid())?);
        Ok((accept.0.max(whole.0), accept.1.max(whole.1)))
    }

    pub(super) fn flush_millis(&self) -> anyhow::Result<f64> {
        machine::flush_millis(&self.folder)
    }

    pub(super) fn order_bytes(&self) -> usize {
        self.template.bytes()
    }

    /// Commits and accepted orders of the service that only accepts; `None` where commits are not counted.
    pub(super) fn commits(&self) -> anyhow::Result<Option<(f64, usize)>> {
        let text = self.sender.block_on(metrics(self.accept.address))?;
        let line = text.lines().find_map(|line| line.strip_prefix("store_commits "));
        Ok(line.and_then(|count| count.parse().ok()).map(|commits| (commits, self.accept.acknowledged)))
    }

    #[expect(clippy::cast_precision_loss, reason = "counts of a few seconds")]
    pub(super) fn orders_per_commit(&self, before: Option<(f64, usize)>) -> anyhow::Result<Option<f64>> {
        let (Some((before, first)), Some((after, next))) = (before, self.commits()?) else { return Ok(None) };
        Ok((after > before).then(|| (next - first) as f64 / (after - before)))
    }

    /// Stops both services in order.
    pub(super) fn strike(self) -> anyhow::Result<()> {
        let Stage { sender, floor, accept, whole, log, .. } = self;
        floor.shutdown_background();
        sender
            .block_on(async {
                accept.service.stop().await?;
                whole.service.stop().await
            })
            .with_context(|| log.text())
    }

    fn running(&mut self, kind: Kind) -> &mut Running {
        if kind == Kind::Whole { &mut self.whole } else { &mut self.accept }
    }

    fn send(
        &mut self,
        kind: Kind,
        connections: usize,
        time: Duration,
        rate: Option<f64>,
        most: usize,
    ) -> anyhow::Result<Sent> {
        if kind == Kind::Whole {
            self.arrivals.lock().unwrap_or_else(PoisonError::into_inner).clear();
        }
        let (to, first, orders) = match kind {
            Kind::Floor => (self.floor_address, 0, Arc::clone(&self.template)),
            Kind::Accept | Kind::Whole => {
                let template = Arc::clone(&self.template);
                let running = self.running(kind);
                let signed = most.min(orders_in(time, rate.unwrap_or(running.rate)));
                (running.address, running.next, Arc::new(template.window(running.next, signed)))
            }
        };
        let end = if kind == Kind::Floor { orders.count() } else { first + most };
        // Signing ahead is nobody's work but ours.
        self.cpu_before = self.cpu_micros()?;
        let course = Course { to, connections, status: "202", time, orders: first..end, rate };
        let sent = self.sender.block_on(load::send(&orders, course)).with_context(|| self.log.text())?;
        if kind != Kind::Floor {
            let highest = sent.sent_at.iter().map(|(index, _)| index + 1).max().unwrap_or(first);
            let running = self.running(kind);
            running.acknowledged += sent.count;
            running.next = highest.max(first);
            running.rate = sent.per_second();
        }
        Ok(sent)
    }

    /// Until the ERP has every order that was acknowledged, once.
    fn drain(&self, kind: Kind) -> anyhow::Result<()> {
        if kind != Kind::Whole {
            return Ok(());
        }
        let wanted = self.whole.acknowledged as u64;
        let arrived =
            self.erp_runtime.block_on(async { tokio::time::timeout(DRAIN_PATIENCE, self.erp.applied(wanted)).await });
        let counts = self.erp.counts();
        ensure!(arrived.is_ok(), "the ERP has {} of {wanted} orders\n{}", counts.applied, self.log.text());
        ensure!(counts.doubled == 0 && counts.applied == wanted, "the books differ: {counts:?} for {wanted} orders");
        Ok(())
    }

    fn last_arrival(&self, since: Instant) -> Duration {
        let arrivals = self.arrivals.lock().unwrap_or_else(PoisonError::into_inner);
        let last = arrivals.iter().map(|(_, at)| *at).max().unwrap_or(since);
        last.saturating_duration_since(since)
    }

    fn times_to_erp(&self, sent: &Sent) -> anyhow::Result<Times> {
        let arrivals = self.arrivals.lock().unwrap_or_else(PoisonError::into_inner);
        let arrived: HashMap<usize, Instant> = arrivals.iter().copied().collect();
        let mut micros = Vec::with_capacity(sent.sent_at.len());
        for (index, due) in &sent.sent_at {
            let at = arrived.get(index).context("an order that was acknowledged is not at the ERP")?;
            micros.push(u32::try_from(at.saturating_duration_since(*due).as_micros()).unwrap_or(u32::MAX));
        }
        micros.sort_unstable();
        let millis = |share| percentile(&micros, share) / 1_000.0;
        Ok(Times { p50: millis(0.5), p99: millis(0.99), p999: millis(0.999) })
    }

    fn cpu_micros(&self) -> anyhow::Result<u64> {
        let all = [std::process::id(), self.accept.service.pid(), self.whole.service.pid()];
        all.into_iter().map(machine::cpu_micros).sum()
    }
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "counts of a few seconds")]
fn orders_in(time: Duration, rate: f64) -> usize {
    (time.as_secs_f64() * rate * SIGNED_AHEAD) as usize
}

fn times(sent: &Sent) -> Times {
    Times { p50: sent.millis_at(0.5), p99: sent.millis_at(0.99), p999: sent.millis_at(0.999) }
}

/// Reads the number out of a document, without reading the document.
fn note(arrivals: &Mutex<Vec<(usize, Instant)>>, body: &[u8]) {
    const NAME: &[u8] = b"\"increment_id\":\"";
    let at = Instant::now();
    let Some(place) = body.windows(NAME.len()).position(|bytes| bytes == NAME) else { return };
    let number: &[u8] = body.get(place + NAME.len()..place + NAME.len() + 9).unwrap_or_default();
    if let Some(index) = std::str::from_utf8(number).ok().and_then(Orders::index) {
        arrivals.lock().unwrap_or_else(PoisonError::into_inner).push((index, at));
    }
}

/// Reads the body and answers: what nobody who takes orders over HTTP can be faster than.
async fn bare_handler() -> anyhow::Result<SocketAddr> {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.context("nothing can listen on loopback")?;
    let address = listener.local_addr()?;
    let read = async |body: bytes::Bytes| (http::StatusCode::ACCEPTED, body.len().to_string());
    let router = axum::Router::new().route("/in/flows/orders", axum::routing::post(read));
    tokio::spawn(async { axum::serve(listener, router).await });
    Ok(address)
}

/// A service of its own, ready.
pub(super) async fn start(
    binary: &Path,
    folder: &Path,
    text: &str,
    log: &Log,
) -> anyhow::Result<(Service, SocketAddr)> {
    std::fs::create_dir_all(folder)?;
    let config = folder.join("crossdock.toml");
    std::fs::write(&config, text)?;
    let mut service = Service::spawn(binary, &config, log)?;
    let address = service.ready().await.with_context(|| log.text())?;
    Ok((service, address))
}

async fn metrics(address: SocketAddr) -> anyhow::Result<String> {
    let client = reqwest::Client::builder().no_proxy().build()?;
    Ok(client.get(format!("http://{address}/metrics")).send().await?.text().await?)
}

/// Requests at once at the destination.
pub const CONCURRENCY: u32 = 32;

/// The configuration of a service that is measured; `benches/accept.rs` measures the same one.
pub fn configuration(routes: &str, erp: &str, concurrency: u32) -> String {
    let secret = load::SECRET;
    format!(
        r#"# Written by `crossdock bench`.
routes = {routes}
[server]
listen = "127.0.0.1:0"
drain_intake = "0s"
[store]
url = "sqlite:crossdock.db"
[commerce.acme]
edition = "paas"
base_url = "http://127.0.0.1:1/rest"
auth = {{ type = "none" }}
read_back = "when-needed"
sweep = "off"
catalogue = "off"
[origins.flows]
type = "patchworks"
commerce = "acme"
auth = [{{ type = "hmac", header = "X-HMAC-HASH", secret = "{secret}" }}]
[destinations.erp]
profile = "http"
url = "{erp}"
guard = "key"
key_window = "24h"
concurrency = {concurrency}
auth = {{ type = "none" }}
allow_private = ["127.0.0.0/8"]
"#
    )
}
