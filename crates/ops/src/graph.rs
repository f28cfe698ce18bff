//! How backward functions treat what forward saved.
//!
//! candle hands a backward function its saved arguments still attached to the graph, but detaches the incoming gradient
//! unless `CANDLE_GRAD_DO_NOT_DETACH` was set when the thread first ran a backward pass. A gradient that is attached in
//! one argument and detached in the other gives a silently wrong second derivative, so both are attached or neither is.

use candle_core::{CpuStorage, CustomOp1, Layout, Result, Shape, Tensor, Var};
use std::cell::Cell;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

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
