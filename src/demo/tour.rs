//! The tour: a service, a stand-in ERP and two senders in one process, and what becomes of every sample order.
//!
//! Nothing is faked on the way: keys are made, requests are signed and sent over loopback, the store is a file, the ERP
//! keeps books. What is printed is read back from the store and checked against those books.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, bail};
use tokio::time::Instant;

use super::erp::StandInErp;
use super::samples::{Channel, Expected, SENDINGS, Sending, TABLES, UNMAPPED_SKU};
use super::sender::{Answer, Sender};
use super::table;
use crate::access::tokens::mint;
use crate::access::{Actor, Role};
use crate::api::mapping_csv;
use crate::app::{self, Doors, Running};
use crate::clock::{Entropy as _, SystemEntropy};
use crate::config::Config;
use crate::shutdown::Timing;
use crate::store::view::OrderDetail;

/// How long the tour waits for everything to settle.
const PATIENCE: Duration = Duration::from_secs(20);

/// Where the tour's files go and what it shows.
pub struct Tour {
    folder: PathBuf,
    sender: Sender,
    erp: StandInErp,
    running: Running,
    token: String,
}

/// What one request came to.
struct Sent {
    sending: &'static Sending,
    answer: Answer,
}

/// Figures of the whole tour.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Summary {
    /// Records written down for the first time.
    pub accepted: u64,
    /// Records known already.
    pub duplicates: u64,
    /// Orders that became one sales order each.
    pub delivered: u64,
    /// Orders that wait for a person.
    pub parked: u64,
    /// What differs from what was expected; empty when all is well.
    pub differences: Vec<String>,
}

impl Tour {
    /// Makes keys, a configuration and a store below `dir` (a temporary folder if none is given), and starts the service
    /// and the stand-in ERP.
    ///
    /// # Errors
    /// When the folder cannot be written or the service does not start.
    pub async fn start(dir: Option<&Path>) -> anyhow::Result<Tour> {
        let folder = folder(dir)?;
        let sender = Sender::new(&SystemEntropy).context("no HTTP client can be made")?;
        sender.write_public_key(&folder.join("commerce.pem")).context("the public key cannot be written")?;
        std::fs::write(folder.join("flows.key"), sender.api_key())?;
        std::fs::write(folder.join("flows.hmac"), sender.hmac_secret())?;
        let erp = StandInErp::start().await.context("the stand-in ERP cannot listen")?;
        let file = folder.join("crossdock.toml");
        std::fs::write(&file, configuration(&erp.url()))?;
        let loaded = Config::load(&file, &|name| std::env::var(name).ok())
            .map_err(|problems| anyhow::anyhow!("the tour's own configuration is wrong: {problems:?}"))?;
        let doors = Doors::default();
        let running = app::start(loaded, doors).await?;
        let token = prepare(&running).await?;
        Ok(Tour { folder, sender, erp, running, token })
    }

    /// Sends everything, prints what became of it, and sums up.
    ///
    /// # Errors
    /// When a request cannot be sent or the store cannot be read.
    pub async fn show(&self, print: &mut dyn FnMut(&str)) -> anyhow::Result<Summary> {
        let begun = Instant::now();
        let mut sent = Vec::with_capacity(SENDINGS.len());
        for sending in SENDINGS {
            sent.push(Sent { sending, answer: self.send(sending).await? });
        }
        self.settled().await?;
        let took = begun.elapsed();
        let mut summary = Summary::default();
        for (index, sent) in sent.iter().enumerate() {
            print(&format!("\n{}", headline(index + 1, sent)));
            Self::check_answer(sent, &mut summary);
            if matches!(sent.sending.expected, Expected::Duplicate | Expected::NothingNew) {
                print(if sent.sending.expected == Expected::Duplicate {
                    "   Known already: nothing is stored or sent a second time.\n"
                } else {
                    "   Another report of an order that is already on its way: kept as evidence, no second sales order.\n"
                });
                continue;
            }
            for sample in sent.sending.samples {
                let orders = self.running.store.order(sample.increment_id.to_owned()).await?;
                print(&self.order(sample.story, &orders, sent.sending.expected, &mut summary).await?);
            }
        }
        self.check_books(&mut summary).await?;
        print(&self.closing(&summary, took));
        Ok(summary)
    }

    /// Ends in order.
    pub async fn stop(self) {
        self.running.stop(Timing::at_once()).await;
    }

    /// The folder with configuration, keys and store.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    async fn send(&self, sending: &Sending) -> anyhow::Result<Answer> {
        let base = format!("http://{}", self.running.address);
        let answer = match sending.channel {
            Channel::CommerceObserver | Channel::CommercePlugin => {
                self.sender.as_commerce(&format!("{base}/in/hooks"), sending.body()).await
            }
            Channel::PatchworksOne | Channel::PatchworksArray | Channel::PatchworksNamed => {
                self.sender.as_patchworks(&format!("{base}/in/flows/orders"), sending.body()).await
            }
        };
        answer.with_context(|| format!("{} could not be sent", sending.channel.title()))
    }

    async fn settled(&self) -> anyhow::Result<()> {
        let patience = Instant::now() + PATIENCE;
        while self.running.store.ledger().await?.due > 0 {
            if Instant::now() > patience {
                bail!("not everything was settled within {} s", PATIENCE.as_secs());
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        Ok(())
    }

    fn check_answer(sent: &Sent, summary: &mut Summary) {
        let Sent { sending, answer } = sent;
        let records = sending.samples.len() as u64;
        let again = sending.expected == Expected::Duplicate;
        if again {
            summary.duplicates += records;
        } else {
            summary.accepted += records;
        }
        let expected = match (sending.channel.is_commerce(), again) {
            (true, _) | (false, true) => 200,
            (false, false) => 202,
        };
        if answer.status != expected {
            let title = sending.channel.title();
            summary.differences.push(format!("{title} was answered {} instead of {expected}", answer.status));
        }
    }

    /// One order in print: its lines with the proof, or what it waits for.
    async fn order(
        &self,
        story: &str,
        orders: &[OrderDetail],
        expected: Expected,
        summary: &mut Summary,
    ) -> anyhow::Result<String> {
        let Some(detail) = orders.first() else {
            summary.differences.push(format!("the order of \"{story}\" is not in the store"));
            return Ok(String::new());
        };
        let number = &detail.order.increment_id;
        let mut text = format!("   {number}: {story}\n");
        match (detail.order.state.as_str(), expected) {
            ("delivered", Expected::Delivered) => summary.delivered += 1,
            ("parked", Expected::Parked) => summary.parked += 1,
            (state, _) => summary.differences.push(format!("order {number} is {state}")),
        }
        for delivery in &detail.deliveries {
            let row = &delivery.delivery;
            let receipt = row.receipt.as_deref().unwrap_or("no number");
            let _ = writeln!(text, "   {} at {}: {receipt}, attempts {}", row.state, row.destination, row.attempts);
            let document = self.running.store.document(row.document_id).await?.and_then(|document| document.body);
            if let Some(document) = document {
                if !table::proof(&document).holds() {
                    summary.differences.push(format!("the totals of order {number} do not prove"));
                }
                text.push_str(&table::render(&document));
            }
        }
        for exception in detail.exceptions.iter().filter(|exception| exception.state == "open") {
            let _ = writeln!(text, "   parked: {} at {}", exception.code, exception.path);
            let _ = writeln!(text, "           {}", exception.message);
            let _ = writeln!(text, "           what to do: {}", exception.remedy);
        }
        Ok(text)
    }

    /// The ERP's books and the ledger have the last word.
    async fn check_books(&self, summary: &mut Summary) -> anyhow::Result<()> {
        let counts = self.erp.counts();
        if counts.doubled > 0 {
            summary.differences.push(format!("{} orders exist twice at the ERP", counts.doubled));
        }
        if counts.applied != summary.delivered {
            let (applied, delivered) = (counts.applied, summary.delivered);
            summary.differences.push(format!("the ERP made {applied} sales orders for {delivered} delivered orders"));
        }
        let ledger = self.running.store.ledger().await?;
        if ledger.difference() != 0 || ledger.accepted != summary.accepted {
            summary.differences.push(format!("the ledger does not close: {ledger:?}"));
        }
        let expected: BTreeMap<&str, Expected> = SENDINGS
            .iter()
            .filter(|sending| matches!(sending.expected, Expected::Delivered | Expected::Parked))
            .flat_map(|sending| sending.samples.iter().map(|sample| (sample.increment_id, sending.expected)))
            .collect();
        let parked = expected.values().filter(|expected| **expected == Expected::Parked).count() as u64;
        if (summary.delivered, summary.parked) != (expected.len() as u64 - parked, parked) {
            summary.differences.push("not every order came to what was expected of it".to_owned());
        }
        Ok(())
    }

    fn closing(&self, summary: &Summary, took: Duration) -> String {
        let Summary { accepted, duplicates, delivered, parked, differences } = summary;
        let (base, token) = (format!("http://{}", self.running.admin_address), &self.token);
        let folder = self.folder.display();
        let program =
            std::env::current_exe().map_or_else(|_| "crossdock".to_owned(), |path| path.display().to_string());
        let mut text = format!(
            "\n── Summary ────────────────────────────────────────────────────────────\n\
             accepted {accepted} · duplicates {duplicates} · delivered {delivered} · parked {parked} · in {} ms\n",
            took.as_millis()
        );
        for difference in differences {
            let _ = writeln!(text, "NOT AS EXPECTED: {difference}");
        }
        let _ = write!(
            text,
            "\nAPI      {base}/api/v1 (token below)\nFiles    {folder}\n\n\
             Look at an order, from receipt to ERP number:\n  \
             curl -s -H 'Authorization: Bearer {token}' {base}/api/v1/orders/100000104\n\
             See what waits for a person:\n  \
             curl -s -H 'Authorization: Bearer {token}' {base}/api/v1/exceptions\n\
             Give the unknown SKU an item number, then release all that waited for it:\n  \
             (cat '{folder}/skus.csv'; echo '{UNMAPPED_SKU},ITEM-CANDLE-XL,') > '{folder}/more.csv'\n  \
             {program} mappings import --config '{folder}/crossdock.toml' skus '{folder}/more.csv'\n  \
             {program} exceptions groups --config '{folder}/crossdock.toml'\n  \
             {program} replay --config '{folder}/crossdock.toml' --group FINGERPRINT\n"
        );
        text
    }
}

fn headline(number: usize, sent: &Sent) -> String {
    let Sent { sending, answer } = sent;
    let millis = answer.took.as_secs_f64() * 1000.0;
    let said = answer.body.get("status").or_else(|| answer.body.get("op")).and_then(serde_json::Value::as_str);
    let said = said.map(|said| format!(" ({said})")).unwrap_or_default();
    format!("── {number}. {} → {}{said} in {millis:.1} ms\n", sending.channel.title(), answer.status)
}

/// A folder of this run alone, so that the tour can be taken again in the same place.
fn folder(dir: Option<&Path>) -> anyhow::Result<PathBuf> {
    let parent = dir.map_or_else(std::env::temp_dir, Path::to_path_buf);
    let mut bytes = [0; 4];
    SystemEntropy.fill(&mut bytes);
    let folder = parent.join(format!("crossdock-demo-{}", data_encoding::HEXLOWER.encode(&bytes)));
    std::fs::create_dir_all(&folder).with_context(|| format!("{} cannot be made", folder.display()))?;
    for (table, csv) in TABLES {
        std::fs::write(folder.join(format!("{table}.csv")), csv)?;
    }
    folder.canonicalize().context("the folder just made cannot be found")
}

/// Imports the mapping tables and makes a token, as an operator would.
async fn prepare(running: &Running) -> anyhow::Result<String> {
    let actor = Actor::at_the_command_line();
    let clock = Doors::default().clock;
    for (table, csv) in TABLES {
        let rows = mapping_csv::read(csv.as_bytes())
            .map_err(|problems| anyhow::anyhow!("the tour's table {table} is wrong: {problems:?}"))?;
        let act = actor.act("mappings.import", table, clock.now());
        running.store.import_mappings((*table).to_owned(), rows, act).await?;
    }
    running.processor.reload_mappings().await?;
    let (secret, token) = mint("tour", Role::Admin, None, clock.now(), &SystemEntropy)?;
    let act = actor.act("token.create", token.id, clock.now());
    running.store.create_token(token, act).await?;
    Ok(secret.reveal().to_owned())
}

fn configuration(erp_url: &str) -> String {
    format!(
        r#"# Written by `crossdock demo`: a small but complete configuration.
[server]
listen = "127.0.0.1:0"

[store]
url = "sqlite:crossdock.db"

[commerce.acme]
edition = "paas"
base_url = "https://shop.example.com/rest"
auth = {{ type = "none" }}
read_back = "when-needed"
sweep = "off"

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
