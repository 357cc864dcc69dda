/* A sparse row's product, its residual, and both derivatives while the row is in the cache.
 *
 * Bound: entries and columns are read once and the entries' gradient is written. Rows of unpredictable length cost as much
 * again: their ends are mispredicted. */
#include "spmv.h"
#include "vector.h"

size_t fit_grad_workspace_size(int64_t rows, int64_t nnz, int64_t n) {
    (void)rows, (void)nnz, (void)n;
    return 0;
}

int fit_grad(int64_t rows, int64_t nnz, int64_t n, const int64_t *restrict ptr, const int64_t *restrict col, const double *restrict v,
             const double *restrict x, const double *restrict b, double *value, double *restrict dv, double *restrict dx, void *workspace,
             size_t bytes) {
    (void)nnz, (void)workspace, (void)bytes;
    double loss = 0;
    memset(dx, 0, (size_t)n * sizeof(double));
    for (int64_t i = 0; i < rows; i++) {
        double even = 0, odd = 0;
        int64_t p = ptr[i], end = ptr[i + 1];
        for (; p + 1 < end; p += 2) even += v[p] * x[col[p]], odd += v[p + 1] * x[col[p + 1]];
        if (p < end) even += v[p] * x[col[p]];
        double r = even + odd - b[i];
        loss += 0.5 * r * r;
        for (p = ptr[i]; p < end; p++) {
            dv[p] = r * x[col[p]];
            dx[col[p]] += r * v[p];
        }
    }
    *value = loss;
    return 0;
}
