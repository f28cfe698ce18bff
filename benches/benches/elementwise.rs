//! Activations and the dropout family, forward and forward + backward, taper against candle where candle has the operator.

#![allow(missing_docs, clippy::unwrap_used, reason = "a benchmark fails by panicking")]

use candle_core::Tensor;
use candle_nn::{Module, PReLU};
use criterion::{Criterion, criterion_group, criterion_main};
use taper_benches::Operator;
use taper_ops::{
    Mode, alpha_dropout, celu, drop_block2d, drop_path, dropout, dropout1d, dropout2d, dropout3d, elu,
    feature_alpha_dropout, gelu, gelu_tanh, glu, hardshrink, hardsigmoid, hardswish, hardtanh, leaky_relu, logsigmoid,
    mish, prelu, relu, relu6, selu, sigmoid, silu, softplus, softshrink, softsign, tanh, tanhshrink, threshold,
};

const MNIST: &[&[usize]] = &[&[64, 32, 28, 28]];
const SIGNAL: &[&[usize]] = &[&[64, 64, 392]];
const VOLUME: &[&[usize]] = &[&[8, 16, 16, 28, 28]];

fn piecewise(c: &mut Criterion) {
    Operator::new(c, "relu", MNIST).taper(|t| relu(&t[0])).candle(|t| t[0].relu());
    Operator::new(c, "relu6", MNIST).taper(|t| relu6(&t[0])).candle(|t| t[0].clamp(0f32, 6f32));
    Operator::new(c, "leaky_relu", MNIST)
        .taper(|t| leaky_relu(&t[0], 0.01))
        .candle(|t| candle_nn::ops::leaky_relu(&t[0], 0.01));
    Operator::new(c, "prelu", &[MNIST[0], &[32]])
        .taper(|t| prelu(&t[0], &t[1]))
        .candle(|t| PReLU::new(t[1].clone(), false).forward(&t[0]));
    Operator::new(c, "threshold", MNIST).taper(|t| threshold(&t[0], 0.1, 20.));
    Operator::new(c, "hardtanh", MNIST).taper(|t| hardtanh(&t[0], -1., 1.)).candle(|t| t[0].clamp(-1f32, 1f32));
    Operator::new(c, "hardsigmoid", MNIST)
        .taper(|t| hardsigmoid(&t[0]))
        .candle(|t| candle_nn::ops::hard_sigmoid(&t[0]));
    Operator::new(c, "hardswish", MNIST).taper(|t| hardswish(&t[0]));
    Operator::new(c, "hardshrink", MNIST).taper(|t| hardshrink(&t[0], 0.5));
    Operator::new(c, "softshrink", MNIST).taper(|t| softshrink(&t[0], 0.5));
}

fn smooth(c: &mut Criterion) {
    Operator::new(c, "sigmoid", MNIST).taper(|t| sigmoid(&t[0])).candle(|t| candle_nn::ops::sigmoid(&t[0]));
    Operator::new(c, "tanh", MNIST).taper(|t| tanh(&t[0])).candle(|t| t[0].tanh());
    Operator::new(c, "tanhshrink", MNIST).taper(|t| tanhshrink(&t[0]));
    Operator::new(c, "softsign", MNIST).taper(|t| softsign(&t[0]));
    Operator::new(c, "softplus", MNIST).taper(|t| softplus(&t[0], 1., 20.));
    Operator::new(c, "logsigmoid", MNIST).taper(|t| logsigmoid(&t[0]));
    Operator::new(c, "elu", MNIST).taper(|t| elu(&t[0], 1.)).candle(|t| t[0].elu(1.));
    Operator::new(c, "selu", MNIST)
        .taper(|t| selu(&t[0]))
        .candle(|t| candle_nn::ops::selu(&t[0], 1.673_263_2, 1.050_701));
    Operator::new(c, "celu", MNIST).taper(|t| celu(&t[0], 1.));
}

fn gated(c: &mut Criterion) {
    Operator::new(c, "silu", MNIST).taper(|t| silu(&t[0])).candle(|t| t[0].silu());
    Operator::new(c, "mish", MNIST).taper(|t| mish(&t[0])).candle(|t| candle_nn::ops::mish(&t[0]));
    Operator::new(c, "gelu", MNIST).taper(|t| gelu(&t[0])).candle(|t| t[0].gelu_erf());
    Operator::new(c, "gelu_tanh", MNIST).taper(|t| gelu_tanh(&t[0])).candle(|t| t[0].gelu());
    Operator::new(c, "glu", MNIST).taper(|t| glu(&t[0], 1)).candle(|t| {
        let halves: Vec<Tensor> = t[0].chunk(2, 1)?;
        &halves[0] * candle_nn::ops::sigmoid(&halves[1])?
    });
}

fn dropouts(c: &mut Criterion) {
    let draw = Mode::train(1, 0, 0).draw().unwrap();
    Operator::new(c, "dropout", MNIST)
        .taper(|t| dropout(&t[0], 0.5, draw))
        .candle(|t| candle_nn::ops::dropout(&t[0], 0.5));
    Operator::new(c, "dropout1d", SIGNAL).taper(|t| dropout1d(&t[0], 0.5, draw));
    Operator::new(c, "dropout2d", MNIST).taper(|t| dropout2d(&t[0], 0.5, draw));
    Operator::new(c, "dropout3d", VOLUME).taper(|t| dropout3d(&t[0], 0.5, draw));
    Operator::new(c, "alpha_dropout", MNIST).taper(|t| alpha_dropout(&t[0], 0.5, draw));
    Operator::new(c, "feature_alpha_dropout", MNIST).taper(|t| feature_alpha_dropout(&t[0], 0.5, draw));
    Operator::new(c, "drop_path", MNIST).taper(|t| drop_path(&t[0], 0.2, draw));
    Operator::new(c, "drop_block2d/5", MNIST).taper(|t| drop_block2d(&t[0], 0.1, 5, draw));
}

criterion_group!(benches, piecewise, smooth, gated, dropouts);
criterion_main!(benches);
