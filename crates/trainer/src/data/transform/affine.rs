//! Augmentation by turning, scaling and shifting pictures.

use super::{Draws, Transform, image_shape};
use crate::{Error, Result};

/// Turns, scales and shifts pictures `[C, H, W]` about their centre; what comes from outside is 0.
///
/// Formula: an output pixel at p (from the centre, y downwards) takes the input at R⁻¹(p − t) / s, interpolated
/// bilinearly, where R turns clockwise by `degrees`, t is `translate` and s is `scale`.
///
/// Source: torchvision's `functional.affine` with `interpolation=BILINEAR`, `fill=0` and no shear.
///
/// ```
/// use taper_trainer::data::{Affine, Draws, Transform};
///
/// # fn main() -> taper_trainer::Result<()> {
/// let right = Affine { degrees: 0.0, translate: [1.0, 0.0], scale: 1.0 };
/// let output = right.apply(vec![1.0, 2.0, 3.0, 4.0, 5.0, 6.0], &[1, 2, 3], &mut Draws::for_sample(0, 0, 0, 0))?;
/// assert_eq!(output, [0.0, 1.0, 2.0, 0.0, 4.0, 5.0]);
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Affine {
    /// The angle, clockwise.
    pub degrees: f64,
    /// The shift to the right and downwards, in pixels.
    pub translate: [f64; 2],
    /// The factor of enlargement.
    pub scale: f64,
}

impl Transform for Affine {
    fn apply(&self, input: Vec<f32>, shape: &[usize], _: &mut Draws) -> Result<Vec<f32>> {
        let [_, height, width] = image_shape("Affine", shape)?;
        Ok(self.resample(&input, height, width))
    }
}

impl Affine {
    fn resample(&self, input: &[f32], height: usize, width: usize) -> Vec<f32> {
        let map = self.output_to_input(height, width);
        // A frame of zeros and clamped coordinates instead of four bounds checks a pixel.
        let stride = width + FRAME;
        let mut framed = vec![0.0; (height + FRAME) * stride];
        let mut output = Vec::with_capacity(input.len());
        for plane in input.chunks_exact((height * width).max(1)) {
            for (row, values) in plane.chunks_exact(width).enumerate() {
                let start = (row + 1) * stride + 1;
                framed[start..start + width].copy_from_slice(values);
            }
            for row in 0..height {
                output.extend((0..width).map(|column| {
                    let at = |[of_column, of_row, offset]: [f32; 3]| {
                        of_column * column as f32 + of_row * row as f32 + offset
                    };
                    // In the framed plane, whose first row and column hold zeros; NaN goes there too.
                    let x = (at(map[0]) + 1.0).max(0.0).min((width + 1) as f32);
                    let y = (at(map[1]) + 1.0).max(0.0).min((height + 1) as f32);
                    bilinear(&framed, stride, x, y)
                }));
            }
        }
        output
    }

    /// The input's column and row at an output pixel: each the coefficients of its column, of its row, and a constant.
    fn output_to_input(&self, height: usize, width: usize) -> [[f32; 3]; 2] {
        let (sin, cos) = self.degrees.to_radians().sin_cos();
        let (sin, cos) = (sin / self.scale, cos / self.scale);
        let centre = [(width as f64 - 1.0) / 2.0, (height as f64 - 1.0) / 2.0];
        let from = [centre[0] + self.translate[0], centre[1] + self.translate[1]];
        [[cos, sin, centre[0] - cos * from[0] - sin * from[1]], [-sin, cos, centre[1] + sin * from[0] - cos * from[1]]]
            .map(|row| row.map(|value| value as f32))
    }
}

/// The zeros about a plane: one before it, and two after it for the far neighbours of a coordinate on the frame.
const FRAME: usize = 3;

/// The value at (`x`, `y`) ≥ 0 of a plane that goes on for at least one row and column beyond.
fn bilinear(plane: &[f32], stride: usize, x: f32, y: f32) -> f32 {
    let (column, row) = (x as usize, y as usize);
    let (right, low) = (x - column as f32, y - row as f32);
    let at = row * stride + column;
    let blend = |first: f32, second: f32, part: f32| first + part * (second - first);
    let upper = blend(plane[at], plane[at + 1], right);
    let lower = blend(plane[at + stride], plane[at + stride + 1], right);
    blend(upper, lower, low)
}

/// An [`Affine`] drawn anew for each sample and epoch: small turns, shifts and scalings that do not change what a picture
/// shows.
///
/// Source: torchvision's `RandomAffine`, whose names, ranges and whole-pixel shifts these are, with bilinear
/// interpolation and `fill=0`.
///
/// ```
/// use taper_trainer::data::RandomAffine;
///
/// assert!(RandomAffine::new(10.0, [0.1, 0.1], [0.9, 1.1]).is_ok());
/// ```
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct RandomAffine {
    degrees: f64,
    translate: [f64; 2],
    scale: [f64; 2],
}

impl RandomAffine {
    /// Turns by up to `degrees` either way; shifts by up to the fractions `translate` of the width and the height;
    /// scales by a factor between the two of `scale`.
    ///
    /// # Errors
    /// When `degrees` is negative, a fraction is not between 0 and 1, or the factors are not positive and in order.
    pub fn new(degrees: f64, translate: [f64; 2], scale: [f64; 2]) -> Result<Self> {
        let refuse = |argument, expected, value| Err(Error::Value { op: "RandomAffine", argument, expected, value });
        if !(degrees >= 0.0 && degrees.is_finite()) {
            return refuse("degrees", "0 or more", degrees.to_string());
        }
        if translate.iter().any(|fraction| !(0.0..=1.0).contains(fraction)) {
            return refuse("translate", "fractions between 0 and 1", format!("{translate:?}"));
        }
        if !(0.0 < scale[0] && scale[0] <= scale[1] && scale[1].is_finite()) {
            return refuse("scale", "two positive factors, the smaller one first", format!("{scale:?}"));
        }
        Ok(Self { degrees, translate, scale })
    }

    /// The change that `draws` gives a picture of this height and width.
    pub fn draw(&self, height: usize, width: usize, draws: &mut Draws) -> Affine {
        let degrees = draws.uniform(-self.degrees, self.degrees);
        let [horizontal, vertical] = [self.translate[0] * width as f64, self.translate[1] * height as f64];
        let translate = [draws.uniform(-horizontal, horizontal).round(), draws.uniform(-vertical, vertical).round()];
        Affine { degrees, translate, scale: draws.uniform(self.scale[0], self.scale[1]) }
    }
}

impl Transform for RandomAffine {
    fn apply(&self, input: Vec<f32>, shape: &[usize], draws: &mut Draws) -> Result<Vec<f32>> {
        let [_, height, width] = image_shape("RandomAffine", shape)?;
        Ok(self.draw(height, width, draws).resample(&input, height, width))
    }
}
