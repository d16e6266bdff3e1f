//! The self-contained tour.

pub mod erp;
