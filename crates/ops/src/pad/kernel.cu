// Padding and its transpose.

enum { CONSTANT = 0, REFLECT = 1, REPLICATE = 2, CIRCULAR = 3 };

struct PadAxis {
  index_t input, output, before;
};

struct Padding {
  PadAxis axis[3];
  index_t mode;
};

// The position of the input that one of the output comes from; -1 where that is the constant.
__device__ inline index_t source_of(const PadAxis &axis, index_t mode, index_t position) {
  index_t at = position - axis.before, last = axis.input - 1;
  if (at >= 0 && at <= last) return at;
  if (mode == CONSTANT) return -1;
  if (mode == REFLECT) return at < 0 ? -at : 2 * last - at;
  if (mode == REPLICATE) return at < 0 ? 0 : last;
  return at < 0 ? at + axis.input : at - axis.input;
}

// Where a position of the input is copied to: `before` and `after` in the margins, between them `itself`.
struct Copies {
  Reach before, after;
  index_t itself;
};

// The position alone, where it lies in a margin.
__device__ inline Reach within(index_t position, index_t begin, index_t end) {
  return position >= begin && position < end ? Reach{position, position + 1} : Reach{0, 0};
}

__device__ inline Copies copies_of(const PadAxis &axis, index_t mode, index_t i) {
  index_t last = axis.input - 1, right = axis.before + axis.input;
  Copies copies = {{0, 0}, {0, 0}, axis.before + i};
  if (mode == REFLECT) {
    // Those of the outermost elements would be themselves.
    copies.before = within(axis.before - i, 0, axis.before);
    copies.after = within(axis.before + 2 * last - i, right, axis.output);
  } else if (mode == REPLICATE) {
    if (i == 0) copies.before = Reach{0, axis.before};
    if (i == last) copies.after = Reach{right, axis.output};
  } else if (mode == CIRCULAR) {
    copies.before = within(axis.before + i - axis.input, 0, axis.before);
    copies.after = within(axis.before + i + axis.input, right, axis.output);
  }
  return copies;
}

__device__ inline index_t count_of(const Copies &copies) {
  return copies.before.end - copies.before.begin + 1 + copies.after.end - copies.after.begin;
}

// The copies in order.
__device__ inline index_t copy_of(const Copies &copies, index_t number) {
  index_t ahead = copies.before.end - copies.before.begin;
  if (number < ahead) return copies.before.begin + number;
  return number == ahead ? copies.itself : copies.after.begin + number - ahead - 1;
}

// y, of `n` elements: x with its margins, those that come from no element of it being `value`.
KERNEL void pad(const scalar_t *x, scalar_t *y, Padding padding, real_t value, index_t n) {
  const PadAxis &depth = padding.axis[0], &height = padding.axis[1], &width = padding.axis[2];
  index_t in = depth.input * height.input * width.input;
  EACH(i, n) {
    index_t row = i / width.output, slice = row / height.output, plane = slice / depth.output;
    index_t w = source_of(width, padding.mode, i % width.output);
    index_t h = source_of(height, padding.mode, row % height.output);
    index_t d = source_of(depth, padding.mode, slice % depth.output);
    bool copied = w >= 0 && h >= 0 && d >= 0;
    store(y, i, copied ? load(x, plane * in + (d * height.input + h) * width.input + w) : value);
  }
}

// dx, of `n` elements: each adds up the gradients of its copies, a row after the other, of a row's copies itself first.
KERNEL void pad_grad(const scalar_t *dy, scalar_t *dx, Padding padding, index_t n) {
  const PadAxis &depth = padding.axis[0], &height = padding.axis[1], &width = padding.axis[2];
  EACH(i, n) {
    index_t row = i / width.input, slice = row / height.input, plane = slice / depth.input;
    Copies w = copies_of(width, padding.mode, i % width.input);
    Copies h = copies_of(height, padding.mode, row % height.input);
    Copies d = copies_of(depth, padding.mode, slice % depth.input);
    real_t sum = 0;
    for (index_t a = 0; a < count_of(d); ++a) {
      for (index_t b = 0; b < count_of(h); ++b) {
        index_t from = ((plane * depth.output + copy_of(d, a)) * height.output + copy_of(h, b)) * width.output;
        sum += load(dy, from + w.itself);
        for (index_t c = 0; c < count_of(w); ++c) {
          index_t copy = copy_of(w, c);
          if (copy != w.itself) sum += load(dy, from + copy);
        }
      }
    }
    store(dx, i, sum);
  }
}
