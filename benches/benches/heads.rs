//! What stands at the end of a network: linear layer, softmax and losses, forward and forward + backward, taper against
//! candle where candle has the operator.

#![allow(missing_docs, clippy::unwrap_used, reason = "a benchmark fails by panicking")]

use candle_core::{Device, Tensor};
use criterion::{Criterion, criterion_group, criterion_main};
use taper_benches::Operator;
use taper_ops::{
    BinaryCrossEntropySpec, CrossEntropySpec, NllLossSpec, Reduction, binary_cross_entropy_with_logits, cross_entropy,
    huber_loss, kl_div, l1_loss, linear, log_softmax, mse_loss, nll_loss, smooth_l1_loss, softmax,
};

const LOGITS: &[&[usize]] = &[&[256, 1000]];

/// What is compared element by element.
const IMAGES: &[usize] = &[64, 32, 28, 28];

fn classes(c: &mut Criterion) {
    let targets = Tensor::from_iter((0..256u32).map(|i| i * 37 % 1000), &Device::Cpu).unwrap();
    Operator::new(c, "linear to 128", &[&[64, 1568], &[128, 1568]])
        .taper(|t| linear(&t[0], &t[1], None))
        .candle(|t| t[0].matmul(&t[1].t()?));
    Operator::new(c, "softmax", LOGITS).taper(|t| softmax(&t[0], 1)).candle(|t| candle_nn::ops::softmax(&t[0], 1));
    Operator::new(c, "log_softmax", LOGITS)
        .taper(|t| log_softmax(&t[0], 1))
        .candle(|t| candle_nn::ops::log_softmax(&t[0], 1));
    Operator::new(c, "cross_entropy", LOGITS)
        .taper(|t| cross_entropy(&t[0], &targets, &CrossEntropySpec::default()))
        .candle(|t| candle_nn::loss::cross_entropy(&t[0], &targets));
    Operator::new(c, "nll_loss", LOGITS)
        .taper(|t| nll_loss(&t[0], &targets, &NllLossSpec::default()))
        .candle(|t| candle_nn::loss::nll(&t[0], &targets));
}

fn elementwise(c: &mut Criterion) {
    let target = Tensor::rand(0f32, 1., IMAGES, &Device::Cpu).unwrap();
    let mean = Reduction::Mean;
    Operator::new(c, "mse_loss", &[IMAGES])
        .taper(|t| mse_loss(&t[0], &target, mean))
        .candle(|t| candle_nn::loss::mse(&t[0], &target));
    Operator::new(c, "l1_loss", &[IMAGES])
        .taper(|t| l1_loss(&t[0], &target, mean))
        .candle(|t| (&t[0] - &target)?.abs()?.mean_all());
    Operator::new(c, "smooth_l1_loss", &[IMAGES]).taper(|t| smooth_l1_loss(&t[0], &target, 1., mean));
    Operator::new(c, "huber_loss", &[IMAGES])
        .taper(|t| huber_loss(&t[0], &target, 1., mean))
        .candle(|t| candle_nn::loss::huber(&t[0], &target, 1.));
    Operator::new(c, "binary_cross_entropy_with_logits", &[IMAGES])
        .taper(|t| binary_cross_entropy_with_logits(&t[0], &target, &BinaryCrossEntropySpec::default()))
        .candle(|t| candle_nn::loss::binary_cross_entropy_with_logit(&t[0], &target));
    Operator::new(c, "kl_div", &[IMAGES]).taper(|t| kl_div(&t[0], &target, false, Reduction::BatchMean));
}

criterion_group!(benches, classes, elementwise);
criterion_main!(benches);
