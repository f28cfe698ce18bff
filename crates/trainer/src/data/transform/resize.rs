//! Pictures of another size.

use super::{Draws, Transform, check_size, image_shape};
use crate::{Error, Result};

/// Brings pictures `[C, H, W]` to another size, whatever their proportions.
///
/// Formula: along each axis, with scale s = input / output, output place i takes the mean of the input places j weighted by
/// `max(0, 1 − |j + ½ − s·(i + ½)| / max(s, 1))`: linear interpolation between pixels where the picture grows, and an
/// average over all pixels that become one where it shrinks.
///
/// Source: torchvision's `Resize` with bilinear interpolation and `antialias=True`.
///
/// ```
/// use taper_trainer::data::{Draws, Resize, Transform};
///
/// # fn main() -> taper_trainer::Result<()> {
/// let output = Resize::new([1, 4])?.apply(vec![0.0, 1.0], &[1, 1, 2], &mut Draws::for_sample(0, 0, 0, 0))?;
/// assert_eq!(output, [0.0, 0.25, 0.75, 1.0]);
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Resize {
    size: [usize; 2],
}

impl Resize {
    /// Resizes to `size`: `[height, width]`.
    ///
    /// # Errors
    /// When an extent is 0.
    pub fn new(size: [usize; 2]) -> Result<Self> {
        Ok(Self { size: check_size("Resize", size)? })
    }
}

impl Transform for Resize {
    fn apply(&self, input: Vec<f32>, shape: &[usize], _: &mut Draws) -> Result<Vec<f32>> {
        self.resize(input, shape)
    }

    fn output_shape(&self, shape: &[usize]) -> Result<Vec<usize>> {
        let [channels, _, _] = some_pixels(shape)?;
        Ok(vec![channels, self.size[0], self.size[1]])
    }
}

impl Resize {
    /// What [`apply`](Transform::apply) does, which draws nothing.
    pub(crate) fn resize(&self, input: Vec<f32>, shape: &[usize]) -> Result<Vec<f32>> {
        let [channels, height, width] = some_pixels(shape)?;
        let ([rows, columns], mut values) = (self.size, input);
        if columns != width {
            let taps = taps(width, columns);
            let wide = std::mem::take(&mut values);
            values.reserve_exact(channels * height * columns);
            for row in wide.chunks_exact(width) {
                values.extend(taps.iter().map(|(start, weights)| {
                    weights.iter().zip(&row[*start..]).map(|(weight, value)| weight * value).sum::<f32>()
                }));
            }
        }
        if rows != height {
            let taps = taps(height, rows);
            let mut output = vec![0.0; channels * rows * columns];
            for (plane, output) in values.chunks_exact(height * columns).zip(output.chunks_exact_mut(rows * columns)) {
                for ((start, weights), output) in taps.iter().zip(output.chunks_exact_mut(columns)) {
                    for (weight, row) in weights.iter().zip(plane.chunks_exact(columns).skip(*start)) {
                        output.iter_mut().zip(row).for_each(|(sum, value)| *sum += weight * value);
                    }
                }
            }
            values = output;
        }
        Ok(values)
    }
}

fn some_pixels(shape: &[usize]) -> Result<[usize; 3]> {
    let shape = image_shape("Resize", shape)?;
    if shape[1] > 0 && shape[2] > 0 {
        return Ok(shape);
    }
    Err(Error::Value {
        op: "Resize",
        argument: "input",
        expected: "of at least one pixel",
        value: format!("{shape:?}"),
    })
}

/// For each output place the first input place that it takes from, and the weights from there on.
fn taps(input: usize, output: usize) -> Vec<(usize, Vec<f32>)> {
    let scale = input as f64 / output as f64;
    let support = scale.max(1.0);
    let at = |place: usize| {
        let middle = scale * (place as f64 + 0.5);
        let start = (middle - support + 0.5).max(0.0) as usize;
        let end = ((middle + support + 0.5) as usize).min(input);
        let weights = (start..end).map(|from| (1.0 - (from as f64 + 0.5 - middle).abs() / support).max(0.0));
        let sum: f64 = weights.clone().sum();
        (start, weights.map(|weight| (weight / sum) as f32).collect())
    };
    (0..output).map(at).collect()
}
