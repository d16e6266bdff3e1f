//! Operators, not destinations: API tokens, roles, and the record of who did what.
//!
//! Programs call with a token, people sign in at the [`door`] and keep a [`session`]. For a room of pages:
//! [`Access::session_of`] says who looks at a page (or nobody: send them to sign in), [`SignedIn::caller`] what they may,
//! [`Access::check_csrf`] whether a form is theirs; handlers of the API take either as `Operator<P>`.
//!
//! A token is shown once and kept as a digest; a permission names the roles that have it, and a token may be narrowed to
//! some of its role's permissions (API-4); every act carries its actor into the store's audit row (API-5).

pub mod audit;
pub mod mask;
pub mod roles;
pub mod caller;
pub mod tokens;
pub mod password;
pub mod totp;
pub mod throttle;
pub mod origin;
pub mod session;
pub mod users;
pub mod views;
pub mod vouched;
pub mod door;

pub use audit::Actor;
pub use caller::Caller;
pub use door::{Access, Attempt, Begun, Refused, Settings};
pub use roles::{Operator, Permission, Role};
pub use session::SignedIn;
pub use tokens::{Denied, TokenSecret, Tokens};
