//! The passes over memory: a function's values, its derivatives times a cotangent, and the sum of its values.

use super::{Binary, By, Unary, times};
use crate::parallel::{build, build_unfilled, for_each_item};
use crate::simd::Tier;
use crate::storage::Element;
use pulp::{Simd, WithSimd};
use std::mem::MaybeUninit;

/// Elements a run: large enough that the bounds checks of a run vanish beside it.
const RUN: usize = 1 << 12;

/// f(x).
pub(super) fn map<F: Unary, T: Element>(f: &F, x: &[T]) -> Vec<T> {
    let run = |i: usize, y: &mut [MaybeUninit<T>]| Tier::best().run(Values { f, x: &x[i * RUN..], y });
    // SAFETY: `Values` writes an element for each of `x`, which has as many.
    unsafe { build_unfilled(x.len(), T::nan(), RUN, RUN * F::COST, run) }
}

/// f(x), where x was.
pub(crate) fn map_in_place<F: Unary, T: Element>(f: &F, x: &mut [T]) {
    for_each_item(x, RUN, RUN * F::COST, |_, x| Tier::best().run(InPlace { f, x }));
}

/// u · f′(x).
pub(super) fn slopes<F: Unary, T: Element>(f: &F, x: &[T], u: &[T]) -> Vec<T> {
    scaled::<1, F, T>(f, x, u)
}

/// u · f″(x).
pub(super) fn curvatures<F: Unary, T: Element>(f: &F, x: &[T], u: &[T]) -> Vec<T> {
    scaled::<2, F, T>(f, x, u)
}

fn scaled<const ORDER: usize, F: Unary, T: Element>(f: &F, x: &[T], u: &[T]) -> Vec<T> {
    assert_eq!(x.len(), u.len(), "a cotangent has another length");
    let run = |i: usize, out: &mut [MaybeUninit<T>]| {
        Tier::best().run(Derivatives::<ORDER, F, T> { f, x: &x[i * RUN..], u: &u[i * RUN..], out });
    };
    // SAFETY: `Derivatives` writes an element for each of `x` and `u`, which have as many.
    unsafe { build_unfilled(x.len(), T::nan(), RUN, RUN * F::COST, run) }
}

/// One run of f(x).
struct Values<'a, F, T> {
    f: &'a F,
    x: &'a [T],
    y: &'a mut [MaybeUninit<T>],
}

impl<F: Unary, T: Element> WithSimd for Values<'_, F, T> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) {
        for (y, &x) in self.y.iter_mut().zip(self.x) {
            y.write(self.f.value(x));
        }
    }
}

/// One run of f(x), where x was.
struct InPlace<'a, F, T> {
    f: &'a F,
    x: &'a mut [T],
}

impl<F: Unary, T: Element> WithSimd for InPlace<'_, F, T> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) {
        for x in self.x {
            *x = self.f.value(*x);
        }
    }
}

/// One run of u · f⁽ᵏ⁾(x), k = `ORDER`.
struct Derivatives<'a, const ORDER: usize, F, T> {
    f: &'a F,
    x: &'a [T],
    u: &'a [T],
    out: &'a mut [MaybeUninit<T>],
}

impl<const ORDER: usize, F: Unary, T: Element> WithSimd for Derivatives<'_, ORDER, F, T> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) {
        for ((out, &x), &u) in self.out.iter_mut().zip(self.x).zip(self.u) {
            out.write(times(u, if ORDER == 1 { self.f.slope(x) } else { self.f.curvature(x) }));
        }
    }
}

/// f(a, b).
pub(super) fn zip<F: Binary, T: Element>(f: &F, a: &[T], b: &[T]) -> Vec<T> {
    build(a.len(), T::zero(), RUN, RUN * F::COST, |i, y| {
        let at = i * RUN;
        for (j, ((y, &a), &b)) in y.iter_mut().zip(&a[at..]).zip(&b[at..]).enumerate() {
            *y = f.value(at + j, a, b);
        }
    })
}

/// Σ f(a, b), in float64 and in an order that follows from the length alone.
pub(super) fn sum<F: Binary, T: Element>(f: &F, a: &[T], b: &[T]) -> f64 {
    const LANES: usize = 8;
    let mut sums = vec![0f64; a.len().div_ceil(RUN)];
    for_each_item(&mut sums, 1, RUN * F::COST, |i, sum| {
        let (first, end) = (i * RUN, ((i + 1) * RUN).min(a.len()));
        let (a, a_rest) = a[first..end].as_chunks::<LANES>();
        let (b, b_rest) = b[first..end].as_chunks::<LANES>();
        let mut lanes = [0f64; LANES];
        for (j, (a, b)) in a.iter().zip(b).enumerate() {
            for (lane, sum) in lanes.iter_mut().enumerate() {
                *sum += f.value(first + j * LANES + lane, a[lane], b[lane]).to_f64();
            }
        }
        let first = end - a_rest.len();
        let rest = a_rest.iter().zip(b_rest).enumerate().map(|(j, (&a, &b))| f.value(first + j, a, b).to_f64());
        sum[0] = lanes.into_iter().chain(rest).fold(0., |sum, term| sum + term);
    });
    sums.into_iter().fold(0., |sum, term| sum + term)
}

/// u / divisor · ∂f(a, b), where `u` has an element for each of `a`, or one for all.
pub(super) fn partials<F: Binary, T: Element>(f: &F, by: By, [a, b, u]: [&[T]; 3], divisor: f64) -> Vec<T> {
    // One loop a derivative, so that none chooses between them inside.
    match by {
        By::A => weigh::<F, T>(a, b, u, divisor, |at, a, b| f.partial(By::A, at, a, b)),
        By::B => weigh::<F, T>(a, b, u, divisor, |at, a, b| f.partial(By::B, at, a, b)),
        By::AA => weigh::<F, T>(a, b, u, divisor, |at, a, b| f.partial(By::AA, at, a, b)),
        By::AB => weigh::<F, T>(a, b, u, divisor, |at, a, b| f.partial(By::AB, at, a, b)),
        By::BB => weigh::<F, T>(a, b, u, divisor, |at, a, b| f.partial(By::BB, at, a, b)),
    }
}

fn weigh<F: Binary, T: Element>(
    a: &[T],
    b: &[T],
    u: &[T],
    divisor: f64,
    factor: impl Fn(usize, T, T) -> T + Sync,
) -> Vec<T> {
    let divisor = T::from_f64(divisor);
    build(a.len(), T::zero(), RUN, RUN * F::COST, |i, out| {
        let at = i * RUN;
        let terms = out.iter_mut().zip(&a[at..]).zip(&b[at..]).enumerate();
        if u.len() == a.len() {
            for ((j, ((out, &a), &b)), &u) in terms.zip(&u[at..]) {
                *out = times(u / divisor, factor(at + j, a, b));
            }
        } else {
            let u = u[0] / divisor;
            for (j, ((out, &a), &b)) in terms {
                *out = times(u, factor(at + j, a, b));
            }
        }
    })
}
