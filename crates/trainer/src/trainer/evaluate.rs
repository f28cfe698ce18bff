//! What the trained variables come to: metrics and predictions, in evaluation mode.

use super::{Trainer, not_empty, scalar};
use crate::data::Loader;
use crate::metrics::Totals;
use crate::{Error, Evaluation, Metric, Metrics, Result};
use candle_core::Tensor;
use std::collections::BTreeMap;
use taper_ops::Mode;

impl Trainer<'_> {
    /// Loss, accuracy and the metrics of [`metric`](Trainer::metric) over all batches of `loader`, in evaluation mode.
    ///
    /// # Errors
    /// When the loader has no batch or fails, or the forward, the loss or a metric does.
    pub fn evaluate(&self, loader: &Loader) -> Result<Evaluation> {
        let mut metrics = self.metrics.borrow_mut();
        let mut borrowed: Vec<&mut dyn Metric> =
            metrics.iter_mut().map(|metric| &mut **metric as &mut dyn Metric).collect();
        let overall = self.measure(loader, &mut borrowed)?;
        let values: BTreeMap<String, Option<f64>> = borrowed.iter().map(|it| (it.name(), it.value())).collect();
        Ok(Evaluation { overall, metrics: values })
    }

    /// Resets `metrics` and takes all batches of `loader` into them, in evaluation mode: for one that tells more than a number, as
    /// a [`ConfusionMatrix`](crate::ConfusionMatrix) does.
    ///
    /// # Errors
    /// When the loader has no batch or fails, or the forward, the loss or a metric does.
    ///
    /// ```
    /// use candle_core::{DType, Device, Var};
    /// use std::collections::BTreeMap;
    /// use taper_trainer::data::{InMemoryDataset, Loader};
    /// use taper_trainer::{ConfusionMatrix, Trainer};
    ///
    /// let loader = Loader::new(InMemoryDataset::new(vec![0.5; 8], &[2], vec![0, 1, 1, 0])?, 3)?;
    /// let weight = Var::zeros((2, 2), DType::F32, &Device::Cpu)?;
    /// let trainer = Trainer::new(BTreeMap::from([("weight".to_owned(), weight.clone())]), |x, _| x.matmul(&weight));
    /// let mut confusion = ConfusionMatrix::default();
    /// trainer.measure(&loader, &mut [&mut confusion])?;
    /// assert_eq!((confusion.count(0, 0), confusion.count(1, 0)), (2, 2));
    /// # Ok::<(), taper_trainer::Error>(())
    /// ```
    pub fn measure(&self, loader: &Loader, metrics: &mut [&mut dyn Metric]) -> Result<Metrics> {
        not_empty("evaluate", loader)?;
        metrics.iter_mut().for_each(|metric| metric.reset());
        self.with_averages(|| {
            let mut totals = Totals::default();
            for batch in loader.epoch(0, 0) {
                let batch = batch?;
                let (logits, targets) = (self.infer(&batch.inputs)?, batch.targets.to_device(&self.device())?);
                let loss = scalar(&(self.loss)(&logits, &targets)?)?;
                totals.add(loss, &logits, &targets)?;
                metrics.iter_mut().try_for_each(|metric| metric.update(&logits, &targets, loss))?;
            }
            Ok(totals.metrics())
        })
    }

    /// The forward's output for `inputs`, in evaluation mode, free of the graph.
    ///
    /// # Errors
    /// When the forward fails.
    pub fn predict(&self, inputs: &Tensor) -> Result<Tensor> {
        self.with_averages(|| self.infer(inputs))
    }

    /// The forward's output for all inputs of `loader`, joined along the batch axis in the loader's order.
    ///
    /// # Errors
    /// When the loader has no batch or fails, or the forward does.
    pub fn predict_all(&self, loader: &Loader) -> Result<Tensor> {
        not_empty("predict_all", loader)?;
        let outputs = || loader.epoch(0, 0).map(|batch| self.infer(&batch?.inputs)).collect::<Result<Vec<_>>>();
        Ok(Tensor::cat(&self.with_averages(outputs)?, 0)?)
    }

    fn infer(&self, inputs: &Tensor) -> Result<Tensor> {
        Ok((self.forward)(&inputs.to_device(&self.device())?, &Mode::eval())?.detach())
    }

    /// The names of the metrics, each of which must be another one.
    pub(super) fn metric_names(&self) -> Result<Vec<String>> {
        let names: Vec<String> = self.metrics.borrow().iter().map(|metric| metric.name()).collect();
        match names.iter().enumerate().find(|(i, name)| names[..*i].contains(name)) {
            Some((_, name)) => {
                let (argument, expected) = ("metric", "of a name of its own");
                Err(Error::Value { op: "Trainer", argument, expected, value: format!("{name:?} twice") })
            }
            None => Ok(names),
        }
    }
}
