//! Whether a step depends on nothing but its state.

use super::Trainer;
use super::anomaly::index_of;
use super::snapshot::copies;
use crate::data::Loader;
use crate::metrics::Totals;
use crate::{Error, Result};
use candle_core::{DType, Tensor};
use std::collections::BTreeMap;

/// What a step came to, by name, in the order in which it came about.
type Outcome = Vec<(String, Tensor)>;

impl Trainer<'_> {
    /// Loads the first batch twice and takes its step twice from the same state, and demands the same bits: of the batch, the
    /// loss, the gradients, the updated variables and the buffers. Afterwards all is as it was. Resuming to the bit depends on it.
    ///
    /// # Errors
    /// [`Error::NotDeterministic`] names the first thing that differs: what the data set, a transform, the forward or the loss
    /// draws from elsewhere than the [`Draws`](crate::data::Draws) or the [`Mode`](taper_ops::Mode) it is handed is never the same
    /// again. Also when there is no run to check, as for [`fit`](Trainer::fit).
    ///
    /// ```
    /// use candle_core::{DType, Device, Tensor, Var};
    /// use std::collections::BTreeMap;
    /// use taper_trainer::data::{InMemoryDataset, Loader};
    /// use taper_trainer::{Error, Trainer};
    ///
    /// let train = Loader::new(InMemoryDataset::new(vec![0.5; 8], &[2], vec![0, 1, 1, 0])?, 2)?;
    /// let weight = Var::zeros((2, 2), DType::F32, &Device::Cpu)?;
    /// let vars = BTreeMap::from([("weight".to_owned(), weight.clone())]);
    /// // A dropout of one's own, whose mask nobody can draw again.
    /// let forward = |x: &Tensor, _: &_| x.matmul(&weight)? + x.rand_like(0.0, 0.1)?;
    /// let error = Trainer::new(vars.clone(), forward).check_determinism(&train).unwrap_err();
    /// assert!(error.to_string().contains("the loss"));
    ///
    /// Trainer::new(vars, |x, _| x.matmul(&weight)).check_determinism(&train)?;
    /// # Ok::<(), Error>(())
    /// ```
    pub fn check_determinism(&mut self, train: &Loader) -> Result<()> {
        self.prepare(train)?;
        let before = self.snapshot()?;
        let first = self.outcome(train);
        self.put_back(&before)?;
        let first = first?;
        let second = self.outcome(train);
        self.put_back(&before)?;
        compare(&first, &second?)
    }

    fn outcome(&mut self, train: &Loader) -> Result<Outcome> {
        let batch = Self::first_batch(train)?;
        let mut outcome = vec![("the inputs".to_owned(), batch.inputs.clone())];
        outcome.push(("the targets".to_owned(), batch.targets.clone()));
        let (loss, grads) = self.gradients_of(&batch, &mut Totals::default())?;
        outcome.push(("the loss".to_owned(), Tensor::new(loss, batch.inputs.device())?));
        let named = |words: fn(&str) -> String, tensors: BTreeMap<String, Tensor>| {
            tensors.into_iter().map(move |(name, tensor)| (words(&name), tensor))
        };
        outcome.extend(named(|name| format!("the gradient of {name}"), grads.clone()));
        self.step_vars(grads)?;
        outcome.extend(named(|name| format!("{name} after the step"), copies(&self.trainable)?));
        outcome.extend(named(|name| format!("the buffer {name}"), copies(&self.buffers)?));
        Ok(outcome)
    }
}

fn compare(first: &Outcome, second: &Outcome) -> Result<()> {
    for ((what, one), (other_what, other)) in first.iter().zip(second) {
        if what != other_what || one.dims() != other.dims() {
            let (one, other) = (format!("{what} {:?}", one.dims()), format!("{other_what} {:?}", other.dims()));
            return Err(Error::NotDeterministic { what: "what there is".to_owned(), first: one, second: other });
        }
        let values = |tensor: &Tensor| tensor.to_dtype(DType::F64)?.flatten_all()?.to_vec1::<f64>();
        let (ones, others) = (values(one)?, values(other)?);
        let differ = ones.iter().zip(&others).position(|(one, other)| one.to_bits() != other.to_bits());
        if let Some(flat) = differ {
            let index = index_of(flat, one.dims());
            let what = if index.is_empty() { what.clone() } else { format!("{what} at {index:?}") };
            let [first, second] = [ones[flat], others[flat]].map(|value| value.to_string());
            return Err(Error::NotDeterministic { what, first, second });
        }
    }
    Ok(())
}
