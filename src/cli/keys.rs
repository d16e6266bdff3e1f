//! `crossdock keys`: the key that wraps the data keys of payloads at rest.

use std::fs::OpenOptions;
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::PathBuf;

use anyhow::{Context as _, bail};
use clap::{Args, Subcommand};

use super::{Outcome, Shared, open, print};
use crate::clock::{Entropy as _, SystemEntropy};
use crate::keeping::erased;
use crate::store::seal::key_id;

/// Bodies a transaction.
const ROWS: u32 = 64;

/// What to do with keys.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  crossdock keys new keys/store.key")]
pub struct Keys {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Make a key file that only this account can read
    #[command(after_help = "Example:\n  crossdock keys new keys/store.key\n\n\
                            Then: [store] encryption_key = \"file:keys/store.key\". Keep a copy of it apart from the store.")]
    New {
        /// The file to make
        file: PathBuf,
    },
    /// Bring every stored body under the first key of `store.encryption_key`; what is not encrypted yet is encrypted
    #[command(after_help = "Example:\n  crossdock keys rewrap --config crossdock.toml\n\n\
                            Works beside a running service, a few rows at a time. To change the key: put the new one \
                            first, restart the service, rewrap, then take the old one out. Copies made before still \
                            need the old key.")]
    Rewrap,
}

/// Makes keys, or changes them.
pub async fn run(verb: Keys, shared: &Shared) -> anyhow::Result<Outcome> {
    match verb.action {
        Action::New { file } => new(&file),
        Action::Rewrap => rewrap(shared).await,
    }
}

fn new(path: &std::path::Path) -> anyhow::Result<Outcome> {
    let mut key = [0_u8; 32];
    SystemEntropy.fill(&mut key);
    let mut file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)
        .with_context(|| format!("{} cannot be made", path.display()))?;
    file.write_all(format!("{}\n", data_encoding::HEXLOWER.encode(&key)).as_bytes())?;
    file.sync_all()?;
    print::out(&format!("{} holds key {}\n", path.display(), data_encoding::HEXLOWER.encode(&key_id(&key))))?;
    Ok(Outcome::Done)
}

async fn rewrap(shared: &Shared) -> anyhow::Result<Outcome> {
    let config = open::config(shared)?.config;
    if config.store.encryption_keys.is_empty() {
        bail!("store.encryption_key is not set: there is no key to bring the bodies under");
    }
    let store = open::existing_store(&config)?;
    let mut changed = 0;
    for kind in 0..4 {
        let mut from = Some(0);
        while let Some(at) = from {
            let (next, now) = store.recode(kind, at, ROWS).await?;
            changed += now;
            from = next;
            // The service writes in between.
            tokio::time::sleep(std::time::Duration::from_millis(2)).await;
        }
    }
    store.close().await?;
    // The list of who was erased stands beside the first key from now on.
    erased::note(&config.store.erased_lists, &[])?;
    print::out(&format!("{changed} bodies brought under the first key\n"))?;
    Ok(Outcome::Done)
}
