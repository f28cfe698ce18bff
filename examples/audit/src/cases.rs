//! Cases both for candle's operators, which take one stride, padding and dilation for all axes, and for taper's.

use candle_core::{DType, Result, Tensor};
use proptest::prelude::*;
use taper_gradcheck::strategies::{Fill, Kind, conv_geometry};

/// A convolution with the same stride, padding and dilation on every axis; extents are not the same.
#[derive(Debug, Clone)]
pub(crate) struct Conv<const D: usize> {
    pub(crate) batch: usize,
    pub(crate) groups: usize,
    pub(crate) in_channels: usize,
    pub(crate) out_channels: usize,
    pub(crate) input: [usize; D],
    pub(crate) kernel: [usize; D],
    pub(crate) stride: usize,
    pub(crate) padding: usize,
    pub(crate) dilation: usize,
}

impl<const D: usize> Conv<D> {
    /// x and weight.
    pub(crate) fn tensors(&self) -> Result<[Tensor; 2]> {
        let x = [&[self.batch, self.in_channels], self.input.as_slice()].concat();
        let w = [&[self.out_channels, self.in_channels / self.groups], self.kernel.as_slice()].concat();
        Ok([reals(&x, 1)?, reals(&w, 2)?])
    }
}

pub(crate) fn conv<const D: usize>() -> impl Strategy<Value = Conv<D>> {
    conv_geometry::<D>().prop_map(|g| {
        let (stride, dilation, padding) = (g.stride[0], g.dilation[0], g.padding[0].0);
        let slack = |i: usize| g.input[i] % 5;
        let least = |i: usize| (dilation * (g.kernel[i] - 1) + 1).saturating_sub(2 * padding).max(1);
        Conv {
            batch: g.batch,
            groups: g.groups,
            in_channels: g.in_channels,
            out_channels: g.out_channels,
            input: std::array::from_fn(|i| least(i) + slack(i)),
            kernel: g.kernel,
            stride,
            padding,
            dilation,
        }
    })
}

/// A pool without padding or dilation, which candle's do not have.
#[derive(Debug, Clone)]
pub(crate) struct Pool {
    pub(crate) batch: usize,
    pub(crate) channels: usize,
    pub(crate) input: [usize; 2],
    pub(crate) kernel: [usize; 2],
    pub(crate) stride: [usize; 2],
}

impl Pool {
    /// An input without ties.
    pub(crate) fn distinct(&self) -> Result<Tensor> {
        fill(Kind::Distinct, 1, &[self.batch, self.channels, self.input[0], self.input[1]])
    }
}

/// Kernel and stride are the same half of the time.
pub(crate) fn pool() -> impl Strategy<Value = Pool> {
    let two = |range: std::ops::RangeInclusive<usize>| [range.clone(), range];
    (1..=3_usize, 1..=3_usize, two(0..=4), two(1..=3), two(1..=3), any::<bool>()).prop_map(
        |(batch, channels, slack, kernel, stride, other_stride)| Pool {
            batch,
            channels,
            input: [kernel[0] + slack[0], kernel[1] + slack[1]],
            kernel,
            stride: if other_stride { stride } else { kernel },
        },
    )
}

/// A shape of `rank` axes with extents from 1 to 4.
pub(crate) fn shape(rank: usize) -> impl Strategy<Value = Vec<usize>> {
    proptest::collection::vec(1..=4_usize, rank)
}

pub(crate) fn reals(shape: &[usize], seed: u64) -> Result<Tensor> {
    fill(Kind::Reals, seed, shape)
}

pub(crate) fn fill(kind: Kind, seed: u64, shape: &[usize]) -> Result<Tensor> {
    Fill { kind, seed }.tensor(shape, DType::F64)
}

/// Class numbers in 0..classes.
pub(crate) fn labels(count: usize, classes: usize) -> Result<Tensor> {
    let labels: Vec<u32> = (0..count).map(|i| ((i * 7 + 2) % classes) as u32).collect();
    Tensor::new(labels, &candle_core::Device::Cpu)
}
