//! Class indices on a CUDA device.

use super::{ClassDims, ClassWeights};
use crate::cuda::{Arg, Buffer, Gpu, Kernel, View, Work};
use crate::sums::RUN;
use crate::{Error, Result};
use candle_core::DType;

static KERNEL: Kernel = Kernel::new("classes", include_str!("kernel.cu"));

/// The classes of `indices`, which are 64 bits wide, and the weight of all together that are not ignored.
pub(super) fn read(
    gpu: &Gpu,
    op: &'static str,
    classes: usize,
    indices: View<'_>,
    ignore_index: i64,
    weight: &ClassWeights,
) -> Result<(Buffer, f64)> {
    if classes >= u32::MAX as usize {
        return Err(Error::Overflow { op, what: "the number of classes" });
    }
    let (chosen, summary) = check(gpu, classes, indices, ignore_index, weight)?;
    match summary.to_vec_i64(op)?[..] {
        [total, -1, _] => Ok((chosen, f64::from_bits(total.cast_unsigned()))),
        [_, position, target] => {
            let position = position.unsigned_abs() as usize;
            Err(Error::TargetOutOfBounds { op, target, position, classes })
        }
        _ => Err(Error::Cuda { op, reason: "the summary of the classes has another length".into() }),
    }
}

/// One-hot vectors along the classes.
pub(crate) fn one_hot(gpu: &Gpu, dims: &ClassDims, chosen: &Buffer) -> Result<Buffer> {
    let n = dims.positions() * dims.classes;
    let mut y = gpu.alloc(n)?;
    let sizes = [dims.classes, dims.inner, n].map(Arg::Size);
    let args = [Arg::In(chosen.view()), Arg::Out(&mut y)].into_iter().chain(sizes).collect();
    gpu.launch(&KERNEL, "one_hot", Work::Each(n), args)?;
    Ok(y)
}

/// The classes, and three integers: the bits of their weight, the first position with an index that is no class, -1 where
/// there is none, and that index.
fn check(
    gpu: &Gpu,
    classes: usize,
    indices: View<'_>,
    ignore_index: i64,
    weight: &ClassWeights,
) -> Result<(Buffer, Buffer)> {
    let (n, runs) = (indices.len(), indices.len().div_ceil(RUN));
    let mut chosen = gpu.alloc_of(DType::U32, n)?;
    let (mut totals, mut faults) = (gpu.alloc_of(DType::F64, runs)?, gpu.alloc_of(DType::I64, runs)?);
    let outputs = [&mut chosen, &mut totals, &mut faults].map(Arg::Out);
    let numbers = [Arg::Size(classes), Arg::Word(ignore_index.cast_unsigned()), Arg::Size(n)];
    let args = [Arg::In(indices), weight.arg()].into_iter().chain(outputs).chain(numbers).collect();
    gpu.launch(&KERNEL, "read_classes", Work::Blocks(runs), args)?;
    let mut summary = gpu.alloc_of(DType::I64, 3)?;
    let inputs = [indices, totals.view(), faults.view()].map(Arg::In);
    let rest = [Arg::Out(&mut summary), Arg::Size(runs), Arg::Size(n)];
    gpu.launch(&KERNEL, "sum_up_classes", Work::Blocks(1), inputs.into_iter().chain(rest).collect())?;
    Ok((chosen, summary))
}
