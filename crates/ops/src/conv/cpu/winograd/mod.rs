//! Winograd's minimal filtering: fewer products than the formula has.
//!
//! Window, kernel and tile of the output are transformed so that the convolution is a product at each of a number of points,
//! a matrix product over the channels: `y = Aᵀ [(G w Gᵀ) ⊙ (Bᵀ x B)] A`. The interpolation points are 0, ±1, −2, ∞ and perhaps
//! ½; mixed ones lose less to rounding than those of one magnitude. The gradient of the weight is the transposed algorithm,
//! `dw = Gᵀ [(A dy Aᵀ) ⊙ (Bᵀ x B)] G`.
//!
//! | kernel | stride | [`Filter`] | tile | products, and those of the formula |
//! |---|---|---|---|---|
//! | 3×3 | 1 | [`Unit`] | 4×4 | 36, 144 |
//! | 3×3 | 2 | [`Strided3`] | 4×4 | 81, 144 |
//! | 4×4 | 2 | [`Strided4`] | 4×4 | 100, 256 |
//!
//! At stride 2 the input gradient, whose tiles are of 8×8, has filters of its own.
//!
//! Channels lie in lanes: a pixel of [`LANES`] channels is what vectors hold. A sum goes over 64 channels, or a block of tiles,
//! before it is added to others, which bounds its rounding error.
//!
//! Source: Lavin, Gray, "Fast algorithms for convolutional neural networks", arXiv 1509.09308; Barabasz et al., "Error
//! analysis and improving the accuracy of Winograd convolution for deep neural networks", arXiv 1803.10986.

mod correlate;
mod filter;
mod gram;
mod pixels;
mod product;

use super::{FEW, largest_divisor};
use crate::conv::spec::ConvDims;
use crate::simd::{Aligned, Tier, load_square, transpose};
use correlate::correlate;
use filter::{Filter, Strided3, Strided3Grad, Strided4, Strided4Grad, Unit, set};
use gram::gram;
use pulp::Simd;

/// Channels that lie side by side.
const LANES: usize = 32;

/// Channels of one pixel.
type Lanes = Aligned<[f32; LANES]>;

const ZERO: Lanes = Aligned([0.; LANES]);

/// The distance of points: an odd one, for those an even number of cache lines apart would share a few sets of the cache.
fn odd(count: usize) -> usize {
    count | 1
}

/// Points, of all tiles, from which on a block of tiles is long enough to spread the reading of the weights over.
const BLOCK: usize = 28 * 36;

/// Tiles that a block has at least: two runs of the columns that the registers hold.
const LEAST: usize = 24;

/// Weights a tile of a block: more weights than caches hold are read once a block, so that a block is longer then.
const SPREAD: usize = 1 << 10;

/// Which filters serve a convolution.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Kind {
    Unit,
    Strided3,
    Strided4,
}

impl Kind {
    /// The filters for convolutions like this one.
    fn of(d: &ConvDims) -> Option<Self> {
        let one_plane = d.kernel[0] == 1 && d.input[0] == 1 && d.output[0] == 1 && d.padding[0] == 0;
        let [extent, stride, dilation, padding] = [d.kernel, d.stride, d.dilation, d.padding].map(plane);
        let padding_is = |padded: fn(usize) -> bool| padding.into_iter().all(padded);
        // The pixels of a tile alternate between taps in the same way along both axes.
        let even = padding[0] % 2 == padding[1] % 2;
        let kind = match (extent, stride) {
            ([3, 3], [1, 1]) if padding_is(|padding| padding <= 2) => Self::Unit,
            ([3, 3], [2, 2]) if padding_is(|padding| padding <= 2) && even => Self::Strided3,
            ([4, 4], [2, 2]) if padding_is(|padding| padding <= 3) && even => Self::Strided4,
            _ => return None,
        };
        (one_plane && dilation == [1, 1] && d.in_plane() > 0).then_some(kind)
    }

    /// Products of the formula a product of the filter, at this output.
    fn saves(self, d: &ConvDims) -> f64 {
        let (points, taps) = match self {
            Self::Unit => (Unit::POINTS, 9),
            Self::Strided3 => (Strided3::POINTS, 9),
            Self::Strided4 => (Strided4::POINTS, 16),
        };
        let tiles: usize = plane(d.output).map(|extent| extent.div_ceil(4)).iter().product();
        (d.out_plane() * taps) as f64 / (tiles * points) as f64
    }
}

/// Whether the algorithm is for convolutions like this one.
#[cfg(test)]
pub(super) fn applies(d: &ConvDims) -> bool {
    Kind::of(d).is_some()
}

/// Whether the algorithm is asked for, saves products, and has channels enough for its transforms to cost less than those.
pub(super) fn pays(d: &ConvDims) -> bool {
    let enough = |kind: Kind| kind.saves(d) >= if kind == Kind::Unit { 2. } else { 1.3 };
    !d.exact && d.c_in_group() >= LANES && d.c_out_group() >= LANES && Kind::of(d).is_some_and(enough)
}

/// y = x ⋆ w + b.
pub(super) fn forward(tier: Tier, d: &ConvDims, x: &[f32], w: &[f32], b: Option<&[f32]>) -> Vec<f32> {
    let map = Map { from: plane(d.input), before: plane(d.padding), to: plane(d.output) };
    let channels = [d.c_in_group(), d.c_out_group()];
    match Kind::of(d) {
        Some(Kind::Strided4) => correlate::<Strided4>(tier, d, &map, channels, x, Kernel::new(d, w), b),
        Some(Kind::Strided3) => correlate::<Strided3>(tier, d, &map, channels, x, Kernel::new(d, w), b),
        _ => correlate::<Unit>(tier, d, &map, channels, x, Kernel::new(d, w), b),
    }
}

/// dx from dy and w, + b: the convolution of dy with the turned kernel.
pub(super) fn input_grad(tier: Tier, d: &ConvDims, dy: &[f32], w: &[f32], b: Option<&[f32]>) -> Vec<f32> {
    let padding = plane(d.padding);
    let odd = padding[0] % 2 == 1;
    let map =
        |before: fn(usize) -> usize| Map { from: plane(d.output), before: padding.map(before), to: plane(d.input) };
    let (channels, w) = ([d.c_out_group(), d.c_in_group()], Kernel::turned(d, w));
    let half = |padding: usize| 1 - padding / 2;
    match (Kind::of(d), odd) {
        (Some(Kind::Strided4), true) => correlate::<Strided4Grad<true>>(tier, d, &map(half), channels, dy, w, b),
        (Some(Kind::Strided4), false) => correlate::<Strided4Grad<false>>(tier, d, &map(half), channels, dy, w, b),
        (Some(Kind::Strided3), true) => correlate::<Strided3Grad<true>>(tier, d, &map(|_| 0), channels, dy, w, b),
        (Some(Kind::Strided3), false) => correlate::<Strided3Grad<false>>(tier, d, &map(half), channels, dy, w, b),
        _ => correlate::<Unit>(tier, d, &map(|padding| 2 - padding), channels, dy, w, b),
    }
}

/// dw from x and dy. The batch is cut into slices by geometry alone; their sums are added in order.
pub(super) fn weight_grad(tier: Tier, d: &ConvDims, x: &[f32], dy: &[f32]) -> Vec<f32> {
    match Kind::of(d) {
        Some(Kind::Strided4) => gram::<Strided4>(tier, d, x, dy),
        Some(Kind::Strided3) => gram::<Strided3>(tier, d, x, dy),
        _ => gram::<Unit>(tier, d, x, dy),
    }
}

/// The taps of a weight as one of the correlations sees them.
#[derive(Debug, Clone, Copy)]
struct Kernel<'a> {
    w: &'a [f32],
    taps: usize,
    from: usize,
    to: usize,
    /// Whether the correlation goes from the output channels to the input channels, with the taps turned around.
    turned: bool,
}

impl<'a> Kernel<'a> {
    fn new(d: &ConvDims, w: &'a [f32]) -> Self {
        Self { w, taps: d.taps(), from: d.c_in_group(), to: d.c_out_group(), turned: false }
    }

    fn turned(d: &ConvDims, w: &'a [f32]) -> Self {
        Self { w, taps: d.taps(), from: d.c_out_group(), to: d.c_in_group(), turned: true }
    }

    /// Writes the taps from neighbouring channels, `channel` the first, to the output channels from `out` on, a lane each: all that
    /// `gathered` holds.
    #[inline(always)]
    fn gather<S: Simd>(&self, simd: S, group: usize, channel: usize, out: usize, gathered: &mut [Lanes]) {
        let Self { w, taps, from, to, turned } = *self;
        // What lies side by side for one output channel, and how far apart those of the next lie.
        let (together, pitch) = if turned { (taps, taps) } else { (gathered.len(), from * taps) };
        for v in 0..LANES / S::F32_LANES {
            let out = out + v * S::F32_LANES;
            let count = S::F32_LANES.min(to.saturating_sub(out));
            if count == 0 {
                return;
            }
            for (i, gathered) in gathered.chunks_exact_mut(together).enumerate() {
                let kernel =
                    if turned { (group * from + channel + i) * to + out } else { (group * to + out) * from + channel };
                for start in (0..together).step_by(S::F32_LANES) {
                    let mut square = load_square(simd, &w[kernel * taps + start..], pitch, count);
                    transpose(simd, &mut square.0);
                    for (i, vector) in square.0[..S::F32_LANES.min(together - start)].iter().enumerate() {
                        let tap = if turned { together - 1 - start - i } else { start + i };
                        set::<S>(&mut gathered[tap], v, *vector);
                    }
                }
            }
        }
    }
}

/// Height and width.
fn plane([_, height, width]: [usize; 3]) -> [usize; 2] {
    [height, width]
}

/// From which pixels which are computed.
#[derive(Debug, Clone, Copy)]
struct Map {
    /// Extents of what windows are read from.
    from: [usize; 2],
    /// Zeros before it.
    before: [usize; 2],
    /// Extents of what tiles are written to.
    to: [usize; 2],
}

impl Map {
    /// Rows of tiles, and tiles a row.
    fn tiles<F: Filter>(&self) -> [usize; 2] {
        self.to.map(|extent| extent.div_ceil(F::TILE))
    }

    /// Rows of tiles of which each of the blocks of about `tiles` tiles has as many that `rows` rows are cut into: a short last
    /// block would read all weights for a few tiles.
    fn rows_per_block<F: Filter>(&self, tiles: usize, rows: usize) -> usize {
        let about = tiles.div_ceil(self.tiles::<F>()[1].max(1));
        let blocks = ((rows + about / 2) / about).max(1);
        rows.div_ceil(blocks).max(1)
    }
}

/// Rows of tiles of one sample, and where their tiles stand in a block.
#[derive(Debug, Clone, Copy)]
struct Segment {
    sample: usize,
    row: usize,
    rows: usize,
    tile: usize,
}

/// The rows of tiles `rows`, counted through samples of `per_sample` rows of `per_row` tiles.
fn segments(rows: std::ops::Range<usize>, per_sample: usize, per_row: usize) -> impl Iterator<Item = Segment> {
    let (mut at, first) = (rows.start, rows.start);
    std::iter::from_fn(move || {
        let (sample, row) = (at / per_sample, at % per_sample);
        let rows = (per_sample - row).min(rows.end - at);
        let segment = Segment { sample, row, rows, tile: (at - first) * per_row };
        at += rows;
        (rows > 0).then_some(segment)
    })
}

/// Tiles of a block, for so many weights of one value of the kernel.
fn block<F: Filter>(weights: usize) -> usize {
    (BLOCK / F::POINTS).max(weights / SPREAD).max(LEAST)
}
