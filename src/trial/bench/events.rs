//! Adobe's events: what one costs up to its answer, and what it costs with its order read back from Commerce and delivered.
//!
//! Every event is another, with both of Adobe's signatures made beforehand. Commerce is a bare handler that answers any
//! order by its id, so that what is measured is ours.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;
use tokio::runtime::{Builder, Runtime};

use super::report::EventCase;
use super::stage::{CONCURRENCY, configuration, start};
use super::{Settings, machine};
use crate::demo::erp::{ErpOptions, StandInErp};
use crate::intake::signature::sign::AdobeSigner;
use crate::trial::load::{self, percentile};
use crate::trial::orders;
use crate::trial::service::{Log, Service};

/// Connections that push; Adobe pushes over a handful.
const PUSHING: usize = 16;
/// Events of one case for each second that it was asked to take: more than two cores can verify and store.
const EVENTS_A_SECOND: f64 = 6_000.0;
/// Read back and delivered, fewer are enough for a figure.
const READS_A_SECOND: f64 = 1_500.0;
/// Until the ERP has everything.
const PATIENCE: Duration = Duration::from_mins(2);
const CLIENT: &str = "0123456789abcdef0123456789abcdef";
const LINES: usize = 4;

/// Requests as they go over the wire, each another.
struct Pushes {
    requests: Vec<Vec<u8>>,
    next: AtomicUsize,
}

/// Both cases.
pub(super) fn measure(settings: &Settings, floor_rps: f64) -> anyhow::Result<(EventCase, EventCase)> {
    let runtime: Runtime = Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
    let signer = AdobeSigner::generate();
    let (keys, commerce) = runtime.block_on(async { anyhow::Ok((key_host(&signer).await?, shop().await?)) })?;
    let options = ErpOptions { forgetful: true, reads_documents: false, ..ErpOptions::default() };
    let erp = runtime.block_on(StandInErp::start_with(options)).context("the ERP cannot listen")?;
    let log = Log::default();
    let seconds = settings.time.as_secs_f64();
    let mut first = 0;
    let mut case = |name: &str, rate: f64, reads: bool| {
        let folder = settings.folder.join(name);
        let text = events_configuration(&erp.url(), keys, commerce, reads);
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "counts of a few seconds")]
        let count = (seconds * rate) as usize;
        let pushes = Arc::new(pushes(&signer, first, count));
        first += count;
        let at = Place { runtime: &runtime, binary: &settings.binary, folder: &folder, log: &log };
        at.case(&text, &pushes, reads.then_some(&erp), floor_rps)
    };
    Ok((case("events", EVENTS_A_SECOND, false)?, case("read-back", READS_A_SECOND, true)?))
}

struct Place<'a> {
    runtime: &'a Runtime,
    binary: &'a Path,
    folder: &'a Path,
    log: &'a Log,
}

impl Place<'_> {
    fn case(
        &self,
        text: &str,
        pushes: &Arc<Pushes>,
        erp: Option<&StandInErp>,
        floor_rps: f64,
    ) -> anyhow::Result<EventCase> {
        let (service, address) = self.runtime.block_on(start(self.binary, self.folder, text, self.log))?;
        let cpu = |service: &Service| {
            anyhow::Ok(machine::cpu_micros(std::process::id())? + machine::cpu_micros(service.pid())?)
        };
        let before = cpu(&service)?;
        let began = Instant::now();
        let mut micros = self.runtime.block_on(push_all(address, pushes)).with_context(|| self.log.text())?;
        let count = micros.len();
        if let Some(erp) = erp {
            let all = self.runtime.block_on(async { tokio::time::timeout(PATIENCE, erp.applied(count as u64)).await });
            let counts = erp.counts();
            ensure!(
                all.is_ok() && counts.doubled == 0,
                "the ERP has {} of {count} orders\n{}",
                counts.applied,
                self.log.text()
            );
        }
        let elapsed = began.elapsed().as_secs_f64();
        let cpu = cpu(&service)? - before;
        self.runtime.block_on(service.stop()).with_context(|| self.log.text())?;
        micros.sort_unstable();
        #[expect(clippy::cast_precision_loss, reason = "counts of a few seconds")]
        let (count, cpu) = (count as f64, cpu as f64);
        Ok(EventCase {
            connections: PUSHING,
            events: pushes.requests.len(),
            rps: count / elapsed,
            cpu_us: cpu / count,
            p50_ms: percentile(&micros, 0.5) / 1_000.0,
            p99_ms: percentile(&micros, 0.99) / 1_000.0,
            of_floor: count / elapsed / floor_rps,
        })
    }
}

/// Events from index `first` on, signed.
fn pushes(signer: &AdobeSigner, first: usize, count: usize) -> Pushes {
    let order = orders::order(LINES);
    let threads = std::thread::available_parallelism().map_or(2, usize::from);
    let share = count.div_ceil(threads).max(1);
    let requests = std::thread::scope(|scope| {
        let parts: Vec<_> = (0..count)
            .step_by(share)
            .map(|from| {
                let order = &order;
                let to = (from + share).min(count);
                scope.spawn(move || (from..to).map(|at| request(signer, order, first + at)).collect::<Vec<_>>())
            })
            .collect();
        parts.into_iter().flat_map(|part| part.join().expect("signing does not fail")).collect()
    });
    Pushes { requests, next: AtomicUsize::new(0) }
}

fn request(signer: &AdobeSigner, order: &str, index: usize) -> Vec<u8> {
    let number = (800_000_001 + index).to_string();
    let value = order.replace(orders::NUMBER, &number);
    let body = format!(
        "{{\"specversion\":\"1.0\",\"id\":\"evt-{number}\",\"source\":\"urn:uuid:9f0e1d2c-aaaa-4bbb-8ccc-ddddeeeeffff\",\
         \"type\":\"com.adobe.commerce.observer.sales_order_save_commit_after\",\"datacontenttype\":\"application/json\",\
         \"time\":\"2026-03-01T10:15:31.000Z\",\"eventid\":\"evt-{number}\",\"event_id\":\"evt-{number}\",\
         \"recipientclientid\":\"{CLIENT}\",\"recipient_client_id\":\"{CLIENT}\",\"data\":{{\"key\":\"k-{number}\",\
         \"source\":\"acme.production\",\"value\":{value},\"_metadata\":{{\"storeId\":\"1\",\"websiteId\":\"1\"}}}}}}"
    );
    let mut head = format!(
        "POST /in/events HTTP/1.1\r\nhost: measured\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\
         x-adobe-event-id: evt-{number}\r\nx-adobe-delivery-id: dlv-{number}\r\n",
        body.len()
    );
    for (name, value) in signer.headers(body.as_bytes()) {
        head.push_str(name);
        head.push_str(": ");
        head.push_str(&value);
        head.push_str("\r\n");
    }
    [head.as_bytes(), b"\r\n", body.as_bytes()].concat()
}

/// Pushes them all; the time of each answer in microseconds.
async fn push_all(to: SocketAddr, pushes: &Arc<Pushes>) -> anyhow::Result<Vec<u32>> {
    let senders: Vec<_> = (0..PUSHING)
        .map(|_| {
            let pushes = Arc::clone(pushes);
            tokio::spawn(async move {
                let mut stream = TcpStream::connect(to).await.context("nobody listens")?;
                stream.set_nodelay(true)?;
                let (mut answer, mut micros) = (Vec::with_capacity(4096), Vec::new());
                while let Some(request) = pushes.requests.get(pushes.next.fetch_add(1, Ordering::Relaxed)) {
                    let began = Instant::now();
                    stream.write_all(request).await.context("the receiver does not read")?;
                    load::read(&mut stream, &mut answer).await?;
                    ensure!(answer[9..].starts_with(b"2"), "answered {}", String::from_utf8_lossy(&answer));
                    micros.push(u32::try_from(began.elapsed().as_micros()).unwrap_or(u32::MAX));
                }
                anyhow::Ok(micros)
            })
        })
        .collect();
    let mut all = Vec::with_capacity(pushes.requests.len());
    for sender in senders {
        all.extend(sender.await.context("a sender failed")??);
    }
    Ok(all)
}

/// Serves the public halves, as Adobe's host does.
async fn key_host(signer: &AdobeSigner) -> anyhow::Result<SocketAddr> {
    let mut router = axum::Router::new();
    for (path, pem) in signer.published() {
        router = router.route(&path, axum::routing::get(move || std::future::ready(pem.clone())));
    }
    listen(router).await
}

/// Any order by its id.
async fn shop() -> anyhow::Result<SocketAddr> {
    let order = Arc::new(orders::order(LINES));
    let read = move |axum::extract::Path(id): axum::extract::Path<String>| {
        let order = Arc::clone(&order);
        async move { ([(http::header::CONTENT_TYPE, "application/json")], order.replace(orders::NUMBER, &id)) }
    };
    listen(axum::Router::new().route("/rest/all/V1/orders/{id}", axum::routing::get(read))).await
}

async fn listen(router: axum::Router) -> anyhow::Result<SocketAddr> {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.context("nothing can listen on loopback")?;
    let address = listener.local_addr()?;
    tokio::spawn(async { axum::serve(listener, router).await });
    Ok(address)
}

fn events_configuration(erp: &str, keys: SocketAddr, commerce: SocketAddr, reads: bool) -> String {
    let routes = if reads { r#"[{ name = "orders", accepts = ["order"], to = ["erp"] }]"# } else { "[]" };
    let read_back = if reads { "when-needed" } else { "never" };
    let text = configuration(routes, erp, CONCURRENCY)
        .replace("http://127.0.0.1:1/rest", &format!("http://{commerce}/rest"))
        .replace("read_back = \"when-needed\"", &format!("read_back = \"{read_back}\""));
    format!(
        "{text}[origins.events]\ntype = \"commerce-events\"\ncommerce = \"acme\"\nclient_id = \"{CLIENT}\"\n\
         key_base_url = \"http://{keys}\"\n"
    )
}
