// The products of the affine map, and the sums of its bias's gradient.

// c, [m, n] = a, [m, k] · b, [k, n], which lie in memory by the steps from a row and from a column to the next.
struct Product {
  index_t m, n, k, a_row, a_column, b_row, b_column;
};

// A block computes tiles of SIDE × SIDE elements, of which one of LANES lanes has every sixteenth of every sixteenth row; of
// the sums it holds DEPTH terms' factors at a time.
const unsigned int SIDE = 64, DEPTH = 16, OWN = 4, LANES = 256;

// Copies the part of a matrix of `rows` × `columns` from (row, column) on, as part[column][row], with zeros beyond.
__device__ inline void load_part(const scalar_t *x, real_t (*part)[SIDE], index_t row, index_t column, index_t rows,
                                 index_t columns, index_t row_step, index_t column_step) {
  for (unsigned int i = threadIdx.x; i < SIDE * DEPTH; i += blockDim.x) {
    // Neighbouring threads read along memory.
    unsigned int r = column_step == 1 ? i / DEPTH : i % SIDE, c = column_step == 1 ? i % DEPTH : i / SIDE;
    index_t at_row = row + (index_t)r, at_column = column + (index_t)c;
    bool inside = at_row < rows && at_column < columns;
    part[c][r] = inside ? load(x, at_row * row_step + at_column * column_step) : 0;
  }
}

// c + the bias of its column, where there is one. Sums run in order. The lanes are as many as a block of LANES threads has;
// a smaller one takes them in turns.
KERNEL void linear(const scalar_t *a, const scalar_t *b, const scalar_t *bias, scalar_t *c, Product p, index_t tiles) {
  __shared__ real_t a_part[DEPTH][SIDE], b_part[DEPTH][SIDE];
  index_t across = (p.n + (index_t)SIDE - 1) / (index_t)SIDE;
  EACH_BLOCK(tile, tiles) {
    index_t top = tile / across * (index_t)SIDE, left = tile % across * (index_t)SIDE;
    for (unsigned int turn = 0; turn < LANES; turn += blockDim.x) {
      unsigned int lane = turn + threadIdx.x, r = lane / DEPTH, s = lane % DEPTH;
      real_t sums[OWN][OWN] = {};
      for (index_t k = 0; k < p.k; k += (index_t)DEPTH) {
        __syncthreads();
        load_part(a, a_part, top, k, p.m, p.k, p.a_row, p.a_column);
        load_part(b, b_part, left, k, p.n, p.k, p.b_column, p.b_row);
        __syncthreads();
        if (lane >= LANES) continue;
        for (unsigned int term = 0; term < DEPTH; ++term) {
          real_t from_a[OWN], from_b[OWN];
          for (unsigned int i = 0; i < OWN; ++i) from_a[i] = a_part[term][r + i * DEPTH];
          for (unsigned int j = 0; j < OWN; ++j) from_b[j] = b_part[term][s + j * DEPTH];
          for (unsigned int i = 0; i < OWN; ++i) {
            for (unsigned int j = 0; j < OWN; ++j) sums[i][j] += from_a[i] * from_b[j];
          }
        }
      }
      for (unsigned int i = 0; i < OWN && lane < LANES; ++i) {
        index_t row = top + (index_t)(r + i * DEPTH);
        for (unsigned int j = 0; j < OWN; ++j) {
          index_t column = left + (index_t)(s + j * DEPTH);
          if (row >= p.m || column >= p.n) continue;
          store(c, row * p.n + column, bias ? sums[i][j] + load(bias, column) : sums[i][j]);
        }
      }
    }
  }
}

// Adds the bias of its column to each of the `n` elements of y.
KERNEL void linear_add_bias(const scalar_t *bias, scalar_t *y, index_t columns, index_t n) {
  EACH(i, n) { store(y, i, load(y, i) + load(bias, i % columns)); }
}

// The sums of the columns of dy, [rows, columns], over slices of so many rows.
KERNEL void linear_slice_sums(const scalar_t *dy, real_t *sums, index_t rows, index_t columns, index_t slice,
                              index_t n) {
  EACH(i, n) {
    index_t first = i / columns * slice, end = rows - first < slice ? rows : first + slice;
    real_t sum = 0;
    for (index_t row = first; row < end; ++row) sum += load(dy, row * columns + i % columns);
    sums[i] = sum;
  }
}

// db, of `columns` elements: the sums of the slices, in order.
KERNEL void linear_bias_grad(const real_t *sums, scalar_t *db, index_t slices, index_t columns) {
  EACH(column, columns) {
    real_t sum = 0;
    for (index_t slice = 0; slice < slices; ++slice) sum += sums[slice * columns + column];
    store(db, column, sum);
  }
}
