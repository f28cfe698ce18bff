//! Sums over runs of elements, many at a time so that they become vector instructions; always over the same tree.
//!
//! float32 is added in float32 within a block, where that loses nothing that matters, and in float64 across blocks; what
//! float32 does not hold is added in float64 throughout, as float64 is. No product is fused, so every tier gives the same bits.

use super::maps::unit_of;
use crate::math::tree_sum;
use crate::simd::Tier;
use crate::storage::Element;
use pulp::{Simd, WithSimd};

/// Sums at once. With 8 or 16 the compiler unrolls the loop over them whole and leaves it scalar.
const LANES: usize = 32;
/// Elements of which the moments are taken about one pivot in float64.
const BLOCK: usize = 1 << 10;
/// Elements of a run that are added in float32: 256 a lane.
const SINGLE_BLOCK: usize = 1 << 13;
/// Elements below which float32 would gain nothing.
const FEW: usize = 64;
/// Sums of squares below which some may have been too small for float32.
const LEAST: f64 = 1e-28;

/// How many elements there are, their mean, and the sum of squares about it.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Moments {
    pub(super) count: f64,
    pub(super) mean: f64,
    pub(super) squares: f64,
}

impl Moments {
    pub(super) fn of<T: Element>(x: &[T]) -> Self {
        if !may_be_single(x) {
            return Self::exact(x);
        }
        x.chunks(SINGLE_BLOCK).fold(Self::default(), |moments, block| {
            moments.and(Self::single(block).unwrap_or_else(|| Self::exact(block)))
        })
    }

    /// Sums in the elements' own precision about a pivot near the mean. `None` where the pivot is not, or squares are too
    /// large or too small for it.
    fn single<T: Element>(x: &[T]) -> Option<Self> {
        let head = &x[..x.len().min(LANES)];
        let mut pivot = T::from_f64(head.iter().map(|&x| x.to_f64()).sum::<f64>() / head.len() as f64);
        for _ in 0..2 {
            let [sum, squares] = fold(x, x, |x: T, _| {
                let x = x - pivot;
                [x, x * x]
            });
            let moments = Self::about(pivot.to_f64(), x.len() as f64, [sum, squares]);
            if Self::trusts(squares, moments.squares) {
                return Some(moments);
            }
            pivot = T::from_f64(moments.mean);
        }
        None
    }

    /// One pass in float64: the first element of a block stands in for its mean, so that squares do not cancel.
    pub(super) fn exact<T: Element>(x: &[T]) -> Self {
        x.chunks(BLOCK).fold(Self::default(), |moments, block| {
            let pivot = block[0].to_f64();
            let sums = fold(block, block, |x, _| {
                let x = x.to_f64() - pivot;
                [x, x * x]
            });
            moments.and(Self::about(pivot, block.len() as f64, sums))
        })
    }

    /// From the sums of the differences to a pivot and of their squares.
    pub(super) fn about(pivot: f64, count: f64, [sum, squares]: [f64; 2]) -> Self {
        let squares = squares - sum * sum / count;
        // Not `max`, which would turn a NaN into 0.
        let squares = if squares < 0. { 0. } else { squares };
        Self { count, mean: pivot + sum / count, squares }
    }

    /// Whether float32 held these sums of squares, about a pivot and about the mean: a pivot that is far off tells little.
    pub(super) fn trusts(about_pivot: f64, about_mean: f64) -> bool {
        about_pivot.is_finite() && about_pivot > LEAST && about_mean > about_pivot / 4.
    }

    /// Those of two runs together (Chan, Golub and LeVeque).
    pub(super) fn and(self, other: Self) -> Self {
        let count = self.count + other.count;
        if self.count == 0. || other.count == 0. {
            return if self.count == 0. { other } else { self };
        }
        let (apart, share) = (other.mean - self.mean, other.count / count);
        let squares = self.squares + other.squares + apart * apart * self.count * share;
        Self { count, mean: self.mean + apart * share, squares }
    }
}

/// `Σ x²`.
pub(super) fn squares<T: Element>(x: &[T]) -> f64 {
    let exact = |x: &[T]| fold(x, x, |x, _| [x.to_f64() * x.to_f64(), 0.])[0];
    if !may_be_single(x) {
        return exact(x);
    }
    x.chunks(SINGLE_BLOCK).fold(0., |sum, block| {
        let [squares, _] = fold(block, block, |x: T, _| [x * x, T::zero()]);
        sum + if squares.is_finite() && squares > LEAST { squares } else { exact(block) }
    })
}

/// `Σ dy` and `Σ dy · (x − mean)`, where x deviates from the mean by about 1 / `scale`.
pub(super) fn products<T: Element>(x: &[T], dy: &[T], mean: f64, scale: f64) -> [f64; 2] {
    if !may_be_single(x) {
        return exact_products(x, dy, mean);
    }
    // Products of dy with numbers near 1 are as large as dy.
    let (pivot, unit) = (T::from_f64(mean), unit_of::<T>(scale));
    let rest = mean - pivot.to_f64();
    x.chunks(SINGLE_BLOCK).zip(dy.chunks(SINGLE_BLOCK)).fold([0.; 2], |[one, other], (x, dy)| {
        let [p, q] = fold(x, dy, |x: T, dy: T| [dy, dy * ((x - pivot) * unit)]);
        let [p, q] = if p.is_finite() && q.is_finite() {
            [p, q / unit.to_f64() - rest * p]
        } else {
            exact_products(x, dy, mean)
        };
        [one + p, other + q]
    })
}

/// The same in float64.
pub(super) fn exact_products<T: Element>(x: &[T], dy: &[T], mean: f64) -> [f64; 2] {
    fold(x, dy, |x: T, dy: T| [dy.to_f64(), dy.to_f64() * (x.to_f64() - mean)])
}

/// The same of `weight · dy` in place of `dy`.
pub(super) fn weighted_products<T: Element>(x: &[T], weight: &[T], dy: &[T], mean: f64) -> [f64; 2] {
    let mut product = [0.; BLOCK];
    let blocks = x.chunks(BLOCK).zip(weight.chunks(BLOCK)).zip(dy.chunks(BLOCK));
    blocks.fold([0.; 2], |[one, other], ((x, weight), dy)| {
        product.iter_mut().zip(weight).zip(dy).for_each(|((product, &w), &dy)| *product = w.to_f64() * dy.to_f64());
        let [p, q] = fold(x, &product[..x.len()], |x, product| [product, product * (x.to_f64() - mean)]);
        [one + p, other + q]
    })
}

/// Whether sums in the elements' own precision may do.
fn may_be_single<T: Element>(x: &[T]) -> bool {
    T::as_f32(&[]).is_some() && x.len() >= FEW
}

/// The sums of both terms of `f` over pairs of elements.
fn fold<A: Copy, B: Copy, R: Element>(a: &[A], b: &[B], f: impl Fn(A, B) -> [R; 2]) -> [f64; 2] {
    Tier::best().run(Fold { a, b, f }).map(|lanes| tree_sum(lanes.map(|lane| lane.to_f64())))
}

struct Fold<'a, A, B, F> {
    a: &'a [A],
    b: &'a [B],
    f: F,
}

impl<A: Copy, B: Copy, R: Element, F: Fn(A, B) -> [R; 2]> WithSimd for Fold<'_, A, B, F> {
    type Output = [[R; LANES]; 2];

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) -> Self::Output {
        let Self { a, b, f } = self;
        let (mut first, mut second) = ([R::zero(); LANES], [R::zero(); LANES]);
        let ((a, a_rest), (b, b_rest)) = (a.as_chunks::<LANES>(), b.as_chunks::<LANES>());
        for (a, b) in a.iter().zip(b) {
            for i in 0..LANES {
                let [p, q] = f(a[i], b[i]);
                first[i] += p;
                second[i] += q;
            }
        }
        for (i, (&a, &b)) in a_rest.iter().zip(b_rest).enumerate() {
            let [p, q] = f(a, b);
            first[i] += p;
            second[i] += q;
        }
        [first, second]
    }
}
