//! What a user says of the windows, and the geometry that follows from it.

use crate::{Axes, Error, Result};

/// The windows of [`unfold2d`](crate::unfold2d) and [`fold2d`](crate::fold2d); every number is one for both axes or
/// (height, width).
///
/// ```
/// use taper_ops::UnfoldSpec;
///
/// let spec = UnfoldSpec::new([3, 2]).dilation(2).padding([1, 0]).stride([2, 1]);
/// assert_ne!(spec, UnfoldSpec::new([3, 2]));
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct UnfoldSpec {
    /// The extent of a window.
    pub kernel_size: [usize; 2],
    /// The distance between neighbouring elements of a window.
    pub dilation: [usize; 2],
    /// Zeros added on both sides of each axis.
    pub padding: [usize; 2],
    /// The distance from one window to the next.
    pub stride: [usize; 2],
}

/// Checked geometry: an image of `channels` planes for each sample, and its columns.
#[derive(Debug)]
pub(super) struct UnfoldDims {
    pub(super) op: &'static str,
    /// The image's shape, with or without a batch axis.
    pub(super) image: Vec<usize>,
    /// The columns' shape: `[N, C·K_h·K_w, L]` or without N.
    pub(super) columns: Vec<usize>,
    pub(super) extents: [usize; 2],
    /// Windows along each axis.
    pub(super) blocks: [usize; 2],
    pub(super) spec: UnfoldSpec,
}

impl UnfoldSpec {
    /// Windows of `kernel_size` at every position: stride 1, no padding, no dilation.
    pub fn new(kernel_size: impl Into<Axes<2>>) -> Self {
        Self { kernel_size: kernel_size.into().0, dilation: [1; 2], padding: [0; 2], stride: [1; 2] }
    }

    /// The distance between neighbouring elements of a window.
    #[must_use]
    pub fn dilation(mut self, dilation: impl Into<Axes<2>>) -> Self {
        self.dilation = dilation.into().0;
        self
    }

    /// Zeros added on both sides of each axis.
    #[must_use]
    pub fn padding(mut self, padding: impl Into<Axes<2>>) -> Self {
        self.padding = padding.into().0;
        self
    }

    /// The distance from one window to the next.
    #[must_use]
    pub fn stride(mut self, stride: impl Into<Axes<2>>) -> Self {
        self.stride = stride.into().0;
        self
    }

    /// The geometry over an image of `shape`: `[N, C, H, W]` or `[C, H, W]`.
    pub(super) fn unfold_dims(self, op: &'static str, shape: &[usize]) -> Result<UnfoldDims> {
        match *shape {
            [ref lead @ .., channels, height, width] if lead.len() < 2 => {
                self.dims(op, lead, channels, [height, width])
            }
            _ => Err(Error::Rank { op, argument: "input", expected: "3 or 4", shape: shape.to_vec() }),
        }
    }

    /// The geometry over columns of `shape`, `[N, C·K_h·K_w, L]` or `[C·K_h·K_w, L]`, of an image of `output_size`.
    pub(super) fn fold_dims(self, op: &'static str, shape: &[usize], output_size: [usize; 2]) -> Result<UnfoldDims> {
        let (lead, rows) = match *shape {
            [ref lead @ .., rows, _] if lead.len() < 2 => (lead, rows),
            _ => return Err(Error::Rank { op, argument: "input", expected: "2 or 3", shape: shape.to_vec() }),
        };
        let [k_h, k_w] = self.kernel_size;
        // A kernel of nothing is refused with the other sizes.
        let taps = k_h.checked_mul(k_w).ok_or(Error::Overflow { op, what: "the kernel" })?.max(1);
        if !rows.is_multiple_of(taps) {
            return Err(Error::Indivisible { op, argument: "the length of a column", value: rows, divisor: taps });
        }
        let dims = self.dims(op, lead, rows / taps, output_size)?;
        if dims.columns == shape {
            return Ok(dims);
        }
        Err(Error::Shape { op, argument: "input", expected: dims.columns, shape: shape.to_vec() })
    }

    fn dims(self, op: &'static str, lead: &[usize], channels: usize, extents: [usize; 2]) -> Result<UnfoldDims> {
        let Self { kernel_size, dilation, padding, stride } = self;
        let positive = [
            ("kernel_size", kernel_size),
            ("dilation", dilation),
            ("stride", stride),
            ("the image's extents", extents),
        ];
        if let Some((argument, value)) = positive.into_iter().find(|(_, value)| value.contains(&0)) {
            return Err(Error::NotPositive { op, argument, value: value.to_vec() });
        }
        let (mut span, mut padded) = ([0; 2], [0; 2]);
        for i in 0..2 {
            let reach = (kernel_size[i] - 1).checked_mul(dilation[i]).and_then(|reach| reach.checked_add(1));
            span[i] = reach.ok_or(Error::Overflow { op, what: "the dilated kernel" })?;
            let sides = padding[i].checked_mul(2).and_then(|sides| sides.checked_add(extents[i]));
            padded[i] = sides.ok_or(Error::Overflow { op, what: "the padded input" })?;
        }
        if span[0] > padded[0] || span[1] > padded[1] {
            return Err(Error::KernelTooLarge { op, kernel: span.to_vec(), input: padded.to_vec() });
        }
        let blocks = [0, 1].map(|i| (padded[i] - span[i]) / stride[i] + 1);
        let sizes = [channels, kernel_size[0], kernel_size[1], blocks[0], blocks[1]];
        for (what, sizes) in [("the columns", &sizes[..]), ("the image", &[channels, extents[0], extents[1]])] {
            let whole = lead.iter().chain(sizes).try_fold(1usize, |size, &extent| size.checked_mul(extent.max(1)));
            if whole.is_none_or(|size| size > isize::MAX as usize / size_of::<f64>()) {
                return Err(Error::Overflow { op, what });
            }
        }
        let columns = [channels * kernel_size[0] * kernel_size[1], blocks[0] * blocks[1]];
        Ok(UnfoldDims {
            op,
            image: [lead, &[channels], &extents].concat(),
            columns: [lead, &columns].concat(),
            extents,
            blocks,
            spec: self,
        })
    }
}

impl UnfoldDims {
    /// Elements of one plane of the image.
    pub(super) fn plane(&self) -> usize {
        self.extents.iter().product()
    }

    /// Windows of one plane.
    pub(super) fn windows(&self) -> usize {
        self.blocks.iter().product()
    }

    /// Elements of one window.
    pub(super) fn taps(&self) -> usize {
        self.spec.kernel_size.iter().product()
    }

    /// The blocks along axis `i` for which tap `tap` falls into the image, and where the first of them falls.
    pub(super) fn reach(&self, i: usize, tap: usize) -> (std::ops::Range<usize>, usize) {
        let UnfoldSpec { dilation, padding, stride, .. } = self.spec;
        let offset = tap * dilation[i];
        let start = padding[i].saturating_sub(offset).div_ceil(stride[i]);
        let end = (self.extents[i] + padding[i]).saturating_sub(offset).div_ceil(stride[i]).min(self.blocks[i]);
        if start < end { (start..end, start * stride[i] + offset - padding[i]) } else { (0..0, 0) }
    }
}
