// Class indices: whether they are classes, and what they weigh.

// The classes of `n` positions as numbers of 32 bits and, for each run of positions, their weight and, where an index is no
// class, how many positions there are from the first such on, else 0.
KERNEL void read_classes(const long long *indices, const double *weight, unsigned int *chosen, double *totals,
                         unsigned long long *faults, index_t classes, long long ignore, index_t n) {
  __shared__ unsigned long long fault;
  EACH_BLOCK(run, (n + RUN - 1) / RUN) {
    if (threadIdx.x == 0) fault = 0;
    __syncthreads();
    index_t first = run * RUN, end = n - first < RUN ? n : first + RUN;
    double sum = lane_sum<double>(end - first, [&](index_t i) {
      long long index = indices[first + i];
      bool ignored = index == ignore, exists = !ignored && index >= 0 && index < (long long)classes;
      chosen[first + i] = exists ? (unsigned int)index : IGNORED;
      if (!ignored && !exists) atomicMax(&fault, (unsigned long long)(n - first - i));
      return !exists ? 0. : weight ? weight[index] : 1.;
    });
    if (threadIdx.x == 0) {
      totals[run] = sum;
      faults[run] = fault;
    }
  }
}

// Of `runs` runs: the bits of the weight of all, the first position whose index is no class, or -1, and that index.
KERNEL void sum_up_classes(const long long *indices, const double *totals, const unsigned long long *faults,
                           long long *summary, index_t runs, index_t n) {
  __shared__ unsigned long long fault;
  if (threadIdx.x == 0) fault = 0;
  __syncthreads();
  double sum = lane_sum<double>(runs, [&](index_t i) {
    atomicMax(&fault, faults[i]);
    return totals[i];
  });
  if (threadIdx.x == 0) {
    long long position = fault ? (long long)n - (long long)fault : -1;
    summary[0] = __double_as_longlong(sum);
    summary[1] = position;
    summary[2] = fault ? indices[position] : 0;
  }
}

// y, of `n` elements: 1 at the class of each position, elsewhere 0.
KERNEL void one_hot(const unsigned int *chosen, scalar_t *y, index_t classes, index_t inner, index_t n) {
  EACH(i, n) {
    index_t position = i / inner / classes * inner + i % inner;
    store(y, i, chosen[position] == (unsigned int)(i / inner % classes) ? 1 : 0);
  }
}
