//! Powers, elementwise.

use super::autograd::Power;
use crate::parallel::build;
use crate::storage::Element;

/// Elements a run.
const RUN: usize = 1 << 10;
/// A power, in simple operations.
const COST: usize = 16;

/// `g · coefficient · x^exponent`, with `g = 1` where there is none.
pub(super) fn power<T: Element>(power: &Power, x: &[T], g: Option<&[T]>) -> Vec<T> {
    // No power of 0 is asked for that a factor of 0 would have to make good.
    if power.coefficient == 0. {
        return vec![T::zero(); x.len()];
    }
    build(x.len(), T::zero(), RUN, RUN * COST, |i, y| {
        let runs = i * RUN..i * RUN + y.len();
        raise(power, &x[runs.clone()], y);
        if let Some(g) = g {
            // A factor of 0 stays 0 where the power is infinite: what has no part in the loss has no gradient.
            y.iter_mut().zip(&g[runs]).for_each(|(y, &g)| *y = if g == T::zero() { g } else { *y * g });
        }
        if power.flat_at_zero {
            y.iter_mut().zip(&x[i * RUN..]).filter(|(_, x)| **x == T::zero()).for_each(|(y, _)| *y = T::zero());
        }
    })
}

fn raise<T: Element>(power: &Power, x: &[T], y: &mut [T]) {
    let (c, e) = (T::from_f64(power.coefficient), T::from_f64(power.exponent));
    match power.exponent {
        0. => y.fill(c),
        1. => each(x, y, |x| c * x),
        2. => each(x, y, |x| c * (x * x)),
        0.5 => each(x, y, |x| c * x.sqrt()),
        _ => each(x, y, |x| c * x.powf(e)),
    }
}

fn each<T: Element>(x: &[T], y: &mut [T], f: impl Fn(T) -> T) {
    y.iter_mut().zip(x).for_each(|(y, &x)| *y = f(x));
}
