// Convolution and its gradients for any geometry: what cuDNN does not take.

struct Conv {
  index_t groups, in_channels, out_channels;  // the channels of a group
  Windows windows;
};

// y, of `n` elements: b + x ⋆ w.
KERNEL void conv(const scalar_t *x, const scalar_t *w, const scalar_t *b, scalar_t *y, Conv conv, index_t n) {
  const WindowAxis &depth = conv.windows.axis[0], &height = conv.windows.axis[1], &width = conv.windows.axis[2];
  index_t in = plane_in(conv.windows), out = plane_out(conv.windows);
  index_t taps = depth.kernel * height.kernel * width.kernel, channels = conv.groups * conv.out_channels;
  EACH(i, n) {
    index_t output = i % out, channel = i / out % channels, sample = i / out / channels;
    Span columns = span_of(width, output % width.output);
    Span rows = span_of(height, output / width.output % height.output);
    Span slices = span_of(depth, output / width.output / height.output);
    index_t first = (sample * conv.groups + channel / conv.out_channels) * conv.in_channels;
    real_t sum = b ? load(b, channel) : 0;
    for (index_t inner = 0; inner < conv.in_channels; ++inner) {
      for (index_t k = 0; k < slices.count; ++k) {
        for (index_t l = 0; l < rows.count; ++l) {
          index_t row = (slices.first + k * depth.dilation) * height.input + rows.first + l * height.dilation;
          index_t from = (first + inner) * in + row * width.input + columns.first;
          index_t tap = (channel * conv.in_channels + inner) * taps;
          tap += ((slices.tap + k) * height.kernel + rows.tap + l) * width.kernel + columns.tap;
          for (index_t m = 0; m < columns.count; ++m) {
            sum += load(x, from + m * width.dilation) * load(w, tap + m);
          }
        }
      }
    }
    store(y, i, sum);
  }
}

// dx, of `n` elements: b + the transpose of ⋆ w, of dy.
KERNEL void conv_input_grad(const scalar_t *dy, const scalar_t *w, const scalar_t *b, scalar_t *dx, Conv conv,
                            index_t n) {
  const WindowAxis &depth = conv.windows.axis[0], &height = conv.windows.axis[1], &width = conv.windows.axis[2];
  index_t in = plane_in(conv.windows), out = plane_out(conv.windows);
  index_t taps = depth.kernel * height.kernel * width.kernel, channels = conv.groups * conv.in_channels;
  EACH(i, n) {
    index_t input = i % in, channel = i / in % channels, sample = i / in / channels;
    index_t x_at = input % width.input, y_at = input / width.input % height.input;
    index_t z_at = input / width.input / height.input;
    Reach xs = reach_of(width, x_at), ys = reach_of(height, y_at), zs = reach_of(depth, z_at);
    index_t group = channel / conv.in_channels;
    real_t sum = b ? load(b, channel) : 0;
    for (index_t outer = group * conv.out_channels; outer < (group + 1) * conv.out_channels; ++outer) {
      index_t from = (sample * conv.groups * conv.out_channels + outer) * out;
      index_t weight = (outer * conv.in_channels + channel % conv.in_channels) * taps;
      for (index_t z = zs.begin; z < zs.end; ++z) {
        index_t k = tap_of(depth, z_at, z);
        for (index_t y = ys.begin; k >= 0 && y < ys.end; ++y) {
          index_t l = tap_of(height, y_at, y);
          for (index_t x = xs.begin; l >= 0 && x < xs.end; ++x) {
            index_t m = tap_of(width, x_at, x);
            if (m < 0) continue;
            index_t output = (z * height.output + y) * width.output + x;
            sum += load(dy, from + output) * load(w, weight + (k * height.kernel + l) * width.kernel + m);
          }
        }
      }
    }
    store(dx, i, sum);
  }
}

// dw, of `n` elements, from x and dy of `samples` samples: a block an element.
KERNEL void conv_weight_grad(const scalar_t *x, const scalar_t *dy, scalar_t *dw, Conv conv, index_t samples,
                             index_t n) {
  const WindowAxis &depth = conv.windows.axis[0], &height = conv.windows.axis[1], &width = conv.windows.axis[2];
  index_t in = plane_in(conv.windows), out = plane_out(conv.windows);
  index_t taps = depth.kernel * height.kernel * width.kernel;
  EACH_BLOCK(i, n) {
    index_t tap = i % taps, inner = i / taps % conv.in_channels, outer = i / taps / conv.in_channels;
    index_t k = tap / width.kernel / height.kernel, l = tap / width.kernel % height.kernel, m = tap % width.kernel;
    index_t group = outer / conv.out_channels;
    real_t sum = 0;
    for (index_t sample = 0; sample < samples; ++sample) {
      index_t from_y = (sample * conv.groups * conv.out_channels + outer) * out;
      index_t from_x = ((sample * conv.groups + group) * conv.in_channels + inner) * in;
      for (index_t output = (index_t)threadIdx.x; output < out; output += (index_t)blockDim.x) {
        index_t z = position_of(depth, output / width.output / height.output, k);
        index_t y = position_of(height, output / width.output % height.output, l);
        index_t c = position_of(width, output % width.output, m);
        if (z < 0 || y < 0 || c < 0) continue;
        sum += load(dy, from_y + output) * load(x, from_x + (z * height.input + y) * width.input + c);
      }
    }
    sum = block_sum(sum);
    if (threadIdx.x == 0) store(dw, i, sum);
  }
}

// db, of `channels` elements: the sums of dy, [samples, channels, plane], over samples and positions; a block a channel.
KERNEL void conv_bias_grad(const scalar_t *dy, scalar_t *db, index_t samples, index_t channels, index_t plane) {
  EACH_BLOCK(channel, channels) {
    real_t sum = 0;
    for (index_t sample = 0; sample < samples; ++sample) {
      index_t from = (sample * channels + channel) * plane;
      for (index_t at = (index_t)threadIdx.x; at < plane; at += (index_t)blockDim.x) sum += load(dy, from + at);
    }
    sum = block_sum(sum);
    if (threadIdx.x == 0) store(db, channel, sum);
  }
}

// Adds to y, of `n` elements in planes, the bias of each plane's channel.
KERNEL void conv_add_bias(const scalar_t *b, scalar_t *y, index_t channels, index_t plane, index_t n) {
  EACH(i, n) { store(y, i, load(y, i) + load(b, i / plane % channels)); }
}
