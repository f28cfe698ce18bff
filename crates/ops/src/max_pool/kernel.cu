// Maximum pooling, its gradient and the gradient's transpose.

__device__ inline Positions positions_of(const WindowAxis &axis, index_t output) {
  Span span = span_of(axis, output);
  return Positions{span.first, span.count, axis.dilation};
}

// The `n` maxima, and their places where `places` is given.
KERNEL void max_pool(const scalar_t *x, scalar_t *y, unsigned int *places, Windows windows, index_t n) {
  const WindowAxis &depth = windows.axis[0], &height = windows.axis[1], &width = windows.axis[2];
  index_t in = plane_in(windows), out = plane_out(windows);
  EACH(i, n) {
    index_t output = i % out;
    Positions w = positions_of(width, output % width.output);
    Positions h = positions_of(height, output / width.output % height.output);
    Positions d = positions_of(depth, output / width.output / height.output);
    Maximum max = maximum_of(x + i / out * in, d, h, w, height.input, width.input);
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
    store(dx, i, sum_of_maximum(places + plane, dy + plane, place, d, h, w, height.output, width.output));
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
