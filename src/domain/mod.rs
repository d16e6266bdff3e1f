//! The heart: a Commerce order in, an ERP-neutral sales order out.
//!
//! What the room promises: no I/O, no clock, no async, no logging, no floats; nothing here panics on input. The cast, in
//! reading order: exact figures ([`decimal`], [`currency`], [`money`], [`quantity`]), the order as Commerce meant it
//! ([`order`], [`item_tree`]), what an operator decided ([`mapping`], [`policy`], [`catalogue`]), then the expansion:
//! [`rows`] reads each line's amounts by reconciling candidates, [`ledger`] balances one currency to its header,
//! [`spread`] turns exact columns into minor units, [`expand`] builds the [`sales_order`], and [`conserve`] holds the
//! five laws against the result before anybody sees it. [`shaping`] puts it the way a destination wants it ([`shape`]),
//! under the same laws.
//! [`personal`] knows which members tell who somebody is.
//!
//! Deliberately absent: conversion between currencies, tax calculation, and any amount Commerce did not name.

pub mod decimal;
pub mod currency;
pub mod money;
pub mod quantity;
pub mod ids;
pub mod defect;
pub mod due;
pub mod mapping;
pub mod shape;
pub mod policy;
pub mod catalogue;
pub mod order;
pub mod item_tree;
pub mod personal;
pub mod options;
pub mod sales_order;
pub mod order_change;
pub mod cancellation;
pub mod content;
pub mod rows;
pub mod spread;
pub mod ledger;
pub mod fees;
mod translate;
mod lines;
pub mod expand;
pub mod conserve;
mod proof;
pub mod shaping;
