//! What an operator does once: a folder, keys, a configuration, mapping tables, a token.

use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};

use anyhow::Context as _;

use crate::access::password::Hasher;
use crate::access::roles::Scopes;
use crate::access::tokens::mint;
use crate::access::users;
use crate::access::{Actor, Role};
use crate::api::mapping_csv;
use crate::app::{Doors, Running};
use crate::clock::{Entropy as _, SystemEntropy};
use crate::demo::commerce::StandIn;
use crate::demo::samples::TABLES;
use crate::demo::sender::Sender;

/// The tour's folder: of this run alone, so that the tour can be taken again in the same place, and readable by its
/// owner alone, since keys and orders are in it. Removed when dropped, unless it is to be kept.
#[derive(Debug)]
pub struct Folder {
    path: PathBuf,
    kept: bool,
}

impl Folder {
    /// Makes one below `parent`, or below the folder for temporary files.
    ///
    /// # Errors
    /// When it cannot be made.
    pub fn new(parent: Option<&Path>, kept: bool) -> anyhow::Result<Folder> {
        Folder::of("demo", parent, kept)
    }

    /// Makes one for another verb, whose name becomes part of its own.
    ///
    /// # Errors
    /// When it cannot be made.
    pub fn of(verb: &str, parent: Option<&Path>, kept: bool) -> anyhow::Result<Folder> {
        let parent = parent.map_or_else(std::env::temp_dir, Path::to_path_buf);
        std::fs::create_dir_all(&parent).with_context(|| format!("{} cannot be made", parent.display()))?;
        let parent = parent.canonicalize().with_context(|| format!("{} cannot be found", parent.display()))?;
        let mut bytes = [0; 4];
        SystemEntropy.fill(&mut bytes);
        let path = parent.join(format!("crossdock-{verb}-{}", data_encoding::HEXLOWER.encode(&bytes)));
        // Not `recursive`: a folder that is there already is somebody else's.
        let made = std::fs::DirBuilder::new().mode(0o700).create(&path);
        made.with_context(|| format!("{} cannot be made", path.display()))?;
        Ok(Folder { path, kept })
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// It stays, whatever was planned.
    pub fn keep(&mut self) {
        self.kept = true;
    }

    /// Whether it stays when the tour ends.
    pub fn is_kept(&self) -> bool {
        self.kept
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        if !self.kept {
            // Best effort: what is left over lies in the folder for temporary files.
            let _ = std::fs::remove_dir_all(&self.path);
        }
    }
}

/// Writes keys, tables and the configuration; the configuration's path.
pub(super) fn write(folder: &Path, sender: &Sender, shop: &StandIn, erp_url: &str) -> anyhow::Result<PathBuf> {
    let file = folder.join("crossdock.toml");
    let write = |name: &str, text: &str| {
        let path = folder.join(name);
        std::fs::write(&path, text).with_context(|| format!("{} cannot be written", path.display()))
    };
    write("commerce.pem", &sender.public_key_pem())?;
    write("flows.key", sender.api_key())?;
    write("flows.hmac", sender.hmac_secret())?;
    for (table, csv) in TABLES {
        write(&format!("{table}.csv"), csv)?;
    }
    write("integration.secret", &shop.credentials().consumer_secret)?;
    write("integration.token", &shop.credentials().token_secret)?;
    write("crossdock.toml", &configuration(shop, erp_url))?;
    Ok(file)
}

/// Ways into the tour's service, made anew each time.
pub(super) struct Keys {
    /// An admin's API token.
    pub(super) token: String,
    /// The password of [`PERSON`], an admin, for the console.
    pub(super) password: String,
}

/// Who signs in at the tour's console.
pub(super) const PERSON: &str = "demo";

/// Imports the mapping tables, makes a token and lets somebody in, as an operator would.
pub(super) async fn prepare(running: &Running) -> anyhow::Result<Keys> {
    let actor = Actor::at_the_command_line();
    let clock = Doors::default().clock;
    for (table, csv) in TABLES {
        let rows = mapping_csv::read(csv.as_bytes())
            .map_err(|problems| anyhow::anyhow!("the tour's table {table} is wrong: {problems:?}"))?;
        let act = actor.act("mappings.import", table, clock.now());
        running.store.import_mappings((*table).to_owned(), rows, act).await?;
    }
    running.processor.reload_mappings().await?;
    let (secret, token) = mint("tour", (Role::Admin, &Scopes::default()), None, clock.now(), &SystemEntropy)?;
    let act = actor.act("token.create", token.id, clock.now());
    running.store.create_token(token, act).await?;
    let mut random = [0; 10];
    SystemEntropy.fill(&mut random);
    let password = data_encoding::BASE32_NOPAD.encode(&random).to_lowercase();
    let hashed = Hasher::new(std::sync::Arc::new(SystemEntropy)).hash(&password).await?;
    let user = users::new(PERSON, "", Role::Admin, Some(hashed), clock.now(), &SystemEntropy)?;
    let mut act = actor.act("user.create", user.id, clock.now());
    act.after = users::told(&user);
    running.store.create_user(user, act).await?;
    Ok(Keys { token: secret.reveal().to_owned(), password })
}

fn configuration(shop: &StandIn, erp_url: &str) -> String {
    let (rest_url, integration) = (shop.rest_url(), shop.credentials());
    let (consumer_key, access_token) = (&integration.consumer_key, &integration.token);
    let gateway = shop.gateway();
    let (client_id, key_base_url) = (gateway.client_id(), gateway.key_base_url());
    format!(
        r#"# Written by `crossdock demo`: a small but complete configuration.
[server]
listen = "127.0.0.1:0"

[store]
url = "sqlite:crossdock.db"
ballast = "1MiB"

[commerce.acme]
edition = "paas"
base_url = "{rest_url}"
allow_private = ["127.0.0.0/8"]
read_back = "when-needed"
sweep = {{ every = "1s", overlap = "10m" }}
catalogue = "off"

[commerce.acme.auth]
type = "oauth1"
consumer_key = "{consumer_key}"
consumer_secret = "file:integration.secret"
access_token = "{access_token}"
access_token_secret = "file:integration.token"

[origins.hooks]
type = "commerce-webhook"
commerce = "acme"
auth = [{{ type = "rsa-signature", public_keys = ["file:commerce.pem"] }}]

[origins.adobe]
type = "commerce-events"
commerce = "acme"
client_id = "{client_id}"
# Adobe's own host without this line; the stand-in signs with keys of its own.
key_base_url = "{key_base_url}"

[origins.flows]
type = "patchworks"
commerce = "acme"
auth = [{{ all = [
  {{ type = "header", name = "X-Api-Key", value = "file:flows.key" }},
  {{ type = "hmac", header = "X-HMAC-HASH", secret = "file:flows.hmac" }},
] }}]

[destinations.erp]
profile = "http"
url = "{erp_url}"
guard = "key"
key_window = "24h"
allow_private = ["127.0.0.0/8"]

[[routes]]
name = "orders"
accepts = ["order"]
to = ["erp"]
"#
    )
}
