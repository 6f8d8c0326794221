//! Carry it on: from the gate to the upstream and back.

pub mod settings;
