//! What of an order is no longer wanted, `crossdock.cancellation.v1`: the lines that are cancelled, in part or whole, with
//! their share of the money.
//!
//! Quantities and amounts are what is cancelled *so far*, never what was cancelled since the last time. A share is an
//! exact allocation of the line's own amounts; an order cancelled as a whole gives back every line, shipping and fees
//! among them.

use std::fmt::Write as _;

use serde::Serialize;

use super::conserve::Violation;
use super::money::{Money, Weights};
use super::order::Order;
use super::quantity::Quantity;
use super::sales_order::{Amounts, LineKind, OrderHead, SalesLine, SalesOrder, ShippingField};
use super::shape::Shape;

/// Name and version of the document.
pub const SCHEMA: &str = "crossdock.cancellation.v1";
/// What the document asks for.
pub const PURPOSE: &str = "order.cancel";

/// A cancellation.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Cancellation {
    /// [`SCHEMA`].
    pub schema: &'static str,
    /// [`PURPOSE`].
    pub purpose: &'static str,
    /// How its destination wants money and options put, where that is not the plain way.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub shape: Option<Shape>,
    /// Nothing of the order is left.
    pub complete: bool,
    /// The order as it is now.
    pub order: OrderHead,
    /// What is cancelled, under the numbers of the sales order.
    pub lines: Vec<CancelledLine>,
    /// What of shipping is cancelled, where it stands beside the lines.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub shipping: Option<ShippingField>,
    /// Sums over these lines.
    pub totals: CancelledTotals,
}

/// A line of which something is cancelled: `quantity` and amounts are the cancelled share.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct CancelledLine {
    /// The line with its cancelled share.
    #[serde(flatten)]
    pub line: SalesLine,
    /// How many had been ordered.
    pub quantity_ordered: Option<Quantity>,
}

/// What is cancelled in money.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct CancelledTotals {
    /// In the order currency.
    #[serde(flatten)]
    pub sums: Amounts,
    /// In the base currency.
    pub base: Option<Amounts>,
}

impl Cancellation {
    /// What is cancelled, as a text: equal texts cancel the same.
    pub fn content(&self) -> String {
        let mut text = format!("{}|", self.complete);
        for CancelledLine { line, .. } in &self.lines {
            let quantity = line.quantity.unwrap_or(Quantity::ZERO);
            write!(text, "{} {quantity}|", line.number).expect("a String takes everything");
        }
        text
    }
}

/// Whether nothing of the order is wanted any more: Commerce says so, or every line of goods says it.
pub fn cancels_all(order: &Order, document: &SalesOrder) -> bool {
    order.state.as_deref() == Some("canceled") || all_lines(order, document)
}

/// The cancellation of what is cancelled; `None` when nothing is.
pub fn cancellation(order: &Order, document: &SalesOrder) -> Option<Cancellation> {
    let complete = all_lines(order, document);
    let mut lines = Vec::new();
    for line in &document.lines {
        let goods = is_goods(line) || (line.kind == LineKind::Comment && line.quantity.is_some());
        if goods {
            let quantity = cancelled(order, document, line);
            if !quantity.is_zero() {
                lines.push(share(line, quantity));
            }
        } else if complete && line.kind != LineKind::Comment {
            lines.push(CancelledLine { line: line.clone(), quantity_ordered: line.quantity });
        }
    }
    if lines.is_empty() {
        return None;
    }
    let base = document.totals.base.as_ref().map(|_| sums(lines.iter().filter_map(|line| line.line.base.as_ref())));
    let totals = CancelledTotals { sums: sums(lines.iter().map(|line| &line.line.amounts))?, base: base.flatten() };
    let order = document.order.clone();
    Some(Cancellation { schema: SCHEMA, purpose: PURPOSE, complete, order, lines, totals, shape: None, shipping: None })
}

/// What a cancellation must keep of the laws of DESIGN 2.4; none broken is what a document must have.
pub fn check(document: &SalesOrder, cancellation: &Cancellation) -> Vec<Violation> {
    let mut violations = Vec::new();
    let adds_up = |amounts: &Amounts| {
        amounts.net.checked_sub(amounts.discount).and_then(|net| net.checked_add(amounts.tax)) == Ok(amounts.total)
    };
    for CancelledLine { line, quantity_ordered } in &cancellation.lines {
        if !adds_up(&line.amounts) || line.base.as_ref().is_some_and(|base| !adds_up(base)) {
            let message = format!("the cancelled share of line {} does not add up", line.number);
            violations.push(Violation { law: 1, message });
        }
        if line.quantity > *quantity_ordered {
            let message = format!("more of line {} is cancelled than was ordered", line.number);
            violations.push(Violation { law: 3, message });
        }
    }
    let whole = (document.totals.sums, document.totals.base.map(|base| base.sums));
    if cancellation.complete && (cancellation.totals.sums, cancellation.totals.base) != whole {
        let (total, ordered) = (cancellation.totals.sums.total, document.totals.sums.total);
        let message = format!("the whole order is cancelled, but {total} of {ordered} is");
        violations.push(Violation { law: 2, message });
    }
    violations
}

fn is_goods(line: &SalesLine) -> bool {
    matches!(line.kind, LineKind::Item | LineKind::Component | LineKind::Kit)
}

fn all_lines(order: &Order, document: &SalesOrder) -> bool {
    let mut goods = document.lines.iter().filter(|line| is_goods(line)).peekable();
    goods.peek().is_some() && goods.all(|line| Some(cancelled(order, document, line)) == line.quantity)
}

/// How many of a line are cancelled. The child lines of a bundle that ships as one keep 0 and follow their parent
/// (adobe-commerce, "qty_*"); an order in state `canceled` whose lines say nothing at all lost whatever had not shipped.
fn cancelled(order: &Order, document: &SalesOrder, line: &SalesLine) -> Quantity {
    let Some(ordered) = line.quantity else { return Quantity::ZERO };
    if !line.quantity_canceled.is_zero() {
        return line.quantity_canceled.min(ordered);
    }
    let parent = line.parent_order_item_id.and_then(|id| order.items.iter().find(|item| item.id == Some(id)));
    if let Some(parent) = parent.map(|parent| parent.quantities).filter(|parent| !parent.canceled.is_zero()) {
        let share = ordered.value().checked_mul(parent.canceled.value());
        let share = share.and_then(|share| share.checked_div(parent.ordered.value()));
        return share.and_then(|share| Quantity::new(share.round_dp(4)).ok()).unwrap_or(ordered).min(ordered);
    }
    let says_nothing = || {
        document.lines.iter().all(|line| line.quantity_canceled.is_zero())
            && order.items.iter().all(|item| item.quantities.canceled.is_zero())
    };
    if order.state.as_deref() == Some("canceled") && says_nothing() {
        return Quantity::new(ordered.value() - line.quantity_shipped.min(ordered).value()).unwrap_or(Quantity::ZERO);
    }
    Quantity::ZERO
}

fn share(line: &SalesLine, quantity: Quantity) -> CancelledLine {
    let ordered = line.quantity.unwrap_or(quantity);
    let mut cancelled = line.clone();
    cancelled.quantity = Some(quantity);
    cancelled.quantity_canceled = Quantity::ZERO;
    if quantity < ordered {
        let weights = Weights::new(&[quantity.value(), ordered.value() - quantity.value()])
            .expect("some of it is cancelled and some is left");
        cancelled.amounts = part(&line.amounts, &weights);
        cancelled.base = line.base.as_ref().map(|base| part(base, &weights));
    }
    CancelledLine { line: cancelled, quantity_ordered: Some(ordered) }
}

/// The first share of each column; the total follows, so that the line adds up (law 1).
fn part(amounts: &Amounts, weights: &Weights) -> Amounts {
    let first = |money: Money| money.allocate(weights)[0];
    Amounts::of(first(amounts.net), first(amounts.discount), first(amounts.tax))
}

/// `None` for no line.
pub(super) fn sums<'l>(lines: impl Iterator<Item = &'l Amounts>) -> Option<Amounts> {
    lines.copied().reduce(|sum, line| sum.plus(&line))
}
