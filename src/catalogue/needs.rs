//! What an order needs of the catalogue.

use std::collections::{BTreeSet, HashMap};

use rust_decimal::Decimal;

use crate::domain::catalogue::PriceType;
use crate::domain::options::OptionSource;
use crate::domain::order::{ItemKey, Order, OrderItem, ProductType};

/// Ids of products and attributes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Needs {
    /// Products.
    pub products: BTreeSet<u64>,
    /// Product attributes.
    pub attributes: BTreeSet<u64>,
    /// Those of the products whose order SKU may carry more than their own.
    pub suffixed: BTreeSet<u64>,
}

impl Needs {
    /// Nothing is needed.
    pub fn is_empty(&self) -> bool {
        self.products.is_empty() && self.attributes.is_empty()
    }
}

/// Custom options need titles, and the SKU without what they add; bundles their own SKU; fixed-price bundles the list prices
/// of their components; downloads the titles of their links; configurables the labels of what was chosen.
///
/// Whether the payload has some of it already makes no difference to products, so that an order needs the same by whatever
/// channel it comes.
pub fn needs(order: &Order) -> Needs {
    let mut needs = Needs::default();
    let mut of: HashMap<ItemKey, usize> = HashMap::new();
    for (index, item) in order.items.iter().enumerate() {
        of.extend(item.keys().map(|key| (key, index)));
    }
    let parent = |item: &OrderItem| item.parent.and_then(|key| of.get(&key)).map(|index| &order.items[*index]);
    for item in &order.items {
        let customised = |item: &OrderItem| item.options.iter().any(|option| option.source == OptionSource::Custom);
        let downloads = item.options.iter().any(|option| option.id == "downloadable_links");
        let above = parent(item);
        let weighed = above.is_some_and(|parent| parent.product_type == ProductType::Bundle && fixed(parent, order));
        // A chosen product's SKU carries what the options of its configurable add.
        let suffixed =
            above.is_some_and(|parent| parent.product_type == ProductType::Configurable && customised(parent));
        let suffixed = suffixed || item.product_type == ProductType::Bundle || customised(item);
        if suffixed || downloads || weighed {
            needs.products.extend(item.product_id.map(|id| id.0));
        }
        if suffixed {
            needs.suffixed.extend(item.product_id.map(|id| id.0));
        }
        for attribute in &item.configuration {
            if attribute.label.is_none() || attribute.value.is_none() {
                needs.attributes.extend(attribute.attribute_id.parse::<u64>().ok());
            }
        }
    }
    needs
}

/// Whether a bundle may have a price of its own: unless it says dynamic, or a component costs something.
fn fixed(parent: &OrderItem, order: &Order) -> bool {
    let price = |item: &OrderItem| item.base.price.or(item.amounts.price).unwrap_or(Decimal::ZERO);
    let mine = |item: &&OrderItem| item.parent.is_some_and(|key| parent.keys().any(|own| own == key));
    match parent.price_type {
        Some(price_type) => price_type == PriceType::Fixed,
        None => order.items.iter().filter(mine).all(|child| price(child).is_zero()),
    }
}
