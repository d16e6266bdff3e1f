use std::collections::{BTreeMap, BTreeSet};
use std::sync::Mutex;

use super::*;

/// Five events, two a page; `after` is how many are behind a position. Ends after `steps` writes, as a process may.
struct World {
    oldest: usize,
    events: usize,
    kept: Mutex<Option<String>>,
    taken: Mutex<BTreeMap<String, u32>>,
    steps: Mutex<u32>,
}

impl World {
    fn new(kept: Option<&str>, oldest: usize) -> Arc<Self> {
        let kept = Mutex::new(kept.map(|since| format!("{0} {0}?since={since}", home())));
        Arc::new(World { oldest, events: 5, kept, taken: Mutex::default(), steps: Mutex::new(u32::MAX) })
    }

    fn step(&self) -> Result<(), StoreError> {
        let mut steps = self.steps.lock().unwrap();
        *steps = steps.checked_sub(1).ok_or(StoreError::Stopped)?;
        Ok(())
    }

    fn taken(&self) -> BTreeSet<String> {
        self.taken.lock().unwrap().keys().cloned().collect()
    }

    fn answer(&self, url: &Url) -> Answer {
        let asked: BTreeMap<String, String> = url.query_pairs().into_owned().collect();
        let from = match asked.get("since") {
            Some(since) => since.parse().unwrap(),
            None if asked.contains_key("latest") => self.events,
            None => self.oldest,
        };
        if from < self.oldest {
            return Answer { status: 410, ..Answer::default() };
        }
        let to = (from + 2).min(self.events);
        let links = vec![format!("<{}?since={to}>; rel=\"next\"", home().path())];
        if from == to {
            return Answer { status: 204, links, retry_after: Some(Duration::from_secs(10)), body: Vec::new() };
        }
        let events: Vec<String> =
            (from..to).map(|n| format!(r#"{{"position":"{}","event":{{"eventid":"e{n}"}}}}"#, n + 1)).collect();
        let body = format!(r#"{{"events":[{}]}}"#, events.join(",")).into_bytes();
        Answer { status: 200, links, retry_after: None, body }
    }
}

impl Fetch for World {
    fn get<'a>(&'a self, url: &'a Url) -> Soon<'a, Answer, String> {
        Box::pin(async { Ok(self.answer(url)) })
    }
}

impl TakeEvent for World {
    fn take<'a>(&'a self, event: &'a [u8]) -> Soon<'a, (), StoreError> {
        Box::pin(async {
            self.step()?;
            *self.taken.lock().unwrap().entry(String::from_utf8(event.to_vec()).unwrap()).or_default() += 1;
            Ok(())
        })
    }
}

impl Positions for World {
    fn kept(&self) -> Soon<'_, Option<String>, StoreError> {
        Box::pin(async { Ok(self.kept.lock().unwrap().clone()) })
    }

    fn keep<'a>(&'a self, position: &'a str) -> Soon<'a, (), StoreError> {
        Box::pin(async {
            self.step()?;
            *self.kept.lock().unwrap() = Some(position.to_owned());
            Ok(())
        })
    }
}

fn home() -> Url {
    Url::parse("https://journal.example/events/organizations/1/integrations/2/3").unwrap()
}

fn reader(world: &Arc<World>) -> Reader {
    Reader {
        home: home(),
        fetch: world.clone(),
        take: world.clone(),
        positions: world.clone(),
        missed: Arc::new(Notify::new()),
    }
}

#[tokio::test]
async fn the_first_reading_begins_at_the_end_and_the_next_goes_on_from_there() {
    let world = World::new(None, 0);
    let read = reader(&world).read().await.unwrap();
    assert_eq!(read, Read { taken: 0, gap: false, pause: Some(Duration::from_secs(10)) });
    assert!(world.kept.lock().unwrap().as_deref().unwrap().ends_with("?since=5"));
}

#[tokio::test]
async fn everything_behind_the_position_is_taken_in_once() {
    let world = World::new(Some("1"), 0);
    assert_eq!(reader(&world).read().await.unwrap().taken, 4);
    assert_eq!(reader(&world).read().await.unwrap().taken, 0);
    assert!(world.taken.lock().unwrap().values().all(|times| *times == 1));
}

#[tokio::test]
async fn an_end_of_the_process_at_any_write_repeats_and_never_skips() {
    for steps in 0..12 {
        let world = World::new(Some("0"), 0);
        *world.steps.lock().unwrap() = steps;
        let cut = reader(&world).read().await;
        assert_eq!(cut.is_err(), steps < 9, "five events, three pages, one end");
        *world.steps.lock().unwrap() = u32::MAX;
        reader(&world).read().await.unwrap();
        assert_eq!(world.taken().len(), 5, "cut after {steps} writes");
    }
}

#[tokio::test]
async fn an_expired_position_starts_at_the_oldest_and_asks_for_a_search() {
    let world = World::new(Some("0"), 3);
    let reader = reader(&world);
    let read = reader.read().await.unwrap();
    assert_eq!((read.taken, read.gap), (2, true));
    tokio::time::timeout(Duration::from_secs(5), reader.missed.notified()).await.unwrap();
}

#[tokio::test]
async fn after_another_journal_was_configured_everything_it_holds_is_read() {
    let world = World::new(None, 0);
    *world.kept.lock().unwrap() = Some("https://old.example/a https://old.example/a?since=5".to_owned());
    let read = reader(&world).read().await.unwrap();
    assert_eq!((read.taken, read.gap), (5, true));
}
