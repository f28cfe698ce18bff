//! The products at each point: one microkernel over two arrangements of its factors.

use super::filter::{Filter, value};
use super::{LANES, Lanes, odd};
use crate::simd::{mul_add, prefetch};
use crate::strip::runs;
use pulp::Simd;

/// Vectors of one tile: two share each broadcast.
const VECTORS: usize = 2;

/// Chunks of channels whose products are added in one sum: 64 channels keep its rounding error small.
const PART: usize = 2;

/// For each point and tile of windows: `out[p, t] = Σ weights[value(p), c] · windows[p, t][c]`, over all channels c.
pub(super) struct Products<'a> {
    /// `[VALUES, channels]`, an odd number of channels a value.
    pub(super) weights: &'a [Lanes],
    pub(super) channels: usize,
    /// `[channels / LANES, POINTS, count]`, `pitch` a point.
    pub(super) windows: &'a [Lanes],
    pub(super) count: usize,
    pub(super) pitch: usize,
    /// `[POINTS, count]`, `pitch` a point.
    pub(super) out: &'a mut [Lanes],
}

/// For each value of the kernel and channel of the cotangents: `out[k, j] = Σ windows[p, t] · cotangents[p, t][j]`, over all
/// points p that take the value and all tiles t.
pub(super) struct Gram<'a> {
    /// `[POINTS, count]`, `pitch` a point.
    pub(super) windows: &'a [Lanes],
    /// `[POINTS, count]`, `pitch` a point.
    pub(super) cotangents: &'a [Lanes],
    pub(super) count: usize,
    pub(super) pitch: usize,
    /// Channels of the cotangents.
    pub(super) channels: usize,
    /// `[VALUES, LANES]`.
    pub(super) out: &'a mut [Lanes],
}

/// Calls `$kernel::<S, J>` for a `J` that is known as a number.
macro_rules! with_columns {
    ($columns:expr, $kernel:ident($($argument:expr),*)) => {
        match $columns {
            1 => $kernel::<S, 1>($($argument),*),
            2 => $kernel::<S, 2>($($argument),*),
            3 => $kernel::<S, 3>($($argument),*),
            4 => $kernel::<S, 4>($($argument),*),
            5 => $kernel::<S, 5>($($argument),*),
            6 => $kernel::<S, 6>($($argument),*),
            7 => $kernel::<S, 7>($($argument),*),
            8 => $kernel::<S, 8>($($argument),*),
            9 => $kernel::<S, 9>($($argument),*),
            10 => $kernel::<S, 10>($($argument),*),
            11 => $kernel::<S, 11>($($argument),*),
            _ => $kernel::<S, 12>($($argument),*),
        }
    };
}

/// Expands to the body once a column below `$count`: the compiler would leave a loop of so many columns rolled, with its
/// accumulators in memory. The strip's kernel has the same: no macro crosses a file.
macro_rules! each_column {
    ($count:ident, $j:ident => $body:expr) => { each_column!(@ $count, $j, $body, 0 1 2 3 4 5 6 7 8 9 10 11) };
    (@ $count:ident, $j:ident, $body:expr, $($index:literal)*) => {
        $(if $index < $count { const $j: usize = $index; $body })*
    };
}

impl Products<'_> {
    #[inline(always)]
    pub(super) fn run<S: Simd, F: Filter>(self, simd: S) {
        let Self { weights, channels, windows, count, pitch, out } = self;
        for (point, out) in out.chunks_exact_mut(pitch).enumerate() {
            let first = value::<F>(point) * odd(channels);
            let parts = windows[point * pitch..].chunks(PART * F::POINTS * pitch);
            for (part, windows) in parts.enumerate() {
                let start = part * PART * LANES;
                let (weights, behind) = weights[first + start..].split_at((channels - start).min(PART * LANES));
                // The next part's weights may come from far: each run asks for a share of them.
                let runs = runs(S::REGISTER_COUNT, count);
                let behind = &behind[..behind.len().min(weights.len())];
                let mut shares = behind.chunks(behind.len().div_ceil(runs.len()).max(1));
                for run in runs {
                    let (windows, out) = (&windows[run.start..], &mut out[run.start..]);
                    let ahead = shares.next().unwrap_or_default();
                    let chunk = F::POINTS * pitch;
                    with_columns!(run.len(), over_channels(simd, weights, ahead, windows, chunk, part > 0, out));
                }
            }
        }
    }
}

#[inline(always)]
fn over_channels<S: Simd, const J: usize>(
    simd: S,
    weights: &[Lanes],
    ahead: &[Lanes],
    windows: &[Lanes],
    chunk: usize,
    accumulate: bool,
    out: &mut [Lanes],
) {
    let Some(out) = out.first_chunk_mut::<J>() else { return };
    for pair in (0..LANES / S::F32_LANES).step_by(VECTORS) {
        let mut sums = [[simd.splat_f32s(0.); VECTORS]; J];
        let mut ahead = ahead.iter();
        for (weights, windows) in weights.chunks(LANES).zip(windows.chunks(chunk)) {
            let Some(windows) = windows.first_chunk::<J>() else { return };
            for (weights, k) in weights.iter().zip(0..LANES) {
                if let Some(weights) = ahead.next() {
                    prefetch(&weights.0[0]);
                    prefetch(&weights.0[LANES / 2]);
                }
                let a = S::as_simd_f32s(&weights.0).0;
                let a = [a[pair], a[pair + 1]];
                each_column!(J, COLUMN => {
                    let factor = simd.splat_f32s(windows[COLUMN].0[k]);
                    for v in 0..VECTORS {
                        sums[COLUMN][v] = mul_add(simd, a[v], factor, sums[COLUMN][v]);
                    }
                });
            }
        }
        each_column!(J, COLUMN => {
            let out = S::as_mut_simd_f32s(&mut out[COLUMN].0).0;
            for v in 0..VECTORS {
                let sum = sums[COLUMN][v];
                out[pair + v] = if accumulate { simd.add_f32s(out[pair + v], sum) } else { sum };
            }
        });
    }
}

impl Gram<'_> {
    #[inline(always)]
    pub(super) fn run<S: Simd, F: Filter>(self, simd: S) {
        let Self { windows, cotangents, count, pitch, channels, out } = self;
        let mut seen = 0;
        for point in 0..F::POINTS {
            let value = value::<F>(point);
            let accumulate = value < seen;
            seen = seen.max(value + 1);
            let out = &mut out[value * LANES..][..LANES];
            let [windows, cotangents] = [windows, cotangents].map(|tiles| &tiles[point * pitch..][..count]);
            for run in runs(S::REGISTER_COUNT, channels) {
                let out = &mut out[run.start..];
                with_columns!(run.len(), over_tiles(simd, windows, cotangents, run.start, accumulate, out));
            }
        }
    }
}

#[inline(always)]
fn over_tiles<S: Simd, const J: usize>(
    simd: S,
    windows: &[Lanes],
    cotangents: &[Lanes],
    first: usize,
    accumulate: bool,
    out: &mut [Lanes],
) {
    let Some(out) = out.first_chunk_mut::<J>() else { return };
    for pair in (0..LANES / S::F32_LANES).step_by(VECTORS) {
        let mut sums = [[simd.splat_f32s(0.); VECTORS]; J];
        for (windows, cotangents) in windows.iter().zip(cotangents) {
            let Some(cotangents) = cotangents.0[first..].first_chunk::<J>() else { return };
            let a = S::as_simd_f32s(&windows.0).0;
            let a = [a[pair], a[pair + 1]];
            each_column!(J, COLUMN => {
                let factor = simd.splat_f32s(cotangents[COLUMN]);
                for v in 0..VECTORS {
                    sums[COLUMN][v] = mul_add(simd, a[v], factor, sums[COLUMN][v]);
                }
            });
        }
        each_column!(J, COLUMN => {
            let out = S::as_mut_simd_f32s(&mut out[COLUMN].0).0;
            for v in 0..VECTORS {
                let sum = sums[COLUMN][v];
                out[pair + v] = if accumulate { simd.add_f32s(out[pair + v], sum) } else { sum };
            }
        });
    }
}
