// The cross entropy and its gradients, as `cpu.rs` has them. Where a class has one element a warp takes the classes of a
// sample side by side; else a thread takes those of a position, and its neighbours their positions.

struct Loss {
  index_t classes, inner, positions;
};

// The targets: a class for each position or, where that is null, probabilities.
struct Targets {
  const unsigned int *chosen;
  const scalar_t *probabilities;
  const double *weight;
  double smoothing;
};

__device__ inline index_t first_of(const Loss &loss, index_t position) {
  return position / loss.inner * loss.classes * loss.inner + position % loss.inner;
}

// Whether no class but the chosen one has a share.
__device__ inline bool is_certain(const Targets &t) { return t.chosen && t.smoothing == 0; }

// The weight of −log p of a class, at `at`, in the loss of a position that is not ignored.
__device__ inline double share(const Targets &t, const Loss &loss, index_t position, index_t c, index_t at) {
  double target = t.chosen ? (t.chosen[position] == (unsigned int)c ? 1. : 0.) : (double)load(t.probabilities, at);
  double even = t.smoothing / (double)loss.classes;
  return (t.weight ? t.weight[c] : 1.) * ((1 - t.smoothing) * target + even);
}

// `−log p = (max − x) + log_sum`.
__device__ inline double neg_log_p(double max, double log_sum, real_t x) { return (max - (double)x) + log_sum; }

template <unsigned int threads>
__device__ inline void normalise(const scalar_t *x, double *max, double *log_sum, const Loss &loss) {
  // A warp adds up so many terms at once, as the CPU does.
  const index_t most = threads == 1 ? loss.classes : 1024;
  EACH_GROUP(position, loss.positions, threads) {
    index_t first = first_of(loss, position), lane = (index_t)(threadIdx.x % threads);
    real_t largest = -infinity();
    for (index_t c = lane; c < loss.classes; c += (index_t)threads) {
      real_t at = load(x, first + c * loss.inner);
      largest = at > largest ? at : largest;
    }
    largest = group_max<threads>(largest);
    double sum = 0;
    for (index_t begin = 0; begin < loss.classes; begin += most) {
      index_t end = loss.classes - begin < most ? loss.classes : begin + most;
      double part = 0;
      for (index_t c = begin + lane; c < end; c += (index_t)threads) {
        part += (double)vexp(load(x, first + c * loss.inner) - largest);
      }
      sum += group_sum<threads>(part);
    }
    if (lane == 0) {
      max[position] = (double)largest;
      log_sum[position] = log(sum);
    }
  }
}

KERNEL void cross_entropy_normalisers(const scalar_t *x, double *max, double *log_sum, Loss loss) {
  if (loss.inner == 1) {
    normalise<32>(x, max, log_sum, loss);
  } else {
    normalise<1>(x, max, log_sum, loss);
  }
}

template <unsigned int threads>
__device__ inline void forward(const scalar_t *x, const double *max, const double *log_sum, const Targets &t, scalar_t *y,
                               double *losses, const Loss &loss) {
  EACH_GROUP(position, loss.positions, threads) {
    index_t first = first_of(loss, position), lane = (index_t)(threadIdx.x % threads);
    double sum = 0;
    for (index_t c = lane; c < loss.classes; c += (index_t)threads) {
      if (t.chosen && (t.chosen[position] == IGNORED || (is_certain(t) && t.chosen[position] != (unsigned int)c))) continue;
      index_t at = first + c * loss.inner;
      double q = share(t, loss, position, c, at);
      // 0 · log 0 = 0.
      if (q != 0) sum += q * neg_log_p(max[position], log_sum[position], load(x, at));
    }
    sum = group_sum<threads>(sum);
    if (lane == 0 && losses) losses[position] = sum;
    if (lane == 0 && y) store(y, position, (real_t)sum);
  }
}

// The losses of the positions: as y, or, where they are to be added up, as `losses`.
KERNEL void cross_entropy(const scalar_t *x, const double *max, const double *log_sum, const unsigned int *chosen,
                          const scalar_t *probabilities, const double *weight, double smoothing, scalar_t *y,
                          double *losses, Loss loss) {
  Targets t = {chosen, probabilities, weight, smoothing};
  if (loss.inner == 1) {
    forward<32>(x, max, log_sum, t, y, losses, loss);
  } else {
    forward<1>(x, max, log_sum, t, y, losses, loss);
  }
}

template <unsigned int threads>
__device__ inline void backward(const scalar_t *x, const double *max, const double *log_sum, const Targets &t,
                                const scalar_t *dy, index_t step, double divisor, scalar_t *dx, const Loss &loss) {
  EACH_GROUP(position, loss.positions, threads) {
    index_t first = first_of(loss, position), lane = (index_t)(threadIdx.x % threads);
    bool ignored = t.chosen && t.chosen[position] == IGNORED;
    double grad = (double)load(dy, position * step) / divisor, mass = 0;
    for (index_t c = lane; !ignored && c < loss.classes; c += (index_t)threads) {
      if (is_certain(t) && t.chosen[position] != (unsigned int)c) continue;
      mass += share(t, loss, position, c, first + c * loss.inner);
    }
    double scale = grad * group_sum<threads>(mass);
    for (index_t c = lane; c < loss.classes; c += (index_t)threads) {
      index_t at = first + c * loss.inner;
      real_t p = vexp((real_t)-neg_log_p(max[position], log_sum[position], load(x, at)));
      real_t dx_at = (real_t)(scale * (double)p);
      if (!is_certain(t) || t.chosen[position] == (unsigned int)c) {
        dx_at = (real_t)((double)dx_at - grad * share(t, loss, position, c, at));
      }
      store(dx, at, ignored ? (real_t)0 : dx_at);
    }
  }
}

// dx; dy has an element for each position or, with a step of 0, one for all.
KERNEL void cross_entropy_grad(const scalar_t *x, const double *max, const double *log_sum, const unsigned int *chosen,
                               const scalar_t *probabilities, const double *weight, double smoothing,
                               const scalar_t *dy, index_t step, double divisor, scalar_t *dx, Loss loss) {
  Targets t = {chosen, probabilities, weight, smoothing};
  if (loss.inner == 1) {
    backward<32>(x, max, log_sum, t, dy, step, divisor, dx, loss);
  } else {
    backward<1>(x, max, log_sum, t, dy, step, divisor, dx, loss);
  }
}

// dtarget, of `n` elements, of class probabilities.
KERNEL void cross_entropy_target_grad(const scalar_t *x, const double *max, const double *log_sum, const double *weight,
                                      double smoothing, const scalar_t *dy, index_t step, double divisor,
                                      scalar_t *dtarget, Loss loss, index_t n) {
  EACH(i, n) {
    index_t position = i / loss.inner / loss.classes * loss.inner + i % loss.inner, c = i / loss.inner % loss.classes;
    double grad = (double)load(dy, position * step) / divisor;
    double share = (weight ? weight[c] : 1.) * (1 - smoothing);
    store(dtarget, i, (real_t)(grad * share * neg_log_p(max[position], log_sum[position], load(x, i))));
  }
}
