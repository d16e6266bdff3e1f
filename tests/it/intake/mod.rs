//! The way in: who is let in, what is understood, what is told.

mod bodies;
mod credentials;
mod doubles;
mod hints;
mod oddities;
mod shapes;
mod slow;
