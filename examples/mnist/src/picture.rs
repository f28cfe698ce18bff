//! Opens a picture, whole or not at all.

use std::fs;
use std::io::Cursor;
use std::path::Path;

use image::{DynamicImage, ImageDecoder, ImageFormat, ImageReader, Limits};

use crate::error::{Error, Result};

/// Decodes a PNG or JPEG, and turns it upright as its camera says.
pub(crate) fn open(path: &Path) -> Result<DynamicImage> {
    let bytes = fs::read(path)?;
    // What a file is follows from its first bytes; its name may say anything.
    let reader = ImageReader::new(Cursor::new(&bytes)).with_guessed_format()?;
    match reader.format() {
        Some(ImageFormat::Png) => {}
        // The decoder would fill up with grey what is missing.
        Some(ImageFormat::Jpeg) if !reaches_its_end(&bytes) => return Err(Error::new("the JPEG is cut short")),
        Some(ImageFormat::Jpeg) => {}
        _ => return Err(Error::new("this is neither a PNG nor a JPEG")),
    }
    let mut decoder = reader.into_decoder()?;
    let (width, height) = decoder.dimensions();
    if Limits::default().reserve(decoder.total_bytes()).is_err() {
        return Err(Error::new(format!("{width} × {height} is more than fits half a gigabyte; make it smaller")));
    }
    let orientation = decoder.orientation()?;
    let mut picture = DynamicImage::from_decoder(decoder)?;
    picture.apply_orientation(orientation);
    Ok(picture)
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
