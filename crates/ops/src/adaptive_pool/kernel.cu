// Adaptive pooling: of means and their transpose, of maxima and their gradient.

struct AdaptiveAxis {
  index_t input, output;
};

struct Adaptive {
  AdaptiveAxis axis[3];
};

// Which of `others` positions lie under position i of `count`, both spread evenly over the axis: of an output its window, of an
// input the outputs whose windows hold it.
__device__ inline Reach under(index_t i, index_t count, index_t others) {
  unsigned long long at = (unsigned long long)i, n = (unsigned long long)count, m = (unsigned long long)others;
  return Reach{(index_t)(at * m / n), (index_t)(((at + 1) * m + n - 1) / n)};
}

struct Box {
  Reach d, h, w;
};

__device__ inline index_t extent(Reach reach) { return reach.end - reach.begin; }

__device__ inline index_t volume(const Box &box) { return extent(box.d) * extent(box.h) * extent(box.w); }

// The window of a plane's output.
__device__ inline Box window_of(const Adaptive &dims, index_t output) {
  const AdaptiveAxis &depth = dims.axis[0], &height = dims.axis[1], &width = dims.axis[2];
  return Box{under(output / width.output / height.output, depth.output, depth.input),
             under(output / width.output % height.output, height.output, height.input),
             under(output % width.output, width.output, width.input)};
}

// The outputs whose windows hold an element of a plane.
__device__ inline Box holders_of(const Adaptive &dims, index_t input) {
  const AdaptiveAxis &depth = dims.axis[0], &height = dims.axis[1], &width = dims.axis[2];
  return Box{under(input / width.input / height.input, depth.input, depth.output),
             under(input / width.input % height.input, height.input, height.output),
             under(input % width.input, width.input, width.output)};
}

__device__ inline index_t input_plane(const Adaptive &dims) {
  return dims.axis[0].input * dims.axis[1].input * dims.axis[2].input;
}

__device__ inline index_t output_plane(const Adaptive &dims) {
  return dims.axis[0].output * dims.axis[1].output * dims.axis[2].output;
}

// The `n` means: each window is added in order.
KERNEL void adaptive_avg_pool(const scalar_t *x, scalar_t *y, Adaptive dims, index_t n) {
  index_t in = input_plane(dims), out = output_plane(dims);
  index_t height = dims.axis[1].input, width = dims.axis[2].input;
  EACH(i, n) {
    Box box = window_of(dims, i % out);
    real_t sum = 0;
    for (index_t a = box.d.begin; a < box.d.end; ++a) {
      for (index_t b = box.h.begin; b < box.h.end; ++b) {
        index_t row = i / out * in + (a * height + b) * width;
        for (index_t c = box.w.begin; c < box.w.end; ++c) sum += load(x, row + c);
      }
    }
    store(y, i, sum / (real_t)volume(box));
  }
}

// The same of large windows: a block each.
KERNEL void adaptive_avg_pool_large(const scalar_t *x, scalar_t *y, Adaptive dims, index_t n) {
  index_t in = input_plane(dims), out = output_plane(dims);
  index_t height = dims.axis[1].input, width = dims.axis[2].input;
  EACH_BLOCK(i, n) {
    Box box = window_of(dims, i % out);
    index_t rows = extent(box.h), columns = extent(box.w), first = i / out * in;
    real_t sum = lane_sum<real_t>(volume(box), [&](index_t k) {
      index_t row = (box.d.begin + k / columns / rows) * height + box.h.begin + k / columns % rows;
      return load(x, first + row * width + box.w.begin + k % columns);
    });
    if (threadIdx.x == 0) store(y, i, sum / (real_t)volume(box));
  }
}

// dx, of `n` elements: each adds up its shares of the windows that hold it, in order.
KERNEL void adaptive_avg_pool_grad(const scalar_t *dy, scalar_t *dx, Adaptive dims, index_t n) {
  index_t in = input_plane(dims), out = output_plane(dims);
  index_t height = dims.axis[1].output, width = dims.axis[2].output;
  EACH(i, n) {
    Box box = holders_of(dims, i % in);
    real_t sum = 0;
    for (index_t a = box.d.begin; a < box.d.end; ++a) {
      index_t slices = extent(under(a, dims.axis[0].output, dims.axis[0].input));
      for (index_t b = box.h.begin; b < box.h.end; ++b) {
        index_t rows = extent(under(b, height, dims.axis[1].input));
        index_t from = i / in * out + (a * height + b) * width;
        for (index_t c = box.w.begin; c < box.w.end; ++c) {
          index_t columns = extent(under(c, width, dims.axis[2].input));
          sum += load(dy, from + c) / (real_t)(slices * rows * columns);
        }
      }
    }
    store(dx, i, sum);
  }
}

__device__ inline Positions positions_of(Reach reach) { return Positions{reach.begin, extent(reach), 1}; }

// The `n` maxima, and their places where `places` is given.
KERNEL void adaptive_max_pool(const scalar_t *x, scalar_t *y, unsigned int *places, Adaptive dims, index_t n) {
  index_t in = input_plane(dims), out = output_plane(dims);
  EACH(i, n) {
    Box box = window_of(dims, i % out);
    Positions d = positions_of(box.d), h = positions_of(box.h), w = positions_of(box.w);
    Maximum max = maximum_of(x + i / out * in, d, h, w, dims.axis[1].input, dims.axis[2].input);
    store(y, i, max.value);
    if (places) places[i] = max.place;
  }
}

// dx, of `n` elements: each adds up the gradients of the windows whose maximum it is, in order.
KERNEL void adaptive_max_pool_grad(const unsigned int *places, const scalar_t *dy, scalar_t *dx, Adaptive dims,
                                   index_t n) {
  index_t in = input_plane(dims), out = output_plane(dims);
  index_t height = dims.axis[1].output, width = dims.axis[2].output;
  EACH(i, n) {
    index_t plane = i / in * out;
    Box box = holders_of(dims, i % in);
    store(dx, i, sum_of_maximum(places + plane, dy + plane, i % in, box.d, box.h, box.w, height, width));
  }
}
