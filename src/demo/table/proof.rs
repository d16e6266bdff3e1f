//! The totals proof: sums of the lines against the document's totals and Commerce's own figures, in both currencies.

use std::fmt;

use rust_decimal::{Decimal, RoundingStrategy};
use serde_json::Value;

use super::{array, text};

/// Whether a document's money adds up, figure by figure.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Proof {
    /// The order's currency and, when it has amounts of its own, the base currency.
    pub sides: Vec<Side>,
    /// What Commerce sent, digits as sent: name and figure.
    pub as_sent: Vec<(&'static str, String)>,
    /// Whether Commerce's tax and grand total are the document's.
    pub as_sent_agrees: bool,
}

/// One currency.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Side {
    /// Its code.
    pub currency: String,
    /// Σ over all lines, each beside the document's own total.
    pub net: Sum,
    /// Σ discount.
    pub discount: Sum,
    /// Σ tax.
    pub tax: Sum,
    /// Σ total.
    pub total: Sum,
    /// What the customer pays at the end.
    pub grand_total: Option<Decimal>,
    /// Tax that stands outside the column of that name: on a line of its own, inside the net, or left out.
    pub tax_beside: Option<Decimal>,
    /// Tax that no line has, where the destination wants none.
    pub tax_left_out: Option<Decimal>,
    /// Means of payment already counted: kind and amount.
    pub settlements: Vec<(String, Option<Decimal>)>,
    /// Line numbers on which `net − discount + tax` is not `total`.
    pub broken_lines: Vec<String>,
}

/// The sum of a column and what the document says it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sum {
    /// Added up from the lines; none if a line has no readable figure.
    pub lines: Option<Decimal>,
    /// As the document states it.
    pub stated: Option<Decimal>,
}

impl Sum {
    /// Both are there and equal.
    pub fn holds(&self) -> bool {
        self.lines.is_some() && self.lines == self.stated
    }
}

impl Side {
    /// Σ net − Σ discount + Σ tax, from the lines.
    fn computed(&self) -> Option<Decimal> {
        self.net.lines?.checked_sub(self.discount.lines?)?.checked_add(self.tax.lines?)
    }

    /// Grand total and settlements together.
    fn paid(&self) -> Option<Decimal> {
        self.settlements.iter().try_fold(self.grand_total?, |sum, (_, amount)| sum.checked_add((*amount)?))
    }

    /// The lines' total, and the tax that was left out of it.
    fn worth(&self) -> Option<Decimal> {
        self.total.lines?.checked_add(self.tax_left_out.unwrap_or_default())
    }

    /// All tax, wherever the document has it.
    fn tax_in_all(&self) -> Option<Decimal> {
        self.tax.lines?.checked_add(self.tax_beside?)
    }

    /// Everything adds up.
    pub fn holds(&self) -> bool {
        let columns = [self.net, self.discount, self.tax, self.total];
        columns.iter().all(Sum::holds)
            && self.computed() == self.total.lines
            && self.paid() == self.worth()
            && self.broken_lines.is_empty()
    }
}

impl Proof {
    /// Everything adds up, in every currency, and agrees with Commerce.
    pub fn holds(&self) -> bool {
        self.as_sent_agrees && !self.sides.is_empty() && self.sides.iter().all(Side::holds)
    }
}

/// Adds the document's lines up again.
pub fn proof(document: &Value) -> Proof {
    let order = &document["order"];
    let main = side(document, text(&order["currency"]), |value| value, "amount");
    let base = || side(document, text(&order["base_currency"]), |value| &value["base"], "base_amount");
    let as_sent = &document["totals"]["as_sent"];
    let agrees = |name: &str, figure: Option<Decimal>| agrees(&as_sent[name], figure);
    let as_sent_agrees = agrees("grand_total", main.grand_total) && agrees("tax_amount", main.tax_in_all());
    let figures = ["subtotal", "shipping_amount", "discount_amount", "tax_amount", "grand_total"];
    let has_base = document["totals"]["base"].is_object();
    Proof {
        sides: if has_base { vec![main, base()] } else { vec![main] },
        as_sent: figures.map(|name| (name, text(&as_sent[name]))).into_iter().filter(|(_, f)| !f.is_empty()).collect(),
        as_sent_agrees,
    }
}

fn side(document: &Value, currency: String, of: impl Fn(&Value) -> &Value, amount: &str) -> Side {
    let totals = of(&document["totals"]);
    let lines: Vec<(&Value, &Value)> = array(&document["lines"])
        .iter()
        .chain(document["shipping"].is_object().then(|| &document["shipping"]))
        .map(|line| (line, of(line)))
        // A comment carries no money at all.
        .filter(|(line, money)| line["kind"] != "comment" || money.get("total").is_some_and(|total| !total.is_null()))
        .collect();
    let sum = |name: &str| Sum {
        lines: lines.iter().try_fold(Decimal::ZERO, |sum, (_, money)| sum.checked_add(decimal(&money[name])?)),
        stated: decimal(&totals[name]),
    };
    let broken = |money: &Value| {
        let [net, discount, tax, total] = ["net", "discount", "tax", "total"].map(|name| decimal(&money[name]));
        let made = || net?.checked_sub(discount?)?.checked_add(tax?);
        total.is_none() || made() != total
    };
    let tax_left_out = decimal(&totals["tax_left_out"]);
    let of_its_own = lines.iter().filter(|(line, _)| line["kind"] == "tax").map(|(_, money)| decimal(&money["net"]));
    let tax_beside = of_its_own
        .chain([Some(decimal(&totals["tax_included"]).unwrap_or_default()), Some(tax_left_out.unwrap_or_default())])
        .try_fold(Decimal::ZERO, |sum, part| sum.checked_add(part?));
    Side {
        currency,
        tax_beside,
        tax_left_out,
        net: sum("net"),
        discount: sum("discount"),
        tax: sum("tax"),
        total: sum("total"),
        grand_total: decimal(&totals["grand_total"]),
        settlements: array(&document["settlements"])
            .iter()
            .map(|settlement| (text(&settlement["kind"]).replace('_', " "), decimal(&settlement[amount])))
            .collect(),
        broken_lines: lines.iter().filter(|(_, money)| broken(money)).map(|(line, _)| text(&line["number"])).collect(),
    }
}

fn decimal(value: &Value) -> Option<Decimal> {
    Decimal::from_str_exact(value.as_str()?).ok()
}

/// Commerce's figure, rounded half away from zero to the document's digits, is the document's. One not sent agrees.
pub(super) fn agrees(sent: &Value, figure: Option<Decimal>) -> bool {
    if sent.is_null() {
        return true;
    }
    let (Some(sent), Some(figure)) = (decimal(sent), figure) else { return false };
    sent.round_dp_with_strategy(figure.scale(), RoundingStrategy::MidpointAwayFromZero) == figure
}

fn mark(holds: bool) -> char {
    if holds { '✓' } else { '✗' }
}

fn figure(value: Option<Decimal>) -> String {
    value.map_or_else(|| "?".to_owned(), |value| value.to_string())
}

impl fmt::Display for Sum {
    /// The sum; when the document states something else, that too.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&figure(self.lines))?;
        if self.holds() { Ok(()) } else { write!(f, " (document says {})", figure(self.stated)) }
    }
}

impl fmt::Display for Side {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let columns = [self.net, self.discount, self.tax, self.total].iter().all(Sum::holds);
        let adds_up = columns && self.broken_lines.is_empty() && self.computed() == self.total.lines;
        let Side { currency, net, discount, tax, total, .. } = self;
        writeln!(
            f,
            "  {currency}  Σ net {net} − Σ discount {discount} + Σ tax {tax} = total {total}  {}",
            mark(adds_up)
        )?;
        for number in &self.broken_lines {
            writeln!(f, "       line {number}: net − discount + tax is not its total")?;
        }
        write!(f, "  {currency}  total {}", figure(total.lines))?;
        if self.tax_left_out.is_some() {
            write!(f, " + tax left out {}", figure(self.tax_left_out))?;
        }
        write!(f, " = grand total {}", figure(self.grand_total))?;
        for (kind, amount) in &self.settlements {
            write!(f, " + {kind} {}", figure(*amount))?;
        }
        writeln!(f, "  {}", mark(self.paid() == self.worth() && self.paid().is_some()))
    }
}

impl fmt::Display for Proof {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.sides.as_slice() {
            // One currency twice with the same figures: saying it once is enough.
            [main, base] if main == base => {
                write!(f, "{main}")?;
                writeln!(f, "       base currency: the same figures  {}", mark(base.holds()))?;
            }
            sides => sides.iter().try_for_each(|side| write!(f, "{side}"))?,
        }
        if self.as_sent.is_empty() {
            return Ok(());
        }
        let figures: Vec<String> = self
            .as_sent
            .iter()
            .map(|(name, figure)| format!("{} {figure}", name.trim_end_matches("_amount").replace('_', " ")))
            .collect();
        writeln!(f, "  Commerce sent: {}  {}", figures.join(", "), mark(self.as_sent_agrees))
    }
}
