//! Dropout of elements, channels and samples, with counter-based masks.

mod alpha;
mod autograd;
mod channels;
mod cpu;
mod cuda;
mod spec;

pub use alpha::{alpha_dropout, feature_alpha_dropout};
pub use channels::{dropout1d, dropout2d, dropout3d};
pub(crate) use spec::check as check_probability;

use crate::operator::Apply;
use crate::{Draw, Error, Result};
use autograd::Dropout;
use candle_core::Tensor;
use spec::Mask;

/// Sets each element to zero with probability `p` and scales the others so that the expectation stays.
///
/// # Formula
///
/// `y = x / (1 − p)` where `word(e) ≥ ⌊p · 2³²⌋`, and exactly 0 elsewhere, whatever `x` was (NaN and infinities too).
/// `word(e)` is word `e mod 4` of [`philox4x32`](crate::random::philox4x32)`(draw.seed,`
/// [`counter`](crate::random::counter)`(e / 4, draw.step, draw.layer))`, and `e` is the element's index in the whole batch:
/// `draw.first_sample ·` (elements a sample) `+` its row-major index in `x`.
///
/// With `p = 0` the result is `x` itself, without a copy; with `p = 1` it is zero. In evaluation there is no [`Draw`] and
/// nothing to call.
///
/// # Shapes
///
/// Any shape, whose first axis counts the samples; the result has the same.
///
/// # Gradient
///
/// `dx = dy / (1 − p)` where the element was kept, and 0 elsewhere. The mask is drawn again, never stored.
///
/// # Errors
///
/// `p` outside [0, 1] or NaN, element indices beyond 64 bits, dtypes other than bf16, f16, f32 and f64.
///
/// # Source
///
/// Srivastava, Hinton, Krizhevsky, Sutskever, Salakhutdinov, "Dropout: a simple way to prevent neural networks from
/// overfitting", JMLR 15, 2014; the semantics are those of `torch.nn.functional.dropout`, save that a dropped NaN is 0.
///
/// ```
/// use candle_core::{DType, Device, Tensor};
/// use taper_ops::{Mode, dropout};
///
/// let x = Tensor::ones((2, 3), DType::F32, &Device::Cpu)?;
/// let mode = Mode::train(42, 0, 0);
/// let y = dropout(&x, 0.5, mode.draw().unwrap())?;
/// assert!(y.flatten_all()?.to_vec1::<f32>()?.iter().all(|&y| y == 0. || y == 2.));
/// # Ok::<(), candle_core::Error>(())
/// ```
pub fn dropout(x: &Tensor, p: f64, draw: Draw) -> Result<Tensor> {
    apply(Mask::new("dropout", x.shape(), 1..x.rank(), p, draw)?, p, x)
}

/// Sets whole samples to zero with probability `p` and scales the others so that the expectation stays.
///
/// Added to a residual connection, as `x + drop_path(&f(x), p, draw)`, it skips the branch for some samples: stochastic
/// depth.
///
/// # Formula
///
/// [`dropout`]'s, with one draw for all of a sample: `e = draw.first_sample + n`.
///
/// With `p = 0` the result is `x` itself, without a copy; with `p = 1` it is zero. What is dropped is 0, whatever `x` was.
///
/// # Shapes
///
/// `[N, …]` of any rank from 1 on, of bf16, f16, f32 or f64 and any layout; the result has the same.
///
/// # Gradient
///
/// `dx = dy / (1 − p)` where the sample was kept, and 0 elsewhere. The mask is drawn again, never stored.
///
/// # Errors
///
/// [`Probability`](crate::Error::Probability), [`Rank`](crate::Error::Rank), [`Overflow`](crate::Error::Overflow) (draws
/// beyond 64 bits) and [`DType`](crate::Error::DType).
///
/// # Source
///
/// Huang, Sun, Liu, Sedra, Weinberger, "Deep networks with stochastic depth", ECCV 2016, in the form of Larsson, Maire,
/// Shakhnarovich, "FractalNet", ICLR 2017, that scales in training; the semantics are those of
/// `torchvision.ops.stochastic_depth` in its mode `row`, save that a dropped NaN is 0.
///
/// ```
/// use candle_core::{DType, Device, Tensor};
/// use taper_ops::{Mode, drop_path};
///
/// let x = Tensor::ones((4, 3, 2), DType::F32, &Device::Cpu)?;
/// let y = drop_path(&x, 0.5, Mode::train(42, 0, 0).draw().unwrap())?;
/// for sample in y.flatten_from(1)?.to_vec2::<f32>()? {
///     assert!(sample.iter().all(|&y| y == 0.) || sample.iter().all(|&y| y == 2.));
/// }
/// # Ok::<(), candle_core::Error>(())
/// ```
pub fn drop_path(x: &Tensor, p: f64, draw: Draw) -> Result<Tensor> {
    let op = "drop_path";
    if x.rank() == 0 {
        return Err(Error::Rank { op, argument: "input", expected: "at least 1", shape: vec![] });
    }
    apply(Mask::new(op, x.shape(), 1..1, p, draw)?, p, x)
}

/// `x` under the mask; where nothing is dropped, `x` itself.
fn apply(mask: Mask, p: f64, x: &Tensor) -> Result<Tensor> {
    if p == 0. {
        return Ok(x.clone());
    }
    Ok(Dropout(mask).apply([x])?)
}
