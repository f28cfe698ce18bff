// The windows of a pooling or a convolution: three axes, the last one along rows.

struct WindowAxis {
  index_t input, output, kernel, stride, padding, dilation;
};

struct Windows {
  WindowAxis axis[3];
};

// What one window holds of its axis: `count` input positions from `first` on, a dilation apart, the first under `tap`. One
// that lies in the padding has a count of 0 or less.
struct Span {
  index_t tap, first, count;
};

// The outputs `begin` to `end`, without it, whose windows reach over a position: with a dilation they may step over it.
struct Reach {
  index_t begin, end;
};

__device__ inline Span span_of(const WindowAxis &axis, index_t output) {
  index_t start = output * axis.stride - axis.padding;
  index_t end = (axis.input - start + axis.dilation - 1) / axis.dilation;
  Span span;
  span.tap = start < 0 ? (axis.dilation - 1 - start) / axis.dilation : 0;
  span.first = start + span.tap * axis.dilation;
  span.count = (end < axis.kernel ? end : axis.kernel) - span.tap;
  return span;
}

__device__ inline Reach reach_of(const WindowAxis &axis, index_t input) {
  index_t last = input + axis.padding;
  index_t first = last - (axis.kernel - 1) * axis.dilation;
  Reach reach;
  reach.begin = first > 0 ? (first + axis.stride - 1) / axis.stride : 0;
  reach.end = last / axis.stride + 1;
  reach.end = reach.end < axis.output ? reach.end : axis.output;
  return reach;
}

// The position under a tap of an output's window; negative where it lies in the padding.
__device__ inline index_t position_of(const WindowAxis &axis, index_t output, index_t tap) {
  index_t position = output * axis.stride - axis.padding + tap * axis.dilation;
  return position < axis.input ? position : -1;
}

// The tap under which an output's window holds a position; -1 where it steps over it.
__device__ inline index_t tap_of(const WindowAxis &axis, index_t input, index_t output) {
  index_t offset = input + axis.padding - output * axis.stride;
  return offset % axis.dilation == 0 ? offset / axis.dilation : -1;
}

__device__ inline index_t plane_in(const Windows &windows) {
  return windows.axis[0].input * windows.axis[1].input * windows.axis[2].input;
}

__device__ inline index_t plane_out(const Windows &windows) {
  return windows.axis[0].output * windows.axis[1].output * windows.axis[2].output;
}
