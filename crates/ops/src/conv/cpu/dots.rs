//! The weight gradient of few input channels in float32: each entry is a dot product of dy and a shifted image, with vectors
//! along the lines.

use super::direct::{self, Gather, correlated_rows, strided_image};
use super::image::Image;
use super::{FEW, batch_slices, join_blocks};
use crate::conv::spec::ConvDims;
use crate::math::tree_sum;
use crate::parallel;
use crate::simd::{LONGEST, Tier, lanes, load, load_lanes, mul_add, store};
use pulp::{Simd, WithSimd};

/// Positions of one band of lines: a few channels of dy and of the image stay in the first-level cache.
const BAND: usize = 1024;

/// Positions of a band whose inputs are gathered, a row of them a shift: at most, and at least.
const GATHERED: [usize; 2] = [512, 64];

/// Elements of all those rows: 512 KiB, a share of a second-level cache.
const ROWS_CACHED: usize = 1 << 17;

/// Lines that are shorter are gathered: in place most of their vectors would run on over their ends.
const SHORT: usize = 48;

/// Channels of dy that are worth the copies.
const MANY: usize = 32;

/// Elements of the channels of dy that are multiplied with one shift after the other.
const CACHED: usize = 4096;

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
    let slices = batch_slices(d.n, size).min(FEW);
    let (x_sample, dy_sample) = (c_in * d.in_plane(), c_out * d.out_plane());
    let apart = image.padded_len(c_in);
    let parts = parallel::map(slices * d.groups, |task| {
        let (slice, group) = (task / d.groups, task % d.groups);
        let samples = slice * d.n / slices..(slice + 1) * d.n / slices;
        let pairs: Vec<usize> = samples.map(|n| n * d.groups + group).collect();
        let mut images = vec![0.; pairs.len() * apart];
        for (pair, padded) in pairs.iter().zip(images.chunks_exact_mut(apart)) {
            image.copy(tier, &x[pair * x_sample..][..x_sample], padded);
        }
        let mut sums = vec![[0.; LONGEST]; c_out * rows.len()];
        let dy_of: Vec<usize> = pairs.iter().map(|pair| pair * dy_sample).collect();
        let band = |x: &[f32], lines: &[Line], width: usize, rows: &[usize]| {
            tier.run(Band { x, dy, lines, width, plane: d.out_plane(), rows, sums: &mut sums });
        };
        if d.output[2] < SHORT && c_out >= MANY {
            gathered(tier, d, &image, &images, &dy_of, &rows, band);
        } else {
            in_place(d, &image, &images, &dy_of, &rows, band);
        }
        sums.into_iter().map(tree_sum).collect()
    });
    join_blocks(d, parts, slices, c_in)
}

/// Calls `band` with lines of the images and of dy, which for each sample begins at `dy_of`.
fn in_place(
    d: &ConvDims,
    image: &Image,
    images: &[f32],
    dy_of: &[usize],
    rows: &[usize],
    mut band: impl FnMut(&[f32], &[Line], usize, &[usize]),
) {
    let [depth, height, width] = d.output;
    let apart = image.padded_len(d.c_in_group());
    let lines = dy_of.iter().enumerate().flat_map(|(i, dy)| {
        let line = move |line: usize| (i * apart + image.step([line / height, line % height, 0]), dy + line * width);
        (0..depth * height).map(line).map(|(x, dy)| Line { dy, x })
    });
    let lines: Vec<Line> = lines.collect();
    lines.chunks((BAND / width).max(1)).for_each(|lines| band(images, lines, width, rows));
}

/// The same with lines of positions whose inputs are gathered, several samples of a small plane at once.
fn gathered(
    tier: Tier,
    d: &ConvDims,
    image: &Image,
    images: &[f32],
    dy_of: &[usize],
    rows: &[usize],
    mut band: impl FnMut(&[f32], &[Line], usize, &[usize]),
) {
    let [most, least] = GATHERED;
    let width = (ROWS_CACHED / rows.len()).clamp(least, most);
    let (apart, together) = (image.padded_len(d.c_in_group()), (width / d.out_plane()).max(1));
    let panels = direct::panels_of_output(d, image, width.min(d.out_plane()));
    let mut inputs = vec![0.; rows.len() * width];
    for (dy_of, images) in dy_of.chunks(together).zip(images.chunks(together * apart)) {
        for panel in &panels {
            let pitch = dy_of.len() * panel.len;
            for (i, images) in images.chunks_exact(apart).enumerate() {
                tier.run(Gather { images, rows, panel, pitch, out: &mut inputs[i * panel.len..] });
            }
            let start = panel.segments.first().map_or(0, |segment| segment.y);
            let line = |(i, dy): (usize, &usize)| Line { dy: dy + start, x: i * panel.len };
            let lines: Vec<Line> = dy_of.iter().enumerate().map(line).collect();
            let rows: Vec<usize> = (0..rows.len()).map(|row| row * pitch).collect();
            band(&inputs, &lines, panel.len, &rows);
        }
    }
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
        let (outs, rows) = (self.sums.len() / self.rows.len(), self.rows.len());
        let block = (CACHED / (self.lines.len() * self.width)).next_multiple_of(OUTS).max(OUTS);
        for start in (0..outs).step_by(block) {
            for row in (0..rows).step_by(ROWS) {
                for out in (start..outs.min(start + block)).step_by(OUTS) {
                    match outs - out {
                        1 => self.shifts::<S, 1>(simd, out, row),
                        2 => self.shifts::<S, 2>(simd, out, row),
                        3 => self.shifts::<S, 3>(simd, out, row),
                        _ => self.shifts::<S, OUTS>(simd, out, row),
                    }
                }
            }
        }
    }
}

impl<'a> Band<'a> {
    /// The sums of `O` channels of dy and as many shifts from `row` on as are multiplied at once.
    #[inline(always)]
    fn shifts<S: Simd, const O: usize>(&mut self, simd: S, out: usize, row: usize) {
        match self.rows.len() - row {
            1 => self.tile::<S, O, 1>(simd, out, row),
            2 => self.tile::<S, O, 2>(simd, out, row),
            3 => self.tile::<S, O, 3>(simd, out, row),
            4 => self.tile::<S, O, 4>(simd, out, row),
            _ => self.tile::<S, O, ROWS>(simd, out, row),
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
            if whole > 0 {
                let vectors = |values: &'a [f32], from: usize| S::as_simd_f32s(&values[from..][..whole]).0;
                let mut dys: [&[S::f32s]; O] = [&[]; O];
                let mut xs: [&[S::f32s]; R] = [&[]; R];
                for o in 0..O {
                    dys[o] = vectors(dy, line.dy + (out + o) * *plane);
                }
                for r in 0..R {
                    xs[r] = vectors(x, line.x + shifts[r]);
                }
                for at in 0..whole / S::F32_LANES {
                    for o in 0..O {
                        factors[o] = dys[o][at];
                    }
                    for r in 0..R {
                        for o in 0..O {
                            tile[o][r] = mul_add(simd, xs[r][at], factors[o], tile[o][r]);
                        }
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
