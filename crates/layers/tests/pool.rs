//! Pooling layers of every rank: what they print, and that they are their operators.

#![allow(clippy::unwrap_used, missing_docs, reason = "a test fails by panicking")]

use candle_core::{DType, Device, Module, Tensor};
use taper_layers::{
    AdaptiveAvgPool1d, AdaptiveAvgPool2d, AdaptiveAvgPool3d, AdaptiveMaxPool1d, AdaptiveMaxPool2d, AdaptiveMaxPool3d,
    AvgPool1d, AvgPool2d, AvgPool3d, LpPool1d, LpPool2d, LpPool3d, MaxPool1d, MaxPool2d, MaxPool3d, MaxUnpool1d,
    MaxUnpool2d, MaxUnpool3d, observe,
};
use taper_ops::{
    AvgPoolSpec, LpPoolSpec, MaxPoolSpec, MaxUnpoolSpec, adaptive_avg_pool1d, adaptive_avg_pool2d, adaptive_avg_pool3d,
    adaptive_max_pool1d, adaptive_max_pool2d, adaptive_max_pool3d, avg_pool1d, avg_pool2d, avg_pool3d, lp_pool1d,
    lp_pool2d, lp_pool3d, max_pool1d, max_pool2d, max_pool3d,
};

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

#[test]
fn every_rank_is_its_operator() {
    let x = |shape: &[usize]| Tensor::randn(0f64, 1., shape, &Device::Cpu).unwrap();
    let (l, p, v) = (x(&[2, 3, 7]), x(&[2, 3, 7, 6]), x(&[2, 3, 4, 7, 6]));
    let (max1, max2, max3) = (MaxPoolSpec::new(2), MaxPoolSpec::new([3, 2]), MaxPoolSpec::new([1, 3, 2]));
    let (avg1, avg2, avg3) = (AvgPoolSpec::new(2), AvgPoolSpec::new([3, 2]), AvgPoolSpec::new([1, 3, 2]));
    let (lp1, lp2, lp3) = (LpPoolSpec::new(4., 2), LpPoolSpec::new(4., [3, 2]), LpPoolSpec::new(4., [1, 3, 2]));
    let pairs = [
        (MaxPool1d::from(max1).forward(&l), max_pool1d(&l, &max1)),
        (MaxPool2d::from(max2).forward(&p), max_pool2d(&p, &max2)),
        (MaxPool3d::from(max3).forward(&v), max_pool3d(&v, &max3)),
        (AvgPool1d::from(avg1).forward(&l), avg_pool1d(&l, &avg1)),
        (AvgPool2d::from(avg2).forward(&p), avg_pool2d(&p, &avg2)),
        (AvgPool3d::from(avg3).forward(&v), avg_pool3d(&v, &avg3)),
        (LpPool1d::from(lp1).forward(&l), lp_pool1d(&l, &lp1)),
        (LpPool2d::from(lp2).forward(&p), lp_pool2d(&p, &lp2)),
        (LpPool3d::from(lp3).forward(&v), lp_pool3d(&v, &lp3)),
        (AdaptiveAvgPool1d::new(3).forward(&l), adaptive_avg_pool1d(&l, 3)),
        (AdaptiveAvgPool2d::new([3, 1]).forward(&p), adaptive_avg_pool2d(&p, [3, 1])),
        (AdaptiveAvgPool3d::new([1, 3, 2]).forward(&v), adaptive_avg_pool3d(&v, [1, 3, 2])),
        (AdaptiveMaxPool1d::new(3).forward(&l), adaptive_max_pool1d(&l, 3)),
        (AdaptiveMaxPool2d::new([3, 1]).forward(&p), adaptive_max_pool2d(&p, [3, 1])),
        (AdaptiveMaxPool3d::new([1, 3, 2]).forward(&v), adaptive_max_pool3d(&v, [1, 3, 2])),
    ];
    for (i, (layer, operator)) in pairs.into_iter().enumerate() {
        assert_same(&format!("pair {i}"), &layer.unwrap(), &operator.unwrap());
    }
}

#[test]
fn an_unpool_puts_maxima_back_in_every_rank() {
    let x = |shape: &[usize]| Tensor::randn(0f64, 1., shape, &Device::Cpu).unwrap().abs().unwrap();
    let (l, p, v) = (x(&[2, 3, 8]), x(&[2, 3, 6, 8]), x(&[2, 3, 4, 6, 8]));
    let (max1, max2, max3) = (MaxPool1d::new(2), MaxPool2d::new([3, 2]), MaxPool3d::new([1, 3, 2]));
    let line = max1.forward_with_indices(&l).and_then(|(y, i)| MaxUnpool1d::new(2).forward(&y, &i)).unwrap();
    let plane = max2.forward_with_indices(&p).and_then(|(y, i)| MaxUnpool2d::new([3, 2]).forward(&y, &i)).unwrap();
    let volume = max3.forward_with_indices(&v).and_then(|(y, i)| MaxUnpool3d::new([1, 3, 2]).forward(&y, &i)).unwrap();
    assert_same("line", &max1.forward(&line).unwrap(), &max1.forward(&l).unwrap());
    assert_same("plane", &max2.forward(&plane).unwrap(), &max2.forward(&p).unwrap());
    assert_same("volume", &max3.forward(&volume).unwrap(), &max3.forward(&v).unwrap());
    for (unpooled, x) in [(line, l), (plane, p), (volume, v)] {
        assert_eq!(unpooled.dims(), x.dims());
    }
}

fn assert_same(what: &str, actual: &Tensor, expected: &Tensor) {
    let values = |x: &Tensor| x.flatten_all().unwrap().to_vec1::<f64>().unwrap();
    assert_eq!((actual.dims(), values(actual)), (expected.dims(), values(expected)), "{what}");
}
