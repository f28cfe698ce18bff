//! What a user says of an unpooling, and the geometry and places that follow from it.

use crate::error::expect_shape;
use crate::planes::{Planes, split};
use crate::{Axes, Error, Result};
use candle_core::{DType, Tensor};

/// The windows of the maximum pooling that is undone; every number is one for all axes or one for each.
///
/// ```
/// use taper_ops::MaxUnpoolSpec;
///
/// let spec = MaxUnpoolSpec::<2>::new([3, 2]).stride(2).padding([1, 0]).output_size([7, 5]);
/// assert_ne!(spec, MaxUnpoolSpec::new([3, 2]));
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct MaxUnpoolSpec<const D: usize> {
    /// The extent of a window.
    pub kernel_size: [usize; D],
    /// The distance from one window to the next.
    pub stride: [usize; D],
    /// Positions that were added on both sides of each axis.
    pub padding: [usize; D],
    /// The extents of the output, where they are not the default.
    pub output_size: Option<[usize; D]>,
}

impl<const D: usize> MaxUnpoolSpec<D> {
    /// Undoes windows of `kernel_size` side by side, without padding, that left nothing over.
    pub fn new(kernel_size: impl Into<Axes<D>>) -> Self {
        let Axes(kernel_size) = kernel_size.into();
        Self { kernel_size, stride: kernel_size, padding: [0; D], output_size: None }
    }

    /// The distance from one window to the next.
    #[must_use]
    pub fn stride(mut self, stride: impl Into<Axes<D>>) -> Self {
        self.stride = stride.into().0;
        self
    }

    /// Positions that were added on both sides of each axis; at most half of the kernel size.
    #[must_use]
    pub fn padding(mut self, padding: impl Into<Axes<D>>) -> Self {
        self.padding = padding.into().0;
        self
    }

    /// The extents of the output: those of the tensor that was pooled. Pooling drops what its last window leaves over, so
    /// that several extents give the same number of windows.
    #[must_use]
    pub fn output_size(mut self, output_size: impl Into<Axes<D>>) -> Self {
        self.output_size = Some(output_size.into().0);
        self
    }

    /// From planes of `x` to planes of the output.
    pub(super) fn planes(&self, op: &'static str, shape: &[usize]) -> Result<Planes> {
        let (lead, extents) = split::<D>(op, "input", shape)?;
        let every = "every extent of a plane of the input";
        for (argument, value) in [("kernel_size", self.kernel_size), ("stride", self.stride), (every, extents)] {
            if value.contains(&0) {
                return Err(Error::NotPositive { op, argument, value: value.to_vec() });
            }
        }
        for (padding, kernel_size) in self.padding.into_iter().zip(self.kernel_size) {
            if padding > kernel_size / 2 {
                return Err(Error::PoolPadding { op, padding, kernel_size });
            }
        }
        let mut default = [0; D];
        for (i, default) in default.iter_mut().enumerate() {
            let size = (extents[i] - 1).checked_mul(self.stride[i]);
            // The padding is at most half of the kernel.
            let size = size.and_then(|size| size.checked_add(self.kernel_size[i] - 2 * self.padding[i]));
            *default = size.ok_or(Error::Overflow { op, what: "the output" })?;
        }
        let inner = self.output_size.unwrap_or(default);
        for (i, (&output_size, default)) in inner.iter().zip(default).enumerate() {
            let stride = self.stride[i];
            if output_size.abs_diff(default) >= stride {
                return Err(Error::UnpoolSize { op, output_size, stride, default });
            }
        }
        if inner.contains(&0) {
            return Err(Error::NotPositive { op, argument: "every extent of the output", value: inner.to_vec() });
        }
        Planes::new(op, lead, &extents, &inner)
    }
}

/// Where each element of the input goes in its plane of the output.
#[derive(Debug)]
pub(super) struct Unpooling {
    pub(super) planes: Planes,
    /// [`OVERWRITTEN`] where a later element of the plane goes to the same place.
    pub(super) places: Vec<usize>,
}

/// A place in no plane.
pub(super) const OVERWRITTEN: usize = usize::MAX;

impl Unpooling {
    pub(super) fn new<const D: usize>(planes: Planes, indices: &Tensor) -> Result<Self> {
        let op = planes.op;
        if !matches!(indices.dtype(), DType::U32 | DType::I64) {
            return Err(Error::DType { op, dtype: indices.dtype(), supported: "u32, i64 (indices)" });
        }
        expect_shape(op, "indices", &planes.input, indices)?;
        let indices: Vec<i64> = indices.to_dtype(DType::I64)?.flatten_all()?.to_vec1()?;
        let place = |(flat, &index): (usize, &i64)| match usize::try_from(index) {
            Ok(place) if place < planes.plane_out => Ok(place),
            _ => {
                let extents = planes.output[planes.output.len() - D..].to_vec();
                Err(Error::IndexOutOfBounds { op, index, position: unflatten(flat, &planes.input), extents })
            }
        };
        let mut places = indices.iter().enumerate().map(place).collect::<Result<Vec<_>>>()?;
        if !places.is_empty() {
            let mut taken = vec![false; planes.plane_out];
            for places in places.chunks_exact_mut(planes.plane_in) {
                taken.fill(false);
                for place in places.iter_mut().rev() {
                    if std::mem::replace(&mut taken[*place], true) {
                        *place = OVERWRITTEN;
                    }
                }
            }
        }
        Ok(Self { planes, places })
    }
}

fn unflatten(mut flat: usize, shape: &[usize]) -> Vec<usize> {
    let mut position = vec![0; shape.len()];
    for (at, extent) in position.iter_mut().zip(shape).rev() {
        (*at, flat) = (flat % extent, flat / extent);
    }
    position
}
