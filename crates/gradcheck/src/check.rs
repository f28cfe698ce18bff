//! The builder: what is checked and how sharply.

use crate::error::Result;
use crate::report::{Assertion, Report};
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
    pub(crate) directions: Option<usize>,
    pub(crate) names: Vec<String>,
    pub(crate) linear: Vec<usize>,
    pub(crate) constant: Vec<usize>,
    pub(crate) skipped: Vec<Assertion>,
}

impl GradCheck {
    /// A check that reports under `name`, with the defaults: float64, seed 0, relative tolerance 1e-8, absolute 1e-14,
    /// the five worst elements of each input, every [`Assertion`] but [`Assertion::Wasted`].
    ///
    /// Rounding is allowed for as if values were computed from terms of size 1 at least, because a small one may be what is
    /// left of two that cancel: scale a function up whose values are all below 1e-6.
    ///
    /// ```
    /// # use candle_core::{DType, Device, Tensor};
    /// # use taper_gradcheck::*;
    /// # let x = Tensor::new(&[[0.5f64, -2.], [3., 4.]], &Device::Cpu)?;
    /// let report = GradCheck::new("tanh").check(|x: &[Tensor]| x[0].tanh(), &[x]).unwrap();
    /// assert_eq!(report.name, "tanh");
    /// # Ok::<(), candle_core::Error>(())
    /// ```
    pub fn new(name: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            seed: 0,
            dtype: DType::F64,
            relative: 1e-8,
            absolute: 1e-14,
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
    ///
    /// ```
    /// # use candle_core::{DType, Device, Tensor};
    /// # use taper_gradcheck::*;
    /// # let x = Tensor::new(&[[0.5f64, -2.], [3., 4.]], &Device::Cpu)?;
    /// let sqr = |x: &[Tensor]| x[0].sqr();
    /// let report = GradCheck::new("sqr").seed(7).check(sqr, &[x]).unwrap();
    /// assert_eq!(report.seed, 7);
    /// # Ok::<(), candle_core::Error>(())
    /// ```
    pub fn seed(mut self, seed: u64) -> Self {
        self.seed = seed;
        self
    }

    /// Checks in this dtype: [`DType::F64`] unless the function takes only [`DType::F32`], where tolerances widen to 1e-3.
    ///
    /// ```
    /// # use candle_core::{DType, Device, Tensor};
    /// # use taper_gradcheck::*;
    /// # let x = Tensor::new(&[[0.5f64, -2.], [3., 4.]], &Device::Cpu)?;
    /// let single = GradCheck::new("tanh").dtype(DType::F32);
    /// single.check(|x: &[Tensor]| x[0].tanh(), &[x]).unwrap().assert_passed();
    /// # Ok::<(), candle_core::Error>(())
    /// ```
    pub fn dtype(mut self, dtype: DType) -> Self {
        self.dtype = dtype;
        if dtype == DType::F32 {
            (self.relative, self.absolute) = (1e-3, 1e-6);
        }
        self
    }

    /// How far analytic and numeric may differ beside the numeric one's own error: `absolute + relative · |numeric|`.
    ///
    /// ```
    /// # use candle_core::{DType, Device, Tensor};
    /// # use taper_gradcheck::*;
    /// # let x = Tensor::new(&[[0.5f64, -2.], [3., 4.]], &Device::Cpu)?;
    /// // A backward pass that takes exp for its own cheap approximation.
    /// let rough = |x: &[Tensor]| x[0].exp()? + (&x[0] - x[0].detach())?.affine(1e-5, 0.);
    /// let check = GradCheck::new("exp");
    /// assert!(!check.check(rough, &[x.clone()]).unwrap().passed());
    /// assert!(check.tolerance(1e-3, 1e-4).check(rough, &[x]).unwrap().passed());
    /// # Ok::<(), candle_core::Error>(())
    /// ```
    pub fn tolerance(mut self, relative: f64, absolute: f64) -> Self {
        (self.relative, self.absolute) = (relative, absolute);
        self
    }

    /// What becomes of elements where the function has a kink.
    ///
    /// ```
    /// # use candle_core::{DType, Device, Tensor};
    /// # use taper_gradcheck::*;
    /// # let x = Tensor::new(&[[0.5f64, -2.], [3., 4.]], &Device::Cpu)?;
    /// let check = GradCheck::new("abs").kinks(Kinks::Within);
    /// check.check(|x: &[Tensor]| x[0].abs(), &[x]).unwrap().assert_passed();
    /// # Ok::<(), candle_core::Error>(())
    /// ```
    pub fn kinks(mut self, kinks: Kinks) -> Self {
        self.kinks = kinks;
        self
    }

    /// How many elements of each input the report shows.
    ///
    /// ```
    /// # use candle_core::{DType, Device, Tensor};
    /// # use taper_gradcheck::*;
    /// # let x = Tensor::new(&[[0.5f64, -2.], [3., 4.]], &Device::Cpu)?;
    /// let report = GradCheck::new("sqr").worst(2).check(|x: &[Tensor]| x[0].sqr(), &[x]).unwrap();
    /// assert_eq!(report.inputs[0].worst.len(), 2);
    /// # Ok::<(), candle_core::Error>(())
    /// ```
    pub fn worst(mut self, count: usize) -> Self {
        self.worst = count.max(1);
        self
    }

    /// Compares along `count` random signed directions within each input instead of at every element: a few evaluations
    /// however large the input. Where one is wrong it is halved until the wrong elements are found.
    ///
    /// ```
    /// # use candle_core::{DType, Device, Tensor};
    /// # use taper_gradcheck::*;
    /// # let x = Tensor::new(&[[0.5f64, -2.], [3., 4.]], &Device::Cpu)?;
    /// let wrong = |x: &[Tensor]| &x[0] * x[0].detach();
    /// let report = GradCheck::new("square").directions(3).check(wrong, &[x]).unwrap();
    /// assert_eq!(report.elements(), 3);
    /// assert_eq!(report.worst().unwrap().input_name, "input 0");
    /// # Ok::<(), candle_core::Error>(())
    /// ```
    pub fn directions(mut self, count: usize) -> Self {
        self.directions = Some(count.max(1));
        self
    }

    /// The inputs' names in the report; `input 0`, `input 1`, … without.
    ///
    /// ```
    /// # use candle_core::{DType, Device, Tensor};
    /// # use taper_gradcheck::*;
    /// # let x = Tensor::new(&[[0.5f64, -2.], [3., 4.]], &Device::Cpu)?;
    /// let check = GradCheck::new("tanh").input_names(["x"]);
    /// assert_eq!(check.check(|x: &[Tensor]| x[0].tanh(), &[x]).unwrap().inputs[0].name, "x");
    /// # Ok::<(), candle_core::Error>(())
    /// ```
    pub fn input_names<S: Into<String>>(mut self, names: impl IntoIterator<Item = S>) -> Self {
        self.names = names.into_iter().map(Into::into).collect();
        self
    }

    /// Declares the function linear (or affine) in these inputs, each with the others fixed, as a convolution is in its
    /// input, its weight and its bias. Their differences then have no truncation error and are checked to rounding.
    ///
    /// ```
    /// # use candle_core::{DType, Device, Tensor};
    /// # use taper_gradcheck::*;
    /// # let x = Tensor::new(&[[0.5f64, -2.], [3., 4.]], &Device::Cpu)?;
    /// let check = GradCheck::new("sum").linear_in([0]);
    /// check.check(|x: &[Tensor]| x[0].sum(1), &[x.clone()]).unwrap().assert_passed();
    /// assert!(check.check(|x: &[Tensor]| x[0].sqr(), &[x]).unwrap().failed(Assertion::Linear));
    /// # Ok::<(), candle_core::Error>(())
    /// ```
    pub fn linear_in(mut self, inputs: impl IntoIterator<Item = usize>) -> Self {
        self.linear.extend(inputs);
        self
    }

    /// Inputs that are not differentiated by. Integer tensors never are and need not be named.
    ///
    /// ```
    /// # use candle_core::{DType, Device, Tensor};
    /// # use taper_gradcheck::*;
    /// # let x = Tensor::new(&[[0.5f64, -2.], [3., 4.]], &Device::Cpu)?;
    /// let check = GradCheck::new("product").constant([1]);
    /// let report = check.check(|x: &[Tensor]| &x[0] * &x[1], &[x.clone(), x]).unwrap();
    /// assert_eq!(report.inputs.len(), 1);
    /// # Ok::<(), candle_core::Error>(())
    /// ```
    pub fn constant(mut self, inputs: impl IntoIterator<Item = usize>) -> Self {
        self.constant.extend(inputs);
        self
    }

    /// Leaves an assertion out.
    ///
    /// ```
    /// # use candle_core::{DType, Device, Tensor};
    /// # use taper_gradcheck::*;
    /// # let x = Tensor::new(&[[0.5f64, -2.], [3., 4.]], &Device::Cpu)?;
    /// let wrong = |x: &[Tensor]| &x[0] * x[0].detach();
    /// let check = GradCheck::new("square").without(Assertion::Gradient);
    /// check.check(wrong, &[x]).unwrap().assert_passed();
    /// # Ok::<(), candle_core::Error>(())
    /// ```
    pub fn without(mut self, assertion: Assertion) -> Self {
        self.skipped.push(assertion);
        self
    }

    /// Also asserts that no gradient is computed for an untracked input.
    ///
    /// ```
    /// # use candle_core::{DType, Device, Tensor};
    /// # use taper_gradcheck::*;
    /// # let x = Tensor::new(&[[0.5f64, -2.], [3., 4.]], &Device::Cpu)?;
    /// // candle's product computes both gradients, whoever asks.
    /// let check = GradCheck::new("product").forbid_wasted_gradients();
    /// let report = check.check(|x: &[Tensor]| &x[0] * &x[1], &[x.clone(), x]).unwrap();
    /// assert!(report.failed(Assertion::Wasted));
    /// # Ok::<(), candle_core::Error>(())
    /// ```
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
    ///
    /// ```
    /// # use candle_core::{DType, Device, Tensor};
    /// # use taper_gradcheck::*;
    /// # let x = Tensor::new(&[[0.5f64, -2.], [3., 4.]], &Device::Cpu)?;
    /// let report = GradCheck::new("exp").check(|x: &[Tensor]| x[0].exp(), &[x]).unwrap();
    /// assert!(report.passed());
    /// assert_eq!(report.elements(), 4);
    /// # Ok::<(), candle_core::Error>(())
    /// ```
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
}
