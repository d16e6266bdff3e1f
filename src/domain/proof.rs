//! The totals of a document beside Commerce's own figures, for a table a person reads.

use super::money::Money;
use super::sales_order::{LineKind, SalesOrder};

/// One figure.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProofRow {
    /// What it is.
    pub figure: &'static str,
    /// Summed over the document's lines or settlements.
    pub here: Money,
    /// Commerce's own digits for the same thing, where it has one member for it.
    pub as_sent: Option<String>,
    /// The figure in the base currency.
    pub base: Option<Money>,
}

/// Why a document is right: its sums, and that they close.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Proof {
    /// Goods, shipping, fees, discount, tax, rounding, total, settlements, grand total.
    pub rows: Vec<ProofRow>,
    /// Whether Σ totals are the grand total and the settlements, in every currency present.
    pub closes: bool,
}

/// The proof of a document.
pub fn proof(document: &SalesOrder) -> Proof {
    let sent = &document.totals.as_sent;
    let goods = [LineKind::Item, LineKind::Component, LineKind::Kit];
    let fees = [LineKind::Fee, LineKind::Adjustment];
    let net = |kinds: &[LineKind]| {
        let lines = || document.lines.iter().filter(|line| kinds.contains(&line.kind));
        let here = sum(lines().map(|line| line.amounts.net), Money::zero(document.order.currency));
        let zero = document.totals.base.map(|base| Money::zero(base.grand_total.currency()));
        (here, zero.map(|zero| sum(lines().filter_map(|line| line.base.map(|base| base.net)), zero)))
    };
    let row = |figure, (here, base): (Money, Option<Money>), as_sent: Option<&String>| ProofRow {
        figure,
        here,
        as_sent: as_sent.cloned(),
        base,
    };
    let (sums, base) = (document.totals.sums, document.totals.base);
    let settled =
        sum(document.settlements.iter().map(|settlement| settlement.amount), Money::zero(document.order.currency));
    let base_settled = base.map(|base| {
        let zero = Money::zero(base.grand_total.currency());
        sum(document.settlements.iter().filter_map(|settlement| settlement.base_amount), zero)
    });
    let grand_total = (document.totals.grand_total, base.map(|base| base.grand_total));
    let closes = grand_total.0.checked_add(settled) == Ok(sums.total)
        && base.is_none_or(|base| {
            base_settled.is_some_and(|settled| base.grand_total.checked_add(settled) == Ok(base.sums.total))
        });
    let rows = vec![
        row("goods", net(&goods), sent.subtotal.as_ref()),
        row("shipping", net(&[LineKind::Shipping]), sent.shipping_amount.as_ref()),
        row("fees", net(&fees), None),
        row("rounding", net(&[LineKind::Rounding]), None),
        row("discount", (sums.discount, base.map(|base| base.sums.discount)), sent.discount_amount.as_ref()),
        row("tax", (sums.tax, base.map(|base| base.sums.tax)), sent.tax_amount.as_ref()),
        row("total", (sums.total, base.map(|base| base.sums.total)), None),
        row("settlements", (settled, base_settled), None),
        row("grand total", grand_total, sent.grand_total.as_ref()),
    ];
    Proof { rows, closes }
}

/// Saturates far beyond any order; law 2 has refused such a document before.
fn sum(parts: impl Iterator<Item = Money>, zero: Money) -> Money {
    let minor = parts.map(Money::minor).fold(0_i64, i64::saturating_add);
    Money::from_minor(minor, zero.currency())
}
