//! What a user says of a resampling, and the table of taps and weights for each axis that follows from it.

use crate::planes::{Planes, split};
use crate::{Error, Result};

/// The extents that a resampling gives its output.
///
/// The operators take `impl Into<Resize<D>>`: integers are the extents, floats the factors.
///
/// ```
/// use taper_ops::Resize;
///
/// assert_eq!(Resize::from([7, 5]), Resize::Size([7, 5]));
/// assert_eq!(Resize::<2>::from(2.), Resize::ScaleFactor([2., 2.]));
/// assert_eq!(Resize::from([2., 1.5]), Resize::ScaleFactor([2., 1.5]));
/// ```
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Resize<const D: usize> {
    /// These extents.
    Size([usize; D]),
    /// `⌊factor · extent⌋`. Positions are scaled by the factor itself, also where the product is no whole number.
    ScaleFactor([f64; D]),
}

impl<const D: usize> From<[usize; D]> for Resize<D> {
    fn from(extents: [usize; D]) -> Self {
        Self::Size(extents)
    }
}

impl<const D: usize> From<f64> for Resize<D> {
    fn from(factor: f64) -> Self {
        Self::ScaleFactor([factor; D])
    }
}

impl<const D: usize> From<[f64; D]> for Resize<D> {
    fn from(factors: [f64; D]) -> Self {
        Self::ScaleFactor(factors)
    }
}

/// How values between the elements are made up.
///
/// With `align_corners` the centres of the outermost elements of input and output lie upon each other; without it, their
/// outer edges do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum InterpolateMode {
    /// The element at or before the position, as the reference's `nearest` and OpenCV's have it.
    Nearest,
    /// The element whose centre is nearest, as Pillow's and scikit-image's have it.
    NearestExact,
    /// Straight lines between neighbours along each axis: linear, bilinear, trilinear.
    Linear {
        /// Whether the centres of the outermost elements lie upon each other.
        align_corners: bool,
    },
    /// Cubic convolution with a = −3/4 along both axes; over two axes only.
    Bicubic {
        /// Whether the centres of the outermost elements lie upon each other.
        align_corners: bool,
    },
}

/// Checked geometry of a resampling over planes of three axes: rank 1 and 2 are rank 3 with unit axes in front.
#[derive(Debug)]
pub(super) struct InterpolateDims {
    pub(super) planes: Planes,
    pub(super) axes: [Axis; 3],
}

/// One axis: what each position of the output is the weighted sum of.
#[derive(Debug)]
pub(super) struct Axis {
    pub(super) input: usize,
    pub(super) output: usize,
    /// Taps of one output position: 1, 2 or 4.
    pub(super) width: usize,
    /// `width` a position: the input position and its weight.
    pub(super) taps: Vec<(usize, f64)>,
}

/// From positions of the output to those of the input: times `numerator`, over `denominator`. Apart, because a quotient of
/// whole numbers that is one itself is then exact.
#[derive(Debug, Clone, Copy)]
struct Ratio {
    numerator: f64,
    denominator: f64,
}

impl<const D: usize> Resize<D> {
    /// The geometry over an input of `shape`: `[N, C, axes…]`, or `[C, axes…]`.
    pub(super) fn dims(&self, op: &'static str, shape: &[usize], mode: InterpolateMode) -> Result<InterpolateDims> {
        if matches!(mode, InterpolateMode::Bicubic { .. }) && D != 2 {
            return Err(Error::BicubicAxes { op, axes: D });
        }
        let (lead, extents) = split::<D>(op, "input", shape)?;
        let inner = self.output(op, extents)?;
        for (argument, value) in [("every extent of a plane of the input", extents), ("the output size", inner)] {
            if value.contains(&0) {
                return Err(Error::NotPositive { op, argument, value: value.to_vec() });
            }
        }
        let planes = Planes::new(op, lead, &extents, &inner)?;
        let mut axes = [Axis::unit(), Axis::unit(), Axis::unit()];
        if !planes.is_empty() {
            for (i, axis) in axes[3 - D..].iter_mut().enumerate() {
                *axis = Axis::new(mode, extents[i], inner[i], self.ratio(i, extents[i], inner[i], mode));
            }
        }
        Ok(InterpolateDims { planes, axes })
    }

    fn output(&self, op: &'static str, extents: [usize; D]) -> Result<[usize; D]> {
        let factors = match *self {
            Self::Size(size) => return Ok(size),
            Self::ScaleFactor(factors) => factors,
        };
        if let Some(&value) = factors.iter().find(|factor| !(**factor > 0. && factor.is_finite())) {
            return Err(Error::Value { op, argument: "scale_factor", expected: "positive and finite", value });
        }
        // What is too large saturates, and is refused with the other sizes.
        Ok(std::array::from_fn(|i| (extents[i] as f64 * factors[i]) as usize))
    }

    fn ratio(&self, i: usize, input: usize, output: usize, mode: InterpolateMode) -> Ratio {
        // Some modes of the reference leave the factor aside where the extent stays or doubles.
        let plain = match mode {
            InterpolateMode::Nearest => output == input || output == 2 * input,
            InterpolateMode::Linear { .. } => output == input,
            InterpolateMode::NearestExact | InterpolateMode::Bicubic { .. } => false,
        };
        match self {
            Self::ScaleFactor(factors) if !plain => Ratio { numerator: 1., denominator: factors[i] },
            _ => Ratio { numerator: input as f64, denominator: output as f64 },
        }
    }
}

impl Ratio {
    fn scale(self, position: f64) -> f64 {
        position * self.numerator / self.denominator
    }
}

impl InterpolateDims {
    /// Multiplications of one plane.
    pub(super) fn work(&self) -> usize {
        let [depth, height, width] = &self.axes;
        let row = (depth.width * height.width * width.input).saturating_add(width.width * width.output);
        (depth.output * height.output).saturating_mul(row)
    }
}

impl Axis {
    fn new(mode: InterpolateMode, input: usize, output: usize, ratio: Ratio) -> Self {
        let last = input - 1;
        let corners = Ratio { numerator: last as f64, denominator: output.max(2) as f64 - 1. };
        let centre = |i: f64| ratio.scale(i + 0.5) - 0.5;
        let positions = (0..output).map(|i| i as f64);
        let (width, taps) = match mode {
            InterpolateMode::Nearest => (1, positions.map(|i| at(ratio.scale(i), last)).collect()),
            InterpolateMode::NearestExact => (1, positions.map(|i| at(ratio.scale(i + 0.5), last)).collect()),
            InterpolateMode::Linear { align_corners: true } => {
                (2, positions.flat_map(|i| linear(corners.scale(i), last)).collect())
            }
            InterpolateMode::Linear { align_corners: false } => {
                (2, positions.flat_map(|i| linear(centre(i), last)).collect())
            }
            InterpolateMode::Bicubic { align_corners: true } => {
                (4, positions.flat_map(|i| cubic(corners.scale(i), last)).collect())
            }
            InterpolateMode::Bicubic { align_corners: false } => {
                (4, positions.flat_map(|i| cubic(centre(i), last)).collect())
            }
        };
        Self { input, output, width, taps }
    }

    fn unit() -> Self {
        Self { input: 1, output: 1, width: 1, taps: vec![(0, 1.)] }
    }
}

/// The element at or before `position`.
fn at(position: f64, last: usize) -> (usize, f64) {
    ((position as usize).min(last), 1.)
}

/// The two elements around `position`, the nearer the heavier.
fn linear(position: f64, last: usize) -> [(usize, f64); 2] {
    let before = (position.max(0.) as usize).min(last);
    let weight = (position - before as f64).clamp(0., 1.);
    [(before, 1. - weight), ((before + 1).min(last), weight)]
}

/// The four elements around `position`, those beyond the ends being the outermost ones.
fn cubic(position: f64, last: usize) -> [(usize, f64); 4] {
    const A: f64 = -0.75;
    let near = |t: f64| ((A + 2.) * t - (A + 3.)) * t * t + 1.;
    let far = |t: f64| ((A * t - 5. * A) * t + 8. * A) * t - 4. * A;
    let floor = position.floor().min(last as f64);
    let t = (position - floor).clamp(0., 1.);
    let at = |offset: f64| ((floor + offset).max(0.) as usize).min(last);
    [(at(-1.), far(t + 1.)), (at(0.), near(t)), (at(1.), near(1. - t)), (at(2.), far(2. - t))]
}
