#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    missing_docs,
    reason = "a test fails by panicking and reports what it counted"
)]
//! Functions at awkward scales, near kinks, poles and saturation: right gradients pass, wrong ones do not.

use candle_core::{D, DType, Result, Tensor};
use taper_gradcheck::strategies::{Fill, Kind};
use taper_gradcheck::{Assertion, GradCheck};

type F = fn(&Tensor) -> Result<Tensor>;

fn softmax(x: &Tensor) -> Result<Tensor> {
    let shifted = x.broadcast_sub(&x.max_keepdim(D::Minus1)?.detach())?.exp()?;
    shifted.broadcast_div(&shifted.sum_keepdim(D::Minus1)?)
}

fn normalised(x: &Tensor) -> Result<Tensor> {
    let centred = x.broadcast_sub(&x.mean_keepdim(0)?)?;
    centred.broadcast_div(&(centred.sqr()?.mean_keepdim(0)? + 1e-5)?.sqrt()?)
}

const FUNCTIONS: [(&str, F); 16] = [
    ("tanh", |x| x.tanh()),
    ("sin·exp(-x²)", |x| x.sin()? * x.sqr()?.neg()?.exp()?),
    ("softmax", softmax),
    ("batch norm", normalised),
    ("‖x‖", |x| x.sqr()?.sum_keepdim(D::Minus1)?.sqrt()),
    ("log(1 + x²)", |x| (x.sqr()? + 1.0)?.log()),
    ("1/(x² + 0.01)", |x| (x.sqr()? + 0.01)?.recip()),
    ("relu", |x| x.relu()),
    ("abs", |x| x.abs()),
    ("max", |x| x.max(D::Minus1)),
    ("clamp", |x| x.clamp(-0.5, 0.75)),
    ("floor", |x| x.detach().floor()),
    ("x³ - x", |x| x.powf(3.0)? - x),
    ("a matmul", |x| x.matmul(&x.t()?.contiguous()?)),
    ("cancelling", |x| (x + 1e4)? - 1e4),
    ("mean of many", |x| Tensor::cat(&[x, x, x], 0)?.mean(0)),
];

fn inputs(seed: u64, scale: f64, offset: f64) -> Tensor {
    let kind = if seed.is_multiple_of(3) { Kind::Distinct } else { Kind::Reals };
    let x = Fill { kind, seed }.tensor(&[3, 4], DType::F64).unwrap();
    x.affine(scale, offset).unwrap()
}

#[test]
fn right_gradients_pass_at_every_scale() {
    let (mut cases, mut alarms) = (0, Vec::new());
    for (name, f) in FUNCTIONS {
        for seed in 0..20 {
            for (inner, offset, outer) in [
                (1.0, 0.0, 1.0),
                (1e-3, 0.0, 1.0),
                (30.0, 0.0, 1.0),
                (1.0, 100.0, 1.0),
                (1.0, 0.0, 1e-6),
                (1.0, 0.0, 1e9),
            ] {
                let scaled = |x: &[Tensor]| f(&x[0])?.affine(outer, 0.0);
                let report = GradCheck::new(name).seed(seed).check(scaled, &[inputs(seed, inner, offset)]).unwrap();
                cases += 1;
                if !report.passed() {
                    alarms.push(format!("scale {inner}, offset {offset}, times {outer}, seed {seed}: {report}"));
                }
            }
        }
    }
    println!("{} false alarms in {cases} cases", alarms.len());
    assert!(alarms.is_empty(), "{} false alarms in {cases} cases, the first:\n{}", alarms.len(), alarms[0]);
}

/// The gradient p − 1 of a confident classifier is what is left of two numbers near 1.
#[test]
fn a_gradient_that_cancels_inside_passes() {
    for logit in [5.0, 7.0, 12.0, 20.0] {
        let logits = Tensor::new(&[[0.0, logit, -1.0]], &candle_core::Device::Cpu).unwrap();
        let loss = |x: &[Tensor]| (softmax(&x[0])?.narrow(1, 1, 1)? + 0.0)?.log()?.neg();
        let check = GradCheck::new("cross entropy");
        check.check(loss, std::slice::from_ref(&logits)).unwrap().assert_passed();
        check.check_second_order(loss, &[logits]).unwrap().assert_passed();
    }
}

#[test]
fn a_gradient_a_thousandth_off_is_found_at_every_scale() {
    for (name, f) in FUNCTIONS.into_iter().filter(|(name, _)| *name != "floor") {
        for outer in [1.0, 1e-6, 1e9] {
            let off = |x: &[Tensor]| {
                let y = f(&x[0])?.affine(outer, 0.0)?;
                y.affine(1.001, 0.0)? - y.affine(0.001, 0.0)?.detach()
            };
            let report = GradCheck::new(name).check(off, &[inputs(1, 1.0, 0.0)]).unwrap();
            assert!(report.failed(Assertion::Gradient), "{name} times {outer}: {report}");
        }
    }
}

#[test]
fn a_wrong_side_of_a_kink_is_found() {
    // Passes the gradient where x < 0 and stops it where x > 0.
    let reversed = |x: &[Tensor]| {
        let y = x[0].relu()?;
        let passed = (&x[0] - x[0].relu()?)?;
        y.detach() + (&passed - passed.detach())?
    };
    for near in [1.0, 1e-3, 1e-5] {
        let report = GradCheck::new("relu").check(reversed, &[inputs(2, near, 0.0)]).unwrap();
        assert!(report.failed(Assertion::Gradient), "{report}");
        assert_eq!(report.not_differentiable(), 0);
    }
}

#[test]
fn a_noisy_value_is_unresolved_not_right() {
    // Rounded to 1/3000: no step has a derivative to compare with.
    let stairs = |x: &[Tensor]| {
        let rounded = x[0].affine(3000.0, 0.0)?.round()?.affine(1.0 / 3000.0, 0.0)?;
        rounded.detach() + (&x[0] - x[0].detach())?
    };
    let report = GradCheck::new("stairs").check(stairs, &[inputs(4, 1.0, 0.0)]).unwrap();
    assert!(!report.passed(), "{report}");
}
