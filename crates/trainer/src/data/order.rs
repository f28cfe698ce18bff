//! Which samples an epoch takes, and in which order: a pure function of seed and epoch.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use super::{Dataset, Draws};
use crate::{Error, Result};

/// The draws that one epoch may have: they are drawn before its first batch, and take 2 GiB.
const MOST_DRAWS: usize = 1 << 28;

/// How an epoch goes through a data set.
#[derive(Clone)]
pub(super) enum Order {
    /// Every sample, in the data set's own order.
    Sequential,
    /// Every sample, each epoch in an order of its own.
    Shuffled,
    /// So many samples, drawn with replacement; the sums of the weights up to and with each sample.
    Weighted { cumulative: Arc<[f64]>, samples: usize },
    /// Every sample, shuffled so that each stretch holds the classes in their shares; the samples of each class.
    Stratified(Arc<[Vec<usize>]>),
}

impl Order {
    pub(super) fn weighted(weights: &[f64], samples: usize, len: usize) -> Result<Self> {
        let refuse = |expected, value| Err(Error::Value { op: "weighted", argument: "weights", expected, value });
        if samples > MOST_DRAWS {
            let (argument, expected) = ("samples", "at most 2²⁸, several epochs' worth in as many epochs");
            return Err(Error::Value { op: "weighted", argument, expected, value: samples.to_string() });
        }
        if weights.len() != len {
            return refuse("one a sample", format!("{} weights for {len} samples", weights.len()));
        }
        if let Some(index) = weights.iter().position(|weight| !(*weight >= 0.0 && weight.is_finite())) {
            return refuse("finite and 0 or more", format!("{} for sample {index}", weights[index]));
        }
        let cumulative: Arc<[f64]> = weights
            .iter()
            .scan(0.0, |sum, weight| {
                *sum += weight;
                Some(*sum)
            })
            .collect();
        let total = cumulative.last().copied().unwrap_or(0.0);
        if samples > 0 && !(total > 0.0 && total.is_finite()) {
            return refuse("of a positive, finite sum", total.to_string());
        }
        Ok(Self::Weighted { cumulative, samples })
    }

    pub(super) fn stratified(dataset: &dyn Dataset) -> Result<Self> {
        Ok(Self::Stratified(by_class(dataset)?.into()))
    }

    /// How many samples an epoch of a data set of `len` samples takes.
    pub(super) fn samples(&self, len: usize) -> usize {
        match self {
            Self::Weighted { samples, .. } => *samples,
            Self::Sequential | Self::Shuffled | Self::Stratified(_) => len,
        }
    }

    /// Whether a sample may come more than once in an epoch.
    pub(super) fn repeats(&self) -> bool {
        matches!(self, Self::Weighted { .. })
    }

    /// The samples of an epoch, in order.
    pub(super) fn indices(&self, seed: u64, epoch: u32, len: usize) -> Vec<usize> {
        let mut draws = Draws::for_order(seed, epoch);
        match self {
            Self::Sequential => (0..len).collect(),
            Self::Shuffled => permuted((0..len).collect(), &mut draws),
            Self::Weighted { cumulative, samples } => {
                (0..*samples).map(|_| draw_weighted(cumulative, &mut draws)).collect()
            }
            Self::Stratified(classes) => stratified(classes, &mut draws),
        }
    }
}

impl fmt::Display for Order {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Sequential => f.write_str("sequential"),
            Self::Shuffled => f.write_str("shuffled"),
            Self::Weighted { cumulative, samples } => {
                let bytes: Vec<u8> = cumulative.iter().flat_map(|sum| sum.to_le_bytes()).collect();
                write!(f, "{samples} weighted by {:08x}", crc32fast::hash(&bytes))
            }
            Self::Stratified(_) => f.write_str("stratified"),
        }
    }
}

/// The samples of each class, in the data set's order.
pub(super) fn by_class(dataset: &dyn Dataset) -> Result<Vec<Vec<usize>>> {
    let mut classes = BTreeMap::<u32, Vec<usize>>::new();
    for index in 0..dataset.len() {
        classes.entry(dataset.target(index)?).or_default().push(index);
    }
    Ok(classes.into_values().collect())
}

/// A uniform permutation by Fisher and Yates.
pub(super) fn permuted(mut samples: Vec<usize>, draws: &mut Draws) -> Vec<usize> {
    for last in (1..samples.len()).rev() {
        samples.swap(last, draws.below(last as u64 + 1) as usize);
    }
    samples
}

/// The sample whose stretch of the summed weights a uniform point falls into.
fn draw_weighted(cumulative: &[f64], draws: &mut Draws) -> usize {
    let total = cumulative.last().copied().unwrap_or(0.0);
    // All 53 bits of a float64: 32 would favour some of many millions of samples.
    let point = draws.below(1 << 53) as f64 / (1u64 << 53) as f64 * total;
    let drawn = cumulative.partition_point(|sum| *sum <= point);
    // Rounding can put the point on the total itself, past the last sample that has a weight.
    drawn.min(cumulative.partition_point(|sum| *sum < total))
}

/// Spreads each class evenly over the epoch from a random start on: the j-th of its n samples stands at (j + u) / n.
fn stratified(classes: &[Vec<usize>], draws: &mut Draws) -> Vec<usize> {
    let mut placed: Vec<(f64, usize)> = Vec::new();
    for class in classes {
        let (count, start) = (class.len() as f64, draws.uniform(0.0, 1.0));
        let shuffled = permuted(class.clone(), draws);
        placed.extend((0..).zip(shuffled).map(|(j, sample)| ((f64::from(j) + start) / count, sample)));
    }
    placed.sort_by(|a, b| a.0.total_cmp(&b.0));
    placed.into_iter().map(|(_, sample)| sample).collect()
}
