//! Instruments that put the service on trial: kill it under load and read the books afterwards; measure it.
//!
//! `history` decides, from what was sent, what the store says and what the ERP remembers, whether anything was lost,
//! doubled, disordered or stuck; it is pure, and the tests ask it too. `chaos` kills and restarts the service and asks
//! `history`. `bench` measures rates, latencies, CPU and memory beside those of a bare handler. `orders` makes the orders
//! both send, `load` is the sender that costs little, `service` the process that can be killed.
//!
//! Deliberately absent: doors into the service. The instruments send, kill and read as anybody could.

pub mod orders;
pub mod history;
pub mod load;
mod service;
pub mod chaos;
pub mod bench;
