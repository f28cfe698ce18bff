// Functions whose pieces are polynomials, as `cpu/piecewise.rs` has them.

__device__ inline real_t clamp(real_t x, real_t min, real_t max) {
  real_t above = x < min ? min : x;
  return above > max ? max : above;
}

__device__ inline real_t inside(real_t x, real_t min, real_t max, real_t slope) {
  return x > min && x < max ? slope : (real_t)0;
}

struct Relu {};

__device__ inline real_t value(const Relu &, real_t x) { return x <= 0 ? (real_t)0 : x; }

__device__ inline real_t slope(const Relu &, real_t x) { return x <= 0 ? (real_t)0 : (real_t)1; }

KERNEL void relu(const scalar_t *x, const scalar_t *u, scalar_t *y, index_t n, index_t order) {
  map(Relu(), order, x, u, y, n);
}

struct LeakyRelu {
  real_t negative_slope;
};

__device__ inline real_t value(const LeakyRelu &f, real_t x) { return x > 0 ? x : times(x, f.negative_slope); }

__device__ inline real_t slope(const LeakyRelu &f, real_t x) { return x > 0 ? (real_t)1 : f.negative_slope; }

KERNEL void leaky_relu(const scalar_t *x, const scalar_t *u, scalar_t *y, index_t n, index_t order,
                       real_t negative_slope) {
  map(LeakyRelu{negative_slope}, order, x, u, y, n);
}

struct Threshold {
  real_t threshold, below;
};

__device__ inline real_t value(const Threshold &f, real_t x) { return x <= f.threshold ? f.below : x; }

__device__ inline real_t slope(const Threshold &f, real_t x) { return x <= f.threshold ? (real_t)0 : (real_t)1; }

KERNEL void threshold(const scalar_t *x, const scalar_t *u, scalar_t *y, index_t n, index_t order, real_t least,
                      real_t below) {
  map(Threshold{least, below}, order, x, u, y, n);
}

struct Hardtanh {
  real_t min, max;
};

__device__ inline real_t value(const Hardtanh &f, real_t x) { return clamp(x, f.min, f.max); }

__device__ inline real_t slope(const Hardtanh &f, real_t x) { return inside(x, f.min, f.max, 1); }

KERNEL void hardtanh(const scalar_t *x, const scalar_t *u, scalar_t *y, index_t n, index_t order, real_t min,
                     real_t max) {
  map(Hardtanh{min, max}, order, x, u, y, n);
}

struct Hardsigmoid {};

__device__ inline real_t value(const Hardsigmoid &, real_t x) { return clamp(x + 3, 0, 6) / 6; }

__device__ inline real_t slope(const Hardsigmoid &, real_t x) { return inside(x, -3, 3, (real_t)(1. / 6.)); }

KERNEL void hardsigmoid(const scalar_t *x, const scalar_t *u, scalar_t *y, index_t n, index_t order) {
  map(Hardsigmoid(), order, x, u, y, n);
}

struct Hardswish {};

__device__ inline real_t value(const Hardswish &, real_t x) { return times(x, clamp(x + 3, 0, 6) / 6); }

__device__ inline real_t slope(const Hardswish &, real_t x) {
  real_t right = x < 3 ? x / 3 + (real_t)0.5 : (real_t)1;
  return x <= -3 ? (real_t)0 : right;
}

__device__ inline real_t curvature(const Hardswish &, real_t x) { return inside(x, -3, 3, (real_t)(1. / 3.)); }

KERNEL void hardswish(const scalar_t *x, const scalar_t *u, scalar_t *y, index_t n, index_t order) {
  map(Hardswish(), order, x, u, y, n);
}

struct Hardshrink {
  real_t lambda;
};

__device__ inline real_t value(const Hardshrink &f, real_t x) { return fabs(x) <= f.lambda ? (real_t)0 : x; }

__device__ inline real_t slope(const Hardshrink &f, real_t x) { return fabs(x) <= f.lambda ? (real_t)0 : (real_t)1; }

KERNEL void hardshrink(const scalar_t *x, const scalar_t *u, scalar_t *y, index_t n, index_t order, real_t lambda) {
  map(Hardshrink{lambda}, order, x, u, y, n);
}

struct Softshrink {
  real_t lambda;
};

__device__ inline real_t value(const Softshrink &f, real_t x) { return x - clamp(x, -f.lambda, f.lambda); }

__device__ inline real_t slope(const Softshrink &f, real_t x) { return fabs(x) <= f.lambda ? (real_t)0 : (real_t)1; }

KERNEL void softshrink(const scalar_t *x, const scalar_t *u, scalar_t *y, index_t n, index_t order, real_t lambda) {
  map(Softshrink{lambda}, order, x, u, y, n);
}
