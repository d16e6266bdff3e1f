//! A sender that costs little: keep-alive connections that write one prepared request each time and read the answer.
//!
//! Every order has a number of its own, written into the bytes in place, and a signature made beforehand, so that
//! neither counts against the receiver.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use crossdock::intake::signature::sign;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

/// Secret of the origin under `X-HMAC-HASH`.
pub const SECRET: &str = "hmac-secret-of-the-measurements-01";

/// Orders of one shape, numbered and signed.
pub struct Orders {
    body: Vec<u8>,
    /// Where the number stands.
    places: Vec<usize>,
    signatures: Vec<String>,
}

impl Orders {
    /// Signs `count` orders of `lines` lines.
    pub fn signed(lines: usize, count: usize) -> Self {
        let mut body = super::order(lines).into_bytes();
        let number = super::NUMBER.as_bytes();
        let places: Vec<usize> = (0..body.len()).filter(|at| body[*at..].starts_with(number)).collect();
        let signatures = (0..count)
            .map(|index| {
                write_number(&mut body, &places, index);
                sign::hmac_hex(SECRET, &body)
            })
            .collect();
        Orders { body, places, signatures }
    }

    /// Bytes of one body.
    pub fn bytes(&self) -> usize {
        self.body.len()
    }
}

fn write_number(body: &mut [u8], places: &[usize], index: usize) {
    let number = (900_000_001 + index).to_string();
    for place in places {
        body[*place..place + number.len()].copy_from_slice(number.as_bytes());
    }
}

/// What a run of the sender came to.
pub struct Sent {
    /// Answers with the status asked for.
    pub count: usize,
    /// From the first request to the last answer.
    pub elapsed: Duration,
    /// Time of each answer, in microseconds, sorted.
    pub micros: Vec<u32>,
    /// Longest time between two answers, in microseconds.
    pub gap: u32,
}

impl Sent {
    /// Of the moments of all answers since `began`, and how long each took.
    fn of(mut answers: Vec<(Instant, u32)>, began: Instant) -> Self {
        let elapsed = began.elapsed();
        answers.sort_unstable();
        let gap = answers.windows(2).map(|two| two[1].0.duration_since(two[0].0)).max().unwrap_or_default();
        let mut micros: Vec<u32> = answers.into_iter().map(|(_, micros)| micros).collect();
        micros.sort_unstable();
        Sent { count: micros.len(), elapsed, micros, gap: whole_micros(gap) }
    }
}

fn whole_micros(time: Duration) -> u32 {
    u32::try_from(time.as_micros()).unwrap_or(u32::MAX)
}

/// Sends different orders over `connections` connections for `time`, or until there are no more; an answer with another
/// status than `status` ends the program.
pub async fn send(
    orders: &Arc<Orders>,
    to: SocketAddr,
    connections: usize,
    status: &'static str,
    time: Duration,
) -> Sent {
    run(orders, to, connections, status, time, None).await
}

/// As [`send`], at `rate` orders a second over all connections; each time counts from when the order should have left, so
/// that a stall is not hidden by a sender that waits. Timers count whole milliseconds, so times are up to one too long.
pub async fn paced(
    orders: &Arc<Orders>,
    to: SocketAddr,
    connections: usize,
    status: &'static str,
    time: Duration,
    rate: f64,
) -> Sent {
    run(orders, to, connections, status, time, Some(Duration::from_secs_f64(1.0 / rate))).await
}

async fn run(
    orders: &Arc<Orders>,
    to: SocketAddr,
    connections: usize,
    status: &'static str,
    time: Duration,
    every: Option<Duration>,
) -> Sent {
    let next = Arc::new(AtomicUsize::new(0));
    let mut open = Vec::with_capacity(connections);
    for _ in 0..connections {
        open.push(Connection::open(to, Arc::clone(orders), status).await);
    }
    let began = Instant::now();
    let senders: Vec<_> = open
        .into_iter()
        .map(|connection| tokio::spawn(connection.work(Arc::clone(&next), began, began + time, every)))
        .collect();
    let mut answers = Vec::new();
    for sender in senders {
        answers.extend(sender.await.expect("no sender panics"));
    }
    Sent::of(answers, began)
}

/// One order at a time over one connection, each followed until `arrived` says that so many did. Times end there.
pub async fn followed(
    orders: &Arc<Orders>,
    to: SocketAddr,
    status: &'static str,
    time: Duration,
    arrived: impl Fn(usize) -> bool,
) -> Sent {
    let mut connection = Connection::open(to, Arc::clone(orders), status).await;
    let mut answers = Vec::new();
    let began = Instant::now();
    while began.elapsed() < time && connection.order(answers.len()).await {
        let left = connection.left;
        while !arrived(answers.len() + 1) {
            // Timers count whole milliseconds.
            tokio::task::yield_now().await;
        }
        answers.push((Instant::now(), whole_micros(left.elapsed())));
        // What is idle has settled the last one too.
        tokio::time::sleep(Duration::from_millis(15)).await;
    }
    Sent::of(answers, began)
}

struct Connection {
    stream: TcpStream,
    orders: Arc<Orders>,
    status: &'static str,
    request: Vec<u8>,
    /// Bytes of the head, and where the signature stands in it.
    head: usize,
    signature: usize,
    answer: Vec<u8>,
    /// When the last order left.
    left: Instant,
}

impl Connection {
    async fn open(to: SocketAddr, orders: Arc<Orders>, status: &'static str) -> Self {
        let stream = TcpStream::connect(to).await.expect("the server listens");
        stream.set_nodelay(true).expect("a TCP socket");
        let head = format!(
            "POST /in/flows/orders HTTP/1.1\r\nhost: measured\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\
             x-hmac-hash: {}\r\n\r\n",
            orders.bytes(),
            "0".repeat(64)
        );
        let signature = head.len() - 4 - 64;
        let mut request = head.clone().into_bytes();
        request.extend_from_slice(&orders.body);
        let answer = Vec::with_capacity(4096);
        Connection { stream, orders, status, request, head: head.len(), signature, answer, left: Instant::now() }
    }

    /// Sends order `index` and reads the answer; `false`: there is no such order.
    async fn order(&mut self, index: usize) -> bool {
        let Some(signed) = self.orders.signatures.get(index) else { return false };
        write_number(&mut self.request[self.head..], &self.orders.places, index);
        self.request[self.signature..self.signature + 64].copy_from_slice(signed.as_bytes());
        self.left = Instant::now();
        self.stream.write_all(&self.request).await.expect("the server reads");
        read(&mut self.stream, &mut self.answer).await;
        let text = String::from_utf8_lossy(&self.answer);
        assert!(self.answer[9..].starts_with(self.status.as_bytes()), "{text}");
        true
    }

    /// Orders of the common supply until a time: the next one at once, or when its turn comes.
    async fn work(
        mut self,
        next: Arc<AtomicUsize>,
        began: Instant,
        until: Instant,
        every: Option<Duration>,
    ) -> Vec<(Instant, u32)> {
        let mut answers = Vec::with_capacity(16_384);
        while Instant::now() < until {
            let index = next.fetch_add(1, Ordering::Relaxed);
            let due = every.map(|every| began + every * u32::try_from(index).unwrap_or(u32::MAX));
            if let Some(due) = due {
                if due >= until {
                    break;
                }
                tokio::time::sleep_until(due.into()).await;
            }
            if !self.order(index).await {
                break;
            }
            let now = Instant::now();
            answers.push((now, whole_micros(now.duration_since(due.unwrap_or(self.left)))));
        }
        answers
    }
}

/// One whole answer with a declared length.
async fn read(stream: &mut TcpStream, answer: &mut Vec<u8>) {
    answer.clear();
    loop {
        let read = stream.read_buf(answer).await.expect("the server answers");
        assert!(read > 0, "the server closed the connection: {}", String::from_utf8_lossy(answer));
        let Some(head) = answer.windows(4).position(|bytes| bytes == b"\r\n\r\n") else { continue };
        let text = std::str::from_utf8(&answer[..head]).expect("heads are ASCII");
        let length = text.lines().find_map(|line| line.strip_prefix("content-length: ")).unwrap_or("0");
        if answer.len() >= head + 4 + length.parse::<usize>().expect("a length is a number") {
            return;
        }
    }
}
