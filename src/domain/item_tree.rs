//! The flat list of items into positions: what is bought, who carries the money, what leaves the warehouse.
//!
//! Commerce nests two levels and no more. Whatever else a payload claims (a parent that is not there, an item that is
//! its own grandparent, one id twice) is a defect of that record.

use rust_decimal::Decimal;

use super::catalogue::{Catalogue, PriceType};
use super::defect::{Defect, ExceptionCode};
use super::order::{ItemKey, Order, OrderItem, ProductType};

/// One thing bought. The numbers are indices into the order's items.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Position {
    /// A line by itself.
    Single(usize),
    /// A configurable and the product chosen, which a few payloads leave out.
    Configurable {
        /// Carries the money.
        parent: usize,
        /// Leaves the warehouse.
        child: Option<usize>,
    },
    /// A bundle and its components.
    Bundle {
        /// Carries the money of a fixed price.
        parent: usize,
        /// Leave the warehouse; carry the money of a dynamic price.
        children: Vec<usize>,
        /// Whose price counts.
        price_type: PriceType,
    },
}

/// Every position in the order of the payload, or everything that is wrong with the tree.
pub fn positions(order: &Order, catalogue: &dyn Catalogue) -> Result<Vec<Position>, Vec<Defect>> {
    let items = &order.items;
    let mut defects = Vec::new();
    let parents = parents(items, &mut defects);
    let mut children: Vec<Vec<usize>> = vec![Vec::new(); items.len()];
    for (index, parent) in parents.iter().enumerate() {
        if let Some(parent) = *parent {
            children[parent].push(index);
            defects.extend(unfit_child(&items[index], parents[parent].is_some()));
        }
    }
    let mut positions = Vec::with_capacity(items.len());
    for (index, item) in items.iter().enumerate() {
        // A child whose parent is missing is no root either: its defect is already there.
        if item.parent.is_none() {
            let children = std::mem::take(&mut children[index]);
            positions.extend(position(items, index, children, catalogue, &mut defects));
        }
    }
    if defects.is_empty() { Ok(positions) } else { Err(defects) }
}

/// The parent of every item by index.
fn parents(items: &[OrderItem], defects: &mut Vec<Defect>) -> Vec<Option<usize>> {
    let mut known: Vec<(ItemKey, usize)> = Vec::with_capacity(items.len() * 2);
    known.extend(items.iter().enumerate().flat_map(|(index, item)| item.keys().map(move |key| (key, index))));
    known.sort_unstable();
    let doubled_id = |pair: &&[(ItemKey, usize)]| pair[0].0 == pair[1].0 && matches!(pair[0].0, ItemKey::Item(_));
    for pair in known.windows(2).filter(doubled_id) {
        defects.push(doubled(&items[pair[1].1]));
    }
    if items.iter().any(|item| has_children(&item.product_type)) {
        for item in items.iter().filter(|item| item.keys().next().is_none()) {
            let message = format!("{} has no id, so parents and children cannot be told apart", item.sku);
            defects.push(Defect::new(ExceptionCode::UnreadablePayload, item.at("item_id"), message));
        }
    }
    let find = |key: ItemKey| known.binary_search_by_key(&key, |(key, _)| *key).ok().map(|at| known[at].1);
    items
        .iter()
        .map(|item| {
            let parent = find(item.parent?);
            if parent.is_none() {
                defects.push(orphan(item));
            }
            parent
        })
        .collect()
}

/// A child is a product that can be picked, one level below its parent.
fn unfit_child(item: &OrderItem, parent_is_child: bool) -> Option<Defect> {
    match &item.product_type {
        _ if parent_is_child => Some(nested(item)),
        ProductType::Other(name) => Some(unsupported(item, format!("the product type \"{name}\" is not known"), name)),
        kind if has_children(kind) => {
            let message = format!("{} is a {} inside another product", item.sku, kind.word());
            Some(unsupported(item, message, kind.word()))
        }
        _ => None,
    }
}

fn has_children(product_type: &ProductType) -> bool {
    matches!(product_type, ProductType::Configurable | ProductType::Bundle)
}

fn position(
    items: &[OrderItem],
    index: usize,
    children: Vec<usize>,
    catalogue: &dyn Catalogue,
    defects: &mut Vec<Defect>,
) -> Option<Position> {
    let item = &items[index];
    let refused = match (&item.product_type, children.len()) {
        (ProductType::Configurable, 0 | 1) => {
            let child = children.first().copied();
            let fits = |child: usize| items[child].quantities.ordered == item.quantities.ordered;
            if child.is_none_or(fits) {
                return Some(Position::Configurable { parent: index, child });
            }
            unlike_quantities(item, &items[children[0]])
        }
        (ProductType::Bundle, 0) => without_components(item),
        (ProductType::Bundle, _) => {
            let price_type = price_type(items, item, &children, catalogue);
            return Some(Position::Bundle { parent: index, children, price_type });
        }
        (ProductType::Other(name), _) => unsupported(item, format!("the product type \"{name}\" is not known"), name),
        (_, 0) => return Some(Position::Single(index)),
        (kind, count) => unsupported(
            item,
            format!("{} has {count} child lines, which its type does not have", item.sku),
            kind.word(),
        ),
    };
    defects.push(refused);
    None
}

/// Stored options say it; otherwise the figures where they can only mean one thing, then the catalogue, which may have
/// changed since. With nothing but zeros both readings are the same money.
fn price_type(items: &[OrderItem], parent: &OrderItem, children: &[usize], catalogue: &dyn Catalogue) -> PriceType {
    if let Some(stored) = parent.price_type {
        return stored;
    }
    // Not `row_total`, which a full discount empties in REST, and not `price`, which newer versions overwrite.
    let price = |item: &OrderItem| item.base.price.or(item.amounts.price).unwrap_or(Decimal::ZERO);
    if children.iter().any(|child| !price(&items[*child]).is_zero()) {
        return PriceType::Dynamic;
    }
    if !price(parent).is_zero() {
        return PriceType::Fixed;
    }
    parent.product_id.and_then(|product| catalogue.price_type(product)).unwrap_or(PriceType::Fixed)
}

fn doubled(item: &OrderItem) -> Defect {
    Defect::new(ExceptionCode::UnreadablePayload, item.at("item_id"), "the same item id stands on two lines")
        .with_value(&item.id.map(|id| id.to_string()).unwrap_or_default())
}

fn orphan(item: &OrderItem) -> Defect {
    let message = format!("{} belongs to a parent item that is not in the list", item.sku);
    let value = match item.parent {
        Some(ItemKey::Item(id) | ItemKey::Quote(id)) => id.to_string(),
        None => String::new(),
    };
    Defect::new(ExceptionCode::OrphanItem, item.at("parent_item_id"), message)
        .with_value(&value)
        .with_remedy("Read the order back from Commerce, which lists every item, then replay.")
}

fn nested(item: &OrderItem) -> Defect {
    let message = format!("{} is the child of a child; Commerce nests two levels only", item.sku);
    Defect::new(ExceptionCode::OrphanItem, item.at("parent_item_id"), message)
}

fn unlike_quantities(parent: &OrderItem, child: &OrderItem) -> Defect {
    let (of_parent, of_child) = (parent.quantities.ordered, child.quantities.ordered);
    let message = format!("{} is ordered {of_parent} times, its chosen product {of_child} times", parent.sku);
    Defect::new(ExceptionCode::MissingComponent, child.at("qty_ordered"), message).with_value(&of_child.to_string())
}

fn without_components(item: &OrderItem) -> Defect {
    Defect::new(ExceptionCode::MissingComponent, &*item.path, format!("the bundle {} has no component lines", item.sku))
        .with_value(item.sku.as_str())
        .with_cause(item.sku.as_str())
        .with_remedy("Read the order back from Commerce, which lists every item, then replay.")
}

fn unsupported(item: &OrderItem, message: String, cause: &str) -> Defect {
    Defect::new(ExceptionCode::UnsupportedProductType, item.at("product_type"), message).with_cause(cause)
}
