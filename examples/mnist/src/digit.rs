//! Brings a picture of a digit to MNIST's convention: light ink on a dark ground, its longer side 20 pixels long, its
//! centre of mass in the middle of 28 × 28.

use image::imageops::{self, FilterType};
use image::{DynamicImage, ImageBuffer, Luma};

use crate::error::{Error, Result};

/// The width and height of a digit.
pub(crate) const SIDE: u32 = 28;
/// The longer side of the ink within it.
const BOX: u32 = 20;
/// Larger pictures are shrunk first: nothing of a digit is lost, and time and memory stay small.
const LARGEST: u32 = 1024;
/// The least contrast between ground and ink, of 1 between black and white.
const CONTRAST: f32 = 0.08;
/// What is fainter than this share of the strongest ink is the ground's: paper grain, the noise of JPEG.
const FAINT: f32 = 0.15;

type Grey = ImageBuffer<Luma<f32>, Vec<f32>>;

/// The 28 × 28 values of the digit in a picture, row by row, 0 the ground and 1 the full ink.
///
/// The shade that prevails along the picture's edge is the ground; what differs most from it, darker or lighter, is the
/// ink. A transparent picture is laid on white if its strokes are dark, and on black if they are light.
pub(crate) fn normalise(picture: &DynamicImage) -> Result<Vec<f32>> {
    let ink = ink(&on_ground(picture))?;
    let cropped = crop(&ink);
    let (width, height) = cropped.dimensions();
    let scale = BOX as f32 / width.max(height) as f32;
    let fitted = |side: u32| ((side as f32 * scale).round() as u32).max(1);
    let mut fitted = imageops::resize(&cropped, fitted(width), fitted(height), FilterType::Triangle);
    // Thin strokes fade as they shrink.
    stretch(&mut fitted);
    Ok(centre(&fitted))
}

/// Grey values in [0, 1], without transparency.
fn on_ground(picture: &DynamicImage) -> Grey {
    let small;
    let picture = if picture.width().max(picture.height()) > LARGEST {
        small = picture.thumbnail(LARGEST, LARGEST);
        &small
    } else {
        picture
    };
    let grey = picture.to_luma_alpha16();
    let unit = |value: u16| f32::from(value) / f32::from(u16::MAX);
    let (opaque, light) = grey.pixels().fold((0.0, 0.0), |(opaque, light), pixel| {
        let [luma, alpha] = pixel.0.map(unit);
        (opaque + f64::from(alpha), light + f64::from(alpha * luma))
    });
    let ground = if light < 0.5 * opaque { 1.0 } else { 0.0 };
    Grey::from_fn(grey.width(), grey.height(), |x, y| {
        let [luma, alpha] = grey.get_pixel(x, y).0.map(unit);
        Luma([alpha * luma + (1.0 - alpha) * ground])
    })
}

/// How far each pixel is from the ground, 1 for the strongest ink.
fn ink(grey: &Grey) -> Result<Grey> {
    let (width, height) = grey.dimensions();
    let mut edge: Vec<f32> = grey
        .enumerate_pixels()
        .filter(|(x, y, _)| *x == 0 || *y == 0 || x + 1 == width || y + 1 == height)
        .map(|(_, _, pixel)| pixel.0[0])
        .collect();
    edge.sort_by(f32::total_cmp);
    let ground = edge[edge.len() / 2];
    let (darkest, lightest) =
        grey.pixels().fold((ground, ground), |(low, high), pixel| (low.min(pixel.0[0]), high.max(pixel.0[0])));
    let (sign, strongest) =
        if ground - darkest > lightest - ground { (-1.0, ground - darkest) } else { (1.0, lightest - ground) };
    if strongest < CONTRAST {
        return Err(Error::new("there is no digit in it: the picture has one even shade"));
    }
    Ok(Grey::from_fn(width, height, |x, y| {
        let share = sign * (grey.get_pixel(x, y).0[0] - ground) / strongest;
        Luma([if share < FAINT { 0.0 } else { share }])
    }))
}

/// The smallest rectangle that holds all ink.
fn crop(ink: &Grey) -> Grey {
    let (mut left, mut top, mut right, mut bottom) = (u32::MAX, u32::MAX, 0, 0);
    for (x, y, _) in ink.enumerate_pixels().filter(|(_, _, pixel)| pixel.0[0] > 0.0) {
        (left, top, right, bottom) = (left.min(x), top.min(y), right.max(x), bottom.max(y));
    }
    imageops::crop_imm(ink, left, top, right - left + 1, bottom - top + 1).to_image()
}

fn stretch(ink: &mut Grey) {
    let strongest = ink.pixels().fold(f32::MIN_POSITIVE, |most, pixel| most.max(pixel.0[0]));
    for pixel in ink.pixels_mut() {
        pixel.0[0] = (pixel.0[0] / strongest).clamp(0.0, 1.0);
    }
}

/// Puts the ink on an empty ground, its centre of mass in the middle; ink that would stand out is cut off.
fn centre(ink: &Grey) -> Vec<f32> {
    let (mut mass, mut across, mut down) = (0.0, 0.0, 0.0);
    for (x, y, pixel) in ink.enumerate_pixels() {
        mass += pixel.0[0];
        across += pixel.0[0] * x as f32;
        down += pixel.0[0] * y as f32;
    }
    let middle = SIDE as f32 / 2.0;
    let (left, top) = ((middle - across / mass).round() as i64, (middle - down / mass).round() as i64);
    let mut values = vec![0.0; (SIDE * SIDE) as usize];
    for (x, y, pixel) in ink.enumerate_pixels() {
        let (x, y) = (left + i64::from(x), top + i64::from(y));
        let within = 0..i64::from(SIDE);
        if within.contains(&x) && within.contains(&y) {
            values[(y * i64::from(SIDE) + x) as usize] = pixel.0[0];
        }
    }
    values
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use image::{GrayImage, LumaA, Rgba};

    use super::*;

    /// Whether a seven stands at a point of the unit square.
    fn seven(x: f32, y: f32) -> bool {
        let bar = (0.3..0.7).contains(&x) && (0.2..0.28).contains(&y);
        let stroke = (0.2..0.8).contains(&y) && (x - (0.7 - 0.4 * (y - 0.2))).abs() < 0.05;
        bar || stroke
    }

    fn draw(width: u32, height: u32, ink: u8, ground: u8) -> GrayImage {
        let share = |i: u32, extent: u32| (i as f32 + 0.5) / extent as f32;
        let value = |x, y| if seven(share(x, width), share(y, height)) { ink } else { ground };
        GrayImage::from_fn(width, height, |x, y| Luma([value(x, y)]))
    }

    fn difference(a: &[f32], b: &[f32]) -> f32 {
        a.iter().zip(b).map(|(a, b)| (a - b).abs()).sum::<f32>() / a.iter().sum::<f32>()
    }

    #[test]
    fn the_convention_of_mnist_holds() {
        let digit = normalise(&draw(300, 280, 20, 230).into()).unwrap();
        let rows = (0..28).filter(|row| digit[row * 28..(row + 1) * 28].iter().any(|v| *v > 0.0)).count();
        let columns = (0..28).filter(|column| (0..28).any(|row| digit[row * 28 + column] > 0.0)).count();
        assert!(rows == 20 && columns < 20, "{rows} rows, {columns} columns");
        let mass: f32 = digit.iter().sum();
        let centre =
            |place: fn(usize) -> usize| digit.iter().enumerate().map(|(i, v)| v * place(i) as f32).sum::<f32>() / mass;
        assert!((centre(|i| i % 28) - 14.0).abs() <= 0.51 && (centre(|i| i / 28) - 14.0).abs() <= 0.51);
        assert!(digit.iter().all(|v| (0.0..=1.0).contains(v)) && digit.contains(&1.0));
    }

    #[test]
    fn ground_size_place_and_format_do_not_matter() {
        let dark_on_light = draw(300, 280, 0, 255);
        let digit = normalise(&dark_on_light.clone().into()).unwrap();
        assert_eq!(digit, normalise(&draw(300, 280, 255, 0).into()).unwrap());
        let faint = normalise(&draw(300, 280, 120, 160).into()).unwrap();
        assert!(difference(&digit, &faint) < 0.01);

        let mut moved = GrayImage::from_pixel(500, 400, Luma([255]));
        image::imageops::replace(&mut moved, &dark_on_light, 190, 7);
        assert_eq!(digit, normalise(&moved.into()).unwrap());
        let sixteen = DynamicImage::from(dark_on_light.clone()).to_luma16();
        assert_eq!(digit, normalise(&sixteen.into()).unwrap());

        // Black or white strokes on nothing; what colour the nothing has is not seen.
        let alpha = |value| move |pixel: &Luma<u8>| LumaA([value, 255 - pixel.0[0]]);
        for value in [0, 255] {
            let pixels = dark_on_light.pixels().map(alpha(value)).flat_map(|pixel| pixel.0).collect();
            let strokes = ImageBuffer::<LumaA<u8>, Vec<u8>>::from_raw(300, 280, pixels).unwrap();
            assert_eq!(digit, normalise(&strokes.into()).unwrap(), "{value}");
        }
        let red = image::RgbaImage::from_fn(300, 280, |x, y| {
            if dark_on_light.get_pixel(x, y).0[0] == 0 { Rgba([200, 20, 20, 255]) } else { Rgba([250, 250, 240, 255]) }
        });
        assert!(difference(&digit, &normalise(&red.into()).unwrap()) < 0.01);
        for (width, height) in [(90, 84), (3000, 2800)] {
            let scaled = normalise(&draw(width, height, 0, 255).into()).unwrap();
            assert!(difference(&digit, &scaled) < 0.12, "{width}: {}", difference(&digit, &scaled));
        }
    }

    #[test]
    fn what_holds_no_digit_is_refused() {
        for (width, height) in [(1, 1), (1, 30), (40, 1), (30, 20)] {
            for shade in [0, 128, 255] {
                let error = normalise(&GrayImage::from_pixel(width, height, Luma([shade])).into()).unwrap_err();
                assert!(error.to_string().contains("one even shade"), "{error}");
            }
        }
        let nothing = image::RgbaImage::from_pixel(9, 7, Rgba([3, 2, 1, 0]));
        assert!(normalise(&nothing.into()).is_err());
    }

    #[test]
    fn a_single_dot_and_a_thin_line_are_no_trouble() {
        let mut dot = GrayImage::from_pixel(5, 4, Luma([255]));
        dot.put_pixel(2, 1, Luma([0]));
        assert!((normalise(&dot.into()).unwrap().iter().sum::<f32>() - 400.0).abs() < 1e-3);
        let line = GrayImage::from_fn(2000, 9, |x, y| Luma([if y == 4 && x > 5 { 0 } else { 255 }]));
        assert!(normalise(&line.into()).unwrap().iter().sum::<f32>() > 10.0);
    }
}
