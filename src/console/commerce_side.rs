//! The order as Commerce sent it, as rows beside what was made of it.

use serde::Serialize;

use crate::commerce::parse::{self, Reading};
use crate::domain::order::{ItemKey, OrderItem, Side};
use crate::json::{self, Limits};
use crate::store::view::StoredEnvelope;

/// One item of Commerce's list.
#[derive(Clone, Debug, Serialize)]
pub struct Item {
    /// Commerce's id of it.
    pub id: String,
    /// Of what it is a part.
    pub parent: Option<String>,
    /// `simple`, `bundle`, …
    pub kind: &'static str,
    /// As sent.
    pub sku: String,
    /// As sent.
    pub name: String,
    /// As ordered.
    pub quantity: String,
    /// Its row, as sent: before the discount in events, behind it in REST.
    pub row_total: Option<String>,
    /// Discount, as sent.
    pub discount: String,
    /// Tax, as sent.
    pub tax: Option<String>,
}

/// The items of an order's payload; nothing where it is no complete order.
pub fn items(envelope: &StoredEnvelope) -> Option<Vec<Item>> {
    let json = json::parse(&envelope.body, &Limits::default()).ok()?;
    let record = json.pointer(&envelope.path)?;
    let reading = Reading { system: &envelope.subject.system, default_store_id: Some("0"), not_yet_saved: false };
    let order = parse::order(record, &reading).ok()?;
    Some(order.items.iter().map(item).collect())
}

fn item(item: &OrderItem) -> Item {
    let amounts = item.amounts(Side::Order);
    let parent = item.parent.map(|parent| match parent {
        ItemKey::Item(id) | ItemKey::Quote(id) => id.to_string(),
    });
    Item {
        id: item.id.map(|id| id.0.to_string()).unwrap_or_default(),
        parent,
        kind: item.product_type.word(),
        sku: item.sku.to_string(),
        name: item.name.clone(),
        quantity: item.quantities.ordered.to_string(),
        row_total: amounts.row_total.map(|amount| amount.to_string()),
        discount: amounts.discount.to_string(),
        tax: amounts.tax.map(|amount| amount.to_string()),
    }
}
