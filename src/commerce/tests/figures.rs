//! Figures that were once wrong, or good orders that were once parked.

use serde_json::{Value, json};

use super::{LineKind, SalesOrder, Shop, expanded, order, read};
use crate::domain::policy::{BundlePolicy, Policies};

const DYNAMIC: &str = include_str!("../../../tests/fixtures/commerce/bundle_dynamic_price_with_coupon.json");

/// One line of goods and nothing else; `figures` are laid over the item and the head, base as order.
fn simple(item: &Value, head: &Value) -> String {
    let mut line =
        json!({ "item_id": 1, "product_type": "simple", "sku": "A", "name": "A", "product_id": 7, "qty_ordered": 1 });
    let mut order = json!({
        "entity_id": 1, "increment_id": "1", "store_id": 1, "order_currency_code": "EUR", "base_currency_code": "EUR",
        "shipping_amount": 0, "base_shipping_amount": 0
    });
    for (target, figures) in [(&mut line, item), (&mut order, head)] {
        for (name, value) in figures.as_object().unwrap() {
            target[format!("base_{name}")] = value.clone();
            target[name] = value.clone();
        }
    }
    order["items"] = json!([line]);
    order.to_string()
}

fn of(text: &str) -> SalesOrder {
    expanded(&read(text)).unwrap_or_else(|defects| panic!("{defects:#?}"))
}

#[test]
fn a_product_tax_inside_the_subtotal_is_found_by_the_grand_total_though_a_wrong_row_fits() {
    // Discount and product tax are both 2: the row with the discount put back is 12, and so is the row with the tax.
    let text = simple(
        &json!({ "price": 10, "row_total": 10, "row_total_incl_tax": 10, "discount_amount": 2, "tax_amount": 0,
                 "weee_tax_applied_row_amount": 2, "weee_tax_applied_amount": 2 }),
        &json!({ "subtotal": 12, "discount_amount": -2, "tax_amount": 0, "grand_total": 10 }),
    )
    .replace("base_weee_tax_applied_row_amount", "base_weee_tax_applied_row_amnt");
    let document = of(&text);
    let net =
        |kind| document.lines.iter().filter(|line| line.kind == kind).map(|line| line.amounts.net.minor()).sum::<i64>();
    assert_eq!((net(LineKind::Item), net(LineKind::Fee), net(LineKind::Rounding)), (1_000, 200, 0));
}

#[test]
fn an_untaxed_product_tax_stays_untaxed_though_the_header_is_a_cent_off() {
    let text = simple(
        &json!({ "price": 10, "row_total": 10, "row_total_incl_tax": 12, "discount_amount": 0, "tax_amount": 2,
                 "weee_tax_applied_row_amount": 5, "weee_tax_applied_amount": 5 }),
        &json!({ "subtotal": 10, "discount_amount": 0, "tax_amount": 2.01, "grand_total": 17.01 }),
    )
    .replace("base_weee_tax_applied_row_amount", "base_weee_tax_applied_row_amnt");
    let mut order: Value = serde_json::from_str(&text).unwrap();
    order["items"][0]["weee_tax_applied"] = "[{\"title\":\"WEEE\",\"row_amount\":5,\"row_amount_incl_tax\":6,\"base_row_amount\":5,\"base_row_amount_incl_tax\":6}]".into();
    let document = of(&order.to_string());
    let fee = document.lines.iter().find(|line| line.kind == LineKind::Fee).unwrap();
    assert_eq!(fee.amounts.tax.minor(), 0);
    let rounding = document.lines.iter().find(|line| line.kind == LineKind::Rounding).unwrap();
    assert_eq!(rounding.amounts.tax.minor(), 1);
}

#[test]
fn a_product_tax_whose_base_column_is_missing_is_read_from_its_text() {
    let text = simple(
        &json!({ "price": 10, "row_total": 10, "row_total_incl_tax": 10, "discount_amount": 0, "tax_amount": 0 }),
        &json!({ "subtotal": 10, "discount_amount": 0, "tax_amount": 0, "grand_total": 15 }),
    );
    let mut order: Value = serde_json::from_str(&text).unwrap();
    order["items"][0]["weee_tax_applied_row_amount"] = 5.into();
    order["items"][0]["weee_tax_applied"] = "[{\"title\":\"WEEE\",\"row_amount\":5,\"base_row_amount\":5}]".into();
    let document = of(&order.to_string());
    let fee = document.lines.iter().find(|line| line.kind == LineKind::Fee).unwrap();
    assert_eq!(fee.base.unwrap().net.minor(), 500);
}

#[test]
fn settlements_beyond_sixty_four_bits_are_refused_and_nothing_panics() {
    let mut order: Value = serde_json::from_str(&simple(
        &json!({ "price": 1, "row_total": 1, "row_total_incl_tax": 1, "discount_amount": 0, "tax_amount": 0 }),
        &json!({ "subtotal": 1, "discount_amount": 0, "tax_amount": 0, "grand_total": -99_000_000_000_000_i64 }),
    ))
    .unwrap();
    // Four minor digits, so that fewer whole units reach the limit.
    order["order_currency_code"] = "CLF".into();
    order["base_currency_code"] = "CLF".into();
    let card = json!({ "code": "G", "amount": 99_000_000_000_000_i64, "base_amount": 99_000_000_000_000_i64 });
    order["extension_attributes"] = json!({ "gift_cards": vec![card; 10] });
    assert!(expanded(&read(&order.to_string())).is_err());
}

#[test]
fn a_free_component_that_shows_its_bundles_price_costs_nothing() {
    let mut order: Value = serde_json::from_str(DYNAMIC).unwrap();
    let mut free =
        order["items"].as_array().unwrap().iter().find(|item| item["parent_item_id"].is_number()).unwrap().clone();
    for (name, value) in free.as_object_mut().unwrap() {
        let money = name.contains("row_total") || name.contains("amount") || name.contains("price");
        if money && !value.is_null() && !value.is_object() {
            *value = 0.into();
        }
    }
    free["item_id"] = 9_999.into();
    free["price"] = 10.into();
    order["items"].as_array_mut().unwrap().push(free);
    let text = order.to_string();
    let document = of(&text);
    let line = document.lines.iter().find(|line| line.order_item_id.is_some_and(|id| id.0 == 9_999)).unwrap();
    assert_eq!(line.unit_price.unwrap(), rust_decimal::Decimal::ZERO);
}

#[test]
fn components_under_a_kit_say_what_is_shipped_already() {
    let mut json: Value = serde_json::from_str(DYNAMIC).unwrap();
    let child =
        json["items"].as_array_mut().unwrap().iter_mut().find(|item| item["parent_item_id"].is_number()).unwrap();
    child["qty_shipped"] = 1.into();
    let id = child["item_id"].as_u64().unwrap();
    let shop = Shop { policies: Policies { bundles: BundlePolicy::Kit, ..Policies::default() }, ..Shop::default() };
    let document = shop.expand(&order(&read(&json.to_string())).unwrap()).unwrap();
    let comment = document.lines.iter().find(|line| line.order_item_id.is_some_and(|known| known.0 == id)).unwrap();
    assert_eq!((comment.kind, comment.quantity_shipped.to_string()), (LineKind::Comment, "1".to_owned()));
}

#[test]
fn a_bundle_whose_options_would_be_repeated_without_end_is_parked() {
    let mut order: Value = serde_json::from_str(DYNAMIC).unwrap();
    let bundle =
        order["items"].as_array_mut().unwrap().iter_mut().find(|item| item["product_type"] == "bundle").unwrap();
    let options: Vec<Value> = (0..9_000).map(|id| json!({ "option_id": id + 1, "label": "L", "value": "V" })).collect();
    bundle["product_options"] = json!({ "options": options });
    let text = order.to_string();
    let defects = expanded(&read(&text)).unwrap_err();
    assert!(defects.iter().any(|defect| defect.message.contains("10000 is the limit")), "{defects:?}");
}
