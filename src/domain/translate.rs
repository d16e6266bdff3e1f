//! Commerce's words into the destination's: SKUs, tax codes, methods, options, locations, by catalogue and tables.
//!
//! An unmapped word parks, warns or passes as the policy says; the translator collects both kinds of findings.

use rust_decimal::Decimal;

use super::decimal;
use super::defect::{Defect, ExceptionCode, Warning};
use super::expand::Rules;
use super::mapping::{Mapped, Table};
use super::options::{self, CustomOption, LineOption, OptionSource};
use super::order::{AppliedTax, ConfiguredAttribute, ItemKey, Order, OrderItem, TaxedThing};
use super::policy::OnUnmapped;
use super::shape::{OptionShape, TaxShape};

/// Translates one order for one destination.
pub(super) struct Translator<'a> {
    order: &'a Order,
    rules: &'a Rules<'a>,
    /// Applied taxes by what and whose, sorted.
    taxes: Vec<((TaxedThing, ItemKey), &'a AppliedTax)>,
    pub(super) defects: Vec<Defect>,
    pub(super) warnings: Vec<Warning>,
}

/// What is known about the tax of a line.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct TaxOf {
    /// Rate codes joined with `+`.
    pub(super) codes: Option<String>,
    /// All taxes together.
    pub(super) percent: Option<Decimal>,
}

impl<'a> Translator<'a> {
    pub(super) fn new(order: &'a Order, rules: &'a Rules<'a>) -> Self {
        let named = |tax: &'a AppliedTax| Some(((tax.of, tax.item?), tax));
        let mut taxes: Vec<_> = order.applied_taxes.iter().filter_map(named).collect();
        taxes.sort_by_key(|(key, _)| *key);
        Translator { order, rules, taxes, defects: Vec::new(), warnings: order.warnings.clone() }
    }

    fn look_up(&self, table: Table, key: &str) -> Mapped<'a> {
        let rules: &'a Rules<'a> = self.rules;
        rules.mappings.look_up(table, key, rules.destination)
    }

    /// What the policy says about a missing row: a defect, a warning, or nothing.
    fn missed(&mut self, policy: OnUnmapped, code: ExceptionCode, at: Place, cause: &str, table: Table) {
        match policy {
            OnUnmapped::Pass => {}
            OnUnmapped::Warn => {
                let message = format!("\"{cause}\" is not in table {table}; it passes as it is");
                self.warnings.push(Warning::new(code.as_str(), at.document, message));
            }
            OnUnmapped::Park => {
                let message = format!("\"{cause}\" is not in table {table}");
                let remedy = format!("Add \"{cause}\" to table {table}, then release the group.");
                let defect = Defect::new(code, at.payload, message).with_value(cause);
                self.defects.push(defect.with_remedy(remedy).with_cause(cause));
            }
        }
    }

    /// The catalogue SKU of what leaves the warehouse: by product id, else the chosen product's stored SKU, else as sent.
    /// Never by splitting, because `-` is part of real SKUs.
    pub(super) fn catalogue_sku(&self, item: &'a OrderItem, parent: Option<&'a OrderItem>) -> &'a str {
        let known = item.product_id.and_then(|product| self.rules.catalogue.sku(product));
        let simple = || parent.unwrap_or(item).simple_sku.as_ref().map(super::ids::Sku::as_str);
        known.or_else(simple).unwrap_or(item.sku.as_str())
    }

    /// The item number of a line.
    pub(super) fn item_number(&mut self, sku: &str, item: &OrderItem, line: usize) -> String {
        match self.look_up(Table::Skus, sku) {
            Mapped::To(value) => value.to_owned(),
            Mapped::NotLoaded => sku.to_owned(),
            Mapped::Unmapped => {
                let at = Place { payload: item.at("sku"), document: format!("lines/{line}/sku") };
                let policy = self.rules.policies.unmapped_sku;
                self.missed(policy, ExceptionCode::UnmappedSku, at, sku, Table::Skus);
                sku.to_owned()
            }
        }
    }

    /// The item number where a table knows it; nobody misses it otherwise.
    pub(super) fn item_number_if_known(&self, sku: &str) -> String {
        match self.look_up(Table::Skus, sku) {
            Mapped::To(value) => value.to_owned(),
            Mapped::NotLoaded | Mapped::Unmapped => sku.to_owned(),
        }
    }

    /// The tax of an item's price.
    pub(super) fn tax_of_item(&self, item: &OrderItem) -> TaxOf {
        let percent = item.tax_percent;
        if !item.tax_codes.is_empty() {
            return TaxOf { codes: joined(&item.tax_codes), percent };
        }
        // An entry with another rate than the line's is another line's.
        let applied = self.applied(TaxedThing::Product, item);
        let same = |tax: &&AppliedTax| tax.percent.is_none() || percent.is_none() || tax.percent == percent;
        TaxOf { codes: applied.filter(same).and_then(|tax| joined(&tax.codes)), percent }
    }

    fn applied(&self, thing: TaxedThing, item: &OrderItem) -> Option<&'a AppliedTax> {
        let find = |key| {
            let at = self.taxes.binary_search_by_key(&(thing, key), |(known, _)| *known).ok()?;
            Some(self.taxes[at].1)
        };
        let by_id = item.id.and_then(|id| find(ItemKey::Item(id.0)));
        by_id.or_else(|| find(ItemKey::Quote(item.quote_item_id?)))
    }

    /// The tax of shipping.
    pub(super) fn tax_of_shipping(&self) -> TaxOf {
        tax_of(self.order.applied_taxes.iter().find(|tax| tax.of == TaxedThing::Shipping))
    }

    /// The tax of an item's fixed product tax.
    pub(super) fn tax_of_fixed_tax(&self, item: &OrderItem) -> TaxOf {
        tax_of(self.applied(TaxedThing::FixedProductTax, item))
    }

    /// The tax code of a line; `taxed` says whether it carries tax at all.
    pub(super) fn tax_code(
        &mut self,
        tax: &TaxOf,
        taxed: bool,
        payload: impl Fn() -> String,
        line: usize,
    ) -> Option<String> {
        let percent = match tax.percent {
            Some(percent) => decimal::plain(percent),
            None if taxed => "unknown rate".to_owned(),
            None => "0".to_owned(),
        };
        let key = tax.codes.as_deref().unwrap_or(&percent);
        // A table may be kept by rate code or by percent: a row for the code wins.
        let found = match self.look_up(Table::TaxCodes, key) {
            Mapped::Unmapped => self.look_up(Table::TaxCodes, &percent),
            found => found,
        };
        match found {
            Mapped::To(value) => Some(value.to_owned()),
            // A destination that goes by tax codes can do nothing with a line that has none, whatever tables there are.
            Mapped::NotLoaded if tax.codes.is_some() || self.rules.policies.shape.tax != TaxShape::Code => {
                tax.codes.clone()
            }
            Mapped::NotLoaded | Mapped::Unmapped => {
                let at = Place { payload: payload(), document: format!("lines/{line}/tax_code") };
                let policy = self.rules.policies.unmapped_tax;
                self.missed(policy, ExceptionCode::UnmappedTaxCode, at, key, Table::TaxCodes);
                tax.codes.clone()
            }
        }
    }

    /// The options of an item, readable and mapped to fields.
    pub(super) fn options(&mut self, item: &OrderItem, line: usize) -> Vec<LineOption> {
        let mut read = Vec::with_capacity(item.options.len());
        for (index, option) in item.options.iter().enumerate() {
            let mut resolved = options::resolve(option, self.rules.catalogue);
            resolved.field = self.field(option, &resolved, item, line, index);
            read.push(resolved);
        }
        read
    }

    fn field(
        &mut self,
        option: &CustomOption,
        resolved: &LineOption,
        item: &OrderItem,
        line: usize,
        index: usize,
    ) -> Option<String> {
        let by_id = self.look_up(Table::Options, &option.id);
        let by_title =
            || resolved.title.as_deref().map_or(Mapped::Unmapped, |title| self.look_up(Table::Options, title));
        match if by_id == Mapped::Unmapped { by_title() } else { by_id } {
            Mapped::To(field) => Some(field.to_owned()),
            Mapped::NotLoaded if self.rules.policies.shape.options != OptionShape::Field => None,
            Mapped::NotLoaded | Mapped::Unmapped if option.source == OptionSource::Detail => None,
            // The same of one that reads options by their fields.
            Mapped::NotLoaded | Mapped::Unmapped => {
                let at = Place {
                    payload: format!("{}/{index}", item.at("product_option/custom_options")),
                    document: format!("lines/{line}/options/{index}/field"),
                };
                let cause = resolved.title.as_deref().unwrap_or(&option.id);
                let policy = self.rules.policies.unmapped_option;
                self.missed(policy, ExceptionCode::UnmappedOption, at, cause, Table::Options);
                None
            }
        }
    }

    /// The attributes of a configurable with the catalogue's labels where the payload has none.
    pub(super) fn configuration(&self, item: &OrderItem) -> Vec<ConfiguredAttribute> {
        let catalogue = self.rules.catalogue;
        let labelled = |attribute: &ConfiguredAttribute| {
            let mut attribute = attribute.clone();
            if attribute.label.is_none() {
                attribute.label = catalogue.attribute_label(&attribute.attribute_id).map(str::to_owned);
            }
            if let (None, Some(value_id)) = (&attribute.value, &attribute.value_id) {
                attribute.value = catalogue.attribute_value(&attribute.attribute_id, value_id).map(str::to_owned);
            }
            attribute
        };
        item.configuration.iter().map(labelled).collect()
    }

    /// Where a line is to be shipped from, by the warehouse's own name where a table knows it.
    pub(super) fn location(&self, item: &OrderItem) -> Option<String> {
        let code = item.location.as_deref().or(self.order.pickup_location.as_deref())?;
        match self.look_up(Table::Locations, code) {
            Mapped::To(name) => Some(name.to_owned()),
            Mapped::NotLoaded | Mapped::Unmapped => Some(code.to_owned()),
        }
    }

    /// The payment method in the destination's words.
    pub(super) fn payment_method(&mut self) -> Option<String> {
        let method = self.order.payment_method.as_deref()?;
        let at = || Place { payload: "payment/method".to_owned(), document: "order/payment_method".to_owned() };
        let policy = self.rules.policies.unmapped_payment;
        Some(self.method(Table::PaymentMethods, method, policy, ExceptionCode::UnmappedPaymentMethod, at))
    }

    /// The shipping method in the destination's words.
    pub(super) fn shipping_method(&mut self) -> Option<String> {
        let method = self.order.shipping_method.as_deref()?;
        let at = || Place { payload: "shipping_method".to_owned(), document: "order/shipping_method".to_owned() };
        let policy = self.rules.policies.unmapped_shipping;
        Some(self.method(Table::ShippingMethods, method, policy, ExceptionCode::UnmappedShippingMethod, at))
    }

    fn method(
        &mut self,
        table: Table,
        method: &str,
        policy: OnUnmapped,
        code: ExceptionCode,
        at: impl Fn() -> Place,
    ) -> String {
        match self.look_up(table, method) {
            Mapped::To(value) => value.to_owned(),
            Mapped::NotLoaded => method.to_owned(),
            Mapped::Unmapped => {
                self.missed(policy, code, at(), method, table);
                method.to_owned()
            }
        }
    }
}

/// Where a word stands in the payload and in the document.
struct Place {
    payload: String,
    document: String,
}

fn tax_of(applied: Option<&AppliedTax>) -> TaxOf {
    applied.map_or_else(TaxOf::default, |tax| TaxOf { codes: joined(&tax.codes), percent: tax.percent })
}

fn joined(codes: &[String]) -> Option<String> {
    (!codes.is_empty()).then(|| codes.join("+"))
}
