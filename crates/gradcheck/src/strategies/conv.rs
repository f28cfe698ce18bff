//! The geometry of a convolution, and what can be wrong with it.

use super::{per_axis, spread};
use proptest::prelude::*;

/// A convolution over `D` spatial axes: plain data for a test to turn into its operator's spec.
///
/// Shapes are `[batch, in_channels, input…]` for the input, `[out_channels, in_channels / groups, kernel…]` for the
/// weight and `[out_channels]` for the bias.
///
/// ```
/// use taper_gradcheck::strategies::ConvGeometry;
///
/// let geometry = ConvGeometry {
///     batch: 2, groups: 1, in_channels: 3, out_channels: 4,
///     input: [7, 8], kernel: [3, 2], stride: [2, 1], dilation: [1, 2], padding: [(1, 0), (0, 2)], bias: true,
/// };
/// assert_eq!(geometry.weight_shape(), [4, 3, 3, 2]);
/// assert_eq!(geometry.output_shape(), [2, 4, 3, 8]);
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConvGeometry<const D: usize> {
    /// N.
    pub batch: usize,
    /// Divides both channel counts.
    pub groups: usize,
    /// C_in, of all groups together.
    pub in_channels: usize,
    /// C_out, of all groups together.
    pub out_channels: usize,
    /// The input's spatial extents.
    pub input: [usize; D],
    /// The kernel's extents.
    pub kernel: [usize; D],
    /// The step of the window, an entry an axis.
    pub stride: [usize; D],
    /// The distance of the kernel's taps, an entry an axis.
    pub dilation: [usize; D],
    /// Zeros before and after, an entry an axis.
    pub padding: [(usize, usize); D],
    /// Whether there is a bias.
    pub bias: bool,
}

impl<const D: usize> ConvGeometry<D> {
    /// `[batch, in_channels, input…]`
    pub fn input_shape(&self) -> Vec<usize> {
        [&[self.batch, self.in_channels], self.input.as_slice()].concat()
    }

    /// `[out_channels, in_channels / groups, kernel…]`
    pub fn weight_shape(&self) -> Vec<usize> {
        [&[self.out_channels, self.in_channels / self.groups], self.kernel.as_slice()].concat()
    }

    /// `[out_channels]`, where there is a bias.
    pub fn bias_shape(&self) -> Option<Vec<usize>> {
        self.bias.then(|| vec![self.out_channels])
    }

    /// `[batch, out_channels, …]` with `⌊(L + p_lo + p_hi − d(k−1) − 1)/s⌋ + 1` an axis.
    pub fn output_shape(&self) -> Vec<usize> {
        let axis = |i: usize| {
            let padded = self.input[i] + self.padding[i].0 + self.padding[i].1;
            (padded - spread(self.kernel[i], self.dilation[i])) / self.stride[i] + 1
        };
        [self.batch, self.out_channels].into_iter().chain((0..D).map(axis)).collect()
    }
}

/// A valid convolution, small, with everything rectangular and asymmetric.
///
/// ```
/// use proptest::prelude::*;
/// use taper_gradcheck::strategies::conv_geometry;
///
/// proptest!(|(geometry in conv_geometry::<2>())| {
///     prop_assert!(geometry.output_shape().iter().all(|&extent| extent > 0));
/// });
/// ```
pub fn conv_geometry<const D: usize>() -> impl Strategy<Value = ConvGeometry<D>> {
    let channels = (1..=3_usize, 1..=3_usize, 1..=3_usize, 1..=3_usize);
    let window = (per_axis::<D>(1..=4), per_axis::<D>(1..=3), per_axis::<D>(1..=3));
    let padding = (per_axis::<D>(0..=3), per_axis::<D>(0..=3));
    (channels, per_axis::<D>(0..=5), window, padding, any::<bool>()).prop_map(
        |((batch, groups, in_per_group, out_per_group), slack, (kernel, stride, dilation), (before, after), bias)| {
            let padding: [(usize, usize); D] = std::array::from_fn(|i| (before[i], after[i]));
            // As much input as one window needs, and some more: valid however the rest shrinks.
            let least = |i: usize| spread(kernel[i], dilation[i]).saturating_sub(before[i] + after[i]).max(1);
            ConvGeometry {
                batch,
                groups,
                in_channels: groups * in_per_group,
                out_channels: groups * out_per_group,
                input: std::array::from_fn(|i| least(i) + slack[i]),
                kernel,
                stride,
                dilation,
                padding,
                bias,
            }
        },
    )
}

/// What is wrong with a [`FaultyConv`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ConvFault {
    /// A stride is 0.
    ZeroStride,
    /// A dilation is 0.
    ZeroDilation,
    /// `groups` is 0.
    ZeroGroups,
    /// A kernel extent is 0.
    ZeroKernel,
    /// `groups` does not divide the output channels.
    GroupsOverOutChannels,
    /// The input has another number of channels than the weight takes.
    InputChannels,
    /// The kernel, spread by its dilation, is larger than the padded input.
    KernelTooLarge,
    /// The bias has another length than the output channels.
    BiasLength,
}

/// Arguments of a convolution that must be refused, and the one reason why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FaultyConv<const D: usize> {
    /// What is wrong; all else is right.
    pub fault: ConvFault,
    /// The input's shape.
    pub input_shape: Vec<usize>,
    /// The weight's shape.
    pub weight_shape: Vec<usize>,
    /// The bias's shape, where there is one.
    pub bias_shape: Option<Vec<usize>>,
    /// The number of groups.
    pub groups: usize,
    /// The stride, an entry an axis.
    pub stride: [usize; D],
    /// The dilation, an entry an axis.
    pub dilation: [usize; D],
    /// The padding before and after, an entry an axis.
    pub padding: [(usize, usize); D],
}

/// A convolution with exactly one fault planted, on any axis.
///
/// ```
/// use proptest::prelude::*;
/// use taper_gradcheck::strategies::{ConvFault, faulty_conv};
///
/// proptest!(|(conv in faulty_conv::<2>())| {
///     prop_assert_eq!(conv.fault == ConvFault::ZeroGroups, conv.groups == 0);
/// });
/// ```
pub fn faulty_conv<const D: usize>() -> impl Strategy<Value = FaultyConv<D>> {
    use ConvFault::*;
    let faults = vec![
        ZeroStride,
        ZeroDilation,
        ZeroGroups,
        ZeroKernel,
        GroupsOverOutChannels,
        InputChannels,
        KernelTooLarge,
        BiasLength,
    ];
    (conv_geometry::<D>(), proptest::sample::select(faults), 0..D).prop_map(|(geometry, fault, axis)| {
        let mut faulty = FaultyConv {
            fault,
            input_shape: geometry.input_shape(),
            weight_shape: geometry.weight_shape(),
            bias_shape: geometry.bias_shape(),
            groups: geometry.groups,
            stride: geometry.stride,
            dilation: geometry.dilation,
            padding: geometry.padding,
        };
        match fault {
            ZeroStride => faulty.stride[axis] = 0,
            ZeroDilation => faulty.dilation[axis] = 0,
            ZeroGroups => faulty.groups = 0,
            ZeroKernel => faulty.weight_shape[2 + axis] = 0,
            GroupsOverOutChannels => {
                faulty.groups = geometry.groups + 1;
                faulty.input_shape[1] = faulty.weight_shape[1] * faulty.groups;
                faulty.weight_shape[0] = geometry.out_channels * faulty.groups + 1;
                faulty.bias_shape = geometry.bias.then(|| vec![faulty.weight_shape[0]]);
            }
            InputChannels => faulty.input_shape[1] += geometry.groups,
            KernelTooLarge => {
                let padded = geometry.input[axis] + geometry.padding[axis].0 + geometry.padding[axis].1;
                faulty.weight_shape[2 + axis] = padded.div_ceil(geometry.dilation[axis]) + 1;
            }
            BiasLength => faulty.bias_shape = Some(vec![geometry.out_channels + 1]),
        }
        faulty
    })
}
