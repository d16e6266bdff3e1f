//! The self-contained tour.
