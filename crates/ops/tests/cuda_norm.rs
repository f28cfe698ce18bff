//! The CUDA kernels of normalisation, run on the CPU, against the CPU's in float64 on the same numbers: what the kernels store is
//! what these give, rounded once.

#![allow(clippy::unwrap_used, clippy::panic, missing_docs, reason = "a test fails by panicking")]

mod support;

use candle_core::{DType, Device, Tensor, Var};
use proptest::prelude::*;
use proptest::sample::select;
use support::config;
use support::emulated::{FLOATS, Kernels, emulators};
use support::layouts::{integers, reals, scattered, turned, values};
use taper_cuda_emulator::{Emulator, Order};
use taper_gradcheck::on_attached_thread;
use taper_ops::{
    ChannelStatistics, MaxPoolSpec, Result, batch_norm, batch_norm_eval, batch_norm_relu, batch_norm_with_statistics,
    group_norm, instance_norm, instance_norm_with_statistics, layer_norm, max_pool2d, relu, rms_norm,
};

#[derive(Debug, Clone, Copy, PartialEq)]
enum Kind {
    Batch,
    Evaluation,
    Groups,
    Instances,
    LastAxes,
    RootMeanSquare,
}

/// Normalisation of `[N, C, H, W]`, of groups of two channels, over the last two axes.
#[derive(Debug, Clone, Copy)]
struct Call {
    kind: Kind,
    eps: f64,
    /// Whether there is a weight, and a bias too.
    affine: usize,
}

impl Call {
    fn affine_shape(self, shape: &[usize]) -> Vec<usize> {
        match self.kind {
            Kind::LastAxes | Kind::RootMeanSquare => shape[2..].to_vec(),
            _ => vec![shape[1]],
        }
    }

    /// x, and a weight and a bias where there are any.
    fn inputs(self, x: &Tensor) -> Vec<Tensor> {
        let affine = self.affine_shape(x.dims());
        let affine = (0..self.affine).map(|i| reals(&affine, 2 + i as u64).to_dtype(x.dtype()).unwrap());
        [x.clone()].into_iter().chain(affine).collect()
    }

    fn run(self, inputs: &[Tensor]) -> Result<Tensor> {
        let (x, weight, bias) = (&inputs[0], inputs.get(1), inputs.get(2));
        match self.kind {
            Kind::Batch => batch_norm(x, weight, bias, self.eps),
            Kind::Evaluation => {
                let mean = reals(&x.dims()[1..2], 5);
                let running = ChannelStatistics { var: (mean.sqr()? + 0.3)?, mean };
                batch_norm_eval(x, &running, weight, bias, self.eps)
            }
            Kind::Groups => group_norm(x, x.dims()[1] / 2, weight, bias, self.eps),
            Kind::Instances => instance_norm(x, weight, bias, self.eps),
            Kind::LastAxes => layer_norm(x, &x.dims()[2..], weight, bias, self.eps),
            Kind::RootMeanSquare => rms_norm(x, &x.dims()[2..], weight, Some(self.eps)),
        }
    }
}

fn calls() -> impl Strategy<Value = Call> {
    use Kind::{Batch, Evaluation, Groups, Instances, LastAxes, RootMeanSquare};
    let kind = select(vec![Batch, Evaluation, Groups, Instances, LastAxes, RootMeanSquare]);
    (kind, select(vec![0., 1e-5, 0.7]), 0..=2usize).prop_map(|(kind, eps, affine)| Call {
        kind,
        eps,
        affine: if kind == RootMeanSquare { affine.min(1) } else { affine },
    })
}

/// The value of `f` and the gradients of its inputs, which lie as `layout` has it, by its kernels.
fn with_gradients(
    kernels: Kernels,
    inputs: &[Tensor],
    layout: fn(&Tensor) -> Tensor,
    f: impl Fn(&[Tensor]) -> Result<Tensor>,
) -> Vec<Tensor> {
    let vars: Vec<Var> = inputs.iter().map(|x| Var::from_tensor(&kernels.place(x)).unwrap()).collect();
    let laid: Vec<Tensor> = vars.iter().map(|var| layout(var)).collect();
    kernels.run(|| {
        let y = f(&laid).unwrap();
        let dy = kernels.place(&reals(y.dims(), 1).to_dtype(y.dtype()).unwrap());
        let grads = (&y * layout(&dy)).unwrap().sum_all().unwrap().backward().unwrap();
        [y].into_iter().chain(vars.iter().map(|var| grads.get(var).unwrap().clone())).collect()
    })
}

/// Asserts that `found` is what rounding `exact` to its dtype gives, but for `slack` times a rounding of float64.
fn is_rounded(what: &str, found: &Tensor, exact: &Tensor, slack: f64) {
    // Half a unit in the last place, and of float16 half of the smallest number.
    let (rounding, least) = match found.dtype() {
        DType::F64 => (0., 0.),
        DType::F32 => (2f64.powi(-24), 0.),
        DType::F16 => (2f64.powi(-11), 2f64.powi(-25)),
        _ => (2f64.powi(-8), 0.),
    };
    for (i, (found, exact)) in values(found).into_iter().zip(values(exact)).enumerate() {
        let bound = 1.001 * (rounding * exact.abs() + least) + slack * f64::EPSILON;
        assert!((found - exact).abs() <= bound, "{what} at {i}: {found:e} is not {exact:e} within {bound:e}");
    }
}

fn holds(kernels: Kernels, call: Call, x: &Tensor, layout: fn(&Tensor) -> Tensor, slack: f64) {
    let inputs = call.inputs(x);
    let wide: Vec<Tensor> = inputs.iter().map(|input| input.to_dtype(DType::F64).unwrap()).collect();
    let dy = reals(x.dims(), 1).to_dtype(x.dtype()).unwrap().to_dtype(DType::F64).unwrap();
    let vars: Vec<Var> = wide.iter().map(|x| Var::from_tensor(x).unwrap()).collect();
    let y = call.run(&vars.iter().map(|var| var.as_tensor().clone()).collect::<Vec<_>>()).unwrap();
    let grads = (&y * dy).unwrap().sum_all().unwrap().backward().unwrap();
    let exact = [y].into_iter().chain(vars.iter().map(|var| grads.get(var).unwrap().clone()));
    let found = with_gradients(kernels, &inputs, layout, |t| call.run(t));
    for ((what, found), exact) in ["y", "dx", "dweight", "dbias"].iter().zip(&found).zip(exact) {
        assert_eq!((found.dtype(), found.dims()), (x.dtype(), exact.dims()));
        is_rounded(what, found, &exact, slack);
    }
}

proptest! {
    #![proptest_config(config(192))]

    #[test]
    fn values_and_gradients_are_those_of_float64_rounded_once(
        call in calls(),
        (n, c, h, w) in (1..=5usize, 1..=3usize, 1..=6usize, 2..=7usize),
        (scale, offset) in (select(vec![1., 1e-2, 60.]), select(vec![0., 3., -50.])),
        dtype in select(&FLOATS[..]),
        layout in select(vec![Tensor::clone as fn(&Tensor) -> Tensor, scattered, turned]),
        kernels in emulators(),
    ) {
        let x = reals(&[n, 2 * c, h, w], 6).affine(scale, offset * scale).unwrap().to_dtype(dtype).unwrap();
        // The conditions of the deviations, and of their cubes in the gradient.
        holds(kernels, call, &x, layout, 1e5 * (1. + 1. / scale));
    }
}

/// Sets, and channels of a weight, of more elements than one block takes the sums of.
#[test]
fn many_elements() {
    let kernels = Kernels::or_device(Emulator { block: 32, grid: 2, ..Emulator::default() });
    for (shape, kinds) in [
        (vec![5, 2, 47, 41], vec![Kind::Batch, Kind::Evaluation]),
        (vec![2, 4, 67, 71], vec![Kind::Groups]),
        (vec![3, 2, 93, 97], vec![Kind::Instances, Kind::LastAxes, Kind::RootMeanSquare]),
        (vec![2600, 4, 1, 2], vec![Kind::LastAxes, Kind::Groups]),
    ] {
        for kind in kinds {
            for dtype in [DType::F32, DType::F64] {
                let x = reals(&shape, 7).to_dtype(dtype).unwrap();
                let affine = if kind == Kind::RootMeanSquare { 1 } else { 2 };
                holds(kernels, Call { kind, eps: 1e-5, affine }, &x, Tensor::clone, 1e6);
            }
        }
    }
}

/// What float32 does not hold: squares beyond its range, deviations far below the mean.
#[test]
fn numbers_that_float32_does_not_hold_well() {
    let kernels = Kernels::or_device(Emulator { block: 64, ..Emulator::default() });
    for (scale, offset) in [(1e-20, 0.), (1e25, 0.), (1., 1e6), (1e-3, -1e3)] {
        let x = reals(&[6, 4, 3, 5], 8).affine(scale, offset).unwrap().to_dtype(DType::F32).unwrap();
        for kind in [Kind::Batch, Kind::Groups, Kind::Instances, Kind::LastAxes] {
            let call = Call { kind, eps: 0., affine: 0 };
            let found = kernels.run(|| call.run(&[kernels.place(&x)])).unwrap();
            is_rounded("y", &found, &call.run(&[x.to_dtype(DType::F64).unwrap()]).unwrap(), 1e9);
        }
    }
}

#[test]
fn statistics_are_those_of_the_cpu() {
    let kernels = Kernels::or_device(Emulator { order: Order::HighestFirst, ..Emulator::default() });
    for dtype in FLOATS {
        let x = reals(&[5, 3, 47, 41], 9).affine(2., 7.).unwrap().to_dtype(dtype).unwrap();
        let wide = x.to_dtype(DType::F64).unwrap();
        let all = |x: &Tensor| {
            let batch = batch_norm_with_statistics(x, None, None, 1e-5).unwrap().1;
            let instance = instance_norm_with_statistics(x, None, None, 1e-5).unwrap().1;
            [batch.mean, batch.var, instance.mean, instance.var]
        };
        for (found, exact) in kernels.run(|| all(&kernels.place(&x))).iter().zip(all(&wide)) {
            assert_eq!(found.dtype(), if dtype == DType::F64 { DType::F64 } else { DType::F32 });
            is_rounded("a statistic", found, &exact, 1e3);
        }
    }
}

/// Sums of integers are exact, and so are those of their products with normalised numbers that are ±1.
#[test]
fn gradients_of_weight_and_bias_are_exact_where_their_terms_are() {
    let shape = [5, 3, 2, 4];
    let signs = (0..shape.iter().product()).map(|i: usize| if i.is_multiple_of(2) { 1. } else { -1. });
    let x = Tensor::from_iter(signs, &Device::Cpu).unwrap().reshape(&shape).unwrap();
    for dtype in FLOATS {
        let inputs = [x.clone(), integers(&[3], 1), integers(&[3], 2)].map(|t| t.to_dtype(dtype).unwrap());
        same_sums(Kernels::or_device(Emulator::default()), &inputs);
    }
}

fn same_sums(kernels: Kernels, inputs: &[Tensor; 3]) {
    let sums = |place: &dyn Fn(&Tensor) -> Tensor| {
        let [x, weight, bias] = inputs.each_ref().map(|t| Var::from_tensor(&place(t)).unwrap());
        let y = batch_norm(&x, Some(&weight), Some(&bias), 0.).unwrap();
        let dy = place(&integers(x.dims(), 3).to_dtype(x.dtype()).unwrap());
        let grads = (y * dy).unwrap().sum_all().unwrap().backward().unwrap();
        [&weight, &bias].map(|var| values(grads.get(var).unwrap()))
    };
    assert_eq!(kernels.run(|| sums(&|t| kernels.place(t))), sums(&Tensor::clone));
}

/// Without variance, and without an eps, there is nothing to scale: not even a gradient.
#[test]
fn a_channel_without_variance_is_its_bias() {
    let x = Tensor::new(&[[[2f32, 2.], [1., 3.]], [[2., 2.], [5., 9.]]], &Device::Cpu).unwrap();
    let inputs = [x, Tensor::new(&[3f32, 1.], &Device::Cpu).unwrap(), Tensor::new(&[-7f32, 0.], &Device::Cpu).unwrap()];
    let norm = |t: &[Tensor]| batch_norm(&t[0], Some(&t[1]), Some(&t[2]), 0.);
    let found = with_gradients(Kernels::or_device(Emulator::default()), &inputs, Tensor::clone, norm);
    let of_channel = |t: &Tensor, channel| values(&t.narrow(1, channel, 1).unwrap());
    assert_eq!((of_channel(&found[0], 0), of_channel(&found[1], 0)), (vec![-7.; 4], vec![0.; 4]));
    assert!(of_channel(&found[1], 1).iter().all(|dx| *dx != 0.));
}

/// With what comes behind it in one node: the bits of one after the other.
#[test]
fn fused_with_what_comes_behind() {
    let (x, pool) = (reals(&[3, 2, 7, 6], 16).to_dtype(DType::F32).unwrap(), MaxPoolSpec::new([3, 2]).stride([2, 1]));
    let inputs = Call { kind: Kind::Batch, eps: 1e-5, affine: 2 }.inputs(&x);
    let kernels = Kernels::or_device(Emulator { block: 64, ..Emulator::default() });
    let by = |f: &dyn Fn(&[Tensor]) -> Result<Tensor>| -> Vec<Vec<f64>> {
        with_gradients(kernels, &inputs, Tensor::clone, f).iter().map(values).collect()
    };
    let norm = |t: &[Tensor]| batch_norm(&t[0], Some(&t[1]), Some(&t[2]), 1e-5);
    let fused = |t: &[Tensor], pool| Ok(batch_norm_relu(&t[0], Some(&t[1]), Some(&t[2]), 1e-5, pool)?.0);
    assert_eq!(by(&|t| fused(t, None)), by(&|t| relu(&norm(t)?)));
    assert_eq!(by(&|t| fused(t, Some(&pool))), by(&|t| max_pool2d(&relu(&norm(t)?)?, &pool)));
}

/// An infinity or a NaN stays within its set, and constants do not let x into their gradient.
#[test]
fn what_is_not_a_number_stays_within_its_channel() {
    for wrong in [f64::NAN, f64::INFINITY] {
        let mut x = values(&reals(&[4, 3, 5], 10));
        x[(2 * 3 + 1) * 5 + 3] = wrong;
        let x = Tensor::from_vec(x, (4, 3, 5), &Device::Cpu).unwrap().to_dtype(DType::F32).unwrap();
        let by = |f: &dyn Fn(&[Tensor]) -> Result<Tensor>| {
            with_gradients(Kernels::or_device(Emulator::default()), std::slice::from_ref(&x), Tensor::clone, f)
        };
        for found in by(&|x| batch_norm(&x[0], None, None, 1e-5)) {
            for (i, value) in values(&found).into_iter().enumerate() {
                assert_eq!(value.is_nan(), i / 5 % 3 == 1, "{wrong} at {i}");
            }
        }
        let one = Tensor::ones(3, DType::F32, &Device::Cpu).unwrap();
        let running = ChannelStatistics { mean: one.clone(), var: one };
        let found = by(&|x| batch_norm_eval(&x[0], &running, None, None, 0.));
        assert!(values(&found[1]).iter().all(|dx| dx.is_finite()), "{wrong}");
    }
}

/// Blocks of other sizes, and other orders of threads, give the same bits.
#[test]
fn the_bits_do_not_depend_on_the_block() {
    let x = reals(&[5, 2, 47, 41], 11).to_dtype(DType::F32).unwrap();
    for kind in [Kind::Batch, Kind::LastAxes] {
        let call = Call { kind, eps: 1e-5, affine: 2 };
        let by = |emulator: Emulator| -> Vec<Vec<f64>> {
            let found = with_gradients(Kernels::Emulated(emulator), &call.inputs(&x), Tensor::clone, |t| call.run(t));
            found.iter().map(values).collect()
        };
        let expected = by(Emulator { block: 256, ..Emulator::default() });
        for (block, grid, order) in
            [(32, 1, Order::HighestFirst), (96, 5, Order::Random(3)), (512, 2, Order::LowestFirst)]
        {
            assert_eq!(by(Emulator { block, grid, order, wide: block == 96 }), expected, "{kind:?} {block}");
        }
    }
}

/// The gradients of a sum of an operator's gradients.
fn second_gradients(call: Call, inputs: &[Tensor], place: impl Fn(&Tensor) -> Tensor) -> Vec<Tensor> {
    let vars: Vec<Var> = inputs.iter().map(|x| Var::from_tensor(&place(x)).unwrap()).collect();
    let weighted = |t: &Tensor, seed| (t * place(&reals(t.dims(), seed))).unwrap().sum_all().unwrap();
    let y = call.run(&vars.iter().map(|var| var.as_tensor().clone()).collect::<Vec<_>>()).unwrap();
    let grads = weighted(&y.sqr().unwrap(), 12).backward().unwrap();
    let sums = vars.iter().enumerate().map(|(i, var)| weighted(grads.get(var).unwrap(), 13 + i as u64));
    let grads = sums.reduce(|a, b| (a + b).unwrap()).unwrap().backward().unwrap();
    vars.iter().map(|var| grads.get(var).unwrap().clone()).collect()
}

#[test]
fn second_derivatives_are_those_of_the_cpu() {
    use Kind::{Batch, Evaluation, Groups, Instances, LastAxes, RootMeanSquare};
    let kernels = Kernels::or_device(Emulator::default());
    let compare = || {
        for kind in [Batch, Evaluation, Groups, Instances, LastAxes, RootMeanSquare] {
            for affine in 0..=if kind == RootMeanSquare { 1 } else { 2 } {
                let call = Call { kind, eps: 0.1, affine };
                let inputs = call.inputs(&reals(&[3, 4, 2, 5], 14));
                let expected = second_gradients(call, &inputs, Tensor::clone);
                let found = kernels.run(|| second_gradients(call, &inputs, |t| kernels.place(t)));
                assert!(values(&expected[0]).iter().any(|value| value.abs() > 1e-3), "{call:?}");
                for (found, expected) in found.iter().zip(expected) {
                    is_rounded(&format!("{call:?}"), found, &expected, 1e5);
                }
            }
        }
    };
    on_attached_thread(compare).unwrap();
}
