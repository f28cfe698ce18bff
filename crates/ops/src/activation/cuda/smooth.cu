// Functions made of exponentials and quotients, as `cpu/smooth.rs` has them.

struct Sigmoid {};

__device__ inline real_t value(const Sigmoid &, real_t x) { return sigmoid_value(x); }

__device__ inline real_t slope(const Sigmoid &, real_t x) { return sigmoid_slope(x); }

__device__ inline real_t curvature(const Sigmoid &, real_t x) { return sigmoid_curvature(x); }

KERNEL void sigmoid(const scalar_t *x, const scalar_t *u, scalar_t *y, index_t n, index_t order) {
  map(Sigmoid(), order, x, u, y, n);
}

struct Tanh {};

__device__ inline real_t value(const Tanh &, real_t x) { return vtanh(x); }

__device__ inline real_t slope(const Tanh &, real_t x) { return 4 * sigmoid_slope(x + x); }

__device__ inline real_t curvature(const Tanh &f, real_t x) { return -2 * vtanh(x) * slope(f, x); }

KERNEL void hyperbolic_tangent(const scalar_t *x, const scalar_t *u, scalar_t *y, index_t n, index_t order) {
  map(Tanh(), order, x, u, y, n);
}

struct Tanhshrink {};

__device__ inline real_t value(const Tanhshrink &, real_t x) { return x - vtanh(x); }

__device__ inline real_t slope(const Tanhshrink &, real_t x) {
  real_t y = vtanh(x);
  return y * y;
}

__device__ inline real_t curvature(const Tanhshrink &, real_t x) { return -curvature(Tanh(), x); }

KERNEL void tanhshrink(const scalar_t *x, const scalar_t *u, scalar_t *y, index_t n, index_t order) {
  map(Tanhshrink(), order, x, u, y, n);
}

struct Softsign {};

__device__ inline real_t value(const Softsign &, real_t x) {
  return fabs(x) == infinity() ? copysign((real_t)1, x) : x / (1 + fabs(x));
}

__device__ inline real_t slope(const Softsign &, real_t x) {
  real_t p = 1 / (1 + fabs(x));
  return p * p;
}

__device__ inline real_t curvature(const Softsign &, real_t x) {
  real_t p = 1 / (1 + fabs(x));
  return (real_t)(x < 0 ? 2 : -2) * p * p * p;
}

KERNEL void softsign(const scalar_t *x, const scalar_t *u, scalar_t *y, index_t n, index_t order) {
  map(Softsign(), order, x, u, y, n);
}

struct Softplus {
  real_t beta, threshold;
};

__device__ inline real_t value(const Softplus &f, real_t x) {
  real_t z = x * f.beta;
  return z > f.threshold ? x : softplus_value(z) / f.beta;
}

__device__ inline real_t slope(const Softplus &f, real_t x) {
  real_t z = x * f.beta;
  return z > f.threshold ? (real_t)1 : sigmoid_value(z);
}

__device__ inline real_t curvature(const Softplus &f, real_t x) {
  real_t z = x * f.beta;
  return z > f.threshold ? (real_t)0 : f.beta * sigmoid_slope(z);
}

KERNEL void softplus(const scalar_t *x, const scalar_t *u, scalar_t *y, index_t n, index_t order, real_t beta,
                     real_t threshold) {
  map(Softplus{beta, threshold}, order, x, u, y, n);
}

struct Logsigmoid {};

__device__ inline real_t value(const Logsigmoid &, real_t x) { return -softplus_value(-x); }

__device__ inline real_t slope(const Logsigmoid &, real_t x) { return sigmoid_value(-x); }

__device__ inline real_t curvature(const Logsigmoid &, real_t x) { return -sigmoid_slope(x); }

KERNEL void logsigmoid(const scalar_t *x, const scalar_t *u, scalar_t *y, index_t n, index_t order) {
  map(Logsigmoid(), order, x, u, y, n);
}

// The slope and the curvature at 0 from the left come rounded once.
struct Elu {
  real_t right, left, rate, left_slope, left_curvature;
};

__device__ inline real_t value(const Elu &f, real_t x) { return x > 0 ? f.right * x : f.left * expm1(f.rate * x); }

__device__ inline real_t slope(const Elu &f, real_t x) { return x <= 0 ? f.left_slope * vexp(f.rate * x) : f.right; }

__device__ inline real_t curvature(const Elu &f, real_t x) {
  return x <= 0 ? f.left_curvature * vexp(f.rate * x) : (real_t)0;
}

KERNEL void elu(const scalar_t *x, const scalar_t *u, scalar_t *y, index_t n, index_t order, real_t right, real_t left,
                real_t rate, real_t left_slope, real_t left_curvature) {
  map(Elu{right, left, rate, left_slope, left_curvature}, order, x, u, y, n);
}
