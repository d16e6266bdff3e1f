//! The engine against a real store file and real sockets. Wall time is moved by hand, never waited for.

mod after;
mod asking;
mod batching;
mod doubt;
mod express;
mod holds;
mod lanes;
mod limits;
mod outcomes;
mod restarts;
mod rig;
