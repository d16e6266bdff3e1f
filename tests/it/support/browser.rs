//! A real Chromium, driven by a script that is told what to do a line at a time.

use std::io::{BufRead as _, BufReader, Write as _};
use std::path::PathBuf;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use serde_json::{Value, json};

/// How a person looks at the console.
#[derive(Clone, Copy, Debug)]
pub struct Look {
    pub name: &'static str,
    scheme: &'static str,
    size: (u32, u32),
}

pub const LIGHT: Look = Look { name: "light", scheme: "light", size: (1280, 900) };
pub const DARK: Look = Look { name: "dark", scheme: "dark", size: (1280, 900) };
pub const PHONE: Look = Look { name: "phone", scheme: "light", size: (390, 844) };
pub const WIDE: Look = Look { name: "wide", scheme: "dark", size: (2560, 1200) };

/// An open browser; what went wrong on any page is asked for at the end, by [`Browser::close`].
pub struct Browser {
    child: Child,
    says: ChildStdin,
    hears: BufReader<ChildStdout>,
    look: Look,
}

impl Browser {
    /// `None` where no browser is at hand: then the run says so, and `tests/run` counts it as missing.
    pub fn open(base: &str, look: Look) -> Option<Browser> {
        Browser::open_beside(base, "", look)
    }

    /// The same, where pages may lead to another host as well.
    pub fn open_beside(base: &str, beside: &str, look: Look) -> Option<Browser> {
        let Ok(modules) = std::env::var("CROSSDOCK_NODE_MODULES") else {
            eprintln!("CROSSDOCK_NODE_MODULES is unset: no browser was asked");
            return None;
        };
        let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/node/browser.mjs");
        let (width, height) = look.size;
        let mut child = Command::new("node")
            .args([script, &modules, base, look.scheme, &width.to_string(), &height.to_string(), beside])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("node runs");
        let (says, hears) = (child.stdin.take().unwrap(), BufReader::new(child.stdout.take().unwrap()));
        Some(Browser { child, says, hears, look })
    }

    fn ask(&mut self, what: &Value) -> Result<Value, String> {
        writeln!(self.says, "{what}").expect("the script listens");
        let mut line = String::new();
        self.hears.read_line(&mut line).expect("the script answers");
        let told: Value = serde_json::from_str(&line).unwrap_or_else(|_| panic!("{what}: the browser ended: {line}"));
        match told["failed"].as_str() {
            Some(failed) => Err(failed.to_owned()),
            None => Ok(told["done"].clone()),
        }
    }

    /// Does one thing; a failure ends the test with what the page showed.
    pub fn does(&mut self, what: &Value) -> Value {
        tokio::task::block_in_place(|| self.ask(what)).unwrap_or_else(|failed| panic!("{what}: {failed}"))
    }

    /// Opens a page; its status.
    pub fn goes(&mut self, path: &str) -> u64 {
        self.does(&json!({ "do": "goto", "path": path })).as_u64().unwrap_or_default()
    }

    pub fn fills(&mut self, label: &str, value: &str) {
        self.does(&json!({ "do": "fill", "label": label, "value": value }));
    }

    pub fn presses(&mut self, button: &str) {
        self.does(&json!({ "do": "press", "button": button }));
    }

    pub fn follows(&mut self, link: &str) {
        self.does(&json!({ "do": "follow", "link": link }));
    }

    /// Opens what is folded under a text.
    pub fn opens(&mut self, text: &str) {
        self.does(&json!({ "do": "open", "text": text }));
    }

    /// Waits until a text is there for eyes.
    pub fn sees(&mut self, text: &str) {
        self.does(&json!({ "do": "see", "text": text }));
    }

    pub fn buttons(&mut self, name: &str) -> u64 {
        self.does(&json!({ "do": "count", "role": "button", "name": name })).as_u64().unwrap()
    }

    pub fn text(&mut self) -> String {
        self.does(&json!({ "do": "text" })).as_str().unwrap().to_owned()
    }

    pub fn is_at(&mut self) -> String {
        self.does(&json!({ "do": "where" })).as_str().unwrap().to_owned()
    }

    /// Signs in by the page for it.
    pub fn signs_in(&mut self, name: &str, password: &str) {
        self.fills("Name", name);
        self.fills("Password", password);
        self.presses("Sign in");
    }

    /// Looks at a page as people with other eyes and other screens do: no rule of accessibility broken, nothing to scroll
    /// sideways; keeps a picture where `CROSSDOCK_SHOTS` says.
    pub fn looks_at(&mut self, name: &str) {
        let broken = self.does(&json!({ "do": "access" }));
        assert_eq!(broken, json!([]), "{name}, {}: accessibility", self.look.name);
        assert_eq!(
            self.does(&json!({ "do": "wide" })),
            json!(false),
            "{name}, {}: it scrolls sideways",
            self.look.name
        );
        if let Ok(folder) = std::env::var("CROSSDOCK_SHOTS") {
            let file = PathBuf::from(folder).join(format!("{name}-{}.png", self.look.name));
            self.does(&json!({ "do": "shot", "file": file }));
        }
    }

    /// Ends it; nothing went wrong behind the pages meanwhile.
    pub fn close(mut self) {
        let wrong = self.does(&json!({ "do": "wrong" }));
        assert_eq!(wrong, json!([]), "{}: errors, dialogs or requests to other hosts", self.look.name);
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
