//! Elementwise functions as candle operators, differentiable twice.
//!
//! | operator | value | gradient of the function's arguments | gradient of u |
//! |---|---|---|---|
//! | [`Map`]`(x)` | f(x) | `Derivative 1 (x, dy)` | |
//! | [`Derivative`]` k (x, u)` | u · f⁽ᵏ⁾(x) | `Derivative k+1 (x, u · v)` | `Derivative k (x, v)` |
//! | [`Zip`]`(a, b)` | f(a, b), or their sum | `Partial by one (a, b, dy)` | |
//! | [`Partial`]` (a, b, u)` | u · ∂f(a, b) | `Partial by one more (a, b, u · v)` | `Partial (a, b, v)` |

use super::{Binary, By, OnDevice, Unary, cpu, cuda};
use crate::cuda::{Buffer, Gpu, View};
use crate::graph::{saved, wanted};
use crate::operator::{Apply, Grads, Operator};
use crate::storage::Element;
use crate::{Error, Result};
use candle_core::{Shape, Tensor};

/// y = f(x).
pub(crate) struct Map<F> {
    f: F,
    shape: Shape,
}

/// u · f⁽ᵏ⁾(x) from x and u.
struct Derivative<F> {
    f: F,
    shape: Shape,
    order: usize,
}

impl<F: Unary + OnDevice> Map<F> {
    /// f of every element of `x`.
    pub(crate) fn of(f: F, x: &Tensor) -> Result<Tensor> {
        Ok(Self { f, shape: x.shape().clone() }.apply([x])?)
    }

    /// u · f′(x), elementwise.
    pub(crate) fn slopes(f: F, x: &Tensor, u: &Tensor) -> candle_core::Result<Tensor> {
        Derivative { f, shape: x.shape().clone(), order: 1 }.apply([x, u])
    }
}

impl<F: Unary + OnDevice> Operator<1> for Map<F> {
    fn name(&self) -> &'static str {
        self.f.name()
    }

    fn shape(&self) -> Shape {
        self.shape.clone()
    }

    fn run<T: Element>(&self, [x]: [&[T]; 1]) -> Result<Vec<T>> {
        Ok(cpu::map(&self.f, x))
    }

    fn cuda(&self, gpu: &Gpu, [x]: [View<'_>; 1]) -> Result<Buffer> {
        cuda::map(gpu, &self.f, x)
    }

    fn backward(&self, [x]: [&Tensor; 1], y: &Tensor, dy: &Tensor) -> Grads<1> {
        let x = match F::DEGREE {
            1 if F::SLOPE_OF_VALUE => y.detach(),
            1 => x.detach(),
            _ => saved(x)?,
        };
        Ok([Some(Self::slopes(self.f.clone(), &x, dy)?)])
    }
}

impl<F: Unary + OnDevice> Operator<2> for Derivative<F> {
    fn name(&self) -> &'static str {
        self.f.name()
    }

    fn shape(&self) -> Shape {
        self.shape.clone()
    }

    fn run<T: Element>(&self, [x, u]: [&[T]; 2]) -> Result<Vec<T>> {
        Ok(match self.order {
            1 => cpu::slopes(&self.f, x, u),
            _ => cpu::curvatures(&self.f, x, u),
        })
    }

    fn cuda(&self, gpu: &Gpu, [x, u]: [View<'_>; 2]) -> Result<Buffer> {
        cuda::scaled(gpu, &self.f, self.order, x, u)
    }

    fn backward(&self, [x, u]: [&Tensor; 2], _out: &Tensor, v: &Tensor) -> Grads<2> {
        let derivative = |order, x: &Tensor, u: &Tensor| {
            Derivative { f: self.f.clone(), shape: self.shape.clone(), order }.apply([x, u])
        };
        let by_x = wanted(x, || match self.order {
            1 if F::DEGREE == 2 => derivative(2, &x.detach(), &(saved(u)? * v)?),
            1 => derivative(2, &saved(x)?, &(saved(u)? * v)?),
            _ => Err(Error::DerivativeOrder { op: self.f.name() }.into()),
        })?;
        let by_u = wanted(u, || derivative(self.order, &saved(x)?, v))?;
        Ok([by_x, by_u])
    }
}

/// f(a, b), or the sum of its values over a divisor.
pub(crate) struct Zip<F> {
    f: F,
    shape: Shape,
    /// What the sum of the values is divided by; `None` where they are not added.
    divisor: Option<f64>,
}

/// u · ∂f(a, b) / divisor from a, b and u, which has the shape of `a` or is a scalar.
struct Partial<F> {
    f: F,
    shape: Shape,
    by: By,
    divisor: f64,
}

impl<F: Binary + OnDevice> Zip<F> {
    /// f of every pair of elements of `a` and `b`, which have one shape; with a divisor, their sum over it.
    pub(crate) fn of(f: F, a: &Tensor, b: &Tensor, divisor: Option<f64>) -> Result<Tensor> {
        Ok(Self { f, shape: a.shape().clone(), divisor }.apply([a, b])?)
    }
}

impl<F: Binary + OnDevice> Operator<2> for Zip<F> {
    fn name(&self) -> &'static str {
        self.f.name()
    }

    fn shape(&self) -> Shape {
        if self.divisor.is_some() { Shape::from(()) } else { self.shape.clone() }
    }

    fn run<T: Element>(&self, [a, b]: [&[T]; 2]) -> Result<Vec<T>> {
        Ok(match self.divisor {
            None => cpu::zip(&self.f, a, b),
            Some(divisor) => vec![T::from_f64(cpu::sum(&self.f, a, b) / divisor)],
        })
    }

    fn cuda(&self, gpu: &Gpu, inputs: [View<'_>; 2]) -> Result<Buffer> {
        match self.divisor {
            None => cuda::zip(gpu, &self.f, inputs),
            Some(divisor) => cuda::sum(gpu, &self.f, inputs, divisor),
        }
    }

    fn backward(&self, [a, b]: [&Tensor; 2], _y: &Tensor, dy: &Tensor) -> Grads<2> {
        let partial = |by| {
            let divisor = self.divisor.unwrap_or(1.);
            let op = Partial { f: self.f.clone(), shape: self.shape.clone(), by, divisor };
            op.apply([&saved(a)?, &saved(b)?, dy])
        };
        Ok([wanted(a, || partial(By::A))?, wanted(b, || partial(By::B))?])
    }
}

impl<F: Binary + OnDevice> Operator<3> for Partial<F> {
    fn name(&self) -> &'static str {
        self.f.name()
    }

    fn shape(&self) -> Shape {
        self.shape.clone()
    }

    fn run<T: Element>(&self, inputs: [&[T]; 3]) -> Result<Vec<T>> {
        Ok(cpu::partials(&self.f, self.by, inputs, self.divisor))
    }

    fn cuda(&self, gpu: &Gpu, inputs: [View<'_>; 3]) -> Result<Buffer> {
        cuda::partials(gpu, &self.f, self.by, inputs, self.divisor)
    }

    fn backward(&self, [a, b, u]: [&Tensor; 3], _out: &Tensor, v: &Tensor) -> Grads<3> {
        let partial = |by, u: &Tensor| {
            let op = Partial { f: self.f.clone(), shape: self.shape.clone(), by, divisor: self.divisor };
            op.apply([&saved(a)?, &saved(b)?, u])
        };
        let further = |by_a, by_b| match self.by {
            By::A => Ok(by_a),
            By::B => Ok(by_b),
            By::AA | By::AB | By::BB => Err(candle_core::Error::from(Error::DerivativeOrder { op: self.f.name() })),
        };
        let scaled = || saved(u)?.broadcast_mul(v);
        let by_a = wanted(a, || partial(further(By::AA, By::AB)?, &scaled()?))?;
        let by_b = wanted(b, || partial(further(By::AB, By::BB)?, &scaled()?))?;
        let by_u = wanted(u, || {
            let each = partial(self.by, v)?;
            if u.rank() < each.rank() { each.sum_all() } else { Ok(each) }
        })?;
        Ok([by_a, by_b, by_u])
    }
}
