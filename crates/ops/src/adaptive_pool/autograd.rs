//! Which kernels pool: the gradients are those of maximum and average pooling, whatever their windows.

use super::cpu;
use super::spec::AdaptiveDims;
use crate::avg_pool::Means;
use crate::max_pool::Maxima;
use crate::planes::Planes;
use crate::storage::Element;
use std::sync::Arc;

impl Maxima for AdaptiveDims {
    fn planes(&self) -> &Arc<Planes> {
        &self.planes
    }

    fn maxima<T: Element>(&self, x: &[T]) -> Vec<T> {
        cpu::maxima(self, x).0
    }

    fn maxima_with_places<T: Element>(&self, x: &[T]) -> (Vec<T>, Vec<i64>) {
        cpu::maxima(self, x)
    }
}

impl Means for AdaptiveDims {
    fn planes(&self) -> &Planes {
        &self.planes
    }

    fn means<T: Element>(&self, x: &[T]) -> Vec<T> {
        cpu::means(self, x)
    }

    fn spread<T: Element>(&self, dy: &[T]) -> Vec<T> {
        cpu::spread(self, dy)
    }
}
