//! Adadelta.

use super::{PerVariable, StepOf, UpdateRule, below_one, check_eps, not_negative};
use crate::Result;
use candle_core::{Tensor, Var};
use taper_ops::optim::{AdadeltaStep, adadelta_step};

/// Adadelta: `torch.optim.Adadelta`.
///
/// The formula is that of [`adadelta_step`]. Its states are `square_avg` and `acc_delta`.
///
/// ```
/// use candle_core::{Device, Var};
/// use std::collections::BTreeMap;
/// use taper_trainer::Rates;
/// use taper_trainer::optim::{Adadelta, AdadeltaConfig, Optimizer, gradients};
///
/// let weight = Var::new(&[1f64, -2.], &Device::Cpu)?;
/// let vars = BTreeMap::from([("weight".to_owned(), weight.clone())]);
/// let mut optimizer = Adadelta::new(AdadeltaConfig { eps: 1e-3, ..Default::default() })?;
/// for _ in 0..400 {
///     let grads = gradients(&weight.sqr()?.sum_all()?, &vars)?;
///     optimizer.step(&vars, &grads, Rates::constant(optimizer.lr()), 1.0)?;
/// }
/// assert!(weight.to_vec1::<f64>()?.iter().all(|w| w.abs() < 1e-2));
/// # Ok::<(), taper_trainer::Error>(())
/// ```
pub type Adadelta = PerVariable<AdadeltaConfig>;

/// The numbers of [`Adadelta`], with PyTorch's names and defaults.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct AdadeltaConfig {
    /// The learning rate, which multiplies a step that has the parameter's own scale; 1 by default.
    pub lr: f64,
    /// How much of the former averages stays; 0.9 by default.
    pub rho: f64,
    /// What keeps both roots from zero; 10⁻⁶ by default.
    pub eps: f64,
    /// The L2 penalty, added to the gradient; 0 by default.
    pub weight_decay: f64,
}

impl Default for AdadeltaConfig {
    fn default() -> Self {
        Self { lr: 1.0, rho: 0.9, eps: 1e-6, weight_decay: 0.0 }
    }
}

impl UpdateRule for AdadeltaConfig {
    fn lr(&self) -> f64 {
        self.lr
    }

    fn weight_decay(&self) -> f64 {
        self.weight_decay
    }

    fn check(&self) -> Result<()> {
        not_negative("Adadelta", [("lr", self.lr), ("weight_decay", self.weight_decay)])?;
        check_eps("Adadelta", self.eps)?;
        below_one("Adadelta", "rho", self.rho)
    }

    fn states(&self) -> Vec<&'static str> {
        vec!["square_avg", "acc_delta"]
    }

    fn update(&self, var: &Var, grad: &Tensor, states: &[Var], step: &StepOf) -> Result<()> {
        step.refuse_momentum("Adadelta")?;
        let [square_avg, acc_delta] = states else { return Ok(()) };
        let numbers = AdadeltaStep {
            lr: step.lr,
            rho: self.rho,
            eps: self.eps,
            weight_decay: step.weight_decay,
            grad_scale: step.grad_scale,
        };
        Ok(adadelta_step(var, grad, square_avg, acc_delta, &numbers)?)
    }
}
