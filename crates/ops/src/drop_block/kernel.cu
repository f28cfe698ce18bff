// DropBlock: where blocks start, which elements none covers, and what is left of x.

// Whether a block starts at each of `n` places of all planes.
KERNEL void drop_block_starts(unsigned char *starts, index_t n, unsigned long long first, unsigned long long seed,
                              unsigned long long step_and_layer, unsigned long long threshold) {
  EACH(i, n) {
    unsigned long long index = first + (unsigned long long)i;
    starts[i] = draw(seed, index, step_and_layer) < threshold ? 1 : 0;
  }
}

struct Blocks {
  index_t height, width, size, down, across;
};

// Whether no block of its plane covers an element.
__device__ inline bool is_kept(const unsigned char *starts, const Blocks &blocks, index_t i) {
  index_t x = i % blocks.width, y = i / blocks.width % blocks.height, plane = i / blocks.width / blocks.height;
  index_t top = y < blocks.size ? 0 : y - blocks.size + 1, left = x < blocks.size ? 0 : x - blocks.size + 1;
  index_t bottom = y < blocks.down ? y : blocks.down - 1, right = x < blocks.across ? x : blocks.across - 1;
  for (index_t row = top; row <= bottom; ++row) {
    index_t from = (plane * blocks.down + row) * blocks.across;
    for (index_t column = left; column <= right; ++column) {
      if (starts[from + column]) return false;
    }
  }
  return true;
}

// Which of the `n` elements are kept, and how many of each run.
KERNEL void drop_block_mask(const unsigned char *starts, unsigned char *kept, double *counts, Blocks blocks, index_t n) {
  EACH_BLOCK(run, (n + RUN - 1) / RUN) {
    index_t first = run * RUN, end = n - first < RUN ? n : first + RUN;
    double count = lane_sum<double>(end - first, [&](index_t i) {
      bool keep = is_kept(starts, blocks, first + i);
      kept[first + i] = keep ? 1 : 0;
      return keep ? 1. : 0.;
    });
    if (threadIdx.x == 0) counts[run] = count;
  }
}

// The number of elements, `n`, over the number that is kept, of so many runs; where nothing is, nothing is scaled.
KERNEL void drop_block_scale(const double *counts, double *scale, index_t runs, index_t n) {
  double count = lane_sum<double>(runs, [&](index_t i) { return counts[i]; });
  if (threadIdx.x == 0) scale[0] = (double)n / count;
}

// y, of `n` elements: x · scale where kept, else 0.
KERNEL void drop_block(const scalar_t *x, const unsigned char *kept, const double *scale, scalar_t *y, index_t n) {
  EACH(i, n) { store(y, i, kept[i] ? load(x, i) * (real_t)scale[0] : 0); }
}
