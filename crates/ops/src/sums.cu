// Sums of float64, and of what other kernels left as such.

// The sums of the runs of x, of `n` elements.
KERNEL void run_sums(const double *x, double *sums, index_t n) {
  EACH_BLOCK(run, (n + RUN - 1) / RUN) {
    index_t first = run * RUN, end = n - first < RUN ? n : first + RUN;
    double sum = lane_sum<double>(end - first, [&](index_t i) { return x[first + i]; });
    if (threadIdx.x == 0) sums[run] = sum;
  }
}

// y, of `rows` elements: the sums of the rows of x, each of `n` elements, over the divisor; a block a row.
KERNEL void totals(const double *x, scalar_t *y, index_t n, index_t rows, double divisor) {
  EACH_BLOCK(row, rows) {
    double sum = lane_sum<double>(n, [&](index_t i) { return x[row * n + i]; });
    if (threadIdx.x == 0) store(y, row, (real_t)(sum / divisor));
  }
}
