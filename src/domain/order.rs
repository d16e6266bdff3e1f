//! Commerce's order after parsing: its words with their meaning, still in Commerce's shape (a flat list of items).
//!
//! Amounts are exact decimals as Commerce sent them; they become [`super::money::Money`] only when a whole column is
//! known. Every amount exists twice, in the order's currency and in the website's base currency: see [`Side`].

use jiff::Timestamp;
use rust_decimal::Decimal;
use serde::{Deserialize, Serialize};

use super::catalogue::PriceType;
use super::currency::Currency;
use super::defect::Warning;
use super::ids::{EntityId, IncrementId, OrderItemId, ProductId, Sku, StoreId};
use super::options::CustomOption;
use super::quantity::Quantity;

/// Which of the two currencies a figure is in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// The customer's truth: plain columns, `order_currency_code`.
    Order,
    /// The ledger's truth: `base_` columns, `base_currency_code`. Calculated and rounded by itself, never converted.
    Base,
}

/// An order.
#[derive(Clone, Debug)]
pub struct Order {
    /// The configured name of the Commerce instance.
    pub system: String,
    /// The number.
    pub increment_id: IncrementId,
    /// The database id; missing before the order is saved.
    pub entity_id: Option<EntityId>,
    /// The store view it was placed in.
    pub store_id: Option<StoreId>,
    /// Commerce's fixed set of states.
    pub state: Option<String>,
    /// The merchant's own status.
    pub status: Option<String>,
    /// `created_at`.
    pub placed_at: Option<Timestamp>,
    /// `updated_at`.
    pub updated_at: Option<Timestamp>,
    /// `order_currency_code`.
    pub currency: Currency,
    /// `base_currency_code`.
    pub base_currency: Option<Currency>,
    /// The coupon.
    pub coupon_code: Option<String>,
    /// The customer's note.
    pub note: Option<String>,
    /// Who ordered.
    pub customer: Customer,
    /// Who pays.
    pub billing_address: Option<Address>,
    /// Where goods go; none for a virtual order.
    pub shipping_address: Option<Address>,
    /// `carrier_method`.
    pub shipping_method: Option<String>,
    /// What the shopper read.
    pub shipping_description: Option<String>,
    /// The payment method's code.
    pub payment_method: Option<String>,
    /// Where the customer picks the goods up.
    pub pickup_location: Option<String>,
    /// How it belongs to other orders.
    pub relations: Relations,
    /// The flat list: parents and children.
    pub items: Vec<OrderItem>,
    /// Header amounts in the order currency.
    pub amounts: HeaderAmounts,
    /// Header amounts in the base currency; `None` when Commerce sent none.
    pub base: Option<HeaderAmounts>,
    /// Fees that a merchant's totals collector added.
    pub custom_fees: Vec<CustomFee>,
    /// Gift cards used as payment.
    pub gift_cards: Vec<GiftCard>,
    /// Which tax rates were applied to what.
    pub applied_taxes: Vec<AppliedTax>,
    /// Commerce's own digits of the main totals.
    pub as_sent: AsSent,
    /// What was noticed while reading and holds nothing up.
    pub warnings: Vec<Warning>,
}

impl Order {
    /// Header amounts of one side.
    pub fn header(&self, side: Side) -> Option<&HeaderAmounts> {
        match side {
            Side::Order => Some(&self.amounts),
            Side::Base => self.base.as_ref(),
        }
    }
}

/// How an order belongs to others: an edit in Commerce cancels the old order and creates `…-1`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Relations {
    /// The number of the very first order of a chain of edits.
    pub original_increment_id: Option<String>,
    /// The number of the order this one replaces.
    pub replaces: Option<String>,
    /// The number of the order that replaced this one.
    pub replaced_by: Option<String>,
}

/// Who ordered.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Customer {
    /// Commerce's customer id; none for guests.
    pub id: Option<u64>,
    /// E-mail address.
    pub email: Option<String>,
    /// Given name.
    pub first_name: Option<String>,
    /// Family name.
    pub last_name: Option<String>,
    /// Customer group.
    pub group_id: Option<u64>,
    /// Whether the checkout was without an account.
    pub guest: bool,
    /// `customer_taxvat`.
    pub vat_id: Option<String>,
}

/// A postal address.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Address {
    /// Given name.
    pub first_name: Option<String>,
    /// Family name.
    pub last_name: Option<String>,
    /// Company.
    pub company: Option<String>,
    /// One to four lines.
    pub street: Vec<String>,
    /// City.
    pub city: Option<String>,
    /// Region by name.
    pub region: Option<String>,
    /// Region by code; events do not carry it.
    pub region_code: Option<String>,
    /// Postal code.
    pub postcode: Option<String>,
    /// Two letters.
    pub country: Option<String>,
    /// Telephone.
    pub telephone: Option<String>,
    /// VAT number.
    pub vat_id: Option<String>,
}

/// Header amounts of one side, signs as Commerce stores them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HeaderAmounts {
    /// Σ rows before discount and tax.
    pub subtotal: Decimal,
    /// Zero or below; includes the shipping discount.
    pub discount: Decimal,
    /// Tax that vanished with the discount of goods; `None` where the payload has no such member.
    pub compensation: Option<Decimal>,
    /// Shipping before tax and discount.
    pub shipping: Decimal,
    /// Zero or above; already inside `discount`.
    pub shipping_discount: Decimal,
    /// Tax that vanished with the shipping discount.
    pub shipping_compensation: Decimal,
    /// Tax on shipping; already inside `tax`.
    pub shipping_tax: Decimal,
    /// All tax: goods, shipping, fixed product tax, wrapping.
    pub tax: Decimal,
    /// What the customer pays beside the settlements.
    pub grand_total: Decimal,
    /// Gift wrapping of the order, of items, and the printed card.
    pub wrapping: [FeeAmount; 3],
    /// Paid by gift cards.
    pub gift_cards: Option<Decimal>,
    /// Paid by store credit.
    pub store_credit: Decimal,
    /// Paid by reward points.
    pub reward_points: Decimal,
}

/// A charge and the tax on it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FeeAmount {
    /// Before tax.
    pub net: Decimal,
    /// Tax.
    pub tax: Decimal,
}

/// A fee from `extension_attributes.custom_fees`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CustomFee {
    /// Its code.
    pub code: Option<String>,
    /// What the shopper read.
    pub label: Option<String>,
    /// In the order currency.
    pub amount: Decimal,
    /// In the base currency.
    pub base_amount: Option<Decimal>,
}

/// One gift card used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GiftCard {
    /// Its code.
    pub code: Option<String>,
    /// In the order currency.
    pub amount: Decimal,
    /// In the base currency.
    pub base_amount: Option<Decimal>,
}

/// What a tax was applied to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum TaxedThing {
    /// An item's price.
    Product,
    /// Shipping.
    Shipping,
    /// A fixed product tax.
    FixedProductTax,
    /// Anything else: wrapping, fees of modules.
    Other,
}

/// One entry of `extension_attributes.item_applied_taxes`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AppliedTax {
    /// Of what.
    pub of: TaxedThing,
    /// Of which item. At an order's first save the entries still name quote items, whose numbers are easily taken for
    /// those of other order items.
    pub item: Option<ItemKey>,
    /// Rate codes in the order applied.
    pub codes: Vec<String>,
    /// The percent, where a single rate was applied.
    pub percent: Option<Decimal>,
}

/// Commerce's own digits.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AsSent {
    /// `subtotal`
    pub subtotal: Option<String>,
    /// `discount_amount`
    pub discount_amount: Option<String>,
    /// `shipping_amount`
    pub shipping_amount: Option<String>,
    /// `tax_amount`
    pub tax_amount: Option<String>,
    /// `grand_total`
    pub grand_total: Option<String>,
}

/// Commerce's product types; the type of the line decides, not what the product is today.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ProductType {
    /// Goods.
    Simple,
    /// A service.
    Virtual,
    /// Files.
    Downloadable,
    /// A member of a grouped product: goods of its own, without a parent line.
    Grouped,
    /// Parent of one chosen simple product.
    Configurable,
    /// Parent of components.
    Bundle,
    /// A gift card sold.
    GiftCard,
    /// The payload does not say.
    Unsaid,
    /// Somebody else's type.
    Other(String),
}

impl ProductType {
    /// From Commerce's spelling.
    pub fn read(text: Option<&str>) -> Self {
        match text {
            None => ProductType::Unsaid,
            Some("simple") => ProductType::Simple,
            Some("virtual") => ProductType::Virtual,
            Some("downloadable") => ProductType::Downloadable,
            Some("grouped") => ProductType::Grouped,
            Some("configurable") => ProductType::Configurable,
            Some("bundle") => ProductType::Bundle,
            Some("giftcard") => ProductType::GiftCard,
            Some(other) => ProductType::Other(other.chars().take(64).collect()),
        }
    }

    /// In messages and on pages; somebody else's word is not repeated.
    pub fn word(&self) -> &'static str {
        match self {
            ProductType::Simple => "simple",
            ProductType::Virtual => "virtual",
            ProductType::Downloadable => "downloadable",
            ProductType::Grouped => "grouped",
            ProductType::Configurable => "configurable",
            ProductType::Bundle => "bundle",
            ProductType::GiftCard => "giftcard",
            ProductType::Unsaid => "no type",
            ProductType::Other(_) => "another type",
        }
    }
}

/// A way to name an item: by its own id, or by that of the quote item it was made from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ItemKey {
    /// `item_id`
    Item(u64),
    /// `quote_item_id`
    Quote(u64),
}

/// One line of the flat list.
#[derive(Clone, Debug)]
pub struct OrderItem {
    /// Where it stands in the payload: `items/3`.
    pub path: String,
    /// `item_id`; missing before the order is saved.
    pub id: Option<OrderItemId>,
    /// `quote_item_id`.
    pub quote_item_id: Option<u64>,
    /// Whose child it is.
    pub parent: Option<ItemKey>,
    /// The product of this line: of a configurable's parent line the configurable.
    pub product_id: Option<ProductId>,
    /// The line's type.
    pub product_type: ProductType,
    /// The order SKU: may carry option suffixes, of a bundle its components' SKUs.
    pub sku: Sku,
    /// The catalogue SKU of a configurable's chosen product, where stored options tell it.
    pub simple_sku: Option<Sku>,
    /// What the shopper read.
    pub name: String,
    /// Nothing to ship.
    pub is_virtual: bool,
    /// How many.
    pub quantities: Quantities,
    /// The rate, all taxes together.
    pub tax_percent: Option<Decimal>,
    /// Rate codes on the line itself (2.4.8 and later).
    pub tax_codes: Vec<String>,
    /// Amounts in the order currency.
    pub amounts: ItemAmounts,
    /// Amounts in the base currency.
    pub base: ItemAmounts,
    /// Fixed product taxes.
    pub fixed_taxes: Vec<FixedTax>,
    /// Of a bundle: whose price counts, where stored options tell it.
    pub price_type: Option<PriceType>,
    /// Of a component: the title of the bundle option it was chosen for.
    pub bundle_option: Option<String>,
    /// Custom options, links, gift card details.
    pub options: Vec<CustomOption>,
    /// Chosen attributes of a configurable.
    pub configuration: Vec<ConfiguredAttribute>,
    /// The source Commerce proposes to ship from.
    pub location: Option<String>,
}

impl OrderItem {
    /// Amounts of one side.
    pub fn amounts(&self, side: Side) -> &ItemAmounts {
        match side {
            Side::Order => &self.amounts,
            Side::Base => &self.base,
        }
    }

    /// What children may call it: by its id, or before the order is saved by its quote item's.
    pub fn keys(&self) -> impl Iterator<Item = ItemKey> {
        let own = self.id.map(|id| ItemKey::Item(id.0));
        own.into_iter().chain(self.quote_item_id.map(ItemKey::Quote))
    }

    /// The path of one of its members.
    pub fn at(&self, member: &str) -> String {
        format!("{}/{member}", self.path)
    }
}

/// How many of an item were ordered, and what became of them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Quantities {
    /// `qty_ordered`; of a child already multiplied by the parent's.
    pub ordered: Quantity,
    /// `qty_canceled`
    pub canceled: Quantity,
    /// `qty_shipped`
    pub shipped: Quantity,
    /// `qty_refunded`
    pub refunded: Quantity,
    /// `qty_invoiced`
    pub invoiced: Quantity,
}

/// Amounts of an item on one side, exactly as sent: what they mean depends on the channel, see [`super::rows`].
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ItemAmounts {
    /// Unit price before tax.
    pub price: Option<Decimal>,
    /// The row: before discount in events, after it in REST.
    pub row_total: Option<Decimal>,
    /// The row with tax.
    pub row_total_incl_tax: Option<Decimal>,
    /// Zero or above.
    pub discount: Decimal,
    /// Tax that vanished with the discount.
    pub compensation: Decimal,
    /// Tax of the row.
    pub tax: Option<Decimal>,
    /// Fixed product tax of one unit.
    pub fixed_tax_unit: Decimal,
    /// Fixed product tax of the row.
    pub fixed_tax_row: Decimal,
}

/// One fixed product tax of an item, from the `weee_tax_applied` text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FixedTax {
    /// Its title.
    pub title: String,
    /// In the order currency.
    pub amount: FeeAmount,
    /// In the base currency.
    pub base: FeeAmount,
}

/// A chosen attribute of a configurable product.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ConfiguredAttribute {
    /// Attribute id.
    pub attribute_id: String,
    /// Id of the attribute's value.
    pub value_id: Option<String>,
    /// `Color`; `null` when unknown.
    pub label: Option<String>,
    /// `Black`; `null` when unknown.
    pub value: Option<String>,
}
