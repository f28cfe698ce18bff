//! Lion.

use super::{PerVariable, StepOf, UpdateRule, below_one, not_negative};
use crate::Result;
use candle_core::{Tensor, Var};
use taper_ops::optim::{LionStep, lion_step};

/// Lion, which steps along the sign of its momentum; its learning rate is usually three to ten times lower than AdamW's, its
/// weight decay as many times higher.
///
/// The formula is that of [`lion_step`]. Its state is `exp_avg`. A schedule's momentum takes the place of β₁.
///
/// ```
/// use candle_core::{Device, Var};
/// use std::collections::BTreeMap;
/// use taper_trainer::Rates;
/// use taper_trainer::optim::{Lion, LionConfig, Optimizer, gradients};
///
/// let weight = Var::new(&[1f64, -2.], &Device::Cpu)?;
/// let vars = BTreeMap::from([("weight".to_owned(), weight.clone())]);
/// let mut optimizer = Lion::new(LionConfig { lr: 0.005, ..Default::default() })?;
/// for _ in 0..800 {
///     let grads = gradients(&weight.sqr()?.sum_all()?, &vars)?;
///     optimizer.step(&vars, &grads, Rates::constant(optimizer.lr()), 1.0)?;
/// }
/// assert!(weight.to_vec1::<f64>()?.iter().all(|w| w.abs() < 0.1));
/// # Ok::<(), taper_trainer::Error>(())
/// ```
pub type Lion = PerVariable<LionConfig>;

/// The numbers of [`Lion`], with the paper's names and defaults.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct LionConfig {
    /// The learning rate, which is how far each element moves; 10⁻⁴ by default.
    pub lr: f64,
    /// How much of the momentum the step takes, and how much of it stays; (0.9, 0.99) by default.
    pub betas: (f64, f64),
    /// The decoupled weight decay; 0 by default.
    pub weight_decay: f64,
}

impl Default for LionConfig {
    fn default() -> Self {
        Self { lr: 1e-4, betas: (0.9, 0.99), weight_decay: 0.0 }
    }
}

impl UpdateRule for LionConfig {
    fn lr(&self) -> f64 {
        self.lr
    }

    fn weight_decay(&self) -> f64 {
        self.weight_decay
    }

    fn check(&self) -> Result<()> {
        not_negative("Lion", [("lr", self.lr), ("weight_decay", self.weight_decay)])?;
        [self.betas.0, self.betas.1].into_iter().try_for_each(|beta| below_one("Lion", "betas", beta))
    }

    fn states(&self) -> Vec<&'static str> {
        vec!["exp_avg"]
    }

    fn update(&self, var: &Var, grad: &Tensor, states: &[Var], step: &StepOf) -> Result<()> {
        let [exp_avg] = states else { return Ok(()) };
        let numbers = LionStep {
            lr: step.lr,
            betas: (step.momentum.unwrap_or(self.betas.0), self.betas.1),
            weight_decay: step.weight_decay,
            grad_scale: step.grad_scale,
        };
        Ok(lion_step(var, grad, exp_avg, &numbers)?)
    }
}
