//! What has state across steps, a clock or a disk: data, optimisers, schedules, the training loop and checkpoints that
//! resume to the bit.
//!
//! The trainer knows no layer: it is handed variables by name and a forward function.

pub mod data;
mod error;

pub use error::{Error, Result};
