//! What a caller may ask of the cross entropy, and the checked form of it.

use crate::error::expect_shape;
use crate::{Error, Result};
use candle_core::{DType, Tensor};

/// How the losses of the positions become one result.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Reduction {
    /// They stay as they are, one a position.
    None,
    /// Their sum.
    Sum,
    /// Their sum, divided by the total class weight of the targets that are not ignored (their number, where there are no
    /// class weights); with class probabilities, by the number of positions.
    #[default]
    Mean,
}

/// The options of [`cross_entropy`](crate::cross_entropy).
///
/// ```
/// use taper_ops::{CrossEntropySpec, Reduction};
///
/// let spec = CrossEntropySpec::default().label_smoothing(0.1).reduction(Reduction::Sum);
/// assert_eq!(spec.ignore_index, -100);
/// ```
#[derive(Debug, Clone)]
pub struct CrossEntropySpec {
    /// Default: [`Reduction::Mean`].
    pub reduction: Reduction,
    /// The share ε ∈ [0, 1] of the target that is spread evenly over all classes. Default: 0.
    pub label_smoothing: f64,
    /// A class index whose positions count for nothing. Default: −100. Class probabilities cannot be ignored: with them it
    /// must be negative.
    pub ignore_index: i64,
    /// A weight for each class, `[C]`, in the dtype of the logits; a constant. Default: all 1.
    pub weight: Option<Tensor>,
}

impl Default for CrossEntropySpec {
    fn default() -> Self {
        Self { reduction: Reduction::Mean, label_smoothing: 0., ignore_index: -100, weight: None }
    }
}

impl CrossEntropySpec {
    /// Sets [`reduction`](Self::reduction).
    pub fn reduction(self, reduction: Reduction) -> Self {
        Self { reduction, ..self }
    }

    /// Sets [`label_smoothing`](Self::label_smoothing).
    pub fn label_smoothing(self, label_smoothing: f64) -> Self {
        Self { label_smoothing, ..self }
    }

    /// Sets [`ignore_index`](Self::ignore_index).
    pub fn ignore_index(self, ignore_index: i64) -> Self {
        Self { ignore_index, ..self }
    }

    /// Sets [`weight`](Self::weight).
    pub fn weight(self, weight: Tensor) -> Self {
        Self { weight: Some(weight), ..self }
    }
}

/// The axes of the logits, seen as `[samples, classes, inner]`: a position is a (sample, inner) pair.
#[derive(Debug, Clone)]
pub(super) struct Dims {
    /// The logits' own shape.
    pub(super) logits: Vec<usize>,
    /// Which axis of it counts the classes.
    pub(super) class_axis: usize,
    pub(super) samples: usize,
    pub(super) classes: usize,
    pub(super) inner: usize,
}

impl Dims {
    pub(super) fn new(op: &'static str, logits: &[usize]) -> Result<Self> {
        let (class_axis, samples) = match logits {
            [] => return Err(Error::Rank { op, argument: "logits", expected: "1 or more", shape: vec![] }),
            [_] => (0, 1),
            [samples, ..] => (1, *samples),
        };
        let classes = logits[class_axis];
        if classes == 0 {
            return Err(Error::NotPositive { op, argument: "the number of classes", value: vec![classes] });
        }
        let inner = logits[class_axis + 1..].iter().product();
        Ok(Self { logits: logits.to_vec(), class_axis, samples, classes, inner })
    }

    pub(super) fn positions(&self) -> usize {
        self.samples * self.inner
    }

    /// The shape of class indices, and of losses that are not reduced: the logits' without the classes.
    pub(super) fn position_shape(&self) -> Vec<usize> {
        let mut shape = self.logits.clone();
        shape.remove(self.class_axis);
        shape
    }
}

/// What each position should have been.
#[derive(Debug)]
pub(super) enum Target {
    /// A class each; `None` is ignored.
    Classes(Vec<Option<usize>>),
    /// A distribution over the classes each, given as a second tensor.
    Probabilities,
}

/// A call whose arguments belong together.
#[derive(Debug)]
pub(super) struct Loss {
    pub(super) dims: Dims,
    pub(super) target: Target,
    pub(super) reduction: Reduction,
    pub(super) label_smoothing: f64,
    /// A weight a class, or empty where all are 1.
    pub(super) weight: Vec<f64>,
    /// What the sum of losses is divided by: not 1 only for a mean.
    pub(super) divisor: f64,
}

impl Loss {
    pub(super) fn new(op: &'static str, logits: &Tensor, target: &Tensor, spec: &CrossEntropySpec) -> Result<Self> {
        let dims = Dims::new(op, logits.dims())?;
        if !(0. ..=1.).contains(&spec.label_smoothing) {
            let (argument, expected) = ("label_smoothing", "between 0 and 1");
            return Err(Error::Value { op, argument, expected, value: spec.label_smoothing });
        }
        let weight = class_weights(op, logits.dtype(), dims.classes, spec.weight.as_ref())?;
        let target = read_target(op, &dims, target, spec)?;
        let divisor = match (spec.reduction, &target) {
            (Reduction::None | Reduction::Sum, _) => 1.,
            (Reduction::Mean, Target::Probabilities) => dims.positions() as f64,
            (Reduction::Mean, Target::Classes(classes)) => {
                classes.iter().flatten().fold(0., |sum, &class| sum + class_weight(&weight, class))
            }
        };
        if divisor == 0. {
            let argument = "the total weight of the targets";
            let expected = "other than zero for a mean (are all of them ignored? use Reduction::Sum)";
            return Err(Error::Value { op, argument, expected, value: divisor });
        }
        let (reduction, label_smoothing) = (spec.reduction, spec.label_smoothing);
        Ok(Self { dims, target, reduction, label_smoothing, weight, divisor })
    }

    pub(super) fn class_weight(&self, class: usize) -> f64 {
        class_weight(&self.weight, class)
    }

    pub(super) fn output_shape(&self) -> Vec<usize> {
        match self.reduction {
            Reduction::None => self.dims.position_shape(),
            Reduction::Sum | Reduction::Mean => vec![],
        }
    }
}

fn class_weights(op: &'static str, dtype: DType, classes: usize, weight: Option<&Tensor>) -> Result<Vec<f64>> {
    let Some(weight) = weight else {
        return Ok(vec![]);
    };
    if weight.dtype() != dtype {
        return Err(Error::DTypeMismatch { op, left: dtype, right: weight.dtype() });
    }
    expect_shape(op, "weight", &[classes], weight)?;
    Ok(weight.to_dtype(DType::F64)?.to_vec1()?)
}

fn class_weight(weight: &[f64], class: usize) -> f64 {
    weight.get(class).copied().unwrap_or(1.)
}

fn read_target(op: &'static str, dims: &Dims, target: &Tensor, spec: &CrossEntropySpec) -> Result<Target> {
    if target.dtype().is_float() {
        expect_shape(op, "target (class probabilities)", &dims.logits, target)?;
        if spec.ignore_index >= 0 {
            let (argument, expected) = ("ignore_index", "negative (unused) with class probabilities");
            return Err(Error::Value { op, argument, expected, value: spec.ignore_index as f64 });
        }
        return Ok(Target::Probabilities);
    }
    if !matches!(target.dtype(), DType::U8 | DType::U32 | DType::I64) {
        let supported = "u8, u32, i64 (class indices) or the dtype of the logits (class probabilities)";
        return Err(Error::DType { op, dtype: target.dtype(), supported });
    }
    expect_shape(op, "target (class indices)", &dims.position_shape(), target)?;
    let indices: Vec<i64> = target.to_dtype(DType::I64)?.flatten_all()?.to_vec1()?;
    let classes = indices.into_iter().enumerate().map(|(position, index)| {
        if index == spec.ignore_index {
            return Ok(None);
        }
        match usize::try_from(index) {
            Ok(class) if class < dims.classes => Ok(Some(class)),
            _ => Err(Error::TargetOutOfBounds { op, target: index, position, classes: dims.classes }),
        }
    });
    Ok(Target::Classes(classes.collect::<Result<_>>()?))
}
