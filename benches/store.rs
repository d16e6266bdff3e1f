//! Durable appends a second: dedup, envelope and commit, with fsync on, for one to 256 senders waiting at a time.
//!
//! `appended` leaves the record to the processor; `express` also writes a document, a delivery and its started attempt;
//! `settled` adds the outcome; `duplicate` meets the dedup key only. Bodies are packed before, as intake does it.
//!
//! `CROSSDOCK_BENCH_STORED=10000,100000,1000000` instead fills one store with settled orders and tells at each size what one
//! more order costs, what memory the process holds, and at the last size how long each kind of search, the service's own answers and
//! pages over HTTP, and a start after a crash take. With `CROSSDOCK_BENCH_SERVED=FILE` beside it only the service's answers are
//! measured, on a store that an earlier run has left there with so many orders; with `CROSSDOCK_BENCH_ASKED=no` nothing is
//! searched, since the index of ten million orders takes longer to write than the orders.

use std::hint::black_box;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group};
use crossdock::api::expander::Expander;
use crossdock::clock::{Clock as _, SystemClock, SystemEntropy, Timestamp, later};
use crossdock::domain::mapping::Mappings;
use crossdock::domain::policy::Policies;
use crossdock::envelope::ids::{DeliveryId, DocumentId, EnvelopeId, ExceptionId, RequestId};
use crossdock::envelope::keys::{Digest, EventKey, IdempotencyKey, KeyParts};
use crossdock::store::SharedStore;
use crossdock::store::pack::pack;
use crossdock::store::sqlite::{Options, SqliteStore};
use crossdock::store::write::{
    Arrival, ArrivedRecord, AttemptPurpose, AttemptSeen, AttemptStart, Conclusion, NewDelivery, NewDocument,
    NewException, NextState, PackedBody, Receipt, SealedRequest, Settlement, StartedAttempt, Subject, SubjectFacts,
};

#[path = "support/finding.rs"]
mod finding;
#[path = "support/growth.rs"]
mod growth;
#[path = "support/served.rs"]
mod served;

#[cfg(feature = "mimalloc")]
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

#[derive(Clone, Copy, PartialEq)]
enum What {
    Appended,
    Express,
    Settled,
    Duplicate,
}

/// What orders differ in, beside their numbers.
#[derive(Clone, Copy)]
struct Variety {
    /// So many buyers, and items.
    buyers: u32,
    /// From one order to the next.
    apart: Duration,
    /// One order in so many waits for a person instead of being delivered.
    parked: Option<u64>,
}

impl Variety {
    /// One order over and over.
    const NONE: Variety = Variety { buyers: 1, apart: Duration::ZERO, parked: None };
}

struct Bench {
    store: SharedStore,
    bodies: Vec<PackedBody>,
    began: Timestamp,
    variety: Variety,
    document: PackedBody,
    plain: bytes::Bytes,
    next: AtomicU64,
}

/// Some 5.9 KB that compress about as well as an order does, with an item of the buyer's own and one that all orders have.
fn order(buyer: u32) -> Vec<u8> {
    let mut text = format!(
        "{{\"order\":{{\"increment_id\":\"000000042\",\"customer_email\":\"buyer-{buyer:05}@example.com\",\
         \"items\":[{{\"sku\":\"sku-{buyer:05}\"}},{{\"sku\":\"sku-all\"}},"
    );
    let mut noise = 0x9e37_79b9_7f4a_7c15_u64;
    let mut item = 0;
    while text.len() < 5_800 {
        noise ^= noise << 13;
        noise ^= noise >> 7;
        noise ^= noise << 17;
        item += 1;
        let line = format!(
            "{{\"item_id\":{item},\"code\":\"{:08x}\",\"name\":\"Sprite Yoga {:06x}\",\"qty_ordered\":1,\"price\":{}.{:04},\
             \"base_price\":{}.{:04},\"row_total\":{}.{:04},\"tax_amount\":{}.00}},",
            noise >> 32,
            noise & 0x00ff_ffff,
            noise % 97,
            noise % 9_973,
            noise % 89,
            noise % 9_967,
            noise % 83,
            noise % 9_949,
            noise % 13
        );
        text.push_str(&line);
    }
    text.push_str("{}]}}");
    text.into_bytes()
}

/// The document of one order, of some 2 KB.
fn sales_order() -> Vec<u8> {
    let (mappings, policies) = (Mappings::default(), Policies::default());
    let now = SystemClock.now();
    let expander =
        Expander { system: "acme", mappings: &mappings, policies: &policies, destination: "erp", shelf: None, now };
    let mut made = expander.expand(include_bytes!("../src/demo/orders/simple.json")).expect("it holds an order");
    let document = made.orders.swap_remove(0).sales_order.expect("the sample is sound");
    serde_json::to_vec(&document).expect("a sales order always serialises")
}

impl Bench {
    /// A store that takes orders from the number `next` on.
    fn open(options: Options, next: u64, variety: Variety) -> Self {
        let opened = SqliteStore::open(options, Arc::new(SystemClock)).expect("the store opens");
        let smaller = sales_order();
        Bench {
            store: Arc::new(opened),
            bodies: (0..variety.buyers).map(|buyer| pack(&order(buyer))).collect(),
            began: SystemClock.now(),
            variety,
            document: pack(&smaller),
            plain: smaller.into(),
            next: AtomicU64::new(next),
        }
    }

    /// When the order of that number is there.
    fn moment(&self, number: u64) -> Timestamp {
        match u32::try_from(number) {
            Ok(number) if !self.variety.apart.is_zero() => later(self.began, self.variety.apart * number),
            _ => SystemClock.now(),
        }
    }

    fn body(&self, number: u64) -> PackedBody {
        let turn = number % self.bodies.len() as u64;
        self.bodies[usize::try_from(turn).unwrap_or_default()].clone()
    }

    fn arrival(&self, what: What, number: u64) -> Arrival {
        let now = self.moment(number);
        let id = format!("{number:09}");
        let parked = self.variety.parked.is_some_and(|parked| number % parked == parked - 1);
        let conclusion = match what {
            What::Express | What::Settled if parked => Some(unmapped(&id, now)),
            What::Express | What::Settled => Some(self.conclusion(&id, now)),
            What::Appended | What::Duplicate => None,
        };
        Arrival {
            origin: "hooks".into(),
            body: self.body(number),
            headers: "{\"content-type\":\"application/json\"}".into(),
            verification: "rsa-signature".into(),
            config_version: "c1".into(),
            request_id: RequestId::new(now, &SystemEntropy),
            traceparent: None,
            received_at: now,
            records: vec![ArrivedRecord {
                id: EnvelopeId::new(now, &SystemEntropy),
                path: String::new(),
                kind: "order".into(),
                event_name: Some("observer.sales_order_save_commit_after".into()),
                event_key: EventKey::explicit("hooks", &id),
                content: Digest::of(id.as_bytes()),
                subject: subject(id),
                conclusion,
                on_conflict: None,
            }],
        }
    }

    fn conclusion(&self, id: &str, now: Timestamp) -> Conclusion {
        let (document, delivery) = (DocumentId::new(now, &SystemEntropy), DeliveryId::new(now, &SystemEntropy));
        let key = IdempotencyKey::derive(&KeyParts {
            installation: self.store.installation_id(),
            destination: "erp",
            system: "acme",
            subject_kind: "order",
            subject_scope: "1",
            subject_id: id,
            purpose: "order.create",
            revision: "",
            generation: 0,
        });
        let seal = SealedRequest {
            method: "POST".into(),
            url: "https://erp.example.com/sales-orders".into(),
            headers: vec![("content-type".into(), "application/json".into())],
            body: self.plain.clone(),
            digest: self.document.digest,
            body_is_document: true,
        };
        Conclusion {
            facts: SubjectFacts {
                state: Some("new".into()),
                updated_at: Some(now),
                grand_total: Some("33.60".into()),
                ..SubjectFacts::default()
            },
            documents: vec![NewDocument {
                id: document,
                kind: "order".into(),
                schema: "crossdock.sales_order.v1".into(),
                destination: "erp".into(),
                body: self.document.clone(),
                mappings_version: 1,
                edit: None,
            }],
            deliveries: vec![NewDelivery {
                id: delivery,
                key,
                destination: "erp".into(),
                document,
                purpose: "order.create".into(),
                revision: String::new(),
                generation: 0,
                due_at: now,
                overtakes: false,
                report: None,
                express: Some(AttemptStart {
                    delivery,
                    number: 1,
                    document,
                    seal: Some(seal),
                    purpose: AttemptPurpose::Send,
                    started_at: now,
                    deadline: later(now, Duration::from_secs(30)),
                    config_version: "c1".into(),
                }),
            }],
            explanation: "route orders takes every order".into(),
            ..Conclusion::default()
        }
    }

    async fn once(&self, what: What) {
        let number = if what == What::Duplicate { 0 } else { self.next.fetch_add(1, Ordering::Relaxed) };
        let receipts = self.store.append(self.arrival(what, number)).await.expect("the store takes it");
        if what == What::Settled
            && let Some(Receipt::First { started, .. }) = receipts.into_iter().next()
        {
            for attempt in started {
                self.settle(attempt, number).await;
            }
        }
    }

    async fn settle(&self, attempt: StartedAttempt, order: u64) {
        let StartedAttempt { delivery, number, epoch } = attempt;
        let seen = AttemptSeen {
            outcome: "accepted".into(),
            status: Some(201),
            detail: "the destination took it".into(),
            response: Some(format!("{{\"number\":\"{}\"}}", receipt(order))),
            duration_us: Some(900),
            steps: None,
        };
        let next = NextState::Delivered { receipt: Some(receipt(order)) };
        let at = self.moment(order);
        let settled = self.store.settle(Settlement { delivery, number, epoch, seen, next, progress: None, at }).await;
        assert!(settled.expect("the store takes it"));
    }
}

/// What the destination calls the order of that number.
fn receipt(order: u64) -> String {
    format!("SO-{order:09}")
}

fn subject(id: String) -> Subject {
    Subject { kind: "order".into(), system: "acme".into(), scope: "1".into(), id }
}

/// An order that waits for a person, for the same reason as all others that do.
fn unmapped(id: &str, now: Timestamp) -> Conclusion {
    let exception = NewException {
        id: ExceptionId::new(now, &SystemEntropy),
        code: "unmapped_sku".into(),
        severity: "error".into(),
        owner: "operations".into(),
        subject: subject(id.into()),
        destination: Some("erp".into()),
        delivery: None,
        path: "items/0/sku".into(),
        value: Some("SKU-00007".into()),
        message: "the SKU \"SKU-00007\" has no item number".into(),
        remedy: "add it to the table skus".into(),
        fingerprint: "f00d".into(),
        opened_at: now,
    };
    Conclusion {
        exceptions: vec![exception],
        explanation: "route orders takes every order".into(),
        ..Conclusion::default()
    }
}

async fn run(bench: &Arc<Bench>, what: What, senders: u64, times: u64) -> Duration {
    let began = Instant::now();
    let senders: Vec<_> = (0..senders.min(times))
        .map(|sender| {
            let bench = Arc::clone(bench);
            let share = times / senders + u64::from(sender < times % senders);
            tokio::spawn(async move {
                for _ in 0..share {
                    bench.once(black_box(what)).await;
                }
            })
        })
        .collect();
    for sender in senders {
        sender.await.expect("no sender panics");
    }
    began.elapsed()
}

fn store(criterion: &mut Criterion) {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .expect("a runtime can be started");
    let mut group = criterion.benchmark_group("store");
    group.throughput(Throughput::Elements(1)).sample_size(10).measurement_time(Duration::from_secs(5));
    for (name, what, senders) in [
        ("appended", What::Appended, 1),
        ("appended", What::Appended, 32),
        ("appended", What::Appended, 64),
        ("appended", What::Appended, 256),
        ("express", What::Express, 1),
        ("express", What::Express, 64),
        ("settled", What::Settled, 64),
        ("duplicate", What::Duplicate, 32),
    ] {
        let folder = tempfile::tempdir().expect("a temporary folder can be made");
        let options = Options::new(folder.path().join("crossdock.db"), true);
        let bench = Arc::new(Bench::open(options, 0, Variety::NONE));
        group.bench_function(BenchmarkId::new(name, senders), |bencher| {
            bencher.iter_custom(|times| runtime.block_on(run(&bench, what, senders, times)));
        });
        runtime.block_on(bench.store.close()).expect("the store closes");
    }
    group.finish();
}

criterion_group!(benches, store);

fn main() {
    if let (Ok(path), Ok(stored)) = (std::env::var("CROSSDOCK_BENCH_SERVED"), std::env::var("CROSSDOCK_BENCH_STORED")) {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
        let stored = stored.parse().expect("a number of orders");
        runtime.expect("a runtime can be started").block_on(served::ask_again(path.as_ref(), stored));
        return;
    }
    if let Ok(sizes) = std::env::var("CROSSDOCK_BENCH_STORED") {
        growth::run(&sizes);
        return;
    }
    benches();
    Criterion::default().configure_from_args().final_summary();
}
