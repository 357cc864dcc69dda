/* Every number of iterations up to some groups of lanes: all memory ends at a page that cannot be touched, each result is the
 * plain loop's, and an index out of range in the last iteration alone is found. Prints the number of wrong results. */
#include "masked.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

enum { BYTES = 1 << 16, D = 3, M = 7, MOST = 150 };

static void *ending(size_t bytes) {
    char *p = mmap(NULL, BYTES + 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (p == MAP_FAILED || mprotect(p + BYTES, 4096, PROT_NONE)) exit(1);
    return p + BYTES - bytes;
}

static int differs(const char *what, int n, int i, double got, double want, double eps) {
    if (fabs(got - want) <= eps * (1 + fabs(want))) return 0;
    return printf("n = %d: %s[%d] is %.17g, not %.17g\n", n, what, i, got, want), 1;
}

static int check_f(int n) {
    double *x = ending(sizeof(double[D]) * (size_t)n), w[D] = {0.5, -1, 2}, *table = ending(sizeof(double[M]));
    int64_t *at = ending(sizeof(int64_t) * (size_t)n);
    double *y = ending(sizeof(double) * (size_t)n), *total = ending(sizeof(double)), *sums = ending(sizeof(double[D]));
    double last = 1, t = -0.25, want[D] = {0};
    int wrong = 0;
    for (int i = 0; i < D * n; i++) x[i] = sin(i);
    for (int i = 0; i < M; i++) table[i] = i - 3;
    for (int i = 0; i < n; i++) at[i] = i * 5 % M;
    if (f(n, D, M, x, w, at, table, t, y, total, sums, NULL, 0)) return puts(tdl_last_error()), 1;
    for (int i = 0; i < n; i++) {
        double s = table[at[i]], v;
        for (int j = 0; j < D; j++) s += exp(x[j * n + i]) * w[j];
        v = s > 1 ? s / last : -s;
        last = s, t += v * s;
        for (int j = 0; j < D; j++) want[j] += x[j * n + i] * v;
        wrong += differs("y", n, i, y[i], v, 1e-12);
    }
    wrong += differs("total", n, 0, *total, t, 1e-12);
    for (int j = 0; j < D; j++) wrong += differs("sums", n, j, sums[j], want[j], 1e-12);
    if (n) at[n - 1] = M;
    return wrong + (n && (!f(n, D, M, x, w, at, table, 0, y, total, sums, NULL, 0) || !strstr(tdl_last_error(), "out of range for axis 0 of size 7")));
}

static int check_g(int n) {
    float *x = ending(sizeof(float) * (size_t)n), *y = ending(sizeof(float) * (size_t)n), total;
    int64_t *k = ending(sizeof(int64_t) * (size_t)n);
    double t = 0;
    int wrong = 0;
    for (int i = 0; i < n; i++) x[i] = (float)sin(i), k[i] = i * 7;
    if (g(n, x, k, y, &total, NULL, 0)) return puts(tdl_last_error()), 1;
    for (int i = 0; i < n; i++) {
        double v = tanh(x[i]) * (double)(k[i] % 5) - i;
        t += v * v;
        wrong += differs("g", n, i, y[i], v, 1e-5);
    }
    return wrong + differs("total", n, 0, total, t, 1e-5);
}

/* Every other element, read and written in vectors: nothing behind the last is touched. */
static int check_halves(int n) {
    size_t size = sizeof(float) * 2 * (size_t)n;
    float *x = ending(size), *y = ending(size / 2), *c = ending(size / 2);
    double *dx = ending(2 * size);
    int wrong = 0;
    for (int i = 0; i < 2 * n; i++) x[i] = (float)((i * 7) % 5 - 2);
    for (int i = 0; i < n; i++) c[i] = (float)(i + 1);
    if (halves(n, x, y, NULL, 0)) return puts(tdl_last_error()), 1;
    for (int i = 0; i < n; i++) wrong += differs("halves", n, i, y[i], x[2 * i + 1] - x[2 * i], 0);
    size_t bytes = largest_workspace_size(n);
    void *work = aligned_alloc(64, (bytes + 64) / 64 * 64);
    if (largest(n, x, c, y, dx, work, bytes)) return puts(tdl_last_error()), 1;
    for (int i = 0; i < n; i++) {
        int second = x[2 * i + 1] > x[2 * i];
        wrong += differs("largest", n, i, y[i], x[2 * i + second], 0);
        for (int k = 0; k < 2; k++) wrong += differs("dx", n, 2 * i + k, dx[2 * i + k], k == second ? c[i] : 0, 0);
    }
    free(work);
    return wrong;
}

int main(void) {
    int wrong = 0;
    for (int n = 0; n <= MOST; n++) wrong += check_f(n) + check_g(n) + check_halves(n);
    printf("%d wrong\n", wrong);
    return wrong != 0;
}
