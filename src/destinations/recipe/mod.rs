//! How one kind of back office is spoken to, written down instead of programmed: ordered rules that say what an answer
//! means.
//!
//! Status codes lie: a 200 may hold an error, a 400 may mean *done already* or *too busy*. So a recipe says what it knows
//! of its destination's answers, as [`rules`] that are tried in order; what no rule knows is read as any other answer is.

pub mod rules;
