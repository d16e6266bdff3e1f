//! What stands in front of the service: one address that stays, whatever happens behind it.

use std::net::SocketAddr;

use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

/// Passes connections on to the service that runs, and closes them while none does.
pub struct Front {
    address: SocketAddr,
    behind: watch::Sender<Option<SocketAddr>>,
}

impl Front {
    pub async fn start() -> Front {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.expect("a loopback port");
        let address = listener.local_addr().unwrap();
        let (behind, seen) = watch::channel(None);
        tokio::spawn(async move {
            while let Ok((mut outside, _)) = listener.accept().await {
                let target: Option<SocketAddr> = *seen.borrow();
                let Some(target) = target else { continue };
                tokio::spawn(async move {
                    if let Ok(mut inside) = TcpStream::connect(target).await {
                        let _ = tokio::io::copy_bidirectional(&mut outside, &mut inside).await;
                    }
                });
            }
        });
        Front { address, behind }
    }

    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    /// From now on this one is behind it; `None`: nothing is.
    pub fn leads_to(&self, service: Option<SocketAddr>) {
        self.behind.send_replace(service);
    }
}
