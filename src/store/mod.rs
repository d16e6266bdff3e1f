//! The store port: what the business writes down and asks back.
