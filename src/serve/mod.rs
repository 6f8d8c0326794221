//! Listeners, limits, drain, health.

pub mod settings;
