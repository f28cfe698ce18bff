//! AdamW: its configuration and its state by name.

use super::{Optimizer, entry, in_range, load_like, owners};
use crate::{Error, Rates, Result};
use candle_core::{DType, Device, Tensor, Var};
use std::collections::BTreeMap;
use taper_ops::optim::{AdamWStep, adamw_step};

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
}

impl Default for AdamWConfig {
    fn default() -> Self {
        Self { lr: 1e-3, betas: (0.9, 0.999), eps: 1e-8, weight_decay: 1e-2 }
    }
}

/// Adam with decoupled weight decay: `torch.optim.AdamW`.
///
/// The formula is that of [`adamw_step`]. Its state is `<variable>.exp_avg`, `.exp_avg_sq` and `.step`, from a variable's
/// first gradient on. A schedule's momentum takes the place of β₁.
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
#[derive(Debug, Default)]
pub struct AdamW {
    config: AdamWConfig,
    moments: BTreeMap<String, Moments>,
}

#[derive(Debug)]
struct Moments {
    step: u64,
    exp_avg: Var,
    exp_avg_sq: Var,
}

const EXP_AVG: &str = "exp_avg";
const EXP_AVG_SQ: &str = "exp_avg_sq";
const STEP: &str = "step";

impl AdamW {
    /// An optimiser that remembers nothing yet.
    ///
    /// # Errors
    /// When a number is negative or not finite, or a beta is not less than 1.
    pub fn new(config: AdamWConfig) -> Result<Self> {
        let op = "AdamW";
        for (argument, value) in [("lr", config.lr), ("eps", config.eps), ("weight_decay", config.weight_decay)] {
            in_range(op, argument, value, "finite and not negative", 0.0..f64::INFINITY)?;
        }
        for beta in [config.betas.0, config.betas.1] {
            in_range(op, "betas", beta, "at least 0 and less than 1", 0.0..1.0)?;
        }
        Ok(Self { config, moments: BTreeMap::new() })
    }
}

impl Optimizer for AdamW {
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
        let AdamWConfig { betas: (beta1, beta2), eps, weight_decay, .. } = self.config;
        let betas = (rates.momentum.unwrap_or(beta1), beta2);
        for (name, grad) in grads {
            let Some(var) = vars.get(name) else { continue };
            if !self.moments.contains_key(name) {
                let [exp_avg, exp_avg_sq] =
                    [Var::from_tensor(&var.zeros_like()?)?, Var::from_tensor(&var.zeros_like()?)?];
                self.moments.insert(name.clone(), Moments { step: 0, exp_avg, exp_avg_sq });
            }
            let Some(moments) = self.moments.get_mut(name) else { continue };
            let step = AdamWStep { lr: rates.lr, betas, eps, weight_decay, step: moments.step + 1, grad_scale };
            adamw_step(var, grad, &moments.exp_avg, &moments.exp_avg_sq, &step)?;
            moments.step += 1;
        }
        Ok(())
    }

    fn state(&self) -> Result<BTreeMap<String, Tensor>> {
        let mut state = BTreeMap::new();
        for (name, Moments { step, exp_avg, exp_avg_sq }) in &self.moments {
            state.insert(format!("{name}.{EXP_AVG}"), exp_avg.copy()?);
            state.insert(format!("{name}.{EXP_AVG_SQ}"), exp_avg_sq.copy()?);
            state.insert(format!("{name}.{STEP}"), Tensor::new(*step as i64, &Device::Cpu)?);
        }
        Ok(state)
    }

    fn load_state(&mut self, vars: &BTreeMap<String, Var>, state: &BTreeMap<String, Tensor>) -> Result<()> {
        let load = |(name, var): (&str, &Var)| {
            let exp_avg = load_like(state, name, EXP_AVG, var)?;
            let exp_avg_sq = load_like(state, name, EXP_AVG_SQ, var)?;
            let step = load_step(entry(state, name, STEP)?, name)?;
            Ok((name.to_owned(), Moments { step, exp_avg, exp_avg_sq }))
        };
        let owners = owners(vars, state, &[EXP_AVG, EXP_AVG_SQ, STEP])?;
        self.moments = owners.into_iter().map(load).collect::<Result<_>>()?;
        Ok(())
    }
}

fn load_step(tensor: &Tensor, name: &str) -> Result<u64> {
    let refuse = |reason| Error::OptimizerState { entry: format!("{name}.{STEP}"), reason };
    if tensor.dtype() != DType::I64 || tensor.rank() != 0 {
        return Err(refuse(format!("is {}, not a number of type i64", super::describe(tensor))));
    }
    let step = tensor.to_scalar::<i64>()?;
    u64::try_from(step).map_err(|_| refuse(format!("is {step}, not a count of steps")))
}
