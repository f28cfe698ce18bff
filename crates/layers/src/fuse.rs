//! Layers in a row that run as one operator: the bits of one after the other, in less time and memory.

use crate::{BatchNorm, Conv, Layer, Linear, MaxPool, ReLU};
use candle_core::{Result, Tensor};
use std::any::Any;
use taper_ops::{Mode, conv_relu, linear_relu};

/// A layer that can be asked what it is.
pub(crate) trait AnyLayer: Layer + Any + Send + Sync {}

impl<L: Layer + Any + Send + Sync> AnyLayer for L {}

/// The output of the front of `layers`, a layer with ReLU and perhaps max pooling behind it, and how many they are; `None`
/// where there is no operator for them together.
pub(crate) fn front(layers: &[&dyn AnyLayer], x: &Tensor, mode: &Mode) -> Option<Result<(Tensor, usize)>> {
    let &[first, second, ref behind @ ..] = layers else { return None };
    cast::<ReLU>(second)?;
    let third = behind.first().copied();
    over_axes::<1>(first, third, x, mode)
        .or_else(|| over_axes::<2>(first, third, x, mode))
        .or_else(|| over_axes::<3>(first, third, x, mode))
        .or_else(|| {
            let linear = cast::<Linear>(first)?;
            let y = linear_relu(x, linear.weight(), linear.bias());
            Some(y.map(|y| (y, 2)).map_err(Into::into))
        })
}

fn over_axes<const D: usize>(
    first: &dyn AnyLayer,
    third: Option<&dyn AnyLayer>,
    x: &Tensor,
    mode: &Mode,
) -> Option<Result<(Tensor, usize)>> {
    let pool = third.and_then(cast::<MaxPool<D>>);
    let y = if let Some(conv) = cast::<Conv<D>>(first) {
        conv_relu(x, conv.weight(), conv.bias(), conv.spec(), pool.map(MaxPool::spec)).map_err(Into::into)
    } else {
        // In evaluation there is no gradient to save the time of.
        cast::<BatchNorm<D>>(first).filter(|_| mode.is_training())?.train_relu(x, mode, pool)
    };
    Some(y.map(|y| (y, if pool.is_some() { 3 } else { 2 })))
}

fn cast<L: 'static>(layer: &dyn AnyLayer) -> Option<&L> {
    (layer as &dyn Any).downcast_ref()
}
