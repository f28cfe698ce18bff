// The parametric rectifier and its gradients. Elements lie as [samples, channels, inner]; those of a channel share a slope.

// y, of `n` elements: w · t where x is not positive, elsewhere t or, without `keep`, 0.
KERNEL void prelu(const scalar_t *x, const scalar_t *w, const scalar_t *t, scalar_t *y, index_t channels, index_t inner,
                  index_t keep, index_t n) {
  EACH(i, n) {
    real_t right = keep ? load(t, i) : (real_t)0;
    store(y, i, load(x, i) > 0 ? right : load(w, i / inner % channels) * load(t, i));
  }
}

// Σ a · b over each run of the `n` elements of each channel, where x is not positive; `items` is channels times runs.
KERNEL void prelu_run_sums(const scalar_t *x, const scalar_t *a, const scalar_t *b, double *sums, index_t channels,
                           index_t inner, index_t n, index_t items) {
  index_t runs = items / channels;
  EACH_BLOCK(item, items) {
    index_t channel = item / runs, first = item % runs * RUN, end = n - first < RUN ? n : first + RUN;
    double sum = lane_sum<double>(end - first, [&](index_t term) {
      index_t j = first + term, i = (j / inner * channels + channel) * inner + j % inner;
      return load(x, i) > 0 ? 0. : (double)load(a, i) * (double)load(b, i);
    });
    if (threadIdx.x == 0) sums[item] = sum;
  }
}
