// Powers.

__device__ inline real_t raised(real_t x, real_t exponent) {
  if (exponent == 0) return 1;
  if (exponent == 1) return x;
  if (exponent == 2) return x * x;
  return exponent == (real_t)0.5 ? sqrt(x) : pow(x, exponent);
}

// y = g · coefficient · x^exponent, of `n` elements, with g = 1 where there is none; `flat_at_zero` says whether it is 0 where x is.
KERNEL void power(const scalar_t *x, const scalar_t *g, scalar_t *y, real_t coefficient, real_t exponent,
                  index_t flat_at_zero, index_t n) {
  EACH(i, n) {
    real_t base = load(x, i);
    // No power of 0 is asked for that a factor of 0 would have to make good.
    if (coefficient == 0 || (flat_at_zero && base == 0)) {
      store(y, i, 0);
      continue;
    }
    real_t value = coefficient * raised(base, exponent), factor = g ? load(g, i) : (real_t)1;
    // A factor of 0 stays 0 where the power is infinite: what has no part in the loss has no gradient.
    store(y, i, factor == 0 ? factor : value * factor);
  }
}
