//! Named events, metrics, health.
