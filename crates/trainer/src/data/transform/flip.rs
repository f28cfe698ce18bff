//! Mirror images.

use super::{Draws, Transform, check_probability, image_shape};
use crate::Result;

/// Mirrors pictures `[C, H, W]` left to right with probability `p`.
///
/// Source: torchvision's `RandomHorizontalFlip`.
///
/// ```
/// use taper_trainer::data::{Draws, RandomHorizontalFlip, Transform};
///
/// # fn main() -> taper_trainer::Result<()> {
/// let flip = RandomHorizontalFlip::new(1.0)?;
/// let output = flip.apply(vec![1.0, 2.0, 3.0, 4.0, 5.0, 6.0], &[1, 2, 3], &mut Draws::for_sample(0, 0, 0, 0))?;
/// assert_eq!(output, [3.0, 2.0, 1.0, 6.0, 5.0, 4.0]);
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct RandomHorizontalFlip {
    p: f64,
}

impl RandomHorizontalFlip {
    /// Flips with probability `p`.
    ///
    /// # Errors
    /// When `p` is no probability.
    pub fn new(p: f64) -> Result<Self> {
        Ok(Self { p: check_probability("RandomHorizontalFlip", p)? })
    }
}

impl Transform for RandomHorizontalFlip {
    fn apply(&self, mut input: Vec<f32>, shape: &[usize], draws: &mut Draws) -> Result<Vec<f32>> {
        let [_, _, width] = image_shape("RandomHorizontalFlip", shape)?;
        if draws.uniform(0.0, 1.0) < self.p {
            input.chunks_exact_mut(width.max(1)).for_each(<[f32]>::reverse);
        }
        Ok(input)
    }
}

/// Mirrors pictures `[C, H, W]` top to bottom with probability `p`.
///
/// Source: torchvision's `RandomVerticalFlip`.
///
/// ```
/// use taper_trainer::data::{Draws, RandomVerticalFlip, Transform};
///
/// # fn main() -> taper_trainer::Result<()> {
/// let flip = RandomVerticalFlip::new(1.0)?;
/// let output = flip.apply(vec![1.0, 2.0, 3.0, 4.0, 5.0, 6.0], &[1, 2, 3], &mut Draws::for_sample(0, 0, 0, 0))?;
/// assert_eq!(output, [4.0, 5.0, 6.0, 1.0, 2.0, 3.0]);
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct RandomVerticalFlip {
    p: f64,
}

impl RandomVerticalFlip {
    /// Flips with probability `p`.
    ///
    /// # Errors
    /// When `p` is no probability.
    pub fn new(p: f64) -> Result<Self> {
        Ok(Self { p: check_probability("RandomVerticalFlip", p)? })
    }
}

impl Transform for RandomVerticalFlip {
    fn apply(&self, mut input: Vec<f32>, shape: &[usize], draws: &mut Draws) -> Result<Vec<f32>> {
        let [_, height, width] = image_shape("RandomVerticalFlip", shape)?;
        if draws.uniform(0.0, 1.0) < self.p {
            for plane in input.chunks_exact_mut((height * width).max(1)) {
                let (upper, lower) = plane.split_at_mut(height / 2 * width);
                let width = width.max(1);
                upper
                    .chunks_exact_mut(width)
                    .zip(lower.chunks_exact_mut(width).rev())
                    .for_each(|(a, b)| a.swap_with_slice(b));
            }
        }
        Ok(input)
    }
}
