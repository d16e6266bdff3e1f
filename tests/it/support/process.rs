//! The real binary, which can be killed.

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex, mpsc};
use std::time::{Duration, Instant};

use super::Site;

/// The binary under test.
pub fn binary() -> Command {
    Command::new(env!("CARGO_BIN_EXE_crossdock"))
}

/// A new API token made by the verb, beside the running service.
pub fn token(site: &Site, role: &str) -> String {
    let made = binary()
        .args(["token", "create", "--name", &format!("test-{role}"), "--role", role, "--config"])
        .arg(site.config_path())
        .output()
        .expect("the binary runs");
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    String::from_utf8(made.stdout).expect("text").trim().to_owned()
}

/// Somebody who signs in, made by the verb beside the running service.
pub fn user(site: &Site, name: &str, role: &str, password: &str) {
    let mut child = binary()
        .args(["user", "create", "--name", name, "--role", role, "--password-stdin", "--config"])
        .arg(site.config_path())
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .spawn()
        .expect("the binary runs");
    writeln!(child.stdin.take().unwrap(), "{password}").unwrap();
    assert!(child.wait().unwrap().success(), "{name} is let in");
}

/// `crossdock serve` as a process of its own.
pub struct Serve {
    child: Child,
    said: Arc<Mutex<Vec<String>>>,
    pub address: SocketAddr,
}

impl Serve {
    /// Starts and waits until it is ready. It chooses its port itself and says which: a port probed beforehand may be
    /// somebody else's by then.
    pub fn start(site: &Site) -> Serve {
        Serve::saying("info", site)
    }

    /// The same with another level of its log.
    pub fn saying(level: &str, site: &Site) -> Serve {
        let mut child = binary()
            .args(["serve", "--log", level, "--config"])
            .arg(site.config_path())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the binary starts");
        let log = child.stderr.take().expect("piped above");
        let (said, heard) = mpsc::channel();
        let all = Arc::new(Mutex::new(Vec::new()));
        let kept = Arc::clone(&all);
        // The log is drained so that the service never blocks on it; shown when a test fails.
        std::thread::spawn(move || {
            for line in BufReader::new(log).lines().map_while(Result::ok) {
                eprintln!("serve: {line}");
                kept.lock().unwrap().push(line.clone());
                if let Some(address) = listening(&line) {
                    let _ = said.send(address);
                }
            }
        });
        let address = heard.recv_timeout(Duration::from_mins(1)).expect("the service says where it listens");
        let mut serve = Serve { child, said: all, address };
        serve.await_ready();
        serve
    }

    fn await_ready(&mut self) {
        let patience = Instant::now() + Duration::from_mins(1);
        loop {
            if let Some(status) = self.child.try_wait().expect("our own child") {
                panic!("the service ended at start: {status}");
            }
            if ready(self.address) {
                return;
            }
            assert!(Instant::now() < patience, "the service did not become ready");
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// Every line of its log so far.
    pub fn said(&self) -> Vec<String> {
        self.said.lock().unwrap().clone()
    }

    /// `kill -9`.
    pub fn kill(mut self) {
        self.child.kill().expect("our own child");
        self.child.wait().expect("our own child");
    }

    /// Asks it to stop, and does not wait.
    pub fn signal(&self, signal: &str) {
        let pid = self.child.id().to_string();
        assert!(Command::new("kill").args([signal, &pid]).status().expect("kill runs").success());
    }

    /// Waits for its end; the exit code.
    pub fn ended(mut self) -> Option<i32> {
        self.child.wait().expect("our own child").code()
    }

    /// SIGTERM; the exit code and how long it took.
    pub fn terminate(mut self) -> (Option<i32>, Duration) {
        let begun = Instant::now();
        self.signal("-TERM");
        let status = self.child.wait().expect("our own child");
        (status.code(), begun.elapsed())
    }
}

impl Drop for Serve {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The address in the line that says the service is ready.
fn listening(line: &str) -> Option<SocketAddr> {
    let (_, rest) = line.split_once("crossdock is ready").and(line.split_once("\"listen\":\""))?;
    rest.split('"').next()?.parse().ok()
}

fn ready(address: SocketAddr) -> bool {
    use std::io::{Read as _, Write as _};
    let Ok(mut stream) = std::net::TcpStream::connect_timeout(&address, Duration::from_millis(200)) else {
        return false;
    };
    let _ = stream.set_read_timeout(Some(Duration::from_secs(2)));
    if stream.write_all(b"GET /health/ready HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n").is_err() {
        return false;
    }
    let mut answer = String::new();
    let _ = stream.read_to_string(&mut answer);
    answer.starts_with("HTTP/1.1 200")
}
