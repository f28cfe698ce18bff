//! Training in half precision: float32 master weights, and a loss that is scaled so that small gradients survive.

use super::Trainer;
use super::ema::set_all;
use super::snapshot::copies;
use crate::{Error, Result};
use candle_core::{DType, Tensor, Var};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, HashMap};

/// How much the loss is multiplied with before the backward pass, so that gradients too small for float16 are not lost; they are
/// divided by it in float32 before anything else sees them. See [`Trainer::mixed_precision`].
///
/// A scale that is not constant follows the gradients: where one of a step is not finite, the step is left out and the scale
/// multiplied with `backoff`; after `interval` steps in a row that went well it is multiplied with `growth`.
///
/// Source: Micikevicius et al., "Mixed precision training", ICLR 2018; the numbers are those of PyTorch's `GradScaler`.
///
/// ```
/// use taper_trainer::LossScale;
///
/// let dynamic = LossScale { interval: 500, ..LossScale::default() };
/// let none_for_bfloat16 = LossScale::constant(1.0);
/// ```
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct LossScale {
    /// The first scale; 2¹⁶ by default.
    pub initial: f64,
    /// What it is multiplied with after `interval` good steps; 2 by default.
    pub growth: f64,
    /// What it is multiplied with after a step that overflowed; ½ by default.
    pub backoff: f64,
    /// The steps in a row that must go well before it grows; 2000 by default. With 0 the scale is constant.
    pub interval: usize,
}

/// Below this a gradient that is not finite is no matter of scale.
const LEAST_SCALE: f64 = 1.0 / 65536.0;

impl Default for LossScale {
    fn default() -> Self {
        Self { initial: 65536.0, growth: 2.0, backoff: 0.5, interval: 2000 }
    }
}

impl LossScale {
    /// The same scale in every step. bfloat16, which has float32's range, needs none: 1.
    pub fn constant(scale: f64) -> Self {
        Self { initial: scale, interval: 0, ..Self::default() }
    }

    fn validate(&self) -> Result<()> {
        let op = "LossScale";
        let refuse =
            |argument, expected, value: f64| Err(Error::Value { op, argument, expected, value: value.to_string() });
        if self.initial <= 0.0 || !self.initial.is_finite() {
            return refuse("initial", "positive and finite", self.initial);
        }
        if self.growth < 1.0 || !self.growth.is_finite() {
            return refuse("growth", "finite and at least 1", self.growth);
        }
        if self.backoff <= 0.0 || self.backoff >= 1.0 || self.backoff.is_nan() {
            return refuse("backoff", "between 0 and 1", self.backoff);
        }
        Ok(())
    }
}

/// Where a scale has come to: a part of the run's position.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub(crate) struct ScaleState {
    #[serde(with = "crate::exact")]
    scale: f64,
    /// The steps in a row that went well since it last changed.
    good_steps: usize,
}

/// What mixed precision keeps beside the variables.
#[derive(Debug)]
pub(super) struct MixedPrecision {
    pub(super) config: LossScale,
    /// The float32 weights of the variables of half precision, by name.
    pub(super) masters: BTreeMap<String, Var>,
}

impl Trainer<'_> {
    /// Trains variables of bfloat16 or float16: optimiser, averages and checkpoints see float32 weights, the *masters*, that
    /// are rounded into the variables after each step, or most of what a step adds would be lost. The forward computes in the
    /// variables' precision, so it casts its inputs, and should cast its output to float32 for the loss. Gradients are taken to float32
    /// as they arrive: clipping, accumulation and the optimiser work there. Variables of float32 are trained as ever.
    ///
    /// The loss is multiplied with the [`LossScale`] before the backward pass. A step whose gradients overflow is left out: it
    /// counts, and schedules go on, but variables, optimiser and averages stay as they are. A scale that would fall below 2⁻¹⁶ ends
    /// the fit with [`Error::NotFinite`]. Lightning's `precision="16-mixed"`, with the weights themselves in half precision.
    ///
    /// ```
    /// use candle_core::{DType, Device, Tensor, Var};
    /// use std::collections::BTreeMap;
    /// use taper_trainer::data::{InMemoryDataset, Loader};
    /// use taper_trainer::{LossScale, Trainer};
    ///
    /// let data = InMemoryDataset::new(vec![0.5, 0.1, 0.2, 0.9, 0.8, 0.3, 0.1, 0.6], &[2], vec![0, 1, 0, 1])?;
    /// let loader = Loader::new(data, 2)?;
    /// let weight = Var::zeros((2, 2), DType::F16, &Device::Cpu)?;
    /// let vars = BTreeMap::from([("weight".to_owned(), weight.clone())]);
    /// let forward = |x: &Tensor, _: &_| x.to_dtype(DType::F16)?.matmul(&weight)?.to_dtype(DType::F32);
    /// let mut trainer = Trainer::new(vars, forward).mixed_precision(LossScale::default()).epochs(40);
    /// trainer.fit(&loader, None)?;
    /// assert_eq!(trainer.evaluate(&loader)?.overall.accuracy, Some(1.0));
    /// assert_eq!(trainer.loss_scale(), Some(65536.0));
    /// # Ok::<(), taper_trainer::Error>(())
    /// ```
    pub fn mixed_precision(mut self, loss_scale: LossScale) -> Self {
        self.mixed_precision = Some(MixedPrecision { config: loss_scale, masters: BTreeMap::new() });
        self
    }

    /// What the next step's loss is multiplied with; `None` without [`mixed_precision`](Trainer::mixed_precision).
    pub fn loss_scale(&self) -> Option<f64> {
        let initial = self.mixed_precision.as_ref()?.config.initial;
        Some(self.position.loss_scale.map_or(initial, |state| state.scale))
    }

    /// Whether the loss scale follows the gradients.
    pub(super) fn moves_loss_scale(&self) -> bool {
        self.mixed_precision.as_ref().is_some_and(|mixed| mixed.config.interval > 0)
    }

    /// Makes masters for the trainable variables of half precision, and puts them in their place among what is optimised.
    pub(super) fn prepare_masters(&mut self) -> Result<()> {
        self.optimized = self.vars.clone();
        let Some(mixed) = &mut self.mixed_precision else { return Ok(()) };
        mixed.config.validate()?;
        let mut by_id = HashMap::new();
        for (name, var) in self.trainable.iter().filter(|(_, var)| is_half(var)) {
            let master = match by_id.get(&var.id()) {
                Some(tied) => Var::clone(tied),
                // One that rounds to other values is of weights that have been replaced since.
                None => match mixed.masters.get(name) {
                    Some(master) if rounds_to(master, var)? => master.clone(),
                    _ => Var::from_tensor(&var.to_dtype(DType::F32)?)?,
                },
            };
            by_id.insert(var.id(), master.clone());
            mixed.masters.insert(name.clone(), master.clone());
            self.optimized.insert(name.clone(), master);
        }
        mixed.masters.retain(|name, _| self.trainable.contains_key(name));
        Ok(())
    }

    /// The trainable variables as the optimiser sees them.
    pub(super) fn optimized_trainable(&self) -> BTreeMap<String, Var> {
        let trainable = self.optimized.iter().filter(|(name, _)| self.trainable.contains_key(*name));
        trainable.map(|(name, var)| (name.clone(), var.clone())).collect()
    }

    /// The gradients of a scaled loss in the masters' precision, at their own scale.
    pub(super) fn unscale(&self, grads: &mut BTreeMap<String, Tensor>) -> Result<()> {
        let Some(scale) = self.loss_scale() else { return Ok(()) };
        for (name, grad) in grads {
            if let Some(master) = self.optimized.get(name) {
                *grad = (grad.to_dtype(master.dtype())? * (1.0 / scale))?;
            }
        }
        Ok(())
    }

    /// Adapts the scale to gradients whose norm is `norm`, which is not finite where one of them is not; whether the step is to be
    /// taken.
    pub(super) fn adapt_loss_scale(&mut self, norm: f64) -> Result<bool> {
        let Some(config) = self.mixed_precision.as_ref().map(|mixed| mixed.config) else { return Ok(true) };
        let ScaleState { scale, good_steps } =
            self.position.loss_scale.unwrap_or(ScaleState { scale: config.initial, good_steps: 0 });
        let state = if !norm.is_finite() {
            ScaleState { scale: scale * config.backoff, good_steps: 0 }
        } else if good_steps + 1 < config.interval {
            ScaleState { scale, good_steps: good_steps + 1 }
        } else {
            ScaleState { scale: scale * config.growth, good_steps: 0 }
        };
        if state.scale < LEAST_SCALE {
            self.finite("gradients' norm", norm)?;
        }
        // One that grew beyond all numbers could not come back.
        if state.scale.is_finite() {
            self.position.loss_scale = Some(state);
        }
        Ok(norm.is_finite())
    }

    /// Rounds the masters into the variables.
    pub(super) fn round_masters(&self) -> Result<()> {
        let Some(mixed) = &self.mixed_precision else { return Ok(()) };
        for (name, master) in &mixed.masters {
            if let Some(var) = self.vars.get(name) {
                var.set(&master.to_dtype(var.dtype())?)?;
            }
        }
        Ok(())
    }

    pub(super) fn set_masters(&self, values: &BTreeMap<String, Tensor>) -> Result<()> {
        self.mixed_precision.as_ref().map_or(Ok(()), |mixed| set_all(&mixed.masters, values))
    }

    /// Copies of the masters.
    pub(super) fn masters(&self) -> Result<BTreeMap<String, Tensor>> {
        self.mixed_precision.as_ref().map_or(Ok(BTreeMap::new()), |mixed| copies(&mixed.masters))
    }
}

fn is_half(var: &Var) -> bool {
    matches!(var.dtype(), DType::BF16 | DType::F16)
}

fn rounds_to(master: &Var, var: &Var) -> Result<bool> {
    let values = |tensor: Tensor| tensor.to_dtype(DType::F32)?.flatten_all()?.to_vec1::<f32>();
    let rounded = values(master.to_dtype(var.dtype())?)?;
    Ok(rounded.iter().zip(values(var.as_detached_tensor())?).all(|(a, b)| a.to_bits() == b.to_bits()))
}
