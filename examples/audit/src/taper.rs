//! taper's replacements, over everything their specs take.

use crate::candle::zero_gradient;
use crate::cases::{fill, labels, reals};
use crate::verdict::{Outcome, Verdict, examine};
use candle_core::Tensor;
use proptest::prelude::*;
use taper_gradcheck::GradCheck;
use taper_gradcheck::strategies::{self, ConvGeometry, Kind, PoolGeometry};
use taper_ops::{AvgPoolSpec, ConvSpec, ConvTransposeSpec, CrossEntropySpec, InterpolateMode, MaxPoolSpec, Mode};

/// Runs so many cases of one operator.
type Examine = fn(usize) -> Verdict;

/// taper's operators by the name of what they replace.
pub(crate) const OPERATORS: [(&str, Examine); 21] = [
    ("conv1d", |cases| conv::<1>("conv1d", taper_ops::conv1d, cases)),
    ("conv2d", |cases| conv::<2>("conv2d", taper_ops::conv2d, cases)),
    ("conv_transpose1d", |cases| conv_transpose::<1>("conv_transpose1d", taper_ops::conv_transpose1d, cases)),
    ("conv_transpose2d", |cases| conv_transpose::<2>("conv_transpose2d", taper_ops::conv_transpose2d, cases)),
    ("max_pool2d", max_pool2d),
    ("avg_pool2d", avg_pool2d),
    ("upsample_nearest1d", |n| unary(n, 3, |x| taper_ops::interpolate1d(x, 2., InterpolateMode::Nearest))),
    ("upsample_nearest2d", |n| unary(n, 4, |x| taper_ops::interpolate2d(x, 2., InterpolateMode::Nearest))),
    ("upsample_bilinear2d", |n| {
        unary(n, 4, |x| taper_ops::interpolate2d(x, [2., 3.], InterpolateMode::Linear { align_corners: false }))
    }),
    ("Linear", linear),
    ("layer_norm", layer_norm),
    ("rms_norm", rms_norm),
    ("softmax_last_dim", |n| unary(n, 2, |x| taper_ops::softmax(x, 1))),
    ("softmax", |n| unary(n, 3, |x| taper_ops::softmax(x, 1))),
    ("log_softmax", |n| unary(n, 3, |x| taper_ops::log_softmax(x, 2))),
    ("cross_entropy", cross_entropy),
    ("relu", relu),
    ("gelu", |n| unary(n, 3, taper_ops::gelu_tanh)),
    ("gelu_erf", |n| unary(n, 3, taper_ops::gelu)),
    ("silu", |n| unary(n, 3, taper_ops::silu)),
    ("dropout", dropout),
];

/// First and second order together.
fn both_orders(
    check: &GradCheck,
    f: impl Fn(&[Tensor]) -> taper_ops::Result<Tensor> + Sync,
    inputs: &[Tensor],
) -> taper_gradcheck::Result<Outcome> {
    let first = Outcome::from(check.check(&f, inputs)?);
    Ok(first.and(check.check_second_order(&f, inputs)?.into()))
}

/// A function of one tensor.
fn unary(cases: usize, rank: usize, f: fn(&Tensor) -> taper_ops::Result<Tensor>) -> Verdict {
    examine(cases, crate::cases::shape(rank), |shape| {
        both_orders(&GradCheck::new("f").input_names(["x"]), |x| f(&x[0]), &[reals(shape, 1)?])
    })
}

/// A convolution or its transpose: input, weight, bias and what else is said of it.
type Conv<S> = fn(&Tensor, &Tensor, Option<&Tensor>, &S) -> taper_ops::Result<Tensor>;

/// Small enough for an evaluation an element.
fn conv_geometry<const D: usize>() -> impl Strategy<Value = ConvGeometry<D>> {
    strategies::conv_geometry::<D>().prop_filter("an evaluation an element", |g| {
        g.input_shape().iter().product::<usize>() <= 400 && g.weight_shape().iter().product::<usize>() <= 200
    })
}

fn conv<const D: usize>(name: &str, f: Conv<ConvSpec<D>>, cases: usize) -> Verdict {
    examine(cases, conv_geometry::<D>(), |g| {
        let spec = ConvSpec::default().stride(g.stride).padding(g.padding).dilation(g.dilation).groups(g.groups);
        let mut inputs = vec![reals(&g.input_shape(), 1)?, reals(&g.weight_shape(), 2)?];
        if let Some(shape) = g.bias_shape() {
            inputs.push(reals(&shape, 3)?);
        }
        let check = GradCheck::new(name).input_names(["x", "weight", "bias"]).linear_in(0..inputs.len());
        both_orders(&check, |x| f(&x[0], &x[1], x.get(2), &spec), &inputs)
    })
}

/// The transpose of the convolution that `g` describes, from its output back to its input.
fn conv_transpose<const D: usize>(name: &str, f: Conv<ConvTransposeSpec<D>>, cases: usize) -> Verdict {
    let symmetric = conv_geometry::<D>()
        .prop_filter("padding of one width a side", |g| g.padding.iter().all(|(before, after)| before == after));
    examine(cases, symmetric, |g| {
        // What the stride leaves over of the convolution's input.
        let spare = |i: usize| {
            let span = g.dilation[i] * (g.kernel[i] - 1) + 1;
            (g.input[i] + 2 * g.padding[i].0 - span) % g.stride[i]
        };
        let spec = ConvTransposeSpec::default()
            .stride(g.stride)
            .padding(g.padding.map(|(before, _)| before))
            .output_padding(std::array::from_fn::<_, D, _>(spare))
            .dilation(g.dilation)
            .groups(g.groups);
        let inputs = [reals(&g.output_shape(), 1)?, reals(&g.weight_shape(), 2)?, reals(&[g.input_shape()[1]], 3)?];
        let check = GradCheck::new(name).input_names(["x", "weight", "bias"]).linear_in([0, 1, 2]);
        both_orders(&check, |x| f(&x[0], &x[1], Some(&x[2]), &spec), &inputs)
    })
}

fn max_pool2d(cases: usize) -> Verdict {
    examine(cases, strategies::max_pool_geometry::<2>(), |g: &PoolGeometry<2>| {
        let spec = MaxPoolSpec::new(g.kernel).stride(g.stride).padding(g.padding).dilation(g.dilation);
        let spec = spec.ceil_mode(g.ceil_mode);
        let x = fill(Kind::Distinct, 1, &g.input_shape())?;
        both_orders(&GradCheck::new("max_pool2d").input_names(["x"]), |x| taper_ops::max_pool2d(&x[0], &spec), &[x])
    })
}

fn avg_pool2d(cases: usize) -> Verdict {
    examine(cases, strategies::avg_pool_geometry::<2>(), |g: &PoolGeometry<2>| {
        let spec = AvgPoolSpec::new(g.kernel).stride(g.stride).padding(g.padding).ceil_mode(g.ceil_mode);
        let spec = spec.count_include_pad(g.count_include_pad).divisor_override(g.divisor_override);
        let check = GradCheck::new("avg_pool2d").input_names(["x"]).linear_in([0]);
        both_orders(&check, |x| taper_ops::avg_pool2d(&x[0], &spec), &[reals(&g.input_shape(), 1)?])
    })
}

fn linear(cases: usize) -> Verdict {
    examine(cases, crate::cases::shape(4), |shape| {
        let [batch, length, c_in, c_out] = shape[..] else { return Ok(Outcome::default()) };
        let inputs = [reals(&[batch, length, c_in], 1)?, reals(&[c_out, c_in], 2)?, reals(&[c_out], 3)?];
        let check = GradCheck::new("linear").input_names(["x", "weight", "bias"]).linear_in([0, 1, 2]);
        both_orders(&check, |x| taper_ops::linear(&x[0], &x[1], Some(&x[2])), &inputs)
    })
}

fn layer_norm(cases: usize) -> Verdict {
    examine(cases, (1..=3_usize, 2..=5_usize), |&(rows, width)| {
        let inputs = [reals(&[rows, width], 1)?, reals(&[width], 2)?, reals(&[width], 3)?];
        let check = GradCheck::new("layer_norm").input_names(["x", "weight", "bias"]);
        both_orders(&check, |x| taper_ops::layer_norm(&x[0], &[width], Some(&x[1]), Some(&x[2]), 1e-5), &inputs)
    })
}

fn rms_norm(cases: usize) -> Verdict {
    examine(cases, (1..=3_usize, 2..=5_usize), |&(rows, width)| {
        let inputs = [reals(&[rows, width], 1)?, reals(&[width], 2)?];
        let check = GradCheck::new("rms_norm").input_names(["x", "weight"]);
        both_orders(&check, |x| taper_ops::rms_norm(&x[0], &[width], Some(&x[1]), Some(1e-5)), &inputs)
    })
}

fn cross_entropy(cases: usize) -> Verdict {
    examine(cases, (1..=4_usize, 2..=5_usize, 0..=3_u8), |&(batch, classes, smoothing)| {
        let inputs = [reals(&[batch, classes], 1)?, labels(batch, classes)?];
        let spec = CrossEntropySpec::default().label_smoothing(f64::from(smoothing) / 8.0);
        let check = GradCheck::new("cross_entropy").input_names(["logits", "target"]);
        both_orders(&check, |x| taper_ops::cross_entropy(&x[0], &x[1], &spec), &inputs)
    })
}

fn relu(cases: usize) -> Verdict {
    examine(cases, crate::cases::shape(3), |shape| {
        let x = fill(Kind::AwayFromZero, 1, shape)?;
        let at_zero = zero_gradient(&x.zeros_like()?, |x| Ok(taper_ops::relu(x)?))?;
        let check = GradCheck::new("relu").input_names(["x"]);
        Ok(both_orders(&check, |x| taper_ops::relu(&x[0]), &[x])?.and(at_zero))
    })
}

fn dropout(cases: usize) -> Verdict {
    examine(cases, (crate::cases::shape(3), 0..=4_u8, any::<u64>()), |(shape, p, seed)| {
        let check = GradCheck::new("dropout").input_names(["x"]).linear_in([0]);
        let f = |x: &[Tensor]| match Mode::train(*seed, 3, 0).draw() {
            Some(draw) => taper_ops::dropout(&x[0], f64::from(*p) / 4.0, draw),
            None => Ok(x[0].clone()),
        };
        both_orders(&check, f, &[reals(shape, 1)?])
    })
}
