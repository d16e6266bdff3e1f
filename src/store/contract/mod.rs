//! The promises every backend keeps.
