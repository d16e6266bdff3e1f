//! A destination for tests: a real socket that does as it was told, request by request, and remembers what came.

use std::collections::VecDeque;
use std::fmt::Write as _;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Notify;

/// What to do with one request.
#[derive(Clone, Debug)]
pub enum Play {
    /// Answer with these bytes and keep the connection.
    Say(String),
    /// Read the request, close without a word.
    CloseAfterReading,
    /// Read the request, reset the connection.
    Reset,
    /// Read the request, announce 100 bytes of body, send ten, close.
    HalfBody,
    /// Read the request, announce a body, send ten bytes, stay silent.
    HangInBody,
    /// Read the request, reset in the middle of the head.
    ResetInHead,
    /// Read the request, stay silent until told to go on; then answer 201.
    Hang(Arc<Notify>),
    /// Close the connection before anything is read.
    CloseUnread,
    /// Answer what is not HTTP.
    Garbage,
}

impl Play {
    /// An answer with this status, headers and body.
    pub fn answer(status: u16, headers: &[(&str, &str)], body: &str) -> Play {
        let mut text = format!("HTTP/1.1 {status} X\r\ncontent-length: {}\r\n", body.len());
        for (name, value) in headers {
            let _ = write!(text, "{name}: {value}\r\n");
        }
        Play::Say(format!("{text}\r\n{body}"))
    }

    /// An answer with this status alone.
    pub fn status(status: u16) -> Play {
        Play::answer(status, &[], "")
    }

    /// Silence until the test lets go.
    pub fn hang() -> (Play, Arc<Notify>) {
        let go = Arc::new(Notify::new());
        (Play::Hang(Arc::clone(&go)), go)
    }
}

/// A request as it came.
#[derive(Clone, Debug)]
pub struct Seen {
    /// Request line and headers, lower case names.
    pub head: String,
    /// The body.
    pub body: String,
}

impl Seen {
    /// The first header of that name.
    pub fn header(&self, name: &str) -> Option<&str> {
        let lines = self.head.lines().skip(1);
        lines
            .filter_map(|line| line.split_once(": "))
            .find(|(known, _)| known.eq_ignore_ascii_case(name))
            .map(|(_, value)| value)
    }
}

#[derive(Default)]
struct Shared {
    plays: VecDeque<Play>,
    seen: Vec<Seen>,
    connections: usize,
}

/// The destination. Without a play it answers 201 with `{"id":"SO-n"}`.
pub struct Double {
    address: SocketAddr,
    shared: Arc<Mutex<Shared>>,
    came: Arc<Notify>,
}

impl Double {
    /// Listens on a free port of loopback.
    pub async fn start() -> Double {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let double =
            Double { address: listener.local_addr().unwrap(), shared: Arc::default(), came: Arc::new(Notify::new()) };
        let (shared, came) = (Arc::clone(&double.shared), Arc::clone(&double.came));
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                {
                    let mut shared = shared.lock().unwrap();
                    shared.connections += 1;
                    if matches!(shared.plays.front(), Some(Play::CloseUnread)) {
                        shared.plays.pop_front();
                        continue;
                    }
                }
                tokio::spawn(serve(stream, Arc::clone(&shared), Arc::clone(&came)));
            }
        });
        double
    }

    /// Where it listens.
    pub fn url(&self) -> String {
        format!("http://{}/orders", self.address)
    }

    /// The next requests meet these.
    pub fn play(&self, plays: impl IntoIterator<Item = Play>) {
        self.shared.lock().unwrap().plays.extend(plays);
    }

    /// What came so far.
    pub fn seen(&self) -> Vec<Seen> {
        self.shared.lock().unwrap().seen.clone()
    }

    /// Connections so far.
    pub fn connections(&self) -> usize {
        self.shared.lock().unwrap().connections
    }

    /// Waits until so many requests came.
    pub async fn has_seen(&self, requests: usize) -> Vec<Seen> {
        tokio::time::timeout(Duration::from_secs(10), async {
            loop {
                let came = self.came.notified();
                let seen = self.seen();
                if seen.len() >= requests {
                    return seen;
                }
                came.await;
            }
        })
        .await
        .unwrap_or_else(|_| panic!("{requests} requests should have come, {} did", self.seen().len()))
    }
}

async fn serve(mut stream: TcpStream, shared: Arc<Mutex<Shared>>, came: Arc<Notify>) {
    while let Some(seen) = read(&mut stream).await {
        let (play, number) = {
            let mut shared = shared.lock().unwrap();
            shared.seen.push(seen);
            (shared.plays.pop_front(), shared.seen.len())
        };
        came.notify_waiters();
        let usual =
            || Play::answer(201, &[("content-type", "application/json")], &format!("{{\"id\":\"SO-{number}\"}}"));
        let text = match play.unwrap_or_else(usual) {
            Play::Say(text) => text,
            Play::Hang(go) => {
                go.notified().await;
                "HTTP/1.1 201 X\r\ncontent-length: 0\r\n\r\n".to_owned()
            }
            Play::CloseAfterReading | Play::CloseUnread => return,
            Play::Reset => return reset(&stream),
            Play::ResetInHead => {
                let _ = stream.write_all(b"HTTP/1.1 201 Crea").await;
                return reset(&stream);
            }
            Play::HalfBody => {
                let _ = stream.write_all(b"HTTP/1.1 201 X\r\ncontent-length: 100\r\n\r\n0123456789").await;
                return;
            }
            Play::HangInBody => {
                let _ = stream.write_all(b"HTTP/1.1 201 X\r\ncontent-length: 100\r\n\r\n0123456789").await;
                std::future::pending::<()>().await;
                return;
            }
            Play::Garbage => "SSH-2.0-OpenSSH_9.6\r\n\r\n".to_owned(),
        };
        if stream.write_all(text.as_bytes()).await.is_err() {
            return;
        }
    }
}

fn reset(stream: &TcpStream) {
    stream.set_zero_linger().unwrap();
}

async fn read(stream: &mut TcpStream) -> Option<Seen> {
    let mut bytes = Vec::new();
    let head_end = loop {
        if let Some(end) = bytes.windows(4).position(|window| window == b"\r\n\r\n") {
            break end;
        }
        let mut buffer = [0; 4_096];
        match stream.read(&mut buffer).await {
            Ok(0) | Err(_) => return None,
            Ok(length) => bytes.extend_from_slice(&buffer[..length]),
        }
    };
    let head = String::from_utf8_lossy(&bytes[..head_end]).into_owned();
    let seen = Seen { head, body: String::new() };
    let length: usize = seen.header("content-length").map_or(0, |value| value.parse().unwrap());
    let mut body = bytes[head_end + 4..].to_vec();
    while body.len() < length {
        let mut buffer = vec![0; length - body.len()];
        match stream.read(&mut buffer).await {
            Ok(0) | Err(_) => return None,
            Ok(got) => body.extend_from_slice(&buffer[..got]),
        }
    }
    Some(Seen { body: String::from_utf8_lossy(&body).into_owned(), ..seen })
}
