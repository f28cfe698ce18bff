//! What a layer is: a function of a tensor and of whether the network trains.

use candle_core::{Module, ModuleT, Result, Tensor};
use taper_ops::Mode;

/// A part of a network.
///
/// Every candle [`Module`] is a layer that ignores the mode. A layer whose result depends on it, such as
/// [`Dropout`](crate::Dropout) or a network that holds one, implements this trait and *not* `Module`, so that no mode
/// can be forgotten; its views [`eval`](Self::eval) and [`train`](Self::train) are `Module`s.
///
/// ```
/// use candle_core::{DType, Device, Module, Result, Tensor};
/// use taper_layers::{Dropout, Layer, Linear, VarStore};
/// use taper_ops::Mode;
///
/// struct Net {
///     fc: Linear,
///     dropout: Dropout,
/// }
///
/// impl Layer for Net {
///     fn forward_in(&self, x: &Tensor, mode: &Mode) -> Result<Tensor> {
///         self.fc.forward(&self.dropout.forward_in(x, mode)?)
///     }
/// }
///
/// let store = VarStore::new(42, DType::F32, &Device::Cpu);
/// let net = Net { fc: Linear::new(3, 2, store.builder().pp("fc"))?, dropout: Dropout::new(0.5) };
/// let x = Tensor::ones((4, 3), DType::F32, &Device::Cpu)?;
/// assert_eq!(net.eval().forward(&x)?.dims(), [4, 2]);
/// assert_eq!(net.train(42, 0, 0).forward(&x)?.dims(), [4, 2]);
/// # Ok::<(), candle_core::Error>(())
/// ```
pub trait Layer {
    /// The layer's output for `x` in `mode`. A layer hands `mode` on to the layers it holds, in a fixed order: they
    /// draw their masks in the order of their calls.
    ///
    /// # Errors
    /// Those of the operators within: a shape or dtype they do not take.
    fn forward_in(&self, x: &Tensor, mode: &Mode) -> Result<Tensor>;

    /// This layer in evaluation, as a [`Module`].
    fn eval(&self) -> Eval<'_, Self>
    where
        Self: Sized,
    {
        Eval(self)
    }

    /// This layer in training step `step` of a run with this `seed`, on the samples from `first_sample` on of the
    /// step's batch, as a [`Module`]. Each forward through the view begins its draws anew: equal calls draw equal
    /// masks.
    fn train(&self, seed: u64, step: u32, first_sample: u64) -> Train<'_, Self>
    where
        Self: Sized,
    {
        Train { layer: self, seed, step, first_sample }
    }
}

impl<M: Module + ?Sized> Layer for M {
    fn forward_in(&self, x: &Tensor, _: &Mode) -> Result<Tensor> {
        self.forward(x)
    }
}

/// A layer in evaluation: see [`Layer::eval`].
#[derive(Debug)]
pub struct Eval<'a, L>(&'a L);

impl<L: Layer> Module for Eval<'_, L> {
    fn forward(&self, x: &Tensor) -> Result<Tensor> {
        self.0.forward_in(x, &Mode::eval())
    }
}

/// A layer in one training step: see [`Layer::train`].
#[derive(Debug)]
pub struct Train<'a, L> {
    layer: &'a L,
    seed: u64,
    step: u32,
    first_sample: u64,
}

impl<L: Layer> Module for Train<'_, L> {
    fn forward(&self, x: &Tensor) -> Result<Tensor> {
        self.layer.forward_in(x, &Mode::train(self.seed, self.step, self.first_sample))
    }
}

/// A candle [`ModuleT`] as a layer: its `train` flag follows the mode.
///
/// For what is a `ModuleT` and not a `Module`, as candle-nn's `BatchNorm`; a `Module` is a layer already.
///
/// ```
/// use candle_core::{DType, Device, Tensor};
/// use taper_layers::{Layer, ModuleTLayer, VarStore};
/// use taper_ops::Mode;
///
/// let store = VarStore::new(42, DType::F32, &Device::Cpu);
/// let norm = ModuleTLayer(candle_nn::batch_norm(3, 1e-5, store.builder().pp("bn"))?);
/// let x = Tensor::ones((2, 3, 4, 5), DType::F32, &Device::Cpu)?;
/// assert_eq!(norm.forward_in(&x, &Mode::train(42, 0, 0))?.dims(), [2, 3, 4, 5]);
/// # Ok::<(), candle_core::Error>(())
/// ```
#[derive(Debug, Clone)]
pub struct ModuleTLayer<M>(pub M);

impl<M: ModuleT> Layer for ModuleTLayer<M> {
    fn forward_in(&self, x: &Tensor, mode: &Mode) -> Result<Tensor> {
        self.0.forward_t(x, mode.is_training())
    }
}
