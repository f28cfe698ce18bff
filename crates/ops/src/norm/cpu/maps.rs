//! The passes that write: the normalised elements, and their gradients.

use super::Set;
use crate::storage::Element;
use pulp::{Simd, WithSimd};
use std::mem::MaybeUninit;

/// What makes dx of a channel: `dx = scale · dy + slope · (x − mean) + shift`.
#[derive(Debug, Clone, Copy)]
pub(super) struct Tangent {
    pub(super) scale: f64,
    pub(super) mean: f64,
    /// About what a deviation is multiplied with to be near 1.
    pub(super) unit: f64,
    pub(super) slope: f64,
    pub(super) shift: f64,
}

impl Tangent {
    /// The scale, and what makes the other terms: `(x − mean) · unit · slope + shift`.
    ///
    /// Beside a large mean, rounding would swallow the deviations; and a slope of elements that are not near 1 may be beyond
    /// float32, as the square of their scale.
    #[inline(always)]
    pub(super) fn rounded<T: Element>(self) -> [T; 5] {
        let Self { scale, mean, unit, slope, shift } = self;
        let (pivot, unit) = (T::from_f64(mean), unit_of::<T>(unit));
        let shift = shift - (mean - pivot.to_f64()) * slope;
        [T::from_f64(scale), pivot, unit, T::from_f64(slope / unit.to_f64()), T::from_f64(shift)]
    }
}

/// A factor that brings deviations near 1 where the elements may need it, else 1.
pub(super) fn unit_of<T: Element>(scale: f64) -> T {
    let unit = T::from_f64(scale);
    if T::as_f32(&[]).is_some() && unit.is_normal() { unit } else { T::one() }
}

/// `y = (x − mean) · factor + term`.
pub(super) struct Normalise<'a, T> {
    pub(super) of: [T; 3],
    pub(super) x: &'a [T],
    pub(super) y: &'a mut [MaybeUninit<T>],
}

impl<T: Element> WithSimd for Normalise<'_, T> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) {
        let Self { of: [mean, factor, term], x, y } = self;
        for (y, &x) in y.iter_mut().zip(x) {
            y.write((x - mean) * factor + term);
        }
    }
}

/// `dx = scale · dy + slope · (x − mean) + shift`, or without x its first term.
pub(super) struct Differentiate<'a, T> {
    pub(super) of: Tangent,
    /// Whether the terms may cancel, as those of small sets do: they are then added in float64 and rounded once.
    pub(super) cancels: bool,
    pub(super) x: Option<&'a [T]>,
    pub(super) dy: &'a [T],
    pub(super) dx: &'a mut [MaybeUninit<T>],
}

impl<T: Element> WithSimd for Differentiate<'_, T> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) {
        let Self { of, cancels, x, dy, dx } = self;
        let terms = dx.iter_mut().zip(dy);
        match x {
            None => terms.for_each(|(dx, &dy)| _ = dx.write(T::from_f64(dy.to_f64() * of.scale))),
            Some(x) if cancels => {
                let Tangent { scale, mean, slope, shift, .. } = of;
                let exact = |x: T, dy: T| dy.to_f64() * scale + ((x.to_f64() - mean) * slope + shift);
                terms.zip(x).for_each(|((dx, &dy), &x)| _ = dx.write(T::from_f64(exact(x, dy))));
            }
            Some(x) => {
                let [scale, mean, unit, slope, shift] = of.rounded::<T>();
                let of = |x: T, dy: T| dy * scale + ((x - mean) * unit * slope + shift);
                terms.zip(x).for_each(|((dx, &dy), &x)| _ = dx.write(of(x, dy)));
            }
        }
    }
}

/// `y = (x − mean) · scale · weight + bias`, with a weight and a bias every `positions` elements.
pub(super) struct NormaliseAll<'a, T> {
    pub(super) positions: usize,
    pub(super) set: Set,
    pub(super) x: &'a [T],
    pub(super) weight: Option<&'a [T]>,
    pub(super) bias: Option<&'a [T]>,
    pub(super) y: &'a mut [T],
}

impl<T: Element> WithSimd for NormaliseAll<'_, T> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) {
        let Self { positions, set, x, weight, bias, y } = self;
        let (mean, rest) = set.split_mean::<T>();
        let (scale, shift) = (T::from_f64(set.scale), T::from_f64(-rest * set.scale));
        let unit = |x: T| (x - mean) * scale + shift;
        match (weight, bias) {
            (None, _) => {
                for (y, &x) in y.iter_mut().zip(x) {
                    *y = unit(x);
                }
            }
            (Some(weight), None) if positions == 1 => {
                for ((y, &x), &w) in y.iter_mut().zip(x).zip(weight) {
                    *y = unit(x) * w;
                }
            }
            (Some(weight), Some(bias)) if positions == 1 => {
                for ((y, &x), (&w, &b)) in y.iter_mut().zip(x).zip(weight.iter().zip(bias)) {
                    *y = unit(x) * w + b;
                }
            }
            (Some(weight), bias) => {
                let runs = y.chunks_exact_mut(positions.max(1)).zip(x.chunks_exact(positions.max(1)));
                for (channel, (y, x)) in runs.enumerate() {
                    let scale = weight[channel].to_f64() * set.scale;
                    let bias = bias.map_or(0., |bias| bias[channel].to_f64());
                    let (scale, shift) = (T::from_f64(scale), T::from_f64(bias - rest * scale));
                    for (y, &x) in y.iter_mut().zip(x) {
                        *y = (x - mean) * scale + shift;
                    }
                }
            }
        }
    }
}

/// `dx = scale · weight · dy + slope · (x − mean) + shift`, with a weight every `positions` elements.
pub(super) struct DifferentiateAll<'a, T> {
    pub(super) positions: usize,
    pub(super) of: Tangent,
    /// Whether the terms may cancel, as those of small sets do: they are then added in float64 and rounded once.
    pub(super) cancels: bool,
    pub(super) x: Option<&'a [T]>,
    pub(super) weight: Option<&'a [T]>,
    pub(super) dy: &'a [T],
    pub(super) dx: &'a mut [T],
}

impl<T: Element> WithSimd for DifferentiateAll<'_, T> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) {
        let Self { positions, of, cancels, x, weight, dy, dx } = self;
        let exact = |x: T| (x.to_f64() - of.mean) * of.slope + of.shift;
        let [one, mean, unit, slope, shift] = of.rounded::<T>();
        let term = |x: T| (x - mean) * unit * slope + shift;
        let scale = |w: T| of.scale * w.to_f64();
        match (x, weight) {
            (Some(x), Some(weight)) if positions == 1 => {
                let terms = dx.iter_mut().zip(dy).zip(x.iter().zip(weight));
                if cancels {
                    terms.for_each(|((dx, &dy), (&x, &w))| *dx = T::from_f64(dy.to_f64() * scale(w) + exact(x)));
                } else {
                    terms.for_each(|((dx, &dy), (&x, &w))| *dx = dy * (one * w) + term(x));
                }
            }
            _ => {
                for (i, (dx, dy)) in dx.chunks_mut(positions.max(1)).zip(dy.chunks(positions.max(1))).enumerate() {
                    let exact_scale = scale(weight.map_or(T::one(), |weight| weight[i]));
                    let scale = T::from_f64(exact_scale);
                    let terms = dx.iter_mut().zip(dy);
                    match x.map(|x| &x[i * positions..]) {
                        None => terms.for_each(|(dx, &dy)| *dx = T::from_f64(dy.to_f64() * exact_scale)),
                        Some(x) if cancels => terms
                            .zip(x)
                            .for_each(|((dx, &dy), &x)| *dx = T::from_f64(dy.to_f64() * exact_scale + exact(x))),
                        Some(x) => terms.zip(x).for_each(|((dx, &dy), &x)| *dx = dy * scale + term(x)),
                    }
                }
            }
        }
    }
}
