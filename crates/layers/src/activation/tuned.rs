//! Activations with numbers to choose.

use crate::observe::Observed;
use crate::parameters::float;
use candle_core::{Module, Result, Tensor};
use std::fmt::{Display, Formatter};
use taper_ops::{celu, elu, hardshrink, hardtanh, leaky_relu, softplus, softshrink, threshold};

/// A layer that is a function of its input and of numbers, in the order of the function's arguments, each with what PyTorch
/// prints before it; their defaults, where PyTorch has any; a call of `new` and what PyTorch prints for it.
macro_rules! activation {
    (
        $layer:ident, $function:ident, $what:literal,
        [$($number:ident $label:literal),+] $(or [$($default:literal),+])?,
        $call:literal => $text:literal
    ) => {
        #[doc = concat!($what, ": [`", stringify!($function), "`].")]
        ///
        /// # Errors
        ///
        /// The first forward pass refuses numbers that the function does not take.
        ///
        /// ```
        /// use candle_core::{Device, Module, Tensor};
        #[doc = concat!("use taper_layers::", stringify!($layer), ";")]
        #[doc = concat!("use taper_ops::", stringify!($function), ";")]
        ///
        #[doc = concat!("let layer = ", stringify!($layer), "::new(", $call, ");")]
        #[doc = concat!("assert_eq!(layer.to_string(), \"", $text, "\");")]
        /// let x = Tensor::new(&[-4f32, 0., 4.], &Device::Cpu)?;
        #[doc = concat!("let y = ", stringify!($function), "(&x, ", $call, ")?;")]
        /// assert_eq!(layer.forward(&x)?.to_vec1::<f32>()?, y.to_vec1::<f32>()?);
        /// # Ok::<(), candle_core::Error>(())
        /// ```
        #[derive(Debug, Clone, Copy, PartialEq)]
        pub struct $layer {
            $($number: f64,)+
        }

        impl $layer {
            #[doc = concat!("The function with these numbers; [`", stringify!($function), "`] says what they are.")]
            pub fn new($($number: f64),+) -> Self {
                Self { $($number),+ }
            }
        }

        $(
            impl Default for $layer {
                /// PyTorch's.
                fn default() -> Self {
                    Self::new($($default),+)
                }
            }
        )?

        impl Module for $layer {
            fn forward(&self, x: &Tensor) -> Result<Tensor> {
                self.report(x, $function(x, $(self.$number),+))
            }
        }

        impl Observed for $layer {
            fn kind(&self) -> &str {
                stringify!($layer)
            }
        }

        impl Display for $layer {
            fn fmt(&self, f: &mut Formatter<'_>) -> std::fmt::Result {
                let numbers = [$(format!("{}{}", $label, float(self.$number))),+];
                write!(f, "{}({})", stringify!($layer), numbers.join(", "))
            }
        }
    };
}

activation!(
    LeakyReLU, leaky_relu, "The rectified linear unit with a slope on its left side",
    [negative_slope "negative_slope="] or [0.01],
    "0.25" => "LeakyReLU(negative_slope=0.25)"
);
activation!(
    ELU, elu, "The exponential linear unit",
    [alpha "alpha="] or [1.],
    "1.5" => "ELU(alpha=1.5)"
);
activation!(
    CELU, celu, "The exponential linear unit with a continuous slope",
    [alpha "alpha="] or [1.],
    "1.5" => "CELU(alpha=1.5)"
);
activation!(
    Softplus, softplus, "A smooth rectifier",
    [beta "beta=", threshold "threshold="] or [1., 20.],
    "2., 10." => "Softplus(beta=2.0, threshold=10.0)"
);
activation!(
    Hardtanh, hardtanh, "Every element, held between two bounds",
    [min_val "min_val=", max_val "max_val="] or [-1., 1.],
    "-2., 0.5" => "Hardtanh(min_val=-2.0, max_val=0.5)"
);
activation!(
    Hardshrink, hardshrink, "Zero for small elements",
    [lambda ""] or [0.5],
    "1.5" => "Hardshrink(1.5)"
);
activation!(
    Softshrink, softshrink, "Every element, moved towards zero as far as zero",
    [lambda ""] or [0.5],
    "1.5" => "Softshrink(1.5)"
);
activation!(
    Threshold, threshold, "Another value for what does not exceed a threshold",
    [threshold "threshold=", value "value="],
    "0.5, 20." => "Threshold(threshold=0.5, value=20.0)"
);
