//! The API's routers over a real store: roles, errors, lists, tables, keys. Every answer is checked against
//! `openapi.yaml` on its way to the test.

#![allow(clippy::unwrap_used, missing_docs, reason = "test code: a panic is the report")]

#[path = "../contract/mod.rs"]
mod contract;
#[path = "../provider/mod.rs"]
mod provider;
mod support;

mod cases;
mod errors;
mod expand;
mod lists;
mod mappings;
mod outside;
mod people;
mod provided;
mod repairs;
mod rendering;
mod roles;
mod views;
