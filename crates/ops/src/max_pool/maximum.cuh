// The maximum of a window and its gradient, whatever the windows. Within one the first of equal elements is taken and the last
// NaN; the place of a maximum is its index within the plane.

struct Maximum {
  real_t value;
  unsigned int place;
};

// What a window holds of an axis: `count` positions from `first` on, a step apart.
struct Positions {
  index_t first, count, step;
};

// The maximum of a plane's elements at the positions, in rows of `width` and slices of `height` rows.
__device__ inline Maximum maximum_of(const scalar_t *x, Positions d, Positions h, Positions w, index_t height,
                                     index_t width) {
  Maximum max;
  max.value = -infinity();
  max.place = (unsigned int)((d.first * height + h.first) * width + w.first);
  for (index_t i = 0; i < d.count; ++i) {
    for (index_t j = 0; j < h.count; ++j) {
      index_t row = (d.first + i * d.step) * height + h.first + j * h.step;
      for (index_t k = 0; k < w.count; ++k) {
        index_t place = row * width + w.first + k * w.step;
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

// The sum, in order, of a plane's gradients within the reach whose maximum lies at a place.
__device__ inline real_t sum_of_maximum(const unsigned int *places, const scalar_t *dy, index_t place, Reach d,
                                        Reach h, Reach w, index_t height, index_t width) {
  real_t sum = 0;
  for (index_t a = d.begin; a < d.end; ++a) {
    for (index_t b = h.begin; b < h.end; ++b) {
      index_t row = (a * height + b) * width;
      for (index_t c = w.begin; c < w.end; ++c) {
        if (places[row + c] == (unsigned int)place) sum += load(dy, row + c);
      }
    }
  }
  return sum;
}
