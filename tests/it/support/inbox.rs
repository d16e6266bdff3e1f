//! Who is told: a web receiver with moods of its own, and a mail server that speaks the protocol.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use axum::Router;
use axum::body::Bytes;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse as _, Response};
use crossdock::server::{Server, Settings};
use serde_json::Value;
use tokio::io::{AsyncBufReadExt as _, AsyncRead, AsyncWrite, AsyncWriteExt as _, BufReader};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

use super::until;

/// One request as it came.
#[derive(Clone, Debug)]
pub struct Told {
    pub at: Instant,
    pub path: String,
    pub headers: HeaderMap,
    pub body: Bytes,
}

impl Told {
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).expect("JSON")
    }

    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().expect("text"))
    }
}

/// How the next request is answered.
#[derive(Clone, Debug)]
pub enum Mood {
    Status(u16),
    RetryAfter(u16, u64),
    Hang,
}

#[derive(Default)]
struct Book {
    told: Vec<Told>,
    moods: VecDeque<Mood>,
    always: Option<Mood>,
}

/// A web receiver on loopback.
pub struct Inbox {
    book: Arc<Mutex<Book>>,
    server: Server,
}

impl Inbox {
    pub async fn start() -> Inbox {
        Inbox::at(SocketAddr::from(([127, 0, 0, 1], 0))).await
    }

    pub async fn at(address: SocketAddr) -> Inbox {
        let book: Arc<Mutex<Book>> = Arc::default();
        let router = Router::new().fallback(take).with_state(book.clone());
        let server = Server::start(address, router, Settings::default()).await.expect("a loopback port");
        Inbox { book, server }
    }

    /// Nobody answers here any more.
    pub async fn stop(self) {
        self.server.stop(Duration::ZERO).await;
    }

    pub fn address(&self) -> SocketAddr {
        self.server.address()
    }

    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.server.address())
    }

    pub fn next(&self, moods: impl IntoIterator<Item = Mood>) {
        self.book.lock().unwrap().moods.extend(moods);
    }

    pub fn always(&self, mood: Option<Mood>) {
        self.book.lock().unwrap().always = mood;
    }

    pub fn told(&self) -> Vec<Told> {
        self.book.lock().unwrap().told.clone()
    }

    pub fn kinds(&self) -> Vec<String> {
        self.told().iter().map(|told| told.json()["kind"].as_str().unwrap_or_default().to_owned()).collect()
    }

    pub async fn hears(&self, count: usize) -> Vec<Told> {
        until(&format!("{count} messages are heard"), async || {
            let told = self.told();
            (told.len() >= count).then_some(told)
        })
        .await
    }
}

async fn take(State(book): State<Arc<Mutex<Book>>>, request: Request) -> Response {
    let path = request.uri().path().to_owned();
    let headers = request.headers().clone();
    let flow = path.starts_with("/api/v1/flows/");
    let body = axum::body::to_bytes(request.into_body(), 1 << 20).await.expect("a body");
    let mood = {
        let mut book = book.lock().unwrap();
        book.told.push(Told { at: Instant::now(), path, headers, body });
        book.moods.pop_front().or_else(|| book.always.clone())
    };
    match mood {
        None if flow => (StatusCode::OK, r#"{"data":{"id":"run-1"}}"#).into_response(),
        None => (StatusCode::OK, "ok").into_response(),
        Some(Mood::Status(status)) => StatusCode::from_u16(status).unwrap().into_response(),
        Some(Mood::RetryAfter(status, seconds)) => {
            (StatusCode::from_u16(status).unwrap(), [("retry-after", seconds.to_string())], "later").into_response()
        }
        Some(Mood::Hang) => {
            tokio::time::sleep(Duration::from_mins(10)).await;
            StatusCode::OK.into_response()
        }
    }
}

/// How a mail server protects its connections.
#[derive(Clone)]
pub enum Mail {
    Plain,
    StartTls(TlsAcceptor),
    Tls(TlsAcceptor),
}

/// What a mail server took: the envelope and the lines between DATA and its end.
#[derive(Clone, Debug, Default)]
pub struct Letter {
    pub login: String,
    pub from: String,
    pub to: Vec<String>,
    pub data: Vec<String>,
    pub encrypted: bool,
}

/// A mail server on loopback that asks for a log-in and takes everything.
pub struct MailServer {
    pub address: SocketAddr,
    letters: Arc<Mutex<Vec<Letter>>>,
}

impl MailServer {
    pub async fn start(mail: Mail) -> MailServer {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a loopback port");
        let address = listener.local_addr().unwrap();
        let letters: Arc<Mutex<Vec<Letter>>> = Arc::default();
        let book = letters.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (mail, book) = (mail.clone(), book.clone());
                tokio::spawn(async move {
                    match mail {
                        Mail::Plain => drop(speak(stream, None, &book, true).await),
                        Mail::StartTls(acceptor) => drop(speak(stream, Some(acceptor), &book, true).await),
                        Mail::Tls(acceptor) => {
                            let Ok(stream) = acceptor.accept(stream).await else { return };
                            let _ = encrypted(stream, &book, true).await;
                        }
                    }
                });
            }
        });
        MailServer { address, letters }
    }

    pub fn letters(&self) -> Vec<Letter> {
        self.letters.lock().unwrap().clone()
    }
}

type Letters = Arc<Mutex<Vec<Letter>>>;

async fn speak(
    stream: tokio::net::TcpStream,
    tls: Option<TlsAcceptor>,
    book: &Letters,
    greets: bool,
) -> std::io::Result<()> {
    let mut stream = BufReader::new(stream);
    if session(&mut stream, tls.is_some(), book, greets, false).await?
        && let Some(acceptor) = tls
        && let Ok(stream) = acceptor.accept(stream.into_inner()).await
    {
        encrypted(stream, book, false).await?;
    }
    Ok(())
}

async fn encrypted(stream: impl AsyncRead + AsyncWrite + Unpin, book: &Letters, greets: bool) -> std::io::Result<()> {
    session(&mut BufReader::new(stream), false, book, greets, true).await.map(drop)
}

/// `true`: the client asked for TLS.
async fn session<S: AsyncRead + AsyncWrite + Unpin>(
    stream: &mut BufReader<S>,
    offers_tls: bool,
    book: &Letters,
    greets: bool,
    encrypted: bool,
) -> std::io::Result<bool> {
    if greets {
        stream.write_all(b"220 mail.test ESMTP\r\n").await?;
    }
    let mut letter = Letter { encrypted, ..Letter::default() };
    loop {
        let mut line = String::new();
        if stream.read_line(&mut line).await? == 0 {
            return Ok(false);
        }
        let line = line.trim_end_matches(['\r', '\n']).to_owned();
        let upper = line.to_uppercase();
        let answer = if upper.starts_with("EHLO") {
            if offers_tls { "250-mail.test\r\n250 STARTTLS" } else { "250-mail.test\r\n250 AUTH PLAIN" }
        } else if upper == "STARTTLS" {
            stream.write_all(b"220 go on\r\n").await?;
            return Ok(true);
        } else if upper.starts_with("AUTH PLAIN ") {
            letter.login = line["AUTH PLAIN ".len()..].to_owned();
            "235 welcome"
        } else if upper.starts_with("MAIL FROM:") {
            letter.from = line["MAIL FROM:".len()..].to_owned();
            "250 ok"
        } else if upper.starts_with("RCPT TO:") {
            letter.to.push(line["RCPT TO:".len()..].to_owned());
            "250 ok"
        } else if upper == "DATA" {
            stream.write_all(b"354 go on\r\n").await?;
            loop {
                let mut line = String::new();
                stream.read_line(&mut line).await?;
                if line == ".\r\n" {
                    break;
                }
                letter.data.push(line.trim_end_matches(['\r', '\n']).to_owned());
            }
            book.lock().unwrap().push(std::mem::take(&mut letter));
            letter.encrypted = encrypted;
            "250 queued as 1"
        } else if upper == "QUIT" {
            "221 bye"
        } else {
            "502 what"
        };
        stream.write_all(answer.as_bytes()).await?;
        stream.write_all(b"\r\n").await?;
    }
}
