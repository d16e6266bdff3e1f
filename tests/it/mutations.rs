//! Orders bent at random: whatever a sender makes of one, the service never fails, never loses count, and never lets a
//! document through that breaks a law.

use proptest::prelude::*;
use proptest::test_runner::{RngAlgorithm, TestCaseError, TestRng, TestRunner};
use serde_json::{Value, json};

use crate::support::bend::{Bend, apply, odd_values};
use crate::support::{Answer, TestApp, laws, orders};

/// Orders of every kind, as they stand in the tree.
fn bases() -> Vec<Value> {
    let mut bases = vec![orders::rest("1", "24-WG085", 2)];
    for folder in ["tests/fixtures/commerce", "tests/fixtures/spellings", "src/demo/orders"] {
        let folder = format!("{}/{folder}", env!("CARGO_MANIFEST_DIR"));
        let mut paths: Vec<_> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
        paths.sort();
        bases.extend(paths.iter().map(|path| serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap()));
    }
    bases
}

fn bend() -> impl Strategy<Value = Bend> {
    let odd = prop::sample::select(odd_values());
    prop_oneof![
        2 => Just(Bend::Drop),
        4 => odd.prop_map(Bend::Become),
        2 => Just(Bend::Respell),
        1 => Just(Bend::Negate),
        2 => any::<i8>().prop_map(Bend::Nudge),
        2 => Just(Bend::Double),
        1 => Just(Bend::Reshape),
        2 => any::<usize>().prop_map(Bend::Take),
    ]
}

/// How it is sent.
#[derive(Clone, Copy, Debug)]
enum Way {
    Hook,
    Flow,
    /// As one of a flow's batch, between two good neighbours.
    Batch,
}

async fn send(app: &TestApp, way: Way, number: u32, order: &str) -> Answer {
    let neighbour = |offset: u32| orders::rest(&format!("N{}", number * 2 + offset), "24-WG085", 1).to_string();
    match way {
        Way::Hook => {
            app.commerce_sends(format!(r#"{{"eventName":"sales_order_save_after","data":{{"order":{order}}}}}"#)).await
        }
        Way::Flow => app.patchworks_sends(order.to_owned()).await,
        Way::Batch => app.patchworks_sends(format!("[{},{order},{}]", neighbour(0), neighbour(1))).await,
    }
}

/// Sends one bent order and looks at everything that came of it.
async fn survives(app: &TestApp, way: Way, number: u32, order: &str) -> Result<(), TestCaseError> {
    let (stored, seen) = (app.stored().await, app.erp.effects().len());
    let answer = send(app, way, number, order).await;
    match way {
        Way::Hook => {
            prop_assert_eq!((answer.status, answer.text.as_str()), (200, r#"{"op":"success"}"#));
            prop_assert!(app.stored().await > stored, "a hook's record was told success and is nowhere");
        }
        Way::Flow => prop_assert!(matches!(answer.status, 200 | 202 | 422), "{}: {}", answer.status, answer.text),
        Way::Batch => prop_assert!(matches!(answer.status, 202 | 422), "{}: {}", answer.status, answer.text),
    }
    app.settled().await;
    let good = u64::from(matches!(way, Way::Batch) && answer.status == 202) * 2;
    let effects = app.erp.effects();
    prop_assert!(effects.len() as u64 >= seen as u64 + good, "the neighbours went through");
    for effect in &effects[seen..] {
        let document: Value = serde_json::from_slice(&effect.body).unwrap();
        prop_assert_eq!(laws::broken(&document), Vec::<String>::new(), "{}", document);
        if !effect.reference.as_deref().unwrap_or_default().starts_with('N') {
            prop_assert_eq!(laws::differs(order, &document), Vec::<String>::new(), "{}", document);
        }
    }
    let open = app.sees("/api/v1/exceptions?limit=1").await;
    prop_assert_ne!(&open["items"][0]["code"], "crashed_worker", "{}", open);
    let counts = app.erp.counts();
    prop_assert_eq!((counts.doubled, counts.key_reused), (0, 0));
    Ok(())
}

#[test]
fn a_bent_order_never_breaks_the_service_nor_a_law() {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let app = runtime.block_on(TestApp::start());
    let bases = bases();
    let cases = std::env::var("PROPTEST_CASES").ok().and_then(|text| text.parse().ok()).unwrap_or(400);
    let config = ProptestConfig { cases, failure_persistence: None, ..ProptestConfig::default() };
    let mut runner = TestRunner::new_with_rng(config, TestRng::deterministic_rng(RngAlgorithm::ChaCha));
    let way = prop_oneof![Just(Way::Hook), Just(Way::Flow), Just(Way::Batch)];
    let bends = prop::collection::vec((any::<usize>(), bend()), 1..4);
    let twice = prop::option::weighted(0.05, any::<prop::sample::Index>());
    let strategy = (0..bases.len(), bends, way, twice);
    let number = std::cell::Cell::new(0_u32);
    let outcome = runner.run(&strategy, |(base, bends, way, twice)| {
        number.set(number.get() + 1);
        let mut order = bases[base].clone();
        order["increment_id"] = json!(format!("{:09}", number.get()));
        for (place, bend) in &bends {
            apply(&mut order, *place, bend);
        }
        let mut text = order.to_string();
        if let (Some(place), Some(members)) = (twice, order.as_object()) {
            let names: Vec<String> = members.keys().map(|name| json!(name).to_string()).collect();
            if !names.is_empty() {
                let name = place.get(&names);
                text = text.replacen(&format!("{name}:"), &format!("{name}:null,{name}:"), 1);
            }
        }
        runtime.block_on(survives(&app, way, number.get(), &text))
    });
    if let Err(failure) = outcome {
        panic!("{failure}");
    }
    let delivered = app.erp.effects().len();
    println!("{} orders bent, {delivered} documents delivered", number.get());
    assert!(delivered > 50, "hardly anything got through: the test bends too much to show anything");
}
