//! Schedules: the learning rate, and where wanted the momentum, as a pure function of the step and of what the epochs
//! before it came to.
//!
//! A schedule's rates are absolute: the optimiser's own learning rate holds only where there is no schedule. Steps are
//! optimiser steps, not epochs: where a number is known in epochs, multiply it with the loader's batches per epoch.

mod combine;
mod cosine;
mod decay;
mod one_cycle;
mod plateau;

pub use combine::{Sequential, Warmup};
pub use cosine::{CosineAnnealing, CosineAnnealingWarmRestarts};
pub use decay::{Constant, Exponential, Linear, MultiStep, Polynomial, StepDecay};
pub use one_cycle::OneCycle;
pub use plateau::ReduceOnPlateau;

use crate::{EpochRecord, Error, Monitor, Result};
use std::f64::consts::PI;
use std::fmt::Debug;

/// What a schedule decides for one step.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Rates {
    /// The learning rate.
    pub lr: f64,
    /// The momentum (for Adam, AdamW and Lion, β₁), where the schedule decides it; else the optimiser's own holds.
    pub momentum: Option<f64>,
}

impl Rates {
    /// A learning rate alone.
    pub fn constant(lr: f64) -> Self {
        Self { lr, momentum: None }
    }
}

/// A function from the step, and the epochs that are done, to the step's rates. It has no memory, so a resumed run needs
/// none of it: what the epochs came to is in the checkpoint.
///
/// The `Debug` form is its configuration in words: a resumed run must have the same.
pub trait Schedule: Debug {
    /// The rates of optimiser step `step`, counted from 0, after `epochs`.
    fn rates(&self, step: usize, epochs: &[EpochRecord]) -> Rates;

    /// What of the epochs it looks at, none by default; a fit refuses a metric that is not computed.
    fn monitors(&self) -> Vec<&Monitor> {
        Vec::new()
    }

    /// Refuses numbers that make no schedule; called before the first step.
    ///
    /// # Errors
    /// When a number is out of range.
    fn validate(&self) -> Result<()> {
        Ok(())
    }
}

/// From `start` at `part` 0 to `end` at `part` 1, along half a cosine.
fn anneal(start: f64, end: f64, part: f64) -> f64 {
    end + (start - end) / 2.0 * ((PI * part).cos() + 1.0)
}

fn positive<const N: usize>(op: &'static str, values: [(&'static str, f64); N]) -> Result<()> {
    for (argument, value) in values {
        if value <= 0.0 || !value.is_finite() {
            return Err(Error::Value { op, argument, expected: "positive and finite", value: value.to_string() });
        }
    }
    Ok(())
}

fn not_negative<const N: usize>(op: &'static str, values: [(&'static str, f64); N]) -> Result<()> {
    for (argument, value) in values {
        if value < 0.0 || !value.is_finite() {
            return Err(Error::Value { op, argument, expected: "finite and not negative", value: value.to_string() });
        }
    }
    Ok(())
}

fn at_least_one(op: &'static str, argument: &'static str, value: usize) -> Result<()> {
    if value > 0 {
        return Ok(());
    }
    Err(Error::Value { op, argument, expected: "at least 1", value: value.to_string() })
}
