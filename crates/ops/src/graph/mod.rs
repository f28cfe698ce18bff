//! Backward passes: how one begins, and how backward functions treat what forward saved.
//!
//! candle hands a backward function its saved arguments still attached to the graph, but detaches the incoming gradient
//! unless `CANDLE_GRAD_DO_NOT_DETACH` was set when the thread first ran a backward pass. A gradient that is attached in
//! one argument and detached in the other gives a silently wrong second derivative, so both are attached or neither is.

mod edge;
mod node;
mod pass;

pub(crate) use edge::reshape;
pub(crate) use node::record;

use crate::error::{expect_shape, same_dtype};
use crate::operator::Apply;
use crate::rectified::Add;
use candle_core::backprop::GradStore;
use candle_core::{CpuStorage, CustomOp1, Layout, Result, Shape, Tensor, Var};
use edge::Edge;
use pass::Pass;
use std::cell::Cell;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// The gradients of `loss` with respect to the variables that it depends on.
///
/// [`backward_with`] ones: `loss.backward()` of candle in less time, up to the sign of zeros and the order in which several
/// gradients of one variable are added.
///
/// # Formula
///
/// `∂ Σ loss / ∂v` of every variable `v`.
///
/// # Shapes
///
/// `loss`: any shape, a scalar as a rule; a gradient has the shape of its variable.
///
/// # Gradient
///
/// That of [`backward_with`].
///
/// # Errors
///
/// What a backward function fails by.
///
/// # Source
///
/// [PyTorch](https://docs.pytorch.org/docs/stable/generated/torch.Tensor.backward.html), which keeps the gradients with the
/// variables instead.
///
/// ```
/// use candle_core::{Device, Var};
/// use taper_ops::{Reduction, backward, mse_loss};
///
/// let weight = Var::new(&[3f32, -1.], &Device::Cpu)?;
/// let loss = mse_loss(&weight, &weight.zeros_like()?, Reduction::Sum)?;
/// assert_eq!(backward(&loss)?.get(&weight).unwrap().to_vec1::<f32>()?, [6., -2.]);
/// # Ok::<(), candle_core::Error>(())
/// ```
pub fn backward(loss: &Tensor) -> crate::Result<GradStore> {
    match Edge::to(loss) {
        Some(edge) => run(&edge, loss, &loss.ones_like()?),
        None => Ok(loss.backward()?),
    }
}

/// The product of a cotangent with the derivatives of `output` with respect to the variables that it depends on.
///
/// Where an operator of this crate gave `output` on the CPU, gradients of variables too are spared the zeros and the addition
/// that `output.backward()` of candle makes of each; between such operators they always are. Gradients may share their memory
/// with `grad` and with one another.
///
/// # Formula
///
/// `Σ grad · ∂output / ∂v` of every variable `v`.
///
/// # Shapes
///
/// `output`: any shape; `grad`: the same; a gradient has the shape of its variable.
///
/// # Gradient
///
/// Gradients are differentiable with respect to the variables where candle was asked for it before the thread's first backward
/// pass (`CANDLE_GRAD_DO_NOT_DETACH`), and carry no graph elsewhere; `grad` is a constant.
///
/// # Errors
///
/// [`Shape`](crate::Error::Shape), [`DTypeMismatch`](crate::Error::DTypeMismatch), and what a backward function fails by.
///
/// # Source
///
/// [PyTorch](https://docs.pytorch.org/docs/stable/generated/torch.autograd.backward.html), `grad_tensors`.
///
/// ```
/// use candle_core::{Device, Tensor, Var};
/// use taper_ops::{backward_with, relu};
///
/// let x = Var::new(&[3f32, -1.], &Device::Cpu)?;
/// let grads = backward_with(&relu(&x)?, &Tensor::new(&[5f32, 7.], &Device::Cpu)?)?;
/// assert_eq!(grads.get(&x).unwrap().to_vec1::<f32>()?, [5., 0.]);
/// # Ok::<(), candle_core::Error>(())
/// ```
pub fn backward_with(output: &Tensor, grad: &Tensor) -> crate::Result<GradStore> {
    expect_shape("backward_with", "grad", output.dims(), grad)?;
    same_dtype("backward_with", output, grad)?;
    match Edge::to(output) {
        Some(edge) => run(&edge, output, &grad.detach()),
        None => Ok((output * grad.detach())?.sum_all()?.backward()?),
    }
}

/// A pass that begins with a gradient of `output`.
fn run(edge: &Edge, output: &Tensor, grad: &Tensor) -> crate::Result<GradStore> {
    Ok(Pass::run(|pass| {
        let counts = edge.put(Some(pass), output, grad)?;
        edge.token().apply_op1(Root { counts })?.backward()
    })?)
}

/// What a pass begins with: candle would begin with ones.
struct Root {
    counts: Tensor,
}

impl CustomOp1 for Root {
    fn name(&self) -> &'static str {
        "backward"
    }

    fn cpu_fwd(&self, token: &CpuStorage, layout: &Layout) -> Result<(CpuStorage, Shape)> {
        Ok((token.clone(), layout.shape().clone()))
    }

    fn bwd(&self, _: &Tensor, _: &Tensor, _: &Tensor) -> Result<Option<Tensor>> {
        Ok(Some(self.counts.clone()))
    }
}

/// a + b.
fn sum(a: &Tensor, b: &Tensor) -> Result<Tensor> {
    Add { op: "add", shape: a.shape().clone() }.apply([a, b])
}

/// `tensor` as a backward function may use it: attached where candle differentiates twice, else detached.
pub(crate) fn saved(tensor: &Tensor) -> Result<Tensor> {
    Ok(if second_order()? { tensor.clone() } else { tensor.detach() })
}

/// `gradient()` where `argument` takes part in the graph, so that the gradient of a network's input is never computed.
pub(crate) fn wanted(argument: &Tensor, gradient: impl FnOnce() -> Result<Tensor>) -> Result<Option<Tensor>> {
    argument.track_op().then(gradient).transpose()
}

/// Whether candle keeps the incoming gradient attached on this thread, so that a second backward pass is right.
pub(crate) fn second_order() -> Result<bool> {
    thread_local! {
        static ANSWER: Cell<Option<bool>> = const { Cell::new(None) };
    }
    ANSWER.with(|answer| match answer.get() {
        Some(known) => Ok(known),
        None => {
            let found = probe()?;
            answer.set(Some(found));
            Ok(found)
        }
    })
}

/// Runs one backward pass through `identity(a) · b`: the gradient that reaches the identity is `b`, attached or not.
fn probe() -> Result<bool> {
    let attached = Arc::new(AtomicBool::new(false));
    let device = candle_core::Device::Cpu;
    let (a, b) = (Var::new(1f32, &device)?, Var::new(1f32, &device)?);
    let y = (a.apply_op1(Identity { attached: attached.clone() })? * b.as_tensor())?;
    y.backward()?;
    Ok(attached.load(Ordering::Relaxed))
}

struct Identity {
    attached: Arc<AtomicBool>,
}

impl CustomOp1 for Identity {
    fn name(&self) -> &'static str {
        "taper-second-order-probe"
    }

    fn cpu_fwd(&self, storage: &CpuStorage, layout: &Layout) -> Result<(CpuStorage, Shape)> {
        Ok((storage.clone(), layout.shape().clone()))
    }

    fn bwd(&self, _: &Tensor, _: &Tensor, grad: &Tensor) -> Result<Option<Tensor>> {
        self.attached.store(grad.track_op(), Ordering::Relaxed);
        Ok(Some(grad.clone()))
    }
}
