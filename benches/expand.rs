//! The pure way of an order, step by step: text to tree, tree to order, order to sales order with the laws, all of it.
//!
//! `bundles` is the tour's order of two dynamic bundles in five items, `4` and `100` are simple products.

use std::collections::BTreeMap;
use std::hint::black_box;
use std::sync::Arc;

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use crossdock::commerce::parse::{self, Reading};
use crossdock::domain::catalogue::NoCatalogue;
use crossdock::domain::expand::{self, expand};
use crossdock::domain::mapping::Mappings;
use crossdock::domain::policy::Policies;
use crossdock::envelope::kind::RecordKind;
use crossdock::json::{self, Limits};
use crossdock::processor::rules::{OriginRules, ReadBack, Rules};
use crossdock::processor::step::{Input, step};
use crossdock::routing::{DocumentKind, LanePolicy, Route};

mod support;

fn rules() -> Rules {
    let origin = OriginRules {
        system: "acme".into(),
        default_store_id: None,
        read_back: ReadBack::WhenNeeded,
        readable: false,
        wait_for_order: std::time::Duration::from_mins(15),
        to_commerce: false,
    };
    let route = Route {
        name: "orders".into(),
        accepts: vec![DocumentKind::Order],
        to: vec!["erp".into()],
        when: None,
        pause_on_storm: false,
        lane: LanePolicy::Hold,
    };
    Rules {
        config_version: "c1".into(),
        origins: BTreeMap::from([("flows".into(), origin)]),
        routes: Arc::new(vec![route]),
        policies: Policies::default(),
        destination_policies: BTreeMap::new(),
        mappings: Arc::default(),
    }
}

/// The bytes a sender would send: one line.
fn compact(text: &str) -> String {
    json::parse(text.as_bytes(), &Limits::default()).expect("an order of the tour is JSON").to_string()
}

fn orders(criterion: &mut Criterion) {
    let orders = [
        ("bundles", compact(include_str!("../src/demo/orders/bundle_dynamic_bought_twice.json"))),
        ("4", support::order(4)),
        ("100", support::order(100)),
    ];
    let reading = Reading { system: "acme", default_store_id: None, not_yet_saved: false };
    let (mappings, policies, rules) = (Mappings::default(), Policies::default(), rules());
    let by = expand::Rules { mappings: &mappings, policies: &policies, destination: "erp", catalogue: &NoCatalogue };
    let mut group = criterion.benchmark_group("order");
    for (name, text) in &orders {
        let tree = || json::parse(black_box(text.as_bytes()), &Limits::default()).expect("JSON");
        let json = tree();
        let order = parse::order(&json, &reading).expect("an order");
        let input = Input { origin: "flows", kind: RecordKind::Order, event_name: None, json: &json, later: false };
        assert_eq!(step(&input, &rules).documents.len(), 1, "{name}: {:?}", step(&input, &rules));
        group.throughput(Throughput::Bytes(text.len() as u64));
        group.bench_function(BenchmarkId::new("json", name), |bencher| bencher.iter_with_large_drop(tree));
        group.bench_function(BenchmarkId::new("canonical", name), |bencher| bencher.iter(|| json.canonical().len()));
        group.bench_function(BenchmarkId::new("parse", name), |bencher| {
            bencher.iter_with_large_drop(|| parse::order(black_box(&json), &reading));
        });
        group.bench_function(BenchmarkId::new("expand", name), |bencher| {
            bencher.iter_with_large_drop(|| expand(black_box(&order), &by));
        });
        group.bench_function(BenchmarkId::new("step", name), |bencher| {
            bencher.iter(|| {
                let json = tree();
                let input =
                    Input { origin: "flows", kind: RecordKind::Order, event_name: None, json: &json, later: false };
                step(&input, &rules).documents.len()
            });
        });
    }
    group.finish();
}

criterion_group!(benches, orders);
criterion_main!(benches);
