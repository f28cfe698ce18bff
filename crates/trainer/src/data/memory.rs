//! Data sets that lie in memory.

use candle_core::{DType, Tensor};

use super::{Dataset, Sample};
use crate::{Error, Result};

/// A data set that lies in memory whole.
///
/// Pictures are kept as the bytes they came as, a quarter of the memory of `f32`, and become numbers in [0, 1] as they
/// are read.
///
/// ```
/// use taper_trainer::data::{Dataset, InMemoryDataset};
///
/// # fn main() -> taper_trainer::Result<()> {
/// let pictures = InMemoryDataset::from_pixels(vec![0, 51, 255, 102, 0, 0], &[1, 1, 3], vec![7, 4])?;
/// assert_eq!(pictures.len(), 2);
/// assert_eq!(pictures.get(0)?.input, [0.0, 0.2, 1.0]);
/// assert_eq!(pictures.get(1)?.target, 4);
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone)]
pub struct InMemoryDataset {
    inputs: Inputs,
    shape: Vec<usize>,
    targets: Vec<u32>,
}

#[derive(Debug, Clone)]
enum Inputs {
    Values(Vec<f32>),
    Pixels(Vec<u8>),
}

impl InMemoryDataset {
    /// Takes inputs of `shape` (without the batch axis), one after another, and as many targets.
    ///
    /// # Errors
    /// When the values are not `shape`'s product for each target.
    pub fn new(inputs: Vec<f32>, shape: &[usize], targets: Vec<u32>) -> Result<Self> {
        check_count(inputs.len(), shape, targets.len())?;
        Ok(Self { inputs: Inputs::Values(inputs), shape: shape.to_vec(), targets })
    }

    /// Takes pictures of `shape` (`[C, H, W]`), one after another, and as many targets; 0 … 255 become 0 … 1.
    ///
    /// # Errors
    /// When the pixels are not `shape`'s product for each target.
    pub fn from_pixels(pixels: Vec<u8>, shape: &[usize], targets: Vec<u32>) -> Result<Self> {
        check_count(pixels.len(), shape, targets.len())?;
        Ok(Self { inputs: Inputs::Pixels(pixels), shape: shape.to_vec(), targets })
    }

    /// Copies inputs `[N, …]` of a floating-point dtype and targets `[N]` of an integer dtype to memory.
    ///
    /// # Errors
    /// When the inputs are a scalar, the targets have other than one axis or are no integers that fit `u32`, or the two
    /// are not equally many.
    pub fn from_tensors(inputs: &Tensor, targets: &Tensor) -> Result<Self> {
        let Some((&count, shape)) = inputs.dims().split_first() else {
            return Err(value_error("inputs", "a tensor with a batch axis", format!("shape {:?}", inputs.dims())));
        };
        let targets = class_indices(targets)?;
        if targets.len() != count {
            return Err(Error::CountMismatch {
                left: "inputs".to_owned(),
                left_count: count,
                right: "targets".to_owned(),
                right_count: targets.len(),
            });
        }
        let values = inputs.to_dtype(DType::F32)?.flatten_all()?.to_vec1()?;
        Self::new(values, shape, targets)
    }

    /// The targets of all samples, in order.
    pub fn targets(&self) -> &[u32] {
        &self.targets
    }
}

impl Dataset for InMemoryDataset {
    fn len(&self) -> usize {
        self.targets.len()
    }

    fn input_shape(&self) -> &[usize] {
        &self.shape
    }

    fn get(&self, index: usize) -> Result<Sample> {
        let target = self.target(index)?;
        let size: usize = self.shape.iter().product();
        let place = index * size..(index + 1) * size;
        let input = match &self.inputs {
            Inputs::Values(values) => values[place].to_vec(),
            Inputs::Pixels(pixels) => pixels[place].iter().map(|&pixel| f32::from(pixel) / 255.0).collect(),
        };
        Ok(Sample { input, target })
    }

    fn target(&self, index: usize) -> Result<u32> {
        let out_of_range = || value_error("index", "less than the number of samples", index.to_string());
        self.targets.get(index).copied().ok_or_else(out_of_range)
    }
}

fn check_count(values: usize, shape: &[usize], targets: usize) -> Result<()> {
    let expected = shape.iter().try_fold(targets, |product, &extent| product.checked_mul(extent));
    if expected == Some(values) {
        return Ok(());
    }
    Err(value_error(
        "inputs",
        "as many values as targets · shape",
        format!("{values} values for {targets} targets of shape {shape:?}"),
    ))
}

fn class_indices(targets: &Tensor) -> Result<Vec<u32>> {
    if targets.rank() != 1 || !targets.dtype().is_int() {
        let got = format!("shape {:?}, dtype {:?}", targets.dims(), targets.dtype());
        return Err(value_error("targets", "one axis of integers", got));
    }
    let to_class = |target: i64| {
        u32::try_from(target).map_err(|_| value_error("targets", "class indices from 0 on", target.to_string()))
    };
    targets.to_dtype(DType::I64)?.to_vec1()?.into_iter().map(to_class).collect()
}

fn value_error(argument: &'static str, expected: &'static str, value: String) -> Error {
    Error::Value { op: "InMemoryDataset", argument, expected, value }
}
