//! Pooling as its formula is written, with signed positions and no shortcuts, and random geometry to hold kernels against.

use super::layouts::values;
use candle_core::{Device, Tensor};
use proptest::prelude::*;
use proptest::sample::select;
use taper_gradcheck::MemoryLayout;

/// A pooling of `[lead…, extents…]`.
#[derive(Debug, Clone)]
pub struct Geometry<const D: usize = 2> {
    pub lead: Vec<usize>,
    pub extents: [usize; D],
    pub kernel: [usize; D],
    pub stride: [usize; D],
    pub padding: [usize; D],
    pub dilation: [usize; D],
    pub ceil_mode: bool,
}

/// Why the formula has no value.
#[derive(Debug, PartialEq, Eq)]
pub enum Undefined {
    KernelTooLarge,
    EmptyWindow,
}

/// One window: its place and the positions of the input it holds, row-major.
pub struct Window<const D: usize = 2> {
    pub output: [usize; D],
    pub elements: Vec<usize>,
}

impl<const D: usize> Geometry<D> {
    pub fn shape(&self) -> Vec<usize> {
        [self.lead.as_slice(), &self.extents].concat()
    }

    pub fn planes(&self) -> usize {
        self.lead.iter().product()
    }

    pub fn output(&self) -> Result<[usize; D], Undefined> {
        let extent = |i: usize| {
            let [l, k, s, p, d] =
                [self.extents, self.kernel, self.stride, self.padding, self.dilation].map(|a| a[i] as i64);
            let mut o = (l + 2 * p - d * (k - 1) - 1 + if self.ceil_mode { s - 1 } else { 0 }).div_euclid(s) + 1;
            if self.ceil_mode && (o - 1) * s >= l + p {
                o -= 1;
            }
            if o < 1 { Err(Undefined::KernelTooLarge) } else { Ok(o as usize) }
        };
        let mut output = [0; D];
        for (axis, output) in output.iter_mut().enumerate() {
            *output = extent(axis)?;
        }
        Ok(output)
    }

    /// The positions on one axis that window `o` reaches, those in the padding among them.
    pub fn reach(&self, axis: usize, o: usize) -> Vec<i64> {
        let start = (o * self.stride[axis]) as i64 - self.padding[axis] as i64;
        (0..self.kernel[axis]).map(|tap| start + (tap * self.dilation[axis]) as i64).collect()
    }

    pub fn windows(&self) -> Result<Vec<Window<D>>, Undefined> {
        let window = |output: [usize; D]| {
            let held = |axis: usize| -> Vec<usize> {
                let reach = self.reach(axis, output[axis]).into_iter();
                reach.filter(|at| (0..self.extents[axis] as i64).contains(at)).map(|at| at as usize).collect()
            };
            let elements = elements(&self.extents, &std::array::from_fn(held));
            if elements.is_empty() { Err(Undefined::EmptyWindow) } else { Ok(Window { output, elements }) }
        };
        positions(self.output()?).map(window).collect()
    }
}

/// All positions below `extents`, row-major.
pub fn positions<const D: usize>(extents: [usize; D]) -> impl Iterator<Item = [usize; D]> {
    (0..extents.iter().product()).map(move |flat| {
        let mut rest: usize = flat;
        let mut position = [0; D];
        for axis in (0..D).rev() {
            position[axis] = rest % extents[axis];
            rest /= extents[axis];
        }
        position
    })
}

/// The flat positions in `extents` of what lies in `held` on every axis, row-major.
pub fn elements<const D: usize>(extents: &[usize; D], held: &[Vec<usize>; D]) -> Vec<usize> {
    (0..D).fold(vec![0], |flat, axis| {
        let along = |&at: &usize| held[axis].iter().map(move |along| at * extents[axis] + along);
        flat.iter().flat_map(along).collect()
    })
}

/// Maxima, their places and the gradient of a cotangent, as the formula gives them.
pub struct Maxima {
    pub y: Vec<f64>,
    pub places: Vec<i64>,
    pub dx: Vec<f64>,
}

/// `windows` of every plane of `plane` elements.
pub fn maxima<const D: usize>(windows: &[Window<D>], plane: usize, x: &[f64], dy: &[f64]) -> Maxima {
    let mut maxima = Maxima { y: Vec::new(), places: Vec::new(), dx: vec![0.; x.len()] };
    for (n, x) in x.chunks_exact(plane).enumerate() {
        for window in windows {
            let (mut max, mut place) = (f64::NEG_INFINITY, window.elements[0]);
            for &at in &window.elements {
                if x[at] > max || x[at].is_nan() {
                    (max, place) = (x[at], at);
                }
            }
            maxima.dx[n * plane + place] += dy[maxima.y.len()];
            maxima.y.push(max);
            maxima.places.push(place as i64);
        }
    }
    maxima
}

/// Geometry of both kinds: with a value and without. Extents, kernels and strides are drawn an axis each.
pub fn geometry<const D: usize>(dilations: std::ops::RangeInclusive<usize>) -> impl Strategy<Value = Geometry<D>> {
    let axis = |_| (1..=9usize, 1..=5usize, 1..=4usize, 0..=2usize, dilations.clone());
    let lead = prop_oneof![(1..=4usize).prop_map(|c| vec![c]), (0..=3usize, 1..=3usize).prop_map(|(n, c)| vec![n, c])];
    (lead, std::array::from_fn::<_, D, _>(axis), any::<bool>()).prop_map(|(lead, axes, ceil_mode)| Geometry {
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
