//! The gradients of the user's model, held against differences of its loss.

use super::{Trainer, scalar};
use crate::data::{Batch, Loader};
use crate::metrics::Totals;
use crate::{Error, Result};
use candle_core::{DType, Tensor, Var};
use taper_gradcheck::{GradCheck, Report};

impl Trainer<'_> {
    /// Holds the gradients of the first batch's loss against differences of it, variable by variable: that a layer, an
    /// operator or a loss of one's own has a right backward pass. Dropout keeps its masks throughout. Everything is as it
    /// was afterwards.
    ///
    /// The model is checked as it trains, in float32 and with its fused layers, by [`GradCheck::check_loss`]: along the gradient's
    /// signs, along random ones, and at some elements of each variable. In float32 a wrong factor, place or sign and a part that
    /// is missing are found; a mistake of a few percent takes variables of float64, which a forward that casts its inputs can
    /// have. Frozen variables are left out. Fewer samples make for a sharper check, since the loss of many hides each of them.
    ///
    /// # Errors
    /// When there is no run to check, as for [`fit`](Trainer::fit), or the loss near the variables fails or is not finite. Wrong
    /// gradients are no error: ask the report whether it [passed](Report::passed).
    ///
    /// ```
    /// use candle_core::{DType, Device, Tensor, Var};
    /// use std::collections::BTreeMap;
    /// use taper_trainer::Trainer;
    /// use taper_trainer::data::{InMemoryDataset, Loader};
    ///
    /// let data = InMemoryDataset::new(vec![0.5, 0.1, 0.2, 0.9, 0.8, 0.3, 0.1, 0.6], &[2], vec![0, 1, 0, 1])?;
    /// let train = Loader::new(data, 4)?;
    /// let weight = Var::new(&[[0.5f32, -0.25], [-0.75, 1.0]], &Device::Cpu)?;
    /// let vars = BTreeMap::from([("weight".to_owned(), weight.clone())]);
    /// assert!(Trainer::new(vars.clone(), |x, _| x.matmul(&weight)).check_gradients(&train)?.passed());
    ///
    /// // `detach` takes half of the gradient away.
    /// let severed = |x: &Tensor, _: &_| x.matmul(&(weight.as_tensor() * weight.as_detached_tensor())?);
    /// let report = Trainer::new(vars, severed).check_gradients(&train)?;
    /// assert!(report.to_string().contains("gradient of input `weight`"));
    /// # Ok::<(), taper_trainer::Error>(())
    /// ```
    pub fn check_gradients(&mut self, train: &Loader) -> Result<Report> {
        self.prepare(train)?;
        let batch = Self::first_batch(train)?;
        let before = self.snapshot()?;
        let checked = self.check_gradients_on(&batch);
        self.put_back(&before)?;
        checked
    }

    fn check_gradients_on(&mut self, batch: &Batch) -> Result<Report> {
        // A tied variable has its gradient under the first of its names.
        let mut vars: Vec<(String, Var)> = Vec::new();
        for (name, var) in &self.trainable {
            if vars.iter().all(|(_, other)| other.id() != var.id()) {
                vars.push((name.clone(), var.clone()));
            }
        }
        let (_, grads) = self.gradients_of(batch, &mut Totals::default())?;
        let grads: Vec<Option<Tensor>> = vars.iter().map(|(name, _)| grads.get(name).cloned()).collect();
        let values = vars.iter().map(|(_, var)| Ok(var.copy()?)).collect::<Result<Vec<Tensor>>>()?;
        let single = values.iter().any(|value| value.dtype() != DType::F64);
        let check = GradCheck::new("model").seed(self.seed).input_names(vars.iter().map(|(name, _)| name.clone()));
        let check = if single { check.dtype(DType::F32) } else { check };
        let loss = |values: &[Tensor]| {
            vars.iter().zip(values).try_for_each(|((_, var), value)| var.set(value))?;
            self.loss_of(batch).map_err(|error| match error {
                Error::Candle(error) => error,
                other => candle_core::Error::Msg(other.to_string()),
            })
        };
        Ok(check.check_loss(loss, &values, &grads)?)
    }

    /// The mean loss of the batch, as the next step computes it.
    fn loss_of(&self, batch: &Batch) -> Result<f64> {
        let samples = batch.indices.len();
        let mut mean = 0.0;
        for piece in self.pieces(0..samples) {
            let (inputs, targets) = self.part(batch, piece.clone())?;
            let (_, loss) = self.forward_and_loss(&inputs, &targets, piece.start)?;
            mean += scalar(&loss)? * (piece.len() as f64 / samples as f64);
        }
        Ok(mean)
    }
}
