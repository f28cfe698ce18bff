//! The geometry of a pooling window, and what can be wrong with it.

use super::{per_axis, spread};
use proptest::prelude::*;

/// A pool over `D` spatial axes: plain data for a test to turn into its operator's spec.
///
/// ```
/// use taper_gradcheck::strategies::PoolGeometry;
///
/// let geometry = PoolGeometry {
///     batch: 2, channels: 3, input: [5, 8], kernel: [2, 3], stride: [3, 2], dilation: [1, 1], padding: [1, 0],
///     ceil_mode: true, count_include_pad: true, divisor_override: None,
/// };
/// // On the first axis rounding up would give 3, but that window would start in the padding.
/// assert_eq!(geometry.output_shape(), [2, 3, 2, 4]);
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PoolGeometry<const D: usize> {
    /// N.
    pub batch: usize,
    /// C.
    pub channels: usize,
    /// The input's spatial extents.
    pub input: [usize; D],
    /// The window's extents.
    pub kernel: [usize; D],
    /// The step of the window, an entry an axis.
    pub stride: [usize; D],
    /// The distance of the window's taps; 1 for an average pool.
    pub dilation: [usize; D],
    /// The padding on both sides, an entry an axis; at most half of the kernel.
    pub padding: [usize; D],
    /// Rounds the output size up.
    pub ceil_mode: bool,
    /// Whether an average counts padding; true for a maximum.
    pub count_include_pad: bool,
    /// What an average divides by, if not by its count; `None` for a maximum.
    pub divisor_override: Option<i64>,
}

impl<const D: usize> PoolGeometry<D> {
    /// `[batch, channels, input…]`
    pub fn input_shape(&self) -> Vec<usize> {
        [&[self.batch, self.channels], self.input.as_slice()].concat()
    }

    /// `[batch, channels, …]` with `⌊(L + 2p − d(k−1) − 1 + (ceil ? s−1 : 0))/s⌋ + 1` an axis, and one less where the
    /// last window would start in the padding after the input.
    pub fn output_shape(&self) -> Vec<usize> {
        let axis = |i: usize| {
            let (l, s, p) = (self.input[i], self.stride[i], self.padding[i]);
            let up = if self.ceil_mode { s - 1 } else { 0 };
            let o = (l + 2 * p - spread(self.kernel[i], self.dilation[i]) + up) / s + 1;
            if self.ceil_mode && (o - 1) * s >= l + p { o - 1 } else { o }
        };
        [self.batch, self.channels].into_iter().chain((0..D).map(axis)).collect()
    }
}

/// A valid max pool; every window holds at least one element of the input.
///
/// ```
/// use proptest::prelude::*;
/// use taper_gradcheck::strategies::max_pool_geometry;
///
/// proptest!(|(geometry in max_pool_geometry::<2>())| {
///     prop_assert!(geometry.output_shape().iter().all(|&extent| extent > 0));
/// });
/// ```
pub fn max_pool_geometry<const D: usize>() -> impl Strategy<Value = PoolGeometry<D>> {
    pool_geometry(3, Just(true), Just(None))
}

/// A valid average pool: `count_include_pad` and `divisor_override` are drawn too.
///
/// ```
/// use proptest::prelude::*;
/// use taper_gradcheck::strategies::avg_pool_geometry;
///
/// proptest!(|(geometry in avg_pool_geometry::<2>())| {
///     prop_assert_eq!(geometry.dilation, [1, 1]);
///     prop_assert_ne!(geometry.divisor_override, Some(0));
/// });
/// ```
pub fn avg_pool_geometry<const D: usize>() -> impl Strategy<Value = PoolGeometry<D>> {
    let divisor = proptest::option::weighted(0.3, proptest::sample::select(vec![1_i64, 2, 3, 7, -3]));
    pool_geometry(1, any::<bool>(), divisor)
}

fn pool_geometry<const D: usize>(
    dilation: usize,
    count_include_pad: impl Strategy<Value = bool>,
    divisor: impl Strategy<Value = Option<i64>>,
) -> impl Strategy<Value = PoolGeometry<D>> {
    let window = (per_axis::<D>(1..=4), per_axis::<D>(1..=4), per_axis::<D>(1..=dilation), per_axis::<D>(0..=2));
    let averaging = (any::<bool>(), count_include_pad, divisor);
    (1..=3_usize, 1..=3_usize, per_axis::<D>(0..=5), window, averaging).prop_map(
        |(
            batch,
            channels,
            slack,
            (kernel, stride, dilation, padding),
            (ceil_mode, count_include_pad, divisor_override),
        )| {
            let padding: [usize; D] = std::array::from_fn(|i| padding[i].min(kernel[i] / 2));
            // With an input of at least one dilation no window steps over it from padding to padding.
            let least = |i: usize| spread(kernel[i], dilation[i]).saturating_sub(2 * padding[i]).max(dilation[i]);
            let input = std::array::from_fn(|i| least(i) + slack[i]);
            PoolGeometry {
                batch,
                channels,
                input,
                kernel,
                stride,
                dilation,
                padding,
                ceil_mode,
                count_include_pad,
                divisor_override,
            }
        },
    )
}

/// What is wrong with a [`FaultyPool`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum PoolFault {
    /// A stride is 0.
    ZeroStride,
    /// A dilation is 0.
    ZeroDilation,
    /// A kernel extent is 0.
    ZeroKernel,
    /// Padding is more than half of the kernel.
    PaddingOverHalf,
    /// The window, spread by its dilation, is larger than the padded input.
    KernelTooLarge,
    /// The divisor is 0.
    ZeroDivisor,
}

/// A pool that must be refused, and the one reason why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FaultyPool<const D: usize> {
    /// What is wrong; all else is right.
    pub fault: PoolFault,
    /// The pool. Its `output_shape` means nothing.
    pub geometry: PoolGeometry<D>,
}

/// A max pool with exactly one fault planted, on any axis.
///
/// ```
/// use proptest::prelude::*;
/// use taper_gradcheck::strategies::{PoolFault, faulty_max_pool};
///
/// proptest!(|(pool in faulty_max_pool::<2>())| {
///     prop_assert_eq!(pool.fault == PoolFault::ZeroStride, pool.geometry.stride.contains(&0));
/// });
/// ```
pub fn faulty_max_pool<const D: usize>() -> impl Strategy<Value = FaultyPool<D>> {
    use PoolFault::*;
    let faults = vec![ZeroStride, ZeroDilation, ZeroKernel, PaddingOverHalf, KernelTooLarge];
    faulty(max_pool_geometry(), faults)
}

/// An average pool with exactly one fault planted, on any axis.
///
/// ```
/// use proptest::prelude::*;
/// use taper_gradcheck::strategies::{PoolFault, faulty_avg_pool};
///
/// proptest!(|(pool in faulty_avg_pool::<2>())| {
///     prop_assert_ne!(pool.fault, PoolFault::ZeroDilation);
/// });
/// ```
pub fn faulty_avg_pool<const D: usize>() -> impl Strategy<Value = FaultyPool<D>> {
    use PoolFault::*;
    faulty(avg_pool_geometry(), vec![ZeroStride, ZeroKernel, PaddingOverHalf, KernelTooLarge, ZeroDivisor])
}

fn faulty<const D: usize>(
    geometry: impl Strategy<Value = PoolGeometry<D>>,
    faults: Vec<PoolFault>,
) -> impl Strategy<Value = FaultyPool<D>> {
    (geometry, proptest::sample::select(faults), 0..D).prop_map(|(mut geometry, fault, axis)| {
        match fault {
            PoolFault::ZeroStride => geometry.stride[axis] = 0,
            PoolFault::ZeroDilation => geometry.dilation[axis] = 0,
            PoolFault::ZeroKernel => (geometry.kernel[axis], geometry.padding[axis]) = (0, 0),
            PoolFault::PaddingOverHalf => geometry.padding[axis] = geometry.kernel[axis] / 2 + 1,
            PoolFault::KernelTooLarge => {
                // Rounding up admits a kernel that is too large by less than a stride.
                geometry.ceil_mode = false;
                let padded = geometry.input[axis] + 2 * geometry.padding[axis];
                geometry.kernel[axis] = padded.div_ceil(geometry.dilation[axis]) + 1;
            }
            PoolFault::ZeroDivisor => geometry.divisor_override = Some(0),
        }
        FaultyPool { fault, geometry }
    })
}
