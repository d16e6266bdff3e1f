//! The service through its front door: real sockets, a real store, a stand-in ERP that keeps books.

#![recursion_limit = "256"]
#![allow(missing_docs, clippy::unwrap_used)]

mod support;

mod crash;
mod promise;
