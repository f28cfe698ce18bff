//! Activations along an axis.

use crate::observe::Observed;
use candle_core::shape::{D, Dim};
use candle_core::{Module, Result, Tensor};
use std::fmt::{Display, Formatter};
use taper_ops::{glu, log_softmax, softmax};

/// A layer that is a function along an axis, and the extents that it makes of `[2, 6]` along the last.
macro_rules! activation {
    ($layer:ident, $function:ident, $what:literal, $extents:literal) => {
        #[doc = concat!($what, ": [`", stringify!($function), "`].")]
        ///
        /// # Errors
        ///
        /// The first forward pass refuses an axis that its input has not.
        ///
        /// ```
        /// use candle_core::{DType, Device, Module, Tensor};
        #[doc = concat!("use taper_layers::", stringify!($layer), ";")]
        ///
        #[doc = concat!("let layer = ", stringify!($layer), "::new(-1);")]
        #[doc = concat!("assert_eq!(layer.to_string(), \"", stringify!($layer), "(dim=-1)\");")]
        /// let x = Tensor::zeros((2, 6), DType::F32, &Device::Cpu)?;
        #[doc = concat!("assert_eq!(layer.forward(&x)?.dims(), ", $extents, ");")]
        /// # Ok::<(), candle_core::Error>(())
        /// ```
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub struct $layer {
            dim: i64,
        }

        impl $layer {
            /// Along the axis `dim`, counted from the last one, −1, where it is negative.
            pub fn new(dim: i64) -> Self {
                Self { dim }
            }
        }

        impl Module for $layer {
            fn forward(&self, x: &Tensor) -> Result<Tensor> {
                self.report(x, $function(x, index(self.dim, x, stringify!($layer))?))
            }
        }

        impl Observed for $layer {
            fn kind(&self) -> &str {
                stringify!($layer)
            }
        }

        impl Display for $layer {
            fn fmt(&self, f: &mut Formatter<'_>) -> std::fmt::Result {
                write!(f, "{}(dim={})", stringify!($layer), self.dim)
            }
        }
    };
}

activation!(Softmax, softmax, "Positive numbers that add up to 1 along an axis", "[2, 6]");
activation!(LogSoftmax, log_softmax, "The logarithm of the softmax along an axis", "[2, 6]");
activation!(GLU, glu, "The gated linear unit, in which one half of an axis gates the other", "[2, 3]");

/// The axis of `x` that `dim` counts.
fn index(dim: i64, x: &Tensor, op: &'static str) -> Result<usize> {
    let magnitude = usize::try_from(dim.unsigned_abs()).unwrap_or(usize::MAX);
    if dim < 0 { D::Minus(magnitude).to_index(x.shape(), op) } else { magnitude.to_index(x.shape(), op) }
}
