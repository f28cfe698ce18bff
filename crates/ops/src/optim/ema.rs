//! The exponential moving average of a tensor.

use super::{cpu, inplace};
use crate::Result;
use candle_core::{Tensor, Var};

/// Moves `average` towards `tensor`, in place.
///
/// # Formula
/// `a ← a + (1 − decay)(x − a)`.
///
/// # Shapes
/// Both have one shape. `tensor` may be strided or broadcast.
///
/// # Errors
/// When shapes or dtypes differ, the dtype is neither f32 nor f64, or the two share their storage.
///
/// # Source
/// Polyak, Juditsky, "Acceleration of stochastic approximation by averaging", 1992, with exponential weights;
/// `torch.optim.swa_utils.get_ema_multi_avg_fn`.
///
/// ```
/// use candle_core::{Device, Tensor, Var};
/// use taper_ops::optim::ema_step;
///
/// let average = Var::new(&[1f32, -2.], &Device::Cpu)?;
/// ema_step(&average, &Tensor::new(&[5f32, 2.], &Device::Cpu)?, 0.75)?;
/// assert_eq!(average.to_vec1::<f32>()?, [2., -1.]);
/// # Ok::<(), candle_core::Error>(())
/// ```
pub fn ema_step(average: &Var, tensor: &Tensor, decay: f64) -> Result<()> {
    inplace::apply("ema_step", tensor, [average], &cpu::Ema { decay })
}
