//! Dropout, the layer that differs between training and evaluation.

use crate::Layer;
use crate::observe::Observed;
use candle_core::{Result, Tensor};
use std::fmt::{Display, Formatter};
use taper_ops::{Error, Mode, dropout};

/// Sets each element to zero with probability `p` in training and scales the others by `1/(1 − p)`: [`dropout`].
/// In evaluation the input passes unchanged.
///
/// # Errors
///
/// A `p` outside [0, 1] is refused by the first forward pass, in evaluation too.
///
/// ```
/// use candle_core::{Device, Module, Tensor};
/// use taper_layers::{Dropout, Layer};
///
/// let dropout = Dropout::new(0.5);
/// let x = Tensor::arange(1f32, 9., &Device::Cpu)?.reshape((2, 4))?;
/// assert_eq!(dropout.eval().forward(&x)?.to_vec2::<f32>()?, x.to_vec2::<f32>()?);
/// let (seed, step) = (42, 7);
/// let once = dropout.train(seed, step, 0).forward(&x)?;
/// let again = dropout.train(seed, step, 0).forward(&x)?;
/// assert_eq!(once.to_vec2::<f32>()?, again.to_vec2::<f32>()?);
/// # Ok::<(), candle_core::Error>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Dropout {
    p: f64,
}

impl Dropout {
    /// Dropout of each element with probability `p`.
    pub fn new(p: f64) -> Self {
        Self { p }
    }
}

impl Layer for Dropout {
    fn forward_in(&self, x: &Tensor, mode: &Mode) -> Result<Tensor> {
        if !(0.0..=1.0).contains(&self.p) {
            return Err(Error::Probability { op: "Dropout", p: self.p }.into());
        }
        let output = match mode.draw() {
            Some(draw) => dropout(x, self.p, draw),
            None => Ok(x.clone()),
        };
        self.report(x, output)
    }
}

impl Observed for Dropout {
    fn kind(&self) -> &str {
        "Dropout"
    }
}

impl Display for Dropout {
    fn fmt(&self, f: &mut Formatter<'_>) -> std::fmt::Result {
        write!(f, "Dropout(p={})", self.p)
    }
}
