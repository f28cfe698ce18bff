// Unfolding an image into the columns of its windows, and the transpose, folding.

// The columns, of `n` elements: for each plane of the image and each tap a plane of windows; 0 in the padding.
KERNEL void unfold(const scalar_t *image, scalar_t *columns, Windows windows, index_t n) {
  const WindowAxis &height = windows.axis[1], &width = windows.axis[2];
  index_t in = plane_in(windows), out = plane_out(windows), taps = height.kernel * width.kernel;
  EACH(i, n) {
    index_t window = i % out, tap = i / out % taps, plane = i / out / taps;
    index_t row = position_of(height, window / width.output, tap / width.kernel);
    index_t column = position_of(width, window % width.output, tap % width.kernel);
    bool inside = row >= 0 && column >= 0;
    store(columns, i, inside ? load(image, plane * in + row * width.input + column) : (real_t)0);
  }
}

// The image, of `n` elements: each adds up what stands for it, in the order of the taps.
KERNEL void fold(const scalar_t *columns, scalar_t *image, Windows windows, index_t n) {
  const WindowAxis &height = windows.axis[1], &width = windows.axis[2];
  index_t in = plane_in(windows), out = plane_out(windows), taps = height.kernel * width.kernel;
  EACH(i, n) {
    index_t x_at = i % width.input, y_at = i / width.input % height.input, first = i / in * taps;
    Reach rows = reach_of(height, y_at), across = reach_of(width, x_at);
    real_t sum = 0;
    // A later window has the position under an earlier tap.
    for (index_t a = rows.end; a-- > rows.begin;) {
      index_t k = tap_of(height, y_at, a);
      for (index_t b = across.end; k >= 0 && b-- > across.begin;) {
        index_t l = tap_of(width, x_at, b);
        if (l < 0) continue;
        sum += load(columns, (first + k * width.kernel + l) * out + a * width.output + b);
      }
    }
    store(image, i, sum);
  }
}
