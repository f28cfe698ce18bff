//! Reads the digit in a picture.

use std::fs::File;
use std::io::BufReader;
use std::path::Path;

use image::{DynamicImage, ImageFormat, ImageReader};
use taper::layers::Sequential;
use taper::trainer::data::InMemoryDataset;

use crate::digit::{self, SIDE};
use crate::error::{Error, Result};
use crate::readings::{self, Reading};

/// What the network says of the digit in a PNG or JPEG.
pub(crate) fn predict(net: &Sequential, path: &Path) -> Result<Reading> {
    let pixels = digit::normalise(&open(path)?)?;
    // Nobody knows the target, and nobody looks at it.
    let picture = InMemoryDataset::new(pixels, &[1, SIDE as usize, SIDE as usize], vec![0])?;
    let readings = readings::read(net, &picture)?;
    readings.first().copied().ok_or_else(|| Error::new("the network gave no reading"))
}

fn open(path: &Path) -> Result<DynamicImage> {
    // What a file is follows from its first bytes; its name may say anything.
    let reader = ImageReader::new(BufReader::new(File::open(path)?)).with_guessed_format()?;
    match reader.format() {
        Some(ImageFormat::Png | ImageFormat::Jpeg) => Ok(reader.decode()?),
        _ => Err(Error::new("this is neither a PNG nor a JPEG")),
    }
}
