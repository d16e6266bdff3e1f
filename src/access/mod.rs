//! Operators, not destinations: API tokens, roles, and the record of who did what.
//!
//! A token is shown once and kept as a digest; a permission names the roles that have it, and a token may be narrowed to
//! some of its role's permissions (API-4); every act carries its actor into the store's audit row (API-5).

pub mod audit;
pub mod mask;
pub mod roles;
pub mod caller;
pub mod tokens;

pub use audit::Actor;
pub use caller::Caller;
pub use roles::{Operator, Permission, Role};
pub use tokens::{Denied, TokenSecret, Tokens};
