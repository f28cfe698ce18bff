//! The negative log-likelihood and its gradient on slices: one element a position is read, or written.

use super::spec::Loss;
use crate::Result;
use crate::elementwise::times;
use crate::storage::Element;

/// −weight · log p of the targets, always added in the order of the positions.
pub(super) fn forward<T: Element>(loss: &Loss, log_p: &[T]) -> Result<Vec<T>> {
    let losses = loss.targets.on_host("nll_loss")?.iter().enumerate().map(|(position, class)| match *class {
        Some(class) => -times(log_p[loss.dims.at(position, class)].to_f64(), loss.weight.of(class)),
        None => 0.,
    });
    Ok(match loss.divisor {
        None => losses.map(T::from_f64).collect(),
        Some(divisor) => vec![T::from_f64(losses.fold(0., |sum, loss| sum + loss) / divisor)],
    })
}

pub(super) fn grad<T: Element>(loss: &Loss, dy: &[T]) -> Result<Vec<T>> {
    let mut dx = vec![T::zero(); loss.dims.shape.iter().product()];
    for (position, class) in loss.targets.on_host("nll_loss_grad")?.iter().enumerate() {
        if let Some(class) = *class {
            let dy = loss.divisor.map_or_else(|| dy[position].to_f64(), |divisor| dy[0].to_f64() / divisor);
            dx[loss.dims.at(position, class)] = T::from_f64(-dy * loss.weight.of(class));
        }
    }
    Ok(dx)
}
