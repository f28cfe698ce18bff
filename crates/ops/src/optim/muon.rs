//! Muon: momentum whose step is orthogonalised.

use super::newton_schulz::{newton_schulz, newton_schulz_on_device};
use super::{cpu, inplace};
use crate::storage::{Element, UNROUNDED, contiguous};
use crate::{Error, Result};
use candle_core::{DType, Device, Storage, Tensor, Var};

/// The numbers of one step of Muon: see [`muon_step`].
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct MuonStep {
    /// The learning rate.
    pub lr: f64,
    /// How much of the former momentum stays.
    pub momentum: f64,
    /// The decoupled weight decay.
    pub weight_decay: f64,
    /// Whether the step looks ahead along the momentum.
    pub nesterov: bool,
    /// The coefficients of the quintic that drives the singular values towards 1.
    pub ns_coefficients: (f64, f64, f64),
    /// How often that is applied.
    pub ns_steps: usize,
    /// The least norm that a step is divided by.
    pub eps: f64,
    /// What the gradient is multiplied with first, for clipping.
    pub grad_scale: f64,
}

/// One step of Muon on `param` and its momentum, in place. More axes than two count as one matrix, of which the first axis
/// is the rows, as in a convolution's weight.
///
/// # Formula
/// With `g = grad_scale · grad`: `b ← b + (1 − momentum)(g − b)`, `u = b`, or `g + momentum · (b − g)` with Nesterov's
/// look-ahead, `X = u / max(‖u‖, eps)`, and `ns_steps` times `A = X Xᵀ`, `X ← a X + (b A + c A²) X` with the three
/// `ns_coefficients`. Then `θ ← (1 − lr · weight_decay) θ − lr · √max(1, rows / columns) · X`.
///
/// # Shapes
/// `param`, `grad` and `momentum_buffer` (b) have one shape, of two axes or more.
///
/// # Errors
/// When shapes or dtypes differ, there are fewer than two axes, the dtype is neither f32 nor f64, or two of the tensors share
/// their storage.
///
/// # Source
/// Jordan et al., "Muon: an optimizer for hidden layers in neural networks", 2024, in the form of `torch.optim.Muon`, which
/// rounds X to bfloat16; here it keeps the parameter's dtype.
///
/// ```
/// use candle_core::{DType, Device, Tensor, Var};
/// use taper_ops::optim::{MuonStep, muon_step};
///
/// let param = Var::zeros((2, 3), DType::F64, &Device::Cpu)?;
/// let momentum_buffer = Var::zeros((2, 3), DType::F64, &Device::Cpu)?;
/// let grad = Tensor::new(&[[3f64, 0., 0.], [0., -0.5, 0.]], &Device::Cpu)?;
/// let step = MuonStep {
///     lr: 1., momentum: 0.95, weight_decay: 0., nesterov: true,
///     ns_coefficients: (3.4445, -4.775, 2.0315), ns_steps: 5, eps: 1e-7, grad_scale: 1.,
/// };
/// muon_step(&param, &grad, &momentum_buffer, &step)?;
/// // Large and small directions of the gradient take a step of about one length.
/// let moved = param.to_vec2::<f64>()?;
/// assert!((-1.3..-0.6).contains(&moved[0][0]) && (0.6..1.3).contains(&moved[1][1]));
/// # Ok::<(), candle_core::Error>(())
/// ```
pub fn muon_step(param: &Var, grad: &Tensor, momentum_buffer: &Var, step: &MuonStep) -> Result<()> {
    let op = "muon_step";
    let [rows, rest @ ..] = param.dims() else { return Err(too_few_axes(op, param)) };
    if rest.is_empty() {
        return Err(too_few_axes(op, param));
    }
    let columns: usize = rest.iter().product();
    let direction = Var::zeros(param.shape(), param.dtype(), param.device())?;
    inplace::apply(op, grad, [momentum_buffer, &direction], &cpu::MuonDirection(step))?;
    let orthogonal = match direction.dtype() {
        _ if !direction.device().is_cpu() => {
            newton_schulz_on_device(&direction, *rows, columns, step)?.reshape(param.shape())?
        }
        DType::F32 => orthogonalise::<f32>(&direction, *rows, columns, step)?,
        DType::F64 => orthogonalise::<f64>(&direction, *rows, columns, step)?,
        dtype => return Err(Error::DType { op, dtype, supported: UNROUNDED }),
    };
    inplace::apply(op, &orthogonal, [param], &cpu::MuonMove { step, rows: *rows, columns })
}

fn too_few_axes(op: &'static str, param: &Var) -> Error {
    Error::Rank { op, argument: "the parameter", expected: "at least 2", shape: param.dims().to_vec() }
}

fn orthogonalise<T: Element>(direction: &Var, rows: usize, columns: usize, step: &MuonStep) -> Result<Tensor> {
    let (storage, layout) = direction.storage_and_layout();
    let Storage::Cpu(storage) = &*storage else {
        return Err(candle_core::Error::Msg("muon_step: the parameter is not on the CPU".into()).into());
    };
    let x = contiguous(T::cpu_storage_as_slice(storage)?, layout);
    let x = newton_schulz(&x, rows, columns, step);
    Ok(Tensor::from_vec(x, direction.shape(), &Device::Cpu)?)
}
