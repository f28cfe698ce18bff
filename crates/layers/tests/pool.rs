//! Pooling layers of every rank: what they print, and that they are their operators.

#![allow(clippy::unwrap_used, missing_docs, reason = "a test fails by panicking")]

use candle_core::{DType, Device, Module, Tensor};
use taper_layers::{
    AdaptiveAvgPool1d, AdaptiveAvgPool2d, AdaptiveMaxPool3d, AvgPool1d, AvgPool3d, LpPool2d, MaxPool1d, MaxPool3d,
    MaxUnpool2d, observe,
};
use taper_ops::{AvgPoolSpec, LpPoolSpec, MaxPoolSpec, MaxUnpoolSpec};

#[test]
fn they_print_as_pytorch_prints_them() {
    let max = MaxPool3d::from(MaxPoolSpec::new([3, 2, 2]).stride(2).padding([1, 0, 1]).ceil_mode(true));
    let lp = LpPool2d::from(LpPoolSpec::new(1.5, [3, 2]).stride([2, 1]));
    let unpool = MaxUnpool2d::from(MaxUnpoolSpec::new(2).stride([2, 1]));
    let texts = [
        (MaxPool1d::new(2).to_string(), "MaxPool1d(kernel_size=2, stride=2, padding=0, dilation=1, ceil_mode=False)"),
        (max.to_string(), "MaxPool3d(kernel_size=(3, 2, 2), stride=2, padding=(1, 0, 1), dilation=1, ceil_mode=True)"),
        (AvgPool1d::new(2).to_string(), "AvgPool1d(kernel_size=(2,), stride=(2,), padding=(0,))"),
        (
            AvgPool3d::from(AvgPoolSpec::new([3, 2, 2]).padding([1, 0, 0])).to_string(),
            "AvgPool3d(kernel_size=(3, 2, 2), stride=(3, 2, 2), padding=(1, 0, 0))",
        ),
        (lp.to_string(), "LPPool2d(norm_type=1.5, kernel_size=(3, 2), stride=(2, 1), ceil_mode=False)"),
        (AdaptiveAvgPool1d::new(4).to_string(), "AdaptiveAvgPool1d(output_size=4)"),
        (AdaptiveAvgPool2d::new([Some(7), None]).to_string(), "AdaptiveAvgPool2d(output_size=(7, None))"),
        (AdaptiveMaxPool3d::new([1, 2, 3]).to_string(), "AdaptiveMaxPool3d(output_size=(1, 2, 3))"),
        (unpool.to_string(), "MaxUnpool2d(kernel_size=(2, 2), stride=(2, 1), padding=(0, 0))"),
    ];
    for (text, expected) in texts {
        assert_eq!(text, expected);
    }
}

#[test]
fn they_keep_samples_and_channels_and_are_observed() {
    let x = |shape: &[usize]| Tensor::zeros(shape, DType::F32, &Device::Cpu).unwrap();
    let (line, plane, volume) = (x(&[2, 3, 8]), x(&[2, 3, 8, 6]), x(&[2, 3, 8, 6, 4]));
    let (shapes, calls) = observe(|| -> candle_core::Result<_> {
        Ok([
            MaxPool1d::new(2).forward(&line)?.dims().to_vec(),
            AvgPool1d::new(4).forward(&line)?.dims().to_vec(),
            AdaptiveAvgPool1d::new(3).forward(&line)?.dims().to_vec(),
            LpPool2d::new(2., [4, 2]).forward(&plane)?.dims().to_vec(),
            AdaptiveAvgPool2d::new([5, 1]).forward(&plane)?.dims().to_vec(),
            MaxPool3d::new([4, 2, 1]).forward(&volume)?.dims().to_vec(),
            AvgPool3d::new(2).forward(&volume)?.dims().to_vec(),
            AdaptiveMaxPool3d::new([1, 2, 3]).forward(&volume)?.dims().to_vec(),
        ])
    });
    let shapes = shapes.unwrap();
    let expected: [&[usize]; 8] = [
        &[2, 3, 4],
        &[2, 3, 2],
        &[2, 3, 3],
        &[2, 3, 2, 3],
        &[2, 3, 5, 1],
        &[2, 3, 2, 3, 4],
        &[2, 3, 4, 3, 2],
        &[2, 3, 1, 2, 3],
    ];
    assert_eq!(shapes.each_ref().map(Vec::as_slice), expected);
    let kinds: Vec<&str> = calls.iter().map(|call| call.kind.as_str()).collect();
    let expected = [
        "MaxPool1d",
        "AvgPool1d",
        "AdaptiveAvgPool1d",
        "LPPool2d",
        "AdaptiveAvgPool2d",
        "MaxPool3d",
        "AvgPool3d",
        "AdaptiveMaxPool3d",
    ];
    assert_eq!(kinds, expected);
}
