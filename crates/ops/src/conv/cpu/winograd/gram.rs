//! The gradient of the weight: the transpose of a filter, over the batch.

use super::filter::Transposed;
use super::product::Gram;
use super::{FEW, LANES, Lanes, Map, ZERO, block, largest_divisor, odd, pixels, plane, segments};
use crate::conv::spec::ConvDims;
use crate::parallel;
use crate::simd::Tier;
use pulp::{Simd, WithSimd};
use std::marker::PhantomData;

/// Elements of a block's transforms: 1 MiB, which a second-level cache holds.
const CACHED: usize = 1 << 18;

/// dw from x and dy, by the transpose of a filter.
pub(super) fn gram<F: Transposed>(tier: Tier, d: &ConvDims, x: &[f32], dy: &[f32]) -> Vec<f32> {
    let (from, to) = (d.c_in_group(), d.c_out_group());
    let map = Map { from: plane(d.input), before: plane(d.padding), to: plane(d.output) };
    // Each task transforms all of its input channels, so it has many output channels to spread that over.
    let to_block = if to.is_multiple_of(LANES) { LANES * largest_divisor(to / LANES, 4) } else { to };
    let blocks = to / to_block;
    let tiles = d.n * map.tiles::<F>().iter().product::<usize>();
    let slices = FEW.div_ceil(blocks * d.groups).min(tiles / block::<F>(0)).min(d.n).max(1);
    let (x_plane, y_plane) = (d.in_plane(), d.out_plane());
    let parts = parallel::map(slices * d.groups * blocks, |task| {
        let (slice, group, block) = (task / (d.groups * blocks), task / blocks % d.groups, task % blocks);
        let samples = slice * d.n / slices..(slice + 1) * d.n / slices;
        let x = |n: usize| &x[(n * d.c_in + group * from) * x_plane..][..from * x_plane];
        let dy = |n: usize| &dy[(n * d.c_out + group * to + block * to_block) * y_plane..][..to_block * y_plane];
        tier.run(WeightGrad::<_, _, F> { map: &map, samples, from, to: to_block, x, dy, filter: PhantomData })
    });
    // The slices' sums, in order, with the taps side by side.
    let (chunks, taps) = (from.div_ceil(LANES), d.taps());
    parallel::build(d.c_out * from * taps, 0., from * taps, slices * from * taps, |channel, dw| {
        let (block, first) = (channel / to_block, channel % to_block * chunks * taps);
        for (chunk, dw) in dw.chunks_mut(LANES * taps).enumerate() {
            for tap in 0..taps {
                let mut sum = ZERO;
                for part in parts.iter().skip(block).step_by(d.groups * blocks) {
                    let lanes = &part[first + chunk * taps + tap];
                    sum.0.iter_mut().zip(lanes.0).for_each(|(sum, lane)| *sum += lane);
                }
                for (kernel, lane) in dw.chunks_exact_mut(taps).zip(sum.0) {
                    kernel[tap] = lane;
                }
            }
        }
    })
}

/// The weight gradient of one task, `[to, from / LANES, taps…]`.
struct WeightGrad<'a, X, Y, F> {
    map: &'a Map,
    samples: std::ops::Range<usize>,
    from: usize,
    to: usize,
    x: X,
    dy: Y,
    filter: PhantomData<F>,
}

impl<'a, X: Fn(usize) -> &'a [f32], Y: Fn(usize) -> &'a [f32], F: Transposed> WithSimd for WeightGrad<'_, X, Y, F> {
    type Output = Vec<Lanes>;

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) -> Self::Output {
        let Self { map, samples, from, to, x, dy, .. } = self;
        let [tile_rows, per_row] = map.tiles::<F>();
        let rows = samples.len() * tile_rows;
        // Each block's sums are transformed to taps, so a block is long where its transforms still fit a cache.
        let tiles = (CACHED / F::POINTS / (from + to)).clamp(block::<F>(0), 2 * block::<F>(0));
        let block = map.rows_per_block::<F>(tiles, rows);
        let (x_plane, y_plane) = (map.from[0] * map.from[1], map.to[0] * map.to[1]);
        let [from_chunks, to_chunks] = [from, to].map(|channels| channels.div_ceil(LANES));
        let pitch = odd(block * per_row);
        let mut v = vec![ZERO; from_chunks * F::POINTS * pitch];
        let mut z = vec![ZERO; to_chunks * F::POINTS * pitch];
        let mut sums = vec![ZERO; F::VALUES * LANES];
        let taps_of = F::TAPS * F::TAPS;
        let mut taps = vec![ZERO; to * from_chunks * taps_of];
        let mut pixels = Vec::new();
        for first in (0..rows).step_by(block) {
            let last = rows.min(first + block);
            for segment in segments(first..last, tile_rows, per_row) {
                let n = samples.start + segment.sample;
                for (chunk, x) in x(n).chunks(LANES * x_plane).enumerate() {
                    pixels::windows::<S, F>(simd, map, segment, x, &mut pixels);
                    let v = &mut v[chunk * F::POINTS * pitch + segment.tile..];
                    F::windows(simd, &pixels, [segment.rows, per_row], v, pitch);
                }
                for (chunk, dy) in dy(n).chunks(LANES * y_plane).enumerate() {
                    pixels::tiles::<S, F>(simd, map, segment, dy, &mut pixels);
                    let z = &mut z[chunk * F::POINTS * pitch + segment.tile..];
                    F::cotangents(simd, &pixels, [segment.rows, per_row], z, pitch);
                }
            }
            let count = (last - first) * per_row;
            for (from_chunk, windows) in v.chunks_exact(F::POINTS * pitch).enumerate() {
                for (to_chunk, cotangents) in z.chunks_exact(F::POINTS * pitch).enumerate() {
                    let channels = LANES.min(to - to_chunk * LANES);
                    Gram { windows, cotangents, count, pitch, channels, out: &mut sums }.run::<S, F>(simd);
                    let kernels = taps.chunks_exact_mut(taps_of).skip(to_chunk * LANES * from_chunks + from_chunk);
                    for (channel, taps) in kernels.step_by(from_chunks).take(channels).enumerate() {
                        F::add_taps(simd, &sums[channel..], taps);
                    }
                }
            }
        }
        taps
    }
}
