//! The builder: what is checked and how sharply.

use crate::assertions;
use crate::directions;
use crate::elements;
use crate::error::{Error, Result};
use crate::function::{Function, Input, multi_index, values};
use crate::random::Random;
use crate::report::{Assertion, Failure, Report};
use candle_core::{DType, Tensor};

/// What becomes of an element where the one-sided derivatives differ.
///
/// At relu(0) or at the tie of a maximum the central difference lies halfway between the two one-sided derivatives, which
/// no right gradient equals: such an element is counted as *not differentiable here*.
///
/// ```
/// use candle_core::{Device, Tensor};
/// use taper_gradcheck::{GradCheck, Kinks};
///
/// let x = Tensor::new(&[0f64, 1., -1.], &Device::Cpu)?;
/// let report = GradCheck::new("relu").kinks(Kinks::Within).check(|x: &[Tensor]| x[0].relu(), &[x]).unwrap();
/// assert!(report.passed());
/// assert_eq!(report.not_differentiable(), 1);
/// # Ok::<(), candle_core::Error>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Kinks {
    /// Counted, not judged.
    #[default]
    Skip,
    /// Counted, and wrong where the gradient lies outside the two one-sided derivatives.
    Within,
}

/// A gradient check: options first, then [`check`](Self::check).
///
/// # Formula
/// For a random cotangent c of both signs, every element of `Jᵀc` as candle's backward pass gives it is held against
/// `⟨f(x + h·eᵢ) − f(x − h·eᵢ), c⟩ / 2h`. For an input [declared linear](Self::linear_in) h is a power of two as large as
/// the data and the two must agree to rounding; else h runs over h, h/2, h/4, the three quotients are extrapolated
/// (Richardson), and their own disagreement is part of the tolerance.
///
/// # Source
/// Central differences and extrapolation: Press et al., *Numerical Recipes*, section 5.7.
///
/// ```
/// use candle_core::{Device, Tensor};
/// use taper_gradcheck::GradCheck;
///
/// let a = Tensor::new(&[[1f64, 2., 3.], [4., 5., 6.]], &Device::Cpu)?;
/// let b = Tensor::new(&[[1f64], [-2.], [0.5]], &Device::Cpu)?;
/// GradCheck::new("matmul")
///     .input_names(["a", "b"])
///     .linear_in([0, 1])
///     .check(|x: &[Tensor]| x[0].matmul(&x[1]), &[a, b])
///     .unwrap()
///     .assert_passed();
/// # Ok::<(), candle_core::Error>(())
/// ```
#[derive(Debug, Clone)]
pub struct GradCheck {
    pub(crate) name: String,
    pub(crate) seed: u64,
    pub(crate) dtype: DType,
    pub(crate) relative: f64,
    pub(crate) absolute: f64,
    pub(crate) kinks: Kinks,
    pub(crate) worst: usize,
    directions: Option<usize>,
    pub(crate) names: Vec<String>,
    linear: Vec<usize>,
    constant: Vec<usize>,
    skipped: Vec<Assertion>,
}

impl GradCheck {
    /// A check that reports under `name`, with the defaults: float64, seed 0, relative tolerance 1e-8, the five worst
    /// elements of each input, every [`Assertion`] but [`Assertion::Wasted`].
    pub fn new(name: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            seed: 0,
            dtype: DType::F64,
            relative: 1e-8,
            absolute: 1e-12,
            kinks: Kinks::Skip,
            worst: 5,
            directions: None,
            names: Vec::new(),
            linear: Vec::new(),
            constant: Vec::new(),
            skipped: vec![Assertion::Wasted],
        }
    }

    /// Draws other cotangents. The same seed draws the same ones on every machine.
    pub fn seed(mut self, seed: u64) -> Self {
        self.seed = seed;
        self
    }

    /// Checks in this dtype: [`DType::F64`] unless the function takes only [`DType::F32`], where tolerances widen to 1e-3.
    pub fn dtype(mut self, dtype: DType) -> Self {
        self.dtype = dtype;
        if dtype == DType::F32 {
            (self.relative, self.absolute) = (1e-3, 1e-6);
        }
        self
    }

    /// How far analytic and numeric may differ beside the numeric one's own error: `absolute + relative · |numeric|`.
    pub fn tolerance(mut self, relative: f64, absolute: f64) -> Self {
        (self.relative, self.absolute) = (relative, absolute);
        self
    }

    /// What becomes of elements where the function has a kink.
    pub fn kinks(mut self, kinks: Kinks) -> Self {
        self.kinks = kinks;
        self
    }

    /// How many elements of each input the report shows.
    pub fn worst(mut self, count: usize) -> Self {
        self.worst = count.max(1);
        self
    }

    /// Compares along `count` random signed directions within each input instead of at every element: a few evaluations
    /// however large the input. Where one is wrong it is halved until the wrong elements are found.
    pub fn directions(mut self, count: usize) -> Self {
        self.directions = Some(count.max(1));
        self
    }

    /// The inputs' names in the report; `input 0`, `input 1`, … without.
    pub fn input_names<S: Into<String>>(mut self, names: impl IntoIterator<Item = S>) -> Self {
        self.names = names.into_iter().map(Into::into).collect();
        self
    }

    /// Declares the function linear (or affine) in these inputs, each with the others fixed, as a convolution is in its
    /// input, its weight and its bias. Their differences then have no truncation error and are checked to rounding.
    pub fn linear_in(mut self, inputs: impl IntoIterator<Item = usize>) -> Self {
        self.linear.extend(inputs);
        self
    }

    /// Inputs that are not differentiated by. Integer tensors never are and need not be named.
    pub fn constant(mut self, inputs: impl IntoIterator<Item = usize>) -> Self {
        self.constant.extend(inputs);
        self
    }

    /// Leaves an assertion out.
    pub fn without(mut self, assertion: Assertion) -> Self {
        self.skipped.push(assertion);
        self
    }

    /// Also asserts that no gradient is computed for an untracked input.
    pub fn forbid_wasted_gradients(mut self) -> Self {
        self.skipped.retain(|skipped| *skipped != Assertion::Wasted);
        self
    }

    /// Compares every element of every gradient with differences, and holds the other assertions.
    ///
    /// Inputs may have any layout; floating-point ones are converted to the dtype that is checked in.
    ///
    /// # Errors
    /// Where the check cannot be carried out: the function fails, is not finite, or has no input to differentiate by. A
    /// wrong gradient is not an error but a [`Report`] that did not pass.
    pub fn check<F, E>(&self, f: F, inputs: &[Tensor]) -> Result<Report>
    where
        F: Fn(&[Tensor]) -> Result<Tensor, E>,
        E: Into<candle_core::Error>,
    {
        let call = |arguments: &[Tensor]| f(arguments).map_err(Into::into);
        self.run(&self.function(&call, inputs)?)
    }

    pub(crate) fn input_name(&self, k: usize) -> String {
        self.names.get(k).cloned().unwrap_or_else(|| format!("input {k}"))
    }

    pub(crate) fn asserts(&self, assertion: Assertion) -> bool {
        !self.skipped.contains(&assertion)
    }

    pub(crate) fn empty_report(&self) -> Report {
        Report { name: self.name.clone(), seed: self.seed, inputs: Vec::new(), failures: Vec::new(), notes: Vec::new() }
    }

    pub(crate) fn run(&self, f: &Function<'_>) -> Result<Report> {
        let mut report = self.empty_report();
        let point = Point::new(self, f)?;
        if self.asserts(Assertion::Deterministic) && values(&f.value(&f.tensors())?)? != point.y {
            let detail = "two calls with the same inputs differ, so no difference can be measured; fix what it samples";
            report.fail(Assertion::Deterministic, None, detail);
            return Ok(report);
        }
        let gradients = match f.vjp(&f.all_tracked(), &point.cotangent)? {
            Ok(gradients) => gradients,
            Err(failed) => {
                report.fail(Assertion::Backward, None, failed.0);
                return Ok(report);
            }
        };
        let measured = (point.y.as_slice(), point.weights.as_slice());
        report.inputs = match self.directions {
            None => elements::compare(self, f, measured, &gradients)?,
            Some(count) => directions::compare(self, f, count, measured, &gradients)?,
        };
        report.judge_inputs();
        assertions::hold(self, f, &point, &gradients, &mut report)?;
        report.failures.retain(|failure| self.asserts(failure.assertion));
        report.failures.sort_by_key(|failure| failure.assertion);
        Ok(report)
    }

    pub(crate) fn function<'a>(
        &self,
        call: &'a dyn Fn(&[Tensor]) -> candle_core::Result<Tensor>,
        inputs: &[Tensor],
    ) -> Result<Function<'a>> {
        if !matches!(self.dtype, DType::F64 | DType::F32) {
            return Err(Error::UnsupportedDType { name: self.name.clone(), dtype: self.dtype });
        }
        for (option, named) in [("linear_in", &self.linear), ("constant", &self.constant)] {
            if let Some(&input) = named.iter().find(|input| **input >= inputs.len()) {
                return Err(Error::NoSuchInput { name: self.name.clone(), option, input, inputs: inputs.len() });
            }
        }
        let input = |(k, tensor): (usize, &Tensor)| -> Result<Input> {
            let float = tensor.dtype().is_float();
            // A tracked input would lead the backward pass on into the caller's graph.
            let tensor =
                if float { tensor.to_dtype(self.dtype)? } else { tensor.clone() }.detach().force_contiguous()?;
            Ok(Input {
                name: self.input_name(k),
                tensor,
                differentiated: float && !self.constant.contains(&k),
                linear: self.linear.contains(&k),
            })
        };
        let inputs = inputs.iter().enumerate().map(input).collect::<Result<Vec<_>>>()?;
        if !inputs.iter().any(|input| input.differentiated) {
            return Err(Error::NothingToCheck { name: self.name.clone() });
        }
        Ok(Function { name: self.name.clone(), call, inputs, dtype: self.dtype })
    }
}

/// The point where the gradient is checked: the function's value there, and the cotangent.
pub(crate) struct Point {
    pub(crate) y: Vec<f64>,
    pub(crate) y_dims: Vec<usize>,
    pub(crate) weights: Vec<f64>,
    pub(crate) cotangent: Tensor,
}

impl Point {
    pub(crate) fn new(check: &GradCheck, f: &Function<'_>) -> Result<Self> {
        let tensor = f.value(&f.tensors())?;
        let y = values(&tensor)?;
        if let Some(flat) = y.iter().position(|y| !y.is_finite()) {
            let index = multi_index(flat, tensor.dims());
            return Err(Error::NotFinite { name: f.name.clone(), index, value: y[flat] });
        }
        let weights = Random::new(check.seed).signed(y.len());
        let cotangent = Tensor::from_slice(&weights, tensor.shape(), tensor.device())?.to_dtype(f.dtype)?;
        Ok(Self { y, y_dims: tensor.dims().to_vec(), weights, cotangent })
    }
}

impl Report {
    pub(crate) fn fail(&mut self, assertion: Assertion, input: Option<&str>, detail: impl Into<String>) {
        self.failures.push(Failure { assertion, input: input.map(Into::into), detail: detail.into() });
    }

    /// Turns what was counted of each input into failures.
    pub(crate) fn judge_inputs(&mut self) {
        for input in self.inputs.clone() {
            let name = Some(input.name.as_str());
            if input.missing && input.wrong > 0 {
                let detail = "no gradient arrives, though the value depends on it: the graph is severed (a `detach`, or an \
                              operator whose backward returns nothing)";
                self.fail(Assertion::Connected, name, detail);
            } else if input.wrong > 0 {
                let pattern = input.pattern.as_ref().map(|pattern| format!("; {pattern}")).unwrap_or_default();
                let detail = format!("{} of {} derivatives are wrong{pattern}", input.wrong, input.elements);
                self.fail(Assertion::Gradient, name, detail);
            } else if input.missing && input.elements > 0 {
                self.notes
                    .push(format!("no gradient arrives at `{}`, and the value does not change with it", input.name));
            }
            if input.unresolved > 0 {
                let detail = format!(
                    "at {} of {} elements the differences converge at no step: is the value rounded, noisy or near a pole?",
                    input.unresolved, input.elements
                );
                self.fail(Assertion::Resolved, name, detail);
            }
        }
    }
}
