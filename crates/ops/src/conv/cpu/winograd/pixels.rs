//! Between planes of one channel each and pixels of many: squares of channels and pixels are turned around in registers.

#![allow(clippy::needless_range_loop, reason = "an iterator's closure is not compiled for the tier")]

use super::filter::{Filter, set, vector};
use super::{Lanes, Map, Segment, ZERO};
use crate::simd::{Aligned, LONGEST, load_square, store_new, transpose};
use pulp::Simd;
use std::mem::MaybeUninit;

/// The padded lines that the windows of `segment` hold, from the channels of `x`.
#[inline(always)]
pub(super) fn windows<S: Simd, F: Filter>(simd: S, map: &Map, segment: Segment, x: &[f32], out: &mut Vec<Lanes>) {
    let [_, per_row] = map.tiles::<F>();
    let extent = [segment.rows, per_row].map(|tiles| tiles * F::STEP + F::WINDOW - F::STEP);
    image(simd, map.from, map.before, segment.row * F::STEP, extent, x, out);
}

/// The lines of the tiles of `segment`, with zeros where tiles exceed the plane, from the channels of `dy`.
#[inline(always)]
pub(super) fn tiles<S: Simd, F: Filter>(simd: S, map: &Map, segment: Segment, dy: &[f32], out: &mut Vec<Lanes>) {
    let [_, per_row] = map.tiles::<F>();
    let extent = [segment.rows, per_row].map(|tiles| tiles * F::TILE);
    image(simd, map.to, [0; 2], segment.row * F::TILE, extent, dy, out);
}

/// Lines from `first` on of an image of `extent` with zeros before and behind it. Lanes beyond the channels of `x` hold
/// anything.
#[inline(always)]
fn image<S: Simd>(
    simd: S,
    [height, width]: [usize; 2],
    before: [usize; 2],
    first: usize,
    [lines, columns]: [usize; 2],
    x: &[f32],
    out: &mut Vec<Lanes>,
) {
    let plane = height * width;
    let len = width.min(columns - before[1]);
    out.resize(lines * columns, ZERO);
    for line in 0..lines {
        let (start, end) = (line * columns + before[1], (line + 1) * columns);
        let Some(y) = (first + line).checked_sub(before[0]).filter(|y| *y < height) else {
            out[line * columns..end].fill(ZERO);
            continue;
        };
        for (v, x) in x.chunks(S::F32_LANES * plane).enumerate() {
            for block in (0..len).step_by(S::F32_LANES) {
                let from = y * width + block;
                let Aligned(mut square) = load_square(simd, &x[from..], plane, x.len() / plane);
                transpose(simd, &mut square);
                // What comes to lie behind the line is written again.
                let out = &mut out[start + block..];
                if out.len() >= S::F32_LANES {
                    for pixel in 0..S::F32_LANES {
                        set::<S>(&mut out[pixel], v, square[pixel]);
                    }
                } else {
                    for (out, pixel) in out.iter_mut().zip(square) {
                        set::<S>(out, v, pixel);
                    }
                }
            }
        }
        out[line * columns..start].fill(ZERO);
        out[start + len..end].fill(ZERO);
    }
}

/// Writes the tiles of `segment` into the channels of `y`: all of the lines that they reach. Behind them are `LONGEST` pixels more.
#[inline(always)]
pub(super) fn write<S: Simd, F: Filter>(
    simd: S,
    map: &Map,
    segment: Segment,
    tiles: &[Lanes],
    y: &mut [MaybeUninit<f32>],
) {
    let ([height, width], [_, per_row]) = (map.to, map.tiles::<F>());
    let plane = height * width;
    for (v, y) in y.chunks_mut(S::F32_LANES * plane).enumerate() {
        let first = segment.row * F::TILE;
        for line in 0..(segment.rows * F::TILE).min(height - first) {
            for start in (0..width).step_by(S::F32_LANES) {
                let pixels = &tiles[line * per_row * F::TILE + start..][..S::F32_LANES];
                let mut square = [simd.splat_f32s(0.); LONGEST];
                for i in 0..S::F32_LANES {
                    square[i] = vector::<S>(&pixels[i], v);
                }
                transpose(simd, &mut square);
                let at = (first + line) * width + start;
                // What comes to lie behind the line is written again with the next one, if the plane has one.
                if at + S::F32_LANES <= plane && y.len() == S::F32_LANES * plane {
                    for lane in 0..S::F32_LANES {
                        store_new(simd, &mut y[lane * plane + at..], square[lane]);
                    }
                } else {
                    for (y, channel) in y.chunks_exact_mut(plane).zip(square) {
                        store_new(simd, &mut y[at..][..S::F32_LANES.min(width - start)], channel);
                    }
                }
            }
        }
    }
}
