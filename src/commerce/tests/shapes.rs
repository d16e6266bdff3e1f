//! Every way a destination may want an order put: the money is the same to the last minor unit, and nothing is lost.

use std::collections::BTreeMap;
use std::path::PathBuf;

use proptest::prelude::*;
use rust_decimal::Decimal;
use serde_json::{Value, json};

use super::model::basket;
use super::{LineKind, SalesLine, SalesOrder, Shop, order, read};
use crate::domain::cancellation::{self, cancellation};
use crate::domain::conserve;
use crate::domain::defect::ExceptionCode;
use crate::domain::mapping::{MappingRow, Mappings, Table};
use crate::domain::money::Money;
use crate::domain::options::{CustomOption, OptionSource, Raw};
use crate::domain::order::{Order, Side};
use crate::domain::policy::{BundlePolicy, OnUnmapped, Policies};
use crate::domain::quantity::Quantity;
use crate::domain::sales_order::Amounts;
use crate::domain::shape::{DiscountShape, OptionShape, RoundingShape, Shape, ShippingShape, TaxShape};
use crate::domain::shaping::{cancelled, put, shaped};

const TAXES: [TaxShape; 5] = [TaxShape::Amount, TaxShape::Code, TaxShape::Line, TaxShape::Gross, TaxShape::None];
const DISCOUNTS: [DiscountShape; 2] = [DiscountShape::Amount, DiscountShape::Line];
const SHIPPINGS: [ShippingShape; 2] = [ShippingShape::Line, ShippingShape::Field];
const OPTIONS: [OptionShape; 4] = [OptionShape::Line, OptionShape::Comment, OptionShape::Name, OptionShape::Field];
const ROUNDINGS: [RoundingShape; 3] = [RoundingShape::Line, RoundingShape::Shipping, RoundingShape::Largest];

const STORIES: [&str; 4] = [
    include_str!("../../../tests/fixtures/commerce/bundle_dynamic_price_with_coupon.json"),
    include_str!("../../../tests/fixtures/commerce/bundle_fixed_price_engraved_two_currencies.json"),
    include_str!("../../../tests/fixtures/commerce/configurable_tax_inclusive_gift_cards_wrapping_fee.json"),
    include_str!("../../../tests/fixtures/commerce/yen_with_decimals_and_fractional_quantity.json"),
];

fn every_shape() -> Vec<Shape> {
    let mut all = Vec::new();
    for tax in TAXES {
        for discount in DISCOUNTS {
            for shipping in SHIPPINGS {
                for options in OPTIONS {
                    for rounding in ROUNDINGS {
                        all.push(Shape { tax, discount, shipping, options, rounding, ..Shape::default() });
                    }
                }
            }
        }
    }
    all
}

fn side(document: &SalesOrder, side: Side) -> Option<(Vec<Amounts>, Amounts, i64)> {
    let base = side == Side::Base;
    if base {
        document.totals.base?;
    }
    let amounts = |line: &SalesLine| if base { line.base } else { Some(line.amounts) };
    let field = document.shipping.as_ref().map(|field| if base { field.base.unwrap() } else { field.amounts });
    let all = document.lines.iter().filter_map(amounts).chain(field).collect();
    let settled = |settlement: &crate::domain::sales_order::Settlement| {
        if base { settlement.base_amount } else { Some(settlement.amount) }.unwrap().minor()
    };
    let (sums, grand) = if base {
        let totals = document.totals.base?;
        (totals.sums, totals.grand_total)
    } else {
        (document.totals.sums, document.totals.grand_total)
    };
    Some((all, sums, grand.minor() + document.settlements.iter().map(settled).sum::<i64>()))
}

/// What is asked of every shape, worked out here once more.
fn keeps(order: &Order, plain: &SalesOrder, shape: &Shape) -> SalesOrder {
    let document = shaped(order, plain, shape).unwrap_or_else(|broken| panic!("{shape:?}: {broken:#?}")).into_owned();
    assert!(conserve::proof(&document).closes, "{shape:?}");
    let rows = |document| conserve::proof(document).rows.into_iter().map(|row| (row.figure, row.here, row.base));
    if shape.rounding == RoundingShape::Line && shape.tax != TaxShape::None {
        assert!(rows(plain).eq(rows(&document)), "{shape:?}: the proof shows the same figures");
    }
    assert_eq!(document.shape, (!shape.is_plain()).then_some(*shape));
    for which in [Side::Order, Side::Base] {
        let (Some((lines, sums, due)), Some((before, ..))) = (side(&document, which), side(plain, which)) else {
            assert!(document.totals.base.is_none() && plain.totals.base.is_none());
            continue;
        };
        let sum = |of: fn(&Amounts) -> i64, lines: &[Amounts]| lines.iter().map(of).sum::<i64>();
        let (total, tax) = (sum(|amounts| amounts.total.minor(), &lines), sum(|amounts| amounts.tax.minor(), &lines));
        let taxed = sum(|amounts| amounts.tax.minor(), &before);
        let discounted = sum(|amounts| amounts.discount.minor(), &before);
        assert_eq!((sums.total.minor(), sums.tax.minor()), (total, tax));
        assert_eq!(sums.net.minor(), sum(|amounts| amounts.net.minor(), &lines));
        assert_eq!(total + sums.tax_left_out.map_or(0, Money::minor), due, "{shape:?}");
        let columns: Vec<bool> = lines.iter().map(|amounts| amounts.tax.is_zero()).collect();
        let of_kind = |kind| {
            let lines = document.lines.iter().filter(move |line| line.kind == kind);
            let amounts = lines.map(|line| if which == Side::Base { line.base.unwrap() } else { line.amounts });
            amounts.map(|amounts| amounts.total.minor()).sum::<i64>()
        };
        match shape.tax {
            TaxShape::Amount | TaxShape::Code => assert_eq!(tax, taxed),
            TaxShape::Line => assert_eq!((of_kind(LineKind::Tax), tax), (taxed, 0)),
            TaxShape::Gross => assert_eq!((sums.tax_included.unwrap().minor(), tax), (taxed, 0)),
            TaxShape::None => assert_eq!((sums.tax_left_out.unwrap().minor(), tax), (taxed, 0)),
        }
        if !matches!(shape.tax, TaxShape::Amount | TaxShape::Code) {
            assert!(columns.iter().all(|zero| *zero), "{shape:?}");
        }
        match shape.discount {
            DiscountShape::Amount => assert_eq!(sums.discount.minor(), discounted),
            DiscountShape::Line => {
                assert_eq!((of_kind(LineKind::Discount), sums.discount.minor()), (-discounted, 0));
                assert!(lines.iter().all(|amounts| amounts.discount.is_zero()));
            }
        }
    }
    words_are_kept(plain, &document, shape);
    let numbers: Vec<u32> = document.lines.iter().map(|line| line.number).collect();
    assert_eq!(numbers, (1..).take(numbers.len()).collect::<Vec<u32>>());
    assert_eq!(document.shipping.is_some(), shape.shipping == ShippingShape::Field);
    document
}

/// SKUs, quantities and what buyers wrote.
fn words_are_kept(plain: &SalesOrder, document: &SalesOrder, shape: &Shape) {
    let goods = |document: &SalesOrder| -> Vec<_> {
        let goods = document.lines.iter().filter(|line| line.sku.is_some());
        goods.map(|line| (line.kind, line.sku.clone(), line.quantity, line.ships)).collect()
    };
    assert_eq!(goods(plain), goods(document));
    let options =
        |document: &SalesOrder| -> Vec<_> { document.lines.iter().flat_map(|line| line.options.clone()).collect() };
    assert_eq!(options(plain), options(document), "ids and raw values stay");
    for (at, line) in document.lines.iter().enumerate().filter(|(_, line)| !line.options.is_empty()) {
        let comments: Vec<&str> = document.lines[at + 1..]
            .iter()
            .take_while(|line| line.kind == LineKind::Comment && line.quantity.is_none() && line.options.is_empty())
            .map(|line| line.name.as_str())
            .collect();
        for option in &line.options {
            let Raw::Text(text) = &option.raw else { continue };
            let flat = |text: &str| {
                text.lines().map(str::trim).filter(|line| !line.is_empty()).collect::<Vec<_>>().join(" / ")
            };
            let text = flat(option.value.as_ref().unwrap_or(text));
            let commented = comments.iter().any(|comment| comment.contains(&text));
            let said = match shape.options {
                OptionShape::Line => comments.is_empty(),
                OptionShape::Comment => commented,
                OptionShape::Name => line.name.contains(&text) || commented,
                OptionShape::Field => match &option.field {
                    Some(field) => flat(&line.fields[field]).contains(&text),
                    None => commented,
                },
            };
            assert!(said, "{shape:?}: \"{text}\" in {:?} {:?} {comments:?}", line.name, line.fields);
        }
    }
}

fn option(id: &str, title: Option<&str>, text: &str) -> CustomOption {
    CustomOption {
        id: id.to_owned(),
        source: OptionSource::Custom,
        title: title.map(str::to_owned),
        value: None,
        kind: Some("field".to_owned()),
        raw: Raw::Text(text.to_owned()),
    }
}

/// Buyers' words on whatever has no parent.
fn engraved(order: &mut Order, words: &[String]) {
    for (item, words) in order.items.iter_mut().zip(words.iter().cycle()).filter(|(item, _)| item.parent.is_none()) {
        item.options = vec![option("7", Some("Engraving"), words), option("8", None, "second\nline")];
    }
}

fn fields() -> Mappings {
    let row = MappingRow { key: "Engraving".into(), value: "engraving".into(), destination: None };
    Mappings::new(1, [(Table::Options, row)])
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn every_shape_of_any_order_conserves_both_currencies_and_every_word(
        basket in basket(),
        at in 0_usize..240,
        kit in any::<bool>(),
        gap in -2_i64..=2,
        currency in 0_usize..3,
        words in proptest::collection::vec("[a-zäß ]{1,300}", 1..4),
    ) {
        let mut payload = basket.written(true);
        if currency > 0 {
            payload["order_currency_code"] = json!(["", "KWD", "JPY"][currency]);
            payload["base_currency_code"] = json!(["", "JPY", "KWD"][currency]);
        }
        if gap != 0 {
            let total: Decimal = payload["grand_total"].to_string().trim_matches('"').parse().unwrap();
            payload["grand_total"] = json!((total + Decimal::new(gap, 2)).to_string());
        }
        let text = payload.to_string();
        let Ok(mut order) = order(&read(&text)) else { return Ok(()) };
        engraved(&mut order, &words);
        let bundles = if kit { BundlePolicy::Kit } else { BundlePolicy::Components };
        let shop = Shop { policies: Policies { bundles, ..Policies::default() }, mappings: fields() };
        let Ok(plain) = shop.expand(&order) else {
            prop_assert!(gap != 0 || currency > 0);
            return Ok(());
        };
        keeps(&order, &plain, &every_shape()[at]);
    }

    #[test]
    fn cancellations_stand_under_the_numbers_of_the_shaped_order_and_are_worth_the_same(
        basket in basket(),
        at in 0_usize..240,
        shares in proptest::collection::vec(0_u8..3, 1..6),
    ) {
        let text = basket.written(true).to_string();
        let mut order = order(&read(&text)).unwrap();
        engraved(&mut order, &["To Anna".to_owned()]);
        for (item, share) in order.items.iter_mut().zip(shares.iter().cycle()) {
            let ordered = item.quantities.ordered.value();
            let part = [Decimal::ZERO, (ordered / Decimal::TWO).round_dp(4), ordered];
            item.quantities.canceled = Quantity::new(part[usize::from(*share)]).unwrap();
        }
        let shape = every_shape()[at];
        let plain = Shop::default().expand(&order).unwrap();
        let document = put(plain.clone(), &shape);
        let Some(before) = cancellation(&order, &plain) else { return Ok(()) };
        let worth = |sums: Amounts| sums.total.minor() + sums.tax_left_out.map_or(0, Money::minor);
        let after = cancelled(&order, &plain, before.clone(), &shape).map_err(|broken| TestCaseError::fail(format!("{broken:?}")))?;
        prop_assert_eq!(worth(after.totals.sums), worth(before.totals.sums));
        prop_assert_eq!(after.totals.base.map(worth), before.totals.base.map(worth));
        if after.complete {
            prop_assert_eq!(after.totals.sums, document.totals.sums);
            prop_assert_eq!(&after.shipping, &document.shipping);
        }
        for cancelled in &after.lines {
            let whole = document.lines.iter().find(|line| line.number == cancelled.line.number).unwrap();
            prop_assert_eq!((whole.kind, &whole.sku, &whole.name), (cancelled.line.kind, &cancelled.line.sku, &cancelled.line.name));
            prop_assert!(cancelled.line.quantity <= cancelled.quantity_ordered);
        }
        prop_assert_eq!(cancellation::check(&plain, &before), []);
    }
}

#[test]
fn every_story_in_every_shape_keeps_the_laws() {
    for story in STORIES {
        let mut order = order(&read(story)).unwrap();
        engraved(&mut order, &["To Anna".to_owned(), "x".repeat(400)]);
        for bundles in [BundlePolicy::Components, BundlePolicy::Kit] {
            let shop = Shop { policies: Policies { bundles, ..Policies::default() }, mappings: fields() };
            let plain = shop.expand(&order).unwrap();
            for shape in every_shape() {
                keeps(&order, &plain, &shape);
            }
        }
    }
}

/// The corpus, where there is one: whatever expands, expands in every shape.
#[test]
fn the_corpus_keeps_the_laws_in_every_shape() {
    let Some(root) = std::env::var_os("CROSSDOCK_CORPUS").map(PathBuf::from) else {
        eprintln!("left out: CROSSDOCK_CORPUS is not set");
        return;
    };
    let mut documents = 0;
    for folder in ["orders", "events", "invoices", "credit-memos"] {
        for file in std::fs::read_dir(root.join(folder)).unwrap() {
            let text = std::fs::read_to_string(file.unwrap().path()).unwrap();
            for json in super::corpus::orders(&read(&text)) {
                let Ok(order) = order(json) else { continue };
                let Ok(plain) = Shop::default().expand(&order) else { continue };
                for shape in every_shape() {
                    keeps(&order, &plain, &shape);
                }
                documents += 1;
            }
        }
    }
    assert_eq!(documents, 42);
}

#[test]
fn who_says_nothing_gets_the_same_bytes() {
    for story in STORIES {
        let order = order(&read(story)).unwrap();
        let plain = Shop::default().expand(&order).unwrap();
        let shaped = shaped(&order, &plain, &Policies::default().shape).unwrap();
        let text = serde_json::to_string(shaped.as_ref()).unwrap();
        assert_eq!(text, serde_json::to_string(&plain).unwrap());
        for member in ["shape", "tax_included", "tax_left_out", "fields"] {
            assert!(!text.contains(&format!("\"{member}\":")), "{member}");
        }
    }
}

/// The lines of a story in a shape, as a person would want them.
fn told(story: &str, shape: Shape) -> String {
    use std::fmt::Write as _;
    let mut order = order(&read(story)).unwrap();
    engraved(&mut order, &["To Anna".to_owned()]);
    let plain = Shop { mappings: fields(), ..Shop::default() }.expand(&order).unwrap();
    let document = keeps(&order, &plain, &shape);
    let mut out = String::new();
    let included = |amounts: &Amounts| amounts.tax_included.map(|tax| format!(" ({tax})")).unwrap_or_default();
    for SalesLine { number, kind, name, quantity, unit_price, amounts, fields, .. } in &document.lines {
        let kind = format!("{kind:?}").to_lowercase();
        let [quantity, price] = [quantity.map(|it| it.to_string()), unit_price.map(|it| it.normalize().to_string())]
            .map(Option::unwrap_or_default);
        let Amounts { net, discount, tax, total, .. } = amounts;
        let fields = if fields.is_empty() { String::new() } else { format!(" {fields:?}") };
        let included = included(amounts);
        writeln!(
            out,
            "{number:2} {kind} {quantity} x {price}: {net}{included} {discount} {tax} {total} {name}{fields}"
        )
        .unwrap();
    }
    if let Some(field) = &document.shipping {
        let Amounts { net, discount, tax, total, .. } = field.amounts;
        writeln!(out, "shipping {net} {discount} {tax} {total} {}", field.name).unwrap();
    }
    let Amounts { net, discount, tax, total, tax_left_out, .. } = document.totals.sums;
    let left = tax_left_out.map(|tax| format!(", tax left out {tax}")).unwrap_or_default();
    let included = included(&document.totals.sums);
    writeln!(out, "= {net}{included} {discount} {tax} {total}{left}, grand total {}", document.totals.grand_total)
        .unwrap();
    out
}

#[test]
fn each_word_does_what_it_says() {
    let plain = Shape::default();
    let shapes = BTreeMap::from([
        ("tax_line", Shape { tax: TaxShape::Line, ..plain }),
        ("tax_gross", Shape { tax: TaxShape::Gross, ..plain }),
        ("tax_none", Shape { tax: TaxShape::None, ..plain }),
        ("discount_line", Shape { discount: DiscountShape::Line, ..plain }),
        ("shipping_field", Shape { shipping: ShippingShape::Field, ..plain }),
        ("options_comment", Shape { options: OptionShape::Comment, ..plain }),
        ("options_name", Shape { options: OptionShape::Name, name_chars: 60, ..plain }),
        ("options_field", Shape { options: OptionShape::Field, ..plain }),
    ]);
    for (word, shape) in shapes {
        insta::assert_snapshot!(format!("shape_{word}"), told(STORIES[0], shape));
    }
}

#[test]
fn rounding_goes_where_it_is_wanted_and_never_below_zero() {
    let mut payload: Value = serde_json::from_str(STORIES[0]).unwrap();
    (payload["grand_total"], payload["base_grand_total"]) = (json!("63.87"), json!("63.81"));
    let text = payload.to_string();
    let order = order(&read(&text)).unwrap();
    let plain = Shop::default().expand(&order).unwrap();
    assert_eq!(plain.lines.last().unwrap().kind, LineKind::Rounding);
    let net = |document: &SalesOrder, kind| {
        let line = document.lines.iter().find(|line| line.kind == kind).unwrap();
        (line.amounts.net.minor(), line.base.unwrap().net.minor())
    };
    let (shipping, goods) = (net(&plain, LineKind::Shipping), net(&plain, LineKind::Component));
    let by = |rounding| keeps(&order, &plain, &Shape { rounding, ..Shape::default() });
    let put = by(RoundingShape::Shipping);
    assert_eq!(net(&put, LineKind::Shipping), (shipping.0 + 3, shipping.1 - 3));
    assert!(put.lines.iter().all(|line| line.kind != LineKind::Rounding));
    let put = by(RoundingShape::Largest);
    assert_eq!((net(&put, LineKind::Shipping), net(&put, LineKind::Component)), (shipping, (goods.0 + 3, goods.1 - 3)));
    let line = put.lines.iter().find(|line| line.kind == LineKind::Component).unwrap();
    let price = line.unit_price.unwrap() * line.quantity.unwrap().value();
    assert_eq!(price.round_dp(2), line.amounts.net.to_decimal(), "the unit price goes with the net");
}

#[test]
fn a_thousand_lines_with_options_are_numbered_without_gaps() {
    let mut payload: Value = serde_json::from_str(include_str!("../../demo/orders/simple.json")).unwrap();
    let items = payload["items"].as_array().unwrap().clone();
    let mut order = order(&read(&payload.to_string())).unwrap();
    let (count, header) = (1_000, items.len());
    assert!(header > 0);
    payload["items"] = Value::Array(items);
    let plain = Shop::default().expand(&order).unwrap();
    let mut long = plain.clone();
    let goods = plain.lines.iter().find(|line| line.kind == LineKind::Item).unwrap().clone();
    engraved(&mut order, &["To Anna".to_owned()]);
    let options = Shop::default().expand(&order).unwrap().lines[0].options.clone();
    long.lines = (1..=count).map(|number| SalesLine { number, options: options.clone(), ..goods.clone() }).collect();
    let shape = Shape { tax: TaxShape::Line, options: OptionShape::Comment, ..Shape::default() };
    let document = put(long, &shape);
    assert_eq!(document.lines.len(), 3 * 1_000 + 1);
    assert_eq!(document.lines.last().unwrap().number, 3_001);
    assert_eq!(document.lines.last().unwrap().amounts.net.minor(), 1_000 * goods.amounts.tax.minor());
}

#[test]
fn a_line_without_a_tax_code_is_a_matter_for_the_policy_where_a_destination_goes_by_codes() {
    let mut payload: Value = serde_json::from_str(STORIES[0]).unwrap();
    payload["extension_attributes"]["item_applied_taxes"] = json!([]);
    payload["extension_attributes"]["applied_taxes"] = json!([]);
    let text = payload.to_string();
    let order = order(&read(&text)).unwrap();
    let by = |tax, unmapped_tax| {
        let shape = Shape { tax, ..Shape::default() };
        let policies = Policies { unmapped_tax, shape, ..Policies::default() };
        Shop { policies, ..Shop::default() }.expand(&order)
    };
    let lacking =
        |document: &SalesOrder| document.warnings.iter().filter(|warning| warning.code == "unmapped_tax_code").count();
    assert_eq!(lacking(&by(TaxShape::Amount, OnUnmapped::Warn).unwrap()), 0);
    assert_eq!(lacking(&by(TaxShape::Code, OnUnmapped::Warn).unwrap()), 3, "two components and shipping");
    let defects = by(TaxShape::Code, OnUnmapped::Park).unwrap_err();
    assert!(defects.iter().all(|defect| defect.code == ExceptionCode::UnmappedTaxCode), "{defects:?}");
}

#[test]
fn warnings_point_at_the_lines_as_they_stand_and_at_shipping_beside_them() {
    let mut order = order(&read(STORIES[0])).unwrap();
    engraved(&mut order, &["To Anna".to_owned()]);
    let tables = [(Table::TaxCodes, MappingRow { key: "nothing".into(), value: "X".into(), destination: None })];
    let plain = Shop { mappings: Mappings::new(1, tables), ..Shop::default() }.expand(&order).unwrap();
    let shape = Shape { options: OptionShape::Comment, shipping: ShippingShape::Field, ..Shape::default() };
    let document = keeps(&order, &plain, &shape);
    assert_eq!(plain.warnings.len(), document.warnings.len());
    let json = serde_json::to_value(&document).unwrap();
    for (before, after) in plain.warnings.iter().zip(&document.warnings) {
        assert_eq!(before.message, after.message);
        assert!(json.pointer(&format!("/{}", after.path)).is_some(), "{} led to {}", before.path, after.path);
    }
    assert!(document.warnings.iter().any(|warning| warning.path == "shipping/tax_code"), "{:?}", document.warnings);
}

/// The laws know a shape: a document that says one thing and does another is refused.
#[test]
fn law_2_a_document_that_does_not_keep_its_shape_breaks_it() {
    let order = order(&read(STORIES[0])).unwrap();
    let plain = Shop::default().expand(&order).unwrap();
    let euro = |minor| Money::from_minor(minor, plain.order.currency);
    let broken = |shape: Shape, bend: &dyn Fn(&mut SalesOrder)| {
        let mut document = put(plain.clone(), &shape);
        assert_eq!(conserve::check(&order, &document), []);
        bend(&mut document);
        conserve::check(&order, &document).iter().map(|violation| violation.law).collect::<Vec<_>>()
    };
    let none = Shape { tax: TaxShape::None, ..Shape::default() };
    let gross = Shape { tax: TaxShape::Gross, ..Shape::default() };
    let lines = Shape { tax: TaxShape::Line, discount: DiscountShape::Line, ..Shape::default() };
    let field = Shape { shipping: ShippingShape::Field, ..Shape::default() };
    assert!(broken(none, &|document| document.shape = None).contains(&2));
    assert!(broken(none, &|document| document.totals.sums.tax_left_out = None).contains(&2));
    assert!(broken(none, &|document| document.totals.sums.tax_left_out = Some(euro(1))).contains(&2));
    assert!(broken(gross, &|document| document.lines[0].amounts.tax_included = Some(euro(1))).contains(&2));
    assert!(broken(gross, &|document| document.shape = Some(Shape::default())).contains(&2));
    assert!(broken(lines, &|document| drop(document.lines.pop())).contains(&2));
    assert!(broken(field, &|document| document.shipping = None).contains(&2));
    assert!(broken(field, &|document| document.shipping.as_mut().unwrap().amounts.net = euro(1)).contains(&1));
    let shaped = put(plain.clone(), &lines);
    assert_eq!(conserve::nothing_is_lost(&plain, &shaped), None);
    let mut short = shaped.clone();
    short.lines.remove(0);
    assert_eq!(conserve::nothing_is_lost(&plain, &short).map(|violation| violation.law), Some(3));
}
