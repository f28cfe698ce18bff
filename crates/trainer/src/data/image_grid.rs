//! Batches to look at: whether the pictures, and what augmentation makes of them, are what they should be.

use std::io::Cursor;
use std::path::Path;

use candle_core::{DType, Tensor};
use image::{ImageFormat, Rgb, RgbImage};

use crate::{Error, Result, write_atomic};

/// Between the pictures, in pixels.
const GAP: usize = 2;
const GROUND: Rgb<u8> = Rgb([128, 128, 128]);
/// More pixels than a screen shows, and than anyone looks at.
const MOST_PIXELS: usize = 1 << 28;

/// Writes pictures `[N, C, H, W]` as a PNG, `columns` side by side, each pixel a square of `zoom` × `zoom`. One channel
/// is grey, three are red, green and blue; the least value of the batch becomes black, the greatest full light, so that
/// normalised pictures are seen too.
///
/// Source: torchvision's `save_image` with `normalize=True`.
///
/// # Errors
/// When the tensor is not of that shape, nothing is to be drawn, the picture would have more than 2²⁸ pixels, or the file
/// cannot be written.
///
/// ```
/// use taper_trainer::data::{InMemoryDataset, Loader, save_image_grid};
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let dataset = InMemoryDataset::from_pixels((0..150).collect(), &[1, 5, 6], vec![0; 5])?;
/// let path = std::env::temp_dir().join("taper-doc-grid.png");
/// for batch in Loader::new(dataset, 5)?.epoch(0, 0).take(1) {
///     save_image_grid(&path, &batch?.inputs, 3, 4)?;
/// }
/// // Three columns of 6 · 4 pixels, two rows of 5 · 4, and what is around and between them.
/// assert_eq!(image::image_dimensions(&path)?, (80, 46));
/// # std::fs::remove_file(path).ok();
/// # Ok(())
/// # }
/// ```
pub fn save_image_grid(path: impl AsRef<Path>, images: &Tensor, columns: usize, zoom: usize) -> Result<()> {
    let grid = Grid::new(images.dims(), columns, zoom)?;
    let values: Vec<f32> = images.to_dtype(DType::F32)?.flatten_all()?.to_vec1()?;
    let finite = || values.iter().copied().filter(|value| value.is_finite());
    let (least, most) = (finite().fold(f32::INFINITY, f32::min), finite().fold(f32::NEG_INFINITY, f32::max));
    // The cast saturates, and makes NaN black.
    let level = |value: f32| ((value - least) / (most - least) * 255.0).round() as u8;

    let mut picture = RgbImage::from_pixel(grid.width, grid.height, GROUND);
    let plane = grid.extents[0] * grid.extents[1];
    for (place, image) in values.chunks_exact(grid.channels * plane).enumerate() {
        for i in 0..plane {
            let colour = |channel: usize| level(image[channel.min(grid.channels - 1) * plane + i]);
            grid.fill(&mut picture, place, i, Rgb([colour(0), colour(1), colour(2)]));
        }
    }
    let mut png = Cursor::new(Vec::new());
    let failed =
        |error| Error::Io { action: "encode", path: path.as_ref().to_owned(), source: std::io::Error::other(error) };
    picture.write_to(&mut png, ImageFormat::Png).map_err(failed)?;
    write_atomic(path.as_ref(), png.get_ref())
}

/// Where each picture stands.
struct Grid {
    channels: usize,
    extents: [usize; 2],
    columns: usize,
    zoom: usize,
    width: u32,
    height: u32,
}

impl Grid {
    fn new(shape: &[usize], columns: usize, zoom: usize) -> Result<Self> {
        let refuse = |argument, expected, value| Err(Error::Value { op: "save_image_grid", argument, expected, value });
        let [count, channels @ (1 | 3), rows, row] = *shape else {
            return refuse("images", "of shape [N, 1 or 3, H, W]", format!("shape {shape:?}"));
        };
        if count * rows * row == 0 {
            return refuse("images", "some pictures of some pixels", format!("shape {shape:?}"));
        }
        if columns == 0 || zoom == 0 {
            return refuse("columns and zoom", "at least 1", format!("{columns} and {zoom}"));
        }
        let columns = columns.min(count);
        let along = |pictures: usize, extent: usize| {
            extent.checked_mul(zoom)?.checked_add(GAP)?.checked_mul(pictures)?.checked_add(GAP)
        };
        let size = along(columns, row).zip(along(count.div_ceil(columns), rows));
        match size.filter(|(width, height)| width.checked_mul(*height).is_some_and(|pixels| pixels <= MOST_PIXELS)) {
            // Both are below 2²⁸.
            Some((width, height)) => {
                Ok(Self { channels, extents: [rows, row], columns, zoom, width: width as u32, height: height as u32 })
            }
            None => refuse("images", "few and small enough for 2²⁸ pixels", format!("shape {shape:?}, zoom {zoom}")),
        }
    }

    /// Draws pixel `i` of the picture at `place`.
    fn fill(&self, picture: &mut RgbImage, place: usize, i: usize, colour: Rgb<u8>) {
        let [rows, row] = self.extents;
        let left = GAP + place % self.columns * (row * self.zoom + GAP) + i % row * self.zoom;
        let top = GAP + place / self.columns * (rows * self.zoom + GAP) + i / row * self.zoom;
        for y in top..top + self.zoom {
            for x in left..left + self.zoom {
                picture.put_pixel(x as u32, y as u32, colour);
            }
        }
    }
}
