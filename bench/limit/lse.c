/* Log-sum-exps of rows and their softmax: the largest, the exponentials (written where the gradient goes), the quotient.
 *
 * Bound: an exponential an element and three operations, or its reading and writing. */
#include "lse.h"
#include "vector.h"

size_t lse_grad_workspace_size(int64_t n, int64_t m) {
    (void)n, (void)m;
    return 0;
}

static double row(const double *restrict x, double *restrict d, int64_t m) {
    enum { AT_ONCE = 4 };
    V most[AT_ONCE], sum[AT_ONCE] = {{0}};
    int64_t j = 0, block = AT_ONCE * LANES;
    double top = x[0], rest = 0;
    for (int i = 0; i < AT_ONCE; i++) most[i] = (V){0} + x[0];
    for (; j + block <= m; j += block)
        for (int i = 0; i < AT_ONCE; i++) most[i] = larger(most[i], load(x + j + i * LANES));
    for (; j + LANES <= m; j += LANES) most[0] = larger(most[0], load(x + j));
    for (; j < m; j++) top = x[j] > top ? x[j] : top;
    top = fmax(top, largest(larger(larger(most[0], most[1]), larger(most[2], most[3]))));
    for (j = 0; j + block <= m; j += block)
        for (int i = 0; i < AT_ONCE; i++) {
            V e = exp_below(load(x + j + i * LANES) - top);
            store(d + j + i * LANES, e);
            sum[i] += e;
        }
    for (; j < m; j += LANES) {
        V e = {0};
        int64_t left = m - j < LANES ? m - j : LANES;
        for (int i = 0; i < LANES; i++) e[i] = i < left ? x[j + i] - top : -INFINITY;
        e = exp_below(e);
        if (left == LANES) store(d + j, e);
        else memcpy(d + j, &e, (size_t)left * sizeof(double));
        sum[0] += e;
    }
    rest = total((sum[0] + sum[1]) + (sum[2] + sum[3]));
    for (j = 0; j < m; j++) d[j] *= 1 / rest;
    return top + log(rest);
}

int lse_grad(int64_t n, int64_t m, const double *x, double *value, double *dx, void *workspace, size_t bytes) {
    (void)workspace, (void)bytes;
    *value = 0;
    for (int64_t i = 0; i < n; i++) *value += row(x + i * m, dx + i * m, m);
    return 0;
}
