//! Order in, sales order out: the heart, one pure function.
//!
//! Positions are found ([`super::item_tree`]), both currencies are balanced ([`super::ledger`]), lines are written, and
//! the five laws are checked before anything is returned. Every defect is collected, not the first.

use super::catalogue::{Catalogue, PriceType};
use super::conserve;
use super::defect::{Defect, ExceptionCode, Warning};
use super::fees::{self, Fee, Payment};
use super::item_tree::{self, Position};
use super::ledger::{self, Basket, Ledger};
use super::lines::Lines;
use super::mapping::Mappings;
use super::money::Money;
use super::order::{Order, Side};
use super::policy::Policies;
use super::sales_order::{Amounts, BaseTotals, OrderHead, PURPOSE, SCHEMA, SalesLine, SalesOrder, Settlement, Totals};
use super::translate::Translator;

/// What an expansion goes by beside the order.
#[derive(Clone, Copy)]
pub struct Rules<'a> {
    /// The tables.
    pub mappings: &'a Mappings,
    /// The decisions.
    pub policies: &'a Policies,
    /// For whom.
    pub destination: &'a str,
    /// What is known about products.
    pub catalogue: &'a dyn Catalogue,
}

/// Turns an order into a sales order that keeps the five laws, or into everything that is in the way.
pub fn expand(order: &Order, rules: &Rules<'_>) -> Result<SalesOrder, Vec<Defect>> {
    let mut translator = Translator::new(order, rules);
    let head = head(order, &mut translator);
    let positions = match item_tree::positions(order, rules.catalogue) {
        Ok(positions) => positions,
        Err(mut defects) => {
            defects.append(&mut translator.defects);
            return Err(defects);
        }
    };
    if let Some(defect) = too_many_options(order, &positions) {
        return Err(vec![defect]);
    }
    let money_lines = money_lines(&positions);
    let fees = fees::fees(order, &money_lines);
    let payments = fees::payments(order);
    let rounding_max = tolerated(rules.policies, &money_lines);
    let basket = Basket { order, money_lines: &money_lines, fees: &fees, payments: &payments, rounding_max };
    let ledger = ledger::balance(&basket, Side::Order, &order.amounts, order.currency);
    let base = base_ledger(&basket, &mut translator);
    let (ledger, base) = match (ledger, base) {
        (Ok(ledger), Ok(base)) => (ledger, base),
        (ledger, base) => {
            let mut defects: Vec<Defect> = ledger.err().into_iter().chain(base.err()).flatten().collect();
            defects.append(&mut translator.defects);
            return Err(defects);
        }
    };
    let lines = Lines::new(order, rules, &mut translator, &ledger, base.as_ref()).write(&positions, &fees);
    if !translator.defects.is_empty() {
        return Err(translator.defects);
    }
    let totals = totals(order, &lines, &ledger, base.as_ref());
    let settlements = settlements(&payments, &ledger, base.as_ref());
    let warnings = translator.warnings;
    let document = SalesOrder {
        schema: SCHEMA,
        purpose: PURPOSE,
        shape: None,
        order: head,
        lines,
        shipping: None,
        totals,
        settlements,
        warnings,
        rounding_max,
    };
    let broken = conserve::check(order, &document);
    if broken.is_empty() { Ok(document) } else { Err(broken.iter().map(conserve::Violation::defect).collect()) }
}

fn tolerated(policies: &Policies, money_lines: &[usize]) -> i64 {
    let lines = i64::try_from(money_lines.len()).unwrap_or(i64::MAX);
    i64::from(policies.rounding_tolerance).saturating_mul(lines.saturating_add(1))
}

/// Minor units that a rounding line of this order may have (law 5): for a document that is read again.
pub fn rounding_max(order: &Order, policies: &Policies, catalogue: &dyn Catalogue) -> i64 {
    let positions = item_tree::positions(order, catalogue).unwrap_or_default();
    tolerated(policies, &money_lines(&positions))
}

/// POI-2: every component repeats its bundle's options, so the two multiply.
const REPEATED_OPTIONS_MAX: usize = 10_000;

fn too_many_options(order: &Order, positions: &[Position]) -> Option<Defect> {
    let repeated = |position: &Position| match position {
        Position::Bundle { parent, children, .. } => order.items[*parent].options.len().saturating_mul(children.len()),
        Position::Single(_) | Position::Configurable { .. } => 0,
    };
    let sum = positions.iter().map(repeated).fold(0, usize::saturating_add);
    (sum > REPEATED_OPTIONS_MAX).then(|| {
        let message = format!("its bundles would repeat options {sum} times; {REPEATED_OPTIONS_MAX} is the limit");
        Defect::new(ExceptionCode::UnreadablePayload, "items", message)
    })
}

/// Items that carry money, in the order of their positions.
pub(super) fn money_lines(positions: &[Position]) -> Vec<usize> {
    let mut lines = Vec::with_capacity(positions.len());
    for position in positions {
        match position {
            Position::Single(item)
            | Position::Configurable { parent: item, .. }
            | Position::Bundle { parent: item, price_type: PriceType::Fixed, .. } => lines.push(*item),
            Position::Bundle { children, price_type: PriceType::Dynamic, .. } => lines.extend(children),
        }
    }
    lines
}

fn base_ledger(basket: &Basket<'_>, translator: &mut Translator<'_>) -> Result<Option<Ledger>, Vec<Defect>> {
    let order = basket.order;
    match (&order.base, order.base_currency) {
        (Some(header), Some(currency)) => ledger::balance(basket, Side::Base, header, currency).map(Some),
        (header, _) => {
            let message = if header.is_some() {
                "Commerce sent base amounts without a base currency; the document has none"
            } else {
                "Commerce sent no amounts in the base currency"
            };
            let code = ExceptionCode::MissingBaseAmounts.as_str();
            translator.warnings.push(Warning::new(code, "totals/base", message));
            Ok(None)
        }
    }
}

/// The head of an order that could not be expanded, in the same words: what a route's condition may still look at.
pub fn head_only(order: &Order, rules: &Rules<'_>) -> OrderHead {
    head(order, &mut Translator::new(order, rules))
}

fn head(order: &Order, translator: &mut Translator<'_>) -> OrderHead {
    OrderHead {
        system: order.system.clone(),
        increment_id: order.increment_id.clone(),
        entity_id: order.entity_id,
        store_id: order.store_id,
        state: order.state.clone(),
        status: order.status.clone(),
        placed_at: order.placed_at,
        updated_at: order.updated_at,
        currency: order.currency,
        base_currency: order.base_currency,
        coupon_code: order.coupon_code.clone(),
        note: order.note.clone(),
        customer: order.customer.clone(),
        billing_address: order.billing_address.clone(),
        shipping_address: order.shipping_address.clone(),
        shipping_method: translator.shipping_method(),
        shipping_description: order.shipping_description.clone(),
        payment_method: translator.payment_method(),
    }
}

fn totals(order: &Order, lines: &[SalesLine], ledger: &Ledger, base: Option<&Ledger>) -> Totals {
    let grand_total = |ledger: &Ledger| Money::from_minor(ledger.grand_total, ledger.currency);
    Totals {
        sums: sums(lines.iter().map(|line| &line.amounts), ledger),
        grand_total: grand_total(ledger),
        as_sent: order.as_sent.clone(),
        base: base.map(|base| BaseTotals {
            sums: sums(lines.iter().filter_map(|line| line.base.as_ref()), base),
            grand_total: grand_total(base),
        }),
    }
}

fn sums<'l>(lines: impl Iterator<Item = &'l Amounts>, ledger: &Ledger) -> Amounts {
    lines.fold(Amounts::zero(ledger.currency), Amounts::plus)
}

fn settlements(payments: &[Payment], ledger: &Ledger, base: Option<&Ledger>) -> Vec<Settlement> {
    let settlement = |(index, payment): (usize, &Payment)| Settlement {
        kind: payment.kind,
        reference: payment.reference.clone(),
        amount: Money::from_minor(ledger.payments[index], ledger.currency),
        base_amount: base.map(|base| Money::from_minor(base.payments[index], base.currency)),
    };
    payments.iter().enumerate().map(settlement).collect()
}

/// A fee below zero is an adjustment.
pub(super) fn is_charge(fee: &Fee) -> bool {
    !fee.amount.net.is_sign_negative()
}
