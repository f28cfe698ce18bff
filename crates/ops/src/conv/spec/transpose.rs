//! What a user says of a transposed convolution.

use super::{ConvDims, positive, span, split_input, split_weight, volume};
use crate::{Axes, Error, Result};

/// Stride, padding, output padding, dilation and groups of a transposed convolution over `D` spatial axes: those of the
/// convolution that it transposes.
///
/// ```
/// use taper_ops::ConvTransposeSpec;
///
/// let spec = ConvTransposeSpec::<2>::default().stride([3, 2]).padding(1).output_padding([2, 1]).groups(4);
/// # let _ = spec;
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ConvTransposeSpec<const D: usize> {
    /// Step between the places of neighbouring input elements in the output, default 1.
    pub stride: [usize; D],
    /// What is cut from both sides of the output, default nothing.
    pub padding: [usize; D],
    /// What the far side of the output gets back: a stride s sends s input extents to one output extent, and this says
    /// which of them is meant. Smaller than stride or dilation, default 0.
    pub output_padding: [usize; D],
    /// Distance between neighbouring taps of the kernel, default 1.
    pub dilation: [usize; D],
    /// Number of independent groups the channels are split into, default 1.
    pub groups: usize,
    /// Whether every sum is taken term by term, default false: see [`ConvSpec::exact`](crate::ConvSpec::exact).
    pub exact: bool,
}

impl<const D: usize> Default for ConvTransposeSpec<D> {
    fn default() -> Self {
        Self { stride: [1; D], padding: [0; D], output_padding: [0; D], dilation: [1; D], groups: 1, exact: false }
    }
}

impl<const D: usize> ConvTransposeSpec<D> {
    /// Sets the step between the places of neighbouring input elements in the output.
    pub fn stride(self, stride: impl Into<Axes<D>>) -> Self {
        Self { stride: stride.into().0, ..self }
    }

    /// Sets what is cut from both sides of the output.
    pub fn padding(self, padding: impl Into<Axes<D>>) -> Self {
        Self { padding: padding.into().0, ..self }
    }

    /// Sets what the far side of the output gets back.
    pub fn output_padding(self, output_padding: impl Into<Axes<D>>) -> Self {
        Self { output_padding: output_padding.into().0, ..self }
    }

    /// Sets the distance between neighbouring taps of the kernel.
    pub fn dilation(self, dilation: impl Into<Axes<D>>) -> Self {
        Self { dilation: dilation.into().0, ..self }
    }

    /// Sets the number of groups.
    pub fn groups(self, groups: usize) -> Self {
        Self { groups, ..self }
    }

    /// Sets whether every sum is taken term by term.
    pub fn exact(self, exact: bool) -> Self {
        Self { exact, ..self }
    }

    /// The geometry of the convolution that `op` transposes, on an input of shape `[N, C_in, …]` with a weight of shape
    /// `[C_in, C_out / groups, …]`.
    pub(in crate::conv) fn dims(&self, op: &'static str, x: &[usize], weight: &[usize]) -> Result<ConvDims> {
        let (n, c_in, input) = split_input::<D>(op, x)?;
        let (expected, c_out_group, kernel) = split_weight::<D>(op, weight)?;
        let Self { stride, padding, output_padding, dilation, groups, exact } = *self;
        positive(op, [("stride", stride), ("dilation", dilation), ("kernel_size", kernel), ("input_size", input)])?;
        positive(op, [("groups", [groups])])?;
        if !expected.is_multiple_of(groups) {
            return Err(Error::Groups { op, groups, argument: "in_channels", channels: expected });
        }
        if expected != c_in {
            return Err(Error::Channels { op, weight: weight.to_vec(), groups, expected, channels: c_in });
        }
        let c_out = c_out_group.checked_mul(groups).ok_or(Error::Overflow { op, what: "the channels" })?;
        let mut whole = span(op, kernel, dilation)?;
        for axis in 0..D {
            let (output_padding, stride, dilation) = (output_padding[axis], stride[axis], dilation[axis]);
            if output_padding >= stride.max(dilation) {
                return Err(Error::OutputPadding { op, output_padding, stride, dilation });
            }
            whole[axis] = (input[axis] - 1)
                .checked_mul(stride)
                .and_then(|reach| reach.checked_add(whole[axis])?.checked_add(output_padding))
                .ok_or(Error::Overflow { op, what: "the output" })?;
        }
        if (0..D).any(|axis| padding[axis] >= whole[axis].div_ceil(2)) {
            return Err(Error::NothingLeft { op, output: whole.to_vec(), padding: padding.to_vec() });
        }
        let output: [usize; D] = std::array::from_fn(|axis| whole[axis] - 2 * padding[axis]);
        let dims = ConvDims {
            rank: D,
            n,
            groups,
            exact,
            c_in: c_out,
            c_out: c_in,
            input: volume(output, 1),
            kernel: volume(kernel, 1),
            // An output padding of a stride or more leaves room for further windows, which nothing was spread from.
            output: volume(input, 1),
            stride: volume(stride, 1),
            padding: volume(padding, 0),
            dilation: volume(dilation, 1),
        };
        dims.check_sizes(op, ["the output", "the input"])?;
        Ok(dims)
    }
}
