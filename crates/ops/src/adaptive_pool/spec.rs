//! What a user says of an adaptive pooling, and the geometry that follows from it.

use crate::grid::{Axis, Grid};
use crate::planes::{Planes, split};
use crate::{Error, Result};
use std::sync::Arc;

/// The extents that an adaptive pooling gives its output, one for each of `D` axes; `None` keeps the input's.
///
/// The operators take `impl Into<OutputSize<D>>`, so a square output is `7`, a rectangular one `[7, 5]`, and one that keeps
/// its width `[Some(7), None]`.
///
/// ```
/// use taper_ops::OutputSize;
///
/// assert_eq!(OutputSize::<2>::from(7), OutputSize([Some(7), Some(7)]));
/// assert_eq!(OutputSize::from([7, 5]), OutputSize([Some(7), Some(5)]));
/// assert_eq!(OutputSize::from([Some(7), None]), OutputSize([Some(7), None]));
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct OutputSize<const D: usize>(pub [Option<usize>; D]);

impl<const D: usize> From<usize> for OutputSize<D> {
    fn from(extent: usize) -> Self {
        Self([Some(extent); D])
    }
}

impl<const D: usize> From<[usize; D]> for OutputSize<D> {
    fn from(extents: [usize; D]) -> Self {
        Self(extents.map(Some))
    }
}

impl<const D: usize> From<[Option<usize>; D]> for OutputSize<D> {
    fn from(extents: [Option<usize>; D]) -> Self {
        Self(extents)
    }
}

/// Checked geometry of an adaptive pooling over planes of three axes: rank 1 and 2 are rank 3 with unit axes in front.
#[derive(Debug)]
pub(crate) struct AdaptiveDims {
    pub(super) planes: Arc<Planes>,
    pub(super) grid: Grid,
}

impl<const D: usize> OutputSize<D> {
    /// The geometry over an input of `shape`: `[N, C, axes…]`, or `[C, axes…]`.
    pub(crate) fn dims(&self, op: &'static str, shape: &[usize]) -> Result<AdaptiveDims> {
        let (lead, extents) = split::<D>(op, "input", shape)?;
        let inner: [usize; D] = std::array::from_fn(|i| self.0[i].unwrap_or(extents[i]));
        for (argument, value) in [("every extent of a plane of the input", extents), ("output_size", inner)] {
            if value.contains(&0) {
                return Err(Error::NotPositive { op, argument, value: value.to_vec() });
            }
        }
        let planes = Arc::new(Planes::new(op, lead, &extents, &inner)?);
        let axis = |i| if planes.is_empty() { Axis::unit() } else { divide(extents[i], inner[i]) };
        let grid = Grid::new(std::array::from_fn::<_, D, _>(axis));
        Ok(AdaptiveDims { planes, grid })
    }
}

/// `[⌊i·L / o⌋, ⌈(i + 1)·L / o⌉)`, in 128 bits, where no product of two extents overflows.
fn divide(input: usize, output: usize) -> Axis {
    let (l, o) = (input as u128, output as u128);
    let window = |i: u128| (i * l / o) as usize..((i + 1) * l).div_ceil(o) as usize;
    Axis { input, windows: (0..o).map(window).collect() }
}
