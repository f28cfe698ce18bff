//! F(4, 3): sums of stride 1 with three taps, at the points 0, 1, −1, ½, −2, ∞.

use super::{Filter, Lanes, Linear, Transposed, from_image, scaled, times, to_taps, to_tiles, to_values};
use pulp::Simd;
use std::mem::MaybeUninit;

/// Kernels of three taps and stride 1.
#[derive(Debug)]
pub(in super::super) struct Unit;

impl Filter for Unit {
    const TAPS: usize = 3;
    const TILE: usize = 4;
    const WINDOW: usize = 6;
    const STEP: usize = 4;
    const KERNEL: &'static [usize] = &[0, 1, 2, 3, 4, 5];

    #[inline(always)]
    fn windows<S: Simd>(simd: S, image: &[Lanes], grid: [usize; 2], out: &mut [Lanes], pitch: usize) {
        from_image::<S, Window, 6, 6>(simd, image, grid, Self::STEP, out, pitch);
    }

    #[inline(always)]
    fn tiles<S: Simd>(simd: S, m: &[Lanes], pitch: usize, bias: &Lanes, per_row: usize, out: &mut [Lanes]) {
        to_tiles::<S, Tile, 6, 4>(simd, m, pitch, bias, per_row, out);
    }

    #[inline(always)]
    fn kernel<S: Simd>(simd: S, taps: &[Lanes], out: &mut [MaybeUninit<Lanes>], pitch: usize) {
        to_values::<S, Point, 3, 6>(simd, taps, out, pitch);
    }
}

impl Transposed for Unit {
    #[inline(always)]
    fn cotangents<S: Simd>(simd: S, image: &[Lanes], grid: [usize; 2], out: &mut [Lanes], pitch: usize) {
        from_image::<S, Cotangent, 4, 6>(simd, image, grid, Self::TILE, out, pitch);
    }

    #[inline(always)]
    fn add_taps<S: Simd>(simd: S, values: &[Lanes], out: &mut [Lanes]) {
        to_taps::<S, Tap, 6, 3>(simd, values, out);
    }
}

/// Bᵀ: the coefficients, for each point, of the polynomial that is zero at all the others.
struct Window;

impl Linear<6, 6> for Window {
    #[inline(always)]
    fn map<S: Simd>(simd: S, d: [S::f32s; 6]) -> [S::f32s; 6] {
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
}

/// Aᵀ: powers of the points.
struct Tile;

impl Linear<6, 4> for Tile {
    #[inline(always)]
    fn map<S: Simd>(simd: S, m: [S::f32s; 6]) -> [S::f32s; 4] {
        let (even, odd) = (simd.add_f32s(m[1], m[2]), simd.sub_f32s(m[1], m[2]));
        [
            simd.add_f32s(simd.add_f32s(m[0], even), simd.add_f32s(m[3], m[4])),
            times(simd, -2., m[4], times(simd, 0.5, m[3], odd)),
            times(simd, 4., m[4], times(simd, 0.25, m[3], even)),
            simd.add_f32s(times(simd, -8., m[4], times(simd, 0.125, m[3], odd)), m[5]),
        ]
    }
}

/// A.
struct Cotangent;

impl Linear<4, 6> for Cotangent {
    #[inline(always)]
    fn map<S: Simd>(simd: S, y: [S::f32s; 4]) -> [S::f32s; 6] {
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
}

/// What the polynomials of Bᵀ take at their points, inverted: 1, ⅓, −⅓, −16⁄15, 1⁄15, 1.
const SCALE: [f32; 3] = [1. / 3., -16. / 15., 1. / 15.];

/// G: powers of the points, scaled.
struct Point;

impl Linear<3, 6> for Point {
    #[inline(always)]
    fn map<S: Simd>(simd: S, w: [S::f32s; 3]) -> [S::f32s; 6] {
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
}

/// Gᵀ.
struct Tap;

impl Linear<6, 3> for Tap {
    #[inline(always)]
    fn map<S: Simd>(simd: S, m: [S::f32s; 6]) -> [S::f32s; 3] {
        let one = scaled(simd, SCALE[0], simd.sub_f32s(m[1], m[2]));
        let other = scaled(simd, SCALE[0], simd.add_f32s(m[1], m[2]));
        let (half, two) = (scaled(simd, SCALE[1], m[3]), scaled(simd, SCALE[2], m[4]));
        [
            simd.add_f32s(m[0], simd.add_f32s(one, simd.add_f32s(half, two))),
            times(simd, -2., two, times(simd, 0.5, half, other)),
            simd.add_f32s(m[5], times(simd, 4., two, times(simd, 0.25, half, one))),
        ]
    }
}
