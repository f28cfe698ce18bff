//! How well scores rank the targets of a class before the others.

use super::Metric;
use super::rows::Rows;
use crate::{Error, Result};
use candle_core::Tensor;
use std::cmp::Ordering;

/// The area under the receiver operating characteristic: `logits` `[N, C, …]` and integer `targets` `[N, …]`. With two classes it is
/// that of class 1, and so it is with one logit, for targets 0 and 1; with more it is the mean over each class against the rest.
///
/// # Formula
/// Of all pairs of a target of the class and one of another, the share in which the first has the higher score, equal ones
/// counted half. A class's score is the logarithm of its odds, `z_c − ln Σ exp(z_j)` over the other classes j, which ranks as its
/// softmax does but has no equal scores where that is rounded to 1.
///
/// A class without a target, or without a target of another class, has no such pair, and no part in the mean. Where no class
/// has one, or a score is NaN, the value is undefined. All scores are kept, 8 bytes a logit, until a reset.
///
/// Source: scikit-learn's `roc_auc_score`, with `multi_class="ovr"` for more than two classes.
///
/// ```
/// use candle_core::{Device, Tensor};
/// use taper_trainer::{Auroc, Metric};
///
/// let mut auroc = Auroc::default();
/// let logits = Tensor::new(&[[0f32, 1.], [0., 3.], [0., 1.], [0., 0.]], &Device::Cpu)?;
/// auroc.update(&logits, &Tensor::new(&[1u32, 1, 0, 0], &Device::Cpu)?, 0.7)?;
/// assert_eq!(auroc.value(), Some(0.875));
/// # Ok::<(), taper_trainer::Error>(())
/// ```
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Auroc {
    /// The logits of a sample; 0 before the first.
    classes: usize,
    /// The scores of a sample, one after another: of each class, or of class 1 alone where there are two or one.
    scores: Vec<f64>,
    targets: Vec<usize>,
}

impl Metric for Auroc {
    fn name(&self) -> String {
        "auroc".to_owned()
    }

    fn update(&mut self, logits: &Tensor, targets: &Tensor, _: f64) -> Result<()> {
        let op = "Auroc";
        // A logit of its own for class 1 says all that two would, of which the other is 0.
        let logits = match logits.rank() == 1 || logits.dims().get(1) == Some(&1) {
            true => &with_zero(logits)?,
            false => logits,
        };
        let Some(rows) = Rows::new(op, logits, targets)? else { return Ok(()) };
        rows.check_classes(op, self.classes)?;
        if rows.classes == 0 {
            return Err(Error::Value {
                op,
                argument: "logits",
                expected: "of at least one class",
                value: "0".to_owned(),
            });
        }
        self.classes = rows.classes;
        for (scores, target) in rows.iter() {
            let odds = log_odds(scores);
            self.scores.extend(if self.classes == 2 { &odds[1..] } else { &odds });
            self.targets.push(target);
        }
        Ok(())
    }

    fn value(&self) -> Option<f64> {
        if self.scores.iter().any(|score| score.is_nan()) {
            return None;
        }
        let classes = if self.classes == 2 { 1..2 } else { 0..self.classes };
        let (first, stride) = (classes.start, classes.len());
        let areas: Vec<f64> = classes.filter_map(|class| self.area(class, class - first, stride)).collect();
        (!areas.is_empty()).then(|| areas.iter().sum::<f64>() / areas.len() as f64)
    }

    fn reset(&mut self) {
        *self = Self::default();
    }
}

impl Auroc {
    /// The area of `class`, whose scores are at `place` of each `stride`.
    fn area(&self, class: usize, place: usize, stride: usize) -> Option<f64> {
        let scores = self.scores.iter().skip(place).step_by(stride).copied();
        let mut ranked: Vec<(f64, bool)> = scores.zip(self.targets.iter().map(|target| *target == class)).collect();
        ranked.sort_unstable_by(|a, b| a.0.total_cmp(&b.0));
        // Twice the pairs in order, so that those of equal scores are whole numbers too.
        let (mut pairs, mut positives, mut negatives) = (0u128, 0u128, 0u128);
        // Both zeros are equal scores.
        for equal in ranked.chunk_by(|a, b| a.0.partial_cmp(&b.0) == Some(Ordering::Equal)) {
            let here = equal.iter().filter(|it| it.1).count() as u128;
            let others = equal.len() as u128 - here;
            pairs += here * (2 * negatives + others);
            (positives, negatives) = (positives + here, negatives + others);
        }
        let all = 2 * positives * negatives;
        (all > 0).then(|| pairs as f64 / all as f64)
    }
}

/// Logits `[N, 1, …]` or `[N]` of class 1 beside zeros for class 0.
fn with_zero(logits: &Tensor) -> Result<Tensor> {
    let logits = if logits.rank() == 1 { logits.unsqueeze(1)? } else { logits.clone() };
    Ok(Tensor::cat(&[&logits.zeros_like()?, &logits], 1)?)
}

/// The logarithm of each class's odds.
fn log_odds(logits: &[f64]) -> Vec<f64> {
    let top = super::rows::predicted(logits);
    let (highest, others) = (logits[top], || logits.iter().enumerate().filter(|it| it.0 != top).map(|it| *it.1));
    let second = others().fold(f64::NEG_INFINITY, f64::max);
    // The highest is odds against the rest, the others against it and what is left of the rest.
    let rest: f64 = others().map(|logit| (logit - highest).exp()).sum();
    let of_rest = match second == f64::NEG_INFINITY {
        true => second,
        false => others().map(|logit| (logit - second).exp()).sum::<f64>().ln() + second,
    };
    let odds = |(class, logit): (usize, &f64)| match class == top {
        true => logit - of_rest,
        false => logit - highest - (rest - (logit - highest).exp()).max(0.0).ln_1p(),
    };
    logits.iter().enumerate().map(odds).collect()
}
