//! One currency of an order, balanced: every row in minor units, every column equal to Commerce's header, and what
//! Commerce itself left open in one visible place.

use rust_decimal::Decimal;

use super::currency::Currency;
use super::decimal;
use super::defect::{Defect, ExceptionCode};
use super::fees::{Fee, FeeKind, Payment};
use super::money::Money;
use super::order::{FeeAmount, HeaderAmounts, Order, Side};
use super::rows::{self, FixedTax};
use super::spread;

/// Minor units of one row.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Row {
    /// Before tax and discount.
    pub net: i64,
    /// Commerce's discount less its tax compensation.
    pub discount: i64,
    /// Tax.
    pub tax: i64,
}

impl Row {
    /// Law 1; `None` beyond 64 bits.
    pub fn total(self) -> Option<i64> {
        self.net.checked_sub(self.discount)?.checked_add(self.tax)
    }

    /// Whether every column is nothing.
    pub fn is_zero(self) -> bool {
        self == Row::default()
    }
}

/// A balanced side.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ledger {
    /// Of this side.
    pub currency: Currency,
    /// One row per money line, in their order.
    pub goods: Vec<Row>,
    /// Shipping.
    pub shipping: Row,
    /// One row per fee, in their order.
    pub fees: Vec<Row>,
    /// What Commerce left open between its rows and its header.
    pub rounding: Row,
    /// One amount per settlement, in their order.
    pub payments: Vec<i64>,
    /// The header's grand total.
    pub grand_total: i64,
}

/// What is to be balanced.
#[derive(Clone, Copy, Debug)]
pub struct Basket<'a> {
    /// The order.
    pub order: &'a Order,
    /// Items (indices) that carry money.
    pub money_lines: &'a [usize],
    /// Fees.
    pub fees: &'a [Fee],
    /// Settlements.
    pub payments: &'a [Payment],
    /// Minor units a rounding may close, in all (law 5).
    pub rounding_max: i64,
}

/// Exact header columns in the sense of law 2.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HeaderColumns {
    /// Subtotal, shipping and fees.
    pub net: Decimal,
    /// Discount less compensation, positive.
    pub discount: Decimal,
    /// Tax.
    pub tax: Decimal,
}

/// The header's columns, given what stands beside the subtotal and what the rows say where the header is silent.
pub fn header_columns(header: &HeaderAmounts, beside: Decimal, compensation_of_rows: Decimal) -> HeaderColumns {
    let compensation = header.compensation.unwrap_or(compensation_of_rows) + header.shipping_compensation;
    HeaderColumns {
        net: header.subtotal + header.shipping + beside,
        discount: -header.discount - compensation,
        tax: header.tax,
    }
}

/// Balances one side of the basket against its header.
pub fn balance(
    basket: &Basket<'_>,
    side: Side,
    header: &HeaderAmounts,
    currency: Currency,
) -> Result<Ledger, Vec<Defect>> {
    let order = basket.order;
    let limit = Decimal::new(basket.rounding_max, currency.digits());
    let fixed_tax: Decimal = fixed_taxes(basket).map(|fee| fee.amount(side).net).sum();
    let fees_net: Decimal = basket.fees.iter().map(|fee| fee.amount(side).net).sum();
    let inside_first = fixed_tax_is_inside(basket, side, header, fees_net, fixed_tax);
    let read = rows::read(order, side, basket.money_lines, header, FixedTax { sum: fixed_tax, inside_first }, limit)
        .map_err(|defect| vec![*defect])?;
    let beside = if read.fixed_tax_inside { fees_net - fixed_tax } else { fees_net };
    let items = || basket.money_lines.iter().map(|line| order.items[*line].amounts(side));
    let columns = header_columns(header, beside, items().map(|item| item.compensation).sum());
    let fee_taxes = fee_taxes(basket, side, header);

    let too_large = || vec![too_large(side)];
    let fee_amounts = || basket.fees.iter().map(|fee| fee.amount(side));
    let net = spread::column(
        read.values.iter().copied().chain([header.shipping]).chain(fee_amounts().map(|fee| fee.net)),
        columns.net,
        currency,
    );
    let discount = spread::column(
        items()
            .map(|item| item.discount - item.compensation)
            .chain([header.shipping_discount - header.shipping_compensation]),
        columns.discount,
        currency,
    );
    let tax = spread::column(
        items().map(|item| item.tax.unwrap_or_default()).chain([header.shipping_tax]).chain(fee_taxes.iter().copied()),
        columns.tax,
        currency,
    );
    let (Some(net), Some(discount), Some(tax)) = (net, discount, tax) else { return Err(too_large()) };

    let minor = |value: Decimal| Money::rounded(value, currency).map(Money::minor).map_err(|_| too_large());
    let grand_total = minor(header.grand_total)?;
    let payments: Vec<i64> =
        basket.payments.iter().map(|payment| minor(payment.amount(side))).collect::<Result<_, _>>()?;
    let settled = payments.iter().try_fold(grand_total, |sum, part| sum.checked_add(*part)).ok_or_else(too_large)?;
    let column_total = Row { net: minor(columns.net)?, discount: minor(columns.discount)?, tax: minor(columns.tax)? };
    // The grand total has no column of its own: what is open against it stands in the net column.
    let open = column_total.total().and_then(|total| settled.checked_sub(total)).ok_or_else(too_large)?;
    let rounding = Row {
        net: net.rounding.checked_add(open).ok_or_else(too_large)?,
        discount: discount.rounding,
        tax: tax.rounding,
    };
    let ledger = assemble(currency, net.parts, discount.parts, tax.parts, rounding, payments, grand_total);
    let defects = judge(basket, side, header, &columns, &ledger, open);
    if defects.is_empty() { Ok(ledger) } else { Err(defects) }
}

/// Whether the grand total adds up only if the fixed product taxes are counted into the subtotal. Rows alone cannot
/// tell: a wrong reading of them may reconcile by chance where a discount is as large as the tax.
fn fixed_tax_is_inside(
    basket: &Basket<'_>,
    side: Side,
    header: &HeaderAmounts,
    fees_net: Decimal,
    fixed_tax: Decimal,
) -> bool {
    let compensation = basket.money_lines.iter().map(|line| basket.order.items[*line].amounts(side).compensation).sum();
    let due = header.grand_total + basket.payments.iter().map(|payment| payment.amount(side)).sum::<Decimal>();
    let open = |beside: Decimal| {
        let HeaderColumns { net, discount, tax } = header_columns(header, beside, compensation);
        net - discount + tax - due
    };
    open(fees_net - fixed_tax).is_zero() && !open(fees_net).is_zero()
}

fn assemble(
    currency: Currency,
    net: Vec<i64>,
    discount: Vec<i64>,
    tax: Vec<i64>,
    rounding: Row,
    payments: Vec<i64>,
    grand_total: i64,
) -> Ledger {
    // Discounts stand on goods and shipping only; net and tax on fees as well.
    let goods_count = discount.len() - 1;
    let discount = discount.into_iter().chain(std::iter::repeat(0));
    let mut rows: Vec<Row> =
        net.into_iter().zip(discount).zip(tax).map(|((net, discount), tax)| Row { net, discount, tax }).collect();
    let fees = rows.split_off(goods_count + 1);
    let shipping = rows.pop().expect("every column has a place for shipping");
    Ledger { currency, goods: rows, shipping, fees, rounding, payments, grand_total }
}

fn fixed_taxes<'a>(basket: &Basket<'a>) -> impl Iterator<Item = &'a Fee> + use<'a> {
    basket.fees.iter().filter(|fee| matches!(fee.kind, FeeKind::FixedTax(_)))
}

/// The tax on each fee. Tax on fixed product tax is only told by a text on the item; where the header's tax adds up
/// without it, the shop does not tax it and the text merely repeats a price.
fn fee_taxes(basket: &Basket<'_>, side: Side, header: &HeaderAmounts) -> Vec<Decimal> {
    let goods: Decimal = basket.money_lines.iter().filter_map(|line| basket.order.items[*line].amounts(side).tax).sum();
    let fees: Vec<FeeAmount> = basket.fees.iter().map(|fee| fee.amount(side)).collect();
    let fixed: Decimal = fixed_taxes(basket).map(|fee| fee.amount(side).tax).sum();
    let all: Decimal = fees.iter().map(|fee| fee.tax).sum();
    let open = header.tax - goods - header.shipping_tax - all;
    // A header may be a cent off either way: whichever leaves less open is what the shop does.
    let taxed = open.abs() <= (open + fixed).abs();
    let tax = |(fee, amount): (&Fee, &FeeAmount)| match fee.kind {
        FeeKind::FixedTax(_) if !taxed => Decimal::ZERO,
        _ => amount.tax,
    };
    basket.fees.iter().zip(&fees).map(tax).collect()
}

/// Law 5: a rounding is small, or the order is parked with its figures.
fn judge(
    basket: &Basket<'_>,
    side: Side,
    header: &HeaderAmounts,
    columns: &HeaderColumns,
    ledger: &Ledger,
    open: i64,
) -> Vec<Defect> {
    let within = |minor: i64| minor.unsigned_abs() <= basket.rounding_max.unsigned_abs();
    let shown = |minor: i64| Money::from_minor(minor, ledger.currency);
    let member = |name: &str| match side {
        Side::Order => name.to_owned(),
        Side::Base => format!("base_{name}"),
    };
    let mut defects = Vec::new();
    let mut mismatch = |name: &str, value: Decimal, message: String| {
        let defect = Defect::new(ExceptionCode::TotalsMismatch, member(name), message);
        defects.push(defect.with_value(&decimal::plain(value)));
    };
    let Row { net, discount, tax } = ledger.rounding;
    if !within(discount) {
        let rows = spoken(
            ledger.goods.iter().chain([&ledger.shipping]).map(|row| row.discount).fold(0, i64::saturating_add),
            ledger,
        );
        let header_column = decimal::padded(columns.discount, ledger.currency.digits());
        mismatch(
            "discount_amount",
            header.discount,
            format!(
                "the discount is {header_column} after compensation, lines and shipping have {rows}; {} is on no line",
                shown(discount)
            ),
        );
    }
    if !within(open) {
        // Shown only; what was judged is the checked sum.
        let settled = ledger.payments.iter().copied().fold(0, i64::saturating_add);
        let digits = ledger.currency.digits();
        mismatch(
            "grand_total",
            header.grand_total,
            format!(
                "goods, shipping and fees {} less discount {} plus tax {} differ from grand total {} plus settlements {} by {}",
                decimal::padded(columns.net, digits),
                decimal::padded(columns.discount, digits),
                decimal::padded(columns.tax, digits),
                shown(ledger.grand_total),
                shown(settled),
                shown(open),
            ),
        );
    } else if !within(net) || !ledger.rounding.total().is_some_and(within) {
        mismatch("subtotal", header.subtotal, format!("{} of the total is on no line", shown(net)));
    }
    if !within(tax) {
        defects.push(tax_defect(basket, side, header, tax, ledger, &member("tax_amount")));
    }
    defects
}

fn spoken(minor: i64, ledger: &Ledger) -> Money {
    Money::from_minor(minor, ledger.currency)
}

fn tax_defect(
    basket: &Basket<'_>,
    side: Side,
    header: &HeaderAmounts,
    open: i64,
    ledger: &Ledger,
    path: &str,
) -> Defect {
    let silent =
        basket.money_lines.iter().map(|line| &basket.order.items[*line]).find(|item| item.amounts(side).tax.is_none());
    let message = format!(
        "the order's tax is {}, its lines, shipping and fees have {}",
        spoken(Money::rounded(header.tax, ledger.currency).map_or(0, Money::minor), ledger),
        spoken(Money::rounded(header.tax, ledger.currency).map_or(0, Money::minor).saturating_sub(open), ledger),
    );
    match silent {
        Some(item) => {
            let member = if side == Side::Base { "base_tax_amount" } else { "tax_amount" };
            Defect::new(
                ExceptionCode::MissingTaxData,
                item.at(member),
                format!("{} has no tax amount; {message}", item.sku),
            )
            .with_remedy("Read the order back from Commerce, then replay.")
        }
        None => Defect::new(ExceptionCode::TotalsMismatch, path, message).with_value(&decimal::plain(header.tax)),
    }
}

fn too_large(side: Side) -> Defect {
    let path = if side == Side::Base { "base_grand_total" } else { "grand_total" };
    Defect::new(ExceptionCode::UnreadablePayload, path, "amounts of this size cannot be kept exactly")
}
