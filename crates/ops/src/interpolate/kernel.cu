// Resampling and its transpose.

struct Extents {
  index_t axis[3];
};

// For each axis, of which positions each of its positions is the weighted sum: a list a position. `at` and `weights` hold all
// lists, `starts` where each begins, of one axis after the other, each with an end.
struct Lists {
  const long long *starts, *at;
  const double *weights;
};

__device__ inline Lists lists_of(const long long *table, const double *weights, const Extents &to) {
  return Lists{table, table + to.axis[0] + to.axis[1] + to.axis[2] + 3, weights};
}

// The list of a position of an axis: what `at` and `weights` hold of it.
__device__ inline Reach list_of(const Lists &lists, const Extents &to, int axis, index_t position) {
  for (int before = 0; before < axis; ++before) position += to.axis[before] + 1;
  return Reach{(index_t)lists.starts[position], (index_t)lists.starts[position + 1]};
}

__device__ inline real_t weight_of(const Lists &lists, index_t entry) { return (real_t)lists.weights[entry]; }

// y, of `n` elements in planes of `to`, from planes of `from`: of each column the weighted sum over rows, then over columns. The
// first is set, not added to zero, so that a copy keeps its sign.
KERNEL void interpolate(const scalar_t *x, scalar_t *y, const long long *table, const double *weights, Extents from,
                        Extents to, index_t n) {
  Lists lists = lists_of(table, weights, to);
  EACH(i, n) {
    index_t row = i / to.axis[2], slice = row / to.axis[1], plane = slice / to.axis[0];
    Reach w = list_of(lists, to, 2, i % to.axis[2]);
    Reach h = list_of(lists, to, 1, row % to.axis[1]);
    Reach d = list_of(lists, to, 0, slice % to.axis[0]);
    real_t sum = 0;
    for (index_t c = w.begin; c < w.end; ++c) {
      real_t column = 0;
      for (index_t a = d.begin; a < d.end; ++a) {
        for (index_t b = h.begin; b < h.end; ++b) {
          index_t line = (plane * from.axis[0] + (index_t)lists.at[a]) * from.axis[1] + (index_t)lists.at[b];
          real_t value = load(x, line * from.axis[2] + (index_t)lists.at[c]);
          real_t term = weight_of(lists, a) * weight_of(lists, b) * value;
          column = a == d.begin && b == h.begin ? term : column + term;
        }
      }
      real_t term = weight_of(lists, c) * column;
      sum = c == w.begin ? term : sum + term;
    }
    store(y, i, sum);
  }
}

// The transpose: dx, of `n` elements in planes of `to`, from planes of `from`: of each row the weighted sum over columns, then
// over rows.
KERNEL void interpolate_grad(const scalar_t *dy, scalar_t *dx, const long long *table, const double *weights,
                             Extents from, Extents to, index_t n) {
  Lists lists = lists_of(table, weights, to);
  EACH(i, n) {
    index_t row = i / to.axis[2], slice = row / to.axis[1], plane = slice / to.axis[0];
    Reach w = list_of(lists, to, 2, i % to.axis[2]);
    Reach h = list_of(lists, to, 1, row % to.axis[1]);
    Reach d = list_of(lists, to, 0, slice % to.axis[0]);
    real_t sum = 0;
    for (index_t a = d.begin; a < d.end; ++a) {
      for (index_t b = h.begin; b < h.end; ++b) {
        index_t line = (plane * from.axis[0] + (index_t)lists.at[a]) * from.axis[1] + (index_t)lists.at[b];
        real_t part = 0;
        for (index_t c = w.begin; c < w.end; ++c) {
          part += weight_of(lists, c) * load(dy, line * from.axis[2] + (index_t)lists.at[c]);
        }
        sum += weight_of(lists, a) * weight_of(lists, b) * part;
      }
    }
    store(dx, i, sum);
  }
}
