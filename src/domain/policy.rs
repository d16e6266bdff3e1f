//! What an operator decided: how bundles leave, and what happens to what no table knows.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::shape::Shape;

/// What to do when a loaded table has no row for a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum OnUnmapped {
    /// The order waits for a person.
    Park,
    /// Commerce's own word passes.
    Pass,
    /// Commerce's own word passes, with a warning.
    Warn,
}

/// How a bundle leaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum BundlePolicy {
    /// One line per component, which carry the money.
    Components,
    /// One kit line with the money, its components as comments.
    Kit,
}

/// What of a document that waits for a person a person may edit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum EditPolicy {
    /// Nothing: causes are put right, and records replayed.
    Off,
    /// Words: addresses, names, notes, references, SKUs, locations, what options say. No figure.
    Fields,
    /// Whatever the five laws leave open; never what identifies the order.
    Document,
}

/// Every decision that shapes a sales order; one per destination.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Policies {
    /// How bundles leave.
    pub bundles: BundlePolicy,
    /// Exceptions to `bundles`, by the bundle's catalogue SKU, or its order SKU where the catalogue does not know it.
    pub bundles_by_sku: BTreeMap<String, BundlePolicy>,
    /// A SKU that table `skus` does not know.
    pub unmapped_sku: OnUnmapped,
    /// A tax rate that table `tax_codes` does not know.
    pub unmapped_tax: OnUnmapped,
    /// A custom option that table `options` does not know.
    pub unmapped_option: OnUnmapped,
    /// A payment method that table `payment_methods` does not know.
    pub unmapped_payment: OnUnmapped,
    /// A shipping method that table `shipping_methods` does not know.
    pub unmapped_shipping: OnUnmapped,
    /// What Commerce's catalogue should have told of an order's products and did not in time: a SKU without what options
    /// add, the title of an option.
    pub unresolved: OnUnmapped,
    /// Minor units, times (money lines + 1), that a rounding line may close; beyond it the order is parked (law 5).
    pub rounding_tolerance: u32,
    /// What of a parked document may be edited.
    pub edit: EditPolicy,
    /// How the destination wants money and options put; not a word of `[policies]`.
    #[serde(skip)]
    pub shape: Shape,
}

impl Default for Policies {
    fn default() -> Self {
        Policies {
            bundles: BundlePolicy::Components,
            bundles_by_sku: BTreeMap::new(),
            unmapped_sku: OnUnmapped::Park,
            unmapped_tax: OnUnmapped::Warn,
            unmapped_option: OnUnmapped::Warn,
            unmapped_payment: OnUnmapped::Pass,
            unmapped_shipping: OnUnmapped::Pass,
            unresolved: OnUnmapped::Warn,
            rounding_tolerance: 1,
            edit: EditPolicy::Fields,
            shape: Shape::default(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_those_of_the_configuration_and_unknown_ones_are_refused() {
        let text = "bundles = \"kit\"\nunmapped_sku = \"warn\"\nrounding_tolerance = 2\n[bundles_by_sku]\nSET = \"components\"";
        let policies: Policies = toml::from_str(text).unwrap();
        assert_eq!(policies.bundles, BundlePolicy::Kit);
        assert_eq!(policies.bundles_by_sku["SET"], BundlePolicy::Components);
        assert_eq!(policies.unmapped_sku, OnUnmapped::Warn);
        assert_eq!(policies.unmapped_payment, OnUnmapped::Pass);
        assert!(toml::from_str::<Policies>("unmaped_sku = \"warn\"").is_err());
        assert_eq!(toml::from_str::<Policies>("").unwrap(), Policies::default());
    }
}
