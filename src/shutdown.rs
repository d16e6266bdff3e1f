//! When to stop, and in which order things close (RUN-2).

use std::time::Duration;

use tokio::signal::unix::{SignalKind, signal};

/// What closing the store may take beyond the other steps.
const STORE: Duration = Duration::from_secs(4);

/// How long each step of an orderly end may take. The sum stays under 25 s.
#[derive(Clone, Copy, Debug)]
pub struct Timing {
    /// Intake goes on while load balancers notice that we are not ready.
    pub linger: Duration,
    /// Requests to destinations may finish.
    pub deliveries: Duration,
    /// Answers to clients may finish.
    pub connections: Duration,
}

impl Default for Timing {
    /// RUN-2.
    fn default() -> Self {
        Timing {
            linger: Duration::from_secs(5),
            deliveries: Duration::from_secs(15),
            connections: Duration::from_secs(2),
        }
    }
}

impl Timing {
    /// The whole of it: intake lingers, then deliveries and answers finish side by side, then the store closes. Whatever
    /// takes longer is cut off.
    pub fn whole(&self) -> Duration {
        self.linger + self.deliveries.max(self.connections) + STORE
    }

    /// For tests and the tour: nobody balances load onto us.
    pub fn at_once() -> Self {
        Timing { linger: Duration::ZERO, ..Timing::default() }
    }
}

/// Resolves at the first SIGTERM or SIGINT after the call. The handlers stand when this returns, whether or not the
/// future is polled yet: a signal that comes while the service is starting must not kill it.
///
/// # Panics
/// If the process cannot install signal handlers at all.
pub fn requested() -> impl Future<Output = ()> + Send {
    let mut terminate = signal(SignalKind::terminate()).expect("SIGTERM can be handled");
    let mut interrupt = signal(SignalKind::interrupt()).expect("SIGINT can be handled");
    async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
    }
}

/// Ends the process at the next SIGTERM or SIGINT: someone asked twice. Safe by P1 and ATT-1: nothing that was
/// acknowledged lives only in memory.
pub fn exit_on_second_request() {
    let again = requested();
    tokio::spawn(async move {
        again.await;
        tracing::warn!("asked to stop a second time: exiting at once");
        std::process::exit(0);
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn run_2_the_whole_of_an_orderly_end_stays_under_25_s() {
        assert_eq!(Timing::default().linger, Duration::from_secs(5));
        assert_eq!(Timing::default().deliveries, Duration::from_secs(15));
        assert!(Timing::default().whole() < Duration::from_secs(25));
    }
}
