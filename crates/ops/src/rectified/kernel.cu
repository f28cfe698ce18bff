// What comes behind an operator.

// max(y, 0) of `n` elements, where y was; NaN stays.
KERNEL void rectify(scalar_t *y, index_t n) {
  EACH(i, n) {
    if (load(y, i) <= 0) store(y, i, 0);
  }
}

// y, of `n` elements: a + b.
KERNEL void add(const scalar_t *a, const scalar_t *b, scalar_t *y, index_t n) {
  EACH(i, n) { store(y, i, load(a, i) + load(b, i)); }
}
