//! The cross entropy between scores and classes, fused with its gradient.

mod autograd;
mod cpu;
mod cuda;
mod second_order;
mod spec;

pub use spec::CrossEntropySpec;

use crate::Result;
use crate::operator::Apply;
use autograd::CrossEntropy;
use candle_core::Tensor;
use spec::{Loss, Target};

/// The cross entropy between the softmax of `logits` and `target`.
///
/// # Formula
///
/// `loss[n] = −Σ_c q[n, c] · log softmax(logits[n])[c]`, where, with ε = `label_smoothing` and w = `weight`,
/// - for class indices, `q[n, c] = (1 − ε) · w[c] · [c = target[n]] + ε / C · w[c]`, and 0 where `target[n]` is
///   `ignore_index`;
/// - for class probabilities, `q[n, c] = w[c] · ((1 − ε) · target[n, c] + ε / C)`.
///
/// A term with `q[n, c] = 0` is 0 even where the logarithm is −∞, so a logit of −∞ excludes a class (with class
/// probabilities the reference gives NaN). [`Reduction`](crate::Reduction) says what becomes of the losses. The softmax is taken after its
/// largest logit is subtracted, so large logits do not overflow.
///
/// # Shapes
///
/// `logits`: `[N, C]`, `[N, C, d₁, …]` or unbatched `[C]`; `target`: that shape without `C` for class indices (u8, u32,
/// i64), the same shape for class probabilities (the dtype of the logits). The result: the shape of class indices with
/// [`Reduction::None`](crate::Reduction::None), else a scalar.
///
/// # Gradient
///
/// `dlogits[n, c] = dloss[n] · (softmax(logits[n])[c] · Σ_k q[n, k] − q[n, c])`, exactly 0 at ignored positions; for class
/// probabilities also `dtarget[n, c] = −dloss[n] · w[c] · (1 − ε) · log softmax(logits[n])[c]`.
///
/// # Errors
///
/// Shapes that do not belong together, a class index outside `0 … C − 1`, a label smoothing outside [0, 1], an
/// `ignore_index` of 0 or more with class probabilities, dtypes other than those named (bf16, f16, f32 and f64 for the logits). A mean
/// over nothing, where every target is ignored or there are no samples, has no value and is refused; the reference gives
/// NaN. On a CUDA device class indices are refused there too, for one wait for the device a call.
///
/// # Source
///
/// Label smoothing: Szegedy, Vanhoucke, Ioffe, Shlens, Wojna, "Rethinking the Inception architecture for computer vision",
/// CVPR 2016; the semantics are those of `torch.nn.functional.cross_entropy`.
///
/// ```
/// use candle_core::{Device, Tensor};
/// use taper_ops::{CrossEntropySpec, cross_entropy};
///
/// let logits = Tensor::zeros((2, 4), candle_core::DType::F64, &Device::Cpu)?;
/// let target = Tensor::new(&[3u32, 0], &Device::Cpu)?;
/// let loss = cross_entropy(&logits, &target, &CrossEntropySpec::default())?;
/// assert!((loss.to_scalar::<f64>()? - 4f64.ln()).abs() < 1e-12);
/// # Ok::<(), candle_core::Error>(())
/// ```
pub fn cross_entropy(logits: &Tensor, target: &Tensor, spec: &CrossEntropySpec) -> Result<Tensor> {
    let loss = Loss::new("cross_entropy", logits, target, spec)?;
    let probabilities = matches!(loss.target, Target::Probabilities);
    let op = CrossEntropy::new(loss);
    Ok(if probabilities { op.apply([logits, target])? } else { op.apply([logits])? })
}
