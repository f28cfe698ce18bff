//! What is done to each sample before it joins a batch, and to each batch before it leaves the loader.

mod affine;
mod color_jitter;
mod crop;
mod erase;
mod flip;
mod mix;
mod normalize;
mod resize;

pub use affine::{Affine, RandomAffine};
pub use color_jitter::ColorJitter;
pub use crop::{CenterCrop, RandomCrop};
pub use erase::{Cutout, RandomErasing};
pub use flip::{RandomHorizontalFlip, RandomVerticalFlip};
pub use mix::{BatchTransform, CutMix, MixUp, Samples, Targets};
pub use normalize::Normalize;
pub use resize::Resize;

use std::fmt::Debug;

use super::Draws;
use crate::{Error, Result};

/// A change to the input of one sample: augmentation, normalisation, a crop.
///
/// All that is random comes from `draws`, so that a sample is changed in the same way by any thread, and in another way
/// in another epoch. The `Debug` form is its configuration in words: a resumed run must have the same.
pub trait Transform: Debug + Send + Sync {
    /// The changed input; `shape` is what the data set's [`input_shape`](super::Dataset::input_shape) has become by the
    /// transforms before this one.
    ///
    /// # Errors
    /// When the transform does not apply to inputs of this shape.
    fn apply(&self, input: Vec<f32>, shape: &[usize], draws: &mut Draws) -> Result<Vec<f32>>;

    /// The shape of the changed input; by default the one that came in.
    ///
    /// # Errors
    /// When the transform does not apply to inputs of this shape.
    fn output_shape(&self, shape: &[usize]) -> Result<Vec<usize>> {
        Ok(shape.to_vec())
    }
}

/// The channels, height and width of a picture, which the transform `op` asks for.
fn image_shape(op: &'static str, shape: &[usize]) -> Result<[usize; 3]> {
    match *shape {
        [channels, height, width] => Ok([channels, height, width]),
        _ => Err(Error::Value { op, argument: "input", expected: "of shape [C, H, W]", value: format!("{shape:?}") }),
    }
}

fn check_probability(op: &'static str, p: f64) -> Result<f64> {
    if (0.0..=1.0).contains(&p) {
        return Ok(p);
    }
    Err(Error::Value { op, argument: "p", expected: "a probability between 0 and 1", value: p.to_string() })
}

/// Height and width of a transform's output; 2¹⁶ a side is more than any picture.
pub(super) fn check_size(op: &'static str, size: [usize; 2]) -> Result<[usize; 2]> {
    if size.iter().all(|extent| (1..=1 << 16).contains(extent)) {
        return Ok(size);
    }
    Err(Error::Value {
        op,
        argument: "size",
        expected: "[height, width] of 1 to 65536 each",
        value: format!("{size:?}"),
    })
}
