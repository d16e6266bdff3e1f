//! The order of closing.
