//! RMSprop.

use super::{PerVariable, StepOf, UpdateRule, below_one, check_eps, not_negative};
use crate::Result;
use candle_core::{Tensor, Var};
use taper_ops::optim::{RmsPropStep, rms_prop_step};

/// RMSprop, plain or centered, with momentum or without: `torch.optim.RMSprop`.
///
/// The formula is that of [`rms_prop_step`]. Its states are `square_avg`, `grad_avg` where it is centered, and
/// `momentum_buffer` where there is momentum.
///
/// ```
/// use candle_core::{Device, Var};
/// use std::collections::BTreeMap;
/// use taper_trainer::Rates;
/// use taper_trainer::optim::{Optimizer, RmsProp, RmsPropConfig, gradients};
///
/// let weight = Var::new(&[1f64, -2.], &Device::Cpu)?;
/// let vars = BTreeMap::from([("weight".to_owned(), weight.clone())]);
/// let mut optimizer = RmsProp::new(RmsPropConfig { lr: 0.01, centered: true, ..Default::default() })?;
/// for _ in 0..400 {
///     let grads = gradients(&weight.sqr()?.sum_all()?, &vars)?;
///     optimizer.step(&vars, &grads, Rates::constant(optimizer.lr()), 1.0)?;
/// }
/// assert!(weight.to_vec1::<f64>()?.iter().all(|w| w.abs() < 0.05));
/// # Ok::<(), taper_trainer::Error>(())
/// ```
pub type RmsProp = PerVariable<RmsPropConfig>;

/// The numbers of [`RmsProp`], with PyTorch's names and defaults.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct RmsPropConfig {
    /// The learning rate; 0.01 by default.
    pub lr: f64,
    /// How much of the former averages stays; 0.99 by default.
    pub alpha: f64,
    /// What keeps the denominator from zero; 10⁻⁸ by default.
    pub eps: f64,
    /// The L2 penalty, added to the gradient; 0 by default.
    pub weight_decay: f64,
    /// How much of the former step stays; 0 by default, which keeps none.
    pub momentum: f64,
    /// Whether gradients are measured by their variance rather than their square; `false` by default.
    pub centered: bool,
}

impl Default for RmsPropConfig {
    fn default() -> Self {
        Self { lr: 1e-2, alpha: 0.99, eps: 1e-8, weight_decay: 0.0, momentum: 0.0, centered: false }
    }
}

impl UpdateRule for RmsPropConfig {
    fn lr(&self) -> f64 {
        self.lr
    }

    fn weight_decay(&self) -> f64 {
        self.weight_decay
    }

    fn check(&self) -> Result<()> {
        let (op, Self { lr, eps, weight_decay, momentum, .. }) = ("RmsProp", *self);
        not_negative(op, [("lr", lr), ("weight_decay", weight_decay), ("momentum", momentum)])?;
        check_eps(op, eps)?;
        below_one(op, "alpha", self.alpha)
    }

    fn states(&self) -> Vec<&'static str> {
        let states = [("square_avg", true), ("grad_avg", self.centered), ("momentum_buffer", self.momentum > 0.0)];
        states.into_iter().filter_map(|(name, kept)| kept.then_some(name)).collect()
    }

    fn update(&self, var: &Var, grad: &Tensor, states: &[Var], step: &StepOf) -> Result<()> {
        let [square_avg, rest @ ..] = states else { return Ok(()) };
        let (grad_avg, momentum_buffer) =
            if self.centered { (rest.first(), rest.get(1)) } else { (None, rest.first()) };
        if momentum_buffer.is_none() {
            step.refuse_momentum("RmsProp")?;
        }
        let numbers = RmsPropStep {
            lr: step.lr,
            alpha: self.alpha,
            eps: self.eps,
            weight_decay: step.weight_decay,
            momentum: step.momentum.unwrap_or(self.momentum),
            grad_scale: step.grad_scale,
        };
        Ok(rms_prop_step(var, grad, square_avg, grad_avg, momentum_buffer, &numbers)?)
    }
}
