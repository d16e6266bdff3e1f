//! An order that changed after it was sent, `crossdock.order_change.v1`: the whole order as it is now, under the same
//! envelope and the same five laws as the sales order. Absolute, never a difference: whoever misses one is right again
//! with the next.

use super::sales_order::SalesOrder;

/// Name and version of the document.
pub const SCHEMA: &str = "crossdock.order_change.v1";
/// What the document asks for.
pub const PURPOSE: &str = "order.change";

/// The change that brings a destination to this order.
pub fn change(document: SalesOrder) -> SalesOrder {
    SalesOrder { schema: SCHEMA, purpose: PURPOSE, ..document }
}
