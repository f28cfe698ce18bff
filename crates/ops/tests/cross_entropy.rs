//! cross_entropy against the reference's vectors, the formula, finite differences, and bad arguments.

#![allow(clippy::unwrap_used, clippy::panic, missing_docs, reason = "a test fails by panicking")]
#![allow(clippy::float_cmp, reason = "what must be exact is compared exactly")]

mod support;

use candle_core::{DType, Device, Tensor, Var};
use proptest::prelude::*;
use support::config;
use support::layouts::{reals, same_on_any_threads, scattered, turned, values};
use support::{Case, Count};
use taper_gradcheck::GradCheck;
use taper_ops::{CrossEntropySpec, Error, Reduction, Result, cross_entropy};

fn reduction(name: &str) -> Reduction {
    match name {
        "none" => Reduction::None,
        "sum" => Reduction::Sum,
        "mean" => Reduction::Mean,
        other => panic!("reduction {other}"),
    }
}

#[test]
fn golden() {
    let spec = |case: &Case, weight: Option<&Tensor>| CrossEntropySpec {
        reduction: reduction(case.kwargs["reduction"].as_str().unwrap()),
        label_smoothing: case.kwargs["label_smoothing"].as_f64().unwrap(),
        ignore_index: case.kwargs.get("ignore_index").map_or(-100, |index| index.as_i64().unwrap()),
        weight: weight.cloned(),
    };
    let count = support::check(
        "cross_entropy",
        |_| true,
        |case, inputs| {
            let loss = cross_entropy(&inputs["input"], &inputs["target"], &spec(case, inputs.get("weight")))?;
            Ok(Some(vec![loss]))
        },
        |case, error: &Error| {
            assert_eq!(case.error.as_deref(), Some("Target 3 is out of bounds."));
            assert!(matches!(error, Error::TargetOutOfBounds { target: 3, position: 1, classes: 3, .. }), "{error}");
        },
    );
    assert_eq!(count, Count { passed: 48, refused: 1 });
}

/// A call with its target in both forms: class indices and the distributions they stand for.
#[derive(Debug, Clone)]
struct Call {
    shape: Vec<usize>,
    logits: Vec<f64>,
    /// The class of each position; the ignored index is `classes`.
    classes: Vec<usize>,
    probabilities: Vec<f64>,
    weight: Option<Vec<f64>>,
    smoothing: f64,
    reduction: Reduction,
}

impl Call {
    fn inner(&self) -> usize {
        self.shape.iter().skip(2).product()
    }

    fn class_count(&self) -> usize {
        self.shape[self.shape.len().min(2) - 1]
    }

    fn spec(&self) -> CrossEntropySpec {
        CrossEntropySpec {
            reduction: self.reduction,
            label_smoothing: self.smoothing,
            weight: self.weight.as_ref().map(|weight| Tensor::new(weight.as_slice(), &Device::Cpu).unwrap()),
            ..CrossEntropySpec::default()
        }
    }

    fn tensor(&self, values: &[f64]) -> Tensor {
        Tensor::from_slice(values, self.shape.as_slice(), &Device::Cpu).unwrap()
    }

    fn indices(&self) -> Tensor {
        let mut shape = self.shape.clone();
        shape.remove(usize::from(shape.len() > 1));
        let classes: Vec<i64> = self.classes.iter().map(|&class| class as i64).collect();
        Tensor::from_vec(classes, shape, &Device::Cpu).unwrap()
    }

    /// The losses before reduction and their total weight, from the formula, for `target(position, class)`.
    fn naive(&self, target: impl Fn(usize, usize) -> f64, weighted_mean: bool) -> Vec<f64> {
        let (classes, inner) = (self.class_count(), self.inner());
        let weight = |class: usize| self.weight.as_ref().map_or(1., |weight| weight[class]);
        let mut total = 0.;
        let losses: Vec<f64> = (0..self.classes.len())
            .map(|position| {
                let logit = |class| self.logits[(position / inner * classes + class) * inner + position % inner];
                if weighted_mean && self.classes[position] == classes {
                    return 0.;
                }
                total += if weighted_mean { weight(self.classes[position]) } else { 1. };
                let log_sum = (0..classes).map(|class| f64::exp(logit(class))).sum::<f64>().ln();
                let share = |class| {
                    weight(class) * ((1. - self.smoothing) * target(position, class) + self.smoothing / classes as f64)
                };
                (0..classes).map(|class| share(class) * (log_sum - logit(class))).sum()
            })
            .collect();
        match self.reduction {
            Reduction::None => losses,
            Reduction::Sum => vec![losses.iter().sum()],
            Reduction::Mean => vec![losses.iter().sum::<f64>() / total],
            Reduction::BatchMean => vec![losses.iter().sum::<f64>() / (self.classes.len() / inner) as f64],
        }
    }
}

fn call() -> impl Strategy<Value = Call> {
    let shape = prop_oneof![
        (1..6usize).prop_map(|c| vec![c]),
        (1..5usize, 1..6usize).prop_map(|(n, c)| vec![n, c]),
        (1..5usize, 1..6usize, 1..4usize, 1..4usize).prop_map(|(n, c, h, w)| vec![n, c, h, w]),
    ];
    let number = prop_oneof![Just(0.), -8f64..8.];
    let smoothing = prop_oneof![Just(0.), Just(1.), 0f64..1.];
    let reduction =
        prop_oneof![Just(Reduction::None), Just(Reduction::Sum), Just(Reduction::Mean), Just(Reduction::BatchMean)];
    (shape, smoothing, reduction).prop_flat_map(move |(shape, smoothing, reduction)| {
        let elements: usize = shape.iter().product();
        let classes = shape[shape.len().min(2) - 1];
        (
            prop::collection::vec(number.clone(), elements),
            prop::collection::vec(0..classes, elements / classes),
            prop::collection::vec(0f64..1., elements),
            prop::option::of(prop::collection::vec(0.1f64..3., classes)),
        )
            .prop_map(move |(logits, classes, probabilities, weight)| Call {
                shape: shape.clone(),
                logits,
                classes,
                probabilities,
                weight,
                smoothing,
                reduction,
            })
    })
}

fn gradient(logits: &Tensor, target: &Tensor, spec: &CrossEntropySpec) -> Tensor {
    let logits = Var::from_tensor(logits).unwrap();
    let loss = cross_entropy(&logits, target, spec).unwrap();
    // A cotangent that differs from position to position.
    let cotangent: Vec<f64> = (0..loss.elem_count()).map(|i| 1.5 - i as f64).collect();
    let cotangent = Tensor::from_vec(cotangent, loss.shape(), &Device::Cpu).unwrap().to_dtype(loss.dtype()).unwrap();
    let grads = (loss * cotangent).unwrap().sum_all().unwrap().backward().unwrap();
    grads.get(&logits).unwrap().clone()
}

/// Beside its own size, a loss may be off by the rounding of the logits, up to 8, whose difference it is.
fn expect(what: &str, actual: &Tensor, expected: &[f64], tolerance: f64) {
    let actual = values(actual);
    assert_eq!(actual.len(), expected.len(), "{what}");
    for (a, b) in actual.iter().zip(expected) {
        assert!((a - b).abs() <= tolerance * (8. + b.abs()), "{what}: {a} for {b}");
    }
}

proptest! {
    #![proptest_config(config(300))]

    #[test]
    fn the_formula_in_any_layout(call in call()) {
        let logits = call.tensor(&call.logits);
        let expected = call.naive(|position, class| f64::from(call.classes[position] == class), true);
        let indices = call.indices();
        for (logits, target) in [(logits.clone(), indices.clone()), (scattered(&logits), turned(&indices)), (turned(&logits), scattered(&indices))] {
            let loss = cross_entropy(&logits, &target, &call.spec()).unwrap();
            prop_assert_eq!(loss.dims(), if call.reduction == Reduction::None { indices.dims() } else { &[] });
            expect("indices", &loss, &expected, 1e-12);
        }
        let single = CrossEntropySpec { weight: call.spec().weight.map(|w| w.to_dtype(DType::F32).unwrap()), ..call.spec() };
        let loss = cross_entropy(&logits.to_dtype(DType::F32).unwrap(), &indices, &single).unwrap();
        prop_assert_eq!(loss.dtype(), DType::F32);
        expect("float32", &loss, &expected, 1e-4);

        let probabilities = call.tensor(&call.probabilities);
        let (classes, inner) = (call.class_count(), call.inner());
        let at = |position: usize, class: usize| (position / inner * classes + class) * inner + position % inner;
        let expected = call.naive(|position, class| call.probabilities[at(position, class)], false);
        for target in [probabilities.clone(), scattered(&probabilities), turned(&probabilities)] {
            expect("probabilities", &cross_entropy(&logits, &target, &call.spec()).unwrap(), &expected, 1e-12);
        }
    }

    /// A class index and the distribution that is certain of it are the same loss, and have the same gradient.
    #[test]
    fn an_index_is_a_certain_distribution(call in call(), sum in any::<bool>()) {
        let call = Call { reduction: if sum { Reduction::Sum } else { Reduction::None }, ..call };
        let (classes, inner) = (call.class_count(), call.inner());
        let mut certain = vec![0.; call.logits.len()];
        for (position, class) in call.classes.iter().enumerate() {
            certain[(position / inner * classes + class) * inner + position % inner] = 1.;
        }
        let (logits, certain) = (call.tensor(&call.logits), call.tensor(&certain));
        let loss = |target: &Tensor| values(&cross_entropy(&logits, target, &call.spec()).unwrap());
        prop_assert_eq!(loss(&call.indices()), loss(&certain));
        let grad = |target: &Tensor| values(&gradient(&logits, target, &call.spec()));
        prop_assert_eq!(grad(&call.indices()), grad(&certain));
    }

    /// Ignoring positions is leaving them out: the others' losses and gradients stay, theirs are exactly zero.
    #[test]
    fn ignoring_is_leaving_out(
        logits in prop::collection::vec(-8f64..8., 12),
        classes in prop::collection::vec(0..3i64, 4),
        smoothing in 0f64..1.,
        mean in any::<bool>(),
    ) {
        let reduction = if mean { Reduction::Mean } else { Reduction::Sum };
        let spec = CrossEntropySpec::default().label_smoothing(smoothing).reduction(reduction).ignore_index(7);
        let logits = Tensor::from_vec(logits, (4, 3), &Device::Cpu).unwrap();
        let target = Tensor::new(&[classes[0], 7, classes[2], classes[3]], &Device::Cpu).unwrap();
        let rest = |tensor: &Tensor| Tensor::cat(&[tensor.narrow(0, 0, 1).unwrap(), tensor.narrow(0, 2, 2).unwrap()], 0).unwrap();
        let loss = cross_entropy(&logits, &target, &spec).unwrap();
        prop_assert_eq!(values(&loss), values(&cross_entropy(&rest(&logits), &rest(&target), &spec).unwrap()));
        let grad = gradient(&logits, &target, &spec);
        prop_assert_eq!(values(&rest(&grad)), values(&gradient(&rest(&logits), &rest(&target), &spec)));
        prop_assert_eq!(values(&grad.narrow(0, 1, 1).unwrap()), vec![0.; 3]);
    }
}

proptest! {
    #![proptest_config(config(100))]

    #[test]
    fn finite_differences(call in call(), seed in 0..1000u64) {
        let check = GradCheck::new("cross_entropy").seed(seed).forbid_wasted_gradients();
        let (logits, indices, spec) = (call.tensor(&call.logits), call.indices(), call.spec());
        let f = |x: &[Tensor]| cross_entropy(&x[0], &indices, &spec);
        check.check(f, std::slice::from_ref(&logits)).unwrap().assert_passed();
        check.check_second_order(f, std::slice::from_ref(&logits)).unwrap().assert_passed();

        let check = check.input_names(["logits", "target"]).linear_in([1]);
        let (f, inputs) = (|x: &[Tensor]| cross_entropy(&x[0], &x[1], &spec), [logits, call.tensor(&call.probabilities)]);
        check.check(f, &inputs).unwrap().assert_passed();
        check.check_second_order(f, &inputs).unwrap().assert_passed();
    }
}

#[test]
fn second_derivatives_pass_ignored_positions_by() {
    let target = Tensor::new(&[2i64, -100, 0], &Device::Cpu).unwrap();
    let spec = CrossEntropySpec::default().label_smoothing(0.2);
    let check = GradCheck::new("cross_entropy with an ignored position");
    let f = |x: &[Tensor]| cross_entropy(&x[0], &target, &spec);
    check.check(f, &[reals(&[3, 4], 1)]).unwrap().assert_passed();
    check.check_second_order(f, &[reals(&[3, 4], 1)]).unwrap().assert_passed();
}

#[test]
fn targets_of_every_integer_dtype() {
    let logits = Tensor::new(&[[1f32, 2., 3.], [0.5, -1., 2.]], &Device::Cpu).unwrap();
    let loss = |target: Tensor| values(&cross_entropy(&logits, &target, &CrossEntropySpec::default()).unwrap());
    let expected = loss(Tensor::new(&[2i64, 0], &Device::Cpu).unwrap());
    assert_eq!(loss(Tensor::new(&[2u32, 0], &Device::Cpu).unwrap()), expected);
    assert_eq!(loss(Tensor::new(&[2u8, 0], &Device::Cpu).unwrap()), expected);
}

#[test]
fn large_logits_neither_overflow_nor_lose_a_small_loss() {
    let logits = Tensor::new(&[[1e4f64, 1e4 - 30.], [-1e300, 1e300]], &Device::Cpu).unwrap();
    let spec = CrossEntropySpec::default().reduction(Reduction::None);
    let loss = cross_entropy(&logits, &Tensor::new(&[0u32, 1], &Device::Cpu).unwrap(), &spec).unwrap();
    expect("loss", &loss, &[(-30f64).exp(), 0.], 1e-16);
    let grad = gradient(&logits, &Tensor::new(&[0u32, 1], &Device::Cpu).unwrap(), &spec);
    assert!(values(&grad).iter().all(|dx| dx.is_finite()));
}

#[test]
fn an_excluded_class_costs_nothing_unless_it_is_the_target() {
    let logits = Tensor::new(&[[0f64, f64::NEG_INFINITY, 0.]], &Device::Cpu).unwrap();
    let spec = CrossEntropySpec::default();
    for target in [Tensor::new(&[2u32], &Device::Cpu).unwrap(), Tensor::new(&[[0f64, 0., 1.]], &Device::Cpu).unwrap()] {
        expect("loss", &cross_entropy(&logits, &target, &spec).unwrap(), &[2f64.ln()], 1e-12);
        expect("dlogits", &gradient(&logits, &target, &spec), &[0.75, 0., -0.75], 1e-12);
    }
    let excluded = Tensor::new(&[1u32], &Device::Cpu).unwrap();
    assert_eq!(values(&cross_entropy(&logits, &excluded, &spec).unwrap()), [f64::INFINITY]);
}

#[test]
fn nan_shows_except_where_it_is_ignored() {
    let logits = Tensor::new(&[[f64::NAN, 1.], [0., 1.]], &Device::Cpu).unwrap();
    let spec = CrossEntropySpec::default().reduction(Reduction::None);
    let loss = values(&cross_entropy(&logits, &Tensor::new(&[1i64, 1], &Device::Cpu).unwrap(), &spec).unwrap());
    assert!(loss[0].is_nan() && loss[1].is_finite());
    let ignoring = Tensor::new(&[-100i64, 1], &Device::Cpu).unwrap();
    assert_eq!(values(&cross_entropy(&logits, &ignoring, &spec).unwrap())[0], 0.);
    assert_eq!(values(&gradient(&logits, &ignoring, &spec))[..2], [0., 0.]);
}

#[test]
fn no_samples_have_a_sum_but_no_mean() {
    let (logits, target) =
        (Var::zeros((0, 3), DType::F32, &Device::Cpu).unwrap(), Tensor::zeros(0, DType::U32, &Device::Cpu).unwrap());
    let spec = CrossEntropySpec::default();
    let none = cross_entropy(&logits, &target, &spec.clone().reduction(Reduction::None)).unwrap();
    assert_eq!(none.dims(), [0]);
    let sum = cross_entropy(&logits, &target, &spec.clone().reduction(Reduction::Sum)).unwrap();
    assert_eq!(values(&sum), [0.]);
    assert_eq!(sum.backward().unwrap().get(&logits).unwrap().dims(), [0, 3]);
    let message = "cross_entropy: the total weight of the targets must be other than zero for a mean \
                   (is all of it ignored? use Reduction::Sum), got 0";
    let refused = |result: Result<Tensor>| {
        let error = result.unwrap_err();
        assert!(matches!(error, Error::Value { argument: "the total weight of the targets", .. }));
        assert_eq!(error.to_string(), message);
    };
    refused(cross_entropy(&logits, &target, &spec));
    let logits = Tensor::zeros((2, 3), DType::F32, &Device::Cpu).unwrap();
    refused(cross_entropy(&logits, &Tensor::new(&[-100i64, -100], &Device::Cpu).unwrap(), &spec));
}

#[test]
fn the_bits_do_not_depend_on_threads() {
    for shape in [vec![700, 37], vec![3, 5, 61, 67]] {
        let logits = Var::from_tensor(&reals(&shape, 1).to_dtype(DType::F32).unwrap()).unwrap();
        let mut positions = shape.clone();
        let classes = positions.remove(1);
        let count = positions.iter().product::<usize>();
        let target = Tensor::from_iter((0..count).map(|i| (i * 31 % classes) as u32), &Device::Cpu).unwrap();
        let target = target.reshape(positions).unwrap();
        same_on_any_threads(|| {
            let loss = cross_entropy(&logits, &target, &CrossEntropySpec::default().label_smoothing(0.1)).unwrap();
            vec![loss.backward().unwrap().get(&logits).unwrap().clone(), loss]
        });
    }
}

#[test]
fn refusals_name_the_values() {
    let device = &Device::Cpu;
    let zeros = |shape: &[usize]| Tensor::zeros(shape, DType::F32, device).unwrap();
    let indices = |shape: &[usize]| Tensor::zeros(shape, DType::U32, device).unwrap();
    let refused = |logits: &Tensor, target: &Tensor, spec: CrossEntropySpec| {
        let error = cross_entropy(logits, target, &spec).unwrap_err();
        (error.to_string(), error)
    };
    let spec = CrossEntropySpec::default;
    let logits = zeros(&[2, 3, 4]);

    let (message, error) = refused(&logits, &indices(&[2, 3]), spec());
    assert!(matches!(error, Error::Shape { .. }));
    assert_eq!(message, "cross_entropy: target (class indices) must have shape [2, 4], got [2, 3]");
    let (message, error) = refused(&logits, &zeros(&[2, 4]), spec());
    assert!(matches!(error, Error::Shape { .. }));
    assert_eq!(message, "cross_entropy: target (class probabilities) must have shape [2, 3, 4], got [2, 4]");
    let (message, error) = refused(&logits, &indices(&[2, 4]), spec().weight(zeros(&[4])));
    assert!(matches!(error, Error::Shape { argument: "weight", .. }));
    assert_eq!(message, "cross_entropy: weight must have shape [3], got [4]");
    let (message, error) = refused(&zeros(&[]), &indices(&[]), spec());
    assert!(matches!(error, Error::Rank { .. }));
    assert_eq!(message, "cross_entropy: logits must have 1 or more dimensions, got shape []");
    let (message, error) = refused(&zeros(&[2, 0]), &indices(&[2]), spec());
    assert!(matches!(error, Error::NotPositive { .. }));
    assert_eq!(message, "cross_entropy: the number of classes must be positive, got [0]");

    for value in [-0.1, 1.1, f64::NAN] {
        let (message, error) = refused(&logits, &indices(&[2, 4]), spec().label_smoothing(value));
        assert!(matches!(error, Error::Value { argument: "label_smoothing", .. }));
        assert_eq!(message, format!("cross_entropy: label_smoothing must be between 0 and 1, got {value}"));
    }
    let (message, error) = refused(&logits, &logits, spec().ignore_index(2));
    assert!(matches!(error, Error::Value { argument: "ignore_index", .. }));
    assert_eq!(message, "cross_entropy: ignore_index must be negative (unused) with class probabilities, got 2");
    let (message, error) = refused(&zeros(&[2, 3]), &Tensor::new(&[0i64, -1], device).unwrap(), spec());
    assert!(matches!(error, Error::TargetOutOfBounds { target: -1, position: 1, classes: 3, .. }));
    assert_eq!(message, "cross_entropy: target -1 at position 1 is out of bounds for 3 classes");

    let (_, error) = refused(&logits, &logits.to_dtype(DType::F64).unwrap(), spec());
    assert!(matches!(error, Error::DTypeMismatch { left: DType::F32, right: DType::F64, .. }));
    let weight = zeros(&[3]).to_dtype(DType::F64).unwrap();
    let (_, error) = refused(&logits, &indices(&[2, 4]), spec().weight(weight));
    assert!(matches!(error, Error::DTypeMismatch { left: DType::F32, right: DType::F64, .. }));
    let (_, error) = refused(&logits.to_dtype(DType::U8).unwrap(), &indices(&[2, 4]), spec());
    assert!(matches!(error, Error::DType { dtype: DType::U8, .. }));
    let (message, error) = refused(&logits, &indices(&[2, 4]).to_dtype(DType::I32).unwrap(), spec());
    assert!(matches!(error, Error::DType { dtype: DType::I32, .. }));
    assert!(message.contains("u8, u32, i64 (class indices) or the dtype of the logits"), "{message}");
}
