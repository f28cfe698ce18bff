//! The gradients of convolution as functions of their own.

use super::autograd::{InputGrad, WeightGrad};
use super::same_dtype;
use super::spec::{ConvDims, ConvSpec};
use crate::error::expect_shape;
use crate::operator::Apply;
use crate::{Error, Result};
use candle_core::Tensor;

/// The gradient of [`conv2d`] for its input: the transpose of convolution as a linear map.
///
/// # Formula
///
/// `dx[n, c, h, w] = Σ dy[n, o, i, j] · w[o, c, p, q]` over all `(o, i, j, p, q)` for which [`conv2d`] multiplies
/// `x[n, c, h, w]` by `w[o, c, p, q]` into `y[n, o, i, j]`.
///
/// # Shapes
///
/// `dy`: `[N, C_out, H_out, W_out]`; `weight`: `[C_out, C_in / groups, K_h, K_w]`; `input_size`: `[H, W]`, which the
/// stride leaves open; the result: `[N, C_in, H, W]`.
///
/// # Gradient
///
/// With `v` the gradient of the result: `conv2d(v, weight)` for `dy`, [`conv2d_weight_grad`]`(v, dy)` for `weight`.
///
/// # Errors
///
/// As [`conv2d`], and a `dy` that is not of the shape that [`conv2d`] would have given.
///
/// # Source
///
/// `torch.nn.grad.conv2d_input`.
///
/// ```
/// use candle_core::{DType, Device, Tensor};
/// use taper_ops::{ConvSpec, conv2d_input_grad};
///
/// let (dy, w) = (Tensor::ones((1, 1, 1, 2), DType::F32, &Device::Cpu)?, Tensor::new(&[[[[1f32, 2.]]]], &Device::Cpu)?);
/// let dx = conv2d_input_grad(&dy, &w, [1, 3], &ConvSpec::default())?;
/// assert_eq!(dx.flatten_all()?.to_vec1::<f32>()?, [1., 3., 2.]);
/// # Ok::<(), candle_core::Error>(())
/// ```
///
/// [`conv2d`]: crate::conv2d
pub fn conv2d_input_grad(dy: &Tensor, weight: &Tensor, input_size: [usize; 2], spec: &ConvSpec<2>) -> Result<Tensor> {
    const OP: &str = "conv2d_input_grad";
    let (n, _, _, _) = dims4(OP, "dy", dy)?;
    let (_, c_in_group, _, _) = dims4(OP, "weight", weight)?;
    let c_in = c_in_group.checked_mul(spec.groups).ok_or(Error::Overflow { op: OP, what: "the channels" })?;
    let dims = spec.dims(OP, &[n, c_in, input_size[0], input_size[1]], weight.dims())?;
    same_dtype(OP, dy, weight)?;
    expect_shape(OP, "dy", dims.y_shape().dims(), dy)?;
    Ok(InputGrad(dims).apply([dy, weight])?)
}

/// The gradient of [`conv2d`] for its weight.
///
/// # Formula
///
/// `dw[o, c, p, q] = Σ_{n, i, j} dy[n, o, i, j] · x[n, c, i·s_h − p_h + p·d_h, j·s_w − p_w + q·d_w]`, the channels of `x`
/// counted within the group of `o`.
///
/// # Shapes
///
/// `x`: `[N, C_in, H, W]`; `dy`: `[N, C_out, H_out, W_out]`; `kernel_size`: `[K_h, K_w]`, which the stride leaves open;
/// the result: `[C_out, C_in / groups, K_h, K_w]`.
///
/// # Gradient
///
/// With `u` the gradient of the result: [`conv2d_input_grad`]`(dy, u)` for `x`, `conv2d(x, u)` for `dy`.
///
/// # Errors
///
/// As [`conv2d`], and a `dy` that is not of the shape that [`conv2d`] would have given.
///
/// # Source
///
/// `torch.nn.grad.conv2d_weight`.
///
/// ```
/// use candle_core::{DType, Device, Tensor};
/// use taper_ops::{ConvSpec, conv2d_weight_grad};
///
/// let (x, dy) = (Tensor::new(&[[[[1f32, 2., 3.]]]], &Device::Cpu)?, Tensor::ones((1, 1, 1, 2), DType::F32, &Device::Cpu)?);
/// let dw = conv2d_weight_grad(&x, &dy, [1, 2], &ConvSpec::default())?;
/// assert_eq!(dw.flatten_all()?.to_vec1::<f32>()?, [3., 5.]);
/// # Ok::<(), candle_core::Error>(())
/// ```
///
/// [`conv2d`]: crate::conv2d
pub fn conv2d_weight_grad(x: &Tensor, dy: &Tensor, kernel_size: [usize; 2], spec: &ConvSpec<2>) -> Result<Tensor> {
    const OP: &str = "conv2d_weight_grad";
    let (_, c_in, _, _) = dims4(OP, "input", x)?;
    let (_, c_out, _, _) = dims4(OP, "dy", dy)?;
    let groups = spec.groups.max(1);
    if !c_in.is_multiple_of(groups) {
        return Err(Error::Groups { op: OP, groups, argument: "in_channels", channels: c_in });
    }
    let dims: ConvDims = spec.dims(OP, x.dims(), &[c_out, c_in / groups, kernel_size[0], kernel_size[1]])?;
    same_dtype(OP, x, dy)?;
    expect_shape(OP, "dy", dims.y_shape().dims(), dy)?;
    Ok(WeightGrad(dims).apply([x, dy])?)
}

fn dims4(op: &'static str, argument: &'static str, tensor: &Tensor) -> Result<(usize, usize, usize, usize)> {
    tensor.dims4().map_err(|_| Error::Rank { op, argument, expected: "4", shape: tensor.dims().to_vec() })
}
