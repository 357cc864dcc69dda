/* A matrix product in f64 from register tiles (gemm.h). Bound: its multiply-adds. */
#include "matmul.h"
#include "vector.h"
#define REAL double
#define VEC V
#define WIDTH LANES
#define LOAD load
#define STORE store
#define GEMM(part) gemm64##part
#include "gemm.h"

size_t product64_workspace_size(int64_t m, int64_t n, int64_t k) {
    (void)m, (void)k;
    return 64 + gemm64_spare(n) * sizeof(double);
}

int product64(int64_t m, int64_t n, int64_t k, const double *a, const double *b, double *out, void *workspace, size_t bytes) {
    (void)bytes;
    gemm64(m, n, k, a, k, 1, b, n, 1, NULL, out, n, aligned(workspace));
    return 0;
}
