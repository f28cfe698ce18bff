//! What a check found, in words that a person can act on.

use std::fmt;

/// One thing that a check asserts.
///
/// ```
/// use taper_gradcheck::{Assertion, GradCheck};
///
/// // A function that samples: its value may differ from call to call.
/// let check = GradCheck::new("sampled").without(Assertion::Deterministic);
/// # let _ = check;
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Assertion {
    /// The same inputs give the same value, bit for bit. Without it no difference means anything.
    Deterministic,
    /// The backward pass runs through without an error or a panic.
    Backward,
    /// A gradient reaches every input that the value depends on: the graph is not severed.
    Connected,
    /// A gradient has its input's shape.
    Shape,
    /// A gradient has its input's dtype.
    DType,
    /// The analytic derivative agrees with the measured one.
    Gradient,
    /// The differences converge, so that there is a derivative to compare with.
    Resolved,
    /// Inputs declared linear are.
    Linear,
    /// A second backward pass gives the same bits.
    Repeatable,
    /// A zero cotangent gives an exactly zero gradient.
    ZeroCotangent,
    /// Leaving an input untracked changes no other gradient.
    Untracked,
    /// No gradient is computed for an untracked input. Off unless asked for: candle's own operators do so.
    Wasted,
    /// Strided, offset and broadcast inputs give the value and the gradients of contiguous ones.
    InputLayout,
    /// A cotangent that arrives through a view or a broadcast gives the same gradients.
    CotangentLayout,
    /// An input that is used twice receives the sum of both gradients.
    FanOut,
    /// The value in float32 is that in float64, but for rounding.
    Twin,
    /// A sample's value does not depend on the batch around it.
    BatchInvariance,
    /// A shifted input gives the shifted value.
    ShiftEquivariance,
    /// Two ways to compute one function agree bit for bit.
    SameBits,
    /// A function and its transpose satisfy ⟨f(u), v⟩ = ⟨u, fᵀ(v)⟩.
    Adjoint,
}

impl Assertion {
    /// The assertion as a sentence says it.
    ///
    /// ```
    /// assert_eq!(taper_gradcheck::Assertion::FanOut.as_str(), "fan-out");
    /// ```
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Deterministic => "deterministic value",
            Self::Backward => "backward pass",
            Self::Connected => "connected graph",
            Self::Shape => "gradient shape",
            Self::DType => "gradient dtype",
            Self::Gradient => "gradient",
            Self::Resolved => "resolved differences",
            Self::Linear => "declared linearity",
            Self::Repeatable => "repeated backward",
            Self::ZeroCotangent => "zero cotangent",
            Self::Untracked => "untracked input",
            Self::Wasted => "wasted gradient",
            Self::InputLayout => "input layout",
            Self::CotangentLayout => "cotangent layout",
            Self::FanOut => "fan-out",
            Self::Twin => "float32 value",
            Self::BatchInvariance => "batch invariance",
            Self::ShiftEquivariance => "shift equivariance",
            Self::SameBits => "same bits",
            Self::Adjoint => "adjoint",
        }
    }
}

impl fmt::Display for Assertion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// An assertion that did not hold.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Failure {
    /// What was asserted.
    pub assertion: Assertion,
    /// The name of the input it was about, where it was about one.
    pub input: Option<String>,
    /// What was found instead.
    pub detail: String,
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.assertion)?;
        if let Some(input) = &self.input {
            write!(f, " of input `{input}`")?;
        }
        write!(f, ": {}", self.detail)
    }
}

/// One derivative: of ⟨f, cotangent⟩ with respect to one element of one input.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Element {
    /// The input's number.
    pub input: usize,
    /// The input's name.
    pub input_name: String,
    /// The element's index, an entry an axis.
    pub index: Vec<usize>,
    /// What the backward pass says.
    pub analytic: f64,
    /// What the differences say.
    pub numeric: f64,
    /// How far the two may be apart.
    pub tolerance: f64,
}

impl Element {
    /// |analytic − numeric| ÷ tolerance: above 1 the gradient is wrong.
    ///
    /// ```
    /// use candle_core::{Device, Tensor};
    /// use taper_gradcheck::GradCheck;
    ///
    /// let x = Tensor::new(&[[1f64, -2.], [3., 4.]], &Device::Cpu)?;
    /// let report = GradCheck::new("sqr").check(|x: &[Tensor]| x[0].sqr(), &[x]).unwrap();
    /// assert!(report.worst().unwrap().error_ratio() < 1.0);
    /// # Ok::<(), candle_core::Error>(())
    /// ```
    pub fn error_ratio(&self) -> f64 {
        let ratio = (self.analytic - self.numeric).abs() / self.tolerance;
        if ratio.is_nan() { f64::INFINITY } else { ratio }
    }
}

/// How the gradient of one input fared.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct InputReport {
    /// The input's name.
    pub name: String,
    /// Its shape.
    pub shape: Vec<usize>,
    /// How many derivatives were compared.
    pub elements: usize,
    /// How many of them are wrong.
    pub wrong: usize,
    /// At how many the function is not differentiable here: the one-sided derivatives differ.
    pub not_differentiable: usize,
    /// At how many the differences settle at no step.
    pub unresolved: usize,
    /// No gradient arrived at all.
    pub missing: bool,
    /// The worst elements, by error ÷ tolerance.
    pub worst: Vec<Element>,
    /// What the errors have in common, in words.
    pub pattern: Option<String>,
}

/// What a check found.
///
/// ```
/// use candle_core::{Device, Tensor};
/// use taper_gradcheck::GradCheck;
///
/// let x = Tensor::new(&[[0.5f64, -2.], [3., 4.]], &Device::Cpu)?;
/// // `detach` severs the graph: half of the gradient is lost.
/// let wrong = |x: &[Tensor]| &x[0] * x[0].detach();
/// let report = GradCheck::new("square").check(wrong, &[x]).unwrap();
/// assert!(!report.passed());
/// assert!(report.to_string().contains("numeric ÷ 2"));
/// # Ok::<(), candle_core::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Report {
    /// The name of the check.
    pub name: String,
    /// The seed that draws the same cotangents again.
    pub seed: u64,
    /// Each differentiated input.
    pub inputs: Vec<InputReport>,
    /// What did not hold. Empty where all is well.
    pub failures: Vec<Failure>,
    /// What is worth knowing but no failure.
    pub notes: Vec<String>,
}

impl Report {
    /// Whether every assertion held.
    ///
    /// ```
    /// # use candle_core::{DType, Device, Tensor};
    /// # use taper_gradcheck::*;
    /// # let x = Tensor::new(&[[0.5f64, -2.], [3., 4.]], &Device::Cpu)?;
    /// assert!(GradCheck::new("sqr").check(|x: &[Tensor]| x[0].sqr(), &[x]).unwrap().passed());
    /// # Ok::<(), candle_core::Error>(())
    /// ```
    pub fn passed(&self) -> bool {
        self.failures.is_empty()
    }

    /// Whether `assertion` is among those that did not hold.
    ///
    /// ```
    /// # use candle_core::{DType, Device, Tensor};
    /// # use taper_gradcheck::*;
    /// # let x = Tensor::new(&[[0.5f64, -2.], [3., 4.]], &Device::Cpu)?;
    /// let severed = |x: &[Tensor]| x[0].detach().sqr();
    /// assert!(GradCheck::new("sqr").check(severed, &[x]).unwrap().failed(Assertion::Connected));
    /// # Ok::<(), candle_core::Error>(())
    /// ```
    pub fn failed(&self, assertion: Assertion) -> bool {
        self.failures.iter().any(|failure| failure.assertion == assertion)
    }

    /// The element with the largest error ÷ tolerance of all inputs.
    ///
    /// ```
    /// # use candle_core::{DType, Device, Tensor};
    /// # use taper_gradcheck::*;
    /// # let x = Tensor::new(&[[0.5f64, -2.], [3., 4.]], &Device::Cpu)?;
    /// let report = GradCheck::new("square").check(|x: &[Tensor]| &x[0] * x[0].detach(), &[x]).unwrap();
    /// let worst = report.worst().unwrap();
    /// assert!((worst.numeric - 2. * worst.analytic).abs() < 1e-6);
    /// # Ok::<(), candle_core::Error>(())
    /// ```
    pub fn worst(&self) -> Option<&Element> {
        let worst = self.inputs.iter().filter_map(|input| input.worst.first());
        worst.max_by(|a, b| a.error_ratio().total_cmp(&b.error_ratio()))
    }

    /// How many derivatives were compared.
    ///
    /// ```
    /// # use candle_core::{DType, Device, Tensor};
    /// # use taper_gradcheck::*;
    /// # let x = Tensor::new(&[[0.5f64, -2.], [3., 4.]], &Device::Cpu)?;
    /// assert_eq!(GradCheck::new("sqr").check(|x: &[Tensor]| x[0].sqr(), &[x]).unwrap().elements(), 4);
    /// # Ok::<(), candle_core::Error>(())
    /// ```
    pub fn elements(&self) -> usize {
        self.inputs.iter().map(|input| input.elements).sum()
    }

    /// At how many elements the function is not differentiable.
    ///
    /// ```
    /// # use candle_core::{DType, Device, Tensor};
    /// # use taper_gradcheck::*;
    /// # let x = Tensor::new(&[[0.5f64, -2.], [3., 4.]], &Device::Cpu)?;
    /// let at_zero = x.zeros_like()?;
    /// let report = GradCheck::new("relu").check(|x: &[Tensor]| x[0].relu(), &[at_zero]).unwrap();
    /// assert_eq!(report.not_differentiable(), 4);
    /// # Ok::<(), candle_core::Error>(())
    /// ```
    pub fn not_differentiable(&self) -> usize {
        self.inputs.iter().map(|input| input.not_differentiable).sum()
    }

    /// Ends a test.
    ///
    /// # Panics
    /// Where an assertion did not hold, with the whole report as the message.
    ///
    /// ```
    /// # use candle_core::{DType, Device, Tensor};
    /// # use taper_gradcheck::*;
    /// # let x = Tensor::new(&[[0.5f64, -2.], [3., 4.]], &Device::Cpu)?;
    /// GradCheck::new("sqr").check(|x: &[Tensor]| x[0].sqr(), &[x]).unwrap().assert_passed();
    /// # Ok::<(), candle_core::Error>(())
    /// ```
    #[allow(clippy::panic, reason = "it exists to fail a test, as assert! does")]
    #[track_caller]
    pub fn assert_passed(&self) {
        if !self.passed() {
            panic!("{self}");
        }
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let verdict = if self.passed() { "passed" } else { "FAILED" };
        writeln!(
            f,
            "gradient check of `{}` {verdict}: {} derivatives (seed {})",
            self.name,
            self.elements(),
            self.seed
        )?;
        for failure in &self.failures {
            writeln!(f, "  {failure}")?;
            if matches!(failure.assertion, Assertion::Gradient | Assertion::Connected) {
                let about = self.inputs.iter().find(|input| Some(&input.name) == failure.input.as_ref());
                about.map_or(Ok(()), |input| write_worst(f, input))?;
            }
        }
        for InputReport { name, not_differentiable, elements, .. } in &self.inputs {
            if *not_differentiable > 0 {
                writeln!(f, "  input `{name}`: not differentiable at {not_differentiable} of {elements} elements")?;
            }
        }
        for note in &self.notes {
            writeln!(f, "  note: {note}")?;
        }
        Ok(())
    }
}

fn write_worst(f: &mut fmt::Formatter<'_>, input: &InputReport) -> fmt::Result {
    let InputReport { shape, .. } = input;
    let heading = format!("index in {shape:?}");
    writeln!(f, "    {heading:<24} {:>16} {:>16} {:>18}", "analytic", "numeric", "error ÷ tolerance")?;
    for element in &input.worst {
        let (index, ratio) = (format!("{:?}", element.index), element.error_ratio());
        writeln!(f, "    {index:<24} {:>16.9e} {:>16.9e} {ratio:>18.3e}", element.analytic, element.numeric)?;
    }
    Ok(())
}
