//! A stored event and its identity.
pub mod ids;
pub mod keys;
