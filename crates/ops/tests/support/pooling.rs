//! Pooling as its formula is written, with signed positions and no shortcuts, and random geometry to hold kernels against.

use crate::support::layouts::values;
use candle_core::{Device, Tensor};
use proptest::prelude::*;
use proptest::sample::select;
use taper_gradcheck::MemoryLayout;

/// A pooling of `[lead…, extents…]`.
#[derive(Debug, Clone)]
pub struct Geometry {
    pub lead: Vec<usize>,
    pub extents: [usize; 2],
    pub kernel: [usize; 2],
    pub stride: [usize; 2],
    pub padding: [usize; 2],
    pub dilation: [usize; 2],
    pub ceil_mode: bool,
}

/// Why the formula has no value.
#[derive(Debug, PartialEq, Eq)]
pub enum Undefined {
    KernelTooLarge,
    EmptyWindow,
}

/// One window: its place and the positions of the input it holds, row-major.
pub struct Window {
    pub output: [usize; 2],
    pub elements: Vec<usize>,
}

impl Geometry {
    pub fn shape(&self) -> Vec<usize> {
        [self.lead.as_slice(), &self.extents].concat()
    }

    pub fn planes(&self) -> usize {
        self.lead.iter().product()
    }

    pub fn output(&self) -> Result<[usize; 2], Undefined> {
        let extent = |i: usize| {
            let [l, k, s, p, d] =
                [self.extents, self.kernel, self.stride, self.padding, self.dilation].map(|a| a[i] as i64);
            let mut o = (l + 2 * p - d * (k - 1) - 1 + if self.ceil_mode { s - 1 } else { 0 }).div_euclid(s) + 1;
            if self.ceil_mode && (o - 1) * s >= l + p {
                o -= 1;
            }
            if o < 1 { Err(Undefined::KernelTooLarge) } else { Ok(o as usize) }
        };
        Ok([extent(0)?, extent(1)?])
    }

    /// The positions on one axis that window `o` reaches, those in the padding among them.
    pub fn reach(&self, axis: usize, o: usize) -> Vec<i64> {
        let start = (o * self.stride[axis]) as i64 - self.padding[axis] as i64;
        (0..self.kernel[axis]).map(|tap| start + (tap * self.dilation[axis]) as i64).collect()
    }

    pub fn windows(&self) -> Result<Vec<Window>, Undefined> {
        let [h, w] = self.extents.map(|extent| extent as i64);
        let [h_out, w_out] = self.output()?;
        let mut windows = Vec::new();
        for output in (0..h_out).flat_map(|i| (0..w_out).map(move |j| [i, j])) {
            let mut elements = Vec::new();
            for row in self.reach(0, output[0]).into_iter().filter(|row| (0..h).contains(row)) {
                let columns = self.reach(1, output[1]).into_iter().filter(|column| (0..w).contains(column));
                elements.extend(columns.map(|column| (row * w + column) as usize));
            }
            if elements.is_empty() {
                return Err(Undefined::EmptyWindow);
            }
            windows.push(Window { output, elements });
        }
        Ok(windows)
    }
}

/// Geometry of both kinds: with a value and without. Extents, kernels and strides are drawn an axis each.
pub fn geometry(dilations: std::ops::RangeInclusive<usize>) -> impl Strategy<Value = Geometry> {
    let axis = || (1..=9usize, 1..=5usize, 1..=4usize, 0..=2usize, dilations.clone());
    let lead = prop_oneof![(1..=4usize).prop_map(|c| vec![c]), (0..=3usize, 1..=3usize).prop_map(|(n, c)| vec![n, c])];
    (lead, [axis(), axis()], any::<bool>()).prop_map(|(lead, axes, ceil_mode)| Geometry {
        lead,
        extents: axes.map(|axis| axis.0),
        kernel: axes.map(|axis| axis.1),
        stride: axes.map(|axis| axis.2),
        padding: axes.map(|axis| axis.3.min(axis.1 / 2)),
        dilation: axes.map(|axis| axis.4),
        ceil_mode,
    })
}

/// Values to fill tensors of any size with: repeated along the tensor, so that they shrink on their own.
pub fn pattern(values: &'static [f64]) -> impl Strategy<Value = Vec<f64>> {
    prop::collection::vec(select(values), 1..=48)
}

pub fn filled(pattern: &[f64], shape: &[usize]) -> Tensor {
    let count = shape.iter().product();
    Tensor::from_iter(pattern.iter().copied().cycle().take(count), &Device::Cpu).unwrap().reshape(shape).unwrap()
}

/// Bits, with one NaN for all, so that signed zeros are told apart.
pub fn bits(x: &Tensor) -> Vec<u64> {
    values(x).into_iter().map(|v| if v.is_nan() { f64::NAN.to_bits() } else { v.to_bits() }).collect()
}

pub fn layouts() -> impl Strategy<Value = MemoryLayout> {
    select(MemoryLayout::ALL.as_slice())
}
