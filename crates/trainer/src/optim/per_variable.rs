//! What all optimisers share: the walk over the variables, and their states by name.

use super::group::ParamGroups;
use super::{Optimizer, ParamGroup, describe};
use crate::{Error, Rates, Result};
use candle_core::{DType, Device, Tensor, Var};
use std::collections::BTreeMap;
use std::fmt::Debug;

/// What tells one optimiser from another: its numbers, the names of its states, and its formula for one variable.
///
/// The `Debug` form is its configuration in words: a resumed run must have the same.
///
/// ```
/// use candle_core::{Device, Tensor, Var};
/// use std::collections::BTreeMap;
/// use taper_trainer::optim::{Optimizer, PerVariable, StepOf, UpdateRule};
/// use taper_trainer::{Rates, Result};
///
/// /// Steps against the sign of the gradient.
/// #[derive(Debug)]
/// struct SignSgd {
///     lr: f64,
/// }
///
/// impl UpdateRule for SignSgd {
///     fn lr(&self) -> f64 {
///         self.lr
///     }
///
///     fn update(&self, var: &Var, grad: &Tensor, _: &[Var], step: &StepOf) -> Result<()> {
///         Ok(var.set(&(var.as_detached_tensor() - (grad.sign()? * step.lr)?)?)?)
///     }
/// }
///
/// let vars = BTreeMap::from([("weight".to_owned(), Var::new(&[1f64, 2.], &Device::Cpu)?)]);
/// let grads = BTreeMap::from([("weight".to_owned(), Tensor::new(&[1e-3f64, -1e3], &Device::Cpu)?)]);
/// let mut optimizer = PerVariable::new(SignSgd { lr: 0.5 })?;
/// optimizer.step(&vars, &grads, Rates::constant(0.5), 1.0)?;
/// assert_eq!(vars["weight"].to_vec1::<f64>()?, [0.5, 2.5]);
/// # Ok::<(), taper_trainer::Error>(())
/// ```
pub trait UpdateRule: Debug {
    /// The learning rate where there is no schedule.
    fn lr(&self) -> f64;

    /// The weight decay of variables whose group has none of its own.
    fn weight_decay(&self) -> f64 {
        0.0
    }

    /// Refuses numbers that make no optimiser.
    ///
    /// # Errors
    /// When a number is out of range.
    fn check(&self) -> Result<()> {
        Ok(())
    }

    /// The names of its states, each a tensor of the variable's shape and dtype.
    fn states(&self) -> Vec<&'static str> {
        Vec::new()
    }

    /// What the states are filled with before the first step.
    fn initial(&self) -> f64 {
        0.0
    }

    /// Moves `var` and its states, which are in the order of [`states`](UpdateRule::states), in place.
    ///
    /// # Errors
    /// When the gradient does not have the variable's shape and dtype, or the dtype is neither f32 nor f64.
    fn update(&self, var: &Var, grad: &Tensor, states: &[Var], step: &StepOf) -> Result<()>;
}

/// The numbers of one step of one variable.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct StepOf {
    /// The number of this step of this variable, counted from 1.
    pub number: u64,
    /// The learning rate.
    pub lr: f64,
    /// The weight decay.
    pub weight_decay: f64,
    /// The momentum, where the schedule decides it.
    pub momentum: Option<f64>,
    /// What the gradient is to be multiplied with first.
    pub grad_scale: f64,
}

impl StepOf {
    /// Refuses a schedule's momentum, for a rule that has none.
    pub(super) fn refuse_momentum(&self, op: &'static str) -> Result<()> {
        let Some(momentum) = self.momentum else { return Ok(()) };
        let expected = "left to the optimiser, which was configured without";
        Err(Error::Value { op, argument: "the schedule's momentum", expected, value: momentum.to_string() })
    }
}

/// An optimiser that steps each variable by itself, by an [`UpdateRule`].
///
/// A variable's state is `<variable>.<state>` for each of the rule's states, and `<variable>.step`, the number of its steps;
/// it begins with the variable's first gradient.
#[derive(Debug)]
pub struct PerVariable<R> {
    rule: R,
    groups: ParamGroups,
    pub(super) states: BTreeMap<String, State>,
}

/// What is remembered of one variable.
#[derive(Debug)]
pub(super) struct State {
    steps: u64,
    tensors: Vec<Var>,
}

const STEP: &str = "step";

impl<R: UpdateRule> PerVariable<R> {
    /// An optimiser that remembers nothing yet.
    ///
    /// # Errors
    /// When a number is out of range: a learning rate, a decay or a momentum that is negative or not finite, an average that
    /// keeps 1 or more.
    pub fn new(rule: R) -> Result<Self> {
        rule.check()?;
        Ok(Self { rule, groups: ParamGroups::default(), states: BTreeMap::new() })
    }

    /// Steps variables whose names fit `pattern`, in which each `*` stands for any characters, with numbers of their own.
    /// Each number is that of the first group that fits and sets it, so groups that set different numbers add up; a tied
    /// variable goes by the first of its names.
    ///
    /// # Errors
    /// When a number of the group is negative or not finite. A pattern that fits no variable is refused when training
    /// starts.
    ///
    /// ```
    /// use taper_trainer::optim::{AdamW, AdamWConfig, ParamGroup};
    ///
    /// // The features' biases have both: a tenth of the rate, and no decay.
    /// let adamw = AdamW::new(AdamWConfig::default())?
    ///     .group("features.*", ParamGroup::default().lr_scale(0.1))?
    ///     .no_weight_decay(["*.bias", "*bn*.weight"]);
    /// # Ok::<(), taper_trainer::Error>(())
    /// ```
    pub fn group(mut self, pattern: &str, group: ParamGroup) -> Result<Self> {
        self.groups.add(pattern, group)?;
        Ok(self)
    }

    /// A [`group`](PerVariable::group) without weight decay for each of `patterns`, as is usual for biases and the weights of
    /// normalisation.
    pub fn no_weight_decay<'a>(mut self, patterns: impl IntoIterator<Item = &'a str>) -> Self {
        self.groups.extend_without_decay(patterns);
        self
    }

    /// The states that `state` holds; nothing is changed.
    pub(super) fn load(
        &self,
        vars: &BTreeMap<String, Var>,
        state: &BTreeMap<String, Tensor>,
    ) -> Result<BTreeMap<String, State>> {
        let names = self.rule.states();
        let load = |(name, var): (&str, &Var)| {
            let tensors = names.iter().map(|part| load_like(state, name, part, var)).collect::<Result<_>>()?;
            Ok((name.to_owned(), State { steps: load_steps(state, name)?, tensors }))
        };
        owners(vars, state, &names)?.into_iter().map(load).collect()
    }
}

impl<R: UpdateRule + Default> Default for PerVariable<R> {
    fn default() -> Self {
        Self { rule: R::default(), groups: ParamGroups::default(), states: BTreeMap::new() }
    }
}

impl<R: UpdateRule> Optimizer for PerVariable<R> {
    fn lr(&self) -> f64 {
        self.rule.lr()
    }

    fn configuration(&self) -> String {
        let Self { rule, groups, .. } = self;
        if groups.is_empty() { format!("{rule:?}") } else { format!("{rule:?}, {groups:?}") }
    }

    fn validate(&self, vars: &BTreeMap<String, Var>) -> Result<()> {
        self.groups.validate(vars)
    }

    fn step(
        &mut self,
        vars: &BTreeMap<String, Var>,
        grads: &BTreeMap<String, Tensor>,
        rates: Rates,
        grad_scale: f64,
    ) -> Result<()> {
        for (name, grad) in grads {
            let Some(var) = vars.get(name) else { continue };
            if !self.states.contains_key(name) {
                let initial = |_| Ok(Var::from_tensor(&(var.zeros_like()? + self.rule.initial())?)?);
                let tensors = self.rule.states().into_iter().map(initial).collect::<Result<_>>()?;
                self.states.insert(name.clone(), State { steps: 0, tensors });
            }
            let Some(State { steps, tensors }) = self.states.get_mut(name) else { continue };
            let ParamGroup { lr_scale, weight_decay } = self.groups.of(name);
            let step = StepOf {
                number: *steps + 1,
                lr: rates.lr * lr_scale.unwrap_or(1.0),
                weight_decay: weight_decay.unwrap_or(self.rule.weight_decay()),
                momentum: rates.momentum,
                grad_scale,
            };
            self.rule.update(var, grad, tensors, &step)?;
            *steps += 1;
        }
        Ok(())
    }

    fn state(&self) -> Result<BTreeMap<String, Tensor>> {
        let parts = self.rule.states();
        let mut state = BTreeMap::new();
        for (name, State { steps, tensors }) in &self.states {
            state.insert(format!("{name}.{STEP}"), Tensor::new(*steps as i64, &Device::Cpu)?);
            for (part, tensor) in parts.iter().zip(tensors) {
                state.insert(format!("{name}.{part}"), tensor.copy()?);
            }
        }
        Ok(state)
    }

    fn load_state(&mut self, vars: &BTreeMap<String, Var>, state: &BTreeMap<String, Tensor>) -> Result<()> {
        self.states = self.load(vars, state)?;
        Ok(())
    }
}

/// The entry `<name>.<part>` of a state, as a variable of its own, if it fits `var`.
fn load_like(state: &BTreeMap<String, Tensor>, name: &str, part: &str, var: &Var) -> Result<Var> {
    let tensor = entry(state, name, part)?;
    if tensor.dims() != var.dims() || tensor.dtype() != var.dtype() {
        let (found, expected) = (describe(tensor), describe(var));
        return Err(Error::OptimizerState {
            entry: format!("{name}.{part}"),
            reason: format!("is {found}, but its variable is {expected}"),
        });
    }
    Ok(Var::from_tensor(&tensor.to_device(var.device())?.copy()?)?)
}

fn load_steps(state: &BTreeMap<String, Tensor>, name: &str) -> Result<u64> {
    let tensor = entry(state, name, STEP)?;
    let refuse = |reason| Error::OptimizerState { entry: format!("{name}.{STEP}"), reason };
    if tensor.dtype() != DType::I64 || tensor.rank() != 0 {
        return Err(refuse(format!("is {}, not a number of type i64", describe(tensor))));
    }
    let steps = tensor.to_scalar::<i64>()?;
    u64::try_from(steps).map_err(|_| refuse(format!("is {steps}, not a count of steps")))
}

fn entry<'a>(state: &'a BTreeMap<String, Tensor>, name: &str, part: &str) -> Result<&'a Tensor> {
    let entry = format!("{name}.{part}");
    state.get(&entry).ok_or_else(|| Error::OptimizerState { entry, reason: "is missing".to_owned() })
}

/// The variables that `state` has an entry of, by name; an entry that is no part of any of them is refused.
fn owners<'a>(
    vars: &'a BTreeMap<String, Var>,
    state: &BTreeMap<String, Tensor>,
    parts: &[&str],
) -> Result<BTreeMap<&'a str, &'a Var>> {
    let owner = |entry: &str| {
        let (name, part) = entry.rsplit_once('.')?;
        vars.get_key_value(name).filter(|_| part == STEP || parts.contains(&part))
    };
    state
        .keys()
        .map(|entry| match owner(entry) {
            Some((name, var)) => Ok((name.as_str(), var)),
            None => Err(Error::OptimizerState {
                entry: entry.clone(),
                reason: "belongs to no variable of this model and optimiser".to_owned(),
            }),
        })
        .collect()
}
