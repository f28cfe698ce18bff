//! Random words by their definition, one by one.

use taper_ops::Draw;
use taper_ops::random::{counter, philox4x32};

pub const DRAW: Draw = Draw { seed: 0x0123_4567_89ab_cdef, step: 5, layer: 3, first_sample: 2 };

pub fn word(draw: Draw, index: u64) -> u32 {
    philox4x32(draw.seed, counter(index / 4, draw.step, draw.layer))[(index % 4) as usize]
}

/// Whether a draw keeps what it decides.
pub fn keeps(draw: Draw, index: u64, p: f64) -> bool {
    u64::from(word(draw, index)) >= (p * 4_294_967_296.) as u64
}
