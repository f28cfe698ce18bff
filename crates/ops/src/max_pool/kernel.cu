// Maximum pooling, its gradient and the gradient's transpose. Within a window the first of equal elements is taken and the
// last NaN; the place of a maximum is its index within the plane.

struct Maximum {
  real_t value;
  unsigned int place;
};

__device__ inline Maximum maximum(const scalar_t *x, const Windows &windows, index_t output) {
  const WindowAxis &depth = windows.axis[0], &height = windows.axis[1], &width = windows.axis[2];
  Span w = span_of(width, output % width.output);
  Span h = span_of(height, output / width.output % height.output);
  Span d = span_of(depth, output / width.output / height.output);
  Maximum max;
  max.value = -infinity();
  max.place = (unsigned int)((d.first * height.input + h.first) * width.input + w.first);
  for (index_t i = 0; i < d.count; ++i) {
    for (index_t j = 0; j < h.count; ++j) {
      index_t row = (d.first + i * depth.dilation) * height.input + h.first + j * height.dilation;
      for (index_t k = 0; k < w.count; ++k) {
        index_t place = row * width.input + w.first + k * width.dilation;
        real_t value = load(x, place);
        if (value > max.value || is_nan(value)) {
          max.value = value;
          max.place = (unsigned int)place;
        }
      }
    }
  }
  return max;
}

// The `n` maxima, and their places where `places` is given.
KERNEL void max_pool(const scalar_t *x, scalar_t *y, unsigned int *places, Windows windows, index_t n) {
  index_t in = plane_in(windows), out = plane_out(windows);
  EACH(i, n) {
    Maximum max = maximum(x + i / out * in, windows, i % out);
    store(y, i, max.value);
    if (places) places[i] = max.place;
  }
}

// dx, of `n` elements: each adds up the gradients of the windows whose maximum it is, in order.
KERNEL void max_pool_grad(const unsigned int *places, const scalar_t *dy, scalar_t *dx, Windows windows, index_t n) {
  const WindowAxis &depth = windows.axis[0], &height = windows.axis[1], &width = windows.axis[2];
  index_t in = plane_in(windows), out = plane_out(windows);
  EACH(i, n) {
    index_t place = i % in, plane = i / in * out;
    Reach w = reach_of(width, place % width.input);
    Reach h = reach_of(height, place / width.input % height.input);
    Reach d = reach_of(depth, place / width.input / height.input);
    real_t sum = 0;
    for (index_t a = d.begin; a < d.end; ++a) {
      for (index_t b = h.begin; b < h.end; ++b) {
        index_t row = plane + (a * height.output + b) * width.output;
        for (index_t c = w.begin; c < w.end; ++c) {
          if (places[row + c] == (unsigned int)place) sum += load(dy, row + c);
        }
      }
    }
    store(dx, i, sum);
  }
}

// y, of `n` elements in planes of `out`: the elements of x, in planes of `in`, at the places.
KERNEL void max_pool_gather(const unsigned int *places, const scalar_t *x, scalar_t *y, index_t in, index_t out,
                            index_t n) {
  EACH(i, n) { store(y, i, load(x, i / out * in + (index_t)places[i])); }
}

// The places as indices of 64 bits.
KERNEL void max_pool_indices(const unsigned int *places, long long *indices, index_t n) {
  EACH(i, n) { indices[i] = (long long)places[i]; }
}
