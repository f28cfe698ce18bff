//! Direct convolution in float32: strips of output positions, whose inputs are vectors of a padded image read in place.
//!
//! Positions are numbered along the padded image, line after line, so that a vector runs on over the ends of lines: what
//! it computes there, between one line's last position and the next line's first, is dropped.

use super::image::Image;
use super::{FEW, batch_slices, channel_block, join_blocks, largest_divisor};
use crate::conv::spec::ConvDims;
use crate::parallel;
use crate::simd::Tier;
use crate::strip::{SLACK, Strip, column_runs};

/// Positions of one strip: its inputs and the weights of a run of channels stay in the second-level cache.
const STRIP: usize = 256;

/// Sums of products over one padded image, at the positions of one phase of the output.
struct Correlation {
    /// Where the products' inputs lie for position 0: an offset a (channel, tap).
    rows: Vec<usize>,
    lines: Vec<Line>,
    /// How far apart positions of a line are written.
    step: usize,
    /// Positions, counted along the padded image.
    positions: usize,
    /// `[rows, channels]` for each run of each block of output channels.
    weights: Vec<Vec<f32>>,
}

/// The correlations that together make a whole output, for every sample and group.
struct Pass<'a> {
    d: &'a ConvDims,
    /// The padded copy of one sample's group.
    image: Image,
    correlations: Vec<Correlation>,
    /// Channels a group that are read.
    from: usize,
    /// Channels a group that are written.
    to: usize,
    /// Channels that one task writes.
    block: usize,
    /// Elements of one channel of the output.
    plane: usize,
}

/// One line of the output: positions `from..from + len`, written from `to` on.
struct Line {
    from: usize,
    len: usize,
    to: usize,
}

/// y = x ⋆ w + b.
pub(super) fn forward(tier: Tier, d: &ConvDims, x: &[f32], w: &[f32], b: Option<&[f32]>) -> Vec<f32> {
    let image = strided_image(d);
    let k = d.c_in_group() * d.taps();
    let block = channel_block(d, d.c_out_group());
    let correlation = Correlation {
        rows: correlated_rows(d, &image),
        lines: lines(&image, d.output, d.output, [1; 3], [0; 3]),
        step: 1,
        positions: positions(&image, d.output),
        weights: pack(tier, d.c_out, block, k, |channel, row| w[channel * k + row]),
    };
    let (from, to, plane) = (d.c_in_group(), d.c_out_group(), d.out_plane());
    Pass { d, image, correlations: vec![correlation], from, to, block, plane }.run(tier, x, b)
}

/// dx from dy and w, + b: for each phase of the stride a convolution with the taps that reach it.
pub(super) fn input_grad(tier: Tier, d: &ConvDims, dy: &[f32], w: &[f32], b: Option<&[f32]>) -> Vec<f32> {
    let axes = [0, 1, 2].map(|axis| reaches(d, axis));
    let before = [0, 1, 2].map(|axis| axes[axis].iter().flatten().map(|reach| -reach.shift).max().unwrap_or(0).max(0));
    let mut image =
        Image { extent: d.output, before: before.map(|before| before as usize), phases: [1; 3], len: [0; 3] };
    for axis in 0..3 {
        let end = |(phase, reaches): (usize, &Vec<Reach>)| {
            let last = d.input[axis].saturating_sub(phase).div_ceil(d.stride[axis]) as isize;
            reaches.iter().map(move |reach| last + reach.shift).max().unwrap_or(0)
        };
        let end = axes[axis].iter().enumerate().map(end).max().unwrap_or(0).max(d.output[axis] as isize);
        image.len[axis] = (before[axis] + end) as usize;
    }
    let (c_in, taps) = (d.c_in_group(), d.taps());
    let block = channel_block(d, c_in);
    let correlation = |phase: [usize; 3]| {
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
        let extent = [0, 1, 2].map(|axis| d.input[axis].saturating_sub(phase[axis]).div_ceil(d.stride[axis]));
        let rows = (0..d.c_out_group()).flat_map(|c| reached.iter().map(move |(_, at)| c * image.size() + at));
        let weight = |channel: usize, row: usize| {
            let (group, channel) = (channel / c_in, channel % c_in);
            let (out, tap) = (group * d.c_out_group() + row / reached.len(), reached[row % reached.len()].0);
            w[(out * c_in + channel) * taps + tap]
        };
        Correlation {
            rows: rows.collect(),
            lines: lines(&image, extent, d.input, d.stride, phase),
            step: d.stride[2],
            positions: positions(&image, extent),
            weights: pack(tier, d.c_in, block, d.c_out_group() * reached.len(), weight),
        }
    };
    let phases = (0..d.stride.iter().product()).map(|phase: usize| {
        [phase / (d.stride[1] * d.stride[2]), phase / d.stride[2] % d.stride[1], phase % d.stride[2]]
    });
    let inside = phases.filter(|phase| (0..3).all(|axis| phase[axis] < d.input[axis]));
    let correlations = inside.map(correlation).collect();
    Pass { d, image, correlations, from: d.c_out_group(), to: c_in, block, plane: d.in_plane() }.run(tier, dy, b)
}

/// Whether a group has input channels for a vector of every tier.
pub(super) fn fills_vectors(d: &ConvDims) -> bool {
    d.c_in_group() >= 16
}

/// dw from x and dy, with vectors along the input channels.
pub(super) fn weight_grad(tier: Tier, d: &ConvDims, x: &[f32], dy: &[f32]) -> Vec<f32> {
    let (taps, c_in, c_out) = (d.taps(), d.c_in_group(), d.c_out_group());
    let size = d.c_out * c_in * taps;
    if size == 0 {
        return Vec::new();
    }
    let image = Image { phases: [1; 3], len: reach(d), ..strided_image(d) };
    let slices = batch_slices(d.n, size);
    let channels = if slices * d.groups >= FEW { c_in } else { largest_divisor(c_in, c_in.div_ceil(FEW).max(32)) };
    let blocks = c_in / channels;
    let plane = d.out_plane();
    let runs: Vec<_> = column_runs(tier, c_out).collect();
    let columns = parallel::map(d.n * d.groups, |pair| pack_positions(&dy[pair * c_out * plane..], plane, &runs));
    // An odd number of vectors, for pixels a power of two apart would share a few sets of the cache.
    let apart = (channels.div_ceil(16) | 1) * 16;
    let at = |p: usize| {
        let [_, height, width] = d.output;
        image.step(times([p / (height * width), p / width % height, p % width], d.stride)) * apart
    };
    let rows: Vec<usize> = (0..plane).map(at).collect();
    let offsets: Vec<usize> = self::taps(d).map(|tap| image.step(times(tap, d.dilation)) * apart).collect();
    let pitch = channels.next_multiple_of(SLACK);
    let parts = parallel::map(slices * d.groups * blocks, |task| {
        let (slice, group, first) = (task / (d.groups * blocks), task / blocks % d.groups, task % blocks * channels);
        let mut sums = vec![0.; taps * c_out * pitch + SLACK];
        let (mut padded, mut pixels) = (Vec::new(), Vec::new());
        for n in slice * d.n / slices..(slice + 1) * d.n / slices {
            let x = &x[(n * d.c_in + group * c_in + first) * d.in_plane()..][..channels * d.in_plane()];
            image.fill(x, &mut padded);
            transpose(&padded[..channels * image.size()], channels, apart, &mut pixels);
            let dy = &columns[n * d.groups + group];
            for start in (0..plane).step_by(STRIP) {
                let rows = &rows[start..plane.min(start + STRIP)];
                for (tap, offset) in offsets.iter().enumerate() {
                    for run in &runs {
                        let b = &dy[run.start * plane + start * run.len()..][..rows.len() * run.len()];
                        let out = &mut sums[(tap * c_out + run.start) * pitch..];
                        let a = &pixels[*offset..];
                        Strip { a, rows, b, columns: run.len(), out, pitch, len: channels, accumulate: true }.run(tier);
                    }
                }
            }
        }
        let entry = |i: usize| {
            let (out, channel, tap) = (i / (channels * taps), i / taps % channels, i % taps);
            sums[(tap * c_out + out) * pitch + channel]
        };
        (0..c_out * channels * taps).map(entry).collect()
    });
    join_blocks(d, parts, slices, channels)
}

impl Pass<'_> {
    /// The output for the samples of `x`, plus `b`.
    fn run(&self, tier: Tier, x: &[f32], b: Option<&[f32]>) -> Vec<f32> {
        let Self { d, image, correlations, from, to, block, plane } = self;
        let blocks = to.checked_div(*block).unwrap_or(0);
        let x_plane: usize = image.extent.iter().product();
        let cost = (block * plane).saturating_mul(from * d.taps());
        let runs: Vec<_> = column_runs(tier, *block).collect();
        parallel::build(d.n * d.groups * to * plane, 0., block * plane, cost, |task, y| {
            let (pair, of_group) = (task / blocks, task / blocks % d.groups * blocks + task % blocks);
            let mut padded = Vec::new();
            image.fill(&x[pair * from * x_plane..][..from * x_plane], &mut padded);
            let mut sums = vec![0.; runs.iter().map(|run| run.len()).max().unwrap_or(0) * STRIP + SLACK];
            for correlation in correlations {
                for start in (0..correlation.positions).step_by(STRIP) {
                    let len = STRIP.min(correlation.positions - start);
                    for (run, weights) in runs.iter().zip(&correlation.weights[of_group * runs.len()..]) {
                        let (a, rows, columns) = (&padded[start..], &correlation.rows, run.len());
                        let out = &mut sums;
                        Strip { a, rows, b: weights, columns, out, pitch: STRIP, len, accumulate: false }.run(tier);
                        for (channel, sums) in run.clone().zip(sums.chunks_exact(STRIP)) {
                            let bias = b.map_or(0., |b| b[of_group * block + channel]);
                            correlation.write(start, &sums[..len], bias, &mut y[channel * plane..][..*plane]);
                        }
                    }
                }
            }
        })
    }
}

impl Correlation {
    /// Writes the sums of the positions from `start` on into one channel of the output.
    fn write(&self, start: usize, sums: &[f32], bias: f32, y: &mut [f32]) {
        let end = start + sums.len();
        let first = self.lines.partition_point(|line| line.from + line.len <= start);
        for line in self.lines[first..].iter().take_while(|line| line.from < end) {
            let (from, until) = (line.from.max(start), (line.from + line.len).min(end));
            let sums = &sums[from - start..until - start];
            let y = &mut y[line.to + (from - line.from) * self.step..];
            match self.step {
                1 => y.iter_mut().zip(sums).for_each(|(y, sum)| *y = sum + bias),
                step => y.iter_mut().step_by(step).zip(sums).for_each(|(y, sum)| *y = sum + bias),
            }
        }
    }
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

/// Positions of the padded input that the windows hold, an entry an axis.
fn reach(d: &ConvDims) -> [usize; 3] {
    [0, 1, 2].map(|axis| (d.output[axis] - 1) * d.stride[axis] + (d.kernel[axis] - 1) * d.dilation[axis] + 1)
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

/// Positions up to the last of an output of `extent`, counted along `image`.
fn positions(image: &Image, extent: [usize; 3]) -> usize {
    if extent.contains(&0) { 0 } else { image.step(extent.map(|extent| extent - 1)) + 1 }
}

/// The lines of an output of `extent`, written into an image of `whole` from `phase` on, `stride` apart.
fn lines(image: &Image, extent: [usize; 3], whole: [usize; 3], stride: [usize; 3], phase: [usize; 3]) -> Vec<Line> {
    let line = |z: usize, y: usize| Line {
        from: image.step([z, y, 0]),
        len: extent[2],
        to: ((z * stride[0] + phase[0]) * whole[1] + y * stride[1] + phase[1]) * whole[2] + phase[2],
    };
    (0..extent[0]).flat_map(|z| (0..extent[1]).map(move |y| line(z, y))).collect()
}

/// `weight(channel, row)` as `[rows, channels]` for each run of each block of `block` channels.
fn pack(
    tier: Tier,
    count: usize,
    block: usize,
    rows: usize,
    weight: impl Fn(usize, usize) -> f32 + Sync + Send,
) -> Vec<Vec<f32>> {
    let blocks = (0..count.checked_div(block).unwrap_or(0)).map(|i| i * block);
    let runs: Vec<_> =
        blocks.flat_map(|first| column_runs(tier, block).map(move |run| first + run.start..first + run.end)).collect();
    parallel::map(runs.len(), |i| {
        (0..rows)
            .flat_map(|row| runs[i].clone().map(move |channel| (channel, row)))
            .map(|(c, r)| weight(c, r))
            .collect()
    })
}

/// `[channels, positions]` as `[positions, channels]` for each run of channels, one after the other.
fn pack_positions(dy: &[f32], plane: usize, runs: &[std::ops::Range<usize>]) -> Vec<f32> {
    let mut packed = vec![0.; runs.last().map_or(0, |run| run.end) * plane];
    for run in runs {
        let packed = &mut packed[run.start * plane..][..run.len() * plane];
        for (column, channel) in run.clone().enumerate() {
            let to = packed[column..].iter_mut().step_by(run.len());
            to.zip(&dy[channel * plane..][..plane]).for_each(|(to, from)| *to = *from);
        }
    }
    packed
}

/// `[channels, positions]` as `[positions, channels]`, positions `apart` elements apart and `SLACK` zeros behind them.
fn transpose(x: &[f32], channels: usize, apart: usize, out: &mut Vec<f32>) {
    /// Channels that are interleaved at once, and positions of which that is done.
    const QUAD: usize = 4;
    const RUN: usize = 256;
    let positions = x.len() / channels;
    out.clear();
    out.resize(positions * apart + SLACK, 0.);
    let mut quads = [[0.; QUAD]; RUN];
    for start in (0..positions).step_by(RUN) {
        let len = RUN.min(positions - start);
        let out = &mut out[start * apart..];
        for first in (0..channels).step_by(QUAD) {
            let line = |channel: usize| &x[channel * positions + start..][..len];
            if let [a, b, c, d] = (first..channels.min(first + QUAD)).map(line).collect::<Vec<_>>()[..] {
                for ((((quad, a), b), c), d) in quads.iter_mut().zip(a).zip(b).zip(c).zip(d) {
                    *quad = [*a, *b, *c, *d];
                }
                for (out, quad) in out.chunks_exact_mut(apart).zip(&quads[..len]) {
                    out[first..first + QUAD].copy_from_slice(quad);
                }
            } else {
                for channel in first..channels {
                    out[channel..].iter_mut().step_by(apart).zip(line(channel)).for_each(|(out, x)| *out = *x);
                }
            }
        }
    }
}
