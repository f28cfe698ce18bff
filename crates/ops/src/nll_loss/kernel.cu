// The negative log-likelihood and its gradient.

// −weight · log p of the class of each of `n` positions: as y, or, where they are to be added up, as `losses`.
KERNEL void nll_loss(const scalar_t *log_p, const unsigned int *chosen, const double *weight, scalar_t *y, double *losses,
                     index_t classes, index_t inner, index_t n) {
  EACH(position, n) {
    double loss = 0;
    unsigned int c = chosen[position];
    if (c != IGNORED) {
      double x = (double)load(log_p, (position / inner * classes + (index_t)c) * inner + position % inner);
      loss = -times(x, weight ? weight[c] : 1.);
    }
    if (losses) {
      losses[position] = loss;
    } else {
      store(y, position, (real_t)loss);
    }
  }
}

// dlog_p, of `n` elements; dy has an element for each position or, with a step of 0, one for all.
KERNEL void nll_loss_grad(const scalar_t *dy, const unsigned int *chosen, const double *weight, scalar_t *dx,
                          index_t classes, index_t inner, index_t step, index_t n, double divisor) {
  EACH(i, n) {
    index_t position = i / inner / classes * inner + i % inner;
    unsigned int c = (unsigned int)(i / inner % classes);
    bool hit = chosen[position] == c;
    double dx_at = hit ? -((double)load(dy, position * step) / divisor) * (weight ? weight[c] : 1.) : 0.;
    store(dx, i, (real_t)dx_at);
  }
}
