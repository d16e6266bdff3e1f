//! A stored event: its id, its kind, and the keys that make it known for ever.
//!
//! `kind` says what arrived, `ids` names our rows, `keys` derives the [`keys::EventKey`] that guards the way in and the
//! [`keys::IdempotencyKey`] that guards the way out, `revision` which of two reports is newer. Deliberately absent: anything random in a key.

pub mod ids;
pub mod keys;
pub mod kind;
pub mod revision;
