//! Writing into several `Var`s at once: candle's in-place operators write one each, so one runs within the other.

use super::cuda;
use crate::cuda::{Gpu, MemoryMut, View, ViewMut, on_device, runs_on};
use crate::storage::{Element, UNROUNDED, contiguous};
use crate::{Error, Result};
use candle_core::{CpuStorage, CudaStorage, DType, Device, InplaceOp1, Layout, Tensor, Var};
use rayon::prelude::*;
use std::cell::Cell;

/// Elements that one task handles: enough arithmetic to pay for a fork.
const CHUNK: usize = 1 << 14;

/// Elementwise arithmetic over a gradient and `N` variables, all equally long.
pub(super) trait Update<const N: usize>: Sync {
    fn run<T: Element>(&self, grad: &[T], vars: [&mut [T]; N]);

    /// The CUDA kernel that does the same, and the numbers that it takes.
    fn kernel(&self) -> (&'static str, Vec<f64>);
}

/// Runs `update` on the contents of `vars`, the parameter first, then its states.
pub(super) fn apply<const N: usize, U: Update<N>>(
    op: &'static str,
    grad: &Tensor,
    vars: [&Var; N],
    update: &U,
) -> Result<()> {
    check(op, grad, &vars)?;
    if !matches!(grad.dtype(), DType::F32 | DType::F64) {
        return Err(Error::DType { op, dtype: grad.dtype(), supported: UNROUNDED });
    }
    let run = |held: Vec<ViewMut<'_>>| {
        let device = held.first().map_or(Device::Cpu, |view| view.memory.device());
        match grad.dtype() {
            _ if runs_on(&device) => {
                let run = |gpu: &Gpu, grad: View<'_>| cuda::run(gpu, grad, held, update.kernel());
                Ok(on_device(op, device, grad, run)?)
            }
            DType::F64 => run_typed::<f64, N, U>(grad, held, update),
            _ => run_typed::<f32, N, U>(grad, held, update),
        }
    };
    Ok(hold(op, &vars, vec![], &run)?)
}

fn check(op: &'static str, grad: &Tensor, vars: &[&Var]) -> Result<()> {
    let mut addresses = vec![address(grad)];
    for var in vars {
        if var.dims() != grad.dims() {
            let (expected, shape) = (var.dims().to_vec(), grad.dims().to_vec());
            return Err(Error::Shape { op, argument: "the gradient", expected, shape });
        }
        if var.dtype() != grad.dtype() {
            return Err(Error::DTypeMismatch { op, left: var.dtype(), right: grad.dtype() });
        }
        if !var.is_contiguous() {
            return Err(candle_core::Error::RequiresContiguous { op }.into());
        }
        // Each storage is locked while it is written: a second lock on the same one would wait for ever.
        let address = address(var);
        if addresses.contains(&address) {
            let message = format!("{op}: two arguments share one storage; give each a tensor of its own");
            return Err(candle_core::Error::Msg(message).into());
        }
        addresses.push(address);
    }
    Ok(())
}

fn address(tensor: &Tensor) -> usize {
    std::ptr::from_ref(&*tensor.storage_and_layout().0).addr()
}

type Run<'a> = dyn Fn(Vec<ViewMut<'_>>) -> candle_core::Result<()> + 'a;

/// Calls `run` on the elements of `vars`, all of them open for writing.
fn hold(op: &'static str, vars: &[&Var], held: Vec<ViewMut<'_>>, run: &Run<'_>) -> candle_core::Result<()> {
    match vars {
        [] => run(held),
        [var, rest @ ..] => {
            let within = |memory: MemoryMut<'_>, layout: &Layout| {
                let mut held: Vec<ViewMut<'_>> = held;
                held.push(ViewMut { memory, start: layout.start_offset(), len: layout.shape().elem_count() });
                hold(op, rest, held, run)
            };
            var.inplace_op1(&Within { op, f: Cell::new(Some(within)) })
        }
    }
}

/// An in-place operator that hands its storage to a function.
struct Within<F> {
    op: &'static str,
    f: Cell<Option<F>>,
}

impl<F: FnOnce(MemoryMut<'_>, &Layout) -> candle_core::Result<()>> InplaceOp1 for Within<F> {
    fn name(&self) -> &'static str {
        self.op
    }

    fn cpu_fwd(&self, storage: &mut CpuStorage, layout: &Layout) -> candle_core::Result<()> {
        self.f.take().map_or(Ok(()), |f| f(MemoryMut::Host(storage), layout))
    }

    fn cuda_fwd(&self, storage: &mut CudaStorage, layout: &Layout) -> candle_core::Result<()> {
        self.f.take().map_or(Ok(()), |f| f(MemoryMut::Device(storage), layout))
    }
}

fn run_typed<T: Element, const N: usize, U: Update<N>>(
    grad: &Tensor,
    held: Vec<ViewMut<'_>>,
    update: &U,
) -> candle_core::Result<()> {
    let mut vars: [&mut [T]; N] = std::array::from_fn(|_| Default::default());
    for (var, view) in vars.iter_mut().zip(held) {
        if let MemoryMut::Host(storage) = view.memory
            && let Some(data) = T::slice_mut(storage)
        {
            *var = &mut data[view.start..view.start + view.len];
        }
    }
    let (storage, layout) = grad.storage_and_layout();
    let candle_core::Storage::Cpu(storage) = &*storage else {
        return Err(candle_core::Error::Msg("the gradient is not on the parameter's device".into()));
    };
    let grad = contiguous(T::cpu_storage_as_slice(storage)?, layout);

    let mut parts = vars.map(|var| var.chunks_mut(CHUNK));
    let mut tasks: Vec<(&[T], [&mut [T]; N])> =
        grad.chunks(CHUNK).map(|grad| (grad, parts.each_mut().map(|part| part.next().unwrap_or_default()))).collect();
    match tasks.as_mut_slice() {
        [_] => tasks.into_iter().for_each(|(grad, vars)| update.run(grad, vars)),
        _ => tasks.into_par_iter().for_each(|(grad, vars)| update.run(grad, vars)),
    }
    Ok(())
}
