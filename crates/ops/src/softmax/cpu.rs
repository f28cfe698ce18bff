//! The softmax, its logarithm and their gradients on slices.
//!
//! A sample is `[classes, inner]`. Where a class has one element, sums run along the classes; else columns are taken some at
//! a time, side by side: every pass runs along memory, in vectors. Sums are kept in float64, whatever the elements are: they
//! cost nothing beside the exponentials.

mod formula;

#[cfg(test)]
mod tests;

use super::spec::SoftmaxDims;
use crate::math::tree_sum;
use crate::parallel::{build, build_by_task};
use crate::simd::Tier;
use crate::storage::Element;
use formula::{Formula, LogSoftmax, LogSoftmaxGrad, Softmax, SoftmaxGrad};
use pulp::{Simd, WithSimd};

/// Sums at once along the classes: with fewer the compiler unrolls the loops over them and leaves them scalar.
const LANES: usize = 32;
/// Columns that are taken together.
const COLUMNS: usize = 64;
/// The most columns that a task takes of a large sample.
const WIDTH: usize = 256;
/// An exponential, in simple operations.
const EXP: usize = 16;
/// Elements of rows that share a call.
const SHARE: usize = 1 << 10;
/// Elements of a sample that is worth several tasks.
const LARGE: usize = 1 << 14;

/// exp(x − max) / Σ exp(x − max).
pub(super) fn softmax<T: Element>(dims: &SoftmaxDims, x: &[T]) -> Vec<T> {
    run::<T, Softmax>(Tier::best(), dims, x, x)
}

/// (x − max) − log Σ exp(x − max): kept apart, because max + log Σ would lose a small logarithm beside a large maximum.
pub(super) fn log_softmax<T: Element>(dims: &SoftmaxDims, x: &[T]) -> Vec<T> {
    run::<T, LogSoftmax>(Tier::best(), dims, x, x)
}

/// dx = y · (dy − Σ dy · y).
pub(super) fn softmax_grad<T: Element>(dims: &SoftmaxDims, y: &[T], dy: &[T]) -> Vec<T> {
    run::<T, SoftmaxGrad>(Tier::best(), dims, y, dy)
}

/// dx = dy − exp(y) · Σ dy.
pub(super) fn log_softmax_grad<T: Element>(dims: &SoftmaxDims, y: &[T], dy: &[T]) -> Vec<T> {
    run::<T, LogSoftmaxGrad>(Tier::best(), dims, y, dy)
}

/// The largest of `x`, and Σ exp(x − max).
pub(crate) fn max_and_sum<T: Element>(x: &[T]) -> (T, f64) {
    Tier::best().run(MaxAndSum { x })
}

fn run<T: Element, F: Formula<T>>(tier: Tier, dims: &SoftmaxDims, a: &[T], b: &[T]) -> Vec<T> {
    let (classes, inner) = (dims.classes, dims.inner);
    let sample = classes * inner;
    if inner == 1 {
        let rows = (SHARE / classes.max(1)).max(1);
        return build(a.len(), T::zero(), rows * classes, rows * classes * EXP, |task, out| {
            let at = task * rows * classes..task * rows * classes + out.len();
            tier.run(Rows::<T, F> { formula: F::default(), classes, a: &a[at.clone()], b: &b[at], out });
        });
    }
    let columns = |first: usize, out: &mut [&mut [T]]| {
        tier.run(Columns::<T, F> { formula: F::default(), inner, a: &a[first..], b: &b[first..], out });
    };
    let width = (1..=WIDTH).rev().find(|width| inner.is_multiple_of(*width)).unwrap_or(1);
    if sample < LARGE || width < LANES {
        return build(a.len(), T::zero(), sample, sample * EXP, |n, out| {
            let mut rows: Vec<&mut [T]> = out.chunks_mut(inner).collect();
            columns(n * sample, &mut rows);
        });
    }
    let (blocks, tasks) = (inner / width, a.len() / width / classes);
    let task_of = |run: usize| run / (classes * blocks) * blocks + run % blocks;
    let task = |task: usize, rows: &mut [&mut [T]]| columns(task / blocks * sample + task % blocks * width, rows);
    build_by_task(a.len(), T::zero(), width, tasks, task_of, task).0
}

/// Whole rows of classes.
struct Rows<'a, T, F> {
    formula: F,
    classes: usize,
    a: &'a [T],
    b: &'a [T],
    out: &'a mut [T],
}

impl<T: Element, F: Formula<T>> WithSimd for Rows<'_, T, F> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) {
        let Self { formula, classes, a, b, out } = self;
        let inputs = a.chunks_exact(classes).zip(b.chunks_exact(classes));
        for ((a, b), out) in inputs.zip(out.chunks_exact_mut(classes)) {
            let max = if F::MAX { max(a) } else { T::zero() };
            let sum = formula.of_sum(sum(formula, max, a, b, out));
            for ((out, &a), &b) in out.iter_mut().zip(a).zip(b) {
                *out = formula.value(a, b, max, sum, *out);
            }
        }
    }
}

/// The largest element; NaN, which compares false, counts for nothing here.
#[inline(always)]
fn max<T: Element>(x: &[T]) -> T {
    let mut all = [T::neg_infinity(); LANES];
    let (chunks, rest) = x.as_chunks::<LANES>();
    for x in chunks {
        for i in 0..LANES {
            all[i] = if x[i] > all[i] { x[i] } else { all[i] };
        }
    }
    for (max, &x) in all.iter_mut().zip(rest) {
        *max = if x > *max { x } else { *max };
    }
    let mut max = all[0];
    for x in all {
        max = if x > max { x } else { max };
    }
    max
}

/// The sum of the terms, which are written to `out`.
#[inline(always)]
fn sum<T: Element, F: Formula<T>>(formula: F, max: T, a: &[T], b: &[T], out: &mut [T]) -> f64 {
    let mut sums = [0f64; LANES];
    let ((a, a_rest), (b, b_rest)) = (a.as_chunks::<LANES>(), b.as_chunks::<LANES>());
    let (out, out_rest) = out.as_chunks_mut::<LANES>();
    for ((a, b), out) in a.iter().zip(b).zip(out) {
        for i in 0..LANES {
            out[i] = formula.term(a[i], b[i], max);
        }
        for i in 0..LANES {
            sums[i] += out[i].to_f64();
        }
    }
    for (((&a, &b), out), sum) in a_rest.iter().zip(b_rest).zip(out_rest).zip(&mut sums) {
        *out = formula.term(a, b, max);
        *sum += out.to_f64();
    }
    tree_sum(sums)
}

/// Columns of one sample: a row each of its classes is written.
struct Columns<'a, 'b, T, F> {
    formula: F,
    /// From one class to the next.
    inner: usize,
    a: &'a [T],
    b: &'a [T],
    out: &'a mut [&'b mut [T]],
}

impl<T: Element, F: Formula<T>> WithSimd for Columns<'_, '_, T, F> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) {
        let Self { formula, inner, a, b, out } = self;
        let width = out.first().map_or(0, |row| row.len());
        for first in (0..width).step_by(COLUMNS) {
            let columns = first..(first + COLUMNS).min(width);
            let (mut max, mut sum) = ([T::neg_infinity(); COLUMNS], [0f64; COLUMNS]);
            if F::MAX {
                for class in 0..out.len() {
                    let a = &a[class * inner..][columns.clone()];
                    for (max, &a) in max.iter_mut().zip(a) {
                        *max = if a > *max { a } else { *max };
                    }
                }
            }
            for (class, out) in out.iter_mut().enumerate() {
                let (a, b) = (&a[class * inner..][columns.clone()], &b[class * inner..][columns.clone()]);
                let out = &mut out[columns.clone()];
                for (((out, &a), &b), &max) in out.iter_mut().zip(a).zip(b).zip(&max) {
                    *out = formula.term(a, b, max);
                }
                for (sum, out) in sum.iter_mut().zip(out) {
                    *sum += out.to_f64();
                }
            }
            let mut of_sum = [T::zero(); COLUMNS];
            for (of_sum, sum) in of_sum.iter_mut().zip(sum) {
                *of_sum = formula.of_sum(sum);
            }
            for (class, out) in out.iter_mut().enumerate() {
                let (a, b) = (&a[class * inner..][columns.clone()], &b[class * inner..][columns.clone()]);
                let inputs = a.iter().zip(b).zip(&max).zip(&of_sum);
                for (out, (((&a, &b), &max), &sum)) in out[columns.clone()].iter_mut().zip(inputs) {
                    *out = formula.value(a, b, max, sum, *out);
                }
            }
        }
    }
}

struct MaxAndSum<'a, T> {
    x: &'a [T],
}

impl<T: Element> WithSimd for MaxAndSum<'_, T> {
    type Output = (T, f64);

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) -> (T, f64) {
        let max = max(self.x);
        let mut total = 0.;
        let mut terms = [T::zero(); SHARE];
        for x in self.x.chunks(SHARE) {
            total += sum(Softmax, max, x, x, &mut terms[..x.len()]);
        }
        (max, total)
    }
}
