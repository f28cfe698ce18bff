//! Convolution over one, two and three axes.

use super::autograd::Conv;
use super::spec::ConvSpec;
use crate::Result;
use crate::error::{expect_shape, same_dtype};
use crate::pad::pad;
use crate::rectified::Then;
use candle_core::Tensor;

/// One-dimensional convolution (cross-correlation, as every deep-learning library defines it).
///
/// # Formula
///
/// `y[n, o, i] = b[o] + Σ_{c, p} w[o, c, p] · x[n, g·C_in/G + c, i·s − p_before + p·d]`, where `g` is the group of output
/// channel `o` and outside its extent
/// `x` is 0, or what [`ConvSpec::padding_mode`] says.
///
/// # Shapes
///
/// `x`: `[N, C_in, L]` or unbatched `[C_in, L]`; `weight`: `[C_out, C_in / groups, K]`; `bias`: `[C_out]`; the result:
/// `[N, C_out, L_out]` with `L_out = ⌊(L + p_before + p_after − d·(K − 1) − 1) / s⌋ + 1`.
///
/// # Gradient
///
/// That of [`conv2d`] over one axis: for `x`, `weight` and `bias`, each only where it is wanted, and each differentiable
/// again.
///
/// # Errors
///
/// As [`conv2d`].
///
/// # Source
///
/// As [`conv2d`]; the semantics are those of `torch.nn.functional.conv1d`.
///
/// ```
/// use candle_core::{Device, Tensor};
/// use taper_ops::{ConvSpec, conv1d};
///
/// let x = Tensor::new(&[[[1f32, 4., 9., 16.]]], &Device::Cpu)?;
/// let difference = Tensor::new(&[[[-1f32, 1.]]], &Device::Cpu)?;
/// let y = conv1d(&x, &difference, None, &ConvSpec::default())?;
/// assert_eq!(y.flatten_all()?.to_vec1::<f32>()?, [3., 5., 7.]);
/// # Ok::<(), candle_core::Error>(())
/// ```
pub fn conv1d(x: &Tensor, weight: &Tensor, bias: Option<&Tensor>, spec: &ConvSpec<1>) -> Result<Tensor> {
    conv("conv1d", x, weight, bias, spec, Then::Nothing)
}

/// Two-dimensional convolution (cross-correlation, as every deep-learning library defines it).
///
/// # Formula
///
/// `y[n, o, i, j] = b[o] + Σ_{c, p, q} w[o, c, p, q] · x[n, g·C_in/G + c, i·s_h − p_h + p·d_h, j·s_w − p_w + q·d_w]`,
/// where `g` is the group of output channel `o` and outside its extent `x` is 0, or what [`ConvSpec::padding_mode`] says.
///
/// In bf16, f16 and float32, 3×3 kernels of stride 1 or 2 and 4×4 kernels of stride 2 over 32 channels a group or more on both
/// sides go by Winograd's algorithm, here, in the gradients and in transposed convolution, unless [`ConvSpec::exact`] asks for
/// the sums term by term.
///
/// # Shapes
///
/// `x`: `[N, C_in, H, W]` or unbatched `[C_in, H, W]`; `weight`: `[C_out, C_in / groups, K_h, K_w]`; `bias`: `[C_out]`;
/// the result: `[N, C_out, H_out, W_out]` with `H_out = ⌊(H + p_before + p_after − d·(K_h − 1) − 1) / s⌋ + 1`.
///
/// # Gradient
///
/// `dx =` [`conv2d_input_grad`], `dw =` [`conv2d_weight_grad`], `db = Σ_{n, i, j} dy`: each only where it is wanted, and
/// each differentiable again.
///
/// # Errors
///
/// Ranks, channels, groups or bias that do not belong together, a zero stride or dilation, a kernel larger than the
/// padded input, a padding that its mode has no elements for, sizes beyond the address space, dtypes other than bf16, f16, f32 and f64.
///
/// # Source
///
/// Dumoulin and Visin, "A guide to convolution arithmetic for deep learning", arXiv:1603.07285; the semantics are those
/// of `torch.nn.functional.conv2d`.
///
/// ```
/// use candle_core::{Device, Tensor};
/// use taper_ops::{ConvSpec, conv2d};
///
/// let x = Tensor::new(&[[[[1f32, 2., 3.], [4., 5., 6.]]]], &Device::Cpu)?;
/// let sobel = Tensor::new(&[[[[-1f32, 0., 1.]]]], &Device::Cpu)?;
/// let y = conv2d(&x, &sobel, None, &ConvSpec::default())?;
/// assert_eq!(y.flatten_all()?.to_vec1::<f32>()?, [2., 2.]);
/// # Ok::<(), candle_core::Error>(())
/// ```
///
/// [`conv2d_input_grad`]: crate::conv2d_input_grad
/// [`conv2d_weight_grad`]: crate::conv2d_weight_grad
pub fn conv2d(x: &Tensor, weight: &Tensor, bias: Option<&Tensor>, spec: &ConvSpec<2>) -> Result<Tensor> {
    conv("conv2d", x, weight, bias, spec, Then::Nothing)
}

/// Three-dimensional convolution (cross-correlation, as every deep-learning library defines it).
///
/// # Formula
///
/// `y[n, o, i] = b[o] + Σ_{c, p} w[o, c, p] · x[n, g·C_in/G + c, i·s − p_before + p·d]`, where `i`, `p`, `s`, `p_before` and
/// `d` have an entry for each of (depth, height, width), `g` is the group of output channel `o` and `x` is 0 outside its
/// extent.
///
/// # Shapes
///
/// `x`: `[N, C_in, D, H, W]` or unbatched `[C_in, D, H, W]`; `weight`: `[C_out, C_in / groups, K_d, K_h, K_w]`; `bias`:
/// `[C_out]`; the result: `[N, C_out, D_out, H_out, W_out]`, each extent as [`conv2d`] has it.
///
/// # Gradient
///
/// That of [`conv2d`] over three axes: for `x`, `weight` and `bias`, each only where it is wanted, and each
/// differentiable again.
///
/// # Errors
///
/// As [`conv2d`].
///
/// # Source
///
/// As [`conv2d`]; the semantics are those of `torch.nn.functional.conv3d`.
///
/// ```
/// use candle_core::{DType, Device, Tensor};
/// use taper_ops::{ConvSpec, Padding, conv3d};
///
/// let video = Tensor::ones((2, 3, 5, 6, 7), DType::F32, &Device::Cpu)?;
/// let weight = Tensor::ones((4, 3, 1, 3, 2), DType::F32, &Device::Cpu)?;
/// let y = conv3d(&video, &weight, None, &ConvSpec::default().padding(Padding::Same))?;
/// assert_eq!(y.dims(), [2, 4, 5, 6, 7]);
/// # Ok::<(), candle_core::Error>(())
/// ```
pub fn conv3d(x: &Tensor, weight: &Tensor, bias: Option<&Tensor>, spec: &ConvSpec<3>) -> Result<Tensor> {
    conv("conv3d", x, weight, bias, spec, Then::Nothing)
}

pub(crate) fn conv<const D: usize>(
    op: &'static str,
    x: &Tensor,
    weight: &Tensor,
    bias: Option<&Tensor>,
    spec: &ConvSpec<D>,
    then: Then<'_, D>,
) -> Result<Tensor> {
    if x.rank() == D + 1 {
        return Ok(conv(op, &x.unsqueeze(0)?, weight, bias, spec, then)?.squeeze(0)?);
    }
    let dims = spec.dims(op, x.dims(), weight.dims())?;
    if let Some((sides, unpadded)) = spec.split_padding(op, weight.dims())? {
        return conv(op, &pad(op, x, sides, spec.padding_mode)?, weight, bias, &unpadded, then);
    }
    same_dtype(op, x, weight)?;
    match bias {
        None => then.apply(Conv(dims), [x, weight]),
        Some(bias) => {
            same_dtype(op, x, bias)?;
            expect_shape(op, "bias", &[dims.c_out], bias)?;
            then.apply(Conv(dims), [x, weight, bias])
        }
    }
}
