//! How convolution, average pooling and maximum pooling relate: what each is a case of, what each commutes with, and what
//! each leaves as it is. That an average is at most the maximum, and with a fixed divisor a depthwise convolution, is in
//! `avg_pool.rs`.

#![allow(clippy::unwrap_used, clippy::panic, missing_docs, reason = "a test fails by panicking")]
#![allow(clippy::float_cmp, reason = "sums of small integers are exact")]

mod support;

use candle_core::{Device, Tensor, Var};
use proptest::prelude::*;
use support::close;
use support::layouts::{integers, values};
use taper_ops::{AvgPoolSpec, ConvSpec, MaxPoolSpec, PadMode, Result, avg_pool2d, conv2d, max_pool2d, pad2d, relu};

type Map = Box<dyn Fn(&Tensor) -> Result<Tensor>>;

/// Windows on a torus: an input that is a whole number of strides long, so that no window meets an end.
#[derive(Debug, Clone)]
struct Torus {
    channels: usize,
    kernel: [usize; 2],
    stride: [usize; 2],
    /// Windows an axis.
    output: [usize; 2],
    /// How far the image moves, in windows.
    moves: [usize; 2],
    seed: usize,
}

fn torus() -> impl Strategy<Value = Torus> {
    let axis = || (1..=3usize, 1..=3usize, 3..=5usize, 0..=4usize);
    (1..=3usize, axis(), axis(), 0..1000usize).prop_map(|(channels, h, w, seed)| Torus {
        channels,
        kernel: [h.0, w.0],
        stride: [h.1, w.1],
        output: [h.2, w.2],
        moves: [h.3, w.3],
        seed,
    })
}

impl Torus {
    fn x(&self) -> Tensor {
        integers(&[2, self.channels, self.output[0] * self.stride[0], self.output[1] * self.stride[1]], self.seed)
    }

    /// Convolution, average and maximum over the same windows.
    fn maps(&self) -> [Map; 3] {
        let Self { channels, kernel, stride, seed, .. } = *self;
        let weight = integers(&[channels + 1, channels, kernel[0], kernel[1]], seed + 1);
        let wrapped = move |x: &Tensor| pad2d(x, kernel.map(|k| (0, k - 1)), PadMode::Circular);
        [
            Box::new(move |x| conv2d(&wrapped(x)?, &weight, None, &ConvSpec::default().stride(stride))),
            Box::new(move |x| avg_pool2d(&wrapped(x)?, &AvgPoolSpec::new(kernel).stride(stride))),
            Box::new(move |x| max_pool2d(&wrapped(x)?, &MaxPoolSpec::new(kernel).stride(stride))),
        ]
    }
}

/// The image moved down and to the right, what leaves on one side entering on the other.
fn roll(x: &Tensor, by: [usize; 2]) -> Tensor {
    let [_, _, h, w] = x.dims()[..] else { panic!("{:?}", x.shape()) };
    let axis = |x: Tensor, axis, extent: usize, by: usize| {
        let from: Vec<u32> = (0..extent).map(|i| ((i + extent - by % extent) % extent) as u32).collect();
        x.index_select(&Tensor::new(from, &Device::Cpu).unwrap(), axis).unwrap()
    };
    axis(axis(x.clone(), 2, h, by[0]), 3, w, by[1])
}

/// The gradient of `f` at `x` for the cotangent `dy(y)`.
fn input_gradient(f: impl Fn(&Tensor) -> Result<Tensor>, x: &Tensor, dy: impl Fn(&Tensor) -> Tensor) -> Tensor {
    let x = Var::from_tensor(x).unwrap();
    let y = f(&x).unwrap();
    let dy = dy(&y);
    (y * dy).unwrap().backward().unwrap().get(&x).unwrap().clone()
}

fn config() -> ProptestConfig {
    ProptestConfig {
        cases: 128,
        rng_seed: proptest::test_runner::RngSeed::Fixed(20_261_124),
        ..ProptestConfig::default()
    }
}

proptest! {
    #![proptest_config(config())]

    /// All three are equivariant: an image moved by whole strides gives the values moved by whole windows.
    #[test]
    fn they_move_with_the_image(torus in torus()) {
        let x = torus.x();
        let by = [0, 1].map(|axis| torus.moves[axis] * torus.stride[axis]);
        for f in torus.maps() {
            prop_assert_eq!(values(&f(&roll(&x, by)).unwrap()), values(&roll(&f(&x).unwrap(), torus.moves)));
        }
    }

    /// Both poolings are symmetric: where windows lie side by side, an order of the elements within one is as good as another.
    #[test]
    fn poolings_do_not_see_the_order_within_a_window(torus in torus(), order in any::<u64>()) {
        let torus = Torus { stride: torus.kernel, ..torus };
        let (x, [h, w]) = (torus.x(), torus.kernel);
        let [rows, columns] = torus.output;
        // [N·C·rows, h, columns, w] → [N·C·rows·columns, h·w]
        let windows = x.reshape(((), h, columns, w)).unwrap().transpose(1, 2).unwrap().contiguous().unwrap();
        let mut places: Vec<u32> = (0..(h * w) as u32).collect();
        places.sort_by_key(|place| (order ^ u64::from(*place)).wrapping_mul(0x9e37_79b9_7f4a_7c15));
        let places = Tensor::new(places, &Device::Cpu).unwrap();
        let shuffled = windows.reshape(((), h * w)).unwrap().index_select(&places, 1).unwrap();
        let shuffled = shuffled.reshape(((), columns, h, w)).unwrap().transpose(1, 2).unwrap().contiguous().unwrap();
        let shuffled = shuffled.reshape((2, torus.channels, rows * h, columns * w)).unwrap();
        let [_, average, maximum] = torus.maps();
        for f in [average, maximum] {
            prop_assert_eq!(values(&f(&shuffled).unwrap()), values(&f(&x).unwrap()));
        }
    }

    /// A maximum does not change under a small move of the image, as long as it stays in the window and nothing larger
    /// enters; an average changes by what enters less what leaves.
    #[test]
    fn what_a_small_move_changes(torus in torus(), by in 1..=2usize) {
        let k = torus.kernel[1] + by;
        let torus = Torus { stride: [1, 1], kernel: [1, k], output: [torus.output[0], torus.output[1] + 2], ..torus };
        let (x, [_, average, maximum]) = (torus.x(), torus.maps());
        let both = |f: &Map| [&x, &roll(&x, [0, by])].map(|x| values(&f(x).unwrap()));
        let ([max, max_moved], [mean, mean_moved]) = (both(&maximum), both(&average));
        let (x, width) = (values(&x), torus.output[1]);
        for (i, (line, start)) in x.chunks_exact(width).flat_map(|line| (0..width).map(move |i| (line, i))).enumerate() {
            // Window `start` holds `k` elements from there on. They move to the right: the last `by` of them leave.
            let held = |from: usize, count: usize| (from..from + count).map(move |at| line[(start + at) % width]);
            let entering = || held(2 * width - by, by);
            let largest = |elements: &mut dyn Iterator<Item = f64>| elements.fold(f64::NEG_INFINITY, f64::max);
            if largest(&mut held(0, k - by)) == max[i] && largest(&mut entering()) <= max[i] {
                prop_assert_eq!(max_moved[i], max[i]);
            }
            let change = (entering().sum::<f64>() - held(k - by, by).sum::<f64>()) / k as f64;
            prop_assert!((mean_moved[i] - mean[i] - change).abs() <= 1e-12);
        }
    }

    /// A maximum commutes with whatever keeps order, such as ReLU, and an average with what is affine.
    #[test]
    fn what_they_commute_with(torus in torus()) {
        let (x, [_, average, maximum]) = (torus.x(), torus.maps());
        prop_assert_eq!(
            values(&maximum(&relu(&x).unwrap()).unwrap()),
            values(&relu(&maximum(&x).unwrap()).unwrap())
        );
        let affine = |x: &Tensor| x.affine(-2.5, 7.).unwrap();
        close("mean", &average(&affine(&x)).unwrap(), &affine(&average(&x).unwrap()), 1e-13);
    }

    /// A gradient is spread by the weights, equally, or goes to one element: the sum that arrives is the sum that was sent,
    /// for convolution times the sum of the weights.
    #[test]
    fn gradients_arrive_in_full(torus in torus()) {
        let x = torus.x();
        let sum = |x: &Tensor| values(x).iter().sum::<f64>();
        let dy = |y: &Tensor| integers(y.dims(), torus.seed + 2);
        let [_, average, maximum] = torus.maps();
        for f in [average, maximum] {
            let sent = sum(&dy(&f(&x).unwrap()));
            prop_assert!((sum(&input_gradient(&f, &x, dy)) - sent).abs() <= 1e-11);
        }
        let weight = integers(&[1, torus.channels, torus.kernel[0], torus.kernel[1]], torus.seed + 1);
        let conv = |x: &Tensor| {
            let x = pad2d(x, torus.kernel.map(|k| (0, k - 1)), PadMode::Circular)?;
            conv2d(&x, &weight, None, &ConvSpec::default().stride(torus.stride))
        };
        let sent = sum(&dy(&conv(&x).unwrap())) * sum(&weight);
        prop_assert_eq!(sum(&input_gradient(conv, &x, dy)), sent);
    }

    /// As it comes, average pooling is the depthwise convolution whose weights are all one over the window's size, its
    /// gradient that of the convolution.
    #[test]
    fn an_average_is_a_depthwise_convolution(torus in torus(), padded in any::<bool>()) {
        let Torus { channels, kernel, stride, .. } = torus;
        let padding = kernel.map(|k| if padded { k / 2 } else { 0 });
        let weight = Tensor::full(1. / (kernel[0] * kernel[1]) as f64, (channels, 1, kernel[0], kernel[1]), &Device::Cpu);
        let (x, weight) = (torus.x(), weight.unwrap());
        let conv = ConvSpec::default().stride(stride).padding(padding).groups(channels);
        let conv = |x: &Tensor| conv2d(x, &weight, None, &conv);
        let pool = AvgPoolSpec::new(kernel).stride(stride).padding(padding);
        let pool = |x: &Tensor| avg_pool2d(x, &pool);
        prop_assume!(conv(&x).is_ok());
        close("y", &pool(&x).unwrap(), &conv(&x).unwrap(), 1e-13);
        let dy = |y: &Tensor| integers(y.dims(), torus.seed + 2);
        close("dx", &input_gradient(pool, &x, dy), &input_gradient(conv, &x, dy), 1e-13);
    }
}

#[test]
fn a_move_of_less_than_a_stride_is_not_followed() {
    let torus = Torus { channels: 2, kernel: [3, 2], stride: [2, 3], output: [4, 5], moves: [0, 0], seed: 7 };
    let x = torus.x();
    for f in torus.maps() {
        let (still, moved) = (f(&x).unwrap(), values(&f(&roll(&x, [1, 0])).unwrap()));
        assert!((0..4).all(|by| values(&roll(&still, [by, 0])) != moved));
    }
}
