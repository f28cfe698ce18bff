//! The gradient check of a model within the trainer: planted mistakes are found by the name of the variable, a right network
//! with dropout, rectifiers and pooling passes, and nothing is changed by it.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

mod support;

use candle_core::{CpuStorage, CustomOp1, DType, Layout, Shape, Tensor, Var};
use std::collections::BTreeMap;
use support::{Net, loader};
use taper_gradcheck::Report;
use taper_ops::{ConvSpec, MaxPoolSpec, Mode, conv2d, max_pool2d, relu};
use taper_trainer::Trainer;
use taper_trainer::optim::{Adam, AdamConfig};

/// The identity, with a gradient that is `factor` times the right one on the channels from `first` on.
struct Wrong {
    factor: f64,
    first: usize,
}

impl CustomOp1 for Wrong {
    fn name(&self) -> &'static str {
        "wrong"
    }

    fn cpu_fwd(&self, storage: &CpuStorage, layout: &Layout) -> candle_core::Result<(CpuStorage, Shape)> {
        let (start, end) = layout.contiguous_offsets().unwrap();
        let copy = match storage {
            CpuStorage::F32(values) => CpuStorage::F32(values[start..end].to_vec()),
            CpuStorage::F64(values) => CpuStorage::F64(values[start..end].to_vec()),
            _ => panic!("float32 or float64"),
        };
        Ok((copy, layout.shape().clone()))
    }

    fn bwd(&self, _: &Tensor, _: &Tensor, grad: &Tensor) -> candle_core::Result<Option<Tensor>> {
        let right = grad.narrow(1, 0, self.first)?;
        let wrong = (grad.narrow(1, self.first, grad.dims()[1] - self.first)? * self.factor)?;
        Tensor::cat(&[right, wrong], 1).map(Some)
    }
}

/// The network of the support file, whose rectifier has taper's gradient, with `wrong` behind the convolution.
fn forward(net: &Net, dtype: DType, wrong: Wrong, x: &Tensor, mode: &Mode) -> candle_core::Result<Tensor> {
    let (weight, bias) = (&net.vars["conv.weight"], &net.vars["conv.bias"]);
    let x = conv2d(&x.to_dtype(dtype)?, weight, Some(bias), &ConvSpec::default())?.contiguous()?.apply_op1(wrong)?;
    let x = max_pool2d(&relu(&x)?, &MaxPoolSpec::new([1, 2]))?.flatten_from(1)?;
    let x = match mode.draw() {
        Some(draw) => taper_ops::dropout(&x, 0.3, draw)?,
        None => x,
    };
    x.contiguous()?.matmul(&net.vars["fc.weight"])?.broadcast_add(&net.vars["fc.bias"])
}

fn check(dtype: DType, seed: u64, factor: f64, first: usize) -> Report {
    let net = Net::new(dtype);
    let forward = |x: &Tensor, mode: &Mode| forward(&net, dtype, Wrong { factor, first }, x, mode);
    Trainer::new(net.vars.clone(), forward).seed(seed).check_gradients(&loader()).unwrap()
}

#[test]
fn a_right_network_passes_whatever_the_seed_of_its_masks() {
    for dtype in [DType::F32, DType::F64] {
        for seed in 0..6 {
            let report = check(dtype, seed, 1.0, 0);
            report.assert_passed();
            let names: Vec<_> = report.inputs.iter().map(|input| input.name.as_str()).collect();
            assert_eq!(names, ["conv.bias", "conv.weight", "fc.bias", "fc.weight"]);
            let unresolved: usize = report.inputs.iter().map(|input| input.unresolved).sum();
            assert!(unresolved * 4 < report.elements(), "{report}");
        }
    }
}

#[test]
fn a_wrong_backward_pass_is_found_in_the_variables_before_it() {
    for dtype in [DType::F32, DType::F64] {
        for (seed, (factor, first)) in (0..).zip([(0.5, 0), (-1.0, 3), (0.0, 1), (1.5, 0), (2.0, 2), (0.0, 3)]) {
            let report = check(dtype, seed, factor, first);
            let wrong: Vec<_> = report.inputs.iter().map(|input| input.wrong > 0).collect();
            assert_eq!(wrong[1..], [true, false, false], "{factor} from channel {first} on: {report}");
            // One bias of four may be too small a part of a loss of float32.
            assert!(wrong[0] || dtype == DType::F32, "{factor} from channel {first} on: {report}");
            let places = report.inputs[1].worst.iter().all(|element| element.index[0] >= first);
            assert!(places && !report.inputs[1].worst.is_empty(), "{report}");
        }
    }
}

#[test]
fn a_small_mistake_needs_float64() {
    assert!(!check(DType::F64, 1, 1.01, 0).passed());
}

#[test]
fn nothing_is_changed_by_it_and_frozen_variables_are_left_out() {
    let run = |checks: usize| {
        let net = Net::with_batch_norm(DType::F32);
        let adam = Adam::new(AdamConfig::default()).unwrap();
        let trainer = Trainer::new(net.vars.clone(), |x, mode| net.forward(x, mode)).buffers(net.buffers.clone());
        let mut trainer = trainer.optimizer(adam).freeze(["conv.*"]).micro_batch(2).seed(5);
        for _ in 0..checks {
            let before = net.bits();
            let report = trainer.check_gradients(&loader()).unwrap();
            let names: Vec<_> = report.inputs.iter().map(|input| input.name.as_str()).collect();
            assert_eq!(names, ["bn.bias", "bn.weight", "fc.bias", "fc.weight"]);
            report.assert_passed();
            assert_eq!(before, net.bits());
        }
        let history = trainer.fit(&loader(), None).unwrap();
        (history, net.bits())
    };
    assert_eq!(run(0), run(1));
}

#[test]
fn tied_variables_are_checked_once() {
    let net = Net::new(DType::F32);
    let mut vars: BTreeMap<String, Var> = net.vars.clone();
    vars.insert("tied.weight".to_owned(), vars["fc.weight"].clone());
    let forward = |x: &Tensor, mode: &Mode| forward(&net, DType::F32, Wrong { factor: 1.0, first: 0 }, x, mode);
    let report = Trainer::new(vars, forward).check_gradients(&loader()).unwrap();
    report.assert_passed();
    assert_eq!(report.inputs.len(), 4);
}
