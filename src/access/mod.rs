//! Operators, not destinations: API tokens, roles, and the record of who did what.
//!
//! A token is shown once and kept as a digest; a role is a floor (viewer < operator < admin); every act carries its
//! actor into the store's audit row (API-5). Deliberately absent: sessions and passwords, which come with the console.

pub mod audit;
pub mod roles;
pub mod tokens;

pub use audit::Actor;
pub use roles::{Operator, Permission, Role};
pub use tokens::{Denied, TokenSecret, Tokens};
