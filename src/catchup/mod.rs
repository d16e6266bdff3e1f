//! Catch-up: Commerce is searched regularly for orders that push lost, and what is missing or older here is read and taken
//! in like anything else that arrives.
//!
//! A position says how far each instance was searched, by Commerce's clock; it moves only after everything up to there is
//! durable, and each search reaches back behind it. A process may end at any point: the next search repeats, and what is
//! here already is not read again. Behind a search, [`gaps`] in the order numbers are asked for, each once. Everything that
//! decides is in `rules` and `gaps`.

pub mod gaps;
pub mod rules;

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::{Notify, watch};

use crate::clock::{SharedClock, SharedEntropy, Timestamp};
use crate::commerce::rest::{Call, RestError, SharedRest, orders};
use crate::config::Sweep;
use crate::envelope::kind::RecordKind;
use crate::intake::Intake;
use crate::intake::read::{Found, FoundBy};
use crate::observe::{Event, Observer};
use crate::store::running::{Gap, Position};
use crate::store::write::Subject;
use crate::store::{SharedStore, StoreError};

use gaps::{Here, Missing};
use rules::{Listing, Next, Row};

/// Which position is the search's.
const KIND: &str = "sweep";
/// The newest order that a search saw, whether or not it could be taken in.
const NEWEST: &str = "newest";
/// Orders read at once; the client of the instance limits how many of them run.
const AT_ONCE: usize = 4;

/// What searches Commerce.
pub struct CatchUp {
    /// Where positions and orders are kept.
    pub store: SharedStore,
    /// Now.
    pub clock: SharedClock,
    /// Jitter.
    pub entropy: SharedEntropy,
    /// Where what was found goes.
    pub intake: Arc<Intake>,
    /// Logs and counts.
    pub observer: Arc<Observer>,
    /// Rung when pushes are known to be lost: everything is searched at once.
    pub missed: Arc<Notify>,
    /// The instances that are searched, by name.
    pub instances: BTreeMap<String, (SharedRest, Sweep)>,
}

/// Why a search came to no end.
#[derive(Debug, thiserror::Error)]
enum Trouble {
    #[error(transparent)]
    Commerce(#[from] RestError),
    #[error("{0}")]
    Unreadable(String),
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// What a search came to.
#[derive(Debug, Default)]
struct Swept {
    taken: u64,
    newest: Option<Timestamp>,
    /// Orders that are listed and not there yet.
    absent: u64,
}

impl CatchUp {
    /// Searches until `stopping` resolves: at once, then regularly. A store that stopped ends it; nothing else does.
    pub async fn run(self, mut stopping: watch::Receiver<bool>) {
        let this = Arc::new(self);
        let mut searches = tokio::task::JoinSet::new();
        let mut bells = Vec::new();
        for (rest, settings) in this.instances.values() {
            // A bell each, so that one rung during a search is heard after it.
            let bell = Arc::new(Notify::new());
            bells.push(bell.clone());
            searches.spawn(this.clone().serve(rest.clone(), *settings, bell, stopping.clone()));
        }
        loop {
            tokio::select! {
                () = this.missed.notified() => bells.iter().for_each(|bell| bell.notify_one()),
                ended = searches.join_next() => match ended {
                    // The whole task ends with it, and whoever supervises it hears why.
                    Some(Err(failed)) => std::panic::resume_unwind(failed.into_panic()),
                    Some(Ok(())) => {}
                    None => return,
                },
                _ = stopping.changed() => break,
            }
        }
        while searches.join_next().await.is_some() {}
    }

    async fn serve(
        self: Arc<Self>,
        rest: SharedRest,
        settings: Sweep,
        bell: Arc<Notify>,
        mut stopping: watch::Receiver<bool>,
    ) {
        let (mut failures, mut complete_at) = (0_u32, None);
        while !*stopping.borrow() {
            let began = self.clock.now();
            let swept = tokio::select! {
                // What was found and not written down is found again.
                _ = stopping.changed() => return,
                swept = self.sweep(&rest, settings) => swept,
            };
            if matches!(swept, Err(Trouble::Store(StoreError::Stopped))) {
                return;
            }
            if matches!(&swept, Ok(swept) if swept.absent == 0) {
                complete_at = Some(began);
            }
            self.tell(rest.system(), &swept, complete_at).await;
            failures = if swept.is_ok() { 0 } else { failures.saturating_add(1) };
            let pause = match &swept {
                Ok(_) => settings.every,
                Err(Trouble::Commerce(error)) => rules::pause_after(Some(error), failures, self.entropy.unit()),
                Err(_) => rules::pause_after(None, failures, self.entropy.unit()),
            };
            tokio::select! {
                () = tokio::time::sleep(pause) => {}
                () = bell.notified() => {}
                _ = stopping.changed() => return,
            }
        }
    }

    /// Logs and counts a search.
    async fn tell(&self, system: &str, swept: &Result<Swept, Trouble>, complete_at: Option<Timestamp>) {
        let (outcome, detail) = match swept {
            Ok(swept) if swept.absent > 0 => {
                ("partly", format!("{} orders are listed and not there yet", swept.absent))
            }
            Ok(_) => ("done", String::new()),
            Err(trouble) => (outcome_of(trouble), trouble.to_string()),
        };
        let done = outcome == "done";
        let since = if done { None } else { self.known_since(system, complete_at).await };
        let lag = since.and_then(|at| Duration::try_from(self.clock.now().duration_since(at)).ok());
        let found = swept.as_ref().ok();
        self.observer.note(&Event::SweepEnded {
            system,
            outcome,
            taken: found.map_or(0, |swept| swept.taken),
            newest: found.and_then(|swept| swept.newest),
            lag: lag.unwrap_or_default(),
            detail: &detail,
        });
    }

    /// When everything was last here: as this process knows it, else as an earlier one wrote it down.
    async fn known_since(&self, system: &str, complete_at: Option<Timestamp>) -> Option<Timestamp> {
        if complete_at.is_some() {
            return complete_at;
        }
        let kept = self.store.position(system.to_owned(), KIND.to_owned()).await.ok().flatten()?;
        rules::read(&kept.position)
    }

    /// One search to its end.
    async fn sweep(&self, rest: &SharedRest, settings: Sweep) -> Result<Swept, Trouble> {
        let now = self.clock.now();
        let position = self.position(rest.system(), now).await?;
        let since = rules::since(position, settings.overlap, now);
        // Asked first: what changes while the pages are read is newer, and is the next search's.
        let newest = self.list(rest, rules::newest(since)).await?.rows.first().and_then(|row| row.updated_at);
        let mut swept = Swept { newest, ..Swept::default() };
        self.pages(rest, since, &mut swept).await?;
        let moved = newest.map_or(position, |newest| rules::moved(position, newest, now));
        if swept.absent == 0 && moved != position {
            self.keep(rest.system(), moved, now).await?;
        }
        if let Some(patience) = settings.gaps {
            self.ask_for_missing(rest, patience, &mut swept).await?;
        }
        Ok(swept)
    }

    /// Asks for numbers that are missing between others, a few at a time and each once.
    async fn ask_for_missing(&self, rest: &SharedRest, patience: Duration, swept: &mut Swept) -> Result<(), Trouble> {
        let system = rest.system();
        let here = self.store.newest_numbers(system.to_owned(), gaps::LOOKED_AT).await?;
        let here: Vec<Here> =
            here.into_iter().map(|(scope, number, first_seen_at)| Here { scope, number, first_seen_at }).collect();
        let missing = gaps::missing(&here, patience, self.clock.now());
        if missing.is_empty() {
            return Ok(());
        }
        let names = missing.iter().map(|one| (one.scope.clone(), one.number.clone())).collect();
        let asked = self.store.gaps_asked(system.to_owned(), names).await?;
        let open = missing.into_iter().zip(asked).filter(|(_, asked)| !asked).map(|(missing, _)| missing);
        for missing in open.take(gaps::ASKED_MAX) {
            self.ask_for_one(rest, missing, swept).await?;
        }
        Ok(())
    }

    async fn ask_for_one(&self, rest: &SharedRest, missing: Missing, swept: &mut Swept) -> Result<(), Trouble> {
        let system = rest.system();
        let Missing { scope, number } = missing;
        // Here by another store's name, or as a hint: it is known and on its way.
        if self.store.order(number.clone()).await?.iter().any(|order| order.order.system == system) {
            return Ok(());
        }
        let store_id = Some(scope.as_str()).filter(|scope| !scope.is_empty());
        let outcome = match orders::by_number(rest.as_ref(), &number, store_id).await {
            Ok(Some(body)) => {
                self.intake.take_read(Found { system: system.to_owned(), body, by: FoundBy::Gap }).await?;
                swept.taken += 1;
                tracing::warn!(commerce.name = system, order.number = %number, "an order was found by its missing number");
                "found"
            }
            Ok(None) => "reserved",
            Err(error @ (RestError::Refused { .. } | RestError::TooLarge(_))) => {
                tracing::warn!(commerce.name = system, order.number = %number, %error, "a missing number cannot be asked for");
                "refused"
            }
            Err(error) => return Err(error.into()),
        };
        let gap =
            Gap { system: system.to_owned(), scope, number, outcome: outcome.to_owned(), asked_at: self.clock.now() };
        Ok(self.store.keep_gap(gap).await?)
    }

    async fn pages(&self, rest: &SharedRest, since: Timestamp, swept: &mut Swept) -> Result<(), Trouble> {
        let (mut page, mut before, mut restarts) = (1_u64, None, 0_u32);
        let mut seen = HashSet::new();
        // Of one reading of the list; `seen` is of all of them, so that nothing is read twice.
        let mut seen_now = HashSet::new();
        loop {
            let Listing { rows, total } = self.list(rest, rules::page(since, page)).await?;
            self.note_newest(rest.system(), &rows).await?;
            let on_page = rows.len();
            let fresh = rows.iter().filter(|row| seen_now.insert(row.entity_id)).count();
            let rows: Vec<Row> = rows.into_iter().filter(|row| seen.insert(row.entity_id)).collect();
            self.take(rest, rows, swept).await?;
            match rules::after(page, on_page, fresh, total, before) {
                Next::Done => return Ok(()),
                Next::Page => (page, before) = (page + 1, Some(total)),
                Next::Again => {
                    restarts += 1;
                    if restarts > rules::RESTARTS_MAX {
                        return Err(Trouble::Unreadable("the list of orders changes as it is read".to_owned()));
                    }
                    (page, before) = (1, None);
                    seen_now.clear();
                }
            }
        }
    }

    /// Notes the newest order of a page, if none newer is noted: ids rise with the orders, and what cannot be read is there.
    async fn note_newest(&self, system: &str, rows: &[Row]) -> Result<(), StoreError> {
        let Some(row) = rows.iter().max_by_key(|row| row.entity_id) else { return Ok(()) };
        let kept = self.store.position(system.to_owned(), NEWEST.to_owned()).await?;
        let known = kept.and_then(|kept| kept.position.split_once(' ')?.0.parse::<u64>().ok());
        if known.is_some_and(|known| known >= row.entity_id) {
            return Ok(());
        }
        let number = row.number.clone().unwrap_or_else(|| row.entity_id.to_string());
        let position = format!("{} {number}", row.entity_id);
        let at = self.clock.now();
        self.store
            .keep_position(Position { system: system.to_owned(), kind: NEWEST.to_owned(), position, at, trouble: None })
            .await
    }

    /// How far the instance was searched. The very first search begins now: a shop's history is not swallowed unasked.
    async fn position(&self, system: &str, now: Timestamp) -> Result<Timestamp, StoreError> {
        let kept = self.store.position(system.to_owned(), KIND.to_owned()).await?;
        if let Some(kept) = kept {
            let damaged = || StoreError::Corrupt(format!("the position {} is no time", kept.position));
            return rules::read(&kept.position).ok_or_else(damaged);
        }
        // Written down before anything is asked, so that a Commerce that is away now loses nothing.
        self.keep(system, now, now).await?;
        tracing::info!(
            commerce.name = system,
            from = %now,
            "Commerce is searched for the first time: older orders are left alone"
        );
        Ok(now)
    }

    async fn keep(&self, system: &str, position: Timestamp, at: Timestamp) -> Result<(), StoreError> {
        let position = rules::written(position);
        let (system, kind) = (system.to_owned(), KIND.to_owned());
        self.store.keep_position(Position { system, kind, position, at, trouble: None }).await
    }

    async fn list(&self, rest: &SharedRest, call: Call) -> Result<Listing, Trouble> {
        let answered = rest.call(call).await?;
        rules::listed(&answered.body, rest.system()).map_err(Trouble::Unreadable)
    }

    /// Takes in what of the page is missing or older here.
    async fn take(&self, rest: &SharedRest, rows: Vec<Row>, swept: &mut Swept) -> Result<(), Trouble> {
        let subjects = rows.iter().map(|row| subject(rest.system(), row)).collect();
        let known = self.store.known_updates(subjects).await?;
        let wanted: Vec<Row> = rows
            .into_iter()
            .zip(known)
            .filter(|(row, known)| rules::is_wanted(row, *known))
            .map(|(row, _)| row)
            .collect();
        for some in wanted.chunks(AT_ONCE) {
            let mut reads = tokio::task::JoinSet::new();
            for row in some.iter().cloned() {
                let rest = rest.clone();
                reads.spawn(async move {
                    let answer = rest.call(Call::get(format!("/V1/orders/{}", row.entity_id))).await;
                    (row, answer)
                });
            }
            while let Some(read) = reads.join_next().await {
                match read {
                    Ok((row, answer)) => {
                        let body = answer.map(|answered| answered.body);
                        self.take_one(rest.system(), &row, body, swept).await?;
                    }
                    Err(failed) => std::panic::resume_unwind(failed.into_panic()),
                }
            }
        }
        Ok(())
    }

    /// One order. What stands in the way of this one alone is put before a person and does not hold the others up.
    async fn take_one(
        &self,
        system: &str,
        row: &Row,
        body: Result<Bytes, RestError>,
        swept: &mut Swept,
    ) -> Result<(), Trouble> {
        let body = match body {
            Ok(body) => body,
            Err(RestError::NotFound(_)) if rules::is_waited_for(row, self.clock.now()) => {
                swept.absent += 1;
                return Ok(());
            }
            Err(error @ (RestError::NotFound(_) | RestError::Refused { .. } | RestError::TooLarge(_))) => {
                tracing::warn!(commerce.name = system, order.entity_id = row.entity_id, %error, "an order cannot be read");
                named(row)
            }
            Err(error) => return Err(error.into()),
        };
        self.intake.take_read(Found { system: system.to_owned(), body, by: FoundBy::Sweep }).await?;
        swept.taken += 1;
        Ok(())
    }
}

/// The lane of a listed order, named as the processor names it.
fn subject(system: &str, row: &Row) -> Subject {
    Subject {
        kind: RecordKind::Order.as_str().to_owned(),
        system: system.to_owned(),
        scope: row.store_id.map(|id| id.to_string()).unwrap_or_default(),
        id: row.number.clone().unwrap_or_else(|| row.entity_id.to_string()),
    }
}

/// What the list says of an order that cannot be read: too little to make anything of, which a person is told.
fn named(row: &Row) -> Bytes {
    let order = serde_json::json!({
        "entity_id": row.entity_id, "increment_id": row.number, "store_id": row.store_id,
        "updated_at": row.updated_at.map(rules::spelled),
    });
    Bytes::from(order.to_string())
}

/// The label's value.
fn outcome_of(trouble: &Trouble) -> &'static str {
    match trouble {
        Trouble::Commerce(RestError::Unauthorized(_)) => "unauthorized",
        Trouble::Commerce(RestError::NotFound(_) | RestError::Refused { .. }) => "refused",
        Trouble::Commerce(RestError::Limited { .. }) => "limited",
        Trouble::Commerce(RestError::Unavailable { .. }) => "unavailable",
        Trouble::Commerce(RestError::Unreachable(_)) => "unreachable",
        Trouble::Commerce(RestError::TooLarge(_)) => "too_large",
        Trouble::Unreadable(_) => "unreadable",
        Trouble::Store(_) => "store",
    }
}
