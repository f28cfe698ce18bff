//! Convolution and transposed convolution layers over one, two and three axes.

use crate::observe::{Cost, Observed};
use crate::parameters::{fan_in_uniform, flag, tuple};
use candle_core::{Module, Result, Tensor};
use candle_nn::VarBuilder;
use std::fmt::{Display, Formatter};
use taper_ops::{Axes, ConvSpec, Error, PadMode, Padding, conv1d, conv2d, conv3d};

/// How a [`Conv`] convolves, and whether it adds a bias.
///
/// ```
/// use taper_layers::Conv2dConfig;
///
/// let config = Conv2dConfig::default().stride([2, 1]).padding(1).bias(false);
/// assert_eq!(config.spec.stride, [2, 1]);
/// assert!(!config.bias);
/// ```
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ConvConfig<const D: usize> {
    /// Stride, padding, dilation and groups.
    pub spec: ConvSpec<D>,
    /// Whether there is a bias, default yes.
    pub bias: bool,
}

/// How a [`Conv1d`] convolves, and whether it adds a bias.
pub type Conv1dConfig = ConvConfig<1>;
/// How a [`Conv2d`] convolves, and whether it adds a bias.
pub type Conv2dConfig = ConvConfig<2>;
/// How a [`Conv3d`] convolves, and whether it adds a bias.
pub type Conv3dConfig = ConvConfig<3>;

impl<const D: usize> Default for ConvConfig<D> {
    fn default() -> Self {
        Self { spec: ConvSpec::default(), bias: true }
    }
}

impl<const D: usize> ConvConfig<D> {
    /// Sets the step between neighbouring windows, default 1.
    pub fn stride(self, stride: impl Into<Axes<D>>) -> Self {
        Self { spec: self.spec.stride(stride), ..self }
    }

    /// Sets the padding around the input, default none.
    pub fn padding(self, padding: impl Into<Padding<D>>) -> Self {
        Self { spec: self.spec.padding(padding), ..self }
    }

    /// Sets what the padding holds, default zeros.
    pub fn padding_mode(self, padding_mode: PadMode) -> Self {
        Self { spec: self.spec.padding_mode(padding_mode), ..self }
    }

    /// Sets the distance between neighbouring taps of the kernel, default 1.
    pub fn dilation(self, dilation: impl Into<Axes<D>>) -> Self {
        Self { spec: self.spec.dilation(dilation), ..self }
    }

    /// Sets the number of groups the channels are split into, default 1.
    pub fn groups(self, groups: usize) -> Self {
        Self { spec: self.spec.groups(groups), ..self }
    }

    /// Sets whether every sum is taken term by term, default false: see
    /// [`ConvSpec::exact`](taper_ops::ConvSpec::exact).
    pub fn exact(self, exact: bool) -> Self {
        Self { spec: self.spec.exact(exact), ..self }
    }

    /// Sets whether there is a bias, default yes.
    pub fn bias(self, bias: bool) -> Self {
        Self { bias, ..self }
    }
}

/// Convolution over `D` axes with a learnt kernel: [`conv1d`], [`conv2d`], [`conv3d`].
///
/// Parameters `weight` `[out_channels, in_channels / groups, kernel…]` and `bias` `[out_channels]`, both drawn from
/// `U(−1/√f, 1/√f)` with `f = in_channels / groups · ∏ kernel`, as PyTorch does.
#[derive(Debug, Clone)]
pub struct Conv<const D: usize> {
    weight: Tensor,
    bias: Option<Tensor>,
    spec: ConvSpec<D>,
    in_channels: usize,
    out_channels: usize,
    kernel_size: [usize; D],
    path: String,
}

/// One-dimensional convolution with a learnt kernel: [`conv1d`]. See [`Conv`].
///
/// ```
/// use candle_core::{DType, Device, Module, Tensor};
/// use taper_layers::{Conv1d, Conv1dConfig, VarStore};
///
/// let store = VarStore::new(42, DType::F32, &Device::Cpu);
/// let conv = Conv1d::new(3, 8, 5, Conv1dConfig::default().stride(2), store.builder().pp("conv1"))?;
/// assert_eq!(conv.to_string(), "Conv1d(3, 8, kernel_size=(5,), stride=(2,))");
/// let x = Tensor::zeros((2, 3, 11), DType::F32, &Device::Cpu)?;
/// assert_eq!(conv.forward(&x)?.dims(), [2, 8, 4]);
/// # Ok::<(), candle_core::Error>(())
/// ```
pub type Conv1d = Conv<1>;

/// Two-dimensional convolution with a learnt kernel: [`conv2d`]. See [`Conv`].
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
pub type Conv2d = Conv<2>;

/// Three-dimensional convolution with a learnt kernel: [`conv3d`]. See [`Conv`].
///
/// ```
/// use candle_core::{DType, Device, Module, Tensor};
/// use taper_layers::{Conv3d, Conv3dConfig, VarStore};
///
/// let store = VarStore::new(42, DType::F32, &Device::Cpu);
/// let conv = Conv3d::new(3, 8, [1, 5, 3], Conv3dConfig::default(), store.builder().pp("conv1"))?;
/// assert_eq!(conv.to_string(), "Conv3d(3, 8, kernel_size=(1, 5, 3), stride=(1, 1, 1))");
/// let x = Tensor::zeros((2, 3, 4, 7, 6), DType::F32, &Device::Cpu)?;
/// assert_eq!(conv.forward(&x)?.dims(), [2, 8, 4, 3, 4]);
/// # Ok::<(), candle_core::Error>(())
/// ```
pub type Conv3d = Conv<3>;

impl<const D: usize> Conv<D> {
    const NAME: &str = ["Conv", "Conv1d", "Conv2d", "Conv3d"][D];

    /// A convolution of `in_channels` into `out_channels` under a kernel of `kernel_size`, an extent an axis.
    ///
    /// # Errors
    /// `kernel_size` or `groups` is 0, or `groups` does not divide both channel counts; or `vb` refuses the parameters.
    pub fn new(
        in_channels: usize,
        out_channels: usize,
        kernel_size: impl Into<Axes<D>>,
        config: ConvConfig<D>,
        vb: VarBuilder<'_>,
    ) -> Result<Self> {
        let ConvConfig { spec, bias } = config;
        let Axes(kernel_size) = kernel_size.into();
        check(Self::NAME, in_channels, out_channels, kernel_size, spec.groups)?;
        let shape = [&[out_channels, in_channels / spec.groups], kernel_size.as_slice()].concat();
        let (weight, bias) = parameters(shape, bias.then_some(out_channels), &vb)?;
        Ok(Self { weight, bias, spec, in_channels, out_channels, kernel_size, path: vb.prefix() })
    }

    /// The kernel, `[out_channels, in_channels / groups, kernel…]`.
    pub fn weight(&self) -> &Tensor {
        &self.weight
    }

    /// The bias, `[out_channels]`.
    pub fn bias(&self) -> Option<&Tensor> {
        self.bias.as_ref()
    }

    /// Stride, padding, dilation and groups.
    pub fn spec(&self) -> &ConvSpec<D> {
        &self.spec
    }
}

/// Refuses sizes that no convolution has.
pub(crate) fn check<const D: usize>(
    op: &'static str,
    in_channels: usize,
    out_channels: usize,
    kernel_size: [usize; D],
    groups: usize,
) -> taper_ops::Result<()> {
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

/// A weight of `shape` and, with so many channels, a bias. PyTorch's fan-in is what follows the weight's first axis, also
/// where that axis counts the inputs.
pub(crate) fn parameters(
    shape: Vec<usize>,
    bias: Option<usize>,
    vb: &VarBuilder<'_>,
) -> Result<(Tensor, Option<Tensor>)> {
    let init = fan_in_uniform(shape[1..].iter().product());
    let weight = vb.get_with_hints(shape, "weight", init)?;
    Ok((weight, bias.map(|channels| vb.get_with_hints(channels, "bias", init)).transpose()?))
}

impl Module for Conv<1> {
    fn forward(&self, x: &Tensor) -> Result<Tensor> {
        self.report(x, conv1d(x, &self.weight, self.bias.as_ref(), &self.spec))
    }
}

impl Module for Conv<2> {
    fn forward(&self, x: &Tensor) -> Result<Tensor> {
        self.report(x, conv2d(x, &self.weight, self.bias.as_ref(), &self.spec))
    }
}

impl Module for Conv<3> {
    fn forward(&self, x: &Tensor) -> Result<Tensor> {
        self.report(x, conv3d(x, &self.weight, self.bias.as_ref(), &self.spec))
    }
}

impl<const D: usize> Observed for Conv<D> {
    fn kind(&self) -> &str {
        Self::NAME
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

impl<const D: usize> Display for Conv<D> {
    fn fmt(&self, f: &mut Formatter<'_>) -> std::fmt::Result {
        let Self { in_channels, out_channels, spec, .. } = self;
        write!(f, "{}({in_channels}, {out_channels}, kernel_size={}", Self::NAME, tuple(self.kernel_size))?;
        write!(f, ", stride={}", tuple(spec.stride))?;
        match spec.padding {
            Padding::Same => f.write_str(", padding=same")?,
            Padding::Explicit(sides) if sides.iter().all(|&(before, after)| before == after) => {
                unless(f, "padding", sides.map(|(before, _)| before), 0)?;
            }
            Padding::Explicit(sides) => write!(f, ", padding={}", tuple(sides))?,
        }
        unless(f, "dilation", spec.dilation, 1)?;
        if spec.groups != 1 {
            write!(f, ", groups={}", spec.groups)?;
        }
        if self.bias.is_none() {
            write!(f, ", bias={}", flag(false))?;
        }
        match spec.padding_mode {
            PadMode::Constant(0.) => {}
            PadMode::Constant(value) => write!(f, ", padding_mode=constant({value:?})")?,
            PadMode::Reflect => f.write_str(", padding_mode=reflect")?,
            PadMode::Replicate => f.write_str(", padding_mode=replicate")?,
            PadMode::Circular => f.write_str(", padding_mode=circular")?,
        }
        f.write_str(")")
    }
}

/// `, name=(5, 3)` where not every axis has the default.
pub(crate) fn unless<const D: usize>(
    f: &mut Formatter<'_>,
    name: &str,
    axes: [usize; D],
    default: usize,
) -> std::fmt::Result {
    if axes == [default; D] { Ok(()) } else { write!(f, ", {name}={}", tuple(axes)) }
}
