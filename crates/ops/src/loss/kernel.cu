// The losses as functions of a prediction and its target, as `cpu.rs` has them.

// A function of the difference x − target.
template <class F>
struct Difference {
  F of;
};

template <class F>
__device__ inline real_t value(const Difference<F> &f, index_t, real_t x, real_t target) {
  return value(f.of, x - target);
}

template <class F>
__device__ inline real_t partial(const Difference<F> &f, By by, index_t, real_t x, real_t target) {
  switch (by) {
    case BY_A: return slope(f.of, x - target);
    case BY_B: return -slope(f.of, x - target);
    case BY_AB: return -curvature(f.of, x - target);
    default: return curvature(f.of, x - target);
  }
}

struct Square {};

__device__ inline real_t value(const Square &, real_t d) { return d * d; }

__device__ inline real_t slope(const Square &, real_t d) { return d + d; }

__device__ inline real_t curvature(const Square &, real_t) { return 2; }

KERNEL void square(const scalar_t *x, const scalar_t *target, const scalar_t *u, scalar_t *y, double *sums, index_t n,
                   index_t by, index_t step, real_t divisor) {
  zip(Difference<Square>(), x, target, u, y, sums, n, by, step, divisor);
}

struct Abs {};

__device__ inline real_t value(const Abs &, real_t d) { return fabs(d); }

__device__ inline real_t slope(const Abs &, real_t d) { return d < 0 ? (real_t)-1 : d > 0 ? (real_t)1 : (real_t)0; }

KERNEL void absolute(const scalar_t *x, const scalar_t *target, const scalar_t *u, scalar_t *y, double *sums, index_t n,
                     index_t by, index_t step, real_t divisor) {
  zip(Difference<Abs>(), x, target, u, y, sums, n, by, step, divisor);
}

struct Rounded {
  real_t width, height, curvature;
};

__device__ inline real_t value(const Rounded &f, real_t d) {
  d = fabs(d);
  return d < f.width ? (real_t)0.5 * f.height * d * (d / f.width) : f.height * (d - (real_t)0.5 * f.width);
}

__device__ inline real_t slope(const Rounded &f, real_t d) {
  real_t right = d >= f.width ? f.height : f.height * (d / f.width);
  return d <= -f.width ? -f.height : right;
}

__device__ inline real_t curvature(const Rounded &f, real_t d) { return fabs(d) < f.width ? f.curvature : (real_t)0; }

KERNEL void rounded(const scalar_t *x, const scalar_t *target, const scalar_t *u, scalar_t *y, double *sums, index_t n,
                    index_t by, index_t step, real_t divisor, real_t width, real_t height, real_t curvature) {
  Difference<Rounded> f = {{width, height, curvature}};
  zip(f, x, target, u, y, sums, n, by, step, divisor);
}

// Weights that are not given are null, and 1.
struct BinaryCrossEntropy {
  const scalar_t *weight, *pos_weight;
};

__device__ inline real_t weight_at(const scalar_t *weights, index_t at) { return weights ? load(weights, at) : (real_t)1; }

__device__ inline real_t logsigmoid(real_t x) { return -softplus_value(-x); }

__device__ inline real_t value(const BinaryCrossEntropy &f, index_t at, real_t x, real_t t) {
  real_t positive = times(logsigmoid(x), weight_at(f.pos_weight, at) * t);
  return times(-positive - times(logsigmoid(-x), 1 - t), weight_at(f.weight, at));
}

__device__ inline real_t weightless_partial(By by, real_t p, real_t x, real_t t) {
  switch (by) {
    case BY_A: return (1 - t) * sigmoid_value(x) - p * t * sigmoid_value(-x);
    case BY_B: return times(log1p(exp(-fabs(x))), p - 1) + (x < 0 ? -p * x : -x);
    case BY_AA: return ((1 - t) + p * t) * sigmoid_slope(x);
    case BY_AB: return -(sigmoid_value(x) + p * sigmoid_value(-x));
    default: return 0;
  }
}

__device__ inline real_t partial(const BinaryCrossEntropy &f, By by, index_t at, real_t x, real_t t) {
  return times(weightless_partial(by, weight_at(f.pos_weight, at), x, t), weight_at(f.weight, at));
}

KERNEL void binary_cross_entropy(const scalar_t *x, const scalar_t *target, const scalar_t *u, scalar_t *y, double *sums,
                                 index_t n, index_t by, index_t step, real_t divisor, const scalar_t *weight,
                                 const scalar_t *pos_weight) {
  zip(BinaryCrossEntropy{weight, pos_weight}, x, target, u, y, sums, n, by, step, divisor);
}

struct KlDiv {};

__device__ inline real_t value(const KlDiv &, index_t, real_t x, real_t t) { return times(log(t) - x, t); }

__device__ inline real_t partial(const KlDiv &, By by, index_t, real_t x, real_t t) {
  switch (by) {
    case BY_A: return -t;
    case BY_B: return log(t) + 1 - x;
    case BY_AA: return 0;
    case BY_AB: return -1;
    default: return 1 / t;
  }
}

KERNEL void kl_div(const scalar_t *x, const scalar_t *target, const scalar_t *u, scalar_t *y, double *sums, index_t n,
                   index_t by, index_t step, real_t divisor) {
  zip(KlDiv(), x, target, u, y, sums, n, by, step, divisor);
}

struct KlDivOfLogs {};

__device__ inline real_t value(const KlDivOfLogs &, index_t, real_t x, real_t t) { return times(t - x, exp(t)); }

__device__ inline real_t partial(const KlDivOfLogs &, By by, index_t, real_t x, real_t t) {
  switch (by) {
    case BY_A:
    case BY_AB: return -exp(t);
    case BY_B: return times(t - x + 1, exp(t));
    case BY_AA: return 0;
    default: return times(t - x + 2, exp(t));
  }
}

KERNEL void kl_div_of_logs(const scalar_t *x, const scalar_t *target, const scalar_t *u, scalar_t *y, double *sums,
                           index_t n, index_t by, index_t step, real_t divisor) {
  zip(KlDivOfLogs(), x, target, u, y, sums, n, by, step, divisor);
}
