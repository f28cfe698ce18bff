//! Dropout with a counter-based mask.

mod autograd;
mod cpu;
mod spec;

use crate::operator::Apply;
use crate::{Draw, Result};
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
    let mask = Mask::new("dropout", x.shape(), p, draw)?;
    if p == 0. {
        return Ok(x.clone());
    }
    Ok(Dropout(mask).apply([x])?)
}
