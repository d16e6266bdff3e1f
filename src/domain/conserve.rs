//! The five conservation laws, checked in production before a document leaves and by the tests.
//!
//! The check knows the order and the document and nothing of how one became the other. A document may have a shape
//! ([`super::shape`]): the laws then say where its money has to stand instead.

use std::collections::HashMap;

use rust_decimal::Decimal;

use super::cancellation::Cancellation;
use super::currency::Currency;
use super::defect::{Defect, ExceptionCode};
use super::ids::OrderItemId;
use super::ledger::{self, HeaderColumns};
use super::money::Money;
use super::order::{HeaderAmounts, Order, OrderItem, Side};
use super::quantity::Quantity;
use super::rows::Reading;
use super::sales_order::{Amounts, LineKind, MoneyOf, SalesLine, SalesOrder};
use super::shape::{DiscountShape, RoundingShape, Shape, ShippingShape, TaxShape};

pub use super::proof::{Proof, ProofRow, proof};

/// A law that does not hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    /// 1 to 5.
    pub law: u8,
    /// What does not hold, with the figures.
    pub message: String,
}

impl Violation {
    fn new(law: u8, message: String) -> Self {
        Violation { law, message }
    }

    /// The exception a broken law opens.
    pub fn defect(&self) -> Defect {
        let code = if self.law == 3 { ExceptionCode::MissingComponent } else { ExceptionCode::TotalsMismatch };
        Defect::new(code, "", format!("law {}: {}", self.law, self.message)).with_cause(format!("law {}", self.law))
    }
}

/// Every violation of the five laws; none is what a document must have.
pub fn check(order: &Order, document: &SalesOrder) -> Vec<Violation> {
    let mut violations = Vec::new();
    law_1_lines_add_up(document, &mut violations);
    law_2_columns_are_commerces(order, document, &mut violations);
    law_3_every_leaf_once(order, document, &mut violations);
    law_4_nothing_is_recalculated(order, document, &mut violations);
    law_5_minor_digits(document, &mut violations);
    violations
}

/// The two sides a document has: the currency, the lines' amounts.
fn sides(document: &SalesOrder) -> impl Iterator<Item = (Side, Currency)> {
    let base = document.totals.base.as_ref().map(|base| (Side::Base, base.grand_total.currency()));
    [(Side::Order, document.order.currency)].into_iter().chain(base)
}

fn amounts<'d>(money: &MoneyOf<'d>, side: Side) -> Option<&'d Amounts> {
    match side {
        Side::Order => Some(money.amounts),
        Side::Base => money.base,
    }
}

/// Where a line stands, for a person.
fn place(money: &MoneyOf<'_>) -> String {
    if money.number == 0 { "shipping".to_owned() } else { format!("line {}", money.number) }
}

/// On every line `total = net − discount + tax`; every line has both sides or none has.
pub fn law_1_lines_add_up(document: &SalesOrder, violations: &mut Vec<Violation>) {
    for money in document.money() {
        for (side, _) in sides(document) {
            let holds = amounts(&money, side).is_some_and(|amounts| {
                let total = amounts.net.checked_sub(amounts.discount).and_then(|net| net.checked_add(amounts.tax));
                total == Ok(amounts.total)
            });
            if !holds {
                violations.push(Violation::new(1, format!("{} does not add up ({side:?})", place(&money))));
            }
        }
    }
}

/// Σ line totals are the grand total and the settlements; every column is Commerce's header.
pub fn law_2_columns_are_commerces(order: &Order, document: &SalesOrder, violations: &mut Vec<Violation>) {
    for (side, currency) in sides(document) {
        let Some(header) = order.header(side) else {
            violations.push(Violation::new(2, "amounts in a base currency that Commerce did not send".to_owned()));
            continue;
        };
        if let Err(message) = columns_agree(order, document, side, header, currency) {
            violations.push(Violation::new(2, format!("{message} ({side:?})")));
        }
    }
}

fn columns_agree(
    order: &Order,
    document: &SalesOrder,
    side: Side,
    header: &HeaderAmounts,
    currency: Currency,
) -> Result<(), String> {
    let shape = document.shape.unwrap_or_default();
    let mut sum = [0_i64; 4];
    let (mut fees, mut fixed_taxes) = (0_i64, 0_i64);
    let mut elsewhere = Elsewhere::default();
    for money in document.money() {
        let Some(amounts) = amounts(&money, side) else { continue };
        for (sum, part) in sum.iter_mut().zip([amounts.net, amounts.discount, amounts.tax, amounts.total]) {
            *sum = sum.checked_add(part.minor()).ok_or("a column is too large")?;
        }
        elsewhere.add(&money, amounts, &shape)?;
        if matches!(money.kind, LineKind::Fee | LineKind::Adjustment) {
            let own = amounts.net.minor().saturating_sub(amounts.tax_included.map_or(0, Money::minor));
            let fixed = if money.order_item_id.is_some() { own } else { 0 };
            fees = fees.checked_add(own).ok_or("the fees are too large")?;
            fixed_taxes = fixed_taxes.checked_add(fixed).ok_or("the fees are too large")?;
        }
    }
    let totals = stated_totals(document, side).ok_or("the totals lack a side")?;
    let stated = sum;
    let [net, discount, tax, total] = elsewhere.put_back(sum, &totals.0, &shape)?;
    let minor = |value: Decimal| Money::rounded(value, currency).map(Money::minor).map_err(|error| error.to_string());
    let beside = |minor: i64| Decimal::new(minor, currency.digits());
    let with_fees = ledger::header_columns(header, beside(fees), compensation_of_rows(order, side));
    let HeaderColumns { net: net_sent, discount: discount_sent, tax: tax_sent } = with_fees;
    let settled = document.settlements.iter().filter_map(|settlement| match side {
        Side::Order => Some(settlement.amount),
        Side::Base => settlement.base_amount,
    });
    let settled: i64 = settled.map(Money::minor).fold(0, i64::saturating_add);
    let due = minor(header.grand_total)?.checked_add(settled).ok_or("a total is too large")?;
    let shown = |minor: i64| Money::from_minor(minor, currency);
    let equal = |what: &str, one: i64, other: i64| {
        if one == other { Ok(()) } else { Err(format!("{what}: {} and {}", shown(one), shown(other))) }
    };
    equal("line totals and what is due", total, due)?;
    equal("discount on lines and in the header", discount, minor(discount_sent)?)?;
    equal("tax on lines and in the header", tax, minor(tax_sent)?)?;
    equal("grand total", totals.1.minor(), minor(header.grand_total)?)?;
    let sent = settlements_sent(order, side, header);
    if (beside(settled) - sent).abs() > beside(i64::try_from(document.settlements.len()).unwrap_or(i64::MAX)) {
        return Err(format!("settlements: {} and {sent}", shown(settled)));
    }
    for (what, stated, summed) in [
        ("stated net", totals.0.net, stated[0]),
        ("stated discount", totals.0.discount, stated[1]),
        ("stated tax", totals.0.tax, stated[2]),
        ("stated total", totals.0.total, stated[3]),
    ] {
        equal(what, stated.minor(), summed)?;
    }
    // A shop may count fixed product taxes into its subtotal; either way the rest is bounded by law 5.
    let inside = minor(net_sent - beside(fixed_taxes))?;
    let near = |sent: i64| net.saturating_sub(sent).saturating_abs() <= document.rounding_max;
    if near(minor(net_sent)?) || near(inside) {
        Ok(())
    } else {
        equal("net on lines and in the header", net, minor(net_sent)?)
    }
}

/// What a shape has put into other columns: law 2 counts it where Commerce has it.
#[derive(Default)]
struct Elsewhere {
    discount_lines: i64,
    tax_lines: i64,
    included: i64,
}

impl Elsewhere {
    /// Counts what moved, and refuses what stands where the shape has none.
    fn add(&mut self, money: &MoneyOf<'_>, amounts: &Amounts, shape: &Shape) -> Result<(), String> {
        let odd = |what: &str| Err(format!("{} has {what}, which its shape puts elsewhere", place(money)));
        match money.kind {
            LineKind::Discount if shape.discount != DiscountShape::Line => return odd("the discount"),
            LineKind::Tax if shape.tax != TaxShape::Line => return odd("the tax"),
            LineKind::Shipping if (money.number == 0) != (shape.shipping == ShippingShape::Field) => {
                return odd("shipping");
            }
            LineKind::Discount => self.discount_lines = added(self.discount_lines, amounts.net.minor())?,
            LineKind::Tax => self.tax_lines = added(self.tax_lines, amounts.net.minor())?,
            _ => {}
        }
        match amounts.tax_included {
            Some(tax) if shape.tax == TaxShape::Gross => self.included = added(self.included, tax.minor())?,
            None if shape.tax != TaxShape::Gross => {}
            _ => return odd("tax in its net"),
        }
        if shape.moves_tax() && !amounts.tax.is_zero() {
            return odd("tax");
        }
        if shape.discount == DiscountShape::Line && !amounts.discount.is_zero() {
            return odd("a discount");
        }
        Ok(())
    }

    /// Net, discount, tax and total as they would be without a shape.
    fn put_back(&self, sums: [i64; 4], totals: &Amounts, shape: &Shape) -> Result<[i64; 4], String> {
        let left_out = match (totals.tax_left_out, shape.tax) {
            (Some(tax), TaxShape::None) => tax.minor(),
            (None, TaxShape::Amount | TaxShape::Code | TaxShape::Line | TaxShape::Gross) => 0,
            (Some(_), _) => return Err("the totals leave out tax that the lines have".to_owned()),
            (None, TaxShape::None) => return Err("the totals do not say how much tax they leave out".to_owned()),
        };
        if totals.tax_included.map_or(0, Money::minor) != self.included {
            return Err("the totals state another tax than their lines include".to_owned());
        }
        let [net, discount, tax, total] = sums;
        let moved = [self.discount_lines, self.tax_lines, self.included].into_iter().try_fold(0, added)?;
        Ok([
            added(net, moved.saturating_neg())?,
            added(discount, self.discount_lines.saturating_neg())?,
            [self.tax_lines, self.included, left_out].into_iter().try_fold(tax, added)?,
            added(total, left_out)?,
        ])
    }
}

fn added(one: i64, other: i64) -> Result<i64, String> {
    one.checked_add(other).ok_or_else(|| "a column is too large".to_owned())
}

fn settlements_sent(order: &Order, side: Side, header: &HeaderAmounts) -> Decimal {
    let of_cards = || match side {
        Side::Order => order.gift_cards.iter().map(|card| card.amount).sum(),
        Side::Base => order.gift_cards.iter().filter_map(|card| card.base_amount).sum(),
    };
    header.gift_cards.unwrap_or_else(of_cards) + header.store_credit + header.reward_points
}

fn stated_totals(document: &SalesOrder, side: Side) -> Option<(Amounts, Money)> {
    match side {
        Side::Order => Some((document.totals.sums, document.totals.grand_total)),
        Side::Base => document.totals.base.map(|base| (base.sums, base.grand_total)),
    }
}

/// Compensation as the rows have it: on the children of a parent, or on the parent.
fn compensation_of_rows(order: &Order, side: Side) -> Decimal {
    if order.header(side).is_some_and(|header| header.compensation.is_some()) {
        return Decimal::ZERO;
    }
    let family = Family::of(order);
    let of_root = |root| {
        let (parent, children) = family.column(root, |item| item.amounts(side).compensation);
        if children.is_zero() { parent } else { children }
    };
    family.roots().map(of_root).sum()
}

/// Parents and children as the payload links them.
struct Family<'a> {
    order: &'a Order,
    children: HashMap<usize, Vec<usize>>,
    is_child: Vec<bool>,
}

impl<'a> Family<'a> {
    fn of(order: &'a Order) -> Self {
        let linked = order.items.iter().any(|item| item.parent.is_some());
        let by_key: HashMap<_, usize> = if linked {
            order.items.iter().enumerate().flat_map(|(index, item)| item.keys().map(move |key| (key, index))).collect()
        } else {
            HashMap::new()
        };
        let mut children: HashMap<usize, Vec<usize>> = HashMap::new();
        let mut is_child = vec![false; order.items.len()];
        for (index, item) in order.items.iter().enumerate() {
            if let Some(parent) = item.parent.and_then(|key| by_key.get(&key)) {
                children.entry(*parent).or_default().push(index);
                is_child[index] = true;
            }
        }
        Family { order, children, is_child }
    }

    fn roots(&self) -> impl Iterator<Item = usize> {
        (0..self.is_child.len()).filter(|index| !self.is_child[*index])
    }

    fn children(&self, root: usize) -> &[usize] {
        self.children.get(&root).map_or(&[], Vec::as_slice)
    }

    /// A column as the parent has it, and as its children have it (the parent's where there is no child).
    fn column(&self, root: usize, of: impl Fn(&OrderItem) -> Decimal) -> (Decimal, Decimal) {
        let parent = of(&self.order.items[root]);
        let children: Decimal = self.children(root).iter().map(|child| of(&self.order.items[*child])).sum();
        (parent, if self.children(root).is_empty() { parent } else { children })
    }
}

/// Every leaf item stands on exactly one `item` or `component` line (of a kit: on one `comment` line under it) with its
/// quantity, and nothing else stands there as goods.
pub fn law_3_every_leaf_once(order: &Order, document: &SalesOrder, violations: &mut Vec<Violation>) {
    let family = Family::of(order);
    let leaves = order.items.iter().enumerate().filter(|(index, _)| family.children(*index).is_empty());
    let kits: Vec<Option<OrderItemId>> =
        document.lines.iter().filter(|line| line.kind == LineKind::Kit).map(|line| line.order_item_id).collect();
    let goods = document.lines.iter().filter(|line| match line.kind {
        LineKind::Item | LineKind::Component => true,
        LineKind::Comment => line.quantity.is_some() && kits.contains(&line.parent_order_item_id),
        _ => false,
    });
    let mut wanted: Vec<(Option<OrderItemId>, Quantity)> =
        leaves.map(|(_, item)| (item.id, item.quantities.ordered)).collect();
    let mut found: Vec<(Option<OrderItemId>, Quantity)> = goods
        .map(|line| (line.child_order_item_id.or(line.order_item_id), line.quantity.unwrap_or(Quantity::ZERO)))
        .collect();
    wanted.sort_unstable();
    found.sort_unstable();
    if wanted != found {
        let odd = wanted
            .iter()
            .find(|leaf| !found.contains(leaf))
            .or_else(|| found.iter().find(|line| !wanted.contains(line)));
        let id = odd.and_then(|(id, _)| *id).map(|id| id.to_string()).unwrap_or_default();
        violations.push(Violation::new(3, format!("item {id} does not stand on exactly one line with its quantity")));
    }
}

/// Net, discount and tax of what was bought are the parent's or the children's own, to less than a minor unit per row.
pub fn law_4_nothing_is_recalculated(order: &Order, document: &SalesOrder, violations: &mut Vec<Violation>) {
    // Before an order is saved its lines have no ids to hold on to; law 2 holds their columns all the same.
    if order.items.iter().any(|item| item.id.is_none()) {
        return;
    }
    let shape = document.shape.unwrap_or_default();
    // What stands on a line of its own is held to the header by law 2.
    let (tax_here, discount_here) = (
        matches!(shape.tax, TaxShape::Amount | TaxShape::Code | TaxShape::Gross),
        shape.discount == DiscountShape::Amount,
    );
    let folded = if shape.rounding == RoundingShape::Line { 0 } else { document.rounding_max };
    let family = Family::of(order);
    for (side, currency) in sides(document) {
        let mut sums: HashMap<OrderItemId, [i64; 4]> = HashMap::with_capacity(order.items.len());
        let goods = |line: &&SalesLine| matches!(line.kind, LineKind::Item | LineKind::Component | LineKind::Kit);
        for line in document.lines.iter().filter(goods) {
            let amounts = if side == Side::Order { Some(&line.amounts) } else { line.base.as_ref() };
            let (Some(id), Some(amounts)) = (line.parent_order_item_id.or(line.order_item_id), amounts) else {
                continue;
            };
            let sum = sums.entry(id).or_default();
            let included = amounts.tax_included.map_or(0, Money::minor);
            let net = amounts.net.minor().saturating_sub(included);
            let tax = amounts.tax.minor().saturating_add(included);
            for (sum, part) in sum.iter_mut().zip([net, amounts.discount.minor(), tax, 1]) {
                *sum = sum.saturating_add(part);
            }
        }
        for root in family.roots() {
            let item = &order.items[root];
            let Some([net, discount, tax, rows]) = item.id.and_then(|id| sums.get(&id)).copied() else { continue };
            let near = |minor: i64, exact: Decimal| {
                let gap = (Decimal::new(minor, currency.digits()) - exact).abs();
                gap.is_zero() || gap < Decimal::new(rows.max(1).saturating_add(folded), currency.digits())
            };
            let either = |minor: i64, of: &dyn Fn(&OrderItem) -> Decimal| {
                let (parent, children) = family.column(root, of);
                near(minor, children) || near(minor, parent)
            };
            let own_net =
                || Reading::ALL.iter().any(|reading| either(net, &|item| reading.of(item, side).unwrap_or_default()));
            let own_discount = || {
                !discount_here
                    || either(discount, &|item| item.amounts(side).discount - item.amounts(side).compensation)
            };
            let own_tax = || !tax_here || either(tax, &|item| item.amounts(side).tax.unwrap_or_default());
            if !(own_net() && own_discount() && own_tax()) {
                violations
                    .push(Violation::new(4, format!("{} carries amounts that are not its own ({side:?})", item.sku)));
            }
        }
    }
}

/// Every amount is in its side's currency, and there is at most one rounding line, as small as the policy allows.
pub fn law_5_minor_digits(document: &SalesOrder, violations: &mut Vec<Violation>) {
    for (side, currency) in sides(document) {
        let mut roundings = 0;
        for money in document.money() {
            let Some(amounts) = amounts(&money, side) else { continue };
            let Amounts { net, discount, tax, total, tax_included, tax_left_out } = *amounts;
            let beside = tax_included.into_iter().chain(tax_left_out);
            if [net, discount, tax, total].into_iter().chain(beside).any(|part| part.currency() != currency) {
                violations.push(Violation::new(5, format!("{} is in another currency", place(&money))));
            }
            if money.kind == LineKind::Rounding {
                roundings += 1;
                let largest = [net, discount, tax, total].into_iter().map(|part| part.minor().unsigned_abs()).max();
                if largest.unwrap_or(0) > document.rounding_max.unsigned_abs() {
                    violations.push(Violation::new(5, format!("the rounding of {total} is too large")));
                }
            }
        }
        if roundings > 1 {
            violations.push(Violation::new(5, format!("{roundings} rounding lines")));
        }
    }
}

/// A shape loses no line: whatever is no shipping and no rounding is there, in its order, with SKU, quantity and options.
pub fn nothing_is_lost(plain: &SalesOrder, shaped: &SalesOrder) -> Option<Violation> {
    let mut left = shaped.lines.iter();
    let same = |one: &SalesLine, other: &SalesLine| {
        one.kind == other.kind
            && (one.order_item_id, one.product_id) == (other.order_item_id, other.product_id)
            && (&one.sku, one.quantity, &one.options, &one.bundle)
                == (&other.sku, other.quantity, &other.options, &other.bundle)
    };
    let mut lines = plain.lines.iter().filter(|line| !matches!(line.kind, LineKind::Shipping | LineKind::Rounding));
    let lost = lines.find(|line| !left.any(|other| same(line, other)))?;
    Some(Violation::new(3, format!("line {} is lost in the shape of the document", lost.number)))
}

/// A cancellation that was given a shape is worth what it was, on both sides, and its lines add up.
///
/// # Errors
/// What does not hold.
pub fn cancelled_as_before(before: (Amounts, Option<Amounts>), cancellation: &Cancellation) -> Result<(), Violation> {
    let worth = |amounts: &Amounts| amounts.total.minor().checked_add(amounts.tax_left_out.map_or(0, Money::minor));
    let after = (cancellation.totals.sums, cancellation.totals.base);
    if worth(&before.0) != worth(&after.0) || before.1.as_ref().map(worth) != after.1.as_ref().map(worth) {
        let (before, after) = (before.0.total, after.0.total);
        return Err(Violation::new(2, format!("{before} is cancelled, and {after} in the shape of the document")));
    }
    let adds_up = |amounts: &Amounts| {
        amounts.net.checked_sub(amounts.discount).and_then(|net| net.checked_add(amounts.tax)) == Ok(amounts.total)
    };
    let odd = cancellation.lines.iter().map(|line| &line.line).find(|line| {
        line.number == 0 || !adds_up(&line.amounts) || line.base.as_ref().is_some_and(|base| !adds_up(base))
    });
    match odd {
        Some(line) => Err(Violation::new(1, format!("the cancelled share of line {} does not add up", line.number))),
        None => Ok(()),
    }
}
