//! Layers one after another.

use crate::Layer;
use crate::fuse::{self, AnyLayer};
use crate::observe::{Cost, Observed, is_observed};
use candle_core::{Result, Tensor};
use std::fmt::{Debug, Display, Formatter};
use taper_ops::Mode;

/// Layers applied one after another.
///
/// It takes this crate's layers, candle's modules, closures and layers of your own, and displays itself as a tree. A
/// convolution, a [`Linear`](crate::Linear) or, in training, a batch normalisation runs as one with a [`ReLU`](crate::ReLU)
/// behind it, and with a max pooling behind that: to the bit what they give one after the other.
///
/// ```
/// use candle_core::{DType, Device, Module, Tensor};
/// use taper_layers::{Dropout, Layer, Linear, ReLU, Sequential, VarStore};
///
/// let store = VarStore::new(42, DType::F32, &Device::Cpu);
/// let vb = store.builder();
/// let net = Sequential::new()
///     .add(Linear::new(6, 4, vb.pp("fc1"))?)
///     .add(ReLU)
///     .add(Dropout::new(0.5))
///     .add_module("Gelu", candle_nn::Activation::Gelu)
///     .add_module("Double", |x: &Tensor| x * 2.0)
///     .add(Linear::new(4, 3, vb.pp("fc2"))?);
/// assert_eq!(
///     net.to_string(),
///     "Sequential(
///   (0): Linear(in_features=6, out_features=4, bias=True)
///   (1): ReLU()
///   (2): Dropout(p=0.5)
///   (3): Gelu
///   (4): Double
///   (5): Linear(in_features=4, out_features=3, bias=True)
/// )"
/// );
/// let x = Tensor::ones((2, 6), DType::F32, &Device::Cpu)?;
/// assert_eq!(net.eval().forward(&x)?.dims(), [2, 3]);
/// # Ok::<(), candle_core::Error>(())
/// ```
#[derive(Default)]
pub struct Sequential {
    layers: Vec<Entry>,
}

struct Entry {
    text: String,
    layer: Box<dyn AnyLayer>,
}

impl Sequential {
    /// No layers yet: the identity.
    pub fn new() -> Self {
        Self::default()
    }

    /// With `layer` after those already here.
    #[must_use]
    #[expect(clippy::should_implement_trait, reason = "the name candle's Sequential has for it; nothing is summed")]
    pub fn add(mut self, layer: impl Layer + Display + Send + Sync + 'static) -> Self {
        self.layers.push(Entry { text: layer.to_string(), layer: Box::new(layer) });
        self
    }

    /// With a layer that does not display itself, such as candle-nn's and closures: `label` stands for it in print and
    /// in [`observe`](crate::observe), where what it costs is not known.
    #[must_use]
    pub fn add_module(self, label: impl Into<String>, module: impl Layer + Send + Sync + 'static) -> Self {
        self.add(Labelled { label: label.into(), module })
    }

    /// The number of layers.
    pub fn len(&self) -> usize {
        self.layers.len()
    }

    /// Whether there is no layer.
    pub fn is_empty(&self) -> bool {
        self.layers.is_empty()
    }

    /// The layers in order.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = &(dyn Layer + Send + Sync)> {
        self.layers.iter().map(|entry| &*entry.layer as _)
    }
}

impl Layer for Sequential {
    fn forward_in(&self, x: &Tensor, mode: &Mode) -> Result<Tensor> {
        let layers: Vec<&dyn AnyLayer> = self.layers.iter().map(|entry| &*entry.layer).collect();
        // Who observes is to see every layer.
        let fuses = !is_observed();
        let (mut x, mut at) = (x.clone(), 0);
        while let Some(layer) = layers.get(at) {
            let fused = if fuses { fuse::front(&layers[at..], &x, mode) } else { None };
            let count;
            (x, count) = fused.unwrap_or_else(|| Ok((layer.forward_in(&x, mode)?, 1)))?;
            at += count;
        }
        Ok(x)
    }
}

impl Display for Sequential {
    fn fmt(&self, f: &mut Formatter<'_>) -> std::fmt::Result {
        if self.is_empty() {
            return f.write_str("Sequential()");
        }
        writeln!(f, "Sequential(")?;
        for (index, entry) in self.layers.iter().enumerate() {
            writeln!(f, "  ({index}): {}", entry.text.replace('\n', "\n  "))?;
        }
        f.write_str(")")
    }
}

impl Debug for Sequential {
    fn fmt(&self, f: &mut Formatter<'_>) -> std::fmt::Result {
        Display::fmt(self, f)
    }
}

/// A layer under the name its owner gave it.
struct Labelled<L> {
    label: String,
    module: L,
}

impl<L: Layer> Layer for Labelled<L> {
    fn forward_in(&self, x: &Tensor, mode: &Mode) -> Result<Tensor> {
        self.report(x, self.module.forward_in(x, mode))
    }
}

impl<L> Observed for Labelled<L> {
    fn kind(&self) -> &str {
        &self.label
    }

    fn cost(&self, _: &Tensor) -> Option<Cost> {
        None
    }
}

impl<L> Display for Labelled<L> {
    fn fmt(&self, f: &mut Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.label)
    }
}
