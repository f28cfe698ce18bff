//! What a minimal filtering algorithm computes along one axis, and how both axes of a tile are computed by it.
//!
//! A [`Filter`] is five small matrices. The transforms of a plane apply one along the columns of a tile and then along its
//! lines, on vectors of channels.

#![allow(clippy::needless_range_loop, reason = "an iterator's closure is not compiled for the tier")]

mod strided;
mod unit;

use super::{LANES, Lanes, ZERO};
use crate::simd::{Aligned, mul_add};
use pulp::Simd;
use std::mem::MaybeUninit;
pub(super) use strided::{Strided3, Strided3Grad, Strided4, Strided4Grad};
pub(super) use unit::Unit;

/// Sums of products with `TAPS` values along an axis, a tile of `TILE` from a window of `WINDOW` values.
pub(super) trait Filter {
    const TAPS: usize;
    const TILE: usize;
    const WINDOW: usize;
    /// How far apart the windows of neighbouring tiles lie.
    const STEP: usize;
    /// For each point, which of the kernel's values its product takes; points that copy the window share one.
    const KERNEL: &'static [usize];

    /// Points of the plane at which products are taken.
    const POINTS: usize = Self::KERNEL.len() * Self::KERNEL.len();
    /// Values of a transformed kernel.
    const VALUES: usize = (Self::KERNEL[Self::KERNEL.len() - 1] + 1) * (Self::KERNEL[Self::KERNEL.len() - 1] + 1);

    /// `Bᵀ x B` of the windows of `rows` rows of `per_row` tiles, from an image of their lines. Point p of tile t goes to
    /// `out[p · pitch + t]`.
    fn windows<S: Simd>(simd: S, image: &[Lanes], grid: [usize; 2], out: &mut [Lanes], pitch: usize);

    /// `Aᵀ m A + bias`, line after line of rows of `per_row` tiles. Point p of tile t is `m[p · pitch + t]`.
    fn tiles<S: Simd>(simd: S, m: &[Lanes], pitch: usize, bias: &Lanes, per_row: usize, out: &mut [Lanes]);

    /// `G w Gᵀ` of one kernel a lane. Value p goes to `out[p · pitch]`.
    fn kernel<S: Simd>(simd: S, taps: &[Lanes], out: &mut [MaybeUninit<Lanes>], pitch: usize);
}

/// A filter whose transpose gives the gradient of the kernel.
pub(super) trait Transposed: Filter {
    /// `A dy Aᵀ` of the tiles of `rows` rows of `per_row` tiles, from an image of their lines. Point p of tile t goes to
    /// `out[p · pitch + t]`.
    fn cotangents<S: Simd>(simd: S, image: &[Lanes], grid: [usize; 2], out: &mut [Lanes], pitch: usize);

    /// Adds `Gᵀ w̃ G`, the taps of one kernel a lane, to `out`. Value p is `values[p · LANES]`.
    fn add_taps<S: Simd>(simd: S, values: &[Lanes], out: &mut [Lanes]);
}

/// The values of the kernel that the points of a plane take.
pub(super) fn value<F: Filter>(point: usize) -> usize {
    let [along, values] = [F::KERNEL.len(), F::KERNEL[F::KERNEL.len() - 1] + 1];
    F::KERNEL[point / along] * values + F::KERNEL[point % along]
}

/// A matrix, as a function of vectors.
trait Linear<const N: usize, const M: usize> {
    fn map<S: Simd>(simd: S, from: [S::f32s; N]) -> [S::f32s; M];
}

/// The matrix along both axes of the `N×N` windows that lie `step` apart in the lines of an image of
/// `rows × per_row` of them. Place p of window t goes to `out[p · pitch + t]`.
#[inline(always)]
fn from_image<S: Simd, L: Linear<N, M>, const N: usize, const M: usize>(
    simd: S,
    image: &[Lanes],
    [rows, per_row]: [usize; 2],
    step: usize,
    out: &mut [Lanes],
    pitch: usize,
) {
    let shared = N - step;
    let width = per_row * step + shared;
    for row in 0..rows {
        let lines = &image[row * step * width..][..N * width];
        for v in 0..LANES / S::F32_LANES {
            let mut columns = Aligned([[simd.splat_f32s(0.); M]; N]);
            let columns = &mut columns.0;
            for x in 0..shared {
                columns[step + x] = L::map(simd, column::<S, N>(simd, &lines[x..], width, v));
            }
            for tile in 0..per_row {
                // The first columns are the last of the window before.
                for x in 0..shared {
                    for y in 0..M {
                        columns[x][y] = columns[step + x][y];
                    }
                }
                for x in shared..N {
                    columns[x] = L::map(simd, column::<S, N>(simd, &lines[tile * step + x..], width, v));
                }
                for y in 0..M {
                    let places = L::map(simd, line::<S, N, M>(simd, columns, y));
                    for x in 0..M {
                        set::<S>(&mut out[(y * M + x) * pitch + row * per_row + tile], v, places[x]);
                    }
                }
            }
        }
    }
}

/// The matrix along both axes of an `N×N` square, vector `v` of each place; place p is `from[p · pitch]`.
#[inline(always)]
fn of_square<S: Simd, L: Linear<N, M>, const N: usize, const M: usize>(
    simd: S,
    from: &[Lanes],
    pitch: usize,
    v: usize,
) -> [[S::f32s; M]; M] {
    let mut columns = Aligned([[simd.splat_f32s(0.); M]; N]);
    let columns = &mut columns.0;
    for x in 0..N {
        columns[x] = L::map(simd, column::<S, N>(simd, &from[x * pitch..], N * pitch, v));
    }
    let mut square = [[simd.splat_f32s(0.); M]; M];
    for y in 0..M {
        square[y] = L::map(simd, line::<S, N, M>(simd, columns, y));
    }
    square
}

/// [`Filter::tiles`] by the matrix Aᵀ.
#[inline(always)]
fn to_tiles<S: Simd, L: Linear<N, M>, const N: usize, const M: usize>(
    simd: S,
    m: &[Lanes],
    pitch: usize,
    bias: &Lanes,
    per_row: usize,
    out: &mut [Lanes],
) {
    let width = per_row * M;
    for (row, out) in out.chunks_exact_mut(M * width).enumerate() {
        for tile in 0..per_row {
            for v in 0..LANES / S::F32_LANES {
                let bias = vector::<S>(bias, v);
                let pixels = of_square::<S, L, N, M>(simd, &m[row * per_row + tile..], pitch, v);
                for y in 0..M {
                    let line = &mut out[y * width + tile * M..][..M];
                    for x in 0..M {
                        set::<S>(&mut line[x], v, simd.add_f32s(pixels[y][x], bias));
                    }
                }
            }
        }
    }
}

/// [`Filter::kernel`] by the matrix G.
#[inline(always)]
fn to_values<S: Simd, L: Linear<N, M>, const N: usize, const M: usize>(
    simd: S,
    taps: &[Lanes],
    out: &mut [MaybeUninit<Lanes>],
    pitch: usize,
) {
    let mut values = [[ZERO; M]; M];
    for v in 0..LANES / S::F32_LANES {
        let square = of_square::<S, L, N, M>(simd, taps, 1, v);
        for y in 0..M {
            for x in 0..M {
                set::<S>(&mut values[y][x], v, square[y][x]);
            }
        }
    }
    for (value, out) in values.as_flattened().iter().zip(out.iter_mut().step_by(pitch)) {
        out.write(*value);
    }
}

/// [`Transposed::add_taps`] by the matrix Gᵀ.
#[inline(always)]
fn to_taps<S: Simd, L: Linear<N, M>, const N: usize, const M: usize>(simd: S, values: &[Lanes], out: &mut [Lanes]) {
    for v in 0..LANES / S::F32_LANES {
        let taps = of_square::<S, L, N, M>(simd, values, LANES, v);
        for y in 0..M {
            for x in 0..M {
                let out = &mut out[y * M + x];
                set::<S>(out, v, simd.add_f32s(vector::<S>(out, v), taps[y][x]));
            }
        }
    }
}

/// Vector `v` of a pixel.
#[inline(always)]
pub(super) fn vector<S: Simd>(lanes: &Lanes, v: usize) -> S::f32s {
    S::as_simd_f32s(&lanes.0).0[v]
}

#[inline(always)]
pub(super) fn set<S: Simd>(lanes: &mut Lanes, v: usize, value: S::f32s) {
    S::as_mut_simd_f32s(&mut lanes.0).0[v] = value;
}

/// Vector `v` of `N` pixels that lie `pitch` apart.
#[inline(always)]
fn column<S: Simd, const N: usize>(simd: S, pixels: &[Lanes], pitch: usize, v: usize) -> [S::f32s; N] {
    let mut column = [simd.splat_f32s(0.); N];
    for i in 0..N {
        column[i] = vector::<S>(&pixels[i * pitch], v);
    }
    column
}

/// Row `y` of `N` columns.
#[inline(always)]
fn line<S: Simd, const N: usize, const M: usize>(simd: S, columns: &[[S::f32s; M]; N], y: usize) -> [S::f32s; N] {
    let mut line = [simd.splat_f32s(0.); N];
    for x in 0..N {
        line[x] = columns[x][y];
    }
    line
}

/// `factor · a + b`.
#[inline(always)]
fn times<S: Simd>(simd: S, factor: f32, a: S::f32s, b: S::f32s) -> S::f32s {
    mul_add(simd, simd.splat_f32s(factor), a, b)
}

#[inline(always)]
fn scaled<S: Simd>(simd: S, factor: f32, a: S::f32s) -> S::f32s {
    simd.mul_f32s(simd.splat_f32s(factor), a)
}
