//! candle's own operators, as a user calls them.

use crate::cases::{self, Conv, Pool, fill, labels, reals};
use crate::verdict::{Failure, Outcome, Verdict, examine};
use candle_core::{D, DType, Module, Result, Tensor, Var};
use taper_gradcheck::GradCheck;
use taper_gradcheck::strategies::Kind;

/// Runs so many cases of one operator.
type Examine = fn(usize) -> Verdict;

/// Every operator that is audited, by the name a user calls it.
pub(crate) const OPERATORS: [(&str, Examine); 28] = [
    ("matmul", matmul),
    ("conv1d", conv1d),
    ("conv2d", conv2d),
    ("conv_transpose1d", conv_transpose1d),
    ("conv_transpose2d", conv_transpose2d),
    ("max_pool2d", |n| {
        pooled(n, |x, p| x.max_pool2d_with_stride((p.kernel[0], p.kernel[1]), (p.stride[0], p.stride[1])))
    }),
    ("avg_pool2d", |n| {
        pooled(n, |x, p| x.avg_pool2d_with_stride((p.kernel[0], p.kernel[1]), (p.stride[0], p.stride[1])))
    }),
    ("upsample_nearest1d", |n| unary(n, 3, Kind::Reals, |x| x.upsample_nearest1d(2 * x.dim(2)?))),
    ("upsample_nearest2d", |n| unary(n, 4, Kind::Reals, |x| x.upsample_nearest2d(2 * x.dim(2)?, 2 * x.dim(3)?))),
    ("upsample_bilinear2d", |n| {
        unary(n, 4, Kind::Reals, |x| x.upsample_bilinear2d(2 * x.dim(2)?, 3 * x.dim(3)?, false))
    }),
    ("Linear", linear),
    ("layer_norm", layer_norm),
    ("rms_norm", rms_norm),
    ("softmax_last_dim", |n| unary(n, 2, Kind::Reals, candle_nn::ops::softmax_last_dim)),
    ("softmax", |n| unary(n, 3, Kind::Reals, |x| candle_nn::ops::softmax(x, 1))),
    ("log_softmax", |n| unary(n, 3, Kind::Reals, |x| candle_nn::ops::log_softmax(x, D::Minus1))),
    ("cross_entropy", cross_entropy),
    ("relu", |n| at_zero(n, Tensor::relu)),
    ("abs", |n| at_zero(n, Tensor::abs)),
    ("max", |n| unary(n, 3, Kind::Distinct, |x| x.max(1))),
    ("sum, mean", |n| unary(n, 3, Kind::Reals, |x| x.sum_keepdim(1)? * x.mean_keepdim(1)?)),
    ("exp, sin, tanh", |n| unary(n, 3, Kind::Reals, |x| x.exp()? + x.sin()?.tanh()?)),
    ("gelu", |n| unary(n, 3, Kind::Reals, Tensor::gelu)),
    ("gelu_erf", |n| unary(n, 3, Kind::Reals, Tensor::gelu_erf)),
    ("silu", |n| unary(n, 3, Kind::Reals, Tensor::silu)),
    ("sqrt, log, powf", |n| {
        unary(n, 2, Kind::Reals, |x| (x.sqr()? + 0.5)?.sqrt()? * (x.abs()? + 1.0)?.log()?.powf(2.5)?)
    }),
    ("cat, narrow, pad", |n| {
        unary(n, 3, Kind::Reals, |x| Tensor::cat(&[x, &x.narrow(1, 0, 1)?], 1)?.pad_with_zeros(2, 1, 2))
    }),
    ("index_select, gather", select),
];

/// A function of one tensor.
fn unary(cases: usize, rank: usize, kind: Kind, f: impl Fn(&Tensor) -> Result<Tensor> + Copy) -> Verdict {
    examine(cases, cases::shape(rank), |shape| {
        let x = fill(kind, 1, shape)?;
        Ok(GradCheck::new("f").input_names(["x"]).check(|x: &[Tensor]| f(&x[0]), &[x])?.into())
    })
}

/// As [`unary`], and at 0, where the reference's gradient is 0.
fn at_zero(cases: usize, f: impl Fn(&Tensor) -> Result<Tensor> + Copy) -> Verdict {
    examine(cases, cases::shape(2), |shape| {
        let x = fill(Kind::AwayFromZero, 1, shape)?;
        let away: Outcome =
            GradCheck::new("f").input_names(["x"]).check(|x: &[Tensor]| f(&x[0]), std::slice::from_ref(&x))?.into();
        Ok(away.and(zero_gradient(&x.zeros_like()?, f)?))
    })
}

/// What is wrong with the gradient of `f` at 0.
pub(crate) fn zero_gradient(zeros: &Tensor, f: impl Fn(&Tensor) -> Result<Tensor>) -> Result<Outcome> {
    let x = Var::from_tensor(zeros)?;
    let grads = f(&x)?.sum_all()?.backward()?;
    let largest = match grads.get(&x) {
        Some(grad) => grad.abs()?.flatten_all()?.max(0)?.to_scalar::<f64>()?,
        None => 0.0,
    };
    let detail = format!("the gradient at 0 is {largest}, the reference's is 0");
    let failure = Failure { kind: "gradient at 0".into(), detail };
    Ok(Outcome { failures: if largest > 0.0 { vec![failure] } else { Vec::new() }, error: 0.0 })
}

fn matmul(cases: usize) -> Verdict {
    examine(cases, cases::shape(4), |shape| {
        let [b, m, k, n] = shape[..] else { return Ok(Outcome::default()) };
        let inputs = [reals(&[b, m, k], 1)?, reals(&[b, k, n], 2)?];
        let check = GradCheck::new("matmul").input_names(["a", "b"]).linear_in([0, 1]);
        Ok(check.check(|x: &[Tensor]| x[0].matmul(&x[1]), &inputs)?.into())
    })
}

fn check_conv<const RANK: usize>(
    case: &Conv<RANK>,
    f: impl Fn(&[Tensor]) -> Result<Tensor>,
) -> taper_gradcheck::Result<Outcome> {
    let check = GradCheck::new("conv").input_names(["x", "weight"]).linear_in([0, 1]);
    Ok(check.check(f, &case.tensors()?)?.into())
}

fn conv1d(cases: usize) -> Verdict {
    examine(cases, cases::conv::<1>(), |c| {
        check_conv(c, |x| x[0].conv1d(&x[1], c.padding, c.stride, c.dilation, c.groups))
    })
}

fn conv2d(cases: usize) -> Verdict {
    examine(cases, cases::conv::<2>(), |c| {
        check_conv(c, |x| x[0].conv2d(&x[1], c.padding, c.stride, c.dilation, c.groups))
    })
}

/// The transpose of a convolution, held against that convolution (whose forward is right): a group each.
fn conv_transpose1d(cases: usize) -> Verdict {
    examine(cases, cases::conv::<1>(), |c| {
        let c = Conv { groups: 1, in_channels: c.in_channels / c.groups, ..c.clone() };
        let [x, w] = c.tensors()?;
        let y = x.conv1d(&w, c.padding, c.stride, c.dilation, 1)?;
        let least = (y.dim(2)? - 1) * c.stride + c.dilation * (c.kernel[0] - 1) + 1;
        let Some(output_padding) = (c.input[0] + 2 * c.padding).checked_sub(least) else {
            return Ok(Outcome::default());
        };
        let transpose =
            |y: &Tensor, w: &Tensor| y.conv_transpose1d(w, c.padding, output_padding, c.stride, c.dilation, 1);
        let check = GradCheck::new("conv_transpose1d").input_names(["x", "weight"]).linear_in([0, 1]);
        let forward = |x: &Tensor| x.conv1d(&w, c.padding, c.stride, c.dilation, 1);
        let adjoint = check.adjoint(forward, |y: &Tensor| transpose(y, &w), &x)?;
        let gradients = check.check(|x: &[Tensor]| transpose(&x[0], &x[1]), &[y, w.clone()])?;
        Ok(Outcome::from(adjoint).and(gradients.into()))
    })
}

fn conv_transpose2d(cases: usize) -> Verdict {
    examine(cases, cases::conv::<2>(), |c| {
        let c = Conv { groups: 1, in_channels: c.in_channels / c.groups, ..c.clone() };
        let [x, w] = c.tensors()?;
        let y = x.conv2d(&w, c.padding, c.stride, c.dilation, 1)?;
        // candle's takes one output padding for both axes.
        let rest = |i: usize| -> Result<Option<usize>> {
            let least = (y.dim(2 + i)? - 1) * c.stride + c.dilation * (c.kernel[i] - 1) + 1;
            Ok((c.input[i] + 2 * c.padding).checked_sub(least))
        };
        let Some(output_padding) = rest(0)?.filter(|rest0| rest(1).is_ok_and(|rest1| rest1 == Some(*rest0))) else {
            return Ok(Outcome::default());
        };
        let transpose = |y: &Tensor, w: &Tensor| y.conv_transpose2d(w, c.padding, output_padding, c.stride, c.dilation);
        let check = GradCheck::new("conv_transpose2d").input_names(["x", "weight"]).linear_in([0, 1]);
        let forward = |x: &Tensor| x.conv2d(&w, c.padding, c.stride, c.dilation, 1);
        let adjoint = check.adjoint(forward, |y: &Tensor| transpose(y, &w), &x)?;
        let gradients = check.check(|x: &[Tensor]| transpose(&x[0], &x[1]), &[y, w.clone()])?;
        Ok(Outcome::from(adjoint).and(gradients.into()))
    })
}

fn pooled(cases: usize, f: impl Fn(&Tensor, &Pool) -> Result<Tensor>) -> Verdict {
    examine(cases, cases::pool(), |pool| {
        Ok(GradCheck::new("pool").input_names(["x"]).check(|x: &[Tensor]| f(&x[0], pool), &[pool.distinct()?])?.into())
    })
}

/// On a transposed [batch, channels, length] as well as a contiguous one: the checker tries the layouts.
fn linear(cases: usize) -> Verdict {
    examine(cases, cases::shape(4), |shape| {
        let [batch, length, c_in, c_out] = shape[..] else { return Ok(Outcome::default()) };
        let inputs = [reals(&[batch, length, c_in], 1)?, reals(&[c_out, c_in], 2)?, reals(&[c_out], 3)?];
        let check = GradCheck::new("Linear").input_names(["x", "weight", "bias"]).linear_in([0, 1, 2]);
        let f = |x: &[Tensor]| candle_nn::Linear::new(x[1].clone(), Some(x[2].clone())).forward(&x[0]);
        Ok(check.check(f, &inputs)?.into())
    })
}

/// candle's fused kernel takes no float64.
fn layer_norm(cases: usize) -> Verdict {
    examine(cases, (1..=3_usize, 2..=5_usize), |&(rows, width)| {
        let inputs = [reals(&[rows, width], 1)?, reals(&[width], 2)?, reals(&[width], 3)?];
        let check = GradCheck::new("layer_norm").input_names(["x", "weight", "bias"]).dtype(DType::F32);
        Ok(check.check(|x: &[Tensor]| candle_nn::ops::layer_norm(&x[0], &x[1], &x[2], 1e-5), &inputs)?.into())
    })
}

/// As [`layer_norm`].
fn rms_norm(cases: usize) -> Verdict {
    examine(cases, (1..=3_usize, 2..=5_usize), |&(rows, width)| {
        let inputs = [reals(&[rows, width], 1)?, reals(&[width], 2)?];
        let check = GradCheck::new("rms_norm").input_names(["x", "weight"]).dtype(DType::F32);
        Ok(check.check(|x: &[Tensor]| candle_nn::ops::rms_norm(&x[0], &x[1], 1e-5), &inputs)?.into())
    })
}

fn cross_entropy(cases: usize) -> Verdict {
    examine(cases, (1..=4_usize, 2..=5_usize), |&(batch, classes)| {
        let inputs = [reals(&[batch, classes], 1)?, labels(batch, classes)?];
        let check = GradCheck::new("cross_entropy").input_names(["logits", "target"]);
        Ok(check.check(|x: &[Tensor]| candle_nn::loss::cross_entropy(&x[0], &x[1]), &inputs)?.into())
    })
}

fn select(cases: usize) -> Verdict {
    examine(cases, (2..=4_usize, 1..=4_usize), |&(rows, width)| {
        let index = labels(5, rows)?;
        let wide = index.reshape((5, 1))?.broadcast_as((5, width))?.contiguous()?;
        let f = |x: &[Tensor]| x[0].contiguous()?.index_select(&index, 0)? * x[0].contiguous()?.gather(&wide, 0)?;
        Ok(GradCheck::new("select").input_names(["x"]).check(f, &[reals(&[rows, width], 1)?])?.into())
    })
}
