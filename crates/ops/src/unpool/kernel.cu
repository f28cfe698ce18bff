// Unpooling and its transpose: `n` elements of `to`, each the one of `from` that `sources` names, or 0 where that is negative.
KERNEL void unpool(const scalar_t *from, const long long *sources, scalar_t *to, index_t n) {
  EACH(i, n) { store(to, i, sources[i] >= 0 ? load(from, (index_t)sources[i]) : (real_t)0); }
}
