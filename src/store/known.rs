//! What is known from Commerce beside its records: rows of the catalogue cache.

use crate::clock::Timestamp;

/// What a row is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum KnownKind {
    /// A product.
    Product,
    /// A product attribute.
    Attribute,
    /// The short lists of a shop; their id is 0.
    Shop,
}

impl KnownKind {
    /// All of them.
    pub const ALL: [KnownKind; 3] = [KnownKind::Product, KnownKind::Attribute, KnownKind::Shop];

    /// The word in the store.
    pub fn as_str(self) -> &'static str {
        match self {
            KnownKind::Product => "product",
            KnownKind::Attribute => "attribute",
            KnownKind::Shop => "shop",
        }
    }
}

/// Which thing of which instance.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct KnownKey {
    /// Commerce instance.
    pub system: String,
    /// What it is.
    pub kind: KnownKind,
    /// Its database id there.
    pub id: u64,
}

/// One thing as Commerce told it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KnownRow {
    /// Which.
    pub key: KnownKey,
    /// Of a product.
    pub sku: Option<String>,
    /// When Commerce said it.
    pub fetched_at: Timestamp,
    /// JSON text; `None`: Commerce does not have it.
    pub body: Option<String>,
}
