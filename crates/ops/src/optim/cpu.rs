//! The arithmetic of the optimisers' steps on slices.

use super::inplace::Update;
use super::{AdadeltaStep, AdagradStep, AdamStep, LionStep, MuonStep, RmsPropStep, SgdStep};
use crate::storage::Element;

impl Update<1> for SgdStep {
    fn run<T: Element>(&self, grad: &[T], [param]: [&mut [T]; 1]) {
        let [scale, decay, lr] = [self.grad_scale, self.weight_decay, self.lr].map(T::from_f64);
        for (param, &grad) in param.iter_mut().zip(grad) {
            let grad = scale * grad + decay * *param;
            *param -= lr * grad;
        }
    }

    fn kernel(&self) -> (&'static str, Vec<f64>) {
        ("sgd", vec![self.grad_scale, self.weight_decay, self.lr])
    }
}

impl Update<2> for SgdStep {
    fn run<T: Element>(&self, grad: &[T], [param, velocity]: [&mut [T]; 2]) {
        let [scale, decay, lr, momentum, take] =
            [self.grad_scale, self.weight_decay, self.lr, self.momentum, self.take()].map(T::from_f64);
        for ((param, &grad), velocity) in param.iter_mut().zip(grad).zip(velocity) {
            let grad = scale * grad + decay * *param;
            *velocity = momentum * *velocity + take * grad;
            let step = if self.nesterov { grad + momentum * *velocity } else { *velocity };
            *param -= lr * step;
        }
    }

    fn kernel(&self) -> (&'static str, Vec<f64>) {
        let nesterov = if self.nesterov { 1.0 } else { 0.0 };
        let Self { grad_scale, weight_decay, lr, momentum, .. } = *self;
        ("sgd_momentum", vec![grad_scale, weight_decay, lr, momentum, self.take(), nesterov])
    }
}

impl SgdStep {
    /// A first step takes the whole gradient: the velocity is zero then, so the loop needs no branch for it.
    fn take(&self) -> f64 {
        if self.first { 1.0 } else { 1.0 - self.dampening }
    }
}

impl Update<3> for AdamStep {
    fn run<T: Element>(&self, grad: &[T], [param, exp_avg, exp_avg_sq]: [&mut [T]; 3]) {
        let adam = Adam::<T>::new(self);
        for (((param, &grad), m), v) in param.iter_mut().zip(grad).zip(exp_avg).zip(exp_avg_sq) {
            adam.moments(grad, *param, m, v);
            *param = adam.moved(*param, *m, *v);
        }
    }

    fn kernel(&self) -> (&'static str, Vec<f64>) {
        ("adam", Adam::new(self).numbers())
    }
}

impl Update<4> for AdamStep {
    fn run<T: Element>(&self, grad: &[T], [param, exp_avg, exp_avg_sq, max_exp_avg_sq]: [&mut [T]; 4]) {
        let adam = Adam::<T>::new(self);
        let states = exp_avg.iter_mut().zip(exp_avg_sq).zip(max_exp_avg_sq);
        for ((param, &grad), ((m, v), max)) in param.iter_mut().zip(grad).zip(states) {
            adam.moments(grad, *param, m, v);
            *max = if *v > *max { *v } else { *max };
            *param = adam.moved(*param, *m, *max);
        }
    }

    fn kernel(&self) -> (&'static str, Vec<f64>) {
        ("amsgrad", Adam::new(self).numbers())
    }
}

/// The numbers of Adam's loop.
struct Adam<T> {
    scale: T,
    penalty: T,
    shrink: T,
    take1: T,
    keep2: T,
    take2: T,
    step_size: T,
    root: T,
    eps: T,
}

impl<T: Element> Adam<T> {
    fn new(step: &AdamStep) -> Self {
        let (beta1, beta2) = step.betas;
        // `powf`, since a count of steps may exceed i32.
        let correction = |beta: f64| 1.0 - beta.powf(step.step as f64);
        let (penalty, shrink) = match step.decoupled_weight_decay {
            true => (0.0, 1.0 - step.lr * step.weight_decay),
            false => (step.weight_decay, 1.0),
        };
        Self {
            scale: T::from_f64(step.grad_scale),
            penalty: T::from_f64(penalty),
            shrink: T::from_f64(shrink),
            take1: T::from_f64(1.0 - beta1),
            keep2: T::from_f64(beta2),
            take2: T::from_f64(1.0 - beta2),
            step_size: T::from_f64(step.lr / correction(beta1)),
            root: T::from_f64(correction(beta2).sqrt()),
            eps: T::from_f64(step.eps),
        }
    }

    fn moments(&self, grad: T, param: T, m: &mut T, v: &mut T) {
        let grad = self.scale * grad + self.penalty * param;
        *m = *m + self.take1 * (grad - *m);
        *v = self.keep2 * *v + self.take2 * (grad * grad);
    }

    fn moved(&self, param: T, m: T, v: T) -> T {
        self.shrink * param - self.step_size * (m / (v.sqrt() / self.root + self.eps))
    }
}

impl Adam<f64> {
    /// In the kernels' order.
    fn numbers(&self) -> Vec<f64> {
        let Self { scale, penalty, shrink, take1, keep2, take2, step_size, root, eps } = *self;
        vec![scale, penalty, shrink, take1, keep2, take2, step_size, root, eps]
    }
}

/// RMSprop with the states that it has.
pub(super) struct RmsProp<'a, const CENTERED: bool, const MOMENTUM: bool>(pub(super) &'a RmsPropStep);

impl Update<2> for RmsProp<'_, false, false> {
    fn run<T: Element>(&self, grad: &[T], [param, square_avg]: [&mut [T]; 2]) {
        self.step(grad, param, square_avg, &mut [], &mut []);
    }

    fn kernel(&self) -> (&'static str, Vec<f64>) {
        ("rms_prop", self.0.numbers().into())
    }
}

impl Update<3> for RmsProp<'_, true, false> {
    fn run<T: Element>(&self, grad: &[T], [param, square_avg, grad_avg]: [&mut [T]; 3]) {
        self.step(grad, param, square_avg, grad_avg, &mut []);
    }

    fn kernel(&self) -> (&'static str, Vec<f64>) {
        ("rms_prop_centered", self.0.numbers().into())
    }
}

impl Update<3> for RmsProp<'_, false, true> {
    fn run<T: Element>(&self, grad: &[T], [param, square_avg, momentum_buffer]: [&mut [T]; 3]) {
        self.step(grad, param, square_avg, &mut [], momentum_buffer);
    }

    fn kernel(&self) -> (&'static str, Vec<f64>) {
        ("rms_prop_momentum", self.0.numbers().into())
    }
}

impl Update<4> for RmsProp<'_, true, true> {
    fn run<T: Element>(&self, grad: &[T], [param, square_avg, grad_avg, momentum_buffer]: [&mut [T]; 4]) {
        self.step(grad, param, square_avg, grad_avg, momentum_buffer);
    }

    fn kernel(&self) -> (&'static str, Vec<f64>) {
        ("rms_prop_centered_momentum", self.0.numbers().into())
    }
}

impl<const CENTERED: bool, const MOMENTUM: bool> RmsProp<'_, CENTERED, MOMENTUM> {
    fn step<T: Element>(&self, grad: &[T], param: &mut [T], squares: &mut [T], means: &mut [T], buffer: &mut [T]) {
        let [scale, decay, keep, take, eps, lr, momentum] = self.0.numbers().map(T::from_f64);
        // Equal lengths, known here, leave no bounds to check in the loop. A state that is not there is empty.
        let len = grad.len();
        let (param, squares) = (&mut param[..len], &mut squares[..len]);
        let means = &mut means[..if CENTERED { len } else { 0 }];
        let buffer = &mut buffer[..if MOMENTUM { len } else { 0 }];
        for i in 0..len {
            let grad = scale * grad[i] + decay * param[i];
            squares[i] = keep * squares[i] + take * (grad * grad);
            let mut square = squares[i];
            if CENTERED {
                means[i] = means[i] + take * (grad - means[i]);
                let variance = square - means[i] * means[i];
                square = if variance < T::zero() { T::zero() } else { variance };
            }
            let mut step = grad / (square.sqrt() + eps);
            if MOMENTUM {
                step = momentum * buffer[i] + step;
                buffer[i] = step;
            }
            param[i] -= lr * step;
        }
    }
}

impl RmsPropStep {
    /// In the kernels' order.
    fn numbers(&self) -> [f64; 7] {
        let Self { lr, alpha, eps, weight_decay, momentum, grad_scale } = *self;
        [grad_scale, weight_decay, alpha, 1.0 - alpha, eps, lr, momentum]
    }
}

impl Update<2> for AdagradStep {
    fn run<T: Element>(&self, grad: &[T], [param, sum]: [&mut [T]; 2]) {
        let [scale, decay, lr, eps] = self.numbers().map(T::from_f64);
        for ((param, &grad), sum) in param.iter_mut().zip(grad).zip(sum) {
            let grad = scale * grad + decay * *param;
            *sum += grad * grad;
            *param -= lr * (grad / (sum.sqrt() + eps));
        }
    }

    fn kernel(&self) -> (&'static str, Vec<f64>) {
        ("adagrad", self.numbers().into())
    }
}

impl AdagradStep {
    /// In the kernel's order.
    fn numbers(&self) -> [f64; 4] {
        let lr = self.lr / (1.0 + (self.step as f64 - 1.0) * self.lr_decay);
        [self.grad_scale, self.weight_decay, lr, self.eps]
    }
}

impl Update<3> for AdadeltaStep {
    fn run<T: Element>(&self, grad: &[T], [param, square_avg, acc_delta]: [&mut [T]; 3]) {
        let [scale, decay, lr, keep, take, eps] = self.numbers().map(T::from_f64);
        for (((param, &grad), square), delta) in param.iter_mut().zip(grad).zip(square_avg).zip(acc_delta) {
            let grad = scale * grad + decay * *param;
            *square = keep * *square + take * (grad * grad);
            let step = (*delta + eps).sqrt() / (*square + eps).sqrt() * grad;
            *delta = keep * *delta + take * (step * step);
            *param -= lr * step;
        }
    }

    fn kernel(&self) -> (&'static str, Vec<f64>) {
        ("adadelta", self.numbers().into())
    }
}

impl AdadeltaStep {
    /// In the kernel's order.
    fn numbers(&self) -> [f64; 6] {
        [self.grad_scale, self.weight_decay, self.lr, self.rho, 1.0 - self.rho, self.eps]
    }
}

impl Update<2> for LionStep {
    fn run<T: Element>(&self, grad: &[T], [param, exp_avg]: [&mut [T]; 2]) {
        let [scale, decay, lr, keep1, take1, keep2, take2] = self.numbers().map(T::from_f64);
        for ((param, &grad), m) in param.iter_mut().zip(grad).zip(exp_avg) {
            let grad = scale * grad;
            *param -= lr * (sign(keep1 * *m + take1 * grad) + decay * *param);
            *m = keep2 * *m + take2 * grad;
        }
    }

    fn kernel(&self) -> (&'static str, Vec<f64>) {
        ("lion", self.numbers().into())
    }
}

impl LionStep {
    /// In the kernel's order.
    fn numbers(&self) -> [f64; 7] {
        let (beta1, beta2) = self.betas;
        [self.grad_scale, self.weight_decay, self.lr, beta1, 1.0 - beta1, beta2, 1.0 - beta2]
    }
}

/// −1, 0 or 1, and NaN of NaN; `signum` of std makes 1 of zero.
fn sign<T: Element>(x: T) -> T {
    if x > T::zero() {
        T::one()
    } else if x < T::zero() {
        -T::one()
    } else {
        x
    }
}

/// Towards a tensor, which stands where the gradient does in the others.
pub(super) struct Ema {
    pub(super) decay: f64,
}

impl Update<1> for Ema {
    fn run<T: Element>(&self, tensor: &[T], [average]: [&mut [T]; 1]) {
        let take = T::from_f64(1.0 - self.decay);
        for (average, &x) in average.iter_mut().zip(tensor) {
            *average = *average + take * (x - *average);
        }
    }

    fn kernel(&self) -> (&'static str, Vec<f64>) {
        ("ema", vec![1.0 - self.decay])
    }
}

/// Muon's momentum, and the direction that it gives.
pub(super) struct MuonDirection<'a>(pub(super) &'a MuonStep);

impl Update<2> for MuonDirection<'_> {
    fn run<T: Element>(&self, grad: &[T], [momentum_buffer, direction]: [&mut [T]; 2]) {
        let [scale, take, ahead] = self.numbers().map(T::from_f64);
        for ((m, &grad), direction) in momentum_buffer.iter_mut().zip(grad).zip(direction) {
            let grad = scale * grad;
            *m = *m + take * (grad - *m);
            *direction = *m + ahead * (grad - *m);
        }
    }

    fn kernel(&self) -> (&'static str, Vec<f64>) {
        ("muon_direction", self.numbers().into())
    }
}

impl MuonDirection<'_> {
    /// In the kernel's order.
    fn numbers(&self) -> [f64; 3] {
        let MuonStep { momentum, nesterov, grad_scale, .. } = *self.0;
        [grad_scale, 1.0 - momentum, if nesterov { 1.0 - momentum } else { 0.0 }]
    }
}

/// Muon's step along an orthogonal direction, which stands where the gradient does in the others.
pub(super) struct MuonMove<'a> {
    pub(super) step: &'a MuonStep,
    pub(super) rows: usize,
    pub(super) columns: usize,
}

impl Update<1> for MuonMove<'_> {
    fn run<T: Element>(&self, direction: &[T], [param]: [&mut [T]; 1]) {
        let [shrink, length] = self.numbers().map(T::from_f64);
        for (param, &direction) in param.iter_mut().zip(direction) {
            *param = shrink * *param - length * direction;
        }
    }

    fn kernel(&self) -> (&'static str, Vec<f64>) {
        ("muon_move", self.numbers().into())
    }
}

impl MuonMove<'_> {
    /// In the kernel's order.
    fn numbers(&self) -> [f64; 2] {
        let MuonStep { lr, weight_decay, .. } = *self.step;
        [1.0 - lr * weight_decay, lr * (self.rows as f64 / self.columns as f64).max(1.0).sqrt()]
    }
}
