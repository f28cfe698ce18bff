//! Transposed convolution over one, two and three axes: the input gradient of a convolution, used forward.

use super::autograd::InputGrad;
use super::spec::ConvTransposeSpec;
use crate::Result;
use crate::error::{expect_shape, same_dtype};
use crate::operator::Apply;
use candle_core::Tensor;

/// One-dimensional transposed convolution.
///
/// # Formula
///
/// `y[n, o, l] = b[o] + Σ x[n, c, i] · w[c, o, p]` over all `(c, i, p)` with `i·s + p·d − padding = l`, the channels `c` in
/// the group of `o`.
///
/// # Shapes
///
/// `x`: `[N, C_in, L]` or unbatched `[C_in, L]`; `weight`: `[C_in, C_out / groups, K]`; `bias`: `[C_out]`; the result:
/// `[N, C_out, L_out]` with `L_out = (L − 1)·s − 2·padding + d·(K − 1) + output_padding + 1`.
///
/// # Gradient
///
/// That of [`conv_transpose2d`] over one axis: for `x`, `weight` and `bias`, each only where it is wanted, and each
/// differentiable again.
///
/// # Errors
///
/// As [`conv_transpose2d`].
///
/// # Source
///
/// As [`conv_transpose2d`]; the semantics are those of `torch.nn.functional.conv_transpose1d`.
///
/// ```
/// use candle_core::{Device, Tensor};
/// use taper_ops::{ConvTransposeSpec, conv_transpose1d};
///
/// let x = Tensor::new(&[[[1f32, 2., 3.]]], &Device::Cpu)?;
/// let w = Tensor::new(&[[[1f32, 10., 100.]]], &Device::Cpu)?;
/// let y = conv_transpose1d(&x, &w, None, &ConvTransposeSpec::default().stride(2))?;
/// assert_eq!(y.flatten_all()?.to_vec1::<f32>()?, [1., 10., 102., 20., 203., 30., 300.]);
/// # Ok::<(), candle_core::Error>(())
/// ```
pub fn conv_transpose1d(
    x: &Tensor,
    weight: &Tensor,
    bias: Option<&Tensor>,
    spec: &ConvTransposeSpec<1>,
) -> Result<Tensor> {
    conv_transpose("conv_transpose1d", x, weight, bias, spec)
}

/// Two-dimensional transposed convolution: the transpose, as a linear map, of a convolution with the same weight, and so a
/// learned way to make maps larger.
///
/// # Formula
///
/// `y[n, o, h, w] = b[o] + Σ x[n, c, i, j] · weight[c, o, p, q]` over all `(c, i, j, p, q)` with
/// `i·s_h + p·d_h − padding_h = h` and `j·s_w + q·d_w − padding_w = w`, the channels `c` in the group of `o`, which counts
/// within that group in `weight`.
///
/// # Shapes
///
/// `x`: `[N, C_in, H, W]` or unbatched `[C_in, H, W]`; `weight`: `[C_in, C_out / groups, K_h, K_w]`, which is the weight of
/// the convolution from `C_out` to `C_in` channels that this one transposes; `bias`: `[C_out]`; the result:
/// `[N, C_out, H_out, W_out]` with `H_out = (H − 1)·s − 2·padding + d·(K_h − 1) + output_padding + 1`.
///
/// # Gradient
///
/// With `conv` the convolution that this one transposes: `dx = conv(dy, weight)`, `dw` is the weight gradient of `conv`
/// for input `dy` and output gradient `x`, `db = Σ_{n, h, w} dy`: each only where it is wanted, and each differentiable
/// again.
///
/// # Errors
///
/// Ranks, channels, groups or bias that do not belong together, a zero stride, dilation or extent, an output padding that
/// is smaller than neither stride nor dilation, a padding that leaves no output, sizes beyond the address space, dtypes
/// other than bf16, f16, f32 and f64.
///
/// # Source
///
/// Zeiler, Krishnan, Taylor and Fergus, "Deconvolutional networks", CVPR 2010; Dumoulin and Visin, "A guide to
/// convolution arithmetic for deep learning", arXiv:1603.07285; the semantics are those of
/// `torch.nn.functional.conv_transpose2d`.
///
/// ```
/// use candle_core::{DType, Device, Tensor};
/// use taper_ops::{ConvTransposeSpec, conv_transpose2d};
///
/// // Kernel 3, stride 2, padding 1 and output padding 1 double every extent.
/// let x = Tensor::ones((2, 8, 5, 6), DType::F32, &Device::Cpu)?;
/// let weight = Tensor::ones((8, 4, 3, 3), DType::F32, &Device::Cpu)?;
/// let spec = ConvTransposeSpec::default().stride(2).padding(1).output_padding(1);
/// assert_eq!(conv_transpose2d(&x, &weight, None, &spec)?.dims(), [2, 4, 10, 12]);
/// # Ok::<(), candle_core::Error>(())
/// ```
pub fn conv_transpose2d(
    x: &Tensor,
    weight: &Tensor,
    bias: Option<&Tensor>,
    spec: &ConvTransposeSpec<2>,
) -> Result<Tensor> {
    conv_transpose("conv_transpose2d", x, weight, bias, spec)
}

/// Three-dimensional transposed convolution.
///
/// # Formula
///
/// `y[n, o, l] = b[o] + Σ x[n, c, i] · weight[c, o, p]` over all `(c, i, p)` with `i·s + p·d − padding = l`, where `l`, `i`,
/// `p`, `s`, `d` and the padding have an entry for each of (depth, height, width), the channels `c` in the group of `o`.
///
/// # Shapes
///
/// `x`: `[N, C_in, D, H, W]` or unbatched `[C_in, D, H, W]`; `weight`: `[C_in, C_out / groups, K_d, K_h, K_w]`; `bias`:
/// `[C_out]`; the result: `[N, C_out, D_out, H_out, W_out]`, each extent as [`conv_transpose2d`] has it.
///
/// # Gradient
///
/// That of [`conv_transpose2d`] over three axes: for `x`, `weight` and `bias`, each only where it is wanted, and each
/// differentiable again.
///
/// # Errors
///
/// As [`conv_transpose2d`].
///
/// # Source
///
/// As [`conv_transpose2d`]; the semantics are those of `torch.nn.functional.conv_transpose3d`.
///
/// ```
/// use candle_core::{DType, Device, Tensor};
/// use taper_ops::{ConvTransposeSpec, conv_transpose3d};
///
/// let x = Tensor::ones((2, 3, 4, 5, 6), DType::F32, &Device::Cpu)?;
/// let weight = Tensor::ones((3, 2, 1, 2, 2), DType::F32, &Device::Cpu)?;
/// let y = conv_transpose3d(&x, &weight, None, &ConvTransposeSpec::default().stride([1, 2, 2]))?;
/// assert_eq!(y.dims(), [2, 2, 4, 10, 12]);
/// # Ok::<(), candle_core::Error>(())
/// ```
pub fn conv_transpose3d(
    x: &Tensor,
    weight: &Tensor,
    bias: Option<&Tensor>,
    spec: &ConvTransposeSpec<3>,
) -> Result<Tensor> {
    conv_transpose("conv_transpose3d", x, weight, bias, spec)
}

fn conv_transpose<const D: usize>(
    op: &'static str,
    x: &Tensor,
    weight: &Tensor,
    bias: Option<&Tensor>,
    spec: &ConvTransposeSpec<D>,
) -> Result<Tensor> {
    if x.rank() == D + 1 {
        return Ok(conv_transpose(op, &x.unsqueeze(0)?, weight, bias, spec)?.squeeze(0)?);
    }
    let dims = spec.dims(op, x.dims(), weight.dims())?;
    same_dtype(op, x, weight)?;
    Ok(match bias {
        None => InputGrad(dims).apply([x, weight])?,
        Some(bias) => {
            same_dtype(op, x, bias)?;
            // The output is the input of the convolution that this one transposes.
            expect_shape(op, "bias", &[dims.c_in], bias)?;
            InputGrad(dims).apply([x, weight, bias])?
        }
    })
}
