//! proptest strategies for tensors, memory layouts and the geometry of convolutions and pools (feature `strategies`).
//!
//! What is drawn is plain data: this crate knows no operator, so a test turns a [`ConvGeometry`] into the spec of the
//! operator that it tests. Every draw is valid by construction, none is filtered out, and shrinking walks in one order:
//! batch to 1, groups to 1, channels, extents, kernel, stride, dilation, padding, and at last the values to {0, ±1}.
//! The minimal case that proptest prints is Rust source: it can be pasted into a test as it stands.
//!
//! ```
//! use candle_core::{DType, Tensor};
//! use proptest::prelude::*;
//! use taper_gradcheck::{GradCheck, strategies};
//!
//! proptest!(ProptestConfig::with_cases(16), |(shape in strategies::shape(1..=3, 1..=4), fill in strategies::reals())| {
//!     let x = fill.tensor(&shape, DType::F64).unwrap();
//!     let report = GradCheck::new("tanh").check(|x: &[Tensor]| x[0].tanh(), &[x]).unwrap();
//!     prop_assert!(report.passed(), "{report}");
//! });
//! ```

mod conv;
mod fill;
mod pool;

pub use conv::{ConvFault, ConvGeometry, FaultyConv, conv_geometry, faulty_conv};
pub use fill::{Fill, Kind, away_from_zero, distinct, integers, reals};
pub use pool::{
    FaultyPool, PoolFault, PoolGeometry, avg_pool_geometry, faulty_avg_pool, faulty_max_pool, max_pool_geometry,
};

use crate::layouts::MemoryLayout;
use proptest::prelude::*;
use std::ops::RangeInclusive;

/// A shape of a rank in `rank` with extents in `extent`; shrinks to fewer axes, then to smaller ones.
pub fn shape(rank: RangeInclusive<usize>, extent: RangeInclusive<usize>) -> impl Strategy<Value = Vec<usize>> {
    proptest::collection::vec(extent, rank)
}

/// A way to lay a tensor out in memory; shrinks to contiguous.
///
/// ```
/// use candle_core::{DType, Device, Tensor};
/// use proptest::prelude::*;
/// use taper_gradcheck::strategies;
///
/// proptest!(|(layout in strategies::memory_layout())| {
///     let x = Tensor::arange(0f64, 24., &Device::Cpu).unwrap().reshape((2, 3, 4)).unwrap();
///     let laid_out = layout.apply(&x).unwrap();
///     prop_assert_eq!(laid_out.dims(), x.dims());
/// });
/// ```
pub fn memory_layout() -> impl Strategy<Value = MemoryLayout> {
    proptest::sample::select(MemoryLayout::ALL.to_vec())
}

/// `D` independent draws: on two axes they are mostly unequal.
fn per_axis<const D: usize>(range: RangeInclusive<usize>) -> [RangeInclusive<usize>; D] {
    std::array::from_fn(|_| range.clone())
}

/// The extent of a kernel that is spread by a dilation: `d(k − 1) + 1`.
fn spread(kernel: usize, dilation: usize) -> usize {
    dilation * (kernel - 1) + 1
}
