// One step of each optimiser, elementwise: the gradient, what is written, their length, and the numbers of `optim/cpu.rs`.

KERNEL void sgd(const scalar_t *grad, scalar_t *param, index_t n, real_t scale, real_t decay, real_t lr) {
  EACH(i, n) {
    real_t g = scale * load(grad, i) + decay * load(param, i);
    store(param, i, load(param, i) - lr * g);
  }
}

KERNEL void sgd_momentum(const scalar_t *grad, scalar_t *param, scalar_t *velocity, index_t n, real_t scale,
                         real_t decay, real_t lr, real_t momentum, real_t take, real_t nesterov) {
  EACH(i, n) {
    real_t g = scale * load(grad, i) + decay * load(param, i);
    real_t v = momentum * load(velocity, i) + take * g;
    store(velocity, i, v);
    store(param, i, load(param, i) - lr * (nesterov != 0 ? g + momentum * v : v));
  }
}

struct Adam {
  real_t scale, penalty, shrink, take1, keep2, take2, step_size, root, eps;
};

__device__ inline real_t adam_step(const Adam &a, real_t param, real_t m, real_t v) {
  return a.shrink * param - a.step_size * (m / (sqrt(v) / a.root + a.eps));
}

// Moves the moments of element `i`; gives the first and, in `v`, the second.
__device__ inline real_t adam_moments(const Adam &a, const scalar_t *grad, const scalar_t *param, scalar_t *exp_avg,
                                      scalar_t *exp_avg_sq, index_t i, real_t *v) {
  real_t g = a.scale * load(grad, i) + a.penalty * load(param, i), m = load(exp_avg, i);
  m = m + a.take1 * (g - m);
  *v = a.keep2 * load(exp_avg_sq, i) + a.take2 * (g * g);
  store(exp_avg, i, m);
  store(exp_avg_sq, i, *v);
  return m;
}

KERNEL void adam(const scalar_t *grad, scalar_t *param, scalar_t *exp_avg, scalar_t *exp_avg_sq, index_t n,
                 real_t scale, real_t penalty, real_t shrink, real_t take1, real_t keep2, real_t take2,
                 real_t step_size, real_t root, real_t eps) {
  Adam a = {scale, penalty, shrink, take1, keep2, take2, step_size, root, eps};
  EACH(i, n) {
    real_t v, m = adam_moments(a, grad, param, exp_avg, exp_avg_sq, i, &v);
    store(param, i, adam_step(a, load(param, i), m, v));
  }
}

KERNEL void amsgrad(const scalar_t *grad, scalar_t *param, scalar_t *exp_avg, scalar_t *exp_avg_sq,
                    scalar_t *max_exp_avg_sq, index_t n, real_t scale, real_t penalty, real_t shrink, real_t take1,
                    real_t keep2, real_t take2, real_t step_size, real_t root, real_t eps) {
  Adam a = {scale, penalty, shrink, take1, keep2, take2, step_size, root, eps};
  EACH(i, n) {
    real_t v, m = adam_moments(a, grad, param, exp_avg, exp_avg_sq, i, &v), max = load(max_exp_avg_sq, i);
    max = v > max ? v : max;
    store(max_exp_avg_sq, i, max);
    store(param, i, adam_step(a, load(param, i), m, max));
  }
}

struct RmsProp {
  real_t scale, decay, keep, take, eps, lr, momentum;
};

// A state that is not kept is null.
__device__ inline void rms_prop_step(const RmsProp &r, const scalar_t *grad, scalar_t *param, scalar_t *square_avg,
                                     scalar_t *grad_avg, scalar_t *momentum_buffer, index_t i) {
  real_t g = r.scale * load(grad, i) + r.decay * load(param, i);
  real_t square = r.keep * load(square_avg, i) + r.take * (g * g);
  store(square_avg, i, square);
  if (grad_avg) {
    real_t mean = load(grad_avg, i);
    mean = mean + r.take * (g - mean);
    store(grad_avg, i, mean);
    square = square - mean * mean;
    square = square < 0 ? 0 : square;
  }
  real_t step = g / (sqrt(square) + r.eps);
  if (momentum_buffer) {
    step = r.momentum * load(momentum_buffer, i) + step;
    store(momentum_buffer, i, step);
  }
  store(param, i, load(param, i) - r.lr * step);
}

KERNEL void rms_prop(const scalar_t *grad, scalar_t *param, scalar_t *square_avg, index_t n, real_t scale, real_t decay,
                     real_t keep, real_t take, real_t eps, real_t lr, real_t momentum) {
  RmsProp r = {scale, decay, keep, take, eps, lr, momentum};
  EACH(i, n) rms_prop_step(r, grad, param, square_avg, nullptr, nullptr, i);
}

KERNEL void rms_prop_centered(const scalar_t *grad, scalar_t *param, scalar_t *square_avg, scalar_t *grad_avg,
                              index_t n, real_t scale, real_t decay, real_t keep, real_t take, real_t eps, real_t lr,
                              real_t momentum) {
  RmsProp r = {scale, decay, keep, take, eps, lr, momentum};
  EACH(i, n) rms_prop_step(r, grad, param, square_avg, grad_avg, nullptr, i);
}

KERNEL void rms_prop_momentum(const scalar_t *grad, scalar_t *param, scalar_t *square_avg, scalar_t *momentum_buffer,
                              index_t n, real_t scale, real_t decay, real_t keep, real_t take, real_t eps, real_t lr,
                              real_t momentum) {
  RmsProp r = {scale, decay, keep, take, eps, lr, momentum};
  EACH(i, n) rms_prop_step(r, grad, param, square_avg, nullptr, momentum_buffer, i);
}

KERNEL void rms_prop_centered_momentum(const scalar_t *grad, scalar_t *param, scalar_t *square_avg, scalar_t *grad_avg,
                                       scalar_t *momentum_buffer, index_t n, real_t scale, real_t decay, real_t keep,
                                       real_t take, real_t eps, real_t lr, real_t momentum) {
  RmsProp r = {scale, decay, keep, take, eps, lr, momentum};
  EACH(i, n) rms_prop_step(r, grad, param, square_avg, grad_avg, momentum_buffer, i);
}

KERNEL void adagrad(const scalar_t *grad, scalar_t *param, scalar_t *sum, index_t n, real_t scale, real_t decay,
                    real_t lr, real_t eps) {
  EACH(i, n) {
    real_t g = scale * load(grad, i) + decay * load(param, i);
    real_t squares = load(sum, i) + g * g;
    store(sum, i, squares);
    store(param, i, load(param, i) - lr * (g / (sqrt(squares) + eps)));
  }
}

KERNEL void adadelta(const scalar_t *grad, scalar_t *param, scalar_t *square_avg, scalar_t *acc_delta, index_t n,
                     real_t scale, real_t decay, real_t lr, real_t keep, real_t take, real_t eps) {
  EACH(i, n) {
    real_t g = scale * load(grad, i) + decay * load(param, i);
    real_t square = keep * load(square_avg, i) + take * (g * g), delta = load(acc_delta, i);
    real_t step = sqrt(delta + eps) / sqrt(square + eps) * g;
    store(square_avg, i, square);
    store(acc_delta, i, keep * delta + take * (step * step));
    store(param, i, load(param, i) - lr * step);
  }
}

KERNEL void lion(const scalar_t *grad, scalar_t *param, scalar_t *exp_avg, index_t n, real_t scale, real_t decay,
                 real_t lr, real_t keep1, real_t take1, real_t keep2, real_t take2) {
  EACH(i, n) {
    real_t g = scale * load(grad, i), m = load(exp_avg, i), p = load(param, i);
    real_t ahead = keep1 * m + take1 * g;
    real_t sign = ahead > 0 ? (real_t)1 : ahead < 0 ? (real_t)-1 : ahead;
    store(param, i, p - lr * (sign + decay * p));
    store(exp_avg, i, keep2 * m + take2 * g);
  }
}

KERNEL void ema(const scalar_t *x, scalar_t *average, index_t n, real_t take) {
  EACH(i, n) {
    real_t a = load(average, i);
    store(average, i, a + take * (load(x, i) - a));
  }
}

KERNEL void muon_direction(const scalar_t *grad, scalar_t *momentum_buffer, scalar_t *direction, index_t n,
                           real_t scale, real_t take, real_t ahead) {
  EACH(i, n) {
    real_t g = scale * load(grad, i), m = load(momentum_buffer, i);
    m = m + take * (g - m);
    store(momentum_buffer, i, m);
    store(direction, i, m + ahead * (g - m));
  }
}

KERNEL void muon_move(const scalar_t *direction, scalar_t *param, index_t n, real_t shrink, real_t length) {
  EACH(i, n) { store(param, i, shrink * load(param, i) - length * load(direction, i)); }
}
