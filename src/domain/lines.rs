//! Positions, shipping, fees and rounding into numbered sales lines.

use rust_decimal::Decimal;

use super::catalogue::{Catalogue, PriceType};
use super::decimal;
use super::expand::{self, Rules};
use super::fees::{Fee, FeeKind};
use super::item_tree::Position;
use super::ledger::{Ledger, Row};
use super::money::{Money, Weights};
use super::options::LineOption;
use super::order::{Order, OrderItem, ProductType};
use super::policy::BundlePolicy;
use super::quantity::Quantity;
use super::sales_order::{Amounts, BundleOf, LineKind, SalesLine};
use super::translate::{TaxOf, Translator};

/// The rows of one thing in both currencies.
#[derive(Clone, Copy, Default)]
struct Rows {
    order: Row,
    base: Row,
}

/// Writes the lines of one order.
pub(super) struct Lines<'a, 't> {
    order: &'a Order,
    rules: &'a Rules<'a>,
    translator: &'t mut Translator<'a>,
    ledger: &'t Ledger,
    base: Option<&'t Ledger>,
    written: Vec<SalesLine>,
    /// The next row of goods to be taken from the ledgers.
    row: usize,
}

/// A bundle while its lines are written.
struct Bundle<'a> {
    parent: &'a OrderItem,
    sku: &'a str,
    options: Vec<LineOption>,
}

impl<'a, 't> Lines<'a, 't> {
    pub(super) fn new(
        order: &'a Order,
        rules: &'a Rules<'a>,
        translator: &'t mut Translator<'a>,
        ledger: &'t Ledger,
        base: Option<&'t Ledger>,
    ) -> Self {
        let written = Vec::with_capacity(order.items.len() + 2);
        Lines { order, rules, translator, ledger, base, written, row: 0 }
    }

    pub(super) fn write(mut self, positions: &[Position], fees: &[Fee]) -> Vec<SalesLine> {
        for position in positions {
            match position {
                Position::Single(item) => self.single(*item),
                Position::Configurable { parent, child } => self.configurable(*parent, *child),
                Position::Bundle { parent, children, price_type } => self.bundle(*parent, children, *price_type),
            }
        }
        self.shipping();
        for (index, fee) in fees.iter().enumerate() {
            self.fee(index, fee);
        }
        self.rounding();
        for (number, line) in (1..).zip(&mut self.written) {
            line.number = number;
        }
        self.written
    }

    fn next_rows(&mut self) -> Rows {
        let at = self.row;
        self.row += 1;
        self.rows(|ledger| ledger.goods[at])
    }

    fn rows(&self, of: impl Fn(&Ledger) -> Row) -> Rows {
        Rows { order: of(self.ledger), base: self.base.map(of).unwrap_or_default() }
    }

    fn bare(&self, kind: LineKind, name: &str, rows: Rows) -> SalesLine {
        let base = self.base.map(|base| amounts(rows.base, base));
        SalesLine::bare(kind, name, amounts(rows.order, self.ledger), base)
    }

    /// Index of the line that is about to be written, for paths of warnings.
    fn at(&self) -> usize {
        self.written.len()
    }

    fn single(&mut self, item: usize) {
        let item = &self.order.items[item];
        let rows = self.next_rows();
        let sku = self.translator.catalogue_sku(item, None);
        let mut line = self.goods(LineKind::Item, item, item, Some(item), sku, rows);
        line.unit_price = item.amounts.price;
        self.written.push(line);
        if item.product_type == ProductType::Unsaid {
            self.warn("unsupported_product_type", "kind", "the payload does not say what type of product this is");
        }
    }

    /// The parent's money, the child's SKU and product.
    fn configurable(&mut self, parent: usize, child: Option<usize>) {
        let parent = &self.order.items[parent];
        let chosen = child.map_or(parent, |child| &self.order.items[child]);
        let rows = self.next_rows();
        let sku = match child {
            Some(_) => self.translator.catalogue_sku(chosen, Some(parent)),
            // The product id is the configurable's: only the SKU names the chosen product.
            None => parent.simple_sku.as_ref().unwrap_or(&parent.sku).as_str(),
        };
        let mut line = self.goods(LineKind::Item, parent, chosen, Some(parent), sku, rows);
        line.unit_price = parent.amounts.price;
        line.order_item_id = parent.id;
        line.child_order_item_id = child.and(chosen.id);
        line.product_id = child.and(chosen.product_id);
        line.configuration = self.translator.configuration(parent);
        if line.location.is_none() {
            line.location = self.translator.location(chosen);
        }
        self.written.push(line);
        if child.is_none() {
            let message = "the line of the chosen product is missing; its SKU is known from the configurable's line";
            self.warn("missing_component", "product_id", message);
        }
    }

    /// A line of goods: quantities and options of `priced`, product of `picked`, tax rate of `taxed`.
    fn goods(
        &mut self,
        kind: LineKind,
        priced: &OrderItem,
        picked: &OrderItem,
        taxed: Option<&OrderItem>,
        sku: &str,
        rows: Rows,
    ) -> SalesLine {
        let at = self.at();
        let mut line = self.bare(kind, &priced.name, rows);
        line.sku = Some(self.translator.item_number(sku, picked, at));
        line.quantity = Some(priced.quantities.ordered);
        line.order_item_id = priced.id;
        line.product_id = picked.product_id;
        line.ships = ships(picked);
        line.quantity_canceled = priced.quantities.canceled;
        line.quantity_shipped = priced.quantities.shipped;
        line.quantity_refunded = priced.quantities.refunded;
        line.quantity_invoiced = priced.quantities.invoiced;
        line.options = self.translator.options(priced, at);
        line.location = self.translator.location(priced);
        if let Some(item) = taxed {
            self.tax(&mut line, item);
        }
        line
    }

    fn tax(&mut self, line: &mut SalesLine, item: &OrderItem) {
        let (at, taxed) = (self.at(), !line.amounts.tax.is_zero());
        let tax = self.translator.tax_of_item(item);
        line.tax_percent = tax.percent;
        line.tax_code = self.translator.tax_code(&tax, taxed, || item.at("tax_percent"), at);
    }

    fn warn(&mut self, code: &str, member: &str, message: &str) {
        let path = format!("lines/{}/{member}", self.written.len() - 1);
        self.translator.warnings.push(super::defect::Warning::new(code, path, message));
    }

    fn bundle(&mut self, parent: usize, children: &[usize], price_type: PriceType) {
        let parent = &self.order.items[parent];
        let children: Vec<&OrderItem> = children.iter().map(|child| &self.order.items[*child]).collect();
        let sku = parent.product_id.and_then(|product| self.rules.catalogue.sku(product));
        let sku = sku.unwrap_or(parent.sku.as_str());
        let policies = self.rules.policies;
        match policies.bundles_by_sku.get(sku).unwrap_or(&policies.bundles) {
            BundlePolicy::Components => self.components(parent, sku, &children, price_type),
            BundlePolicy::Kit => self.kit(parent, sku, &children, price_type),
        }
    }

    fn components(&mut self, parent: &'a OrderItem, sku: &'a str, children: &[&'a OrderItem], price_type: PriceType) {
        let options = self.translator.options(parent, self.written.len());
        let bundle = Bundle { parent, sku, options };
        if !bundle.options.is_empty() {
            let mut comment = self.bare(LineKind::Comment, &parent.name, Rows::default());
            comment.order_item_id = parent.id;
            comment.product_id = parent.product_id;
            comment.options.clone_from(&bundle.options);
            self.written.push(comment);
        }
        let rows = match price_type {
            PriceType::Dynamic => children.iter().map(|_| self.next_rows()).collect(),
            PriceType::Fixed => {
                let whole = self.next_rows();
                self.allocated(whole, children)
            }
        };
        for (child, rows) in children.iter().zip(rows) {
            let sku = self.translator.catalogue_sku(child, None);
            let priced = if price_type == PriceType::Fixed { parent } else { child };
            let mut line = self.goods(LineKind::Component, child, child, Some(priced), sku, rows);
            line.unit_price = match price_type {
                // Newer versions show the bundle's price on a child that costs nothing; its base price stays 0.
                PriceType::Dynamic if child.base.price.is_some_and(|price| price.is_zero()) => Some(Decimal::ZERO),
                PriceType::Dynamic => child.amounts.price,
                PriceType::Fixed => unit_price(line.amounts.net, child.quantities.ordered),
            };
            line.parent_order_item_id = parent.id;
            line.bundle = Some(bundle.of(child, self.rules.catalogue));
            self.written.push(line);
        }
    }

    /// The parent's money over its components: by list price × quantity where every list price is known, else by
    /// quantity; each column and each currency by itself, always the exact sum.
    fn allocated(&self, whole: Rows, children: &[&OrderItem]) -> Vec<Rows> {
        let quantity = |child: &&OrderItem| child.quantities.ordered.value();
        let list_value = |child: &&OrderItem| {
            let price = child.product_id.and_then(|product| self.rules.catalogue.list_price(product))?;
            price.checked_mul(quantity(child))
        };
        let by_list: Option<Vec<Decimal>> = children.iter().map(list_value).collect();
        let by_quantity = || Weights::new(&children.iter().map(quantity).collect::<Vec<Decimal>>());
        let weights = by_list
            .and_then(|values| Weights::new(&values))
            .or_else(by_quantity)
            .or_else(|| Weights::equal(children.len()))
            .expect("a bundle has components");
        let order = split(whole.order, self.ledger, &weights);
        match self.base {
            None => order.into_iter().map(|order| Rows { order, base: Row::default() }).collect(),
            Some(base) => {
                let base = split(whole.base, base, &weights);
                order.into_iter().zip(base).map(|(order, base)| Rows { order, base }).collect()
            }
        }
    }

    /// One line with the money, components as comments under it.
    fn kit(&mut self, parent: &'a OrderItem, sku: &'a str, children: &[&'a OrderItem], price_type: PriceType) {
        let rows = match price_type {
            PriceType::Fixed => self.next_rows(),
            PriceType::Dynamic => children.iter().fold(Rows::default(), |sum, _| sum.plus(self.next_rows())),
        };
        let taxed = (price_type == PriceType::Fixed).then_some(parent);
        let mut line = self.goods(LineKind::Kit, parent, parent, taxed, sku, rows);
        line.ships = children.iter().any(|child| ships(child));
        line.unit_price = match price_type {
            PriceType::Fixed => parent.amounts.price,
            // Commerce's own price of a dynamic bundle is rounded and does not give its row.
            PriceType::Dynamic => unit_price(line.amounts.net, parent.quantities.ordered),
        };
        if price_type == PriceType::Dynamic {
            self.kit_tax(&mut line, parent, children);
        }
        let options = line.options.clone();
        self.written.push(line);
        let bundle = Bundle { parent, sku, options };
        for child in children {
            let sku = self.translator.catalogue_sku(child, None);
            let mut comment = self.bare(LineKind::Comment, &child.name, Rows::default());
            comment.sku = Some(self.translator.item_number_if_known(sku));
            comment.quantity = Some(child.quantities.ordered);
            comment.order_item_id = child.id;
            comment.product_id = child.product_id;
            comment.parent_order_item_id = parent.id;
            comment.ships = ships(child);
            comment.quantity_canceled = child.quantities.canceled;
            comment.quantity_shipped = child.quantities.shipped;
            comment.quantity_refunded = child.quantities.refunded;
            comment.quantity_invoiced = child.quantities.invoiced;
            comment.bundle = Some(bundle.of(child, self.rules.catalogue));
            self.written.push(comment);
        }
    }

    /// A kit has a rate only where all its components have the same.
    fn kit_tax(&mut self, line: &mut SalesLine, parent: &OrderItem, children: &[&OrderItem]) {
        let first = children.first().map(|child| self.translator.tax_of_item(child)).unwrap_or_default();
        let same = children.iter().all(|child| self.translator.tax_of_item(child) == first);
        let tax = if same { first } else { TaxOf::default() };
        let (at, taxed) = (self.at(), !line.amounts.tax.is_zero());
        line.tax_percent = tax.percent;
        line.tax_code = self.translator.tax_code(&tax, taxed, || parent.at("tax_percent"), at);
    }

    fn shipping(&mut self) {
        let rows = self.rows(|ledger| ledger.shipping);
        if rows.is_zero() {
            return;
        }
        let name = self.order.shipping_description.as_deref().or(self.order.shipping_method.as_deref());
        let mut line = self.bare(LineKind::Shipping, name.unwrap_or("Shipping"), rows);
        line.quantity = Some(Quantity::ONE);
        line.unit_price = Some(self.order.amounts.shipping);
        let tax = self.translator.tax_of_shipping();
        self.beside(&mut line, &tax, "shipping_tax_amount");
        self.written.push(line);
    }

    fn fee(&mut self, index: usize, fee: &Fee) {
        let rows = self.rows(|ledger| ledger.fees[index]);
        let kind = if expand::is_charge(fee) { LineKind::Fee } else { LineKind::Adjustment };
        let mut line = self.bare(kind, &fee.name, rows);
        line.quantity = Some(Quantity::ONE);
        line.unit_price = Some(fee.amount.net);
        let tax = match fee.kind {
            FeeKind::FixedTax(item) => {
                let item = &self.order.items[item];
                line.order_item_id = item.id;
                self.translator.tax_of_fixed_tax(item)
            }
            FeeKind::Wrapping | FeeKind::Custom => TaxOf::default(),
        };
        self.beside(&mut line, &tax, "tax_amount");
        self.written.push(line);
    }

    fn beside(&mut self, line: &mut SalesLine, tax: &TaxOf, member: &str) {
        let (at, taxed) = (self.at(), !line.amounts.tax.is_zero());
        line.tax_percent = tax.percent;
        line.tax_code = self.translator.tax_code(tax, taxed, || member.to_owned(), at);
    }

    fn rounding(&mut self) {
        let rows = self.rows(|ledger| ledger.rounding);
        if rows.is_zero() {
            return;
        }
        let mut line = self.bare(LineKind::Rounding, "Rounding", rows);
        line.quantity = Some(Quantity::ONE);
        self.written.push(line);
    }
}

impl Rows {
    fn is_zero(self) -> bool {
        self.order.is_zero() && self.base.is_zero()
    }

    fn plus(self, other: Rows) -> Rows {
        // Saturates far beyond any order; law 2 would then refuse the document.
        let plus = |one: Row, other: Row| Row {
            net: one.net.saturating_add(other.net),
            discount: one.discount.saturating_add(other.discount),
            tax: one.tax.saturating_add(other.tax),
        };
        Rows { order: plus(self.order, other.order), base: plus(self.base, other.base) }
    }
}

impl Bundle<'_> {
    fn of(&self, child: &OrderItem, catalogue: &dyn Catalogue) -> BundleOf {
        let known = || {
            let sku = child.product_id.and_then(|product| catalogue.sku(product)).unwrap_or(child.sku.as_str());
            self.parent.product_id.and_then(|bundle| catalogue.bundle_option(bundle, sku)).map(str::to_owned)
        };
        BundleOf {
            sku: self.sku.to_owned(),
            name: self.parent.name.clone(),
            order_item_id: self.parent.id,
            option: child.bundle_option.clone().or_else(known),
            quantity_per_bundle: child.quantities.ordered.per(self.parent.quantities.ordered),
            options: self.options.clone(),
        }
    }
}

fn amounts(row: Row, ledger: &Ledger) -> Amounts {
    let money = |minor| Money::from_minor(minor, ledger.currency);
    Amounts::of(money(row.net), money(row.discount), money(row.tax))
}

fn split(whole: Row, ledger: &Ledger, weights: &Weights) -> Vec<Row> {
    let parts = |minor: i64| Money::from_minor(minor, ledger.currency).allocate(weights).into_iter().map(Money::minor);
    parts(whole.net)
        .zip(parts(whole.discount))
        .zip(parts(whole.tax))
        .map(|((net, discount), tax)| Row { net, discount, tax })
        .collect()
}

/// `net ÷ quantity` to eight decimals: enough for the product to round back to `net`.
pub(super) fn unit_price(net: Money, quantity: Quantity) -> Option<Decimal> {
    Some(decimal::rounded(net.to_decimal().checked_div(quantity.value())?, 8))
}

fn ships(item: &OrderItem) -> bool {
    !item.is_virtual && !matches!(item.product_type, ProductType::Virtual | ProductType::Downloadable)
}
