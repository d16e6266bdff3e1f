//! Copies, restores, retention, erasure, encryption at rest.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use super::{clock, folder, open, options};
use crate::clock::{ManualClock, SeededEntropy, Timestamp, from_micros};
use crate::envelope::keys::Digest;
use crate::store::accounts::Accounts as _;
use crate::store::contract::accounts::{session, user};
use crate::store::contract::build::{
    Maker, act, at, delivered, delivery_state, due, ledger, order, settle, start, state,
};
use crate::store::seal::Keys;
use crate::store::sqlite::{Options, SqliteStore};
use crate::store::view::{DueDelivery, Retired};
use crate::store::write::{AttemptSeen, Erasure, NextState, Receipt, Replay, Retire, Rung, Settlement, SubjectFacts};
use crate::store::{SharedStore, Store as _, StoreError, copies};

pub(super) fn copy(store: &Path, to: &Path, seconds: u64) -> copies::Copied {
    copies::copy(store, to, at(seconds), &mut |_, _| {}).expect("the copy is made")
}

/// A copy put in place of nothing, and served.
pub(super) fn restored(copy: &Path, path: &Path, seconds: u64) -> Arc<SqliteStore> {
    let hold = copies::hold(path).unwrap();
    assert_eq!(copies::put_in_place(&hold, copy, at(seconds)).unwrap(), None);
    drop(hold);
    Arc::new(SqliteStore::open(options(path), Arc::new(ManualClock::new(at(seconds)))).unwrap())
}

fn noise(bytes: usize) -> crate::store::write::PackedBody {
    let mut noise = vec![0; bytes];
    crate::clock::Entropy::fill(&SeededEntropy::new(1), &mut noise);
    crate::store::pack::pack(&noise)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bak_1_a_copy_beside_a_busy_writer_is_sound_and_never_stalls_it() {
    let folder = folder();
    let path = folder.path().join("crossdock.db");
    let store = Arc::new(open(&path));
    let maker = Arc::new(Maker::default());
    let body = noise(100_000);
    let append = async |event: u32| {
        let mut arrival = maker.arrival(vec![maker.record("42", &event.to_string(), "x")]);
        arrival.body = body.clone();
        let began = Instant::now();
        store.append(arrival).await.unwrap();
        began.elapsed()
    };
    let mut event = 0;
    let mut without = Duration::ZERO;
    while event < 300 {
        without = append(event).await.max(without);
        event += 1;
    }
    let done = Arc::new(AtomicBool::new(false));
    let (to, finished) = (folder.path().join("copy.db"), Arc::clone(&done));
    let copying = std::thread::spawn(move || {
        let made = copy(&path, &to, 1);
        finished.store(true, Ordering::SeqCst);
        made
    });
    let mut longest = Duration::ZERO;
    // More than the log may hold is written meanwhile: its reset meets the reader and must not wait for it.
    while !done.load(Ordering::SeqCst) || event < 800 {
        longest = append(event).await.max(longest);
        event += 1;
    }
    let made = copying.join().unwrap();
    println!("longest commit without a copy {without:?}, beside it {longest:?}; {made:?}");
    assert!(made.facts.accepted >= 300 && made.facts.accepted <= u64::from(event), "{made:?}");
    assert_eq!(made.facts.installation_id, store.installation_id());
    assert!(longest < Duration::from_secs(2), "{longest:?}");
    assert_eq!(copies::findings(&made.path, &Keys::default()).unwrap(), Vec::<String>::new());
}

#[tokio::test]
async fn bak_1_a_reader_of_an_old_state_never_holds_up_the_writer() {
    let folder = folder();
    let path = folder.path().join("crossdock.db");
    let store = open(&path);
    let maker = Maker::default();
    let reader = rusqlite::Connection::open(&path).unwrap();
    reader.execute_batch("BEGIN; SELECT COUNT(*) FROM meta;").unwrap();
    let body = noise(200_000);
    let mut longest = Duration::ZERO;
    for event in 0..400 {
        let mut arrival = maker.arrival(vec![maker.record("42", &event.to_string(), "x")]);
        arrival.body = body.clone();
        let began = Instant::now();
        store.append(arrival).await.unwrap();
        longest = longest.max(began.elapsed());
    }
    // Waiting for the reader would take as long as the busy time-out, five seconds.
    assert!(longest < Duration::from_secs(3), "{longest:?}");
}

#[tokio::test]
async fn bak_3_what_is_open_in_a_copy_is_in_doubt_once_it_is_served() {
    let folder = folder();
    let path = folder.path().join("crossdock.db");
    let store = Arc::new(open(&path));
    let shared: SharedStore = store.clone();
    let maker = Maker::default();
    let (_, waiting) = maker.waiting(&shared, "1").await;
    // A second effect of the same order waits behind the first.
    let later_event = maker.arrive(&shared, "1", "later").await;
    let mut conclusion = crate::store::write::Conclusion::default();
    let key = crate::store::contract::build::key("1", "erp", "order.cancel", "r1", 0);
    maker.intend(&mut conclusion, "erp", key, "order.cancel", "r1");
    let behind = conclusion.deliveries[0].id;
    shared.conclude(later_event, conclusion, at(1)).await.unwrap();
    let (_, flying) = maker.waiting(&shared, "2").await;
    start(&shared, flying).await.unwrap();
    let (_, parked) = maker.parked(&shared, "3").await;
    let (_, done) = maker.waiting(&shared, "4").await;
    let started = start(&shared, done).await.unwrap();
    settle(&shared, started, delivered()).await;
    let begun = maker.arrive(&shared, "5", "begun").await;
    shared.claim_envelopes(9).await.unwrap();
    let made = copy(&path, &folder.path().join("copy.db"), 60);
    assert_eq!(made.facts.open, [("erp".to_owned(), 4)]);

    let target = folder.path().join("restored.db");
    let restored = restored(&made.path, &target, 3_600);
    let again_shared: SharedStore = restored.clone();
    let restoration = restored.restoration().unwrap();
    assert_eq!((restoration.copied_at, restoration.restored_at, restoration.in_doubt), (at(60), at(3_600), 4));
    assert_eq!(restored.verify().await.unwrap(), Vec::<String>::new());
    assert_eq!(ledger(&again_shared).await, ledger(&shared).await);
    let heads = due(&again_shared).await;
    assert_eq!(heads.iter().map(|one| one.id).collect::<Vec<_>>(), [waiting], "nothing overtakes its lane");
    let since = (Rung::Restored, true, Some(at(60)));
    let of = |one: &DueDelivery| (one.ladder.rung, one.uncertain, one.first_attempt_at);
    assert_eq!(of(&heads[0]), since, "nothing is sent as if nothing had happened; its key may be known since the copy");
    let interrupted = restored.interrupted_attempts().await.unwrap();
    assert_eq!(interrupted.iter().map(|one| one.delivery.id).collect::<Vec<_>>(), [flying]);
    assert_eq!(of(&interrupted[0].delivery), (Rung::Restored, true, Some(at(2))));
    assert_eq!(delivery_state(&again_shared, done).await, "delivered", "att_2: a copy carries its proof");
    let (_, row) = restored.delivery_origin(parked).await.unwrap().unwrap();
    assert!(row.uncertain);
    // Nobody died with it: the event that was begun is simply claimed again.
    assert_eq!(restored.claim_envelopes(9).await.unwrap().iter().map(|one| one.id).collect::<Vec<_>>(), [begun]);

    // The one behind is in doubt when its turn comes.
    let sent = start(&again_shared, waiting).await.unwrap();
    assert!(settle(&again_shared, sent, delivered()).await);
    let heads = due(&again_shared).await;
    assert_eq!(heads.iter().map(|one| (one.id, of(one))).collect::<Vec<_>>(), [(behind, since)]);
    assert_eq!(restored.verify().await.unwrap(), Vec::<String>::new());

    // Once taken over, it is a store like any other.
    restored.restored().await.unwrap();
    restored.close().await.unwrap();
    drop((restored, again_shared));
    assert!(open(&target).restoration().is_none());
}

#[tokio::test]
async fn bak_3_an_order_of_before_the_restore_that_is_met_for_the_first_time_is_in_doubt() {
    let folder = folder();
    let path = folder.path().join("crossdock.db");
    drop(open(&path));
    let made = copy(&path, &folder.path().join("copy.db"), 60);
    let restored = restored(&made.path, &folder.path().join("restored.db"), 3_600);
    let store: SharedStore = restored.clone();
    let maker = Maker::default();
    let receive = async |number: &str, placed_at: Option<Timestamp>, received_at: Timestamp| {
        let mut record = maker.record(number, number, number);
        let mut conclusion = maker.express(maker.create(number, &["erp"]));
        conclusion.facts = SubjectFacts { placed_at, ..SubjectFacts::default() };
        let delivery = conclusion.deliveries[0].id;
        record.conclusion = Some(conclusion);
        let mut arrival = maker.arrival(vec![record]);
        arrival.received_at = received_at;
        let receipts = store.append(arrival).await.unwrap();
        let in_doubt = matches!(&receipts[..], [Receipt::First { started, .. }] if started.is_empty());
        let (_, row) = store.delivery_origin(delivery).await.unwrap().unwrap();
        assert_eq!((row.ladder.rung == Rung::Restored, row.uncertain), (in_doubt, in_doubt));
        in_doubt.then(|| row.first_attempt_at.unwrap())
    };
    // UNC-2: since when its key may be known, at the earliest.
    let placed = receive("1", Some(at(600)), at(3_700)).await;
    assert_eq!(placed, Some(at(600)), "placed while what is lost was served");
    assert_eq!(receive("2", Some(at(3_599)), at(3_700)).await, Some(at(3_599)));
    assert_eq!(receive("3", Some(at(3_601)), at(3_700)).await, None, "placed after the restore");
    assert_eq!(receive("4", None, at(3_700)).await, Some(at(60)), "no date");
    assert_eq!(receive("5", None, at(3_600 + 8 * 86_400)).await, None, "no date, and long after");
    assert_eq!(receive("6", Some(at(5)), at(3_700)).await, Some(at(60)), "before the copy, and not in it");
    assert_eq!(restored.verify().await.unwrap(), Vec::<String>::new());
}

/// Who signed out after the copy was made must not be signed in again.
#[tokio::test]
async fn bak_3_nobody_is_signed_in_at_a_restored_copy() {
    let folder = folder();
    let path = folder.path().join("crossdock.db");
    let shared: SharedStore = Arc::new(open(&path));
    let anna = user("anna", "viewer");
    let (secret, id) = (Digest::of(b"secret"), anna.id);
    shared.create_user(anna, act("user.create")).await.unwrap();
    shared.begin_session(session(id, "secret", 5), act("session.begin")).await.unwrap();
    let made = copy(&path, &folder.path().join("copy.db"), 60);
    shared.end_session(secret, act("session.end")).await.unwrap();
    let restored = restored(&made.path, &folder.path().join("restored.db"), 100);
    assert!(restored.session(secret).await.unwrap().is_none());
    assert_eq!(restored.users().await.unwrap().len(), 1, "they may sign in");
}

#[tokio::test]
async fn bak_3_a_restore_is_refused_while_somebody_serves_and_keeps_what_it_replaces() {
    let folder = folder();
    let path = folder.path().join("crossdock.db");
    let store: SharedStore = Arc::new(open(&path));
    let maker = Maker::default();
    maker.waiting(&store, "1").await;
    let made = copy(&path, &folder.path().join("copy.db"), 60);
    assert!(copies::copy(&path, &made.path, at(61), &mut |_, _| {}).is_err(), "never over another file");
    maker.waiting(&store, "2").await;
    let refused = copies::hold(&path).unwrap_err().to_string();
    assert!(refused.contains("another `crossdock serve`"), "{refused}");
    drop(store);
    let hold = copies::hold(&path).unwrap();
    // A damaged copy changes nothing.
    let bent = folder.path().join("bent.db");
    let mut bytes = std::fs::read(&made.path).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle..middle + 9_000].fill(0xff);
    std::fs::write(&bent, bytes).unwrap();
    assert!(matches!(copies::put_in_place(&hold, &bent, at(99)), Err(StoreError::Corrupt(_) | StoreError::Query(_))));
    assert_eq!(copies::inspect(&path, true).unwrap().accepted, 2);
    let aside = copies::put_in_place(&hold, &made.path, at(100)).unwrap().unwrap();
    drop(hold);
    assert_eq!(copies::inspect(&path, true).unwrap().accepted, 1);
    assert_eq!(copies::inspect(&aside, true).unwrap().accepted, 2, "with the commits of its log");
    // A crash between the two renames must not look like a new installation.
    std::fs::rename(&path, folder.path().join("crossdock.db.restoring")).unwrap();
    let refused = SqliteStore::open(options(&path), clock()).err().unwrap().to_string();
    assert!(refused.contains("a restore") && refused.contains("was interrupted"), "{refused}");
}

#[tokio::test]
async fn bak_4_damage_that_a_reader_or_a_check_meets_stops_the_writer() {
    let folder = folder();
    let path = folder.path().join("crossdock.db");
    let store: SharedStore = Arc::new(open(&path));
    let maker = Maker::default();
    for number in 0..200 {
        maker.arrive(&store, &number.to_string(), &number.to_string()).await;
    }
    store.close().await.unwrap();
    drop(store);
    let store = open(&path);
    assert_eq!(store.check().await.unwrap(), Vec::<String>::new());
    drop(store);
    // What a reader has looked at before it need not read again.
    let store = open(&path);
    let mut bytes = std::fs::read(&path).unwrap();
    let middle = bytes.len() / 2 / 4096 * 4096;
    bytes[middle..middle + 40_960].fill(0xff);
    std::fs::write(&path, bytes).unwrap();
    assert!(!store.check().await.unwrap().is_empty());
    assert!(store.is_damaged() && store.health().is_err());
    let refused = store.append(maker.arrival(vec![maker.record("42", "after", "x")])).await;
    assert!(matches!(refused, Err(StoreError::Corrupt(_))), "{refused:?}");
}

const DAY: u64 = 86_400;

fn retire(now: u64) -> Retire {
    let before = |days: u64| from_micros(at(now).as_microsecond() - i64::try_from(days * DAY).unwrap() * 1_000_000);
    Retire { now: at(now), bodies_before: before(30), attempts_before: before(90), rows: 8 }
}

pub(super) async fn all(store: &SqliteStore, now: u64) -> Retired {
    let mut sum = Retired::default();
    loop {
        let slice = store.retire(retire(now)).await.unwrap();
        sum.bodies += slice.bodies;
        sum.attempts += slice.attempts;
        if !slice.more {
            return sum;
        }
    }
}

#[tokio::test]
async fn dat_2_bodies_and_attempts_leave_when_everything_about_them_is_old_enough() {
    let folder = folder();
    let store = Arc::new(open(&folder.path().join("crossdock.db")));
    let shared: SharedStore = store.clone();
    let maker = Maker::default();
    let mut done = Vec::new();
    for number in 1..=40 {
        let (envelope, delivery) = maker.waiting(&shared, &number.to_string()).await;
        let started = start(&shared, delivery).await.unwrap();
        settle(&shared, started, delivered()).await;
        done.push((envelope, delivery));
    }
    let (open_envelope, open_delivery) = maker.waiting(&shared, "open").await;
    // Two records of one request: its body stays until both are final.
    let records = vec![maker.record("a", "a", "a"), maker.record("b", "b", "b")];
    let (first, second) = (records[0].id, records[1].id);
    shared.append(maker.arrival(records)).await.unwrap();
    shared
        .conclude(
            first,
            crate::store::write::Conclusion { ignored: Some("no route".into()), ..Default::default() },
            at(1),
        )
        .await
        .unwrap();

    assert_eq!(all(&store, 29 * DAY).await, Retired::default());
    // A request, a document and a sealed request each.
    assert_eq!(all(&store, 31 * DAY).await, Retired { bodies: 120, attempts: 0, more: false });
    let (envelope, delivery) = done[0];
    let refused = store.envelope(envelope).await.unwrap_err();
    assert!(matches!(&refused, StoreError::NotAllowed(words) if words.contains("its retention is over")), "{refused}");
    assert!(store.envelope(open_envelope).await.is_ok());
    assert!(store.envelope(first).await.is_ok());
    // Lists and stories go on.
    let told = store.order("1".into()).await.unwrap();
    assert_eq!((told[0].order.state.as_str(), told[0].deliveries[0].attempts_made.len()), ("delivered", 1));
    let document = store.document(told[0].documents[0].id).await.unwrap().unwrap();
    assert_eq!((document.body, document.gone.as_deref()), (None, Some("removed: its retention is over")));

    let ignored = crate::store::write::Conclusion { ignored: Some("no route".into()), ..Default::default() };
    shared.conclude(second, ignored, at(32 * DAY)).await.unwrap();
    let started = start(&shared, open_delivery).await.unwrap();
    settle(&shared, started, delivered()).await;
    assert_eq!(all(&store, 33 * DAY).await, Retired { bodies: 4, attempts: 0, more: false }, "looked at again");
    assert_eq!(all(&store, 91 * DAY).await, Retired { bodies: 0, attempts: 41, more: false });
    assert!(store.delivery(delivery).await.unwrap().unwrap().attempts_made.is_empty());
    assert_eq!(store.verify().await.unwrap(), Vec::<String>::new());
    // DED-4: an old event is still known.
    let receipts = store.append(maker.arrival(vec![maker.record("1", "event of 1", "event of 1")])).await.unwrap();
    assert!(matches!(receipts[..], [Receipt::Duplicate { .. }]));
    assert_eq!(
        copies::findings(
            &copy(&folder.path().join("crossdock.db"), &folder.path().join("c.db"), 1).path,
            &Keys::default()
        )
        .unwrap(),
        Vec::<String>::new()
    );
}

pub(super) fn erasure(number: &str) -> Erasure {
    Erasure {
        kind: "order".into(),
        id: number.into(),
        system: None,
        scope: None,
        until: at(100),
        even_if_open: false,
        now: at(100),
        act: Some(act("subject.erase")),
    }
}

#[tokio::test]
async fn dat_1_erasing_destroys_bodies_and_answers_and_keeps_the_ledger_and_the_keys() {
    let folder = folder();
    let path = folder.path().join("crossdock.db");
    let store = Arc::new(open(&path));
    let shared: SharedStore = store.clone();
    let maker = Maker::default();
    let (envelope, delivery) = maker.waiting(&shared, "42").await;
    let (other, _) = maker.waiting(&shared, "43").await;
    let refused = store.erase(erasure("42")).await.unwrap_err().to_string();
    assert!(refused.contains("still open") && refused.contains("--even-if-open"), "{refused}");
    let started = start(&shared, delivery).await.unwrap();
    assert!(store.erase(Erasure { even_if_open: true, ..erasure("42") }).await.is_err(), "on the wire");
    settle(&shared, started, delivered()).await;
    let before = ledger(&shared).await;
    let erased = store.erase(erasure("42")).await.unwrap();
    assert_eq!((erased.subjects, erased.bodies, erased.answers), (vec![order("42")], 3, 1));
    assert_eq!(ledger(&shared).await, before);
    assert_eq!(store.envelope(envelope).await.unwrap_err().to_string(), "the payload was erased");
    assert!(store.envelope(other).await.is_ok());
    let told = store.order("42".into()).await.unwrap();
    assert_eq!(told[0].order.increment_id, "42");
    assert_eq!(told[0].deliveries[0].attempts_made[0].response, None);
    assert_eq!(store.document(told[0].documents[0].id).await.unwrap().unwrap().gone.as_deref(), Some("erased"));
    // The key still guards the destination, and a new report is not erased with the old ones.
    let again = maker.arrive(&shared, "42", "again").await;
    store.conclude(again, maker.create("42", &["erp"]), at(200)).await.unwrap();
    assert_eq!(store.order("42".into()).await.unwrap()[0].deliveries.len(), 1);
    assert_eq!(store.verify().await.unwrap(), Vec::<String>::new());
    assert!(matches!(store.erase(erasure("nobody")).await, Err(StoreError::NotFound(_))));
}

#[tokio::test]
async fn dat_1_what_is_open_is_given_up_only_on_demand() {
    let folder = folder();
    let store = Arc::new(open(&folder.path().join("crossdock.db")));
    let shared: SharedStore = store.clone();
    let maker = Maker::default();
    let (envelope, delivery) = maker.parked(&shared, "42").await;
    let complained = maker.arrive(&shared, "44", "e").await;
    store.conclude(complained, maker.complain("44", None, "Anna Weiß"), at(1)).await.unwrap();
    assert!(store.erase(erasure("44")).await.unwrap_err().to_string().contains("waits for a person"));
    for number in ["42", "44"] {
        store.erase(Erasure { even_if_open: true, ..erasure(number) }).await.unwrap();
    }
    assert_eq!(delivery_state(&shared, delivery).await, "abandoned");
    assert_eq!(
        (state(&shared, envelope).await.as_str(), state(&shared, complained).await.as_str()),
        ("ignored", "ignored")
    );
    let exceptions = store.exceptions(
        crate::store::ExceptionFilter { state: Some("all".into()), ..Default::default() },
        crate::store::view::Paging::default(),
    );
    assert!(exceptions.await.unwrap().items.iter().all(|one| one.value.is_none() && one.message == "erased"));
    assert_eq!(store.verify().await.unwrap(), Vec::<String>::new());
}

fn encrypted(path: &Path, keys: &[[u8; 32]]) -> Arc<SqliteStore> {
    Arc::new(SqliteStore::open(Options { keys: Arc::new(Keys::new(keys)), ..options(path) }, clock()).unwrap())
}

fn holds(path: &Path, text: &str) -> bool {
    let log = path.with_extension("db-wal");
    [path, &log].iter().any(|file| {
        std::fs::read(file).is_ok_and(|bytes| bytes.windows(text.len()).any(|window| window == text.as_bytes()))
    })
}

async fn whole_life(store: &SharedStore, maker: &Maker, number: &str) -> crate::envelope::ids::EnvelopeId {
    let (envelope, delivery) = maker.waiting(store, number).await;
    let started = start(store, delivery).await.unwrap();
    let seen =
        AttemptSeen { outcome: "accepted".into(), response: Some("thanks, Anna".into()), ..AttemptSeen::default() };
    let next = NextState::Delivered { receipt: None };
    let (delivery, number, epoch) = (started.delivery, started.number, started.epoch);
    store.settle(Settlement { delivery, number, epoch, seen, next, progress: None, at: at(3) }).await.unwrap();
    envelope
}

#[tokio::test]
async fn dat_1_with_a_key_no_body_and_no_answer_is_readable_in_the_file() {
    let folder = folder();
    let maker = Maker::default();
    let plain = folder.path().join("plain.db");
    let shared: SharedStore = Arc::new(open(&plain));
    let old = whole_life(&shared, &maker, "1").await;
    assert!(holds(&plain, "thanks, Anna"), "it can be found where nothing is encrypted");
    drop(shared);
    let path = folder.path().join("sealed.db");
    let store = encrypted(&path, &[[7; 32]]);
    let shared: SharedStore = store.clone();
    let envelope = whole_life(&shared, &maker, "1").await;
    for text in ["{\"document\":", "{\"order\":", "order 1", "thanks, Anna"] {
        assert!(!holds(&path, text), "{text}");
    }
    assert_eq!(
        &store.envelope(envelope).await.unwrap().unwrap().body[..],
        br#"{"order":{"increment_id":"000000042"}}"#
    );
    let told = store.order("1".into()).await.unwrap();
    assert_eq!(told[0].deliveries[0].attempts_made[0].response.as_deref(), Some("thanks, Anna"));
    assert!(store.document(told[0].documents[0].id).await.unwrap().unwrap().body.is_some());
    // A replay makes bodies too.
    let conclusion = maker.create("1", &["wms"]);
    store.replay(Replay { envelope, conclusion, act: act("exception.replay") }).await.unwrap();
    assert_eq!(store.upkeep().await.unwrap().plain, 0);
    drop((store, shared));
    // Without the key it says which one is missing; the store opens all the same.
    let locked = open(&path);
    let refused = locked.envelope(envelope).await.unwrap_err().to_string();
    assert!(refused.contains("store.encryption_key does not name"), "{refused}");
    drop(locked);

    // Switched on for a store that has plain bodies: they stay readable and are brought along.
    drop(open(&plain));
    let store = encrypted(&plain, &[[7; 32]]);
    assert!(store.envelope(old).await.is_ok());
    let shared: SharedStore = store.clone();
    whole_life(&shared, &maker, "2").await;
    let upkeep = store.upkeep().await.unwrap();
    assert_eq!((upkeep.plain, upkeep.encrypted), (3, 3));
    assert_eq!(recoded(&store).await, 3);
    drop((store, shared));
    // And a new key takes the old one's place.
    let store = encrypted(&plain, &[[8; 32], [7; 32]]);
    assert_eq!(recoded(&store).await, 6);
    drop(store);
    let store = encrypted(&plain, &[[8; 32]]);
    assert!(store.envelope(old).await.is_ok());
    let made = copy(&plain, &folder.path().join("c.db"), 1);
    assert_eq!(copies::findings(&made.path, &Keys::new(&[[8; 32]])).unwrap(), Vec::<String>::new());
    assert_eq!(copies::findings(&made.path, &Keys::new(&[[9; 32]])).unwrap().len(), 6);
}

async fn recoded(store: &SqliteStore) -> u64 {
    let mut changed = 0;
    for kind in 0..4 {
        let mut from = Some(0);
        while let Some(at) = from {
            let (next, now) = store.recode(kind, at, 2).await.unwrap();
            changed += now;
            from = next;
        }
    }
    changed
}
