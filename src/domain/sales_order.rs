//! The ERP-neutral sales order, `crossdock.sales_order.v1`: what leaves for a destination.
//!
//! Serialising one of these gives the document exactly: members in the order of the contract, decimals and money as
//! strings, times in UTC with `Z`, `null` where nothing is known. Money has its currency's minor digits; unit prices,
//! percents and quantities are exact decimals.

use std::collections::BTreeMap;

use jiff::Timestamp;
use rust_decimal::Decimal;
use serde::{Deserialize, Serialize, Serializer};

use super::currency::Currency;
use super::decimal;
use super::defect::Warning;
use super::ids::{EntityId, IncrementId, OrderItemId, ProductId, StoreId};
use super::money::Money;
use super::options::LineOption;
use super::order::{Address, AsSent, ConfiguredAttribute, Customer};
use super::quantity::Quantity;
use super::shape::Shape;

/// Name and version of the document.
pub const SCHEMA: &str = "crossdock.sales_order.v1";
/// What the document asks for.
pub const PURPOSE: &str = "order.create";

/// A sales order.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct SalesOrder {
    /// [`SCHEMA`].
    pub schema: &'static str,
    /// [`PURPOSE`].
    pub purpose: &'static str,
    /// How its destination wants money and options put, where that is not the plain way.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub shape: Option<Shape>,
    /// Who, when, where, how.
    pub order: OrderHead,
    /// What, in numbered lines.
    pub lines: Vec<SalesLine>,
    /// Shipping, where it stands beside the lines.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub shipping: Option<ShippingField>,
    /// How much.
    pub totals: Totals,
    /// What was paid by other means than the payment method.
    pub settlements: Vec<Settlement>,
    /// What is worth knowing and holds nothing up.
    pub warnings: Vec<Warning>,
    /// Minor units a rounding line may have (law 5); not part of the document.
    #[serde(skip)]
    pub rounding_max: i64,
}

/// The order beside its lines.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct OrderHead {
    /// The configured name of the Commerce instance.
    pub system: String,
    /// The number a shopper sees.
    pub increment_id: IncrementId,
    /// Database id.
    pub entity_id: Option<EntityId>,
    /// Store view.
    pub store_id: Option<StoreId>,
    /// Commerce's state.
    pub state: Option<String>,
    /// The merchant's status.
    pub status: Option<String>,
    /// When it was placed.
    #[serde(serialize_with = "time")]
    pub placed_at: Option<Timestamp>,
    /// When Commerce last changed it.
    #[serde(serialize_with = "time")]
    pub updated_at: Option<Timestamp>,
    /// The customer's currency.
    pub currency: Currency,
    /// The ledger's currency.
    pub base_currency: Option<Currency>,
    /// Coupon.
    pub coupon_code: Option<String>,
    /// The customer's note.
    pub note: Option<String>,
    /// Who ordered.
    pub customer: Customer,
    /// Who pays.
    pub billing_address: Option<Address>,
    /// Where goods go.
    pub shipping_address: Option<Address>,
    /// Shipping method, mapped where a table knows it.
    pub shipping_method: Option<String>,
    /// What the shopper read.
    pub shipping_description: Option<String>,
    /// Payment method, mapped where a table knows it.
    pub payment_method: Option<String>,
}

/// What a line is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LineKind {
    /// Goods or a service.
    Item,
    /// Part of a bundle.
    Component,
    /// A bundle as one, under policy `kit`.
    Kit,
    /// Shipping.
    Shipping,
    /// Fixed product tax, gift wrapping, custom fee.
    Fee,
    /// A fee below zero.
    Adjustment,
    /// All discounts, where they stand on one line.
    Discount,
    /// All tax, where it stands on one line.
    Tax,
    /// What Commerce left open between its rows and its totals.
    Rounding,
    /// Words without money.
    Comment,
}

/// The money of a line on one side. Law 1: `total = net − discount + tax`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Amounts {
    /// Before tax and discount.
    pub net: Money,
    /// Commerce's discount less its tax compensation.
    pub discount: Money,
    /// Tax.
    pub tax: Money,
    /// What the line costs.
    pub total: Money,
    /// How much of `net` is tax, where tax stands inside it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tax_included: Option<Money>,
    /// Of totals: tax that no line has, where a destination wants none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tax_left_out: Option<Money>,
}

/// One line.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct SalesLine {
    /// From 1, without gaps.
    pub number: u32,
    /// What it is.
    pub kind: LineKind,
    /// Item number: resolved by the catalogue, then mapped.
    pub sku: Option<String>,
    /// What the shopper read.
    pub name: String,
    /// `qty_ordered`; none on comments about options.
    pub quantity: Option<Quantity>,
    /// The id shipments and refunds use: of a configurable its parent's.
    pub order_item_id: Option<OrderItemId>,
    /// Of a configurable: the id of the line of the chosen product.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub child_order_item_id: Option<OrderItemId>,
    /// The product that leaves the warehouse.
    pub product_id: Option<ProductId>,
    /// Of a component: its bundle's line.
    pub parent_order_item_id: Option<OrderItemId>,
    /// Whether there is anything to pack.
    pub ships: bool,
    /// Already cancelled.
    #[serde(skip_serializing_if = "zero")]
    pub quantity_canceled: Quantity,
    /// Already shipped.
    #[serde(skip_serializing_if = "zero")]
    pub quantity_shipped: Quantity,
    /// Already refunded.
    #[serde(skip_serializing_if = "zero")]
    pub quantity_refunded: Quantity,
    /// Already invoiced.
    #[serde(skip_serializing_if = "zero")]
    pub quantity_invoiced: Quantity,
    /// Before tax and discount, per unit: Commerce's own, or of an allocated line `net ÷ quantity`.
    #[serde(serialize_with = "exact")]
    pub unit_price: Option<Decimal>,
    /// The line in the order currency.
    #[serde(flatten)]
    pub amounts: Amounts,
    /// The line in the base currency.
    pub base: Option<Amounts>,
    /// All taxes together.
    #[serde(serialize_with = "exact")]
    pub tax_percent: Option<Decimal>,
    /// Tax code: mapped, or Commerce's rate code.
    pub tax_code: Option<String>,
    /// The bundle it belongs to.
    pub bundle: Option<BundleOf>,
    /// Custom options.
    pub options: Vec<LineOption>,
    /// What options say by the field they are mapped to, where a destination reads them so.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub fields: BTreeMap<String, String>,
    /// Chosen attributes of a configurable.
    pub configuration: Vec<ConfiguredAttribute>,
    /// Where Commerce proposes to ship from.
    pub location: Option<String>,
}

/// Shipping beside the lines; zero where there is none.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ShippingField {
    /// What the shopper read.
    pub name: String,
    /// Before tax and discount.
    #[serde(serialize_with = "exact")]
    pub unit_price: Option<Decimal>,
    /// In the order currency.
    #[serde(flatten)]
    pub amounts: Amounts,
    /// In the base currency.
    pub base: Option<Amounts>,
    /// All taxes together.
    #[serde(serialize_with = "exact")]
    pub tax_percent: Option<Decimal>,
    /// Tax code: mapped, or Commerce's rate code.
    pub tax_code: Option<String>,
}

/// The bundle a component was bought in.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct BundleOf {
    /// Catalogue SKU when known, else the order SKU as sent.
    pub sku: String,
    /// What the shopper read.
    pub name: String,
    /// The parent's line.
    pub order_item_id: Option<OrderItemId>,
    /// Title of the bundle option.
    pub option: Option<String>,
    /// How many in one bundle, where that comes out even.
    pub quantity_per_bundle: Option<Quantity>,
    /// The bundle's own custom options.
    pub options: Vec<LineOption>,
}

/// Sums over all lines, and what Commerce said.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Totals {
    /// Σ net, discount, tax, total.
    #[serde(flatten)]
    pub sums: Amounts,
    /// The order's grand total.
    pub grand_total: Money,
    /// Commerce's own digits.
    pub as_sent: AsSent,
    /// The same in the base currency.
    pub base: Option<BaseTotals>,
}

/// Sums in the base currency.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct BaseTotals {
    /// Σ net, discount, tax, total.
    #[serde(flatten)]
    pub sums: Amounts,
    /// The order's base grand total.
    pub grand_total: Money,
}

/// A means of payment taken off the grand total.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Settlement {
    /// `gift_card`, `store_credit` or `reward_points`.
    pub kind: &'static str,
    /// The gift card's code.
    pub reference: Option<String>,
    /// In the order currency.
    pub amount: Money,
    /// In the base currency.
    pub base_amount: Option<Money>,
}

impl Amounts {
    /// The three columns of a line. The total follows; it saturates far beyond any order, and law 2 would refuse that.
    pub fn of(net: Money, discount: Money, tax: Money) -> Self {
        let total = net.minor().saturating_sub(discount.minor()).saturating_add(tax.minor());
        let total = Money::from_minor(total, net.currency());
        Amounts { net, discount, tax, total, tax_included: None, tax_left_out: None }
    }

    /// Nothing.
    pub fn zero(currency: Currency) -> Self {
        let zero = Money::zero(currency);
        Amounts::of(zero, zero, zero)
    }

    /// Column by column; saturates like [`Amounts::of`].
    #[must_use]
    pub fn plus(self, other: &Amounts) -> Self {
        let add =
            |one: Money, other: Money| Money::from_minor(one.minor().saturating_add(other.minor()), one.currency());
        let either = |one: Option<Money>, other: Option<Money>| match (one, other) {
            (Some(one), Some(other)) => Some(add(one, other)),
            (one, other) => one.or(other),
        };
        Amounts {
            net: add(self.net, other.net),
            discount: add(self.discount, other.discount),
            tax: add(self.tax, other.tax),
            total: add(self.total, other.total),
            tax_included: either(self.tax_included, other.tax_included),
            tax_left_out: either(self.tax_left_out, other.tax_left_out),
        }
    }
}

impl SalesOrder {
    /// Everything that has money: the lines, and shipping where it stands beside them.
    pub fn money(&self) -> impl Iterator<Item = MoneyOf<'_>> {
        let lines = self.lines.iter().map(|line| MoneyOf {
            number: line.number,
            kind: line.kind,
            order_item_id: line.order_item_id,
            amounts: &line.amounts,
            base: line.base.as_ref(),
        });
        let shipping = self.shipping.as_ref().map(|shipping| MoneyOf {
            number: 0,
            kind: LineKind::Shipping,
            order_item_id: None,
            amounts: &shipping.amounts,
            base: shipping.base.as_ref(),
        });
        lines.chain(shipping)
    }
}

/// Money somewhere in a document.
#[derive(Clone, Copy, Debug)]
pub struct MoneyOf<'d> {
    /// Its line; 0 beside the lines.
    pub number: u32,
    /// What it is for.
    pub kind: LineKind,
    /// Whose it is.
    pub order_item_id: Option<OrderItemId>,
    /// In the order currency.
    pub amounts: &'d Amounts,
    /// In the base currency.
    pub base: Option<&'d Amounts>,
}

impl SalesLine {
    /// A line of `kind` with `amounts` and nothing else; numbered when it is put into a document.
    pub fn bare(kind: LineKind, name: impl Into<String>, amounts: Amounts, base: Option<Amounts>) -> Self {
        SalesLine {
            number: 0,
            kind,
            sku: None,
            name: name.into(),
            quantity: None,
            order_item_id: None,
            child_order_item_id: None,
            product_id: None,
            parent_order_item_id: None,
            ships: false,
            quantity_canceled: Quantity::ZERO,
            quantity_shipped: Quantity::ZERO,
            quantity_refunded: Quantity::ZERO,
            quantity_invoiced: Quantity::ZERO,
            unit_price: None,
            amounts,
            base,
            tax_percent: None,
            tax_code: None,
            bundle: None,
            options: Vec::new(),
            fields: BTreeMap::new(),
            configuration: Vec::new(),
            location: None,
        }
    }
}

fn zero(quantity: &Quantity) -> bool {
    quantity.is_zero()
}

#[expect(clippy::ref_option, reason = "serde hands out references")]
fn time<S: Serializer>(at: &Option<Timestamp>, serializer: S) -> Result<S::Ok, S::Error> {
    match at {
        Some(at) => serializer.collect_str(at),
        None => serializer.serialize_none(),
    }
}

/// Commerce keeps four decimals: fewer are filled up, so that one order gives one spelling whatever the channel.
#[expect(clippy::ref_option, reason = "serde hands out references")]
fn exact<S: Serializer>(value: &Option<Decimal>, serializer: S) -> Result<S::Ok, S::Error> {
    match value {
        Some(value) => serializer.serialize_str(&decimal::padded(*value, 4)),
        None => serializer.serialize_none(),
    }
}
