//! The simulated world: its time, its machine, and the service that lives, dies and lives again in it.

use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::Instant;

use super::auditor::Auditor;
use super::chance::Chance;
use super::disk::{Disk, Fault};
use super::erp::Erp;
use super::senders::Senders;
use super::service::Service;
use super::workload::{Act, Micros, SECOND, Script, Weather};
use super::{people, planted, senders};
use crate::clock::{Clock, Timestamp, from_micros};

/// A noon in March.
const START: Micros = 1_772_366_400_000_000;
/// More lives than any story needs.
const BOOTS_MAX: u32 = 400;
/// Rounds of peace after which everything must have come to rest.
const PEACE_ROUNDS: u32 = 150;

/// True time, and what the machine's clock makes of it.
pub struct Time {
    base: AtomicI64,
    born: Mutex<Option<Instant>>,
    skew: AtomicI64,
}

impl Time {
    /// True microseconds.
    pub fn now(&self) -> Micros {
        let born = *self.born.lock().unwrap_or_else(PoisonError::into_inner);
        let passed = born.map_or(0, |born| Micros::try_from(born.elapsed().as_micros()).unwrap_or(0));
        self.base.load(Ordering::SeqCst) + passed
    }

    fn begin(&self) {
        *self.born.lock().unwrap_or_else(PoisonError::into_inner) = Some(Instant::now());
    }

    fn end(&self) {
        let now = self.now();
        *self.born.lock().unwrap_or_else(PoisonError::into_inner) = None;
        self.base.store(now, Ordering::SeqCst);
    }

    fn skip(&self, by: Micros) {
        self.base.fetch_add(by, Ordering::SeqCst);
    }
}

/// The machine's wall clock.
pub struct WallClock(pub Arc<Time>);

impl Clock for WallClock {
    fn now(&self) -> Timestamp {
        from_micros(self.0.now() + self.0.skew.load(Ordering::SeqCst))
    }
}

/// What changes.
pub struct State {
    /// For whatever is decided on the way.
    pub chance: Chance,
    /// The other side.
    pub erp: Erp,
    /// Who sends.
    pub senders: Senders,
    /// Who judges.
    pub auditor: Auditor,
    /// What the known SKU is called now; a number.
    pub item: u32,
    /// Whether the new SKU is mapped.
    pub new_sku_mapped: bool,
    /// The path of the destinations' configuration; a number.
    pub path: u32,
    /// What of that the store is known to have: the name and whether the new one is mapped.
    pub taught: Option<(u32, bool)>,
    story: Story,
}

/// What happened, as a digest and as words.
struct Story {
    digest: u64,
    lines: Vec<String>,
    loud: bool,
}

/// Everything.
pub struct World {
    /// Its clock.
    pub time: Arc<Time>,
    /// Its disk.
    pub disk: Arc<Disk>,
    /// Rung when somebody has something new to do.
    pub changed: Notify,
    /// Rung when the service says that it must end.
    pub fatal: Notify,
    state: Mutex<State>,
}

/// How a story ended.
#[derive(Debug)]
pub struct Report {
    /// What was promised and not kept.
    pub violations: Vec<String>,
    /// Equal for equal stories.
    pub digest: u64,
    /// The story.
    pub lines: Vec<String>,
    /// Disk operations that changed something, and reads.
    pub operations: (u64, u64),
    /// Lives.
    pub boots: u32,
    /// Requests that reached a destination.
    pub requests: usize,
    /// Disk faults that struck.
    pub struck: usize,
    /// Operations that each fault could have struck.
    pub chances: Vec<(Fault, Vec<u64>)>,
}

const ALL: [Fault; 7] = [
    Fault::PowerCut,
    Fault::PowerCutForgetful,
    Fault::Kill,
    Fault::WriteFails,
    Fault::Full,
    Fault::FlushFails,
    Fault::ReadFails,
];

enum Ended {
    Died,
    InOrder,
    Rested,
}

/// Faults at disk operations, counted from the beginning.
pub type Planned = Vec<(u64, Fault)>;

/// Plays one story to its end.
pub fn play(seed: u64, script: impl FnOnce(&mut Chance) -> Script, faults: Planned) -> Report {
    let mut chance = Chance::new(seed);
    let script = script(&mut chance);
    super::start_dawdling(chance.fork());
    let disk = Disk::new(chance.fork());
    for (at, fault) in faults {
        disk.plan(at, fault);
    }
    let state = State {
        erp: Erp::new(chance.fork()),
        senders: Senders::default(),
        auditor: Auditor::default(),
        item: 0,
        new_sku_mapped: false,
        path: 0,
        taught: Some((0, false)),
        chance,
        story: Story { digest: 0xcbf2_9ce4_8422_2325, lines: Vec::new(), loud: super::loud() },
    };
    let world = Arc::new(World {
        time: Arc::new(Time { base: AtomicI64::new(START), born: Mutex::default(), skew: AtomicI64::new(0) }),
        disk,
        changed: Notify::new(),
        fatal: Notify::new(),
        state: Mutex::new(state),
    });
    let mut play = Play { world: Arc::clone(&world), script, next: 0, pause: 0, peace: false, round: 0 };
    let mut boots = 0;
    loop {
        boots += 1;
        if boots > BOOTS_MAX {
            world.blame("it does not stay alive".to_owned());
            break;
        }
        world.note(|| format!("boot {boots}"));
        let ended = play.live();
        world.with(|state| {
            state.senders.hang_up();
            state.erp.destinations.values_mut().for_each(super::erp::Destination::hang_up);
        });
        match ended {
            Ended::Rested => break,
            Ended::Died | Ended::InOrder => {
                world.note(|| format!("down: {:?}", world.disk.struck().last()));
                world.disk.restart();
                world.time.skip(play.pause + SECOND / 2);
                play.pause = 0;
                play.while_down();
            }
        }
    }
    super::stop_dawdling();
    planted::plant(None);
    let operations = (world.disk.changes(), world.disk.reads());
    let struck = world.disk.struck().len();
    let chances = ALL.map(|fault| (fault, world.disk.chances(fault)));
    world.with(|state| Report {
        chances: chances.into(),
        violations: std::mem::take(&mut state.auditor.violations),
        digest: state.story.digest,
        lines: std::mem::take(&mut state.story.lines),
        operations,
        boots,
        requests: state.erp.requests.len(),
        struck,
    })
}

struct Play {
    world: Arc<World>,
    script: Script,
    next: usize,
    /// How long the machine stays down.
    pause: Micros,
    /// Faults are over.
    peace: bool,
    round: u32,
}

impl Play {
    /// One life of the process.
    fn live(&mut self) -> Ended {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .start_paused(true)
            .build()
            .expect("a runtime without threads");
        let world = Arc::clone(&self.world);
        let ended = runtime.block_on(async {
            world.time.begin();
            let ended = self.day().await;
            world.time.end();
            ended
        });
        if matches!(ended, Ended::Died) {
            // Nothing that is dropped now may reach the disk.
            world.disk.die(Fault::Kill);
        }
        drop(runtime);
        ended
    }

    async fn day(&mut self) -> Ended {
        let world = Arc::clone(&self.world);
        let struck = world.disk.struck().len();
        // A start waits on a full disk until what the last life left can be settled. Somebody makes room: no story hangs.
        let waiting = Arc::clone(&world);
        let room = tokio::spawn(async move {
            tokio::time::sleep(Duration::from_mins(2)).await;
            waiting.note(|| "room is made".to_owned());
            waiting.disk.set_full(false);
        });
        let started = Service::start(&world).await;
        room.abort();
        let service = match started {
            Ok(service) => service,
            Err(_) if world.disk.is_dead() => return Ended::Died,
            Err(error) => {
                // The folder's number counts every story of this process and is no part of this one.
                world.note(|| format!("it does not start: {}", error.to_string().replace(&world.disk.path(""), "")));
                if world.disk.struck().len() == struck && self.peace {
                    world.blame(format!("it does not start although nothing is wrong: {error}"));
                    return Ended::Rested;
                }
                self.pause = 5 * SECOND;
                return Ended::Died;
            }
        };
        world.check_kept(&service).await;
        loop {
            if world.disk.is_dead() {
                return Ended::Died;
            }
            let wait = self.next_due().saturating_sub(world.time.now()).max(0);
            let wait = Duration::from_micros(u64::try_from(wait).unwrap_or(0));
            tokio::select! {
                biased;
                () = world.disk.died.notified() => {}
                () = world.fatal.notified() => {
                    let last = world.with(|state| state.chance.below(300));
                    tokio::time::sleep(Duration::from_millis(last)).await;
                    return Ended::Died;
                }
                () = world.changed.notified() => continue,
                () = tokio::time::sleep(wait) => {}
            }
            if world.disk.is_dead() {
                return Ended::Died;
            }
            if world.with(|state| !state.auditor.violations.is_empty()) {
                // One is enough; what follows from it would only hide it.
                return Ended::Rested;
            }
            senders::send_due(&world, &service);
            if let Some(ended) = self.act(&service).await {
                return ended;
            }
        }
    }

    fn next_due(&self) -> Micros {
        let scripted = match self.script.acts.get(self.next) {
            Some((at, _)) => START + at,
            None if !self.peace => START + self.script.until,
            None => self.world.time.now() + 20 * SECOND,
        };
        let sender = self.world.with(|state| state.senders.next_due());
        sender.map_or(scripted, |due| due.min(scripted))
    }

    /// Everything in the script that is due.
    async fn act(&mut self, service: &Service) -> Option<Ended> {
        let world = Arc::clone(&self.world);
        while let Some((at, act)) = self.script.acts.get(self.next) {
            if START + at > world.time.now() {
                return None;
            }
            let act = act.clone();
            self.next += 1;
            if let Some(ended) = self.one(service, act).await {
                return Some(ended);
            }
        }
        if START + self.script.until > world.time.now() {
            return None;
        }
        if !self.peace {
            self.peace = true;
            make_peace(&world);
        }
        self.rest(service).await
    }

    /// The world goes on while the service is down.
    fn while_down(&mut self) {
        while let Some((at, act)) = self.script.acts.get(self.next)
            && START + at <= self.world.time.now()
        {
            let act = act.clone();
            self.next += 1;
            self.outside(&act);
        }
        if START + self.script.until <= self.world.time.now() && !self.peace {
            self.peace = true;
            make_peace(&self.world);
        }
    }

    /// What happens whether the service runs or not.
    fn outside(&mut self, act: &Act) {
        let world = &self.world;
        match act {
            Act::Send(request) => world.with(|state| state.senders.add(request.clone(), world.time.now())),
            Act::Weather(destination, weather) => {
                world.note(|| format!("weather {destination} {weather:?}"));
                world.with(|state| {
                    state.erp.destinations.get_mut(destination).expect("a known destination").weather = *weather;
                });
            }
            Act::Clock(by) => {
                world.note(|| format!("clock {by}"));
                world.time.skew.fetch_add(*by, Ordering::SeqCst);
            }
            Act::Full(full) => {
                world.note(|| format!("full {full}"));
                world.disk.set_full(*full);
            }
            Act::Disk(from_now, fault) => {
                let count = if *fault == Fault::ReadFails { world.disk.reads() } else { world.disk.changes() };
                world.disk.plan(count + from_now, *fault);
            }
            Act::Repair => world.with(|state| state.erp.repaired = true),
            Act::Move => world.with(|state| state.path += 1),
            Act::Die(..) | Act::Restart | Act::People(_) | Act::Remap(_) => {}
        }
    }

    async fn one(&mut self, service: &Service, act: Act) -> Option<Ended> {
        self.outside(&act);
        let world = &self.world;
        match act {
            Act::Send(_) => senders::send_due(world, service),
            Act::Die(fault, pause) => {
                world.note(|| format!("dies: {fault:?}"));
                world.disk.die(fault);
                self.pause = pause;
                return Some(Ended::Died);
            }
            Act::Restart => {
                world.note(|| "restart".to_owned());
                return Some(stop(world, service).await);
            }
            Act::People(leave) => people::look(world, service, leave).await,
            Act::Remap(item) => people::remap(world, service, item).await,
            Act::Weather(..) | Act::Clock(_) | Act::Full(_) | Act::Disk(..) | Act::Repair | Act::Move => {}
        }
        None
    }

    /// In peace: people look until nothing is left, then the books are read.
    async fn rest(&mut self, service: &Service) -> Option<Ended> {
        let world = Arc::clone(&self.world);
        self.round += 1;
        people::look(&world, service, u64::MAX).await;
        if world.disk.is_dead() {
            return Some(Ended::Died);
        }
        let quiet = world.with(|state| {
            state.erp.arrive(world.time.now());
            state.senders.are_done() && state.erp.is_quiet()
        });
        match service.store().ledger().await {
            Ok(ledger) if quiet && ledger.due == 0 && ledger.exception == 0 => {
                // Read from a store that was closed and opened, so that nothing lives only in memory.
                world.audit(service).await;
                return Some(Ended::Rested);
            }
            Ok(ledger) if self.round > PEACE_ROUNDS => {
                let open = people::describe_open(service).await;
                world.blame(format!("it does not come to rest: {ledger:?}, senders and wire quiet: {quiet}; {open}"));
                world.audit(service).await;
                return Some(Ended::Rested);
            }
            Ok(_) => {}
            Err(error) => world.note(|| format!("ledger: {error}")),
        }
        None
    }
}

fn make_peace(world: &Arc<World>) {
    world.note(|| "peace".to_owned());
    world.disk.heal();
    world.with(|state| {
        state.erp.repaired = true;
        state.erp.destinations.values_mut().for_each(|there| there.weather = Weather::Fair);
        state.senders.hurry(world.time.now());
    });
}

async fn stop(world: &Arc<World>, service: &Service) -> Ended {
    service.stop().await;
    if world.disk.is_dead() { Ended::Died } else { Ended::InOrder }
}

impl World {
    /// Looks at what changes, or changes it. Never across an await.
    pub fn with<T>(&self, work: impl FnOnce(&mut State) -> T) -> T {
        work(&mut self.state.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Adds to the story.
    pub fn note(&self, line: impl FnOnce() -> String) {
        let at = self.time.now() - START;
        let line = format!("{:>11.6} {}", Duration::from_micros(u64::try_from(at).unwrap_or(0)).as_secs_f64(), line());
        self.with(|state| {
            for byte in line.bytes() {
                state.story.digest = (state.story.digest ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
            }
            if state.story.loud {
                eprintln!("{line}");
            }
            state.story.lines.push(line);
        });
    }

    /// A promise was not kept.
    pub fn blame(&self, what: String) {
        self.note(|| format!("VIOLATION {what}"));
        self.with(|state| state.auditor.violations.push(what));
    }
}
