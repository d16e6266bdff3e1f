//! The tour: a service, a stand-in Commerce, a stand-in ERP and two senders in one process, and what becomes of every
//! sample order.
//!
//! Nothing is faked on the way: keys are made, requests are signed and sent over loopback, the store is a file, the ERP
//! keeps books. The cast: [`Tour`] starts, sends and stops; `setup` writes the folder an operator would write; the
//! [`Evidence`] is what the answers, the store and the ERP's books say afterwards; `verdict` compares it with what every
//! sample expects; `words` prints it. The tables show what the ERP received, not what we meant to send.

mod evidence;
mod setup;
mod verdict;
mod words;
#[cfg(test)]
mod tests;

use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, bail};
use tokio::time::Instant;

use super::commerce::{Settings, StandIn};
use super::erp::StandInErp;
use super::samples::{Channel, SENDINGS, Sending};
use super::sender::{Answer, Sender};
use super::table;
use crate::app::{self, Doors, Running};
use crate::clock::SystemEntropy;
use crate::config::Config;
use crate::shutdown::Timing;

pub use evidence::{Evidence, Sent};
pub use setup::Folder;
pub use verdict::Summary;

/// How long the tour waits for everything to settle.
const PATIENCE: Duration = Duration::from_secs(20);

/// A running service with everything around it.
pub struct Tour {
    folder: Folder,
    sender: Sender,
    shop: StandIn,
    erp: StandInErp,
    running: Running,
    keys: setup::Keys,
    /// Sales orders of the ERP that were shown already.
    shown: usize,
}

/// Why the tour ends.
pub enum Ended {
    /// Somebody asked.
    Asked,
    /// The service failed for good; the reason.
    Failed(String),
}

impl Tour {
    /// Makes keys, a configuration and a store in `folder`, and starts the service and the stand-in ERP. `progress` is
    /// told each step before it begins.
    ///
    /// # Errors
    /// When the folder cannot be written or the service does not start.
    pub async fn start(folder: Folder, progress: &(dyn Fn(&str) + Sync)) -> anyhow::Result<Tour> {
        progress("making an RSA key for Commerce and secrets for Patchworks");
        let sender = Sender::new(&SystemEntropy).context("no HTTP client can be made")?;
        progress("starting a stand-in Commerce and a stand-in ERP on loopback");
        let shop = StandIn::start(Settings::default()).await.context("the stand-in Commerce cannot listen")?;
        let erp = StandInErp::start().await.context("the stand-in ERP cannot listen")?;
        progress("writing a configuration and the mapping tables");
        let file = setup::write(folder.path(), &sender, &shop, &erp.url())?;
        let loaded = Config::load(&file, &|name| std::env::var(name).ok()).map_err(|problems| {
            let lines: Vec<String> = problems.iter().map(ToString::to_string).collect();
            anyhow::anyhow!("the tour's own configuration is wrong: {}", lines.join("; "))
        })?;
        progress("opening the store and starting the service");
        let running = app::start(loaded, Doors::default()).await?;
        let keys = setup::prepare(&running).await?;
        let adobe = format!("http://{}/in/adobe", running.address);
        shop.gateway().register(&adobe).await.map_err(|reason| anyhow::anyhow!("no events: {reason}"))?;
        Ok(Tour { folder, sender, shop, erp, running, keys, shown: 0 })
    }

    /// Sends everything, waits until it is settled, and gathers what came of it.
    ///
    /// # Errors
    /// When a request cannot be sent, the store cannot be read, or something is still due after a while.
    pub async fn take(&mut self, progress: &(dyn Fn(&str) + Sync)) -> anyhow::Result<Evidence> {
        progress(&format!("sending {} signed requests", SENDINGS.len()));
        let begun = Instant::now();
        let mut sent = Vec::with_capacity(SENDINGS.len());
        for sending in SENDINGS {
            let answer = self.send(sending).await?;
            sent.push(Sent { sending, answer });
        }
        progress("waiting until everything is settled");
        self.settled().await?;
        let took = begun.elapsed();
        self.shown = self.erp.effects().len();
        Evidence::gather(sent, took, &self.running.store, &self.erp).await
    }

    /// Every order in print.
    pub fn orders(evidence: &Evidence) -> String {
        words::orders(evidence)
    }

    /// The figures, and what differs from what was expected.
    pub fn figures(evidence: &Evidence, summary: &Summary) -> String {
        words::figures(evidence, summary)
    }

    /// What to try while the service stays up.
    pub fn while_it_runs(&self, evidence: &Evidence) -> String {
        words::while_it_runs(self.running.admin_address, &self.erp, &self.keys, self.folder.path(), evidence)
    }

    /// Where things were, for a tour that ends by itself.
    pub fn afterwards(&self) -> String {
        words::afterwards(self.running.admin_address, &self.folder)
    }

    /// Stays up until `asked` resolves or the service fails; hands each sales order that the ERP receives meanwhile to
    /// `print`.
    pub async fn stay(&mut self, asked: impl Future<Output = ()>, print: &mut dyn FnMut(&str)) -> Ended {
        tokio::pin!(asked);
        loop {
            let effects = self.erp.effects();
            for effect in effects.iter().skip(self.shown) {
                print(&words::arrived(effect));
            }
            self.shown = effects.len();
            tokio::select! {
                () = &mut asked => return Ended::Asked,
                failure = self.running.failed() => return Ended::Failed(failure),
                () = self.erp.applied(self.shown as u64 + 1) => {}
            }
        }
    }

    /// Ends in order; the folder stays or goes as it was made.
    pub async fn stop(self) -> Folder {
        self.running.stop(Timing::at_once()).await;
        self.folder
    }

    /// The folder with configuration, keys and store.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    async fn send(&self, sending: &Sending) -> anyhow::Result<Option<Answer>> {
        if sending.channel.is_placed() {
            return self.place(sending).await;
        }
        let base = format!("http://{}", self.running.address);
        let answer = if sending.channel.is_commerce() {
            self.sender.as_commerce(&format!("{base}/in/hooks"), sending.body()).await
        } else {
            self.sender.as_patchworks(&format!("{base}/in/flows/orders"), sending.body()).await
        };
        answer.map(Some).with_context(|| format!("{} could not be sent", sending.channel.title()))
    }

    /// The order is bought in the shop; an event of it is pushed, or lost on its way.
    async fn place(&self, sending: &Sending) -> anyhow::Result<Option<Answer>> {
        let (id, number) = self.shop.place(sending.body().as_bytes()).map_err(anyhow::Error::msg)?;
        let gateway = self.shop.gateway();
        let event = gateway.order_event(id, true).with_context(|| format!("order {number} is not in the shop"))?;
        if sending.channel == Channel::LostPush {
            gateway.lose(&event);
            return Ok(None);
        }
        let begun = Instant::now();
        let status = gateway.push(&[event], 0).await.with_context(|| format!("nobody took the event of {number}"))?;
        Ok(Some(Answer { status, body: serde_json::Value::Null, took: begun.elapsed() }))
    }

    async fn settled(&self) -> anyhow::Result<()> {
        let patience = Instant::now() + PATIENCE;
        let lost = SENDINGS.iter().filter(|sending| sending.channel == Channel::LostPush);
        let mut lost: Vec<&str> = lost.flat_map(|sending| sending.samples).map(|sample| sample.increment_id).collect();
        loop {
            while let Some(number) = lost.last()
                && !self.running.store.order((*number).to_owned()).await?.is_empty()
            {
                lost.pop();
            }
            let due = self.running.store.ledger().await?.due + lost.len() as u64;
            if due == 0 {
                return Ok(());
            }
            if Instant::now() > patience {
                bail!("{due} records were not settled within {} s", PATIENCE.as_secs());
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }
}
