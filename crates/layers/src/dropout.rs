//! Dropout, the layers that differ between training and evaluation.

use crate::Layer;
use crate::observe::Observed;
use candle_core::{Result, Tensor};
use std::fmt::{Display, Formatter};
use taper_ops::{
    Draw, Error, Mode, alpha_dropout, drop_block2d, drop_path, dropout, dropout1d, dropout2d, dropout3d,
    feature_alpha_dropout,
};

/// Layers that a probability describes: each is its operator in training and passes its input on in evaluation.
macro_rules! layers {
    ($($(#[$doc:meta])* $name:ident: $operator:ident;)*) => {$(
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq)]
        pub struct $name {
            p: f64,
        }

        impl $name {
            /// Dropout with probability `p`.
            pub fn new(p: f64) -> Self {
                Self { p }
            }
        }

        impl Layer for $name {
            fn forward_in(&self, x: &Tensor, mode: &Mode) -> Result<Tensor> {
                self.report(x, drawn(stringify!($name), x, self.p, mode, |draw| $operator(x, self.p, draw)))
            }
        }

        impl Observed for $name {
            fn kind(&self) -> &str {
                stringify!($name)
            }
        }

        impl Display for $name {
            fn fmt(&self, f: &mut Formatter<'_>) -> std::fmt::Result {
                write!(f, concat!(stringify!($name), "(p={})"), self.p)
            }
        }
    )*};
}

layers! {
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
    Dropout: dropout;

    /// [`Dropout`] of whole channels of `[N, C, L]` or `[C, L]`: [`dropout1d`].
    ///
    /// ```
    /// use candle_core::{DType, Device, Module, Tensor};
    /// use taper_layers::{Dropout1d, Layer};
    ///
    /// let x = Tensor::ones((2, 3, 4), DType::F32, &Device::Cpu)?;
    /// for channel in Dropout1d::new(0.5).train(42, 0, 0).forward(&x)?.flatten_to(1)?.to_vec2::<f32>()? {
    ///     assert!(channel == [0.; 4] || channel == [2.; 4]);
    /// }
    /// # Ok::<(), candle_core::Error>(())
    /// ```
    Dropout1d: dropout1d;

    /// [`Dropout`] of whole channels of `[N, C, H, W]` or `[C, H, W]`: [`dropout2d`].
    ///
    /// ```
    /// use candle_core::{DType, Device, Module, Tensor};
    /// use taper_layers::{Dropout2d, Layer};
    ///
    /// let x = Tensor::ones((2, 3, 4, 5), DType::F32, &Device::Cpu)?;
    /// let y = Dropout2d::new(0.5).train(42, 0, 0).forward(&x)?.flatten_from(2)?.flatten_to(1)?;
    /// for channel in y.to_vec2::<f32>()? {
    ///     assert!(channel == [0.; 20] || channel == [2.; 20]);
    /// }
    /// # Ok::<(), candle_core::Error>(())
    /// ```
    Dropout2d: dropout2d;

    /// [`Dropout`] of whole channels of `[N, C, D, H, W]` or `[C, D, H, W]`: [`dropout3d`].
    ///
    /// ```
    /// use candle_core::{DType, Device, Module, Tensor};
    /// use taper_layers::{Dropout3d, Layer};
    ///
    /// let x = Tensor::ones((2, 3, 1, 4, 5), DType::F32, &Device::Cpu)?;
    /// let y = Dropout3d::new(0.5).train(42, 0, 0).forward(&x)?.flatten_from(2)?.flatten_to(1)?;
    /// for channel in y.to_vec2::<f32>()? {
    ///     assert!(channel == [0.; 20] || channel == [2.; 20]);
    /// }
    /// # Ok::<(), candle_core::Error>(())
    /// ```
    Dropout3d: dropout3d;

    /// Dropout after a SELU, which keeps a mean of 0 and a variance of 1: [`alpha_dropout`].
    ///
    /// ```
    /// use candle_core::{DType, Device, Module, Tensor};
    /// use taper_layers::{AlphaDropout, Layer};
    ///
    /// let x = Tensor::zeros((100, 100), DType::F64, &Device::Cpu)?;
    /// let y = AlphaDropout::new(0.25).train(42, 0, 0).forward(&x)?;
    /// assert!(y.mean_all()?.to_scalar::<f64>()?.abs() < 0.05);
    /// # Ok::<(), candle_core::Error>(())
    /// ```
    AlphaDropout: alpha_dropout;

    /// [`AlphaDropout`] of whole channels of `[N, C, …]`: [`feature_alpha_dropout`].
    ///
    /// ```
    /// use candle_core::{DType, Device, Module, Tensor};
    /// use taper_layers::{FeatureAlphaDropout, Layer};
    ///
    /// let x = Tensor::zeros((2, 3, 4), DType::F32, &Device::Cpu)?;
    /// for channel in FeatureAlphaDropout::new(0.5).train(42, 0, 0).forward(&x)?.flatten_to(1)?.to_vec2::<f32>()? {
    ///     assert!(channel.iter().all(|&y| y == channel[0]));
    /// }
    /// # Ok::<(), candle_core::Error>(())
    /// ```
    FeatureAlphaDropout: feature_alpha_dropout;

    /// [`Dropout`] of whole samples, for the branch of a residual connection: stochastic depth, [`drop_path`].
    ///
    /// ```
    /// use candle_core::{DType, Device, Module, Tensor};
    /// use taper_layers::{DropPath, Layer};
    ///
    /// let x = Tensor::ones((4, 3), DType::F32, &Device::Cpu)?;
    /// for sample in DropPath::new(0.5).train(42, 0, 0).forward(&x)?.to_vec2::<f32>()? {
    ///     assert!(sample == [0.; 3] || sample == [2.; 3]);
    /// }
    /// # Ok::<(), candle_core::Error>(())
    /// ```
    DropPath: drop_path;
}

/// Sets square blocks of each feature map to zero in training: [`drop_block2d`]. In evaluation the input passes unchanged.
///
/// # Errors
///
/// A `p` outside [0, 1] and a `block_size` of 0 are refused by the first forward pass, in evaluation too.
///
/// ```
/// use candle_core::{DType, Device, Module, Tensor};
/// use taper_layers::{DropBlock2d, Layer};
///
/// let x = Tensor::ones((2, 3, 14, 14), DType::F64, &Device::Cpu)?;
/// let y = DropBlock2d::new(0.1, 3).train(42, 0, 0).forward(&x)?;
/// assert!((y.mean_all()?.to_scalar::<f64>()? - 1.).abs() < 1e-12);
/// # Ok::<(), candle_core::Error>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct DropBlock2d {
    p: f64,
    block_size: usize,
}

impl DropBlock2d {
    /// Dropout of about the share `p` of each map, in squares of `block_size`.
    pub fn new(p: f64, block_size: usize) -> Self {
        Self { p, block_size }
    }
}

impl Layer for DropBlock2d {
    fn forward_in(&self, x: &Tensor, mode: &Mode) -> Result<Tensor> {
        let &Self { p, block_size } = self;
        if block_size == 0 {
            return Err(Error::NotPositive { op: "DropBlock2d", argument: "block_size", value: vec![0] }.into());
        }
        self.report(x, drawn("DropBlock2d", x, p, mode, |draw| drop_block2d(x, p, block_size, draw)))
    }
}

impl Observed for DropBlock2d {
    fn kind(&self) -> &str {
        "DropBlock2d"
    }
}

impl Display for DropBlock2d {
    fn fmt(&self, f: &mut Formatter<'_>) -> std::fmt::Result {
        write!(f, "DropBlock2d(p={}, block_size={})", self.p, self.block_size)
    }
}

/// `operator` of the mode's next draw; `x` where there is none.
fn drawn(
    op: &'static str,
    x: &Tensor,
    p: f64,
    mode: &Mode,
    operator: impl Fn(Draw) -> taper_ops::Result<Tensor>,
) -> taper_ops::Result<Tensor> {
    if !(0.0..=1.0).contains(&p) {
        return Err(Error::Probability { op, p });
    }
    match mode.draw() {
        Some(draw) => operator(draw),
        None => Ok(x.clone()),
    }
}
