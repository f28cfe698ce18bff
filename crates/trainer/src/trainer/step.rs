//! One optimiser step.

use super::{Trainer, scalar};
use crate::data::Batch;
use crate::optim::{clip_scale, gradients};
use crate::{Error, Rates, Result, StepEnd};
use candle_core::Tensor;
use std::collections::BTreeMap;
use taper_ops::Mode;
use taper_ops::optim::global_norm;

impl Trainer<'_> {
    /// Forward, loss, gradients and step on one batch, counted into the position.
    pub(super) fn train_step(&mut self, batch: &Batch) -> Result<StepEnd> {
        let device = self.device();
        let (inputs, targets) = (batch.inputs.to_device(&device)?, batch.targets.to_device(&device)?);
        let mode = Mode::train(self.seed, u32_of("steps", self.position.step)?, 0);
        let logits = (self.forward)(&inputs, &mode)?;
        let loss = (self.loss)(&logits, &targets)?;
        let value = self.finite("loss", scalar(&loss)?)?;
        self.position.totals.add(value, &logits, &targets)?;
        let grads = gradients(&loss, &self.vars)?;
        // The graph and its activations go before the optimiser starts, which writes into what they were computed from.
        drop((logits, loss));
        let rates = self.step_vars(&grads)?;

        self.position.step += 1;
        self.position.batch += 1;
        Ok(StepEnd {
            epoch: self.position.epoch + 1,
            batch: self.position.batch,
            step: self.position.step,
            lr: rates.lr,
            loss: value,
            samples: batch.indices.len(),
            running: self.position.totals.metrics(),
        })
    }

    fn step_vars(&mut self, grads: &BTreeMap<String, Tensor>) -> Result<Rates> {
        if grads.is_empty() {
            let value = format!("no gradient for any of {:?}", self.vars.keys().collect::<Vec<_>>());
            let expected = "a function of at least one variable";
            return Err(Error::Value { op: "Trainer", argument: "loss", expected, value });
        }
        let scale = match self.clip_norm {
            Some(max_norm) => clip_scale(self.finite("gradients' norm", global_norm(grads.values())?)?, max_norm),
            None => 1.0,
        };
        let rates = self.rates(self.position.step);
        self.optimizer.step(&self.vars, grads, rates, scale)?;
        Ok(rates)
    }

    fn finite(&self, what: &'static str, value: f64) -> Result<f64> {
        if value.is_finite() {
            return Ok(value);
        }
        Err(Error::NotFinite { what, value, epoch: self.position.epoch + 1, step: self.position.step + 1 })
    }
}

/// A count as the generator's counter holds it.
pub(super) fn u32_of(what: &'static str, count: usize) -> Result<u32> {
    let value = || Error::Value { op: "fit", argument: what, expected: "fewer than 2³²", value: count.to_string() };
    u32::try_from(count).map_err(|_| value())
}
