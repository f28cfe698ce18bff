//! Schedules of schedules.

use super::{Rates, Schedule, at_least_one, not_negative};
use crate::{EpochRecord, Error, Monitor, Result};

/// A linear warm-up, then any other schedule, which begins when the warm-up ends.
///
/// # Formula
/// `(start_factor + (1 − start_factor) · step / steps)` times the other schedule's first rate, then that schedule at
/// `step − steps`, for which the run begins there: epochs that were done by then are not its own.
///
/// A schedule of `total_steps` ends with the run where its `total_steps` are those of the run less those of the warm-up.
///
/// # Source
/// Goyal et al., "Accurate, large minibatch SGD: training ImageNet in 1 hour", 2017; PyTorch's `LinearLR` before another in a
/// `SequentialLR`.
///
/// ```
/// use taper_trainer::schedule::{CosineAnnealing, Schedule, Warmup};
///
/// let schedule = Warmup::new(10, CosineAnnealing { max_lr: 0.1, min_lr: 0.0, total_steps: 90 });
/// assert_eq!([0, 5, 10, 100].map(|step| schedule.rates(step, &[]).lr), [0.0, 0.05, 0.1, 0.0]);
/// ```
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Warmup<S> {
    /// The number of steps of the warm-up.
    pub steps: usize,
    /// The part of the rate that the first step has; 0 by default.
    pub start_factor: f64,
    /// What follows.
    pub then: S,
}

impl<S: Schedule> Warmup<S> {
    /// A warm-up from zero over `steps` steps.
    pub fn new(steps: usize, then: S) -> Self {
        Self { steps, start_factor: 0.0, then }
    }
}

impl<S: Schedule> Schedule for Warmup<S> {
    fn rates(&self, step: usize, epochs: &[EpochRecord]) -> Rates {
        let mut rates = from_milestone(&self.then, self.steps, step.max(self.steps), epochs);
        if step < self.steps {
            rates.lr *= self.start_factor + (1.0 - self.start_factor) * step as f64 / self.steps as f64;
        }
        rates
    }

    fn monitors(&self) -> Vec<&Monitor> {
        self.then.monitors()
    }

    fn validate(&self) -> Result<()> {
        not_negative("Warmup", [("start_factor", self.start_factor)])?;
        self.then.validate()
    }
}

/// One schedule after another. For each the run begins with its first step: it counts steps from there, and epochs that were
/// done by then are not its own.
///
/// # Source
/// PyTorch's `SequentialLR`.
///
/// ```
/// use taper_trainer::schedule::{Constant, Exponential, Schedule, Sequential};
///
/// let schedule = Sequential::new(Constant { lr: 0.1 }).then(100, Exponential { lr: 1.0, gamma: 0.5 });
/// assert_eq!([99, 100, 102].map(|step| schedule.rates(step, &[]).lr), [0.1, 1.0, 0.25]);
/// ```
#[derive(Debug)]
pub struct Sequential {
    first: Box<dyn Schedule>,
    /// Each with the step at which it begins.
    rest: Vec<(usize, Box<dyn Schedule>)>,
}

impl Sequential {
    /// The schedule that the run begins with.
    pub fn new(first: impl Schedule + 'static) -> Self {
        Self { first: Box::new(first), rest: Vec::new() }
    }

    /// The schedule that takes over at step `milestone`.
    pub fn then(mut self, milestone: usize, schedule: impl Schedule + 'static) -> Self {
        self.rest.push((milestone, Box::new(schedule)));
        self
    }
}

impl Schedule for Sequential {
    fn rates(&self, step: usize, epochs: &[EpochRecord]) -> Rates {
        match self.rest.iter().rev().find(|(milestone, _)| *milestone <= step) {
            Some((milestone, schedule)) => from_milestone(&**schedule, *milestone, step, epochs),
            None => self.first.rates(step, epochs),
        }
    }

    fn monitors(&self) -> Vec<&Monitor> {
        let rest = self.rest.iter().flat_map(|(_, schedule)| schedule.monitors());
        self.first.monitors().into_iter().chain(rest).collect()
    }

    fn validate(&self) -> Result<()> {
        let milestones: Vec<usize> = self.rest.iter().map(|(milestone, _)| *milestone).collect();
        if !milestones.is_sorted_by(|a, b| a < b) {
            let (argument, expected) = ("milestones", "strictly ascending");
            return Err(Error::Value { op: "Sequential", argument, expected, value: format!("{milestones:?}") });
        }
        milestones.first().map_or(Ok(()), |first| at_least_one("Sequential", "milestones", *first))?;
        self.first.validate()?;
        self.rest.iter().try_for_each(|(_, schedule)| schedule.validate())
    }
}

/// The rates at `step` of a schedule for which the run begins at step `milestone`.
fn from_milestone(schedule: &dyn Schedule, milestone: usize, step: usize, epochs: &[EpochRecord]) -> Rates {
    let done = epochs.partition_point(|epoch| epoch.step <= milestone);
    // An epoch within which it began is its own, and steps are counted from its first one, by schedules within it too.
    let own: Vec<EpochRecord> =
        epochs[done..].iter().map(|epoch| EpochRecord { step: epoch.step - milestone, ..epoch.clone() }).collect();
    schedule.rates(step - milestone, &own)
}
