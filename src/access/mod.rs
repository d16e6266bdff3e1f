//! Operators: tokens and roles. Destinations' credentials live elsewhere.
