//! The learning rate range test.

use super::Trainer;
use crate::data::Loader;
use crate::schedule::{Exponential, Schedule};
use crate::{Error, Result};

/// The numbers of a [`Trainer::find_lr`].
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct LrFinder {
    /// The learning rate of the first step; 10⁻⁷ by default.
    pub start_lr: f64,
    /// The learning rate of the last step, unless the loss diverges before; 10 by default.
    pub end_lr: f64,
    /// The number of steps, at least two; 100 by default.
    pub steps: usize,
    /// How much of the former average of the losses stays at each step; 0.9 by default.
    pub smoothing: f64,
    /// How many times the lowest smoothed loss ends the search; 4 by default. Of a loss that falls to 0 or below, how many
    /// times less one the way down to the lowest must be climbed again.
    pub divergence: f64,
}

impl Default for LrFinder {
    fn default() -> Self {
        Self { start_lr: 1e-7, end_lr: 10.0, steps: 100, smoothing: 0.9, divergence: 4.0 }
    }
}

impl LrFinder {
    fn validate(&self) -> Result<()> {
        let op = "LrFinder";
        let refuse = |argument, expected, value: String| Err(Error::Value { op, argument, expected, value });
        if self.start_lr <= 0.0 || !self.start_lr.is_finite() {
            return refuse("start_lr", "positive and finite", self.start_lr.to_string());
        }
        if self.end_lr <= self.start_lr || !self.end_lr.is_finite() {
            return refuse("end_lr", "finite and higher than start_lr", self.end_lr.to_string());
        }
        if self.steps < 2 {
            return refuse("steps", "at least 2", self.steps.to_string());
        }
        if !(0.0..1.0).contains(&self.smoothing) {
            return refuse("smoothing", "at least 0 and less than 1", self.smoothing.to_string());
        }
        if self.divergence <= 1.0 || self.divergence.is_nan() {
            return refuse("divergence", "greater than 1", self.divergence.to_string());
        }
        Ok(())
    }
}

/// The loss of each step of a search, by its learning rate.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct LrCurve {
    /// One point a step, in order.
    pub points: Vec<LrPoint>,
}

/// One step of a search.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct LrPoint {
    /// The learning rate of the step.
    pub lr: f64,
    /// The loss of its batch, before the step.
    pub loss: f64,
    /// The average of the losses so far, which forgets the earlier ones.
    pub smoothed: f64,
}

impl LrCurve {
    /// The learning rate at which the smoothed loss falls fastest over the logarithm of the rate; `None` where it never falls.
    /// A good peak for a schedule is about there, or a little below.
    ///
    /// ```
    /// use taper_trainer::{LrCurve, LrPoint};
    ///
    /// let losses = [2.0, 1.9, 1.2, 1.0, 3.0];
    /// let point = |(i, smoothed): (i32, f64)| LrPoint { lr: 10f64.powi(i - 4), loss: smoothed, smoothed };
    /// let curve = LrCurve { points: (0..).zip(losses).map(point).collect() };
    /// assert_eq!(curve.suggestion(), Some(1e-2));
    /// ```
    pub fn suggestion(&self) -> Option<f64> {
        // Over two steps, since a single one is noisier; the steps are equally long in the logarithm.
        let slopes = self.points.windows(3).map(|three| (three[2].smoothed - three[0].smoothed, three[1].lr));
        let steepest = slopes.min_by(|a, b| a.0.total_cmp(&b.0));
        steepest.filter(|(slope, _)| *slope < 0.0).map(|(_, lr)| lr)
    }
}

impl Trainer<'_> {
    /// Trains with a learning rate that rises exponentially from step to step, until the loss diverges, and puts everything
    /// back as it was: variables, buffers, optimiser, averages and position. The schedule has no say, observers are not told.
    ///
    /// # Formula
    /// Step i has the rate `start_lr · (end_lr / start_lr)^(i / (steps − 1))`. The losses are averaged as
    /// `a ← smoothing · a + (1 − smoothing) · loss`, divided by `1 − smoothing^(i + 1)`. The search ends where that exceeds
    /// `divergence` times its lowest value, or the loss or the gradients' norm is no longer finite. Where the lowest value l is
    /// not positive, the bound is `l + (divergence − 1) · max(−l, first − l)`.
    ///
    /// # Errors
    /// When a number is out of range, the data, the forward, the loss or the optimiser fails, or the loss or the gradients'
    /// norm of the very first batch is not finite.
    ///
    /// # Source
    /// Smith, "Cyclical learning rates for training neural networks", WACV 2017, as fastai does it.
    ///
    /// ```
    /// use candle_core::{DType, Device, Var};
    /// use std::collections::BTreeMap;
    /// use taper_trainer::data::{InMemoryDataset, Loader};
    /// use taper_trainer::{LrFinder, Trainer};
    ///
    /// let inputs = (0..120).map(|i| (i * 37 % 11) as f32 / 11.).collect::<Vec<_>>();
    /// let targets = inputs.chunks(2).map(|x| u32::from(x[1] > x[0])).collect();
    /// let train = Loader::new(InMemoryDataset::new(inputs, &[2], targets)?, 16)?.seed(1).shuffle(true);
    /// let weight = Var::zeros((2, 2), DType::F32, &Device::Cpu)?;
    /// let vars = BTreeMap::from([("weight".to_owned(), weight.clone())]);
    ///
    /// let mut trainer = Trainer::new(vars, |x, _| x.matmul(&weight));
    /// let curve = trainer.find_lr(&train, &LrFinder::default())?;
    /// assert!(curve.suggestion().is_some_and(|lr| lr > 1e-3));
    /// assert_eq!(weight.to_vec2::<f32>()?, [[0., 0.], [0., 0.]]);
    /// # Ok::<(), taper_trainer::Error>(())
    /// ```
    pub fn find_lr(&mut self, train: &Loader, finder: &LrFinder) -> Result<LrCurve> {
        finder.validate()?;
        self.prepare(train)?;
        let before = self.snapshot()?;
        let gamma = (finder.end_lr / finder.start_lr).powf(1.0 / (finder.steps - 1) as f64);
        let rising: Box<dyn Schedule> = Box::new(Exponential { lr: finder.start_lr, gamma });
        let schedule = self.schedule.replace(rising);
        let position = std::mem::take(&mut self.position);
        let averages = self.ema.take();

        let found = self.search_lr(train, finder);

        (self.schedule, self.position, self.ema) = (schedule, position, averages);
        self.put_back(&before)?;
        found
    }

    fn search_lr(&mut self, train: &Loader, finder: &LrFinder) -> Result<LrCurve> {
        let mut curve = LrCurve::default();
        let (mut average, mut lowest) = (0.0, f64::INFINITY);
        for epoch in 0.. {
            for batch in train.epoch(epoch, 0) {
                let (lr, loss) = match self.train_step(&batch?) {
                    Ok(end) => (end.lr, end.loss),
                    // Before the first step no rate is to blame.
                    Err(Error::NotFinite { .. } | Error::Anomaly { .. }) if !curve.points.is_empty() => {
                        return Ok(curve);
                    }
                    Err(error) => return Err(error),
                };
                average = finder.smoothing * average + (1.0 - finder.smoothing) * loss;
                let done = curve.points.len() + 1;
                let smoothed = average / (1.0 - finder.smoothing.powf(done as f64));
                curve.points.push(LrPoint { lr, loss, smoothed });
                lowest = lowest.min(smoothed);
                let bound = match lowest > 0.0 {
                    true => finder.divergence * lowest,
                    false => lowest + (finder.divergence - 1.0) * (curve.points[0].smoothed - lowest).max(-lowest),
                };
                if done == finder.steps || smoothed > bound {
                    return Ok(curve);
                }
            }
        }
        Ok(curve)
    }
}
