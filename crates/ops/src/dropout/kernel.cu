// Dropout of elements, of channels and of samples: the mask is drawn, never stored.

// y, of `n` elements: x·scale + shift where the word that decides over its run of neighbours is at least `threshold`.
KERNEL void dropout(const scalar_t *x, scalar_t *y, index_t n, index_t run, unsigned long long first,
                    unsigned long long seed, unsigned long long step_and_layer, unsigned long long threshold,
                    real_t scale, real_t shift, real_t dropped) {
  EACH(i, n) {
    unsigned long long index = first + (unsigned long long)(i / run);
    bool keep = draw(seed, index, step_and_layer) >= threshold;
    store(y, i, keep ? load(x, i) * scale + shift : dropped);
  }
}
