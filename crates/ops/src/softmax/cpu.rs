//! The softmax, its logarithm and their gradients on slices.
//!
//! A sample is `[classes, inner]`. Its columns are taken some at a time, side by side, so that every pass runs along memory.
//! Sums are kept in float64, whatever the elements are: they cost nothing beside the exponentials.

use super::spec::SoftmaxDims;
use crate::parallel::build;
use crate::storage::Element;

/// Columns that are taken together.
const LANES: usize = 64;
/// An exponential, in simple operations.
const EXP: usize = 16;

/// exp(x − max) / Σ exp(x − max).
pub(super) fn softmax<T: Element>(dims: &SoftmaxDims, x: &[T]) -> Vec<T> {
    for_each_block(dims, x.len(), |block, y| {
        let max = block.max(x);
        let mut sum = [0f64; LANES];
        for row in block.rows() {
            for (((y, &x), &max), sum) in y[row.local()].iter_mut().zip(&x[row.global()]).zip(&max).zip(&mut sum) {
                *y = (x - max).exp();
                *sum += y.to_f64();
            }
        }
        for row in block.rows() {
            y[row.local()].iter_mut().zip(&sum).for_each(|(y, &sum)| *y /= T::from_f64(sum));
        }
    })
}

/// (x − max) − log Σ exp(x − max): kept apart, because max + log Σ would lose a small logarithm beside a large maximum.
pub(super) fn log_softmax<T: Element>(dims: &SoftmaxDims, x: &[T]) -> Vec<T> {
    for_each_block(dims, x.len(), |block, y| {
        let max = block.max(x);
        let log_sum = block.sum(|at, lane| (x[at] - max[lane]).exp()).map(|sum| T::from_f64(sum.ln()));
        for row in block.rows() {
            for (((y, &x), &max), &log_sum) in y[row.local()].iter_mut().zip(&x[row.global()]).zip(&max).zip(&log_sum) {
                *y = (x - max) - log_sum;
            }
        }
    })
}

/// dx = y · (dy − Σ dy · y).
pub(super) fn softmax_grad<T: Element>(dims: &SoftmaxDims, y: &[T], dy: &[T]) -> Vec<T> {
    for_each_block(dims, y.len(), |block, dx| {
        let dot = block.sum(|at, _| y[at] * dy[at]).map(T::from_f64);
        for row in block.rows() {
            let inputs = y[row.global()].iter().zip(&dy[row.global()]);
            for ((dx, (&y, &dy)), &dot) in dx[row.local()].iter_mut().zip(inputs).zip(&dot) {
                *dx = y * (dy - dot);
            }
        }
    })
}

/// dx = dy − exp(y) · Σ dy.
pub(super) fn log_softmax_grad<T: Element>(dims: &SoftmaxDims, y: &[T], dy: &[T]) -> Vec<T> {
    for_each_block(dims, y.len(), |block, dx| {
        let sum = block.sum(|at, _| dy[at]).map(T::from_f64);
        for row in block.rows() {
            let inputs = y[row.global()].iter().zip(&dy[row.global()]);
            for ((dx, (&y, &dy)), &sum) in dx[row.local()].iter_mut().zip(inputs).zip(&sum) {
                *dx = dy - y.exp() * sum;
            }
        }
    })
}

/// Some columns of one sample.
#[derive(Clone, Copy)]
struct Block<'a> {
    dims: &'a SoftmaxDims,
    /// Where the sample begins in the whole tensor.
    sample: usize,
    first: usize,
    width: usize,
}

/// The elements of one class in a block.
struct Row {
    start: usize,
    sample: usize,
    width: usize,
}

impl Row {
    /// Where they lie in the sample.
    fn local(&self) -> std::ops::Range<usize> {
        self.start..self.start + self.width
    }

    /// Where they lie in the whole tensor.
    fn global(&self) -> std::ops::Range<usize> {
        self.sample + self.start..self.sample + self.start + self.width
    }
}

impl Block<'_> {
    fn rows(self) -> impl Iterator<Item = Row> {
        let Self { dims, sample, first, width } = self;
        (0..dims.classes).map(move |class| Row { start: class * dims.inner + first, sample, width })
    }

    /// The largest element of each column; NaN, which compares false, counts for nothing here.
    fn max<T: Element>(self, x: &[T]) -> [T; LANES] {
        let mut max = [T::neg_infinity(); LANES];
        for row in self.rows() {
            max.iter_mut().zip(&x[row.global()]).for_each(|(max, &x)| *max = if x > *max { x } else { *max });
        }
        max
    }

    /// Σ term(position, lane) of each column.
    fn sum<T: Element>(self, term: impl Fn(usize, usize) -> T) -> [f64; LANES] {
        let mut sum = [0f64; LANES];
        for row in self.rows() {
            for (lane, (sum, at)) in sum.iter_mut().zip(row.global()).enumerate() {
                *sum += term(at, lane).to_f64();
            }
        }
        sum
    }
}

/// An output of `len` elements; `f` gets each block and the sample's run of the output.
fn for_each_block<T: Element>(dims: &SoftmaxDims, len: usize, f: impl Fn(Block<'_>, &mut [T]) + Sync) -> Vec<T> {
    let sample = dims.classes * dims.inner;
    build(len, T::zero(), sample, sample * EXP, |n, run| {
        for first in (0..dims.inner).step_by(LANES) {
            let width = LANES.min(dims.inner - first);
            f(Block { dims, sample: n * sample, first, width }, run);
        }
    })
}
