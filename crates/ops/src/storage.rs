//! Between candle's storages and typed slices: the only place that matches on a dtype, and the only layout gate.
//!
//! An [`Operator`] runs on contiguous slices of any [`Element`]; [`run`] picks the element type and copies strided, offset
//! or broadcast arguments into row-major order. Half precision is a way to store numbers, not to compute with them: bf16
//! and f16 are widened to f32 on the way in, exactly, and each result is rounded once on the way out.

use crate::math;
use crate::operator::Operator;
use crate::{Error, Result};
use candle_core::{CpuStorage, DType, Layout, Shape, WithDType};
use half::slice::HalfFloatSliceExt;
use half::{bf16, f16};
use std::borrow::Cow;

/// What a kernel computes with.
pub(crate) trait Element: WithDType + num_traits::Float + std::iter::Sum + std::fmt::Debug {
    /// e to the `x`. In float32 a loop over it becomes vector instructions.
    fn vexp(self) -> Self;

    /// The hyperbolic tangent. In float32 a loop over it becomes vector instructions.
    fn vtanh(self) -> Self;

    /// The complementary error function, `1 − erf(x)`, which std has not. In float32 a loop over it becomes vector
    /// instructions.
    fn erfc(self) -> Self;

    /// The elements of a storage of this type, to write; candle offers only the reading half.
    fn slice_mut(storage: &mut CpuStorage) -> Option<&mut [Self]>;

    /// The slice itself where this type is f32, for kernels that are written for vectors of it.
    fn as_f32(values: &[Self]) -> Option<&[f32]>;

    /// What such a kernel computed.
    fn from_f32(values: Vec<f32>) -> Vec<Self>;
}

impl Element for f32 {
    #[inline(always)]
    fn vexp(self) -> Self {
        math::exp(self)
    }

    #[inline(always)]
    fn vtanh(self) -> Self {
        math::tanh(self)
    }

    #[inline(always)]
    fn erfc(self) -> Self {
        math::erfc(self)
    }

    fn slice_mut(storage: &mut CpuStorage) -> Option<&mut [Self]> {
        match storage {
            CpuStorage::F32(data) => Some(data),
            _ => None,
        }
    }

    fn as_f32(values: &[Self]) -> Option<&[f32]> {
        Some(values)
    }

    fn from_f32(values: Vec<f32>) -> Vec<Self> {
        values
    }
}

impl Element for f64 {
    fn vexp(self) -> Self {
        self.exp()
    }

    fn vtanh(self) -> Self {
        self.tanh()
    }

    fn erfc(self) -> Self {
        libm::erfc(self)
    }

    fn slice_mut(storage: &mut CpuStorage) -> Option<&mut [Self]> {
        match storage {
            CpuStorage::F64(data) => Some(data),
            _ => None,
        }
    }

    fn as_f32(_: &[Self]) -> Option<&[f32]> {
        None
    }

    fn from_f32(values: Vec<f32>) -> Vec<Self> {
        values.into_iter().map(f64::from).collect()
    }
}

/// The dtypes that [`run`] takes, for error messages.
pub(crate) const SUPPORTED: &str = "bf16, f16, f32, f64";

/// The dtypes of [`Element`], for error messages.
pub(crate) const UNROUNDED: &str = "f32, f64";

/// Runs `operator` on candle's storages.
pub(crate) fn run<const N: usize, O: Operator<N>>(
    operator: &O,
    inputs: [(&CpuStorage, &Layout); N],
) -> candle_core::Result<(CpuStorage, Shape)> {
    #[cfg(feature = "emulate")]
    if crate::emulation::is_on() {
        return crate::cuda::emulate(operator, inputs);
    }
    let first = dtype(inputs[0].0);
    for (storage, _) in &inputs[1..] {
        let other = dtype(storage);
        if other != first {
            return Err(Error::DTypeMismatch { op: operator.name(), left: first, right: other }.into());
        }
    }
    let storage = match first {
        DType::BF16 => run_half::<bf16, N, O>(operator, inputs)?,
        DType::F16 => run_half::<f16, N, O>(operator, inputs)?,
        DType::F32 => run_typed::<f32, N, O>(operator, inputs)?,
        DType::F64 => run_typed::<f64, N, O>(operator, inputs)?,
        dtype => return Err(Error::DType { op: operator.name(), dtype, supported: SUPPORTED }.into()),
    };
    Ok((storage, operator.shape()))
}

fn run_typed<T: Element, const N: usize, O: Operator<N>>(
    operator: &O,
    inputs: [(&CpuStorage, &Layout); N],
) -> Result<CpuStorage> {
    let mut rows: [Cow<'_, [T]>; N] = [const { Cow::Borrowed(&[]) }; N];
    for (row, (storage, layout)) in rows.iter_mut().zip(inputs) {
        *row = contiguous(T::cpu_storage_as_slice(storage)?, layout);
    }
    Ok(T::to_cpu_storage_owned(operator.run(rows.each_ref().map(|row| row.as_ref()))?))
}

fn run_half<H: WithDType, const N: usize, O: Operator<N>>(
    operator: &O,
    inputs: [(&CpuStorage, &Layout); N],
) -> Result<CpuStorage>
where
    [H]: HalfFloatSliceExt,
{
    let mut rows: [Vec<f32>; N] = [const { Vec::new() }; N];
    for (row, (storage, layout)) in rows.iter_mut().zip(inputs) {
        let narrow = contiguous(H::cpu_storage_as_slice(storage)?, layout);
        row.resize(narrow.len(), 0.);
        narrow.convert_to_f32_slice(row);
    }
    let wide = operator.run(rows.each_ref().map(Vec::as_slice))?;
    let mut narrow = vec![H::zero(); wide.len()];
    narrow.convert_from_f32_slice(&wide);
    Ok(H::to_cpu_storage_owned(narrow))
}

fn dtype(storage: &CpuStorage) -> DType {
    use candle_core::backend::BackendStorage;
    storage.dtype()
}

/// The elements of `layout` in row-major order: borrowed where they lie so already.
pub(crate) fn contiguous<'a, T: Copy>(data: &'a [T], layout: &Layout) -> Cow<'a, [T]> {
    match layout.contiguous_offsets() {
        // An empty view may start beyond the end of its storage.
        _ if layout.shape().elem_count() == 0 => Cow::Borrowed(&[]),
        Some((start, end)) => Cow::Borrowed(&data[start..end]),
        None => {
            let mut out = Vec::with_capacity(layout.shape().elem_count());
            gather(data, layout.start_offset(), layout.dims(), layout.stride(), &mut out);
            Cow::Owned(out)
        }
    }
}

fn gather<T: Copy>(data: &[T], start: usize, dims: &[usize], stride: &[usize], out: &mut Vec<T>) {
    match (dims, stride) {
        ([], _) | (_, []) => out.push(data[start]),
        (&[len], &[1]) => out.extend_from_slice(&data[start..start + len]),
        (&[len], &[step]) => out.extend((0..len).map(|i| data[start + i * step])),
        ([len, dims @ ..], [step, stride @ ..]) => {
            (0..*len).for_each(|i| gather(data, start + i * step, dims, stride, out));
        }
    }
}
