//! Local response normalisation, composed of a pooling over the channels and of candle's elementwise operators.

use crate::storage::SUPPORTED;
use crate::{AvgPoolSpec, Error, Result, avg_pool2d};
use candle_core::Tensor;

/// Divides each element by a power of the mean square of its neighbours in the channels.
///
/// # Formula
///
/// `y[n, c, …] = x[n, c, …] / (k + alpha · s[n, c, …])^beta`, where s is the sum of `x[n, j, …]²` for j from `c − ⌊size / 2⌋` to
/// `c + ⌊(size − 1) / 2⌋`, channels that do not exist counting 0, divided by `size`.
///
/// # Shapes
///
/// `x`: `[N, C, …]` with at least one axis behind C; the result has the same.
///
/// # Gradient
///
/// That of its parts, of every order.
///
/// # Errors
///
/// Fewer than three axes, a `size` of 0, a negative or not finite `alpha`, `beta` or `k` (the reference takes them, and may
/// give NaN), a `k` of 0 (with it, zeros would be divided by zero), dtypes other than bf16, f16, f32 and f64.
///
/// # Source
///
/// Krizhevsky, Sutskever, Hinton, "ImageNet classification with deep convolutional neural networks", NeurIPS 2012; the
/// semantics are those of `torch.nn.functional.local_response_norm`.
///
/// ```
/// use candle_core::{Device, Tensor};
/// use taper_ops::local_response_norm;
///
/// let x = Tensor::new(&[[[3f64], [1.]]], &Device::Cpu)?;
/// let y = local_response_norm(&x, 2, 2., 1., 1.)?;
/// assert_eq!(y.flatten_all()?.to_vec1::<f64>()?, [3. / 10., 1. / 11.]);
/// # Ok::<(), candle_core::Error>(())
/// ```
pub fn local_response_norm(x: &Tensor, size: usize, alpha: f64, beta: f64, k: f64) -> Result<Tensor> {
    let op = "local_response_norm";
    let &[samples, channels, _, ..] = x.dims() else {
        return Err(Error::Rank { op, argument: "input", expected: "3 or more", shape: x.dims().to_vec() });
    };
    if size == 0 {
        return Err(Error::NotPositive { op, argument: "size", value: vec![size] });
    }
    for (argument, value) in [("alpha", alpha), ("beta", beta)] {
        if !(value >= 0. && value.is_finite()) {
            return Err(Error::Value { op, argument, expected: "a finite number of at least 0", value });
        }
    }
    if !(k > 0. && k.is_finite()) {
        return Err(Error::Value { op, argument: "k", expected: "a finite number above 0", value: k });
    }
    if !x.dtype().is_float() {
        return Err(Error::DType { op, dtype: x.dtype(), supported: SUPPORTED });
    }
    if x.elem_count() == 0 {
        return Ok(x.clone());
    }
    // A square window's worth of padding before the first channel; an even size has one less behind the last, so that the
    // last window is cut off.
    let spec = AvgPoolSpec::new([size, 1]).stride(1).padding([size / 2, 0]);
    let squares = x.sqr()?.reshape((samples, channels, x.elem_count() / samples / channels))?;
    let means = avg_pool2d(&squares, &spec)?.narrow(1, 0, channels)?.reshape(x.shape())?;
    Ok(x.div(&means.affine(alpha, k)?.powf(beta)?)?)
}
