//! What the network says of digits.

use std::fmt;

use taper::Device;
use taper::layers::{Layer, Sequential};
use taper::ops::Mode;
use taper::trainer::data::InMemoryDataset;
use taper::trainer::{ConfusionMatrix, Metric};

use crate::error::{Error, Result};
use crate::model;

/// What the network says of one digit.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Reading {
    /// The likeliest digit and its probability.
    pub(crate) first: (u32, f32),
    /// The next likely one.
    pub(crate) second: (u32, f32),
}

impl fmt::Display for Reading {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [first, second] = [self.first, self.second].map(|(digit, share)| (digit, 100.0 * share));
        write!(f, "{} ({:.1} %), else {} ({:.1} %)", first.0, first.1, second.0, second.1)
    }
}

/// Reads all digits, in order.
pub(crate) fn read(net: &Sequential, digits: &InMemoryDataset, device: &Device) -> Result<Vec<Reading>> {
    let mut readings = Vec::new();
    for batch in model::batches(digits, device)?.epoch(0, 0) {
        let scores = net.forward_in(&batch?.inputs, &Mode::eval())?;
        for scores in scores.to_vec2::<f32>()? {
            readings.push(reading(&scores)?);
        }
    }
    Ok(readings)
}

/// How often each digit was read as each.
pub(crate) fn confusion(net: &Sequential, digits: &InMemoryDataset, device: &Device) -> Result<ConfusionMatrix> {
    let mut confusion = ConfusionMatrix::default();
    for batch in model::batches(digits, device)?.epoch(0, 0) {
        let batch = batch?;
        let scores = net.forward_in(&batch.inputs, &Mode::eval())?;
        // Nobody asks for the loss.
        confusion.update(&scores, &batch.targets, 0.0)?;
    }
    Ok(confusion)
}

/// The share of digits that were read right.
pub(crate) fn accuracy(readings: &[Reading], digits: &InMemoryDataset) -> f64 {
    let right = readings.iter().zip(digits.targets()).filter(|(reading, target)| reading.first.0 == **target);
    right.count() as f64 / readings.len() as f64
}

/// Turns scores into probabilities (softmax) and takes the two highest.
fn reading(scores: &[f32]) -> Result<Reading> {
    if scores.iter().any(|score| !score.is_finite()) {
        return Err(Error::new("the network's scores are not finite numbers: its weights are damaged, train it anew"));
    }
    let highest = scores.iter().fold(f32::NEG_INFINITY, |most, &score| most.max(score));
    let weights = scores.iter().map(|score| (score - highest).exp());
    let sum: f32 = weights.clone().sum();
    let mut digits: Vec<(u32, f32)> = (0..).zip(weights.map(|weight| weight / sum)).collect();
    digits.sort_by(|a, b| b.1.total_cmp(&a.1));
    Ok(Reading { first: digits[0], second: digits[1] })
}
