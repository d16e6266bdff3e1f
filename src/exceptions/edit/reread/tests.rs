//! What is made, read back.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::*;
use crate::demo::samples;
use crate::domain::mapping::Mappings;
use crate::domain::policy::{BundlePolicy, Policies};
use crate::envelope::kind::RecordKind;
use crate::json::{self, Limits};
use crate::processor::rules::{OriginRules, ReadBack, Rules};
use crate::processor::step::{Input, Made, step};
use crate::routing::{DocumentKind, LanePolicy, Route};

fn rules(policies: Policies) -> Rules {
    let origin = OriginRules {
        system: "acme".into(),
        default_store_id: None,
        read_back: ReadBack::Never,
        readable: false,
        wait_for_order: std::time::Duration::from_mins(15),
        to_commerce: false,
    };
    let route = Route {
        name: "all".into(),
        accepts: vec![DocumentKind::Order, DocumentKind::OrderChange, DocumentKind::Cancellation],
        to: vec!["erp".into()],
        when: None,
        pause_on_storm: false,
        lane: LanePolicy::Hold,
    };
    Rules {
        config_version: "c1".into(),
        origins: BTreeMap::from([("hooks".into(), origin)]),
        routes: Arc::new(vec![route]),
        policies,
        destination_policies: BTreeMap::new(),
        mappings: Arc::new(Mappings::default()),
    }
}

/// Every document that an order comes to: the order, its change, and what of it is cancelled.
fn made(json: &str, policies: &Policies) -> Vec<Made> {
    let json = json::parse(json.as_bytes(), &Limits::default()).unwrap();
    let input = Input { origin: "hooks", kind: RecordKind::Order, event_name: None, json: &json, later: true };
    let outcome = step(&input, &rules(policies.clone()));
    let reports = outcome.reports.into_iter();
    let later = reports.flat_map(|report| report.change.into_iter().chain(report.cancellation.map(|it| it.made)));
    outcome.documents.into_iter().chain(later).collect()
}

fn shapes() -> Vec<Policies> {
    let with = |shape: Shape| Policies { shape, ..Policies::default() };
    let plain = Shape::default();
    let mut all = vec![Policies { bundles: BundlePolicy::Kit, ..Policies::default() }];
    for tax in [TaxShape::Amount, TaxShape::Code, TaxShape::Line, TaxShape::Gross, TaxShape::None] {
        all.push(with(Shape { tax, ..plain }));
    }
    for options in [OptionShape::Comment, OptionShape::Name, OptionShape::Field] {
        let (discount, shipping) = (DiscountShape::Line, ShippingShape::Field);
        all.push(with(Shape { options, discount, shipping, rounding: RoundingShape::Largest, ..plain }));
    }
    all
}

#[test]
fn every_document_that_is_made_is_read_back_and_written_as_it_was() {
    let mut kinds = BTreeMap::<&str, usize>::new();
    for sample in samples::SENDINGS.iter().flat_map(|sending| sending.samples) {
        let cancelled = sample.json.replace("\"state\": \"new\"", "\"state\": \"canceled\"");
        for (json, policies) in shapes().iter().flat_map(|policies| [(sample.json, policies), (&cancelled, policies)]) {
            for made in made(json, policies) {
                let given: Value = serde_json::from_slice(&made.body).unwrap();
                let read = document(&given, i64::MAX).unwrap_or_else(|problems| panic!("{problems:?}"));
                let (was, is) = (String::from_utf8_lossy(&made.body), read.written());
                assert_eq!(String::from_utf8_lossy(&is), was, "order {}", sample.increment_id);
                *kinds.entry(made.schema).or_default() += 1;
            }
        }
    }
    assert!(kinds.len() == 3 && kinds.values().all(|count| *count > 9), "{kinds:?}");
}
