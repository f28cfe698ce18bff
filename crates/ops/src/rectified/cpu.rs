//! The sum of two slices.

use crate::parallel::build;
use crate::storage::Element;

/// Elements a run.
const RUN: usize = 1 << 12;

/// a + b.
pub(super) fn add<T: Element>(a: &[T], b: &[T]) -> Vec<T> {
    build(a.len(), T::zero(), RUN, RUN, |i, y| {
        for ((y, &a), &b) in y.iter_mut().zip(&a[i * RUN..]).zip(&b[i * RUN..]) {
            *y = a + b;
        }
    })
}
