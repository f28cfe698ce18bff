//! What a user says of a fractional pooling, and the windows that its random numbers place.

use crate::error::expect_shape;
use crate::grid::{Axis, Grid};
use crate::planes::{Planes, split};
use crate::random::unit;
use crate::{Axes, Draw, Error, Result};
use candle_core::{DType, Tensor};
use std::sync::Arc;

/// The windows of a fractional maximum pooling over `D` axes.
///
/// ```
/// use taper_ops::FractionalMaxPoolSpec;
///
/// let spec = FractionalMaxPoolSpec::<2>::new(2, [5, 7]);
/// assert_ne!(spec, FractionalMaxPoolSpec::with_ratio(2, [0.5, 0.7]));
/// ```
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct FractionalMaxPoolSpec<const D: usize> {
    /// The extent of a window.
    pub kernel_size: [usize; D],
    /// The extents of the output.
    pub output: FractionalSize<D>,
}

/// The extents of a fractional pooling's output.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum FractionalSize<const D: usize> {
    /// These.
    Size([usize; D]),
    /// Each input extent times this number between 0 and 1, rounded down.
    Ratio([f64; D]),
}

/// Where a fractional pooling's random numbers come from: one in [0, 1] for each sample, channel and axis.
#[derive(Debug, Clone, Copy)]
pub enum RandomSamples<'a> {
    /// Number `e = ((first_sample + n)·C + c)·D + a` is word `e` of the draw, as
    /// [`dropout`](crate::dropout) numbers them.
    Draw(Draw),
    /// A tensor `[N, C, D]`, with `N = 1` where the input has no batch axis.
    Given(&'a Tensor),
}

impl From<Draw> for RandomSamples<'_> {
    fn from(draw: Draw) -> Self {
        Self::Draw(draw)
    }
}

impl<'a> From<&'a Tensor> for RandomSamples<'a> {
    fn from(samples: &'a Tensor) -> Self {
        Self::Given(samples)
    }
}

impl<const D: usize> FractionalMaxPoolSpec<D> {
    /// Windows of `kernel_size` that give an output of `output_size`.
    pub fn new(kernel_size: impl Into<Axes<D>>, output_size: impl Into<Axes<D>>) -> Self {
        Self { kernel_size: kernel_size.into().0, output: FractionalSize::Size(output_size.into().0) }
    }

    /// Windows of `kernel_size` that shrink each axis by its number in `output_ratio`.
    pub fn with_ratio(kernel_size: impl Into<Axes<D>>, output_ratio: [f64; D]) -> Self {
        Self { kernel_size: kernel_size.into().0, output: FractionalSize::Ratio(output_ratio) }
    }

    /// The geometry over an input of `shape`: `[N, C, axes…]`, or `[C, axes…]`.
    pub(super) fn dims(
        &self,
        op: &'static str,
        shape: &[usize],
        samples: RandomSamples<'_>,
    ) -> Result<FractionalDims<D>> {
        let (lead, extents) = split::<D>(op, "input", shape)?;
        let inner = self.output_size(op, extents)?;
        for (argument, value) in [("kernel_size", self.kernel_size), ("output_size", inner)] {
            if value.contains(&0) {
                return Err(Error::NotPositive { op, argument, value: value.to_vec() });
            }
        }
        for ((&output_size, kernel_size), extent) in inner.iter().zip(self.kernel_size).zip(extents) {
            if kernel_size > extent || output_size - 1 > extent - kernel_size {
                return Err(Error::TooManyWindows { op, output_size, kernel_size, extent });
            }
        }
        let planes = Arc::new(Planes::new(op, lead, &extents, &inner)?);
        let samples = read::<D>(op, lead, samples)?;
        Ok(FractionalDims { planes, extents, kernel_size: self.kernel_size, output_size: inner, samples })
    }

    fn output_size(&self, op: &'static str, extents: [usize; D]) -> Result<[usize; D]> {
        match self.output {
            FractionalSize::Size(size) => Ok(size),
            FractionalSize::Ratio(ratio) => {
                if let Some(&value) = ratio.iter().find(|ratio| !(**ratio > 0. && **ratio < 1.)) {
                    return Err(Error::Value { op, argument: "output_ratio", expected: "between 0 and 1", value });
                }
                Ok(std::array::from_fn(|i| (extents[i] as f64 * ratio[i]) as usize))
            }
        }
    }
}

/// Checked geometry of a fractional pooling, each plane with its own windows.
#[derive(Debug)]
pub(super) struct FractionalDims<const D: usize> {
    pub(super) planes: Arc<Planes>,
    pub(super) extents: [usize; D],
    pub(super) kernel_size: [usize; D],
    pub(super) output_size: [usize; D],
    /// One an axis and plane, in the order of PyTorch: from the last axis to the first in two dimensions, from the first to
    /// the last in three.
    pub(super) samples: Vec<f64>,
}

impl<const D: usize> FractionalDims<D> {
    /// The windows over one plane.
    pub(super) fn grid(&self, plane: usize) -> Grid {
        let samples = &self.samples[plane * D..][..D];
        Grid::new(std::array::from_fn::<_, D, _>(|i| {
            let sample = samples[Self::sample(i)];
            place(self.extents[i], self.kernel_size[i], self.output_size[i], sample)
        }))
    }

    /// Which of a plane's samples is that of axis `i`.
    pub(super) fn sample(i: usize) -> usize {
        if D == 2 { D - 1 - i } else { i }
    }

    /// Elements that the windows of one plane hold, counted with their overlap.
    pub(super) fn work(&self) -> usize {
        self.kernel_size.iter().fold(self.planes.plane_out, |work, &k| work.saturating_mul(k))
    }
}

/// Windows that start at `⌊(i + u)·α⌋ − ⌊u·α⌋` with `α = (L − k) / (o − 1)`, the last at `L − k`.
fn place(input: usize, kernel_size: usize, output: usize, sample: f64) -> Axis {
    let room = input - kernel_size;
    let alpha = room as f64 / (output - 1) as f64;
    let first = (sample * alpha) as usize;
    let start = |i: usize| if i + 1 == output { room } else { ((i as f64 + sample) * alpha) as usize - first };
    Axis { input, windows: (0..output).map(start).map(|start| start..start + kernel_size).collect() }
}

/// The numbers of all planes.
fn read<const D: usize>(op: &'static str, lead: &[usize], samples: RandomSamples<'_>) -> Result<Vec<f64>> {
    let [.., channels] = *lead else { return Ok(vec![]) };
    match samples {
        RandomSamples::Draw(draw) => {
            let count = lead.iter().product::<usize>() * D;
            let first = draw.first_index(op, channels.saturating_mul(D), count)?;
            Ok(draw.words(first).take(count).map(unit).collect())
        }
        RandomSamples::Given(samples) => {
            if !samples.dtype().is_float() {
                return Err(Error::DType { op, dtype: samples.dtype(), supported: "bf16, f16, f32, f64" });
            }
            let batch = if lead.len() == 1 { 1 } else { lead[0] };
            expect_shape(op, "random_samples", &[batch, channels, D], samples)?;
            let samples: Vec<f64> = samples.to_dtype(DType::F64)?.flatten_all()?.to_vec1()?;
            match samples.iter().find(|sample| !(0. ..=1.).contains(*sample)) {
                Some(&value) => {
                    Err(Error::Value { op, argument: "random_samples", expected: "between 0 and 1", value })
                }
                None => Ok(samples),
            }
        }
    }
}
