//! The rectifier on slices.

use crate::parallel::for_each_item;
use crate::storage::Element;

/// Elements a run: large enough that the bounds checks of a run vanish beside it.
const RUN: usize = 1 << 12;

pub(super) fn forward<T: Element>(x: &[T]) -> Vec<T> {
    let mut y = vec![T::zero(); x.len()];
    for_each_item(&mut y, RUN, RUN, |i, y| {
        for (y, &x) in y.iter_mut().zip(&x[i * RUN..]) {
            // Written so that NaN, which compares false, stays.
            *y = if x <= T::zero() { T::zero() } else { x };
        }
    });
    y
}

/// `dy` where `y` is positive or NaN.
pub(super) fn grad<T: Element>(dy: &[T], y: &[T]) -> Vec<T> {
    let mut dx = vec![T::zero(); dy.len()];
    for_each_item(&mut dx, RUN, RUN, |i, dx| {
        for ((dx, &dy), &y) in dx.iter_mut().zip(&dy[i * RUN..]).zip(&y[i * RUN..]) {
            *dx = if y <= T::zero() { T::zero() } else { dy };
        }
    });
    dx
}
