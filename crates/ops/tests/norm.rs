//! The normalisations against the reference's vectors, their formula, float64, and bad arguments.

#![allow(clippy::unwrap_used, clippy::panic, missing_docs, reason = "a test fails by panicking")]
#![allow(clippy::float_cmp, reason = "what must be exact is compared exactly")]

mod support;

use candle_core::{DType, Device, Tensor, Var};
use proptest::prelude::*;
use std::collections::HashMap;
use support::layouts::{halves_round_once, reals, same_on_any_threads, scattered, turned, values};
use support::{Case, Count, close};
use taper_ops::{
    ChannelStatistics, Error, Result, batch_norm, batch_norm_eval, batch_norm_with_statistics, group_norm,
    instance_norm, instance_norm_with_statistics, layer_norm, rms_norm,
};

fn eps(case: &Case) -> f64 {
    case.kwargs["eps"].as_f64().unwrap()
}

fn normalized_shape(case: &Case) -> Vec<usize> {
    let extents = case.kwargs["normalized_shape"].as_array().unwrap();
    extents.iter().map(|extent| extent.as_u64().unwrap() as usize).collect()
}

fn running(inputs: &HashMap<String, Tensor>) -> ChannelStatistics {
    ChannelStatistics { mean: inputs["running_mean"].clone(), var: inputs["running_var"].clone() }
}

#[test]
fn golden_batch_norm() {
    let count = support::check(
        "batch_norm",
        |_| true,
        |case, inputs| {
            let (x, weight, bias) = (&inputs["input"], inputs.get("weight"), inputs.get("bias"));
            Ok(Some(vec![match case.flag("training") {
                true => batch_norm(x, weight, bias, eps(case))?,
                false => batch_norm_eval(x, &running(inputs), weight, bias, eps(case))?,
            }]))
        },
        |_, error: &Error| assert!(matches!(error, Error::TooFewValues { .. }), "{error}"),
    );
    assert_eq!(count, Count { passed: 48, refused: 1 });
}

#[test]
fn golden_instance_norm() {
    let count = support::check(
        "instance_norm",
        |_| true,
        |case, inputs| {
            let (x, weight, bias) = (&inputs["input"], inputs.get("weight"), inputs.get("bias"));
            if !case.flag("use_input_stats") {
                return Ok(Some(vec![batch_norm_eval(x, &running(inputs), weight, bias, eps(case))?]));
            }
            if !inputs.contains_key("running_mean") {
                return Ok(Some(vec![instance_norm(x, weight, bias, eps(case))?]));
            }
            let (y, batch) = instance_norm_with_statistics(x, weight, bias, eps(case))?;
            let momentum = case.kwargs["momentum"].as_f64().unwrap();
            let follow = |old: &Tensor, new: &Tensor| (old * (1. - momentum))? + (new * momentum)?;
            let old = running(inputs);
            Ok(Some(vec![y, follow(&old.mean, &batch.mean)?, follow(&old.var, &batch.var)?]))
        },
        |_, error: &Error| assert!(matches!(error, Error::TooFewValues { .. }), "{error}"),
    );
    assert_eq!(count, Count { passed: 16, refused: 1 });
}

#[test]
fn golden_group_norm() {
    let count = support::check(
        "group_norm",
        |_| true,
        |case, inputs| {
            let groups = case.kwargs["num_groups"].as_u64().unwrap() as usize;
            let (weight, bias) = (inputs.get("weight"), inputs.get("bias"));
            Ok(Some(vec![group_norm(&inputs["input"], groups, weight, bias, eps(case))?]))
        },
        |_, error: &Error| assert!(matches!(error, Error::Groups { groups: 3, channels: 4, .. }), "{error}"),
    );
    assert_eq!(count, Count { passed: 24, refused: 1 });
}

#[test]
fn golden_layer_norm() {
    let count = support::check(
        "layer_norm",
        |_| true,
        |case, inputs| {
            let (weight, bias) = (inputs.get("weight"), inputs.get("bias"));
            Ok(Some(vec![layer_norm(&inputs["input"], &normalized_shape(case), weight, bias, eps(case))?]))
        },
        |case, error: &Error| panic!("{}: {error}", case.id),
    );
    assert_eq!(count, Count { passed: 24, refused: 0 });
}

#[test]
fn golden_rms_norm() {
    let count = support::check(
        "rms_norm",
        // The default eps of float64 is another number than that of float32.
        |_| true,
        |case, inputs| {
            let eps = case.kwargs["eps"].as_f64().unwrap_or(f64::EPSILON);
            Ok(Some(vec![rms_norm(&inputs["input"], &normalized_shape(case), inputs.get("weight"), Some(eps))?]))
        },
        |_, error: &Error| assert!(matches!(error, Error::Shape { argument: "input", .. }), "{error}"),
    );
    assert_eq!(count, Count { passed: 16, refused: 1 });
    let x = reals(&[3, 4], 1);
    for (dtype, eps) in [(DType::F64, f64::EPSILON), (DType::F32, f64::from(f32::EPSILON))] {
        let x = (x.to_dtype(dtype).unwrap() * 1e-7).unwrap();
        let y = |eps| values(&rms_norm(&x, &[4], None, eps).unwrap());
        assert_eq!(y(None), y(Some(eps)));
    }
}

/// A normalisation by its formula: the set and the channel of each element.
struct Formula {
    sets: Vec<usize>,
    channels: Vec<usize>,
    centred: bool,
    /// The mean and the variance of every set, where they are constants.
    fixed: Option<Vec<[f64; 2]>>,
    eps: f64,
}

impl Formula {
    /// y, dx, dweight and dbias.
    fn run(&self, x: &[f64], weight: &[f64], bias: &[f64], dy: &[f64]) -> [Vec<f64>; 4] {
        let mean_of = |term: &dyn Fn(usize) -> f64, set: usize| {
            let members: Vec<usize> = (0..x.len()).filter(|&i| self.sets[i] == set).collect();
            members.iter().map(|&i| term(i)).sum::<f64>() / members.len() as f64
        };
        let (mut y, mut dx) = (vec![0.; x.len()], vec![0.; x.len()]);
        let (mut dw, mut db) = (vec![0.; weight.len()], vec![0.; weight.len()]);
        for i in 0..x.len() {
            let (set, channel) = (self.sets[i], self.channels[i]);
            let own_mean = if self.centred { mean_of(&|j| x[j], set) } else { 0. };
            let own_var = mean_of(&|j| (x[j] - own_mean).powi(2), set);
            let [mean, var] = self.fixed.as_ref().map_or([own_mean, own_var], |fixed| fixed[set]);
            let r = 1. / (var + self.eps).sqrt();
            let unit = |j: usize| (x[j] - mean) * r;
            let g = |j: usize| weight[self.channels[j]] * dy[j];
            y[i] = unit(i) * weight[channel] + bias[channel];
            dw[channel] += dy[i] * unit(i);
            db[channel] += dy[i];
            dx[i] = r * g(i);
            if self.fixed.is_none() {
                dx[i] -= r * unit(i) * mean_of(&|j| g(j) * unit(j), set);
                if self.centred {
                    dx[i] -= r * mean_of(&g, set);
                }
            }
        }
        [y, dx, dw, db]
    }
}

/// One call of one of the normalisations of `[samples, channels, positions]`.
#[derive(Debug, Clone, Copy)]
enum Call {
    Batch,
    Eval,
    Groups(usize),
    Instance,
    LastAxes { centred: bool },
}

const EPS: f64 = 0.03;

fn fixed(channels: usize) -> ChannelStatistics {
    let new = |f: fn(usize) -> f64| Tensor::from_iter((0..channels).map(f), &Device::Cpu).unwrap();
    ChannelStatistics { mean: new(|c| c as f64 / 3. - 0.5), var: new(|c| 0.4 + c as f64) }
}

impl Call {
    fn run(self, x: &Tensor, weight: Option<&Tensor>, bias: Option<&Tensor>) -> Result<Tensor> {
        match self {
            Self::Batch => batch_norm(x, weight, bias, EPS),
            Self::Eval => batch_norm_eval(x, &fixed(x.dims()[1]), weight, bias, EPS),
            Self::Groups(groups) => group_norm(x, groups, weight, bias, EPS),
            Self::Instance => instance_norm(x, weight, bias, EPS),
            Self::LastAxes { centred: true } => layer_norm(x, &x.dims()[1..], weight, bias, EPS),
            Self::LastAxes { centred: false } => rms_norm(x, &x.dims()[1..], weight, Some(EPS)),
        }
    }

    fn affine_shape(self, shape: &[usize]) -> Vec<usize> {
        match self {
            Self::LastAxes { .. } => shape[1..].to_vec(),
            _ => vec![shape[1]],
        }
    }

    fn formula(self, shape: &[usize]) -> Formula {
        let (channels, positions) = (shape[1], shape[2..].iter().product::<usize>());
        let by = |f: &dyn Fn(usize, usize, usize) -> usize| -> Vec<usize> {
            let places = (0..shape.iter().product())
                .map(|i| [i / positions / channels, i / positions % channels, i % positions]);
            places.map(|[n, c, p]| f(n, c, p)).collect()
        };
        let sets = match self {
            Self::Batch | Self::Eval => by(&|_, c, _| c),
            Self::Groups(groups) => by(&|n, c, _| n * groups + c * groups / channels),
            Self::Instance => by(&|n, c, _| n * channels + c),
            Self::LastAxes { .. } => by(&|n, _, _| n),
        };
        let channel = match self {
            Self::LastAxes { .. } => by(&|_, c, p| c * positions + p),
            _ => by(&|_, c, _| c),
        };
        let statistics = fixed(channels);
        let (mean, var) = (values(&statistics.mean), values(&statistics.var));
        let fixed = matches!(self, Self::Eval).then(|| mean.into_iter().zip(var).map(|(m, v)| [m, v]).collect());
        let centred = !matches!(self, Self::LastAxes { centred: false });
        Formula { sets, channels: channel, centred, fixed, eps: EPS }
    }

    /// A call with a shape that suits it.
    fn any() -> impl Strategy<Value = (Self, Vec<usize>)> {
        let shape = (1..=4usize, 1..=3usize, 1..=3usize, prop::collection::vec(1..=5usize, 0..=3));
        let call = prop::sample::select(vec![0, 1, 2, 3, 4, 5]);
        (shape, call).prop_map(|((mut samples, groups, per_group, mut positions), call)| {
            let mut volume: usize = positions.iter().product();
            if call == 0 && samples * volume < 2 {
                samples = 2;
            }
            if call == 3 && volume < 2 {
                positions.push(17);
                volume = 17;
            }
            let call = match call {
                0 => Self::Batch,
                1 => Self::Eval,
                2 => Self::Groups(groups),
                3 => Self::Instance,
                call => Self::LastAxes { centred: call == 4 || volume == 0 },
            };
            (call, [vec![samples, groups * per_group], positions].concat())
        })
    }
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 300,
        rng_seed: proptest::test_runner::RngSeed::Fixed(20_261_124),
        ..ProptestConfig::default()
    })]

    #[test]
    fn the_formula_in_any_layout(
        (call, shape) in Call::any(),
        dtype in prop_oneof![Just((DType::F64, 1e-9)), Just((DType::F32, 1e-4))],
        layout in prop::sample::select(vec![Tensor::clone as fn(&Tensor) -> Tensor, scattered, turned]),
        affine in prop::sample::select(vec![(true, true), (true, false), (false, true), (false, false)]),
    ) {
        let (dtype, tolerance) = dtype;
        let affine_shape = call.affine_shape(&shape);
        let rms = matches!(call, Call::LastAxes { centred: false });
        let affine = (affine.0, affine.1 && !rms);
        let one = |present: bool, seed: u64, absent: f64| match present {
            true => reals(&affine_shape, seed),
            false => Tensor::full(absent, affine_shape.as_slice(), &Device::Cpu).unwrap(),
        };
        let (x, dy) = (reals(&shape, 1), reals(&shape, 2));
        let (weight, bias) = (one(affine.0, 3, 1.), one(affine.1, 4, 0.));
        let expected = call.formula(&shape).run(&values(&x), &values(&weight), &values(&bias), &values(&dy));

        let var = |t: &Tensor| Var::from_tensor(&t.to_dtype(dtype).unwrap()).unwrap();
        let [x, weight, bias] = [&x, &weight, &bias].map(var);
        let dy = layout(&dy.to_dtype(dtype).unwrap());
        let (laid_weight, laid_bias) = (layout(&weight), layout(&bias));
        let y = call.run(&layout(&x), affine.0.then_some(&laid_weight), affine.1.then_some(&laid_bias)).unwrap();
        prop_assert_eq!((y.dims(), y.dtype()), (shape.as_slice(), dtype));
        let grads = (&y * dy).unwrap().sum_all().unwrap().backward().unwrap();
        let found = [Some(&y), grads.get(&x), grads.get(&weight), grads.get(&bias)];
        let like = [&shape, &shape, &affine_shape, &affine_shape];
        let wanted = [true, true, affine.0, affine.1];
        for (i, ((found, expected), like)) in found.into_iter().zip(expected).zip(like).enumerate() {
            prop_assert_eq!(found.is_some(), wanted[i]);
            if let Some(found) = found {
                let expected = Tensor::from_vec(expected, like.as_slice(), &Device::Cpu).unwrap();
                close(["y", "dx", "dweight", "dbias"][i], found, &expected, tolerance);
            }
        }
    }
}

#[test]
fn few_large_sets_are_what_tensor_operators_compose() {
    // [samples, channels, positions], and how many sets a sample has; none: a set a channel.
    for ([n, c, p], groups) in [
        ([2, 1, 181 * 197], None),
        ([5, 3, 97 * 101], None),
        ([1, 3, 111 * 113], Some(1)),
        ([2, 2, 181 * 197], Some(1)),
        ([1, 600, 143], Some(2)),
        ([3, 40_001, 1], Some(1)),
    ] {
        for (dtype, tolerance) in [(DType::F64, 1e-9), (DType::F32, 1e-4)] {
            let real = |shape: &[usize], seed| reals(shape, seed).to_dtype(dtype).unwrap();
            let [x, weight, bias] = [(&[n, c, p][..], 1), (&[c], 2), (&[c], 3)]
                .map(|(shape, seed)| Var::from_tensor(&real(shape, seed)).unwrap());
            let y = match groups {
                None => batch_norm(&x, Some(&weight), Some(&bias), 1e-5),
                Some(groups) => group_norm(&x, groups, Some(&weight), Some(&bias), 1e-5),
            };
            let composed = || -> candle_core::Result<Tensor> {
                let (sets, over) = groups.map_or((x.reshape((n, c, p))?, vec![0, 2]), |groups| {
                    (x.reshape((n, groups, c / groups * p)).unwrap(), vec![2])
                });
                let centred = sets.broadcast_sub(&sets.mean_keepdim(over.clone())?)?;
                let var = (centred.sqr()?.mean_keepdim(over)? + 1e-5)?;
                let unit = centred.broadcast_div(&var.sqrt()?)?.reshape((n, c, p))?;
                unit.broadcast_mul(&weight.reshape((1, c, 1))?)?.broadcast_add(&bias.reshape((1, c, 1))?)
            };
            let all = |y: Tensor| {
                let grads = (&y * real(&[n, c, p], 4)).unwrap().sum_all().unwrap().backward().unwrap();
                let grad = |var: &Var| grads.get(var).unwrap().clone();
                [grad(&x), grad(&weight), grad(&bias), y]
            };
            let found = all(y.unwrap());
            for ((what, found), expected) in
                ["dx", "dweight", "dbias", "y"].iter().zip(found).zip(all(composed().unwrap()))
            {
                close(what, &found, &expected, tolerance);
            }
        }
    }
}

#[test]
fn the_batch_statistics_are_the_mean_and_the_unbiased_variance() {
    for shape in [vec![5, 3], vec![2, 3, 7], vec![4, 3, 5, 6]] {
        let x = reals(&shape, 5);
        let (_, batch) = batch_norm_with_statistics(&x, None, None, 1e-5).unwrap();
        let rows = x.transpose(0, 1).unwrap().contiguous().unwrap().flatten_from(1).unwrap();
        close("mean", &batch.mean, &rows.mean(1).unwrap(), 1e-14);
        close("var", &batch.var, &rows.var(1).unwrap(), 1e-14);
        assert!(!batch.mean.track_op() && !batch.var.track_op());
    }
    let x = reals(&[3, 2, 5], 6).to_dtype(DType::BF16).unwrap();
    let (y, batch) = batch_norm_with_statistics(&x, None, None, 1e-5).unwrap();
    assert_eq!((y.dtype(), batch.mean.dtype(), batch.var.dtype()), (DType::BF16, DType::F32, DType::F32));
}

/// Mean 10⁴ and standard deviation 10⁻² in float32, where neighbouring numbers are 10⁻³ apart.
#[test]
fn a_small_deviation_from_a_large_mean_survives() {
    let shape = [6, 3, 40, 37];
    let x = (reals(&shape, 7) * 1e-2).unwrap().affine(1., 1e4).unwrap().to_dtype(DType::F32).unwrap();
    let dy = reals(&shape, 8).to_dtype(DType::F32).unwrap();
    let run = |call: Call, dtype: DType| {
        let x = Var::from_tensor(&x.to_dtype(dtype).unwrap()).unwrap();
        let weight = Var::from_tensor(&reals(&call.affine_shape(&shape), 9).to_dtype(dtype).unwrap()).unwrap();
        let y = match call {
            Call::Batch => batch_norm(&x, Some(&weight), None, 1e-9),
            Call::Groups(groups) => group_norm(&x, groups, Some(&weight), None, 1e-9),
            _ => layer_norm(&x, &shape[1..], Some(&weight), None, 1e-9),
        };
        let y = y.unwrap();
        let grads = (&y * dy.to_dtype(dtype).unwrap()).unwrap().sum_all().unwrap().backward().unwrap();
        [y, grads.get(&x).unwrap().clone(), grads.get(&weight).unwrap().clone()]
    };
    for call in [Call::Batch, Call::Groups(1), Call::LastAxes { centred: true }] {
        for (found, exact) in run(call, DType::F32).iter().zip(run(call, DType::F64)) {
            close("float32", found, &exact, 1e-5);
        }
    }
}

#[test]
fn a_constant_channel_becomes_the_bias_and_has_no_infinite_gradient() {
    let bias = Tensor::new(&[0.5f32, -2., 7.], &Device::Cpu).unwrap();
    for eps in [1e-5, 0.] {
        for value in [0f32, 3.3, -1e30, 1e-30] {
            let x = Var::from_tensor(&Tensor::full(value, (4, 3, 5), &Device::Cpu).unwrap()).unwrap();
            let y = batch_norm(&x, None, Some(&bias), eps).unwrap();
            assert_eq!(values(&y), values(&bias.reshape((1, 3, 1)).unwrap().broadcast_as((4, 3, 5)).unwrap()));
            let dx = y.sqr().unwrap().backward().unwrap().get(&x).unwrap().clone();
            assert!(values(&dx).iter().all(|dx| dx.abs() < 1e-3), "{dx}");
        }
    }
}

#[test]
fn squares_beyond_float32_are_no_infinity() {
    let x = (reals(&[4, 3, 5], 10).to_dtype(DType::F32).unwrap() * 1e30).unwrap();
    let exact = batch_norm(&x.to_dtype(DType::F64).unwrap(), None, None, 1e-5).unwrap();
    close("y", &batch_norm(&x, None, None, 1e-5).unwrap(), &exact, 1e-5);
}

#[test]
fn a_nan_stays_within_its_set() {
    let mut x = values(&reals(&[2, 3, 20], 11));
    x[25] = f64::NAN;
    let x = Tensor::from_vec(x, (2, 3, 20), &Device::Cpu).unwrap();
    let nans =
        |y: Tensor| values(&y).chunks(20).map(|run| run.iter().filter(|y| y.is_nan()).count()).collect::<Vec<_>>();
    assert_eq!(nans(batch_norm(&x, None, None, 1e-5).unwrap()), [0, 20, 0, 0, 20, 0]);
    assert_eq!(nans(instance_norm(&x, None, None, 1e-5).unwrap()), [0, 20, 0, 0, 0, 0]);
    assert_eq!(nans(batch_norm_eval(&x, &fixed(3), None, None, 1e-5).unwrap()), [0, 1, 0, 0, 0, 0]);
}

#[test]
fn nothing_goes_forward_and_backward() {
    let cases = [
        (Call::Eval, vec![0, 3, 5]),
        (Call::Eval, vec![2, 3, 0]),
        (Call::Batch, vec![4, 0, 5]),
        (Call::Groups(3), vec![0, 6, 5]),
        (Call::Groups(3), vec![2, 6, 0]),
        (Call::Groups(3), vec![2, 0, 4]),
        (Call::Instance, vec![0, 3, 5]),
        (Call::LastAxes { centred: true }, vec![0, 3, 5]),
        (Call::LastAxes { centred: false }, vec![2, 3, 0]),
    ];
    for (call, shape) in cases {
        let affine = call.affine_shape(&shape);
        let zeros = |shape: &[usize]| Var::zeros(shape, DType::F32, &Device::Cpu).unwrap();
        let (x, weight, bias) = (zeros(&shape), zeros(&affine), zeros(&affine));
        let rms = matches!(call, Call::LastAxes { centred: false });
        let y = call.run(&x, Some(&weight), (!rms).then_some(bias.as_tensor())).unwrap();
        assert_eq!(y.dims(), shape);
        let grads = y.backward().unwrap();
        assert_eq!(grads.get(&x).unwrap().dims(), shape);
        assert_eq!(grads.get(&weight).unwrap().dims(), affine);
        assert!(values(grads.get(&weight).unwrap()).iter().all(|&dweight| dweight == 0.));
    }
}

#[test]
fn bf16_and_f16() {
    let (x, channel) = (reals(&[3, 4, 5, 4], 12), [reals(&[4], 13), reals(&[4], 14)]);
    let [weight, bias] = &channel;
    for call in [Call::Batch, Call::Eval, Call::Groups(2), Call::Instance] {
        let inputs = [x.clone(), weight.clone(), bias.clone()];
        halves_round_once(|t| call.run(&t[0], Some(&t[1]), Some(&t[2])).unwrap(), &inputs);
    }
    let (weight, bias) = (reals(&[5, 4], 15), reals(&[5, 4], 16));
    halves_round_once(
        |t| layer_norm(&t[0], &[5, 4], Some(&t[1]), Some(&t[2]), 1e-5).unwrap(),
        &[x.clone(), weight.clone(), bias],
    );
    halves_round_once(|t| rms_norm(&t[0], &[5, 4], Some(&t[1]), None).unwrap(), &[x, weight]);
}

#[test]
fn the_bits_do_not_depend_on_threads() {
    for (call, shape) in [
        (Call::Batch, vec![7, 5, 61, 67]),
        (Call::Batch, vec![2, 1, 181, 197]),
        (Call::Batch, vec![517, 93]),
        (Call::Eval, vec![7, 5, 61, 67]),
        (Call::Groups(3), vec![5, 6, 61, 67]),
        (Call::Groups(2), vec![1, 600, 11, 13]),
        (Call::LastAxes { centred: true }, vec![517, 93]),
        (Call::LastAxes { centred: false }, vec![517, 93]),
    ] {
        let new = |shape: &[usize], seed| Var::from_tensor(&reals(shape, seed).to_dtype(DType::F32).unwrap()).unwrap();
        let (x, weight) = (new(&shape, 17), new(&call.affine_shape(&shape), 18));
        same_on_any_threads(|| {
            let y = call.run(&x, Some(&weight), None).unwrap();
            let grads = y.sqr().unwrap().sum_all().unwrap().backward().unwrap();
            vec![grads.get(&x).unwrap().clone(), grads.get(&weight).unwrap().clone(), y]
        });
    }
}

#[test]
fn refusals_name_the_values() {
    let zeros = |shape: &[usize]| Tensor::zeros(shape, DType::F32, &Device::Cpu).unwrap();
    let (x, five) = (zeros(&[2, 3, 4]), zeros(&[5]));
    let statistics = |mean: &[f32], var: &[f32]| ChannelStatistics {
        mean: Tensor::new(mean, &Device::Cpu).unwrap(),
        var: Tensor::new(var, &Device::Cpu).unwrap(),
    };
    let eval = |mean: &[f32], var: &[f32]| batch_norm_eval(&x, &statistics(mean, var), None, None, 1e-5);
    type Is = fn(&Error) -> bool;
    let rank: Is = |e| matches!(e, Error::Rank { .. });
    let shape: Is = |e| matches!(e, Error::Shape { .. });
    let value: Is = |e| matches!(e, Error::Value { .. });
    let few: Is = |e| matches!(e, Error::TooFewValues { .. });
    let dtype: Is = |e| matches!(e, Error::DType { dtype: DType::U8, .. });
    let cases: Vec<(Result<Tensor>, Is, &str)> = vec![
        (batch_norm(&five, None, None, 1e-5), rank, "batch_norm: input must have 2 or more dimensions, got shape [5]"),
        (
            batch_norm(&zeros(&[1, 3]), None, None, 1e-5),
            few,
            "batch_norm: expected more than 1 value per channel to normalise by, got input of shape [1, 3]",
        ),
        (batch_norm(&zeros(&[0, 3, 4]), None, None, 1e-5), few, "got input of shape [0, 3, 4]"),
        (batch_norm(&x, Some(&five), None, 1e-5), shape, "batch_norm: weight must have shape [3], got [5]"),
        (batch_norm(&x, None, Some(&five), 1e-5), shape, "batch_norm: bias must have shape [3], got [5]"),
        (batch_norm(&x, None, None, -1.), value, "batch_norm: eps must be a finite number of at least 0, got -1"),
        (batch_norm(&x, None, None, f64::NAN), value, "eps must be a finite number of at least 0, got NaN"),
        (batch_norm(&x, None, None, f64::INFINITY), value, "eps must be a finite number of at least 0, got inf"),
        (batch_norm(&x.to_dtype(DType::U8).unwrap(), None, None, 1e-5), dtype, "dtype U8 is not supported"),
        (
            batch_norm(&x, Some(&zeros(&[3]).to_dtype(DType::F64).unwrap()), None, 1e-5),
            |e| matches!(e, Error::DTypeMismatch { .. }),
            "batch_norm: arguments must share one dtype, got F32 and F64",
        ),
        (eval(&[0.; 2], &[1.; 3]), shape, "batch_norm: running mean must have shape [3], got [2]"),
        (eval(&[0.; 3], &[1.; 4]), shape, "batch_norm: running var must have shape [3], got [4]"),
        (eval(&[0.; 3], &[1., -2., 1.]), value, "batch_norm: running var must be at least 0, got -2"),
        (
            instance_norm(&zeros(&[2, 3]), None, None, 1e-5),
            rank,
            "instance_norm: input must have 3 or more dimensions, got shape [2, 3]",
        ),
        (
            instance_norm(&zeros(&[2, 3, 1]), None, None, 1e-5),
            few,
            "instance_norm: expected more than 1 value per channel and sample to normalise by, got input of shape [2, 3, 1]",
        ),
        (instance_norm_with_statistics(&zeros(&[0, 3, 4]), None, None, 1e-5).map(|(y, _)| y), few, "[0, 3, 4]"),
        (
            group_norm(&x, 2, None, None, 1e-5),
            |e| matches!(e, Error::Groups { .. }),
            "group_norm: groups (=2) must divide the input's channels (=3)",
        ),
        (
            group_norm(&x, 0, None, None, 1e-5),
            |e| matches!(e, Error::NotPositive { .. }),
            "group_norm: num_groups must be positive, got [0]",
        ),
        (
            layer_norm(&x, &[], None, None, 1e-5),
            rank,
            "layer_norm: normalized_shape must have 1 or more dimensions, got shape []",
        ),
        (
            layer_norm(&x, &[3, 5], None, None, 1e-5),
            shape,
            "layer_norm: input must have shape [2, 3, 5], got [2, 3, 4]",
        ),
        (layer_norm(&x, &[7, 2, 3, 4], None, None, 1e-5), shape, "must have shape [7, 2, 3, 4], got [2, 3, 4]"),
        (rms_norm(&x, &[4], Some(&five), None), shape, "rms_norm: weight must have shape [4], got [5]"),
    ];
    for (result, is, message) in cases {
        let error = result.unwrap_err();
        assert!(is(&error), "{message}: {error:?}");
        assert!(error.to_string().contains(message), "{error}");
    }
}
