// Sums over a block, whose size is a multiple of 32.

// The sum of the threads' values, in every thread: over a tree in each warp, then over the warps in order.
__device__ inline real_t block_sum(real_t value) {
  __shared__ real_t sums[32];
  for (unsigned int lanes = 16; lanes > 0; lanes /= 2) value += __shfl_xor_sync(0xffffffffu, value, lanes);
  // Of a sum before this one, all have read.
  __syncthreads();
  if (threadIdx.x % 32 == 0) sums[threadIdx.x / 32] = value;
  __syncthreads();
  real_t sum = 0;
  for (unsigned int warp = 0; warp < blockDim.x / 32; ++warp) sum += sums[warp];
  return sum;
}

// Terms that one block adds up where many do: the same runs for any grid.
enum : index_t { RUN = 4096 };

// The sum of `term(i)` for every i below `n`, in every thread: each of 256 lanes adds every 256th term in order, a tree adds them.
// The bits do not depend on the block's size. `T` has 0 for a default and can be added to.
template <class T, class Term>
__device__ inline T lane_sum(index_t n, Term term) {
  const unsigned int lanes = 256;
  __shared__ T sums[lanes];
  // Of a sum before this one, all have read.
  __syncthreads();
  for (unsigned int lane = threadIdx.x; lane < lanes; lane += blockDim.x) {
    T sum = T();
    for (index_t i = (index_t)lane; i < n; i += (index_t)lanes) sum += term(i);
    sums[lane] = sum;
  }
  for (unsigned int half = lanes / 2; half > 0; half /= 2) {
    __syncthreads();
    for (unsigned int lane = threadIdx.x; lane < half; lane += blockDim.x) sums[lane] += sums[lane + half];
  }
  __syncthreads();
  return sums[0];
}

// `for` every item below `n`, each in a group of so many neighbouring threads: 1, or the 32 of a warp.
#define EACH_GROUP(i, n, threads)                                                                                     \
  for (index_t i = ((index_t)blockIdx.x * (index_t)blockDim.x + (index_t)threadIdx.x) / (index_t)(threads); i < (n); \
       i += (index_t)gridDim.x * (index_t)blockDim.x / (index_t)(threads))

// The sum of the values of a group's threads, in each of them: of halves onto each other.
template <unsigned int threads>
__device__ inline double group_sum(double value) {
  for (unsigned int half = threads / 2; half > 0; half /= 2) value += __shfl_xor_sync(0xffffffffu, value, half);
  return value;
}

// The largest of them; NaN, which compares false, counts for nothing.
template <unsigned int threads>
__device__ inline real_t group_max(real_t value) {
  for (unsigned int half = threads / 2; half > 0; half /= 2) {
    real_t other = __shfl_xor_sync(0xffffffffu, value, half);
    value = other > value ? other : value;
  }
  return value;
}
