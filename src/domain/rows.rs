//! What a money line's row is, before tax and discount.
//!
//! `row_total` means one thing in events (before discount) and another in REST (after it, never below zero), versions
//! differ, and nothing in a payload says which it is. So every line offers candidates, and the reading is the one whose
//! sum is the order's own `subtotal`: exact before within tolerance. When none fits the record is parked with the sums.

use rust_decimal::Decimal;

use super::decimal;
use super::defect::{Defect, ExceptionCode};
use super::order::{HeaderAmounts, ItemAmounts, Order, OrderItem, Side};

/// A way to read the row of a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reading {
    /// `row_total` as stored: events, invoices, any line without discount.
    Stored,
    /// REST: the discount put back.
    BeforeDiscount,
    /// REST, exact even where it stops at zero: from the row with tax.
    FromGross,
    /// The same where REST adds the fixed product tax of one unit (base side of 2.4.6).
    FromGrossUnit,
    /// REST where the back office shows prices with tax: compensation is inside.
    Compensated,
    /// Price times quantity, rounded to Commerce's four decimals.
    PriceTimesQuantity,
}

impl Reading {
    /// In order of trust.
    pub const ALL: [Reading; 6] = [
        Reading::Stored,
        Reading::BeforeDiscount,
        Reading::FromGross,
        Reading::FromGrossUnit,
        Reading::Compensated,
        Reading::PriceTimesQuantity,
    ];

    fn name(self) -> &'static str {
        match self {
            Reading::Stored => "as sent",
            Reading::BeforeDiscount => "with the discount put back",
            Reading::FromGross => "from the row with tax",
            Reading::FromGrossUnit => "from the row with tax and one unit's product tax",
            Reading::Compensated => "with the discount put back, less compensation",
            Reading::PriceTimesQuantity => "as price times quantity",
        }
    }

    /// The row in this reading; price times quantity stands in for members that are missing.
    pub fn of(self, item: &OrderItem, side: Side) -> Option<Decimal> {
        let amounts = item.amounts(side);
        let read = match self {
            Reading::Stored => amounts.row_total,
            Reading::BeforeDiscount => amounts.row_total.map(|row| row + amounts.discount),
            Reading::FromGross => from_gross(amounts, amounts.fixed_tax_row),
            Reading::FromGrossUnit => from_gross(amounts, amounts.fixed_tax_unit),
            Reading::Compensated => amounts.row_total.map(|row| row + amounts.discount - amounts.compensation),
            Reading::PriceTimesQuantity => None,
        };
        read.or_else(|| Some(decimal::rounded(amounts.price?.checked_mul(item.quantities.ordered.value())?, 4)))
    }
}

fn from_gross(amounts: &ItemAmounts, fixed_tax: Decimal) -> Option<Decimal> {
    let gross = amounts.row_total_incl_tax?;
    Some(gross - amounts.tax.unwrap_or_default() - amounts.compensation - fixed_tax + amounts.discount)
}

/// The rows of an order's money lines on one side.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rows {
    /// The reading that reconciles.
    pub reading: Reading,
    /// One row per money line.
    pub values: Vec<Decimal>,
    /// Whether the shop counts fixed product taxes into `subtotal`.
    pub fixed_tax_inside: bool,
}

/// The order's fixed product taxes on one side.
#[derive(Clone, Copy, Debug)]
pub struct FixedTax {
    /// All of them.
    pub sum: Decimal,
    /// The grand total says that they are counted into the subtotal: that is tried first.
    pub inside_first: bool,
}

/// Reads the rows of `money_lines` (indices of items) so that they sum to `header.subtotal`.
pub fn read(
    order: &Order,
    side: Side,
    money_lines: &[usize],
    header: &HeaderAmounts,
    fixed_tax: FixedTax,
    limit: Decimal,
) -> Result<Rows, Box<Defect>> {
    let FixedTax { sum: fixed_tax, inside_first } = fixed_tax;
    let insides: &[bool] = match (fixed_tax.is_zero(), inside_first) {
        (true, _) => &[false],
        (false, false) => &[false, true],
        (false, true) => &[true, false],
    };
    let mut nearest: Option<(Decimal, Rows)> = None;
    let mut sums = Vec::new();
    for fixed_tax_inside in insides.iter().copied() {
        for reading in Reading::ALL {
            let Some(values) = money_lines.iter().map(|line| reading.of(&order.items[*line], side)).collect() else {
                continue;
            };
            let rows = Rows { reading, values, fixed_tax_inside };
            let sum = rows.values.iter().sum::<Decimal>() + if fixed_tax_inside { fixed_tax } else { Decimal::ZERO };
            let gap = (header.subtotal - sum).abs();
            if gap.is_zero() {
                return Ok(rows);
            }
            sums.push((reading, sum));
            if gap <= limit && nearest.as_ref().is_none_or(|(known, _)| gap < *known) {
                nearest = Some((gap, rows));
            }
        }
    }
    nearest.map(|(_, rows)| rows).ok_or_else(|| {
        let silent =
            money_lines.iter().map(|line| &order.items[*line]).find(|item| Reading::Stored.of(item, side).is_none());
        Box::new(silent.map_or_else(|| mismatch(side, header.subtotal, &sums), |item| without_amounts(item, side)))
    })
}

fn without_amounts(item: &OrderItem, side: Side) -> Defect {
    let (code, member) = match side {
        Side::Order => (ExceptionCode::UnreadablePayload, "row_total"),
        Side::Base => (ExceptionCode::MissingBaseAmounts, "base_row_total"),
    };
    Defect::new(code, item.at(member), format!("{} has neither a row total nor a price", item.sku))
        .with_remedy("Read the order back from Commerce, or send the whole order, then replay.")
}

fn mismatch(side: Side, subtotal: Decimal, sums: &[(Reading, Decimal)]) -> Defect {
    let path = match side {
        Side::Order => "subtotal",
        Side::Base => "base_subtotal",
    };
    let mut shown: Vec<String> = Vec::new();
    for (reading, sum) in sums {
        let text = format!("{} {}", decimal::padded(*sum, 2), reading.name());
        if !shown.iter().any(|known| known.split(' ').next() == text.split(' ').next()) {
            shown.push(text);
        }
    }
    let message = format!("{path} is {}, but the rows sum to {}", decimal::padded(subtotal, 2), shown.join(", or "));
    Defect::new(ExceptionCode::TotalsMismatch, path, message).with_value(&decimal::plain(subtotal))
}
