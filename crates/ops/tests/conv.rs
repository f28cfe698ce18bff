//! conv2d and its two gradients against the formula, their own adjoints, and bad arguments.

#![allow(clippy::unwrap_used, clippy::panic, missing_docs, reason = "a test fails by panicking")]
#![allow(clippy::float_cmp, reason = "sums of small integers are exact")]

mod support;

use candle_core::{DType, Device, Tensor, Var};
use proptest::prelude::*;
use support::close;
use support::config;
use support::layouts::same_on_any_threads;
use taper_ops::{ConvSpec, Error, Padding, conv2d, conv2d_input_grad, conv2d_weight_grad};

/// One convolution, small enough for the naive reference.
#[derive(Debug, Clone)]
struct Geometry {
    n: usize,
    groups: usize,
    c_in_group: usize,
    c_out_group: usize,
    input: [usize; 2],
    kernel: [usize; 2],
    stride: [usize; 2],
    padding: [(usize, usize); 2],
    dilation: [usize; 2],
}

impl Geometry {
    fn spec(&self) -> ConvSpec<2> {
        ConvSpec::default().stride(self.stride).padding(self.padding).dilation(self.dilation).groups(self.groups)
    }

    fn x(&self) -> [usize; 4] {
        [self.n, self.groups * self.c_in_group, self.input[0], self.input[1]]
    }

    fn weight(&self) -> [usize; 4] {
        [self.groups * self.c_out_group, self.c_in_group, self.kernel[0], self.kernel[1]]
    }

    fn output(&self, axis: usize) -> usize {
        let padded = self.input[axis] + self.padding[axis].0 + self.padding[axis].1;
        (padded - self.dilation[axis] * (self.kernel[axis] - 1) - 1) / self.stride[axis] + 1
    }

    fn y(&self) -> [usize; 4] {
        [self.n, self.groups * self.c_out_group, self.output(0), self.output(1)]
    }

    /// The formula of the documentation, term by term.
    fn naive(&self, x: &[f64], w: &[f64]) -> Vec<f64> {
        let ([_, c_in, h, wd], [_, c_out, h_out, w_out]) = (self.x(), self.y());
        let mut y = vec![0.; self.y().iter().product()];
        for (at, y) in y.iter_mut().enumerate() {
            let (j, i, o, n) = (at % w_out, at / w_out % h_out, at / w_out / h_out % c_out, at / w_out / h_out / c_out);
            let group = o / self.c_out_group;
            for c in 0..self.c_in_group {
                for p in 0..self.kernel[0] {
                    for q in 0..self.kernel[1] {
                        let row = (i * self.stride[0] + p * self.dilation[0]).checked_sub(self.padding[0].0);
                        let column = (j * self.stride[1] + q * self.dilation[1]).checked_sub(self.padding[1].0);
                        let (Some(row), Some(column)) = (row, column) else { continue };
                        if row < h && column < wd {
                            let channel = group * self.c_in_group + c;
                            *y += x[((n * c_in + channel) * h + row) * wd + column]
                                * w[((o * self.c_in_group + c) * self.kernel[0] + p) * self.kernel[1] + q];
                        }
                    }
                }
            }
        }
        y
    }
}

fn geometry() -> impl Strategy<Value = Geometry> {
    let axis = || (1..5usize, 1..4usize, 1..4usize, 0..4usize, 0..3usize, 0..8usize);
    (1..4usize, 1..4usize, 1..4usize, 1..4usize, [axis(), axis()]).prop_map(
        |(n, groups, c_in_group, c_out_group, axes)| Geometry {
            n,
            groups,
            c_in_group,
            c_out_group,
            kernel: axes.map(|(k, ..)| k),
            stride: axes.map(|(_, s, ..)| s),
            dilation: axes.map(|(_, _, d, ..)| d),
            padding: axes.map(|(_, _, _, before, after, _)| (before, after)),
            // At least as much as the kernel needs beside the padding.
            input: axes
                .map(|(k, _, d, before, after, extra)| (d * (k - 1) + 1).saturating_sub(before + after).max(1) + extra),
        },
    )
}

/// Small integers: sums are exact in float32, so two right algorithms agree in every bit.
fn integers(shape: [usize; 4], seed: usize) -> Tensor {
    let count = shape.iter().product();
    let values: Vec<f64> = (0..count).map(|i| ((i * 7919 + seed * 104_729 + i / 5) % 7) as f64 - 3.).collect();
    Tensor::from_vec(values, &shape, &Device::Cpu).unwrap()
}

fn values(tensor: &Tensor) -> Vec<f64> {
    tensor.to_dtype(DType::F64).unwrap().flatten_all().unwrap().to_vec1().unwrap()
}

/// The same values in an order of memory that is not row-major, at an offset.
fn scattered(tensor: &Tensor) -> Tensor {
    let padded = Tensor::cat(&[tensor, tensor], 0).unwrap();
    let turned = padded.permute((3, 1, 2, 0)).unwrap().contiguous().unwrap().permute((3, 1, 2, 0)).unwrap();
    let n = tensor.dims()[0];
    turned.narrow(0, n, n).unwrap()
}

fn dot(a: &Tensor, b: &Tensor) -> f64 {
    values(a).iter().zip(values(b)).map(|(a, b)| a * b).sum()
}

proptest! {
    #![proptest_config(config(400))]

    #[test]
    fn the_forward_is_the_formula(g in geometry(), dtype in prop_oneof![Just(DType::F32), Just(DType::F64)]) {
        let (x, w) = (integers(g.x(), 1), integers(g.weight(), 2));
        let expected = g.naive(&values(&x), &values(&w));
        let (x, w) = (x.to_dtype(dtype).unwrap(), w.to_dtype(dtype).unwrap());
        let y = conv2d(&x, &w, None, &g.spec()).unwrap();
        prop_assert_eq!(y.dims(), &g.y());
        prop_assert_eq!(values(&y), expected.clone());
        let strided = conv2d(&scattered(&x), &scattered(&w), None, &g.spec()).unwrap();
        prop_assert_eq!(values(&strided), expected);
    }

    /// ⟨conv(u, w), v⟩ = ⟨u, input_grad(v, w)⟩ = ⟨w, weight_grad(u, v)⟩, exactly on integers: with the forward right,
    /// this alone determines both gradients.
    #[test]
    fn the_gradients_are_adjoint(g in geometry()) {
        let (u, w, v) = (integers(g.x(), 3), integers(g.weight(), 4), integers(g.y(), 5));
        let y = conv2d(&u, &w, None, &g.spec()).unwrap();
        let dx = conv2d_input_grad(&scattered(&v), &w, g.input, &g.spec()).unwrap();
        let dw = conv2d_weight_grad(&u, &scattered(&v), g.kernel, &g.spec()).unwrap();
        prop_assert_eq!(dx.dims(), &g.x());
        prop_assert_eq!(dw.dims(), &g.weight());
        prop_assert_eq!(dot(&y, &v), dot(&u, &dx));
        prop_assert_eq!(dot(&y, &v), dot(&w, &dw));
    }

    /// candle's backward hands each argument the function that is named after it, and the bias its sum.
    #[test]
    fn backward_uses_them(g in geometry()) {
        let var = |tensor: Tensor| Var::from_tensor(&tensor).unwrap();
        let (x, w) = (var(integers(g.x(), 6)), var(integers(g.weight(), 7)));
        let b = Var::from_tensor(&integers([g.y()[1], 1, 1, 1], 8).flatten_all().unwrap()).unwrap();
        let v = integers(g.y(), 9);
        let y = conv2d(&x, &w, Some(&b), &g.spec()).unwrap();
        let grads = (y * &v).unwrap().sum_all().unwrap().backward().unwrap();
        let dx = conv2d_input_grad(&v, &w, g.input, &g.spec()).unwrap();
        let dw = conv2d_weight_grad(&x, &v, g.kernel, &g.spec()).unwrap();
        prop_assert_eq!(values(grads.get(&x).unwrap()), values(&dx));
        prop_assert_eq!(values(grads.get(&w).unwrap()), values(&dw));
        prop_assert_eq!(values(grads.get(&b).unwrap()), values(&v.sum((0, 2, 3)).unwrap()));
    }

    /// The three functions differentiate into one another: each backward is held against the pair of the others.
    #[test]
    fn they_close_under_differentiation(g in geometry()) {
        let var = |shape, seed| Var::from_tensor(&integers(shape, seed)).unwrap();
        let (x, w, dy) = (var(g.x(), 10), var(g.weight(), 11), var(g.y(), 12));
        let (u, v) = (integers(g.x(), 13), integers(g.weight(), 14));
        let grads_of = |y: Tensor, cotangent: &Tensor| (y * cotangent).unwrap().sum_all().unwrap().backward().unwrap();

        let grads = grads_of(conv2d_input_grad(&dy, &w, g.input, &g.spec()).unwrap(), &u);
        prop_assert_eq!(values(grads.get(&dy).unwrap()), values(&conv2d(&u, &w, None, &g.spec()).unwrap()));
        let dw = conv2d_weight_grad(&u, &dy, g.kernel, &g.spec()).unwrap();
        prop_assert_eq!(values(grads.get(&w).unwrap()), values(&dw));

        let grads = grads_of(conv2d_weight_grad(&x, &dy, g.kernel, &g.spec()).unwrap(), &v);
        let dx = conv2d_input_grad(&dy, &v, g.input, &g.spec()).unwrap();
        prop_assert_eq!(values(grads.get(&x).unwrap()), values(&dx));
        prop_assert_eq!(values(grads.get(&dy).unwrap()), values(&conv2d(&x, &v, None, &g.spec()).unwrap()));
    }
}

/// Sizes that meet every way of cutting the work: many samples, one sample with many channels, tiles of several blocks,
/// pointwise kernels, many groups.
#[test]
fn the_bits_do_not_depend_on_threads() {
    let cases = [
        ([9, 3, 20, 17], [8, 3, 5, 3], 1),
        ([1, 24, 30, 33], [48, 24, 3, 3], 1),
        ([2, 32, 14, 15], [64, 32, 1, 1], 1),
        ([3, 32, 11, 9], [64, 1, 3, 5], 32),
    ];
    for (x_shape, w_shape, groups) in cases {
        let random = |shape: [usize; 4]| Tensor::randn(0f32, 1., &shape, &Device::Cpu).unwrap();
        let (x, w) = (random(x_shape), random(w_shape));
        let spec = ConvSpec::default().groups(groups);
        let run = |threads: usize| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            pool.install(|| {
                let y = conv2d(&x, &w, None, &spec).unwrap();
                let dx = conv2d_input_grad(&y, &w, [x_shape[2], x_shape[3]], &spec).unwrap();
                let dw = conv2d_weight_grad(&x, &y, [w_shape[2], w_shape[3]], &spec).unwrap();
                [y, dx, dw].map(|t| t.flatten_all().unwrap().to_vec1::<f32>().unwrap())
            })
        };
        let one = run(1);
        for threads in [2, 3, 8] {
            assert!(run(threads) == one, "{x_shape:?} {w_shape:?}: {threads} threads");
        }
        // The sizes that the golden cases are too small for, against the exact answer on integers.
        let (x, w) = (integers(x_shape, 1), integers(w_shape, 2));
        let g = Geometry {
            n: x_shape[0],
            groups,
            c_in_group: w_shape[1],
            c_out_group: w_shape[0] / groups,
            input: [x_shape[2], x_shape[3]],
            kernel: [w_shape[2], w_shape[3]],
            stride: [1, 1],
            padding: [(0, 0); 2],
            dilation: [1, 1],
        };
        let y = conv2d(&x, &w, None, &spec).unwrap();
        assert!(values(&y) == g.naive(&values(&x), &values(&w)), "{x_shape:?} {w_shape:?}");
        let v = integers(g.y(), 3);
        let dx = conv2d_input_grad(&v, &w, g.input, &spec).unwrap();
        let dw = conv2d_weight_grad(&x, &v, g.kernel, &spec).unwrap();
        assert!(dot(&y, &v) == dot(&x, &dx) && dot(&y, &v) == dot(&w, &dw), "{x_shape:?} {w_shape:?}");
    }
}

#[test]
fn height_and_width_that_leave_different_remainders() {
    let x = Var::from_tensor(&integers([2, 3, 7, 8], 1)).unwrap();
    let w = integers([4, 3, 3, 3], 2);
    let spec = ConvSpec::default().stride(2).padding(1);
    let y = conv2d(&x, &w, None, &spec).unwrap();
    assert_eq!(y.dims(), [2, 4, 4, 4]);
    let v = integers([2, 4, 4, 4], 3);
    let grads = (&y * &v).unwrap().sum_all().unwrap().backward().unwrap();
    assert_eq!(dot(&x, grads.get(&x).unwrap()), dot(&y, &v));
}

#[test]
fn an_untracked_input_gets_no_gradient() {
    let (x, w) = (integers([2, 3, 5, 6], 1), Var::from_tensor(&integers([4, 3, 3, 2], 2)).unwrap());
    let y = conv2d(&x, &w, None, &ConvSpec::default()).unwrap();
    let grads = y.sum_all().unwrap().backward().unwrap();
    assert!(grads.get(&x).is_none() && grads.get(&w).is_some());
}

#[test]
fn a_tensor_used_twice_gets_both_gradients() {
    let x = Var::from_tensor(&integers([2, 2, 4, 5], 1)).unwrap();
    let (w, spec) = (integers([3, 2, 2, 3], 2), ConvSpec::default());
    let once = conv2d(&x, &w, None, &spec).unwrap().sum_all().unwrap().backward().unwrap();
    let twice = (conv2d(&x, &w, None, &spec).unwrap() + conv2d(&x, &w, None, &spec).unwrap()).unwrap();
    let twice = twice.sum_all().unwrap().backward().unwrap();
    close("fan-out", twice.get(&x).unwrap(), &(once.get(&x).unwrap() * 2.).unwrap(), 0.);
}

#[test]
fn nothing_in_nothing_out() {
    let device = Device::Cpu;
    let x = Var::zeros((0, 3, 5, 6), DType::F32, &device).unwrap();
    let w = Var::ones((4, 3, 3, 2), DType::F32, &device).unwrap();
    let b = Var::ones(4, DType::F32, &device).unwrap();
    let y = conv2d(&x, &w, Some(&b), &ConvSpec::default()).unwrap();
    assert_eq!(y.dims(), [0, 4, 3, 5]);
    let grads = y.sum_all().unwrap().backward().unwrap();
    assert_eq!(grads.get(&x).unwrap().dims(), [0, 3, 5, 6]);
    assert_eq!(values(grads.get(&w).unwrap()), vec![0.; 4 * 3 * 3 * 2]);
    assert_eq!(values(grads.get(&b).unwrap()), vec![0.; 4]);
    // No input channels: only the bias is left. No output channels: nothing is.
    let (x, w) = (
        Tensor::zeros((2, 0, 300, 300), DType::F32, &device).unwrap(),
        Tensor::zeros((2, 0, 1, 1), DType::F32, &device).unwrap(),
    );
    let y = conv2d(&x, &w, Some(&Tensor::new(&[1f32, 2.], &device).unwrap()), &ConvSpec::default()).unwrap();
    assert_eq!(y.sum_all().unwrap().to_scalar::<f32>().unwrap(), 2. * 300. * 300. * 3.);
    let (dy, w) = (
        Tensor::zeros((2, 0, 4, 5), DType::F32, &device).unwrap(),
        Tensor::zeros((0, 3, 2, 1), DType::F32, &device).unwrap(),
    );
    let dx = conv2d_input_grad(&dy, &w, [5, 5], &ConvSpec::default()).unwrap();
    assert_eq!(values(&dx), vec![0.; 2 * 3 * 5 * 5]);
}

#[test]
fn refusals_name_the_values() {
    let device = Device::Cpu;
    let zeros = |dims: &[usize]| Tensor::zeros(dims, DType::F32, &device).unwrap();
    let message = |x: &[usize], w: &[usize], spec: ConvSpec<2>| {
        conv2d(&zeros(x), &zeros(w), None, &spec).unwrap_err().to_string()
    };
    let spec = ConvSpec::default;
    assert_eq!(message(&[5, 6], &[4, 3, 3, 3], spec()), "conv2d: input must have 3 or 4 dimensions, got shape [5, 6]");
    assert_eq!(
        message(&[1, 3, 5, 6], &[4, 3, 3], spec()),
        "conv2d: weight must have 4 dimensions, got shape [4, 3, 3]"
    );
    assert_eq!(
        message(&[1, 3, 5, 6], &[4, 3, 3, 2], spec().stride([1, 0])),
        "conv2d: stride must be positive, got [1, 0]"
    );
    assert_eq!(
        message(&[1, 4, 5, 6], &[6, 4, 3, 2], spec().groups(3)),
        "conv2d: groups (=3) must divide in_channels (=4)"
    );
    assert_eq!(
        message(&[1, 6, 5, 6], &[4, 2, 3, 2], spec().groups(3)),
        "conv2d: groups (=3) must divide out_channels (=4)"
    );
    assert_eq!(
        message(&[1, 3, 5, 6], &[4, 4, 3, 2], spec()),
        "conv2d: weight [4, 4, 3, 2] with groups (=1) takes 4 input channels, got 3"
    );
    assert_eq!(
        message(&[1, 3, 5, 6], &[4, 3, 3, 2], spec().dilation(9)),
        "conv2d: the kernel spans [19, 10] (dilation counted) but the padded input is only [5, 6]; \
         pad more, or use a smaller kernel or dilation"
    );
    let same = spec().stride([2, 1]).padding(Padding::Same);
    assert_eq!(
        message(&[1, 3, 5, 6], &[4, 3, 3, 2], same),
        "conv2d: padding 'same' needs stride 1, got [2, 1]; give the padding as numbers"
    );
    for spec in [spec().dilation(usize::MAX), spec().padding([(usize::MAX, 1), (0, 0)]), spec().padding(usize::MAX / 8)]
    {
        assert!(message(&[1, 3, 5, 6], &[4, 3, 3, 2], spec).contains("overflows"));
    }
    let x = zeros(&[1, 3, 5, 6]);
    let w = zeros(&[4, 3, 3, 2]);
    let error = conv2d(&x, &w, Some(&zeros(&[3])), &spec()).unwrap_err();
    assert_eq!(error.to_string(), "conv2d: bias must have shape [4], got [3]");
    let error = conv2d(&x, &w.to_dtype(DType::F64).unwrap(), None, &spec()).unwrap_err();
    assert!(matches!(error, Error::DTypeMismatch { left: DType::F32, right: DType::F64, .. }));
    let (x, w) = (x.to_dtype(DType::U8).unwrap(), w.to_dtype(DType::U8).unwrap());
    assert!(matches!(conv2d(&x, &w, None, &spec()).unwrap_err(), Error::DType { dtype: DType::U8, .. }));
    // One output position, and an input whose elements nobody could count.
    let huge = conv2d_input_grad(&zeros(&[1, 4, 1, 1]), &zeros(&[4, 3, 1, 1]), [1 << 31; 2], &spec().stride(1 << 31));
    assert_eq!(
        huge.unwrap_err().to_string(),
        "conv2d_input_grad: the size of the input overflows; use smaller extents"
    );
    let error = conv2d_input_grad(&zeros(&[1, 4, 3, 4]), &zeros(&[4, 3, 3, 2]), [5, 6], &spec()).unwrap_err();
    assert_eq!(error.to_string(), "conv2d_input_grad: dy must have shape [1, 4, 3, 5], got [1, 4, 3, 4]");
}

/// A padded copy of the input would not fit any memory; what the windows meet is one element.
#[test]
fn huge_strides_and_dilations_cost_nothing() {
    let huge = 1 << 28;
    let far = ConvSpec::<2>::default().stride([3, huge]).padding(1);
    let apart = ConvSpec::<2>::default().dilation([huge, 1]).padding([(huge, 0), (1, 1)]);
    for dtype in [DType::F32, DType::F64] {
        for (spec, groups) in [(far, 1), (far, 5), (apart, 1), (apart, 5)] {
            let spec = spec.groups(groups);
            let ones = |shape: &[usize]| Var::ones(shape, dtype, &Device::Cpu).unwrap();
            let (x, w) = (ones(&[2, 20, 4, 3]), ones(&[10, 20 / groups, 2, 3]));
            let y = conv2d(&x, &w, None, &spec).unwrap();
            let grads = y.sum_all().unwrap().backward().unwrap();
            let total = |tensor: &Tensor| support::layouts::values(tensor).iter().sum::<f64>();
            // Each product of an element and a weight is counted once, in the output and in both gradients.
            let products = total(&y);
            assert!(products > 0.);
            assert_eq!(total(grads.get(&x).unwrap()), products, "{spec:?}");
            assert_eq!(total(grads.get(&w).unwrap()), products, "{spec:?}");
        }
    }
}

/// 3×3 kernels over channels enough for Winograd's algorithm.
fn many_channels() -> [Tensor; 3] {
    [integers([3, 40, 11, 9], 1), integers([36, 40, 3, 3], 2), integers([3, 36, 11, 7], 3)]
        .map(|tensor| tensor.to_dtype(DType::F32).unwrap())
}

#[test]
fn many_channels_are_exact_when_asked_and_within_the_bound_otherwise() {
    let run = |spec: ConvSpec<2>, dtype: DType| {
        let [x, w, dy] = many_channels().map(|tensor| tensor.to_dtype(dtype).unwrap());
        let y = conv2d(&x, &w, None, &spec).unwrap();
        let dx = conv2d_input_grad(&dy, &w, [11, 9], &spec).unwrap();
        [y, dx, conv2d_weight_grad(&x, &dy, [3, 3], &spec).unwrap()]
    };
    let spec = ConvSpec::default().padding([1, 0]);
    let [formula, exact, fast] = [run(spec, DType::F64), run(spec.exact(true), DType::F32), run(spec, DType::F32)];
    for ((formula, exact), fast) in formula.iter().zip(&exact).zip(&fast) {
        close("exact", &exact.to_dtype(DType::F64).unwrap(), formula, 0.);
        close("fast", &fast.to_dtype(DType::F64).unwrap(), formula, 2e-5);
        let difference = (exact - fast).unwrap().abs().unwrap().max_all().unwrap();
        assert!(difference.to_scalar::<f32>().unwrap() > 0., "the switch changes nothing");
    }
}

#[test]
fn many_channels_give_the_same_bits_on_any_threads() {
    // Samples, blocks of channels and slices of the batch are all cut; values whose sums tell their order.
    let thirds = |shape: [usize; 4], seed| (integers(shape, seed).to_dtype(DType::F32).unwrap() / 3.).unwrap();
    for (n, extent) in [(5, [29, 23]), (1, [13, 17])] {
        let [height, width] = extent;
        let x = thirds([n, 96, height, width], 1);
        let w = thirds([64, 96, 3, 3], 2);
        let dy = thirds([n, 64, height, width - 2], 3);
        let spec = ConvSpec::default().padding([1, 0]);
        same_on_any_threads(|| {
            let y = conv2d(&x, &w, None, &spec).unwrap();
            let dx = conv2d_input_grad(&dy, &w, extent, &spec).unwrap();
            vec![y, dx, conv2d_weight_grad(&x, &dy, [3, 3], &spec).unwrap()]
        });
    }
}

#[test]
fn a_depthwise_convolution_may_have_no_output_channels() {
    let spec = ConvSpec::default().groups(2);
    let dy = Tensor::zeros((1, 0, 2, 3), DType::F32, &Device::Cpu).unwrap();
    let w = Tensor::zeros((0, 1, 3, 3), DType::F32, &Device::Cpu).unwrap();
    let dx = conv2d_input_grad(&dy, &w, [4, 5], &spec).unwrap();
    assert_eq!(dx.dims(), [1, 2, 4, 5]);
    assert_eq!(dx.abs().unwrap().sum_all().unwrap().to_scalar::<f32>().unwrap(), 0.);
}
