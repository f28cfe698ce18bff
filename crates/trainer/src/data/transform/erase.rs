//! Erasing a part of pictures, so that a net does not rely on any one of them.

use super::{Draws, Transform, check_probability, image_shape};
use crate::{Error, Result};

/// Sets a random rectangle of pictures `[C, H, W]` to 0 with probability `p`.
///
/// Formula: the rectangle's area is the picture's times a factor that is uniform in `scale`, its height over its width
/// has a logarithm that is uniform between those of `ratio`; the sides are rounded. One that does not fit is drawn again,
/// up to ten times.
///
/// Source: torchvision's `RandomErasing` with `value=0`; Zhong et al., "Random erasing data augmentation", AAAI 2020.
///
/// ```
/// use taper_trainer::data::{Draws, RandomErasing, Transform};
///
/// # fn main() -> taper_trainer::Result<()> {
/// // torchvision's defaults, but always.
/// let erase = RandomErasing::new(1.0, [0.02, 0.33], [0.3, 3.3])?;
/// let output = erase.apply(vec![1.0; 400], &[1, 20, 20], &mut Draws::for_sample(0, 0, 0, 0))?;
/// let erased = output.iter().filter(|value| **value == 0.0).count();
/// assert!((8..140).contains(&erased));
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct RandomErasing {
    p: f64,
    scale: [f64; 2],
    ratio: [f64; 2],
}

impl RandomErasing {
    /// Erases with probability `p` an area between the two fractions of `scale`, of a height over its width between the
    /// two of `ratio`.
    ///
    /// # Errors
    /// When `p` is no probability, the fractions are not between 0 and 1 or the ratios not positive, or not in order.
    pub fn new(p: f64, scale: [f64; 2], ratio: [f64; 2]) -> Result<Self> {
        let refuse = |argument, expected, value| Err(Error::Value { op: "RandomErasing", argument, expected, value });
        let p = check_probability("RandomErasing", p)?;
        if !(0.0 <= scale[0] && scale[0] <= scale[1] && scale[1] <= 1.0) {
            return refuse("scale", "two fractions between 0 and 1, the smaller one first", format!("{scale:?}"));
        }
        if !(0.0 < ratio[0] && ratio[0] <= ratio[1] && ratio[1].is_finite()) {
            return refuse("ratio", "two positive ratios, the smaller one first", format!("{ratio:?}"));
        }
        Ok(Self { p, scale, ratio })
    }

    /// First row, first column, height and width of a rectangle in a picture of this height and width.
    fn draw(&self, height: usize, width: usize, draws: &mut Draws) -> Option<[usize; 4]> {
        (0..10).find_map(|_| {
            let area = height as f64 * width as f64 * draws.uniform(self.scale[0], self.scale[1]);
            let ratio = draws.uniform(self.ratio[0].ln(), self.ratio[1].ln()).exp();
            let h = (area * ratio).sqrt().round_ties_even() as usize;
            let w = (area / ratio).sqrt().round_ties_even() as usize;
            (h < height && w < width).then(|| {
                let top = draws.below((height - h) as u64 + 1) as usize;
                [top, draws.below((width - w) as u64 + 1) as usize, h, w]
            })
        })
    }
}

impl Transform for RandomErasing {
    fn apply(&self, mut input: Vec<f32>, shape: &[usize], draws: &mut Draws) -> Result<Vec<f32>> {
        let [_, height, width] = image_shape("RandomErasing", shape)?;
        if draws.uniform(0.0, 1.0) < self.p
            && let Some([top, left, h, w]) = self.draw(height, width, draws)
        {
            erase(&mut input, [height, width], [top, left, top + h, left + w]);
        }
        Ok(input)
    }
}

/// Sets a square of pictures `[C, H, W]` to 0. Its middle is anywhere in the picture, so that it may stand out of it.
///
/// Source: DeVries, Taylor, "Improved regularization of convolutional neural networks with cutout", 2017.
///
/// ```
/// use taper_trainer::data::{Cutout, Draws, Transform};
///
/// # fn main() -> taper_trainer::Result<()> {
/// let output = Cutout::new(2)?.apply(vec![1.0; 25], &[1, 5, 5], &mut Draws::for_sample(0, 0, 0, 0))?;
/// assert!(matches!(output.iter().filter(|value| **value == 0.0).count(), 1 | 2 | 4));
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cutout {
    length: usize,
}

impl Cutout {
    /// Erases a square with sides of `length` pixels.
    ///
    /// # Errors
    /// When `length` is 0.
    pub fn new(length: usize) -> Result<Self> {
        if length == 0 {
            let value = length.to_string();
            return Err(Error::Value { op: "Cutout", argument: "length", expected: "at least 1", value });
        }
        Ok(Self { length })
    }
}

impl Transform for Cutout {
    fn apply(&self, mut input: Vec<f32>, shape: &[usize], draws: &mut Draws) -> Result<Vec<f32>> {
        let [_, height, width] = image_shape("Cutout", shape)?;
        let mut span = |extent: usize| {
            let middle = draws.below(extent as u64) as usize;
            let before = self.length / 2;
            [middle.saturating_sub(before), middle.saturating_add(self.length - before).min(extent)]
        };
        let ([top, bottom], [left, right]) = (span(height), span(width));
        erase(&mut input, [height, width], [top, left, bottom, right]);
        Ok(input)
    }
}

/// Sets the pixels from row `top` and column `left` to before row `bottom` and column `right` to 0, in all channels.
fn erase(input: &mut [f32], [height, width]: [usize; 2], [top, left, bottom, right]: [usize; 4]) {
    for plane in input.chunks_exact_mut((height * width).max(1)) {
        for row in plane.chunks_exact_mut(width).take(bottom).skip(top) {
            row[left..right].fill(0.0);
        }
    }
}
