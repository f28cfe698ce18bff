//! Augmentation that mixes the samples of a batch, and their targets with them.

use std::fmt::Debug;

use super::super::Draws;
use super::image_shape;
use crate::{Error, Result};

/// More are a mistake.
const MOST_CLASSES: usize = 1 << 16;
/// The probabilities that one batch may have, 1 GiB of them.
const MOST_PROBABILITIES: usize = 1 << 28;

/// The samples of a batch, before they become tensors.
#[derive(Debug, Clone, PartialEq)]
pub struct Samples {
    /// The values of all inputs, one sample after another.
    pub inputs: Vec<f32>,
    /// The shape of one input.
    pub shape: Vec<usize>,
    /// What they are.
    pub targets: Targets,
}

/// The targets of a batch.
#[derive(Debug, Clone, PartialEq)]
pub enum Targets {
    /// A class a sample.
    Classes(Vec<u32>),
    /// How much each sample is of each class; the numbers of a sample sum to 1.
    Probabilities {
        /// One sample after another.
        values: Vec<f32>,
        /// The number of classes.
        classes: usize,
    },
}

/// A change to a whole batch, after each of its samples was transformed.
///
/// All that is random comes from `draws`, a pure function of (seed, epoch, batch). The `Debug` form is its configuration in
/// words: a resumed run must have the same.
pub trait BatchTransform: Debug + Send + Sync {
    /// Changes `samples`, whose number and shape stay.
    ///
    /// # Errors
    /// When the transform does not apply to such samples.
    fn apply(&self, samples: &mut Samples, draws: &mut Draws) -> Result<()>;
}

/// Mixes each sample with the one before it in the batch, and the first with the last; so the loader should shuffle.
///
/// Formula: with one λ drawn from Beta(alpha, alpha) for the batch, `x[i] ← λ x[i] + (1 − λ) x[i−1]`, and the targets
/// likewise. They become probabilities `[N, classes]`, float32, which `cross_entropy` takes; accuracy is not counted then.
///
/// Source: torchvision's `v2.MixUp`; Zhang et al., "mixup: beyond empirical risk minimization", ICLR 2018.
///
/// ```
/// use taper_trainer::data::{InMemoryDataset, Loader, MixUp};
///
/// # fn main() -> taper_trainer::Result<()> {
/// let dataset = InMemoryDataset::new(vec![0.0; 12], &[2], vec![0, 1, 2, 0, 1, 2])?;
/// let loader = Loader::new(dataset, 6)?.shuffle(true).batch_transform(MixUp::new(0.2, 3)?);
/// for batch in loader.epoch(0, 0) {
///     assert_eq!(batch?.targets.dims(), [6, 3]);
/// }
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct MixUp {
    alpha: f64,
    classes: usize,
}

impl MixUp {
    /// Mixes targets of `classes` classes; the smaller `alpha` is, the more of a batch is nearly unmixed.
    ///
    /// # Errors
    /// When `alpha` is not positive, or `classes` is not between 1 and 65536.
    pub fn new(alpha: f64, classes: usize) -> Result<Self> {
        check("MixUp", alpha, classes)?;
        Ok(Self { alpha, classes })
    }
}

impl BatchTransform for MixUp {
    fn apply(&self, samples: &mut Samples, draws: &mut Draws) -> Result<()> {
        let lambda = beta(self.alpha, draws) as f32;
        let previous = rolled(&samples.inputs, samples.shape.iter().product());
        blend(&mut samples.inputs, &previous, lambda);
        mix_targets("MixUp", &mut samples.targets, self.classes, lambda)
    }
}

/// Pastes a rectangle of each picture `[C, H, W]` into the next one of the batch, and of the last into the first; so the
/// loader should shuffle.
///
/// Formula: with λ drawn from Beta(alpha, alpha) for the batch and r = ½ √(1 − λ), the rectangle reaches ⌊r · height⌋ rows up
/// and down and ⌊r · width⌋ columns left and right from a uniform middle, and is clipped to the picture; it is the same for
/// all pictures of the batch. The targets are mixed by the part of the picture that it really covers, and become
/// probabilities `[N, classes]`, as those of [`MixUp`] do.
///
/// Source: torchvision's `v2.CutMix`; Yun et al., "CutMix: regularization strategy to train strong classifiers with
/// localizable features", ICCV 2019.
///
/// ```
/// use taper_trainer::data::{CutMix, InMemoryDataset, Loader};
///
/// # fn main() -> taper_trainer::Result<()> {
/// let dataset = InMemoryDataset::new(vec![0.0; 80], &[1, 4, 5], vec![0, 1, 2, 0])?;
/// let loader = Loader::new(dataset, 4)?.shuffle(true).batch_transform(CutMix::new(1.0, 3)?);
/// for batch in loader.epoch(0, 0) {
///     assert_eq!(batch?.targets.dims(), [4, 3]);
/// }
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct CutMix {
    alpha: f64,
    classes: usize,
}

impl CutMix {
    /// Mixes targets of `classes` classes; with `alpha` 1, every area is equally likely.
    ///
    /// # Errors
    /// When `alpha` is not positive, or `classes` is not between 1 and 65536.
    pub fn new(alpha: f64, classes: usize) -> Result<Self> {
        check("CutMix", alpha, classes)?;
        Ok(Self { alpha, classes })
    }
}

impl BatchTransform for CutMix {
    fn apply(&self, samples: &mut Samples, draws: &mut Draws) -> Result<()> {
        let [channels, height, width] = image_shape("CutMix", &samples.shape)?;
        let half = 0.5 * (1.0 - beta(self.alpha, draws)).sqrt();
        let mut span = |extent: usize| {
            let (middle, half) = (draws.below(extent as u64) as usize, (half * extent as f64) as usize);
            (middle.saturating_sub(half), (middle + half).min(extent))
        };
        let ((left, right), (top, bottom)) = (span(width), span(height));
        let area = (right - left) as f64 * (bottom - top) as f64;
        let lambda = 1.0 - area / (height as f64 * width as f64).max(1.0);

        let previous = rolled(&samples.inputs, channels * height * width);
        let (pixels, width) = ((height * width).max(1), width.max(1));
        for (plane, previous) in samples.inputs.chunks_exact_mut(pixels).zip(previous.chunks_exact(pixels)) {
            let rows = plane.chunks_exact_mut(width).zip(previous.chunks_exact(width));
            for (row, previous) in rows.take(bottom).skip(top) {
                row[left..right].copy_from_slice(&previous[left..right]);
            }
        }
        mix_targets("CutMix", &mut samples.targets, self.classes, lambda as f32)
    }
}

fn check(op: &'static str, alpha: f64, classes: usize) -> Result<()> {
    let refuse = |argument, expected, value| Err(Error::Value { op, argument, expected, value });
    if !(alpha > 0.0 && alpha.is_finite()) {
        return refuse("alpha", "positive", alpha.to_string());
    }
    if !(1..=MOST_CLASSES).contains(&classes) {
        return refuse("classes", "1 to 65536", classes.to_string());
    }
    Ok(())
}

/// Each sample's predecessor in its place, the last one's in the first.
fn rolled(values: &[f32], size: usize) -> Vec<f32> {
    let (others, last) = values.split_at(values.len().saturating_sub(size));
    [last, others].concat()
}

fn blend(values: &mut [f32], others: &[f32], lambda: f32) {
    for (value, other) in values.iter_mut().zip(others) {
        *value = lambda * *value + (1.0 - lambda) * other;
    }
}

fn mix_targets(op: &'static str, targets: &mut Targets, classes: usize, lambda: f32) -> Result<()> {
    let mut values = match std::mem::replace(targets, Targets::Classes(Vec::new())) {
        Targets::Classes(targets) => one_hot(op, &targets, classes)?,
        Targets::Probabilities { values, classes: given } if given == classes => values,
        Targets::Probabilities { classes: given, .. } => {
            let value = format!("{classes} for probabilities of {given}");
            return Err(Error::Value { op, argument: "classes", expected: "that of the targets", value });
        }
    };
    let previous = rolled(&values, classes);
    blend(&mut values, &previous, lambda);
    *targets = Targets::Probabilities { values, classes };
    Ok(())
}

fn one_hot(op: &'static str, targets: &[u32], classes: usize) -> Result<Vec<f32>> {
    let count = targets.len().saturating_mul(classes);
    if count > MOST_PROBABILITIES {
        let (expected, samples) = ("such that a batch has at most 2²⁸ probabilities", targets.len());
        return Err(Error::Value {
            op,
            argument: "classes",
            expected,
            value: format!("{classes} for {samples} samples"),
        });
    }
    let mut values = vec![0.0; count];
    for (&target, row) in targets.iter().zip(values.chunks_exact_mut(classes)) {
        let value = || format!("{classes} for a target of class {target}");
        let entry = row.get_mut(target as usize);
        *entry.ok_or_else(|| Error::Value {
            op,
            argument: "classes",
            expected: "more than any target",
            value: value(),
        })? = 1.0;
    }
    Ok(values)
}

/// A number from Beta(alpha, alpha): one gamma variate's share of two.
fn beta(alpha: f64, draws: &mut Draws) -> f64 {
    // As logarithms, since for a small alpha both variates may be too small for a float64.
    let (first, second) = (log_gamma_variate(alpha, draws), log_gamma_variate(alpha, draws));
    1.0 / (1.0 + (second - first).exp())
}

/// The logarithm of a number from Gamma(alpha, 1).
///
/// Source: Marsaglia, Tsang, "A simple method for generating gamma variables", ACM TOMS 26(3), 2000.
fn log_gamma_variate(alpha: f64, draws: &mut Draws) -> f64 {
    if alpha < 1.0 {
        return log_gamma_variate(alpha + 1.0, draws) + log_uniform(draws) / alpha;
    }
    let d = alpha - 1.0 / 3.0;
    loop {
        let x = normal(draws);
        let v = (1.0 + x / (9.0 * d).sqrt()).powi(3);
        if v > 0.0 && log_uniform(draws) < 0.5 * x * x + d - d * v + d * v.ln() {
            return (d * v).ln();
        }
    }
}

/// A standard normal number, after Box and Muller.
fn normal(draws: &mut Draws) -> f64 {
    let radius = (-2.0 * log_uniform(draws)).sqrt();
    radius * draws.uniform(0.0, std::f64::consts::TAU).cos()
}

/// The logarithm of a uniform number in (0, 1].
fn log_uniform(draws: &mut Draws) -> f64 {
    (1.0 - draws.uniform(0.0, 1.0)).ln()
}
