//! Transposed convolution layers over one, two and three axes.

use crate::conv::{check, parameters, unless};
use crate::observe::{Cost, Observed};
use crate::parameters::{flag, tuple};
use candle_core::{Module, Result, Tensor};
use candle_nn::VarBuilder;
use std::fmt::{Display, Formatter};
use taper_ops::{Axes, ConvTransposeSpec, conv_transpose1d, conv_transpose2d, conv_transpose3d};

/// How a [`ConvTranspose`] convolves, and whether it adds a bias.
///
/// ```
/// use taper_layers::ConvTranspose2dConfig;
///
/// let config = ConvTranspose2dConfig::default().stride([2, 1]).output_padding([1, 0]).bias(false);
/// assert_eq!(config.spec.stride, [2, 1]);
/// assert!(!config.bias);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ConvTransposeConfig<const D: usize> {
    /// Stride, padding, output padding, dilation and groups.
    pub spec: ConvTransposeSpec<D>,
    /// Whether there is a bias, default yes.
    pub bias: bool,
}

/// How a [`ConvTranspose1d`] convolves, and whether it adds a bias.
pub type ConvTranspose1dConfig = ConvTransposeConfig<1>;
/// How a [`ConvTranspose2d`] convolves, and whether it adds a bias.
pub type ConvTranspose2dConfig = ConvTransposeConfig<2>;
/// How a [`ConvTranspose3d`] convolves, and whether it adds a bias.
pub type ConvTranspose3dConfig = ConvTransposeConfig<3>;

impl<const D: usize> Default for ConvTransposeConfig<D> {
    fn default() -> Self {
        Self { spec: ConvTransposeSpec::default(), bias: true }
    }
}

impl<const D: usize> ConvTransposeConfig<D> {
    /// Sets the step between the places of neighbouring input elements in the output, default 1.
    pub fn stride(self, stride: impl Into<Axes<D>>) -> Self {
        Self { spec: self.spec.stride(stride), ..self }
    }

    /// Sets what is cut from both sides of the output, default nothing.
    pub fn padding(self, padding: impl Into<Axes<D>>) -> Self {
        Self { spec: self.spec.padding(padding), ..self }
    }

    /// Sets what the far side of the output gets back, default nothing.
    pub fn output_padding(self, output_padding: impl Into<Axes<D>>) -> Self {
        Self { spec: self.spec.output_padding(output_padding), ..self }
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
    /// [`ConvTransposeSpec::exact`](taper_ops::ConvTransposeSpec::exact).
    pub fn exact(self, exact: bool) -> Self {
        Self { spec: self.spec.exact(exact), ..self }
    }

    /// Sets whether there is a bias, default yes.
    pub fn bias(self, bias: bool) -> Self {
        Self { bias, ..self }
    }
}

/// Transposed convolution over `D` axes with a learnt kernel: [`conv_transpose1d`], [`conv_transpose2d`],
/// [`conv_transpose3d`].
///
/// Parameters `weight` `[in_channels, out_channels / groups, kernel…]` and `bias` `[out_channels]`, both drawn from
/// `U(−1/√f, 1/√f)` with `f = out_channels / groups · ∏ kernel`, as PyTorch does.
#[derive(Debug, Clone)]
pub struct ConvTranspose<const D: usize> {
    weight: Tensor,
    bias: Option<Tensor>,
    spec: ConvTransposeSpec<D>,
    in_channels: usize,
    out_channels: usize,
    kernel_size: [usize; D],
    path: String,
}

/// One-dimensional transposed convolution with a learnt kernel: [`conv_transpose1d`]. See [`ConvTranspose`].
///
/// ```
/// use candle_core::{DType, Device, Module, Tensor};
/// use taper_layers::{ConvTranspose1d, ConvTranspose1dConfig, VarStore};
///
/// let store = VarStore::new(42, DType::F32, &Device::Cpu);
/// let conv = ConvTranspose1d::new(3, 8, 5, ConvTranspose1dConfig::default().stride(2), store.builder().pp("up1"))?;
/// assert_eq!(conv.to_string(), "ConvTranspose1d(3, 8, kernel_size=(5,), stride=(2,))");
/// let x = Tensor::zeros((2, 3, 4), DType::F32, &Device::Cpu)?;
/// assert_eq!(conv.forward(&x)?.dims(), [2, 8, 11]);
/// # Ok::<(), candle_core::Error>(())
/// ```
pub type ConvTranspose1d = ConvTranspose<1>;

/// Two-dimensional transposed convolution with a learnt kernel: [`conv_transpose2d`]. See [`ConvTranspose`].
///
/// ```
/// use candle_core::{DType, Device, Module, Tensor};
/// use taper_layers::{ConvTranspose2d, ConvTranspose2dConfig, VarStore};
///
/// // Kernel 3, stride 2, padding 1 and output padding 1 double every extent.
/// let config = ConvTranspose2dConfig::default().stride(2).padding(1).output_padding(1);
/// let store = VarStore::new(42, DType::F32, &Device::Cpu);
/// let conv = ConvTranspose2d::new(8, 4, 3, config, store.builder().pp("up1"))?;
/// assert_eq!(
///     conv.to_string(),
///     "ConvTranspose2d(8, 4, kernel_size=(3, 3), stride=(2, 2), padding=(1, 1), output_padding=(1, 1))"
/// );
/// let x = Tensor::zeros((2, 8, 5, 6), DType::F32, &Device::Cpu)?;
/// assert_eq!(conv.forward(&x)?.dims(), [2, 4, 10, 12]);
/// # Ok::<(), candle_core::Error>(())
/// ```
pub type ConvTranspose2d = ConvTranspose<2>;

/// Three-dimensional transposed convolution with a learnt kernel: [`conv_transpose3d`]. See [`ConvTranspose`].
///
/// ```
/// use candle_core::{DType, Device, Module, Tensor};
/// use taper_layers::{ConvTranspose3d, ConvTranspose3dConfig, VarStore};
///
/// let config = ConvTranspose3dConfig::default().stride([1, 2, 2]);
/// let store = VarStore::new(42, DType::F32, &Device::Cpu);
/// let conv = ConvTranspose3d::new(3, 2, [1, 2, 2], config, store.builder().pp("up1"))?;
/// assert_eq!(conv.to_string(), "ConvTranspose3d(3, 2, kernel_size=(1, 2, 2), stride=(1, 2, 2))");
/// let x = Tensor::zeros((2, 3, 4, 5, 6), DType::F32, &Device::Cpu)?;
/// assert_eq!(conv.forward(&x)?.dims(), [2, 2, 4, 10, 12]);
/// # Ok::<(), candle_core::Error>(())
/// ```
pub type ConvTranspose3d = ConvTranspose<3>;

impl<const D: usize> ConvTranspose<D> {
    const NAME: &str = ["ConvTranspose", "ConvTranspose1d", "ConvTranspose2d", "ConvTranspose3d"][D];

    /// A transposed convolution of `in_channels` into `out_channels` under a kernel of `kernel_size`, an extent an axis.
    ///
    /// # Errors
    /// `kernel_size` or `groups` is 0, or `groups` does not divide both channel counts; or `vb` refuses the parameters.
    pub fn new(
        in_channels: usize,
        out_channels: usize,
        kernel_size: impl Into<Axes<D>>,
        config: ConvTransposeConfig<D>,
        vb: VarBuilder<'_>,
    ) -> Result<Self> {
        let ConvTransposeConfig { spec, bias } = config;
        let Axes(kernel_size) = kernel_size.into();
        check(Self::NAME, in_channels, out_channels, kernel_size, spec.groups)?;
        let shape = [&[in_channels, out_channels / spec.groups], kernel_size.as_slice()].concat();
        let (weight, bias) = parameters(shape, bias.then_some(out_channels), &vb)?;
        Ok(Self { weight, bias, spec, in_channels, out_channels, kernel_size, path: vb.prefix() })
    }

    /// The kernel, `[in_channels, out_channels / groups, kernel…]`.
    pub fn weight(&self) -> &Tensor {
        &self.weight
    }

    /// The bias, `[out_channels]`.
    pub fn bias(&self) -> Option<&Tensor> {
        self.bias.as_ref()
    }

    /// Stride, padding, output padding, dilation and groups.
    pub fn spec(&self) -> &ConvTransposeSpec<D> {
        &self.spec
    }

    /// The elements of a channel of the input, from one of the output.
    fn input_plane(&self, output: &[usize]) -> usize {
        let ConvTransposeSpec { stride, padding, output_padding, dilation, .. } = self.spec;
        let extent = |(axis, extent): (usize, &usize)| {
            let reach = dilation[axis] * (self.kernel_size[axis] - 1) + output_padding[axis] + 1;
            (extent + 2 * padding[axis] - reach) / stride[axis] + 1
        };
        output.iter().enumerate().map(extent).product()
    }
}

impl Module for ConvTranspose<1> {
    fn forward(&self, x: &Tensor) -> Result<Tensor> {
        self.report(x, conv_transpose1d(x, &self.weight, self.bias.as_ref(), &self.spec))
    }
}

impl Module for ConvTranspose<2> {
    fn forward(&self, x: &Tensor) -> Result<Tensor> {
        self.report(x, conv_transpose2d(x, &self.weight, self.bias.as_ref(), &self.spec))
    }
}

impl Module for ConvTranspose<3> {
    fn forward(&self, x: &Tensor) -> Result<Tensor> {
        self.report(x, conv_transpose3d(x, &self.weight, self.bias.as_ref(), &self.spec))
    }
}

impl<const D: usize> Observed for ConvTranspose<D> {
    fn kind(&self) -> &str {
        Self::NAME
    }

    fn path(&self) -> &str {
        &self.path
    }

    /// Every element of the input meets every weight of its channel.
    fn cost(&self, output: &Tensor) -> Option<Cost> {
        let (lead, plane) = output.dims().split_at(output.rank() - D);
        let samples: usize = lead[..lead.len() - 1].iter().product();
        Some(Cost {
            parameters: [&self.weight].into_iter().chain(&self.bias).cloned().collect(),
            multiply_adds: (samples * self.input_plane(plane)) as u64 * self.weight.elem_count() as u64,
        })
    }
}

impl<const D: usize> Display for ConvTranspose<D> {
    fn fmt(&self, f: &mut Formatter<'_>) -> std::fmt::Result {
        let Self { in_channels, out_channels, spec, .. } = self;
        write!(f, "{}({in_channels}, {out_channels}, kernel_size={}", Self::NAME, tuple(self.kernel_size))?;
        write!(f, ", stride={}", tuple(spec.stride))?;
        unless(f, "padding", spec.padding, 0)?;
        unless(f, "dilation", spec.dilation, 1)?;
        unless(f, "output_padding", spec.output_padding, 0)?;
        if spec.groups != 1 {
            write!(f, ", groups={}", spec.groups)?;
        }
        if self.bias.is_none() {
            write!(f, ", bias={}", flag(false))?;
        }
        f.write_str(")")
    }
}
