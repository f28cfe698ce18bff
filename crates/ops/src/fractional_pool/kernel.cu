// Fractional maximum pooling and its gradient. Each plane has a random number an axis, which place its windows.

struct FractionalAxis {
  // `sample`: which of a plane's numbers is the axis's.
  index_t input, output, kernel, sample;
};

struct Fractional {
  FractionalAxis axis[3];
  // The numbers of a plane.
  index_t samples;
};

// Where a window starts.
__device__ inline index_t start_of(const FractionalAxis &axis, const double *samples, index_t output) {
  index_t room = axis.input - axis.kernel;
  if (output + 1 == axis.output) return room;
  double sample = samples[axis.sample], alpha = (double)room / (double)(axis.output - 1);
  return (index_t)(((double)output + sample) * alpha) - (index_t)(sample * alpha);
}

__device__ inline Positions window_of(const FractionalAxis &axis, const double *samples, index_t output) {
  return Positions{start_of(axis, samples, output), axis.kernel, 1};
}

// The first output whose window starts behind a position; starts never decrease.
__device__ inline index_t first_behind(const FractionalAxis &axis, const double *samples, index_t position) {
  index_t low = 0, high = axis.output;
  while (low < high) {
    index_t middle = low + (high - low) / 2;
    if (start_of(axis, samples, middle) > position) {
      high = middle;
    } else {
      low = middle + 1;
    }
  }
  return low;
}

// The outputs whose windows hold a position.
__device__ inline Reach holders_of(const FractionalAxis &axis, const double *samples, index_t position) {
  return Reach{first_behind(axis, samples, position - axis.kernel), first_behind(axis, samples, position)};
}

// The `n` maxima, and their places where `places` is given.
KERNEL void fractional_max_pool(const scalar_t *x, scalar_t *y, unsigned int *places, const double *samples,
                                Fractional dims, index_t n) {
  const FractionalAxis &depth = dims.axis[0], &height = dims.axis[1], &width = dims.axis[2];
  index_t in = depth.input * height.input * width.input, out = depth.output * height.output * width.output;
  EACH(i, n) {
    index_t output = i % out, plane = i / out;
    const double *of = samples + plane * dims.samples;
    Positions w = window_of(width, of, output % width.output);
    Positions h = window_of(height, of, output / width.output % height.output);
    Positions d = window_of(depth, of, output / width.output / height.output);
    Maximum max = maximum_of(x + plane * in, d, h, w, height.input, width.input);
    store(y, i, max.value);
    if (places) places[i] = max.place;
  }
}

// dx, of `n` elements: each adds up the gradients of the windows whose maximum it is, in order.
KERNEL void fractional_max_pool_grad(const unsigned int *places, const scalar_t *dy, scalar_t *dx,
                                     const double *samples, Fractional dims, index_t n) {
  const FractionalAxis &depth = dims.axis[0], &height = dims.axis[1], &width = dims.axis[2];
  index_t in = depth.input * height.input * width.input, out = depth.output * height.output * width.output;
  EACH(i, n) {
    index_t place = i % in, plane = i / in;
    const double *of = samples + plane * dims.samples;
    Reach w = holders_of(width, of, place % width.input);
    Reach h = holders_of(height, of, place / width.input % height.input);
    Reach d = holders_of(depth, of, place / width.input / height.input);
    const unsigned int *found = places + plane * out;
    store(dx, i, sum_of_maximum(found, dy + plane * out, place, d, h, w, height.output, width.output));
  }
}
