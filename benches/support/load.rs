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
    let next = Arc::new(AtomicUsize::new(0));
    let mut open = Vec::with_capacity(connections);
    for _ in 0..connections {
        let stream = TcpStream::connect(to).await.expect("the server listens");
        stream.set_nodelay(true).expect("a TCP socket");
        open.push(stream);
    }
    let began = Instant::now();
    let senders: Vec<_> = open
        .into_iter()
        .map(|stream| tokio::spawn(connection(stream, Arc::clone(orders), Arc::clone(&next), status, began + time)))
        .collect();
    let mut micros = Vec::new();
    for sender in senders {
        micros.extend(sender.await.expect("no sender panics"));
    }
    let elapsed = began.elapsed();
    micros.sort_unstable();
    Sent { count: micros.len(), elapsed, micros }
}

async fn connection(
    mut stream: TcpStream,
    orders: Arc<Orders>,
    next: Arc<AtomicUsize>,
    status: &'static str,
    until: Instant,
) -> Vec<u32> {
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
    let mut micros = Vec::with_capacity(65_536);
    while Instant::now() < until {
        let index = next.fetch_add(1, Ordering::Relaxed);
        let Some(signed) = orders.signatures.get(index) else { break };
        write_number(&mut request[head.len()..], &orders.places, index);
        request[signature..signature + 64].copy_from_slice(signed.as_bytes());
        let began = Instant::now();
        stream.write_all(&request).await.expect("the server reads");
        read(&mut stream, &mut answer).await;
        micros.push(u32::try_from(began.elapsed().as_micros()).unwrap_or(u32::MAX));
        let text = String::from_utf8_lossy(&answer);
        assert!(answer[9..].starts_with(status.as_bytes()), "{text}");
    }
    micros
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
