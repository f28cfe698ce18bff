//! Drawing the blocks of a plane and applying them.

use super::autograd::DropBlock;
use super::spec::Blocks;
use crate::parallel;
use crate::storage::Element;

/// The number of elements over the number of those that no block drops; where there is none, over 1.
pub(super) fn scale(blocks: &Blocks) -> f64 {
    let planes = &blocks.planes;
    let count = planes.output_len.checked_div(planes.plane_out).unwrap_or_default();
    let kept = |plane| dropped(blocks, plane).iter().filter(|dropped| !**dropped).count();
    let kept: usize = parallel::map(count, kept).into_iter().sum();
    planes.output_len as f64 / kept.max(1) as f64
}

/// `x · scale` outside the blocks, 0 within.
pub(super) fn apply<T: Element>(map: &DropBlock, x: &[T]) -> Vec<T> {
    let (blocks, scale) = (&map.blocks, T::from_f64(map.scale()));
    let plane = blocks.planes.plane_in;
    parallel::build(x.len(), T::zero(), plane, plane.saturating_mul(4), |i, y| {
        for ((y, &x), dropped) in y.iter_mut().zip(&x[i * plane..]).zip(dropped(blocks, i)) {
            *y = if dropped { T::zero() } else { x * scale };
        }
    })
}

/// The elements of one plane that a block covers.
fn dropped(blocks: &Blocks, plane: usize) -> Vec<bool> {
    let &Blocks { width, block_size, starts: [down, across], threshold, .. } = blocks;
    let mut dropped = vec![false; blocks.planes.plane_in];
    let words = blocks.draw.words(blocks.first + (plane * down * across) as u64);
    for (start, _) in (0..down * across).zip(words).filter(|(_, word)| u64::from(*word) < threshold) {
        let corner = start / across * width + start % across;
        dropped[corner..].chunks_mut(width).take(block_size).for_each(|row| row[..block_size].fill(true));
    }
    dropped
}
