//! Requests that no client library would send: half heads, half bodies, wrong lengths.

use std::net::SocketAddr;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

/// A connection spoken to in bytes.
pub struct Wire(TcpStream);

impl Wire {
    pub async fn open(address: SocketAddr) -> Wire {
        Wire(TcpStream::connect(address).await.expect("the service listens"))
    }

    /// Writes; a peer that has closed is no failure of the test.
    pub async fn says(&mut self, bytes: impl AsRef<[u8]>) -> bool {
        self.0.write_all(bytes.as_ref()).await.is_ok()
    }

    /// Everything until the peer closes.
    pub async fn hears_all(&mut self) -> String {
        let mut heard = Vec::new();
        let mut buffer = [0; 4096];
        while let Ok(count @ 1..) = self.0.read(&mut buffer).await {
            heard.extend_from_slice(&buffer[..count]);
        }
        String::from_utf8_lossy(&heard).into_owned()
    }

    /// The status of the next answer; 0 when the peer closes first.
    pub async fn hears_status(&mut self) -> u16 {
        let mut heard = Vec::new();
        let mut byte = [0];
        while !heard.ends_with(b"\r\n") {
            match self.0.read(&mut byte).await {
                Ok(1) => heard.push(byte[0]),
                _ => return 0,
            }
        }
        let line = String::from_utf8_lossy(&heard);
        line.split(' ').nth(1).and_then(|code| code.parse().ok()).unwrap_or(0)
    }
}
