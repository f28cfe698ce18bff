//! Adagrad.

use super::{PerVariable, StepOf, UpdateRule, check_eps, not_negative};
use crate::Result;
use candle_core::{Tensor, Var};
use taper_ops::optim::{AdagradStep, adagrad_step};

/// Adagrad: `torch.optim.Adagrad`.
///
/// The formula is that of [`adagrad_step`]. Its state is `sum`.
///
/// ```
/// use candle_core::{Device, Var};
/// use std::collections::BTreeMap;
/// use taper_trainer::Rates;
/// use taper_trainer::optim::{Adagrad, AdagradConfig, Optimizer, gradients};
///
/// let weight = Var::new(&[1f64, -2.], &Device::Cpu)?;
/// let vars = BTreeMap::from([("weight".to_owned(), weight.clone())]);
/// let mut optimizer = Adagrad::new(AdagradConfig { lr: 0.5, ..Default::default() })?;
/// for _ in 0..200 {
///     let grads = gradients(&weight.sqr()?.sum_all()?, &vars)?;
///     optimizer.step(&vars, &grads, Rates::constant(optimizer.lr()), 1.0)?;
/// }
/// assert!(weight.to_vec1::<f64>()?.iter().all(|w| w.abs() < 1e-3));
/// # Ok::<(), taper_trainer::Error>(())
/// ```
pub type Adagrad = PerVariable<AdagradConfig>;

/// The numbers of [`Adagrad`], with PyTorch's names and defaults.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct AdagradConfig {
    /// The learning rate; 0.01 by default.
    pub lr: f64,
    /// How fast the learning rate falls with the number of the step; 0 by default.
    pub lr_decay: f64,
    /// The L2 penalty, added to the gradient; 0 by default.
    pub weight_decay: f64,
    /// What the sum of squares begins with; 0 by default.
    pub initial_accumulator_value: f64,
    /// What keeps the denominator from zero; 10⁻¹⁰ by default.
    pub eps: f64,
}

impl Default for AdagradConfig {
    fn default() -> Self {
        Self { lr: 1e-2, lr_decay: 0.0, weight_decay: 0.0, initial_accumulator_value: 0.0, eps: 1e-10 }
    }
}

impl UpdateRule for AdagradConfig {
    fn lr(&self) -> f64 {
        self.lr
    }

    fn weight_decay(&self) -> f64 {
        self.weight_decay
    }

    fn check(&self) -> Result<()> {
        let Self { lr, lr_decay, weight_decay, initial_accumulator_value, eps } = *self;
        let numbers = [
            ("lr", lr),
            ("lr_decay", lr_decay),
            ("weight_decay", weight_decay),
            ("initial_accumulator_value", initial_accumulator_value),
        ];
        not_negative("Adagrad", numbers)?;
        check_eps("Adagrad", eps)
    }

    fn states(&self) -> Vec<&'static str> {
        vec!["sum"]
    }

    fn initial(&self) -> f64 {
        self.initial_accumulator_value
    }

    fn update(&self, var: &Var, grad: &Tensor, states: &[Var], step: &StepOf) -> Result<()> {
        step.refuse_momentum("Adagrad")?;
        let [sum] = states else { return Ok(()) };
        let numbers = AdagradStep {
            lr: step.lr,
            lr_decay: self.lr_decay,
            eps: self.eps,
            weight_decay: step.weight_decay,
            step: step.number,
            grad_scale: step.grad_scale,
        };
        Ok(adagrad_step(var, grad, sum, &numbers)?)
    }
}
