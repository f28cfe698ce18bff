//! Stochastic gradient descent: its configuration and its state by name.

use super::{Optimizer, in_range, load_like, owners};
use crate::{Error, Rates, Result};
use candle_core::{Tensor, Var};
use std::collections::BTreeMap;
use taper_ops::optim::{SgdStep, sgd_step};

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

/// Stochastic gradient descent, with momentum, Nesterov's look-ahead and weight decay: `torch.optim.SGD`.
///
/// The formula is that of [`sgd_step`]. Its state is `<variable>.momentum_buffer`, from a variable's first gradient on.
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
/// assert_eq!(sgd.state()?.into_keys().collect::<Vec<_>>(), ["weight.momentum_buffer"]);
/// # Ok::<(), taper_trainer::Error>(())
/// ```
#[derive(Debug)]
pub struct Sgd {
    config: SgdConfig,
    velocities: BTreeMap<String, Var>,
}

const VELOCITY: &str = "momentum_buffer";

impl Sgd {
    /// An optimiser that remembers nothing yet.
    ///
    /// # Errors
    /// When a number is negative or not finite, or Nesterov's look-ahead is asked for without momentum or with dampening.
    pub fn new(config: SgdConfig) -> Result<Self> {
        let op = "Sgd";
        for (argument, value) in
            [("lr", config.lr), ("momentum", config.momentum), ("weight_decay", config.weight_decay)]
        {
            in_range(op, argument, value, "finite and not negative", 0.0..f64::INFINITY)?;
        }
        in_range(op, "dampening", config.dampening, "finite", f64::MIN..f64::INFINITY)?;
        if config.nesterov && (config.momentum <= 0.0 || config.dampening.abs() > 0.0) {
            let value = format!("momentum {} and dampening {}", config.momentum, config.dampening);
            return Err(Error::Value {
                op,
                argument: "nesterov",
                expected: "off unless momentum is positive and dampening 0",
                value,
            });
        }
        Ok(Self { config, velocities: BTreeMap::new() })
    }
}

impl Optimizer for Sgd {
    fn lr(&self) -> f64 {
        self.config.lr
    }

    fn configuration(&self) -> String {
        format!("{:?}", self.config)
    }

    fn step(
        &mut self,
        vars: &BTreeMap<String, Var>,
        grads: &BTreeMap<String, Tensor>,
        rates: Rates,
        grad_scale: f64,
    ) -> Result<()> {
        let SgdConfig { dampening, weight_decay, nesterov, .. } = self.config;
        let momentum = rates.momentum.unwrap_or(self.config.momentum);
        for (name, grad) in grads {
            let Some(var) = vars.get(name) else { continue };
            let first = !self.velocities.contains_key(name);
            if momentum > 0.0 && first {
                self.velocities.insert(name.clone(), Var::from_tensor(&var.zeros_like()?)?);
            }
            let velocity = if momentum > 0.0 { self.velocities.get(name) } else { None };
            let step = SgdStep { lr: rates.lr, momentum, dampening, weight_decay, nesterov, first, grad_scale };
            sgd_step(var, grad, velocity, &step)?;
        }
        Ok(())
    }

    fn state(&self) -> Result<BTreeMap<String, Tensor>> {
        self.velocities.iter().map(|(name, var)| Ok((format!("{name}.{VELOCITY}"), var.copy()?))).collect()
    }

    fn load_state(&mut self, vars: &BTreeMap<String, Var>, state: &BTreeMap<String, Tensor>) -> Result<()> {
        let owners = owners(vars, state, &[VELOCITY])?;
        self.velocities = owners
            .into_iter()
            .map(|(name, var)| Ok((name.to_owned(), load_like(state, name, VELOCITY, var)?)))
            .collect::<Result<_>>()?;
        Ok(())
    }
}
