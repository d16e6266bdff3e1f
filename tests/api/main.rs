//! The API's routers over a real store: roles, errors, lists, tables, keys. Every answer is checked against
//! `openapi.yaml` on its way to the test.

#![allow(clippy::unwrap_used, missing_docs, reason = "test code: a panic is the report")]

#[path = "../contract/mod.rs"]
mod contract;
mod support;

mod cases;
mod errors;
mod expand;
mod lists;
mod mappings;
mod outside;
mod people;
mod repairs;
mod rendering;
mod roles;
