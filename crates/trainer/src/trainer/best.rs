//! Going back to the best epoch.

use super::Trainer;
use crate::checkpoint::{Checkpoint, Search};
use crate::{EpochRecord, Error, Result};

impl Trainer<'_> {
    /// Sets variables, buffers and averages to what they were at the end of the best epoch, by the checkpoint that
    /// [`Checkpoints::keep_best`](crate::Checkpoints::keep_best) has kept, and returns the record of that epoch. To evaluate,
    /// to predict and to save the model; where the run itself stands does not change, so that no fit should go on from there.
    ///
    /// After a fit the best epoch is one of that fit's history; before one, of the newest whole checkpoint's, whatever else the
    /// run was configured to. Averages come with [`ema`](Trainer::ema), which must be asked for if the run had them.
    ///
    /// # Errors
    /// When no checkpoints are kept by [`keep_best`](crate::Checkpoints::keep_best), there is none yet or the best one is not there,
    /// is damaged, or is one of other variables; then nothing has changed.
    ///
    /// ```
    /// use candle_core::{DType, Device, Var};
    /// use std::collections::BTreeMap;
    /// use taper_trainer::data::{InMemoryDataset, Loader};
    /// use taper_trainer::{Checkpoints, Monitor, Trainer};
    ///
    /// # let folder = std::env::temp_dir().join("taper-doc-load-best");
    /// let data = InMemoryDataset::new(vec![0.5, 0.1, 0.2, 0.9, 0.8, 0.3, 0.1, 0.6], &[2], vec![0, 1, 0, 1])?;
    /// let loader = Loader::new(data, 2)?;
    /// let weight = Var::zeros((2, 2), DType::F32, &Device::Cpu)?;
    /// let vars = BTreeMap::from([("weight".to_owned(), weight.clone())]);
    /// let mut trainer = Trainer::new(vars, |x, _| x.matmul(&weight))
    ///     .checkpoints(Checkpoints::new(&folder).keep_best(Monitor::Loss))
    ///     .epochs(5);
    /// trainer.fit(&loader, Some(&loader))?;
    /// let best = trainer.load_best()?;
    /// assert_eq!(best.val, Some(trainer.evaluate(&loader)?.overall));
    /// # std::fs::remove_dir_all(folder).ok();
    /// # Ok::<(), taper_trainer::Error>(())
    /// ```
    pub fn load_best(&mut self) -> Result<EpochRecord> {
        let refuse =
            |argument, expected, value: String| Err(Error::Value { op: "load_best", argument, expected, value });
        let Some(checkpoints) = self.checkpoints.clone() else {
            return refuse("checkpoints", "kept, by `keep_best`", "none".to_owned());
        };
        let Some(monitor) = checkpoints.best() else {
            return refuse("checkpoints", "kept by `keep_best`", format!("{checkpoints:?}"));
        };
        let history = match self.position.step {
            0 => {
                let Search { newest, skipped } = checkpoints.clone().search()?;
                match newest {
                    Some((_, checkpoint)) => checkpoint.position.history,
                    None => {
                        let value = format!("{} with none, {skipped:?} passed over", checkpoints.folder().display());
                        return refuse("checkpoints", "a folder that holds a whole one", value);
                    }
                }
            }
            _ => self.position.history.clone(),
        };
        let Some(best) = monitor.best(&history.epochs) else {
            return refuse(
                "monitor",
                "a number that an epoch has",
                format!("{monitor:?} of {} epochs", history.epochs.len()),
            );
        };
        let (path, checkpoint) = checkpoints.load(best.step)?;
        self.trainable = self.unfrozen();
        self.prepare_masters()?;
        if self.ema.is_none() && !checkpoint.averages.is_empty() {
            let reason = "it holds averages, which validation looked at: ask for them by `ema`".to_owned();
            return Err(Error::Checkpoint { path, reason });
        }
        let averages = self.fitting_averages(&path, &checkpoint)?;
        let Checkpoint { parameters, buffers, masters, .. } = checkpoint;
        self.set_weights(&parameters, &buffers, averages)?;
        self.set_masters(&masters)?;
        Ok(best.clone())
    }
}
