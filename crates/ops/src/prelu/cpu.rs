//! The parametric rectifier on slices. Everything is cut into planes, the elements of a channel that lie together.

use super::spec::PreluDims;
use crate::parallel::{build, for_each_item};
use crate::storage::Element;

/// t where x is positive, else w · t.
pub(super) fn select<T: Element>(dims: &PreluDims, [x, w, t]: [&[T]; 3]) -> Vec<T> {
    for_each_element(dims, [x, w, t], |positive, w, t| if positive { t } else { w * t })
}

/// w · t where x is not positive, else 0.
pub(super) fn left_scale<T: Element>(dims: &PreluDims, [x, w, t]: [&[T]; 3]) -> Vec<T> {
    for_each_element(dims, [x, w, t], |positive, w, t| if positive { T::zero() } else { w * t })
}

/// Σ a · b of each channel, over the elements where x is not positive: of each plane first, then of the planes in order.
pub(super) fn left_sum<T: Element>(dims: &PreluDims, [x, a, b]: [&[T]; 3]) -> Vec<T> {
    let mut planes = vec![0f64; x.len().div_ceil(dims.inner.max(1))];
    for_each_item(&mut planes, 1, dims.inner, |plane, sum| {
        let elements = plane * dims.inner..((plane + 1) * dims.inner).min(x.len());
        let terms = x[elements.clone()].iter().zip(&a[elements.clone()]).zip(&b[elements]);
        let left = terms.filter(|((x, _), _)| !is_positive(**x));
        sum[0] = left.fold(0., |sum, ((_, &a), &b)| sum + a.to_f64() * b.to_f64());
    });
    let channel = |c| planes.iter().skip(c).step_by(dims.channels).fold(0., |sum, plane| sum + plane);
    (0..dims.channels).map(|c| T::from_f64(channel(c))).collect()
}

fn for_each_element<T: Element>(dims: &PreluDims, [x, w, t]: [&[T]; 3], f: impl Fn(bool, T, T) -> T + Sync) -> Vec<T> {
    build(x.len(), T::zero(), dims.inner, dims.inner, |plane, out| {
        let (w, first) = (w[plane % dims.channels], plane * dims.inner);
        for ((out, &x), &t) in out.iter_mut().zip(&x[first..]).zip(&t[first..]) {
            *out = f(is_positive(x), w, t);
        }
    })
}

/// NaN is not.
fn is_positive<T: Element>(x: T) -> bool {
    x > T::zero()
}
