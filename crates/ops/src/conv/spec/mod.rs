//! What a user says of a convolution, and the checked geometry that kernels get.

mod transpose;

use crate::{Axes, Error, PadMode, Result};
use candle_core::Shape;
pub use transpose::ConvTransposeSpec;

/// Stride, padding, dilation and groups of a convolution over `D` spatial axes.
///
/// ```
/// use taper_ops::{ConvSpec, PadMode, Padding};
///
/// let spec = ConvSpec::<2>::default().stride([2, 1]).padding([(1, 1), (0, 2)]).groups(4);
/// let same = ConvSpec::<2>::default().padding(Padding::Same).padding_mode(PadMode::Reflect).dilation(2);
/// # let _ = (spec, same);
/// ```
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ConvSpec<const D: usize> {
    /// Step between neighbouring windows, default 1.
    pub stride: [usize; D],
    /// Padding around the input, default none.
    pub padding: Padding<D>,
    /// What the padding holds, default zeros.
    pub padding_mode: PadMode,
    /// Distance between neighbouring taps of the kernel, default 1.
    pub dilation: [usize; D],
    /// Number of independent groups the channels are split into, default 1.
    pub groups: usize,
    /// Whether every sum is taken term by term, default false. Otherwise a convolution in bf16, f16 or float32 over one plane with
    /// 3×3 kernels of stride 1 or 2, or 4×4 kernels of stride 2, dilation 1 and from 32 channels a group on goes by Winograd's
    /// algorithm where that saves products: faster, with a rounding error of up to 2·10⁻⁵ · √terms · rms(x) · rms(w) in float32 on
    /// data like noise. A non-finite element may then reach all the tiles of 4×4 pixels whose windows hold it, 8×8 pixels of
    /// every output channel (16×16 of an input gradient at stride 2), and every tap of the gradient.
    pub exact: bool,
}

/// Padding around the input of a convolution.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Padding<const D: usize> {
    /// (before, after) for each axis.
    Explicit([(usize, usize); D]),
    /// As much as keeps the extent, `dilation · (kernel_size − 1)` in all, the odd one after. Stride 1 only.
    Same,
}

/// (before, after) for each axis.
type Sides<const D: usize> = [(usize, usize); D];

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
        let padding_mode = PadMode::default();
        Self { stride: [1; D], padding: 0.into(), padding_mode, dilation: [1; D], groups: 1, exact: false }
    }
}

impl<const D: usize> ConvSpec<D> {
    /// Sets the step between neighbouring windows.
    pub fn stride(self, stride: impl Into<Axes<D>>) -> Self {
        Self { stride: stride.into().0, ..self }
    }

    /// Sets the padding around the input: one number, one an axis, (before, after) an axis, or [`Padding::Same`].
    pub fn padding(self, padding: impl Into<Padding<D>>) -> Self {
        Self { padding: padding.into(), ..self }
    }

    /// Sets what the padding holds.
    pub fn padding_mode(self, padding_mode: PadMode) -> Self {
        Self { padding_mode, ..self }
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

    /// The geometry of `op` on an input of shape `[N, C_in, …]` with a weight of shape `[C_out, C_in / groups, …]`.
    pub(super) fn dims(&self, op: &'static str, x: &[usize], weight: &[usize]) -> Result<ConvDims> {
        let (n, c_in, input) = split_input::<D>(op, x)?;
        let (c_out, c_in_group, kernel) = split_weight::<D>(op, weight)?;
        positive(op, [("stride", self.stride), ("dilation", self.dilation), ("kernel_size", kernel)])?;
        self.check_channels(op, c_in, c_out, c_in_group, weight)?;
        let span = span(op, kernel, self.dilation)?;
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
            exact: self.exact,
            c_in,
            c_out,
            input: volume(input, 1),
            kernel: volume(kernel, 1),
            output: volume(output, 1),
            stride: volume(self.stride, 1),
            padding: volume(padding.map(|(before, _)| before), 0),
            dilation: volume(self.dilation, 1),
        };
        dims.check_sizes(op, ["the input", "the output"])?;
        Ok(dims)
    }

    /// Where the padding is not of zeros: it, and the convolution of the input with it.
    pub(super) fn split_padding(&self, op: &'static str, weight: &[usize]) -> Result<Option<(Sides<D>, Self)>> {
        if self.padding_mode == PadMode::default() {
            return Ok(None);
        }
        let (_, _, kernel) = split_weight::<D>(op, weight)?;
        let sides = self.sides(op, span(op, kernel, self.dilation)?)?;
        Ok(Some((sides, Self { padding: 0.into(), padding_mode: PadMode::default(), ..*self })))
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

    fn sides(&self, op: &'static str, span: [usize; D]) -> Result<Sides<D>> {
        match self.padding {
            Padding::Explicit(sides) => Ok(sides),
            Padding::Same if self.stride == [1; D] => Ok(span.map(|span| ((span - 1) / 2, (span - 1).div_ceil(2)))),
            Padding::Same => Err(Error::SameStride { op, stride: self.stride.to_vec() }),
        }
    }
}

/// Refuses sizes of zero.
fn positive<const D: usize, const K: usize>(op: &'static str, sizes: [(&'static str, [usize; D]); K]) -> Result<()> {
    match sizes.into_iter().find(|(_, value)| value.contains(&0)) {
        None => Ok(()),
        Some((argument, value)) => Err(Error::NotPositive { op, argument, value: value.to_vec() }),
    }
}

/// The extent of the kernel with its dilation, `dilation · (kernel_size − 1) + 1`.
fn span<const D: usize>(op: &'static str, kernel: [usize; D], dilation: [usize; D]) -> Result<[usize; D]> {
    let mut span = [0; D];
    for axis in 0..D {
        span[axis] = (kernel[axis] - 1)
            .checked_mul(dilation[axis])
            .and_then(|reach| reach.checked_add(1))
            .ok_or(Error::Overflow { op, what: "the dilated kernel" })?;
    }
    Ok(span)
}

/// The shape of an input as samples, channels and `D` axes.
fn split_input<const D: usize>(op: &'static str, shape: &[usize]) -> Result<(usize, usize, [usize; D])> {
    split(op, "input", ["2", "2 or 3", "3 or 4", "4 or 5"][D], shape)
}

/// The shape of a weight as its two channel counts and `D` axes.
fn split_weight<const D: usize>(op: &'static str, shape: &[usize]) -> Result<(usize, usize, [usize; D])> {
    split(op, "weight", ["2", "3", "4", "5"][D], shape)
}

/// A shape as its two leading extents and `D` axes.
pub(super) fn split<const D: usize>(
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
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct ConvDims {
    rank: usize,
    pub(super) n: usize,
    pub(super) groups: usize,
    /// Whether every sum is taken term by term.
    pub(super) exact: bool,
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

    /// Refuses sizes whose bytes do not fit the address space: beyond them index arithmetic could wrap. `x` and `y` are
    /// what the caller names them.
    fn check_sizes(&self, op: &'static str, [x, y]: [&'static str; 2]) -> Result<()> {
        let sizes = [
            ("the kernel", self.c_out, self.c_in_group(), self.kernel),
            (x, self.n, self.c_in, self.input),
            (y, self.n, self.c_out, self.output),
        ];
        for (what, outer, channels, axes) in sizes {
            let fits = [channels.max(1), axes[0], axes[1], axes[2], size_of::<f64>()]
                .iter()
                .try_fold(outer.max(1), |size, &extent| size.checked_mul(extent))
                .is_some_and(|bytes| isize::try_from(bytes).is_ok());
            if !fits {
                return Err(Error::Overflow { op, what });
            }
        }
        Ok(())
    }
}
