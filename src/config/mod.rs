//! The configuration file: whole, valid, immutable.
