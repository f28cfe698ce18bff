//! Scores of classes and the classes that they should have been: what the losses that compare them share.

mod cuda;

pub(crate) use cuda::one_hot;

use crate::cuda::{Arg, Buffer, Gpu, View, copy, on_device, runs_on};
use crate::error::expect_shape;
use crate::{Error, Result};
use candle_core::{DType, Device, Tensor};

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

    /// A class for each position, where the target is, and the weight of all together that are not ignored.
    ///
    /// A CUDA device is asked once, with all of its positions, which is one wait for it: for whether all classes exist, and
    /// for their weight.
    pub(crate) fn read(
        &self,
        op: &'static str,
        target: &Tensor,
        ignore_index: i64,
        weight: &ClassWeights,
    ) -> Result<(Classes, f64)> {
        expect_shape(op, "target (class indices)", &self.position_shape(), target)?;
        let target = target.to_dtype(DType::I64)?;
        if runs_on(target.device()) {
            let read = |gpu: &Gpu, indices: View<'_>| cuda::read(gpu, op, self.classes, indices, ignore_index, weight);
            let (chosen, total) = on_device(op, target.device().clone(), &target, read)?;
            return Ok((Classes::OnDevice(chosen), total));
        }
        let indices: Vec<i64> = target.flatten_all()?.to_vec1()?;
        let classes = indices.into_iter().enumerate().map(|(position, index)| {
            if index == ignore_index {
                return Ok(None);
            }
            match usize::try_from(index) {
                Ok(class) if class < self.classes => Ok(Some(class)),
                _ => Err(Error::TargetOutOfBounds { op, target: index, position, classes: self.classes }),
            }
        });
        let classes = classes.collect::<Result<Vec<_>>>()?;
        let total = classes.iter().flatten().fold(0., |sum, &class| sum + weight.of(class));
        Ok((Classes::OnHost(classes), total))
    }
}

/// A class for each position.
#[derive(Debug)]
pub(crate) enum Classes {
    /// `None` where it is ignored.
    OnHost(Vec<Option<usize>>),
    /// As numbers of 32 bits, the largest of which stands where it is ignored.
    OnDevice(Buffer),
}

impl Classes {
    pub(crate) fn on_host(&self, op: &'static str) -> Result<&[Option<usize>]> {
        match self {
            Self::OnHost(classes) => Ok(classes),
            Self::OnDevice(_) => Err(Error::OtherDevice { op }),
        }
    }

    pub(crate) fn on_device(&self, op: &'static str) -> Result<&Buffer> {
        match self {
            Self::OnDevice(classes) => Ok(classes),
            Self::OnHost(_) => Err(Error::OtherDevice { op }),
        }
    }
}

/// Whether a target is of class indices.
pub(crate) fn holds_indices(target: &Tensor) -> bool {
    matches!(target.dtype(), DType::U8 | DType::U32 | DType::I64)
}

/// A weight a class, where the scores are.
#[derive(Debug)]
pub(crate) enum ClassWeights {
    /// All are 1.
    Ones,
    OnHost(Vec<f64>),
    /// As a tensor of the scores' own type, and as float64.
    OnDevice(Tensor, Buffer),
}

impl ClassWeights {
    /// The weights of a loss of such `scores`.
    pub(crate) fn new(op: &'static str, scores: &Tensor, classes: usize, weight: Option<&Tensor>) -> Result<Self> {
        let Some(weight) = weight else {
            return Ok(Self::Ones);
        };
        if weight.dtype() != scores.dtype() {
            return Err(Error::DTypeMismatch { op, left: scores.dtype(), right: weight.dtype() });
        }
        expect_shape(op, "weight", &[classes], weight)?;
        let wide = weight.to_dtype(DType::F64)?;
        // Not where the weights are: elsewhere than the scores they must be an error, and not be left out.
        if runs_on(scores.device()) {
            return Ok(Self::OnDevice(weight.clone(), copy(op, &wide)?));
        }
        Ok(Self::OnHost(wide.to_vec1()?))
    }

    pub(crate) fn of(&self, class: usize) -> f64 {
        match self {
            Self::Ones => 1.,
            Self::OnHost(weights) => weights[class],
            // The classes are on the device too, so that nothing asks.
            Self::OnDevice(..) => f64::NAN,
        }
    }

    /// For a kernel: null where all are 1.
    pub(crate) fn arg(&self) -> Arg<'_> {
        match self {
            Self::OnDevice(_, weights) => Arg::In(weights.view()),
            Self::Ones | Self::OnHost(_) => Arg::Null,
        }
    }

    /// The weights of `classes` classes as a tensor.
    pub(crate) fn tensor(&self, classes: usize, dtype: DType, device: &Device) -> candle_core::Result<Tensor> {
        match self {
            Self::OnDevice(weights, _) => Ok(weights.detach()),
            Self::OnHost(weights) => Tensor::from_slice(weights, classes, device)?.to_dtype(dtype),
            Self::Ones => Tensor::ones(classes, dtype, device),
        }
    }
}
