//! Muon for the weights, AdamW for the rest.

use super::{
    AdamW, AdamWConfig, Optimizer, ParamGroup, PerVariable, StepOf, UpdateRule, below_one, check_eps, in_range,
    not_negative,
};
use crate::pattern::Pattern;
use crate::{Rates, Result};
use candle_core::{Tensor, Var};
use std::collections::BTreeMap;
use taper_ops::optim::{MuonStep, muon_step};

/// The numbers of [`Muon`], with PyTorch's names and defaults.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct MuonConfig {
    /// The learning rate; 0.001 by default.
    pub lr: f64,
    /// How much of the former momentum stays; 0.95 by default.
    pub momentum: f64,
    /// The decoupled weight decay; 0.1 by default.
    pub weight_decay: f64,
    /// Whether to look ahead along the momentum; `true` by default.
    pub nesterov: bool,
    /// The coefficients of the Newton–Schulz iteration; (3.4445, −4.775, 2.0315) by default.
    pub ns_coefficients: (f64, f64, f64),
    /// How many iterations there are, less than 100; 5 by default.
    pub ns_steps: usize,
    /// The least norm that a step is divided by; 10⁻⁷ by default.
    pub eps: f64,
}

impl Default for MuonConfig {
    fn default() -> Self {
        Self {
            lr: 1e-3,
            momentum: 0.95,
            weight_decay: 0.1,
            nesterov: true,
            ns_coefficients: (3.4445, -4.775, 2.0315),
            ns_steps: 5,
            eps: 1e-7,
        }
    }
}

impl UpdateRule for MuonConfig {
    fn lr(&self) -> f64 {
        self.lr
    }

    fn weight_decay(&self) -> f64 {
        self.weight_decay
    }

    fn check(&self) -> Result<()> {
        let op = "Muon";
        in_range(op, "lr", self.lr, "positive and finite", f64::MIN_POSITIVE..f64::INFINITY)?;
        check_eps(op, self.eps)?;
        not_negative(op, [("weight_decay", self.weight_decay)])?;
        below_one(op, "momentum", self.momentum)?;
        let (a, b, c) = self.ns_coefficients;
        let finite = |value| in_range(op, "ns_coefficients", value, "finite", f64::MIN..f64::INFINITY);
        [a, b, c].into_iter().try_for_each(finite)?;
        in_range(op, "ns_steps", self.ns_steps as f64, "less than 100", ..100.0)
    }

    fn states(&self) -> Vec<&'static str> {
        vec!["momentum_buffer"]
    }

    fn update(&self, var: &Var, grad: &Tensor, states: &[Var], step: &StepOf) -> Result<()> {
        let [momentum_buffer] = states else { return Ok(()) };
        let numbers = MuonStep {
            lr: step.lr,
            momentum: step.momentum.unwrap_or(self.momentum),
            weight_decay: step.weight_decay,
            nesterov: self.nesterov,
            ns_coefficients: self.ns_coefficients,
            ns_steps: self.ns_steps,
            eps: self.eps,
            grad_scale: step.grad_scale,
        };
        Ok(muon_step(var, grad, momentum_buffer, &numbers)?)
    }
}

/// Muon on variables of two axes or more, convolutions' weights among them, and AdamW on the rest: `torch.optim.Muon`
/// without its rounding to bfloat16, on the CPU.
///
/// The formula is that of [`muon_step`](taper_ops::optim::muon_step), its state `momentum_buffer`. AdamW's learning rate keeps
/// its ratio to Muon's under a schedule; a schedule's momentum is Muon's.
///
/// ```
/// use candle_core::{Device, Var};
/// use std::collections::BTreeMap;
/// use taper_trainer::Rates;
/// use taper_trainer::optim::{AdamWConfig, Muon, MuonConfig, Optimizer, gradients};
///
/// let weight = Var::new(&[[1f64, -2., 3.], [0.5, 1., 2.]], &Device::Cpu)?;
/// let bias = Var::new(&[1f64, -2.], &Device::Cpu)?;
/// let vars = BTreeMap::from([("weight".to_owned(), weight.clone()), ("bias".to_owned(), bias.clone())]);
/// let adamw = AdamWConfig { lr: 0.02, ..Default::default() };
/// let mut muon = Muon::new(MuonConfig { lr: 0.02, ..Default::default() }, adamw)?;
/// for _ in 0..400 {
///     let loss = (weight.sqr()?.sum_all()? + bias.sqr()?.sum_all()?)?;
///     muon.step(&vars, &gradients(&loss, &vars)?, Rates::constant(muon.lr()), 1.0)?;
/// }
/// assert!(weight.flatten_all()?.to_vec1::<f64>()?.iter().all(|w| w.abs() < 0.05));
/// let states: Vec<String> = muon.state()?.into_keys().collect();
/// assert_eq!(states, ["bias.exp_avg", "bias.exp_avg_sq", "bias.step", "weight.momentum_buffer", "weight.step"]);
/// # Ok::<(), taper_trainer::Error>(())
/// ```
#[derive(Debug)]
pub struct Muon {
    matrices: PerVariable<MuonConfig>,
    rest: AdamW,
    /// The matrices that are AdamW's all the same.
    excluded: Vec<Pattern>,
    /// AdamW's learning rate over Muon's.
    ratio: f64,
}

impl Muon {
    /// An optimiser that remembers nothing yet.
    ///
    /// # Errors
    /// When a number of one of the two is out of range, or Muon's learning rate is not positive.
    pub fn new(config: MuonConfig, adamw: AdamWConfig) -> Result<Self> {
        let (matrices, rest) = (PerVariable::new(config)?, AdamW::new(adamw)?);
        Ok(Self { matrices, rest, excluded: Vec::new(), ratio: adamw.lr / config.lr })
    }

    /// Leaves variables whose names fit one of `patterns`, in which each `*` stands for any characters, to AdamW, as is usual
    /// for the first and the last layer.
    pub fn adamw_for<'a>(mut self, patterns: impl IntoIterator<Item = &'a str>) -> Self {
        self.excluded.extend(patterns.into_iter().map(Pattern::new));
        self
    }

    /// Steps variables whose names fit `pattern` with numbers of their own: see [`PerVariable::group`].
    ///
    /// # Errors
    /// When a number of the group is negative or not finite.
    pub fn group(mut self, pattern: &str, group: ParamGroup) -> Result<Self> {
        self.matrices = self.matrices.group(pattern, group)?;
        self.rest = self.rest.group(pattern, group)?;
        Ok(self)
    }

    fn is_matrix(&self, name: &str, var: &Var) -> bool {
        var.rank() >= 2 && !self.excluded.iter().any(|pattern| pattern.matches(name))
    }
}

impl Optimizer for Muon {
    fn lr(&self) -> f64 {
        self.matrices.lr()
    }

    fn configuration(&self) -> String {
        let (muon, adamw) = (self.matrices.configuration(), self.rest.configuration());
        format!("{muon}, else {adamw} and for {:?}", self.excluded)
    }

    fn validate(&self, vars: &BTreeMap<String, Var>) -> Result<()> {
        self.excluded.iter().try_for_each(|pattern| pattern.check("Muon", &super::distinct(vars)))?;
        self.matrices.validate(vars)
    }

    fn step(
        &mut self,
        vars: &BTreeMap<String, Var>,
        grads: &BTreeMap<String, Tensor>,
        rates: Rates,
        grad_scale: f64,
    ) -> Result<()> {
        let is_matrix = |name: &String| vars.get(name).is_some_and(|var| self.is_matrix(name, var));
        let (matrices, rest) = grads.clone().into_iter().partition(|(name, _)| is_matrix(name));
        self.matrices.step(vars, &matrices, rates, grad_scale)?;
        self.rest.step(vars, &rest, Rates::constant(rates.lr * self.ratio), grad_scale)
    }

    fn state(&self) -> Result<BTreeMap<String, Tensor>> {
        let mut state = self.matrices.state()?;
        state.extend(self.rest.state()?);
        Ok(state)
    }

    fn load_state(&mut self, vars: &BTreeMap<String, Var>, state: &BTreeMap<String, Tensor>) -> Result<()> {
        let is_matrix = |entry: &String| {
            let owner = entry.rsplit_once('.').and_then(|(name, _)| vars.get_key_value(name));
            owner.is_some_and(|(name, var)| self.is_matrix(name, var))
        };
        let (matrices, rest) = state.clone().into_iter().partition(|(entry, _)| is_matrix(entry));
        // Both are read before either is changed.
        let (matrices, rest) = (self.matrices.load(vars, &matrices)?, self.rest.load(vars, &rest)?);
        (self.matrices.states, self.rest.states) = (matrices, rest);
        Ok(())
    }
}
