//! Aids to find out early, and cheaply, what is wrong with a training.

use super::Trainer;
use super::anomaly::ObserveLayers;
use crate::data::Loader;
use crate::{Error, Result};

/// Which aids were asked for.
#[derive(Default)]
pub(super) struct DebugAids<'a> {
    fast_dev_run: Option<usize>,
    overfit_batches: Option<usize>,
    sanity_validation: usize,
    pub(super) detect_anomaly: bool,
    pub(super) observe_layers: Option<Box<ObserveLayers<'a>>>,
}

impl Trainer<'_> {
    /// Makes each fit a trial: one epoch of at most `steps` steps and as many validation batches, to find out within seconds
    /// whether everything from the data to the metrics works. It reads and writes no checkpoints, and observers that leave
    /// files are told nothing. Variables, optimiser and position move as they do in any fit. Lightning's `fast_dev_run`.
    ///
    /// ```
    /// use candle_core::{DType, Device, Var};
    /// use std::collections::BTreeMap;
    /// use taper_trainer::data::{InMemoryDataset, Loader};
    /// use taper_trainer::{Checkpoints, Trainer};
    ///
    /// let loader = Loader::new(InMemoryDataset::new(vec![0.5; 8], &[2], vec![0, 1, 1, 0])?, 1)?;
    /// let weight = Var::zeros((2, 2), DType::F32, &Device::Cpu)?;
    /// let vars = BTreeMap::from([("weight".to_owned(), weight.clone())]);
    /// let mut trainer = Trainer::new(vars, |x, _| x.matmul(&weight))
    ///     .epochs(100)
    ///     .checkpoints(Checkpoints::new("runs/never-written"))
    ///     .fast_dev_run(2);
    /// let history = trainer.fit(&loader, Some(&loader))?;
    /// assert_eq!((history.epochs.len(), history.epochs[0].step), (1, 2));
    /// assert_eq!(history.epochs[0].val.map(|val| val.samples), Some(2));
    /// # Ok::<(), taper_trainer::Error>(())
    /// ```
    pub fn fast_dev_run(mut self, steps: usize) -> Self {
        self.debug.fast_dev_run = Some(steps);
        self
    }

    /// Trains on the first `batches` batches of the first epoch, again in each epoch, and validates on them too where there is a
    /// validation set: a network that cannot learn a few batches by heart has a fault. Lightning's `overfit_batches`.
    ///
    /// The batches are the same to the bit each time: they keep the order of the first epoch, and transforms draw what they
    /// drew in it, so that an augmented sample is a fixed one. What the forward draws, as dropout does, is another one each step.
    ///
    /// ```
    /// use candle_core::{DType, Device, Var};
    /// use std::collections::BTreeMap;
    /// use taper_trainer::Trainer;
    /// use taper_trainer::data::{InMemoryDataset, Loader};
    ///
    /// let data = InMemoryDataset::new(vec![0.5, 0.1, 0.2, 0.9, 0.8, 0.3, 0.1, 0.6], &[2], vec![0, 1, 0, 1])?;
    /// let loader = Loader::new(data, 1)?.shuffle(true);
    /// let weight = Var::zeros((2, 2), DType::F32, &Device::Cpu)?;
    /// let vars = BTreeMap::from([("weight".to_owned(), weight.clone())]);
    /// let mut trainer = Trainer::new(vars, |x, _| x.matmul(&weight)).epochs(40).overfit_batches(2);
    /// let history = trainer.fit(&loader, Some(&loader))?;
    /// assert_eq!((history.epochs[39].step, history.epochs[39].val.unwrap().samples), (80, 2));
    /// # Ok::<(), taper_trainer::Error>(())
    /// ```
    pub fn overfit_batches(mut self, batches: usize) -> Self {
        self.debug.overfit_batches = Some(batches);
        self
    }

    /// Evaluates the first `batches` batches of the validation set before a fit begins, a resumed one too, so that a validation
    /// that cannot work ends it at once and not after an epoch. Nobody is told what they come to. 0, the default, turns it off.
    /// Lightning's `num_sanity_val_steps`.
    ///
    /// ```
    /// use candle_core::{DType, Device, Var};
    /// use std::collections::BTreeMap;
    /// use taper_trainer::Trainer;
    /// use taper_trainer::data::{InMemoryDataset, Loader};
    ///
    /// let train = Loader::new(InMemoryDataset::new(vec![0.5; 8], &[2], vec![0, 1, 1, 0])?, 2)?;
    /// // Three features a sample, of which the weights know nothing.
    /// let val = Loader::new(InMemoryDataset::new(vec![0.5; 6], &[3], vec![0, 1])?, 2)?;
    /// let weight = Var::zeros((2, 2), DType::F32, &Device::Cpu)?;
    /// let vars = BTreeMap::from([("weight".to_owned(), weight.clone())]);
    /// let mut trainer = Trainer::new(vars, |x, _| x.matmul(&weight)).sanity_validation(1);
    /// assert!(trainer.fit(&train, Some(&val)).is_err());
    /// assert_eq!(weight.to_vec2::<f32>()?, [[0., 0.], [0., 0.]]);
    /// # Ok::<(), taper_trainer::Error>(())
    /// ```
    pub fn sanity_validation(mut self, batches: usize) -> Self {
        self.debug.sanity_validation = batches;
        self
    }

    pub(super) fn validate_sanity(&self, val: Option<&Loader>) -> Result<()> {
        match (val, self.debug.sanity_validation) {
            (Some(val), batches) if batches > 0 => self.evaluate(&val.clone().limit_batches(batches)).map(drop),
            _ => Ok(()),
        }
    }
}

impl DebugAids<'_> {
    pub(super) fn is_trial(&self) -> bool {
        self.fast_dev_run.is_some()
    }

    /// What a fit is to go over, of what it was given.
    pub(super) fn loaders(&self, train: &Loader, val: Option<&Loader>) -> Result<(Loader, Option<Loader>)> {
        for (argument, count) in [("fast_dev_run", self.fast_dev_run), ("overfit_batches", self.overfit_batches)] {
            if count == Some(0) {
                return Err(Error::Value { op: "fit", argument, expected: "at least 1", value: "0".to_owned() });
            }
        }
        let (mut train, mut val) = (train.clone(), val.cloned());
        if let Some(batches) = self.overfit_batches {
            train = train.limit_batches(batches).first_epoch_alone();
            val = val.map(|_| train.clone());
        }
        if let Some(steps) = self.fast_dev_run {
            train = train.limit_batches(steps);
            val = val.map(|val| val.limit_batches(steps));
        }
        Ok((train, val))
    }
}

impl std::fmt::Debug for DebugAids<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("DebugAids")
            .field("fast_dev_run", &self.fast_dev_run)
            .field("overfit_batches", &self.overfit_batches)
            .field("sanity_validation", &self.sanity_validation)
            .field("detect_anomaly", &self.detect_anomaly)
            .field("observe_layers", &self.observe_layers.is_some())
            .finish()
    }
}
