//! What became of each epoch.

use crate::{Metrics, exact};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// The epochs of a run, in order. It holds no clock, so that a resumed run has the very history of an uninterrupted one.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct History {
    /// One record an epoch.
    pub epochs: Vec<EpochRecord>,
}

impl History {
    /// The record of the last epoch.
    pub fn last(&self) -> Option<&EpochRecord> {
        self.epochs.last()
    }
}

/// What became of one epoch.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct EpochRecord {
    /// The epoch, counted from 1.
    pub epoch: usize,
    /// The optimiser steps that were taken by its end.
    pub step: usize,
    /// The learning rate of its last step.
    #[serde(with = "exact")]
    pub lr: f64,
    /// The metrics of its batches, each taken before the step that the batch led to.
    pub train: Metrics,
    /// The metrics of the validation set at its end, where there is one.
    // A field that is missing is damage, and must not read as `None`, which is what serde makes of it.
    #[serde(deserialize_with = "Option::deserialize")]
    pub val: Option<Metrics>,
    /// The further metrics of the validation set, by name; `None` for one that these samples leave undefined.
    #[serde(with = "exact::by_name")]
    pub metrics: BTreeMap<String, Option<f64>>,
}
