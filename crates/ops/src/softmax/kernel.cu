// The softmax, its logarithm and their gradients along classes, as `cpu/formula.rs` has them: a term, the sum of all terms,
// and the value that follows from it. Where a class has one element a warp takes the classes of a sample side by side, as
// the CPU's lanes do; else a thread takes those of a column, and its neighbours their columns.

struct Softmax {};

__device__ inline real_t term(const Softmax &, real_t x, real_t, real_t max) { return vexp(x - max); }

__device__ inline real_t of_sum(const Softmax &, double sum) { return (real_t)sum; }

__device__ inline real_t value(const Softmax &, real_t x, real_t, real_t max, real_t sum) { return vexp(x - max) / sum; }

struct LogSoftmax {};

__device__ inline real_t term(const LogSoftmax &, real_t x, real_t, real_t max) { return vexp(x - max); }

__device__ inline real_t of_sum(const LogSoftmax &, double sum) { return (real_t)log(sum); }

__device__ inline real_t value(const LogSoftmax &, real_t x, real_t, real_t max, real_t log_sum) {
  return (x - max) - log_sum;
}

// Of y and dy.
struct SoftmaxGrad {};

__device__ inline real_t term(const SoftmaxGrad &, real_t y, real_t dy, real_t) { return y * dy; }

__device__ inline real_t of_sum(const SoftmaxGrad &, double sum) { return (real_t)sum; }

__device__ inline real_t value(const SoftmaxGrad &, real_t y, real_t dy, real_t, real_t sum) { return y * (dy - sum); }

// Of y and dy.
struct LogSoftmaxGrad {};

__device__ inline real_t term(const LogSoftmaxGrad &, real_t, real_t dy, real_t) { return dy; }

__device__ inline real_t of_sum(const LogSoftmaxGrad &, double sum) { return (real_t)sum; }

__device__ inline real_t value(const LogSoftmaxGrad &, real_t y, real_t dy, real_t, real_t sum) {
  return dy - vexp(y) * sum;
}

// Without `with_max` no term needs the largest element of a.
template <unsigned int threads, bool with_max, class F>
__device__ inline void along(const F &f, const scalar_t *a, const scalar_t *b, scalar_t *out, index_t classes,
                             index_t inner, index_t positions) {
  EACH_GROUP(position, positions, threads) {
    index_t first = position / inner * classes * inner + position % inner, lane = (index_t)(threadIdx.x % threads);
    real_t max = -infinity();
    for (index_t c = lane; with_max && c < classes; c += (index_t)threads) {
      real_t x = load(a, first + c * inner);
      max = x > max ? x : max;
    }
    max = group_max<threads>(max);
    double terms = 0;
    for (index_t c = lane; c < classes; c += (index_t)threads) {
      index_t i = first + c * inner;
      terms += (double)term(f, load(a, i), load(b, i), max);
    }
    real_t sum = of_sum(f, group_sum<threads>(terms));
    for (index_t c = lane; c < classes; c += (index_t)threads) {
      index_t i = first + c * inner;
      store(out, i, value(f, load(a, i), load(b, i), max, sum));
    }
  }
}

template <bool with_max, class F>
__device__ inline void along_classes(const F &f, const scalar_t *a, const scalar_t *b, scalar_t *out, index_t classes,
                                     index_t inner, index_t positions) {
  if (inner == 1) {
    along<32, with_max>(f, a, b, out, classes, inner, positions);
  } else {
    along<1, with_max>(f, a, b, out, classes, inner, positions);
  }
}

KERNEL void softmax(const scalar_t *x, const scalar_t *same, scalar_t *y, index_t classes, index_t inner,
                    index_t positions) {
  along_classes<true>(Softmax(), x, same, y, classes, inner, positions);
}

KERNEL void log_softmax(const scalar_t *x, const scalar_t *same, scalar_t *y, index_t classes, index_t inner,
                        index_t positions) {
  along_classes<true>(LogSoftmax(), x, same, y, classes, inner, positions);
}

KERNEL void softmax_grad(const scalar_t *y, const scalar_t *dy, scalar_t *dx, index_t classes, index_t inner,
                         index_t positions) {
  along_classes<false>(SoftmaxGrad(), y, dy, dx, classes, inner, positions);
}

KERNEL void log_softmax_grad(const scalar_t *y, const scalar_t *dy, scalar_t *dx, index_t classes, index_t inner,
                             index_t positions) {
  along_classes<false>(LogSoftmaxGrad(), y, dy, dx, classes, inner, positions);
}
