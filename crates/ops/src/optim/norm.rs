//! The length of all gradients together.

use crate::storage::{Element, UNROUNDED, contiguous};
use crate::{Error, Result};
use candle_core::{DType, Storage, Tensor, WithDType};
use rayon::prelude::*;

/// Elements whose squares one task sums; part of the result's definition, since sums are rounded.
const CHUNK: usize = 1 << 14;

/// The Euclidean norm of all elements of all `tensors` together, as gradients are clipped by.
///
/// # Formula
/// `√ Σ x²`, summed in float64 over blocks of fixed size, in order: the same bits at any number of threads.
///
/// # Errors
/// When a dtype is neither f32 nor f64.
///
/// # Source
/// Pascanu, Mikolov, Bengio, "On the difficulty of training recurrent neural networks", ICML 2013;
/// `torch.nn.utils.clip_grad_norm_`.
///
/// ```
/// use candle_core::{Device, Tensor};
/// use taper_ops::optim::global_norm;
///
/// let (a, b) = (Tensor::new(&[2f32, -4.], &Device::Cpu)?, Tensor::new(&[[4f64]], &Device::Cpu)?);
/// assert_eq!(global_norm([&a, &b])?, 6.0);
/// # Ok::<(), candle_core::Error>(())
/// ```
pub fn global_norm<'a>(tensors: impl IntoIterator<Item = &'a Tensor>) -> Result<f64> {
    let mut total = 0.0;
    for tensor in tensors {
        total += match tensor.dtype() {
            DType::F32 => sum_of_squares::<f32>(tensor)?,
            DType::F64 => sum_of_squares::<f64>(tensor)?,
            dtype => return Err(Error::DType { op: "global_norm", dtype, supported: UNROUNDED }),
        };
    }
    Ok(total.sqrt())
}

fn sum_of_squares<T: Element>(tensor: &Tensor) -> Result<f64> {
    let (storage, layout) = tensor.storage_and_layout();
    let Storage::Cpu(storage) = &*storage else {
        // Elsewhere the device sums, and one number travels.
        drop(storage);
        return Ok(tensor.to_dtype(DType::F64)?.sqr()?.sum_all()?.to_scalar()?);
    };
    let data = contiguous(T::cpu_storage_as_slice(storage)?, layout);
    let block = |block: &[T]| block.iter().map(|&x| WithDType::to_f64(x).powi(2)).sum::<f64>();
    let blocks: Vec<f64> =
        if data.len() <= CHUNK { vec![block(&data)] } else { data.par_chunks(CHUNK).map(block).collect() };
    Ok(blocks.iter().sum())
}
