//! What verbs work on: the configuration, the store, a small runtime.

use std::future::Future;
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context as _, anyhow, bail};

use super::{Outcome, Shared};
use crate::app;
use crate::clock::{SharedClock, SystemClock};
use crate::config::{Config, Loaded, Problem, StoreUrl};
use crate::store::SharedStore;
use crate::store::sqlite::{Options, SqliteStore};

/// Looked for in the working directory when `--config` is not given.
pub const DEFAULT_CONFIG: &str = "crossdock.toml";

/// Runs a short verb to its end.
pub fn wait(verb: impl Future<Output = anyhow::Result<Outcome>>) -> anyhow::Result<Outcome> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.context("the runtime could not be started")?.block_on(verb)
}

/// The machine's clock.
pub fn clock() -> SharedClock {
    Arc::new(SystemClock)
}

/// The configuration's path: as given, or the file in the working directory if there is one.
pub fn config_path(shared: &Shared) -> Option<PathBuf> {
    shared.config.clone().or_else(|| Path::new(DEFAULT_CONFIG).is_file().then(|| PathBuf::from(DEFAULT_CONFIG)))
}

/// Looks up environment variables for secrets.
pub fn environment(name: &str) -> Option<String> {
    std::env::var(name).ok()
}

/// Reads the configuration; `Err` holds every problem.
pub fn load(path: &Path) -> Result<Loaded, Vec<Problem>> {
    Config::load(path, &environment)
}

/// The configuration of a verb that cannot do without.
pub fn config(shared: &Shared) -> anyhow::Result<Loaded> {
    let path = config_path(shared)
        .ok_or_else(|| anyhow!("there is no {DEFAULT_CONFIG} here; name the configuration with --config FILE"))?;
    load(&path).map_err(|problems| invalid(&path, &problems))
}

/// Every problem on a line of its own.
pub fn invalid(path: &Path, problems: &[Problem]) -> anyhow::Error {
    let lines: Vec<String> = problems.iter().map(|problem| format!("  {problem}")).collect();
    anyhow!("{} is not valid:\n{}", path.display(), lines.join("\n"))
}

/// The file of the store.
pub fn store_path(config: &Config) -> anyhow::Result<PathBuf> {
    match &config.store.url {
        StoreUrl::Sqlite(path) => Ok(path.clone()),
        StoreUrl::Postgres(_) => {
            bail!("this version keeps its store in SQLite; write store.url = \"sqlite:crossdock.db\"")
        }
    }
}

/// Opens the store beside a running service, making it if it is not there.
pub fn store(config: &Config) -> anyhow::Result<SharedStore> {
    let path = store_path(config)?;
    let options = Options { keys: Arc::new(app::keys(config)), ..Options::new(&path, false) };
    let store = SqliteStore::open(options, clock()).with_context(|| format!("the store {}", path.display()))?;
    Ok(Arc::new(store))
}

/// Opens a store that must be there: a verb that only reads does not make an empty one.
pub fn existing_store(config: &Config) -> anyhow::Result<SharedStore> {
    let path = store_path(config)?;
    if !path.exists() {
        bail!("the store {} does not exist yet; `crossdock serve` or `crossdock migrate` makes it", path.display());
    }
    store(config)
}

/// The bytes of a file; `-` is standard input.
pub fn read(path: &Path) -> anyhow::Result<Vec<u8>> {
    if path == Path::new("-") {
        let mut bytes = Vec::new();
        std::io::stdin().lock().read_to_end(&mut bytes).context("standard input cannot be read")?;
        return Ok(bytes);
    }
    std::fs::read(path).with_context(|| format!("{} cannot be read", path.display()))
}
