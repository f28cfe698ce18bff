//! Activations without options.

use crate::observe::Observed;
use candle_core::{Module, Result, Tensor};
use std::fmt::{Display, Formatter};
use taper_ops::{
    hardsigmoid, hardswish, logsigmoid, mish, relu, relu6, selu, sigmoid, silu, softsign, tanh, tanhshrink,
};

/// A layer that is one function, and its value at −4, 0 and 4.
macro_rules! activation {
    ($layer:ident, $function:ident, $what:literal, $values:literal) => {
        #[doc = concat!($what, ": [`", stringify!($function), "`].")]
        ///
        /// ```
        /// use candle_core::{Device, Module, Tensor};
        #[doc = concat!("use taper_layers::", stringify!($layer), ";")]
        ///
        /// let x = Tensor::new(&[-4f64, 0., 4.], &Device::Cpu)?;
        #[doc = concat!("let y = ", stringify!($layer), ".forward(&x)?.to_vec1::<f64>()?;")]
        #[doc = concat!("for (y, expected) in y.into_iter().zip(", $values, ") {")]
        ///     assert!(f64::abs(y - expected) < 1e-4);
        /// }
        /// # Ok::<(), candle_core::Error>(())
        /// ```
        #[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
        pub struct $layer;

        impl Module for $layer {
            fn forward(&self, x: &Tensor) -> Result<Tensor> {
                self.report(x, $function(x))
            }
        }

        impl Observed for $layer {
            fn kind(&self) -> &str {
                stringify!($layer)
            }
        }

        impl Display for $layer {
            fn fmt(&self, f: &mut Formatter<'_>) -> std::fmt::Result {
                f.write_str(concat!(stringify!($layer), "()"))
            }
        }
    };
}

activation!(ReLU, relu, "The rectified linear unit, `max(x, 0)`", "[0., 0., 4.]");
activation!(ReLU6, relu6, "The rectified linear unit, capped at 6", "[0., 0., 4.]");
activation!(SELU, selu, "The scaled exponential linear unit", "[-1.7259, 0., 4.2028]");
activation!(SiLU, silu, "The sigmoid linear unit, `x · σ(x)`, also called swish", "[-0.0719, 0., 3.9281]");
activation!(Mish, mish, "A smooth gate, `x · tanh(softplus(x))`", "[-0.0726, 0., 3.9974]");
activation!(Sigmoid, sigmoid, "The logistic function σ", "[0.0180, 0.5, 0.9820]");
activation!(LogSigmoid, logsigmoid, "The logarithm of the logistic function", "[-4.0181, -0.6931, -0.0181]");
activation!(Tanh, tanh, "The hyperbolic tangent", "[-0.9993, 0., 0.9993]");
activation!(Tanhshrink, tanhshrink, "What the hyperbolic tangent leaves, `x − tanh(x)`", "[-3.0007, 0., 3.0007]");
activation!(Softsign, softsign, "A sigmoid without exponentials, `x / (1 + |x|)`", "[-0.8, 0., 0.8]");
activation!(Hardsigmoid, hardsigmoid, "The sigmoid, of three straight pieces", "[0., 0.5, 1.]");
activation!(Hardswish, hardswish, "The SiLU with [`Hardsigmoid`] for its sigmoid", "[0., 0., 4.]");
