// The exponential and its kin: in float32 `math.rs`, bit by bit.

#ifdef SCALAR_F64
__device__ inline double vexp(double x) { return exp(x); }

__device__ inline double vtanh(double x) { return tanh(x); }

__device__ inline double verfc(double x) { return erfc(x); }
#else
// A polynomial by its coefficients, the highest power first.
template <int N>
__device__ inline float horner(float x, const float (&coefficients)[N]) {
  float sum = 0;
  for (int i = 0; i < N; ++i) sum = sum * x + coefficients[i];
  return sum;
}

__device__ inline float two_to(int n) { return real_of((unsigned int)(n + 127) << 23); }

__device__ inline float vexp(float x) {
  const float magic = 12582912.f;
  const float series[] = {1.9875691e-4f, 1.3982e-3f, 8.333452e-3f, 4.1665796e-2f, 0.16666666f, 0.5f};
  x = x < -104.f ? -104.f : x;
  x = x > 89.f ? 89.f : x;
  float shifted = x * 1.44269504f + magic;
  float whole = shifted - magic;
  float r = (x - whole * 0.6933594f) - whole * -2.1219444e-4f;
  float power = horner(r, series) * (r * r) + r + 1.f;
  int n = (int)((unsigned int)__float_as_int(shifted) - (unsigned int)__float_as_int(magic));
  return power * two_to(n >> 1) * two_to(n - (n >> 1));
}

__device__ inline float vtanh(float x) {
  const float series[] = {-5.7049887e-3f, 2.063909e-2f, -5.3739715e-2f, 0.13331442f, -0.3333328f};
  float z = x * x;
  float small = horner(z, series) * z * x + x;
  float large = 1.f - 2.f / (vexp(2.f * fabs(x)) + 1.f);
  return copysign(fabs(x) < 0.625f ? small : large, x);
}

__device__ inline float verfc(float x) {
  const float fit[] = {-8.248054e-6f,   2.6537467e-5f, 1.1517492e-4f, -3.8015738e-4f, -1.807872e-3f,
                       2.9489263e-3f, 3.9499883e-2f, 0.14505056f,   0.32262704f,    0.49192816f};
  const float erf[] = {-6.954983e-4f, 5.138835e-3f, -2.6844747e-2f, 0.11283545f, -0.3761263f, 1.12837917f};
  const float exponential[] = {1.f / 24.f, 1.f / 6.f, 0.5f, 1.f, 1.f};
  float t = fabs(x);
  t = t > 10.3f ? 10.3f : t;
  float head = real_of((unsigned int)__float_as_int(t) & 0xfffff000u);
  float rest = horner((head - t) * (head + t), exponential);
  float u = 1.f / (1.f + 0.4f * t);
  float tail = u * horner((1.f - 0.59417474f * t) * u, fit) * rest * vexp(-head * head);
  float beyond = x < 0 ? 2.f - tail : tail;
  return t < 0.7f ? 1.f - x * horner(x * x, erf) : beyond;
}
#endif

// `x · factor`, and 0 where the factor is, also at an infinite or undefined `x`.
template <class T>
__device__ inline T times(T x, T factor) {
  return factor == 0 ? (T)0 : x * factor;
}

__device__ inline real_t sigmoid_value(real_t x) {
  real_t e = vexp(-fabs(x));
  return (x < 0 ? e : (real_t)1) / (1 + e);
}

__device__ inline real_t sigmoid_slope(real_t x) {
  real_t e = vexp(-fabs(x));
  real_t p = 1 / (1 + e);
  return e * p * p;
}

__device__ inline real_t sigmoid_curvature(real_t x) { return -sigmoid_slope(x) * vtanh(x / 2); }

// log(1 + exp(x)).
__device__ inline real_t softplus_value(real_t x) {
  real_t positive = x < 0 ? (real_t)0 : x;
  return positive + log1p(vexp(-fabs(x)));
}
