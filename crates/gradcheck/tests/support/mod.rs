//! A convolution in plain loops whose backward pass can be given any of many mistakes.

use candle_core::{CpuStorage, CustomOp2, DType, Layout, Result, Shape, Tensor};
use std::sync::{
    Arc, OnceLock,
    atomic::{AtomicU64, Ordering},
};
use taper_gradcheck::Assertion;
use taper_gradcheck::strategies::ConvGeometry;

/// A mistake in a backward pass (or, where said, in the forward).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    Doubled,
    DividedByKernel,
    Negated,
    SwappedAxes,
    FlippedColumns,
    ShiftedByOne,
    OverwritesInsteadOfAdding,
    LastColumnMissing,
    FirstRowMissing,
    ChannelMissing,
    IgnoresDilation,
    IgnoresStride,
    PaddingOffByOne,
    WeightFromFirstSampleAlone,
    WeightAveragedOverBatch,
    WeightChannelsReversed,
    WeightFromFirstGroupAlone,
    OneElementOffByAThousandth,
    RoundedToFloat32,
    AddsAConstant,
    UsesSizeOfCotangent,
    ClipsCotangent,
    AveragesCotangentOverBatch,
    RemembersFirstCotangent,
    DriftsFromCallToCall,
    NotANumber,
    SeveredInput,
    SeveredWeight,
    NothingForComputedInput,
    SkipsWeightWithoutInput,
    GradientOfWrongShape,
    GradientOfWrongDType,
    ForwardIgnoresStrides,
    ForwardDrifts,
}

impl Fault {
    pub(crate) const ALL: [Fault; 34] = {
        use Fault::*;
        [
            Doubled,
            DividedByKernel,
            Negated,
            SwappedAxes,
            FlippedColumns,
            ShiftedByOne,
            OverwritesInsteadOfAdding,
            LastColumnMissing,
            FirstRowMissing,
            ChannelMissing,
            IgnoresDilation,
            IgnoresStride,
            PaddingOffByOne,
            WeightFromFirstSampleAlone,
            WeightAveragedOverBatch,
            WeightChannelsReversed,
            WeightFromFirstGroupAlone,
            OneElementOffByAThousandth,
            RoundedToFloat32,
            AddsAConstant,
            UsesSizeOfCotangent,
            ClipsCotangent,
            AveragesCotangentOverBatch,
            RemembersFirstCotangent,
            DriftsFromCallToCall,
            NotANumber,
            SeveredInput,
            SeveredWeight,
            NothingForComputedInput,
            SkipsWeightWithoutInput,
            GradientOfWrongShape,
            GradientOfWrongDType,
            ForwardIgnoresStrides,
            ForwardDrifts,
        ]
    };

    /// The assertion that must find it.
    pub(crate) fn found_by(self) -> Assertion {
        use Fault::*;
        match self {
            RemembersFirstCotangent => Assertion::ZeroCotangent,
            DriftsFromCallToCall => Assertion::Repeatable,
            SeveredInput | SeveredWeight => Assertion::Connected,
            NothingForComputedInput => Assertion::FanOut,
            SkipsWeightWithoutInput => Assertion::Untracked,
            GradientOfWrongShape | GradientOfWrongDType => Assertion::Backward,
            ForwardIgnoresStrides => Assertion::InputLayout,
            ForwardDrifts => Assertion::Deterministic,
            _ => Assertion::Gradient,
        }
    }

    /// Whether it changes anything for this geometry: a mistake about the batch does not at batch 1.
    pub(crate) fn shows(self, g: &ConvGeometry<2>) -> bool {
        use Fault::*;
        let reached =
            |axis: usize| (g.output_shape()[2 + axis] - 1) * g.stride[axis] + g.dilation[axis] * (g.kernel[axis] - 1);
        match self {
            DividedByKernel => g.kernel != [1, 1],
            SwappedAxes => g.input[0] > 1 && g.input[1] > 1,
            FlippedColumns | ShiftedByOne => g.input[1] > 2 && reached(1) > 3 + g.padding[1].0,
            OverwritesInsteadOfAdding => g.out_channels / g.groups > 1,
            LastColumnMissing => {
                reached(1) >= g.padding[1].0 + g.input[1] - 1 && g.stride[1] == 1 && g.dilation[1] == 1
            }
            FirstRowMissing => g.padding[0].0 == 0,
            IgnoresDilation => (0..2).any(|i| g.dilation[i] > 1 && g.kernel[i] > 1),
            IgnoresStride => (0..2).any(|i| g.stride[i] > 1 && g.output_shape()[2 + i] > 1),
            WeightFromFirstSampleAlone | WeightAveragedOverBatch | AveragesCotangentOverBatch => g.batch > 1,
            WeightChannelsReversed => g.out_channels > 1,
            WeightFromFirstGroupAlone => g.groups > 1,
            GradientOfWrongShape => g.batch != g.in_channels,
            ForwardIgnoresStrides => g.input[0] > 1 && g.input[1] > 1,
            _ => true,
        }
    }
}

/// conv2d without bias, by its formula, with at most one mistake.
pub(crate) struct Conv {
    pub(crate) geometry: ConvGeometry<2>,
    pub(crate) fault: Option<Fault>,
    pub(crate) memory: Arc<Memory>,
}

/// What a faulty operator carries from call to call.
#[derive(Default)]
pub(crate) struct Memory {
    calls: AtomicU64,
    cotangent: OnceLock<Vec<f64>>,
}

/// One product of the convolution's sum, by the flat positions of its three tensors.
struct Tap {
    n: usize,
    group: usize,
    x: usize,
    w: usize,
    y: usize,
}

fn taps(
    g: &ConvGeometry<2>,
    (stride, dilation, before): ([usize; 2], [usize; 2], [i64; 2]),
    mut each: impl FnMut(Tap),
) {
    let [.., h_out, w_out] = g.output_shape()[..] else { return };
    let (c_in, c_out) = (g.in_channels / g.groups, g.out_channels / g.groups);
    let [h, w] = g.input;
    let [kh, kw] = g.kernel;
    for y in 0..g.batch * g.out_channels * h_out * w_out {
        let (ox, oy) = (y % w_out, y / w_out % h_out);
        let (o, n) = (y / (w_out * h_out) % g.out_channels, y / (w_out * h_out * g.out_channels));
        let group = o / c_out;
        for tap in 0..c_in * kh * kw {
            let (i, j, c) = (tap % kw, tap / kw % kh, tap / (kw * kh));
            let row = (oy * stride[0] + j * dilation[0]) as i64 - before[0];
            let column = (ox * stride[1] + i * dilation[1]) as i64 - before[1];
            if (0..h as i64).contains(&row) && (0..w as i64).contains(&column) {
                let channel = n * g.in_channels + group * c_in + c;
                let x = (channel * h + row as usize) * w + column as usize;
                each(Tap { n, group, x, w: o * c_in * kh * kw + tap, y });
            }
        }
    }
}

impl Conv {
    fn has(&self, fault: Fault) -> bool {
        self.fault == Some(fault)
    }

    fn geometry_for_backward(&self) -> ([usize; 2], [usize; 2], [i64; 2]) {
        let g = &self.geometry;
        let before = [g.padding[0].0 as i64, g.padding[1].0 as i64];
        match self.fault {
            Some(Fault::IgnoresDilation) => (g.stride, [1, 1], before),
            Some(Fault::IgnoresStride) => ([1, 1], g.dilation, before),
            Some(Fault::PaddingOffByOne) => (g.stride, g.dilation, [before[0] + 1, before[1]]),
            _ => (g.stride, g.dilation, before),
        }
    }

    fn read(&self, storage: &CpuStorage, layout: &Layout) -> Result<Vec<f64>> {
        let data = storage.as_slice::<f64>()?;
        let strides = if self.has(Fault::ForwardIgnoresStrides) {
            Layout::contiguous(layout.shape()).stride().to_vec()
        } else {
            layout.stride().to_vec()
        };
        let at = |flat: usize| {
            let (mut rest, mut offset) = (flat, layout.start_offset());
            for (extent, stride) in layout.dims().iter().zip(&strides).rev() {
                offset += rest % extent * stride;
                rest /= extent;
            }
            // A broadcast tensor stores less than its strides would reach if they were contiguous.
            data[offset.min(data.len() - 1)]
        };
        Ok((0..layout.shape().elem_count()).map(at).collect())
    }

    /// The cotangent as the mistake lets it through.
    fn cotangent(&self, dy: &Tensor) -> Result<Vec<f64>> {
        let mut values: Vec<f64> = dy.flatten_all()?.to_vec1()?;
        match self.fault {
            Some(Fault::UsesSizeOfCotangent) => values.iter_mut().for_each(|dy| *dy = dy.abs()),
            Some(Fault::ClipsCotangent) => values.iter_mut().for_each(|dy| *dy = dy.clamp(-0.9, 0.9)),
            Some(Fault::AveragesCotangentOverBatch) => {
                values = dy.mean_keepdim(0)?.broadcast_as(dy.shape())?.flatten_all()?.to_vec1()?;
            }
            Some(Fault::RemembersFirstCotangent) => values = self.memory.cotangent.get_or_init(|| values).clone(),
            _ => (),
        }
        Ok(values)
    }

    fn gradients(&self, x: &[f64], w: &[f64], dy: &[f64]) -> (Vec<f64>, Vec<f64>) {
        let (mut dx, mut dw) = (vec![0.0; x.len()], vec![0.0; w.len()]);
        taps(&self.geometry, self.geometry_for_backward(), |tap| {
            let term = w[tap.w] * dy[tap.y];
            if self.has(Fault::OverwritesInsteadOfAdding) {
                dx[tap.x] = term
            } else {
                dx[tap.x] += term
            }
            let skipped = self.has(Fault::WeightFromFirstSampleAlone) && tap.n > 0
                || self.has(Fault::WeightFromFirstGroupAlone) && tap.group > 0;
            if !skipped {
                dw[tap.w] += x[tap.x] * dy[tap.y];
            }
        });
        self.spoil(&mut dx, &mut dw);
        (dx, dw)
    }

    /// The mistakes that can be made after the sums are right.
    fn spoil(&self, dx: &mut [f64], dw: &mut [f64]) {
        let g = &self.geometry;
        let [h, w] = g.input;
        let right = dx.to_vec();
        let scale = |dx: &mut [f64], by: f64| dx.iter_mut().for_each(|dx| *dx *= by);
        match self.fault {
            Some(Fault::Doubled) => scale(dx, 2.0),
            Some(Fault::DividedByKernel) => scale(dx, 1.0 / (g.kernel[0] * g.kernel[1]) as f64),
            Some(Fault::Negated) => scale(dx, -1.0),
            Some(Fault::SwappedAxes) => {
                let plane = h * w;
                (0..dx.len()).for_each(|i| dx[i] = right[i / plane * plane + (i % plane % h) * w + i % plane / h]);
            }
            Some(Fault::FlippedColumns) => (0..dx.len()).for_each(|i| dx[i] = right[i / w * w + w - 1 - i % w]),
            Some(Fault::ShiftedByOne) => (0..dx.len()).for_each(|i| dx[i] = right[i / w * w + (i + 1) % w]),
            Some(Fault::LastColumnMissing) => dx.iter_mut().skip(w - 1).step_by(w).for_each(|dx| *dx = 0.0),
            Some(Fault::FirstRowMissing) => {
                dx.iter_mut().enumerate().filter(|(i, _)| i / w % h == 0).for_each(|(_, dx)| *dx = 0.0);
            }
            Some(Fault::ChannelMissing) => {
                dx.iter_mut()
                    .enumerate()
                    .filter(|(i, _)| i / (w * h) % g.in_channels == 0)
                    .for_each(|(_, dx)| *dx = 0.0);
            }
            Some(Fault::WeightAveragedOverBatch) => scale(dw, 1.0 / g.batch as f64),
            Some(Fault::WeightChannelsReversed) => {
                let (one, right) = (dw.len() / g.out_channels, dw.to_vec());
                (0..dw.len()).for_each(|i| dw[i] = right[(g.out_channels - 1 - i / one) * one + i % one]);
            }
            Some(Fault::OneElementOffByAThousandth) => {
                let largest = (0..dx.len()).max_by(|&a, &b| dx[a].abs().total_cmp(&dx[b].abs()));
                largest.into_iter().for_each(|i| dx[i] *= 1.001);
            }
            Some(Fault::RoundedToFloat32) => dx.iter_mut().for_each(|dx| *dx = f64::from((*dx * 1.1) as f32) / 1.1),
            Some(Fault::AddsAConstant) => dx.iter_mut().for_each(|dx| *dx += 1e-6),
            Some(Fault::DriftsFromCallToCall) => {
                let calls = self.memory.calls.fetch_add(1, Ordering::Relaxed) as f64;
                scale(dw, 1.0 + calls * 1e-15);
            }
            Some(Fault::NotANumber) => dx[0] = f64::NAN,
            _ => (),
        }
    }
}

impl CustomOp2 for Conv {
    fn name(&self) -> &'static str {
        "conv-in-loops"
    }

    fn cpu_fwd(&self, x: &CpuStorage, lx: &Layout, w: &CpuStorage, lw: &Layout) -> Result<(CpuStorage, Shape)> {
        let (x, w) = (self.read(x, lx)?, self.read(w, lw)?);
        let g = &self.geometry;
        let shape = Shape::from(g.output_shape());
        let mut y = vec![0.0; shape.elem_count()];
        let before = [g.padding[0].0 as i64, g.padding[1].0 as i64];
        taps(g, (g.stride, g.dilation, before), |tap| y[tap.y] += x[tap.x] * w[tap.w]);
        if self.has(Fault::ForwardDrifts) {
            y[0] += self.memory.calls.fetch_add(1, Ordering::Relaxed) as f64 * 1e-9;
        }
        Ok((CpuStorage::F64(y), shape))
    }

    fn bwd(&self, x: &Tensor, w: &Tensor, _: &Tensor, dy: &Tensor) -> Result<(Option<Tensor>, Option<Tensor>)> {
        let read = |tensor: &Tensor| tensor.flatten_all()?.to_vec1::<f64>();
        let (dx, dw) = self.gradients(&read(x)?, &read(w)?, &self.cotangent(dy)?);
        let mut dx = Some(Tensor::from_vec(dx, x.shape(), x.device())?);
        let mut dw = Some(Tensor::from_vec(dw, w.shape(), w.device())?);
        match self.fault {
            Some(Fault::SeveredInput) => dx = None,
            Some(Fault::SeveredWeight) => dw = None,
            Some(Fault::NothingForComputedInput) if !x.is_variable() => dx = None,
            Some(Fault::SkipsWeightWithoutInput) if !x.track_op() => dw = Some(w.zeros_like()?),
            Some(Fault::GradientOfWrongShape) => dx = dx.map(|dx| dx.transpose(0, 1)).transpose()?,
            Some(Fault::GradientOfWrongDType) => dx = dx.map(|dx| dx.to_dtype(DType::F32)).transpose()?,
            _ => (),
        }
        Ok((dx.filter(|_| x.track_op()), dw.filter(|_| w.track_op())))
    }
}
