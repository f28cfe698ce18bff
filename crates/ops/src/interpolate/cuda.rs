//! Launches of the kernels of resampling, which read the taps of an axis from lists: those of its outputs, or turned around
//! those of its inputs, so that the transpose gathers too.

use super::spec::{Axis, InterpolateDims};
use crate::Result;
use crate::cuda::{Arg, Buffer, Gpu, Kernel, View, Work};

static KERNEL: Kernel = Kernel::new("interpolate", include_str!("kernel.cu"));

/// For every position of an axis, the positions that it is the weighted sum of.
type Lists = Vec<Vec<(usize, f64)>>;

/// The weighted sums of all output positions.
pub(super) fn forward(gpu: &Gpu, dims: &InterpolateDims, x: View<'_>) -> Result<Buffer> {
    let lists = dims.axes.each_ref().map(taps);
    let sides = [dims.axes.each_ref().map(|axis| axis.input), dims.axes.each_ref().map(|axis| axis.output)];
    launch(gpu, "interpolate", &lists, sides, x, dims.planes.output_len)
}

/// Every element of `dy`, weighted, added to those that it is the sum of.
pub(super) fn transpose(gpu: &Gpu, dims: &InterpolateDims, dy: View<'_>) -> Result<Buffer> {
    let lists = dims.axes.each_ref().map(turned);
    let sides = [dims.axes.each_ref().map(|axis| axis.output), dims.axes.each_ref().map(|axis| axis.input)];
    launch(gpu, "interpolate_grad", &lists, sides, dy, dims.planes.input.iter().product())
}

fn launch(
    gpu: &Gpu,
    function: &'static str,
    lists: &[Lists; 3],
    [from, to]: [[usize; 3]; 2],
    input: View<'_>,
    n: usize,
) -> Result<Buffer> {
    let entries = || lists.iter().flatten().flatten();
    let mut table = starts(lists);
    table.extend(entries().map(|&(at, _)| at as i64));
    let table = gpu.upload(table)?;
    let weights = gpu.upload(entries().map(|&(_, weight)| weight).collect())?;
    let mut output = gpu.alloc(n)?;
    let tables = [Arg::In(table.view()), Arg::In(weights.view())];
    let sizes = [Arg::Sizes(from.to_vec()), Arg::Sizes(to.to_vec()), Arg::Size(n)];
    let args = [Arg::In(input), Arg::Out(&mut output)].into_iter().chain(tables).chain(sizes).collect();
    gpu.launch(&KERNEL, function, Work::Each(n), args)?;
    Ok(output)
}

/// Where each list begins among the entries of all, and for each axis where its last one ends.
fn starts(lists: &[Lists; 3]) -> Vec<i64> {
    let (mut starts, mut next) = (Vec::new(), 0);
    for lists in lists {
        starts.push(next);
        for list in lists {
            next += list.len() as i64;
            starts.push(next);
        }
    }
    starts
}

/// The lists of an axis's outputs.
fn taps(axis: &Axis) -> Lists {
    axis.taps.chunks_exact(axis.width).map(<[_]>::to_vec).collect()
}

/// The lists of its inputs, in the order of the outputs.
fn turned(axis: &Axis) -> Lists {
    let mut lists = vec![Vec::new(); axis.input];
    for (output, taps) in axis.taps.chunks_exact(axis.width).enumerate() {
        for &(input, weight) in taps {
            lists[input].push((output, weight));
        }
    }
    lists
}
