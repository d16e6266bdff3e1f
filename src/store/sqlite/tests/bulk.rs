//! Acts on many records in a store that was restored.

use std::sync::Arc;

use super::keeping::{copy, restored};
use super::{folder, open};
use crate::clock::SeededEntropy;
use crate::envelope::ids::BulkId;
use crate::store::SharedStore;
use crate::store::bulk::{Bulks as _, NewBulk, Targets};
use crate::store::contract::build::{Maker, act, at, delivered, settle, start};
use crate::store::write::Act;

/// What a copy had not done of an act on many may have been done since, by the store that is gone.
#[tokio::test]
async fn bak_3_an_act_on_many_that_is_open_in_a_copy_does_not_go_on_in_it() {
    let folder = folder();
    let path = folder.path().join("crossdock.db");
    let shared: SharedStore = Arc::new(open(&path));
    let maker = Maker::default();
    let (_, first) = maker.waiting(&shared, "1").await;
    let (_, second) = maker.waiting(&shared, "2").await;
    for delivery in [first, second] {
        let started = start(&shared, delivery).await.unwrap();
        settle(&shared, started, delivered()).await;
    }
    let ask = async |seed: u64, begins_at| {
        let id = BulkId::new(at(60), &SeededEntropy::new(seed));
        let act = Act { target: id.to_string(), ..act("bulk.resend") };
        let (filter, sums) = ("{}".to_owned(), "[]".to_owned());
        let targets = Targets::Resend(vec![first, second]);
        shared.ask_bulk(NewBulk { id, targets, filter, sums, per_minute: 60, begins_at, act }).await.unwrap().id
    };
    let [running, waiting, awaiting] = [ask(1, Some(at(60))).await, ask(2, Some(at(99_999))).await, ask(3, None).await];
    shared.take_turn(running, at(60)).await.unwrap().expect("a turn");
    let made = copy(&path, &folder.path().join("copy.db"), 60);
    let restored = restored(&made.path, &folder.path().join("restored.db"), 3_600);
    assert!(restored.open_bulks().await.unwrap().is_empty());
    for (id, state) in [(running, "stopped"), (waiting, "undone"), (awaiting, "undone")] {
        let row = restored.bulk(id).await.unwrap().unwrap();
        assert_eq!(
            (row.state.as_str(), row.ended_by.as_deref(), row.ended_at),
            (state, Some("system"), Some(at(3_600)))
        );
        assert!(row.ending.contains("restored from a copy"), "{}", row.ending);
        assert_eq!(restored.take_turn(id, at(100_000)).await.unwrap(), None);
    }
}
