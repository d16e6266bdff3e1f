//! What may be known about products beside the order: a snapshot of the catalogue cache, asked by id.

use rust_decimal::Decimal;

use super::ids::ProductId;

/// Whose price counts in a bundle.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PriceType {
    /// The components carry the money; the parent repeats their sum.
    Dynamic,
    /// The parent carries the money.
    Fixed,
}

/// Answers about products and options; every question may be unanswered, which is what the defaults say.
pub trait Catalogue: Sync {
    /// The catalogue SKU of a product, free of option suffixes.
    fn sku(&self, _product: ProductId) -> Option<&str> {
        None
    }

    /// The price type of a bundle product.
    fn price_type(&self, _product: ProductId) -> Option<PriceType> {
        None
    }

    /// The list price of a product: the weight of a component in a fixed-price bundle.
    fn list_price(&self, _product: ProductId) -> Option<Decimal> {
        None
    }

    /// The title of a custom option.
    fn option_title(&self, _option_id: &str) -> Option<&str> {
        None
    }

    /// The type of a custom option as Commerce spells it: `field`, `drop_down`, `checkbox`, `date`, `file` …
    fn option_type(&self, _option_id: &str) -> Option<&str> {
        None
    }

    /// The SKU of a custom option without choices.
    fn option_sku(&self, _option_id: &str) -> Option<&str> {
        None
    }

    /// The title of a choice (`option_type_id`) of a custom option.
    fn choice_title(&self, _option_id: &str, _choice_id: &str) -> Option<&str> {
        None
    }

    /// The SKU of a choice of a custom option.
    fn choice_sku(&self, _option_id: &str, _choice_id: &str) -> Option<&str> {
        None
    }

    /// The title of a downloadable link.
    fn link_title(&self, _link_id: &str) -> Option<&str> {
        None
    }

    /// The label of a product attribute by its id: `Color`.
    fn attribute_label(&self, _attribute_id: &str) -> Option<&str> {
        None
    }

    /// The label of an attribute's value by its id: `Black`.
    fn attribute_value(&self, _attribute_id: &str, _value_id: &str) -> Option<&str> {
        None
    }
}

/// Nothing is known beside the order.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoCatalogue;

impl Catalogue for NoCatalogue {}
