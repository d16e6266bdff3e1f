//! A document put the way its destination wants it ([`super::shape`]): one pure function over a finished sales order.
//!
//! Money only moves, it is never worked out anew: rounding first, then tax, discounts and shipping, and options last. What a
//! shape does is checked like the expansion itself: [`shaped`] holds the five laws against the result, which know the
//! shape, and looks for every line again.

use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap};

use super::cancellation::{self, Cancellation, CancelledLine, CancelledTotals};
use super::conserve::{self, Violation};
use super::defect::{Defect, Warning};
use super::lines::unit_price;
use super::money::Money;
use super::options::{LineOption, Raw};
use super::order::Order;
use super::quantity::Quantity;
use super::sales_order::{Amounts, LineKind, SalesLine, SalesOrder, ShippingField};
use super::shape::{DiscountShape, OptionShape, RoundingShape, Shape, ShippingShape, TaxShape};

/// The document as its destination wants it, proved by the laws.
///
/// # Errors
/// Every law that the result would break.
pub fn shaped<'d>(order: &Order, document: &'d SalesOrder, shape: &Shape) -> Result<Cow<'d, SalesOrder>, Vec<Defect>> {
    if shape.is_plain() {
        return Ok(Cow::Borrowed(document));
    }
    let put = put(document.clone(), shape);
    let mut broken = conserve::check(order, &put);
    broken.extend(conserve::nothing_is_lost(document, &put));
    if broken.is_empty() { Ok(Cow::Owned(put)) } else { Err(broken.iter().map(Violation::defect).collect()) }
}

/// The document as its destination wants it.
pub fn put(document: SalesOrder, shape: &Shape) -> SalesOrder {
    if shape.is_plain() { document } else { placed(document, shape).0 }
}

/// A cancellation as its destination wants it, under the numbers of the shaped order.
///
/// # Errors
/// A law that does not hold.
pub fn cancelled(
    order: &Order,
    document: &SalesOrder,
    plain: Cancellation,
    shape: &Shape,
) -> Result<Cancellation, Violation> {
    if shape.is_plain() {
        return Ok(plain);
    }
    // A share of a line has its share of the rounding that was put into it.
    let folded = folded(document.clone(), shape.rounding);
    let Some(cancellation) = cancellation::cancellation(order, &folded) else { return Ok(plain) };
    if let Some(broken) = cancellation::check(&folded, &cancellation).into_iter().next() {
        return Err(broken);
    }
    let before = (cancellation.totals.sums, cancellation.totals.base);
    let mut writing = Writing::new(&folded, shape, false);
    let (_, places) = placed(folded, shape);
    let numbers: HashMap<Place, u32> = places.into_iter().zip(1..).collect();
    let mut ordered = HashMap::new();
    for CancelledLine { line, quantity_ordered } in cancellation.lines {
        ordered.insert(Place::Line(line.number), quantity_ordered);
        writing.line(line);
    }
    let Written { lines, shipping, left_out } = writing.finish();
    let lines = lines.into_iter().map(|(place, mut line)| {
        line.number = numbers.get(&place).copied().unwrap_or_default();
        let quantity_ordered = ordered.get(&place).copied().unwrap_or(line.quantity);
        CancelledLine { line, quantity_ordered }
    });
    let lines: Vec<CancelledLine> = lines.collect();
    let amounts = lines.iter().map(|line| &line.line.amounts).chain(shipping.as_ref().map(|field| &field.amounts));
    let of_lines = lines.iter().filter_map(|line| line.line.base.as_ref());
    let base = of_lines.chain(shipping.as_ref().and_then(|field| field.base.as_ref()));
    let left = |sums: Amounts, left_out| Amounts { tax_left_out: left_out, ..sums };
    let sums = cancellation::sums(amounts).map_or(before.0, |sums| left(sums, left_out.order));
    let base = before.1.and(cancellation::sums(base).map(|sums| left(sums, left_out.base)));
    let totals = CancelledTotals { sums, base };
    let cancellation = Cancellation { shape: Some(*shape), lines, shipping, totals, ..cancellation };
    conserve::cancelled_as_before(before, &cancellation)?;
    Ok(cancellation)
}

/// What a line of a shaped document comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Place {
    /// The line of that number.
    Line(u32),
    /// Words about the line before it.
    Comment(u32, usize),
    Discount,
    Tax,
}

fn placed(document: SalesOrder, shape: &Shape) -> (SalesOrder, Vec<Place>) {
    let mut document = folded(document, shape.rounding);
    let mut writing = Writing::new(&document, shape, true);
    for line in std::mem::take(&mut document.lines) {
        writing.line(line);
    }
    let Written { lines, shipping, left_out } = writing.finish();
    let (places, mut lines): (Vec<Place>, Vec<SalesLine>) = lines.into_iter().unzip();
    for (number, line) in (1..).zip(&mut lines) {
        line.number = number;
    }
    document.warnings = moved(document.warnings, &places);
    document.shape = Some(*shape);
    (document.lines, document.shipping) = (lines, shipping);
    let zero = Amounts::zero(document.order.currency);
    let sums = document.money().fold(zero, |sum, money| sum.plus(money.amounts));
    document.totals.sums = Amounts { tax_left_out: left_out.order, ..sums };
    if let Some(mut totals) = document.totals.base {
        let zero = Amounts::zero(totals.grand_total.currency());
        let sums = document.money().filter_map(|money| money.base).fold(zero, Amounts::plus);
        totals.sums = Amounts { tax_left_out: left_out.base, ..sums };
        document.totals.base = Some(totals);
    }
    (document, places)
}

/// Paths of warnings, under the places that lines have now.
fn moved(warnings: Vec<Warning>, places: &[Place]) -> Vec<Warning> {
    let mut warnings = warnings;
    if warnings.is_empty() {
        return warnings;
    }
    let now: HashMap<Place, usize> = places.iter().copied().zip(0..).collect();
    for warning in &mut warnings {
        let Some((index, rest)) = warning.path.strip_prefix("lines/").and_then(|path| path.split_once('/')) else {
            continue;
        };
        let Ok(index) = index.parse::<u32>() else { continue };
        let now = now.get(&Place::Line(index.saturating_add(1)));
        warning.path = now.map_or_else(|| format!("shipping/{rest}"), |now| format!("lines/{now}/{rest}"));
    }
    warnings
}

/// The rounding line put into other lines, column by column; it stays where there is no other money.
fn folded(mut document: SalesOrder, rounding: RoundingShape) -> SalesOrder {
    let is_rounding = |line: &SalesLine| line.kind == LineKind::Rounding;
    let Some(at) = document.lines.iter().position(is_rounding).filter(|_| rounding != RoundingShape::Line) else {
        return document;
    };
    if !document.lines.iter().any(bears) {
        return document;
    }
    let gone = document.lines.remove(at);
    fold(&mut document.lines, &gone.amounts, rounding, |line| Some(&mut line.amounts));
    if let Some(base) = gone.base {
        fold(&mut document.lines, &base, rounding, |line| line.base.as_mut());
    }
    for (number, line) in (1..).zip(&mut document.lines) {
        line.number = number;
    }
    document
}

/// Whether a line may take rounding.
fn bears(line: &SalesLine) -> bool {
    !matches!(line.kind, LineKind::Comment | LineKind::Rounding)
}

/// One column of a line.
type Column = fn(&mut Amounts) -> &mut Money;
const COLUMNS: [Column; 3] = [|amounts| &mut amounts.net, |amounts| &mut amounts.discount, |amounts| &mut amounts.tax];

fn fold(
    lines: &mut [SalesLine],
    rounding: &Amounts,
    whither: RoundingShape,
    of: impl Fn(&mut SalesLine) -> Option<&mut Amounts>,
) {
    for (place, column) in COLUMNS.into_iter().enumerate() {
        let open = *column(&mut rounding.clone());
        if open.is_zero() {
            continue;
        }
        let added = |money: Money| Money::from_minor(money.minor().saturating_add(open.minor()), money.currency());
        let mut best: Option<((bool, u64, u64), usize)> = None;
        for (index, line) in lines.iter_mut().enumerate().filter(|(_, line)| bears(line)) {
            let ships = whither == RoundingShape::Shipping && line.kind == LineKind::Shipping;
            let Some(amounts) = of(line) else { continue };
            let (value, total) = (*column(amounts), amounts.total);
            let first = ships && (added(value).minor() >= 0 || value.minor() < 0);
            let rank = (first, value.minor().unsigned_abs(), total.minor().unsigned_abs());
            if best.is_none_or(|(known, _)| rank > known) {
                best = Some((rank, index));
            }
        }
        let Some((_, index)) = best else { continue };
        let line = &mut lines[index];
        if let Some(amounts) = of(line) {
            let value = column(amounts);
            *value = added(*value);
            *amounts = Amounts::of(amounts.net, amounts.discount, amounts.tax);
        }
        // In the order currency alone a unit price goes with the net.
        if place == 0 && line.amounts.net.currency() == open.currency() {
            reprice(line);
        }
    }
}

/// The unit price of a line whose net is no longer Commerce's.
fn reprice(line: &mut SalesLine) {
    if let Some(quantity) = line.quantity.filter(|quantity| !quantity.is_zero()) {
        line.unit_price = unit_price(line.amounts.net, quantity).or(line.unit_price);
    }
}

/// One amount on both sides, as far as there are two.
#[derive(Clone, Copy, Debug, Default)]
struct Both {
    order: Option<Money>,
    base: Option<Money>,
}

/// What was taken off the lines.
#[derive(Clone, Copy, Debug)]
struct Taken {
    /// Σ.
    sum: Amounts,
    base: Option<Amounts>,
    /// Some line had something: sums of nothing and of what evens out are not the same.
    any: bool,
}

/// The lines of a document while they are put anew.
struct Writing<'s> {
    shape: &'s Shape,
    /// Words become lines of their own: not in a cancellation, which is about goods and money.
    comments: bool,
    zero: Amounts,
    base_zero: Option<Amounts>,
    lines: Vec<(Place, SalesLine)>,
    shipping: Option<ShippingField>,
    tax: Taken,
    discount: Taken,
}

struct Written {
    lines: Vec<(Place, SalesLine)>,
    shipping: Option<ShippingField>,
    left_out: Both,
}

impl<'s> Writing<'s> {
    fn new(document: &SalesOrder, shape: &'s Shape, comments: bool) -> Self {
        let zero = Amounts::zero(document.order.currency);
        let base_zero = document.totals.base.map(|base| Amounts::zero(base.grand_total.currency()));
        let gross = shape.tax == TaxShape::Gross;
        let with_tax = |amounts: Amounts| Amounts { tax_included: gross.then_some(amounts.tax), ..amounts };
        let order = &document.order;
        let name = order.shipping_description.as_deref().or(order.shipping_method.as_deref());
        let shipping = (shape.shipping == ShippingShape::Field).then(|| ShippingField {
            name: name.unwrap_or("Shipping").to_owned(),
            unit_price: Some(rust_decimal::Decimal::ZERO),
            amounts: with_tax(zero),
            base: base_zero.map(with_tax),
            tax_percent: None,
            tax_code: None,
        });
        let nothing = Taken { sum: zero, base: base_zero, any: false };
        let lines = Vec::with_capacity(document.lines.len() + 2);
        Writing { shape, comments, zero, base_zero, lines, shipping, tax: nothing, discount: nothing }
    }

    fn line(&mut self, mut line: SalesLine) {
        let net = line.amounts.net;
        self.take_tax(&mut line);
        self.take_discount(&mut line);
        if line.amounts.net != net {
            reprice(&mut line);
        }
        match &mut self.shipping {
            Some(field) if line.kind == LineKind::Shipping => return ship(field, line),
            _ => {}
        }
        if line.kind == LineKind::Rounding && is_nothing(&line.amounts) && line.base.as_ref().is_none_or(is_nothing) {
            return;
        }
        let place = line.number;
        let words = self.options(&mut line);
        let about = (line.order_item_id, line.parent_order_item_id);
        self.lines.push((Place::Line(place), line));
        for (index, text) in words.into_iter().enumerate().filter(|_| self.comments) {
            let mut comment = SalesLine::bare(LineKind::Comment, text, self.zero, self.base_zero);
            (comment.order_item_id, comment.parent_order_item_id) = about;
            if self.shape.tax == TaxShape::Gross {
                include(&mut comment.amounts);
                comment.base.as_mut().map(include);
            }
            self.lines.push((Place::Comment(place, index), comment));
        }
    }

    fn take_tax(&mut self, line: &mut SalesLine) {
        match self.shape.tax {
            TaxShape::Amount | TaxShape::Code => {}
            TaxShape::Gross => {
                include(&mut line.amounts);
                line.base.as_mut().map(include);
            }
            TaxShape::Line | TaxShape::None => take(&mut self.tax, line, |amounts| {
                let zero = Money::zero(amounts.tax.currency());
                (Amounts::of(amounts.net, amounts.discount, zero), Amounts::of(amounts.tax, zero, zero))
            }),
        }
    }

    fn take_discount(&mut self, line: &mut SalesLine) {
        match self.shape.discount {
            DiscountShape::Amount => {}
            DiscountShape::Line => take(&mut self.discount, line, |amounts| {
                let zero = Money::zero(amounts.discount.currency());
                let rest = Amounts::of(amounts.net, zero, amounts.tax);
                let minus = Money::from_minor(0_i64.saturating_sub(amounts.discount.minor()), zero.currency());
                (Amounts { tax_included: amounts.tax_included, ..rest }, Amounts::of(minus, zero, zero))
            }),
        }
    }

    /// Puts options where they are wanted; what is returned becomes comments.
    fn options(&self, line: &mut SalesLine) -> Vec<String> {
        match self.shape.options {
            OptionShape::Line => Vec::new(),
            OptionShape::Comment => line.options.iter().map(words).collect(),
            OptionShape::Name => named(line, self.shape.name_chars),
            OptionShape::Field => {
                let (fields, rest) = fields(&line.options);
                line.fields = fields;
                rest
            }
        }
    }

    fn finish(mut self) -> Written {
        if self.discount.any {
            self.of_its_own(Place::Discount, LineKind::Discount, "Discount", self.discount);
        }
        let left_out = match self.shape.tax {
            TaxShape::None => Both { order: Some(self.tax.sum.net), base: self.tax.base.map(|base| base.net) },
            TaxShape::Line if self.tax.any => {
                self.of_its_own(Place::Tax, LineKind::Tax, "Tax", self.tax);
                Both::default()
            }
            TaxShape::Amount | TaxShape::Code | TaxShape::Line | TaxShape::Gross => Both::default(),
        };
        Written { lines: self.lines, shipping: self.shipping, left_out }
    }

    fn of_its_own(&mut self, place: Place, kind: LineKind, name: &str, taken: Taken) {
        let mut line = SalesLine::bare(kind, name, taken.sum, taken.base);
        line.quantity = Some(Quantity::ONE);
        line.unit_price = Some(taken.sum.net.to_decimal());
        if self.shape.tax == TaxShape::Gross {
            include(&mut line.amounts);
            line.base.as_mut().map(include);
        }
        self.lines.push((place, line));
    }
}

/// Takes a part off a line, on both sides.
fn take(taken: &mut Taken, line: &mut SalesLine, part: impl Fn(&Amounts) -> (Amounts, Amounts)) {
    let (rest, moved) = part(&line.amounts);
    line.amounts = rest;
    taken.sum = taken.sum.plus(&moved);
    taken.any |= !moved.net.is_zero();
    if let Some(base) = &mut line.base {
        let (rest, moved) = part(base);
        *base = rest;
        taken.base = taken.base.map(|sum| sum.plus(&moved));
        taken.any |= !moved.net.is_zero();
    }
}

/// Tax into net; the total stays.
fn include(amounts: &mut Amounts) {
    let Amounts { net, discount, tax, .. } = *amounts;
    let gross = Money::from_minor(net.minor().saturating_add(tax.minor()), net.currency());
    *amounts = Amounts { tax_included: Some(tax), ..Amounts::of(gross, discount, Money::zero(tax.currency())) };
}

fn is_nothing(amounts: &Amounts) -> bool {
    amounts.net.is_zero() && amounts.discount.is_zero() && amounts.tax.is_zero()
}

/// An order has one shipping line; more would add up.
fn ship(field: &mut ShippingField, line: SalesLine) {
    field.unit_price = if is_nothing(&field.amounts) { line.unit_price } else { None };
    field.amounts = field.amounts.plus(&line.amounts);
    field.base = field.base.zip(line.base).map(|(sum, base)| sum.plus(&base));
    (field.name, field.tax_percent, field.tax_code) = (line.name, line.tax_percent, line.tax_code);
}

/// "Engraving: To Anna", on one line of text; an option not resolved yet has its id and what was sent.
fn words(option: &LineOption) -> String {
    let title = option.title.as_deref().filter(|title| !title.is_empty()).unwrap_or(&option.id);
    let said = said(option);
    let text = if said.is_empty() { title.to_owned() } else { format!("{title}: {said}") };
    text.lines().map(str::trim).filter(|line| !line.is_empty()).collect::<Vec<_>>().join(" / ")
}

/// What a buyer chose or wrote.
fn said(option: &LineOption) -> Cow<'_, str> {
    match (&option.value, &option.raw) {
        (Some(value), _) | (None, Raw::Text(value)) => Cow::Borrowed(value),
        (None, Raw::List(values)) => Cow::Owned(values.join(", ")),
    }
}

/// The name with every option that fits as a whole; the others are returned.
fn named(line: &mut SalesLine, chars_max: u32) -> Vec<String> {
    let (mut inside, mut rest) = (Vec::new(), Vec::new());
    // " (" and ")"
    let mut chars = line.name.chars().count() + 3;
    for text in line.options.iter().map(words) {
        let more = text.chars().count() + if inside.is_empty() { 0 } else { 2 };
        if u32::try_from(chars + more).is_ok_and(|chars| chars <= chars_max) {
            chars += more;
            inside.push(text);
        } else {
            rest.push(text);
        }
    }
    if !inside.is_empty() {
        line.name = format!("{} ({})", line.name, inside.join("; "));
    }
    rest
}

/// What options say by field, two of one field one after the other; those of no field are returned.
fn fields(options: &[LineOption]) -> (BTreeMap<String, String>, Vec<String>) {
    let (mut fields, mut rest) = (BTreeMap::<String, String>::new(), Vec::new());
    for option in options {
        let Some(field) = &option.field else {
            rest.push(words(option));
            continue;
        };
        let said = said(option);
        fields
            .entry(field.clone())
            .and_modify(|known| {
                known.push_str("; ");
                known.push_str(&said);
            })
            .or_insert_with(|| said.into_owned());
    }
    (fields, rest)
}
