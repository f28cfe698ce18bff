//! Where the first value that is not finite came from.

use super::Trainer;
use crate::{Error, Result};
use candle_core::{DType, Tensor};
use std::collections::BTreeMap;
use std::fmt;

/// Runs a forward pass and returns the name and the output of each of its layers, in order.
pub(super) type ObserveLayers<'a> =
    dyn Fn(&mut dyn FnMut() -> candle_core::Result<Tensor>) -> candle_core::Result<Vec<(String, Tensor)>> + 'a;

/// Where [`Trainer::detect_anomaly`] found the first value that is not finite.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum AnomalyPlace {
    /// The batch itself, in this sample of the data set.
    Inputs {
        /// The sample.
        sample: usize,
    },
    /// What the layer of this name made of inputs that were finite.
    Layer(String),
    /// The forward's output, of no layer that was observed.
    Output,
    /// The loss.
    Loss,
    /// The gradient of the variable of this name; everything before the backward pass was finite.
    Gradient(String),
    /// The variable of this name, after the optimiser's step.
    Variable(String),
    /// The buffer of this name, after the step.
    Buffer(String),
}

impl fmt::Display for AnomalyPlace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Inputs { sample } => write!(f, "the inputs, in sample {sample} of the data set"),
            Self::Layer(name) => write!(f, "the output of layer {name}"),
            Self::Output => f.write_str("the forward's output"),
            Self::Loss => f.write_str("the loss"),
            Self::Gradient(name) => write!(f, "the gradient of {name}"),
            Self::Variable(name) => write!(f, "{name}, after the optimiser's step"),
            Self::Buffer(name) => write!(f, "the buffer {name}, after the step"),
        }
    }
}

/// One forward pass of a step, as the search for what is not finite needs it.
pub(super) struct Pass<'p> {
    pub(super) inputs: &'p Tensor,
    /// The samples of the data set that the inputs are.
    pub(super) samples: &'p [usize],
    /// Their place in the step's batch.
    pub(super) first: usize,
}

impl<'a> Trainer<'a> {
    /// Looks for values that are not finite after each part of a step, and ends the fit with [`Error::Anomaly`] at the first: it
    /// names the step, the place (input, layer, loss, gradient, variable or buffer), the value and its index. Without it, only
    /// the loss and the gradients' norm are looked at. Takes a pass over inputs, outputs, gradients and variables each step.
    ///
    /// Layers are told apart where [`observe_layers`](Trainer::observe_layers) says how: the forward then runs once more, with the
    /// same draws, once something is wrong. What an activation takes back to finite numbers, and no gradient shows, goes unseen. PyTorch's and Lightning's `detect_anomaly`.
    ///
    /// ```
    /// use candle_core::{DType, Device, Var};
    /// use std::collections::BTreeMap;
    /// use taper_trainer::data::{InMemoryDataset, Loader};
    /// use taper_trainer::Trainer;
    ///
    /// let loader = Loader::new(InMemoryDataset::new(vec![0.5, 0.1, f32::NAN, 0.7], &[2], vec![0, 1])?, 1)?;
    /// let weight = Var::zeros((2, 2), DType::F32, &Device::Cpu)?;
    /// let vars = BTreeMap::from([("weight".to_owned(), weight.clone())]);
    /// let error = Trainer::new(vars, |x, _| x.matmul(&weight)).detect_anomaly(true).fit(&loader, None).unwrap_err();
    /// let told = "step 2 (epoch 1): the first value that is not finite is in the inputs, in sample 1 of the data set: \
    ///             NaN at [0, 0]";
    /// assert_eq!(error.to_string(), told);
    /// # Ok::<(), taper_trainer::Error>(())
    /// ```
    pub fn detect_anomaly(mut self, detect_anomaly: bool) -> Self {
        self.debug.detect_anomaly = detect_anomaly;
        self
    }

    /// How the layers of the forward can be observed: a function that runs the forward pass it is handed, and returns the name and
    /// the output of each layer in it, in order. For taper's layers that is `taper::layers::observe_outputs`. It is called by
    /// [`detect_anomaly`](Trainer::detect_anomaly) alone.
    pub fn observe_layers(
        mut self,
        observe: impl Fn(&mut dyn FnMut() -> candle_core::Result<Tensor>) -> candle_core::Result<Vec<(String, Tensor)>> + 'a,
    ) -> Self {
        self.debug.observe_layers = Some(Box::new(observe));
        self
    }

    /// Refuses a forward pass in which something is not finite.
    pub(super) fn check_pass(&self, pass: &Pass<'_>, output: &Tensor, loss: &Tensor) -> Result<()> {
        if !self.debug.detect_anomaly {
            return Ok(());
        }
        if let Some((index, value)) = first_not_finite(pass.inputs)? {
            let sample = index.first().and_then(|&place| pass.samples.get(place)).copied().unwrap_or_default();
            return self.anomaly(AnomalyPlace::Inputs { sample }, index, value);
        }
        for (place, tensor) in [(AnomalyPlace::Output, output), (AnomalyPlace::Loss, loss)] {
            if let Some((index, value)) = first_not_finite(tensor)? {
                self.check_layers(&self.layers(pass)?)?;
                return self.anomaly(place, index, value);
            }
        }
        Ok(())
    }

    /// Refuses gradients that are not finite. A layer further from the loss has its gradient from those that are nearer, so of
    /// several layers the last one is named.
    pub(super) fn check_gradients_of(&self, pass: &Pass<'_>, grads: &BTreeMap<String, Tensor>) -> Result<()> {
        // A loss scale that moves finds its bound by gradients that overflow.
        if !self.debug.detect_anomaly || self.moves_loss_scale() {
            return Ok(());
        }
        let mut found = Vec::new();
        for (name, grad) in grads {
            found.extend(first_not_finite(grad)?.map(|(index, value)| (name, index, value)));
        }
        if found.is_empty() {
            return Ok(());
        }
        // A layer's output may be infinite where the loss is finite all the same.
        let layers = self.layers(pass)?;
        self.check_layers(&layers)?;
        let owns = |layer: &str, name: &str| name.strip_prefix(layer).is_some_and(|rest| rest.starts_with('.'));
        let place = |name: &str| layers.iter().rposition(|(layer, _)| owns(layer, name));
        match found.into_iter().rev().max_by_key(|(name, ..)| place(name)) {
            Some((name, index, value)) => self.anomaly(AnomalyPlace::Gradient(name.clone()), index, value),
            None => Ok(()),
        }
    }

    /// Refuses variables and buffers that a step has left not finite.
    pub(super) fn check_stepped(&self) -> Result<()> {
        if !self.debug.detect_anomaly {
            return Ok(());
        }
        for (vars, place) in [
            (&self.trainable, AnomalyPlace::Variable as fn(String) -> AnomalyPlace),
            (&self.buffers, AnomalyPlace::Buffer),
        ] {
            for (name, var) in vars {
                if let Some((index, value)) = first_not_finite(var)? {
                    return self.anomaly(place(name.clone()), index, value);
                }
            }
        }
        Ok(())
    }

    /// What each layer makes of the pass, which is run once more. The buffers stay as they are.
    fn layers(&self, pass: &Pass<'_>) -> Result<Vec<(String, Tensor)>> {
        let Some(observe) = &self.debug.observe_layers else { return Ok(Vec::new()) };
        let buffers = super::snapshot::copies(&self.buffers)?;
        let mode = self.training_mode(pass.first)?;
        let layers = observe(&mut || (self.forward)(pass.inputs, &mode));
        super::ema::set_all(&self.buffers, &buffers)?;
        Ok(layers?)
    }

    fn check_layers(&self, layers: &[(String, Tensor)]) -> Result<()> {
        for (name, output) in layers {
            if let Some((index, value)) = first_not_finite(output)? {
                return self.anomaly(AnomalyPlace::Layer(name.clone()), index, value);
            }
        }
        Ok(())
    }

    fn anomaly(&self, place: AnomalyPlace, index: Vec<usize>, value: f64) -> Result<()> {
        let (epoch, step) = (self.position.epoch + 1, self.position.step + 1);
        Err(Error::Anomaly { place, index, value, epoch, step })
    }
}

/// The first element that is NaN or infinite, in row-major order, and its index.
fn first_not_finite(tensor: &Tensor) -> Result<Option<(Vec<usize>, f64)>> {
    if !tensor.dtype().is_float() {
        return Ok(None);
    }
    let values: Vec<f64> = tensor.detach().to_dtype(DType::F64)?.flatten_all()?.to_vec1()?;
    let found = values.iter().position(|value| !value.is_finite());
    Ok(found.map(|flat| (index_of(flat, tensor.dims()), values[flat])))
}

/// The row-major place `flat` as an index an axis.
pub(super) fn index_of(mut flat: usize, dims: &[usize]) -> Vec<usize> {
    let mut index = vec![0; dims.len()];
    for (place, extent) in index.iter_mut().zip(dims).rev() {
        (*place, flat) = (flat % extent, flat / extent);
    }
    index
}
