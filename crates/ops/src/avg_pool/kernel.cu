// Average pooling and its transpose.

// What sums are divided by: a number, the positions within the padded input or those within the input.
enum { FIXED = 0, PADDED = 1, VALID = 2 };

__device__ inline double counted(const WindowAxis &axis, index_t output, index_t kind) {
  index_t padded = axis.input + 2 * axis.padding - output * axis.stride;
  if (kind == VALID) return (double)span_of(axis, output).count;
  return (double)(padded < axis.kernel ? padded : axis.kernel);
}

// The divisor of the window of a plane's output at [z, y, x]. In float64, where the count of no window overflows.
__device__ inline real_t divisor_of(const Windows &windows, index_t z, index_t y, index_t x, index_t kind,
                                    real_t fixed) {
  if (kind == FIXED) return fixed;
  double across = counted(windows.axis[0], z, kind) * counted(windows.axis[1], y, kind);
  return (real_t)(across * counted(windows.axis[2], x, kind));
}

// The `n` means: each window is added in order.
KERNEL void avg_pool(const scalar_t *x, scalar_t *y, Windows windows, index_t kind, real_t fixed, index_t n) {
  const WindowAxis &depth = windows.axis[0], &height = windows.axis[1], &width = windows.axis[2];
  index_t in = plane_in(windows), out = plane_out(windows);
  EACH(i, n) {
    index_t output = i % out, first = i / out * in;
    index_t x_at = output % width.output, y_at = output / width.output % height.output;
    index_t z_at = output / width.output / height.output;
    Span w = span_of(width, x_at), h = span_of(height, y_at), d = span_of(depth, z_at);
    real_t sum = 0;
    for (index_t z = d.first; z < d.first + d.count; ++z) {
      for (index_t row = h.first; row < h.first + h.count; ++row) {
        index_t from = first + (z * height.input + row) * width.input + w.first;
        for (index_t k = 0; k < w.count; ++k) sum += load(x, from + k);
      }
    }
    store(y, i, sum / divisor_of(windows, z_at, y_at, x_at, kind, fixed));
  }
}

// The same of large windows: a block each.
KERNEL void avg_pool_large(const scalar_t *x, scalar_t *y, Windows windows, index_t kind, real_t fixed, index_t n) {
  const WindowAxis &depth = windows.axis[0], &height = windows.axis[1], &width = windows.axis[2];
  index_t in = plane_in(windows), out = plane_out(windows);
  EACH_BLOCK(i, n) {
    index_t output = i % out, first = i / out * in;
    index_t x_at = output % width.output, y_at = output / width.output % height.output;
    index_t z_at = output / width.output / height.output;
    Span w = span_of(width, x_at), h = span_of(height, y_at), d = span_of(depth, z_at);
    real_t sum = lane_sum<real_t>(d.count * h.count * w.count, [&](index_t k) {
      index_t row = (d.first + k / w.count / h.count) * height.input + h.first + k / w.count % h.count;
      return load(x, first + row * width.input + w.first + k % w.count);
    });
    if (threadIdx.x == 0) store(y, i, sum / divisor_of(windows, z_at, y_at, x_at, kind, fixed));
  }
}

// dx, of `n` elements: each adds up its shares of the windows that hold it, of a row's windows the last first.
KERNEL void avg_pool_grad(const scalar_t *dy, scalar_t *dx, Windows windows, index_t kind, real_t fixed, index_t n) {
  const WindowAxis &depth = windows.axis[0], &height = windows.axis[1], &width = windows.axis[2];
  index_t in = plane_in(windows), out = plane_out(windows);
  EACH(i, n) {
    index_t input = i % in, first = i / in * out;
    Reach w = reach_of(width, input % width.input);
    Reach h = reach_of(height, input / width.input % height.input);
    Reach d = reach_of(depth, input / width.input / height.input);
    real_t sum = 0;
    for (index_t a = d.begin; a < d.end; ++a) {
      for (index_t b = h.begin; b < h.end; ++b) {
        index_t row = first + (a * height.output + b) * width.output;
        for (index_t c = w.end; c-- > w.begin;) {
          sum += load(dy, row + c) / divisor_of(windows, a, b, c, kind, fixed);
        }
      }
    }
    store(dx, i, sum);
  }
}
