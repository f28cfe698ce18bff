//! The layers without parameters that pad, resample and rearrange: each is its operator, and prints as PyTorch's.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

use candle_core::{DType, Device, Module, Tensor};
use std::fmt::Display;
use taper_layers::{
    CircularPad1d, CircularPad2d, CircularPad3d, ConstantPad1d, ConstantPad2d, ConstantPad3d, Fold, Layer,
    PixelShuffle, PixelUnshuffle, ReflectionPad1d, ReflectionPad2d, ReflectionPad3d, ReplicationPad1d,
    ReplicationPad2d, ReplicationPad3d, Sequential, Unfold, Upsample1d, Upsample2d, Upsample3d, ZeroPad1d, ZeroPad2d,
    ZeroPad3d, observe,
};
use taper_ops::{
    Error, InterpolateMode, PadMode, UnfoldSpec, fold2d, interpolate1d, interpolate2d, interpolate3d, pad1d, pad2d,
    pad3d, pixel_shuffle, pixel_unshuffle, unfold2d,
};

/// Numbers without symmetry: `sin(1), sin(2), …`.
fn input(shape: &[usize]) -> Tensor {
    let count: usize = shape.iter().product();
    Tensor::from_vec((1..=count).map(|i| (i as f64).sin()).collect(), shape, &Device::Cpu).unwrap()
}

/// `layer` gives what `operator` gave, says so to who observes, under `kind`, and prints as `text`.
fn is(layer: impl Module + Display, x: &Tensor, operator: taper_ops::Result<Tensor>, kind: &str, text: &str) {
    let flat = |tensor: &Tensor| tensor.flatten_all().unwrap().to_vec1::<f64>().unwrap();
    let (y, calls) = observe(|| layer.forward(x).unwrap());
    let expected = operator.unwrap();
    assert_eq!((y.dims(), flat(&y)), (expected.dims(), flat(&expected)), "{text}");
    assert_eq!(layer.to_string(), text);
    assert_eq!((calls.len(), calls[0].kind.as_str(), calls[0].text.as_str()), (1, kind, text));
}

#[test]
fn padding() {
    let (line, plane, volume) = (input(&[2, 3, 5]), input(&[2, 3, 4, 5]), input(&[2, 2, 3, 4, 5]));
    let (p1, p2, p3) = ([(3, 1)], [(3, 0), (1, 2)], [(2, 1), (3, 0), (1, 4)]);
    let (t1, t2, t3) = ("(3, 1)", "(1, 2, 3, 0)", "(1, 4, 3, 0, 2, 1)");
    let mode = PadMode::Constant(0.);
    is(ZeroPad1d::new(p1), &line, pad1d(&line, p1[0], mode), "ZeroPad1d", &format!("ZeroPad1d({t1})"));
    is(ZeroPad2d::new(p2), &plane, pad2d(&plane, p2, mode), "ZeroPad2d", &format!("ZeroPad2d({t2})"));
    is(ZeroPad3d::new(p3), &volume, pad3d(&volume, p3, mode), "ZeroPad3d", &format!("ZeroPad3d({t3})"));
    let mode = PadMode::Reflect;
    let text = format!("ReflectionPad1d({t1})");
    is(ReflectionPad1d::new(p1), &line, pad1d(&line, p1[0], mode), "ReflectionPad1d", &text);
    let text = format!("ReflectionPad2d({t2})");
    is(ReflectionPad2d::new(p2), &plane, pad2d(&plane, p2, mode), "ReflectionPad2d", &text);
    let text = format!("ReflectionPad3d({t3})");
    is(ReflectionPad3d::new(p3), &volume, pad3d(&volume, p3, mode), "ReflectionPad3d", &text);
    let mode = PadMode::Replicate;
    let text = format!("ReplicationPad1d({t1})");
    is(ReplicationPad1d::new(p1), &line, pad1d(&line, p1[0], mode), "ReplicationPad1d", &text);
    let text = format!("ReplicationPad2d({t2})");
    is(ReplicationPad2d::new(p2), &plane, pad2d(&plane, p2, mode), "ReplicationPad2d", &text);
    let text = format!("ReplicationPad3d({t3})");
    is(ReplicationPad3d::new(p3), &volume, pad3d(&volume, p3, mode), "ReplicationPad3d", &text);
    let mode = PadMode::Circular;
    is(CircularPad1d::new(p1), &line, pad1d(&line, p1[0], mode), "CircularPad1d", &format!("CircularPad1d({t1})"));
    is(CircularPad2d::new(p2), &plane, pad2d(&plane, p2, mode), "CircularPad2d", &format!("CircularPad2d({t2})"));
    is(CircularPad3d::new(p3), &volume, pad3d(&volume, p3, mode), "CircularPad3d", &format!("CircularPad3d({t3})"));
    let mode = PadMode::Constant(1.5);
    let text = format!("ConstantPad1d(padding={t1}, value=1.5)");
    is(ConstantPad1d::new(p1, 1.5), &line, pad1d(&line, p1[0], mode), "ConstantPad1d", &text);
    let text = format!("ConstantPad2d(padding={t2}, value=1.5)");
    is(ConstantPad2d::new(p2, 1.5), &plane, pad2d(&plane, p2, mode), "ConstantPad2d", &text);
    let text = format!("ConstantPad3d(padding={t3}, value=1.5)");
    is(ConstantPad3d::new(p3, 1.5), &volume, pad3d(&volume, p3, mode), "ConstantPad3d", &text);
}

#[test]
fn resampling() {
    let (line, plane, volume) = (input(&[2, 3, 5]), input(&[2, 3, 4, 5]), input(&[2, 2, 3, 4, 5]));
    let text = "Upsample(size=(8,), mode='linear')";
    let mode = InterpolateMode::Linear { align_corners: true };
    is(Upsample1d::new([8], mode), &line, interpolate1d(&line, [8], mode), "Upsample", text);
    let text = "Upsample(scale_factor=(2.0, 1.5), mode='bilinear')";
    is(Upsample2d::new([2., 1.5], mode), &plane, interpolate2d(&plane, [2., 1.5], mode), "Upsample", text);
    let text = "Upsample(scale_factor=2.0, mode='trilinear')";
    is(Upsample3d::new(2., mode), &volume, interpolate3d(&volume, 2., mode), "Upsample", text);
    let mode = InterpolateMode::Bicubic { align_corners: false };
    let text = "Upsample(size=(8, 6), mode='bicubic')";
    is(Upsample2d::new([8, 6], mode), &plane, interpolate2d(&plane, [8, 6], mode), "Upsample", text);
    let mode = InterpolateMode::NearestExact;
    let text = "Upsample(size=(8, 6), mode='nearest-exact')";
    is(Upsample2d::new([8, 6], mode), &plane, interpolate2d(&plane, [8, 6], mode), "Upsample", text);
    let mode = InterpolateMode::Nearest;
    let text = "Upsample(scale_factor=2.0, mode='nearest')";
    is(Upsample2d::new(2., mode), &plane, interpolate2d(&plane, 2., mode), "Upsample", text);
}

#[test]
fn rearranging() {
    let x = input(&[2, 8, 3, 5]);
    let layer = PixelShuffle { upscale_factor: 2 };
    is(layer, &x, pixel_shuffle(&x, 2), "PixelShuffle", "PixelShuffle(upscale_factor=2)");
    let x = input(&[2, 1, 6, 9]);
    let layer = PixelUnshuffle { downscale_factor: 3 };
    is(layer, &x, pixel_unshuffle(&x, 3), "PixelUnshuffle", "PixelUnshuffle(downscale_factor=3)");
    let x = input(&[2, 3, 5, 6]);
    let spec = UnfoldSpec::new([2, 3]).dilation(2).stride([2, 1]);
    let text = "Unfold(kernel_size=(2, 3), dilation=2, padding=0, stride=(2, 1))";
    is(Unfold::from(spec), &x, unfold2d(&x, &spec), "Unfold", text);
    let columns = unfold2d(&x, &spec).unwrap();
    let text = "Fold(output_size=(5, 6), kernel_size=(2, 3), dilation=2, padding=0, stride=(2, 1))";
    is(Fold::new([5, 6], spec), &columns, fold2d(&columns, [5, 6], &spec), "Fold", text);
    let text = "Unfold(kernel_size=2, dilation=1, padding=0, stride=1)";
    is(Unfold::new(2), &x, unfold2d(&x, &UnfoldSpec::new(2)), "Unfold", text);
}

#[test]
fn in_a_network_they_print_and_refuse() {
    let net = Sequential::new()
        .add(ReflectionPad2d::new([(1, 2), (0, 6)]))
        .add(Upsample2d::new(2., InterpolateMode::Nearest));
    assert_eq!(
        net.to_string(),
        "Sequential(\n  (0): ReflectionPad2d((0, 6, 1, 2))\n  (1): Upsample(scale_factor=2.0, mode='nearest')\n)"
    );
    assert_eq!(net.eval().forward(&input(&[2, 3, 4, 7])).unwrap().dims(), [2, 3, 14, 26]);
    let error = Error::from(net.eval().forward(&input(&[2, 3, 4, 6])).unwrap_err());
    assert!(matches!(error, Error::PaddingTooLarge { limit: 5, .. }), "{error}");
    let none = Tensor::zeros((0, 3, 4, 7), DType::F32, &Device::Cpu).unwrap();
    assert_eq!(net.eval().forward(&none).unwrap().dims(), [0, 3, 14, 26]);
}
