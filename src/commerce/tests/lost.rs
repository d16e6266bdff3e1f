//! What an order could lose without a word: each of these once did.

use super::{READING, expanded, read};
use crate::commerce::parse;
use crate::domain::defect::Defect;

const DYNAMIC: &str = include_str!("../../../tests/fixtures/commerce/bundle_dynamic_price_with_coupon.json");
const ADOBE: &str =
    include_str!("../../../tests/fixtures/commerce/configurable_tax_inclusive_gift_cards_wrapping_fee.json");

fn defects(order: &serde_json::Value) -> Vec<Defect> {
    parse::order(&read(&order.to_string()), &READING).err().unwrap_or_default()
}

fn story(text: &str) -> serde_json::Value {
    serde_json::from_str(text).unwrap()
}

#[test]
fn an_order_with_a_blank_total_is_parked_and_never_vanishes() {
    for name in ["subtotal", "grand_total", "tax_amount"] {
        for blank in ["", " ", "\t\n"] {
            let mut order = story(DYNAMIC);
            order[name] = blank.into();
            let found = defects(&order);
            assert!(found.iter().any(|defect| defect.path == name), "{name} {blank:?}: {found:?}");
        }
    }
}

#[test]
fn a_blank_base_total_beside_others_is_named() {
    for name in ["base_subtotal", "base_grand_total", "base_tax_amount"] {
        let mut order = story(DYNAMIC);
        order[name] = "".into();
        assert!(defects(&order).iter().any(|defect| defect.path == name), "{name}");
    }
}

#[test]
fn an_item_whose_quantity_is_blank_is_not_left_out() {
    for blank in ["", " "] {
        let mut order = story(DYNAMIC);
        order["items"][0]["qty_ordered"] = blank.into();
        assert!(defects(&order).iter().any(|defect| defect.path == "items/0/qty_ordered"), "{blank:?}");
    }
}

#[test]
fn options_inside_truncated_text_park_the_order() {
    let mut order = story(ADOBE);
    order["items"][0]["product_options"] = "{\"options\":[{\"label\":\"Engraving\",\"value\":\"To An".into();
    let found = defects(&order);
    assert!(found.iter().any(|defect| defect.path == "items/0/product_options"), "{found:?}");
}

#[test]
fn an_option_without_an_id_keeps_its_words_and_one_without_any_name_parks() {
    let mut order = story(ADOBE);
    order["items"][0]["product_options"] =
        serde_json::json!({ "options": [{ "label": "Engraving", "value": "To Anna" }] });
    let text = order.to_string();
    let document = expanded(&read(&text)).unwrap();
    let options: Vec<_> = document.lines.iter().flat_map(|line| &line.options).collect();
    let kept = options
        .iter()
        .any(|option| option.title.as_deref() == Some("Engraving") && option.value.as_deref() == Some("To Anna"));
    assert!(kept, "{options:?}");
    order["items"][0]["product_options"] = serde_json::json!({ "options": [{ "value": "To Anna" }] });
    assert!(!defects(&order).is_empty());
}
