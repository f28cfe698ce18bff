//! The windows of a convolution as columns, and back.

mod autograd;
mod cpu;
mod cuda;
mod spec;

pub use spec::UnfoldSpec;

use crate::Result;
use crate::linear_map::{self, Transpose};
use crate::operator::Apply;
use candle_core::Tensor;
use std::sync::Arc;

/// Every window of an image as a column (im2col).
///
/// # Formula
///
/// `y[n, (c·K_h + p)·K_w + q, i·L_w + j] = x[n, c, i·s_h − p_h + p·d_h, j·s_w − p_w + q·d_w]`, and 0 where that lies outside
/// `x`.
///
/// # Shapes
///
/// `[N, C, H, W]` to `[N, C·K_h·K_w, L_h·L_w]`, or `[C, H, W]` to `[C·K_h·K_w, L_h·L_w]`, with `L_h = ⌊(H + 2p − d(K_h − 1) −
/// 1) / s⌋ + 1` windows along the height; `N` may be 0.
///
/// # Gradient
///
/// [`fold2d`] of `dy`. It is differentiable itself.
///
/// # Errors
///
/// [`Rank`](crate::Error::Rank), [`NotPositive`](crate::Error::NotPositive) (kernel size, dilation, stride, an extent),
/// [`KernelTooLarge`](crate::Error::KernelTooLarge), [`Overflow`](crate::Error::Overflow) and
/// [`DType`](crate::Error::DType).
///
/// # Source
///
/// Chellapilla, Puri and Simard, "High performance convolutional neural networks for document processing", 2006; the
/// semantics are those of `torch.nn.functional.unfold`.
///
/// ```
/// use candle_core::{Device, Tensor};
/// use taper_ops::{UnfoldSpec, unfold2d};
///
/// let x = Tensor::new(&[[[1f32, 2., 3.], [4., 5., 6.]]], &Device::Cpu)?;
/// let columns = unfold2d(&x, &UnfoldSpec::new(2))?;
/// assert_eq!(columns.to_vec2::<f32>()?, [[1., 2.], [2., 3.], [4., 5.], [5., 6.]]);
/// # Ok::<(), candle_core::Error>(())
/// ```
pub fn unfold2d(x: &Tensor, spec: &UnfoldSpec) -> Result<Tensor> {
    linear_map::apply(spec.unfold_dims("unfold2d", x.dims())?, x)
}

/// Columns put back into an image, adding where windows overlap (col2im): the transpose of [`unfold2d`].
///
/// # Formula
///
/// `y[n, c, h, w]` is the sum of those elements of `x` that stand for it in [`unfold2d`] of an image of `output_size`.
///
/// # Shapes
///
/// `[N, C·K_h·K_w, L_h·L_w]` to `[N, C, H, W]`, or without `N`; `output_size` is `[H, W]`, which the stride leaves open.
///
/// # Gradient
///
/// [`unfold2d`] of `dy`. It is differentiable itself.
///
/// # Errors
///
/// As [`unfold2d`], and [`Shape`](crate::Error::Shape) for columns that are not those of an image of `output_size`.
///
/// # Source
///
/// The semantics are those of `torch.nn.functional.fold`.
///
/// ```
/// use candle_core::{DType, Device, Tensor};
/// use taper_ops::{UnfoldSpec, fold2d};
///
/// // How many windows hold each element.
/// let ones = Tensor::ones((4, 2), DType::F32, &Device::Cpu)?;
/// let counts = fold2d(&ones, [2, 3], &UnfoldSpec::new(2))?;
/// assert_eq!(counts.squeeze(0)?.to_vec2::<f32>()?, [[1., 2., 1.], [1., 2., 1.]]);
/// # Ok::<(), candle_core::Error>(())
/// ```
pub fn fold2d(x: &Tensor, output_size: [usize; 2], spec: &UnfoldSpec) -> Result<Tensor> {
    Ok(Transpose(Arc::new(spec.fold_dims("fold2d", x.dims(), output_size)?)).apply([x])?)
}
