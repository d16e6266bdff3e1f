//! The self-contained tour and its pieces: sample orders, the two senders, a stand-in ERP, and the table that shows
//! what became of an order. Tests, crash rounds and measurements use the pieces as well.

pub mod samples;
pub mod sender;
pub mod erp;
pub mod commerce;
pub mod table;
pub mod rehearsal;
pub mod tour;
