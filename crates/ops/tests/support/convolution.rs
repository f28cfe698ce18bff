//! Convolution and transposed convolution over any number of axes, term by term as their formulas are written.

use proptest::prelude::*;
use taper_gradcheck::strategies::ConvGeometry;
use taper_ops::{ConvSpec, ConvTransposeSpec};

/// The place of each axis that a flat index means.
fn unflatten<const D: usize>(mut flat: usize, extents: [usize; D]) -> [usize; D] {
    let mut at = [0; D];
    for axis in (0..D).rev() {
        at[axis] = flat % extents[axis];
        flat /= extents[axis];
    }
    at
}

/// The flat index `i·stride + p·dilation − padding` among `extents`, unless it lies outside them.
fn meet<const D: usize>(
    i: [usize; D],
    stride: [usize; D],
    p: [usize; D],
    dilation: [usize; D],
    padding: [usize; D],
    extents: [usize; D],
) -> Option<usize> {
    (0..D).try_fold(0, |flat, axis| {
        let at = (i[axis] * stride[axis] + p[axis] * dilation[axis]).checked_sub(padding[axis])?;
        (at < extents[axis]).then_some(flat * extents[axis] + at)
    })
}

fn volume<const D: usize>(extents: [usize; D]) -> usize {
    extents.iter().product()
}

pub fn spec<const D: usize>(g: &ConvGeometry<D>) -> ConvSpec<D> {
    ConvSpec::default().stride(g.stride).padding(g.padding).dilation(g.dilation).groups(g.groups)
}

/// `y[n, o, i] = Σ w[o, c, p] · x[n, g·C_in/G + c, i·s − p_before + p·d]`
pub fn conv<const D: usize>(g: &ConvGeometry<D>, x: &[f64], w: &[f64]) -> Vec<f64> {
    let y_shape = g.output_shape();
    let output: [usize; D] = std::array::from_fn(|axis| y_shape[2 + axis]);
    let (in_group, out_group) = (g.in_channels / g.groups, g.out_channels / g.groups);
    let mut y = vec![0.; y_shape.iter().product()];
    for (flat, y) in y.iter_mut().enumerate() {
        let (plane, i) = (flat / volume(output), unflatten(flat % volume(output), output));
        let (n, o) = (plane / g.out_channels, plane % g.out_channels);
        for tap in 0..volume(g.kernel) {
            let p = unflatten(tap, g.kernel);
            let Some(at) = meet(i, g.stride, p, g.dilation, g.padding.map(|(before, _)| before), g.input) else {
                continue;
            };
            for c in 0..in_group {
                let channel = n * g.in_channels + o / out_group * in_group + c;
                *y += x[channel * volume(g.input) + at] * w[(o * in_group + c) * volume(g.kernel) + tap];
            }
        }
    }
    y
}

/// One transposed convolution, small enough for the formula.
#[derive(Debug, Clone)]
pub struct TransposeGeometry<const D: usize> {
    pub batch: usize,
    pub groups: usize,
    pub in_per_group: usize,
    pub out_per_group: usize,
    pub input: [usize; D],
    pub kernel: [usize; D],
    pub stride: [usize; D],
    pub padding: [usize; D],
    pub output_padding: [usize; D],
    pub dilation: [usize; D],
}

impl<const D: usize> TransposeGeometry<D> {
    pub fn spec(&self) -> ConvTransposeSpec<D> {
        ConvTransposeSpec {
            stride: self.stride,
            padding: self.padding,
            output_padding: self.output_padding,
            dilation: self.dilation,
            groups: self.groups,
            ..Default::default()
        }
    }

    /// The convolution that it transposes, but for windows that an output padding of a stride or more makes room for.
    pub fn transposed(&self) -> ConvSpec<D> {
        ConvSpec::default().stride(self.stride).padding(self.padding).dilation(self.dilation).groups(self.groups)
    }

    pub fn x(&self) -> Vec<usize> {
        [&[self.batch, self.groups * self.in_per_group], self.input.as_slice()].concat()
    }

    pub fn weight(&self) -> Vec<usize> {
        [&[self.groups * self.in_per_group, self.out_per_group], self.kernel.as_slice()].concat()
    }

    pub fn output(&self) -> [usize; D] {
        std::array::from_fn(|i| {
            (self.input[i] - 1) * self.stride[i] + self.dilation[i] * (self.kernel[i] - 1) + self.output_padding[i] + 1
                - 2 * self.padding[i]
        })
    }

    pub fn y(&self) -> Vec<usize> {
        [&[self.batch, self.groups * self.out_per_group], self.output().as_slice()].concat()
    }

    /// `y[n, o, i·s + p·d − padding] += x[n, c, i] · w[c, o, p]`
    pub fn naive(&self, x: &[f64], w: &[f64]) -> Vec<f64> {
        let output = self.output();
        let mut y = vec![0.; self.y().iter().product()];
        for (flat, x) in x.iter().enumerate() {
            let (plane, i) = (flat / volume(self.input), unflatten(flat % volume(self.input), self.input));
            let in_channels = self.groups * self.in_per_group;
            let (n, c) = (plane / in_channels, plane % in_channels);
            for tap in 0..volume(self.kernel) {
                let p = unflatten(tap, self.kernel);
                let Some(at) = meet(i, self.stride, p, self.dilation, self.padding, output) else { continue };
                for o in 0..self.out_per_group {
                    let channel = (n * self.groups + c / self.in_per_group) * self.out_per_group + o;
                    y[channel * volume(output) + at] += x * w[(c * self.out_per_group + o) * volume(self.kernel) + tap];
                }
            }
        }
        y
    }
}

/// Valid geometry with every axis its own, output paddings of a stride and more among it.
pub fn transpose_geometry<const D: usize>() -> impl Strategy<Value = TransposeGeometry<D>> {
    let axis = (1..=4usize, 1..=4usize, 1..=3usize, 1..=3usize, 0..=3usize, 0..=2usize);
    // No more padding than leaves one element.
    let axis = axis.prop_map(|(l, k, s, d, p, op)| {
        let op = op.min(s.max(d) - 1);
        [l, k, s, d, p.min(((l - 1) * s + d * (k - 1) + op) / 2), op]
    });
    let channels = (1..=3usize, 1..=3usize, 1..=3usize, 1..=3usize);
    (channels, prop::collection::vec(axis, D)).prop_map(|((batch, groups, in_per_group, out_per_group), axes)| {
        let [input, kernel, stride, dilation, padding, output_padding] =
            std::array::from_fn(|which| std::array::from_fn(|i| axes[i][which]));
        TransposeGeometry {
            batch,
            groups,
            in_per_group,
            out_per_group,
            input,
            kernel,
            stride,
            padding,
            output_padding,
            dilation,
        }
    })
}
