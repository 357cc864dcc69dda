/* matmul: products compiled by tdlc and OpenBLAS's, in % of the multiply-adds that one core does in the same run.
 *
 *     env -u OPENBLAS_CORETYPE -u OPENBLAS_L2_SIZE OPENBLAS_NUM_THREADS=1 matmul [MxNxK...]
 *
 * Each figure is the least time of runs that alternate, by the thread's processor time. Results are compared first. */
#include "matmul.h"
#include "peak.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void cblas_sgemm(int, int, int, int, int, int, float, const float *, int, const float *, int, float, float *, int);
void cblas_dgemm(int, int, int, int, int, int, double, const double *, int, const double *, int, double, double *, int);

typedef int (*Product)(int64_t, int64_t, int64_t, const void *, const void *, void *, void *, size_t);
static const Product PRODUCTS[2][3] = {{(Product)nn_f32, (Product)tn_f32, (Product)nt_f32}, {(Product)nn_f64, (Product)tn_f64, (Product)nt_f64}};
static const char *const KIND[3] = {"a b", "a'b", "ab'"};

enum { ROW_MAJOR = 101, PLAIN = 111, TRANSPOSED = 112 };

static void blas(int f64, int kind, int m, int n, int k, const void *a, const void *b, void *c) {
    int ta = kind == 1 ? TRANSPOSED : PLAIN, tb = kind == 2 ? TRANSPOSED : PLAIN, la = kind == 1 ? m : k, lb = kind == 2 ? k : n;
    if (f64) cblas_dgemm(ROW_MAJOR, ta, tb, m, n, k, 1, a, la, b, lb, 0, c, n);
    else cblas_sgemm(ROW_MAJOR, ta, tb, m, n, k, 1, a, la, b, lb, 0, c, n);
}

static void *room(size_t bytes) {
    char *p = aligned_alloc(64, (bytes + 4159) / 64 * 64);
    memset(p, 0, bytes);
    return p;
}

static double at(int f64, const void *p, long i) { return f64 ? ((const double *)p)[i] : (double)((const float *)p)[i]; }

static void measure(int f64, int kind, int m, int n, int k, double peak) {
    size_t size = f64 ? 8 : 4, bytes = 1 << 20 | 4 * size * (size_t)m * (size_t)n;
    void *a = room(size * (size_t)m * (size_t)k), *b = room(size * (size_t)n * (size_t)k), *c = room(size * (size_t)m * (size_t)n);
    void *d = room(size * (size_t)m * (size_t)n), *ws = room(bytes);
    for (long i = 0; i < (long)m * k; i++) f64 ? (((double *)a)[i] = rand() % 17 - 8) : (((float *)a)[i] = (float)(rand() % 17 - 8));
    for (long i = 0; i < (long)n * k; i++) f64 ? (((double *)b)[i] = rand() % 17 - 8) : (((float *)b)[i] = (float)(rand() % 17 - 8));
    double flops = 2.0 * m * n * k, best[2] = {INFINITY, INFINITY};
    int runs = (int)fmax(1, 4e6 / flops), repeats = (int)fmin(200, fmax(5, 2e10 / flops / runs / 40));
    for (int r = 0; r < repeats; r++)
        for (int who = 0; who < 2; who++) {
            double start = seconds();
            for (int i = 0; i < runs; i++) {
                if (who == 1) blas(f64, kind, m, n, k, a, b, d);
                else if (PRODUCTS[f64][kind](m, n, k, a, b, c, ws, bytes)) puts(tdl_last_error()), exit(1);
            }
            double t = (seconds() - start) / runs;
            best[who] = t < best[who] ? t : best[who];
        }
    int bad = 0;
    for (long i = 0; i < (long)m * n; i++) bad |= !(at(f64, c, i) == at(f64, d, i)); /* integers: exact */
    printf("  %s %s %6.1f %%   OpenBLAS %6.1f %%   %9.2f us%s\n", f64 ? "f64" : "f32", KIND[kind], 100 * flops / best[0] / peak,
           100 * flops / best[1] / peak, 1e6 * best[0], bad ? "   WRONG" : "");
    free(a), free(b), free(c), free(d), free(ws);
}

int main(int argc, char **argv) {
    static char *const usual[] = {"", "64x64x64", "256x256x256", "512x512x512", "1024x1024x1024", "64x768x768", "8x64x64", "1x1024x1024", "1024x1x1024"};
    int sizes[3];
    if (argc < 2) argc = 9, argv = (char **)usual;
    double peak[2] = {peak_f32(), peak_f64()};
    printf("peak: %.1f GFLOP/s f32, %.1f f64\n", 1e-9 * peak[0], 1e-9 * peak[1]);
    for (int i = 1; i < argc; i++) {
        if (sscanf(argv[i], "%dx%dx%d", &sizes[0], &sizes[1], &sizes[2]) != 3) return 2;
        printf("%s\n", argv[i]);
        for (int f64 = 0; f64 < 2; f64++)
            for (int kind = 0; kind < 3; kind++) measure(f64, kind, sizes[0], sizes[1], sizes[2], peak[f64]);
    }
}
