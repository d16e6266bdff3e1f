//! One story per fixture: what a sales order looks like, and what happens when something is off.

use std::fmt::Write;

use rust_decimal::Decimal;
use serde_json::Value;

use super::{LineKind, READING, SalesLine, SalesOrder, Shop, expanded, order, read};
use crate::commerce::parse::{self, Completeness, Reading, completeness, header};
use crate::domain::catalogue::{Catalogue, PriceType};
use crate::domain::conserve::proof;
use crate::domain::defect::{Defect, ExceptionCode};
use crate::domain::ids::ProductId;
use crate::domain::mapping::{MappingRow, Mappings, Table};
use crate::domain::policy::{BundlePolicy, OnUnmapped, Policies};

const DYNAMIC: &str = include_str!("../../../tests/fixtures/commerce/bundle_dynamic_price_with_coupon.json");
const FIXED: &str = include_str!("../../../tests/fixtures/commerce/bundle_fixed_price_engraved_two_currencies.json");
const ADOBE: &str =
    include_str!("../../../tests/fixtures/commerce/configurable_tax_inclusive_gift_cards_wrapping_fee.json");
const YEN: &str = include_str!("../../../tests/fixtures/commerce/yen_with_decimals_and_fractional_quantity.json");
const UNSAVED: &str = include_str!("../../../tests/fixtures/commerce/webhook_before_the_order_is_saved.json");

/// The lines as a person would want them in a table.
fn table(document: &SalesOrder) -> String {
    let mut out = String::new();
    let text = |value: Option<String>| value.unwrap_or_else(|| "-".to_owned());
    for line in &document.lines {
        let SalesLine { amounts, base, .. } = line;
        let base = base.map(|base| format!("{} {} {} {}", base.net, base.discount, base.tax, base.total));
        writeln!(
            out,
            "{:2} {:9} | {} | {} x {} | {} {} {} {} | base {} | tax {} {} | {}",
            line.number,
            format!("{:?}", line.kind).to_lowercase(),
            text(line.sku.clone()),
            text(line.quantity.map(|quantity| quantity.to_string())),
            text(line.unit_price.map(|price| price.normalize().to_string())),
            amounts.net,
            amounts.discount,
            amounts.tax,
            amounts.total,
            text(base),
            text(line.tax_percent.map(|percent| percent.normalize().to_string())),
            text(line.tax_code.clone()),
            line.name,
        )
        .unwrap();
    }
    for settlement in &document.settlements {
        let base = text(settlement.base_amount.map(|amount| amount.to_string()));
        writeln!(
            out,
            "   {} {} {} base {base}",
            settlement.kind,
            text(settlement.reference.clone()),
            settlement.amount
        )
        .unwrap();
    }
    for warning in &document.warnings {
        writeln!(out, "   ! {} at {}: {}", warning.code, warning.path, warning.message).unwrap();
    }
    writeln!(out, "   = {} grand total {}", document.totals.sums.total, document.totals.grand_total).unwrap();
    out
}

fn of(text: &str) -> SalesOrder {
    expanded(&read(text)).unwrap()
}

/// The story with changes at JSON pointers; `null` is as good as missing.
fn changed(text: &str, changes: &[(&str, Value)]) -> String {
    let mut json: Value = serde_json::from_str(text).unwrap();
    for (pointer, value) in changes {
        let (parent, name) = pointer.rsplit_once('/').unwrap();
        match json.pointer_mut(parent).unwrap() {
            Value::Object(members) => drop(members.insert(name.to_owned(), value.clone())),
            Value::Array(items) => items[name.parse::<usize>().unwrap()] = value.clone(),
            other => panic!("{pointer} leads into {other}"),
        }
    }
    json.to_string()
}

fn refused(text: &str) -> Vec<Defect> {
    match order(&read(text)) {
        Ok(order) => Shop::default().expand(&order).unwrap_err(),
        Err(defects) => defects,
    }
}

#[track_caller]
fn parks(text: &str, code: ExceptionCode, path: &str) -> Defect {
    let defects = refused(text);
    let found = defects.iter().find(|defect| defect.code == code && defect.path == path);
    found.unwrap_or_else(|| panic!("{code} at {path} is not among {defects:#?}")).clone()
}

#[test]
fn stories_expand_to_their_lines() {
    for (story, text) in [
        ("bundle_dynamic_price_with_coupon", DYNAMIC),
        ("bundle_fixed_price_engraved_two_currencies", FIXED),
        ("configurable_tax_inclusive_gift_cards_wrapping_fee", ADOBE),
        ("yen_with_decimals_and_fractional_quantity", YEN),
    ] {
        insta::assert_snapshot!(story, table(&of(text)));
    }
}

#[test]
fn the_document_is_spelled_exactly_as_the_contract_says() {
    insta::assert_snapshot!("document", serde_json::to_string_pretty(&of(DYNAMIC)).unwrap());
    insta::assert_snapshot!("document_of_an_event", serde_json::to_string_pretty(&of(FIXED)).unwrap());
}

#[test]
fn an_order_read_before_it_is_saved_has_no_ids_and_says_so() {
    let unsaved = parse::order(&read(UNSAVED), &Reading { not_yet_saved: true, ..READING }).unwrap();
    let document = Shop::default().expand(&unsaved).unwrap();
    let [line] = &document.lines[..] else { panic!("{}", table(&document)) };
    assert_eq!((line.order_item_id, line.product_id), (None, Some(ProductId(601))));
    assert_eq!(line.configuration[0].label.as_deref(), Some("Color"));
    assert_eq!(document.warnings[0].code, "not_yet_saved");
    assert_eq!((document.order.entity_id, document.order.placed_at), (None, None));
}

#[test]
fn a_payload_without_ids_that_cannot_be_told_apart_is_parked() {
    let text = changed(UNSAVED, &[("/items/0/quote_item_id", Value::Null), ("/items/1/parent_item", Value::Null)]);
    parks(&text, ExceptionCode::UnreadablePayload, "items/0/item_id");
}

struct Cache;

impl Catalogue for Cache {
    fn sku(&self, product: ProductId) -> Option<&str> {
        match product.0 {
            35 => Some("STRAP"),
            400 => Some("KIT"),
            500 => Some("DESK-SET"),
            _ => None,
        }
    }

    fn price_type(&self, _product: ProductId) -> Option<PriceType> {
        Some(PriceType::Fixed)
    }

    fn list_price(&self, product: ProductId) -> Option<Decimal> {
        match product.0 {
            501 => Some(Decimal::from(90)),
            502 => Some(Decimal::from(10)),
            503 => Some(Decimal::new(25, 1)),
            _ => None,
        }
    }
}

#[test]
fn the_catalogue_names_articles_and_weighs_components() {
    let dynamic = order(&read(DYNAMIC)).unwrap();
    let document = Shop::default().expand_with(&dynamic, &Cache).unwrap();
    // The figures say dynamic: what the catalogue says today does not matter.
    assert_eq!(document.lines[0].sku.as_deref(), Some("STRAP"));
    assert_eq!(document.lines[0].bundle.as_ref().unwrap().sku, "KIT");
    let fixed = order(&read(FIXED)).unwrap();
    let document = Shop::default().expand_with(&fixed, &Cache).unwrap();
    let parts: Vec<(String, String)> = document
        .lines
        .iter()
        .filter(|line| line.kind == LineKind::Component)
        .map(|line| (line.amounts.net.to_string(), line.base.unwrap().net.to_string()))
        .collect();
    // 90 : 40 : 5 of 100.00 EUR and of 85.01 GBP, each by itself.
    let wanted = [("66.67", "56.67"), ("29.63", "25.19"), ("3.70", "3.15")];
    assert_eq!(parts, wanted.map(|(order, base)| (order.to_owned(), base.to_owned())));
}

#[test]
fn a_kit_is_one_line_with_its_components_as_comments() {
    let policies = Policies { bundles_by_sku: [("SET".to_owned(), BundlePolicy::Kit)].into(), ..Policies::default() };
    let shop = Shop { policies, ..Shop::default() };
    insta::assert_snapshot!("kit_of_a_fixed_bundle", table(&shop.expand(&order(&read(FIXED)).unwrap()).unwrap()));
    let policies = Policies { bundles: BundlePolicy::Kit, ..Policies::default() };
    let shop = Shop { policies, ..Shop::default() };
    insta::assert_snapshot!("kit_of_a_dynamic_bundle", table(&shop.expand(&order(&read(DYNAMIC)).unwrap()).unwrap()));
}

fn mappings(rows: &[(Table, &str, &str)]) -> Mappings {
    let row = |(table, key, value): &(Table, &str, &str)| {
        (*table, MappingRow { key: (*key).to_owned(), value: (*value).to_owned(), destination: None })
    };
    Mappings::new(1, rows.iter().map(row))
}

#[test]
fn tables_translate_skus_taxes_methods_and_options() {
    let mappings = mappings(&[
        (Table::Skus, "DESK", "100"),
        (Table::Skus, "LEG", "101"),
        (Table::Skus, "SCREW", "102"),
        (Table::TaxCodes, "19", "V19"),
        (Table::TaxCodes, "0", "V0"),
        (Table::PaymentMethods, "checkmo", "CHEQUE"),
        (Table::ShippingMethods, "flatrate_flatrate", "DHL"),
        (Table::Options, "Engraving", "engraving_text"),
    ]);
    let document = Shop { mappings, ..Shop::default() }.expand(&order(&read(FIXED)).unwrap()).unwrap();
    assert_eq!(document.warnings, []);
    assert_eq!(document.order.payment_method.as_deref(), Some("CHEQUE"));
    assert_eq!(document.order.shipping_method.as_deref(), Some("DHL"));
    let seen: Vec<_> = document.lines.iter().map(|line| (line.sku.as_deref(), line.tax_code.as_deref())).collect();
    let wanted = [
        (None, None),
        (Some("100"), Some("V19")),
        (Some("101"), Some("V19")),
        (Some("102"), Some("V19")),
        (None, Some("V0")),
    ];
    assert_eq!(seen, wanted);
    assert_eq!(document.lines[0].options[0].field.as_deref(), Some("engraving_text"));
    assert_eq!(document.lines[1].bundle.as_ref().unwrap().options, document.lines[0].options);
}

#[test]
fn tax_tables_may_be_kept_by_rate_code_or_by_percent() {
    let dynamic = order(&read(DYNAMIC)).unwrap();
    for (rows, wanted) in [
        (vec![(Table::TaxCodes, "20", "STD")], "STD"),
        (vec![(Table::TaxCodes, "20", "STD"), (Table::TaxCodes, "GB-20", "UK")], "UK"),
    ] {
        let document = Shop { mappings: mappings(&rows), ..Shop::default() }.expand(&dynamic).unwrap();
        assert!(document.lines.iter().all(|line| line.tax_code.as_deref() == Some(wanted)), "{}", table(&document));
    }
}

#[test]
fn what_no_table_knows_parks_warns_or_passes_as_the_policy_says() {
    let rows = [
        (Table::Skus, "DESK", "100"),
        (Table::TaxCodes, "7", "V7"),
        (Table::Options, "x", "y"),
        (Table::PaymentMethods, "x", "y"),
    ];
    let fixed = order(&read(FIXED)).unwrap();
    let shop = Shop { mappings: mappings(&rows), ..Shop::default() };
    let defects = shop.expand(&fixed).unwrap_err();
    let seen: Vec<_> =
        defects.iter().map(|defect| (defect.code, defect.path.as_str(), defect.cause.as_str())).collect();
    let unmapped = ExceptionCode::UnmappedSku;
    assert_eq!(seen, [(unmapped, "items/82/sku", "LEG"), (unmapped, "items/83/sku", "SCREW")]);
    let policies = Policies { unmapped_sku: OnUnmapped::Warn, unmapped_tax: OnUnmapped::Pass, ..Policies::default() };
    let document = Shop { mappings: mappings(&rows), policies }.expand(&fixed).unwrap();
    let seen: Vec<_> = document.warnings.iter().map(|warning| (warning.code.as_str(), warning.path.as_str())).collect();
    assert_eq!(
        seen,
        [
            ("unmapped_option", "lines/0/options/0/field"),
            ("unmapped_sku", "lines/2/sku"),
            ("unmapped_sku", "lines/3/sku")
        ]
    );
    assert_eq!(document.order.payment_method.as_deref(), Some("checkmo"));
}

#[test]
fn damaged_trees_are_parked_with_their_reason() {
    use ExceptionCode::{MissingComponent, OrphanItem, UnreadablePayload, UnsupportedProductType};
    let some = |value: i64| Value::from(value);
    parks(&changed(DYNAMIC, &[("/items/1/parent_item_id", some(999))]), OrphanItem, "items/1/parent_item_id");
    parks(&changed(DYNAMIC, &[("/items/2/parent_item_id", some(71))]), OrphanItem, "items/2/parent_item_id");
    parks(&changed(DYNAMIC, &[("/items/0/parent_item_id", some(70))]), OrphanItem, "items/0/parent_item_id");
    parks(&changed(DYNAMIC, &[("/items/2/item_id", some(71))]), UnreadablePayload, "items/2/item_id");
    parks(
        &changed(DYNAMIC, &[("/items/2/product_type", "subscription".into())]),
        UnsupportedProductType,
        "items/2/product_type",
    );
    parks(
        &changed(DYNAMIC, &[("/items/0/product_type", "simple".into())]),
        UnsupportedProductType,
        "items/0/product_type",
    );
    parks(&changed(ADOBE, &[("/items/1/qty_ordered", some(2))]), MissingComponent, "items/1/qty_ordered");
    let items: Value = serde_json::from_str::<Value>(DYNAMIC).unwrap()["items"][0].clone();
    parks(&changed(DYNAMIC, &[("/items", Value::Array(vec![items]))]), MissingComponent, "items/0");
}

#[test]
fn a_configurable_without_its_child_is_known_by_its_sku() {
    let items: Value = serde_json::from_str(ADOBE).unwrap();
    let text = changed(ADOBE, &[("/items", Value::Array(vec![items["items"][0].clone(), items["items"][2].clone()]))]);
    let document = of(&text);
    assert_eq!((document.lines[0].sku.as_deref(), document.lines[0].product_id), (Some("HOOD-S-GRY"), None));
    assert_eq!(document.warnings[0].code, "missing_component");
}

#[test]
fn what_is_missing_or_unreadable_is_named_all_at_once() {
    use ExceptionCode::{MissingBaseAmounts, MissingTaxData, UnreadablePayload};
    for name in ["increment_id", "items", "subtotal", "grand_total", "order_currency_code"] {
        parks(&changed(DYNAMIC, &[(&format!("/{name}"), Value::Null)]), UnreadablePayload, name);
    }
    parks(&changed(DYNAMIC, &[("/tax_amount", Value::Null)]), MissingTaxData, "tax_amount");
    parks(&changed(DYNAMIC, &[("/items/1/tax_amount", Value::Null)]), MissingTaxData, "items/1/tax_amount");
    parks(&changed(DYNAMIC, &[("/base_subtotal", Value::Null)]), MissingBaseAmounts, "base_subtotal");
    parks(&changed(DYNAMIC, &[("/order_currency_code", "XBT".into())]), UnreadablePayload, "order_currency_code");
    parks(&changed(DYNAMIC, &[("/items/1/qty_ordered", "-2".into())]), UnreadablePayload, "items/1/qty_ordered");
    let long = "0.12345678901234567890123456789";
    let defect = parks(&changed(DYNAMIC, &[("/subtotal", long.into())]), UnreadablePayload, "subtotal");
    assert_eq!(defect.value.as_deref(), Some(long));
    let text = changed(
        DYNAMIC,
        &[("/subtotal", "x".into()), ("/items/1/sku", "".into()), ("/items/2/price", Value::Bool(true))],
    );
    assert_eq!(refused(&text).len(), 3, "{:#?}", refused(&text));
    assert_eq!(refused("[1]").len(), 1);
}

#[test]
fn base_amounts_that_commerce_never_sent_are_null_with_a_warning() {
    let document = of(YEN);
    assert!(document.totals.base.is_none() && document.lines.iter().all(|line| line.base.is_none()));
    assert_eq!(document.warnings[0].code, "missing_base_amounts");
}

#[test]
fn law_5_a_small_gap_is_a_rounding_line_and_a_large_one_parks_with_its_figures() {
    // Two money lines: up to three cents.
    let small = changed(DYNAMIC, &[("/grand_total", 63.87.into()), ("/base_grand_total", 63.81.into())]);
    let document = of(&small);
    let rounding = document.lines.last().unwrap();
    assert_eq!(rounding.kind, LineKind::Rounding);
    assert_eq!(
        (rounding.amounts.net.to_string(), rounding.base.unwrap().net.to_string()),
        ("0.03".into(), "-0.03".into())
    );
    let large = changed(DYNAMIC, &[("/grand_total", 63.88.into())]);
    let defect = parks(&large, ExceptionCode::TotalsMismatch, "grand_total");
    for figure in ["58.00", "4.80", "10.64", "63.88", "0.04"] {
        assert!(defect.message.contains(figure), "{}", defect.message);
    }
    let strict = Shop { policies: Policies { rounding_tolerance: 0, ..Policies::default() }, ..Shop::default() };
    assert!(strict.expand(&order(&read(&small)).unwrap()).is_err());
}

#[test]
fn law_2_a_column_that_only_the_header_has_parks_with_its_figures() {
    let text = changed(DYNAMIC, &[("/subtotal", 60.into()), ("/grand_total", 75.84.into())]);
    let defect = parks(&text, ExceptionCode::TotalsMismatch, "subtotal");
    assert!(defect.message.contains("60.00") && defect.message.contains("48.00"), "{}", defect.message);
    let text = changed(DYNAMIC, &[("/discount_amount", (-5.8).into()), ("/grand_total", 62.84.into())]);
    parks(&text, ExceptionCode::TotalsMismatch, "discount_amount");
    let text = changed(DYNAMIC, &[("/tax_amount", 12.64.into()), ("/grand_total", 65.84.into())]);
    parks(&text, ExceptionCode::TotalsMismatch, "tax_amount");
}

#[test]
fn quantities_that_have_moved_already_stand_on_the_line() {
    let document =
        of(&changed(DYNAMIC, &[("/items/1/qty_canceled", 1.into()), ("/items/1/qty_shipped", "1.0000".into())]));
    let json = serde_json::to_value(&document.lines[0]).unwrap();
    assert_eq!((&json["quantity_canceled"], &json["quantity_shipped"]), (&Value::from("1"), &Value::from("1")));
    assert!(json.get("quantity_refunded").is_none());
}

#[test]
fn the_header_can_be_said_of_any_payload() {
    let seen = header(&read(r#"{"increment_id":42,"entity_id":"7","store_id":"x","updated_at":"soon"}"#), &READING);
    assert_eq!((seen.increment_id.as_deref(), seen.entity_id, seen.store_id), (Some("42"), Some(7), None));
    let reading = Reading { default_store_id: Some("3"), ..READING };
    assert_eq!(header(&read("{}"), &reading).store_id, Some(3));
    assert_eq!(header(&read("[]"), &READING).increment_id, None);
    assert_eq!(header(&read("7"), &READING), parse::Header::default());
}

#[test]
fn completeness_names_what_would_have_to_be_read_back() {
    assert_eq!(completeness(&read(DYNAMIC)), Completeness::Complete);
    assert_eq!(completeness(&read(FIXED)), Completeness::Complete);
    let text = changed(
        DYNAMIC,
        &[("/subtotal", Value::Null), ("/items/1/parent_item_id", 1.into()), ("/items/2/parent_item_id", 1.into())],
    );
    assert_eq!(completeness(&read(&text)), Completeness::Incomplete(vec!["subtotal", "items of bundles"]));
    assert!(matches!(completeness(&read("{}")), Completeness::Incomplete(missing) if missing.contains(&"items")));
}

#[test]
fn the_proof_puts_our_sums_beside_commerces_digits() {
    let document = of(ADOBE);
    let proof = proof(&document);
    assert!(proof.closes);
    let seen: Vec<String> = proof
        .rows
        .iter()
        .map(|row| format!("{} {} {}", row.figure, row.here, row.as_sent.as_deref().unwrap_or("-")))
        .collect();
    insta::assert_snapshot!("proof", seen.join("\n"));
}
