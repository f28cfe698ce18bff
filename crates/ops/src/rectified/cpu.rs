//! The sum of two slices.

use crate::parallel::build_unfilled;
use crate::storage::Element;
use std::mem::MaybeUninit;

/// Elements a run.
const RUN: usize = 1 << 12;

/// a + b.
pub(super) fn add<T: Element>(a: &[T], b: &[T]) -> Vec<T> {
    assert_eq!(a.len(), b.len(), "the terms have different lengths");
    let run = |i: usize, y: &mut [MaybeUninit<T>]| {
        for ((y, &a), &b) in y.iter_mut().zip(&a[i * RUN..]).zip(&b[i * RUN..]) {
            y.write(a + b);
        }
    };
    // SAFETY: an element is written for each of `a` and `b`, which have as many.
    unsafe { build_unfilled(a.len(), T::nan(), RUN, RUN, run) }
}
