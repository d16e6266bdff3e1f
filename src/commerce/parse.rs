//! An order of Commerce, in any of its spellings, into the domain's [`Order`].
//!
//! REST, event data and webhook orders differ in shape (`adobe-commerce` 4.11) and are read by one parser. It works on
//! one order object: unwrapping envelopes, arrays and `{"order": …}` is intake's business. What makes an order
//! unreadable is returned as defects, all of them; what is merely noteworthy travels in [`Order::warnings`].

use std::str::FromStr;

use jiff::Timestamp;
use rust_decimal::Decimal;

use crate::domain::currency::Currency;
use crate::domain::defect::{Defect, ExceptionCode, Warning};
use crate::domain::ids::{EntityId, IncrementId, StoreId};
use crate::domain::order::{
    AppliedTax, AsSent, CustomFee, FeeAmount, GiftCard, HeaderAmounts, ItemKey, Order, OrderItem, Relations, Side,
    TaxedThing,
};
use crate::json::Json;

use super::parse_item;
use super::parse_party::{addresses, assigned, customer};
use super::wire::{Findings, Object, Path};

/// Circumstances of a reading.
#[derive(Clone, Copy, Debug, Default)]
pub struct Reading<'a> {
    /// The configured name of the Commerce instance.
    pub system: &'a str,
    /// The store id used when the payload has none.
    pub default_store_id: Option<&'a str>,
    /// Whether the payload was written before the order was saved; the document then says so.
    pub not_yet_saved: bool,
}

/// Reads one order object.
///
/// # Errors
/// Every defect that makes the order unreadable.
pub fn order(json: &Json<'_>, reading: &Reading<'_>) -> Result<Order, Vec<Defect>> {
    let findings = Findings::default();
    let object = Object::of(json, Path::Root, &findings);
    if object.is_none() {
        let message = format!("an order object is expected, not {}", json.kind());
        findings.defect(Defect::new(ExceptionCode::UnreadablePayload, "", message).with_cause("not an object"));
    }
    let read = object.and_then(|object| read(&object, reading));
    let (defects, warnings) = findings.into_parts();
    match read {
        Some(mut order) if defects.is_empty() => {
            order.warnings = warnings;
            Ok(order)
        }
        // A record may be parked or read, never neither: without a defect nobody would hear of it again.
        _ if defects.is_empty() => {
            let message = "the order cannot be read, and the reader does not say why";
            Err(vec![Defect::new(ExceptionCode::UnreadablePayload, "", message)])
        }
        _ => Err(defects),
    }
}

/// What can be said of a payload however incomplete it is: for hints, labels and parked records.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Header {
    /// Order number.
    pub increment_id: Option<String>,
    /// Database id.
    pub entity_id: Option<u64>,
    /// Store view, or the reading's default.
    pub store_id: Option<u64>,
    /// State.
    pub state: Option<String>,
    /// Status.
    pub status: Option<String>,
    /// When it was placed.
    pub placed_at: Option<Timestamp>,
    /// Last change.
    pub updated_at: Option<Timestamp>,
    /// ISO code of the customer's currency.
    pub currency: Option<String>,
    /// What the customer owes, digits as sent.
    pub grand_total: Option<String>,
}

/// Reads what is there; never fails.
pub fn header(json: &Json<'_>, reading: &Reading<'_>) -> Header {
    let findings = Findings::default();
    let Some(order) = Object::of(json, Path::Root, &findings) else { return Header::default() };
    Header {
        increment_id: order.string("increment_id"),
        entity_id: order.id("entity_id").or_else(|| order.id("id")),
        store_id: store_id(&order, reading),
        state: order.string("state"),
        status: order.string("status"),
        placed_at: order.time("created_at"),
        updated_at: order.time("updated_at"),
        currency: order.string("order_currency_code"),
        grand_total: json.present("grand_total").and_then(Json::as_text).map(str::to_owned),
    }
}

/// Whether a payload can be compiled without reading the order back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Completeness {
    /// Everything an expansion needs is there.
    Complete,
    /// These members are missing.
    Incomplete(Vec<&'static str>),
}

/// Looks for the members an expansion cannot do without; does not judge their values.
pub fn completeness(json: &Json<'_>) -> Completeness {
    // Base amounts are not among them: without them the document says `missing_base_amounts` (DESIGN 2.4).
    const MEMBERS: [&str; 6] =
        ["increment_id", "subtotal", "grand_total", "tax_amount", "shipping_amount", "order_currency_code"];
    let mut missing: Vec<&'static str> = MEMBERS.into_iter().filter(|name| json.present(name).is_none()).collect();
    // A virtual order has nothing to ship and may say nothing of it.
    let is_virtual = matches!(json.present("is_virtual"), Some(Json::Bool(true)))
        || json.present("is_virtual").and_then(Json::as_text) == Some("1");
    missing.retain(|name| !(is_virtual && *name == "shipping_amount"));
    let items = json.present("items").and_then(Json::elements).unwrap_or_default();
    let whole = |item: &&Json<'_>| {
        let has = |name: &str| item.present(name).is_some();
        has("sku") && has("qty_ordered") && has("product_type") && (has("row_total") || has("price"))
    };
    if items.is_empty() || !items.iter().all(whole) {
        missing.push("items");
    } else if lacks_children(&items) {
        missing.push("items of bundles");
    }
    if missing.is_empty() { Completeness::Complete } else { Completeness::Incomplete(missing) }
}

/// Whether some bundle has no child line: events raised on lazily loaded orders do that. (A configurable without its
/// child still names the chosen SKU.)
fn lacks_children(items: &[&Json<'_>]) -> bool {
    let id = |item: &Json<'_>, name: &str| item.present(name).and_then(Json::as_text).map(str::to_owned);
    let parents: std::collections::HashSet<String> =
        items.iter().filter_map(|item| id(item, "parent_item_id")).collect();
    items.iter().any(|item| {
        item.present("product_type").and_then(Json::as_str) == Some("bundle")
            && id(item, "item_id").is_some_and(|id| !parents.contains(&id))
    })
}

fn read(order: &Object<'_, '_, '_>, reading: &Reading<'_>) -> Option<Order> {
    let items = items(order);
    let base = base_amounts(order);
    let amounts = order_amounts(order);
    let currency = currency(order, "order_currency_code", true);
    let base_currency = self::currency(order, "base_currency_code", false);
    let increment_id = increment_id(order);
    let is_virtual = order.flag("is_virtual").unwrap_or(false);
    let (billing_address, shipping_address) = addresses(order, is_virtual);
    if reading.not_yet_saved {
        let message = "this order was read before Commerce saved it; it may never come to exist";
        order.findings().warning(Warning::new("not_yet_saved", "order", message));
    }
    let order = Order {
        system: reading.system.to_owned(),
        entity_id: order.id("entity_id").or_else(|| order.id("id")).map(EntityId),
        store_id: store_id(order, reading).map(StoreId),
        state: order.string("state"),
        status: order.string("status"),
        placed_at: order.time("created_at"),
        updated_at: order.time("updated_at"),
        base_currency,
        coupon_code: order.string("coupon_code"),
        note: order.string("customer_note"),
        customer: customer(order),
        billing_address,
        shipping_address,
        shipping_method: order
            .string("shipping_method")
            .or_else(|| assigned(order, |shipping| shipping.string("method"))),
        shipping_description: order.string("shipping_description"),
        payment_method: order.object("payment", |payment| payment.string("method")).flatten(),
        pickup_location: order
            .object("extension_attributes", |extension| extension.string("pickup_location_code"))
            .flatten(),
        relations: Relations {
            original_increment_id: order.string("original_increment_id"),
            replaces: order.string("relation_parent_real_id"),
            replaced_by: order.string("relation_child_real_id"),
        },
        items,
        base,
        custom_fees: custom_fees(order),
        gift_cards: gift_cards(order),
        applied_taxes: applied_taxes(order),
        as_sent: as_sent(order),
        warnings: Vec::new(),
        increment_id: increment_id?,
        currency: currency?,
        amounts: amounts?,
    };
    Some(order)
}

fn missing(order: &Object<'_, '_, '_>, code: ExceptionCode, name: &'static str, message: &str) {
    let path = order.path().name(name).to_string();
    let remedy = "Read the order back from Commerce, or send the whole order, then replay.";
    order.findings().defect(Defect::new(code, path, message).with_remedy(remedy).with_cause(name));
}

fn increment_id(order: &Object<'_, '_, '_>) -> Option<IncrementId> {
    let Some(value) = order.get("increment_id").filter(|value| value.as_text() != Some("")) else {
        missing(order, ExceptionCode::UnreadablePayload, "increment_id", "the order has no number (increment_id)");
        return None;
    };
    IncrementId::parse(value.as_text().unwrap_or_default())
        .inspect_err(|error| {
            order.unreadable("increment_id", value, format!("the order's number cannot be read: {error}"));
        })
        .ok()
}

fn items(order: &Object<'_, '_, '_>) -> Vec<OrderItem> {
    let mut items = Vec::new();
    let mut seen = 0;
    order.each("items", |value, path| {
        seen += 1;
        if let Some(object) = Object::of(value, path, order.findings()) {
            items.extend(parse_item::item(&object));
        } else {
            let message = format!("an item is expected, not {}", value.kind());
            order.findings().defect(Defect::new(ExceptionCode::UnreadablePayload, path.to_string(), message));
        }
    });
    if seen == 0 {
        missing(order, ExceptionCode::UnreadablePayload, "items", "the order has no items");
    }
    items
}

fn currency(order: &Object<'_, '_, '_>, name: &'static str, needed: bool) -> Option<Currency> {
    let Some(code) = order.text(name) else {
        if needed {
            missing(order, ExceptionCode::UnreadablePayload, name, "the order does not say which currency it is in");
        }
        return None;
    };
    Currency::from_str(code)
        .inspect_err(|error| {
            if let Some(value) = order.get(name) {
                order.unreadable(name, value, error.to_string());
            }
        })
        .ok()
}

fn store_id(order: &Object<'_, '_, '_>, reading: &Reading<'_>) -> Option<u64> {
    let own = order.text("store_id").and_then(|text| text.parse().ok());
    own.or_else(|| reading.default_store_id?.trim().parse().ok())
}

fn order_amounts(order: &Object<'_, '_, '_>) -> Option<HeaderAmounts> {
    let (subtotal, tax, grand_total) =
        (order.amount("subtotal"), order.amount("tax_amount"), order.amount("grand_total"));
    if order.is_unsaid("subtotal") {
        missing(order, ExceptionCode::UnreadablePayload, "subtotal", "the order has no subtotal");
    }
    if order.is_unsaid("grand_total") {
        missing(order, ExceptionCode::UnreadablePayload, "grand_total", "the order has no grand total");
    }
    if order.is_unsaid("tax_amount") {
        missing(order, ExceptionCode::MissingTaxData, "tax_amount", "the order does not say how much tax it has");
    }
    Some(header_amounts(order, Side::Order, subtotal?, tax?, grand_total?))
}

/// `None` when Commerce sent none of the base totals; some of them only is a defect.
fn base_amounts(order: &Object<'_, '_, '_>) -> Option<HeaderAmounts> {
    const NAMES: [&str; 3] = ["base_subtotal", "base_tax_amount", "base_grand_total"];
    let read = NAMES.map(|name| order.amount(name));
    if let [Some(subtotal), Some(tax), Some(grand_total)] = read {
        return Some(header_amounts(order, Side::Base, subtotal, tax, grand_total));
    }
    if read.iter().any(Option::is_some) {
        for name in NAMES.into_iter().filter(|name| order.is_unsaid(name)) {
            missing(order, ExceptionCode::MissingBaseAmounts, name, "other base amounts are there, this one is not");
        }
    }
    None
}

fn header_amounts(
    order: &Object<'_, '_, '_>,
    side: Side,
    subtotal: Decimal,
    tax: Decimal,
    grand_total: Decimal,
) -> HeaderAmounts {
    let names = names(side);
    let own = |name: &str| order.amount(name);
    let shipping = |name: &str| {
        let assigned = || assigned(order, |shipping| shipping.object("total", |total| total.amount(name)).flatten());
        own(name).or_else(assigned).unwrap_or_default()
    };
    // Adobe Commerce's own totals stand on the order in events and under extension_attributes in REST.
    let extra = |name: &str| {
        own(name).or_else(|| order.object("extension_attributes", |extension| extension.amount(name)).flatten())
    };
    let wrapping =
        |net: &str, tax: &str| FeeAmount { net: extra(net).unwrap_or_default(), tax: extra(tax).unwrap_or_default() };
    HeaderAmounts {
        subtotal,
        discount: own(names.discount).unwrap_or_default(),
        compensation: own(names.compensation),
        shipping: shipping(names.shipping),
        shipping_discount: shipping(names.shipping_discount),
        shipping_compensation: shipping(names.shipping_compensation),
        shipping_tax: shipping(names.shipping_tax),
        tax,
        grand_total,
        wrapping: names.wrapping.map(|(net, tax)| wrapping(net, tax)),
        gift_cards: extra(names.gift_cards),
        store_credit: extra(names.store_credit).unwrap_or_default(),
        reward_points: extra(names.reward_points).unwrap_or_default(),
    }
}

/// Names of header amounts on one side.
struct Names {
    discount: &'static str,
    compensation: &'static str,
    shipping: &'static str,
    shipping_discount: &'static str,
    shipping_compensation: &'static str,
    shipping_tax: &'static str,
    wrapping: [(&'static str, &'static str); 3],
    gift_cards: &'static str,
    store_credit: &'static str,
    reward_points: &'static str,
}

const ORDER: Names = Names {
    discount: "discount_amount",
    compensation: "discount_tax_compensation_amount",
    shipping: "shipping_amount",
    shipping_discount: "shipping_discount_amount",
    shipping_compensation: "shipping_discount_tax_compensation_amount",
    shipping_tax: "shipping_tax_amount",
    wrapping: [
        ("gw_price", "gw_tax_amount"),
        ("gw_items_price", "gw_items_tax_amount"),
        ("gw_card_price", "gw_card_tax_amount"),
    ],
    gift_cards: "gift_cards_amount",
    store_credit: "customer_balance_amount",
    reward_points: "reward_currency_amount",
};
const BASE: Names = Names {
    discount: "base_discount_amount",
    compensation: "base_discount_tax_compensation_amount",
    shipping: "base_shipping_amount",
    shipping_discount: "base_shipping_discount_amount",
    // Commerce shortened the word to fit its database.
    shipping_compensation: "base_shipping_discount_tax_compensation_amnt",
    shipping_tax: "base_shipping_tax_amount",
    wrapping: [
        ("gw_base_price", "gw_base_tax_amount"),
        ("gw_items_base_price", "gw_items_base_tax_amount"),
        ("gw_card_base_price", "gw_card_base_tax_amount"),
    ],
    gift_cards: "base_gift_cards_amount",
    store_credit: "base_customer_balance_amount",
    reward_points: "base_reward_currency_amount",
};

fn names(side: Side) -> &'static Names {
    match side {
        Side::Order => &ORDER,
        Side::Base => &BASE,
    }
}

fn custom_fees(order: &Object<'_, '_, '_>) -> Vec<CustomFee> {
    let mut fees = Vec::new();
    let read = |fee: &Object<'_, '_, '_>| CustomFee {
        code: fee.string("custom_fee_code"),
        label: fee.string("custom_fee_label"),
        amount: fee.amount_or_zero("custom_fee_amount"),
        base_amount: fee.amount("base_custom_fee_amount"),
    };
    order.object("extension_attributes", |extension| extension.each_object("custom_fees", |fee| fees.push(read(fee))));
    if fees.is_empty() {
        order.each_object("custom_fees", |fee| fees.push(read(fee)));
    }
    fees
}

/// REST lists `code, amount, base_amount`; stored orders hold a text with Commerce's short names `c, a, ba`.
fn gift_cards(order: &Object<'_, '_, '_>) -> Vec<GiftCard> {
    let mut cards = Vec::new();
    let read = |card: &Object<'_, '_, '_>| GiftCard {
        code: card.string("code").or_else(|| card.string("c")),
        amount: card.amount("amount").or_else(|| card.amount("a")).unwrap_or_default(),
        base_amount: card.amount("base_amount").or_else(|| card.amount("ba")),
    };
    order
        .object("extension_attributes", |extension| extension.each_object("gift_cards", |card| cards.push(read(card))));
    if cards.is_empty() {
        order.each_object("gift_cards", |card| cards.push(read(card)));
    }
    cards
}

fn applied_taxes(order: &Object<'_, '_, '_>) -> Vec<AppliedTax> {
    let mut taxes = Vec::new();
    order.object("extension_attributes", |extension| {
        extension.each_object("item_applied_taxes", |entry| {
            let of = match entry.text("type") {
                Some("product") => TaxedThing::Product,
                Some("shipping") => TaxedThing::Shipping,
                Some("weee") => TaxedThing::FixedProductTax,
                _ => TaxedThing::Other,
            };
            let id = entry.id("item_id").or_else(|| entry.id("associated_item_id"));
            let (mut codes, mut percents, mut of_quote) = (Vec::new(), Vec::new(), false);
            entry.each_object("applied_taxes", |tax| {
                rate_codes(tax, &mut codes);
                percents.extend(tax.amount("percent"));
                of_quote |= tax.text("tax_id").is_some();
            });
            let percent = if let [percent] = percents[..] { Some(percent) } else { None };
            let item = id.map(if of_quote { ItemKey::Quote } else { ItemKey::Item });
            taxes.push(AppliedTax { of, item, codes, percent });
        });
    });
    taxes
}

/// REST says `code`; events say the codes of the rates, or only an id which is the code where there is one rate.
fn rate_codes(tax: &Object<'_, '_, '_>, codes: &mut Vec<String>) {
    let before = codes.len();
    codes.extend(tax.string("code"));
    if codes.len() == before {
        tax.object("extension_attributes", |extension| {
            extension.each_object("rates", |rate| codes.extend(rate.string("code")));
        });
    }
    if codes.len() == before {
        codes.extend(tax.string("tax_id").or_else(|| tax.string("id")));
    }
}

fn as_sent(order: &Object<'_, '_, '_>) -> AsSent {
    AsSent {
        discount_amount: order.string("discount_amount"),
        grand_total: order.string("grand_total"),
        shipping_amount: order.string("shipping_amount"),
        subtotal: order.string("subtotal"),
        tax_amount: order.string("tax_amount"),
    }
}
