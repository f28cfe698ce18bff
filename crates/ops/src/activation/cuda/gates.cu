// x · gate(x), for gates that open from 0 to 1, as `cpu/gates.rs` has them.

template <class G>
struct Gated {
  G gate;
};

template <class G>
__device__ inline real_t value(const Gated<G> &f, real_t x) {
  return times(x, value(f.gate, x));
}

template <class G>
__device__ inline real_t slope(const Gated<G> &f, real_t x) {
  return value(f.gate, x) + times(x, slope(f.gate, x));
}

template <class G>
__device__ inline real_t curvature(const Gated<G> &f, real_t x) {
  return 2 * slope(f.gate, x) + times(x, curvature(f.gate, x));
}

struct Sigmoid {};

__device__ inline real_t value(const Sigmoid &, real_t x) { return sigmoid_value(x); }

__device__ inline real_t slope(const Sigmoid &, real_t x) { return sigmoid_slope(x); }

__device__ inline real_t curvature(const Sigmoid &, real_t x) { return sigmoid_curvature(x); }

KERNEL void silu(const scalar_t *x, const scalar_t *u, scalar_t *y, index_t n, index_t order) {
  map(Gated<Sigmoid>(), order, x, u, y, n);
}

// The distribution function of the standard normal distribution.
struct Normal {};

__device__ inline real_t normal_density(real_t x) {
  return vexp(x * x / -2) * (real_t)(0.5 * 1.12837916709551257390 * 0.70710678118654752440);
}

__device__ inline real_t value(const Normal &, real_t x) {
  return (real_t)0.5 * verfc(x * (real_t)-0.70710678118654752440);
}

__device__ inline real_t slope(const Normal &, real_t x) { return normal_density(x); }

__device__ inline real_t curvature(const Normal &, real_t x) { return -times(x, normal_density(x)); }

KERNEL void gelu(const scalar_t *x, const scalar_t *u, scalar_t *y, index_t n, index_t order) {
  map(Gated<Normal>(), order, x, u, y, n);
}

// σ(z) of a cubic polynomial z that makes it nearly that distribution function.
struct TanhNormal {};

struct Cubic {
  real_t z, slope, curvature;
};

__device__ inline Cubic cubic(real_t x) {
  const double third = 0.044715;
  // 2 · √(2/π).
  const real_t scale = (real_t)1.5957691216057308;
  real_t square = x * x;
  Cubic cubic;
  cubic.z = scale * x * (1 + (real_t)third * square);
  cubic.slope = scale * (1 + (real_t)(3. * third) * square);
  cubic.curvature = scale * (real_t)(6. * third) * x;
  return cubic;
}

__device__ inline real_t value(const TanhNormal &, real_t x) { return sigmoid_value(cubic(x).z); }

__device__ inline real_t slope(const TanhNormal &, real_t x) {
  Cubic c = cubic(x);
  return times(c.slope, sigmoid_slope(c.z));
}

__device__ inline real_t curvature(const TanhNormal &, real_t x) {
  Cubic c = cubic(x);
  return times(c.slope * c.slope, sigmoid_curvature(c.z)) + times(c.curvature, sigmoid_slope(c.z));
}

KERNEL void gelu_tanh(const scalar_t *x, const scalar_t *u, scalar_t *y, index_t n, index_t order) {
  map(Gated<TanhNormal>(), order, x, u, y, n);
}

// tanh(log(1 + exp(x))), with numerators and denominators divided by the highest power of exp(x) where x is positive.
struct TanhSoftplus {};

// exp(−|x|), and exp(x)² + 2 exp(x) + 2, divided by exp(x)² where x is positive.
struct Terms {
  real_t e, whole;
};

__device__ inline Terms terms(real_t x) {
  Terms terms;
  real_t e = terms.e = vexp(-fabs(x));
  terms.whole = x > 0 ? 1 + 2 * e * (1 + e) : 2 + e * (2 + e);
  return terms;
}

__device__ inline real_t value(const TanhSoftplus &, real_t x) {
  Terms t = terms(x);
  return (x > 0 ? 1 + 2 * t.e : t.e * (2 + t.e)) / t.whole;
}

__device__ inline real_t slope(const TanhSoftplus &, real_t x) {
  Terms t = terms(x);
  real_t numerator = 4 * t.e * (1 + t.e);
  return (x > 0 ? numerator * t.e : numerator) / (t.whole * t.whole);
}

__device__ inline real_t curvature(const TanhSoftplus &, real_t x) {
  Terms t = terms(x);
  real_t e = t.e;
  real_t numerator = x > 0 ? e * (2 * e * e * (1 + e) - 3 * e - 2) : 2 + 2 * e - e * e * (3 + 2 * e);
  return 4 * e * numerator / (t.whole * t.whole * t.whole);
}

KERNEL void mish(const scalar_t *x, const scalar_t *u, scalar_t *y, index_t n, index_t order) {
  map(Gated<TanhSoftplus>(), order, x, u, y, n);
}

// a · σ(b).
struct Glu {};

__device__ inline real_t value(const Glu &, index_t, real_t a, real_t b) { return times(a, sigmoid_value(b)); }

__device__ inline real_t partial(const Glu &, By by, index_t, real_t a, real_t b) {
  switch (by) {
    case BY_A: return sigmoid_value(b);
    case BY_B: return times(a, sigmoid_slope(b));
    case BY_AA: return 0;
    case BY_AB: return sigmoid_slope(b);
    default: return times(a, sigmoid_curvature(b));
  }
}

KERNEL void glu(const scalar_t *a, const scalar_t *b, const scalar_t *u, scalar_t *y, double *sums, index_t n, index_t by,
                index_t step, real_t divisor) {
  zip(Glu(), a, b, u, y, sums, n, by, step, divisor);
}
