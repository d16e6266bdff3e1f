//! Every promise of the contract, each on a fresh file.

use std::sync::Arc;

use proptest::prelude::*;
use tempfile::TempDir;

use super::{folder, open};
use crate::store::SharedStore;
use crate::store::contract::lanes;
use crate::store::contract::random::{History, Step};

#[expect(clippy::unused_async, reason = "other backends wait for their server")]
async fn fresh() -> (SharedStore, TempDir) {
    let folder = folder();
    let store = open(&folder.path().join("crossdock.db"));
    (Arc::new(store), folder)
}

#[expect(clippy::unused_async, reason = "other backends wait for their server")]
async fn encrypted() -> (SharedStore, TempDir) {
    let folder = folder();
    let keys = Arc::new(crate::store::seal::Keys::new(&[[7; 32]]));
    let options = super::Options { keys, ..super::options(&folder.path().join("crossdock.db")) };
    (Arc::new(super::SqliteStore::open(options, super::clock()).unwrap()), folder)
}

mod on_an_encrypted_file {
    crate::store::contract::contract!(super::super::encrypted);
}

mod on_a_file {
    crate::store::contract::contract!(super::super::fresh);
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => (any::<u8>(), any::<u8>()).prop_map(|(number, way)| Step::Arrive(number, way)),
        2 => any::<u8>().prop_map(Step::Process),
        3 => Just(Step::Start),
        4 => (any::<u8>(), any::<u8>()).prop_map(|(which, way)| Step::Settle(which, way)),
        2 => (any::<u8>(), any::<u8>()).prop_map(|(which, way)| Step::Decide(which, way)),
        2 => (any::<u8>(), any::<u8>()).prop_map(|(which, way)| Step::Replay(which, way)),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn p2_the_ledger_adds_up_after_every_step_of_any_history(steps in prop::collection::vec(step(), 1..60)) {
        let folder = folder();
        let store = Arc::new(open(&folder.path().join("crossdock.db")));
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(async {
            let shared: SharedStore = store.clone();
            let mut history = History::new(&shared);
            for step in steps {
                history.step(step).await;
                assert_eq!(store.verify().await.unwrap(), Vec::<String>::new(), "after {step:?}");
            }
            shared.close().await.unwrap();
        });
    }
}

fn lane_step() -> impl Strategy<Value = lanes::Step> {
    prop_oneof![
        3 => (0_u64..6, 0_u8..4).prop_map(|(seconds, content)| lanes::Step::Report(seconds, content)),
        1 => any::<bool>().prop_map(lanes::Step::Send),
        1 => (0_u64..6, 0_u8..4).prop_map(|(seconds, content)| lanes::Step::Look(seconds, content)),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 128, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn lane_3_any_history_of_a_lane_ends_with_the_newest_content(steps in prop::collection::vec(lane_step(), 1..24)) {
        let folder = folder();
        let store: SharedStore = Arc::new(open(&folder.path().join("crossdock.db")));
        tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(lanes::lane_3_holds(&store, &steps));
    }
}
