//! What moves and mixes elements without a parameter: padding, resampling, unfolding and pixel shuffles, forward and
//! forward + backward, taper against candle where candle has the operator.

#![allow(missing_docs, reason = "a benchmark")]

use criterion::{Criterion, criterion_group, criterion_main};
use taper_benches::Operator;
use taper_ops::{
    InterpolateMode, PadMode, UnfoldSpec, fold2d, interpolate1d, interpolate2d, interpolate3d, pad1d, pad2d, pad3d,
    pixel_shuffle, pixel_unshuffle, unfold2d,
};

const SIGNAL: &[&[usize]] = &[&[16, 64, 1024]];
const IMAGE: &[&[usize]] = &[&[16, 64, 56, 56]];
const VOLUME: &[&[usize]] = &[&[4, 16, 16, 28, 28]];

fn padding(c: &mut Criterion) {
    let (zeros, sides) = (PadMode::default(), [(1, 1); 2]);
    Operator::new(c, "pad1d zeros", SIGNAL)
        .taper(|t| pad1d(&t[0], (2, 2), zeros))
        .candle(|t| t[0].pad_with_zeros(2, 2, 2));
    Operator::new(c, "pad2d zeros", IMAGE)
        .taper(|t| pad2d(&t[0], sides, zeros))
        .candle(|t| t[0].pad_with_zeros(2, 1, 1)?.pad_with_zeros(3, 1, 1));
    Operator::new(c, "pad2d replicate", IMAGE)
        .taper(|t| pad2d(&t[0], sides, PadMode::Replicate))
        .candle(|t| t[0].pad_with_same(2, 1, 1)?.pad_with_same(3, 1, 1));
    Operator::new(c, "pad2d reflect", IMAGE).taper(|t| pad2d(&t[0], sides, PadMode::Reflect));
    Operator::new(c, "pad2d circular", IMAGE).taper(|t| pad2d(&t[0], sides, PadMode::Circular));
    Operator::new(c, "pad3d zeros", VOLUME).taper(|t| pad3d(&t[0], [(1, 1); 3], zeros));
}

fn resampling(c: &mut Criterion) {
    let linear = InterpolateMode::Linear { align_corners: false };
    let bicubic = InterpolateMode::Bicubic { align_corners: false };
    Operator::new(c, "interpolate1d linear x2", SIGNAL).taper(|t| interpolate1d(&t[0], 2., linear));
    Operator::new(c, "interpolate2d nearest x2", IMAGE)
        .taper(|t| interpolate2d(&t[0], 2., InterpolateMode::Nearest))
        .candle(|t| t[0].upsample_nearest2d(112, 112));
    Operator::new(c, "interpolate2d bilinear x2", IMAGE)
        .taper(|t| interpolate2d(&t[0], 2., linear))
        .candle_forward(|t| t[0].upsample_bilinear2d(112, 112, false));
    Operator::new(c, "interpolate2d bicubic x2", IMAGE).taper(|t| interpolate2d(&t[0], 2., bicubic));
    Operator::new(c, "interpolate3d trilinear x2", VOLUME).taper(|t| interpolate3d(&t[0], 2., linear));
}

fn rearranging(c: &mut Criterion) {
    let spec = UnfoldSpec::new(3).padding(1);
    Operator::new(c, "unfold2d/3 p1", IMAGE).taper(|t| unfold2d(&t[0], &spec));
    Operator::new(c, "fold2d/3 p1", &[&[16, 576, 3136]]).taper(|t| fold2d(&t[0], [56, 56], &spec));
    Operator::new(c, "pixel_shuffle x2", IMAGE)
        .taper(|t| pixel_shuffle(&t[0], 2))
        .candle(|t| candle_nn::ops::pixel_shuffle(&t[0], 2));
    Operator::new(c, "pixel_unshuffle x2", IMAGE)
        .taper(|t| pixel_unshuffle(&t[0], 2))
        .candle(|t| candle_nn::ops::pixel_unshuffle(&t[0], 2));
}

criterion_group!(benches, padding, resampling, rearranging);
criterion_main!(benches);
