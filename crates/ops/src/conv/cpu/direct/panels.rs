//! The products with the taps of an image, for one panel of output positions after the other.
//!
//! A task goes through its input channels slice by slice, whose padded image stays in the second-level cache. What the products
//! of a panel read stays in the first-level one while all output channels are summed, some terms after the other.

use super::super::image::Image;
use super::super::{FEW, largest_divisor};
use super::{Line, SLICE};
use crate::conv::spec::ConvDims;
use crate::parallel::{self, fill};
use crate::simd::{LONGEST, Tier, load, store_pairs};
use crate::strip::{SLACK, Strip, column_runs};
use pulp::{Simd, WithSimd};
use std::mem::MaybeUninit;
use std::ops::Range;

/// Positions of a panel whose inputs are copied together first: two vectors of the widest tier.
const GATHERED: usize = SLACK;

/// Positions of a panel that is read in place, gaps between lines included.
const IN_PLACE: usize = 128;

/// Where the rows of gathered inputs lie.
static GATHERED_ROWS: [usize; SLICE] = {
    let mut rows = [0; SLICE];
    let mut i = 1;
    while i < SLICE {
        rows[i] = rows[i - 1] + GATHERED;
        i += 1;
    }
    rows
};

/// Output channels that are worth the copies.
const MANY: usize = 48;

/// Positions of samples that share a task, and so the reading of the weights.
const TOGETHER: usize = 512;

/// Elements of the padded images of a slice: 512 KiB.
const CACHED: usize = 1 << 17;

/// Sums of products over a padded image, at the positions of one phase of the output along depth and height.
pub(super) struct Correlation {
    pub(super) lines: Vec<Line>,
    /// Along a line the output alternates between these.
    pub(super) parts: Vec<Part>,
}

/// Sums of products with some taps.
pub(super) struct Part {
    /// Where in a channel of the image the products' inputs lie for position 0.
    pub(super) taps: Vec<usize>,
    /// `[channels, taps, columns]` for each run of each block of output channels.
    pub(super) weights: Vec<Vec<f32>>,
}

/// The correlations that together make a whole output, for every sample and group.
pub(super) struct Pass<'a> {
    pub(super) d: &'a ConvDims,
    /// The padded copy of a channel.
    pub(super) image: Image,
    pub(super) correlations: Vec<Correlation>,
    /// Channels a group that are read.
    pub(super) from: usize,
    /// Channels a group that are written.
    pub(super) to: usize,
    /// Channels that one task writes.
    pub(super) block: usize,
    /// Elements of one channel of the output.
    pub(super) plane: usize,
}

impl Pass<'_> {
    /// The output for the samples of `x`, plus `b`.
    pub(super) fn run(&self, tier: Tier, x: &[f32], b: Option<&[f32]>) -> Vec<f32> {
        let Self { d, image, correlations, from, to, block, plane } = self;
        let blocks = to.checked_div(*block).unwrap_or(0);
        let alone = d.groups > 1 || blocks > 1;
        let samples =
            if alone { 1 } else { largest_divisor(d.n, (TOGETHER / plane.max(&1)).clamp(1, (d.n / FEW).max(1))) };
        let gathered = *block >= MANY;
        // An input without padding is its own image.
        let whole = gathered && image.is_copy();
        let channels = if whole { *from } else { (CACHED / (samples * image.size()).max(1)).clamp(1, *from.max(&1)) };
        let [apart, slices] = [channels * image.size(), from.div_ceil(channels.max(1)).max(1)];
        let width = if gathered { GATHERED } else { IN_PLACE };
        let panels =
            |c: &Correlation| panels(&c.lines, samples, [apart, block * plane], c.parts.len(), width, gathered);
        let panels = correlations.iter().map(panels).collect();
        let rows = |part: &Part| part.rows(image, from.div_ceil(slices));
        let rows = correlations.iter().map(|c| c.parts.iter().map(rows).collect()).collect();
        let task = Task { pass: self, tier, samples, slices, gathered, whole, apart, panels, rows };
        let (len, item) = (d.n * d.groups * to * plane, samples * block * plane);
        let x_plane: usize = image.extent.iter().product();
        let f = |i: usize, y: &mut [MaybeUninit<f32>]| {
            let pair = i / blocks * samples;
            let part = pair % d.groups * blocks + i % blocks;
            let x = &x[pair * from * x_plane..][..samples * from * x_plane];
            task.run(part, x, b.map(|b| &b[part * block..][..*block]), y);
        };
        // SAFETY: the lines of the correlations are all lines of the output, and a task writes each of them in all channels of
        // all of its samples.
        unsafe { parallel::build_unfilled(len, f32::NAN, item, item.saturating_mul(from * d.taps()), f) }
    }
}

/// What all tasks of a pass do.
struct Task<'a> {
    pass: &'a Pass<'a>,
    tier: Tier,
    /// Samples of a group that a task takes.
    samples: usize,
    /// Into how many slices their channels are cut.
    slices: usize,
    gathered: bool,
    /// Whether the inputs are gathered from x itself, not from a padded copy of a slice.
    whole: bool,
    /// How far apart the samples lie there.
    apart: usize,
    /// Those of each correlation.
    panels: Vec<Vec<Panel>>,
    /// The rows of the longest slice, for each correlation and part.
    rows: Vec<Vec<Vec<usize>>>,
}

impl Task<'_> {
    /// Writes `y`, `[samples, block, plane]`, of block and group number `part`.
    fn run(&self, part: usize, x: &[f32], b: Option<&[f32]>, y: &mut [MaybeUninit<f32>]) {
        let Self { tier, samples, slices, gathered, whole, apart, .. } = *self;
        let Pass { image, correlations, from, block, plane, .. } = self.pass;
        let x_plane: usize = image.extent.iter().product();
        let width = if gathered { GATHERED } else { IN_PLACE };
        let mut padded = vec![0.; if whole { 0 } else { samples * apart + SLACK }];
        let mut inputs = vec![0.; if gathered { SLICE * GATHERED } else { 0 }];
        for ((correlation, panels), rows) in correlations.iter().zip(&self.panels).zip(&self.rows) {
            let step = correlation.parts.len();
            // The sums of a panel, `[step, block, width]`: of all where they wait for the next slice.
            let size = step * block * width;
            let mut sums = vec![0.; size * if slices > 1 { panels.len() } else { 1 }];
            for i in 0..slices {
                let channels = i * from / slices..(i + 1) * from / slices;
                if !whole {
                    let of_slice = channels.start * x_plane..channels.end * x_plane;
                    for (x, padded) in x.chunks_exact((from * x_plane).max(1)).zip(padded.chunks_mut(apart)) {
                        image.copy(tier, &x[of_slice.clone()], padded);
                    }
                }
                let slice = Slice { images: if whole { x } else { &padded }, channels, part };
                for (number, panel) in panels.iter().enumerate() {
                    let sums = &mut sums[if slices > 1 { number * size } else { 0 }..][..size];
                    if let (0, Some(b)) = (i, b) {
                        sums.chunks_exact_mut(width).zip(b.iter().cycle()).for_each(|(sums, b)| sums.fill(*b));
                    }
                    let parts = correlation.parts.iter().zip(rows);
                    for ((part, rows), sums) in parts.zip(sums.chunks_exact_mut(block * width)) {
                        self.add(&slice, part, rows, panel, &mut inputs, sums, i > 0 || b.is_some());
                    }
                    if i + 1 == slices {
                        tier.run(Write { panel, sums, step, width, plane: *plane, y });
                    }
                }
            }
        }
    }

    /// The products of a panel with the channels of a slice, added to `sums` or, unless they hold sums before, written there.
    #[allow(clippy::too_many_arguments, reason = "a loop's body")]
    fn add(
        &self,
        slice: &Slice<'_>,
        Part { taps, weights }: &Part,
        rows: &[usize],
        panel: &Panel,
        inputs: &mut [f32],
        sums: &mut [f32],
        mut accumulate: bool,
    ) {
        let (tier, block, images) = (self.tier, self.pass.block, slice.images);
        let (runs, pitch) = (column_runs(tier, block), sums.len() / block);
        let weights = &weights[slice.part * runs.clone().count()..];
        let rows = &rows[..slice.channels.len() * taps.len()];
        let mut first = slice.channels.start * taps.len();
        if !accumulate && rows.is_empty() {
            sums.fill(0.);
        }
        let terms = rows.len().div_ceil(rows.len().div_ceil(SLICE).max(1)).max(1);
        for rows in rows.chunks(terms) {
            let (a, at) = if self.gathered {
                tier.run(Gather { images, rows, panel, pitch: GATHERED, out: inputs });
                (&*inputs, &GATHERED_ROWS[..rows.len()])
            } else {
                (&images[panel.segments[0].image..], rows)
            };
            for (run, weights) in runs.clone().zip(weights) {
                let (columns, out) = (run.len(), &mut sums[run.start * pitch..]);
                let b = &weights[first * columns..];
                Strip { a, rows: at, b, columns, out, pitch, len: panel.len, accumulate }.run(tier);
            }
            (first, accumulate) = (first + rows.len(), true);
        }
    }
}

/// Some input channels of the samples of a task.
struct Slice<'a> {
    images: &'a [f32],
    channels: Range<usize>,
    /// Which block of output channels of which group meets them.
    part: usize,
}

impl Part {
    /// Where the inputs of position 0 lie for so many channels of an image.
    fn rows(&self, image: &Image, channels: usize) -> Vec<usize> {
        let of_channel = |channel: usize| self.taps.iter().map(move |tap| channel * image.size() + tap);
        (0..channels).flat_map(of_channel).collect()
    }
}

/// Consecutive positions of a line: where they lie in the images, in a panel and in the output.
pub(in super::super) struct Segment {
    image: usize,
    panel: usize,
    pub(in super::super) y: usize,
    len: usize,
    /// The end of the line in the output.
    end: usize,
}

/// Positions that are computed together.
pub(in super::super) struct Panel {
    pub(in super::super) segments: Vec<Segment>,
    /// Lanes, up to the last position.
    pub(in super::super) len: usize,
}

/// The lines of some samples, `apart` elements from one another in the images and in the output, cut into panels
/// of `width` positions, or of as many as lie so near in the images unless they are `gathered`.
pub(super) fn panels(
    lines: &[Line],
    samples: usize,
    apart: [usize; 2],
    step: usize,
    width: usize,
    gathered: bool,
) -> Vec<Panel> {
    let (mut panels, mut start): (Vec<Panel>, _) = (Vec::new(), 0);
    for (sample, line) in (0..samples).flat_map(|sample| lines.iter().map(move |line| (sample, line))) {
        let [image, y] = [line.from + sample * apart[0], line.to + sample * apart[1]];
        let mut done = 0;
        while done < line.len {
            let from = image + done;
            let at = panels.last().map_or(width, |panel| if gathered { panel.len } else { from - start });
            match panels.last_mut() {
                Some(panel) if at < width => {
                    let len = (line.len - done).min(width - at);
                    let (y, end) = (y + done * step, sample * apart[1] + line.end);
                    match panel.segments.last_mut() {
                        // Lines without gaps are as good as one.
                        Some(last) if [last.image + last.len, last.y + last.len * step] == [from, y] => {
                            (last.len, last.end) = (last.len + len, end);
                        }
                        _ => panel.segments.push(Segment { image: from, panel: at, y, len, end }),
                    }
                    panel.len = at + len;
                    done += len;
                }
                _ => {
                    start = from;
                    panels.push(Panel { segments: Vec::new(), len: 0 });
                }
            }
        }
    }
    panels
}

/// Copies the inputs of a panel, row after row, `pitch` elements apart.
pub(in super::super) struct Gather<'a> {
    pub(in super::super) images: &'a [f32],
    pub(in super::super) rows: &'a [usize],
    pub(in super::super) panel: &'a Panel,
    pub(in super::super) pitch: usize,
    pub(in super::super) out: &'a mut [f32],
}

impl WithSimd for Gather<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) {
        let Self { images, rows, panel, pitch, out } = self;
        for segment in &panel.segments {
            match segment.len {
                LONGEST.. => copy_rows::<LONGEST>(images, rows, segment, pitch, out),
                8.. => copy_rows::<8>(images, rows, segment, pitch, out),
                4.. => copy_rows::<4>(images, rows, segment, pitch, out),
                _ => copy_rows::<1>(images, rows, segment, pitch, out),
            }
        }
    }
}

/// Copies what a segment of at least `N` positions has in each row, `N` positions at a time: the last with some of those
/// before them, again.
#[inline(always)]
fn copy_rows<const N: usize>(images: &[f32], rows: &[usize], segment: &Segment, pitch: usize, out: &mut [f32]) {
    for i in (0..segment.len).step_by(N) {
        let i = i.min(segment.len - N);
        let (image, panel) = (segment.image + i, segment.panel + i);
        for (row, out) in rows.iter().zip(out.chunks_mut(pitch)) {
            if let (Some(out), Some(x)) = (out[panel..].first_chunk_mut::<N>(), images[row + image..].first_chunk()) {
                *out = *x;
            }
        }
    }
}

/// Writes `values` to all of `out`, which has as many elements.
#[inline(always)]
fn copy(out: &mut [MaybeUninit<f32>], values: &[f32]) {
    match values.len() {
        LONGEST.. => copy_pieces::<LONGEST>(out, values),
        8.. => copy_pieces::<8>(out, values),
        4.. => copy_pieces::<4>(out, values),
        _ => copy_pieces::<1>(out, values),
    }
}

/// The same for at least `N` elements, `N` at a time.
#[inline(always)]
fn copy_pieces<const N: usize>(out: &mut [MaybeUninit<f32>], values: &[f32]) {
    for i in (0..values.len()).step_by(N) {
        let i = i.min(values.len() - N);
        fill(&mut out[i..][..N], 0.).copy_from_slice(&values[i..][..N]);
    }
}

/// The sums of a panel, `[step, block]` of `width` lanes, to their places in the output.
struct Write<'a> {
    panel: &'a Panel,
    sums: &'a [f32],
    step: usize,
    width: usize,
    plane: usize,
    y: &'a mut [MaybeUninit<f32>],
}

impl WithSimd for Write<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Self { panel, sums, step, width, plane, y } = self;
        let part = sums.len() / step;
        for channel in 0..part / width {
            let sums = &sums[channel * width..];
            for Segment { panel, y: at, len, end, .. } in &panel.segments {
                let y = &mut y[channel * plane + at..channel * plane + end];
                match step {
                    1 => copy(&mut y[..*len], &sums[*panel..][..*len]),
                    2 => {
                        let (even, odd) = (&sums[*panel..][..*len], &sums[part + panel..][..*len]);
                        // A line of odd length ends with an even place.
                        let pairs = (*len).min(y.len() / 2);
                        if let (Some(y), Some(even)) = (y.get_mut(2 * pairs), even.get(pairs)) {
                            y.write(*even);
                        }
                        if let Some(last) = pairs.checked_sub(S::F32_LANES) {
                            for i in (0..pairs).step_by(S::F32_LANES) {
                                // The last pairs are written with some of those before them, again.
                                let i = i.min(last);
                                store_pairs(simd, &mut y[2 * i..], [load::<S>(&even[i..]), load::<S>(&odd[i..])]);
                            }
                        } else {
                            for i in 0..pairs {
                                y[2 * i].write(even[i]);
                                y[2 * i + 1].write(odd[i]);
                            }
                        }
                    }
                    _ => {
                        for first in 0..step.min(y.len()) {
                            let sums = &sums[first * part + panel..][..*len];
                            let y = y[first..].iter_mut().step_by(step).zip(sums);
                            y.for_each(|(y, sum)| _ = y.write(*sum));
                        }
                    }
                }
            }
        }
    }
}
