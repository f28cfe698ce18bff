//! Unfolding, folding and pixel shuffles against the reference's vectors, their formulas, each other, and bad arguments.

#![allow(clippy::unwrap_used, clippy::panic, missing_docs, reason = "a test fails by panicking")]
#![allow(clippy::float_cmp, reason = "copies round nothing, and sums of small integers are exact")]

mod support;

use candle_core::{DType, Device, Tensor, Var};
use proptest::prelude::*;
use proptest::sample::select;
use support::config;
use support::layouts::{halves_round_once, integers, reals, same_on_any_threads, values};
use support::pooling::layouts;
use support::{Case, Count};
use taper_gradcheck::{GradCheck, MemoryLayout};
use taper_ops::{ConvSpec, Error, Result, UnfoldSpec, conv2d, fold2d, pixel_shuffle, pixel_unshuffle, unfold2d};

fn spec_of(case: &Case) -> UnfoldSpec {
    UnfoldSpec::new(case.axes("kernel_size").unwrap())
        .dilation(case.axes("dilation").unwrap())
        .padding(case.axes("padding").unwrap())
        .stride(case.axes("stride").unwrap())
}

fn same_cause(case: &Case, error: &Error) {
    let message = case.error.as_ref().unwrap();
    let same = match error {
        Error::NotPositive { argument: "kernel_size", .. } => {
            message.contains("kernel size should be greater than zero")
        }
        Error::NotPositive { argument: "dilation", .. } => message.contains("dilation should be greater than zero"),
        Error::NotPositive { argument: "stride", .. } => message.contains("stride should be greater than zero"),
        Error::KernelTooLarge { .. } => message.contains("components must be at least one"),
        Error::Indivisible { .. } => message.contains("divisible by"),
        Error::Shape { .. } => message.contains("match the calculated number of sliding blocks"),
        _ => false,
    };
    assert!(same, "{}: {error}\nthe reference: {message}", case.id);
}

#[test]
fn golden() {
    let count = support::check(
        "unfold",
        |_| true,
        |case, inputs| unfold2d(&inputs["input"], &spec_of(case)).map(|y| Some(vec![y])),
        same_cause,
    );
    assert_eq!(count, Count { passed: 16, refused: 4 });
    let fold = |case: &Case, x: &Tensor| fold2d(x, case.axes("output_size").unwrap(), &spec_of(case));
    let count = support::check(
        "fold",
        |_| true,
        |case, inputs| fold(case, &inputs["input"]).map(|y| Some(vec![y])),
        same_cause,
    );
    assert_eq!(count, Count { passed: 16, refused: 6 });
    let count = support::check(
        "pixel_shuffle",
        |_| true,
        |case, inputs| {
            let y = match case.kwargs["upscale_factor"].as_u64() {
                Some(factor) => pixel_shuffle(&inputs["input"], factor as usize),
                None => pixel_unshuffle(&inputs["input"], case.kwargs["downscale_factor"].as_u64().unwrap() as usize),
            };
            y.map(|y| Some(vec![y]))
        },
        same_cause,
    );
    assert_eq!(count, Count { passed: 6, refused: 2 });
}

/// Windows over an image of `[lead…, channels, extents…]`.
#[derive(Debug, Clone)]
struct Geometry {
    lead: Vec<usize>,
    channels: usize,
    extents: [usize; 2],
    spec: UnfoldSpec,
}

impl Geometry {
    fn image(&self) -> Vec<usize> {
        [self.lead.as_slice(), &[self.channels], &self.extents].concat()
    }

    fn blocks(&self) -> [usize; 2] {
        let UnfoldSpec { kernel_size, dilation, padding, stride } = self.spec;
        [0, 1].map(|i| (self.extents[i] + 2 * padding[i] - dilation[i] * (kernel_size[i] - 1) - 1) / stride[i] + 1)
    }

    fn columns(&self) -> Vec<usize> {
        let ([k_h, k_w], [down, across]) = (self.spec.kernel_size, self.blocks());
        [self.lead.as_slice(), &[self.channels * k_h * k_w, down * across]].concat()
    }

    /// The flat position in the image that each element of the columns stands for.
    fn sources(&self) -> Vec<Option<usize>> {
        let UnfoldSpec { kernel_size: [k_h, k_w], dilation, padding, stride } = self.spec;
        let ([height, width], [down, across]) = (self.extents, self.blocks());
        let mut sources = Vec::new();
        for plane in 0..self.lead.iter().product::<usize>() * self.channels {
            for (p, q) in (0..k_h).flat_map(|p| (0..k_w).map(move |q| (p, q))) {
                for (i, j) in (0..down).flat_map(|i| (0..across).map(move |j| (i, j))) {
                    let h = (i * stride[0] + p * dilation[0]).checked_sub(padding[0]).filter(|h| *h < height);
                    let w = (j * stride[1] + q * dilation[1]).checked_sub(padding[1]).filter(|w| *w < width);
                    sources.push(h.zip(w).map(|(h, w)| (plane * height + h) * width + w));
                }
            }
        }
        sources
    }
}

fn geometry() -> impl Strategy<Value = Geometry> {
    let axis = (1..=4usize, 1..=3usize, 0..=3usize, 1..=4usize, 0..=5usize);
    let lead = prop_oneof![Just(vec![]), (0..=3usize).prop_map(|n| vec![n])];
    (lead, 1..=3usize, axis.clone(), axis).prop_map(|(lead, channels, h, w)| {
        let both = [h, w];
        let spec = UnfoldSpec::new(both.map(|axis| axis.0)).dilation(both.map(|axis| axis.1));
        let spec = spec.padding(both.map(|axis| axis.2)).stride(both.map(|axis| axis.3));
        // As much input as one window needs, and some more.
        let extents = both.map(|(k, d, p, _, slack)| (d * (k - 1) + 1).saturating_sub(2 * p).max(1) + slack);
        Geometry { lead, channels, extents, spec }
    })
}

/// What `direct` as the gradient of `x` makes of the leaf that `x` is a view of.
fn through_the_view(leaf: &Var, x: &Tensor, direct: Vec<f64>) -> Vec<f64> {
    let direct = Tensor::from_vec(direct, x.shape(), &Device::Cpu).unwrap().to_dtype(x.dtype()).unwrap();
    values((x * direct).unwrap().sum_all().unwrap().backward().unwrap().get(leaf).unwrap())
}

fn gradient(leaf: &Var, y: &Tensor, dy: &Tensor) -> Vec<f64> {
    let loss = (y * dy.to_dtype(y.dtype()).unwrap()).unwrap().sum_all().unwrap();
    values(loss.backward().unwrap().get(leaf).unwrap())
}

proptest! {
    #![proptest_config(config(256))]

    /// Both operators and their gradients are the formula's, bit for bit in both dtypes and however the input lies.
    #[test]
    fn the_formula(g in geometry(), layout in layouts(), dtype in select(vec![DType::F64, DType::F32])) {
        let sources = g.sources();
        let (image, columns) = (integers(&g.image(), 1), integers(&g.columns(), 2));
        let unfolded = |image: &[f64]| -> Vec<f64> {
            sources.iter().map(|source| source.map_or(0., |at| image[at])).collect()
        };
        let folded = |columns: &[f64]| {
            let mut image = vec![0.; g.image().iter().product()];
            sources.iter().zip(columns).filter_map(|(at, x)| Some((at.as_ref()?, x))).for_each(|(at, x)| image[*at] += x);
            image
        };
        let laid = |x: &Tensor, layout: MemoryLayout| {
            let leaf = Var::from_tensor(&x.to_dtype(dtype).unwrap()).unwrap();
            let x = layout.apply(&leaf).unwrap();
            (leaf, x)
        };
        let (leaf, x) = laid(&image, layout);
        let y = unfold2d(&x, &g.spec).unwrap();
        prop_assert_eq!(y.dims(), g.columns());
        prop_assert_eq!(values(&y), unfolded(&values(&x)));
        prop_assert_eq!(gradient(&leaf, &y, &columns), through_the_view(&leaf, &x, folded(&values(&columns))));
        let (leaf, x) = laid(&columns, layout);
        let y = fold2d(&x, g.extents, &g.spec).unwrap();
        prop_assert_eq!(y.dims(), g.image());
        prop_assert_eq!(values(&y), folded(&values(&x)));
        prop_assert_eq!(gradient(&leaf, &y, &image), through_the_view(&leaf, &x, unfolded(&values(&image))));
    }

    /// Convolution is a product with the columns.
    #[test]
    fn columns_are_those_of_a_convolution(g in geometry(), c_out in 1..=3usize) {
        let x = integers(&g.image(), 3);
        let [k_h, k_w] = g.spec.kernel_size;
        let weight = integers(&[c_out, g.channels, k_h, k_w], 4);
        let conv = ConvSpec::default().dilation(g.spec.dilation).padding(g.spec.padding).stride(g.spec.stride);
        let y = conv2d(&x, &weight, None, &conv).unwrap();
        let columns = unfold2d(&x, &g.spec).unwrap();
        if !g.lead.contains(&0) {
            let rows = weight.flatten_from(1).unwrap();
            let product = rows.broadcast_matmul(&columns.contiguous().unwrap()).unwrap();
            prop_assert_eq!(values(&product), values(&y));
        }
    }

    #[test]
    fn shuffles_are_the_formula(
        (lead, c, h, w, r) in (prop::collection::vec(0..=2usize, 0..=2), 1..=3usize, 1..=3usize, 1..=4usize, 1..=3usize),
        layout in layouts(),
    ) {
        let planes: usize = lead.iter().product();
        let small = [lead.as_slice(), &[c * r * r, h, w]].concat();
        let large = [lead.as_slice(), &[c, h * r, w * r]].concat();
        let x = layout.apply(&integers(&small, 5)).unwrap();
        let y = pixel_shuffle(&x, r).unwrap();
        prop_assert_eq!(y.dims(), large.as_slice());
        let (from, to) = (values(&x), values(&y));
        for n in 0..planes * c {
            for (i, j) in (0..h * r).flat_map(|i| (0..w * r).map(move |j| (i, j))) {
                let channel = (n * r + i % r) * r + j % r;
                prop_assert_eq!(to[(n * h * r + i) * w * r + j], from[(channel * h + i / r) * w + j / r]);
            }
        }
        prop_assert_eq!(values(&pixel_unshuffle(&layout.apply(&y).unwrap(), r).unwrap()), from);
    }
}

proptest! {
    #![proptest_config(config(16))]

    #[test]
    fn gradients(g in geometry()) {
        let check = GradCheck::new("unfold2d").forbid_wasted_gradients();
        let x = [reals(&g.image(), 6)];
        let unfold = |x: &[Tensor]| unfold2d(&x[0], &g.spec);
        check.clone().linear_in([0]).check(unfold, &x).unwrap().assert_passed();
        check.check_second_order(|x: &[Tensor]| unfold2d(&x[0].sqr()?, &g.spec), &x).unwrap().assert_passed();
        let curved = |x: &[Tensor]| unfold(x)?.sqr().map_err(Error::from);
        check.check_second_order(curved, &x).unwrap().assert_passed();
        let x = [reals(&g.columns(), 7)];
        let fold = |x: &[Tensor]| fold2d(&x[0], g.extents, &g.spec);
        check.clone().linear_in([0]).check(fold, &x).unwrap().assert_passed();
        let curved = |x: &[Tensor]| fold(x)?.sqr().map_err(Error::from);
        check.check_second_order(curved, &x).unwrap().assert_passed();
    }
}

#[test]
fn gradients_of_shuffles() {
    let check = GradCheck::new("pixel_shuffle").forbid_wasted_gradients();
    let x = [reals(&[2, 8, 3, 2], 8)];
    check.clone().linear_in([0]).check(|x: &[Tensor]| pixel_shuffle(&x[0], 2), &x).unwrap().assert_passed();
    let curved = |x: &[Tensor]| pixel_shuffle(&x[0], 2)?.sqr().map_err(Error::from);
    check.check_second_order(curved, &x).unwrap().assert_passed();
    let x = [reals(&[2, 1, 6, 3], 9)];
    check.clone().linear_in([0]).check(|x: &[Tensor]| pixel_unshuffle(&x[0], 3), &x).unwrap().assert_passed();
    let curved = |x: &[Tensor]| pixel_unshuffle(&x[0], 3)?.sqr().map_err(Error::from);
    check.check_second_order(curved, &x).unwrap().assert_passed();
}

#[test]
fn half_precision_rounds_once() {
    let spec = UnfoldSpec::new([3, 2]).padding([1, 0]).stride([1, 2]);
    halves_round_once(|x| unfold2d(&x[0], &spec).unwrap(), &[reals(&[2, 3, 5, 6], 10)]);
    halves_round_once(|x| fold2d(&x[0], [5, 6], &spec).unwrap(), &[reals(&[2, 18, 15], 11)]);
    halves_round_once(|x| pixel_shuffle(&x[0], 2).unwrap(), &[reals(&[2, 8, 3, 2], 12)]);
}

#[test]
fn a_batch_of_nothing_goes_forward_and_backward() {
    let spec = UnfoldSpec::new([3, 2]);
    let x = Var::zeros((0, 3, 5, 7), DType::F32, &Device::Cpu).unwrap();
    let y = unfold2d(&x, &spec).unwrap();
    assert_eq!(y.dims(), [0, 18, 18]);
    assert_eq!(y.backward().unwrap().get(&x).unwrap().dims(), [0, 3, 5, 7]);
    assert_eq!(fold2d(&y, [5, 7], &spec).unwrap().dims(), [0, 3, 5, 7]);
}

#[test]
fn results_do_not_depend_on_the_number_of_threads() {
    let x = Var::from_tensor(&reals(&[3, 10, 37, 41], 13).to_dtype(DType::F32).unwrap()).unwrap();
    same_on_any_threads(|| {
        let y = unfold2d(&x, &UnfoldSpec::new([3, 2]).padding(1).stride([1, 2])).unwrap();
        let dx = y.sqr().unwrap().backward().unwrap().get(&x).unwrap().clone();
        vec![y, dx]
    });
}

#[test]
fn refusals_name_the_values() {
    let zeros = |shape: &[usize]| Tensor::zeros(shape, DType::F32, &Device::Cpu).unwrap();
    let (x, columns) = (zeros(&[2, 3, 6, 7]), zeros(&[2, 12, 35]));
    let new = |kernel: [usize; 2]| UnfoldSpec::new(kernel);
    let max = usize::MAX;
    let unfold = |x: &Tensor, spec: UnfoldSpec| unfold2d(x, &spec);
    type Is = fn(&Error) -> bool;
    let cases: Vec<(Result<Tensor>, Is, &str)> = vec![
        (
            unfold(&zeros(&[6, 7]), new([2, 3])),
            |e| matches!(e, Error::Rank { .. }),
            "unfold2d: input must have 3 or 4 dimensions, got shape [6, 7]",
        ),
        (
            unfold(&zeros(&[2, 3, 0, 7]), new([2, 3])),
            |e| matches!(e, Error::NotPositive { .. }),
            "unfold2d: the image's extents must be positive, got [0, 7]",
        ),
        (
            unfold(&x, new([2, 3]).padding([1, max])),
            |e| matches!(e, Error::Overflow { .. }),
            "unfold2d: the size of the padded input overflows; use smaller extents",
        ),
        (
            unfold(&x, new([max, 3]).dilation(2)),
            |e| matches!(e, Error::Overflow { .. }),
            "unfold2d: the size of the dilated kernel overflows",
        ),
        (
            unfold(&x, new([1 << 30, 3]).padding([1 << 30, 0])),
            |e| matches!(e, Error::Overflow { .. }),
            "unfold2d: the size of the columns overflows",
        ),
        (
            unfold(&x.to_dtype(DType::U8).unwrap(), new([2, 3])),
            |e| matches!(e, Error::DType { .. }),
            "unfold2d: dtype U8 is not supported",
        ),
        (
            fold2d(&zeros(&[12]), [6, 8], &new([2, 2])),
            |e| matches!(e, Error::Rank { .. }),
            "fold2d: input must have 2 or 3 dimensions, got shape [12]",
        ),
        (
            fold2d(&columns, [6, 9], &new([2, 2])),
            |e| matches!(e, Error::Shape { .. }),
            "fold2d: input must have shape [2, 12, 40], got [2, 12, 35]",
        ),
        (
            fold2d(&columns, [6, 8], &new([2, 5])),
            |e| matches!(e, Error::Indivisible { .. }),
            "fold2d: the length of a column (=12) must be divisible by 10",
        ),
        (
            fold2d(&columns, [1 << 40, 1 << 40], &new([2, 2])),
            |e| matches!(e, Error::Overflow { .. }),
            "fold2d: the size of the columns overflows",
        ),
        (
            pixel_shuffle(&x, 2),
            |e| matches!(e, Error::Indivisible { .. }),
            "pixel_shuffle: channels (=3) must be divisible by 4",
        ),
        (
            pixel_unshuffle(&x, 2),
            |e| matches!(e, Error::Indivisible { .. }),
            "pixel_unshuffle: width (=7) must be divisible by 2",
        ),
        (
            pixel_shuffle(&x, 0),
            |e| matches!(e, Error::NotPositive { .. }),
            "pixel_shuffle: upscale_factor must be positive, got [0]",
        ),
        (
            pixel_shuffle(&zeros(&[6, 7]), 2),
            |e| matches!(e, Error::Rank { .. }),
            "pixel_shuffle: input must have 3 or more dimensions, got shape [6, 7]",
        ),
        (
            pixel_unshuffle(&x, max),
            |e| matches!(e, Error::Overflow { .. }),
            "pixel_unshuffle: the size of the square of the factor overflows",
        ),
    ];
    for (result, is, message) in cases {
        let error = result.unwrap_err();
        assert!(is(&error), "{message}: {error:?}");
        assert!(error.to_string().starts_with(message), "{error}\n{message}");
    }
}
