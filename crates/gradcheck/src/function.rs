//! The function under test with its inputs: its value, and its vector-Jacobian product by candle's backward pass.

use crate::error::{Error, Result};
use candle_core::{DType, Device, Tensor, Var};
use std::panic::{AssertUnwindSafe, catch_unwind};

type Call<'a> = dyn Fn(&[Tensor]) -> candle_core::Result<Tensor> + 'a;

/// A function of tensors at one point.
pub(crate) struct Function<'a> {
    pub(crate) name: String,
    pub(crate) call: &'a Call<'a>,
    pub(crate) inputs: Vec<Input>,
    pub(crate) dtype: DType,
}

/// One argument at the point.
pub(crate) struct Input {
    pub(crate) name: String,
    /// Contiguous; of the dtype checked in where it is differentiated by.
    pub(crate) tensor: Tensor,
    pub(crate) differentiated: bool,
    pub(crate) linear: bool,
}

impl Input {
    pub(crate) fn values(&self) -> Result<Vec<f64>> {
        values(&self.tensor)
    }

    pub(crate) fn device(&self) -> &Device {
        self.tensor.device()
    }
}

/// A tensor's elements in row-major order, whatever its layout.
pub(crate) fn values(tensor: &Tensor) -> Result<Vec<f64>> {
    Ok(tensor.to_dtype(DType::F64)?.flatten_all()?.to_vec1()?)
}

/// What a backward pass left for each input: `None` where nothing arrived.
pub(crate) type Gradients = Vec<Option<Tensor>>;

/// Why a backward pass left no gradients: what it returned, or how it panicked.
#[derive(Debug)]
pub(crate) struct BackwardFailed(pub(crate) String);

impl Function<'_> {
    /// The inputs that are differentiated by.
    pub(crate) fn variables(&self) -> Vec<usize> {
        (0..self.inputs.len()).filter(|&k| self.inputs[k].differentiated).collect()
    }

    pub(crate) fn tensors(&self) -> Vec<Tensor> {
        self.inputs.iter().map(|input| input.tensor.clone()).collect()
    }

    /// Machine epsilon of the dtype that is checked in.
    pub(crate) fn epsilon(&self) -> f64 {
        if self.dtype == DType::F32 { f64::from(f32::EPSILON) } else { f64::EPSILON }
    }

    /// f(arguments).
    pub(crate) fn value(&self, arguments: &[Tensor]) -> Result<Tensor> {
        let y = (self.call)(arguments).map_err(|source| Error::Function { name: self.name.clone(), source })?;
        if y.dtype() == self.dtype {
            Ok(y)
        } else {
            Err(Error::OutputDType { name: self.name.clone(), expected: self.dtype, found: y.dtype() })
        }
    }

    /// f at the point with input `k` replaced.
    pub(crate) fn value_with(&self, k: usize, replaced: Vec<f64>) -> Result<Vec<f64>> {
        let mut arguments = self.tensors();
        arguments[k] = self.like_input(k, replaced)?;
        values(&self.value(&arguments)?)
    }

    /// A tensor of input `k`'s shape, dtype and device.
    pub(crate) fn like_input(&self, k: usize, data: Vec<f64>) -> Result<Tensor> {
        let input = &self.inputs[k];
        Ok(Tensor::from_vec(data, input.tensor.shape(), input.device())?.to_dtype(self.dtype)?)
    }

    /// `(∂f/∂input)ᵀ · cotangent` for every input that is tracked in `tracked`.
    pub(crate) fn vjp(&self, tracked: &[bool], cotangent: &Tensor) -> Result<Result<Gradients, BackwardFailed>> {
        let mut arguments = self.tensors();
        for (argument, _) in arguments.iter_mut().zip(tracked).filter(|(_, tracked)| **tracked) {
            *argument = Var::from_tensor(argument)?.as_tensor().clone();
        }
        let loss = weighted_sum(&self.value(&arguments)?, cotangent)?;
        Ok(gradients(&loss, &arguments))
    }

    /// Which inputs a full backward pass tracks.
    pub(crate) fn all_tracked(&self) -> Vec<bool> {
        self.inputs.iter().map(|input| input.differentiated).collect()
    }
}

/// ⟨y, cotangent⟩, whose gradient with respect to y is the cotangent.
pub(crate) fn weighted_sum(y: &Tensor, cotangent: &Tensor) -> candle_core::Result<Tensor> {
    (y * cotangent)?.sum_all()
}

/// Runs the backward pass of `loss` and takes the gradients of `leaves` out of it.
///
/// candle panics where an operator returns no gradient for a tracked argument that is itself computed; a checker must
/// outlive that and say so.
pub(crate) fn gradients(loss: &Tensor, leaves: &[Tensor]) -> Result<Gradients, BackwardFailed> {
    match catch_unwind(AssertUnwindSafe(|| loss.backward())) {
        Ok(Ok(store)) => Ok(leaves.iter().map(|leaf| store.get(leaf).cloned()).collect()),
        Ok(Err(error)) => Err(BackwardFailed(format!("backward returned an error: {}", brief(&error)))),
        Err(panic) => {
            let text = panic.downcast_ref::<String>().map(String::as_str);
            let text = text.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("no message");
            Err(BackwardFailed(format!("backward panicked: {text}")))
        }
    }
}

/// An error's first line: candle appends backtraces to the rest.
pub(crate) fn brief(error: &candle_core::Error) -> String {
    error.to_string().lines().next().unwrap_or_default().to_owned()
}

/// The row-major position `flat` as an index an axis.
pub(crate) fn multi_index(mut flat: usize, dims: &[usize]) -> Vec<usize> {
    let mut index = vec![0; dims.len()];
    for (slot, &extent) in index.iter_mut().zip(dims).rev() {
        *slot = flat % extent;
        flat /= extent;
    }
    index
}
