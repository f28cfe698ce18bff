//! The convolution layers: PyTorch's state dicts, initial values, what they print, refuse and cost.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

#[path = "support/state_dict.rs"]
mod state_dict;

use candle_core::{DType, Device, Module, Tensor};
use state_dict::StateDicts;
use taper_layers::{
    Conv1d, Conv1dConfig, Conv2d, Conv2dConfig, Conv3d, Conv3dConfig, ConvTranspose1d, ConvTranspose1dConfig,
    ConvTranspose2d, ConvTranspose2dConfig, ConvTranspose3d, ConvTranspose3dConfig, Sequential, VarStore, summary,
};
use taper_ops::{Error, PadMode, Padding};

fn store() -> VarStore {
    VarStore::new(11, DType::F64, &Device::Cpu)
}

#[test]
fn pytorchs_state_dicts() {
    let mut golden = StateDicts::read("convolutions");
    let config = Conv1dConfig::default().stride(2).padding(1).groups(2).padding_mode(PadMode::Replicate);
    golden.hold("conv1d", |vb| Conv1d::new(4, 6, 3, config, vb));
    let config = Conv2dConfig::default().stride([2, 1]).padding([1, 2]).dilation([1, 2]).groups(2);
    golden.hold("conv2d", |vb| Conv2d::new(4, 6, [3, 2], config, vb));
    let config = Conv2dConfig::default().padding(Padding::Same).padding_mode(PadMode::Reflect).bias(false);
    golden.hold("conv2d_same", |vb| Conv2d::new(2, 3, [2, 3], config, vb));
    let config = Conv3dConfig::default().stride([1, 2, 1]).padding([0, 1, 1]).padding_mode(PadMode::Circular);
    golden.hold("conv3d", |vb| Conv3d::new(2, 3, [1, 3, 2], config, vb));
    let config = ConvTranspose1dConfig::default().stride(2).padding(1).output_padding(1).groups(2);
    golden.hold("conv_transpose1d", |vb| ConvTranspose1d::new(4, 6, 3, config, vb));
    let config = ConvTranspose2dConfig::default().stride([2, 3]).padding([1, 0]).dilation([2, 1]).groups(2);
    golden.hold("conv_transpose2d", |vb| ConvTranspose2d::new(4, 6, [3, 2], config, vb));
    let config = ConvTranspose3dConfig::default().stride([1, 2, 1]).output_padding([0, 1, 0]).bias(false);
    golden.hold("conv_transpose3d", |vb| ConvTranspose3d::new(2, 3, [1, 3, 2], config, vb));
    golden.finish();
}

/// Uniform within one over the root of the fan-in, which a transposed convolution counts over its outputs.
#[test]
fn initial_values() {
    let store = store();
    let vb = store.builder();
    let conv1d = Conv1d::new(8, 300, 5, Conv1dConfig::default().groups(2), vb.pp("conv1d")).unwrap();
    let conv2d = Conv2d::new(8, 300, [3, 5], Conv2dConfig::default().groups(2), vb.pp("conv2d")).unwrap();
    let conv3d = Conv3d::new(6, 300, [1, 2, 3], Conv3dConfig::default(), vb.pp("conv3d")).unwrap();
    let up1d = ConvTranspose1d::new(8, 300, 5, ConvTranspose1dConfig::default().groups(4), vb.pp("up1d")).unwrap();
    let up2d = ConvTranspose2d::new(9, 300, [3, 2], ConvTranspose2dConfig::default().groups(3), vb.pp("up2d")).unwrap();
    let up3d = ConvTranspose3d::new(7, 300, [1, 2, 3], ConvTranspose3dConfig::default(), vb.pp("up3d")).unwrap();
    for (layer, weight, bias, fan_in) in [
        ("Conv1d", conv1d.weight(), conv1d.bias(), 8 / 2 * 5),
        ("Conv2d", conv2d.weight(), conv2d.bias(), 8 / 2 * 3 * 5),
        ("Conv3d", conv3d.weight(), conv3d.bias(), 6 * 2 * 3),
        ("ConvTranspose1d", up1d.weight(), up1d.bias(), 300 / 4 * 5),
        ("ConvTranspose2d", up2d.weight(), up2d.bias(), 300 / 3 * 3 * 2),
        ("ConvTranspose3d", up3d.weight(), up3d.bias(), 300 * 2 * 3),
    ] {
        for parameter in [weight, bias.unwrap()] {
            let values: Vec<f64> = parameter.flatten_all().unwrap().to_vec1().unwrap();
            let (n, bound) = (values.len() as f64, 1. / f64::from(fan_in).sqrt());
            let largest = values.iter().fold(0f64, |m, v| m.max(v.abs()));
            assert!(largest <= bound && largest > 0.97 * bound, "{layer}: {largest} of {bound}");
            let mean = values.iter().sum::<f64>() / n;
            assert!(mean.abs() < 5. * bound / (3. * n).sqrt(), "{layer}: mean {mean}");
            let variance = values.iter().map(|v| v * v).sum::<f64>() / n;
            // The variance of v² is 4/45 of the bound's fourth power.
            let spread = 5. * bound * bound * (4. / 45. / n).sqrt();
            assert!((variance - bound * bound / 3.).abs() < spread, "{layer}: variance {variance}");
        }
    }
}

#[test]
fn they_print_as_pytorch_prints_them() {
    let store = store();
    let vb = || store.builder().pp(store.vars().len());
    let config = Conv1dConfig::default().padding(1).padding_mode(PadMode::Reflect);
    assert_eq!(
        Conv1d::new(4, 6, 3, config, vb()).unwrap().to_string(),
        "Conv1d(4, 6, kernel_size=(3,), stride=(1,), padding=(1,), padding_mode=reflect)"
    );
    let config = Conv2dConfig::default().padding([(1, 1), (0, 2)]).padding_mode(PadMode::Constant(0.5));
    assert_eq!(
        Conv2d::new(4, 6, 3, config, vb()).unwrap().to_string(),
        "Conv2d(4, 6, kernel_size=(3, 3), stride=(1, 1), padding=((1, 1), (0, 2)), padding_mode=constant(0.5))"
    );
    assert_eq!(
        Conv3d::new(4, 6, [1, 2, 3], Conv3dConfig::default().stride(2).bias(false), vb()).unwrap().to_string(),
        "Conv3d(4, 6, kernel_size=(1, 2, 3), stride=(2, 2, 2), bias=False)"
    );
    assert_eq!(
        ConvTranspose1d::new(4, 6, 3, ConvTranspose1dConfig::default(), vb()).unwrap().to_string(),
        "ConvTranspose1d(4, 6, kernel_size=(3,), stride=(1,))"
    );
    let config = ConvTranspose2dConfig::default().stride([2, 1]).padding([1, 0]).output_padding([1, 0]);
    assert_eq!(
        ConvTranspose2d::new(4, 6, [3, 2], config.dilation([1, 2]).groups(2).bias(false), vb()).unwrap().to_string(),
        "ConvTranspose2d(4, 6, kernel_size=(3, 2), stride=(2, 1), padding=(1, 0), dilation=(1, 2), \
         output_padding=(1, 0), groups=2, bias=False)"
    );
}

#[test]
fn what_cannot_be_built_is_refused_with_the_values() {
    let store = store();
    let config = ConvTranspose2dConfig::default();
    let refused = |in_channels, out_channels, kernel: [usize; 2], config| {
        Error::from(ConvTranspose2d::new(in_channels, out_channels, kernel, config, store.builder()).unwrap_err())
    };
    let error = refused(4, 6, [3, 2], config.groups(3));
    assert!(matches!(error, Error::Groups { groups: 3, channels: 4, .. }));
    assert_eq!(error.to_string(), "ConvTranspose2d: groups (=3) must divide in_channels (=4)");
    let error = refused(4, 6, [3, 0], config);
    assert_eq!(error.to_string(), "ConvTranspose2d: kernel_size must be positive, got [3, 0]");
    let error = Conv3d::new(4, 6, 3, Conv3dConfig::default().groups(0), store.builder()).unwrap_err();
    assert_eq!(error.to_string(), "Conv3d: groups must be positive, got [0]");
    assert!(store.vars().is_empty(), "a refused layer makes no parameters");
}

/// Every element of the input of a transposed convolution meets `out_channels / groups · kernel` weights.
#[test]
fn multiply_adds() {
    let store = store();
    let config =
        ConvTranspose2dConfig::default().stride([2, 3]).padding([1, 0]).output_padding([1, 2]).dilation([1, 2]);
    let up = ConvTranspose2d::new(4, 6, [3, 2], config.groups(2), store.builder().pp("up")).unwrap();
    let x = Tensor::zeros((2, 4, 5, 7), DType::F64, &Device::Cpu).unwrap();
    assert_eq!(up.forward(&x).unwrap().dims(), [2, 6, 10, 23]);
    let counted = |shape: &[usize]| summary(&up, shape, DType::F64, &Device::Cpu).unwrap().multiply_adds();
    assert_eq!(counted(&[2, 4, 5, 7]), 2 * 4 * 5 * 7 * 3 * 3 * 2);
    assert_eq!(counted(&[4, 5, 7]), 4 * 5 * 7 * 3 * 3 * 2);
    let conv = Conv1d::new(4, 6, 3, Conv1dConfig::default().groups(2), store.builder().pp("conv")).unwrap();
    let net = Sequential::new().add(conv);
    assert_eq!(summary(&net, (2, 4, 9), DType::F64, &Device::Cpu).unwrap().multiply_adds(), 2 * 6 * 7 * 2 * 3);
}
