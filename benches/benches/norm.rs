//! Normalisation, forward and forward + backward with the gradients of weight and bias too, taper against candle where
//! candle has the operator.

#![allow(missing_docs, clippy::unwrap_used, reason = "a benchmark fails by panicking")]

use candle_core::{DType, Device, Tensor};
use candle_nn::{BatchNorm, GroupNorm, Module, ModuleT};
use criterion::{Criterion, criterion_group, criterion_main};
use taper_benches::Operator;
use taper_ops::{
    ChannelStatistics, batch_norm, batch_norm_eval, group_norm, instance_norm, layer_norm, local_response_norm,
    rms_norm,
};

/// A layer of a ResNet, with a weight and a bias a channel.
const IMAGE: &[&[usize]] = &[&[32, 64, 56, 56], &[64], &[64]];

/// Tokens, with a weight and a bias a feature.
const TOKENS: &[&[usize]] = &[&[64, 196, 384], &[384], &[384]];

fn channels(c: &mut Criterion) {
    let (zeros, ones) = (Tensor::zeros(64, DType::F32, &Device::Cpu), Tensor::ones(64, DType::F32, &Device::Cpu));
    let running = ChannelStatistics { mean: zeros.unwrap(), var: ones.unwrap() };
    let candle = |t: &[Tensor]| {
        let ChannelStatistics { mean, var } = &running;
        BatchNorm::new(64, mean.clone(), var.clone(), t[1].clone(), t[2].clone(), 1e-5)
    };
    Operator::new(c, "batch_norm", IMAGE)
        .taper(|t| batch_norm(&t[0], Some(&t[1]), Some(&t[2]), 1e-5))
        .candle(|t| candle(t)?.forward_train(&t[0]));
    Operator::new(c, "batch_norm_eval", IMAGE)
        .taper(|t| batch_norm_eval(&t[0], &running, Some(&t[1]), Some(&t[2]), 1e-5))
        .candle(|t| candle(t)?.forward_t(&t[0], false));
    Operator::new(c, "group_norm/8", IMAGE)
        .taper(|t| group_norm(&t[0], 8, Some(&t[1]), Some(&t[2]), 1e-5))
        .candle(|t| GroupNorm::new(t[1].clone(), t[2].clone(), 64, 8, 1e-5)?.forward(&t[0]));
    Operator::new(c, "instance_norm", IMAGE).taper(|t| instance_norm(&t[0], Some(&t[1]), Some(&t[2]), 1e-5));
    Operator::new(c, "local_response_norm/5", &IMAGE[..1]).taper(|t| local_response_norm(&t[0], 5, 1e-4, 0.75, 1.));
}

fn last_axes(c: &mut Criterion) {
    Operator::new(c, "layer_norm", TOKENS)
        .taper(|t| layer_norm(&t[0], &[384], Some(&t[1]), Some(&t[2]), 1e-5))
        .candle(|t| candle_nn::ops::layer_norm_slow(&t[0], &t[1], &t[2], 1e-5));
    Operator::new(c, "layer_norm fused", TOKENS)
        .candle_forward(|t| candle_nn::ops::layer_norm(&t[0], &t[1], &t[2], 1e-5));
    Operator::new(c, "rms_norm", &TOKENS[..2])
        .taper(|t| rms_norm(&t[0], &[384], Some(&t[1]), Some(1e-5)))
        .candle(|t| candle_nn::ops::rms_norm_slow(&t[0], &t[1], 1e-5));
}

criterion_group!(benches, channels, last_axes);
criterion_main!(benches);
