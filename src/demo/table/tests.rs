use serde_json::{Value, json};

use super::*;

fn money(net: &str, discount: &str, tax: &str, total: &str) -> Value {
    json!({ "net": net, "discount": discount, "tax": tax, "total": total })
}

fn line(number: u32, kind: &str, sku: &str, name: &str, quantity: &str, unit: &str, money: &Value) -> Value {
    let mut line = json!({ "number": number, "kind": kind, "sku": sku, "name": name, "quantity": quantity, "ships": true,
        "unit_price": unit, "base": money, "bundle": null, "options": [], "configuration": [] });
    for (name, amount) in money.as_object().unwrap() {
        line[name] = amount.clone();
    }
    line
}

/// An engraved bundle of two parts, a mug with a choice and a message, shipping, part of it paid by gift card.
fn document() -> Value {
    let engraving = json!({ "id": "44", "title": "Engraving", "value": "To Anna", "raw": "To Anna", "sku": null, "field": "engraving" });
    let mut lines = vec![
        line(1, "comment", "", "Gardener's tool box", "2", "", &json!({})),
        line(
            2,
            "component",
            "10-2401",
            "Hand trowel, ash handle",
            "2",
            "27.1400",
            &money("54.28", "5.43", "9.77", "58.62"),
        ),
        line(
            3,
            "component",
            "10-2403",
            "Jute twine 50 m",
            "4.0000",
            "13.5675",
            &money("54.27", "5.42", "9.77", "58.62"),
        ),
        line(
            4,
            "item",
            "FRN-MUG-FJORD-WITH-A-LONG-SUFFIX",
            "Fjord mug",
            "1.5",
            "13.7500",
            &money("20.63", "0.00", "4.13", "24.76"),
        ),
        line(5, "shipping", "", "Best Way - Table Rate", "1", "7.5000", &money("7.50", "0.00", "1.50", "9.00")),
    ];
    lines[0]["options"] = json!([engraving]);
    for (place, option, each) in [(1, "Digging", "1"), (2, "Tying", "2")] {
        lines[place]["bundle"] = json!({ "sku": "FRN-TOOLKIT", "name": "Gardener's tool box", "option": option,
            "quantity_per_bundle": each, "options": [engraving] });
    }
    lines[3]["configuration"] =
        json!([{ "attribute_id": "93", "value_id": "49", "label": "Colour", "value": "Slate" }]);
    lines[3]["options"] = json!([
        { "id": "45", "title": "Name", "value": "Für Oma 🎂\nSie\u{1b}[31m", "raw": "…" },
        { "id": "46", "title": null, "value": null, "raw": ["81", "82"] },
        { "id": "47", "title": null, "value": null, "raw": "7", "field": "gift_tag" },
    ]);
    lines[3]["ships"] = json!(false);
    let totals = money("136.68", "10.85", "25.17", "151.00");
    let mut document = json!({
        "order": { "system": "acme", "increment_id": "100000104", "store_id": 1, "placed_at": "2026-03-02T12:45:10Z",
            "currency": "GBP", "base_currency": "GBP", "payment_method": "CHEQUE", "shipping_method": "COURIER" },
        "lines": lines, "totals": totals,
        "settlements": [{ "kind": "gift_card", "reference": "G-1", "amount": "25.00", "base_amount": "25.00" }],
        "warnings": [{ "code": "unmapped_tax_code", "message": "no tax code for 20", "path": "lines/0/tax_code" }],
    });
    document["totals"]["grand_total"] = json!("126.00");
    document["totals"]["base"] = document["totals"].clone();
    document["totals"]["as_sent"] = json!({ "subtotal": "129.1800", "shipping_amount": "7.5", "discount_amount": "-10.85", "tax_amount": "25.1700", "grand_total": "126.0000" });
    document
}

#[test]
fn a_document_becomes_a_table_with_its_proof() {
    insta::assert_snapshot!(render(&document()));
}

#[test]
fn the_table_fits_its_width() {
    let rendered = lines(&document());
    assert!(rendered.lines().all(|line| line.chars().count() <= usize::from(WIDTH)));
}

#[test]
fn a_cent_missing_anywhere_is_shown() {
    let sound = document();
    assert!(proof(&sound).holds());
    for pointer in [
        "/lines/1/net",
        "/lines/2/discount",
        "/lines/3/tax",
        "/lines/4/total",
        "/lines/4/base/total",
        "/totals/net",
        "/totals/total",
        "/totals/grand_total",
        "/totals/base/tax",
        "/settlements/0/amount",
        "/settlements/0/base_amount",
        "/totals/as_sent/grand_total",
        "/totals/as_sent/tax_amount",
    ] {
        for spoilt in ["0.01", "one"] {
            let mut document = document();
            *document.pointer_mut(pointer).unwrap() = json!(spoilt);
            assert!(!proof(&document).holds(), "{pointer} {spoilt}");
            assert!(render(&document).contains('✗'), "{pointer} {spoilt}");
        }
    }
}

#[test]
fn a_broken_proof_says_which_line_and_which_figure() {
    let mut document = document();
    document["lines"][4]["total"] = json!("9.01");
    document["order"]["base_currency"] = json!("USD");
    insta::assert_snapshot!(proof(&document).to_string(), @r"
      GBP  Σ net 136.68 − Σ discount 10.85 + Σ tax 25.17 = total 151.01 (document says 151.00)  ✗
           line 5: net − discount + tax is not its total
      GBP  total 151.01 = grand total 126.00 + gift card 25.00  ✗
      USD  Σ net 136.68 − Σ discount 10.85 + Σ tax 25.17 = total 151.00  ✓
      USD  total 151.00 = grand total 126.00 + gift card 25.00  ✓
      Commerce sent: subtotal 129.1800, shipping 7.5, discount -10.85, tax 25.1700, grand total 126.0000  ✓
    ");
}

#[test]
fn without_base_amounts_one_currency_is_proved() {
    let mut document = document();
    document["totals"]["base"] = Value::Null;
    assert_eq!(proof(&document).sides.len(), 1);
    assert!(proof(&document).holds());
}

#[test]
fn sub_cent_figures_of_commerce_agree_after_rounding() {
    assert!(proof::agrees(&json!("441.475"), Some("441.48".parse().unwrap())));
    assert!(!proof::agrees(&json!("441.474"), Some("441.48".parse().unwrap())));
    assert!(proof::agrees(&json!("1200.0000"), Some("1200".parse().unwrap())));
}

#[test]
fn what_is_not_a_document_gives_an_empty_table_and_no_panic() {
    for odd in [json!(null), json!([1]), json!({ "lines": [1, null, {}], "totals": "x" })] {
        assert!(render(&odd).contains('✗'));
        assert!(!proof(&odd).holds());
    }
}

#[test]
fn closing_zeros_go_and_needed_digits_stay() {
    for (decimal, digits, expected) in [
        ("14.0000", 2, "14.00"),
        ("13.5675", 2, "13.5675"),
        ("4.0000", 0, "4"),
        ("2.25", 0, "2.25"),
        ("7", 2, "7"),
        ("", 2, ""),
    ] {
        assert_eq!(short(decimal, digits), expected);
    }
}
