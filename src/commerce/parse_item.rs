//! One line of the flat item list.

use rust_decimal::Decimal;

use crate::domain::catalogue::PriceType;
use crate::domain::defect::{Defect, ExceptionCode};
use crate::domain::ids::{OrderItemId, ProductId, Sku};
use crate::domain::order::{FeeAmount, FixedTax, ItemAmounts, ItemKey, OrderItem, ProductType, Quantities};
use crate::domain::quantity::Quantity;

use super::parse_options::{self, Chosen};
use super::wire::Object;

/// The names of an item's amounts on one side, in the order REST sends them.
struct Names {
    discount: &'static str,
    compensation: &'static str,
    price: &'static str,
    row_total: &'static str,
    row_total_incl_tax: &'static str,
    tax: &'static str,
    fixed_tax_unit: &'static str,
    fixed_tax_row: &'static str,
}

const ORDER: Names = Names {
    discount: "discount_amount",
    compensation: "discount_tax_compensation_amount",
    price: "price",
    row_total: "row_total",
    row_total_incl_tax: "row_total_incl_tax",
    tax: "tax_amount",
    fixed_tax_unit: "weee_tax_applied_amount",
    fixed_tax_row: "weee_tax_applied_row_amount",
};
const BASE: Names = Names {
    discount: "base_discount_amount",
    compensation: "base_discount_tax_compensation_amount",
    price: "base_price",
    row_total: "base_row_total",
    row_total_incl_tax: "base_row_total_incl_tax",
    tax: "base_tax_amount",
    fixed_tax_unit: "base_weee_tax_applied_amount",
    // Commerce shortened the word to fit its database.
    fixed_tax_row: "base_weee_tax_applied_row_amnt",
};

/// Reads an item; what is wrong with it is noted, and `None` means it cannot stand for anything.
pub(super) fn item(object: &Object<'_, '_, '_>) -> Option<OrderItem> {
    let mut base = amounts(object, &BASE);
    let mut amounts = amounts(object, &ORDER);
    let id = object.id("item_id");
    let parent = parent(object);
    let fixed_taxes = fixed_taxes(object, &mut amounts, &mut base);
    let stored = object.object("product_options", stored).unwrap_or_default();
    let chosen = if parent.is_some() { Chosen::default() } else { parse_options::chosen(object) };
    let quantities = quantities(object);
    let sku = sku(object);
    Some(OrderItem {
        path: object.path().to_string(),
        id: id.map(OrderItemId),
        quote_item_id: object.id_if_readable("quote_item_id"),
        parent,
        product_id: object.id("product_id").map(ProductId),
        product_type: ProductType::read(object.text("product_type")),
        name: object.text("name").or(sku.as_ref().map(Sku::as_str)).unwrap_or_default().to_owned(),
        sku: sku?,
        simple_sku: stored.simple_sku,
        is_virtual: object.flag("is_virtual").unwrap_or(false),
        quantities: quantities?,
        tax_percent: object.amount("tax_percent"),
        tax_codes: tax_codes(object),
        amounts,
        base,
        fixed_taxes,
        price_type: stored.price_type,
        bundle_option: stored.bundle_option,
        options: chosen.options,
        configuration: chosen.configuration,
        location: location(object),
    })
}

fn amounts(object: &Object<'_, '_, '_>, names: &Names) -> ItemAmounts {
    ItemAmounts {
        discount: object.amount_or_zero(names.discount),
        compensation: object.amount_or_zero(names.compensation),
        price: object.amount(names.price),
        row_total: object.amount(names.row_total),
        row_total_incl_tax: object.amount(names.row_total_incl_tax),
        tax: object.amount(names.tax),
        fixed_tax_unit: object.amount_or_zero(names.fixed_tax_unit),
        fixed_tax_row: object.amount_or_zero(names.fixed_tax_row),
    }
}

/// `parent_item_id`, or the id inside the nested copy of the parent.
fn parent(object: &Object<'_, '_, '_>) -> Option<ItemKey> {
    let nested = |name: &str| object.object("parent_item", |parent| parent.id_if_readable(name)).flatten();
    object.id("parent_item_id").or_else(|| nested("item_id")).map(ItemKey::Item).or_else(|| {
        object.id_if_readable("quote_parent_item_id").or_else(|| nested("quote_item_id")).map(ItemKey::Quote)
    })
}

fn sku(object: &Object<'_, '_, '_>) -> Option<Sku> {
    let raw = object.get("sku").and_then(crate::json::Json::as_text).unwrap_or_default();
    Sku::parse(raw)
        .inspect_err(|error| {
            let path = object.path().name("sku").to_string();
            let defect =
                Defect::new(ExceptionCode::UnreadablePayload, path, format!("the item's SKU cannot be read: {error}"));
            object.findings().defect(defect.with_value(raw));
        })
        .ok()
}

fn quantities(object: &Object<'_, '_, '_>) -> Option<Quantities> {
    let or_zero = |name: &str| object.quantity(name).unwrap_or(Quantity::ZERO);
    let (canceled, invoiced) = (or_zero("qty_canceled"), or_zero("qty_invoiced"));
    let ordered = object.quantity("qty_ordered");
    if object.is_unsaid("qty_ordered") {
        let path = object.path().name("qty_ordered").to_string();
        let message = "the item does not say how many were ordered";
        object.findings().defect(Defect::new(ExceptionCode::UnreadablePayload, path, message));
    }
    Some(Quantities {
        canceled,
        invoiced,
        refunded: or_zero("qty_refunded"),
        shipped: or_zero("qty_shipped"),
        ordered: ordered?,
    })
}

/// Fixed product taxes by title. The text tells titles and their own tax, the columns tell the amounts: where the text
/// does not sum to the columns there is one entry with the columns' amounts.
fn fixed_taxes(object: &Object<'_, '_, '_>, amounts: &mut ItemAmounts, base: &mut ItemAmounts) -> Vec<FixedTax> {
    let mut taxes: Vec<FixedTax> = Vec::new();
    let fee = |entry: &Object<'_, '_, '_>, net: &str, gross: &str| {
        let net = entry.amount_or_zero(net);
        FeeAmount { net, tax: entry.amount(gross).map_or(Decimal::ZERO, |gross| gross - net) }
    };
    object.each_object("weee_tax_applied", |entry| {
        taxes.push(FixedTax {
            title: entry.string("title").unwrap_or_else(|| "Fixed product tax".to_owned()),
            amount: fee(entry, "row_amount", "row_amount_incl_tax"),
            base: fee(entry, "base_row_amount", "base_row_amount_incl_tax"),
        });
    });
    let sum = |of: fn(&FixedTax) -> Decimal| taxes.iter().map(of).sum::<Decimal>();
    let (net, base_net) = (sum(|tax| tax.amount.net), sum(|tax| tax.base.net));
    let (tax, base_tax) = (sum(|tax| tax.amount.tax), sum(|tax| tax.base.tax));
    if object.get(ORDER.fixed_tax_row).is_none() {
        amounts.fixed_tax_row = net;
    }
    if object.get(BASE.fixed_tax_row).is_none() {
        base.fixed_tax_row = base_net;
    }
    if (net, base_net) != (amounts.fixed_tax_row, base.fixed_tax_row) {
        let title = taxes.first().map_or_else(|| "Fixed product tax".to_owned(), |tax| tax.title.clone());
        let amount = FeeAmount { net: amounts.fixed_tax_row, tax };
        taxes = vec![FixedTax { title, amount, base: FeeAmount { net: base.fixed_tax_row, tax: base_tax } }];
    }
    taxes
}

/// What stored product options tell beside what was chosen.
#[derive(Default)]
struct Stored {
    price_type: Option<PriceType>,
    simple_sku: Option<Sku>,
    bundle_option: Option<String>,
}

fn stored(options: &Object<'_, '_, '_>) -> Stored {
    let price_type = match options.text("product_calculations") {
        Some("0") => Some(PriceType::Dynamic),
        Some("1") => Some(PriceType::Fixed),
        _ => None,
    };
    Stored {
        price_type,
        simple_sku: options.text("simple_sku").and_then(|sku| Sku::parse(sku).ok()),
        bundle_option: options.object("bundle_selection_attributes", |chosen| chosen.string("option_label")).flatten(),
    }
}

/// Rate codes on the line itself: 2.4.8 and later.
fn tax_codes(object: &Object<'_, '_, '_>) -> Vec<String> {
    let mut codes = Vec::new();
    object.object("extension_attributes", |extension| {
        extension.each_object("itemized_taxes", |tax| codes.extend(tax.string("tax_code")));
    });
    codes
}

fn location(object: &Object<'_, '_, '_>) -> Option<String> {
    object.string("nominated_source_code").or_else(|| {
        object.object("extension_attributes", |extension| extension.string("nominated_source_code")).flatten()
    })
}
