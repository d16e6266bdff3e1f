//! Who did what: the beginning of every audit row (API-5).

use std::fmt;

use crate::clock::Timestamp;
use crate::store::write::Act;

/// Who acts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Actor {
    /// A caller of the API, by the name of its token.
    Token(String),
    /// A person who signed in, by name.
    User(String),
    /// Somebody who did not prove who they are.
    Anonymous,
    /// Somebody at the command line, by the name of the account.
    Cli(String),
    /// The service itself.
    System,
}

impl Actor {
    /// Whoever runs this command.
    pub fn at_the_command_line() -> Self {
        let name = ["SUDO_USER", "USER", "LOGNAME"].iter().find_map(|name| std::env::var(name).ok());
        let name: String = name.unwrap_or_default().chars().filter(|letter| !letter.is_control()).take(64).collect();
        Actor::Cli(if name.is_empty() { "unknown".to_owned() } else { name })
    }

    /// From where this actor acts unless more is known: the command line says how it was reached.
    fn usual_place(&self) -> String {
        match self {
            Actor::Token(_) | Actor::User(_) | Actor::Anonymous => String::new(),
            Actor::System => "service".to_owned(),
            Actor::Cli(_) => {
                let ssh = std::env::var("SSH_CONNECTION").unwrap_or_default();
                match ssh.split(' ').next().filter(|address| address.parse::<std::net::IpAddr>().is_ok()) {
                    Some(address) => format!("ssh {address}"),
                    None => "local".to_owned(),
                }
            }
        }
    }

    /// An act of this actor, without reason, before or after.
    pub fn act(&self, action: &str, target: impl fmt::Display, at: Timestamp) -> Act {
        Act {
            actor: self.to_string(),
            action: action.to_owned(),
            target: target.to_string(),
            before: String::new(),
            after: String::new(),
            reason: String::new(),
            from: self.usual_place(),
            at,
            keep: None,
            member: None,
        }
    }
}

impl fmt::Display for Actor {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Actor::Token(name) => write!(formatter, "token:{name}"),
            Actor::User(name) => write!(formatter, "user:{name}"),
            Actor::Anonymous => formatter.write_str("anonymous"),
            Actor::Cli(user) => write!(formatter, "cli:{user}"),
            Actor::System => formatter.write_str("system"),
        }
    }
}
