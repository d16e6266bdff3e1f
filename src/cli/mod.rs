//! The command line: one file per verb.
//!
//! A verb prints what it was asked for on standard output and everything else on standard error, so that its output can
//! be piped. Exit codes: 0 done, 1 findings or failure, 2 usage. Short verbs work beside a running service, which
//! notices what they wrote.
//!
//! Deliberately absent: rules. Verbs ask the same rooms as the API does.

mod alerts;
mod audit_log;
mod backup;
mod bench;
mod bulk;
mod capture;
mod catalogue;
mod chaos;
mod catchup;
mod check;
mod commerce;
mod demo;
mod doctor;
mod editing;
mod erase;
mod exceptions;
mod expand;
mod find;
mod fixing;
mod incidents;
mod ledger;
mod keys;
mod mappings;
mod migrate;
mod open;
mod orders;
mod origins;
mod print;
mod render;
mod replay;
mod restore;
mod saved;
mod serve;
mod token;
mod user;
mod traffic;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand};

use crate::observe::log;

/// What a verb came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Exit code 0.
    Done,
    /// Exit code 1: it ran, and there is something to look at.
    Findings,
}

/// Orders from Adobe Commerce to the ERP, and back.
#[derive(Debug, Parser)]
#[command(
    name = "crossdock",
    version,
    about = "Takes Adobe Commerce's orders in, turns them into lines an ERP can digest, and delivers each exactly once",
    after_help = "Examples:\n  crossdock check --config crossdock.toml\n  crossdock serve --config crossdock.toml\n  \
                  crossdock expand order.json\n\nExit codes: 0 done, 1 findings or failure, 2 usage."
)]
struct Cli {
    #[command(subcommand)]
    verb: Verb,
    #[command(flatten)]
    shared: Shared,
}

/// Flags that every verb takes.
#[derive(Clone, Debug, Args)]
pub struct Shared {
    /// The configuration [default: crossdock.toml in the working directory]
    #[arg(long, global = true, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Print JSON
    #[arg(long, global = true)]
    pub json: bool,
    /// What is logged to standard error: a level, or target=level pairs [default: the variable `CROSSDOCK_LOG`]
    #[arg(long, global = true, value_name = "FILTER")]
    pub log: Option<String>,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Take the tour: a service, a stand-in ERP and sample orders, all on this machine
    Demo(demo::Demo),
    /// Run the service
    Serve(serve::Serve),
    /// Check the whole configuration and show every problem at once
    Check(check::Check),
    /// Turn orders into sales orders, without touching anything
    Expand(expand::Expand),
    /// Show the requests that a destination would be sent of an order, without sending
    Render(render::Render),
    /// Find whatever you have in hand: a number, an address, a SKU, an id
    Find(find::Find),
    /// Find orders and read where they are
    Orders(orders::Orders),
    /// See who sends to us and what came of it, and try their way in
    Origins(origins::Origins),
    /// Read what waits for a person
    Exceptions(exceptions::Exceptions),
    /// See which destination is in trouble, and what is safe meanwhile
    Incidents(incidents::Incidents),
    /// See what people are told of, take it, and try out who is told
    Alerts(alerts::Alerts),
    /// Process records again, alone or all of one cause
    Replay(replay::Replay),
    /// Replay and resend everything that a filter means, with a time to take it back
    Bulk(bulk::Bulk),
    /// Bring mapping tables in and out
    Mappings(mappings::Mappings),
    /// Make, list and revoke API tokens
    Token(token::Token),
    /// Let people sign in, change what they may, and shut them out
    User(user::User),
    /// See, make and try out our registration in Commerce
    Commerce(commerce::Commerce),
    /// Is the newest order of Commerce here, and how far did the searches get?
    Catchup(catchup::Catchup),
    /// Read what is kept of Commerce's products
    Catalogue(catalogue::Catalogue),
    /// What came and went by the hour, and how far behind each destination is
    Traffic(traffic::Traffic),
    /// What became of every accepted event, and of every order in money
    Ledger(ledger::Ledger),
    /// Verify or export the record of who did what
    AuditLog(audit_log::AuditLog),
    /// Look at the store, the configuration, the disk and the clock
    Doctor(doctor::Doctor),
    /// Keep what an origin sends, without its buyers, for support and for fixtures
    Capture(capture::Capture),
    /// Copy the store, beside a running service, and prove the copy
    Backup(backup::Backup),
    /// Put a copy in the place of the store
    Restore(restore::Restore),
    /// Make the key of payloads at rest, and change it
    Keys(keys::Keys),
    /// Destroy a buyer's data on request
    Erase(erase::Erase),
    /// Bring the store to this version's layout
    Migrate(migrate::Migrate),
    /// Kill the service at random moments under load, and count what is lost, doubled, disordered or stuck
    Chaos(chaos::Chaos),
    /// Measure what this machine can do: rates, latencies, CPU and memory, beside those of a bare handler
    Bench(bench::Bench),
}

/// Reads the arguments, runs the verb, says what went wrong.
pub fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(help) => {
            // Help and version are asked for (0); everything else is usage (2).
            let code = if help.use_stderr() { 2 } else { 0 };
            let _ = help.print();
            return ExitCode::from(code);
        }
    };
    if let Err(error) = start_log(&cli.shared, &cli.verb) {
        eprintln!("error: {error}");
        return ExitCode::from(2);
    }
    match run(cli) {
        Ok(Outcome::Done) => ExitCode::SUCCESS,
        Ok(Outcome::Findings) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// The service logs what happens; a short verb only what is wrong; the tour tells its events itself.
fn start_log(shared: &Shared, verb: &Verb) -> Result<(), log::LogError> {
    let wanted = shared.log.clone().or_else(|| std::env::var("CROSSDOCK_LOG").ok());
    let usual = match verb {
        Verb::Serve(_) => log::DEFAULT_FILTER,
        Verb::Demo(_) => "warn,crossdock::observe=off",
        _ => "warn",
    };
    log::start(wanted.as_deref().unwrap_or(usual))
}

fn run(cli: Cli) -> anyhow::Result<Outcome> {
    let shared = cli.shared;
    match cli.verb {
        Verb::Demo(verb) => demo::run(&verb, &shared),
        Verb::Serve(verb) => serve::run(&verb, &shared),
        Verb::Check(verb) => check::run(&verb, &shared),
        Verb::Expand(verb) => open::wait(expand::run(verb, &shared)),
        Verb::Find(verb) => open::wait(find::run(verb, &shared)),
        Verb::Traffic(verb) => open::wait(traffic::run(verb, &shared)),
        Verb::Orders(verb) => open::wait(orders::run(verb, &shared)),
        Verb::Origins(verb) => open::wait(origins::run(verb, &shared)),
        Verb::Exceptions(verb) => open::wait(exceptions::run(verb, &shared)),
        Verb::Incidents(verb) => open::wait(incidents::run(verb, &shared)),
        Verb::Alerts(verb) => open::wait(alerts::run(verb, &shared)),
        Verb::Render(verb) => open::wait(render::run(verb, &shared)),
        Verb::Replay(verb) => open::wait(replay::run(verb, &shared)),
        Verb::Bulk(verb) => open::wait(bulk::run(verb, &shared)),
        Verb::Mappings(verb) => open::wait(mappings::run(verb, &shared)),
        Verb::Token(verb) => open::wait(token::run(verb, &shared)),
        Verb::User(verb) => open::wait(user::run(verb, &shared)),
        Verb::Commerce(verb) => open::wait(commerce::run(verb, &shared)),
        Verb::Catchup(verb) => open::wait(catchup::run(verb, &shared)),
        Verb::Catalogue(verb) => open::wait(catalogue::run(verb, &shared)),
        Verb::Ledger(verb) => open::wait(ledger::run(verb, &shared)),
        Verb::AuditLog(verb) => open::wait(audit_log::run(verb, &shared)),
        Verb::Doctor(verb) => open::wait(doctor::run(verb, &shared)),
        Verb::Capture(verb) => open::wait(capture::run(verb, &shared)),
        Verb::Backup(verb) => backup::run(&verb, &shared),
        Verb::Restore(verb) => restore::run(&verb, &shared),
        Verb::Keys(verb) => open::wait(keys::run(verb, &shared)),
        Verb::Erase(verb) => open::wait(erase::run(verb, &shared)),
        Verb::Migrate(verb) => open::wait(migrate::run(verb, &shared)),
        Verb::Chaos(verb) => chaos::run(&verb, &shared),
        Verb::Bench(verb) => bench::run(&verb, &shared),
    }
}
