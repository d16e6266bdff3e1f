//! The path of a request: bound, verify, decode, dedup, append, answer.

pub mod signature;
