//! Cutting a part out of pictures.

use super::{Draws, Transform, check_size, image_shape};
use crate::{Error, Result};

/// Cuts the middle out of pictures `[C, H, W]`.
///
/// Formula: the first row is `(H − height) / 2`, a half rounded to the even number; the first column likewise.
///
/// Source: torchvision's `CenterCrop`, which pads a picture that is too small where this one refuses it.
///
/// ```
/// use taper_trainer::data::{CenterCrop, Draws, Transform};
///
/// # fn main() -> taper_trainer::Result<()> {
/// let input = (0..15).map(|value| value as f32).collect();
/// let output = CenterCrop::new([1, 3])?.apply(input, &[1, 3, 5], &mut Draws::for_sample(0, 0, 0, 0))?;
/// assert_eq!(output, [6.0, 7.0, 8.0]);
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CenterCrop {
    size: [usize; 2],
}

impl CenterCrop {
    /// Crops to `size`: `[height, width]`.
    ///
    /// # Errors
    /// When an extent is 0.
    pub fn new(size: [usize; 2]) -> Result<Self> {
        Ok(Self { size: check_size("CenterCrop", size)? })
    }
}

impl Transform for CenterCrop {
    fn apply(&self, input: Vec<f32>, shape: &[usize], _: &mut Draws) -> Result<Vec<f32>> {
        let [height, width] = room("CenterCrop", self.size, shape, [0, 0])?.map(|room| room as f64 / 2.0);
        let place = [height.round_ties_even() as isize, width.round_ties_even() as isize];
        Ok(crop(&input, image_shape("CenterCrop", shape)?, place, self.size))
    }

    fn output_shape(&self, shape: &[usize]) -> Result<Vec<usize>> {
        room("CenterCrop", self.size, shape, [0, 0])?;
        Ok(vec![shape[0], self.size[0], self.size[1]])
    }
}

/// Cuts a part out of pictures `[C, H, W]`, from anywhere within them or within a frame of zeros around them.
///
/// Source: torchvision's `RandomCrop` with `padding`.
///
/// ```
/// use taper_trainer::data::{RandomCrop, Transform};
///
/// # fn main() -> taper_trainer::Result<()> {
/// // The usual one for CIFAR: shifts of up to four pixels.
/// let crop = RandomCrop::new([32, 32], [4, 4])?;
/// assert_eq!(crop.output_shape(&[3, 32, 32])?, [3, 32, 32]);
/// assert!(RandomCrop::new([32, 41], [4, 4])?.output_shape(&[3, 32, 32]).is_err());
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RandomCrop {
    size: [usize; 2],
    padding: [usize; 2],
}

impl RandomCrop {
    /// Crops to `size`, `[height, width]`, out of a picture with `padding` rows of zeros above and below it, and columns
    /// on its left and right.
    ///
    /// # Errors
    /// When an extent is 0, or there is more padding than any picture has pixels.
    pub fn new(size: [usize; 2], padding: [usize; 2]) -> Result<Self> {
        if padding.iter().any(|pixels| *pixels > 1 << 16) {
            let value = format!("{padding:?}");
            return Err(Error::Value {
                op: "RandomCrop",
                argument: "padding",
                expected: "at most 65536 pixels",
                value,
            });
        }
        Ok(Self { size: check_size("RandomCrop", size)?, padding })
    }
}

impl Transform for RandomCrop {
    fn apply(&self, input: Vec<f32>, shape: &[usize], draws: &mut Draws) -> Result<Vec<f32>> {
        let room = room("RandomCrop", self.size, shape, self.padding)?;
        let mut place = [0, 1].map(|axis| draws.below(room[axis] as u64 + 1) as isize);
        for (start, padding) in place.iter_mut().zip(self.padding) {
            *start -= padding as isize;
        }
        Ok(crop(&input, image_shape("RandomCrop", shape)?, place, self.size))
    }

    fn output_shape(&self, shape: &[usize]) -> Result<Vec<usize>> {
        room("RandomCrop", self.size, shape, self.padding)?;
        Ok(vec![shape[0], self.size[0], self.size[1]])
    }
}

/// How many places there are along each axis beside the first one.
fn room(op: &'static str, size: [usize; 2], shape: &[usize], padding: [usize; 2]) -> Result<[usize; 2]> {
    let [_, height, width] = image_shape(op, shape)?;
    let along = |axis: usize| ([height, width][axis] + 2 * padding[axis]).checked_sub(size[axis]);
    match (along(0), along(1)) {
        (Some(rows), Some(columns)) => Ok([rows, columns]),
        _ => {
            let value = format!("{size:?} for {:?} with padding {padding:?}", [height, width]);
            Err(Error::Value { op, argument: "size", expected: "at most that of the padded picture", value })
        }
    }
}

/// The part of `size` from `place` on; what lies outside of the picture is 0.
fn crop(input: &[f32], [_, height, width]: [usize; 3], place: [isize; 2], size: [usize; 2]) -> Vec<f32> {
    let [rows, columns] = [0, 1].map(|axis| Overlap::new([height, width][axis], place[axis], size[axis]));
    let planes = input.chunks_exact((height * width).max(1));
    let mut output = vec![0.0; planes.len() * size[0] * size[1]];
    for (from, to) in planes.zip(output.chunks_exact_mut(size[0] * size[1])) {
        for row in 0..rows.len {
            let (from_row, to_row) = (rows.from + row, rows.to + row);
            let from = &from[from_row * width..][columns.from..columns.from + columns.len];
            to[to_row * size[1]..][columns.to..columns.to + columns.len].copy_from_slice(from);
        }
    }
    output
}

/// Where a part lies on a picture along one axis.
struct Overlap {
    /// Its start on the picture.
    from: usize,
    /// Its start in the part.
    to: usize,
    len: usize,
}

impl Overlap {
    fn new(extent: usize, place: isize, size: usize) -> Self {
        let (from, to) = (place.max(0).unsigned_abs().min(extent), place.min(0).unsigned_abs().min(size));
        Self { from, to, len: (extent - from).min(size - to) }
    }
}
