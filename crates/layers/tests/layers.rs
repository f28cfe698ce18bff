//! The layers: names, shapes and initial values of their parameters, what they print, what they refuse, their numbers.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

use candle_core::{DType, Device, Module, Tensor};
use candle_nn::{VarBuilder, VarMap};
use taper_layers::{
    AvgPool2d, Conv2d, Conv2dConfig, Dropout, Flatten, Layer, Linear, MaxPool2d, ReLU, Sequential, VarStore,
};
use taper_ops::{AvgPoolSpec, Error, MaxPoolSpec, Padding};

fn store() -> VarStore {
    VarStore::new(11, DType::F64, &Device::Cpu)
}

fn flat(tensor: &Tensor) -> Vec<f64> {
    tensor.flatten_all().unwrap().to_vec1().unwrap()
}

/// Numbers without symmetry: `sin(1), sin(2), …`.
fn input(shape: &[usize]) -> Tensor {
    let count: usize = shape.iter().product();
    Tensor::from_vec((1..=count).map(|i| (i as f64).sin()).collect(), shape, &Device::Cpu).unwrap()
}

#[test]
fn state_dict_names_and_shapes_are_pytorchs() {
    let store = store();
    let vb = store.builder();
    let config = Conv2dConfig::default();
    Conv2d::new(4, 6, [5, 3], config.groups(2), vb.pp("features").pp("0")).unwrap();
    Conv2d::new(6, 8, 1, config.bias(false), vb.pp("features").pp("3")).unwrap();
    Linear::new(7, 5, vb.pp("fc")).unwrap();
    Linear::no_bias(5, 2, vb.pp("head")).unwrap();
    let vars = store.vars();
    let shapes: Vec<(&str, &[usize])> = vars.iter().map(|(name, var)| (name.as_str(), var.dims())).collect();
    let expected: [(&str, &[usize]); 6] = [
        ("fc.bias", &[5]),
        ("fc.weight", &[5, 7]),
        ("features.0.bias", &[6]),
        ("features.0.weight", &[6, 2, 5, 3]),
        ("features.3.weight", &[8, 6, 1, 1]),
        ("head.weight", &[2, 5]),
    ];
    assert_eq!(shapes, expected);
}

#[test]
fn initial_values_are_uniform_within_one_over_the_root_of_the_fan_in() {
    let store = store();
    let vb = store.builder();
    let conv = Conv2d::new(8, 300, [3, 5], Conv2dConfig::default().groups(2), vb.pp("conv")).unwrap();
    let fc = Linear::new(75, 400, vb.pp("fc")).unwrap();
    for (layer, parameter, fan_in) in [
        ("Conv2d.weight", conv.weight(), 60.0),
        ("Conv2d.bias", conv.bias().unwrap(), 60.0),
        ("Linear.weight", fc.weight(), 75.0),
        ("Linear.bias", fc.bias().unwrap(), 75.0),
    ] {
        let (values, bound) = (flat(parameter), 1.0 / f64::sqrt(fan_in));
        let n = values.len() as f64;
        let largest = values.iter().fold(0f64, |m, v| m.max(v.abs()));
        assert!(largest <= bound && largest > 0.95 * bound, "{layer}: {largest} of {bound}");
        let mean = values.iter().sum::<f64>() / n;
        assert!(mean.abs() < 5.0 * bound / (3.0 * n).sqrt(), "{layer}: mean {mean}");
        let variance = values.iter().map(|v| v * v).sum::<f64>() / n;
        // The variance of v² is 4/45 of the bound's fourth power.
        let spread = 5.0 * bound * bound * (4.0 / 45.0 / n).sqrt();
        assert!((variance - bound * bound / 3.0).abs() < spread, "{layer}: variance {variance}");
    }
}

#[test]
fn layers_print_as_pytorch_prints_them() {
    let store = store();
    let mut index = 0;
    let mut conv = |kernel: [usize; 2], config: Conv2dConfig| {
        index += 1;
        Conv2d::new(4, 6, kernel, config, store.builder().pp(index)).unwrap().to_string()
    };
    let config = Conv2dConfig::default();
    assert_eq!(conv([5, 3], config), "Conv2d(4, 6, kernel_size=(5, 3), stride=(1, 1))");
    assert_eq!(
        conv([5, 3], config.stride([2, 1]).padding([2, 1]).dilation([1, 3]).groups(2).bias(false)),
        "Conv2d(4, 6, kernel_size=(5, 3), stride=(2, 1), padding=(2, 1), dilation=(1, 3), groups=2, bias=False)"
    );
    assert_eq!(
        conv([3, 3], config.padding(Padding::Same)),
        "Conv2d(4, 6, kernel_size=(3, 3), stride=(1, 1), padding=same)"
    );
    assert_eq!(
        conv([3, 3], config.padding([(1, 1), (0, 2)])),
        "Conv2d(4, 6, kernel_size=(3, 3), stride=(1, 1), padding=((1, 1), (0, 2)))"
    );
    assert_eq!(
        Linear::no_bias(5, 2, store.builder().pp("fc")).unwrap().to_string(),
        "Linear(in_features=5, out_features=2, bias=False)"
    );
    assert_eq!(Flatten::default().to_string(), "Flatten(start_dim=1, end_dim=-1)");
    assert_eq!(Dropout::new(0.25).to_string(), "Dropout(p=0.25)");
    assert_eq!(ReLU.to_string(), "ReLU()");
    assert_eq!(
        MaxPool2d::from(MaxPoolSpec::new([3, 2]).padding([1, 0]).dilation(2).ceil_mode(true)).to_string(),
        "MaxPool2d(kernel_size=(3, 2), stride=(3, 2), padding=(1, 0), dilation=2, ceil_mode=True)"
    );
    assert_eq!(
        AvgPool2d::from(AvgPoolSpec::new(3).stride([2, 1])).to_string(),
        "AvgPool2d(kernel_size=3, stride=(2, 1), padding=0)"
    );
}

#[test]
fn a_nested_sequential_prints_as_a_tree_and_iterates() {
    let inner = Sequential::new().add(ReLU).add(Flatten::default());
    let net = Sequential::new().add(inner).add_module("Negate", |x: &Tensor| x.neg()).add(Sequential::new());
    let tree = "Sequential(\n  (0): Sequential(\n    (0): ReLU()\n    (1): Flatten(start_dim=1, end_dim=-1)\n  )\n  \
                (1): Negate\n  (2): Sequential()\n)";
    assert_eq!(net.to_string(), tree);
    assert_eq!(format!("{net:?}"), tree);
    assert_eq!((net.len(), net.is_empty(), net.iter().len()), (3, false, 3));
    let x = input(&[2, 3, 4]);
    let by_hand = net.iter().fold(x.clone(), |x, layer| layer.forward_in(&x, &taper_ops::Mode::eval()).unwrap());
    assert_eq!(flat(&net.eval().forward(&x).unwrap()), flat(&by_hand));
    assert_eq!(flat(&Sequential::new().eval().forward(&x).unwrap()), flat(&x), "no layers are the identity");
}

#[test]
fn what_cannot_be_built_is_refused_with_the_values() {
    let store = store();
    let refused = |in_channels, out_channels, kernel: [usize; 2], config| {
        let built = Conv2d::new(in_channels, out_channels, kernel, config, store.builder().pp("conv"));
        Error::from(built.unwrap_err())
    };
    let config = Conv2dConfig::default();
    let error = refused(4, 6, [3, 2], config.groups(3));
    assert!(matches!(error, Error::Groups { groups: 3, channels: 4, .. }));
    assert_eq!(error.to_string(), "Conv2d: groups (=3) must divide in_channels (=4)");
    let error = refused(4, 6, [3, 2], config.groups(4));
    assert_eq!(error.to_string(), "Conv2d: groups (=4) must divide out_channels (=6)");
    assert_eq!(refused(4, 6, [3, 2], config.groups(0)).to_string(), "Conv2d: groups must be positive, got [0]");
    assert_eq!(refused(4, 6, [3, 0], config).to_string(), "Conv2d: kernel_size must be positive, got [3, 0]");
    assert!(store.vars().is_empty(), "a refused layer makes no parameters");
}

#[test]
fn a_probability_outside_its_range_is_refused_in_either_mode() {
    let x = input(&[2, 3]);
    for p in [-0.5, 1.5, f64::NAN] {
        let dropout = Dropout::new(p);
        for refused in [dropout.eval().forward(&x), dropout.train(1, 2, 3).forward(&x)] {
            let error = Error::from(refused.unwrap_err());
            assert_eq!(error.to_string(), format!("Dropout: the probability must lie between 0 and 1, got {p}"));
        }
    }
}

#[test]
fn the_operators_errors_come_through_a_network_whole() {
    let store = store();
    let net = Sequential::new()
        .add(Conv2d::new(3, 4, [3, 2], Conv2dConfig::default(), store.builder().pp("conv")).unwrap())
        .add(ReLU);
    let error = Error::from(net.eval().forward(&input(&[2, 5, 6, 7])).unwrap_err());
    assert!(matches!(error, Error::Channels { expected: 3, channels: 5, .. }), "{error}");
}

#[test]
fn layers_are_their_operators_on_their_parameters() {
    let store = store();
    let vb = store.builder();
    let config = Conv2dConfig::default().stride([2, 1]).padding([1, 0]).groups(2);
    let conv = Conv2d::new(4, 6, [3, 2], config, vb.pp("conv")).unwrap();
    let x = input(&[2, 4, 7, 5]);
    let by_hand = taper_ops::conv2d(&x, conv.weight(), conv.bias(), conv.spec()).unwrap();
    assert_eq!(flat(&conv.forward(&x).unwrap()), flat(&by_hand));
    let fc = Linear::new(5, 3, vb.pp("fc")).unwrap();
    let by_hand = taper_ops::linear(&x, fc.weight(), fc.bias()).unwrap();
    assert_eq!(flat(&fc.forward(&x).unwrap()), flat(&by_hand));
    let spec = MaxPoolSpec::new([3, 2]).stride([2, 1]).padding([1, 0]);
    let by_hand = taper_ops::max_pool2d(&x, &spec).unwrap();
    assert_eq!(flat(&MaxPool2d::from(spec).forward(&x).unwrap()), flat(&by_hand));
    let spec = AvgPoolSpec::new([3, 2]).stride([2, 1]).padding([1, 0]).count_include_pad(false);
    let by_hand = taper_ops::avg_pool2d(&x, &spec).unwrap();
    assert_eq!(flat(&AvgPool2d::from(spec).forward(&x).unwrap()), flat(&by_hand));
}

#[test]
fn an_empty_batch_passes() {
    let store = store();
    let net = Sequential::new()
        .add(Conv2d::new(3, 4, [3, 2], Conv2dConfig::default(), store.builder().pp("conv")).unwrap())
        .add(ReLU)
        .add(Flatten::default())
        .add(Dropout::new(0.5))
        .add(Linear::new(48, 5, store.builder().pp("fc")).unwrap());
    let x = Tensor::zeros((0, 3, 6, 4), DType::F64, &Device::Cpu).unwrap();
    assert_eq!(net.eval().forward(&x).unwrap().dims(), [0, 5]);
    assert_eq!(net.train(1, 2, 3).forward(&x).unwrap().dims(), [0, 5]);
}

/// The layers stand where candle-nn's stood: over its builders, beside its layers, in its containers.
#[test]
fn drop_in_beside_candle_nn() {
    let map = VarMap::new();
    let vb = VarBuilder::from_varmap(&map, DType::F64, &Device::Cpu);
    let ours = Conv2d::new(3, 4, 3, Conv2dConfig::default().padding(1), vb.pp("conv")).unwrap();
    let config = candle_nn::Conv2dConfig { padding: 1, ..Default::default() };
    let theirs = candle_nn::conv2d(3, 4, 3, config, vb.pp("conv")).unwrap();
    let x = input(&[2, 3, 5, 6]);
    for (a, b) in flat(&ours.forward(&x).unwrap()).iter().zip(flat(&theirs.forward(&x).unwrap())) {
        assert!((a - b).abs() < 1e-12, "{a} and {b}");
    }

    let theirs_over_ours = candle_nn::linear(120, 7, store().builder().pp("fc")).unwrap();
    let norm = candle_nn::batch_norm(4, 1e-5, store().builder().pp("bn")).unwrap();
    let mixed = Sequential::new()
        .add(ours.clone())
        .add_module("BatchNorm", taper_layers::ModuleTLayer(norm))
        .add_module("Gelu", candle_nn::Activation::Gelu)
        .add_module("Halve", |x: &Tensor| x * 0.5)
        .add(Flatten::default())
        .add(Dropout::new(0.5))
        .add_module("fc", theirs_over_ours);
    assert_eq!(mixed.eval().forward(&x).unwrap().dims(), [2, 7]);
    assert_eq!(mixed.train(1, 2, 3).forward(&x).unwrap().dims(), [2, 7]);

    let in_theirs = candle_nn::seq().add(ours).add(ReLU).add(Flatten::default());
    assert_eq!(in_theirs.forward(&x).unwrap().dims(), [2, 120]);
}

#[test]
fn networks_cross_threads() {
    fn sends<T: Send + Sync>() {}
    sends::<(Sequential, VarStore, Conv2d, Linear, Dropout)>();
}
