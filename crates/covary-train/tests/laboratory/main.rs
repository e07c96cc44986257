//! The laboratory against references from outside: losses and whole training steps of PyTorch, closed forms, finite differences, and
//! itself after a kill.
#![expect(clippy::unwrap_used, reason = "a test fails where it panics")]

mod averages;
mod configuration;
mod contracts;
mod golden;
mod losses;
mod optimizers;
mod presets;
mod references;
mod resume;
mod switches;
mod terms;
mod trajectory;
mod views;
