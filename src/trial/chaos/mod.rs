//! `kill -9` at random moments under load, again and again, and the books compared afterwards.
//!
//! A run has a folder, a service that is a process of its own, an ERP that keeps its memory in this process while it
//! lies about what it did, and two senders. A round ends with a death: under load, while the service recovers from the
//! last death, while it delivers what is left, or while it stops. Now and then nobody dies: the ERP is honest for a
//! while, the service finishes, and `history` judges everything that was touched since. Stopping in order then opens the
//! express lane again, so that deaths under it are among the ones that follow.
//!
//! One seed decides moments, lies and orders. The operating system decides the rest, so a seed makes a run alike, not
//! the same; the folder of a run that failed is what there is to look at.

mod load;
mod report;
mod site;

use std::collections::{BTreeSet, HashMap};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::Context as _;
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep};

use crate::app::{self, Doors};
use crate::clock::{Entropy as _, SeededEntropy, SystemEntropy};
use crate::config::{Config, Loaded};
use crate::demo::erp::{Effect, ErpOptions, Fault, Lies, StandInErp};
use crate::demo::sender::Sender;
use crate::store::view::{OrderDetail, Paging};
use crate::store::{EventFilter, ExceptionFilter, SharedStore};
use crate::trial::history::{Applied, Finding, History, Stored, StoredDelivery, StoredEvent, judge};
use crate::trial::service::{Log, Service};

pub use report::{Kills, Report};

use load::Load;

/// Senders at a time.
const SENDERS: u64 = 8;
/// How long after the first answers the blow falls at the latest.
const LOAD_MAX: Duration = Duration::from_millis(250);
/// A round of load is worth nothing before so many orders are in.
const ACKNOWLEDGED_MIN: u64 = 8;
const ACKNOWLEDGED_PATIENCE: Duration = Duration::from_secs(5);
/// How long an honest ERP has to get everything.
const DRAIN_PATIENCE: Duration = Duration::from_secs(90);
/// At the latest after so many deaths the books are compared.
const ROUNDS_UNJUDGED_MAX: u64 = 10;

/// What the destination of a run is guarded by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Guard {
    /// It honours our keys.
    Key,
    /// It refuses a reference it has.
    Unique,
    /// It can be asked.
    Find,
    /// It offers nothing.
    None,
}

/// How long a run goes on.
#[derive(Clone, Copy, Debug)]
pub enum Length {
    /// So many deaths.
    Rounds(u64),
    /// So long.
    Time(Duration),
}

/// What a run is made of.
#[derive(Clone, Debug)]
pub struct Settings {
    /// How long.
    pub length: Length,
    /// Decides moments, lies and orders.
    pub seed: u64,
    /// An empty folder for keys, configuration and store.
    pub folder: PathBuf,
    /// The program to kill: `crossdock` itself.
    pub binary: PathBuf,
    /// What the service is told that the ERP offers.
    pub guard: Guard,
    /// An ERP of another kind than the guard wants, to see a run find out; `None`: one that keeps what it offers.
    pub erp: Option<ErpOptions>,
}

/// A run under way.
struct Run {
    settings: Settings,
    config: PathBuf,
    loaded: Config,
    chance: SeededEntropy,
    erp: StandInErp,
    erp_is_down: bool,
    load: Arc<Load>,
    log: Log,
    report: Report,
    slowest_start: Duration,
    /// Effects judged already.
    judged: usize,
}

/// Runs to its length, or until something is found or `asked` turns true; `progress` is told after every round.
///
/// # Errors
/// When the folder cannot be used or the service does not start or stop as it must. The folder then holds `serve.log`.
pub async fn run(settings: Settings, asked: &AtomicBool, progress: &dyn Fn(&Report)) -> anyhow::Result<Report> {
    let mut run = Run::prepare(settings).await?;
    let outcome = run.rounds(asked, progress).await;
    run.leave_evidence()?;
    outcome.with_context(|| format!("see serve.log in {}", run.settings.folder.display()))?;
    Ok(run.report)
}

impl Run {
    async fn prepare(settings: Settings) -> anyhow::Result<Run> {
        let sender = Sender::new(&SystemEntropy).context("no HTTP client can be made")?;
        let options = settings.erp.clone().unwrap_or_else(|| site::erp(settings.guard));
        let erp = StandInErp::start_with(options).await.context("the ERP cannot listen")?;
        let config = site::write(&settings.folder, &sender, &erp.url(), settings.guard)?;
        let (Loaded { config: loaded, .. }, rules) = site::load(&config)?;
        Ok(Run {
            chance: SeededEntropy::new(settings.seed),
            report: Report::new(settings.seed),
            load: Arc::new(Load::new(sender, rules)),
            log: Log::default(),
            slowest_start: Duration::from_millis(100),
            judged: 0,
            settings,
            config,
            loaded,
            erp,
            erp_is_down: false,
        })
    }

    async fn rounds(&mut self, asked: &AtomicBool, progress: &dyn Fn(&Report)) -> anyhow::Result<()> {
        let begun = Instant::now();
        let mut unjudged = 0;
        loop {
            let over = match self.settings.length {
                Length::Rounds(rounds) => self.report.rounds >= rounds,
                Length::Time(time) => begun.elapsed() >= time,
            };
            if over || asked.load(Ordering::SeqCst) {
                break;
            }
            self.round().await?;
            unjudged += 1;
            self.report.seconds = begun.elapsed().as_secs_f64();
            progress(&self.report);
            if unjudged == ROUNDS_UNJUDGED_MAX || self.chance.unit() < 0.25 {
                self.settle_and_judge().await?;
                unjudged = 0;
                if !self.report.findings.is_empty() {
                    break;
                }
            }
        }
        self.settle_and_judge().await?;
        self.judge_everything().await?;
        self.report.seconds = begun.elapsed().as_secs_f64();
        progress(&self.report);
        Ok(())
    }

    /// One life and one death of the service.
    async fn round(&mut self) -> anyhow::Result<()> {
        self.lie();
        self.report.rounds += 1;
        let phase = self.chance.unit();
        let outcome = if phase < 0.70 {
            self.die_under_load().await
        } else if phase < 0.85 {
            self.die_while_starting().await
        } else if phase < 0.95 {
            self.die_while_delivering().await
        } else {
            self.die_while_stopping().await
        };
        self.erp.always(None);
        if std::mem::take(&mut self.erp_is_down) {
            self.erp.come_back().await.context("the ERP cannot listen again")?;
        }
        outcome
    }

    /// A new plan of lies, and now and then an ERP that refuses everything.
    fn lie(&mut self) {
        let seed = self.settings.seed.wrapping_add(self.report.rounds);
        self.erp.plan(Some(Lies::about_effects(site::TIMEOUT).and_refusals().plan(seed)));
        let reset = Lies::resets(30).plan(seed);
        self.erp.plan_connects(Some(reset));
        let mood = self.chance.unit();
        if mood < 0.04 {
            self.erp.go_down();
            self.erp_is_down = true;
        } else if mood < 0.07 {
            self.erp.always(Some(Fault::Status(503)));
        } else if mood < 0.09 {
            self.erp.always(Some(Fault::Status(401)));
        }
        if mood < 0.09 {
            self.report.outages += 1;
        }
    }

    fn spawn(&mut self) -> anyhow::Result<Service> {
        self.report.starts += 1;
        Service::spawn(&self.settings.binary, &self.config, &self.log)
    }

    async fn die_under_load(&mut self) -> anyhow::Result<()> {
        let begun = Instant::now();
        let mut service = self.spawn()?;
        let address = service.ready().await?;
        self.slowest_start = self.slowest_start.max(begun.elapsed()).min(Duration::from_secs(2));
        let stop = Arc::new(AtomicBool::new(false));
        let before = self.load.acknowledged();
        let senders: Vec<_> = (0..SENDERS)
            .map(|channel| {
                let seed = self.settings.seed ^ (self.report.rounds << 8 | channel);
                tokio::spawn(Arc::clone(&self.load).run(address, seed, Arc::clone(&stop)))
            })
            .collect();
        let patience = Instant::now() + ACKNOWLEDGED_PATIENCE;
        while self.load.acknowledged() < before + ACKNOWLEDGED_MIN && Instant::now() < patience {
            sleep(Duration::from_millis(1)).await;
        }
        sleep(LOAD_MAX.mul_f64(self.chance.unit())).await;
        let died_alone = service.has_ended();
        service.kill();
        stop.store(true, Ordering::SeqCst);
        for sender in senders {
            sender.await.context("a sender failed")?;
        }
        self.report.kills.under_load += 1;
        anyhow::ensure!(!died_alone, "the service ended by itself under load");
        Ok(())
    }

    /// Recovery is under way, or the store is just being opened, or it is not even that far.
    async fn die_while_starting(&mut self) -> anyhow::Result<()> {
        let service = self.spawn()?;
        sleep(self.slowest_start.mul_f64(self.chance.unit())).await;
        service.kill();
        self.report.kills.while_starting += 1;
        Ok(())
    }

    async fn die_while_delivering(&mut self) -> anyhow::Result<()> {
        let mut service = self.spawn()?;
        service.ready().await?;
        sleep(Duration::from_millis(120).mul_f64(self.chance.unit())).await;
        service.kill();
        self.report.kills.while_delivering += 1;
        Ok(())
    }

    async fn die_while_stopping(&mut self) -> anyhow::Result<()> {
        let mut service = self.spawn()?;
        let address = service.ready().await?;
        let stop = Arc::new(AtomicBool::new(false));
        let seed = self.settings.seed ^ (self.report.rounds << 8);
        let sender = tokio::spawn(Arc::clone(&self.load).run(address, seed, Arc::clone(&stop)));
        sleep(Duration::from_millis(60).mul_f64(self.chance.unit())).await;
        let grace = Duration::from_millis(40).mul_f64(self.chance.unit());
        service.stop_within(grace).await?;
        stop.store(true, Ordering::SeqCst);
        sender.await.context("a sender failed")?;
        self.report.kills.while_stopping += 1;
        Ok(())
    }

    /// With an ERP that is honest again the service finishes and stops in order; then the books are compared.
    async fn settle_and_judge(&mut self) -> anyhow::Result<()> {
        self.erp.plan(None);
        self.erp.plan_connects(None);
        let mut service = self.spawn()?;
        service.ready().await?;
        let store = self.open_store()?;
        let begun = Instant::now();
        while !is_at_rest(&store).await? && begun.elapsed() < DRAIN_PATIENCE {
            anyhow::ensure!(!service.has_ended(), "the service ended by itself while it delivered");
            sleep(Duration::from_millis(10)).await;
        }
        self.report.slowest_drain_seconds = self.report.slowest_drain_seconds.max(begun.elapsed().as_secs_f64());
        // What the ERP still does behind our back is done by now.
        sleep(site::TIMEOUT).await;
        let touched = std::mem::take(&mut self.load.journal().touched);
        let effects = self.erp.effects_after(self.judged);
        self.judged += effects.len();
        let numbers = touched.into_iter().chain(effects.into_iter().filter_map(|effect| effect.reference)).collect();
        self.judge(&store, numbers).await?;
        store.close().await?;
        service.stop().await
    }

    /// Every order ever sent, once more: what was right once must still be.
    async fn judge_everything(&mut self) -> anyhow::Result<()> {
        let store = self.open_store()?;
        let mut numbers: BTreeSet<String> = self.load.journal().sent.iter().map(|sent| sent.number.clone()).collect();
        numbers.extend(self.erp.effects().into_iter().filter_map(|effect| effect.reference));
        self.report.orders = numbers.len() as u64;
        self.judge(&store, numbers).await?;
        store.close().await?;
        Ok(())
    }

    async fn judge(&mut self, store: &SharedStore, numbers: BTreeSet<String>) -> anyhow::Result<()> {
        let ledger = store.ledger().await?;
        let mut history = History {
            sent: self.load.journal().sent.iter().filter(|sent| numbers.contains(&sent.number)).cloned().collect(),
            ..History::default()
        };
        for number in &numbers {
            history.applied.extend(self.erp.find(number).iter().map(applied));
            let details = store.order(number.clone()).await?;
            if !details.is_empty() {
                history.stored.insert(number.clone(), stored(&details));
            }
        }
        self.report.take_in(&self.load.journal().sent, &self.erp, ledger, judge(&history));
        let groups = store.exception_groups(ExceptionFilter::default()).await?;
        self.report.parked = Report::by_code(groups.iter().map(|group| (group.code.as_str(), group.open)));
        Ok(())
    }

    /// Beside the service, as the short verbs do.
    fn open_store(&self) -> anyhow::Result<SharedStore> {
        let (fatal, _) = mpsc::unbounded_channel();
        let (store, _) = app::open_store(&self.loaded, &Doors::default(), fatal, false)?;
        Ok(store)
    }

    /// The journal, the ERP's memory, the last lines of the log and the findings, beside the store.
    fn leave_evidence(&self) -> anyhow::Result<()> {
        let folder = &self.settings.folder;
        write_lines(&folder.join("sent.jsonl"), self.load.journal().sent.iter())?;
        write_lines(&folder.join("findings.jsonl"), self.report.findings.iter())?;
        let mut memory = std::io::BufWriter::new(std::fs::File::create(folder.join("erp.jsonl"))?);
        self.erp.write_memory(&mut memory)?;
        write_lines(&folder.join("erp-requests.jsonl"), self.erp.log().iter())?;
        std::fs::write(folder.join("serve.log"), self.log.text())?;
        Ok(())
    }
}

fn write_lines<T: serde::Serialize>(path: &Path, items: impl Iterator<Item = T>) -> anyhow::Result<()> {
    use std::io::Write as _;
    let mut file = std::io::BufWriter::new(std::fs::File::create(path)?);
    for item in items {
        writeln!(file, "{}", serde_json::to_string(&item)?)?;
    }
    Ok(file.flush()?)
}

fn applied(effect: &Effect) -> Applied {
    Applied {
        number: effect.reference.clone().unwrap_or_default(),
        purpose: effect.purpose.clone().unwrap_or_default(),
        revision: effect.revision.clone().unwrap_or_default(),
        key: effect.key.clone(),
        digest: effect.digest.clone(),
    }
}

/// Whether nothing is left that moves by itself: what is due waits behind records that a person is asked about. Each order
/// is read at one moment, so that nothing slips through between two looks.
async fn is_at_rest(store: &SharedStore) -> anyhow::Result<bool> {
    if store.ledger().await?.due == 0 {
        return Ok(true);
    }
    let filter = EventFilter { state: Some("received".to_owned()), ..EventFilter::default() };
    let mut paging = Paging { limit: 200, cursor: None };
    loop {
        let page = store.events(filter.clone(), paging.clone()).await?;
        let numbers: BTreeSet<String> = page.items.into_iter().map(|event| event.subject_id).collect();
        for number in numbers {
            if !stored(&store.order(number).await?).rests() {
                return Ok(false);
            }
        }
        match page.next_cursor {
            Some(next) => paging.cursor = Some(next),
            None => return Ok(true),
        }
    }
}

fn stored(details: &[OrderDetail]) -> Stored {
    let mut stored = Stored::default();
    for detail in details {
        let made_from: HashMap<_, _> =
            detail.documents.iter().map(|document| (document.id, document.envelope_id)).collect();
        let open: Vec<_> = detail.exceptions.iter().filter(|exception| exception.is_waiting()).collect();
        stored.events.extend(detail.events.iter().map(|event| StoredEvent {
            id: event.id.to_string(),
            body: event.body_digest.clone(),
            state: event.state.clone(),
        }));
        stored.deliveries.extend(detail.deliveries.iter().map(|delivery| StoredDelivery {
            event: made_from.get(&delivery.delivery.document_id).map(ToString::to_string).unwrap_or_default(),
            destination: delivery.delivery.destination.clone(),
            key: delivery.delivery.key.clone(),
            purpose: delivery.delivery.purpose.clone(),
            state: delivery.delivery.state.clone(),
            excused: open.iter().any(|exception| exception.delivery_id == Some(delivery.delivery.id)),
        }));
        stored.open.extend(open.iter().map(|exception| exception.code.clone()));
    }
    stored
}

/// Whether a report is clean.
pub fn is_clean(report: &Report) -> bool {
    report.findings.is_empty() && report.ledger_difference == 0
}

/// Orders that a finding is about, for a sentence that says how to look.
pub fn first_number(findings: &[Finding]) -> Option<&str> {
    findings.first().map(|finding| finding.number.as_str())
}
