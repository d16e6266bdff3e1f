//! A document read back from its JSON: whatever a person wrote, it is a document of its kind, or it is refused with the
//! place. Pure.
//!
//! Reading is strict (no unknown member, every value of its kind) and then proved by writing: the caller compares what
//! [`Reread::written`] spells with what was given.

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::Problem;
use crate::clock::Timestamp;
use crate::domain::cancellation::{self, Cancellation, CancelledLine, CancelledTotals};
use crate::domain::currency::Currency;
use crate::domain::decimal;
use crate::domain::defect::Warning;
use crate::domain::ids::{EntityId, IncrementId, OrderItemId, ProductId, StoreId};
use crate::domain::money::Money;
use crate::domain::options::LineOption;
use crate::domain::order::{Address, AsSent, ConfiguredAttribute, Customer};
use crate::domain::order_change;
use crate::domain::quantity::Quantity;
use crate::domain::sales_order::{
    self, Amounts, BaseTotals, BundleOf, LineKind, OrderHead, SalesLine, SalesOrder, Settlement, ShippingField, Totals,
};
use crate::domain::shape::{DiscountShape, OptionShape, RoundingShape, Shape, ShippingShape, TaxShape};
use crate::json;

/// A document that was read back.
#[derive(Debug)]
pub enum Reread {
    /// A sales order, or a change of one.
    Order(Box<SalesOrder>),
    /// What is no longer wanted.
    Cancellation(Box<Cancellation>),
}

impl Reread {
    /// The JSON text, with the members in the order of the contract.
    pub fn written(&self) -> Vec<u8> {
        let written = match self {
            Reread::Order(order) => serde_json::to_vec(order),
            Reread::Cancellation(cancellation) => serde_json::to_vec(cancellation),
        };
        written.expect("a document always serialises")
    }

    /// Name and version.
    pub fn schema(&self) -> &'static str {
        match self {
            Reread::Order(order) => order.schema,
            Reread::Cancellation(cancellation) => cancellation.schema,
        }
    }
}

type Read<T> = Result<T, Vec<Problem>>;

/// Reads a document; `rounding_max` is what law 5 leaves to its rounding line, which the document does not say.
///
/// # Errors
/// The first place that is not what a document has there.
pub fn document(given: &Value, rounding_max: i64) -> Read<Reread> {
    let schemas = [(sales_order::SCHEMA, sales_order::PURPOSE), (order_change::SCHEMA, order_change::PURPOSE)];
    let said = given["schema"].as_str().unwrap_or_default();
    if said == cancellation::SCHEMA {
        return form::<CancellationIn>(given)?.read().map(|it| Reread::Cancellation(Box::new(it)));
    }
    let Some((schema, purpose)) = schemas.into_iter().find(|(schema, _)| *schema == said) else {
        return Err(refuse("/schema", "documents of this kind are not edited"));
    };
    let order = form::<OrderIn>(given)?.read((schema, purpose), rounding_max)?;
    Ok(Reread::Order(Box::new(order)))
}

fn refuse(path: impl AsRef<str>, message: impl AsRef<str>) -> Vec<Problem> {
    vec![Problem::new(path, message)]
}

fn form<T: DeserializeOwned>(given: &Value) -> Read<T> {
    serde_path_to_error::deserialize(given)
        .map_err(|error| refuse(json::pointer_of(error.path()), json::without_values(&error.inner().to_string())))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct OrderIn {
    #[serde(rename = "schema")]
    _schema: String,
    purpose: String,
    shape: Option<ShapeIn>,
    order: HeadIn,
    lines: Vec<LineIn>,
    shipping: Option<ShippingIn>,
    totals: TotalsIn,
    settlements: Vec<SettlementIn>,
    warnings: Vec<Warning>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct CancellationIn {
    #[serde(rename = "schema")]
    _schema: String,
    #[serde(rename = "purpose")]
    _purpose: String,
    shape: Option<ShapeIn>,
    complete: bool,
    order: HeadIn,
    lines: Vec<LineIn>,
    shipping: Option<ShippingIn>,
    totals: CancelledTotalsIn,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ShapeIn {
    tax: TaxShape,
    discount: DiscountShape,
    shipping: ShippingShape,
    options: OptionShape,
    rounding: RoundingShape,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct HeadIn {
    system: String,
    increment_id: String,
    entity_id: Option<u64>,
    store_id: Option<u64>,
    state: Option<String>,
    status: Option<String>,
    placed_at: Option<Timestamp>,
    updated_at: Option<Timestamp>,
    currency: String,
    base_currency: Option<String>,
    coupon_code: Option<String>,
    note: Option<String>,
    customer: Customer,
    billing_address: Option<Address>,
    shipping_address: Option<Address>,
    shipping_method: Option<String>,
    shipping_description: Option<String>,
    payment_method: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct AmountsIn {
    net: String,
    discount: String,
    tax: String,
    total: String,
    tax_included: Option<String>,
    tax_left_out: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct LineIn {
    number: u32,
    kind: LineKind,
    sku: Option<String>,
    name: String,
    quantity: Option<String>,
    // Of a cancelled line alone.
    quantity_ordered: Option<String>,
    order_item_id: Option<u64>,
    child_order_item_id: Option<u64>,
    product_id: Option<u64>,
    parent_order_item_id: Option<u64>,
    ships: bool,
    quantity_canceled: Option<String>,
    quantity_shipped: Option<String>,
    quantity_refunded: Option<String>,
    quantity_invoiced: Option<String>,
    unit_price: Option<String>,
    net: String,
    discount: String,
    tax: String,
    total: String,
    tax_included: Option<String>,
    tax_left_out: Option<String>,
    base: Option<AmountsIn>,
    tax_percent: Option<String>,
    tax_code: Option<String>,
    bundle: Option<BundleIn>,
    options: Vec<LineOption>,
    #[serde(default)]
    fields: BTreeMap<String, String>,
    configuration: Vec<ConfiguredAttribute>,
    location: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct BundleIn {
    sku: String,
    name: String,
    order_item_id: Option<u64>,
    option: Option<String>,
    quantity_per_bundle: Option<String>,
    options: Vec<LineOption>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ShippingIn {
    name: String,
    unit_price: Option<String>,
    net: String,
    discount: String,
    tax: String,
    total: String,
    tax_included: Option<String>,
    tax_left_out: Option<String>,
    base: Option<AmountsIn>,
    tax_percent: Option<String>,
    tax_code: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct TotalsIn {
    net: String,
    discount: String,
    tax: String,
    total: String,
    tax_included: Option<String>,
    tax_left_out: Option<String>,
    grand_total: String,
    as_sent: AsSent,
    base: Option<BaseTotalsIn>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct BaseTotalsIn {
    net: String,
    discount: String,
    tax: String,
    total: String,
    tax_included: Option<String>,
    tax_left_out: Option<String>,
    grand_total: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct CancelledTotalsIn {
    net: String,
    discount: String,
    tax: String,
    total: String,
    tax_included: Option<String>,
    tax_left_out: Option<String>,
    base: Option<AmountsIn>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct SettlementIn {
    kind: String,
    reference: Option<String>,
    amount: String,
    base_amount: Option<String>,
}

/// The columns of a flattened [`Amounts`], whatever holds them.
macro_rules! columns {
    ($from:expr) => {
        AmountsIn {
            net: $from.net,
            discount: $from.discount,
            tax: $from.tax,
            total: $from.total,
            tax_included: $from.tax_included,
            tax_left_out: $from.tax_left_out,
        }
    };
}

/// The two currencies a document is in.
#[derive(Clone, Copy)]
struct Sides {
    own: Currency,
    base: Option<Currency>,
}

impl Sides {
    fn base(self, path: &str) -> Read<Currency> {
        self.base.ok_or_else(|| refuse(path, "there are base amounts and no base currency"))
    }

    fn base_amounts(self, given: Option<AmountsIn>, path: &str) -> Read<Option<Amounts>> {
        let path = format!("{path}/base");
        given.map(|given| given.read(self.base(&path)?, &path)).transpose()
    }
}

impl AmountsIn {
    fn read(self, currency: Currency, path: &str) -> Read<Amounts> {
        let column = |name: &str, text: &str| money(text, currency, format!("{path}/{name}"));
        let beside = |name: &str, text: Option<String>| text.map(|text| column(name, &text)).transpose();
        Ok(Amounts {
            net: column("net", &self.net)?,
            discount: column("discount", &self.discount)?,
            tax: column("tax", &self.tax)?,
            total: column("total", &self.total)?,
            tax_included: beside("tax_included", self.tax_included)?,
            tax_left_out: beside("tax_left_out", self.tax_left_out)?,
        })
    }
}

fn number(text: &str, path: String) -> Read<rust_decimal::Decimal> {
    decimal::parse(text).map_err(|error| refuse(path, format!("is no decimal: {error}")))
}

fn money(text: &str, currency: Currency, path: String) -> Read<Money> {
    let value = number(text, path.clone())?;
    match Money::rounded(value, currency) {
        Ok(money) if money.to_decimal() == value => Ok(money),
        Ok(_) => Err(refuse(path, format!("{currency} has {} digits after the point (law 5)", currency.digits()))),
        Err(error) => Err(refuse(path, error.to_string())),
    }
}

fn exact(text: Option<String>, path: String) -> Read<Option<rust_decimal::Decimal>> {
    text.map(|text| number(&text, path)).transpose()
}

fn quantity(text: Option<String>, path: String) -> Read<Option<Quantity>> {
    let Some(text) = text else { return Ok(None) };
    let value = number(&text, path.clone())?;
    Quantity::new(value).map(Some).map_err(|error| refuse(path, error.to_string()))
}

fn currency(text: &str, path: &str) -> Read<Currency> {
    text.parse().map_err(|_| refuse(path, "is not a currency code of ISO 4217"))
}

impl HeadIn {
    fn read(self) -> Read<(OrderHead, Sides)> {
        let increment_id = IncrementId::parse(&self.increment_id);
        let head = OrderHead {
            system: self.system,
            increment_id: increment_id.map_err(|error| refuse("/order/increment_id", error.to_string()))?,
            entity_id: self.entity_id.map(EntityId),
            store_id: self.store_id.map(StoreId),
            state: self.state,
            status: self.status,
            placed_at: self.placed_at,
            updated_at: self.updated_at,
            currency: currency(&self.currency, "/order/currency")?,
            base_currency: self.base_currency.map(|code| currency(&code, "/order/base_currency")).transpose()?,
            coupon_code: self.coupon_code,
            note: self.note,
            customer: self.customer,
            billing_address: self.billing_address,
            shipping_address: self.shipping_address,
            shipping_method: self.shipping_method,
            shipping_description: self.shipping_description,
            payment_method: self.payment_method,
        };
        let sides = Sides { own: head.currency, base: head.base_currency };
        Ok((head, sides))
    }
}

impl LineIn {
    /// The line, and how many had been ordered of a cancelled one.
    fn read(self, sides: Sides, path: &str) -> Read<(SalesLine, Option<Quantity>)> {
        let at = |name: &str| format!("{path}/{name}");
        let bundle = self.bundle.map(|bundle| bundle.read(&at("bundle"))).transpose()?;
        let so_far = |text, name: &str| quantity(text, at(name)).map(Option::unwrap_or_default);
        let ordered = quantity(self.quantity_ordered, at("quantity_ordered"))?;
        let amounts = columns!(self);
        let line = SalesLine {
            number: self.number,
            kind: self.kind,
            sku: self.sku,
            name: self.name,
            quantity: quantity(self.quantity, at("quantity"))?,
            order_item_id: self.order_item_id.map(OrderItemId),
            child_order_item_id: self.child_order_item_id.map(OrderItemId),
            product_id: self.product_id.map(ProductId),
            parent_order_item_id: self.parent_order_item_id.map(OrderItemId),
            ships: self.ships,
            quantity_canceled: so_far(self.quantity_canceled, "quantity_canceled")?,
            quantity_shipped: so_far(self.quantity_shipped, "quantity_shipped")?,
            quantity_refunded: so_far(self.quantity_refunded, "quantity_refunded")?,
            quantity_invoiced: so_far(self.quantity_invoiced, "quantity_invoiced")?,
            unit_price: exact(self.unit_price, at("unit_price"))?,
            amounts: amounts.read(sides.own, path)?,
            base: sides.base_amounts(self.base, path)?,
            tax_percent: exact(self.tax_percent, at("tax_percent"))?,
            tax_code: self.tax_code,
            bundle,
            options: self.options,
            fields: self.fields,
            configuration: self.configuration,
            location: self.location,
        };
        Ok((line, ordered))
    }
}

impl BundleIn {
    fn read(self, path: &str) -> Read<BundleOf> {
        Ok(BundleOf {
            sku: self.sku,
            name: self.name,
            order_item_id: self.order_item_id.map(OrderItemId),
            option: self.option,
            quantity_per_bundle: quantity(self.quantity_per_bundle, format!("{path}/quantity_per_bundle"))?,
            options: self.options,
        })
    }
}

impl ShippingIn {
    fn read(self, sides: Sides) -> Read<ShippingField> {
        let amounts = columns!(self);
        Ok(ShippingField {
            name: self.name,
            unit_price: exact(self.unit_price, "/shipping/unit_price".to_owned())?,
            amounts: amounts.read(sides.own, "/shipping")?,
            base: sides.base_amounts(self.base, "/shipping")?,
            tax_percent: exact(self.tax_percent, "/shipping/tax_percent".to_owned())?,
            tax_code: self.tax_code,
        })
    }
}

impl TotalsIn {
    fn read(self, sides: Sides) -> Read<Totals> {
        let grand_total = money(&self.grand_total, sides.own, "/totals/grand_total".to_owned())?;
        let base = self.base.map(|base| base.read(sides)).transpose()?;
        let amounts = columns!(self);
        Ok(Totals { sums: amounts.read(sides.own, "/totals")?, grand_total, as_sent: self.as_sent, base })
    }
}

impl BaseTotalsIn {
    fn read(self, sides: Sides) -> Read<BaseTotals> {
        let currency = sides.base("/totals/base")?;
        let grand_total = money(&self.grand_total, currency, "/totals/base/grand_total".to_owned())?;
        let amounts = columns!(self);
        Ok(BaseTotals { sums: amounts.read(currency, "/totals/base")?, grand_total })
    }
}

impl SettlementIn {
    fn read(self, sides: Sides, path: &str) -> Read<Settlement> {
        let kinds = ["gift_card", "store_credit", "reward_points"];
        let kind = kinds.into_iter().find(|kind| *kind == self.kind);
        let base_path = format!("{path}/base_amount");
        let base = |text: String| money(&text, sides.base(&base_path)?, base_path.clone());
        Ok(Settlement {
            kind: kind.ok_or_else(|| refuse(format!("{path}/kind"), format!("is none of {}", kinds.join(", "))))?,
            reference: self.reference,
            amount: money(&self.amount, sides.own, format!("{path}/amount"))?,
            base_amount: self.base_amount.map(base).transpose()?,
        })
    }
}

impl ShapeIn {
    fn read(self) -> Shape {
        let ShapeIn { tax, discount, shipping, options, rounding } = self;
        // How long a name may be is no business of a document.
        Shape { tax, discount, shipping, options, rounding, ..Shape::default() }
    }
}

impl OrderIn {
    fn read(self, (schema, purpose): (&'static str, &'static str), rounding_max: i64) -> Read<SalesOrder> {
        if self.purpose != purpose {
            return Err(refuse("/purpose", "this purpose belongs to another schema"));
        }
        let (order, sides) = self.order.read()?;
        let mut lines = Vec::with_capacity(self.lines.len());
        for (index, line) in self.lines.into_iter().enumerate() {
            let path = format!("/lines/{index}");
            if line.number as usize != index + 1 {
                return Err(refuse(format!("{path}/number"), "lines are numbered from 1 without gaps"));
            }
            let (line, ordered) = line.read(sides, &path)?;
            if ordered.is_some() {
                return Err(refuse(format!("{path}/quantity_ordered"), "this is a member of cancelled lines"));
            }
            lines.push(line);
        }
        let settlements = self.settlements.into_iter().enumerate();
        let settlements = settlements.map(|(index, it)| it.read(sides, &format!("/settlements/{index}")));
        Ok(SalesOrder {
            schema,
            purpose,
            shape: self.shape.map(ShapeIn::read),
            order,
            lines,
            shipping: self.shipping.map(|shipping| shipping.read(sides)).transpose()?,
            totals: self.totals.read(sides)?,
            settlements: settlements.collect::<Read<_>>()?,
            warnings: self.warnings,
            rounding_max,
        })
    }
}

impl CancellationIn {
    fn read(self) -> Read<Cancellation> {
        let (order, sides) = self.order.read()?;
        let line = |(index, line): (usize, LineIn)| {
            let (line, quantity_ordered) = line.read(sides, &format!("/lines/{index}"))?;
            Ok(CancelledLine { line, quantity_ordered })
        };
        let lines = self.lines.into_iter().enumerate().map(line).collect::<Read<_>>()?;
        let totals = self.totals;
        let sums = columns!(totals).read(sides.own, "/totals")?;
        let base = sides.base_amounts(totals.base, "/totals")?;
        Ok(Cancellation {
            schema: cancellation::SCHEMA,
            purpose: cancellation::PURPOSE,
            shape: self.shape.map(ShapeIn::read),
            complete: self.complete,
            order,
            lines,
            shipping: self.shipping.map(|shipping| shipping.read(sides)).transpose()?,
            totals: CancelledTotals { sums, base },
        })
    }
}
