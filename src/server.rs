//! The connection loop under axum: bounds what one client can cost, and ends in order.
//!
//! `axum::serve` installs no header timer (PRS-4), so connections are driven here: at most `connections_max` at once, a
//! deadline for the head of every request, bounded head size, and a drain that lets answers finish. One slow client
//! costs one connection, nothing else. HTTP/1.1 only, on purpose (docs/decisions).
//!
//! hyper's own header timer also closes connections that merely rest between two requests. A load balancer keeps such
//! connections for a minute and would now and then send into a closing one. [`Watched`] therefore tells the two apart:
//! resting is cheap and allowed for `idle_timeout`, an unfinished head is not.

use std::convert::Infallible;
use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use axum::Router;
use axum::extract::{ConnectInfo, Request};
use axum::response::Response;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper_util::rt::TokioIo;
use hyper_util::server::graceful::GracefulShutdown;
use hyper_util::service::TowerToHyperService;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinHandle;
use tokio::time::{Instant, Sleep};
use tower::Service;

/// Bounds of the connection loop.
#[derive(Clone, Copy, Debug)]
pub struct Settings {
    /// Connections open at once (PRS-1); more wait in the kernel's queue.
    pub connections_max: usize,
    /// From the first byte of a request (for the first one: from the connection) to the end of its head.
    pub header_timeout: Duration,
    /// How long a connection may rest between requests; longer than load balancers keep theirs (usually 60 s).
    pub idle_timeout: Duration,
}

impl Default for Settings {
    fn default() -> Self {
        Settings {
            connections_max: 2048,
            header_timeout: Duration::from_secs(5),
            idle_timeout: Duration::from_secs(75),
        }
    }
}

/// Bytes one request head may have; more is answered 431 by hyper.
const HEAD_BYTES_MAX: usize = 64 * 1024;
/// Header lines one request may have.
const HEADER_LINES_MAX: usize = 100;

/// A listening server.
#[derive(Debug)]
pub struct Server {
    address: SocketAddr,
    router: watch::Sender<Router>,
    stop: watch::Sender<bool>,
    done: JoinHandle<()>,
}

impl Server {
    /// Binds `address` and serves `router` until [`Server::stop`].
    ///
    /// # Errors
    /// When the address cannot be bound.
    pub async fn start(address: SocketAddr, router: Router, settings: Settings) -> io::Result<Server> {
        let listener = TcpListener::bind(address).await?;
        let address = listener.local_addr()?;
        let (stop, stopped) = watch::channel(false);
        let (router, routers) = watch::channel(router);
        let done = tokio::spawn(accept(listener, routers, settings, stopped));
        Ok(Server { address, router, stop, done })
    }

    /// Connections accepted from now on are served by `router`.
    pub fn serve(&self, router: Router) {
        drop(self.router.send_replace(router));
    }

    /// Where it listens; with port 0 the kernel chose.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Takes no new connection, lets open requests be answered for at most `grace`, then closes what is left.
    pub async fn stop(self, grace: Duration) {
        let _ = self.stop.send(true);
        let mut done = self.done;
        if tokio::time::timeout(grace, &mut done).await.is_err() {
            done.abort();
        }
    }
}

async fn accept(
    listener: TcpListener,
    routers: watch::Receiver<Router>,
    settings: Settings,
    mut stopped: watch::Receiver<bool>,
) {
    let places = Arc::new(Semaphore::new(settings.connections_max));
    let drain = GracefulShutdown::new();
    loop {
        let place = tokio::select! {
            place = places.clone().acquire_owned() => place.expect("the semaphore is never closed"),
            _ = stopped.changed() => break,
        };
        let (stream, peer) = tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok(accepted) => accepted,
                Err(error) => {
                    // Out of file descriptors or a connection reset before we took it: neither may end the loop.
                    tracing::warn!(%error, "a connection could not be accepted");
                    tokio::time::sleep(Duration::from_millis(50)).await;
                    continue;
                }
            },
            _ = stopped.changed() => break,
        };
        let connection = serve(stream, peer, routers.borrow().clone(), settings);
        let watched = drain.watch(connection);
        tokio::spawn(async move {
            // A client that breaks off or is too slow is its own affair; hyper has closed the connection.
            if let Err(error) = watched.await {
                tracing::debug!(%error, "a connection ended early");
            }
            drop(place);
        });
    }
    drop(listener);
    drain.shutdown().await;
}

type Connection = http1::Connection<TokioIo<Watched>, TowerToHyperService<Marked>>;

fn serve(stream: TcpStream, peer: SocketAddr, router: Router, settings: Settings) -> Connection {
    // Answers are small and awaited: waiting to fill a segment only adds latency.
    let _ = stream.set_nodelay(true);
    let turns = Arc::new(AtomicU32::new(0));
    let watched = Watched {
        stream,
        turns: turns.clone(),
        seen: 0,
        awaiting: Awaiting::Head,
        timer: Box::pin(tokio::time::sleep(settings.header_timeout)),
        settings,
    };
    http1::Builder::new()
        .header_read_timeout(None)
        .max_buf_size(HEAD_BYTES_MAX)
        .max_headers(HEADER_LINES_MAX)
        .keep_alive(true)
        .serve_connection(TokioIo::new(watched), TowerToHyperService::new(Marked { router, peer, turns }))
}

/// What the next byte from the client would be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Awaiting {
    /// The first byte of another request; the timer runs for `idle_timeout`.
    Request,
    /// The rest of a head; the timer runs for `header_timeout`.
    Head,
    /// A body, which the handler bounds, or nothing while we answer; no timer.
    Answer,
}

/// A connection that ends when a head takes too long or the client rests too long.
struct Watched {
    stream: TcpStream,
    /// Counted up by [`Marked`] when a head is complete and again when its answer is ready: odd while answering.
    turns: Arc<AtomicU32>,
    /// `turns` when we looked last.
    seen: u32,
    awaiting: Awaiting,
    timer: Pin<Box<Sleep>>,
    settings: Settings,
}

impl Watched {
    fn wait_for(&mut self, what: Awaiting) {
        self.awaiting = what;
        match what {
            Awaiting::Request => self.timer.as_mut().reset(Instant::now() + self.settings.idle_timeout),
            Awaiting::Head => self.timer.as_mut().reset(Instant::now() + self.settings.header_timeout),
            Awaiting::Answer => {}
        }
    }
}

impl AsyncRead for Watched {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = &mut *self;
        let turns = this.turns.load(Ordering::Acquire);
        if turns != this.seen {
            this.seen = turns;
            this.wait_for(if turns % 2 == 1 { Awaiting::Answer } else { Awaiting::Request });
        }
        let before = buffer.filled().len();
        let read = Pin::new(&mut this.stream).poll_read(context, buffer);
        if read.is_ready() {
            if this.awaiting == Awaiting::Request && buffer.filled().len() > before {
                this.wait_for(Awaiting::Head);
            }
            return read;
        }
        if this.awaiting != Awaiting::Answer && this.timer.as_mut().poll(context).is_ready() {
            return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
        }
        Poll::Pending
    }
}

impl AsyncWrite for Watched {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        parts: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(context, parts)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}

/// The router, telling [`Watched`] when a request is being answered.
#[derive(Clone)]
struct Marked {
    router: Router,
    /// Who is at the other end, for the record of who did what from where.
    peer: SocketAddr,
    turns: Arc<AtomicU32>,
}

impl Service<Request<Incoming>> for Marked {
    type Response = Response;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Response, Infallible>> + Send>>;

    fn poll_ready(&mut self, _context: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        // axum's router is always ready.
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, mut request: Request<Incoming>) -> Self::Future {
        request.extensions_mut().insert(ConnectInfo(self.peer));
        self.turns.fetch_add(1, Ordering::Release);
        let answer = self.router.call(request);
        let turns = self.turns.clone();
        Box::pin(async move {
            let answer = answer.await;
            turns.fetch_add(1, Ordering::Release);
            answer
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::routing::get;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    async fn start(header_timeout: Duration, connections_max: usize) -> Server {
        let router = Router::new().route("/", get(|| async { "ok" })).route(
            "/slow",
            get(|| async {
                tokio::time::sleep(Duration::from_millis(300)).await;
                "slow"
            }),
        );
        let address = "127.0.0.1:0".parse().unwrap();
        let settings = Settings { connections_max, header_timeout, idle_timeout: Duration::from_secs(2) };
        Server::start(address, router, settings).await.unwrap()
    }

    async fn ask(address: SocketAddr, head: &str) -> String {
        let mut stream = TcpStream::connect(address).await.unwrap();
        stream.write_all(head.as_bytes()).await.unwrap();
        let mut answer = Vec::new();
        let _ = stream.read_to_end(&mut answer).await;
        String::from_utf8_lossy(&answer).into_owned()
    }

    #[tokio::test]
    async fn prs_4_a_client_that_never_finishes_its_head_is_cut_off_and_others_are_served() {
        let server = start(Duration::from_millis(200), 16).await;
        let slow = tokio::spawn(ask(server.address(), "GET / HTTP/1.1\r\nHost: x\r\nX-Slow: "));
        let quick = ask(server.address(), "GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").await;
        assert!(quick.starts_with("HTTP/1.1 200") && quick.ends_with("ok"), "{quick}");
        let cut = tokio::time::timeout(Duration::from_secs(3), slow).await.expect("cut off by the timer").unwrap();
        assert!(!cut.contains("200 OK"), "{cut}");
    }

    /// Reads one answer of a kept connection: up to and including its body `ok`.
    async fn one_answer(stream: &mut TcpStream) -> String {
        let mut answer = Vec::new();
        while !answer.ends_with(b"ok") {
            let mut chunk = [0; 512];
            let read = stream.read(&mut chunk).await.unwrap();
            assert!(read > 0, "closed after {}", String::from_utf8_lossy(&answer));
            answer.extend_from_slice(&chunk[..read]);
        }
        String::from_utf8(answer).unwrap()
    }

    #[tokio::test]
    async fn a_load_balancers_connection_may_rest_longer_than_a_head_may_take() {
        let server = start(Duration::from_millis(150), 16).await;
        let mut stream = TcpStream::connect(server.address()).await.unwrap();
        stream.write_all(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n").await.unwrap();
        one_answer(&mut stream).await;
        tokio::time::sleep(Duration::from_millis(600)).await;
        stream.write_all(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n").await.unwrap();
        one_answer(&mut stream).await;
        // The second head is under the same watch as the first.
        stream.write_all(b"GET / HTTP/1.1\r\nHos").await.unwrap();
        let mut rest = Vec::new();
        let ended = tokio::time::timeout(Duration::from_secs(1), stream.read_to_end(&mut rest)).await;
        assert!(ended.is_ok(), "a half-sent head is cut off");
    }

    #[tokio::test]
    async fn a_handler_may_take_longer_than_a_head() {
        let server = start(Duration::from_millis(100), 16).await;
        let answer = ask(server.address(), "GET /slow HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").await;
        assert!(answer.ends_with("slow"), "{answer}");
    }

    #[tokio::test]
    async fn prs_1_connections_beyond_the_limit_wait_for_a_place() {
        let server = start(Duration::from_millis(300), 1).await;
        let holder = TcpStream::connect(server.address()).await.unwrap();
        tokio::time::sleep(Duration::from_millis(50)).await;
        let waiting = tokio::spawn(ask(server.address(), "GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"));
        tokio::time::sleep(Duration::from_millis(100)).await;
        assert!(!waiting.is_finished());
        drop(holder);
        let answer = tokio::time::timeout(Duration::from_secs(3), waiting).await.unwrap().unwrap();
        assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    }

    #[tokio::test]
    async fn run_2_stop_lets_an_open_request_be_answered() {
        let server = start(Duration::from_secs(5), 16).await;
        let address = server.address();
        let open = tokio::spawn(ask(address, "GET /slow HTTP/1.1\r\nHost: x\r\n\r\n"));
        tokio::time::sleep(Duration::from_millis(100)).await;
        server.stop(Duration::from_secs(5)).await;
        assert!(open.await.unwrap().ends_with("slow"));
        assert!(TcpStream::connect(address).await.is_err());
    }

    #[tokio::test]
    async fn oversized_heads_are_refused() {
        let server = start(Duration::from_secs(5), 16).await;
        let many = (0..200).fold(String::new(), |head, index| head + &format!("X-H{index}: 1\r\n"));
        let answer = ask(server.address(), &format!("GET / HTTP/1.1\r\nHost: x\r\n{many}\r\n")).await;
        assert!(answer.starts_with("HTTP/1.1 431"), "{answer}");
    }
}
