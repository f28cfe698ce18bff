//! A numeric gradient checker for functions of candle tensors.
//!
//! It knows no operator: anything that takes tensors and returns one can be checked, a composition, a layer or a
//! `CustomOp` of your own. candle-core is its only dependency.
//!
//! ```
//! use candle_core::{Device, Tensor};
//! use taper_gradcheck::GradCheck;
//!
//! let x = Tensor::new(&[[0.3f64, -1.2], [2.0, 0.7]], &Device::Cpu)?;
//! GradCheck::new("tanh").check(|x: &[Tensor]| x[0].tanh(), &[x]).unwrap().assert_passed();
//! # Ok::<(), candle_core::Error>(())
//! ```

mod adjoint;
mod assert;
mod assertions;
mod check;
mod directions;
mod elements;
mod error;
pub mod formats;
mod function;
mod layouts;
mod numeric;
mod pattern;
mod properties;
mod random;
mod report;
mod second_order;
#[cfg(feature = "strategies")]
pub mod strategies;

mod twin;

#[doc(hidden)]
pub use assert::assert_gradients_of;
pub use check::{GradCheck, Kinks};
pub use error::{Error, Result};
pub use layouts::MemoryLayout;
pub use properties::Shift;
pub use report::{Assertion, Element, Failure, InputReport, Report};
