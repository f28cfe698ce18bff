//! Operators with ReLU and max pooling behind them as one: the bits of those one after the other, in value and gradient.

#![allow(clippy::unwrap_used, clippy::panic, missing_docs, reason = "a test fails by panicking")]

mod support;

use candle_core::{DType, Device, Tensor, Var};
use proptest::prelude::*;
use support::config;
use support::layouts::{reals, same_on_any_threads, scattered, values};
use taper_gradcheck::GradCheck;
use taper_ops::{
    ConvSpec, Error, MaxPoolSpec, add_relu, batch_norm, batch_norm_relu, batch_norm_with_statistics, conv_relu, conv1d,
    conv2d, conv3d, linear, linear_relu, max_pool1d, max_pool2d, max_pool3d, relu,
};

type Outcome = (Tensor, Vec<Tensor>);

/// The value of `f`, and the gradients of its inputs for a cotangent that differs from element to element.
fn outcome(f: impl Fn(&[Tensor]) -> taper_ops::Result<Tensor>, inputs: &[Tensor]) -> taper_ops::Result<Outcome> {
    let vars: Vec<Var> = inputs.iter().map(|input| Var::from_tensor(input).unwrap()).collect();
    let y = f(&vars.iter().map(|var| var.as_tensor().clone()).collect::<Vec<_>>())?;
    let cotangent = reals(y.dims(), 9).to_dtype(y.dtype()).unwrap();
    let grads = (&y * cotangent).unwrap().backward().unwrap();
    Ok((y.detach(), vars.iter().map(|var| grads.get(var).unwrap().clone()).collect()))
}

fn bits((y, grads): &Outcome) -> Vec<Vec<u64>> {
    // Which NaN an instruction gives, its sign say, is nobody's promise.
    let canonical = |x: f64| if x.is_nan() { f64::NAN.to_bits() } else { x.to_bits() };
    let of = |tensor: &Tensor| values(tensor).into_iter().map(canonical).collect();
    [y].into_iter().chain(grads).map(of).collect()
}

fn assert_same(
    fused: impl Fn(&[Tensor]) -> taper_ops::Result<Tensor>,
    apart: impl Fn(&[Tensor]) -> taper_ops::Result<Tensor>,
    inputs: &[Tensor],
) {
    match (outcome(fused, inputs), outcome(apart, inputs)) {
        (Ok(fused), Ok(apart)) => {
            assert_eq!(fused.0.dims(), apart.0.dims());
            assert!(bits(&fused) == bits(&apart), "fused {fused:?}\napart {apart:?}");
        }
        (Err(fused), Err(apart)) => assert_eq!(fused.to_string(), apart.to_string()),
        (fused, apart) => panic!("fused {fused:?}, apart {apart:?}"),
    }
}

/// Numbers with ties, among which some are not finite.
fn drawn(shape: &[usize], seed: u64, special: bool, dtype: DType) -> Tensor {
    let tensor = ((reals(shape, seed) * 4.).unwrap().round().unwrap() / 4.).unwrap();
    let mut values = values(&tensor);
    if special {
        let odd = [f64::NAN, f64::INFINITY, f64::NEG_INFINITY, -0.];
        values
            .iter_mut()
            .skip(seed as usize % 5)
            .step_by(13)
            .zip(odd.into_iter().cycle())
            .for_each(|(v, odd)| *v = odd);
    }
    Tensor::from_vec(values, shape, &Device::Cpu).unwrap().to_dtype(dtype).unwrap()
}

fn dtypes() -> impl Strategy<Value = DType> {
    prop_oneof![Just(DType::F32), Just(DType::F64), Just(DType::BF16), Just(DType::F16)]
}

/// Windows, where there are any; some are too large for their input.
fn pools() -> impl Strategy<Value = Option<MaxPoolSpec<2>>> {
    let pool = ([1..4usize, 1..4usize], [1..4usize, 1..3usize], [0..2usize, 0..2usize], any::<bool>()).prop_map(
        |(kernel, stride, padding, ceil)| {
            let padding = [padding[0].min(kernel[0] / 2), padding[1].min(kernel[1] / 2)];
            MaxPoolSpec::new(kernel).stride(stride).padding(padding).ceil_mode(ceil)
        },
    );
    prop::option::of(pool)
}

proptest! {
    #![proptest_config(config(96))]

    #[test]
    fn convolution(
        (n, groups, from, to) in (0..4usize, 1..3usize, 1..4usize, 1..5usize),
        (h, w, kernel, stride, padding) in (3..12usize, 3..12usize, [1..4usize, 1..4usize], 1..3usize, 0..2usize),
        (bias, batched, strided, special) in any::<(bool, bool, bool, bool)>(),
        pool in pools(),
        dtype in dtypes(),
        seed in any::<u64>(),
    ) {
        let spec = ConvSpec::<2>::default().stride(stride).padding(padding).groups(groups);
        let x = drawn(&[n, groups * from, h, w], seed, special, dtype);
        let x = if batched { x } else { drawn(&[groups * from, h, w], seed, special, dtype) };
        let weight = drawn(&[groups * to, from, kernel[0], kernel[1]], !seed, false, dtype);
        let mut inputs = vec![if strided { scattered(&x) } else { x }, weight];
        inputs.extend(bias.then(|| drawn(&[groups * to], seed ^ 7, false, dtype)));
        assert_same(
            |t| conv_relu(&t[0], &t[1], t.get(2), &spec, pool.as_ref()),
            |t| {
                let y = relu(&conv2d(&t[0], &t[1], t.get(2), &spec)?)?;
                pool.as_ref().map_or_else(|| Ok(y.clone()), |pool| max_pool2d(&y, pool))
            },
            &inputs,
        );
    }

    #[test]
    fn batch_normalisation(
        (n, c, h, w) in (1..4usize, 1..4usize, 1..8usize, 1..8usize),
        affine in 0..3usize,
        special in any::<bool>(),
        pool in pools(),
        dtype in dtypes(),
        seed in any::<u64>(),
    ) {
        let affines = [drawn(&[c], seed ^ 3, false, dtype), drawn(&[c], seed ^ 5, false, dtype)];
        let inputs: Vec<Tensor> =
            [drawn(&[n, c, h, w], seed, special, dtype)].into_iter().chain(affines.into_iter().take(affine)).collect();
        assert_same(
            |t| Ok(batch_norm_relu(&t[0], t.get(1), t.get(2), 1e-2, pool.as_ref())?.0),
            |t| {
                let y = relu(&batch_norm(&t[0], t.get(1), t.get(2), 1e-2)?)?;
                pool.as_ref().map_or_else(|| Ok(y.clone()), |pool| max_pool2d(&y, pool))
            },
            &inputs,
        );
    }

    #[test]
    fn affine_maps(
        (rows, from, to) in (0..5usize, 0..40usize, 1..9usize),
        (bias, special) in any::<(bool, bool)>(),
        dtype in dtypes(),
        seed in any::<u64>(),
    ) {
        let mut inputs = vec![drawn(&[rows, from], seed, special, dtype), drawn(&[to, from], !seed, false, dtype)];
        inputs.extend(bias.then(|| drawn(&[to], seed ^ 7, false, dtype)));
        assert_same(
            |t| linear_relu(&t[0], &t[1], t.get(2)),
            |t| relu(&linear(&t[0], &t[1], t.get(2))?),
            &inputs,
        );
    }
}

proptest! {
    #![proptest_config(config(48))]

    /// Not of nothing: candle's sum of two empty tensors is the first of them, whose gradient is lost.
    #[test]
    fn sums(
        (rows, columns) in (1..5usize, 1..40usize),
        (strided, special) in any::<(bool, bool)>(),
        dtype in dtypes(),
        seed in any::<u64>(),
    ) {
        let [a, b] = [seed, !seed].map(|seed| drawn(&[rows, columns], seed, special, dtype));
        assert_same(
            |t| add_relu(&t[0], &t[1]),
            |t| relu(&(&t[0] + &t[1])?),
            &[if strided { scattered(&a) } else { a }, b],
        );
    }
}

#[test]
fn one_and_three_axes() {
    let [x, weight] = [drawn(&[2, 3, 11], 1, false, DType::F32), drawn(&[4, 3, 2], 2, false, DType::F32)];
    let (spec, pool) = (ConvSpec::<1>::default(), MaxPoolSpec::<1>::new(3).stride(2));
    assert_same(
        |t| conv_relu(&t[0], &t[1], None, &spec, Some(&pool)),
        |t| max_pool1d(&relu(&conv1d(&t[0], &t[1], None, &spec)?)?, &pool),
        &[x, weight],
    );
    let [x, weight] = [drawn(&[2, 3, 5, 6, 7], 1, false, DType::F32), drawn(&[4, 3, 1, 2, 3], 2, false, DType::F32)];
    let (spec, pool) = (ConvSpec::<3>::default(), MaxPoolSpec::<3>::new([2, 3, 2]));
    assert_same(
        |t| conv_relu(&t[0], &t[1], None, &spec, Some(&pool)),
        |t| max_pool3d(&relu(&conv3d(&t[0], &t[1], None, &spec)?)?, &pool),
        &[x, weight],
    );
}

#[test]
fn a_sum_of_nothing_has_gradients() {
    let empty = Tensor::zeros((0, 3), DType::F32, &Device::Cpu).unwrap();
    let (y, grads) = outcome(|t| add_relu(&t[0], &t[1]), &[empty.clone(), empty]).unwrap();
    assert_eq!([y.dims(), grads[0].dims(), grads[1].dims()], [[0, 3]; 3]);
}

#[test]
fn statistics_are_those_of_the_batch() {
    let x = reals(&[3, 2, 4, 5], 1);
    let (_, fused) = batch_norm_relu(&x, None, None, 1e-5, Some(&MaxPoolSpec::<2>::new(2))).unwrap();
    let (_, apart) = batch_norm_with_statistics(&x, None, None, 1e-5).unwrap();
    assert_eq!(values(&fused.mean), values(&apart.mean));
    assert_eq!(values(&fused.var), values(&apart.var));
}

#[test]
fn gradients() {
    let inputs = [reals(&[2, 3, 6, 5], 1), reals(&[4, 3, 2, 3], 2), reals(&[4], 3)];
    let check = |name: &str| GradCheck::new(name).forbid_wasted_gradients();
    let (spec, pool) = (ConvSpec::<2>::default().padding(1), MaxPoolSpec::<2>::new([2, 3]).stride([2, 1]));
    for pool in [None, Some(&pool)] {
        let conv = |t: &[Tensor]| conv_relu(&t[0], &t[1], t.get(2), &spec, pool);
        check("conv_relu").check(conv, &inputs).unwrap().assert_passed();
        check("conv_relu").check_second_order(conv, &inputs).unwrap().assert_passed();
        let norm = |t: &[Tensor]| Ok::<_, Error>(batch_norm_relu(&t[0], t.get(1), t.get(2), 1e-2, pool)?.0);
        let inputs = [reals(&[2, 3, 6, 5], 1), reals(&[3], 2), reals(&[3], 3)];
        check("batch_norm_relu").check(norm, &inputs).unwrap().assert_passed();
        check("batch_norm_relu").check_second_order(norm, &inputs).unwrap().assert_passed();
    }
    let inputs = [reals(&[4, 3], 1), reals(&[5, 3], 2), reals(&[5], 3)];
    let map = |t: &[Tensor]| linear_relu(&t[0], &t[1], t.get(2));
    check("linear_relu").check(map, &inputs).unwrap().assert_passed();
    check("linear_relu").check_second_order(map, &inputs).unwrap().assert_passed();
    let inputs = [reals(&[4, 3], 1), reals(&[4, 3], 2)];
    let sum = |t: &[Tensor]| add_relu(&t[0], &t[1]);
    check("add_relu").check(sum, &inputs).unwrap().assert_passed();
    check("add_relu").check_second_order(sum, &inputs).unwrap().assert_passed();
}

#[test]
fn threads_do_not_matter() {
    let inputs = [reals(&[4, 32, 20, 20], 1), reals(&[33, 32, 3, 3], 2)].map(|t| t.to_dtype(DType::F32).unwrap());
    let (spec, pool) = (ConvSpec::<2>::default(), MaxPoolSpec::<2>::new(2));
    same_on_any_threads(|| {
        let f = |t: &[Tensor]| conv_relu(&t[0], &t[1], None, &spec, Some(&pool));
        let (y, grads) = outcome(f, &inputs).unwrap();
        [y].into_iter().chain(grads).collect()
    });
}

#[test]
fn what_the_operators_refuse_is_refused() {
    let x = reals(&[2, 3, 4, 5], 1);
    let weight = reals(&[4, 3, 3, 3], 2);
    let spec = ConvSpec::<2>::default();
    let error = conv_relu(&x, &weight, None, &spec, Some(&MaxPoolSpec::new(3))).unwrap_err();
    assert!(matches!(error, Error::KernelTooLarge { op: "max_pool2d", .. }), "{error}");
    let error = conv_relu(&x, &weight, None, &spec.groups(2), None).unwrap_err();
    assert!(error.to_string().starts_with("conv2d: groups (=2) must divide"), "{error}");
    let error = batch_norm_relu::<2>(&x, Some(&weight), None, 1e-5, None).unwrap_err();
    assert!(error.to_string().starts_with("batch_norm: "), "{error}");
    let error = add_relu(&x, &weight).unwrap_err();
    assert!(error.to_string().starts_with("add_relu: b must have shape"), "{error}");
    let error = linear_relu(&x, &weight, None).unwrap_err();
    assert!(error.to_string().starts_with("linear: "), "{error}");
}
