//! Data sets of PNG and JPEG files, decoded as they are asked for.

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use image::DynamicImage;

use super::open_image::open_within;
use super::transform::check_size;
use super::{Dataset, Resize, Sample};
use crate::{Error, Result};

/// Numbers from here on are no classes.
const MOST_CLASSES: usize = 1 << 16;

/// Labelled PNG and JPEG files. Each is opened when it is read, by the loader's workers and as [`open_image`](super::open_image)
/// opens it, and brought to one size by [`Resize`]. Values are in [0, 1]; transparency is left out. A picture, its decoded
/// values and what becomes of them may take 1 GiB: 50 megapixels of colours, or 100 of grey.
///
/// ```
/// use taper_trainer::data::{Dataset, ImageFiles};
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let root = std::env::temp_dir().join("taper-doc-image-files");
/// for class in ["cat", "dog"] {
///     std::fs::create_dir_all(root.join(class))?;
///     image::GrayImage::from_pixel(5, 4, image::Luma([255])).save(root.join(class).join("1.png"))?;
/// }
/// let pets = ImageFiles::from_folder(&root, [3, 4, 5])?;
/// assert_eq!((pets.len(), pets.classes()), (2, ["cat".to_owned(), "dog".to_owned()].as_slice()));
/// assert_eq!((pets.get(1)?.input, pets.target(1)?), (vec![1.0; 60], 1));
/// # std::fs::remove_dir_all(root)?;
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone)]
pub struct ImageFiles {
    files: Vec<(PathBuf, u32)>,
    classes: Vec<String>,
    shape: [usize; 3],
}

impl ImageFiles {
    /// The pictures in the folders below `root`: a folder a class, numbered in the order of their names. `shape` is
    /// `[1, H, W]` for grey pictures, `[3, H, W]` for colours. Names that begin with a dot are passed over, and so are files
    /// that do not end in `.png`, `.jpg` or `.jpeg`.
    ///
    /// Source: torchvision's `ImageFolder`, which also looks into folders further down.
    ///
    /// # Errors
    /// When a folder cannot be read, there is no class, a class has no picture, or `shape` is not as above.
    pub fn from_folder(root: impl AsRef<Path>, shape: [usize; 3]) -> Result<Self> {
        let shape = check_shape(shape)?;
        let root = root.as_ref();
        let (mut files, mut classes) = (Vec::new(), Vec::new());
        for folder in entries(root)?.into_iter().filter(|path| path.is_dir()) {
            let pictures: Vec<PathBuf> = entries(&folder)?.into_iter().filter(|path| is_picture(path)).collect();
            if pictures.is_empty() {
                let reason = "no picture (.png, .jpg or .jpeg) is in the folder of this class; remove it, or add some";
                return Err(data_file(&folder, reason.to_owned()));
            }
            let class = classes.len() as u32;
            files.extend(pictures.into_iter().map(|path| (path, class)));
            classes.push(folder.file_name().unwrap_or_default().to_string_lossy().into_owned());
        }
        if classes.is_empty() {
            return Err(data_file(root, "there is no folder in it, and each class must have one".to_owned()));
        }
        Ok(Self { files, classes, shape })
    }

    /// The pictures that a CSV file names, in its order: its first line is `path,label`, each further line a path, from the
    /// CSV file's folder, and a label; either may stand in double quotes, and spaces around it are left out. Labels are class
    /// numbers if all of them are whole numbers from 0 on; otherwise, if one of them is negative for instance, all are names,
    /// numbered in alphabetical order. `shape` is that of [`from_folder`](Self::from_folder).
    ///
    /// # Errors
    /// When the file cannot be read, a line is not of two columns, a class number is 65536 or more, or `shape` is not as
    /// above.
    pub fn from_csv(path: impl AsRef<Path>, shape: [usize; 3]) -> Result<Self> {
        let shape = check_shape(shape)?;
        let path = path.as_ref();
        let text =
            fs::read_to_string(path).map_err(|source| Error::Io { action: "read", path: path.to_owned(), source })?;
        // Spreadsheets put a byte order mark before what they write as UTF-8.
        let text = text.strip_prefix('\u{feff}').unwrap_or(&text);
        let mut lines = (1..).zip(text.lines());
        if lines.next().and_then(|(_, line)| columns(line)) != Some(["path".to_owned(), "label".to_owned()]) {
            return Err(data_file(path, "its first line must be `path,label`".to_owned()));
        }
        let rows = lines.filter(|(_, line)| !line.trim().is_empty()).map(|(number, line)| {
            columns(line).ok_or_else(|| data_file(path, format!("line {number} must be a path, a comma and a label")))
        });
        let rows: Vec<[String; 2]> = rows.collect::<Result<_>>()?;

        let (targets, classes) = class_numbers(rows.iter().map(|[_, label]| label.as_str()))
            .map_err(|label| data_file(path, format!("class {label} must be below {MOST_CLASSES}")))?;
        let folder = path.parent().unwrap_or(Path::new(""));
        let files = rows.iter().zip(targets).map(|([file, _], target)| (folder.join(file), target)).collect();
        Ok(Self { files, classes, shape })
    }

    /// The names of the classes, in the order of their numbers.
    pub fn classes(&self) -> &[String] {
        &self.classes
    }

    fn file(&self, index: usize) -> Result<&(PathBuf, u32)> {
        let (argument, expected) = ("index", "less than the number of samples");
        self.files.get(index).ok_or_else(|| Error::Value {
            op: "ImageFiles",
            argument,
            expected,
            value: index.to_string(),
        })
    }
}

impl Dataset for ImageFiles {
    fn len(&self) -> usize {
        self.files.len()
    }

    fn input_shape(&self) -> &[usize] {
        &self.shape
    }

    fn get(&self, index: usize) -> Result<Sample> {
        let (path, target) = self.file(index)?;
        let [channels, height, width] = self.shape;
        // Each value is a `u16` and an `f32` for a while.
        let picture = open_within(path, channels as u64 * 6)?;
        let shape = [channels, picture.height() as usize, picture.width() as usize];
        let input = Resize::new([height, width])?.resize(planes(&picture, channels), &shape)?;
        Ok(Sample { input, target: *target })
    }

    fn target(&self, index: usize) -> Result<u32> {
        Ok(self.file(index)?.1)
    }
}

fn data_file(path: &Path, reason: String) -> Error {
    Error::DataFile { file: path.display().to_string(), reason }
}

fn check_shape(shape: [usize; 3]) -> Result<[usize; 3]> {
    if !matches!(shape[0], 1 | 3) {
        let (argument, expected) = ("shape", "[1, H, W] or [3, H, W]");
        return Err(Error::Value { op: "ImageFiles", argument, expected, value: format!("{shape:?}") });
    }
    check_size("ImageFiles", [shape[1], shape[2]])?;
    Ok(shape)
}

/// What is in a folder and not hidden, in the order of the names.
fn entries(folder: &Path) -> Result<Vec<PathBuf>> {
    let paths = fs::read_dir(folder).and_then(|entries| entries.map(|entry| Ok(entry?.path())).collect());
    let mut paths: Vec<PathBuf> =
        paths.map_err(|source: io::Error| Error::Io { action: "read", path: folder.to_owned(), source })?;
    paths.retain(|path| !path.file_name().unwrap_or_default().as_encoded_bytes().starts_with(b"."));
    paths.sort();
    Ok(paths)
}

fn is_picture(path: &Path) -> bool {
    let extension = path.extension().and_then(OsStr::to_str).map(str::to_ascii_lowercase);
    matches!(extension.as_deref(), Some("png" | "jpg" | "jpeg")) && path.is_file()
}

/// The two columns of a line.
fn columns(line: &str) -> Option<[String; 2]> {
    let (first, rest) = column(line)?;
    let (second, rest) = column(rest?)?;
    rest.is_none().then_some([first, second])
}

/// The first column of a line, and what follows its comma.
fn column(line: &str) -> Option<(String, Option<&str>)> {
    let Some(quoted) = line.trim_start().strip_prefix('"') else {
        let (column, rest) = line.split_once(',').map_or((line, None), |(column, rest)| (column, Some(rest)));
        let column = column.trim();
        return (!column.is_empty()).then(|| (column.to_owned(), rest));
    };
    let mut column = String::new();
    let mut rest = quoted;
    loop {
        let (part, after) = rest.split_once('"')?;
        column += part;
        rest = match after.strip_prefix('"') {
            Some(after) => after,
            None if after.trim().is_empty() => return Some((column, None)),
            None => return Some((column, Some(after.trim_start().strip_prefix(',')?))),
        };
        column.push('"');
    }
}

/// A number for each label, and the classes that the numbers name. The error is a number that is none.
fn class_numbers<'a>(labels: impl Iterator<Item = &'a str> + Clone) -> Result<(Vec<u32>, Vec<String>), String> {
    let numbers: Option<Vec<u64>> = labels.clone().map(|label| label.parse().ok()).collect();
    if let Some(numbers) = numbers {
        if let Some(number) = numbers.iter().find(|number| **number >= MOST_CLASSES as u64) {
            return Err(number.to_string());
        }
        let classes = numbers.iter().max().map_or(0, |most| most + 1);
        return Ok((
            numbers.iter().map(|number| *number as u32).collect(),
            (0..classes).map(|c| c.to_string()).collect(),
        ));
    }
    let names: Vec<&str> = labels.clone().collect::<BTreeSet<_>>().into_iter().collect();
    if names.len() > MOST_CLASSES {
        return Err(format!("{} of {}", MOST_CLASSES, names.len()));
    }
    // Found, since every label is among the names.
    let targets = labels.map(|label| names.partition_point(|name| *name < label) as u32).collect();
    Ok((targets, names.into_iter().map(str::to_owned).collect()))
}

/// The values of a picture, a plane a channel. Of 16 bits, since 8 become the same numbers by way of them.
fn planes(picture: &DynamicImage, channels: usize) -> Vec<f32> {
    let values = if channels == 1 { picture.to_luma16().into_raw() } else { picture.to_rgb16().into_raw() };
    let plane = |channel: usize| values.iter().skip(channel).step_by(channels);
    (0..channels).flat_map(plane).map(|&value| f32::from(value) / f32::from(u16::MAX)).collect()
}
