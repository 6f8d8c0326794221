//! May you pass? The layer, what it asks, and the keeper that answers by the forge.

pub mod settings;
