//! Training and evaluation: which masks are drawn, and that evaluation draws none.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

use candle_core::{DType, Device, Module, ModuleT, Result, Tensor};
use taper_layers::{Dropout, Layer, ModuleTLayer, Sequential};
use taper_ops::Mode;

fn ones(samples: usize, features: usize) -> Tensor {
    Tensor::ones((samples, features), DType::F32, &Device::Cpu).unwrap()
}

fn rows(tensor: Result<Tensor>) -> Vec<Vec<f32>> {
    tensor.unwrap().to_vec2().unwrap()
}

fn two_dropouts() -> Sequential {
    Sequential::new().add(Dropout::new(0.5)).add(Dropout::new(0.25))
}

#[test]
fn evaluation_is_the_identity_and_copies_nothing() {
    let x = ones(3, 20);
    let y = two_dropouts().eval().forward(&x).unwrap();
    assert_eq!(y.id(), x.id());
}

#[test]
fn equal_calls_draw_equal_masks_and_others_differ() {
    let net = two_dropouts();
    let x = ones(3, 40);
    let view = net.train(7, 5, 0);
    let first = rows(view.forward(&x));
    assert_eq!(first, rows(view.forward(&x)), "a view begins anew");
    assert_eq!(first, rows(net.train(7, 5, 0).forward(&x)));
    for other in [net.train(8, 5, 0), net.train(7, 6, 0), net.train(7, 5, 1)] {
        assert_ne!(first, rows(other.forward(&x)), "{other:?}");
    }
    let kept = first.iter().flatten().filter(|&&v| v > 0.0).count();
    assert!(first.iter().flatten().all(|&v| v == 0.0 || (v - 8.0 / 3.0).abs() < 1e-6), "{first:?}");
    assert!((20..=70).contains(&kept), "{kept} of 120 kept at probability 3/8");
}

#[test]
fn each_layer_of_a_pass_draws_its_own_mask() {
    let (dropout, x) = (Dropout::new(0.5), ones(3, 40));
    let mode = Mode::train(7, 5, 0);
    assert_ne!(rows(dropout.forward_in(&x, &mode)), rows(dropout.forward_in(&x, &mode)));
}

#[test]
fn a_batch_in_pieces_draws_the_masks_of_the_whole() {
    let net = two_dropouts();
    let whole = rows(net.train(7, 5, 0).forward(&ones(5, 12)));
    let mut pieces = rows(net.train(7, 5, 0).forward(&ones(2, 12)));
    pieces.extend(rows(net.train(7, 5, 2).forward(&ones(3, 12))));
    assert_eq!(pieces, whole);
}

#[test]
fn every_module_is_a_layer_that_ignores_the_mode() {
    let double = |x: &Tensor| x * 2.0;
    let x = ones(2, 3);
    assert_eq!(rows(double.train(1, 2, 3).forward(&x)), rows(double.eval().forward(&x)));
    // A view is a module, so a layer and candle's `ModuleT` too.
    let net = two_dropouts();
    let view = net.train(7, 5, 0);
    assert_eq!(rows(view.forward_in(&ones(3, 8), &Mode::eval())), rows(view.forward_t(&ones(3, 8), false)));
}

#[test]
fn a_module_t_follows_the_mode() {
    struct Flag;
    impl ModuleT for Flag {
        fn forward_t(&self, x: &Tensor, train: bool) -> Result<Tensor> {
            x * if train { 3.0 } else { 5.0 }
        }
    }
    let layer = ModuleTLayer(Flag);
    assert_eq!(rows(layer.eval().forward(&ones(1, 2))), [[5.0, 5.0]]);
    assert_eq!(rows(layer.train(1, 2, 3).forward(&ones(1, 2))), [[3.0, 3.0]]);
}
