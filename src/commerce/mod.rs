//! Adobe Commerce's spelling: the only room that knows how its JSON is written.
//!
//! [`wire`] reads single members tolerantly (number or string, array or map, `[]` for `{}`, JSON inside strings), the
//! parse files put them together into the domain's [`crate::domain::order::Order`].

pub mod wire;
pub mod ims;
pub mod rest;
pub mod fakes;
pub mod parse;
mod parse_item;
mod parse_options;
mod parse_party;
pub mod product;
pub mod registration;

#[cfg(test)]
mod tests;
