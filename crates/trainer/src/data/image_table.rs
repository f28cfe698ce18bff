//! Labelled pictures in a Parquet table, as the `datasets` library writes them: a struct `image` with the `bytes` of a PNG
//! file, and an integer `label`.

use std::fs::File;
use std::path::Path;

use image::{GrayImage, ImageFormat};
use parquet::file::reader::{FileReader, SerializedFileReader};
use parquet::record::{Field, Row};

use super::{InMemoryDataset, panics};
use crate::{Error, Result};

/// Reads a table of greyscale pictures of one size, `[1, H, W]`, with labels below `classes`.
pub(super) fn read(path: &Path, classes: u32) -> Result<InMemoryDataset> {
    // parquet 60 panics on some damaged files, on a negative offset for one.
    panics::catch(|| read_rows(path, classes))
        .unwrap_or_else(|message| Err(Error::Damaged { path: path.to_owned(), reason: message }))
}

fn read_rows(path: &Path, classes: u32) -> Result<InMemoryDataset> {
    let file = File::open(path).map_err(|source| Error::Io { action: "read", path: path.to_owned(), source })?;
    let damaged = |reason: String| Error::Damaged { path: path.to_owned(), reason };
    let reader = SerializedFileReader::new(file).map_err(|error| damaged(error.to_string()))?;
    let rows = reader.get_row_iter(None).map_err(|error| damaged(error.to_string()))?;

    let mut size = None;
    let mut pixels = Vec::new();
    let mut targets = Vec::new();
    for (index, row) in rows.enumerate() {
        let (picture, label) = row
            .map_err(|error| error.to_string())
            .and_then(|row| Ok((picture(&row)?, label(&row)?)))
            .map_err(|reason| damaged(format!("row {index}: {reason}")))?;
        let target = u32::try_from(label)
            .ok()
            .filter(|&target| target < classes)
            .ok_or_else(|| Error::LabelOutOfRange { source_name: path.display().to_string(), label, index, classes })?;
        let (width, height) = *size.get_or_insert(picture.dimensions());
        if picture.dimensions() != (width, height) {
            let (this_width, this_height) = picture.dimensions();
            let reason = format!("row {index} is {this_width} × {this_height}, but row 0 is {width} × {height}");
            return Err(damaged(reason));
        }
        pixels.extend_from_slice(picture.as_raw());
        targets.push(target);
    }
    let Some((width, height)) = size else {
        return Err(damaged("the table holds no row".to_owned()));
    };
    InMemoryDataset::from_pixels(pixels, &[1, height as usize, width as usize], targets)
}

fn picture(row: &Row) -> Result<GrayImage, String> {
    let Some(Field::Group(image)) = field(row, "image") else {
        return Err("there is no struct `image`".to_owned());
    };
    let Some(Field::Bytes(bytes)) = field(image, "bytes") else {
        return Err("there are no bytes `image.bytes`".to_owned());
    };
    let image = image::load_from_memory_with_format(bytes.data(), ImageFormat::Png);
    image.map(|image| image.into_luma8()).map_err(|error| error.to_string())
}

fn label(row: &Row) -> Result<i64, String> {
    match field(row, "label") {
        Some(Field::Long(label)) => Ok(*label),
        _ => Err("there is no 64-bit integer `label`".to_owned()),
    }
}

fn field<'a>(row: &'a Row, name: &str) -> Option<&'a Field> {
    row.get_column_iter().find(|(column, _)| *column == name).map(|(_, field)| field)
}
