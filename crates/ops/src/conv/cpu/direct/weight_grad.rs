//! The gradient of the weight where a group has input channels for vectors: pixels of channels, times positions of dy.

use super::super::image::Image;
use super::super::{FEW, largest_divisor, sum_slices};
use super::{SLICE, strided_image, taps, times};
use crate::conv::spec::ConvDims;
use crate::parallel;
use crate::simd::{Tier, load_square, store, transpose};
use crate::strip::{SLACK, Strip, column_runs, runs};
use pulp::{Simd, WithSimd};
use std::ops::Range;

/// Channels of a pixel: two vectors of the widest tier.
const LANES: usize = SLACK;

/// Sums of one task: 512 KiB, a share of a second-level cache.
const CACHED: usize = 1 << 17;

/// dw from x and dy.
pub(in super::super) fn weight_grad(tier: Tier, d: &ConvDims, x: &[f32], dy: &[f32]) -> Vec<f32> {
    let (taps, c_in, c_out) = (d.taps(), d.c_in_group(), d.c_out_group());
    let (chunks, sums) = (c_in.div_ceil(LANES), taps * c_out * LANES);
    if d.groups * chunks * sums == 0 {
        return Vec::new();
    }
    // Each task goes through all of dy, so it has many input channels to spread that over.
    let together = largest_divisor(chunks, (CACHED / sums).max(1));
    let blocks = d.groups * chunks / together;
    let slices = FEW.div_ceil(blocks).next_power_of_two().min(d.n.max(1));
    let pass = Pass::new(tier, d);
    let parts = parallel::map(slices * blocks, |task| {
        let (slice, first) = (task / blocks, task % blocks * together);
        let samples = slice * d.n / slices..(slice + 1) * d.n / slices;
        pass.sums(samples, first / chunks, first % chunks * LANES, together, x, dy)
    });
    let parts = sum_slices(parts, slices).concat();
    let mut dw = vec![0.; d.c_out * c_in * taps];
    for (part, sums) in parts.chunks_exact(sums).enumerate() {
        let (group, first) = (part / chunks, part % chunks * LANES);
        for (out, dw) in dw[group * c_out * c_in * taps..].chunks_exact_mut(c_in * taps).take(c_out).enumerate() {
            for (channel, dw) in dw[first * taps..].chunks_exact_mut(taps).take(LANES).enumerate() {
                for (tap, dw) in dw.iter_mut().enumerate() {
                    *dw = sums[(tap * c_out + out) * LANES + channel];
                }
            }
        }
    }
    dw
}

/// What all tasks do.
struct Pass<'a> {
    tier: Tier,
    d: &'a ConvDims,
    image: Image,
    /// Where the pixel of each position lies for the first tap, and from there that of each tap.
    rows: Vec<usize>,
    offsets: Vec<usize>,
}

impl<'a> Pass<'a> {
    fn new(tier: Tier, d: &'a ConvDims) -> Self {
        let image = Image { phases: [1; 3], len: reach(d), ..strided_image(d) };
        let [_, height, width] = d.output;
        let at = |p: usize| image.step(times([p / (height * width), p / width % height, p % width], d.stride)) * LANES;
        let rows = (0..d.out_plane()).map(at).collect();
        let offsets = taps(d).map(|tap| image.step(times(tap, d.dilation)) * LANES).collect();
        Self { tier, d, image, rows, offsets }
    }

    /// `[chunks, taps, c_out, LANES]`: the sums over `samples` of `chunks` chunks of a group's input channels, `first` being
    /// their first channel.
    fn sums(
        &self,
        samples: Range<usize>,
        group: usize,
        first: usize,
        chunks: usize,
        x: &[f32],
        dy: &[f32],
    ) -> Vec<f32> {
        let Self { tier, d, image, rows, offsets } = self;
        let (c_in, c_out, plane) = (d.c_in_group(), d.c_out_group(), d.out_plane());
        let mut sums = vec![0.; chunks * offsets.len() * c_out * LANES];
        let mut padded = vec![0.; if image.is_copy() { 0 } else { image.padded_len(LANES) }];
        let mut pixels = vec![0.; chunks * image.size() * LANES];
        let (strips, mut columns) = (plane.div_ceil(SLICE), vec![0.; c_out * SLICE]);
        for n in samples {
            let x = &x[(n * d.c_in + group * c_in + first) * d.in_plane()..][..(c_in - first) * d.in_plane()];
            let planes = (LANES * d.in_plane()).max(1);
            for (x, pixels) in x.chunks(planes).zip(pixels.chunks_exact_mut(image.size() * LANES)) {
                let planes = if image.is_copy() {
                    x
                } else {
                    image.copy(*tier, x, &mut padded);
                    &padded
                };
                tier.run(Pixels { planes, size: image.size(), channels: x.len() / d.in_plane(), out: pixels });
            }
            let dy = &dy[(n * d.c_out + group * c_out) * plane..][..c_out * plane];
            for strip in 0..strips {
                let strip = strip * plane / strips..(strip + 1) * plane / strips;
                tier.run(Columns { dy, plane, positions: strip.clone(), out: &mut columns });
                let rows = &rows[strip];
                for (chunk, (pixels, sums)) in pixels
                    .chunks_exact(image.size() * LANES)
                    .zip(sums.chunks_exact_mut(offsets.len() * c_out * LANES))
                    .enumerate()
                {
                    let len = LANES.min(c_in - first - chunk * LANES);
                    for (offset, sums) in offsets.iter().zip(sums.chunks_exact_mut(c_out * LANES)) {
                        for run in column_runs(*tier, c_out) {
                            let (a, b) = (&pixels[*offset..], &columns[run.start * rows.len()..]);
                            let (out, columns) = (&mut sums[run.start * LANES..], run.len());
                            Strip { a, rows, b, columns, out, pitch: LANES, len, accumulate: true }.run(*tier);
                        }
                    }
                }
            }
        }
        sums
    }
}

/// Positions of the padded input that the windows hold, an entry an axis.
fn reach(d: &ConvDims) -> [usize; 3] {
    [0, 1, 2].map(|axis| (d.output[axis] - 1) * d.stride[axis] + (d.kernel[axis] - 1) * d.dilation[axis] + 1)
}

/// `positions` of the channels of dy as `[positions, channels]` for each run of channels, one after the other.
struct Columns<'a> {
    dy: &'a [f32],
    plane: usize,
    positions: Range<usize>,
    out: &'a mut [f32],
}

impl WithSimd for Columns<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Self { dy, plane, positions, out } = self;
        let count = positions.len();
        for run in runs(S::REGISTER_COUNT, dy.len() / plane) {
            let out = &mut out[run.start * count..run.end * count];
            for first in (0..run.len()).step_by(S::F32_LANES) {
                let channels = S::F32_LANES.min(run.len() - first);
                for start in (0..count).step_by(S::F32_LANES) {
                    let dy = &dy[(run.start + first) * plane + positions.start + start..];
                    let mut square = load_square(simd, dy, plane, channels);
                    transpose(simd, &mut square.0);
                    let out = &mut out[start * run.len() + first..];
                    for i in 0..S::F32_LANES.min(count - start) {
                        // What comes to lie behind a run of one vector is written again with the next position.
                        let whole = run.len() <= S::F32_LANES && start + i + 1 < count;
                        let out = &mut out[i * run.len()..];
                        let len = S::F32_LANES.min(if whole { out.len() } else { channels });
                        store(simd, &mut out[..len], square.0[i]);
                    }
                }
            }
        }
    }
}

/// Planes of `size` elements as pixels of `LANES` channels.
struct Pixels<'a> {
    planes: &'a [f32],
    size: usize,
    channels: usize,
    out: &'a mut [f32],
}

impl WithSimd for Pixels<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Self { planes, size, channels, out } = self;
        for first in (0..channels).step_by(S::F32_LANES) {
            for start in (0..size).step_by(S::F32_LANES) {
                let lines = S::F32_LANES.min(channels - first);
                let mut square = load_square(simd, &planes[first * size + start..], size, lines);
                transpose(simd, &mut square.0);
                for i in 0..S::F32_LANES.min(size - start) {
                    store(simd, &mut out[(start + i) * LANES + first..][..S::F32_LANES], square.0[i]);
                }
            }
        }
    }
}
