//! Seeing what each layer makes of an input: the counterpart of forward hooks.

use candle_core::Tensor;
use std::cell::RefCell;

/// One layer's forward pass, as [`observe`] tells it.
#[derive(Debug, Clone)]
pub struct LayerCall {
    /// The layer's place in the network, `conv1`: the prefix its parameters were made under, or the kind of a layer
    /// that has none.
    pub name: String,
    /// What the layer is: `Conv2d`.
    pub kind: String,
    /// The layer in full, as it displays itself.
    pub text: String,
    /// What went in.
    pub input: Tensor,
    /// What came out.
    pub output: Tensor,
    /// What the layer costs, where it is known: it is not for modules from elsewhere.
    pub cost: Option<Cost>,
}

/// What one forward pass of a layer costs.
#[derive(Debug, Clone, Default)]
pub struct Cost {
    /// The parameters used.
    pub parameters: Vec<Tensor>,
    /// Multiplications that are each followed by an addition, over the whole batch.
    pub multiply_adds: u64,
}

thread_local! {
    /// The calls seen by each observation in progress, the outermost first.
    static OBSERVATIONS: RefCell<Vec<Vec<LayerCall>>> = const { RefCell::new(Vec::new()) };
}

/// Runs `f` and returns its result with the calls of every leaf layer within it, in order.
///
/// It sees this crate's layers wherever they are called on this thread, in a [`Sequential`](crate::Sequential) or in a
/// struct of your own, and modules from elsewhere where they were added to a `Sequential`. Inside another observation
/// both see the calls. Layers that nobody observes pay one look at a thread-local.
///
/// ```
/// use candle_core::{DType, Device, Tensor};
/// use taper_layers::{Flatten, Layer, Linear, Sequential, VarStore, observe};
/// use candle_core::Module;
///
/// let store = VarStore::new(42, DType::F32, &Device::Cpu);
/// let net = Sequential::new().add(Flatten::default()).add(Linear::new(12, 2, store.builder().pp("fc"))?);
/// let x = Tensor::zeros((5, 3, 4), DType::F32, &Device::Cpu)?;
/// let (y, calls) = observe(|| net.eval().forward(&x));
/// assert_eq!(y?.dims(), [5, 2]);
/// assert_eq!(calls[0].name, "Flatten");
/// assert_eq!((calls[1].name.as_str(), calls[1].input.dims()), ("fc", [5, 12].as_slice()));
/// # Ok::<(), candle_core::Error>(())
/// ```
pub fn observe<R>(f: impl FnOnce() -> R) -> (R, Vec<LayerCall>) {
    OBSERVATIONS.with_borrow_mut(|observations| observations.push(Vec::new()));
    let observation = Observation;
    let result = f();
    let calls = OBSERVATIONS.with_borrow_mut(|observations| {
        let calls = observations.last_mut().map(std::mem::take).unwrap_or_default();
        if let [.., outer, _] = observations.as_mut_slice() {
            outer.extend_from_slice(&calls);
        }
        calls
    });
    drop(observation);
    (result, calls)
}

/// Runs `forward` and returns the name and the output of every leaf layer within it, in order: what
/// `Trainer::observe_layers` takes, so that the trainer can name the layer where something went wrong.
///
/// # Errors
/// When `forward` fails.
///
/// ```
/// use candle_core::{DType, Device, Module, Tensor};
/// use taper_layers::{Layer, Linear, ReLU, Sequential, VarStore, observe_outputs};
///
/// let store = VarStore::new(42, DType::F32, &Device::Cpu);
/// let net = Sequential::new().add(Linear::new(3, 2, store.builder().pp("fc"))?).add(ReLU);
/// let x = Tensor::zeros((5, 3), DType::F32, &Device::Cpu)?;
/// let outputs = observe_outputs(&mut || net.eval().forward(&x))?;
/// assert_eq!(outputs.iter().map(|(name, _)| name.as_str()).collect::<Vec<_>>(), ["fc", "ReLU"]);
/// # Ok::<(), candle_core::Error>(())
/// ```
pub fn observe_outputs(
    forward: &mut dyn FnMut() -> candle_core::Result<Tensor>,
) -> candle_core::Result<Vec<(String, Tensor)>> {
    let (output, calls) = observe(forward);
    output.map(|_| calls.into_iter().map(|call| (call.name, call.output)).collect())
}

/// Whether somebody observes the layers of this thread.
pub(crate) fn is_observed() -> bool {
    OBSERVATIONS.with_borrow(|observations| !observations.is_empty())
}

/// Ends the innermost observation, also when what is observed panics.
struct Observation;

impl Drop for Observation {
    fn drop(&mut self) {
        OBSERVATIONS.with_borrow_mut(Vec::pop);
    }
}

/// A layer that reports its calls.
pub(crate) trait Observed: std::fmt::Display {
    /// See [`LayerCall::kind`].
    fn kind(&self) -> &str;

    /// The prefix its parameters were made under; empty where there is none.
    fn path(&self) -> &str {
        ""
    }

    /// What the call that made `output` cost.
    fn cost(&self, _output: &Tensor) -> Option<Cost> {
        Some(Cost::default())
    }

    /// Passes on `output`, the result of this layer for `input`, and reports it to whoever observes.
    fn report<E>(&self, input: &Tensor, output: Result<Tensor, E>) -> candle_core::Result<Tensor>
    where
        candle_core::Error: From<E>,
    {
        let output = output?;
        OBSERVATIONS.with_borrow_mut(|observations| {
            if let Some(calls) = observations.last_mut() {
                let (kind, path) = (self.kind(), self.path());
                calls.push(LayerCall {
                    name: if path.is_empty() { kind } else { path }.to_owned(),
                    kind: kind.to_owned(),
                    text: self.to_string(),
                    input: input.clone(),
                    output: output.clone(),
                    cost: self.cost(&output),
                });
            }
        });
        Ok(output)
    }
}
