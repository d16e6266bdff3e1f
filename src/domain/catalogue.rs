//! What may be known about products beside the order: a snapshot of the catalogue cache, asked by id.

use rust_decimal::Decimal;
use serde::{Deserialize, Serialize};

use super::ids::ProductId;

/// Whose price counts in a bundle.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PriceType {
    /// The components carry the money; the parent repeats their sum.
    Dynamic,
    /// The parent carries the money.
    Fixed,
}

/// What is kept of a product.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Product {
    /// Database id.
    pub id: u64,
    /// Its own SKU, without anything that options add.
    pub sku: String,
    /// As Commerce spells it: `simple`, `bundle` …
    #[serde(rename = "type", default)]
    pub kind: String,
    /// List price.
    #[serde(default, with = "exact")]
    pub price: Option<Decimal>,
    /// Of a bundle: whose price counts.
    #[serde(default)]
    pub price_type: Option<PriceType>,
    /// Id of the tax class.
    #[serde(default)]
    pub tax_class: Option<String>,
    /// Of one, in the shop's unit.
    #[serde(default, with = "exact")]
    pub weight: Option<Decimal>,
    /// When Commerce changed it, as sent.
    #[serde(default)]
    pub updated_at: Option<String>,
    /// Custom options.
    #[serde(default)]
    pub options: Vec<ProductOption>,
    /// Files of a downloadable product: id and title.
    #[serde(default)]
    pub links: Vec<(String, String)>,
    /// Options of a bundle.
    #[serde(default)]
    pub bundle: Vec<BundleOption>,
}

/// An option of a bundle: what a shopper chooses a product for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BundleOption {
    /// Option id.
    pub id: String,
    /// What the shopper reads.
    pub title: String,
    /// SKUs of the products to choose from, with how many of each go into one bundle.
    #[serde(default)]
    pub selections: Vec<(String, String)>,
}

/// A custom option of a product.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProductOption {
    /// Option id.
    pub id: String,
    /// What the shopper reads.
    pub title: String,
    /// `field`, `drop_down` …
    #[serde(rename = "type")]
    pub kind: String,
    /// Of an option without choices.
    #[serde(default)]
    pub sku: Option<String>,
    /// Choices.
    #[serde(default)]
    pub choices: Vec<Choice>,
}

/// A choice of a custom option.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Choice {
    /// `option_type_id`
    pub id: String,
    /// What the shopper reads.
    pub title: String,
    /// What it adds to the SKU.
    #[serde(default)]
    pub sku: Option<String>,
}

/// What is kept of a product attribute.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Attribute {
    /// Database id.
    pub id: u64,
    /// `color`
    pub code: String,
    /// `Color`
    #[serde(default)]
    pub label: Option<String>,
    /// Labels of its values by their ids.
    #[serde(default)]
    pub values: std::collections::BTreeMap<String, String>,
}

/// Exact numbers as their digits.
mod exact {
    use rust_decimal::Decimal;
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    #[expect(clippy::ref_option, reason = "shaped for serde")]
    pub(super) fn serialize<S: Serializer>(value: &Option<Decimal>, serializer: S) -> Result<S::Ok, S::Error> {
        value.map(|value| value.to_string()).serialize(serializer)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Decimal>, D::Error> {
        let digits = Option::<String>::deserialize(deserializer)?;
        digits.map(|digits| digits.parse().map_err(serde::de::Error::custom)).transpose()
    }
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

    /// The title of the bundle's option that a component was chosen for.
    fn bundle_option(&self, _bundle: ProductId, _component_sku: &str) -> Option<&str> {
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
