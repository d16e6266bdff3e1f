//! `shape` of a destination: how it wants an order's money and options put.

use super::destinations::{DestinationSettings, Profile};
use super::read::{Place, Report, Section};
use crate::domain::policy::OnUnmapped;
use crate::domain::shape::{DiscountShape, NAME_CHARS, OptionShape, RoundingShape, Shape, ShippingShape, TaxShape};

/// Shorter names would hold hardly any product, longer ones no system takes.
const NAME_CHARS_BOUNDS: (u64, u64) = (40, 1_000);

pub(super) fn shape(section: &mut Section<'_>, report: &mut Report<'_>) -> Shape {
    let mut table = section.section("shape", report);
    let taxes = [
        ("amount", TaxShape::Amount),
        ("code", TaxShape::Code),
        ("line", TaxShape::Line),
        ("gross", TaxShape::Gross),
        ("none", TaxShape::None),
    ];
    let discounts = [("amount", DiscountShape::Amount), ("line", DiscountShape::Line)];
    let shippings = [("line", ShippingShape::Line), ("field", ShippingShape::Field)];
    let placements = [
        ("line", OptionShape::Line),
        ("comment", OptionShape::Comment),
        ("name", OptionShape::Name),
        ("field", OptionShape::Field),
    ];
    let roundings =
        [("line", RoundingShape::Line), ("shipping", RoundingShape::Shipping), ("largest", RoundingShape::Largest)];
    let shape = Shape {
        tax: word(&mut table, "tax", &taxes, report),
        discount: word(&mut table, "discount", &discounts, report),
        shipping: word(&mut table, "shipping", &shippings, report),
        options: word(&mut table, "options", &placements, report),
        rounding: word(&mut table, "rounding", &roundings, report),
        name_chars: table
            .field("name_chars")
            .and_then(|field| field.count(NAME_CHARS_BOUNDS, report))
            .map_or(NAME_CHARS, |chars| u32::try_from(chars).expect("the bounds are of that width")),
    };
    if shape.options != OptionShape::Name && !table.is_without("name_chars") {
        let remedy = "remove it, or write options = \"name\"";
        report.error(&table.place.below("name_chars"), "is only for options = \"name\"", remedy);
    }
    table.finish(report);
    shape
}

fn word<T: Clone + Default>(
    table: &mut Section<'_>,
    name: &'static str,
    words: &[(&str, T)],
    report: &mut Report<'_>,
) -> T {
    table.field(name).and_then(|field| field.choice(words, report)).unwrap_or_default()
}

/// What a destination cannot be given, and what would lose money without a word.
pub(super) fn check(place: &Place, settings: &DestinationSettings, report: &mut Report<'_>) {
    let shape = &settings.policies.shape;
    let place = place.below("shape");
    if shape.is_plain() {
        return;
    }
    if !hands_on_the_document(settings.profile) {
        let word = settings.profile.as_str();
        let message = format!(
            "is not for profile \"{word}\": its recipe reads the plain document and puts it into its system's own words"
        );
        let remedy = "use the recipe's own settings (docs/destinations), or remove it; a shape is for http, patchworks, \
                      patchworks-webhook, patchworks-callback, pick-list and recipe";
        report.error(&place, message, remedy);
        return;
    }
    if shape.tax == TaxShape::Code && settings.policies.unmapped_tax == OnUnmapped::Pass {
        let message =
            "\"code\" loses tax with unmapped_tax = \"pass\": a line without a tax code would go out without a word";
        let remedy = "write unmapped_tax = \"park\" or \"warn\" in the destination's policies";
        report.error(&place.below("tax"), message, remedy);
    }
    let found_by_total = settings.find.as_ref().is_some_and(|find| find.total.is_some())
        || settings.recipe.as_ref().is_some_and(|recipe| recipe.said.steps.iter().any(|step| step.total.is_some()));
    if shape.tax == TaxShape::None && found_by_total {
        let message = "\"none\" leaves tax out, and find compares a record's total with the grand total: every order would be \
                       found different";
        let remedy = "remove total from find (digest can stand in its place), or write another tax";
        report.error(&place.below("tax"), message, remedy);
    }
}

/// Whether what is sent is the document, or what a merchant's own recipe makes of it.
fn hands_on_the_document(profile: Profile) -> bool {
    match profile {
        Profile::Http
        | Profile::Patchworks
        | Profile::PatchworksCallback
        | Profile::PatchworksWebhook
        | Profile::PickList
        | Profile::Recipe => true,
        Profile::Commerce
        | Profile::BusinessCentral
        | Profile::Netsuite
        | Profile::SapBusinessOne
        | Profile::SapS4hana
        | Profile::Odoo
        | Profile::Erpnext
        | Profile::Brightpearl
        | Profile::ShipHero
        | Profile::Mintsoft
        | Profile::Tryton
        | Profile::TrytonRpc => false,
    }
}
