//! The transforms of F(4×4, 3×3) at the points 0, 1, −1, ½, −2, ∞, each along both axes of a tile.

#![allow(clippy::needless_range_loop, reason = "an iterator's closure is not compiled for the tier")]

use super::{LANES, Lanes};
use crate::simd::mul_add;
use pulp::Simd;

/// Extents of an output tile and of the window it depends on.
pub(super) const TILE: usize = 4;
pub(super) const WINDOW: usize = 6;

/// Points of the plane at which products are taken.
pub(super) const POINTS: usize = WINDOW * WINDOW;

/// Vector `v` of a pixel.
#[inline(always)]
fn vector<S: Simd>(lanes: &Lanes, v: usize) -> S::f32s {
    S::as_simd_f32s(lanes).0[v]
}

#[inline(always)]
fn set<S: Simd>(lanes: &mut Lanes, v: usize, value: S::f32s) {
    S::as_mut_simd_f32s(lanes).0[v] = value;
}

/// `Bᵀ x B` of the windows of `rows` rows of `per_row` tiles, from an image of `TILE · rows + 2` lines.
/// Point p of tile t goes to `out[p · pitch + t]`.
#[inline(always)]
pub(super) fn windows<S: Simd>(simd: S, image: &[Lanes], [rows, per_row]: [usize; 2], out: &mut [Lanes], pitch: usize) {
    let width = per_row * TILE + WINDOW - TILE;
    for row in 0..rows {
        let lines = &image[row * TILE * width..][..WINDOW * width];
        for v in 0..LANES / S::F32_LANES {
            let mut columns = [[simd.splat_f32s(0.); WINDOW]; WINDOW];
            for x in 0..2 {
                columns[TILE + x] = window(simd, column::<S, WINDOW>(simd, &lines[x..], width, v));
            }
            for tile in 0..per_row {
                // Two columns are those of the tile before.
                (columns[0], columns[1]) = (columns[TILE], columns[TILE + 1]);
                for x in 2..WINDOW {
                    columns[x] = window(simd, column::<S, WINDOW>(simd, &lines[tile * TILE + x..], width, v));
                }
                for y in 0..WINDOW {
                    let points = window(simd, line::<S, WINDOW, WINDOW>(simd, &columns, y));
                    for x in 0..WINDOW {
                        set::<S>(&mut out[(y * WINDOW + x) * pitch + row * per_row + tile], v, points[x]);
                    }
                }
            }
        }
    }
}

/// `A dy Aᵀ` of the tiles of `rows` rows of `per_row` tiles, from an image of `TILE · rows` lines.
/// Point p of tile t goes to `out[p · pitch + t]`.
#[inline(always)]
pub(super) fn cotangents<S: Simd>(
    simd: S,
    image: &[Lanes],
    [rows, per_row]: [usize; 2],
    out: &mut [Lanes],
    pitch: usize,
) {
    let width = per_row * TILE;
    for row in 0..rows {
        let lines = &image[row * TILE * width..][..TILE * width];
        for v in 0..LANES / S::F32_LANES {
            for tile in 0..per_row {
                let mut columns = [[simd.splat_f32s(0.); WINDOW]; TILE];
                for x in 0..TILE {
                    columns[x] = cotangent(simd, column::<S, TILE>(simd, &lines[tile * TILE + x..], width, v));
                }
                for y in 0..WINDOW {
                    let points = cotangent(simd, line::<S, TILE, WINDOW>(simd, &columns, y));
                    for x in 0..WINDOW {
                        set::<S>(&mut out[(y * WINDOW + x) * pitch + row * per_row + tile], v, points[x]);
                    }
                }
            }
        }
    }
}

/// `Aᵀ m A + bias`, pixel after pixel of a tile. Point p of tile t is `m[p · pitch + t]`.
#[inline(always)]
pub(super) fn tiles<S: Simd>(simd: S, m: &[Lanes], pitch: usize, bias: &Lanes, out: &mut [Lanes]) {
    for (t, out) in out.as_chunks_mut::<{ TILE * TILE }>().0.iter_mut().enumerate() {
        for v in 0..LANES / S::F32_LANES {
            let mut columns = [[simd.splat_f32s(0.); TILE]; WINDOW];
            for x in 0..WINDOW {
                columns[x] = tile(simd, column::<S, WINDOW>(simd, &m[x * pitch + t..], WINDOW * pitch, v));
            }
            let bias = vector::<S>(bias, v);
            for y in 0..TILE {
                let pixels = tile(simd, line::<S, WINDOW, TILE>(simd, &columns, y));
                for x in 0..TILE {
                    set::<S>(&mut out[y * TILE + x], v, simd.add_f32s(pixels[x], bias));
                }
            }
        }
    }
}

/// `G w Gᵀ` of one kernel a lane. Point p goes to `out[p · pitch]`.
#[inline(always)]
pub(super) fn kernel<S: Simd>(simd: S, taps: &[Lanes; 9], out: &mut [Lanes], pitch: usize) {
    for v in 0..LANES / S::F32_LANES {
        let mut columns = [[simd.splat_f32s(0.); WINDOW]; 3];
        for x in 0..3 {
            columns[x] = point(simd, column::<S, 3>(simd, &taps[x..], 3, v));
        }
        for y in 0..WINDOW {
            let points = point(simd, line::<S, 3, WINDOW>(simd, &columns, y));
            for x in 0..WINDOW {
                set::<S>(&mut out[(y * WINDOW + x) * pitch], v, points[x]);
            }
        }
    }
}

/// Adds `Gᵀ w̃ G`, the taps of one kernel a lane, to `out`. Point p is `points[p · LANES]`.
#[inline(always)]
pub(super) fn add_taps<S: Simd>(simd: S, points: &[Lanes], out: &mut [Lanes; 9]) {
    for v in 0..LANES / S::F32_LANES {
        let mut columns = [[simd.splat_f32s(0.); 3]; WINDOW];
        for x in 0..WINDOW {
            columns[x] = tap(simd, column::<S, WINDOW>(simd, &points[x * LANES..], WINDOW * LANES, v));
        }
        for y in 0..3 {
            let values = tap(simd, line::<S, WINDOW, 3>(simd, &columns, y));
            for x in 0..3 {
                let out = &mut out[y * 3 + x];
                set::<S>(out, v, simd.add_f32s(vector::<S>(out, v), values[x]));
            }
        }
    }
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

#[inline(always)]
fn times<S: Simd>(simd: S, factor: f32, a: S::f32s, b: S::f32s) -> S::f32s {
    mul_add(simd, simd.splat_f32s(factor), a, b)
}

#[inline(always)]
fn scaled<S: Simd>(simd: S, factor: f32, a: S::f32s) -> S::f32s {
    simd.mul_f32s(simd.splat_f32s(factor), a)
}

/// Bᵀ: the coefficients, for each point, of the polynomial that is zero at all the others.
#[inline(always)]
fn window<S: Simd>(simd: S, d: [S::f32s; 6]) -> [S::f32s; 6] {
    let (even, odd) = (simd.sub_f32s(d[4], d[2]), simd.sub_f32s(d[3], d[1]));
    [
        simd.add_f32s(simd.sub_f32s(d[0], d[2]), times(simd, 1.5, odd, even)),
        simd.sub_f32s(times(simd, 2.5, d[3], times(simd, 0.5, d[2], d[4])), d[1]),
        simd.add_f32s(times(simd, 0.5, d[3], times(simd, -2.5, d[2], d[4])), d[1]),
        times(simd, 2., odd, even),
        times(simd, -0.5, odd, even),
        simd.sub_f32s(times(simd, 1.5, even, simd.sub_f32s(d[5], d[3])), odd),
    ]
}

/// Aᵀ: powers of the points.
#[inline(always)]
fn tile<S: Simd>(simd: S, m: [S::f32s; 6]) -> [S::f32s; 4] {
    let (even, odd) = (simd.add_f32s(m[1], m[2]), simd.sub_f32s(m[1], m[2]));
    [
        simd.add_f32s(simd.add_f32s(m[0], even), simd.add_f32s(m[3], m[4])),
        times(simd, -2., m[4], times(simd, 0.5, m[3], odd)),
        times(simd, 4., m[4], times(simd, 0.25, m[3], even)),
        simd.add_f32s(times(simd, -8., m[4], times(simd, 0.125, m[3], odd)), m[5]),
    ]
}

/// A.
#[inline(always)]
fn cotangent<S: Simd>(simd: S, y: [S::f32s; 4]) -> [S::f32s; 6] {
    let (even, odd) = (simd.add_f32s(y[0], y[2]), simd.add_f32s(y[1], y[3]));
    [
        y[0],
        simd.add_f32s(even, odd),
        simd.sub_f32s(even, odd),
        times(simd, 0.125, y[3], times(simd, 0.25, y[2], times(simd, 0.5, y[1], y[0]))),
        times(simd, -8., y[3], times(simd, 4., y[2], times(simd, -2., y[1], y[0]))),
        y[3],
    ]
}

/// What the polynomials of Bᵀ take at their points, inverted: 1, ⅓, −⅓, −16⁄15, 1⁄15, 1.
const SCALE: [f32; 3] = [1. / 3., -16. / 15., 1. / 15.];

/// G: powers of the points, scaled.
#[inline(always)]
fn point<S: Simd>(simd: S, w: [S::f32s; 3]) -> [S::f32s; 6] {
    let even = simd.add_f32s(w[0], w[2]);
    [
        w[0],
        scaled(simd, SCALE[0], simd.add_f32s(even, w[1])),
        scaled(simd, -SCALE[0], simd.sub_f32s(even, w[1])),
        scaled(simd, SCALE[1], times(simd, 0.25, w[2], times(simd, 0.5, w[1], w[0]))),
        scaled(simd, SCALE[2], times(simd, 4., w[2], times(simd, -2., w[1], w[0]))),
        w[2],
    ]
}

/// Gᵀ.
#[inline(always)]
fn tap<S: Simd>(simd: S, m: [S::f32s; 6]) -> [S::f32s; 3] {
    let one = scaled(simd, SCALE[0], simd.sub_f32s(m[1], m[2]));
    let other = scaled(simd, SCALE[0], simd.add_f32s(m[1], m[2]));
    let (half, two) = (scaled(simd, SCALE[1], m[3]), scaled(simd, SCALE[2], m[4]));
    [
        simd.add_f32s(m[0], simd.add_f32s(one, simd.add_f32s(half, two))),
        times(simd, -2., two, times(simd, 0.5, half, other)),
        simd.add_f32s(m[5], times(simd, 4., two, times(simd, 0.25, half, one))),
    ]
}
