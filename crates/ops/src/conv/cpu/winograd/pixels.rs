//! Between planes of one channel each and pixels of many.

use super::filter::Filter;
use super::{LANES, Lanes, Map, Segment};

/// Channels that are interleaved at once, and pixels that are separated at once: the compiler has shuffles for four by four.
const QUAD: usize = 4;

/// Channels that are read side by side.
const STREAMS: usize = 16;

/// The padded lines that the windows of `segment` hold, from the channels of `x`.
#[inline(always)]
pub(super) fn windows<F: Filter>(map: &Map, segment: Segment, x: &[f32], out: &mut Vec<Lanes>) {
    let [_, per_row] = map.tiles::<F>();
    let extent = [segment.rows, per_row].map(|tiles| tiles * F::STEP + F::WINDOW - F::STEP);
    image(map.from, map.before, segment.row * F::STEP, extent, x, out);
}

/// The lines of the tiles of `segment`, with zeros where tiles exceed the plane, from the channels of `dy`.
#[inline(always)]
pub(super) fn tiles<F: Filter>(map: &Map, segment: Segment, dy: &[f32], out: &mut Vec<Lanes>) {
    let [_, per_row] = map.tiles::<F>();
    image(map.to, [0; 2], segment.row * F::TILE, [segment.rows, per_row].map(|tiles| tiles * F::TILE), dy, out);
}

/// Lines from `first` on of an image of `extent` with zeros before and behind it.
#[inline(always)]
fn image(
    [height, width]: [usize; 2],
    before: [usize; 2],
    first: usize,
    [lines, columns]: [usize; 2],
    x: &[f32],
    out: &mut Vec<Lanes>,
) {
    out.clear();
    out.resize(lines * columns, [0.; LANES]);
    let plane = height * width;
    let len = width.min(columns - before[1]);
    let mut quads = vec![[0.; QUAD]; len];
    // A few channels at a time, so that their lines are read one after the other.
    for (part, x) in x.chunks(STREAMS * plane).enumerate() {
        for (line, out) in out.chunks_exact_mut(columns).enumerate() {
            let Some(y) = (first + line).checked_sub(before[0]).filter(|y| *y < height) else { continue };
            let out = &mut out[before[1]..][..len];
            for (quad, x) in x.chunks(QUAD * plane).enumerate() {
                let quad = part * STREAMS / QUAD + quad;
                let line = |channel: usize| &x[channel * plane + y * width..][..len];
                if x.len() == QUAD * plane {
                    let [a, b, c, d] = [line(0), line(1), line(2), line(3)];
                    for ((((quad, a), b), c), d) in quads.iter_mut().zip(a).zip(b).zip(c).zip(d) {
                        *quad = [*a, *b, *c, *d];
                    }
                } else {
                    for channel in 0..x.len() / plane {
                        quads.iter_mut().zip(line(channel)).for_each(|(quad, x)| quad[channel] = *x);
                    }
                }
                out.iter_mut().zip(&quads).for_each(|(out, from)| out.as_chunks_mut().0[quad] = *from);
            }
        }
    }
}

/// Writes the tiles of `segment` into the channels of `y`.
#[inline(always)]
pub(super) fn write<F: Filter>(map: &Map, segment: Segment, tiles: &[Lanes], y: &mut [f32]) {
    let ([height, width], [_, per_row]) = (map.to, map.tiles::<F>());
    let plane = height * width;
    for (quad, y) in y.chunks_mut(QUAD * plane).enumerate() {
        for (row, tiles) in tiles.chunks_exact(per_row * F::TILE * F::TILE).take(segment.rows).enumerate() {
            let first = (segment.row + row) * F::TILE;
            for line in 0..F::TILE.min(height - first) {
                let at = (first + line) * width;
                let pixels = &tiles[line * F::TILE..];
                if y.len() == QUAD * plane {
                    let (a, y) = y.split_at_mut(plane);
                    let (b, y) = y.split_at_mut(plane);
                    let (c, d) = y.split_at_mut(plane);
                    separate::<F>(pixels, quad, [a, b, c, d].map(|y| &mut y[at..at + width]));
                } else {
                    for (channel, y) in y.chunks_exact_mut(plane).enumerate() {
                        for (y, pixels) in y[at..at + width].chunks_mut(F::TILE).zip(pixels.chunks(F::TILE * F::TILE)) {
                            y.iter_mut().zip(pixels).for_each(|(y, pixel)| *y = pixel[quad * QUAD + channel]);
                        }
                    }
                }
            }
        }
    }
}

/// Writes lanes `QUAD · quad…` of a line of the tiles into lines of four channels. The tiles begin with the pixels of that line.
#[inline(always)]
fn separate<F: Filter>(tiles: &[Lanes], quad: usize, lines: [&mut [f32]; QUAD]) {
    let [(a, a_rest), (b, b_rest), (c, c_rest), (d, d_rest)] = lines.map(|line| line.as_chunks_mut::<QUAD>());
    let run = |i: usize| {
        let per_tile = F::TILE / QUAD;
        let pixels = &tiles[i / per_tile * F::TILE * F::TILE + i % per_tile * QUAD..][..QUAD];
        let pixel = |x: usize| &pixels[x].as_chunks::<QUAD>().0[quad];
        [pixel(0), pixel(1), pixel(2), pixel(3)]
    };
    let whole = a.len();
    for (i, (((a, b), c), d)) in a.iter_mut().zip(b).zip(c).zip(d).enumerate() {
        let [e, f, g, h] = run(i);
        for (lane, channel) in [a, b, c, d].into_iter().enumerate() {
            *channel = [e[lane], f[lane], g[lane], h[lane]];
        }
    }
    if !a_rest.is_empty() {
        for ((((pixel, a), b), c), d) in run(whole).into_iter().zip(a_rest).zip(b_rest).zip(c_rest).zip(d_rest) {
            [*a, *b, *c, *d] = *pixel;
        }
    }
}
