//! Random orders: what Magento computes is what leaves, and nothing that can happen to a payload makes us guess.

use proptest::prelude::*;
use serde_json::Value;

use super::model::{Basket, Kind, Row, basket};
use super::{LineKind, SalesLine, SalesOrder, Shop, expanded, order, read};
use crate::domain::policy::{BundlePolicy, Policies};

/// Net, discount, tax of a line on one side, in minor units.
fn figures(line: &SalesLine, base: bool) -> [i64; 3] {
    let amounts = if base { line.base.unwrap() } else { line.amounts };
    [amounts.net.minor(), amounts.discount.minor(), amounts.tax.minor()]
}

fn sum(lines: &[&SalesLine], base: bool) -> [i64; 3] {
    lines.iter().fold([0; 3], |sum, line| {
        let add = figures(line, base);
        [sum[0] + add[0], sum[1] + add[1], sum[2] + add[2]]
    })
}

fn wanted(row: &Row) -> [i64; 3] {
    [row.net, row.discount - row.compensation, row.tax]
}

/// Every money row of the model stands in the document: on its own line, or spread exactly over a fixed bundle.
fn check_rows(basket: &Basket, document: &SalesOrder) -> Result<(), TestCaseError> {
    let goods: Vec<&SalesLine> =
        document.lines.iter().filter(|line| matches!(line.kind, LineKind::Item | LineKind::Component)).collect();
    for base in [false, true] {
        let mut rest = goods.as_slice();
        let mut rows = basket.rows(base).into_iter();
        for position in &basket.positions {
            let (lines, money) = match position.kind {
                Kind::DynamicBundle => (position.components.len(), position.components.len()),
                Kind::FixedBundle => (position.components.len(), 1),
                _ => (1, 1),
            };
            let (own, others) = rest.split_at(lines);
            rest = others;
            let money: Vec<[i64; 3]> = rows.by_ref().take(money).map(|row| wanted(&row)).collect();
            if money.len() == own.len() {
                let seen: Vec<[i64; 3]> = own.iter().map(|line| figures(line, base)).collect();
                prop_assert_eq!(seen, money);
            } else {
                prop_assert_eq!(sum(own, base), money[0]);
            }
        }
        prop_assert!(rest.is_empty());
        let shipping: Vec<&SalesLine> = document.lines.iter().filter(|line| line.kind == LineKind::Shipping).collect();
        prop_assert_eq!(sum(&shipping, base), wanted(&basket.shipping_row(base)));
        let fees: Vec<&SalesLine> = document.lines.iter().filter(|line| line.kind == LineKind::Fee).collect();
        let fixed =
            basket.rows(base).iter().fold([0; 3], |sum, row| [sum[0] + row.fixed_tax, 0, sum[2] + row.fixed_tax_tax]);
        prop_assert_eq!(sum(&fees, base), fixed);
    }
    prop_assert!(document.lines.iter().all(|line| line.kind != LineKind::Rounding));
    Ok(())
}

/// Changes one place of a payload.
fn mutate(value: &mut Value, mut at: usize, how: u8) {
    let places = count(value);
    at %= places;
    visit(value, &mut at, &mut |place| {
        *place = match (how, &*place) {
            (0, _) => Value::Null,
            (1, Value::String(text)) => serde_json::from_str(text).unwrap_or(Value::Bool(true)),
            (1, Value::Number(number)) => Value::String(number.to_string()),
            (2, Value::Array(items)) => {
                Value::Object(items.iter().enumerate().map(|(index, item)| (index.to_string(), item.clone())).collect())
            }
            (3, Value::Array(items)) => Value::Array(items.iter().skip(1).cloned().collect()),
            (4, _) => Value::String("-1".into()),
            (5, _) => Value::String("not a number".into()),
            (6, _) => serde_json::from_str("99999999999999999999").unwrap(),
            (7, Value::String(text)) => text.parse::<f64>().map_or(Value::Null, |_| Value::String(format!("{text}1"))),
            (7, Value::Number(number)) => {
                serde_json::from_str(&format!("{}.01", number.as_i64().unwrap_or(3))).unwrap()
            }
            (8, Value::Array(items)) => Value::Array(items.iter().chain(items.first()).cloned().collect()),
            (9, _) => Value::Array(Vec::new()),
            _ => Value::Object(serde_json::Map::new()),
        };
    });
}

fn count(value: &Value) -> usize {
    1 + match value {
        Value::Array(items) => items.iter().map(count).sum(),
        Value::Object(members) => members.values().map(count).sum(),
        _ => 0,
    }
}

/// Calls `change` at the `at`-th place in document order; true once it was done.
fn visit(value: &mut Value, at: &mut usize, change: &mut impl FnMut(&mut Value)) -> bool {
    if *at == 0 {
        change(value);
        return true;
    }
    *at -= 1;
    match value {
        Value::Array(items) => items.iter_mut().any(|item| visit(item, at, change)),
        Value::Object(members) => members.values_mut().any(|member| visit(member, at, change)),
        _ => false,
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn orders_computed_like_magentos_expand_to_the_same_figures(basket in basket()) {
        let (rest, event) = (basket.written(true).to_string(), basket.written(false).to_string());
        let rest = expanded(&read(&rest)).map_err(|defects| TestCaseError::fail(format!("REST: {defects:#?}")))?;
        let event = expanded(&read(&event)).map_err(|defects| TestCaseError::fail(format!("event: {defects:#?}")))?;
        check_rows(&basket, &rest)?;
        prop_assert_eq!(&rest.lines, &event.lines);
        prop_assert_eq!(rest.totals.sums, event.totals.sums);
        prop_assert_eq!(&rest.settlements, &event.settlements);
    }

    #[test]
    fn kits_carry_the_money_of_their_components(basket in basket()) {
        let shop = Shop { policies: Policies { bundles: BundlePolicy::Kit, ..Policies::default() }, ..Shop::default() };
        let text = basket.written(true).to_string();
        let parsed = order(&read(&text)).unwrap();
        let (kits, components) = (shop.expand(&parsed).unwrap(), Shop::default().expand(&parsed).unwrap());
        prop_assert_eq!(&kits.totals, &components.totals);
        prop_assert!(kits.lines.iter().all(|line| line.kind != LineKind::Component));
    }

    #[test]
    fn whatever_happens_to_a_payload_laws_hold_or_it_is_parked(
        basket in basket(),
        rest in any::<bool>(),
        changes in proptest::collection::vec((any::<usize>(), 0_u8..11), 1..4),
    ) {
        let mut payload = basket.written(rest);
        for (at, how) in changes {
            mutate(&mut payload, at, how);
        }
        let text = payload.to_string();
        // The laws are checked inside, before anything is returned, and once more by the shop.
        if let Err(defects) = expanded(&read(&text)) {
            prop_assert!(!defects.is_empty());
            for defect in defects {
                prop_assert!(!defect.message.is_empty() && !defect.remedy.is_empty());
                // A broken law of ours would show here: bad payloads are refused before.
                prop_assert!(!defect.message.starts_with("law "), "{defect:?}");
            }
        }
    }
}
