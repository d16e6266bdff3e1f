//! The catalogue cache: what Commerce says of products beside the order, kept so that orders need not wait for it.
//!
//! [`mod@needs`] says purely which products and attributes an order cannot do without; [`shelf`] holds what is known, in memory
//! and bounded; [`filler`] asks Commerce for what is missing, for a set time and never longer; the store keeps the shelf
//! over a restart. Expansion gets a [`View`] of exactly what the order needs, so that a document depends on the order and
//! on what Commerce says of its products, and never on what else happens to be known.
//!
//! Deliberately absent: anything an order would have to wait for without end. What stays unknown is said in the document.

pub mod needs;
pub mod shelf;
pub mod filler;
pub mod shop;
#[cfg(test)]
mod tests;

pub use filler::{Catalogues, Settings};
pub use needs::{Needs, needs};
pub use shelf::{Bounds, Shelf, View};
pub use shop::Shop;
