//! The path of a request: bound, verify, decode, dedup, append, answer.

pub mod answer;
pub mod decode;
pub mod signature;
