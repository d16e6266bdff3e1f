//! What follows an order: content that is the same by every channel, and cancellations that keep the laws.

use proptest::prelude::*;
use proptest::strategy::ValueTree as _;
use rust_decimal::Decimal;
use serde_json::Value;

use super::model::basket;
use super::{LineKind, Shop, order, read};
use crate::domain::cancellation::{self, cancellation, cancels_all};
use crate::domain::content::content;
use crate::domain::mapping::{MappingRow, Mappings, Table};
use crate::domain::order::Order;
use crate::domain::policy::{BundlePolicy, Policies};
use crate::domain::quantity::Quantity;

/// Cancels a share of every item: all, half, or none.
fn cancel(order: &mut Order, shares: &[u8]) {
    for (item, share) in order.items.iter_mut().zip(shares.iter().cycle()) {
        let ordered = item.quantities.ordered.value();
        let part = match share % 3 {
            0 => Decimal::ZERO,
            1 => (ordered / Decimal::TWO).round_dp(4),
            _ => ordered,
        };
        item.quantities.canceled = Quantity::new(part).unwrap();
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn lane_3_one_order_has_one_content_by_every_channel(basket in basket()) {
        let (rest, event) = (basket.written(true).to_string(), basket.written(false).to_string());
        let rest = order(&read(&rest)).unwrap();
        let event = order(&read(&event)).unwrap();
        let row = MappingRow { key: rest.items[0].sku.as_str().into(), value: "ERP-1".into(), destination: None };
        let mapped = Shop { mappings: Mappings::new(1, [(Table::Skus, row)]), ..Shop::default() };
        let one = content(&rest, &Shop::default().expand(&rest).unwrap(), true);
        let other = content(&event, &Shop::default().expand(&event).unwrap(), true);
        prop_assert_eq!(&one, &other);
        if let Ok(mapped) = mapped.expand(&rest) {
            prop_assert_eq!(&one, &content(&rest, &mapped, false), "mappings change no content");
        }
    }

    #[test]
    fn cancellations_keep_the_laws(basket in basket(), shares in proptest::collection::vec(any::<u8>(), 1..6), kit in any::<bool>()) {
        let text = basket.written(true).to_string();
        let mut order = order(&read(&text)).unwrap();
        let bundles = if kit { BundlePolicy::Kit } else { BundlePolicy::Components };
        let shop = Shop { policies: Policies { bundles, ..Policies::default() }, ..Shop::default() };
        let before = content(&order, &shop.expand(&order).unwrap(), true);
        cancel(&mut order, &shares);
        let document = shop.expand(&order).unwrap();
        let cancelled = cancellation(&order, &document);
        let anything = order.items.iter().any(|item| !item.quantities.canceled.is_zero());
        prop_assert!(cancelled.is_none() || anything);
        prop_assert_eq!(&content(&order, &document, false), &before, "a cancellation is no other content");
        let Some(cancelled) = cancelled else { return Ok(()) };
        prop_assert_eq!(cancellation::check(&document, &cancelled), []);
        prop_assert_eq!(cancelled.complete, cancels_all(&order, &document));
        prop_assert!(cancelled.totals.sums.total.minor() <= document.totals.sums.total.minor());
        for line in &cancelled.lines {
            let ordered = document.lines.iter().find(|ordered| ordered.number == line.line.number).unwrap();
            prop_assert_eq!(&ordered.sku, &line.line.sku);
            prop_assert!(line.line.amounts.total.minor() <= ordered.amounts.total.minor().max(0));
        }
        let json = serde_json::to_value(&cancelled).unwrap();
        prop_assert_eq!((&json["schema"], &json["purpose"]), (&Value::from("crossdock.cancellation.v1"), &Value::from("order.cancel")));
    }

    #[test]
    fn a_whole_cancellation_gives_back_the_whole_order(basket in basket(), says in any::<bool>()) {
        let text = basket.written(true).to_string();
        let mut order = order(&read(&text)).unwrap();
        order.state = Some("canceled".to_owned());
        if says {
            cancel(&mut order, &[2]);
        }
        let document = Shop::default().expand(&order).unwrap();
        let cancelled = cancellation(&order, &document).unwrap();
        prop_assert!(cancelled.complete && cancels_all(&order, &document));
        prop_assert_eq!(cancellation::check(&document, &cancelled), []);
        prop_assert_eq!(cancelled.totals.sums, document.totals.sums);
        let money = document.lines.iter().filter(|line| line.kind != LineKind::Comment).count();
        prop_assert_eq!(cancelled.lines.iter().filter(|line| line.line.kind != LineKind::Comment).count(), money);
    }
}

#[test]
fn the_components_of_a_bundle_that_ships_as_one_follow_their_parent() {
    let mut runner = proptest::test_runner::TestRunner::deterministic();
    let mut seen = 0;
    for _ in 0..200 {
        let basket = basket().new_tree(&mut runner).unwrap().current();
        let text = basket.written(true).to_string();
        let mut order = order(&read(&text)).unwrap();
        let parents: Vec<_> = order.items.iter().filter_map(|item| item.parent).collect();
        for item in &mut order.items {
            if item.keys().any(|key| parents.contains(&key)) {
                item.quantities.canceled = item.quantities.ordered;
            }
        }
        let document = Shop::default().expand(&order).unwrap();
        let components = document.lines.iter().filter(|line| line.kind == LineKind::Component);
        for component in components {
            let cancelled = cancellation(&order, &document).unwrap();
            let line = cancelled.lines.iter().find(|line| line.line.number == component.number).unwrap();
            assert_eq!(line.line.quantity, component.quantity);
            assert_eq!(line.line.amounts, component.amounts);
            seen += 1;
        }
    }
    assert!(seen > 0, "the model makes bundles");
}
