//! Sums on a CUDA device, in float64 and in an order that follows from the number of terms alone.

use crate::Result;
use crate::cuda::{Arg, Buffer, Gpu, Kernel, View, Work};
use candle_core::DType;

static KERNEL: Kernel = Kernel::new("sums", include_str!("sums.cu"));

/// Terms that one block adds up: the kernels' `RUN`.
pub(crate) const RUN: usize = 4096;

/// The sum of `terms`, which are float64, over `divisor`.
pub(crate) fn sum(gpu: &Gpu, terms: View<'_>, divisor: f64) -> Result<Buffer> {
    let n = terms.len();
    if n <= RUN {
        return totals(gpu, terms, 1, divisor);
    }
    let mut sums = gpu.alloc_of(DType::F64, n.div_ceil(RUN))?;
    let args = vec![Arg::In(terms), Arg::Out(&mut sums), Arg::Size(n)];
    gpu.launch(&KERNEL, "run_sums", Work::Blocks(n.div_ceil(RUN)), args)?;
    totals(gpu, sums.view(), 1, divisor)
}

/// The sums of `rows` rows of float64, each over `divisor`.
pub(crate) fn totals(gpu: &Gpu, terms: View<'_>, rows: usize, divisor: f64) -> Result<Buffer> {
    let mut y = gpu.alloc(rows)?;
    let n = terms.len().checked_div(rows).unwrap_or(0);
    let args = vec![Arg::In(terms), Arg::Out(&mut y), Arg::Size(n), Arg::Size(rows), Arg::Double(divisor)];
    gpu.launch(&KERNEL, "totals", Work::Blocks(rows), args)?;
    Ok(y)
}
