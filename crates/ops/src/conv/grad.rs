//! The gradients of convolution as functions of their own.

use super::autograd::{InputGrad, WeightGrad};
use super::spec::{ConvSpec, split};
use crate::error::{expect_shape, same_dtype};
use crate::operator::Apply;
use crate::pad::{pad, pad_transpose};
use crate::{Error, Result};
use candle_core::Tensor;

/// The gradient of [`conv1d`] for its input: the transpose of convolution as a linear map.
///
/// # Formula
///
/// That of [`conv2d_input_grad`] over one axis.
///
/// # Shapes
///
/// `dy`: `[N, C_out, L_out]`; `weight`: `[C_out, C_in / groups, K]`; `input_size`: `[L]`, which the
/// stride leaves open; the result: `[N, C_in, L]`.
///
/// # Gradient
///
/// With `v` the gradient of the result: `conv1d(v, weight)` for `dy`, [`conv1d_weight_grad`]`(v, dy)` for `weight`.
///
/// # Errors
///
/// As [`conv1d`], and a `dy` that is not of the shape that [`conv1d`] would have given.
///
/// # Source
///
/// `torch.nn.grad.conv1d_input`.
///
/// ```
/// use candle_core::{DType, Device, Tensor};
/// use taper_ops::{ConvSpec, conv1d_input_grad};
///
/// let (dy, w) = (Tensor::ones((1, 1, 2), DType::F32, &Device::Cpu)?, Tensor::new(&[[[1f32, 2.]]], &Device::Cpu)?);
/// let dx = conv1d_input_grad(&dy, &w, [3], &ConvSpec::default())?;
/// assert_eq!(dx.flatten_all()?.to_vec1::<f32>()?, [1., 3., 2.]);
/// # Ok::<(), candle_core::Error>(())
/// ```
///
/// [`conv1d`]: crate::conv1d
pub fn conv1d_input_grad(dy: &Tensor, weight: &Tensor, input_size: [usize; 1], spec: &ConvSpec<1>) -> Result<Tensor> {
    input_grad("conv1d_input_grad", dy, weight, input_size, spec)
}

/// The gradient of [`conv1d`] for its weight.
///
/// # Formula
///
/// That of [`conv2d_weight_grad`] over one axis.
///
/// # Shapes
///
/// `x`: `[N, C_in, L]`; `dy`: `[N, C_out, L_out]`; `kernel_size`: `[K]`, which the stride
/// leaves open; the result: `[C_out, C_in / groups, K]`.
///
/// # Gradient
///
/// With `u` the gradient of the result: [`conv1d_input_grad`]`(dy, u)` for `x`, `conv1d(x, u)` for `dy`.
///
/// # Errors
///
/// As [`conv1d`], and a `dy` that is not of the shape that [`conv1d`] would have given.
///
/// # Source
///
/// `torch.nn.grad.conv1d_weight`.
///
/// ```
/// use candle_core::{DType, Device, Tensor};
/// use taper_ops::{ConvSpec, conv1d_weight_grad};
///
/// let (x, dy) = (Tensor::new(&[[[1f32, 2., 3.]]], &Device::Cpu)?, Tensor::ones((1, 1, 2), DType::F32, &Device::Cpu)?);
/// let dw = conv1d_weight_grad(&x, &dy, [2], &ConvSpec::default())?;
/// assert_eq!(dw.flatten_all()?.to_vec1::<f32>()?, [3., 5.]);
/// # Ok::<(), candle_core::Error>(())
/// ```
///
/// [`conv1d`]: crate::conv1d
pub fn conv1d_weight_grad(x: &Tensor, dy: &Tensor, kernel_size: [usize; 1], spec: &ConvSpec<1>) -> Result<Tensor> {
    weight_grad("conv1d_weight_grad", x, dy, kernel_size, spec)
}

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
    input_grad("conv2d_input_grad", dy, weight, input_size, spec)
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
    weight_grad("conv2d_weight_grad", x, dy, kernel_size, spec)
}

/// The gradient of [`conv3d`] for its input: the transpose of convolution as a linear map.
///
/// # Formula
///
/// That of [`conv2d_input_grad`] over three axes.
///
/// # Shapes
///
/// `dy`: `[N, C_out, D_out, H_out, W_out]`; `weight`: `[C_out, C_in / groups, K_d, K_h, K_w]`; `input_size`: `[D, H, W]`, which the
/// stride leaves open; the result: `[N, C_in, D, H, W]`.
///
/// # Gradient
///
/// With `v` the gradient of the result: `conv3d(v, weight)` for `dy`, [`conv3d_weight_grad`]`(v, dy)` for `weight`.
///
/// # Errors
///
/// As [`conv3d`], and a `dy` that is not of the shape that [`conv3d`] would have given.
///
/// # Source
///
/// `torch.nn.grad.conv3d_input`.
///
/// ```
/// use candle_core::{DType, Device, Tensor};
/// use taper_ops::{ConvSpec, conv3d_input_grad};
///
/// let dy = Tensor::ones((2, 4, 3, 2, 4), DType::F32, &Device::Cpu)?;
/// let w = Tensor::ones((4, 3, 1, 2, 3), DType::F32, &Device::Cpu)?;
/// assert_eq!(conv3d_input_grad(&dy, &w, [3, 3, 6], &ConvSpec::default())?.dims(), [2, 3, 3, 3, 6]);
/// # Ok::<(), candle_core::Error>(())
/// ```
///
/// [`conv3d`]: crate::conv3d
pub fn conv3d_input_grad(dy: &Tensor, weight: &Tensor, input_size: [usize; 3], spec: &ConvSpec<3>) -> Result<Tensor> {
    input_grad("conv3d_input_grad", dy, weight, input_size, spec)
}

/// The gradient of [`conv3d`] for its weight.
///
/// # Formula
///
/// That of [`conv2d_weight_grad`] over three axes.
///
/// # Shapes
///
/// `x`: `[N, C_in, D, H, W]`; `dy`: `[N, C_out, D_out, H_out, W_out]`; `kernel_size`: `[K_d, K_h, K_w]`, which the stride
/// leaves open; the result: `[C_out, C_in / groups, K_d, K_h, K_w]`.
///
/// # Gradient
///
/// With `u` the gradient of the result: [`conv3d_input_grad`]`(dy, u)` for `x`, `conv3d(x, u)` for `dy`.
///
/// # Errors
///
/// As [`conv3d`], and a `dy` that is not of the shape that [`conv3d`] would have given.
///
/// # Source
///
/// `torch.nn.grad.conv3d_weight`.
///
/// ```
/// use candle_core::{DType, Device, Tensor};
/// use taper_ops::{ConvSpec, conv3d_weight_grad};
///
/// let x = Tensor::ones((2, 3, 3, 3, 6), DType::F32, &Device::Cpu)?;
/// let dy = Tensor::ones((2, 4, 3, 2, 4), DType::F32, &Device::Cpu)?;
/// assert_eq!(conv3d_weight_grad(&x, &dy, [1, 2, 3], &ConvSpec::default())?.dims(), [4, 3, 1, 2, 3]);
/// # Ok::<(), candle_core::Error>(())
/// ```
///
/// [`conv3d`]: crate::conv3d
pub fn conv3d_weight_grad(x: &Tensor, dy: &Tensor, kernel_size: [usize; 3], spec: &ConvSpec<3>) -> Result<Tensor> {
    weight_grad("conv3d_weight_grad", x, dy, kernel_size, spec)
}

fn input_grad<const D: usize>(
    op: &'static str,
    dy: &Tensor,
    weight: &Tensor,
    input_size: [usize; D],
    spec: &ConvSpec<D>,
) -> Result<Tensor> {
    let (n, _, _) = axes::<D>(op, "dy", dy)?;
    let (_, c_in_group, _) = axes::<D>(op, "weight", weight)?;
    let c_in = c_in_group.checked_mul(spec.groups).ok_or(Error::Overflow { op, what: "the channels" })?;
    let x_shape = [&[n, c_in], input_size.as_slice()].concat();
    let dims = spec.dims(op, &x_shape, weight.dims())?;
    same_dtype(op, dy, weight)?;
    expect_shape(op, "dy", dims.y_shape().dims(), dy)?;
    if let Some((sides, unpadded)) = spec.split_padding(op, weight.dims())? {
        let padded = std::array::from_fn(|axis| sides[axis].0 + input_size[axis] + sides[axis].1);
        let dx = input_grad(op, dy, weight, padded, &unpadded)?;
        return pad_transpose(op, &dx, &x_shape, sides, spec.padding_mode);
    }
    Ok(InputGrad(dims).apply([dy, weight])?)
}

fn weight_grad<const D: usize>(
    op: &'static str,
    x: &Tensor,
    dy: &Tensor,
    kernel_size: [usize; D],
    spec: &ConvSpec<D>,
) -> Result<Tensor> {
    let (_, c_in, _) = axes::<D>(op, "input", x)?;
    let (_, c_out, _) = axes::<D>(op, "dy", dy)?;
    let groups = spec.groups.max(1);
    if !c_in.is_multiple_of(groups) {
        return Err(Error::Groups { op, groups, argument: "in_channels", channels: c_in });
    }
    let weight_shape = [&[c_out, c_in / groups], kernel_size.as_slice()].concat();
    let dims = spec.dims(op, x.dims(), &weight_shape)?;
    same_dtype(op, x, dy)?;
    expect_shape(op, "dy", dims.y_shape().dims(), dy)?;
    if let Some((sides, unpadded)) = spec.split_padding(op, &weight_shape)? {
        return weight_grad(op, &pad(op, x, sides, spec.padding_mode)?, dy, kernel_size, &unpadded);
    }
    Ok(WeightGrad(dims).apply([x, dy])?)
}

fn axes<const D: usize>(
    op: &'static str,
    argument: &'static str,
    tensor: &Tensor,
) -> Result<(usize, usize, [usize; D])> {
    split(op, argument, ["2", "3", "4", "5"][D], tensor.dims())
}
