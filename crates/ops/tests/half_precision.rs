//! bf16 and f16 are ways to store numbers: every operator computes in float32 and rounds its result once.

#![allow(clippy::unwrap_used, clippy::panic, missing_docs, reason = "a test fails by panicking")]
#![allow(clippy::float_cmp, reason = "equal bits are what is asked")]

mod support;

use candle_core::{Device, Tensor};
use support::layouts::{halves_round_once, reals};
use taper_ops::{
    AvgPoolSpec, ConvSpec, ConvTransposeSpec, CrossEntropySpec, Draw, MaxPoolSpec, adaptive_avg_pool2d,
    adaptive_max_pool2d, avg_pool2d, conv_transpose2d, conv2d, cross_entropy, dropout, linear, max_pool2d, relu,
};

#[test]
fn convolutions_and_linear() {
    let (x, w, b) = (reals(&[2, 4, 7, 6], 1), reals(&[6, 2, 3, 2], 2), reals(&[6], 3));
    let spec = ConvSpec::default().stride([2, 1]).padding(1).groups(2);
    halves_round_once(|t| conv2d(&t[0], &t[1], Some(&t[2]), &spec).unwrap(), &[x, w, b]);
    let (x, w, b) = (reals(&[2, 4, 5, 6], 4), reals(&[4, 3, 3, 2], 5), reals(&[3], 6));
    let spec = ConvTransposeSpec::default().stride([2, 1]);
    halves_round_once(|t| conv_transpose2d(&t[0], &t[1], Some(&t[2]), &spec).unwrap(), &[x, w, b]);
    let (x, w, b) = (reals(&[5, 7], 7), reals(&[3, 7], 8), reals(&[3], 9));
    halves_round_once(|t| linear(&t[0], &t[1], Some(&t[2])).unwrap(), &[x, w, b]);
}

#[test]
fn pooling() {
    let x = [reals(&[2, 3, 7, 6], 10)];
    halves_round_once(|t| max_pool2d(&t[0], &MaxPoolSpec::new([3, 2]).padding([1, 0])).unwrap(), &x);
    halves_round_once(|t| avg_pool2d(&t[0], &AvgPoolSpec::new([3, 2]).padding([1, 0])).unwrap(), &x);
    halves_round_once(|t| adaptive_avg_pool2d(&t[0], [4, 3]).unwrap(), &x);
    halves_round_once(|t| adaptive_max_pool2d(&t[0], [4, 3]).unwrap(), &x);
}

#[test]
fn the_rest() {
    let x = [reals(&[5, 7], 11)];
    halves_round_once(|t| relu(&t[0]).unwrap(), &x);
    halves_round_once(|t| dropout(&t[0], 0.3, Draw { seed: 1, step: 2, layer: 3, first_sample: 4 }).unwrap(), &x);
    let target = Tensor::new(&[2u32, 0, 6, 1, 3], &Device::Cpu).unwrap();
    halves_round_once(|t| cross_entropy(&t[0], &target, &CrossEntropySpec::default()).unwrap(), &x);
}
