// Normalisation of [samples, channels, positions] and its gradients. All of it is in float64, rounded once: deviations from a
// mean would cancel in less, and so would the terms of a gradient.

struct Norm {
  index_t channels, positions;
  // The channels of a set, which is then one sample's; 0 where a set is a channel of all samples.
  index_t group;
  // The elements of a set, of a channel and of a slice of either, of which a block takes the sums.
  index_t set_len, channel_len, slice_len;
};

struct Set {
  double mean, var, scale;
};

// Two sums.
struct Pair {
  double one, other;
};

__device__ inline Pair &operator+=(Pair &sum, Pair term) {
  sum.one += term.one;
  sum.other += term.other;
  return sum;
}

// The elements of a slice of `len` elements.
__device__ inline index_t slice_of(const Norm &norm, index_t slice, index_t len) {
  index_t left = len - slice * norm.slice_len;
  return left < norm.slice_len ? left : norm.slice_len;
}

// Where the k-th element of a channel lies.
__device__ inline index_t in_channel(const Norm &norm, index_t channel, index_t k) {
  return (k / norm.positions * norm.channels + channel) * norm.positions + k % norm.positions;
}

// Where the k-th element of a set lies.
__device__ inline index_t in_set(const Norm &norm, index_t set, index_t k) {
  return norm.group ? set * norm.set_len + k : in_channel(norm, set, k);
}

__device__ inline index_t channel_of(const Norm &norm, index_t i) { return i / norm.positions % norm.channels; }

__device__ inline index_t set_of(const Norm &norm, index_t i) {
  return norm.group ? i / norm.set_len : channel_of(norm, i);
}

__device__ inline Set read(const double *sets, index_t set) {
  return Set{sets[3 * set], sets[3 * set + 1], sets[3 * set + 2]};
}

// The normalised element.
__device__ inline double unit_of(const Set &set, double x) { return (x - set.mean) * set.scale; }

__device__ inline double weight_of(const scalar_t *w, index_t channel) { return w ? (double)load(w, channel) : 1.; }

// Of each of the `n` slices of sets, the mean (0 unless `centred`) and the sum of squares about it.
KERNEL void norm_moments(const scalar_t *x, double *moments, Norm norm, index_t centred, index_t slices, index_t n) {
  EACH_BLOCK(i, n) {
    index_t set = i / slices, first = i % slices * norm.slice_len, count = slice_of(norm, i % slices, norm.set_len);
    double mean = 0;
    if (centred) {
      double sum = lane_sum<double>(count, [&](index_t k) { return (double)load(x, in_set(norm, set, first + k)); });
      mean = sum / (double)count;
    }
    double squares = lane_sum<double>(count, [&](index_t k) {
      double apart = (double)load(x, in_set(norm, set, first + k)) - mean;
      return apart * apart;
    });
    if (threadIdx.x == 0) {
      moments[2 * i] = mean;
      moments[2 * i + 1] = squares;
    }
  }
}

// The `n` sets, of `slices` slices each. Without any variance there is nothing to scale.
KERNEL void norm_sets(const double *moments, double *sets, Norm norm, double eps, index_t slices, index_t n) {
  EACH_BLOCK(i, n) {
    const double *of = moments + 2 * i * slices;
    double count = (double)norm.set_len;
    double sum = lane_sum<double>(slices, [&](index_t k) {
      return of[2 * k] * (double)slice_of(norm, k, norm.set_len);
    });
    double mean = sum / count;
    double squares = lane_sum<double>(slices, [&](index_t k) {
      double apart = of[2 * k] - mean;
      return of[2 * k + 1] + apart * apart * (double)slice_of(norm, k, norm.set_len);
    });
    if (threadIdx.x == 0) {
      double var = squares / count;
      sets[3 * i] = mean;
      sets[3 * i + 1] = var;
      sets[3 * i + 2] = var + eps == 0 ? 0 : 1 / sqrt(var + eps);
    }
  }
}

// y, of `n` elements.
KERNEL void normalise(const scalar_t *x, const scalar_t *w, const scalar_t *b, const double *sets, scalar_t *y,
                      Norm norm, index_t n) {
  EACH(i, n) {
    index_t channel = channel_of(norm, i);
    double unit = unit_of(read(sets, set_of(norm, i)), (double)load(x, i));
    store(y, i, (real_t)(unit * weight_of(w, channel) + (b ? (double)load(b, channel) : 0.)));
  }
}

// Of each of the `n` slices of sets, or of channels, Σ g and Σ g·x̂ with g = w·dy and x̂ the normalised x, 0 where there is none.
KERNEL void norm_products(const scalar_t *x, const scalar_t *w, const scalar_t *dy, const double *sets, double *products,
                          Norm norm, index_t of_channels, index_t slices, index_t n) {
  index_t len = of_channels ? norm.channel_len : norm.set_len;
  EACH_BLOCK(i, n) {
    index_t item = i / slices, first = i % slices * norm.slice_len;
    // But of channels of which each sample is in another set.
    bool one_set = !of_channels || !norm.group;
    Set set = x && one_set ? read(sets, item) : Set{0, 0, 0};
    Pair sums = lane_sum<Pair>(slice_of(norm, i % slices, len), [&](index_t k) {
      index_t at = of_channels ? in_channel(norm, item, first + k) : in_set(norm, item, first + k);
      double g = (double)load(dy, at);
      if (w) g *= (double)load(w, channel_of(norm, at));
      if (!x) return Pair{g, 0};
      Set of = one_set ? set : read(sets, set_of(norm, at));
      return Pair{g, g * unit_of(of, (double)load(x, at))};
    });
    if (threadIdx.x == 0) {
      products[2 * i] = sums.one;
      products[2 * i + 1] = sums.other;
    }
  }
}

// Of each of `n` items the sums over its slices, and their means over `len` elements.
KERNEL void norm_sums(const double *products, double *sums, index_t len, index_t slices, index_t n) {
  EACH_BLOCK(i, n) {
    const double *of = products + 2 * i * slices;
    Pair sum = lane_sum<Pair>(slices, [&](index_t k) { return Pair{of[2 * k], of[2 * k + 1]}; });
    if (threadIdx.x == 0) {
      sums[4 * i] = sum.one;
      sums[4 * i + 1] = sum.other;
      sums[4 * i + 2] = sum.one / (double)len;
      sums[4 * i + 3] = sum.other / (double)len;
    }
  }
}

// dx, of `n` elements, from the sums of the sets: where a set is a channel, those without its weight. Without sums the statistics
// are constants, and x takes no part, whatever it is.
KERNEL void norm_grad(const scalar_t *x, const scalar_t *w, const scalar_t *dy, const double *sets, const double *sums,
                      scalar_t *dx, Norm norm, index_t centred, index_t n) {
  EACH(i, n) {
    index_t channel = channel_of(norm, i);
    index_t item = set_of(norm, i);
    Set set = read(sets, item);
    double g = (double)load(dy, i), weight = weight_of(w, channel);
    if (norm.group) g *= weight;
    if (sums) {
      const double *of = sums + 4 * item;
      g -= (centred ? of[2] : 0.) + unit_of(set, (double)load(x, i)) * of[3];
    }
    if (!norm.group) g *= weight;
    store(dx, i, (real_t)(g * set.scale));
  }
}

// The gradient of the bias (`which` 0) or the weight (1), of `n` channels, from the sums of the channels.
KERNEL void norm_affine_grad(const double *sums, scalar_t *grad, index_t which, index_t n) {
  EACH(i, n) { store(grad, i, (real_t)sums[4 * i + which]); }
}

// For each of `n` channels the mean (`which` 0) or the unbiased variance (1) of its `count` elements, averaged over `samples`
// samples that each have a set of their own.
KERNEL void norm_statistic(const double *sets, real_t *statistic, index_t which, index_t samples, index_t count,
                           index_t n) {
  EACH(channel, n) {
    double sum = 0;
    for (index_t sample = 0; sample < samples; ++sample) sum += sets[3 * (sample * n + channel) + which];
    if (which == 1) sum = sum * (double)count / (double)(count - 1);
    statistic[channel] = (real_t)(sum / (double)samples);
  }
}
