//! The pictures a training leaves: its curves, its mistakes, and what each layer makes of one digit.

mod canvas;
mod curves;
mod feature_maps;
mod mistakes;

pub(crate) use curves::{Epoch, curves};
pub(crate) use feature_maps::{Stage, feature_maps};
pub(crate) use mistakes::{Mistake, mistakes};
