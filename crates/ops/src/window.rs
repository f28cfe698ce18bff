//! Where the windows of a pooling operator lie: the geometry that maximum and average pooling share, checked once.
//!
//! Rank 1 and 2 are rank 3 with unit axes in front, so that one set of kernels serves them all.

pub(crate) mod lines;
pub(crate) mod runs;

use crate::planes::{Planes, split};
use crate::{Error, Result};
use std::ops::Range;
use std::sync::Arc;

/// What a user says of the windows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct WindowSpec<const D: usize> {
    pub(crate) kernel_size: [usize; D],
    pub(crate) stride: [usize; D],
    pub(crate) padding: [usize; D],
    pub(crate) dilation: [usize; D],
    pub(crate) ceil_mode: bool,
}

/// Checked geometry of a pooling over `planes` planes of three axes.
#[derive(Debug)]
pub(crate) struct PoolDims {
    pub(crate) planes: Arc<Planes>,
    axes: [Axis; 3],
}

/// The windows along one axis, seen from the output (`spans`) and from the kernel (`taps`).
#[derive(Debug)]
pub(crate) struct Axis {
    pub(crate) input: usize,
    pub(crate) output: usize,
    pub(crate) stride: usize,
    pub(crate) kernel: usize,
    pub(crate) padding: usize,
    pub(crate) dilation: usize,
    /// One an output position.
    pub(crate) spans: Vec<Span>,
    /// The taps that touch the input somewhere, in order.
    pub(crate) taps: Vec<Tap>,
}

/// What one window holds of its axis: `count` input positions from `first` on, a dilation apart.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Span {
    /// The first tap that does not fall into the padding.
    pub(crate) tap: usize,
    pub(crate) first: usize,
    pub(crate) count: usize,
    /// Positions of the window within the padded input, where the last one is clipped in ceil mode.
    pub(crate) padded: usize,
}

/// One tap of the kernel: output `outputs.start + i` reads input `first + i · stride`.
#[derive(Debug, Clone)]
pub(crate) struct Tap {
    /// Its number within the kernel.
    pub(crate) number: usize,
    pub(crate) outputs: Range<usize>,
    pub(crate) first: usize,
}

/// One row of the output, and the windows it lies in along the other two axes.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Row<'a> {
    dims: &'a PoolDims,
    pub(crate) depth: Span,
    pub(crate) height: Span,
}

impl<const D: usize> WindowSpec<D> {
    /// The geometry over an input of `shape`: `[N, C, axes…]`, or `[C, axes…]`.
    pub(crate) fn dims(&self, op: &'static str, shape: &[usize]) -> Result<PoolDims> {
        let (lead, extents) = split::<D>(op, "input", shape)?;
        self.check(op)?;
        let mut inner = [0; D];
        for (i, output) in inner.iter_mut().enumerate() {
            *output = self.output_extent(op, i, extents[i])?.ok_or_else(|| self.too_large(op, &extents))?;
        }
        // Only a dilation above the extent can step over the whole input, and padding of at most half of the kernel leaves
        // such an axis no second window.
        if (0..D).any(|i| self.span(i, extents[i], 0).count == 0) {
            return Err(Error::EmptyWindow { op, position: vec![0; D] });
        }
        let planes = Arc::new(Planes::new(op, lead, &extents, &inner)?);
        let mut axes = [Axis::unit(), Axis::unit(), Axis::unit()];
        if !planes.is_empty() {
            for (i, axis) in axes[3 - D..].iter_mut().enumerate() {
                *axis = self.axis(i, extents[i], inner[i]);
            }
        }
        Ok(PoolDims { planes, axes })
    }

    fn check(&self, op: &'static str) -> Result<()> {
        let positive = [("kernel_size", self.kernel_size), ("stride", self.stride), ("dilation", self.dilation)];
        for (argument, value) in positive {
            if value.contains(&0) {
                return Err(Error::NotPositive { op, argument, value: value.to_vec() });
            }
        }
        for (padding, kernel_size) in self.padding.into_iter().zip(self.kernel_size) {
            if padding > kernel_size / 2 {
                return Err(Error::PoolPadding { op, padding, kernel_size });
            }
        }
        for i in 0..D {
            if self.reach(i).is_none() {
                return Err(Error::Overflow { op, what: "the dilated kernel" });
            }
        }
        Ok(())
    }

    /// The extent of the kernel with its dilation.
    fn reach(&self, i: usize) -> Option<usize> {
        self.dilation[i].checked_mul(self.kernel_size[i] - 1)?.checked_add(1)
    }

    fn padded(&self, i: usize, input: usize) -> Option<usize> {
        self.padding[i].checked_mul(2)?.checked_add(input)
    }

    /// `⌊(L + 2p − reach + (ceil ? s − 1 : 0)) / s⌋ + 1`, less one where the last window would start in the right
    /// padding; `None` where that is not positive.
    fn output_extent(&self, op: &'static str, i: usize, input: usize) -> Result<Option<usize>> {
        let stride = self.stride[i];
        let padded = self.padded(i, input).ok_or(Error::Overflow { op, what: "the padded input" })?;
        let reach = self.reach(i).ok_or(Error::Overflow { op, what: "the dilated kernel" })?;
        // Written so that no stride overflows.
        let output = match padded.checked_sub(reach) {
            Some(room) => room / stride + 1 + usize::from(self.ceil_mode && !room.is_multiple_of(stride)),
            None => usize::from(self.ceil_mode && reach - padded < stride),
        };
        let starts_in_padding = |output: usize| (output - 1).saturating_mul(stride) >= input + self.padding[i];
        Ok(match output {
            0 => None,
            output if self.ceil_mode && starts_in_padding(output) => (output > 1).then(|| output - 1),
            output => Some(output),
        })
    }

    fn too_large(&self, op: &'static str, extents: &[usize]) -> Error {
        let kernel = (0..D).filter_map(|i| self.reach(i)).collect();
        let input = extents.iter().enumerate().filter_map(|(i, &extent)| self.padded(i, extent)).collect();
        Error::KernelTooLarge { op, kernel, input }
    }

    fn axis(&self, i: usize, input: usize, output: usize) -> Axis {
        let spans: Vec<Span> = (0..output).map(|o| self.span(i, input, o)).collect();
        let taps = self.taps(i, input, &spans);
        let (kernel, stride, dilation) = (self.kernel_size[i], self.stride[i], self.dilation[i]);
        Axis { input, output, kernel, stride, padding: self.padding[i], dilation, spans, taps }
    }

    fn span(&self, i: usize, input: usize, o: usize) -> Span {
        let (kernel_size, padding, dilation) = (self.kernel_size[i], self.padding[i], self.dilation[i]);
        let start = o * self.stride[i];
        let tap = padding.saturating_sub(start).div_ceil(dilation);
        let end = (input + padding - start).div_ceil(dilation).min(kernel_size);
        let count = end.saturating_sub(tap);
        let first = if count == 0 { 0 } else { start + tap * dilation - padding };
        Span { tap, first, count, padded: kernel_size.min(input + 2 * padding - start) }
    }

    /// The taps that `spans` hold. A later window starts with an earlier tap, so going backwards finds them in order.
    fn taps(&self, i: usize, input: usize, spans: &[Span]) -> Vec<Tap> {
        let (stride, padding, dilation) = (self.stride[i], self.padding[i], self.dilation[i]);
        let (mut taps, mut next) = (Vec::new(), 0);
        for span in spans.iter().rev() {
            let end = span.tap + span.count;
            taps.extend((next.max(span.tap)..end).map(|tap| {
                let offset = tap * dilation;
                let start = padding.saturating_sub(offset).div_ceil(stride);
                let end = (input + padding - offset).div_ceil(stride).min(spans.len());
                Tap { number: tap, outputs: start..end, first: start * stride + offset - padding }
            }));
            next = next.max(end);
        }
        taps
    }
}

impl PoolDims {
    /// The last axis, along which rows lie.
    pub(crate) fn width(&self) -> &Axis {
        &self.axes[2]
    }

    /// Elements of a whole window, padding and all.
    pub(crate) fn taps(&self) -> usize {
        self.axes.iter().map(|axis| axis.kernel).fold(1, usize::saturating_mul)
    }

    /// The axes as a kernel's `Windows`, in `window.cuh`.
    pub(crate) fn cuda(&self) -> Vec<usize> {
        let axis = |a: &Axis| [a.input, a.output, a.kernel, a.stride, a.padding, a.dilation];
        self.axes.iter().flat_map(axis).collect()
    }

    /// How far behind the first tap of a window each of its taps lies within the plane, row-major.
    pub(crate) fn tap_offsets(&self) -> Vec<usize> {
        let [depth, height, width] = &self.axes;
        let down = height.dilation * width.input;
        let inward = depth.dilation * height.input * width.input;
        let along =
            |axis: &Axis, step: usize| (0..axis.kernel).map(move |tap| tap.wrapping_mul(step)).collect::<Vec<_>>();
        let [inward, down, across] = [along(depth, inward), along(height, down), along(width, width.dilation)];
        let row = |start: usize| across.iter().map(move |across| start.wrapping_add(*across));
        inward.iter().flat_map(|i| down.iter().flat_map(move |j| row(i.wrapping_add(*j)))).collect()
    }

    /// Elements that the windows of one plane hold, counted with their overlap.
    pub(crate) fn work(&self) -> usize {
        self.axes.iter().map(|axis| axis.spans.iter().map(|span| span.count).sum()).fold(1, usize::saturating_mul)
    }

    /// The rows of one output plane, in order.
    pub(crate) fn rows(&self) -> impl Iterator<Item = Row<'_>> {
        let [depth, height, _] = &self.axes;
        depth
            .spans
            .iter()
            .flat_map(move |&depth| height.spans.iter().map(move |&height| Row { dims: self, depth, height }))
    }
}

impl Row<'_> {
    /// Where the input rows under this row's windows start within their plane, in order.
    pub(crate) fn input_rows(&self) -> impl Iterator<Item = usize> {
        self.tap_rows().map(|(_, start)| start)
    }

    /// The number of the first tap in each of [`input_rows`](Self::input_rows), modular, and where the row starts.
    pub(crate) fn tap_rows(&self) -> impl Iterator<Item = (usize, usize)> {
        let [depth, height, width] = &self.dims.axes;
        let (first, down) = (self.height, height.dilation * width.input);
        (0..self.depth.count).flat_map(move |i| {
            let start = ((self.depth.first + i * depth.dilation) * height.input + first.first) * width.input;
            let tap = (self.depth.tap + i).wrapping_mul(height.kernel).wrapping_add(first.tap);
            (0..first.count).map(move |j| (tap.wrapping_add(j).wrapping_mul(width.kernel), start + j * down))
        })
    }

    /// Where the first tap of the windows in this row lies, column and all left out: modular, for it may lie in the padding.
    pub(crate) fn origin(&self) -> usize {
        let [depth, height, width] = &self.dims.axes;
        let (z, y) = (depth.origin(&self.depth), height.origin(&self.height));
        z.wrapping_mul(height.input).wrapping_add(y).wrapping_mul(width.input)
    }
}

impl Axis {
    /// Where the first tap of a window lies: modular, for it may lie in the padding.
    pub(crate) fn origin(&self, span: &Span) -> usize {
        span.first.wrapping_sub(span.tap.wrapping_mul(self.dilation))
    }

    /// Whether every window is a whole chunk of `stride` positions, from the first position on.
    pub(crate) fn side_by_side(&self) -> bool {
        let chunks = |(i, tap): (usize, &Tap)| tap.first == i && tap.outputs == (0..self.output);
        self.taps.len() == self.stride && self.taps.iter().enumerate().all(chunks)
    }

    fn unit() -> Self {
        let span = Span { tap: 0, first: 0, count: 1, padded: 1 };
        Self {
            input: 1,
            output: 1,
            stride: 1,
            kernel: 1,
            padding: 0,
            dilation: 1,
            spans: vec![span],
            taps: vec![Tap { number: 0, outputs: 0..1, first: 0 }],
        }
    }
}
