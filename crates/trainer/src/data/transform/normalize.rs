//! Normalisation by the statistics of the whole data set.

use super::{Draws, Transform};
use crate::{Error, Result};

/// Shifts and scales each channel to the mean 0 and the deviation 1 that the whole data set then has.
///
/// Formula: `y[c, …] = (x[c, …] − mean[c]) / std[c]`.
///
/// Source: torchvision's `Normalize`.
///
/// ```
/// use taper_trainer::data::{Draws, Normalize, Transform};
///
/// # fn main() -> taper_trainer::Result<()> {
/// let normalize = Normalize::new(&[0.5, 1.0], &[0.25, 2.0])?;
/// let mut draws = Draws::for_sample(0, 0, 0, 0);
/// let output = normalize.apply(vec![0.5, 1.0, 1.0, 5.0], &[2, 1, 2], &mut draws)?;
/// assert_eq!(output, [0.0, 2.0, 0.0, 2.0]);
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct Normalize {
    mean: Vec<f32>,
    std: Vec<f32>,
}

impl Normalize {
    /// Takes a mean and a standard deviation a channel, in the units of the input.
    ///
    /// # Errors
    /// When the two are not equally many, or a deviation is not positive.
    pub fn new(mean: &[f32], std: &[f32]) -> Result<Self> {
        let refuse = |argument, expected, value| Err(Error::Value { op: "Normalize", argument, expected, value });
        if mean.len() != std.len() {
            return refuse("std", "as many values as mean", format!("{} and {}", std.len(), mean.len()));
        }
        if let Some(bad) = std.iter().find(|std| !(**std > 0.0 && std.is_finite())) {
            return refuse("std", "positive", bad.to_string());
        }
        Ok(Self { mean: mean.to_vec(), std: std.to_vec() })
    }
}

impl Transform for Normalize {
    fn apply(&self, mut input: Vec<f32>, shape: &[usize], _: &mut Draws) -> Result<Vec<f32>> {
        let channels = shape.first().copied().unwrap_or(0);
        if channels != self.mean.len() {
            return Err(Error::Value {
                op: "Normalize",
                argument: "input",
                expected: "of as many channels as mean and std",
                value: format!("shape {shape:?} for {} channels", self.mean.len()),
            });
        }
        let plane = shape.iter().skip(1).product::<usize>().max(1);
        for (values, (mean, std)) in input.chunks_mut(plane).zip(self.mean.iter().zip(&self.std)) {
            for value in values {
                *value = (*value - mean) / std;
            }
        }
        Ok(input)
    }
}
