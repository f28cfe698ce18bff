//! The activation layers: their functions, what they print and refuse, and PReLU's parameter.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

#[path = "support/state_dict.rs"]
mod state_dict;

use candle_core::{DType, Device, Module, Tensor};
use state_dict::StateDicts;
use taper_layers::*;
use taper_ops as ops;

/// A layer, the function it is, what it prints and what PyTorch prints for it.
type Row = (Box<dyn Module>, fn(&Tensor) -> ops::Result<Tensor>, String, &'static str);

fn row<L>(layer: L, function: fn(&Tensor) -> ops::Result<Tensor>, text: &'static str) -> Row
where
    L: Module + std::fmt::Display + 'static,
{
    let shown = layer.to_string();
    (Box::new(layer), function, shown, text)
}

/// Every layer without a parameter.
fn layers() -> Vec<Row> {
    vec![
        row(ReLU, ops::relu, "ReLU()"),
        row(ReLU6, ops::relu6, "ReLU6()"),
        row(SELU, ops::selu, "SELU()"),
        row(SiLU, ops::silu, "SiLU()"),
        row(Mish, ops::mish, "Mish()"),
        row(Sigmoid, ops::sigmoid, "Sigmoid()"),
        row(LogSigmoid, ops::logsigmoid, "LogSigmoid()"),
        row(Tanh, ops::tanh, "Tanh()"),
        row(Tanhshrink, ops::tanhshrink, "Tanhshrink()"),
        row(Softsign, ops::softsign, "Softsign()"),
        row(Hardsigmoid, ops::hardsigmoid, "Hardsigmoid()"),
        row(Hardswish, ops::hardswish, "Hardswish()"),
        row(GELU::default(), ops::gelu, "GELU(approximate='none')"),
        row(GELU::tanh(), ops::gelu_tanh, "GELU(approximate='tanh')"),
        row(LeakyReLU::default(), |x| ops::leaky_relu(x, 0.01), "LeakyReLU(negative_slope=0.01)"),
        row(LeakyReLU::new(1e-7), |x| ops::leaky_relu(x, 1e-7), "LeakyReLU(negative_slope=1e-07)"),
        row(ELU::default(), |x| ops::elu(x, 1.), "ELU(alpha=1.0)"),
        row(ELU::new(-2.5e20), |x| ops::elu(x, -2.5e20), "ELU(alpha=-2.5e+20)"),
        row(CELU::default(), |x| ops::celu(x, 1.), "CELU(alpha=1.0)"),
        row(CELU::new(1e-5), |x| ops::celu(x, 1e-5), "CELU(alpha=1e-05)"),
        row(Softplus::default(), |x| ops::softplus(x, 1., 20.), "Softplus(beta=1.0, threshold=20.0)"),
        row(
            Softplus::new(1e16, 1e15),
            |x| ops::softplus(x, 1e16, 1e15),
            "Softplus(beta=1e+16, threshold=1000000000000000.0)",
        ),
        row(Hardtanh::default(), |x| ops::hardtanh(x, -1., 1.), "Hardtanh(min_val=-1.0, max_val=1.0)"),
        row(Hardshrink::default(), |x| ops::hardshrink(x, 0.5), "Hardshrink(0.5)"),
        row(Softshrink::default(), |x| ops::softshrink(x, 0.5), "Softshrink(0.5)"),
        row(Threshold::new(0.1, 20.), |x| ops::threshold(x, 0.1, 20.), "Threshold(threshold=0.1, value=20.0)"),
        row(Softmax::new(1), |x| ops::softmax(x, 1), "Softmax(dim=1)"),
        row(LogSoftmax::new(-1), |x| ops::log_softmax(x, 2), "LogSoftmax(dim=-1)"),
        row(GLU::new(-2), |x| ops::glu(x, 1), "GLU(dim=-2)"),
    ]
}

/// Numbers without symmetry: `3 sin(1), 3 sin(2), …`.
fn input(shape: &[usize]) -> Tensor {
    let count: usize = shape.iter().product();
    Tensor::from_vec((1..=count).map(|i| 3. * (i as f64).sin()).collect(), shape, &Device::Cpu).unwrap()
}

fn flat(tensor: &Tensor) -> Vec<f64> {
    tensor.flatten_all().unwrap().to_vec1().unwrap()
}

#[test]
fn layers_are_their_functions_and_print_as_pytorch_prints_them() {
    let x = input(&[3, 4, 5]);
    for (layer, function, shown, text) in layers() {
        assert_eq!(shown, text);
        let (output, calls) = observe(|| layer.forward(&x).unwrap());
        assert_eq!(flat(&output), flat(&function(&x).unwrap()), "{text}");
        assert_eq!(calls[0].text, text);
        assert_eq!(calls[0].kind, text.split('(').next().unwrap());
    }
}

#[test]
fn pytorchs_state_dicts() {
    let mut golden = StateDicts::read("activations");
    golden.hold("prelu", |vb| PReLU::new(1, vb));
    golden.hold("prelu_channels", |vb| PReLU::new(3, vb));
    golden.finish();
}

#[test]
fn prelu_has_one_parameter_a_quarter_at_first() {
    let store = VarStore::new(11, DType::F64, &Device::Cpu);
    let layer = PReLU::new(3, store.builder().pp("act")).unwrap();
    assert_eq!(layer.to_string(), "PReLU(num_parameters=3)");
    assert_eq!(flat(layer.weight()), [0.25; 3]);
    let (output, calls) = observe(|| layer.forward(&input(&[2, 3, 4])).unwrap());
    assert_eq!((calls[0].name.as_str(), calls[0].kind.as_str()), ("act", "PReLU"));
    assert_eq!(calls[0].cost.as_ref().unwrap().parameters.len(), 1);
    let grads = output.sum_all().unwrap().backward().unwrap();
    let (name, weight) = store.vars().into_iter().next().unwrap();
    assert_eq!(name, "act.weight");
    assert!(flat(grads.get(&weight).unwrap()).iter().all(|slope| *slope < 0.));
}

#[test]
fn refusals_come_from_the_functions() {
    let x = input(&[3, 4, 5]);
    let store = VarStore::new(11, DType::F64, &Device::Cpu);
    let refusals: [(Box<dyn Module>, &str); 5] = [
        (Box::new(CELU::new(0.)), "celu: alpha must be finite and other than 0, got 0"),
        (Box::new(Hardtanh::new(1., 0.)), "hardtanh: min_val must be at most max_val, got 1"),
        (Box::new(GLU::new(-1)), "glu: the extent of the axis (=5) must be divisible by 2"),
        (Box::new(PReLU::new(2, store.builder()).unwrap()), "prelu: weight must have shape [4], got [2]"),
        (Box::new(Softmax::new(i64::MIN)), "out of range"),
    ];
    for (layer, message) in refusals {
        let error = layer.forward(&x).unwrap_err().to_string();
        assert!(error.contains(message), "{error}");
    }
}
