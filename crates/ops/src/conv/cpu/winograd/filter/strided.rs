//! Sums of stride 2 with three or four taps: the taps in even places meet the values in even places of a window, the others
//! those in odd places, so that each half is of stride 1. Two taps are F(4, 2), at the points 0, 1, −1, −2, ∞; one tap
//! is a product with each value of its window.

use super::{Filter, Lanes, Linear, Transposed, from_image, scaled, times, to_taps, to_tiles, to_values};
use pulp::Simd;
use std::mem::MaybeUninit;

/// Kernels of three taps and stride 2.
#[derive(Debug)]
pub(in super::super) struct Strided3;

/// Kernels of four taps and stride 2.
#[derive(Debug)]
pub(in super::super) struct Strided4;

/// The gradient of the input of [`Strided3`], from the kernel turned around. The first pixel of a tile meets the tap in the
/// middle if `ODD`, else the others.
#[derive(Debug)]
pub(in super::super) struct Strided3Grad<const ODD: bool>;

/// The gradient of the input of [`Strided4`], from the kernel turned around. The first pixel of a tile meets the first and the
/// third tap of that if `ODD`, else the others.
#[derive(Debug)]
pub(in super::super) struct Strided4Grad<const ODD: bool>;

impl Filter for Strided3 {
    const TAPS: usize = 3;
    const TILE: usize = 4;
    const WINDOW: usize = 9;
    const STEP: usize = 8;
    const KERNEL: &'static [usize] = &[0, 1, 2, 3, 4, 5, 5, 5, 5];

    #[inline(always)]
    fn windows<S: Simd>(simd: S, image: &[Lanes], grid: [usize; 2], out: &mut [Lanes], pitch: usize) {
        from_image::<S, Window3, 9, 9>(simd, image, grid, Self::STEP, out, pitch);
    }

    #[inline(always)]
    fn tiles<S: Simd>(simd: S, m: &[Lanes], pitch: usize, bias: &Lanes, per_row: usize, out: &mut [Lanes]) {
        to_tiles::<S, Tile3, 9, 4>(simd, m, pitch, bias, per_row, out);
    }

    #[inline(always)]
    fn kernel<S: Simd>(simd: S, taps: &[Lanes], out: &mut [MaybeUninit<Lanes>], pitch: usize) {
        to_values::<S, Point3, 3, 6>(simd, taps, out, pitch);
    }
}

impl Transposed for Strided3 {
    #[inline(always)]
    fn cotangents<S: Simd>(simd: S, image: &[Lanes], grid: [usize; 2], out: &mut [Lanes], pitch: usize) {
        from_image::<S, Cotangent3, 4, 9>(simd, image, grid, Self::TILE, out, pitch);
    }

    #[inline(always)]
    fn add_taps<S: Simd>(simd: S, values: &[Lanes], out: &mut [Lanes]) {
        to_taps::<S, Tap3, 6, 3>(simd, values, out);
    }
}

impl Filter for Strided4 {
    const TAPS: usize = 4;
    const TILE: usize = 4;
    const WINDOW: usize = 10;
    const STEP: usize = 8;
    const KERNEL: &'static [usize] = &[0, 1, 2, 3, 4, 5, 6, 7, 8, 9];

    #[inline(always)]
    fn windows<S: Simd>(simd: S, image: &[Lanes], grid: [usize; 2], out: &mut [Lanes], pitch: usize) {
        from_image::<S, Window4, 10, 10>(simd, image, grid, Self::STEP, out, pitch);
    }

    #[inline(always)]
    fn tiles<S: Simd>(simd: S, m: &[Lanes], pitch: usize, bias: &Lanes, per_row: usize, out: &mut [Lanes]) {
        to_tiles::<S, Tile4, 10, 4>(simd, m, pitch, bias, per_row, out);
    }

    #[inline(always)]
    fn kernel<S: Simd>(simd: S, taps: &[Lanes], out: &mut [MaybeUninit<Lanes>], pitch: usize) {
        to_values::<S, Point4, 4, 10>(simd, taps, out, pitch);
    }
}

impl Transposed for Strided4 {
    #[inline(always)]
    fn cotangents<S: Simd>(simd: S, image: &[Lanes], grid: [usize; 2], out: &mut [Lanes], pitch: usize) {
        from_image::<S, Cotangent4, 4, 10>(simd, image, grid, Self::TILE, out, pitch);
    }

    #[inline(always)]
    fn add_taps<S: Simd>(simd: S, values: &[Lanes], out: &mut [Lanes]) {
        to_taps::<S, Tap4, 10, 4>(simd, values, out);
    }
}

impl<const ODD: bool> Filter for Strided3Grad<ODD> {
    const TAPS: usize = 3;
    const TILE: usize = 8;
    const WINDOW: usize = 5;
    const STEP: usize = 4;
    const KERNEL: &'static [usize] = &[0, 1, 2, 3, 4, 5, 5, 5, 5];

    #[inline(always)]
    fn windows<S: Simd>(simd: S, image: &[Lanes], grid: [usize; 2], out: &mut [Lanes], pitch: usize) {
        from_image::<S, Window3Grad<ODD>, 5, 9>(simd, image, grid, Self::STEP, out, pitch);
    }

    #[inline(always)]
    fn tiles<S: Simd>(simd: S, m: &[Lanes], pitch: usize, bias: &Lanes, per_row: usize, out: &mut [Lanes]) {
        to_tiles::<S, Tile3Grad<ODD>, 9, 8>(simd, m, pitch, bias, per_row, out);
    }

    #[inline(always)]
    fn kernel<S: Simd>(simd: S, taps: &[Lanes], out: &mut [MaybeUninit<Lanes>], pitch: usize) {
        to_values::<S, Point3, 3, 6>(simd, taps, out, pitch);
    }
}

impl<const ODD: bool> Filter for Strided4Grad<ODD> {
    const TAPS: usize = 4;
    const TILE: usize = 8;
    const WINDOW: usize = 6;
    const STEP: usize = 4;
    const KERNEL: &'static [usize] = &[0, 1, 2, 3, 4, 5, 6, 7, 8, 9];

    #[inline(always)]
    fn windows<S: Simd>(simd: S, image: &[Lanes], grid: [usize; 2], out: &mut [Lanes], pitch: usize) {
        from_image::<S, Window4Grad<ODD>, 6, 10>(simd, image, grid, Self::STEP, out, pitch);
    }

    #[inline(always)]
    fn tiles<S: Simd>(simd: S, m: &[Lanes], pitch: usize, bias: &Lanes, per_row: usize, out: &mut [Lanes]) {
        to_tiles::<S, Tile4Grad<ODD>, 10, 8>(simd, m, pitch, bias, per_row, out);
    }

    #[inline(always)]
    fn kernel<S: Simd>(simd: S, taps: &[Lanes], out: &mut [MaybeUninit<Lanes>], pitch: usize) {
        to_values::<S, Point4, 4, 10>(simd, taps, out, pitch);
    }
}

/// Bᵀ of [`Strided3`].
struct Window3;

impl Linear<9, 9> for Window3 {
    #[inline(always)]
    fn map<S: Simd>(simd: S, d: [S::f32s; 9]) -> [S::f32s; 9] {
        join(window(simd, [d[0], d[2], d[4], d[6], d[8]]), [d[1], d[3], d[5], d[7]])
    }
}

/// Bᵀ of [`Strided4`].
struct Window4;

impl Linear<10, 10> for Window4 {
    #[inline(always)]
    fn map<S: Simd>(simd: S, d: [S::f32s; 10]) -> [S::f32s; 10] {
        join(window(simd, [d[0], d[2], d[4], d[6], d[8]]), window(simd, [d[1], d[3], d[5], d[7], d[9]]))
    }
}

/// Bᵀ of [`Strided3Grad`].
struct Window3Grad<const ODD: bool>;

impl<const ODD: bool> Linear<5, 9> for Window3Grad<ODD> {
    #[inline(always)]
    fn map<S: Simd>(simd: S, d: [S::f32s; 5]) -> [S::f32s; 9] {
        join(window(simd, d), if ODD { [d[0], d[1], d[2], d[3]] } else { [d[1], d[2], d[3], d[4]] })
    }
}

/// Bᵀ of [`Strided4Grad`].
struct Window4Grad<const ODD: bool>;

impl<const ODD: bool> Linear<6, 10> for Window4Grad<ODD> {
    #[inline(always)]
    fn map<S: Simd>(simd: S, d: [S::f32s; 6]) -> [S::f32s; 10] {
        let first = window(simd, [d[0], d[1], d[2], d[3], d[4]]);
        join(first, if ODD { window(simd, [d[1], d[2], d[3], d[4], d[5]]) } else { first })
    }
}

/// Aᵀ of [`Strided3`].
struct Tile3;

impl Linear<9, 4> for Tile3 {
    #[inline(always)]
    fn map<S: Simd>(simd: S, m: [S::f32s; 9]) -> [S::f32s; 4] {
        sum(simd, tile(simd, [m[0], m[1], m[2], m[3], m[4]]), [m[5], m[6], m[7], m[8]])
    }
}

/// Aᵀ of [`Strided4`].
struct Tile4;

impl Linear<10, 4> for Tile4 {
    #[inline(always)]
    fn map<S: Simd>(simd: S, m: [S::f32s; 10]) -> [S::f32s; 4] {
        sum(simd, tile(simd, [m[0], m[1], m[2], m[3], m[4]]), tile(simd, [m[5], m[6], m[7], m[8], m[9]]))
    }
}

/// Aᵀ of [`Strided3Grad`].
struct Tile3Grad<const ODD: bool>;

impl<const ODD: bool> Linear<9, 8> for Tile3Grad<ODD> {
    #[inline(always)]
    fn map<S: Simd>(simd: S, m: [S::f32s; 9]) -> [S::f32s; 8] {
        let (two, one) = (tile(simd, [m[0], m[1], m[2], m[3], m[4]]), [m[5], m[6], m[7], m[8]]);
        if ODD { alternate(one, two) } else { alternate(two, one) }
    }
}

/// Aᵀ of [`Strided4Grad`].
struct Tile4Grad<const ODD: bool>;

impl<const ODD: bool> Linear<10, 8> for Tile4Grad<ODD> {
    #[inline(always)]
    fn map<S: Simd>(simd: S, m: [S::f32s; 10]) -> [S::f32s; 8] {
        let first = tile(simd, [m[0], m[1], m[2], m[3], m[4]]);
        let second = tile(simd, [m[5], m[6], m[7], m[8], m[9]]);
        if ODD { alternate(first, second) } else { alternate(second, first) }
    }
}

/// A of [`Strided3`].
struct Cotangent3;

impl Linear<4, 9> for Cotangent3 {
    #[inline(always)]
    fn map<S: Simd>(simd: S, y: [S::f32s; 4]) -> [S::f32s; 9] {
        join(cotangent(simd, y), y)
    }
}

/// A of [`Strided4`].
struct Cotangent4;

impl Linear<4, 10> for Cotangent4 {
    #[inline(always)]
    fn map<S: Simd>(simd: S, y: [S::f32s; 4]) -> [S::f32s; 10] {
        let points = cotangent(simd, y);
        join(points, points)
    }
}

/// G of three taps.
struct Point3;

impl Linear<3, 6> for Point3 {
    #[inline(always)]
    fn map<S: Simd>(simd: S, w: [S::f32s; 3]) -> [S::f32s; 6] {
        join(point(simd, [w[0], w[2]]), [w[1]])
    }
}

/// G of four taps.
struct Point4;

impl Linear<4, 10> for Point4 {
    #[inline(always)]
    fn map<S: Simd>(simd: S, w: [S::f32s; 4]) -> [S::f32s; 10] {
        join(point(simd, [w[0], w[2]]), point(simd, [w[1], w[3]]))
    }
}

/// Gᵀ of three taps.
struct Tap3;

impl Linear<6, 3> for Tap3 {
    #[inline(always)]
    fn map<S: Simd>(simd: S, m: [S::f32s; 6]) -> [S::f32s; 3] {
        let [first, last] = tap(simd, [m[0], m[1], m[2], m[3], m[4]]);
        [first, m[5], last]
    }
}

/// Gᵀ of four taps.
struct Tap4;

impl Linear<10, 4> for Tap4 {
    #[inline(always)]
    fn map<S: Simd>(simd: S, m: [S::f32s; 10]) -> [S::f32s; 4] {
        let [first, third] = tap(simd, [m[0], m[1], m[2], m[3], m[4]]);
        let [second, fourth] = tap(simd, [m[5], m[6], m[7], m[8], m[9]]);
        [first, second, third, fourth]
    }
}

/// Bᵀ of F(4, 2): the coefficients, for each point, of the polynomial that is zero at all the others.
#[inline(always)]
fn window<S: Simd>(simd: S, d: [S::f32s; 5]) -> [S::f32s; 5] {
    let cubic = simd.sub_f32s(d[3], d[1]);
    let sum = simd.add_f32s(d[3], d[2]);
    [
        times(simd, 2., simd.sub_f32s(d[2], d[0]), cubic),
        times(simd, 2., simd.add_f32s(d[2], d[1]), sum),
        times(simd, -2., d[1], sum),
        cubic,
        times(simd, 2., cubic, simd.sub_f32s(d[4], d[2])),
    ]
}

/// Aᵀ of F(4, 2): powers of the points.
#[inline(always)]
fn tile<S: Simd>(simd: S, m: [S::f32s; 5]) -> [S::f32s; 4] {
    let (even, odd) = (simd.add_f32s(m[1], m[2]), simd.sub_f32s(m[1], m[2]));
    [
        simd.add_f32s(simd.add_f32s(m[0], m[3]), even),
        times(simd, -2., m[3], odd),
        times(simd, 4., m[3], even),
        simd.add_f32s(times(simd, -8., m[3], odd), m[4]),
    ]
}

/// A of F(4, 2).
#[inline(always)]
fn cotangent<S: Simd>(simd: S, y: [S::f32s; 4]) -> [S::f32s; 5] {
    let (even, odd) = (simd.add_f32s(y[0], y[2]), simd.add_f32s(y[1], y[3]));
    [
        y[0],
        simd.add_f32s(even, odd),
        simd.sub_f32s(even, odd),
        times(simd, -8., y[3], times(simd, 4., y[2], times(simd, -2., y[1], y[0]))),
        y[3],
    ]
}

/// G of F(4, 2): powers of the points, over what the polynomials of Bᵀ take there: −2, 6, 2, −6, 1.
#[inline(always)]
fn point<S: Simd>(simd: S, w: [S::f32s; 2]) -> [S::f32s; 5] {
    [
        scaled(simd, -0.5, w[0]),
        scaled(simd, SIXTH, simd.add_f32s(w[0], w[1])),
        scaled(simd, 0.5, simd.sub_f32s(w[0], w[1])),
        scaled(simd, -SIXTH, times(simd, -2., w[1], w[0])),
        w[1],
    ]
}

/// Gᵀ of F(4, 2).
#[inline(always)]
fn tap<S: Simd>(simd: S, m: [S::f32s; 5]) -> [S::f32s; 2] {
    let (one, other) = (scaled(simd, SIXTH, m[1]), scaled(simd, 0.5, m[2]));
    let two = scaled(simd, SIXTH, m[3]);
    [
        simd.add_f32s(times(simd, -0.5, m[0], other), simd.sub_f32s(one, two)),
        simd.add_f32s(times(simd, 2., two, simd.sub_f32s(one, other)), m[4]),
    ]
}

const SIXTH: f32 = 1. / 6.;

#[inline(always)]
fn sum<S: Simd>(simd: S, a: [S::f32s; 4], b: [S::f32s; 4]) -> [S::f32s; 4] {
    [simd.add_f32s(a[0], b[0]), simd.add_f32s(a[1], b[1]), simd.add_f32s(a[2], b[2]), simd.add_f32s(a[3], b[3])]
}

/// `a`, then `b`.
#[inline(always)]
fn join<V: Copy, const A: usize, const B: usize, const N: usize>(a: [V; A], b: [V; B]) -> [V; N] {
    let mut both = [a[0]; N];
    both[..A].copy_from_slice(&a);
    both[A..].copy_from_slice(&b);
    both
}

/// The values of `even` in even places, those of `odd` in odd places.
#[inline(always)]
fn alternate<V: Copy>(even: [V; 4], odd: [V; 4]) -> [V; 8] {
    [even[0], odd[0], even[1], odd[1], even[2], odd[2], even[3], odd[3]]
}
