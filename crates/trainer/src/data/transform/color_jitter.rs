//! Changes of colour.

use super::super::order::permuted;
use super::{Draws, Transform, image_shape};
use crate::{Error, Result};

/// How much red, green and blue count for grey.
const LUMA: [f32; 3] = [0.2989, 0.587, 0.114];

/// Changes brightness, contrast, saturation and hue of pictures `[3, H, W]` or `[1, H, W]` with values in [0, 1], in a
/// random order. It belongs before a [`Normalize`](super::Normalize).
///
/// Formula: with a factor f drawn for each, `y = clamp(f·x + (1 − f)·z, 0, 1)`, where z is 0 for the brightness, the mean
/// grey of the picture for the contrast, and the pixel's own grey for the saturation; grey = 0.2989 R + 0.587 G + 0.114 B.
/// The hue is turned in HSV by the part of a full circle that is drawn. Saturation and hue leave greyscale pictures as they
/// are.
///
/// Source: torchvision's `ColorJitter`.
///
/// ```
/// use taper_trainer::data::{ColorJitter, Draws, Transform};
///
/// # fn main() -> taper_trainer::Result<()> {
/// let jitter = ColorJitter::new(0.2, 0.2, 0.2, 0.05)?;
/// let output = jitter.apply(vec![0.5; 60], &[3, 4, 5], &mut Draws::for_sample(0, 0, 0, 0))?;
/// assert!(output.iter().all(|value| (0.4..=0.6).contains(value)));
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ColorJitter {
    brightness: [f64; 2],
    contrast: [f64; 2],
    saturation: [f64; 2],
    hue: [f64; 2],
}

impl ColorJitter {
    /// Draws the first three factors between `1 − amount`, but at least 0, and `1 + amount`, and the hue between `−hue` and
    /// `hue`.
    ///
    /// # Errors
    /// When an amount is negative, or `hue` is more than 0.5.
    pub fn new(brightness: f64, contrast: f64, saturation: f64, hue: f64) -> Result<Self> {
        let around = |amount: f64| [(1.0 - amount).max(0.0), 1.0 + amount];
        for (argument, amount) in [("brightness", brightness), ("contrast", contrast), ("saturation", saturation)] {
            if !(amount >= 0.0 && amount.is_finite()) {
                return refuse(argument, "0 or more", amount.to_string());
            }
        }
        if !(0.0..=0.5).contains(&hue) {
            return refuse("hue", "between 0 and 0.5", hue.to_string());
        }
        Self::from_ranges(around(brightness), around(contrast), around(saturation), [-hue, hue])
    }

    /// Draws each factor from a range: `[1.0, 1.0]` changes nothing, for the hue `[0.0, 0.0]`.
    ///
    /// # Errors
    /// When a range is not in order, a factor is negative, or the hue leaves −0.5 to 0.5.
    pub fn from_ranges(brightness: [f64; 2], contrast: [f64; 2], saturation: [f64; 2], hue: [f64; 2]) -> Result<Self> {
        for (argument, range) in [("brightness", brightness), ("contrast", contrast), ("saturation", saturation)] {
            if !(0.0 <= range[0] && range[0] <= range[1] && range[1].is_finite()) {
                return refuse(argument, "two factors of 0 or more, the smaller one first", format!("{range:?}"));
            }
        }
        if !(-0.5 <= hue[0] && hue[0] <= hue[1] && hue[1] <= 0.5) {
            return refuse("hue", "two numbers between -0.5 and 0.5, the smaller one first", format!("{hue:?}"));
        }
        Ok(Self { brightness, contrast, saturation, hue })
    }
}

impl Transform for ColorJitter {
    fn apply(&self, mut input: Vec<f32>, shape: &[usize], draws: &mut Draws) -> Result<Vec<f32>> {
        let [channels, height, width] = image_shape("ColorJitter", shape)?;
        if !matches!(channels, 1 | 3) {
            return refuse("input", "of 1 or 3 channels", format!("shape {shape:?}"));
        }
        let Self { brightness, contrast, saturation, hue } = *self;
        let [brightness, contrast, saturation, hue] =
            [brightness, contrast, saturation, hue].map(|[low, high]| draws.uniform(low, high) as f32);
        let plane = height * width;
        for change in permuted(vec![0, 1, 2, 3], draws) {
            match change {
                0 => blend(&mut input, brightness, 0.0),
                1 => {
                    let mean = mean_grey(&input, plane);
                    blend(&mut input, contrast, mean);
                }
                2 => for_each_pixel(&mut input, plane, |pixel| saturate(pixel, saturation)),
                // Exactly as it was, where HSV and back would round.
                _ if hue == 0.0 => {}
                _ => for_each_pixel(&mut input, plane, |pixel| turn_hue(pixel, hue)),
            }
        }
        Ok(input)
    }
}

fn refuse<T>(argument: &'static str, expected: &'static str, value: String) -> Result<T> {
    Err(Error::Value { op: "ColorJitter", argument, expected, value })
}

fn blend(values: &mut [f32], factor: f32, other: f32) {
    // A product of its own: the other's share of 0 is added exactly.
    let rest = (1.0 - factor) * other;
    for value in values {
        *value = (factor * *value + rest).clamp(0.0, 1.0);
    }
}

fn grey(pixel: [f32; 3]) -> f32 {
    LUMA[0] * pixel[0] + LUMA[1] * pixel[1] + LUMA[2] * pixel[2]
}

/// The mean of a picture, in grey; summed in float64, since a large picture has more pixels than float32 has digits.
fn mean_grey(values: &[f32], plane: usize) -> f32 {
    let sum: f64 = match colours(values, plane) {
        Some([red, green, blue]) => {
            red.iter().zip(green).zip(blue).map(|((r, g), b)| f64::from(grey([*r, *g, *b]))).sum()
        }
        None => values.iter().map(|value| f64::from(*value)).sum(),
    };
    (sum / plane.max(1) as f64) as f32
}

/// Changes each pixel of a picture with three channels.
fn for_each_pixel(values: &mut [f32], plane: usize, change: impl Fn([f32; 3]) -> [f32; 3]) {
    if values.len() != 3 * plane {
        return;
    }
    let (red, others) = values.split_at_mut(plane);
    let (green, blue) = others.split_at_mut(plane);
    for ((r, g), b) in red.iter_mut().zip(green).zip(blue) {
        [*r, *g, *b] = change([*r, *g, *b]);
    }
}

fn colours(values: &[f32], plane: usize) -> Option<[&[f32]; 3]> {
    if values.len() != 3 * plane {
        return None;
    }
    let (red, others) = values.split_at(plane);
    let (green, blue) = others.split_at(plane);
    Some([red, green, blue])
}

fn saturate(pixel: [f32; 3], factor: f32) -> [f32; 3] {
    let rest = (1.0 - factor) * grey(pixel);
    pixel.map(|value| (factor * value + rest).clamp(0.0, 1.0))
}

fn turn_hue(pixel: [f32; 3], turn: f32) -> [f32; 3] {
    let [hue, saturation, value] = rgb_to_hsv(pixel);
    hsv_to_rgb([(hue + turn).rem_euclid(1.0), saturation, value])
}

fn rgb_to_hsv([r, g, b]: [f32; 3]) -> [f32; 3] {
    let (most, least) = (r.max(g).max(b), r.min(g).min(b));
    let range = most - least;
    if range <= 0.0 {
        return [0.0, 0.0, most];
    }
    let [r_off, g_off, b_off] = [r, g, b].map(|value| (most - value) / range);
    let sixths = if r >= most {
        b_off - g_off
    } else if g >= most {
        2.0 + r_off - b_off
    } else {
        4.0 + g_off - r_off
    };
    [(sixths / 6.0).rem_euclid(1.0), range / most, most]
}

fn hsv_to_rgb([hue, saturation, value]: [f32; 3]) -> [f32; 3] {
    let sixth = (hue * 6.0).floor();
    let part = hue * 6.0 - sixth;
    let part_of = |share: f32| (value * (1.0 - saturation * share)).clamp(0.0, 1.0);
    let (p, q, t) = (part_of(1.0), part_of(part), part_of(1.0 - part));
    match sixth as i32 % 6 {
        0 => [value, t, p],
        1 => [q, value, p],
        2 => [p, value, t],
        3 => [p, q, value],
        4 => [t, p, value],
        _ => [value, p, q],
    }
}
