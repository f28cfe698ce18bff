//! Which kernel pools: the gradients are those of maximum pooling, whatever its windows.

use super::cpu;
use super::spec::FractionalDims;
use crate::max_pool::{Maxima, Places};
use crate::planes::Planes;
use crate::storage::Element;
use std::sync::Arc;

impl<const D: usize> Maxima for FractionalDims<D> {
    fn planes(&self) -> &Arc<Planes> {
        &self.planes
    }

    fn maxima<T: Element>(&self, x: &[T]) -> Vec<T> {
        cpu::maxima(self, x).0
    }

    fn maxima_with_places<T: Element>(self: &Arc<Self>, x: &[T]) -> (Vec<T>, Places) {
        let (y, indices) = cpu::maxima(self, x);
        (y, Places::Indices(indices))
    }
}
