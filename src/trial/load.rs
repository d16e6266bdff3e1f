//! A sender that costs little: keep-alive connections that write one prepared request each time and read the answer.
//!
//! Every order has a number of its own, written into the bytes in place, and a signature made beforehand, so that
//! neither counts against the receiver. Closed loop: each connection sends as soon as it was answered. Open loop: orders
//! are due at a steady rate, and time counts from when an order was due, so that a stall shows in every order behind it.

use std::borrow::Cow;
use std::net::SocketAddr;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail, ensure};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::sync::Semaphore;

use super::orders;
use crate::intake::signature::sign;

/// Secret of the origin under `X-HMAC-HASH`.
pub const SECRET: &str = "hmac-secret-of-the-measurements-01";
/// The order of index 0 has this number; all have nine digits.
const FIRST_NUMBER: usize = 900_000_001;
/// More would not have nine digits.
pub const ORDERS_MAX: usize = 99_999_000;
/// What a pacer looks ahead: shorter sleeps cost more than they are worth.
const TICK: Duration = Duration::from_micros(500);

/// Orders of one shape, numbered and signed.
pub struct Orders {
    body: Vec<u8>,
    /// Where the number stands.
    places: Vec<usize>,
    /// Of these orders; any other is signed when it is sent.
    first: usize,
    signatures: Vec<String>,
}

impl Orders {
    /// Signs the first `count` orders of `lines` lines.
    pub fn signed(lines: usize, count: usize) -> Self {
        let body = orders::order(lines).into_bytes();
        let number = orders::NUMBER.as_bytes();
        let places: Vec<usize> = (0..body.len()).filter(|at| body[*at..].starts_with(number)).collect();
        Orders { body, places, first: 0, signatures: Vec::new() }.window(0, count)
    }

    /// The same orders with `count` others signed beforehand, from index `first` on.
    #[must_use]
    pub fn window(&self, first: usize, count: usize) -> Self {
        let mut body = self.body.clone();
        let signatures = (first..first + count).map(|index| self.sign(&mut body, index)).collect();
        Orders { body: self.body.clone(), places: self.places.clone(), first, signatures }
    }

    /// Bytes of one body.
    pub fn bytes(&self) -> usize {
        self.body.len()
    }

    /// How many are signed beforehand.
    pub fn count(&self) -> usize {
        self.signatures.len()
    }

    /// The index of an order by its number, for whoever receives it.
    pub fn index(number: &str) -> Option<usize> {
        number.parse::<usize>().ok()?.checked_sub(FIRST_NUMBER)
    }

    fn sign(&self, body: &mut [u8], index: usize) -> String {
        self.write_number(body, index);
        sign::hmac_hex(SECRET, body)
    }

    fn write_number(&self, body: &mut [u8], index: usize) {
        let number = (FIRST_NUMBER + index).to_string();
        for place in &self.places {
            body[*place..place + number.len()].copy_from_slice(number.as_bytes());
        }
    }
}

/// What to send, and how.
#[derive(Clone, Debug)]
pub struct Course {
    /// Where to.
    pub to: SocketAddr,
    /// At once.
    pub connections: usize,
    /// The status that every answer must have.
    pub status: &'static str,
    /// For at most so long.
    pub time: Duration,
    /// Which orders; the run ends when they are used up.
    pub orders: Range<usize>,
    /// Orders a second; `None`: as fast as they are answered.
    pub rate: Option<f64>,
}

/// What a run of the sender came to.
pub struct Sent {
    /// Answers with the status asked for.
    pub count: usize,
    /// Just before the first request.
    pub began: Instant,
    /// From the first request to the last answer.
    pub elapsed: Duration,
    /// Time of each answer, in microseconds, sorted.
    pub micros: Vec<u32>,
    /// The longest time without any answer.
    pub largest_gap: Duration,
    /// When each order went out, by index.
    pub sent_at: Vec<(usize, Instant)>,
}

impl Sent {
    /// The time below which `share` of the answers came, in milliseconds.
    pub fn millis_at(&self, share: f64) -> f64 {
        percentile(&self.micros, share) / 1_000.0
    }

    /// Answers a second.
    #[expect(clippy::cast_precision_loss, reason = "counts of a few seconds")]
    pub fn per_second(&self) -> f64 {
        self.count as f64 / self.elapsed.as_secs_f64()
    }
}

/// The value below which `share` of a sorted list lies; 0 for an empty one.
#[expect(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "places in a list of a few million"
)]
pub fn percentile(sorted: &[u32], share: f64) -> f64 {
    let Some(last) = sorted.len().checked_sub(1) else { return 0.0 };
    f64::from(sorted[(last as f64 * share).round() as usize])
}

/// Sends different orders over connections of their own.
///
/// # Errors
/// When a connection fails or an answer has another status than the one asked for.
pub async fn send(orders: &Arc<Orders>, course: Course) -> anyhow::Result<Sent> {
    let mut open = Vec::with_capacity(course.connections);
    for _ in 0..course.connections {
        let stream = TcpStream::connect(course.to).await.context("nobody listens")?;
        stream.set_nodelay(true)?;
        open.push(stream);
    }
    // No order is due before there are connections: opening 64 of them on a busy machine takes up to 40 ms.
    let began = Instant::now();
    let line = Arc::new(Line {
        next: AtomicUsize::new(course.orders.start),
        end: course.orders.end,
        due: Semaphore::new(0),
        began,
        rate: course.rate,
        start: course.orders.start,
    });
    let until = began + course.time;
    let pacer = course.rate.map(|rate| pace(Arc::clone(&line), rate, until));
    let senders: Vec<_> = open
        .into_iter()
        .map(|stream| tokio::spawn(connection(stream, Arc::clone(orders), Arc::clone(&line), course.status, until)))
        .collect();
    let mut answers = Vec::new();
    for sender in senders {
        answers.extend(sender.await.context("a sender failed")??);
    }
    if let Some(pacer) = pacer {
        let _ = pacer.join();
    }
    Ok(sum_up(began, answers))
}

/// What the connections of one run share.
struct Line {
    next: AtomicUsize,
    end: usize,
    /// Permits of the pacer; closed when it is over.
    due: Semaphore,
    began: Instant,
    rate: Option<f64>,
    start: usize,
}

impl Line {
    /// The next order and when it was due; `None` when there is none left.
    async fn take(&self, until: Instant) -> Option<(usize, Instant)> {
        let Some(rate) = self.rate else {
            let index = self.next.fetch_add(1, Ordering::Relaxed);
            let now = Instant::now();
            return (index < self.end && now < until).then_some((index, now));
        };
        self.due.acquire().await.ok()?.forget();
        let index = self.next.fetch_add(1, Ordering::Relaxed);
        (index < self.end).then(|| (index, self.began + due_after(index - self.start, rate)))
    }
}

/// The first order is due one period after the beginning, which is when the pacer lets it go.
#[expect(clippy::cast_precision_loss, reason = "counts of a few seconds")]
fn due_after(place: usize, rate: f64) -> Duration {
    Duration::from_secs_f64((place + 1) as f64 / rate)
}

/// A thread, since its sleeps are finer than those of the runtime.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "counts of a few seconds")]
fn pace(line: Arc<Line>, rate: f64, until: Instant) -> std::thread::JoinHandle<()> {
    std::thread::spawn(move || {
        let mut released = 0;
        while Instant::now() < until {
            let due = (line.began.elapsed().as_secs_f64() * rate) as usize;
            line.due.add_permits(due - released);
            released = due;
            std::thread::sleep(TICK);
        }
        line.due.close();
    })
}

struct Answered {
    index: usize,
    due: Instant,
    at: Instant,
}

fn sum_up(began: Instant, mut answers: Vec<Answered>) -> Sent {
    answers.sort_unstable_by_key(|answer| answer.at);
    let mut largest_gap = Duration::ZERO;
    let mut last = began;
    for answer in &answers {
        largest_gap = largest_gap.max(answer.at.saturating_duration_since(last));
        last = last.max(answer.at);
    }
    let micros = |answer: &Answered| u32::try_from((answer.at - answer.due).as_micros()).unwrap_or(u32::MAX);
    let mut times: Vec<u32> = answers.iter().map(micros).collect();
    times.sort_unstable();
    let sent_at = answers.iter().map(|answer| (answer.index, answer.due)).collect();
    Sent { count: answers.len(), began, elapsed: last - began, micros: times, largest_gap, sent_at }
}

async fn connection(
    mut stream: TcpStream,
    orders: Arc<Orders>,
    line: Arc<Line>,
    status: &'static str,
    until: Instant,
) -> anyhow::Result<Vec<Answered>> {
    let head = format!(
        "POST /in/flows/orders HTTP/1.1\r\nhost: measured\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\
         x-hmac-hash: {}\r\n\r\n",
        orders.bytes(),
        "0".repeat(64)
    );
    let signature = head.len() - 4 - 64;
    let mut request = head.clone().into_bytes();
    request.extend_from_slice(&orders.body);
    let mut answer = Vec::with_capacity(4096);
    // Grows: room for all at once is 2 MB a connection, and in huge pages their zeroing kept everyone waiting up to 0.3 s.
    let mut answers = Vec::with_capacity(1_024);
    while let Some((index, due)) = line.take(until).await {
        let body = &mut request[head.len()..];
        let ahead = index.checked_sub(orders.first).and_then(|place| orders.signatures.get(place));
        let signed = if let Some(signed) = ahead {
            orders.write_number(body, index);
            Cow::Borrowed(signed)
        } else {
            Cow::Owned(orders.sign(body, index))
        };
        request[signature..signature + 64].copy_from_slice(signed.as_bytes());
        stream.write_all(&request).await.context("the receiver does not read")?;
        read(&mut stream, &mut answer).await?;
        ensure!(answer[9..].starts_with(status.as_bytes()), "answered {}", String::from_utf8_lossy(&answer));
        answers.push(Answered { index, due, at: Instant::now() });
    }
    Ok(answers)
}

/// One whole answer with a declared length.
pub(super) async fn read(stream: &mut TcpStream, answer: &mut Vec<u8>) -> anyhow::Result<()> {
    answer.clear();
    loop {
        if stream.read_buf(answer).await.context("the receiver does not answer")? == 0 {
            bail!("the receiver closed the connection: {}", String::from_utf8_lossy(answer));
        }
        let Some(head) = answer.windows(4).position(|bytes| bytes == b"\r\n\r\n") else { continue };
        let text = std::str::from_utf8(&answer[..head]).context("the head of an answer is not ASCII")?;
        let length = text.lines().find_map(|line| line.strip_prefix("content-length: ")).unwrap_or("0");
        if answer.len() >= head + 4 + length.parse::<usize>().context("a length is no number")? {
            return Ok(());
        }
    }
}
