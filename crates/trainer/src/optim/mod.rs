//! Optimisers: what moves the variables, and what it remembers between two moves.
//!
//! An optimiser owns no variable. It is handed variables and gradients by name, and its state goes by the same names, so
//! that it can be saved beside them. Each step is one fused pass in place, from [`taper_ops::optim`].
//!
//! An optimiser is [`PerVariable`] over its configuration, which brings the formula and the names of its states
//! ([`UpdateRule`]); one of your own needs no more.

mod adadelta;
mod adagrad;
mod adam;
mod group;
mod lion;
mod muon;
mod per_variable;
mod rms_prop;
mod sgd;

pub use adadelta::{Adadelta, AdadeltaConfig};
pub use adagrad::{Adagrad, AdagradConfig};
pub use adam::{Adam, AdamConfig, AdamW, AdamWConfig};
pub use group::ParamGroup;
pub use lion::{Lion, LionConfig};
pub use muon::{Muon, MuonConfig};
pub use per_variable::{PerVariable, StepOf, UpdateRule};
pub use rms_prop::{RmsProp, RmsPropConfig};
pub use sgd::{Sgd, SgdConfig};

use crate::{Error, Rates, Result};
use candle_core::{Tensor, Var};
use std::collections::BTreeMap;
use std::fmt::Debug;

/// What turns gradients into a step.
pub trait Optimizer: Debug {
    /// The learning rate it was configured with, which holds where there is no schedule.
    fn lr(&self) -> f64;

    /// Its configuration in words; a resumed run must have the same.
    fn configuration(&self) -> String;

    /// Refuses variables that it cannot step as it was asked to; called before the first step.
    ///
    /// # Errors
    /// When the name pattern of a group fits none of `vars`.
    fn validate(&self, _vars: &BTreeMap<String, Var>) -> Result<()> {
        Ok(())
    }

    /// Moves each of `vars` that has a gradient, in place. The gradients are multiplied with `grad_scale` first (see
    /// [`clip_scale`]); 1 leaves them as they are.
    ///
    /// # Errors
    /// When a gradient does not have its variable's shape and dtype, or the dtype is neither f32 nor f64.
    fn step(
        &mut self,
        vars: &BTreeMap<String, Var>,
        grads: &BTreeMap<String, Tensor>,
        rates: Rates,
        grad_scale: f64,
    ) -> Result<()>;

    /// A copy of all it remembers, as `<variable>.<state>`; nothing before the first step.
    ///
    /// # Errors
    /// When a tensor cannot be copied.
    fn state(&self) -> Result<BTreeMap<String, Tensor>>;

    /// Replaces all it remembers by what [`state`](Optimizer::state) gave for the same variables.
    ///
    /// # Errors
    /// When the state has an entry too many or too few, or one of the wrong shape or dtype; then nothing has changed.
    fn load_state(&mut self, vars: &BTreeMap<String, Var>, state: &BTreeMap<String, Tensor>) -> Result<()>;
}

/// The gradients of `loss` by the name of their variable, free of the graph.
///
/// A variable that the loss does not depend on has none. One that goes by several names (tied weights) has its gradient
/// under the first, so that it is stepped once.
///
/// # Errors
/// When the backward pass fails.
///
/// ```
/// use candle_core::{Device, Var};
/// use std::collections::BTreeMap;
/// use taper_trainer::optim::gradients;
///
/// let weight = Var::new(&[3f32, -1.], &Device::Cpu)?;
/// let vars = BTreeMap::from([("tied".to_owned(), weight.clone()), ("weight".to_owned(), weight.clone())]);
/// let grads = gradients(&weight.sqr()?.sum_all()?, &vars)?;
/// assert_eq!(grads["tied"].to_vec1::<f32>()?, [6., -2.]);
/// assert_eq!(grads.len(), 1);
/// # Ok::<(), taper_trainer::Error>(())
/// ```
pub fn gradients(loss: &Tensor, vars: &BTreeMap<String, Var>) -> Result<BTreeMap<String, Tensor>> {
    let mut store = taper_ops::backward(loss)?;
    let grads = vars.iter().filter_map(|(name, var)| Some((name.clone(), store.remove(var)?.detach())));
    Ok(grads.collect())
}

/// The variables with each tied one under the first of its names alone, as [`gradients`] names them.
fn distinct(vars: &BTreeMap<String, Var>) -> BTreeMap<String, Var> {
    let mut seen = std::collections::HashSet::new();
    vars.iter().filter(|(_, var)| seen.insert(var.id())).map(|(name, var)| (name.clone(), var.clone())).collect()
}

/// What gradients whose global norm is `norm` are multiplied with, so that it does not exceed `max_norm`.
///
/// # Formula
/// `min(1, max_norm / (norm + 10⁻⁶))`, as in `torch.nn.utils.clip_grad_norm_`.
///
/// ```
/// use taper_trainer::optim::clip_scale;
///
/// assert_eq!(clip_scale(0.5, 1.0), 1.0);
/// assert!((clip_scale(4.0, 1.0) - 0.25).abs() < 1e-6);
/// ```
pub fn clip_scale(norm: f64, max_norm: f64) -> f64 {
    (max_norm / (norm + 1e-6)).min(1.0)
}

/// Refuses any of `values` that is negative or not finite.
fn not_negative<const N: usize>(op: &'static str, values: [(&'static str, f64); N]) -> Result<()> {
    let check = |(argument, value)| in_range(op, argument, value, "finite and not negative", 0.0..f64::INFINITY);
    values.into_iter().try_for_each(check)
}

/// Refuses an `eps` that keeps no denominator from zero, in float32 either.
fn check_eps(op: &'static str, eps: f64) -> Result<()> {
    let expected = "finite and at least 2⁻¹²⁶, the least normal float32, or 0 is divided by 0 where a gradient is 0";
    in_range(op, "eps", eps, expected, f64::from(f32::MIN_POSITIVE)..f64::INFINITY)
}

/// Refuses what keeps less than nothing or more than almost all of an average.
fn below_one(op: &'static str, argument: &'static str, value: f64) -> Result<()> {
    in_range(op, argument, value, "at least 0 and less than 1", 0.0..1.0)
}

/// Refuses `value` unless it lies in `range`, which `expected` says in words.
fn in_range(
    op: &'static str,
    argument: &'static str,
    value: f64,
    expected: &'static str,
    range: impl std::ops::RangeBounds<f64>,
) -> Result<()> {
    if range.contains(&value) {
        return Ok(());
    }
    Err(Error::Value { op, argument, expected, value: value.to_string() })
}

/// A tensor's dtype and shape, for messages.
pub(crate) fn describe(tensor: &Tensor) -> String {
    format!("{} {:?}", tensor.dtype().as_str(), tensor.dims())
}
