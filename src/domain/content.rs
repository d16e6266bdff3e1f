//! What matters of an order, as one text: two reports with the same text have nothing new to say (LANE-3).
//!
//! One order comes by several channels, and each spells it in its own way: options read or raw, region codes, base amounts,
//! trailing zeros. None of that is here, and nothing that a mapping table decides, so that neither a second channel nor an
//! import of mappings looks like a change of the order.

use std::fmt::Write as _;

use super::order::{Address, Order};
use super::quantity::Quantity;
use super::sales_order::{SalesLine, SalesOrder};

/// The text. `cancelled`: whether cancelled quantities are part of it, or travel as a cancellation of their own.
pub fn content(order: &Order, document: &SalesOrder, cancelled: bool) -> String {
    let mut text = String::with_capacity(256 + document.lines.len() * 96);
    for part in [
        &order.state,
        &order.status,
        &order.coupon_code,
        &order.note,
        &order.customer.email,
        &order.customer.vat_id,
        &order.shipping_method,
        &order.payment_method,
        &order.relations.replaced_by,
    ] {
        push(&mut text, part.as_deref());
    }
    push(&mut text, Some(order.currency.code()));
    address(&mut text, order.billing_address.as_ref());
    address(&mut text, order.shipping_address.as_ref());
    for line in &document.lines {
        self::line(&mut text, line, cancelled);
    }
    for settlement in &document.settlements {
        show(&mut text, &format_args!("{} {}", settlement.kind, settlement.amount));
    }
    show(&mut text, &document.totals.grand_total);
    text
}

fn line(text: &mut String, line: &SalesLine, cancelled: bool) {
    let id = line.order_item_id.map_or(0, |id| id.0);
    let quantity = line.quantity.unwrap_or(Quantity::ZERO);
    let (shipped, refunded, invoiced) = (line.quantity_shipped, line.quantity_refunded, line.quantity_invoiced);
    show(text, &format_args!("{:?} {id} {quantity} {shipped} {refunded} {invoiced}", line.kind));
    // Only where there is any, so that the two forms agree as long as nothing is cancelled.
    if cancelled && !line.quantity_canceled.is_zero() {
        show(text, &line.quantity_canceled);
    }
    let amounts = &line.amounts;
    show(text, &format_args!("{} {} {} {}", amounts.net, amounts.discount, amounts.tax, amounts.total));
}

fn address(text: &mut String, address: Option<&Address>) {
    let Some(address) = address else { return push(text, None) };
    for part in [
        &address.first_name,
        &address.last_name,
        &address.company,
        &address.city,
        &address.postcode,
        &address.country,
        &address.telephone,
        &address.vat_id,
    ] {
        push(text, part.as_deref());
    }
    for street in &address.street {
        push(text, Some(street));
    }
    text.push(';');
}

/// With its length, so that no two lists of parts read the same.
fn push(text: &mut String, part: Option<&str>) {
    match part.filter(|part| !part.is_empty()) {
        Some(part) => write!(text, "{}:{part}", part.len()),
        None => text.write_char('-'),
    }
    .expect("a String takes everything");
}

/// Figures and words of ours, which hold no separator.
fn show(text: &mut String, part: &dyn std::fmt::Display) {
    write!(text, "{part}|").expect("a String takes everything");
}
