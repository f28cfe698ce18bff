//! What a user says of an adaptive pooling, and the geometry that follows from it.

use crate::planes::{Planes, split};
use crate::{Error, Result};
use std::ops::Range;
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
pub(super) struct AdaptiveDims {
    pub(super) planes: Arc<Planes>,
    axes: [Axis; 3],
}

/// One axis: the input positions that each output position holds.
#[derive(Debug)]
pub(super) struct Axis {
    pub(super) input: usize,
    pub(super) windows: Vec<Range<usize>>,
}

/// One row of the output, and the windows it lies in along the other two axes.
pub(super) struct Row<'a> {
    dims: &'a AdaptiveDims,
    depth: &'a Range<usize>,
    height: &'a Range<usize>,
}

impl<const D: usize> OutputSize<D> {
    /// The geometry over an input of `shape`: `[N, C, axes…]`, or `[C, axes…]`.
    pub(super) fn dims(&self, op: &'static str, shape: &[usize]) -> Result<AdaptiveDims> {
        let (lead, extents) = split::<D>(op, "input", shape)?;
        let inner: [usize; D] = std::array::from_fn(|i| self.0[i].unwrap_or(extents[i]));
        for (argument, value) in [("every extent of a plane of the input", extents), ("output_size", inner)] {
            if value.contains(&0) {
                return Err(Error::NotPositive { op, argument, value: value.to_vec() });
            }
        }
        let planes = Arc::new(Planes::new(op, lead, &extents, &inner)?);
        let mut axes = [Axis::new(1, 1), Axis::new(1, 1), Axis::new(1, 1)];
        if !planes.is_empty() {
            for (i, axis) in axes[3 - D..].iter_mut().enumerate() {
                *axis = Axis::new(extents[i], inner[i]);
            }
        }
        Ok(AdaptiveDims { planes, axes })
    }
}

impl Axis {
    /// `[⌊i·L / o⌋, ⌈(i + 1)·L / o⌉)`, in 128 bits, where no product of two extents overflows.
    fn new(input: usize, output: usize) -> Self {
        let (l, o) = (input as u128, output as u128);
        let window = |i: u128| (i * l / o) as usize..((i + 1) * l).div_ceil(o) as usize;
        Self { input, windows: (0..o).map(window).collect() }
    }
}

impl AdaptiveDims {
    /// The last axis, along which rows lie.
    pub(super) fn width(&self) -> &Axis {
        &self.axes[2]
    }

    /// Elements that the windows of one plane hold, counted with their overlap.
    pub(super) fn work(&self) -> usize {
        self.axes.iter().map(|axis| axis.windows.iter().map(Range::len).sum()).fold(1, usize::saturating_mul)
    }

    /// The rows of one output plane, in order.
    pub(super) fn rows(&self) -> impl Iterator<Item = Row<'_>> {
        let [depth, height, _] = &self.axes;
        let along = move |depth| height.windows.iter().map(move |height| Row { dims: self, depth, height });
        depth.windows.iter().flat_map(along)
    }
}

impl Row<'_> {
    /// Where the input rows under this row's windows start within their plane, in order.
    pub(super) fn input_rows(&self) -> impl Iterator<Item = usize> {
        let [_, height, width] = &self.dims.axes;
        let at = move |depth| self.height.clone().map(move |row| (depth * height.input + row) * width.input);
        self.depth.clone().flat_map(at)
    }

    /// Elements of a window of this row that holds `across` of its columns.
    pub(super) fn count(&self, across: usize) -> usize {
        self.depth.len() * self.height.len() * across
    }
}
