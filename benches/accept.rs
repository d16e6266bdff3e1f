//! Signed orders over loopback, divided by what a bare handler does with the same bytes in the same round.
//!
//! `floor` reads the body and answers. `accept` verifies, decodes, appends durably and answers; no route wants the order.
//! `whole` goes on to a sales order confirmed by the stand-in ERP, the time to empty the queue included. Sender, service
//! and ERP share the machine and this process, a runtime each. Every round has a new store on a real disk, and ends with
//! the books compared: each order applied once, no difference in the ledger.
//!
//! `CROSSDOCK_BENCH_ROUNDS` (5), `CROSSDOCK_BENCH_SECONDS` (1.5) and `CROSSDOCK_BENCH_ONLY` (`whole 64`) change a run.

use std::fs::File;
use std::io::Write as _;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crossdock::app::{self, Doors, Running};
use crossdock::config::Config;
use crossdock::demo::erp::{ErpOptions, StandInErp};
use crossdock::shutdown::Timing;
use crossdock::trial::bench::stage::{CONCURRENCY, configuration};
use tokio::runtime::{Builder, Runtime};

use support::load::{self, Course, Orders, Sent};

mod support;

#[cfg(feature = "mimalloc")]
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Every case of a round, in this order: what, and with how many connections.
const CASES: [(&str, usize); 8] = [
    ("floor", 1),
    ("accept", 1),
    ("floor", 8),
    ("accept", 8),
    ("floor", 64),
    ("accept", 64),
    ("whole", 64),
    ("whole", 8),
];
const LINES: usize = 4;
/// Orders signed beforehand, unless `CROSSDOCK_BENCH_ORDERS` says otherwise.
const ORDERS: usize = 80_000;

/// One case of one round.
#[derive(Clone, Copy)]
struct Figure {
    per_second: f64,
    cpu_micros: f64,
    p50: u32,
    p99: u32,
}

struct Machine {
    service: Runtime,
    sender: Runtime,
    erp: Runtime,
    orders: Arc<Orders>,
    floor: SocketAddr,
    time: Duration,
}

fn main() {
    let setting = |name: &str| std::env::var(format!("CROSSDOCK_BENCH_{name}")).ok();
    let rounds: usize = setting("ROUNDS").map_or(5, |text| text.parse().expect("a number of rounds"));
    let seconds: f64 = setting("SECONDS").map_or(1.5, |text| text.parse().expect("a number of seconds"));
    let only = setting("ONLY");
    let machine = Machine::new(Duration::from_secs_f64(seconds));
    println!(
        "{} cores, {}-byte orders of {LINES} lines, {rounds} rounds of {seconds} s, fdatasync of 4 KB {:.2} ms",
        std::thread::available_parallelism().map_or(1, usize::from),
        machine.orders.bytes(),
        flush_millis()
    );
    // The first round warms the machine and is thrown away.
    let mut table: Vec<Vec<Option<Figure>>> = (0..=rounds)
        .map(|_| {
            let wanted = |what: &str, connections: usize| {
                only.as_ref().is_none_or(|only| *only == format!("{what} {connections}"))
            };
            CASES.iter().map(|(what, count)| wanted(what, *count).then(|| machine.figure(what, *count))).collect()
        })
        .collect();
    if rounds > 0 {
        table.remove(0);
    }
    print(&table);
}

impl Machine {
    fn new(time: Duration) -> Self {
        let cores = std::thread::available_parallelism().map_or(2, usize::from);
        let runtime = |workers| {
            Builder::new_multi_thread().worker_threads(workers).enable_all().build().expect("a runtime can be started")
        };
        let service = runtime(cores);
        let floor = service.block_on(async {
            let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a loopback port");
            let address = listener.local_addr().expect("bound");
            let read = async |body: bytes::Bytes| (http::StatusCode::ACCEPTED, body.len().to_string());
            let router = axum::Router::new().route("/in/flows/orders", axum::routing::post(read));
            tokio::spawn(async { axum::serve(listener, router).await });
            address
        });
        let orders =
            std::env::var("CROSSDOCK_BENCH_ORDERS").map_or(ORDERS, |text| text.parse().expect("a number of orders"));
        let orders = Arc::new(Orders::signed(LINES, orders));
        Machine { service, sender: runtime(1), erp: runtime(1), orders, floor, time }
    }

    fn figure(&self, what: &str, connections: usize) -> Figure {
        match what {
            "floor" => {
                let cpu = cpu_micros();
                let sent = self.send(self.floor, connections);
                figure(&sent, sent.count, sent.elapsed, cpu_micros() - cpu)
            }
            "accept" => {
                let (running, _folder) = self.start("[]", "http://127.0.0.1:1/");
                let cpu = cpu_micros();
                let sent = self.send(running.address, connections);
                let used = cpu_micros() - cpu;
                self.service.block_on(async {
                    let ledger = running.store.ledger().await.expect("the ledger can be read");
                    assert_eq!((ledger.ignored, ledger.difference()), (sent.count as u64, 0), "{ledger:?}");
                    running.stop(Timing::at_once()).await;
                });
                figure(&sent, sent.count, sent.elapsed, used)
            }
            _ => self.whole(connections),
        }
    }

    fn whole(&self, connections: usize) -> Figure {
        let options = ErpOptions { forgetful: true, reads_documents: false, ..ErpOptions::default() };
        let erp = self.erp.block_on(StandInErp::start_with(options)).expect("a loopback port");
        let routes = r#"[{ name = "orders", accepts = ["order"], to = ["erp"] }]"#;
        let (running, _folder) = self.start(routes, &erp.url());
        let (cpu, began) = (cpu_micros(), Instant::now());
        let sent = self.send(running.address, connections);
        self.service.block_on(async {
            while running.store.ledger().await.expect("the ledger can be read").due > 0 {
                tokio::time::sleep(Duration::from_millis(2)).await;
            }
        });
        let (elapsed, used) = (began.elapsed(), cpu_micros() - cpu);
        self.service.block_on(async {
            let ledger = running.store.ledger().await.expect("the ledger can be read");
            assert_eq!((ledger.done, ledger.difference()), (sent.count as u64, 0), "{ledger:?}");
            running.stop(Timing::at_once()).await;
        });
        let counts = erp.counts();
        assert_eq!((counts.applied, counts.doubled), (sent.count as u64, 0), "{counts:?}");
        drop(erp);
        figure(&sent, sent.count, elapsed, used)
    }

    fn send(&self, to: SocketAddr, connections: usize) -> Sent {
        let course = Course { to, connections, status: "202", time: self.time, orders: 0..ORDERS, rate: None };
        self.sender.block_on(load::send(&self.orders, course)).expect("every order is taken")
    }

    /// The service with a new store.
    fn start(&self, routes: &str, erp: &str) -> (Running, tempfile::TempDir) {
        let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).expect("a temporary folder can be made");
        let path = folder.path().join("crossdock.toml");
        let concurrency = std::env::var("CROSSDOCK_BENCH_CONCURRENCY");
        let concurrency = concurrency.map_or(CONCURRENCY, |text| text.parse().expect("a number of requests"));
        std::fs::write(&path, configuration(routes, erp, concurrency)).expect("the folder can be written");
        let loaded = Config::load(&path, &|_| None).unwrap_or_else(|problems| panic!("{problems:#?}"));
        let running = self.service.block_on(app::start(loaded, Doors::default())).expect("the service starts");
        (running, folder)
    }
}

#[allow(clippy::cast_precision_loss, reason = "counts of a few seconds")]
fn figure(sent: &Sent, count: usize, elapsed: Duration, cpu: u64) -> Figure {
    let at = |hundredth: usize| sent.micros[(sent.micros.len() - 1) * hundredth / 100];
    Figure {
        per_second: count as f64 / elapsed.as_secs_f64(),
        cpu_micros: cpu as f64 / count as f64,
        p50: at(50),
        p99: at(99),
    }
}

/// CPU time of this process: user and system, in steps of 10 ms.
fn cpu_micros() -> u64 {
    let stat = std::fs::read_to_string("/proc/self/stat").expect("Linux keeps it");
    let (_, after_name) = stat.rsplit_once(')').expect("the name stands in brackets");
    let ticks: u64 =
        after_name.split_whitespace().skip(11).take(2).map(|ticks| ticks.parse::<u64>().expect("a number")).sum();
    ticks * 10_000
}

/// Median time to make 4 KB durable where the stores are.
fn flush_millis() -> f64 {
    let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).expect("a temporary folder can be made");
    let mut file = File::create(folder.path().join("flushed")).expect("the folder can be written");
    let times = (0..100).map(|_| {
        let began = Instant::now();
        file.write_all(&[7; 4096]).and_then(|()| file.sync_data()).expect("the disk takes it");
        began.elapsed().as_secs_f64() * 1000.0
    });
    median(times.collect())
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

fn print(table: &[Vec<Option<Figure>>]) {
    println!("case       conn   orders/s (min-max)         of floor (min-max)     CPU us   ack p50/p99 ms");
    for (case, (what, connections)) in CASES.iter().enumerate() {
        let figures: Vec<Figure> = table.iter().filter_map(|round| round[case]).collect();
        if figures.is_empty() {
            continue;
        }
        let floor = CASES.iter().position(|known| *known == ("floor", *connections)).expect("every case has a floor");
        let rates: Vec<f64> = figures.iter().map(|figure| figure.per_second).collect();
        let ratios: Vec<f64> =
            table.iter().filter_map(|round| Some(100.0 * round[case]?.per_second / round[floor]?.per_second)).collect();
        let of_floor = if ratios.is_empty() { "-".to_owned() } else { spread(&ratios, 1) };
        let cpu = median(figures.iter().map(|figure| figure.cpu_micros).collect());
        let [p50, p99] = [|figure: &Figure| figure.p50, |figure: &Figure| figure.p99]
            .map(|of| median(figures.iter().map(|figure| f64::from(of(figure)) / 1000.0).collect()));
        println!(
            "{what:<10} {connections:>4}   {:<25}  {of_floor:<20} {cpu:>8.1}   {p50:.2}/{p99:.2}",
            spread(&rates, 0)
        );
    }
}

fn spread(values: &[f64], digits: usize) -> String {
    let (low, high) = values.iter().fold((f64::MAX, 0.0), |(low, high), value| (value.min(low), value.max(high)));
    format!("{:.digits$} ({low:.digits$}-{high:.digits$})", median(values.to_vec()))
}
