//! Orders bent at random, expanded: a document keeps the laws, whatever it was made from.

use std::collections::BTreeMap;
use std::sync::{Arc, LazyLock};

use bolero::TypeGenerator;
use crossdock::domain::policy::Policies;
use crossdock::envelope::kind::RecordKind;
use crossdock::json::{self, Limits};
use crossdock::processor::rules::{OriginRules, ReadBack, Rules};
use crossdock::processor::step::{Input, step};
use crossdock::routing::{DocumentKind, LanePolicy, Route};
use serde_json::Value;

use super::bend::{Bend, apply, odd_values};
use super::laws;

static RULES: LazyLock<Rules> = LazyLock::new(|| {
    let origin = OriginRules {
        system: "acme".to_owned(),
        default_store_id: Some("1".to_owned()),
        read_back: ReadBack::Never,
        readable: false,
        wait_for_order: std::time::Duration::from_mins(15),
        to_commerce: false,
    };
    let route = Route {
        name: "orders".to_owned(),
        accepts: vec![DocumentKind::Order],
        when: None,
        to: vec!["erp".to_owned()],
        lane: LanePolicy::Hold,
        pause_on_storm: false,
    };
    Rules {
        config_version: "fuzz".to_owned(),
        origins: BTreeMap::from([("flows".to_owned(), origin)]),
        routes: Arc::new(vec![route]),
        policies: Policies::default(),
        destination_policies: BTreeMap::new(),
        mappings: Arc::default(),
    }
});

static BASES: LazyLock<Vec<Value>> = LazyLock::new(|| {
    let mut bases = Vec::new();
    for folder in ["tests/fixtures/commerce", "tests/fixtures/spellings", "src/demo/orders"] {
        let folder = format!("{}/../{folder}", env!("CARGO_MANIFEST_DIR"));
        let mut paths: Vec<_> = std::fs::read_dir(folder)
            .expect("it is a folder")
            .map(|entry| entry.expect("it can be listed").path())
            .collect();
        paths.sort();
        let read = |path| serde_json::from_slice(&std::fs::read(path).expect("it is a file")).expect("it is JSON");
        bases.extend(paths.iter().map(read));
    }
    bases
});

/// An order and what was done to it.
#[derive(Clone, Debug, TypeGenerator)]
struct Bent {
    base: u8,
    bends: Vec<(u16, u8, u16)>,
}

fn bend(how: u8, with: u16) -> Bend {
    match how % 10 {
        0 => Bend::Drop,
        1..=3 => {
            let odd = odd_values();
            Bend::Become(odd[usize::from(with) % odd.len()].clone())
        }
        4 => Bend::Respell,
        5 => Bend::Negate,
        6 => Bend::Nudge(i8::try_from(with % 100).unwrap_or_default()),
        7 => Bend::Double,
        8 => Bend::Reshape,
        _ => Bend::Take(with.into()),
    }
}

fn target(bent: &Bent) {
    let mut order = BASES[usize::from(bent.base) % BASES.len()].clone();
    for (place, how, with) in bent.bends.iter().take(6) {
        apply(&mut order, usize::from(*place), &bend(*how, *with));
    }
    expand(order.to_string().as_bytes());
}

/// Expands one order; how many documents came of it.
fn expand(body: &[u8]) -> usize {
    let Ok(json) = json::parse(body, &Limits::default()) else { return 0 };
    let outcome =
        step(&Input { origin: "flows", kind: RecordKind::Order, event_name: None, json: &json, later: false }, &RULES);
    assert!(
        !outcome.documents.is_empty() || !outcome.parked.is_empty() || outcome.ignored.is_some(),
        "an order came to nothing at all"
    );
    for made in &outcome.documents {
        let document: Value = serde_json::from_slice(&made.body).expect("a document is JSON");
        assert_eq!(laws::broken(&document), Vec::<String>::new(), "{document}");
    }
    outcome.documents.len()
}

#[test]
fn an_order_bent_at_random_keeps_the_laws_or_is_parked() {
    let whole = BASES.iter().map(|order| expand(order.to_string().as_bytes())).sum::<usize>();
    assert!(whole >= 3, "only {whole} of the unbent orders make documents: the target would show nothing");
    for body in super::kept("expand") {
        expand(&body);
    }
    run!(Bent, target);
}
