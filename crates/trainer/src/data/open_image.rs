//! Opens a picture whole or not at all, upright, and within a memory that is known before.

use std::fs;
use std::io::Cursor;
use std::path::Path;

use image::metadata::Orientation;
use image::{DynamicImage, ImageDecoder, ImageFormat, ImageReader, Limits};

use super::panics;
use crate::{Error, Result};

/// The largest side of a picture that is decoded. A small file can promise any size.
const LARGEST_SIDE: u32 = 1 << 15;
/// The memory that opening one picture, and what is made of it, may take; 50 megapixels of colours as `f32` among it.
const MOST_MEMORY: u64 = 1 << 30;

/// Decodes a PNG or JPEG file, and turns the picture upright as its camera says (EXIF's orientation). What the file is
/// follows from its first bytes; its name may say anything.
///
/// A file that is cut short is refused, where a decoder would fill up with grey. Sides may have up to 32768 pixels, and
/// decoding and turning may take 1 GiB, which is told from the file's header, before any of it is claimed.
///
/// # Errors
/// When the file cannot be read, is neither a PNG nor a JPEG, is damaged or cut short, or the picture is too large.
///
/// ```
/// use taper_trainer::data::open_image;
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let path = std::env::temp_dir().join("taper-doc-open-image.png");
/// image::GrayImage::from_pixel(5, 4, image::Luma([255])).save(&path)?;
/// let picture = open_image(&path)?;
/// assert_eq!((picture.width(), picture.height()), (5, 4));
/// # std::fs::remove_file(path)?;
/// # Ok(())
/// # }
/// ```
pub fn open_image(path: impl AsRef<Path>) -> Result<DynamicImage> {
    open_within(path.as_ref(), 0)
}

/// Opens a picture that will take `more` further bytes a pixel.
pub(super) fn open_within(path: &Path, more: u64) -> Result<DynamicImage> {
    let failed = |source| Error::Io { action: "read", path: path.to_owned(), source };
    let refuse = |reason: String| Error::DataFile { file: path.display().to_string(), reason };
    let size = fs::metadata(path).map_err(failed)?.len();
    if size > MOST_MEMORY {
        return Err(refuse(format!("a file of {size} bytes is more than the {MOST_MEMORY} that a picture may take")));
    }
    let bytes = fs::read(path).map_err(failed)?;
    // A decoder's panic on a damaged file is that file's fault too.
    let opened = panics::catch(|| decode(&bytes, more)).unwrap_or_else(Err);
    opened.map_err(|reason| refuse(format!("{reason}; replace the file, or remove it")))
}

fn decode(bytes: &[u8], more: u64) -> Result<DynamicImage, String> {
    let words = |error: &dyn std::fmt::Display| error.to_string();
    let mut reader = ImageReader::new(Cursor::new(bytes)).with_guessed_format().map_err(|e| words(&e))?;
    match reader.format() {
        Some(ImageFormat::Png) => {}
        // The decoder would fill up with grey what is missing.
        Some(ImageFormat::Jpeg) if !reaches_its_end(bytes) => return Err("the JPEG is cut short".to_owned()),
        Some(ImageFormat::Jpeg) => {}
        _ => return Err("this is neither a PNG nor a JPEG".to_owned()),
    }
    let mut limits = Limits::default();
    (limits.max_image_width, limits.max_image_height) = (Some(LARGEST_SIDE), Some(LARGEST_SIDE));
    limits.max_alloc = Some(MOST_MEMORY);
    reader.limits(limits);
    let mut decoder = reader.into_decoder().map_err(|e| words(&e))?;
    let orientation = decoder.orientation().map_err(|e| words(&e))?;
    let (width, height) = decoder.dimensions();
    let decoded = decoder.total_bytes();
    // A picture that is turned by a right angle is there twice for a while, and so is one that is converted.
    let turned = if turns(orientation) { decoded } else { 0 };
    let after = u64::from(width).saturating_mul(u64::from(height)).saturating_mul(more);
    let needed = decoded.saturating_add(turned.max(after));
    if needed > MOST_MEMORY {
        return Err(format!("{width} × {height} pixels take {needed} bytes, and may take {MOST_MEMORY}"));
    }
    let mut picture = DynamicImage::from_decoder(decoder).map_err(|e| words(&e))?;
    picture.apply_orientation(orientation);
    Ok(picture)
}

fn turns(orientation: Orientation) -> bool {
    use Orientation::{Rotate90, Rotate90FlipH, Rotate270, Rotate270FlipH};
    matches!(orientation, Rotate90 | Rotate90FlipH | Rotate270 | Rotate270FlipH)
}

/// Whether the segments of a JPEG go on to its end marker.
///
/// Source: ITU-T T.81, annex B.
fn reaches_its_end(jpeg: &[u8]) -> bool {
    let mut rest = jpeg;
    loop {
        rest = match rest {
            [0xff, 0xd9, ..] => return true,
            // The start of the file, restarts, and a stuffed byte of the coded data have no length.
            [0xff, 0x00 | 0x01 | 0xd0..=0xd8, rest @ ..] => rest,
            [0xff, 0xff, ..] => &rest[1..],
            [0xff, _, high, low, ..] => match rest.get(2 + usize::from(u16::from_be_bytes([*high, *low]))..) {
                Some(rest) => rest,
                None => return false,
            },
            // Coded data.
            [_, rest @ ..] => rest,
            [] => return false,
        };
    }
}
