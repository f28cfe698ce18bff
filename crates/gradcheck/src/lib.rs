//! A numeric gradient checker for functions of candle tensors.
//!
//! It knows no operator: anything that takes tensors and returns one can be checked, a composition, a layer or a
//! `CustomOp` of your own. candle-core is all that it depends on (and proptest, behind the feature `strategies`).
//!
//! # In one line
//!
//! ```
//! use candle_core::{Device, Tensor};
//! use taper_gradcheck::assert_gradients;
//!
//! let x = Tensor::new(&[[0.3f64, -1.2], [2.0, 0.7]], &Device::Cpu)?;
//! let w = Tensor::new(&[[1.5f64], [-0.5]], &Device::Cpu)?;
//! assert_gradients!(|x, w| x.matmul(w), [x, w], linear_in([0, 1]));
//! # Ok::<(), candle_core::Error>(())
//! ```
//!
//! # What is asserted
//!
//! [`GradCheck::check`] draws a cotangent c of both signs, runs candle's backward pass, and holds every derivative of
//! ⟨f(x), c⟩ against differences. Then it asserts what else a right backward pass does, for a wrong one often gives the
//! right numbers in the plainest case:
//!
//! | [`Assertion`] | what it finds |
//! |---|---|
//! | `Gradient`, `Connected`, `Shape`, `DType`, `Backward` | a wrong number; a severed graph; an error or a panic on the way |
//! | `Repeatable`, `Deterministic` | an uninitialised buffer, a race, a mask drawn anew |
//! | `ZeroCotangent` | something added that does not come from the cotangent |
//! | `FanOut` | a gradient that overwrites instead of adding; none for an input that is itself computed |
//! | `Untracked`, `Wasted` | a gradient that leans on its neighbour; one that nobody asked for |
//! | `InputLayout`, `CotangentLayout` | a kernel that reads strided, offset or broadcast tensors as if they were contiguous |
//! | `Linear` | an input declared linear that is not |
//!
//! The cotangent reaches a `bwd` contiguous whatever layout it had before, for candle adds every gradient to a buffer of
//! zeros: `CotangentLayout` can see what candle's own views make of it, not what `bwd` would make of a strided tensor.
//!
//! # Which check
//!
//! | question | method |
//! |---|---|
//! | is every derivative right? | [`check`](GradCheck::check) |
//! | the same of a large input, in a few evaluations | [`directions`](GradCheck::directions), then `check` |
//! | are second derivatives right? | [`check_second_order`](GradCheck::check_second_order) |
//! | is the float32 kernel as good as the float64 one? | [`check_float32`](GradCheck::check_float32) |
//! | are the gradients of a whole model, as it trains, right? | [`check_loss`](GradCheck::check_loss) |
//! | is g the transpose of f? | [`adjoint`](GradCheck::adjoint) |
//! | is the *value* right? (differences agree with a wrong one) | [`layout_invariance`](GradCheck::layout_invariance), [`batch_invariance`](GradCheck::batch_invariance), [`shift_equivariance`](GradCheck::shift_equivariance), [`linearity`](GradCheck::linearity) |
//! | do two algorithms, or 1 and 4 threads, agree? | [`same_bits`](GradCheck::same_bits) |
//!
//! # Steps, tolerances and kinks
//!
//! A convolution, an average, a linear layer are linear in each argument, so that a difference has no truncation error:
//! declare it with [`linear_in`](GradCheck::linear_in) and they are checked to rounding, about 1e-13, at two evaluations an
//! element. Otherwise h is 2⁻¹⁰·max(1, |x|) and its halves, extrapolated; how far the extrapolations are apart is added to
//! the tolerance, and where they do not settle smaller steps are tried.
//!
//! Where the one-sided derivatives differ and go on differing as the step shrinks (ReLU at 0, a tie of a maximum) no
//! difference can decide: the element is counted as [not differentiable](Report::not_differentiable), not failed. [`Kinks`]
//! can ask for a value between the two. Better is to stay away: the strategies [`distinct`](strategies::distinct) and
//! [`away_from_zero`](strategies::away_from_zero) do.
//!
//! # Reading a report
//!
//! ```text
//! gradient check of `first try` FAILED: 15 derivatives (seed 0)
//!   gradient of input `scale`: 3 of 3 derivatives are wrong; analytic = numeric ÷ 4 everywhere
//!     index in [3]                     analytic          numeric  error ÷ tolerance
//!     [2]                        5.520061255e-1    2.208024502e0           1.455e12
//!     [0]                       -4.097050130e-1   -1.638820052e0           1.112e12
//!     [1]                       -1.220386326e-1  -4.881545305e-1           3.523e11
//! ```
//!
//! The [pattern](InputReport::pattern) is often the name of the mistake: a factor, a border, a channel. Programs read
//! [`formats::json`], CI services [`formats::junit`] and [`formats::github`].
//!
//! # Check your own `CustomOp` in CI
//!
//! Write the check as a test, over geometry drawn by [`strategies`], and run `cargo test` in CI; the package
//! `examples/gradcheck-custom-op` has an operator with a mistake, found and mended, and a workflow file to copy.

#![cfg_attr(
    not(feature = "strategies"),
    allow(rustdoc::broken_intra_doc_links, reason = "the links lead to what the feature adds")
)]

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
mod loss;
mod numeric;
mod pattern;
mod properties;
mod random;
mod report;
mod run;
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
pub use second_order::on_attached_thread;
