//! The arithmetic of the optimisers' steps on slices.

use super::inplace::Update;
use super::{AdamWStep, SgdStep};
use crate::storage::Element;

impl Update<1> for SgdStep {
    fn run<T: Element>(&self, grad: &[T], [param]: [&mut [T]; 1]) {
        let [scale, decay, lr] = [self.grad_scale, self.weight_decay, self.lr].map(T::from_f64);
        for (param, &grad) in param.iter_mut().zip(grad) {
            let grad = scale * grad + decay * *param;
            *param -= lr * grad;
        }
    }
}

impl Update<2> for SgdStep {
    fn run<T: Element>(&self, grad: &[T], [param, velocity]: [&mut [T]; 2]) {
        // A first step takes the whole gradient: the velocity is zero then, so the loop needs no branch for it.
        let take = if self.first { 1.0 } else { 1.0 - self.dampening };
        let [scale, decay, lr, momentum, take] =
            [self.grad_scale, self.weight_decay, self.lr, self.momentum, take].map(T::from_f64);
        for ((param, &grad), velocity) in param.iter_mut().zip(grad).zip(velocity) {
            let grad = scale * grad + decay * *param;
            *velocity = momentum * *velocity + take * grad;
            let step = if self.nesterov { grad + momentum * *velocity } else { *velocity };
            *param -= lr * step;
        }
    }
}

impl Update<3> for AdamWStep {
    fn run<T: Element>(&self, grad: &[T], [param, exp_avg, exp_avg_sq]: [&mut [T]; 3]) {
        let (beta1, beta2) = self.betas;
        // `powf`, since a count of steps may exceed i32.
        let correction = |beta: f64| 1.0 - beta.powf(self.step as f64);
        let [scale, shrink, take1, keep2, take2, step_size, root, eps] = [
            self.grad_scale,
            1.0 - self.lr * self.weight_decay,
            1.0 - beta1,
            beta2,
            1.0 - beta2,
            self.lr / correction(beta1),
            correction(beta2).sqrt(),
            self.eps,
        ]
        .map(T::from_f64);
        for (((param, &grad), m), v) in param.iter_mut().zip(grad).zip(exp_avg).zip(exp_avg_sq) {
            let grad = scale * grad;
            *m = *m + take1 * (grad - *m);
            *v = keep2 * *v + take2 * (grad * grad);
            *param = shrink * *param - step_size * (*m / (v.sqrt() / root + eps));
        }
    }
}
