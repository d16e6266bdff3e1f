//! The service as a process of its own, which can be killed.

use std::collections::VecDeque;
use std::io::{BufRead as _, BufReader};
use std::net::SocketAddr;
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context as _, bail};
use tokio::sync::oneshot;
use tokio::time::{Instant, sleep};

/// Long enough for a start on a busy machine.
const START_PATIENCE: Duration = Duration::from_secs(30);
const STOP_PATIENCE: Duration = Duration::from_secs(30);
/// Lines of the log that are kept for whoever looks.
const LOG_LINES_MAX: usize = 4_000;

/// The last lines the service wrote, over all its lives.
#[derive(Clone, Default)]
pub(crate) struct Log(Arc<Mutex<VecDeque<String>>>);

impl Log {
    pub(crate) fn note(&self, line: String) {
        let mut lines = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if lines.len() == LOG_LINES_MAX {
            lines.pop_front();
        }
        lines.push_back(line);
    }

    /// Everything kept, oldest first.
    pub(crate) fn text(&self) -> String {
        let lines = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        lines.iter().flat_map(|line| [line.as_str(), "\n"]).collect()
    }
}

/// A running `serve`.
pub(crate) struct Service {
    child: Child,
    address: Option<oneshot::Receiver<SocketAddr>>,
}

impl Service {
    /// Starts the process and does not wait for anything.
    pub(crate) fn spawn(binary: &Path, config: &Path, log: &Log) -> anyhow::Result<Service> {
        let mut child = Command::new(binary)
            .args(["serve", "--log", "warn,crossdock::app=info", "--config"])
            .arg(config)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            // A Ctrl-C in the terminal is for us: whoever looks after the service stops it.
            .process_group(0)
            .spawn()
            .with_context(|| format!("{} cannot be started", binary.display()))?;
        let lines = child.stderr.take().context("the service's log cannot be read")?;
        let (said, address) = oneshot::channel();
        let log = log.clone();
        log.note(format!("--- process {} starts", child.id()));
        // A thread, so that the service never blocks on its log; it ends with the process.
        std::thread::spawn(move || {
            let mut said = Some(said);
            for line in BufReader::new(lines).lines().map_while(Result::ok) {
                if let Some(address) = listening(&line)
                    && let Some(said) = said.take()
                {
                    let _ = said.send(address);
                }
                log.note(line);
            }
        });
        Ok(Service { child, address: Some(address) })
    }

    /// Waits until it says that it is ready, and where.
    pub(crate) async fn ready(&mut self) -> anyhow::Result<SocketAddr> {
        let address = self.address.take().context("the service was waited for twice")?;
        match tokio::time::timeout(START_PATIENCE, address).await {
            Ok(Ok(address)) => Ok(address),
            Ok(Err(_)) => bail!("the service ended before it was ready"),
            Err(_) => bail!("the service was not ready within {} s", START_PATIENCE.as_secs()),
        }
    }

    /// `kill -9`.
    pub(crate) fn kill(mut self) {
        self.end_now();
    }

    /// SIGTERM, and a kill if `after` passes first; the exit status of an orderly end.
    pub(crate) async fn stop_within(mut self, after: Duration) -> anyhow::Result<Option<ExitStatus>> {
        let pid = i32::try_from(self.child.id()).ok().and_then(rustix::process::Pid::from_raw);
        let pid = pid.context("a process has a number")?;
        rustix::process::kill_process(pid, rustix::process::Signal::TERM).context("the service cannot be stopped")?;
        let begun = Instant::now();
        while begun.elapsed() < after {
            if let Some(status) = self.child.try_wait().context("the service cannot be waited for")? {
                return Ok(Some(status));
            }
            sleep(Duration::from_millis(2)).await;
        }
        self.end_now();
        Ok(None)
    }

    /// SIGTERM, and the exit code must be 0.
    pub(crate) async fn stop(self) -> anyhow::Result<()> {
        match self.stop_within(STOP_PATIENCE).await? {
            Some(status) if status.success() => Ok(()),
            Some(status) => bail!("asked to stop, the service ended with {status}"),
            None => bail!("asked to stop, the service did not within {} s", STOP_PATIENCE.as_secs()),
        }
    }

    /// Whether it ended by itself.
    pub(crate) fn has_ended(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(Some(_)))
    }

    /// The number of its process.
    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    fn end_now(&mut self) {
        // Ended already is as good.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        self.end_now();
    }
}

/// The address in the line that says the service is ready: JSON in a pipe.
fn listening(line: &str) -> Option<SocketAddr> {
    let line: serde_json::Value = serde_json::from_str(line).ok()?;
    let ready = line.get("message")?.as_str()? == "crossdock is ready";
    ready.then(|| line.get("listen")?.as_str()?.parse().ok()).flatten()
}
