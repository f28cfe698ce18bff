//! Average pooling on slices, a plane at a time.

mod vectors;

#[cfg(test)]
mod tests;

use super::spec::Divisor;
use crate::parallel;
use crate::simd::Tier;
use crate::storage::Element;
use crate::window::{PoolDims, Row, Span};

/// The means of all windows.
pub(super) fn forward<T: Element>(dims: &PoolDims, divisor: Divisor, x: &[T]) -> Vec<T> {
    match T::as_f32(x) {
        Some(x) if vectors::serves(dims) => T::from_f32(vectors::forward(Tier::best(), dims, divisor, x)),
        _ => scalar_forward(dims, divisor, x),
    }
}

fn scalar_forward<T: Element>(dims: &PoolDims, divisor: Divisor, x: &[T]) -> Vec<T> {
    let mut y = vec![T::zero(); dims.planes.output_len];
    parallel::for_each_item(&mut y, dims.planes.plane_out, dims.work(), |plane, y| {
        plane_forward(dims, divisor, &x[plane * dims.planes.plane_in..][..dims.planes.plane_in], y);
    });
    y
}

/// `dy` over its divisor, added to every element of its window.
pub(super) fn input_grad<T: Element>(dims: &PoolDims, divisor: Divisor, dy: &[T]) -> Vec<T> {
    match T::as_f32(dy) {
        Some(dy) if vectors::serves_input_grad(dims) => {
            T::from_f32(vectors::input_grad(Tier::best(), dims, divisor, dy))
        }
        _ => scalar_input_grad(dims, divisor, dy),
    }
}

fn scalar_input_grad<T: Element>(dims: &PoolDims, divisor: Divisor, dy: &[T]) -> Vec<T> {
    let mut dx = vec![T::zero(); dims.planes.input.iter().product()];
    parallel::for_each_item(&mut dx, dims.planes.plane_in, dims.work(), |plane, dx| {
        plane_input_grad(dims, divisor, &dy[plane * dims.planes.plane_out..][..dims.planes.plane_out], dx);
    });
    dx
}

fn plane_forward<T: Element>(dims: &PoolDims, divisor: Divisor, x: &[T], y: &mut [T]) {
    let width = dims.width();
    for (row, y) in dims.rows().zip(y.chunks_exact_mut(width.output)) {
        for start in row.input_rows() {
            for tap in &width.taps {
                let (x, y) = (&x[start + tap.first..], &mut y[tap.outputs.clone()]);
                match width.stride {
                    1 => add_strided::<T, 1>(x, y),
                    2 => add_strided::<T, 2>(x, y),
                    stride => y.iter_mut().zip(x.iter().step_by(stride)).for_each(|(y, &x)| *y += x),
                }
            }
        }
        divide(&row, &width.spans, divisor, y);
    }
}

fn plane_input_grad<T: Element>(dims: &PoolDims, divisor: Divisor, dy: &[T], dx: &mut [T]) {
    let width = dims.width();
    let mut share = vec![T::zero(); width.output];
    for (row, dy) in dims.rows().zip(dy.chunks_exact(width.output)) {
        share.copy_from_slice(dy);
        divide(&row, &width.spans, divisor, &mut share);
        for start in row.input_rows() {
            for tap in &width.taps {
                let (dx, share) = (&mut dx[start + tap.first..], &share[tap.outputs.clone()]);
                match width.stride {
                    1 => spread_strided::<T, 1>(share, dx),
                    2 => spread_strided::<T, 2>(share, dx),
                    stride => dx.iter_mut().step_by(stride).zip(share).for_each(|(dx, &share)| *dx += share),
                }
            }
        }
    }
}

/// `y[i] += x[i · S]`, with no bounds to check; behind the last element of `x` there may be no whole chunk.
#[inline]
fn add_strided<T: Element, const S: usize>(x: &[T], y: &mut [T]) {
    let Some((last, y)) = y.split_last_mut() else { return };
    *last += x[y.len() * S];
    y.iter_mut().zip(x.as_chunks::<S>().0).for_each(|(y, x)| *y += x[0]);
}

/// `dx[i · S] += share[i]`, with no bounds to check; behind the last element of `dx` there may be no whole chunk.
#[inline]
fn spread_strided<T: Element, const S: usize>(share: &[T], dx: &mut [T]) {
    let Some((last, share)) = share.split_last() else { return };
    dx[share.len() * S] += *last;
    dx.as_chunks_mut::<S>().0.iter_mut().zip(share).for_each(|(dx, share)| dx[0] += *share);
}

/// Divides one line by its divisors.
fn divide<T: Element>(row: &Row<'_>, spans: &[Span], divisor: Divisor, y: &mut [T]) {
    each_divisor(row, spans, divisor, y, |y, divisor| *y /= divisor);
}

/// The divisors of one line.
fn divisors<T: Element>(row: &Row<'_>, spans: &[Span], divisor: Divisor, out: &mut [T]) {
    each_divisor(row, spans, divisor, out, |out, divisor| *out = divisor);
}

fn each_divisor<T: Element>(row: &Row<'_>, spans: &[Span], divisor: Divisor, y: &mut [T], f: impl Fn(&mut T, T)) {
    // In float64, where the count of no window overflows.
    let counted = |count: fn(&Span) -> usize, y: &mut [T]| {
        let across = count(&row.depth) as f64 * count(&row.height) as f64;
        for (y, span) in y.iter_mut().zip(spans) {
            f(y, T::from_f64(across * count(span) as f64));
        }
    };
    match divisor {
        Divisor::Fixed(divisor) => y.iter_mut().for_each(|y| f(y, T::from_f64(divisor as f64))),
        Divisor::Padded => counted(|span| span.padded, y),
        Divisor::Valid => counted(|span| span.count, y),
    }
}
