//! Writing into several `Var`s at once: candle's in-place operators write one each, so one runs within the other.

use crate::storage::{Element, UNROUNDED, contiguous};
use crate::{Error, Result};
use candle_core::{CpuStorage, DType, InplaceOp1, Layout, Tensor, Var};
use rayon::prelude::*;
use std::cell::Cell;

/// Elements that one task handles: enough arithmetic to pay for a fork.
const CHUNK: usize = 1 << 14;

/// Elementwise arithmetic over a gradient and `N` variables, all equally long.
pub(super) trait Update<const N: usize>: Sync {
    fn run<T: Element>(&self, grad: &[T], vars: [&mut [T]; N]);
}

/// Runs `update` on the contents of `vars`, the parameter first, then its states.
pub(super) fn apply<const N: usize, U: Update<N>>(
    op: &'static str,
    grad: &Tensor,
    vars: [&Var; N],
    update: &U,
) -> Result<()> {
    check(op, grad, &vars)?;
    let layouts = vars.map(|var| var.layout());
    let run = |held: &mut [&mut CpuStorage]| {
        match grad.dtype() {
            DType::F32 => run_typed::<f32, N, U>(grad, held, layouts, update)?,
            DType::F64 => run_typed::<f64, N, U>(grad, held, layouts, update)?,
            dtype => return Err(Error::DType { op, dtype, supported: UNROUNDED }.into()),
        }
        Ok(())
    };
    Ok(hold(op, &vars, &mut [], &run)?)
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

type Run<'a> = dyn Fn(&mut [&mut CpuStorage]) -> candle_core::Result<()> + 'a;

/// Calls `run` on the storages of `vars`, all of them open for writing.
fn hold(op: &'static str, vars: &[&Var], held: &mut [&mut CpuStorage], run: &Run<'_>) -> candle_core::Result<()> {
    match vars {
        [] => run(held),
        [var, rest @ ..] => {
            let within = |storage: &mut CpuStorage| {
                let mut held: Vec<&mut CpuStorage> = held.iter_mut().map(|held| &mut **held).collect();
                held.push(storage);
                hold(op, rest, &mut held, run)
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

impl<F: FnOnce(&mut CpuStorage) -> candle_core::Result<()>> InplaceOp1 for Within<F> {
    fn name(&self) -> &'static str {
        self.op
    }

    fn cpu_fwd(&self, storage: &mut CpuStorage, _: &Layout) -> candle_core::Result<()> {
        self.f.take().map_or(Ok(()), |f| f(storage))
    }
}

fn run_typed<T: Element, const N: usize, U: Update<N>>(
    grad: &Tensor,
    held: &mut [&mut CpuStorage],
    layouts: [&Layout; N],
    update: &U,
) -> candle_core::Result<()> {
    let mut vars: [&mut [T]; N] = std::array::from_fn(|_| Default::default());
    for ((var, storage), layout) in vars.iter_mut().zip(held).zip(layouts) {
        if let (Some(data), Some((start, end))) = (T::slice_mut(storage), layout.contiguous_offsets()) {
            *var = &mut data[start..end];
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
