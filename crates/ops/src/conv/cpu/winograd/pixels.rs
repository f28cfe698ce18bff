//! Between planes of one channel each and pixels of many.

use super::transform::{TILE, WINDOW};
use super::{LANES, Lanes, Map, Segment};

/// Channels that are interleaved at once: the compiler has shuffles for four.
const QUAD: usize = 4;

/// Channels that are read side by side.
const STREAMS: usize = 16;

/// The padded lines that the windows of `segment` hold, from the channels of `x`.
#[inline(always)]
pub(super) fn windows(map: &Map, segment: Segment, x: &[f32], out: &mut Vec<Lanes>) {
    let [_, per_row] = map.tiles();
    let lines = segment.rows * TILE + WINDOW - TILE;
    image(map.from, map.before, segment.row * TILE, [lines, per_row * TILE + WINDOW - TILE], x, out);
}

/// The lines of the tiles of `segment`, with zeros where tiles exceed the plane, from the channels of `dy`.
#[inline(always)]
pub(super) fn tiles(map: &Map, segment: Segment, dy: &[f32], out: &mut Vec<Lanes>) {
    let [_, per_row] = map.tiles();
    image(map.to, [0; 2], segment.row * TILE, [segment.rows * TILE, per_row * TILE], dy, out);
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
pub(super) fn write(map: &Map, segment: Segment, tiles: &[Lanes], y: &mut [f32]) {
    let ([height, width], [_, per_row]) = (map.to, map.tiles());
    let plane = height * width;
    let mut quads = vec![[0.; QUAD]; per_row * TILE];
    let (tiles, _) = tiles.as_chunks::<{ TILE * TILE }>();
    for (quad, y) in y.chunks_mut(QUAD * plane).enumerate() {
        for (row, tiles) in tiles.chunks_exact(per_row).take(segment.rows).enumerate() {
            let first = (segment.row + row) * TILE;
            for line in 0..TILE.min(height - first) {
                for (quads, tile) in quads.as_chunks_mut::<TILE>().0.iter_mut().zip(tiles) {
                    for (x, quads) in quads.iter_mut().enumerate() {
                        *quads = tile[line * TILE + x].as_chunks().0[quad];
                    }
                }
                let at = (first + line) * width;
                if y.len() == QUAD * plane {
                    let (a, y) = y.split_at_mut(plane);
                    let (b, y) = y.split_at_mut(plane);
                    let (c, d) = y.split_at_mut(plane);
                    let [a, b, c, d] = [a, b, c, d].map(|y| &mut y[at..at + width]);
                    for ((((quad, a), b), c), d) in quads.iter().zip(a).zip(b).zip(c).zip(d) {
                        [*a, *b, *c, *d] = *quad;
                    }
                } else {
                    for (channel, y) in y.chunks_exact_mut(plane).enumerate() {
                        y[at..at + width].iter_mut().zip(&quads).for_each(|(y, quad)| *y = quad[channel]);
                    }
                }
            }
        }
    }
}
