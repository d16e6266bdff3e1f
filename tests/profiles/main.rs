//! Every shipped profile against a stand-in of its system that enforces the documented rules of its interface.
//!
//! The service runs as in production, behind its front door; [`office`] is the other side's door, which misbehaves on
//! demand; [`contract`] is what every profile must keep, whatever its system is like.

#![recursion_limit = "256"]
#![allow(missing_docs, clippy::unwrap_used, reason = "test code: a panic is the report")]
#![allow(dead_code, unused_imports, reason = "the service under test is shared with other suites")]

#[path = "../it/support/mod.rs"]
mod support;

mod batches;
mod brightpearl;
mod business_central;
mod contract;
mod doors;
mod erpnext;
mod lies;
mod limits;
mod mintsoft;
mod netsuite;
mod odoo;
mod office;
mod plain;
mod sap_business_one;
mod sap_s4hana;
mod shiphero;
mod tls;
