//! Correlations by a filter: the output, and the gradient of the input.

use super::filter::Filter;
use super::product::Products;
use super::{FEW, Kernel, LANES, Lanes, Map, ZERO, block, largest_divisor, odd, pixels, segments};
use crate::conv::spec::ConvDims;
use crate::parallel;
use crate::simd::{Aligned, LONGEST, Tier};
use pulp::{Simd, WithSimd};
use std::marker::PhantomData;
use std::mem::MaybeUninit;
use std::ops::Range;

/// The correlation that `map` and the filter say, of `[from, to]` channels a group.
pub(super) fn correlate<F: Filter>(
    tier: Tier,
    d: &ConvDims,
    map: &Map,
    [from, to]: [usize; 2],
    x: &[f32],
    kernel: Kernel<'_>,
    b: Option<&[f32]>,
) -> Vec<f32> {
    let chunks = to.div_ceil(LANES);
    let values = F::VALUES * odd(from);
    let of_chunk = |i: usize, out: &mut [MaybeUninit<Lanes>]| {
        let (group, first) = (i / chunks, i % chunks * LANES);
        tier.run(Kernels::<F> { kernel, group, first, out, filter: PhantomData });
    };
    // SAFETY: `Kernels` writes all values of all channels, and what an odd number of those leaves between.
    let weights =
        unsafe { parallel::build_unfilled(d.groups * chunks * values, ZERO, values, values * LANES, of_chunk) };
    // One task has as many samples as fill a block of tiles, and, where tasks would be few, a part of their channels.
    let [tile_rows, per_row] = map.tiles::<F>();
    let batches = (d.n * tile_rows * per_row / block::<F>(from * to)).clamp(1, d.n.max(1));
    let samples = d.n.div_ceil(batches).max(1);
    let wanted = FEW.div_ceil(batches * d.groups);
    let blocks = if to.is_multiple_of(LANES) { chunks / largest_divisor(chunks, chunks.div_ceil(wanted)) } else { 1 };
    let (chunks, to_block) = (chunks / blocks, to / blocks);
    let [x_plane, y_plane] = [map.from, map.to].map(|[height, width]| height * width);
    let batches = d.n.div_ceil(samples);
    let x_of = |batch: usize, group: usize| {
        move |sample: usize| &x[((batch * samples + sample) * d.groups + group) * from * x_plane..][..from * x_plane]
    };

    // Tasks that share their windows read them from here; others transform a block of them at a time.
    let whole = samples * tile_rows;
    let rows = if blocks > 1 { whole } else { map.rows_per_block::<F>(block::<F>(from * to), whole) };
    let pitch = odd(rows * per_row);
    let windows = F::POINTS * pitch;
    let from_chunks = from.div_ceil(LANES);
    let shared = if blocks > 1 { batches * d.groups * from_chunks * windows } else { 0 };
    let shared = parallel::build(shared, ZERO, windows, windows * LANES, |item, v| {
        let (batch, group, chunk) =
            (item / (d.groups * from_chunks), item / from_chunks % d.groups, item % from_chunks);
        let rows = 0..samples.min(d.n - batch * samples) * tile_rows;
        let (x, pixels) = (x_of(batch, group), &mut Vec::new());
        tier.run(Windows::<_, F> { map, rows, chunks: chunk..chunk + 1, x, pixels, v, pitch, filter: PhantomData });
    });

    let (len, tasks) = (d.n * d.groups * to * y_plane, batches * d.groups * blocks);
    let task_of = |run: usize| {
        let (n, block) = (run / (d.groups * blocks), run % (d.groups * blocks));
        n / samples * d.groups * blocks + block
    };
    let item = to_block * y_plane;
    let task = |space: &mut Workspace, task: usize, y: &mut [&mut [MaybeUninit<f32>]]| {
        let (batch, part) = (task / (d.groups * blocks), task % (d.groups * blocks));
        let group = part / blocks;
        let weights = &weights[part * chunks * values..][..chunks * values];
        let b = b.map(|b| &b[part * to_block..][..to_block]);
        let last = y.len() * tile_rows;
        let Workspace { pixels, windows: own, products: m, tiles } = space;
        for first in (0..last).step_by(rows) {
            let rows = first..last.min(first + rows);
            let v = if blocks > 1 {
                &shared[task / blocks * from_chunks * windows..][..from_chunks * windows]
            } else {
                own.resize(from_chunks * windows, ZERO);
                let (rows, x) = (rows.clone(), x_of(batch, group));
                let (chunks, v) = (0..from_chunks, own.as_mut_slice());
                tier.run(Windows::<_, F> { map, rows, chunks, x, pixels, v, pitch, filter: PhantomData });
                &own[..]
            };
            tier.run(Tiles::<F> { map, rows, from, v, pitch, weights, b, y, m, tiles, filter: PhantomData });
        }
    };
    // SAFETY: a task goes through all rows of tiles of its samples and all chunks of its channels, and `pixels::write` writes
    // every line of them: all elements of what it is handed.
    let (y, _) =
        unsafe { parallel::build_by_task_unfilled(len, f32::NAN, item, tasks, task_of, Workspace::default, task) };
    y
}

/// The transformed kernels to the output channels from `first` on, at most `LANES`: `[VALUES, from]`, an odd number of
/// channels a value.
struct Kernels<'a, F> {
    kernel: Kernel<'a>,
    group: usize,
    first: usize,
    out: &'a mut [MaybeUninit<Lanes>],
    filter: PhantomData<F>,
}

impl<F: Filter> WithSimd for Kernels<'_, F> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) -> Self::Output {
        /// Channels whose kernels are gathered together: for each output channel they are neighbours.
        const NEAR: usize = 8;
        let Self { kernel, group, first: first_out, out, .. } = self;
        let (pitch, taps) = (odd(kernel.from), F::TAPS * F::TAPS);
        let mut gathered = vec![ZERO; NEAR * taps];
        for first in (0..kernel.from).step_by(NEAR) {
            let near = NEAR.min(kernel.from - first);
            kernel.gather(simd, group, first, first_out, &mut gathered[..near * taps]);
            for (channel, taps) in gathered.chunks_exact(taps).enumerate().take(near) {
                F::kernel(simd, taps, &mut out[first + channel..], pitch);
            }
        }
        if pitch > kernel.from {
            out.iter_mut().skip(kernel.from).step_by(pitch).for_each(|unused| _ = unused.write(ZERO));
        }
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

/// The transformed windows of rows of tiles: `[chunks, POINTS, tiles]`, `pitch` a point.
struct Windows<'a, X, F> {
    map: &'a Map,
    rows: Range<usize>,
    /// Chunks of channels.
    chunks: Range<usize>,
    /// The channels of a sample.
    x: X,
    pixels: &'a mut Vec<Lanes>,
    v: &'a mut [Lanes],
    pitch: usize,
    filter: PhantomData<F>,
}

impl<'x, X: Fn(usize) -> &'x [f32], F: Filter> WithSimd for Windows<'_, X, F> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Self { map, rows, chunks, x, pixels, v, pitch, .. } = self;
        let [tile_rows, per_row] = map.tiles::<F>();
        let plane = map.from[0] * map.from[1];
        for segment in segments(rows, tile_rows, per_row) {
            let x = x(segment.sample).chunks(LANES * plane).skip(chunks.start).take(chunks.len());
            for (x, v) in x.zip(v.chunks_exact_mut(F::POINTS * pitch)) {
                pixels::windows::<S, F>(simd, map, segment, x, pixels);
                F::windows(simd, pixels, [segment.rows, per_row], &mut v[segment.tile..], pitch);
            }
        }
    }
}

/// The output at rows of tiles, in a slice `y` a sample, from their windows.
struct Tiles<'a, 'y, F> {
    map: &'a Map,
    rows: Range<usize>,
    from: usize,
    v: &'a [Lanes],
    pitch: usize,
    /// A chunk of output channels after the other.
    weights: &'a [Lanes],
    b: Option<&'a [f32]>,
    /// Every element of the rows' lines is written.
    y: &'a mut [&'y mut [MaybeUninit<f32>]],
    m: &'a mut Vec<Lanes>,
    tiles: &'a mut Vec<Lanes>,
    filter: PhantomData<F>,
}

impl<F: Filter> WithSimd for Tiles<'_, '_, F> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Self { map, rows, from, v, pitch, weights, b, y, m, tiles, .. } = self;
        let [tile_rows, per_row] = map.tiles::<F>();
        let plane = map.to[0] * map.to[1];
        let (count, pixels) = (rows.len() * per_row, F::TILE * F::TILE);
        m.resize(F::POINTS * pitch, ZERO);
        tiles.resize(pixels * count + LONGEST, ZERO);
        for (chunk, weights) in weights.chunks_exact(F::VALUES * odd(from)).enumerate() {
            Products { weights, channels: from, windows: v, count, pitch, out: m }.run::<S, F>(simd);
            let of = |lane: usize| b.and_then(|b| b.get(chunk * LANES + lane)).copied().unwrap_or(0.);
            let bias = Aligned(std::array::from_fn(of));
            F::tiles(simd, m, pitch, &bias, per_row, &mut tiles[..pixels * count]);
            for segment in segments(rows.clone(), tile_rows, per_row) {
                let y = y[segment.sample].chunks_mut(LANES * plane).nth(chunk).unwrap_or_default();
                pixels::write::<S, F>(simd, map, segment, &tiles[segment.tile * pixels..], y);
            }
        }
    }
}
