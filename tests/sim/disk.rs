//! A disk in memory that can fail, tear and forget.
//!
//! Every file has what the running system sees and what would be there after the power went. Between two flushes lie
//! writes that a power cut keeps, drops or tears, sector by sector. Operations are counted, so that a fault can be
//! placed at exactly the *k*-th of a scenario.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use rusqlite::ffi;
use tokio::sync::Notify;

use super::chance::Chance;

/// What a power cut keeps or drops as a whole.
const SECTOR: usize = 512;
/// Places of a shared-memory lock (`SQLITE_SHM_NLOCK`).
const SLOTS: usize = 8;

/// What goes wrong at an operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The machine loses power: what was not flushed is kept, dropped or torn by chance.
    PowerCut,
    /// The same, and nothing that was not flushed survives.
    PowerCutForgetful,
    /// The process is killed; what it wrote stays with the system.
    Kill,
    /// A write fails.
    WriteFails,
    /// There is no room for this write.
    Full,
    /// A flush fails and the system forgets what it should have flushed, as Linux does.
    FlushFails,
    /// A read comes back short of what is there.
    ReadFails,
}

impl Fault {
    /// Whether it ends the process at once.
    fn ends(self) -> bool {
        matches!(self, Fault::PowerCut | Fault::PowerCutForgetful | Fault::Kill)
    }

    fn fits(self, kind: Kind) -> bool {
        match self {
            Fault::PowerCut | Fault::PowerCutForgetful | Fault::Kill => kind != Kind::Read,
            Fault::WriteFails | Fault::Full => kind == Kind::Write,
            Fault::FlushFails => kind == Kind::Flush,
            Fault::ReadFails => kind == Kind::Read,
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Read,
    Write,
    Flush,
    Change,
}

/// The disk of one simulated machine.
pub struct Disk {
    number: u64,
    inside: Mutex<Inside>,
    /// Rung when the machine has died.
    pub died: Notify,
}

struct Inside {
    files: BTreeMap<String, File>,
    /// Raised by every restart: what was opened before is dead.
    boot: u64,
    dead: Option<Fault>,
    /// Operations that change something, since the disk was made.
    changes: u64,
    reads: u64,
    plan: BTreeMap<u64, Fault>,
    read_plan: BTreeSet<u64>,
    /// Room left for growth, if it is bounded.
    full: bool,
    handles: u64,
    chance: Chance,
    /// Where each fault would strike for the first time: the kinds of all changes, in order.
    kinds: Vec<Kind>,
    /// Faults that struck, for the report.
    struck: Vec<(u64, Fault)>,
}

#[derive(Default)]
struct File {
    seen: Vec<u8>,
    durable: Vec<u8>,
    /// The name itself is on the disk.
    named: bool,
    pending: Vec<Pending>,
    locks: BTreeMap<u64, i32>,
    shared_memory: Option<Arc<SharedMemory>>,
    shared: [BTreeSet<u64>; SLOTS],
    exclusive: [Option<u64>; SLOTS],
}

enum Pending {
    Write(usize, Vec<u8>),
    Length(usize),
}

/// Memory that connections of one process share; its parts never move.
#[derive(Default)]
pub(super) struct SharedMemory(Mutex<Vec<Box<[u64]>>>);

impl SharedMemory {
    pub(super) fn part(&self, index: usize, bytes: usize, extend: bool) -> Option<*mut u8> {
        let mut parts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        while parts.len() <= index {
            if !extend {
                return None;
            }
            parts.push(vec![0_u64; bytes.div_ceil(8)].into_boxed_slice());
        }
        Some(parts[index].as_mut_ptr().cast())
    }
}

/// One open file.
pub(super) struct Open {
    pub(super) disk: Arc<Disk>,
    pub(super) name: String,
    pub(super) id: u64,
    boot: u64,
    pub(super) shared_memory: Option<Arc<SharedMemory>>,
    delete_on_close: bool,
}

static DISKS: Mutex<BTreeMap<u64, Weak<Disk>>> = Mutex::new(BTreeMap::new());
const ROOT: &str = "/crossdock-sim/";

/// Whether a path lies on a simulated disk.
pub fn owns(path: &Path) -> bool {
    path.starts_with(ROOT)
}

/// The disk that a path lies on.
pub(super) fn of(path: &str) -> Option<Arc<Disk>> {
    let number = path.strip_prefix(ROOT)?.split('/').next()?.parse::<u64>().ok()?;
    lock(&DISKS).get(&number)?.upgrade()
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Disk {
    /// An empty disk.
    pub fn new(chance: Chance) -> Arc<Disk> {
        super::vfs::register();
        let mut disks = lock(&DISKS);
        let number = disks.keys().next_back().map_or(1, |last| last + 1);
        let inside = Inside {
            files: BTreeMap::new(),
            boot: 1,
            dead: None,
            changes: 0,
            reads: 0,
            plan: BTreeMap::new(),
            read_plan: BTreeSet::new(),
            full: false,
            handles: 0,
            chance,
            kinds: Vec::new(),
            struck: Vec::new(),
        };
        let disk = Arc::new(Disk { number, inside: Mutex::new(inside), died: Notify::new() });
        disks.insert(number, Arc::downgrade(&disk));
        disk
    }

    /// Where a file of that name is.
    pub fn path(&self, name: &str) -> String {
        format!("{ROOT}{}/{name}", self.number)
    }

    /// The fault strikes the first fitting operation from the `at`-th on.
    pub fn plan(&self, at: u64, fault: Fault) {
        let mut inside = self.lock();
        if fault == Fault::ReadFails {
            inside.read_plan.insert(at);
        } else {
            inside.plan.insert(at, fault);
        }
    }

    /// No more planned faults, and room again.
    pub fn heal(&self) {
        let mut inside = self.lock();
        inside.plan.clear();
        inside.read_plan.clear();
        inside.full = false;
    }

    /// Whether there is room for more.
    pub fn set_full(&self, full: bool) {
        self.lock().full = full;
    }

    /// Changes so far.
    pub fn changes(&self) -> u64 {
        self.lock().changes
    }

    /// Reads so far.
    pub fn reads(&self) -> u64 {
        self.lock().reads
    }

    /// Operations that this fault can strike.
    pub fn chances(&self, fault: Fault) -> Vec<u64> {
        let inside = self.lock();
        if fault == Fault::ReadFails {
            return (1..=inside.reads).collect();
        }
        (1..).zip(&inside.kinds).filter(|(_, kind)| fault.fits(**kind)).map(|(at, _)| at).collect()
    }

    /// Faults that struck so far.
    pub fn struck(&self) -> Vec<(u64, Fault)> {
        self.lock().struck.clone()
    }

    /// Whether the machine has died and was not started again: whatever our code does now happens to nobody.
    pub fn is_dead(&self) -> bool {
        self.lock().dead.is_some()
    }

    /// The machine dies here.
    pub fn die(&self, how: Fault) {
        let mut inside = self.lock();
        if inside.dead.is_none() {
            inside.dead = Some(how);
            self.died.notify_one();
        }
    }

    /// The machine starts again: what survived of the files is what it finds. A process that ended in order is as one
    /// that was killed.
    pub fn restart(&self) {
        let mut inside = self.lock();
        let how = inside.dead.take().unwrap_or(Fault::Kill);
        inside.boot += 1;
        let Inside { files, chance, .. } = &mut *inside;
        if how == Fault::Kill {
            for file in files.values_mut() {
                file.let_go();
            }
            return;
        }
        let keep_nothing = how == Fault::PowerCutForgetful;
        for file in files.values_mut() {
            file.let_go();
            file.survive(chance, keep_nothing);
        }
        files.retain(|_, file| file.named || (!keep_nothing && chance.one_in(2)));
    }

    fn lock(&self) -> MutexGuard<'_, Inside> {
        lock(&self.inside)
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        lock(&DISKS).remove(&self.number);
    }
}

impl File {
    fn let_go(&mut self) {
        self.locks.clear();
        self.shared_memory = None;
        self.shared = Default::default();
        self.exclusive = Default::default();
    }

    fn flush(&mut self) {
        let pending = std::mem::take(&mut self.pending);
        for change in pending {
            apply(&mut self.durable, change);
        }
        self.named = true;
    }

    /// After a power cut.
    fn survive(&mut self, chance: &mut Chance, keep_nothing: bool) {
        let pending = std::mem::take(&mut self.pending);
        // Three cuts in four are simple, so that whole shapes of loss are met often and not only mixtures.
        let habit = if keep_nothing { 0 } else { chance.below(4) };
        for change in pending {
            match (habit, change) {
                (0, _) => {}
                (1, whole) => apply(&mut self.durable, whole),
                (2, whole) => {
                    if chance.one_in(2) {
                        apply(&mut self.durable, whole);
                    }
                }
                (_, Pending::Length(length)) => {
                    if chance.one_in(2) {
                        apply(&mut self.durable, Pending::Length(length));
                    }
                }
                (_, Pending::Write(at, bytes)) => {
                    for (sector, part) in sectors(at, &bytes) {
                        if chance.one_in(2) {
                            apply(&mut self.durable, Pending::Write(sector, part.to_vec()));
                        }
                    }
                }
            }
        }
        self.seen.clone_from(&self.durable);
    }
}

/// The parts of a write, cut where sectors end.
fn sectors(at: usize, bytes: &[u8]) -> Vec<(usize, &[u8])> {
    let mut parts = Vec::new();
    let mut done = 0;
    while done < bytes.len() {
        let start = at + done;
        let end = (start / SECTOR + 1) * SECTOR - at;
        let end = end.min(bytes.len());
        parts.push((start, &bytes[done..end]));
        done = end;
    }
    parts
}

fn apply(bytes: &mut Vec<u8>, change: Pending) {
    match change {
        Pending::Write(at, new) => {
            if bytes.len() < at + new.len() {
                bytes.resize(at + new.len(), 0);
            }
            bytes[at..at + new.len()].copy_from_slice(&new);
        }
        Pending::Length(length) => bytes.resize(length, 0),
    }
}

impl Inside {
    /// Counts an operation; the fault that strikes it.
    fn count(&mut self, kind: Kind) -> Option<Fault> {
        if kind == Kind::Read {
            self.reads += 1;
            let due = self.read_plan.iter().next().copied().filter(|at| *at <= self.reads)?;
            self.read_plan.remove(&due);
            self.struck.push((self.reads, Fault::ReadFails));
            return Some(Fault::ReadFails);
        }
        self.changes += 1;
        self.kinds.push(kind);
        let now = self.changes;
        let due = self.plan.iter().find(|(at, fault)| **at <= now && fault.fits(kind)).map(|(at, _)| *at)?;
        let fault = self.plan.remove(&due)?;
        self.struck.push((now, fault));
        Some(fault)
    }
}

/// What the file interface hands on. Every answer is an `SQLite` result code.
impl Open {
    pub(super) fn file(path: &str, create: bool, delete_on_close: bool) -> Result<Open, i32> {
        let disk = of(path).ok_or(ffi::SQLITE_CANTOPEN)?;
        let (id, boot) = {
            let mut inside = disk.lock();
            if inside.dead.is_some() {
                return Err(ffi::SQLITE_CANTOPEN);
            }
            if !inside.files.contains_key(path) {
                if !create {
                    return Err(ffi::SQLITE_CANTOPEN);
                }
                inside.files.insert(path.to_owned(), File::default());
            }
            inside.handles += 1;
            (inside.handles, inside.boot)
        };
        Ok(Open { disk, name: path.to_owned(), id, boot, shared_memory: None, delete_on_close })
    }

    fn with<T>(&self, failed: T, work: impl FnOnce(&mut Inside) -> T) -> T {
        let mut inside = self.disk.lock();
        if inside.dead.is_some() || inside.boot != self.boot {
            return failed;
        }
        work(&mut inside)
    }

    fn with_file<T>(&self, failed: T, work: impl FnOnce(&mut File) -> T) -> T {
        let mut inside = self.disk.lock();
        if inside.dead.is_some() || inside.boot != self.boot {
            return failed;
        }
        match inside.files.get_mut(&self.name) {
            Some(file) => work(file),
            None => failed,
        }
    }

    pub(super) fn read(&self, at: usize, into: &mut [u8]) -> i32 {
        self.with(ffi::SQLITE_IOERR_READ, |inside| {
            if inside.count(Kind::Read).is_some() {
                return ffi::SQLITE_IOERR_READ;
            }
            let Some(file) = inside.files.get(&self.name) else { return ffi::SQLITE_IOERR_READ };
            let there = file.seen.len().saturating_sub(at).min(into.len());
            if there > 0 {
                into[..there].copy_from_slice(&file.seen[at..at + there]);
            }
            into[there..].fill(0);
            if there < into.len() { ffi::SQLITE_IOERR_SHORT_READ } else { ffi::SQLITE_OK }
        })
    }

    pub(super) fn write(&self, at: usize, bytes: &[u8]) -> i32 {
        let code = self.with(ffi::SQLITE_IOERR_WRITE, |inside| {
            let fault = inside.count(Kind::Write);
            let grows = inside.files.get(&self.name).is_some_and(|file| file.seen.len() < at + bytes.len());
            let mut kept = bytes.len();
            let code = match fault {
                Some(fault) if fault.ends() => {
                    // The last write of a machine may have got anywhere.
                    kept = usize::try_from(inside.chance.below(bytes.len() as u64 + 1)).unwrap_or(0);
                    inside.dead = Some(fault);
                    ffi::SQLITE_IOERR_WRITE
                }
                Some(Fault::WriteFails) => {
                    kept = 0;
                    ffi::SQLITE_IOERR_WRITE
                }
                Some(Fault::Full) => return ffi::SQLITE_FULL,
                _ if inside.full && grows => return ffi::SQLITE_FULL,
                _ => ffi::SQLITE_OK,
            };
            let Some(file) = inside.files.get_mut(&self.name) else { return ffi::SQLITE_IOERR_WRITE };
            if kept > 0 {
                apply(&mut file.seen, Pending::Write(at, bytes[..kept].to_vec()));
                file.pending.push(Pending::Write(at, bytes[..kept].to_vec()));
            }
            code
        });
        self.tell_death();
        code
    }

    pub(super) fn truncate(&self, length: usize) -> i32 {
        let code = self.with(ffi::SQLITE_IOERR_TRUNCATE, |inside| {
            if let Some(fault) = inside.count(Kind::Change)
                && fault.ends()
            {
                inside.dead = Some(fault);
                return ffi::SQLITE_IOERR_TRUNCATE;
            }
            let Some(file) = inside.files.get_mut(&self.name) else { return ffi::SQLITE_IOERR_TRUNCATE };
            file.seen.resize(length, 0);
            file.pending.push(Pending::Length(length));
            ffi::SQLITE_OK
        });
        self.tell_death();
        code
    }

    pub(super) fn flush(&self) -> i32 {
        let code = self.with(ffi::SQLITE_IOERR_FSYNC, |inside| {
            let fault = inside.count(Kind::Flush);
            let Some(file) = inside.files.get_mut(&self.name) else { return ffi::SQLITE_IOERR_FSYNC };
            match fault {
                Some(fault) if fault.ends() => {
                    inside.dead = Some(fault);
                    ffi::SQLITE_IOERR_FSYNC
                }
                Some(Fault::FlushFails) => {
                    // The system shows what was written and will never write it: it counts as clean now.
                    file.pending.clear();
                    ffi::SQLITE_IOERR_FSYNC
                }
                _ => {
                    file.flush();
                    ffi::SQLITE_OK
                }
            }
        });
        self.tell_death();
        code
    }

    fn tell_death(&self) {
        if self.disk.is_dead() {
            self.disk.died.notify_one();
        }
    }

    pub(super) fn length(&self) -> Option<usize> {
        self.with_file(None, |file| Some(file.seen.len()))
    }

    pub(super) fn lock_file(&self, wanted: i32) -> i32 {
        self.with_file(ffi::SQLITE_IOERR_LOCK, |file| {
            let mine = file.locks.get(&self.id).copied().unwrap_or(0);
            if mine >= wanted {
                return ffi::SQLITE_OK;
            }
            let others = |floor: i32| file.locks.iter().any(|(id, level)| *id != self.id && *level >= floor);
            let level = match wanted {
                ffi::SQLITE_LOCK_SHARED if others(ffi::SQLITE_LOCK_PENDING) => return ffi::SQLITE_BUSY,
                ffi::SQLITE_LOCK_RESERVED | ffi::SQLITE_LOCK_EXCLUSIVE if others(ffi::SQLITE_LOCK_RESERVED) => {
                    return ffi::SQLITE_BUSY;
                }
                ffi::SQLITE_LOCK_EXCLUSIVE if others(ffi::SQLITE_LOCK_SHARED) => {
                    file.locks.insert(self.id, ffi::SQLITE_LOCK_PENDING);
                    return ffi::SQLITE_BUSY;
                }
                level => level,
            };
            file.locks.insert(self.id, level);
            ffi::SQLITE_OK
        })
    }

    pub(super) fn unlock_file(&self, level: i32) -> i32 {
        self.with_file(ffi::SQLITE_OK, |file| {
            if level == ffi::SQLITE_LOCK_NONE {
                file.locks.remove(&self.id);
            } else if file.locks.get(&self.id).is_some_and(|mine| *mine > level) {
                file.locks.insert(self.id, level);
            }
            ffi::SQLITE_OK
        })
    }

    pub(super) fn is_reserved(&self) -> bool {
        self.with_file(false, |file| file.locks.values().any(|level| *level >= ffi::SQLITE_LOCK_RESERVED))
    }

    pub(super) fn share(&mut self) -> Option<Arc<SharedMemory>> {
        if self.shared_memory.is_none() {
            let found = self.with_file(None, |file| Some(Arc::clone(file.shared_memory.get_or_insert_default())));
            self.shared_memory = found;
        }
        self.shared_memory.clone()
    }

    pub(super) fn lock_shared(&self, first: usize, count: usize, flags: i32) -> i32 {
        let slots = first..(first + count).min(SLOTS);
        let release = flags & ffi::SQLITE_SHM_UNLOCK != 0;
        let failed = if release { ffi::SQLITE_OK } else { ffi::SQLITE_IOERR_SHMLOCK };
        self.with_file(failed, |file| {
            if release {
                for slot in slots {
                    file.shared[slot].remove(&self.id);
                    if file.exclusive[slot] == Some(self.id) {
                        file.exclusive[slot] = None;
                    }
                }
                return ffi::SQLITE_OK;
            }
            let exclusive = flags & ffi::SQLITE_SHM_EXCLUSIVE != 0;
            let taken = |slot: usize| {
                file.exclusive[slot].is_some_and(|holder| holder != self.id)
                    || (exclusive && file.shared[slot].iter().any(|holder| *holder != self.id))
            };
            if slots.clone().any(taken) {
                return ffi::SQLITE_BUSY;
            }
            for slot in slots {
                if exclusive {
                    file.exclusive[slot] = Some(self.id);
                } else {
                    file.shared[slot].insert(self.id);
                }
            }
            ffi::SQLITE_OK
        })
    }

    pub(super) fn close(&self) {
        self.unlock_file(ffi::SQLITE_LOCK_NONE);
        self.lock_shared(0, SLOTS, ffi::SQLITE_SHM_UNLOCK);
        if self.delete_on_close {
            delete(&self.name);
        }
    }
}

/// Writes a file's own bytes over themselves, and flushes them.
pub fn rewrite(path: &Path) -> std::io::Result<()> {
    let failed = |code: i32| std::io::Error::other(format!("code {code}"));
    let path = path.to_str().unwrap_or_default();
    if !exists(path) {
        return Ok(());
    }
    let file = Open::file(path, false, false).map_err(failed)?;
    let length = file.length().ok_or_else(|| failed(ffi::SQLITE_IOERR))?;
    let (mut chunk, mut at) = (vec![0; 64 * 1024], 0);
    while at < length {
        let part = (length - at).min(chunk.len());
        // One after the other: what could not be read is never written.
        match file.read(at, &mut chunk[..part]) {
            ffi::SQLITE_OK => {}
            code => return Err(failed(code)),
        }
        match file.write(at, &chunk[..part]) {
            ffi::SQLITE_OK => {}
            code => return Err(failed(code)),
        }
        at += part;
    }
    match file.flush() {
        ffi::SQLITE_OK => Ok(()),
        code => Err(failed(code)),
    }
}

/// Whether there is a file of that name.
pub(super) fn exists(path: &str) -> bool {
    of(path).is_some_and(|disk| disk.lock().files.get(path).is_some_and(|file| !file.seen.is_empty()))
}

/// Removes a file. The name is gone at once and for good.
pub(super) fn delete(path: &str) -> i32 {
    let Some(disk) = of(path) else { return ffi::SQLITE_IOERR_DELETE };
    let mut inside = disk.lock();
    if inside.dead.is_some() {
        return ffi::SQLITE_IOERR_DELETE;
    }
    if let Some(fault) = inside.count(Kind::Change)
        && fault.ends()
    {
        inside.dead = Some(fault);
        disk.died.notify_one();
        return ffi::SQLITE_IOERR_DELETE;
    }
    match inside.files.remove(path) {
        Some(_) => ffi::SQLITE_OK,
        None => ffi::SQLITE_IOERR_DELETE_NOENT,
    }
}
