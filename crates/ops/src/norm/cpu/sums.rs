//! Sums over runs of elements, in float64 whatever the elements are, many at a time so that they become vector
//! instructions; always over the same tree.

use crate::math::tree_sum;
use crate::simd::Tier;
use crate::storage::Element;
use pulp::{Simd, WithSimd};

/// Sums at once. With 8 or 16 the compiler unrolls the loop over them whole and leaves it scalar.
const LANES: usize = 32;
/// Elements of which the moments are taken about one pivot.
const BLOCK: usize = 1 << 10;

/// How many elements there are, their mean, and the sum of squares about it.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Moments {
    pub(super) count: f64,
    pub(super) mean: f64,
    pub(super) squares: f64,
}

impl Moments {
    /// One pass: the first element of a block stands in for its mean, so that squares do not cancel.
    pub(super) fn of<T: Element>(x: &[T]) -> Self {
        x.chunks(BLOCK).fold(Self::default(), |moments, block| {
            let (pivot, count) = (block[0].to_f64(), block.len() as f64);
            let [sum, squares] = fold(block, block, |x, _| {
                let x = x.to_f64() - pivot;
                [x, x * x]
            });
            let squares = squares - sum * sum / count;
            // Not `max`, which would turn a NaN into 0.
            let squares = if squares < 0. { 0. } else { squares };
            moments.and(Self { count, mean: pivot + sum / count, squares })
        })
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
    fold(x, x, |x, _| [x.to_f64() * x.to_f64(), 0.])[0]
}

/// `Σ dy` and `Σ dy · (x − mean)`.
pub(super) fn products<T: Element>(x: &[T], dy: &[T], mean: f64) -> [f64; 2] {
    fold(x, dy, |x, dy| [dy.to_f64(), dy.to_f64() * (x.to_f64() - mean)])
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

/// The sums of both terms of `f` over pairs of elements.
fn fold<A: Copy, B: Copy>(a: &[A], b: &[B], f: impl Fn(A, B) -> [f64; 2]) -> [f64; 2] {
    Tier::best().run(Fold { a, b, f })
}

struct Fold<'a, A, B, F> {
    a: &'a [A],
    b: &'a [B],
    f: F,
}

impl<A: Copy, B: Copy, F: Fn(A, B) -> [f64; 2]> WithSimd for Fold<'_, A, B, F> {
    type Output = [f64; 2];

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) -> Self::Output {
        let Self { a, b, f } = self;
        let (mut first, mut second) = ([0.; LANES], [0.; LANES]);
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
        [tree_sum(first), tree_sum(second)]
    }
}
