//! The same numbers in another memory layout: the value and the gradients must not notice.

use crate::assertions::{apart, difference};
use crate::error::Result;
use crate::function::{Function, Gradients, brief, gradients, values, weighted_sum};
use crate::report::{Assertion, Report};
use crate::run::Point;
use candle_core::{D, Tensor, Var};

/// A way to lay a tensor out in memory.
///
/// ```
/// use candle_core::{Device, Tensor};
/// use taper_gradcheck::MemoryLayout;
///
/// let x = Tensor::new(&[[1f64, 2.], [3., 4.]], &Device::Cpu)?;
/// let strided = MemoryLayout::Strided.apply(&x)?;
/// assert_eq!(strided.stride(), [4, 2]);
/// assert_eq!(strided.to_vec2::<f64>()?, x.to_vec2::<f64>()?);
/// # Ok::<(), candle_core::Error>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum MemoryLayout {
    /// Row-major, without gaps.
    Contiguous,
    /// The last two axes stored in exchanged order.
    Transposed,
    /// All axes stored in reverse order.
    Reversed,
    /// Every second element of the last axis of a tensor twice as wide.
    Strided,
    /// A window into a larger tensor of NaNs: an offset and wide rows.
    Window,
    /// The first entry of axis 0 repeated with stride 0. The values change with it.
    Broadcast,
}

impl MemoryLayout {
    /// Every layout, the simplest first.
    pub const ALL: [Self; 6] =
        [Self::Contiguous, Self::Transposed, Self::Reversed, Self::Strided, Self::Window, Self::Broadcast];

    /// A tensor of the same shape in this layout, with the same values: but for `Broadcast`, which repeats the first
    /// entry of axis 0. Where the rank is too low for the layout, or there is nothing to lay out, the tensor itself.
    ///
    /// # Errors
    /// Where candle cannot copy the tensor.
    pub fn apply(self, tensor: &Tensor) -> candle_core::Result<Tensor> {
        if self.applies(tensor) { self.view(&self.stored(tensor)?, tensor.dims()) } else { Ok(tensor.clone()) }
    }

    fn as_str(self) -> &'static str {
        match self {
            Self::Contiguous => "contiguous",
            Self::Transposed => "transposed",
            Self::Reversed => "with its axes reversed",
            Self::Strided => "strided",
            Self::Window => "a window into a larger tensor",
            Self::Broadcast => "broadcast over axis 0",
        }
    }

    fn applies(self, tensor: &Tensor) -> bool {
        match self {
            Self::Contiguous => true,
            Self::Transposed => tensor.rank() >= 2,
            Self::Reversed => tensor.rank() >= 3,
            Self::Strided | Self::Window => tensor.rank() >= 1 && tensor.elem_count() > 0,
            Self::Broadcast => tensor.dims().first().is_some_and(|extent| *extent > 1),
        }
    }

    /// The values that `tensor` has in this layout.
    fn values(self, tensor: &Tensor) -> candle_core::Result<Tensor> {
        match self {
            Self::Broadcast => tensor.narrow(0, 0, 1)?.broadcast_as(tensor.shape())?.contiguous(),
            _ => Ok(tensor.clone()),
        }
    }

    /// What is stored, such that [`view`](Self::view) of it is `tensor` in this layout.
    fn stored(self, tensor: &Tensor) -> candle_core::Result<Tensor> {
        match self {
            Self::Contiguous => Ok(tensor.clone()),
            Self::Transposed => tensor.transpose(D::Minus2, D::Minus1)?.contiguous(),
            Self::Reversed => tensor.permute(reversed(tensor.rank()))?.contiguous(),
            Self::Strided => Tensor::stack(&[tensor, &gap(tensor, tensor.dims())?], tensor.rank()),
            Self::Window => {
                let padding = |like: &Tensor, axis: usize| {
                    let mut dims = like.dims().to_vec();
                    dims[axis] = 1;
                    gap(like, &dims)
                };
                let last = tensor.rank() - 1;
                let beside = padding(tensor, last)?;
                let wide = Tensor::cat(&[&beside, tensor, &beside], last)?;
                if last == 0 { Ok(wide) } else { Tensor::cat(&[&padding(&wide, 0)?, &wide], 0) }
            }
            Self::Broadcast => tensor.narrow(0, 0, 1)?.contiguous(),
        }
    }

    /// A view of what is stored, or of its gradient, with the shape `dims`.
    fn view(self, stored: &Tensor, dims: &[usize]) -> candle_core::Result<Tensor> {
        match self {
            Self::Contiguous => Ok(stored.clone()),
            Self::Transposed => stored.transpose(D::Minus2, D::Minus1),
            Self::Reversed => stored.permute(reversed(dims.len())),
            Self::Strided => stored.narrow(dims.len(), 0, 1)?.squeeze(dims.len()),
            Self::Window => {
                let last = dims.len() - 1;
                let rows = if last == 0 { stored.clone() } else { stored.narrow(0, 1, dims[0])? };
                rows.narrow(last, 1, dims[last])
            }
            Self::Broadcast => stored.broadcast_as(dims),
        }
    }

    /// A gradient of what is stored and one of the contiguous input, brought to the same shape.
    fn comparable(self, stored: &Tensor, contiguous: &Tensor) -> candle_core::Result<(Tensor, Tensor)> {
        match self {
            Self::Broadcast => Ok((stored.clone(), contiguous.sum_keepdim(0)?)),
            _ => Ok((self.view(stored, contiguous.dims())?, contiguous.clone())),
        }
    }
}

/// What no view may read.
fn gap(like: &Tensor, dims: &[usize]) -> candle_core::Result<Tensor> {
    let value = if like.dtype().is_float() { f64::NAN } else { 0.0 };
    Tensor::full(value, dims, like.device())?.to_dtype(like.dtype())
}

fn reversed(rank: usize) -> Vec<usize> {
    (0..rank).rev().collect()
}

/// More elements than this, and a pass is too slow to try pairs of layouts.
const PAIRS_UP_TO: usize = 1 << 15;

/// The value and the gradients for every input in every layout, alone and in pairs, against contiguous inputs.
pub(crate) fn inputs(f: &Function<'_>, point: &Point, _: &Gradients, report: &mut Report) -> Result<()> {
    // The values, and with them what is expected, depend only on which inputs repeat an entry.
    let mut known: Vec<(Vec<bool>, Expected)> = Vec::new();
    for layouts in combinations(f, point) {
        let repeated: Vec<bool> = layouts.iter().map(|layout| *layout == MemoryLayout::Broadcast).collect();
        if !known.iter().any(|(which, _)| *which == repeated) {
            known.push((repeated.clone(), Expected::new(f, point, &layouts)?));
        }
        let expected = known.iter().find(|(which, _)| *which == repeated).map(|(_, expected)| expected);
        let detail = expected.map(|expected| expected.differs(f, point, &layouts)).transpose()?.flatten();
        if let Some(detail) = detail {
            let described: Vec<String> = layouts
                .iter()
                .zip(&f.inputs)
                .filter(|(layout, _)| **layout != MemoryLayout::Contiguous)
                .map(|(layout, input)| format!("`{}` {}", input.name, layout.as_str()))
                .collect();
            report.fail(Assertion::InputLayout, None, format!("with {}, {detail}", described.join(" and ")));
            return Ok(());
        }
    }
    Ok(())
}

fn combinations(f: &Function<'_>, point: &Point) -> Vec<Vec<MemoryLayout>> {
    let laid_out =
        |k: usize| MemoryLayout::ALL[1..].iter().copied().filter(move |layout| layout.applies(&f.inputs[k].tensor));
    let variables = f.variables();
    let contiguous = vec![MemoryLayout::Contiguous; f.inputs.len()];
    let elements = point.y.len() + f.inputs.iter().map(|input| input.tensor.elem_count()).sum::<usize>();
    let mut all = Vec::new();
    for (position, &k) in variables.iter().enumerate() {
        for layout in laid_out(k) {
            let mut alone = contiguous.clone();
            alone[k] = layout;
            all.push(alone.clone());
            let others = if elements <= PAIRS_UP_TO { &variables[position + 1..] } else { &[] };
            for &l in others {
                for second in laid_out(l) {
                    let mut pair = alone.clone();
                    pair[l] = second;
                    all.push(pair);
                }
            }
        }
    }
    // What is simplest to read comes first.
    all.sort_by_key(|layouts| layouts.iter().filter(|layout| **layout != MemoryLayout::Contiguous).count());
    all
}

/// What contiguous inputs give.
struct Expected {
    y: Tensor,
    gradients: Gradients,
}

impl Expected {
    fn new(f: &Function<'_>, point: &Point, layouts: &[MemoryLayout]) -> Result<Self> {
        let mut leaves = f.tensors();
        for k in f.variables() {
            leaves[k] = Var::from_tensor(&layouts[k].values(&leaves[k])?)?.as_tensor().clone();
        }
        let y = f.value(&leaves)?;
        // Where even this fails there is nothing to compare with; the check itself says why.
        let gradients = gradients(&weighted_sum(&y, &point.cotangent)?, &leaves).unwrap_or_default();
        Ok(Self { y, gradients })
    }

    /// How the value or a gradient differs with the inputs so laid out, in words.
    fn differs(&self, f: &Function<'_>, point: &Point, layouts: &[MemoryLayout]) -> Result<Option<String>> {
        let (mut strided, mut leaves) = (f.tensors(), f.tensors());
        for k in f.variables() {
            let tensor = &f.inputs[k].tensor;
            leaves[k] = Var::from_tensor(&layouts[k].stored(tensor)?)?.as_tensor().clone();
            strided[k] = layouts[k].view(&leaves[k], tensor.dims())?;
        }
        let y = match (f.call)(&strided) {
            Ok(y) => y,
            Err(error) => return Ok(Some(format!("the function fails: {}", brief(&error)))),
        };
        if y.dims() != self.y.dims() {
            return Ok(Some(format!("the value has shape {:?}, expected {:?}", y.dims(), self.y.dims())));
        }
        if let Some(difference) = apart(f, &values(&y)?, &values(&self.y)?) {
            return Ok(Some(format!("the value changes {difference}")));
        }
        if self.gradients.is_empty() {
            return Ok(None);
        }
        let found = match gradients(&weighted_sum(&y, &point.cotangent)?, &leaves) {
            Ok(found) => found,
            Err(failed) => return Ok(Some(failed.0)),
        };
        for k in f.variables() {
            let difference = match (&found[k], &self.gradients[k]) {
                (Some(found), Some(expected)) => {
                    let (found, expected) = layouts[k].comparable(found, expected)?;
                    difference(f, &Some(found), &Some(expected))?
                }
                (found, expected) => difference(f, found, expected)?,
            };
            if let Some(difference) = difference {
                return Ok(Some(format!("the gradient of `{}` changes {difference}", f.inputs[k].name)));
            }
        }
        Ok(None)
    }
}

/// The cotangent through a transposed view of the value, and through a broadcast scalar.
pub(crate) fn cotangents(f: &Function<'_>, point: &Point, first: &Gradients, report: &mut Report) -> Result<()> {
    let axes = reversed(point.y_dims.len());
    let transposed = point.cotangent.permute(axes.clone())?.contiguous()?;
    let ones = point.cotangent.ones_like()?;
    let summed = match f.vjp(&f.all_tracked(), &ones)? {
        Ok(gradients) => gradients,
        Err(failed) => {
            report.fail(Assertion::CotangentLayout, None, failed.0);
            return Ok(());
        }
    };
    for (how, expected) in [("through a transposed view", first), ("through a broadcast", &summed)] {
        let mut arguments = f.tensors();
        for k in f.variables() {
            arguments[k] = Var::from_tensor(&arguments[k])?.as_tensor().clone();
        }
        let y = f.value(&arguments)?;
        let loss = if std::ptr::eq(expected, first) {
            weighted_sum(&y.permute(axes.clone())?, &transposed)?
        } else {
            y.sum_all()?
        };
        let found = match gradients(&loss, &arguments) {
            Ok(found) => found,
            Err(failed) => {
                report.fail(Assertion::CotangentLayout, None, format!("{how}, {}", failed.0));
                continue;
            }
        };
        for k in f.variables() {
            if let Some(difference) = difference(f, &found[k], &expected[k])? {
                let detail = format!("a cotangent {how} changes it {difference}");
                report.fail(Assertion::CotangentLayout, Some(&f.inputs[k].name), detail);
            }
        }
    }
    Ok(())
}
