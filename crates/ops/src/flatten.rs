//! A change of shape, and of no element.

use crate::Result;
use crate::error::expect;
use crate::graph::reshape;
use candle_core::Tensor;

/// Joins the axes from `start_dim` to the last into one: what `x.flatten_from(start_dim)` of candle gives, with a gradient that
/// takes no pass over memory where an operator of this crate gave `x`.
///
/// # Formula
///
/// `y[i…, j] = x[i…, k…]`, `j` the place of `k…` in row-major order.
///
/// # Shapes
///
/// `x`: `[d₀, …]`; the result: `[d₀, …, d₍start_dim − 1₎, d₍start_dim₎ · …]`; of a scalar: `[1]`.
///
/// # Gradient
///
/// `dx` is `dy` in the shape of `x`.
///
/// # Errors
///
/// [`Value`](crate::Error::Value) where `x` has no axis `start_dim`.
///
/// # Source
///
/// [PyTorch](https://docs.pytorch.org/docs/stable/generated/torch.flatten.html), `end_dim = -1`.
///
/// ```
/// use candle_core::{DType, Device, Tensor};
/// use taper_ops::flatten;
///
/// let x = Tensor::zeros((2, 3, 4, 5), DType::F32, &Device::Cpu)?;
/// assert_eq!(flatten(&x, 1)?.dims(), [2, 60]);
/// # Ok::<(), candle_core::Error>(())
/// ```
pub fn flatten(x: &Tensor, start_dim: usize) -> Result<Tensor> {
    let (dims, rank) = (x.dims(), x.rank());
    let expected = "less than the number of dimensions";
    expect("flatten", "start_dim", expected, start_dim as f64, start_dim < rank.max(1))?;
    let (kept, joined) = dims.split_at(start_dim);
    Ok(reshape(x, [kept, &[joined.iter().product()]].concat())?)
}
