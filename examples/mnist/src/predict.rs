//! Reads the digit in a picture.

use std::path::Path;

use taper::Device;
use taper::layers::Sequential;
use taper::trainer::data::{InMemoryDataset, open_image};

use crate::digit::{self, SIDE};
use crate::error::{Error, Result};
use crate::readings::{self, Reading};

/// What the network says of the digit in a PNG or JPEG.
pub(crate) fn predict(net: &Sequential, path: &Path, device: &Device) -> Result<Reading> {
    let pixels =
        digit::normalise(&open_image(path)?).map_err(|error| Error::new(format!("{}: {error}", path.display())))?;
    // Nobody knows the target, and nobody looks at it.
    let digit = InMemoryDataset::new(pixels, &[1, SIDE as usize, SIDE as usize], vec![0])?;
    let readings = readings::read(net, &digit, device)?;
    readings.first().copied().ok_or_else(|| Error::new("the network gave no reading"))
}
