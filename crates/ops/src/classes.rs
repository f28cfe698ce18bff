//! Scores of classes and the classes that they should have been: what the losses that compare them share.

use crate::error::expect_shape;
use crate::{Error, Result};
use candle_core::{DType, Tensor};

/// The axes of the scores, seen as `[samples, classes, inner]`: a position is a (sample, inner) pair.
#[derive(Debug, Clone)]
pub(crate) struct ClassDims {
    /// The scores' own shape.
    pub(crate) shape: Vec<usize>,
    /// Which axis of it counts the classes.
    pub(crate) class_axis: usize,
    pub(crate) samples: usize,
    pub(crate) classes: usize,
    pub(crate) inner: usize,
}

impl ClassDims {
    pub(crate) fn new(op: &'static str, argument: &'static str, shape: &[usize]) -> Result<Self> {
        let (class_axis, samples) = match shape {
            [] => return Err(Error::Rank { op, argument, expected: "1 or more", shape: vec![] }),
            [_] => (0, 1),
            [samples, ..] => (1, *samples),
        };
        let classes = shape[class_axis];
        if classes == 0 {
            return Err(Error::NotPositive { op, argument: "the number of classes", value: vec![classes] });
        }
        let inner = shape[class_axis + 1..].iter().product();
        Ok(Self { shape: shape.to_vec(), class_axis, samples, classes, inner })
    }

    pub(crate) fn positions(&self) -> usize {
        self.samples * self.inner
    }

    /// The shape of class indices, and of losses that are not reduced: the scores' without the classes.
    pub(crate) fn position_shape(&self) -> Vec<usize> {
        let mut shape = self.shape.clone();
        shape.remove(self.class_axis);
        shape
    }

    /// Where the score of a class lies at a position.
    pub(crate) fn at(&self, position: usize, class: usize) -> usize {
        (position / self.inner * self.classes + class) * self.inner + position % self.inner
    }

    /// A class for each position, `None` where it is `ignore_index`.
    pub(crate) fn read(&self, op: &'static str, target: &Tensor, ignore_index: i64) -> Result<Vec<Option<usize>>> {
        expect_shape(op, "target (class indices)", &self.position_shape(), target)?;
        let indices: Vec<i64> = target.to_dtype(DType::I64)?.flatten_all()?.to_vec1()?;
        let classes = indices.into_iter().enumerate().map(|(position, index)| {
            if index == ignore_index {
                return Ok(None);
            }
            match usize::try_from(index) {
                Ok(class) if class < self.classes => Ok(Some(class)),
                _ => Err(Error::TargetOutOfBounds { op, target: index, position, classes: self.classes }),
            }
        });
        classes.collect()
    }
}

/// Whether a target is of class indices.
pub(crate) fn holds_indices(target: &Tensor) -> bool {
    matches!(target.dtype(), DType::U8 | DType::U32 | DType::I64)
}

/// A weight a class.
#[derive(Debug, Clone)]
pub(crate) struct ClassWeights(
    /// Empty where all are 1.
    Vec<f64>,
);

impl ClassWeights {
    /// The weights of a loss of scores of `dtype`.
    pub(crate) fn new(op: &'static str, dtype: DType, classes: usize, weight: Option<&Tensor>) -> Result<Self> {
        let Some(weight) = weight else {
            return Ok(Self(vec![]));
        };
        if weight.dtype() != dtype {
            return Err(Error::DTypeMismatch { op, left: dtype, right: weight.dtype() });
        }
        expect_shape(op, "weight", &[classes], weight)?;
        Ok(Self(weight.to_dtype(DType::F64)?.to_vec1()?))
    }

    pub(crate) fn of(&self, class: usize) -> f64 {
        self.0.get(class).copied().unwrap_or(1.)
    }

    /// The weight of all targets together that are not ignored.
    pub(crate) fn total(&self, targets: &[Option<usize>]) -> f64 {
        targets.iter().flatten().fold(0., |sum, &class| sum + self.of(class))
    }
}
