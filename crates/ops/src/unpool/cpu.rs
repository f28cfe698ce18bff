//! Unpooling on slices, a plane at a time. What was overwritten has a place in no plane, so that it is skipped.

use super::spec::Unpooling;
use crate::parallel;
use crate::storage::Element;

/// Each element at its place, 0 elsewhere.
pub(super) fn put<T: Element>(Unpooling { planes, places }: &Unpooling, x: &[T]) -> Vec<T> {
    parallel::build(planes.output_len, T::zero(), planes.plane_out, planes.plane_out, |plane, y| {
        let inputs = plane * planes.plane_in..(plane + 1) * planes.plane_in;
        for (&place, &x) in places[inputs.clone()].iter().zip(&x[inputs]) {
            if let Some(y) = y.get_mut(place) {
                *y = x;
            }
        }
    })
}

/// What lies at the place of each element, 0 for one that was overwritten.
pub(super) fn take<T: Element>(Unpooling { planes, places }: &Unpooling, dy: &[T]) -> Vec<T> {
    parallel::build(places.len(), T::zero(), planes.plane_in, planes.plane_in, |plane, dx| {
        let dy = &dy[plane * planes.plane_out..][..planes.plane_out];
        for (dx, &place) in dx.iter_mut().zip(&places[plane * planes.plane_in..]) {
            *dx = dy.get(place).copied().unwrap_or_else(T::zero);
        }
    })
}
