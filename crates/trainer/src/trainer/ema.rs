//! Averages of the weights over the steps.

use super::Trainer;
use crate::{Error, Result};
use candle_core::{Tensor, Var};
use std::collections::BTreeMap;
use taper_ops::optim::ema_step;

/// An exponential moving average of the weights: see [`Trainer::ema`](crate::Trainer::ema).
///
/// ```
/// use taper_trainer::Ema;
///
/// let ema = Ema::new(0.999).warmup(true);
/// ```
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Ema {
    /// How much of the former average stays at each step.
    pub decay: f64,
    /// Whether less of it stays in the first steps: min(decay, (1 + t) / (10 + t)) after t steps. `false` by default.
    pub warmup: bool,
}

impl Ema {
    /// An average of which `decay` stays at each step.
    pub fn new(decay: f64) -> Self {
        Self { decay, warmup: false }
    }

    /// Whether less of it stays in the first steps, when the weights still are far from where they go.
    pub fn warmup(self, warmup: bool) -> Self {
        Self { warmup, ..self }
    }

    fn decay_after(&self, steps: usize) -> f64 {
        let steps = steps as f64;
        if self.warmup { self.decay.min((1.0 + steps) / (10.0 + steps)) } else { self.decay }
    }
}

/// The averages, by the names of their variables; none before the first step.
#[derive(Debug)]
pub(super) struct Averages {
    pub(super) config: Ema,
    pub(super) values: BTreeMap<String, Var>,
}

impl Averages {
    pub(super) fn validate(&self) -> Result<()> {
        let decay = self.config.decay;
        if (0.0..1.0).contains(&decay) {
            return Ok(());
        }
        let (argument, expected) = ("decay", "at least 0 and less than 1");
        Err(Error::Value { op: "Ema", argument, expected, value: decay.to_string() })
    }

    /// Takes the weights in, `steps` steps having been taken in before. The first average is the weights themselves, as in
    /// PyTorch's `AveragedModel`.
    pub(super) fn update(&mut self, vars: &BTreeMap<String, Var>, steps: usize) -> Result<()> {
        for (name, var) in vars {
            match self.values.get(name) {
                Some(average) => ema_step(average, var.as_tensor(), self.config.decay_after(steps))?,
                None => drop(self.values.insert(name.clone(), Var::from_tensor(&var.copy()?)?)),
            }
        }
        Ok(())
    }
}

impl Trainer<'_> {
    /// Writes the averages of [`ema`](Trainer::ema) into the variables, so that they can be saved as the trained model. A fit
    /// after that goes on from them.
    ///
    /// # Errors
    /// When there are none, before the first step or without [`ema`](Trainer::ema).
    pub fn apply_ema(&mut self) -> Result<()> {
        match &self.ema {
            Some(ema) if !ema.values.is_empty() => {
                let averages: BTreeMap<_, _> =
                    ema.values.iter().map(|(name, average)| (name.clone(), average.as_detached_tensor())).collect();
                self.set_masters(&averages)?;
                set_all(&self.vars, &averages)
            }
            _ => {
                let (argument, expected) = ("ema", "asked for, and a step taken");
                Err(Error::Value { op: "apply_ema", argument, expected, value: format!("{:?}", self.ema) })
            }
        }
    }

    /// Calls `run` while the variables hold their averages, where there are any.
    pub(super) fn with_averages<T>(&self, run: impl FnOnce() -> Result<T>) -> Result<T> {
        let Some(ema) = &self.ema else { return run() };
        let kept = self.vars.iter().filter(|(name, _)| ema.values.contains_key(*name));
        let kept: BTreeMap<String, Tensor> =
            kept.map(|(name, var)| Ok((name.clone(), var.copy()?))).collect::<Result<_>>()?;
        let averages = ema.values.iter().map(|(name, average)| (name, average.as_tensor()));
        let outcome = set_all(&self.vars, averages).and_then(|()| run());
        set_all(&self.vars, &kept)?;
        outcome
    }
}

/// Sets the variables that go by these names.
pub(super) fn set_all<'a>(
    vars: &BTreeMap<String, Var>,
    values: impl IntoIterator<Item = (&'a String, &'a Tensor)>,
) -> Result<()> {
    for (name, value) in values {
        if let Some(var) = vars.get(name) {
            var.set(&value.to_device(var.device())?.to_dtype(var.dtype())?)?;
        }
    }
    Ok(())
}
