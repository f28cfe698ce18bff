//! What a user says of a convolution, and the checked geometry that kernels get.

use crate::{Axes, Error, Result};
use candle_core::Shape;

/// Stride, padding, dilation and groups of a convolution over `D` spatial axes.
///
/// ```
/// use taper_ops::{ConvSpec, Padding};
///
/// let spec = ConvSpec::<2>::default().stride([2, 1]).padding([(1, 1), (0, 2)]).groups(4);
/// let same = ConvSpec::<2>::default().padding(Padding::Same).dilation(2);
/// # let _ = (spec, same);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ConvSpec<const D: usize> {
    /// Step between neighbouring windows, default 1.
    pub stride: [usize; D],
    /// Zeros around the input, default none.
    pub padding: Padding<D>,
    /// Distance between neighbouring taps of the kernel, default 1.
    pub dilation: [usize; D],
    /// Number of independent groups the channels are split into, default 1.
    pub groups: usize,
}

/// Zeros put around the input of a convolution.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Padding<const D: usize> {
    /// (before, after) for each axis.
    Explicit([(usize, usize); D]),
    /// As many zeros as keep the extent, `dilation · (kernel_size − 1)` in all, the odd one after. Stride 1 only.
    Same,
}

impl<const D: usize> From<usize> for Padding<D> {
    fn from(both: usize) -> Self {
        Self::Explicit([(both, both); D])
    }
}

impl<const D: usize> From<[usize; D]> for Padding<D> {
    fn from(both: [usize; D]) -> Self {
        Self::Explicit(both.map(|p| (p, p)))
    }
}

impl<const D: usize> From<[(usize, usize); D]> for Padding<D> {
    fn from(sides: [(usize, usize); D]) -> Self {
        Self::Explicit(sides)
    }
}

impl<const D: usize> Default for ConvSpec<D> {
    fn default() -> Self {
        Self { stride: [1; D], padding: 0.into(), dilation: [1; D], groups: 1 }
    }
}

impl<const D: usize> ConvSpec<D> {
    /// Sets the step between neighbouring windows.
    pub fn stride(self, stride: impl Into<Axes<D>>) -> Self {
        Self { stride: stride.into().0, ..self }
    }

    /// Sets the zeros around the input: one number, one an axis, (before, after) an axis, or [`Padding::Same`].
    pub fn padding(self, padding: impl Into<Padding<D>>) -> Self {
        Self { padding: padding.into(), ..self }
    }

    /// Sets the distance between neighbouring taps of the kernel.
    pub fn dilation(self, dilation: impl Into<Axes<D>>) -> Self {
        Self { dilation: dilation.into().0, ..self }
    }

    /// Sets the number of groups.
    pub fn groups(self, groups: usize) -> Self {
        Self { groups, ..self }
    }

    /// The geometry of `op` on an input of shape `[N, C_in, …]` with a weight of shape `[C_out, C_in / groups, …]`.
    pub(super) fn dims(&self, op: &'static str, x: &[usize], weight: &[usize]) -> Result<ConvDims> {
        let (n, c_in, input): (_, _, [usize; D]) = split(op, "input", ["2", "2 or 3", "3 or 4", "4 or 5"][D], x)?;
        let (c_out, c_in_group, kernel): (_, _, [usize; D]) = split(op, "weight", ["2", "3", "4", "5"][D], weight)?;
        for (argument, value) in [("stride", self.stride), ("dilation", self.dilation), ("kernel_size", kernel)] {
            if value.contains(&0) {
                return Err(Error::NotPositive { op, argument, value: value.to_vec() });
            }
        }
        self.check_channels(op, c_in, c_out, c_in_group, weight)?;
        let span = self.span(op, kernel)?;
        let padding = self.sides(op, span)?;
        let mut padded = [0; D];
        for axis in 0..D {
            let sides = padding[axis].0.checked_add(padding[axis].1);
            padded[axis] = sides
                .and_then(|p| p.checked_add(input[axis]))
                .ok_or(Error::Overflow { op, what: "the padded input" })?;
        }
        if (0..D).any(|axis| span[axis] > padded[axis]) {
            return Err(Error::KernelTooLarge { op, kernel: span.to_vec(), input: padded.to_vec() });
        }
        let output: [usize; D] = std::array::from_fn(|axis| (padded[axis] - span[axis]) / self.stride[axis] + 1);
        let dims = ConvDims {
            rank: D,
            n,
            groups: self.groups,
            c_in,
            c_out,
            input: volume(input, 1),
            kernel: volume(kernel, 1),
            output: volume(output, 1),
            stride: volume(self.stride, 1),
            padding: volume(padding.map(|(before, _)| before), 0),
            dilation: volume(self.dilation, 1),
        };
        dims.check_sizes(op)?;
        Ok(dims)
    }

    fn check_channels(
        &self,
        op: &'static str,
        c_in: usize,
        c_out: usize,
        c_in_group: usize,
        weight: &[usize],
    ) -> Result<()> {
        let groups = self.groups;
        if groups == 0 {
            return Err(Error::NotPositive { op, argument: "groups", value: vec![0] });
        }
        if !c_out.is_multiple_of(groups) {
            return Err(Error::Groups { op, groups, argument: "out_channels", channels: c_out });
        }
        if !c_in.is_multiple_of(groups) {
            return Err(Error::Groups { op, groups, argument: "in_channels", channels: c_in });
        }
        if c_in / groups != c_in_group {
            let expected = c_in_group.saturating_mul(groups);
            return Err(Error::Channels { op, weight: weight.to_vec(), groups, expected, channels: c_in });
        }
        Ok(())
    }

    /// The extent of the kernel with its dilation, `dilation · (kernel_size − 1) + 1`.
    fn span(&self, op: &'static str, kernel: [usize; D]) -> Result<[usize; D]> {
        let mut span = [0; D];
        for axis in 0..D {
            span[axis] = (kernel[axis] - 1)
                .checked_mul(self.dilation[axis])
                .and_then(|reach| reach.checked_add(1))
                .ok_or(Error::Overflow { op, what: "the dilated kernel" })?;
        }
        Ok(span)
    }

    fn sides(&self, op: &'static str, span: [usize; D]) -> Result<[(usize, usize); D]> {
        match self.padding {
            Padding::Explicit(sides) => Ok(sides),
            Padding::Same if self.stride == [1; D] => Ok(span.map(|span| ((span - 1) / 2, (span - 1).div_ceil(2)))),
            Padding::Same => Err(Error::SameStride { op, stride: self.stride.to_vec() }),
        }
    }
}

/// A shape as its two leading extents and `D` axes.
fn split<const D: usize>(
    op: &'static str,
    argument: &'static str,
    expected: &'static str,
    shape: &[usize],
) -> Result<(usize, usize, [usize; D])> {
    let rank = || Error::Rank { op, argument, expected, shape: shape.to_vec() };
    let &[outer, channels, ref axes @ ..] = shape else { return Err(rank()) };
    Ok((outer, channels, axes.try_into().map_err(|_| rank())?))
}

/// `D` axes as the last of three, the missing ones filled.
fn volume<const D: usize>(axes: [usize; D], fill: usize) -> [usize; 3] {
    let mut volume = [fill; 3];
    volume[3 - D..].copy_from_slice(&axes);
    volume
}

/// The checked geometry of one convolution. Axes are (depth, height, width): ranks 1 and 2 have leading axes of extent 1,
/// so one set of kernels serves all three.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct ConvDims {
    rank: usize,
    pub(super) n: usize,
    pub(super) groups: usize,
    pub(super) c_in: usize,
    pub(super) c_out: usize,
    pub(super) input: [usize; 3],
    pub(super) kernel: [usize; 3],
    pub(super) output: [usize; 3],
    pub(super) stride: [usize; 3],
    /// Zeros before the first element of each axis; those after it follow from the output's extent.
    pub(super) padding: [usize; 3],
    pub(super) dilation: [usize; 3],
}

impl ConvDims {
    pub(super) fn x_shape(&self) -> Shape {
        self.shape(self.n, self.c_in, self.input)
    }

    pub(super) fn weight_shape(&self) -> Shape {
        self.shape(self.c_out, self.c_in / self.groups, self.kernel)
    }

    pub(super) fn y_shape(&self) -> Shape {
        self.shape(self.n, self.c_out, self.output)
    }

    /// Input channels of one group.
    pub(super) fn c_in_group(&self) -> usize {
        self.c_in / self.groups
    }

    /// Output channels of one group.
    pub(super) fn c_out_group(&self) -> usize {
        self.c_out / self.groups
    }

    /// Taps of one input channel's kernel.
    pub(super) fn taps(&self) -> usize {
        self.kernel.iter().product()
    }

    /// Elements of one channel of the input.
    pub(super) fn in_plane(&self) -> usize {
        self.input.iter().product()
    }

    /// Elements of one channel of the output.
    pub(super) fn out_plane(&self) -> usize {
        self.output.iter().product()
    }

    fn shape(&self, outer: usize, channels: usize, axes: [usize; 3]) -> Shape {
        let mut dims = vec![outer, channels];
        dims.extend_from_slice(&axes[3 - self.rank..]);
        dims.into()
    }

    /// Refuses sizes whose bytes do not fit the address space: beyond them index arithmetic could wrap.
    fn check_sizes(&self, op: &'static str) -> Result<()> {
        let fits = |outer: usize, channels: usize, axes: [usize; 3]| {
            [channels, axes[0], axes[1], axes[2], size_of::<f64>()]
                .iter()
                .try_fold(outer, |size, &extent| size.checked_mul(extent))
                .is_some_and(|bytes| isize::try_from(bytes).is_ok())
        };
        if !fits(1, self.c_in_group(), self.kernel) {
            return Err(Error::Overflow { op, what: "the kernel" });
        }
        if !fits(self.n.max(1), self.c_out.max(1), self.output) {
            return Err(Error::Overflow { op, what: "the output" });
        }
        Ok(())
    }
}
