//! Reading stock and shipments out of a back office that does not send them: what it would have posted enters as if it had.
//!
//! Each origin that polls asks its destination again and again by the polls of that destination's recipe. A position says
//! how far each got, by the other side's clock; it moves only after a page is durable here, and each run reaches back
//! behind it, since what was committed late stands before what was read already. A process may end at any point: the next
//! run repeats, and what is here already makes nothing new.
//!
//! The cast: the recipe's polls ask and write records in our words, the delivery engine's door says whether anything may be
//! asked now, `intake` writes a page down, [`rules`] decides where reading goes on. A poll that fails holds up nobody: the
//! others of its origin go on, and it is told in the log, in metrics and beside its position.

pub mod rules;

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::Instant;

use crate::clock::{SharedClock, SharedEntropy, Timestamp};
use crate::delivery::{Asking, Delivery};
use crate::destinations::AttemptOutcome;
use crate::destinations::recipe::poll::{Page, Poll, Since, Unread};
use crate::destinations::recipe::said::Entity;
use crate::envelope::keys::Digest;
use crate::envelope::kind::RecordKind;
use crate::intake::Intake;
use crate::intake::load::Cargo;
use crate::intake::polled::{Polled, PolledRecord, TakenIn};
use crate::observe::{Event, Observer};
use crate::store::running::Position;
use crate::store::{SharedStore, StoreError};

use rules::{Kept, Next};

/// Records that are written down in one transaction.
const TOGETHER: usize = 500;
/// When it is looked again whether anything is taken in.
const NOTHING_TAKEN_IN_FOR: Duration = Duration::from_secs(30);
/// Records of a run that are remembered for the next one.
const SEEN_MAX: usize = 50_000;
/// Pages of one run; a page that leads nowhere is noticed long before.
const PAGES_MAX: usize = 100_000;
/// The same trouble is written beside the position once; its text is kept short.
const TROUBLE_CHARS: usize = 500;

/// What an origin reads, and how often.
#[derive(Clone, Debug)]
pub struct Reading {
    /// The origin that what is read enters by.
    pub origin: String,
    /// The Commerce instance it is about.
    pub system: String,
    /// Whom it asks.
    pub destination: String,
    /// From the end of one run to the next.
    pub every: Duration,
    /// How far a run reaches back behind the position.
    pub overlap: Duration,
    /// Where the very first run begins; now, if nobody says.
    pub from: Option<Timestamp>,
    /// What is read.
    pub entities: Vec<Entity>,
}

/// What reads back offices.
pub struct Poller {
    /// Where positions are kept.
    pub store: SharedStore,
    /// Now.
    pub clock: SharedClock,
    /// Jitter.
    pub entropy: SharedEntropy,
    /// Where what was read goes.
    pub intake: Arc<Intake>,
    /// The doors of destinations.
    pub delivery: Arc<Delivery>,
    /// Logs and counts.
    pub observer: Arc<Observer>,
    /// One an origin.
    pub readings: Vec<Reading>,
}

/// Why a run came to no end; what was taken in until then is kept.
#[derive(Debug, thiserror::Error)]
enum Trouble {
    #[error("{}", .0.detail())]
    Unread(Unread),
    #[error("{0}")]
    Shut(String, Duration),
    #[error("{0}")]
    Stuck(String),
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// One poll of one origin, and how it went lately.
struct Turn<'r> {
    reading: &'r Reading,
    poll: &'r Poll,
    failures: u32,
    due: Instant,
    /// It read everything, which it does once.
    over: bool,
    /// What the last run saw and this process knows to be durable: what lies in the overlap is not written down again and
    /// again. Correctness does not lean on it.
    seen: HashSet<Digest>,
}

impl Poller {
    /// Reads until `stopping` resolves. A store that stopped ends it; nothing else does.
    pub async fn run(self, stopping: watch::Receiver<bool>) {
        let this = Arc::new(self);
        let mut all = tokio::task::JoinSet::new();
        for reading in this.readings.clone() {
            all.spawn(this.clone().serve(reading, stopping.clone()));
        }
        while let Some(ended) = all.join_next().await {
            if let Err(failed) = ended {
                // The whole task ends with it, and whoever supervises it hears why.
                std::panic::resume_unwind(failed.into_panic());
            }
        }
    }

    /// One origin's polls, one after the other.
    async fn serve(self: Arc<Self>, reading: Reading, mut stopping: watch::Receiver<bool>) {
        let Some(asking) = self.delivery.asking(&reading.destination) else { return };
        let Some(recipe) = asking.recipe() else { return };
        let polls = recipe.polls().iter().filter(|poll| reading.entities.contains(&poll.entity()));
        let now = Instant::now();
        let mut turns: Vec<Turn<'_>> = polls
            .map(|poll| Turn { reading: &reading, poll, failures: 0, due: now, over: false, seen: HashSet::new() })
            .collect();
        while !*stopping.borrow() {
            let waiting = turns.iter_mut().filter(|turn| !turn.over).min_by_key(|turn| turn.due);
            let Some(turn) = waiting else {
                let _ = stopping.changed().await;
                return;
            };
            tokio::select! {
                () = tokio::time::sleep_until(turn.due) => {}
                _ = stopping.changed() => return,
            }
            let mut taken = TakenIn::default();
            let ran = tokio::select! {
                // What was taken in and not counted as read is known the next time.
                _ = stopping.changed() => return,
                ran = self.read(turn, &asking, &mut taken) => ran,
            };
            if matches!(ran, Err(Trouble::Store(StoreError::Stopped))) {
                return;
            }
            self.tell(turn, &ran, taken);
            if let Err(error) = self.mark(turn, &ran).await {
                tracing::warn!(%error, "why a poll failed could not be written down");
            }
            turn.due = Instant::now() + self.pause(turn, &ran);
        }
    }

    /// One run to the end of what is there.
    async fn read(&self, turn: &mut Turn<'_>, asking: &Asking, taken: &mut TakenIn) -> Result<(), Trouble> {
        let (reading, poll) = (turn.reading, turn.poll);
        let mut kept = self.position(reading, poll).await?;
        if kept.whole {
            turn.over = true;
            return Ok(());
        }
        let Some(recipe) = asking.recipe() else { return Ok(()) };
        let mut since = rules::start(&kept, poll.once(), reading.overlap, self.clock.now());
        let mut before: Vec<String> = Vec::new();
        let mut seen = HashSet::new();
        for _ in 0..PAGES_MAX {
            // RUN-4, PRS-3: what is read later is not lost, so nothing is read while nothing is taken in.
            self.intake.load.admits(Cargo::Order).map_err(|why| Trouble::Shut(why.to_owned(), NOTHING_TAKEN_IN_FOR))?;
            let read_at = rules::read_at(&kept, self.clock.now());
            let page = self.page(recipe, poll, &since, asking).await?;
            asking.let_in();
            let sources: Vec<String> = page.rows.iter().map(|row| row.source.clone()).collect();
            let next = rules::after(&since, &page, poll.size(), sources == before);
            before = sources;
            // What was read is taken in, even where it leads nowhere.
            let new = self.take(turn, &mut seen, page, read_at, taken).await?;
            let next = next.map_err(Trouble::Stuck)?;
            let mut moved = match &next {
                Next::Behind(since) => rules::moved(&kept, since, poll.once(), self.clock.now()),
                Next::End => Kept { whole: poll.once(), ..kept.clone() },
            };
            if new {
                moved.as_of = Some(read_at);
            }
            if moved != kept {
                self.keep(reading, poll, &moved).await?;
                kept = moved;
            }
            match next {
                Next::End => {
                    if seen.len() > SEEN_MAX {
                        seen.clear();
                    }
                    (turn.over, turn.seen) = (poll.once(), seen);
                    return Ok(());
                }
                Next::Behind(next) => since = next,
            }
        }
        Err(Trouble::Stuck(format!("after {PAGES_MAX} pages there is no end; it goes on from where it is")))
    }

    /// One page, asked for again where the credential was refused and another one is at hand.
    async fn page(
        &self,
        recipe: &crate::destinations::recipe::Recipe,
        poll: &Poll,
        since: &Since,
        asking: &Asking,
    ) -> Result<Page, Trouble> {
        let mut again = true;
        loop {
            let mut way = asking.again();
            let unread = match recipe.read_page(poll, since, &mut way).await {
                Ok(page) => return Ok(page),
                Err(unread) => unread,
            };
            if let Unread::Outcome(AttemptOutcome::Deferred { free_in }) = &unread {
                let why = way.shut().map_or_else(|| unread.detail(), str::to_owned);
                return Err(Trouble::Shut(why, *free_in));
            }
            let renewed = matches!(&unread, Unread::Outcome(outcome) if way.heard(outcome));
            if !(renewed && std::mem::take(&mut again)) {
                if renewed {
                    // Nobody asks with it now: an order that is refused later is to be judged by itself.
                    way.let_in();
                }
                return Err(Trouble::Unread(unread));
            }
        }
    }

    /// Writes a page down; whether anything of it was new.
    async fn take(
        &self,
        turn: &Turn<'_>,
        seen: &mut HashSet<Digest>,
        page: Page,
        read_at: Timestamp,
        taken: &mut TakenIn,
    ) -> Result<bool, StoreError> {
        let (reading, poll) = (turn.reading, turn.poll);
        let mut records = records(poll.entity(), &page, read_at);
        let (all, of_page) = (records.len(), records.iter().map(|record| record.identity).collect::<Vec<_>>());
        records.retain(|record| !turn.seen.contains(&record.identity) && !seen.contains(&record.identity));
        taken.known += u64::try_from(all - records.len()).unwrap_or(u64::MAX);
        let kind = match poll.entity() {
            Entity::Stock => RecordKind::Stock,
            Entity::Fulfilments => RecordKind::Fulfilment,
        };
        let mut new = false;
        for some in records.chunks(TOGETHER) {
            let polled = Polled {
                origin: reading.origin.clone(),
                destination: reading.destination.clone(),
                poll: poll.name().to_owned(),
                kind,
                records: some.to_vec(),
            };
            let TakenIn { new: fresh, known, unreadable } = self.intake.take_polled(polled).await?;
            taken.new += fresh;
            taken.known += known;
            taken.unreadable += unreadable;
            new |= fresh > 0;
        }
        seen.extend(of_page);
        Ok(new)
    }

    /// How far a poll got. The very first run of one that reads changes begins now, or where the configuration says; another
    /// word of the configuration later begins there once more.
    async fn position(&self, reading: &Reading, poll: &Poll) -> Result<Kept, StoreError> {
        let from = reading.from.filter(|_| !poll.once());
        let kept = self.store.position(reading.system.clone(), kind(reading, poll)).await?;
        if let Some(kept) = kept {
            let damaged = || StoreError::Corrupt(format!("the position {} is none of a poll", kept.position));
            let known = rules::read(&kept.position).ok_or_else(damaged)?;
            if from.is_none() || from == known.from {
                return Ok(known);
            }
            let again = Kept { at: from, id: None, from, ..known };
            self.keep(reading, poll, &again).await?;
            return Ok(again);
        }
        let at = (!poll.once()).then(|| from.unwrap_or_else(|| self.clock.now()));
        let first = Kept { at, from, ..Kept::default() };
        // Written down before anything is asked, so that a system that is away now loses nothing.
        self.keep(reading, poll, &first).await?;
        let what =
            if poll.once() { "everything there is" } else { "what changes from now, or from where it is told, on" };
        tracing::info!(
            origin.name = reading.origin,
            poll = poll.name(),
            what,
            "a back office is read for the first time"
        );
        Ok(first)
    }

    async fn keep(&self, reading: &Reading, poll: &Poll, kept: &Kept) -> Result<(), StoreError> {
        let position = Position {
            system: reading.system.clone(),
            kind: kind(reading, poll),
            position: rules::written(kept),
            at: self.clock.now(),
            trouble: None,
        };
        self.store.keep_position(position).await
    }

    /// Writes beside the position why it does not move, and takes that away when it does.
    async fn mark(&self, turn: &Turn<'_>, ran: &Result<(), Trouble>) -> Result<(), StoreError> {
        let (reading, poll) = (turn.reading, turn.poll);
        let trouble = match ran {
            Ok(()) => None,
            Err(trouble) => Some(trouble.to_string().chars().take(TROUBLE_CHARS).collect::<String>()),
        };
        let known = self.store.position(reading.system.clone(), kind(reading, poll)).await?;
        let Some(known) = known.filter(|known| known.trouble != trouble) else { return Ok(()) };
        self.store.keep_position(Position { trouble, ..known }).await
    }

    fn pause(&self, turn: &mut Turn<'_>, ran: &Result<(), Trouble>) -> Duration {
        let every = turn.reading.every;
        let (passes, asked) = match ran {
            Ok(()) => {
                turn.failures = 0;
                return every;
            }
            // Nothing failed: it was not its turn.
            Err(Trouble::Shut(_, rest)) => return (*rest).clamp(Duration::from_secs(1), Duration::from_mins(1)),
            Err(Trouble::Unread(unread)) => {
                let passes = matches!(
                    unread,
                    Unread::Unreadable(_)
                        | Unread::Outcome(
                            AttemptOutcome::Throttled { .. }
                                | AttemptOutcome::Deferred { .. }
                                | AttemptOutcome::Unavailable { .. }
                                | AttemptOutcome::Uncertain { .. }
                        )
                );
                (passes, unread.wait())
            }
            Err(Trouble::Stuck(_)) => (false, None),
            Err(Trouble::Store(_)) => (true, None),
        };
        turn.failures = turn.failures.saturating_add(1);
        rules::pause_after(passes, turn.failures, asked, self.entropy.unit())
    }

    /// Logs and counts a run.
    fn tell(&self, turn: &Turn<'_>, ran: &Result<(), Trouble>, taken: TakenIn) {
        let (outcome, detail) = match ran {
            Ok(()) => ("done", String::new()),
            Err(trouble) => (word(trouble), trouble.to_string()),
        };
        self.observer.note(&Event::PollEnded {
            origin: &turn.reading.origin,
            destination: &turn.reading.destination,
            poll: turn.poll.name(),
            outcome,
            new: taken.new,
            known: taken.known,
            unreadable: taken.unreadable,
            detail: &detail,
        });
    }
}

/// A page in the words in which others post it.
fn records(entity: Entity, page: &Page, read_at: Timestamp) -> Vec<PolledRecord> {
    let mut records = Vec::new();
    for row in &page.rows {
        if let Err(problem) = &row.spot {
            let json = Err((row.source.clone(), problem.clone()));
            records.push(PolledRecord { identity: rules::identity(row, "", None), json });
            continue;
        }
        for record in &row.records {
            let written = record.json.as_ref().map(String::as_str).ok();
            // Stock is the level at the time of the change, whatever was read; a fulfilment is what it says.
            let identity = rules::identity(row, &record.item, written.filter(|_| entity == Entity::Fulfilments));
            let json = record.json.clone().and_then(|json| rules::message(entity, &json, read_at));
            records.push(PolledRecord { identity, json: json.map_err(|problem| (row.source.clone(), problem)) });
        }
    }
    records
}

/// Which position is a poll's.
fn kind(reading: &Reading, poll: &Poll) -> String {
    format!("poll {} {}/{}", reading.origin, reading.destination, poll.name())
}

fn word(trouble: &Trouble) -> &'static str {
    match trouble {
        Trouble::Unread(unread) => rules::word(unread),
        Trouble::Shut(..) => "shut",
        Trouble::Stuck(_) => "stuck",
        Trouble::Store(_) => "store",
    }
}
