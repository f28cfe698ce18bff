//! Optimiser steps, each one pass in place over a parameter, its gradient and its state.
//!
//! They own nothing: parameters and states are candle's `Var`s of one shape, and the step's numbers come as a struct. The
//! names and the order of operations are PyTorch's. `grad` may be strided or broadcast; the others are contiguous. Work is
//! elementwise, so results have the same bits at any number of threads. Changing a parameter while a graph that read it
//! still lives corrupts that graph's gradients: take the gradients first, then step.

mod adadelta;
mod adagrad;
mod adam;
mod cpu;
mod cuda;
mod ema;
mod inplace;
mod lion;
mod muon;
mod newton_schulz;
mod norm;
mod rms_prop;
mod sgd;

pub use adadelta::{AdadeltaStep, adadelta_step};
pub use adagrad::{AdagradStep, adagrad_step};
pub use adam::{AdamStep, adam_step};
pub use ema::ema_step;
pub use lion::{LionStep, lion_step};
pub use muon::{MuonStep, muon_step};
pub use norm::global_norm;
pub use rms_prop::{RmsPropStep, rms_prop_step};
pub use sgd::{SgdStep, sgd_step};
