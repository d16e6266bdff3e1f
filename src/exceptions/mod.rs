//! Business records somebody owns: what a person may do about them.
//!
//! Exceptions are opened where the cause is found (the processor, the delivery machine) and closed here, on a person's
//! word: [`replay`] processes a record again under the rules in force, one or all alike; [`edit`](mod@edit) sends one document
//! in other words; [`resend`] does a second time what was done, and [`bulk`] takes many through either, one after the other,
//! after a time in which it can be taken back. A newer report of the same order
//! closes them too, in the store. [`catalogue`] is what each code tells a person, [`handling`] what
//! may be done about one beside that, [`due`] by when, [`proposals`] what a missing mapping may have to say.
//! Deliberately absent: automatic retries, which are the delivery room's.

pub mod bulk;
pub mod catalogue;
pub mod diff;
pub mod due;
pub mod edit;
pub mod handling;
pub mod proposals;
pub mod replay;
pub mod resend;
