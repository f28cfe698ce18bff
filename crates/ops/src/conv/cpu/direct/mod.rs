//! Direct convolution in float32: every product of the formula, over a padded image.

mod panels;
mod weight_grad;

pub(super) use panels::{Gather, Panel};
pub(super) use weight_grad::weight_grad;

use super::channel_block;
use super::image::Image;
use crate::conv::spec::ConvDims;
use crate::parallel;
use crate::simd::Tier;
use crate::strip::column_runs;
use panels::{Correlation, Part, Pass};

/// Terms of a sum that are added at once: two vectors of inputs a term, and a run of weights, are what a first-level cache
/// holds.
const SLICE: usize = 160;

/// One line of the output: positions `from..from + len` of an image, written from `to` on.
struct Line {
    from: usize,
    len: usize,
    to: usize,
    /// Where the line ends in the output.
    end: usize,
}

/// y = x ⋆ w + b.
pub(super) fn forward(tier: Tier, d: &ConvDims, x: &[f32], w: &[f32], b: Option<&[f32]>) -> Vec<f32> {
    let image = strided_image(d);
    let (from, to, plane) = (d.c_in_group(), d.c_out_group(), d.out_plane());
    let (block, terms) = (channel_block(d, to), from * d.taps());
    let rows: Vec<usize> = (0..terms).collect();
    let part = Part {
        taps: taps(d).map(|tap| image.offset(times(tap, d.dilation))).collect(),
        weights: pack(tier, d.c_out, block, &rows, |channel| &w[channel * terms..]),
    };
    let lines = lines(&image, d.output, d.output, [1; 2], [0; 2]);
    Pass { d, image, correlations: vec![Correlation { lines, parts: vec![part] }], from, to, block, plane }
        .run(tier, x, b)
}

/// dx from dy and w, + b: for each phase of the stride a convolution with the taps that reach it.
pub(super) fn input_grad(tier: Tier, d: &ConvDims, dy: &[f32], w: &[f32], b: Option<&[f32]>) -> Vec<f32> {
    let axes = [0, 1, 2].map(|axis| reaches(d, axis));
    let before = [0, 1, 2].map(|axis| axes[axis].iter().flatten().map(|reach| -reach.shift).max().unwrap_or(0).max(0));
    let mut image =
        Image { extent: d.output, before: before.map(|before| before as usize), phases: [1; 3], len: [0; 3] };
    for axis in 0..3 {
        // All phases have as many positions as the first, some of them one beyond the input.
        let last = d.input[axis].div_ceil(d.stride[axis]) as isize;
        let end = axes[axis].iter().flatten().map(|reach| last + reach.shift).max().unwrap_or(0);
        image.len[axis] = (before[axis] + end.max(d.output[axis] as isize)) as usize;
    }
    let (c_in, c_out, taps) = (d.c_in_group(), d.c_out_group(), d.taps());
    let block = channel_block(d, c_in);
    let part = |phase: [usize; 3]| {
        let mut reached = Vec::new();
        for z in &axes[0][phase[0]] {
            for y in &axes[1][phase[1]] {
                for x in &axes[2][phase[2]] {
                    let at = [z, y, x].map(|reach| reach.shift);
                    let at = [0, 1, 2].map(|axis| (at[axis] + before[axis]) as usize);
                    reached.push(((z.tap * d.kernel[1] + y.tap) * d.kernel[2] + x.tap, image.offset(at)));
                }
            }
        }
        let rows: Vec<usize> =
            (0..c_out).flat_map(|out| reached.iter().map(move |(tap, _)| out * c_in * taps + tap)).collect();
        let of_channel = |channel: usize| &w[(channel / c_in * c_out * c_in + channel % c_in) * taps..];
        let weights = pack(tier, d.c_in, block, &rows, of_channel);
        Part { taps: reached.into_iter().map(|(_, at)| at).collect(), weights }
    };
    let correlation = |phase: [usize; 2]| {
        let extent = |axis: usize| (d.input[axis] - phase.get(axis).unwrap_or(&0)).div_ceil(d.stride[axis]);
        let [depth, height, _] = d.stride;
        Correlation {
            lines: lines(&image, [0, 1, 2].map(extent), d.input, [depth, height], phase),
            parts: (0..d.stride[2].min(d.input[2])).map(|x| part([phase[0], phase[1], x])).collect(),
        }
    };
    let phases = (0..d.stride[0] * d.stride[1]).map(|phase| [phase / d.stride[1], phase % d.stride[1]]);
    let inside = phases.filter(|phase| (0..2).all(|axis| phase[axis] < d.input[axis]));
    let correlations = inside.map(correlation).collect();
    Pass { d, image, correlations, from: c_out, to: c_in, block, plane: d.in_plane() }.run(tier, dy, b)
}

/// The positions of an output, in panels of `width` whose inputs are gathered from the image of a sample.
pub(super) fn panels_of_output(d: &ConvDims, image: &Image, width: usize) -> Vec<Panel> {
    panels::panels(&lines(image, d.output, d.output, [1; 2], [0; 2]), 1, [0; 2], 1, width, true)
}

/// Whether a group has input channels for a vector of every tier.
pub(super) fn fills_vectors(d: &ConvDims) -> bool {
    d.c_in_group() >= 16
}

/// Where the inputs of position 0 lie in [`strided_image`]: an offset a (channel, tap).
pub(super) fn correlated_rows(d: &ConvDims, image: &Image) -> Vec<usize> {
    let taps: Vec<usize> = taps(d).map(|tap| image.offset(times(tap, d.dilation))).collect();
    (0..d.c_in_group()).flat_map(|channel| taps.iter().map(move |tap| channel * image.size() + tap)).collect()
}

/// The padded input, split by stride: a line of the output reads neighbours.
pub(super) fn strided_image(d: &ConvDims) -> Image {
    let len = |axis: usize| d.output[axis] + (d.kernel[axis] - 1) * d.dilation[axis] / d.stride[axis];
    Image { extent: d.input, before: d.padding, phases: d.stride, len: [0, 1, 2].map(len) }
}

/// A tap that reaches one phase of an axis: position `i` of the phase has a term of output `i + shift`.
struct Reach {
    tap: usize,
    shift: isize,
}

/// For each phase of the stride the taps that reach it.
fn reaches(d: &ConvDims, axis: usize) -> Vec<Vec<Reach>> {
    let stride = d.stride[axis] as isize;
    let of_phase = |phase: usize| {
        let shift = move |tap: usize| (phase + d.padding[axis]) as isize - (tap * d.dilation[axis]) as isize;
        let taps = (0..d.kernel[axis]).filter(move |&tap| shift(tap) % stride == 0);
        taps.map(move |tap| Reach { tap, shift: shift(tap) / stride }).collect()
    };
    (0..d.stride[axis]).map(of_phase).collect()
}

/// The taps of the kernel in row-major order.
fn taps(d: &ConvDims) -> impl Iterator<Item = [usize; 3]> {
    let [_, height, width] = d.kernel;
    (0..d.taps()).map(move |tap| [tap / (height * width), tap / width % height, tap % width])
}

fn times(a: [usize; 3], b: [usize; 3]) -> [usize; 3] {
    [a[0] * b[0], a[1] * b[1], a[2] * b[2]]
}

/// The lines of an output of `extent`, written into an image of `whole` from `phase` on, `stride` apart.
fn lines(image: &Image, extent: [usize; 3], whole: [usize; 3], stride: [usize; 2], phase: [usize; 2]) -> Vec<Line> {
    let line = |z: usize, y: usize| {
        let to = ((z * stride[0] + phase[0]) * whole[1] + y * stride[1] + phase[1]) * whole[2];
        Line { from: image.step([z, y, 0]), len: extent[2], to, end: to + whole[2] }
    };
    (0..extent[0]).flat_map(|z| (0..extent[1]).map(move |y| line(z, y))).collect()
}

/// The weights in `rows` of each of `count` channels as `[rows, channels]` for each run of each block of `block` channels.
fn pack<'a>(
    tier: Tier,
    count: usize,
    block: usize,
    rows: &[usize],
    of_channel: impl Fn(usize) -> &'a [f32] + Sync + Send,
) -> Vec<Vec<f32>> {
    let blocks = (0..count.checked_div(block).unwrap_or(0)).map(|i| i * block);
    let runs: Vec<_> =
        blocks.flat_map(|first| column_runs(tier, block).map(move |run| first + run.start..first + run.end)).collect();
    parallel::map(runs.len(), |i| {
        let columns: Vec<&[f32]> = runs[i].clone().map(&of_channel).collect();
        let mut packed = vec![0.; rows.len() * columns.len()];
        for (row, packed) in rows.iter().zip(packed.chunks_exact_mut(columns.len())) {
            packed.iter_mut().zip(&columns).for_each(|(weight, column)| *weight = column[*row]);
        }
        packed
    })
}
