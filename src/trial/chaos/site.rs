//! The folder of a run: keys, a configuration with short times, the store, and what is left for whoever looks.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context as _;

use super::Guard;
use crate::app;
use crate::config::{Config, Loaded};
use crate::demo::erp::{ErpOptions, Refusal};
use crate::demo::sender::Sender;
use crate::processor::rules::Rules;

/// How long the service waits for an answer of the ERP.
pub(super) const TIMEOUT: Duration = Duration::from_millis(400);

/// Writes keys and the configuration; the configuration's path.
pub(super) fn write(folder: &Path, sender: &Sender, erp_url: &str, guard: Guard) -> anyhow::Result<PathBuf> {
    let write = |name: &str, text: &str| {
        let path = folder.join(name);
        std::fs::write(&path, text).with_context(|| format!("{} cannot be written", path.display())).map(|()| path)
    };
    write("commerce.pem", &sender.public_key_pem())?;
    write("flows.key", sender.api_key())?;
    write("flows.hmac", sender.hmac_secret())?;
    write("crossdock.toml", &configuration(erp_url, guard))
}

/// Reads it as the service will.
pub(super) fn load(config: &Path) -> anyhow::Result<(Loaded, Rules)> {
    let loaded = Config::load(config, &|_| None).map_err(|problems| {
        let lines: Vec<String> = problems.iter().map(ToString::to_string).collect();
        anyhow::anyhow!("the configuration of this run is wrong: {}", lines.join("; "))
    })?;
    let rules = app::rules(&loaded.config, &loaded.version);
    Ok((loaded, rules))
}

/// The ERP that keeps no more than what the guard relies on.
pub(super) fn erp(guard: Guard) -> ErpOptions {
    let bare = ErpOptions { honours_keys: false, can_be_asked: false, keeps_bodies: false, ..ErpOptions::default() };
    match guard {
        Guard::Key => ErpOptions { honours_keys: true, ..bare },
        Guard::Unique => ErpOptions { unique: Some(Refusal::default()), can_be_asked: true, ..bare },
        Guard::Find => ErpOptions { can_be_asked: true, ..bare },
        Guard::None => bare,
    }
}

fn configuration(erp_url: &str, guard: Guard) -> String {
    let find = format!(
        "find = {{ method = \"GET\", url = \"{erp_url}?ref={{{{ order.increment_id }}}}\", \
         reference = \"/items/0/reference\", id = \"/items/0/id\", settle_after = \"1s\" }}"
    );
    let guard = match guard {
        Guard::Key => "guard = \"key\"\nkey_window = \"24h\"".to_owned(),
        Guard::Unique => format!("guard = \"unique\"\n{find}"),
        Guard::Find => format!("guard = \"find\"\n{find}"),
        Guard::None => "guard = \"none\"".to_owned(),
    };
    let timeout = TIMEOUT.as_millis();
    let schedule = vec!["\"50ms\""; 4].into_iter().chain(vec!["\"200ms\""; 12]).collect::<Vec<_>>().join(", ");
    format!(
        r#"# Written by `crossdock chaos`.
[server]
listen = "127.0.0.1:0"
drain_intake = "0s"
drain_requests = "2s"

[store]
url = "sqlite:crossdock.db"

[commerce.acme]
edition = "paas"
base_url = "http://127.0.0.1:1/rest"
auth = {{ type = "none" }}
read_back = "when-needed"
sweep = "off"
catalogue = "off"

[origins.hooks]
type = "commerce-webhook"
commerce = "acme"
auth = [{{ type = "rsa-signature", public_keys = ["file:commerce.pem"] }}]

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
{guard}
auth = {{ type = "none" }}
allow_private = ["127.0.0.0/8"]
connect_timeout = "1s"
request_timeout = "{timeout}ms"
retry_schedule = [{schedule}]

[[routes]]
name = "orders"
accepts = ["order", "order_change", "cancellation"]
to = ["erp"]
"#
    )
}
