//! The check of a whole model by its loss: it finds what is wrong in float32 and float64, and does not cry wolf.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

use candle_core::{DType, Device, Result, Tensor, Var};
use taper_gradcheck::{Assertion, GradCheck, Report};

/// Two layers with a rectifier between them, on fixed inputs: w1 [5, 7], b1 [7], w2 [7, 3].
fn inputs(dtype: DType) -> Vec<Tensor> {
    let fill = |shape: &[usize], phase: f64| {
        let count = shape.iter().product::<usize>();
        let values = (0..count).map(|i| ((i as f64 + phase) * 12.9898).sin() * 0.5).collect::<Vec<_>>();
        Tensor::from_vec(values, shape, &Device::Cpu).unwrap().to_dtype(dtype).unwrap()
    };
    vec![fill(&[5, 7], 0.3), fill(&[7], 1.7), fill(&[7, 3], 2.9)]
}

fn loss(x: &[Tensor]) -> Result<Tensor> {
    let dtype = x[0].dtype();
    let data: Vec<f64> = (0..55).map(|i| (f64::from(i) * 78.233).sin()).collect();
    let data = Tensor::from_vec(data, (11, 5), &Device::Cpu)?.to_dtype(dtype)?;
    let hidden = data.matmul(&x[0])?.broadcast_add(&x[1])?;
    // candle's relu has the gradient 1 at 0; no value here is 0.
    let y = hidden.relu()?.matmul(&x[2])?;
    (y.sqr()?.mean_all()? + y.sin()?.mean_all()?)? * 0.7
}

fn value(x: &[Tensor]) -> Result<f64> {
    loss(x)?.to_dtype(DType::F64)?.to_scalar()
}

fn gradients(x: &[Tensor]) -> Vec<Option<Tensor>> {
    let vars: Vec<Var> = x.iter().map(|x| Var::from_tensor(x).unwrap()).collect();
    let tensors: Vec<Tensor> = vars.iter().map(|var| var.as_tensor().clone()).collect();
    let grads = loss(&tensors).unwrap().backward().unwrap();
    tensors.iter().map(|tensor| grads.get(tensor).cloned()).collect()
}

fn check(dtype: DType, spoil: impl Fn(&mut Vec<Option<Tensor>>)) -> Report {
    let x = inputs(dtype);
    let mut gradients = gradients(&x);
    spoil(&mut gradients);
    let check = GradCheck::new("model").dtype(dtype).input_names(["w1", "b1", "w2"]);
    check.check_loss(value, &x, &gradients).unwrap()
}

#[test]
fn right_gradients_pass_whatever_the_seed() {
    for dtype in [DType::F32, DType::F64] {
        let x = inputs(dtype);
        for seed in 0..12 {
            let check = GradCheck::new("model").dtype(dtype).seed(seed);
            let report = check.check_loss(value, &x, &gradients(&x)).unwrap();
            report.assert_passed();
            let unresolved: usize = report.inputs.iter().map(|input| input.unresolved).sum();
            assert!(unresolved * 4 < report.elements(), "{report}");
        }
    }
}

#[test]
fn one_wrong_element_a_factor_and_a_severed_graph_are_found_and_named() {
    for dtype in [DType::F32, DType::F64] {
        let report = check(dtype, |grads| grads[2] = Some((grads[2].as_ref().unwrap() * 0.5).unwrap()));
        assert!(report.failed(Assertion::Gradient), "{report}");
        let wrong: Vec<_> = report.inputs.iter().map(|input| input.wrong > 0).collect();
        assert_eq!(wrong, [false, false, true], "{report}");
        assert!(report.to_string().contains("gradient of input `w2`"), "{report}");

        let report = check(dtype, |grads| grads[0] = None);
        assert!(report.failed(Assertion::Connected), "{report}");

        // Element [3, 4] of w1 alone.
        let report = check(dtype, |grads| {
            let mut values: Vec<f64> =
                grads[0].as_ref().unwrap().to_dtype(DType::F64).unwrap().flatten_all().unwrap().to_vec1().unwrap();
            let size = values.iter().map(|g| g * g).sum::<f64>().sqrt();
            values[3 * 7 + 4] += 0.7 * size;
            grads[0] = Some(Tensor::from_vec(values, (5, 7), &Device::Cpu).unwrap().to_dtype(dtype).unwrap());
        });
        let element = report.worst().unwrap();
        assert_eq!((element.input_name.as_str(), element.index.as_slice()), ("w1", [3, 4].as_slice()), "{report}");
    }
}

#[test]
fn float64_finds_what_float32_cannot_see() {
    let slightly = |grads: &mut Vec<Option<Tensor>>| grads[1] = Some((grads[1].as_ref().unwrap() * 1.01).unwrap());
    assert!(!check(DType::F64, slightly).passed());
}

#[test]
fn a_kink_at_the_point_is_told_from_a_wrong_gradient() {
    // Zeros at a rectifier, as a bias of zeros under black pictures is: the slopes are 0 and 1.
    let x = Tensor::zeros(6, DType::F32, &Device::Cpu).unwrap();
    let loss = |x: &[Tensor]| x[0].relu()?.sum_all()?.to_scalar::<f32>().map(f64::from);
    let report = |slope: f32| {
        let gradient = Tensor::full(slope, 6, &Device::Cpu).unwrap();
        GradCheck::new("relu").check_loss(loss, std::slice::from_ref(&x), &[Some(gradient)]).unwrap()
    };
    for slope in [0.0, 1.0] {
        let report = report(slope);
        report.assert_passed();
        assert!(report.not_differentiable() > 0, "{report}");
    }
    assert!(!report(1.5).passed());
}

#[test]
fn a_loss_of_which_nothing_can_be_told_does_not_pass() {
    let x = Tensor::new(&[1f32, 2.], &Device::Cpu).unwrap();
    // Another number at each step, however small.
    let loss = |x: &[Tensor]| x[0].sum_all()?.to_scalar::<f32>().map(|sum| (1e9 * f64::from(sum)).sin());
    let report =
        GradCheck::new("noise").check_loss(loss, std::slice::from_ref(&x), &[Some(x.ones_like().unwrap())]).unwrap();
    assert!(report.failed(Assertion::Resolved), "{report}");

    let unused = |_: &[Tensor]| Ok(3.0);
    assert!(!GradCheck::new("unused").check_loss(unused, &[x], &[None]).unwrap().passed());
}
