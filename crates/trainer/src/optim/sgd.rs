//! Stochastic gradient descent.

use super::{PerVariable, StepOf, UpdateRule, in_range, not_negative};
use crate::{Error, Result};
use candle_core::{Tensor, Var};
use taper_ops::optim::{SgdStep, sgd_step};

/// Stochastic gradient descent, with momentum, Nesterov's look-ahead and weight decay: `torch.optim.SGD`.
///
/// The formula is that of [`sgd_step`]. Its state is `momentum_buffer`, where there is momentum.
///
/// ```
/// use candle_core::{Device, Var};
/// use std::collections::BTreeMap;
/// use taper_trainer::Rates;
/// use taper_trainer::optim::{Optimizer, Sgd, SgdConfig, gradients};
///
/// let weight = Var::new(&[1f64, -2.], &Device::Cpu)?;
/// let vars = BTreeMap::from([("weight".to_owned(), weight.clone())]);
/// let mut sgd = Sgd::new(SgdConfig { lr: 0.1, momentum: 0.9, ..Default::default() })?;
/// for _ in 0..200 {
///     let grads = gradients(&weight.sqr()?.sum_all()?, &vars)?;
///     sgd.step(&vars, &grads, Rates::constant(sgd.lr()), 1.0)?;
/// }
/// assert!(weight.to_vec1::<f64>()?.iter().all(|w| w.abs() < 1e-3));
/// assert_eq!(sgd.state()?.into_keys().collect::<Vec<_>>(), ["weight.momentum_buffer", "weight.step"]);
/// # Ok::<(), taper_trainer::Error>(())
/// ```
pub type Sgd = PerVariable<SgdConfig>;

/// The numbers of [`Sgd`], with PyTorch's names and defaults.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct SgdConfig {
    /// The learning rate; 0.001 by default.
    pub lr: f64,
    /// How much of the former velocity stays; 0 by default, which keeps no velocity.
    pub momentum: f64,
    /// How much of the gradient the velocity leaves out; 0 by default.
    pub dampening: f64,
    /// The L2 penalty, added to the gradient; 0 by default.
    pub weight_decay: f64,
    /// Whether to look ahead along the velocity; `false` by default.
    pub nesterov: bool,
}

impl Default for SgdConfig {
    fn default() -> Self {
        Self { lr: 1e-3, momentum: 0.0, dampening: 0.0, weight_decay: 0.0, nesterov: false }
    }
}

impl UpdateRule for SgdConfig {
    fn lr(&self) -> f64 {
        self.lr
    }

    fn weight_decay(&self) -> f64 {
        self.weight_decay
    }

    fn check(&self) -> Result<()> {
        let (op, Self { lr, momentum, weight_decay, .. }) = ("Sgd", *self);
        not_negative(op, [("lr", lr), ("momentum", momentum), ("weight_decay", weight_decay)])?;
        in_range(op, "dampening", self.dampening, "finite", f64::MIN..f64::INFINITY)?;
        if self.nesterov && (self.momentum <= 0.0 || self.dampening.abs() > 0.0) {
            let value = format!("momentum {} and dampening {}", self.momentum, self.dampening);
            let expected = "off unless momentum is positive and dampening 0";
            return Err(Error::Value { op, argument: "nesterov", expected, value });
        }
        Ok(())
    }

    fn states(&self) -> Vec<&'static str> {
        if self.momentum > 0.0 { vec!["momentum_buffer"] } else { vec![] }
    }

    fn update(&self, var: &Var, grad: &Tensor, states: &[Var], step: &StepOf) -> Result<()> {
        let velocity = states.first();
        if velocity.is_none() {
            step.refuse_momentum("Sgd")?;
        }
        let step = SgdStep {
            lr: step.lr,
            momentum: step.momentum.unwrap_or(self.momentum),
            dampening: self.dampening,
            weight_decay: step.weight_decay,
            nesterov: self.nesterov,
            first: step.number == 1,
            grad_scale: step.grad_scale,
        };
        Ok(sgd_step(var, grad, velocity, &step)?)
    }
}
