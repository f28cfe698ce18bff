// Philox4x32-10, as `random.rs` has it.

// The word of an element's index. `step_and_layer` has the step in its lower half.
__device__ inline unsigned int draw(unsigned long long key, unsigned long long index,
                                    unsigned long long step_and_layer) {
  unsigned int k0 = (unsigned int)key, k1 = (unsigned int)(key >> 32);
  unsigned int c0 = (unsigned int)(index >> 2), c1 = (unsigned int)(index >> 34);
  unsigned int c2 = (unsigned int)step_and_layer, c3 = (unsigned int)(step_and_layer >> 32);
  for (int round = 0; round < 10; ++round) {
    unsigned long long p0 = 0xd2511f53ull * c0, p1 = 0xcd9e8d57ull * c2;
    unsigned int left = (unsigned int)(p1 >> 32) ^ c1 ^ k0, right = (unsigned int)(p0 >> 32) ^ c3 ^ k1;
    c0 = left;
    c1 = (unsigned int)p1;
    c2 = right;
    c3 = (unsigned int)p0;
    k0 += 0x9e3779b9u;
    k1 += 0xbb67ae85u;
  }
  unsigned int word = (unsigned int)index & 3u;
  return word == 0 ? c0 : word == 1 ? c1 : word == 2 ? c2 : c3;
}
