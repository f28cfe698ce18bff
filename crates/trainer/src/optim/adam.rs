//! Adam and AdamW.

use super::{PerVariable, StepOf, UpdateRule, below_one, check_eps, not_negative};
use crate::Result;
use candle_core::{Tensor, Var};
use taper_ops::optim::{AdamStep, adam_step};

/// Adam, whose weight decay is an L2 penalty: `torch.optim.Adam`. See [`AdamW`] for the decoupled one.
///
/// The formula is that of [`adam_step`]. Its states are `exp_avg`, `exp_avg_sq` and, for AMSGrad, `max_exp_avg_sq`. A
/// schedule's momentum takes the place of β₁.
///
/// ```
/// use candle_core::{Device, Var};
/// use std::collections::BTreeMap;
/// use taper_trainer::Rates;
/// use taper_trainer::optim::{Adam, AdamConfig, Optimizer, gradients};
///
/// let weight = Var::new(&[1f64, -2.], &Device::Cpu)?;
/// let vars = BTreeMap::from([("weight".to_owned(), weight.clone())]);
/// let mut adam = Adam::new(AdamConfig { lr: 0.1, amsgrad: true, ..Default::default() })?;
/// for _ in 0..400 {
///     let grads = gradients(&weight.sqr()?.sum_all()?, &vars)?;
///     adam.step(&vars, &grads, Rates::constant(adam.lr()), 1.0)?;
/// }
/// assert!(weight.to_vec1::<f64>()?.iter().all(|w| w.abs() < 1e-2));
/// # Ok::<(), taper_trainer::Error>(())
/// ```
pub type Adam = PerVariable<AdamConfig>;

/// Adam with decoupled weight decay: `torch.optim.AdamW`.
///
/// The formula is that of [`adam_step`]. Its states are `exp_avg`, `exp_avg_sq` and, for AMSGrad, `max_exp_avg_sq`. A
/// schedule's momentum takes the place of β₁.
///
/// ```
/// use candle_core::{Device, Var};
/// use std::collections::BTreeMap;
/// use taper_trainer::Rates;
/// use taper_trainer::optim::{AdamW, AdamWConfig, Optimizer, gradients};
///
/// let weight = Var::new(&[1f64, -2.], &Device::Cpu)?;
/// let vars = BTreeMap::from([("weight".to_owned(), weight.clone())]);
/// let mut adamw = AdamW::new(AdamWConfig { lr: 0.1, ..Default::default() })?;
/// for _ in 0..200 {
///     let grads = gradients(&weight.sqr()?.sum_all()?, &vars)?;
///     adamw.step(&vars, &grads, Rates::constant(adamw.lr()), 1.0)?;
/// }
/// assert!(weight.to_vec1::<f64>()?.iter().all(|w| w.abs() < 1e-2));
/// assert_eq!(adamw.state()?["weight.step"].to_scalar::<i64>()?, 200);
/// # Ok::<(), taper_trainer::Error>(())
/// ```
pub type AdamW = PerVariable<AdamWConfig>;

/// The numbers of [`Adam`], with PyTorch's names and defaults.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct AdamConfig {
    /// The learning rate; 0.001 by default.
    pub lr: f64,
    /// How much of the former first and second moment stays; (0.9, 0.999) by default.
    pub betas: (f64, f64),
    /// What keeps the denominator from zero; 10⁻⁸ by default.
    pub eps: f64,
    /// The L2 penalty, added to the gradient; 0 by default.
    pub weight_decay: f64,
    /// Whether the largest second moment so far is divided by (AMSGrad); `false` by default.
    pub amsgrad: bool,
}

impl Default for AdamConfig {
    fn default() -> Self {
        Self { lr: 1e-3, betas: (0.9, 0.999), eps: 1e-8, weight_decay: 0.0, amsgrad: false }
    }
}

impl UpdateRule for AdamConfig {
    fn lr(&self) -> f64 {
        self.lr
    }

    fn weight_decay(&self) -> f64 {
        self.weight_decay
    }

    fn check(&self) -> Result<()> {
        self.check_as("Adam")
    }

    fn states(&self) -> Vec<&'static str> {
        let states = ["exp_avg", "exp_avg_sq", "max_exp_avg_sq"];
        states[..if self.amsgrad { 3 } else { 2 }].to_vec()
    }

    fn update(&self, var: &Var, grad: &Tensor, states: &[Var], step: &StepOf) -> Result<()> {
        self.update_by(var, grad, states, step, false)
    }
}

impl AdamConfig {
    fn check_as(&self, op: &'static str) -> Result<()> {
        not_negative(op, [("lr", self.lr), ("weight_decay", self.weight_decay)])?;
        check_eps(op, self.eps)?;
        [self.betas.0, self.betas.1].into_iter().try_for_each(|beta| below_one(op, "betas", beta))
    }

    fn update_by(
        &self,
        var: &Var,
        grad: &Tensor,
        states: &[Var],
        step: &StepOf,
        decoupled_weight_decay: bool,
    ) -> Result<()> {
        let [exp_avg, exp_avg_sq, max @ ..] = states else { return Ok(()) };
        let numbers = AdamStep {
            lr: step.lr,
            betas: (step.momentum.unwrap_or(self.betas.0), self.betas.1),
            eps: self.eps,
            weight_decay: step.weight_decay,
            decoupled_weight_decay,
            step: step.number,
            grad_scale: step.grad_scale,
        };
        Ok(adam_step(var, grad, exp_avg, exp_avg_sq, max.first(), &numbers)?)
    }
}

/// The numbers of [`AdamW`], with PyTorch's names and defaults.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct AdamWConfig {
    /// The learning rate; 0.001 by default.
    pub lr: f64,
    /// How much of the former first and second moment stays; (0.9, 0.999) by default.
    pub betas: (f64, f64),
    /// What keeps the denominator from zero; 10⁻⁸ by default.
    pub eps: f64,
    /// The decoupled weight decay; 0.01 by default.
    pub weight_decay: f64,
    /// Whether the largest second moment so far is divided by (AMSGrad); `false` by default.
    pub amsgrad: bool,
}

impl Default for AdamWConfig {
    fn default() -> Self {
        Self { lr: 1e-3, betas: (0.9, 0.999), eps: 1e-8, weight_decay: 1e-2, amsgrad: false }
    }
}

impl UpdateRule for AdamWConfig {
    fn lr(&self) -> f64 {
        self.lr
    }

    fn weight_decay(&self) -> f64 {
        self.weight_decay
    }

    fn check(&self) -> Result<()> {
        self.as_adam().check_as("AdamW")
    }

    fn states(&self) -> Vec<&'static str> {
        self.as_adam().states()
    }

    fn update(&self, var: &Var, grad: &Tensor, states: &[Var], step: &StepOf) -> Result<()> {
        self.as_adam().update_by(var, grad, states, step, true)
    }
}

impl AdamWConfig {
    fn as_adam(&self) -> AdamConfig {
        let Self { lr, betas, eps, weight_decay, amsgrad } = *self;
        AdamConfig { lr, betas, eps, weight_decay, amsgrad }
    }
}
