//! The gradient of maximum pooling and its transpose, where the maxima's indices within their planes are known.

use crate::parallel;
use crate::planes::Planes;
use crate::storage::Element;

/// Adds `dy` to the elements it came from.
pub(crate) fn scatter_at<T: Element>(planes: &Planes, indices: &[i64], dy: &[T]) -> Vec<T> {
    let mut dx = vec![T::zero(); planes.input.iter().product()];
    parallel::for_each_item(&mut dx, planes.plane_in, planes.plane_in, |plane, dx| {
        let outputs = plane * planes.plane_out..(plane + 1) * planes.plane_out;
        for (&index, &dy) in indices[outputs.clone()].iter().zip(&dy[outputs]) {
            dx[index as usize] += dy;
        }
    });
    dx
}

/// The elements of `x` at the indices.
pub(crate) fn gather_at<T: Element>(planes: &Planes, indices: &[i64], x: &[T]) -> Vec<T> {
    let mut y = vec![T::zero(); planes.output_len];
    parallel::for_each_item(&mut y, planes.plane_out, planes.plane_out, |plane, y| {
        let x = &x[plane * planes.plane_in..][..planes.plane_in];
        for (y, &index) in y.iter_mut().zip(&indices[plane * planes.plane_out..]) {
            *y = x[index as usize];
        }
    });
    y
}
