//! Convolution and transposed convolution of every rank against every one of the reference's vectors.

#![allow(clippy::unwrap_used, clippy::panic, missing_docs, reason = "a test fails by panicking")]

mod support;

use candle_core::Tensor;
use support::{Case, Count};
use taper_ops::{ConvSpec, ConvTransposeSpec, Error, Padding, Result, conv_transpose1d, conv_transpose2d};
use taper_ops::{conv_transpose3d, conv1d, conv2d, conv3d};

type Operator<Spec> = fn(&Tensor, &Tensor, Option<&Tensor>, &Spec) -> Result<Tensor>;

fn groups(case: &Case) -> Option<usize> {
    case.kwargs["groups"].as_u64().map(|groups| groups as usize)
}

fn conv_spec<const D: usize>(case: &Case) -> Option<ConvSpec<D>> {
    let padding = match case.kwargs["padding"].as_str() {
        Some("same") => Padding::Same,
        Some("valid") => 0.into(),
        Some(other) => panic!("{}: padding {other}", case.id),
        None => case.axes("padding")?.into(),
    };
    let spec = ConvSpec::default().padding(padding).groups(groups(case)?);
    Some(spec.stride(case.axes::<D>("stride")?).dilation(case.axes::<D>("dilation")?))
}

fn transpose_spec<const D: usize>(case: &Case) -> Option<ConvTransposeSpec<D>> {
    Some(ConvTransposeSpec {
        stride: case.axes("stride")?,
        padding: case.axes("padding")?,
        output_padding: case.axes("output_padding")?,
        dilation: case.axes("dilation")?,
        groups: groups(case)?,
        ..ConvTransposeSpec::default()
    })
}

/// Whether the error names what the reference's message names.
fn same_cause(error: &Error, message: &str) -> bool {
    match error {
        Error::NotPositive { argument: "stride", .. } => message.contains("non-positive stride"),
        Error::NotPositive { argument: "dilation", .. } => message.contains("dilation should be greater"),
        Error::NotPositive { argument: "groups", .. } => message.contains("non-positive groups"),
        Error::Groups { groups: 3, .. } => message.contains("Given groups=3"),
        Error::SameStride { .. } => message.contains("not supported for strided"),
        Error::KernelTooLarge { .. } => message.contains("Kernel size can't be greater"),
        Error::Channels { expected: 4, channels: 3, .. } => message.contains("to have 4 channels, but got 3"),
        Error::Shape { argument: "bias", .. } => message.contains("expected bias"),
        Error::OutputPadding { output_padding: 1, stride: 1, dilation: 1, .. } => {
            message.contains("output padding must be smaller than either stride or dilation")
        }
        Error::NothingLeft { .. } => message.contains("Output size is too small"),
        _ => false,
    }
}

fn golden<Spec>(op: &str, spec: impl Fn(&Case) -> Option<Spec>, operator: Operator<Spec>) -> Count {
    support::check(
        op,
        |_| true,
        |case, inputs| {
            let call = |spec| Ok(vec![operator(&inputs["input"], &inputs["weight"], inputs.get("bias"), &spec)?]);
            spec(case).map(call).transpose()
        },
        |case, error: &Error| {
            let message = case.error.as_ref().unwrap();
            assert!(same_cause(error, message), "{op} {}: {error}\nthe reference: {message}", case.id);
        },
    )
}

#[test]
fn convolution() {
    let all = Count { passed: 48, refused: 10 };
    assert_eq!(golden("conv1d", conv_spec::<1>, conv1d), all);
    assert_eq!(golden("conv2d", conv_spec::<2>, conv2d), all);
    assert_eq!(golden("conv3d", conv_spec::<3>, conv3d), all);
    assert_eq!(golden("conv2d_wide", conv_spec::<2>, conv2d), Count { passed: 9, refused: 0 });
}

#[test]
fn transposed_convolution() {
    let all = Count { passed: 48, refused: 4 };
    assert_eq!(golden("conv_transpose1d", transpose_spec::<1>, conv_transpose1d), all);
    assert_eq!(golden("conv_transpose2d", transpose_spec::<2>, conv_transpose2d), all);
    assert_eq!(golden("conv_transpose3d", transpose_spec::<3>, conv_transpose3d), all);
}
