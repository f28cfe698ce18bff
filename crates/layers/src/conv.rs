//! Convolution layers.

use crate::observe::{Cost, Observed};
use crate::parameters::{fan_in_uniform, flag, tuple};
use candle_core::{Module, Result, Tensor};
use candle_nn::VarBuilder;
use std::fmt::{Display, Formatter};
use taper_ops::{Axes, ConvSpec, Error, Padding, conv2d};

/// How a [`Conv2d`] convolves, and whether it adds a bias.
///
/// ```
/// use taper_layers::Conv2dConfig;
///
/// let config = Conv2dConfig::default().stride([2, 1]).padding(1).bias(false);
/// assert_eq!(config.spec.stride, [2, 1]);
/// assert!(!config.bias);
/// ```
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Conv2dConfig {
    /// Stride, padding, dilation and groups.
    pub spec: ConvSpec<2>,
    /// Whether there is a bias, default yes.
    pub bias: bool,
}

impl Default for Conv2dConfig {
    fn default() -> Self {
        Self { spec: ConvSpec::default(), bias: true }
    }
}

impl Conv2dConfig {
    /// Sets the step between neighbouring windows, default 1.
    pub fn stride(self, stride: impl Into<Axes<2>>) -> Self {
        Self { spec: self.spec.stride(stride), ..self }
    }

    /// Sets the zeros around the input, default none.
    pub fn padding(self, padding: impl Into<Padding<2>>) -> Self {
        Self { spec: self.spec.padding(padding), ..self }
    }

    /// Sets the distance between neighbouring taps of the kernel, default 1.
    pub fn dilation(self, dilation: impl Into<Axes<2>>) -> Self {
        Self { spec: self.spec.dilation(dilation), ..self }
    }

    /// Sets the number of groups the channels are split into, default 1.
    pub fn groups(self, groups: usize) -> Self {
        Self { spec: self.spec.groups(groups), ..self }
    }

    /// Sets whether there is a bias, default yes.
    pub fn bias(self, bias: bool) -> Self {
        Self { bias, ..self }
    }
}

/// Two-dimensional convolution with a learnt kernel: [`conv2d`].
///
/// Parameters `weight` `[out_channels, in_channels / groups, K_h, K_w]` and `bias` `[out_channels]`, both drawn from
/// `U(−1/√f, 1/√f)` with `f = in_channels / groups · K_h · K_w`, as PyTorch does.
///
/// ```
/// use candle_core::{DType, Device, Module, Tensor};
/// use taper_layers::{Conv2d, Conv2dConfig, VarStore};
///
/// let store = VarStore::new(42, DType::F32, &Device::Cpu);
/// let conv = Conv2d::new(3, 8, [5, 3], Conv2dConfig::default().padding([2, 1]), store.builder().pp("conv1"))?;
/// assert_eq!(conv.to_string(), "Conv2d(3, 8, kernel_size=(5, 3), stride=(1, 1), padding=(2, 1))");
/// let x = Tensor::zeros((2, 3, 7, 6), DType::F32, &Device::Cpu)?;
/// assert_eq!(conv.forward(&x)?.dims(), [2, 8, 7, 6]);
/// # Ok::<(), candle_core::Error>(())
/// ```
#[derive(Debug, Clone)]
pub struct Conv2d {
    weight: Tensor,
    bias: Option<Tensor>,
    spec: ConvSpec<2>,
    in_channels: usize,
    out_channels: usize,
    kernel_size: [usize; 2],
    path: String,
}

impl Conv2d {
    /// A convolution of `in_channels` into `out_channels` under a kernel of (height, width) `kernel_size`.
    ///
    /// # Errors
    /// `kernel_size` or `groups` is 0, or `groups` does not divide both channel counts; or `vb` refuses the parameters.
    pub fn new(
        in_channels: usize,
        out_channels: usize,
        kernel_size: impl Into<Axes<2>>,
        config: Conv2dConfig,
        vb: VarBuilder<'_>,
    ) -> Result<Self> {
        let Conv2dConfig { spec, bias } = config;
        let Axes(kernel_size) = kernel_size.into();
        let groups = spec.groups;
        check(in_channels, out_channels, kernel_size, groups)?;
        let [kh, kw] = kernel_size;
        let init = fan_in_uniform(in_channels / groups * kh * kw);
        let weight = vb.get_with_hints((out_channels, in_channels / groups, kh, kw), "weight", init)?;
        let bias = if bias { Some(vb.get_with_hints(out_channels, "bias", init)?) } else { None };
        Ok(Self { weight, bias, spec, in_channels, out_channels, kernel_size, path: vb.prefix() })
    }

    /// The kernel, `[out_channels, in_channels / groups, K_h, K_w]`.
    pub fn weight(&self) -> &Tensor {
        &self.weight
    }

    /// The bias, `[out_channels]`.
    pub fn bias(&self) -> Option<&Tensor> {
        self.bias.as_ref()
    }

    /// Stride, padding, dilation and groups.
    pub fn spec(&self) -> &ConvSpec<2> {
        &self.spec
    }
}

fn check(in_channels: usize, out_channels: usize, kernel_size: [usize; 2], groups: usize) -> taper_ops::Result<()> {
    let op = "Conv2d";
    if kernel_size.contains(&0) {
        return Err(Error::NotPositive { op, argument: "kernel_size", value: kernel_size.to_vec() });
    }
    if groups == 0 {
        return Err(Error::NotPositive { op, argument: "groups", value: vec![0] });
    }
    for (argument, channels) in [("in_channels", in_channels), ("out_channels", out_channels)] {
        if !channels.is_multiple_of(groups) {
            return Err(Error::Groups { op, groups, argument, channels });
        }
    }
    Ok(())
}

impl Module for Conv2d {
    fn forward(&self, x: &Tensor) -> Result<Tensor> {
        self.report(x, conv2d(x, &self.weight, self.bias.as_ref(), &self.spec))
    }
}

impl Observed for Conv2d {
    fn kind(&self) -> &str {
        "Conv2d"
    }

    fn path(&self) -> &str {
        &self.path
    }

    fn cost(&self, output: &Tensor) -> Option<Cost> {
        let taps = self.weight.elem_count() / self.out_channels.max(1);
        Some(Cost {
            parameters: [&self.weight].into_iter().chain(&self.bias).cloned().collect(),
            multiply_adds: output.elem_count() as u64 * taps as u64,
        })
    }
}

impl Display for Conv2d {
    fn fmt(&self, f: &mut Formatter<'_>) -> std::fmt::Result {
        let Self { in_channels, out_channels, spec, .. } = self;
        write!(f, "Conv2d({in_channels}, {out_channels}, kernel_size={}", tuple(self.kernel_size))?;
        write!(f, ", stride={}", tuple(spec.stride))?;
        match spec.padding {
            Padding::Same => f.write_str(", padding=same")?,
            Padding::Explicit([(0, 0), (0, 0)]) => {}
            Padding::Explicit([(top, bottom), (left, right)]) if top == bottom && left == right => {
                write!(f, ", padding={}", tuple([top, left]))?;
            }
            Padding::Explicit([vertical, horizontal]) => write!(f, ", padding=({vertical:?}, {horizontal:?})")?,
        }
        if spec.dilation != [1, 1] {
            write!(f, ", dilation={}", tuple(spec.dilation))?;
        }
        if spec.groups != 1 {
            write!(f, ", groups={}", spec.groups)?;
        }
        if self.bias.is_none() {
            write!(f, ", bias={}", flag(false))?;
        }
        f.write_str(")")
    }
}
