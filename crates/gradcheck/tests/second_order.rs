#![allow(clippy::unwrap_used, missing_docs, reason = "a test fails by panicking")]
//! Second derivatives: right ones pass, lost ones are found, on any number of threads at once.

use candle_core::{CpuStorage, CustomOp1, Device, Layout, Result, Shape, Tensor};
use taper_gradcheck::{Assertion, GradCheck};

fn point() -> Tensor {
    Tensor::new(&[[0.4f64, -1.3, 0.8], [2.1, 0.6, -0.2]], &Device::Cpu).unwrap()
}

#[test]
fn right_second_derivatives_pass() {
    let x = point();
    let w = Tensor::new(&[[0.3f64, -0.7], [1.1, 0.2], [-0.5, 0.9]], &Device::Cpu).unwrap();
    let f = |x: &[Tensor]| x[0].matmul(&x[1])?.tanh()?.sqr();
    let report = GradCheck::new("tanh(xw)²").check_second_order(f, &[x.clone(), w.clone()]).unwrap();
    report.assert_passed();
    assert_eq!(report.elements(), 6 + 6 + 4);
    let linear = GradCheck::new("matmul").linear_in([0, 1]);
    linear.check_second_order(|x: &[Tensor]| x[0].matmul(&x[1]), &[x, w]).unwrap().assert_passed();
}

#[test]
fn many_at_once_do_not_disturb_each_other() {
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                let cube = |x: &[Tensor]| x[0].powf(3.0);
                GradCheck::new("x³").check_second_order(cube, &[point()]).unwrap().assert_passed();
            });
        }
    });
}

/// x³, whose backward multiplies by a constant that the graph does not know to depend on x.
struct Cube;

impl CustomOp1 for Cube {
    fn name(&self) -> &'static str {
        "cube"
    }

    fn cpu_fwd(&self, storage: &CpuStorage, layout: &Layout) -> Result<(CpuStorage, Shape)> {
        let (start, end) = layout.contiguous_offsets().unwrap();
        let cubes = storage.as_slice::<f64>()?[start..end].iter().map(|x| x.powi(3)).collect();
        Ok((CpuStorage::F64(cubes), layout.shape().clone()))
    }

    fn bwd(&self, x: &Tensor, _: &Tensor, grad: &Tensor) -> Result<Option<Tensor>> {
        Ok(Some((x.detach().sqr()? * 3.0 * grad)?))
    }
}

#[test]
fn a_first_order_operator_passes_the_first_and_fails_the_second() {
    let cube = |x: &[Tensor]| x[0].contiguous()?.apply_op1(Cube);
    GradCheck::new("cube").check(cube, &[point()]).unwrap().assert_passed();
    let report = GradCheck::new("cube").check_second_order(cube, &[point()]).unwrap();
    assert!(report.failed(Assertion::Connected), "{report}");
}

#[test]
fn a_constant_or_integer_input_stays_one() {
    let index = Tensor::new(&[1u32, 0], &Device::Cpu).unwrap();
    let f = |x: &[Tensor]| x[0].sqr()?.index_select(&x[1], 0);
    GradCheck::new("select").check_second_order(f, &[point(), index]).unwrap().assert_passed();
}
