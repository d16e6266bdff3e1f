//! `crossdock user`: people who sign in.
//!
//! Beside a running service, which notices at once: it looks every session up at every call. A password comes from a
//! terminal that does not show it, or from standard input; never from an argument, which other people of the machine see.

use std::io::{BufRead as _, IsTerminal as _, Read as _, Write as _};
use std::sync::Arc;

use anyhow::{Context as _, anyhow, bail};
use clap::{Args, Subcommand};
use rustix::termios::{LocalModes, OptionalActions, Termios, tcgetattr, tcsetattr};

use super::{Outcome, Shared, open, print};
use crate::access::password::{self, Hasher};
use crate::access::{Actor, Role, users};
use crate::clock::{SystemEntropy, Timestamp};
use crate::envelope::ids::UserId;
use crate::store::SharedStore;
use crate::store::accounts::{UserChange, UserRow};

/// What to do with people.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  crossdock user create --config crossdock.toml --name anna --role operator")]
pub struct User {
    #[command(subcommand)]
    action: Action,
}

/// Which person, and why.
#[derive(Debug, Args)]
struct Whom {
    /// Their id (`usr_…`) or name
    user: String,
    /// Kept in the audit
    #[arg(long, default_value = "")]
    reason: String,
}

/// Where a password comes from.
#[derive(Debug, Args)]
struct Source {
    /// Read the password from standard input, one line, instead of asking on the terminal
    #[arg(long)]
    password_stdin: bool,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Let a person in; asks for their password, which is not shown
    #[command(
        after_help = "Examples:\n  crossdock user create --config crossdock.toml --name anna --role operator\n  \
                            pass show crossdock/anna | crossdock user create --name anna --role admin --password-stdin"
    )]
    Create {
        /// By which they sign in; unique, upper and lower case are one
        #[arg(long)]
        name: String,
        /// viewer reads, operator repairs, mapper edits tables, finance reads money and exports, admin does everything
        #[arg(long, value_parser = str::parse::<Role>)]
        role: Role,
        /// Where to reach them
        #[arg(long, default_value = "")]
        email: String,
        /// Kept in the audit
        #[arg(long, default_value = "")]
        reason: String,
        #[command(flatten)]
        source: Source,
    },
    /// Show everybody, without anything secret
    #[command(after_help = "Example:\n  crossdock user list --json")]
    List,
    /// Give a person another password; their sessions end
    #[command(after_help = "Example:\n  crossdock user set-password anna")]
    SetPassword {
        #[command(flatten)]
        whom: Whom,
        #[command(flatten)]
        source: Source,
    },
    /// Give a person another role; their sessions end
    #[command(after_help = "Example:\n  crossdock user set-role anna viewer")]
    SetRole {
        #[command(flatten)]
        whom: Whom,
        /// viewer, operator, mapper, finance or admin
        #[arg(value_parser = str::parse::<Role>)]
        role: Role,
    },
    /// Shut a person out at once
    #[command(after_help = "Example:\n  crossdock user disable anna --reason \"left the company\"")]
    Disable(Whom),
    /// Let a person in again
    #[command(after_help = "Example:\n  crossdock user enable anna")]
    Enable(Whom),
    /// Take a person out
    #[command(after_help = "Example:\n  crossdock user remove anna")]
    Remove(Whom),
    /// End every session of a person
    #[command(after_help = "Example:\n  crossdock user sign-out anna")]
    SignOut(Whom),
    /// Take away the second factor of a person who lost it; their sessions end
    #[command(after_help = "Example:\n  crossdock user totp-reset anna")]
    TotpReset(Whom),
}

/// Acts on the store's people.
pub async fn run(verb: User, shared: &Shared) -> anyhow::Result<Outcome> {
    let config = open::config(shared)?.config;
    let store = open::store(&config)?;
    let now = open::clock().now();
    let done = act(verb.action, &store, now, shared.json).await;
    store.close().await?;
    done.map(|()| Outcome::Done)
}

async fn act(action: Action, store: &SharedStore, now: Timestamp, json: bool) -> anyhow::Result<()> {
    match action {
        Action::Create { name, role, email, reason, source } => {
            users::check_name(&name)?;
            users::check_email(&email)?;
            let phc = hashed(&source, &name).await?;
            let user = users::new(&name, &email, role, Some(phc), now, &SystemEntropy)?;
            let id = user.id;
            let mut act = Actor::at_the_command_line().act("user.create", id, now);
            (act.after, act.reason) = (users::told(&user), reason);
            store.create_user(user, act).await.context("nobody was let in")?;
            print::out(&format!("{id} {name} may sign in as {role}\n"))
        }
        Action::List => list(store, json).await,
        Action::SetPassword { whom, source } => {
            let user = find(store, &whom.user).await?;
            let phc = hashed(&source, &user.name).await?;
            let change = (UserChange::Password(phc), "user.password");
            changed(store, &user, change, whom.reason, now, "has another password; their sessions have ended").await
        }
        Action::SetRole { whom, role } => {
            let user = find(store, &whom.user).await?;
            let change = (UserChange::Role(role.as_str().to_owned()), "user.change");
            let done = format!("is {role} now, and signs in anew");
            changed(store, &user, change, whom.reason, now, &done).await
        }
        Action::Disable(whom) => {
            let user = find(store, &whom.user).await?;
            let change = (UserChange::Disabled(true), "user.change");
            changed(store, &user, change, whom.reason, now, "is shut out; their sessions have ended").await
        }
        Action::Enable(whom) => {
            let user = find(store, &whom.user).await?;
            let change = (UserChange::Disabled(false), "user.change");
            changed(store, &user, change, whom.reason, now, "may sign in again").await
        }
        Action::SignOut(whom) => {
            let user = find(store, &whom.user).await?;
            let change = (UserChange::SignOut, "session.end_all");
            changed(store, &user, change, whom.reason, now, "is signed out everywhere").await
        }
        Action::TotpReset(whom) => {
            let user = find(store, &whom.user).await?;
            let change = (UserChange::TotpRemove, "user.second_factor");
            changed(store, &user, change, whom.reason, now, "has no second factor; their sessions have ended").await
        }
        Action::Remove(whom) => {
            let user = find(store, &whom.user).await?;
            let mut act = Actor::at_the_command_line().act("user.remove", user.id, now);
            act.before = serde_json::json!({ "name": user.name, "role": user.role }).to_string();
            act.after = serde_json::json!({ "removed": true }).to_string();
            act.reason = whom.reason;
            store.remove_user(user.id, act).await?;
            print::out(&format!("{} {} is taken out\n", user.id, user.name))
        }
    }
}

async fn list(store: &SharedStore, json: bool) -> anyhow::Result<()> {
    let users = store.users().await?;
    if json {
        return print::json(&users);
    }
    let yes = |is: bool| if is { "yes" } else { "no" }.to_owned();
    let rows = users.iter().map(|user| {
        let seen = user.last_login_at.map_or_else(|| "never".to_owned(), |at| at.to_string());
        let state = user.disabled_at.map_or_else(|| "may sign in".to_owned(), |at| format!("shut out {at}"));
        let (id, name, role) = (user.id.to_string(), user.name.clone(), user.role.clone());
        let issuer = user.issuer.clone().unwrap_or_else(|| "here".to_owned());
        vec![id, name, user.email.clone(), role, issuer, yes(user.totp), seen, state]
    });
    print::table(&["id", "name", "email", "role", "known by", "second factor", "signed in", "state"], rows.collect())
}

async fn changed(
    store: &SharedStore,
    user: &UserRow,
    (change, action): (UserChange, &str),
    reason: String,
    now: Timestamp,
    done: &str,
) -> anyhow::Result<()> {
    let changes = vec![change];
    let mut act = Actor::at_the_command_line().act(action, user.id, now);
    (act.before, act.after) = users::changes_told(user, &changes);
    act.reason = reason;
    store.change_user(user.id, changes, act).await?;
    print::out(&format!("{} {} {done}\n", user.id, user.name))
}

async fn find(store: &SharedStore, given: &str) -> anyhow::Result<UserRow> {
    let id = given.parse::<UserId>().ok();
    let key = users::name_key(given);
    let users = store.users().await?;
    let found = users.into_iter().find(|user| Some(user.id) == id || users::name_key(&user.name) == key);
    found.ok_or_else(|| anyhow!("nobody has that id or name; `crossdock user list` shows everybody"))
}

async fn hashed(source: &Source, name: &str) -> anyhow::Result<String> {
    let password = if source.password_stdin { from_input()? } else { from_terminal(name)? };
    password::check(&password, name)?;
    Ok(Hasher::new(Arc::new(SystemEntropy)).hash(&password).await?)
}

/// One line of standard input, without its end.
fn from_input() -> anyhow::Result<String> {
    let mut bytes = Vec::new();
    let most = u64::try_from(password::BYTES_MAX).unwrap_or(u64::MAX) + 3;
    std::io::stdin().lock().take(most).read_to_end(&mut bytes).context("standard input cannot be read")?;
    let text = String::from_utf8(bytes).map_err(|_| anyhow!("the password on standard input is not UTF-8"))?;
    let line = text.strip_suffix('\n').unwrap_or(&text);
    Ok(line.strip_suffix('\r').unwrap_or(line).to_owned())
}

/// Asked for twice on a terminal, and not shown.
fn from_terminal(name: &str) -> anyhow::Result<String> {
    if !std::io::stdin().is_terminal() {
        bail!("there is no terminal to ask for the password on; hand it in with --password-stdin");
    }
    let first = ask(&format!("Password for {}: ", print::visible(name)))?;
    if ask("The same again: ")? != first {
        bail!("the two passwords differ; nothing was changed");
    }
    Ok(first)
}

fn ask(prompt: &str) -> anyhow::Result<String> {
    eprint!("{prompt}");
    std::io::stderr().flush()?;
    let quiet = Quiet::begin()?;
    let mut line = String::new();
    let read = std::io::stdin().lock().read_line(&mut line);
    drop(quiet);
    eprintln!();
    read.context("the terminal cannot be read")?;
    Ok(line.trim_end_matches(['\n', '\r']).to_owned())
}

/// The terminal shows nothing until this is dropped.
struct Quiet(Termios);

impl Quiet {
    fn begin() -> anyhow::Result<Self> {
        let stdin = std::io::stdin();
        let before = tcgetattr(&stdin).context("the terminal does not say how it is set")?;
        let mut quiet = before.clone();
        quiet.local_modes.remove(LocalModes::ECHO);
        tcsetattr(&stdin, OptionalActions::Flush, &quiet).context("the terminal cannot be told to show nothing")?;
        Ok(Quiet(before))
    }
}

impl Drop for Quiet {
    fn drop(&mut self) {
        // Nothing better can be done about a terminal that went away.
        let _ = tcsetattr(std::io::stdin(), OptionalActions::Flush, &self.0);
    }
}
