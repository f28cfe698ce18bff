//! Labelled pictures in a Parquet table, as the `datasets` library writes them: a struct with the `bytes` of a PNG file, and
//! an integer `label`.

use std::fs::File;
use std::path::Path;

use image::{DynamicImage, ImageFormat};
use parquet::file::reader::{FileReader, SerializedFileReader};
use parquet::record::{Field, Row};

use super::{InMemoryDataset, panics};
use crate::{Error, Result};

/// What a table holds.
#[derive(Debug, Clone, Copy)]
pub(super) struct Columns {
    /// The name of the struct with the pictures.
    pub(super) image: &'static str,
    /// 1 for grey pictures, 3 for red, green and blue.
    pub(super) channels: usize,
    /// Labels are below this.
    pub(super) classes: u32,
}

/// Reads a table of pictures of one size, `[channels, H, W]`.
pub(super) fn read(path: &Path, columns: Columns) -> Result<InMemoryDataset> {
    // parquet 60 panics on some damaged files, on a negative offset for one.
    panics::catch(|| read_rows(path, columns))
        .unwrap_or_else(|message| Err(Error::Damaged { path: path.to_owned(), reason: message }))
}

fn read_rows(path: &Path, columns: Columns) -> Result<InMemoryDataset> {
    let Columns { channels, classes, .. } = columns;
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
            .and_then(|row| Ok((picture(&row, columns.image)?, label(&row)?)))
            .map_err(|reason| damaged(format!("row {index}: {reason}")))?;
        let target = u32::try_from(label)
            .ok()
            .filter(|&target| target < classes)
            .ok_or_else(|| Error::LabelOutOfRange { source_name: path.display().to_string(), label, index, classes })?;
        let (this_width, this_height) = (picture.width(), picture.height());
        let (width, height) = *size.get_or_insert((this_width, this_height));
        if (this_width, this_height) != (width, height) {
            let reason = format!("row {index} is {this_width} × {this_height}, but row 0 is {width} × {height}");
            return Err(damaged(reason));
        }
        if channels == 1 {
            pixels.extend(picture.into_luma8().into_raw());
        } else {
            let rgb = picture.into_rgb8();
            pixels.extend((0..channels).flat_map(|channel| rgb.iter().skip(channel).step_by(channels)));
        }
        targets.push(target);
    }
    let Some((width, height)) = size else {
        return Err(damaged("the table holds no row".to_owned()));
    };
    InMemoryDataset::from_pixels(pixels, &[channels, height as usize, width as usize], targets)
}

fn picture(row: &Row, name: &str) -> Result<DynamicImage, String> {
    let Some(Field::Group(image)) = field(row, name) else {
        return Err(format!("there is no struct `{name}`"));
    };
    let Some(Field::Bytes(bytes)) = field(image, "bytes") else {
        return Err(format!("there are no bytes `{name}.bytes`"));
    };
    image::load_from_memory_with_format(bytes.data(), ImageFormat::Png).map_err(|error| error.to_string())
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
