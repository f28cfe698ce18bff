// The passes over memory of functions applied element by element. A function is a struct of its numbers, with overloads of
// `value`, `slope` and `curvature` where it is of one number, and of `value` and `partial` where it is of two.

// Which derivative by the arguments of a function of two, as `By` of `elementwise/mod.rs` has them.
enum By { BY_A, BY_B, BY_AA, BY_AB, BY_BB };

// Where the pieces are lines.
template <class F>
__device__ inline real_t curvature(const F &, real_t) {
  return 0;
}

// y, of `n` elements: f(x), u · f′(x) or u · f″(x), by the order of the derivative.
template <class F>
__device__ inline void map(const F &f, index_t order, const scalar_t *x, const scalar_t *u, scalar_t *y, index_t n) {
  if (order == 0) {
    EACH(i, n) store(y, i, value(f, load(x, i)));
  } else if (order == 1) {
    EACH(i, n) store(y, i, times(load(u, i), slope(f, load(x, i))));
  } else {
    EACH(i, n) store(y, i, times(load(u, i), curvature(f, load(x, i))));
  }
}

// y, of `n` elements: f(a, b) or, with u, u / divisor · ∂f(a, b); u has an element for each of y, or, with a step of 0, one
// for all. Or, with `sums`, f(a, b) added up over each run.
template <class F>
__device__ inline void zip(const F &f, const scalar_t *a, const scalar_t *b, const scalar_t *u, scalar_t *y, double *sums,
                           index_t n, index_t by, index_t step, real_t divisor) {
  if (sums) {
    EACH_BLOCK(run, (n + RUN - 1) / RUN) {
      index_t first = run * RUN, end = n - first < RUN ? n : first + RUN;
      double sum = lane_sum<double>(end - first, [&](index_t i) {
        return (double)value(f, first + i, load(a, first + i), load(b, first + i));
      });
      if (threadIdx.x == 0) sums[run] = sum;
    }
  } else if (u) {
    EACH(i, n) store(y, i, times(load(u, i * step) / divisor, partial(f, (By)by, i, load(a, i), load(b, i))));
  } else {
    EACH(i, n) store(y, i, value(f, i, load(a, i), load(b, i)));
  }
}
