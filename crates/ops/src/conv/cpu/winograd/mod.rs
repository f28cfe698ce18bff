//! Winograd's minimal filtering F(4×4, 3×3): 36 products where the formula has 144.
//!
//! An output tile of 4×4 pixels depends on a window of 6×6. Window, kernel and tile are transformed so that the
//! convolution is a product at each of 36 points, a matrix product over the channels:
//! `y = Aᵀ [(G w Gᵀ) ⊙ (Bᵀ x B)] A`. The interpolation points are 0, ±1, ½, −2 and ∞; mixed ones lose less to rounding than
//! those of one magnitude. The gradient of the weight is the transposed algorithm, `dw = Gᵀ [(A dy Aᵀ) ⊙ (Bᵀ x B)] G`.
//!
//! Channels lie in lanes: a pixel of [`LANES`] channels is what vectors hold. A sum goes over 64 channels, or a block of tiles,
//! before it is added to others, which bounds its rounding error.
//!
//! Source: Lavin, Gray, "Fast algorithms for convolutional neural networks", arXiv 1509.09308; Barabasz et al., "Error
//! analysis and improving the accuracy of Winograd convolution for deep neural networks", arXiv 1803.10986.

mod pixels;
mod product;
mod transform;

use super::{FEW, largest_divisor, sum_slices};
use crate::conv::spec::ConvDims;
use crate::parallel;
use crate::simd::Tier;
use product::{Gram, Products};
use pulp::{Simd, WithSimd};
use transform::{POINTS, TILE, WINDOW};

/// Channels that lie side by side.
const LANES: usize = 32;

/// Channels of one pixel.
type Lanes = [f32; LANES];

/// The distance of points: an odd one, for those an even number of cache lines apart would share a few sets of the cache.
fn odd(count: usize) -> usize {
    count | 1
}

/// Tiles from which on a block of them is long enough to spread the reading of the weights over.
const BLOCK: usize = 28;

/// Weights a tile of a block: more weights than caches hold are read once a block, so that a block is longer then.
const SPREAD: usize = 1 << 12;

/// Whether the algorithm is for convolutions like this one.
pub(super) fn applies(d: &ConvDims) -> bool {
    let axes = [1, 2];
    d.kernel == [1, 3, 3]
        && d.input[0] == 1
        && d.output[0] == 1
        && d.padding[0] == 0
        && d.in_plane() > 0
        && axes.iter().all(|&axis| d.stride[axis] == 1 && d.dilation[axis] == 1 && d.padding[axis] < WINDOW - TILE + 1)
}

/// Whether the algorithm is asked for, saves products, and has channels enough for its transforms to cost less than those.
pub(super) fn pays(d: &ConvDims) -> bool {
    let tiles: usize = plane(d.output).map(|extent| extent.div_ceil(TILE)).iter().product();
    let saves = d.out_plane() * 9 >= tiles * POINTS * 2;
    !d.exact && applies(d) && saves && d.c_in_group() >= LANES && d.c_out_group() >= LANES
}

/// y = x ⋆ w + b.
pub(super) fn forward(tier: Tier, d: &ConvDims, x: &[f32], w: &[f32], b: Option<&[f32]>) -> Vec<f32> {
    let (from, to) = (d.c_in_group(), d.c_out_group());
    let taps = |group: usize, channel: usize, out: usize| *taps_at(w, (group * to + out) * from + channel);
    let map = Map { from: plane(d.input), before: plane(d.padding), to: plane(d.output) };
    correlate(tier, d, &map, [from, to], x, taps, b)
}

/// dx from dy and w, + b: the convolution of dy with the turned kernel.
pub(super) fn input_grad(tier: Tier, d: &ConvDims, dy: &[f32], w: &[f32], b: Option<&[f32]>) -> Vec<f32> {
    let (from, to) = (d.c_out_group(), d.c_in_group());
    let taps = |group: usize, channel: usize, out: usize| {
        let mut taps = *taps_at(w, (group * from + channel) * to + out);
        taps.reverse();
        taps
    };
    let map = Map { from: plane(d.output), before: plane(d.padding).map(|before| 2 - before), to: plane(d.input) };
    correlate(tier, d, &map, [from, to], dy, taps, b)
}

/// The taps of one input and one output channel.
fn taps_at(w: &[f32], kernel: usize) -> &[f32; 9] {
    &w.as_chunks().0[kernel]
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
    fn tiles(&self) -> [usize; 2] {
        self.to.map(|extent| extent.div_ceil(TILE))
    }

    /// Rows of tiles that make a block of about `tiles` tiles.
    fn rows_per_block(&self, tiles: usize) -> usize {
        tiles.div_ceil(self.tiles()[1].max(1))
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

/// The convolution of stride 1 that `map` says, of `[from, to]` channels a group.
fn correlate(
    tier: Tier,
    d: &ConvDims,
    map: &Map,
    [from, to]: [usize; 2],
    x: &[f32],
    taps: impl Fn(usize, usize, usize) -> [f32; 9] + Sync,
    b: Option<&[f32]>,
) -> Vec<f32> {
    let chunks = to.div_ceil(LANES);
    let weights = parallel::map(d.groups * chunks, |i| {
        let (group, first) = (i / chunks, i % chunks * LANES);
        tier.run(Kernels { from, to: LANES.min(to - first), taps: |channel, out| taps(group, channel, first + out) })
    });
    // One task has as many samples as fill a block of tiles, and, where tasks would be few, a part of their channels.
    let per_sample: usize = map.tiles().iter().product();
    let batches = (d.n * per_sample / BLOCK.max(from * to / SPREAD)).clamp(1, d.n.max(1));
    let samples = d.n.div_ceil(batches).max(1);
    let wanted = FEW.div_ceil(batches * d.groups);
    let blocks = if to.is_multiple_of(LANES) { chunks / largest_divisor(chunks, chunks.div_ceil(wanted)) } else { 1 };
    let (chunks, to_block) = (chunks / blocks, to / blocks);
    let [x_plane, y_plane] = [map.from, map.to].map(|[height, width]| height * width);

    let (len, tasks) = (d.n * d.groups * to * y_plane, d.n.div_ceil(samples) * d.groups * blocks);
    let task_of = |run: usize| {
        let (n, block) = (run / (d.groups * blocks), run % (d.groups * blocks));
        n / samples * d.groups * blocks + block
    };
    let item = to_block * y_plane;
    let (y, _) = parallel::build_by_task(len, 0., item, tasks, task_of, Workspace::default, |space, task, y| {
        let (first, block) = (task / (d.groups * blocks) * samples, task % (d.groups * blocks));
        let group = block / blocks;
        let x = |sample: usize| &x[((first + sample) * d.groups + group) * from * x_plane..][..from * x_plane];
        let (weights, b) = (&weights[block * chunks..][..chunks], b.map(|b| &b[block * to_block..][..to_block]));
        tier.run(Correlation { map, from, x, weights, b, y, space });
    });
    y
}

/// The transformed kernels of `to` output channels, at most `LANES`: `[POINTS, from]`, an odd number of channels a point.
struct Kernels<F> {
    from: usize,
    to: usize,
    taps: F,
}

impl<F: Fn(usize, usize) -> [f32; 9]> WithSimd for Kernels<F> {
    type Output = Vec<Lanes>;

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) -> Self::Output {
        /// Channels whose kernels are gathered together: for each output channel they are neighbours.
        const NEAR: usize = 8;
        let pitch = odd(self.from);
        let mut transformed = vec![[0.; LANES]; POINTS * pitch];
        let mut gathered = [[[0.; LANES]; 9]; NEAR];
        for first in (0..self.from).step_by(NEAR) {
            let near = NEAR.min(self.from - first);
            for out in 0..self.to {
                for (channel, gathered) in gathered.iter_mut().enumerate().take(near) {
                    let taps = (self.taps)(first + channel, out);
                    gathered.iter_mut().zip(taps).for_each(|(lanes, tap)| lanes[out] = tap);
                }
            }
            for (channel, taps) in gathered.iter().enumerate().take(near) {
                transform::kernel(simd, taps, &mut transformed[first + channel..], pitch);
            }
        }
        transformed
    }
}

/// What a task writes before it reads it.
#[derive(Default)]
struct Workspace {
    pixels: Vec<Lanes>,
    windows: Vec<Lanes>,
    products: Vec<Lanes>,
    tiles: Vec<Lanes>,
}

/// The output of one task, a slice `y` a sample.
struct Correlation<'a, 'y, X> {
    map: &'a Map,
    from: usize,
    x: X,
    weights: &'a [Vec<Lanes>],
    b: Option<&'a [f32]>,
    y: &'a mut [&'y mut [f32]],
    space: &'a mut Workspace,
}

impl<'x, X: Fn(usize) -> &'x [f32]> WithSimd for Correlation<'_, '_, X> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Self { map, from, x, weights, b, y, space } = self;
        let [tile_rows, per_row] = map.tiles();
        let rows = y.len() * tile_rows;
        let block = map.rows_per_block(BLOCK.max(from * weights.len() * LANES / SPREAD)).min(rows);
        let chunks = from.div_ceil(LANES);
        let pitch = odd(block * per_row);
        let Workspace { pixels, windows: v, products: m, tiles } = space;
        v.resize(chunks * POINTS * pitch, [0.; LANES]);
        m.resize(POINTS * pitch, [0.; LANES]);
        tiles.resize(TILE * TILE * block * per_row, [0.; LANES]);
        let (x_plane, y_plane) = (map.from[0] * map.from[1], map.to[0] * map.to[1]);
        for first in (0..rows).step_by(block) {
            let last = rows.min(first + block);
            let count = (last - first) * per_row;
            for segment in segments(first..last, tile_rows, per_row) {
                for (chunk, x) in x(segment.sample).chunks(LANES * x_plane).enumerate() {
                    pixels::windows(map, segment, x, pixels);
                    let v = &mut v[chunk * POINTS * pitch + segment.tile..];
                    transform::windows(simd, pixels, [segment.rows, per_row], v, pitch);
                }
            }
            for (chunk, weights) in weights.iter().enumerate() {
                Products { weights, channels: from, windows: v, count, pitch, out: m }.run(simd);
                let bias =
                    std::array::from_fn(|lane| b.and_then(|b| b.get(chunk * LANES + lane)).copied().unwrap_or(0.));
                transform::tiles(simd, m, pitch, &bias, &mut tiles[..TILE * TILE * count]);
                for segment in segments(first..last, tile_rows, per_row) {
                    let tiles = &tiles[segment.tile * TILE * TILE..];
                    let y = y[segment.sample].chunks_mut(LANES * y_plane).nth(chunk).unwrap_or_default();
                    pixels::write(map, segment, tiles, y);
                }
            }
        }
    }
}

/// dw from x and dy. The batch is cut into slices by geometry alone; their sums are added in a fixed tree.
pub(super) fn weight_grad(tier: Tier, d: &ConvDims, x: &[f32], dy: &[f32]) -> Vec<f32> {
    let (from, to) = (d.c_in_group(), d.c_out_group());
    let map = Map { from: plane(d.input), before: plane(d.padding), to: plane(d.output) };
    let size = to * from * 9;
    // Each task transforms all of its input channels, so it has many output channels to spread that over.
    let to_block = if to.is_multiple_of(LANES) { LANES * largest_divisor(to / LANES, 4) } else { to };
    let blocks = to / to_block;
    let tiles = d.n * map.tiles().iter().product::<usize>();
    let slices = FEW.div_ceil(blocks * d.groups).min(tiles / BLOCK).min(d.n).max(1);
    let (x_plane, y_plane) = (d.in_plane(), d.out_plane());
    let parts = parallel::map(slices * d.groups * blocks, |task| {
        let (slice, group, block) = (task / (d.groups * blocks), task / blocks % d.groups, task % blocks);
        let samples = slice * d.n / slices..(slice + 1) * d.n / slices;
        let x = |n: usize| &x[(n * d.c_in + group * from) * x_plane..][..from * x_plane];
        let dy = |n: usize| &dy[(n * d.c_out + group * to + block * to_block) * y_plane..][..to_block * y_plane];
        tier.run(WeightGrad { map: &map, samples, from, to: to_block, x, dy })
    });
    let parts = sum_slices(parts, slices);
    let mut dw = Vec::with_capacity(d.groups * size);
    parts.into_iter().take(d.groups * blocks).for_each(|part| dw.extend(part));
    dw
}

/// The weight gradient of one task, `[to, from, 3, 3]`.
struct WeightGrad<'a, X, Y> {
    map: &'a Map,
    samples: std::ops::Range<usize>,
    from: usize,
    to: usize,
    x: X,
    dy: Y,
}

impl<'a, X: Fn(usize) -> &'a [f32], Y: Fn(usize) -> &'a [f32]> WithSimd for WeightGrad<'_, X, Y> {
    type Output = Vec<f32>;

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) -> Self::Output {
        let Self { map, samples, from, to, x, dy } = self;
        let [tile_rows, per_row] = map.tiles();
        let rows = samples.len() * tile_rows;
        let block = map.rows_per_block(BLOCK).min(rows).max(1);
        let (x_plane, y_plane) = (map.from[0] * map.from[1], map.to[0] * map.to[1]);
        let [from_chunks, to_chunks] = [from, to].map(|channels| channels.div_ceil(LANES));
        let pitch = odd(block * per_row);
        let mut v = vec![[0.; LANES]; from_chunks * POINTS * pitch];
        let mut z = vec![[0.; LANES]; to_chunks * POINTS * pitch];
        let mut sums = vec![[0.; LANES]; POINTS * LANES];
        let mut taps = vec![[[0.; LANES]; 9]; to * from_chunks];
        let mut pixels = Vec::new();
        for first in (0..rows).step_by(block) {
            let last = rows.min(first + block);
            for segment in segments(first..last, tile_rows, per_row) {
                let n = samples.start + segment.sample;
                for (chunk, x) in x(n).chunks(LANES * x_plane).enumerate() {
                    pixels::windows(map, segment, x, &mut pixels);
                    let v = &mut v[chunk * POINTS * pitch + segment.tile..];
                    transform::windows(simd, &pixels, [segment.rows, per_row], v, pitch);
                }
                for (chunk, dy) in dy(n).chunks(LANES * y_plane).enumerate() {
                    pixels::tiles(map, segment, dy, &mut pixels);
                    let z = &mut z[chunk * POINTS * pitch + segment.tile..];
                    transform::cotangents(simd, &pixels, [segment.rows, per_row], z, pitch);
                }
            }
            let count = (last - first) * per_row;
            for (from_chunk, windows) in v.chunks_exact(POINTS * pitch).enumerate() {
                for (to_chunk, cotangents) in z.chunks_exact(POINTS * pitch).enumerate() {
                    let channels = LANES.min(to - to_chunk * LANES);
                    Gram { windows, cotangents, count, pitch, channels, out: &mut sums }.run(simd);
                    let taps = taps[to_chunk * LANES * from_chunks + from_chunk..].iter_mut().step_by(from_chunks);
                    for (channel, taps) in taps.take(channels).enumerate() {
                        transform::add_taps(simd, &sums[channel..], taps);
                    }
                }
            }
        }
        let mut dw = Vec::with_capacity(to * from * 9);
        for taps in taps.chunks_exact(from_chunks) {
            for channel in 0..from {
                let taps = &taps[channel / LANES];
                dw.extend(taps.iter().map(|taps| taps[channel % LANES]));
            }
        }
        dw
    }
}
