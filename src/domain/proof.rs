//! The totals of a document beside Commerce's own figures, for a table a person reads.

use super::money::Money;
use super::sales_order::{Amounts, LineKind, SalesOrder};

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
        let lines = || document.money().filter(|money| kinds.contains(&money.kind));
        let own = |amounts: &Amounts| less(amounts.net, amounts.tax_included);
        let here = sum(lines().map(|money| own(money.amounts)), Money::zero(document.order.currency));
        let zero = document.totals.base.map(|base| Money::zero(base.grand_total.currency()));
        (here, zero.map(|zero| sum(lines().filter_map(|money| money.base.map(own)), zero)))
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
    let worth = |sums: &Amounts| sums.tax_left_out.map_or(Ok(sums.total), |tax| sums.total.checked_add(tax));
    let closes = grand_total.0.checked_add(settled) == worth(&sums)
        && base.is_none_or(|base| {
            base_settled.is_some_and(|settled| base.grand_total.checked_add(settled) == worth(&base.sums))
        });
    // Where a shape put them: on lines of their own, into the net, or nowhere.
    let (discounts, taxes) = (net(&[LineKind::Discount]), net(&[LineKind::Tax]));
    let discount = |sums: &Amounts, line: Money| less(sums.discount, Some(line));
    let tax = |sums: &Amounts, line: Money| {
        let beside = [Some(line), sums.tax_included, sums.tax_left_out];
        sum([sums.tax].into_iter().chain(beside.into_iter().flatten()), line)
    };
    let both = |of: &dyn Fn(&Amounts, Money) -> Money, line: (Money, Option<Money>)| {
        (of(&sums, line.0), base.zip(line.1).map(|(base, line)| of(&base.sums, line)))
    };
    let rows = vec![
        row("goods", net(&goods), sent.subtotal.as_ref()),
        row("shipping", net(&[LineKind::Shipping]), sent.shipping_amount.as_ref()),
        row("fees", net(&fees), None),
        row("rounding", net(&[LineKind::Rounding]), None),
        row("discount", both(&discount, discounts), sent.discount_amount.as_ref()),
        row("tax", both(&tax, taxes), sent.tax_amount.as_ref()),
        row("total", (sums.total, base.map(|base| base.sums.total)), None),
        row("settlements", (settled, base_settled), None),
        row("grand total", grand_total, sent.grand_total.as_ref()),
    ];
    Proof { rows, closes }
}

fn less(money: Money, part: Option<Money>) -> Money {
    Money::from_minor(money.minor().saturating_sub(part.map_or(0, Money::minor)), money.currency())
}

/// Saturates far beyond any order; law 2 has refused such a document before.
fn sum(parts: impl Iterator<Item = Money>, zero: Money) -> Money {
    let minor = parts.map(Money::minor).fold(0_i64, i64::saturating_add);
    Money::from_minor(minor, zero.currency())
}
