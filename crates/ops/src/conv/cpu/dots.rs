//! The weight gradient of few input channels in float32: each entry is a dot product of dy and a shifted image, with vectors
//! along the lines.

use super::direct::{correlated_rows, strided_image};
use super::{batch_slices, join_blocks};
use crate::conv::spec::ConvDims;
use crate::parallel;
use crate::simd::{LONGEST, Tier, lanes, load, load_lanes, mul_add, store};
use pulp::{Simd, WithSimd};

/// Positions of one band of lines: a few channels of dy and of the image stay in the first-level cache.
const BAND: usize = 1024;

/// Channels of dy that are multiplied at once.
const OUTS: usize = 4;

/// Shifts of the image that are multiplied at once.
const ROWS: usize = 5;

/// One line of dy, and what the first shift of the image meets there.
struct Line {
    dy: usize,
    x: usize,
}

/// dw from x and dy.
pub(super) fn weight_grad(tier: Tier, d: &ConvDims, x: &[f32], dy: &[f32]) -> Vec<f32> {
    let (taps, c_in, c_out) = (d.taps(), d.c_in_group(), d.c_out_group());
    let size = d.c_out * c_in * taps;
    if size == 0 {
        return Vec::new();
    }
    let image = strided_image(d);
    let rows = correlated_rows(d, &image);
    let slices = batch_slices(d.n, size);
    let [depth, height, width] = d.output;
    let (x_sample, dy_sample) = (c_in * d.in_plane(), c_out * d.out_plane());
    let padded_sample = image.padded_len(c_in);
    let parts = parallel::map(slices * d.groups, |task| {
        let (slice, group) = (task / d.groups, task % d.groups);
        let samples = slice * d.n / slices..(slice + 1) * d.n / slices;
        let mut padded = vec![0.; samples.len() * padded_sample];
        let mut lines = Vec::with_capacity(samples.len() * depth * height);
        for (i, n) in samples.enumerate() {
            let pair = n * d.groups + group;
            image.copy(&x[pair * x_sample..][..x_sample], &mut padded[i * padded_sample..][..padded_sample]);
            lines.extend((0..depth * height).map(|line| Line {
                dy: pair * dy_sample + line * width,
                x: i * padded_sample + image.step([line / height, line % height, 0]),
            }));
        }
        let mut sums = vec![[0.; LONGEST]; c_out * rows.len()];
        for lines in lines.chunks((BAND / width).max(1)) {
            let (x, rows, sums) = (&padded, &rows, &mut sums);
            tier.run(Band { x, dy, lines, width, plane: d.out_plane(), rows, sums });
        }
        sums.iter().map(|lanes| lanes.iter().sum()).collect()
    });
    join_blocks(d, parts, slices, c_in)
}

/// `sums[out, row] += Σ x[rows[row] + i] · dy[out][i]` over the positions i of the lines, in as many sums as a vector has lanes.
struct Band<'a> {
    x: &'a [f32],
    dy: &'a [f32],
    lines: &'a [Line],
    width: usize,
    /// Elements of one channel of dy.
    plane: usize,
    rows: &'a [usize],
    sums: &'a mut [[f32; LONGEST]],
}

impl WithSimd for Band<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(mut self, simd: S) {
        let outs = self.sums.len() / self.rows.len();
        for first in (0..outs).step_by(OUTS) {
            match outs - first {
                1 => self.channels::<S, 1>(simd, first),
                2 => self.channels::<S, 2>(simd, first),
                3 => self.channels::<S, 3>(simd, first),
                _ => self.channels::<S, OUTS>(simd, first),
            }
        }
    }
}

impl Band<'_> {
    /// The sums of `O` channels of dy.
    #[inline(always)]
    fn channels<S: Simd, const O: usize>(&mut self, simd: S, out: usize) {
        for first in (0..self.rows.len()).step_by(ROWS) {
            match self.rows.len() - first {
                1 => self.tile::<S, O, 1>(simd, out, first),
                2 => self.tile::<S, O, 2>(simd, out, first),
                3 => self.tile::<S, O, 3>(simd, out, first),
                4 => self.tile::<S, O, 4>(simd, out, first),
                _ => self.tile::<S, O, ROWS>(simd, out, first),
            }
        }
    }

    /// The sums of `O` channels of dy and `R` shifts of the image.
    #[inline(always)]
    #[allow(clippy::needless_range_loop, reason = "an iterator's closure is not compiled for the tier")]
    fn tile<S: Simd, const O: usize, const R: usize>(&mut self, simd: S, out: usize, row: usize) {
        let Self { x, dy, lines, width, plane, rows, sums } = self;
        let Some(shifts) = rows[row..].first_chunk::<R>() else { return };
        let zero = simd.splat_f32s(0.);
        let mut tile = [[zero; R]; O];
        for o in 0..O {
            for r in 0..R {
                tile[o][r] = load::<S>(&sums[(out + o) * rows.len() + row + r]);
            }
        }
        let (whole, rest) = (*width / S::F32_LANES * S::F32_LANES, *width % S::F32_LANES);
        let inside = lanes(simd, rest);
        for line in *lines {
            let mut factors = [zero; O];
            for at in (0..whole).step_by(S::F32_LANES) {
                for o in 0..O {
                    factors[o] = load::<S>(&dy[line.dy + (out + o) * *plane + at..]);
                }
                for r in 0..R {
                    let x = load::<S>(&x[line.x + shifts[r] + at..]);
                    for o in 0..O {
                        tile[o][r] = mul_add(simd, x, factors[o], tile[o][r]);
                    }
                }
            }
            // Lanes beyond the line hold what no tap of it meets: zero times that may be no number.
            if rest > 0 {
                for o in 0..O {
                    factors[o] = load_lanes(simd, &dy[line.dy + (out + o) * *plane + whole..], inside, zero);
                }
                for r in 0..R {
                    let x = load_lanes(simd, &x[line.x + shifts[r] + whole..], inside, zero);
                    for o in 0..O {
                        tile[o][r] = mul_add(simd, x, factors[o], tile[o][r]);
                    }
                }
            }
        }
        for o in 0..O {
            for r in 0..R {
                store(simd, &mut sums[(out + o) * rows.len() + row + r], tile[o][r]);
            }
        }
    }
}
