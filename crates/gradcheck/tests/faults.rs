#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    missing_docs,
    reason = "a test fails by panicking and reports what it counted"
)]
//! The checker checked: every planted mistake is found, over random geometry, and nothing right is ever called wrong.

mod support;

use candle_core::{DType, Result, Tensor};
use proptest::strategy::{Strategy, ValueTree};
use proptest::test_runner::TestRunner;
use std::sync::Arc;
use support::{Conv, Fault, Memory};
use taper_gradcheck::strategies::{self, ConvGeometry, Fill, Kind};
use taper_gradcheck::{GradCheck, Report};

/// Small enough for every element in plain loops.
fn geometries() -> impl Iterator<Item = ConvGeometry<2>> {
    let mut runner = TestRunner::deterministic();
    let strategy = strategies::conv_geometry::<2>();
    std::iter::repeat_with(move || strategy.new_tree(&mut runner).unwrap().current()).filter(|g| {
        g.input_shape().iter().product::<usize>() <= 300 && g.weight_shape().iter().product::<usize>() <= 150
    })
}

fn check(geometry: &ConvGeometry<2>, fault: Option<Fault>, seed: u64, check: &GradCheck) -> Report {
    let memory = Arc::new(Memory::default());
    let conv = |x: &[Tensor]| -> Result<Tensor> {
        let (geometry, memory) = (geometry.clone(), memory.clone());
        x[0].apply_op2(&x[1], Conv { geometry, fault, memory })
    };
    let fill = |kind, seed| Fill { kind, seed };
    let x = fill(Kind::Reals, seed).tensor(&geometry.input_shape(), DType::F64).unwrap();
    let w = fill(Kind::AwayFromZero, !seed).tensor(&geometry.weight_shape(), DType::F64).unwrap();
    check.clone().input_names(["x", "weight"]).seed(seed).check(conv, &[x, w]).unwrap()
}

#[test]
fn every_planted_fault_is_found_element_by_element() {
    for fault in Fault::ALL {
        let shown = geometries().filter(|geometry| fault.shows(geometry)).take(6);
        for (seed, geometry) in shown.enumerate() {
            let report = check(&geometry, Some(fault), seed as u64, &GradCheck::new("conv2d").linear_in([0, 1]));
            assert!(report.failed(fault.found_by()), "{fault:?} in {geometry:?} was not found:\n{report}");
        }
    }
}

#[test]
fn every_planted_fault_is_found_without_knowing_the_function_linear() {
    for fault in Fault::ALL {
        let geometry = geometries().filter(|geometry| fault.shows(geometry)).nth(7).unwrap();
        let report = check(&geometry, Some(fault), 5, &GradCheck::new("conv2d"));
        assert!(report.failed(fault.found_by()), "{fault:?} in {geometry:?} was not found:\n{report}");
    }
}

#[test]
fn every_planted_fault_is_found_by_directions_and_narrowed_down() {
    for fault in Fault::ALL {
        let shown = geometries().filter(|geometry| fault.shows(geometry)).take(6);
        for (seed, geometry) in shown.enumerate() {
            let fast = GradCheck::new("conv2d").linear_in([0, 1]).directions(2);
            let report = check(&geometry, Some(fault), seed as u64, &fast);
            assert!(report.failed(fault.found_by()), "{fault:?} in {geometry:?} was not found:\n{report}");
            let wrong = report.inputs.iter().filter(|input| input.wrong > 0);
            for input in wrong {
                assert!(
                    input.worst[0].error_ratio().is_nan() || input.worst[0].error_ratio() > 1.0,
                    "{fault:?}: {report}"
                );
            }
        }
    }
}

#[test]
fn a_right_convolution_raises_no_alarm() {
    let exact = GradCheck::new("conv2d").linear_in([0, 1]);
    let checks = [exact.clone(), GradCheck::new("conv2d"), exact.directions(3)];
    let mut cases = 0;
    for (seed, geometry) in geometries().take(100).enumerate() {
        for options in &checks {
            check(&geometry, None, seed as u64, options).assert_passed();
            cases += 1;
        }
    }
    println!("0 false alarms in {cases} cases");
}
