//! The weight gradient of few input channels in float32: each entry is a dot product of dy and a
//! shifted image, with vectors along the positions.

use super::direct::{correlated_rows, strided_image};
use super::{batch_slices, join_blocks};
use crate::conv::spec::ConvDims;
use crate::parallel;
use crate::simd::{Tier, mul_add};
use crate::strip::SLACK;
use pulp::{Simd, WithSimd};

/// Positions of one block: four lines of dy and of the image stay in the first-level cache.
const BLOCK: usize = 1024;

/// Lines of dy that are multiplied at once.
const OUTS: usize = 4;

/// Shifts of the image that are multiplied at once.
const ROWS: usize = 2;

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
    let pitch = image.step([depth - 1, height - 1, width - 1]) + 1;
    let pitch = pitch.next_multiple_of(SLACK);
    let parts = parallel::map(slices * d.groups, |task| {
        let (slice, group) = (task / d.groups, task % d.groups);
        let mut dw = vec![0.; c_out * rows.len()];
        let (mut padded, mut lines) = (Vec::new(), vec![0.; c_out * pitch]);
        for n in slice * d.n / slices..(slice + 1) * d.n / slices {
            image.fill(&x[(n * d.c_in + group * c_in) * d.in_plane()..][..c_in * d.in_plane()], &mut padded);
            // What lies between the lines stays zero.
            let dy = &dy[(n * d.c_out + group * c_out) * d.out_plane()..][..c_out * d.out_plane()];
            for (i, dy) in dy.chunks_exact(width).enumerate() {
                let at = image.step([i / height % depth, i % height, 0]);
                lines[i / (height * depth) * pitch + at..][..width].copy_from_slice(dy);
            }
            for start in (0..pitch).step_by(BLOCK) {
                let len = BLOCK.min(pitch - start);
                for (dw, dy) in dw.chunks_mut(OUTS * rows.len()).zip(lines.chunks(OUTS * pitch)) {
                    let dy: Vec<&[f32]> = dy.chunks_exact(pitch).map(|dy| &dy[start..start + len]).collect();
                    tier.run(Dots { x: &padded[start..], rows: &rows, dy: &dy, dw });
                }
            }
        }
        dw
    });
    join_blocks(d, parts, slices, c_in)
}

/// `dw[out, row] += Σ x[rows[row] + i] · dy[out][i]`. The lines of `dy` are whole vectors long.
struct Dots<'a> {
    x: &'a [f32],
    rows: &'a [usize],
    dy: &'a [&'a [f32]],
    dw: &'a mut [f32],
}

impl WithSimd for Dots<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Self { x, rows, dy, dw } = self;
        for (first, shifts) in rows.chunks(ROWS).enumerate() {
            let first = first * ROWS;
            match (dy, shifts) {
                (&[a, b, c, d], &[r, s]) => {
                    let sums = dots(simd, [&x[r..], &x[s..]], [a, b, c, d]);
                    for (out, sums) in sums.iter().enumerate() {
                        dw[out * rows.len() + first] += sums[0];
                        dw[out * rows.len() + first + 1] += sums[1];
                    }
                }
                _ => {
                    for (out, dy) in dy.iter().enumerate() {
                        for (i, &shift) in shifts.iter().enumerate() {
                            dw[out * rows.len() + first + i] += dots(simd, [&x[shift..]], [dy])[0][0];
                        }
                    }
                }
            }
        }
    }
}

#[inline(always)]
fn dots<S: Simd, const O: usize, const R: usize>(simd: S, x: [&[f32]; R], dy: [&[f32]; O]) -> [[f32; R]; O] {
    let mut sums = [[simd.splat_f32s(0.); R]; O];
    let dy = dy.map(|dy| S::as_simd_f32s(dy).0);
    let count = dy[0].len();
    let dy = dy.map(|dy| &dy[..count]);
    let x = x.map(|x| &S::as_simd_f32s(x).0[..count]);
    for i in 0..count {
        for (sums, dy) in sums.iter_mut().zip(dy) {
            for (sum, x) in sums.iter_mut().zip(x) {
                *sum = mul_add(simd, x[i], dy[i], *sum);
            }
        }
    }
    sums.map(|sums| sums.map(|sum| simd.reduce_sum_f32s(sum)))
}
