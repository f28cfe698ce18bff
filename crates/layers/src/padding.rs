//! Padding layers over one, two and three axes.

use crate::observe::Observed;
use candle_core::{Module, Result, Tensor};
use std::fmt::{Display, Formatter};
use taper_ops::{PadMode, pad1d, pad2d, pad3d};

/// A layer that pads in one mode, and its names over one, two and three axes.
macro_rules! padding_layer {
    ($layer:ident, $mode:expr, $what:literal, $one:ident, $two:ident, $three:ident) => {
        #[doc = concat!("Margins of ", $what, " around the last `D` axes: [`pad1d`], [`pad2d`], [`pad3d`].")]
        ///
        /// ```
        /// use candle_core::{DType, Device, Module, Tensor};
        #[doc = concat!("use taper_layers::", stringify!($two), ";")]
        ///
        /// // PyTorch's list, which is what is printed, begins with the innermost axis.
        #[doc = concat!("let pad = ", stringify!($two), "::new([(1, 0), (2, 3)]);")]
        #[doc = concat!("assert_eq!(pad.to_string(), \"", stringify!($two), "((2, 3, 1, 0))\");")]
        /// let x = Tensor::zeros((2, 3, 4, 5), DType::F32, &Device::Cpu)?;
        /// assert_eq!(pad.forward(&x)?.dims(), [2, 3, 5, 10]);
        /// # Ok::<(), candle_core::Error>(())
        /// ```
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub struct $layer<const D: usize> {
            padding: [(usize, usize); D],
        }

        #[doc = concat!("Margins of ", $what, " at both ends of the last axis. See [`", stringify!($layer), "`].")]
        pub type $one = $layer<1>;
        #[doc = concat!("Margins of ", $what, " around every plane. See [`", stringify!($layer), "`].")]
        pub type $two = $layer<2>;
        #[doc = concat!("Margins of ", $what, " around every volume. See [`", stringify!($layer), "`].")]
        pub type $three = $layer<3>;

        impl<const D: usize> $layer<D> {
            const NAME: &str = ["", stringify!($one), stringify!($two), stringify!($three)][D];

            /// Margins of (before, after) an axis, the outermost axis first.
            pub fn new(padding: [(usize, usize); D]) -> Self {
                Self { padding }
            }
        }

        impl<const D: usize> Module for $layer<D> {
            fn forward(&self, x: &Tensor) -> Result<Tensor> {
                self.report(x, pad(x, self.padding, $mode))
            }
        }

        impl<const D: usize> Observed for $layer<D> {
            fn kind(&self) -> &str {
                Self::NAME
            }
        }

        impl<const D: usize> Display for $layer<D> {
            fn fmt(&self, f: &mut Formatter<'_>) -> std::fmt::Result {
                write!(f, "{}({})", Self::NAME, innermost_first(self.padding))
            }
        }
    };
}

padding_layer!(ZeroPad, PadMode::Constant(0.), "zeros", ZeroPad1d, ZeroPad2d, ZeroPad3d);
padding_layer!(
    ReflectionPad,
    PadMode::Reflect,
    "the mirrored input",
    ReflectionPad1d,
    ReflectionPad2d,
    ReflectionPad3d
);
padding_layer!(
    ReplicationPad,
    PadMode::Replicate,
    "the outermost elements",
    ReplicationPad1d,
    ReplicationPad2d,
    ReplicationPad3d
);
padding_layer!(CircularPad, PadMode::Circular, "the input's other end", CircularPad1d, CircularPad2d, CircularPad3d);

/// Margins of a constant around the last `D` axes: [`pad1d`], [`pad2d`], [`pad3d`].
///
/// ```
/// use candle_core::{DType, Device, Module, Tensor};
/// use taper_layers::ConstantPad2d;
///
/// // PyTorch's list, which is what is printed, begins with the innermost axis.
/// let pad = ConstantPad2d::new([(1, 0), (2, 3)], 1.5);
/// assert_eq!(pad.to_string(), "ConstantPad2d(padding=(2, 3, 1, 0), value=1.5)");
/// let x = Tensor::zeros((2, 3, 4, 5), DType::F32, &Device::Cpu)?;
/// assert_eq!(pad.forward(&x)?.dims(), [2, 3, 5, 10]);
/// # Ok::<(), candle_core::Error>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ConstantPad<const D: usize> {
    padding: [(usize, usize); D],
    value: f64,
}

/// Margins of a constant at both ends of the last axis. See [`ConstantPad`].
pub type ConstantPad1d = ConstantPad<1>;
/// Margins of a constant around every plane. See [`ConstantPad`].
pub type ConstantPad2d = ConstantPad<2>;
/// Margins of a constant around every volume. See [`ConstantPad`].
pub type ConstantPad3d = ConstantPad<3>;

impl<const D: usize> ConstantPad<D> {
    const NAME: &str = ["", "ConstantPad1d", "ConstantPad2d", "ConstantPad3d"][D];

    /// Margins of (before, after) an axis, the outermost axis first, that hold `value`.
    pub fn new(padding: [(usize, usize); D], value: f64) -> Self {
        Self { padding, value }
    }
}

impl<const D: usize> Module for ConstantPad<D> {
    fn forward(&self, x: &Tensor) -> Result<Tensor> {
        self.report(x, pad(x, self.padding, PadMode::Constant(self.value)))
    }
}

impl<const D: usize> Observed for ConstantPad<D> {
    fn kind(&self) -> &str {
        Self::NAME
    }
}

impl<const D: usize> Display for ConstantPad<D> {
    fn fmt(&self, f: &mut Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}(padding={}, value={:?})", Self::NAME, innermost_first(self.padding), self.value)
    }
}

fn pad<const D: usize>(x: &Tensor, padding: [(usize, usize); D], mode: PadMode) -> taper_ops::Result<Tensor> {
    const { assert!(0 < D && D <= 3, "padding runs over one to three axes") };
    match *padding.as_slice() {
        [width] => pad1d(x, width, mode),
        [height, width] => pad2d(x, [height, width], mode),
        _ => pad3d(x, std::array::from_fn(|axis| padding[axis]), mode),
    }
}

/// PyTorch's list of paddings.
fn innermost_first<const D: usize>(padding: [(usize, usize); D]) -> String {
    let sides: Vec<String> = padding.iter().rev().map(|(before, after)| format!("{before}, {after}")).collect();
    format!("({})", sides.join(", "))
}
