//! Kinds of records that arrive.

use std::fmt;
use std::str::FromStr;

/// What a record is; `{entity}` of the intake path, or told from the payload.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum RecordKind {
    /// An order as Commerce holds it.
    Order,
    /// A change of an order.
    OrderChange,
    /// An invoice.
    Invoice,
    /// A shipment.
    Shipment,
    /// A credit memo.
    CreditMemo,
    /// A product.
    Product,
    /// A customer.
    Customer,
    /// Stock values.
    Stock,
    /// A fulfilment by the warehouse.
    Fulfilment,
    /// Nothing we know.
    Unknown,
}

impl RecordKind {
    /// Every kind.
    pub const ALL: [RecordKind; 10] = [
        RecordKind::Order,
        RecordKind::OrderChange,
        RecordKind::Invoice,
        RecordKind::Shipment,
        RecordKind::CreditMemo,
        RecordKind::Product,
        RecordKind::Customer,
        RecordKind::Stock,
        RecordKind::Fulfilment,
        RecordKind::Unknown,
    ];

    /// As stored and shown.
    pub fn as_str(self) -> &'static str {
        match self {
            RecordKind::Order => "order",
            RecordKind::OrderChange => "order_change",
            RecordKind::Invoice => "invoice",
            RecordKind::Shipment => "shipment",
            RecordKind::CreditMemo => "credit_memo",
            RecordKind::Product => "product",
            RecordKind::Customer => "customer",
            RecordKind::Stock => "stock",
            RecordKind::Fulfilment => "fulfilment",
            RecordKind::Unknown => "unknown",
        }
    }

    /// The kind an `{entity}` path segment names (DESIGN 2.2).
    pub fn from_entity(entity: &str) -> Option<Self> {
        Some(match entity {
            "orders" => RecordKind::Order,
            "order-changes" => RecordKind::OrderChange,
            "invoices" => RecordKind::Invoice,
            "shipments" => RecordKind::Shipment,
            "credit-memos" => RecordKind::CreditMemo,
            "products" => RecordKind::Product,
            "customers" => RecordKind::Customer,
            "stock" => RecordKind::Stock,
            "fulfilments" => RecordKind::Fulfilment,
            _ => return None,
        })
    }
}

impl fmt::Display for RecordKind {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.as_str())
    }
}

impl FromStr for RecordKind {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        RecordKind::ALL
            .into_iter()
            .find(|kind| kind.as_str() == text)
            .ok_or_else(|| format!("\"{text}\" is not a kind of record"))
    }
}
