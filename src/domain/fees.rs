//! What stands beside goods and shipping: fees on the one hand, means of payment on the other.

use rust_decimal::Decimal;

use super::order::{FeeAmount, Order, Side};

/// Why a fee is charged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FeeKind {
    /// Fixed product tax of an item (index).
    FixedTax(usize),
    /// Gift wrapping, printed card.
    Wrapping,
    /// From a merchant's totals collector.
    Custom,
}

/// A charge beside goods and shipping.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fee {
    /// Why.
    pub kind: FeeKind,
    /// What the line is called.
    pub name: String,
    /// In the order currency.
    pub amount: FeeAmount,
    /// In the base currency.
    pub base: FeeAmount,
}

impl Fee {
    /// The amounts of one side.
    pub fn amount(&self, side: Side) -> FeeAmount {
        match side {
            Side::Order => self.amount,
            Side::Base => self.base,
        }
    }
}

const WRAPPING: [&str; 3] = ["Gift wrapping", "Gift wrapping of items", "Printed card"];

/// Every fee of the order; fixed product taxes of money lines only, since parents and children repeat them.
pub fn fees(order: &Order, money_lines: &[usize]) -> Vec<Fee> {
    let mut fees = Vec::new();
    for line in money_lines {
        for tax in &order.items[*line].fixed_taxes {
            let kind = FeeKind::FixedTax(*line);
            fees.push(Fee { kind, name: tax.title.clone(), amount: tax.amount, base: tax.base });
        }
    }
    for (index, name) in WRAPPING.into_iter().enumerate() {
        let base = order.base.as_ref().map(|base| base.wrapping[index]).unwrap_or_default();
        let amount = order.amounts.wrapping[index];
        fees.push(Fee { kind: FeeKind::Wrapping, name: name.to_owned(), amount, base });
    }
    for fee in &order.custom_fees {
        let name = fee.label.as_deref().or(fee.code.as_deref()).unwrap_or("Fee").to_owned();
        let amount = FeeAmount { net: fee.amount, tax: Decimal::ZERO };
        let base = FeeAmount { net: fee.base_amount.unwrap_or_default(), tax: Decimal::ZERO };
        fees.push(Fee { kind: FeeKind::Custom, name, amount, base });
    }
    let nothing = FeeAmount::default();
    fees.retain(|fee| fee.amount != nothing || fee.base != nothing);
    fees
}

/// A means of payment that Commerce took off the grand total.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Payment {
    /// `gift_card`, `store_credit` or `reward_points`.
    pub kind: &'static str,
    /// The gift card's code.
    pub reference: Option<String>,
    /// In the order currency.
    pub amount: Decimal,
    /// In the base currency.
    pub base: Decimal,
}

impl Payment {
    /// The amount of one side.
    pub fn amount(&self, side: Side) -> Decimal {
        match side {
            Side::Order => self.amount,
            Side::Base => self.base,
        }
    }
}

/// Every settlement. Gift cards one by one where their amounts are the header's, otherwise in one sum.
pub fn payments(order: &Order) -> Vec<Payment> {
    let base =
        |amount: fn(&super::order::HeaderAmounts) -> Decimal| order.base.as_ref().map(amount).unwrap_or_default();
    let mut payments = gift_cards(order);
    payments.push(Payment {
        kind: "store_credit",
        reference: None,
        amount: order.amounts.store_credit,
        base: base(|header| header.store_credit),
    });
    payments.push(Payment {
        kind: "reward_points",
        reference: None,
        amount: order.amounts.reward_points,
        base: base(|header| header.reward_points),
    });
    payments.retain(|payment| !payment.amount.is_zero() || !payment.base.is_zero());
    payments
}

fn gift_cards(order: &Order) -> Vec<Payment> {
    let cards = &order.gift_cards;
    let sum: Decimal = cards.iter().map(|card| card.amount).sum();
    let base_sum: Decimal = cards.iter().map(|card| card.base_amount.unwrap_or_default()).sum();
    let amount = order.amounts.gift_cards.unwrap_or(sum);
    let base = order.base.as_ref().map(|base| base.gift_cards.unwrap_or(base_sum));
    if amount == sum && base.is_none_or(|base| base == base_sum) {
        let payment = |card: &super::order::GiftCard| Payment {
            kind: "gift_card",
            reference: card.code.clone(),
            amount: card.amount,
            base: if base.is_some() { card.base_amount.unwrap_or_default() } else { Decimal::ZERO },
        };
        return cards.iter().map(payment).collect();
    }
    let codes: Vec<&str> = cards.iter().filter_map(|card| card.code.as_deref()).collect();
    let reference = (!codes.is_empty()).then(|| codes.join(", "));
    vec![Payment { kind: "gift_card", reference, amount, base: base.unwrap_or_default() }]
}
