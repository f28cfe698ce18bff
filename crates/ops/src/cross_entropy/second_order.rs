//! The derivatives of the cross entropy's gradients, composed of tracked operators, so that they have derivatives too.
//!
//! With p the softmax, q the shares of the target (see the formula of [`cross_entropy`](crate::cross_entropy)), Q = Σ q and
//! s = dloss / divisor, the gradients are `dlogits = s · (Q · p − q)` and `dtarget = −s · (1 − ε) · w · log p`.

use super::spec::{Loss, Target};
use crate::classes::{Classes, one_hot};
use crate::{Reduction, cuda};
use candle_core::{Result, Shape, Tensor};

/// The terms that the derivatives share, each of the logits' rank.
pub(super) struct Terms<'a> {
    loss: &'a Loss,
    log_p: Tensor,
    weight: Tensor,
    dy: Tensor,
}

impl<'a> Terms<'a> {
    pub(super) fn new(loss: &'a Loss, x: &Tensor, dy: &Tensor) -> Result<Self> {
        let axis = loss.dims.class_axis;
        let shifted = x.broadcast_sub(&x.detach().max_keepdim(axis)?)?;
        let log_p = shifted.broadcast_sub(&shifted.exp()?.sum_keepdim(axis)?.log()?)?;
        let mut weight_shape = vec![1; x.rank()];
        weight_shape[axis] = loss.dims.classes;
        let weight = loss.weight.tensor(loss.dims.classes, x.dtype(), x.device())?.reshape(weight_shape)?;
        let dy = match loss.reduction {
            Reduction::None => dy.unsqueeze(axis)?,
            Reduction::Sum | Reduction::Mean | Reduction::BatchMean => dy.clone(),
        };
        Ok(Self { loss, log_p, weight, dy: (dy / loss.divisor)? })
    }

    /// q, 0 at ignored positions.
    pub(super) fn shares(&self, target: Option<&Tensor>) -> Result<Tensor> {
        let loss = self.loss;
        let smooth = |target: &Tensor| {
            let (smoothing, classes) = (loss.label_smoothing, loss.dims.classes as f64);
            target.affine(1. - smoothing, smoothing / classes)?.broadcast_mul(&self.weight)
        };
        match (target, &loss.target) {
            (Some(target), _) => smooth(target),
            (None, Target::Probabilities) => self.log_p.zeros_like(),
            (None, Target::Classes(classes)) => {
                let target = self.one_hot(classes)?;
                smooth(&target)?.broadcast_mul(&target.sum_keepdim(loss.dims.class_axis)?)
            }
        }
    }

    /// The derivatives of ⟨dlogits, v⟩ by the logits, the target and dloss.
    pub(super) fn of_logits_grad(&self, shares: &Tensor, v: &Tensor) -> Result<[Tensor; 3]> {
        let axis = self.loss.dims.class_axis;
        let (p, mass) = (self.log_p.exp()?, shares.sum_keepdim(axis)?);
        let centred = v.broadcast_sub(&(&p * v)?.sum_keepdim(axis)?)?;
        let by_logits = (&p * &centred)?.broadcast_mul(&mass)?.broadcast_mul(&self.dy)?;
        let by_target = (centred * (self.loss.label_smoothing - 1.))?;
        let by_target = by_target.broadcast_mul(&self.weight)?.broadcast_mul(&self.dy)?;
        let by_dy = self.reduce(&(p.broadcast_mul(&mass)?.sub(shares)? * v)?)?;
        Ok([by_logits, by_target, by_dy])
    }

    /// The derivatives of ⟨dtarget, v⟩ by the logits and dloss.
    pub(super) fn of_target_grad(&self, v: &Tensor) -> Result<[Tensor; 2]> {
        let v = v.broadcast_mul(&self.weight)?.affine(self.loss.label_smoothing - 1., 0.)?;
        let sum = v.sum_keepdim(self.loss.dims.class_axis)?;
        let by_logits = v.sub(&self.log_p.exp()?.broadcast_mul(&sum)?)?.broadcast_mul(&self.dy)?;
        let by_dy = self.reduce(&(v * &self.log_p)?)?;
        Ok([by_logits, by_dy])
    }

    /// From terms of the logits' shape to the shape of the loss.
    fn reduce(&self, terms: &Tensor) -> Result<Tensor> {
        let sum = match self.loss.reduction {
            Reduction::None => terms.sum(self.loss.dims.class_axis)?,
            Reduction::Sum | Reduction::Mean | Reduction::BatchMean => terms.sum_all()?,
        };
        sum / self.loss.divisor
    }

    /// Class indices in the logits' shape: 1 at the class, 0 elsewhere and at ignored positions.
    fn one_hot(&self, classes: &Classes) -> Result<Tensor> {
        let (dims, shape) = (&self.loss.dims, Shape::from(self.loss.dims.shape.as_slice()));
        match classes {
            Classes::OnDevice(chosen) => cuda::tensor(&self.log_p, &shape, |gpu| one_hot(gpu, dims, chosen)),
            Classes::OnHost(classes) => {
                let mut out = vec![0.; dims.positions() * dims.classes];
                for (position, class) in classes.iter().enumerate() {
                    if let Some(class) = class {
                        out[dims.at(position, *class)] = 1.;
                    }
                }
                Tensor::from_vec(out, shape, self.log_p.device())?.to_dtype(self.log_p.dtype())
            }
        }
    }
}
