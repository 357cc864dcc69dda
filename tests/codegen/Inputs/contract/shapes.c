/* Products of all shapes against sums in order, exact on small integers; every operand, and the workspace, ends at a page that cannot be
 * touched. Then infinity and NaN, which come out where the sum has them. Prints the number of wrong results. */
#include "products.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

typedef int (*Product)(int64_t, int64_t, int64_t, const void *, const void *, void *, void *, size_t);
static const Product PRODUCTS[2][5] = {{(Product)nn_f32, (Product)tn_f32, (Product)nt_f32, (Product)tt_f32, (Product)ot_f32},
                                       {(Product)nn_f64, (Product)tn_f64, (Product)nt_f64, (Product)tt_f64, (Product)ot_f64}};
typedef size_t (*Room)(int64_t, int64_t, int64_t);
static const Room ROOMS[2][5] = {
    {nn_f32_workspace_size, tn_f32_workspace_size, nt_f32_workspace_size, tt_f32_workspace_size, ot_f32_workspace_size},
    {nn_f64_workspace_size, tn_f64_workspace_size, nt_f64_workspace_size, tt_f64_workspace_size, ot_f64_workspace_size}};
enum { BYTES = 3 << 20 };
static char *ends[4];

static char *guarded(void) {
    char *p = mmap(NULL, BYTES + 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (p == MAP_FAILED || mprotect(p + BYTES, 4096, PROT_NONE)) exit(1);
    return p + BYTES;
}

static double get(int f64, const void *p, int64_t i) { return f64 ? ((const double *)p)[i] : (double)((const float *)p)[i]; }
static void put(int f64, void *p, int64_t i, double x) {
    if (f64) ((double *)p)[i] = x;
    else ((float *)p)[i] = (float)x;
}

/* 0: right. `odd`: an element of a that is no number, or 0. */
static int check(int f64, int kind, int64_t m, int64_t n, int64_t k, double odd) {
    int64_t size = f64 ? 8 : 4;
    void *a = ends[0] - m * k * size, *b = ends[1] - k * n * size, *c = ends[2] - m * n * size;
    for (int64_t i = 0; i < m * k; i++) put(f64, a, i, (double)(i * 7 % 11 - 5));
    for (int64_t i = 0; i < k * n; i++) put(f64, b, i, (double)(i * 5 % 13 - 6));
    if (odd != 0 && m * k) put(f64, a, m * k / 2, odd);
    memset(c, 0xff, (size_t)(m * n * size));
    size_t room = ROOMS[f64][kind](m, n, k);
    if (room > BYTES || PRODUCTS[f64][kind](m, n, k, a, b, c, ends[3] - room, room)) return puts(tdl_last_error()), 1;
    for (int64_t i = 0; i < m; i++)
        for (int64_t j = 0; j < n; j++) {
            double sum = 0, got = get(f64, c, kind == 4 ? j * m + i : i * n + j);
            for (int64_t l = 0; l < k; l++)
                sum += get(f64, a, kind == 1 || kind == 3 ? l * m + i : i * k + l) * get(f64, b, kind == 2 || kind == 3 ? j * k + l : l * n + j);
            if (got != sum && !(isnan(got) && isnan(sum)))
                return printf("kind %d of %d bytes, %d x %d x %d: [%d, %d] is %g, not %g\n", kind, (int)size, (int)m, (int)n, (int)k, (int)i, (int)j, got, sum), 1;
        }
    return 0;
}

int main(int argc, char **argv) {
    static const int SOME[] = {0, 1, 2, 3, 5, 8, 9, 15, 16, 17, 24, 31, 33, 40};
    enum { N = sizeof SOME / sizeof *SOME };
    int wrong = 0, all = argc > 1 && !strcmp(argv[1], "all");
    for (int i = 0; i < 4; i++) ends[i] = guarded();
    for (int m = 0; m <= 40 && all; m++)
        for (int n = 0; n <= 40; n++)
            for (int k = 0; k <= 40; k++) wrong += check(0, 0, m, n, k, 0);
    for (int f64 = 0; f64 < 2; f64++)
        for (int kind = 0; kind < 5; kind++)
            for (int i = 0; i < N * N * N; i++) wrong += check(f64, kind, SOME[i / N / N], SOME[i / N % N], SOME[i % N], 0);
    /* Larger than the part of the operands that is packed at a time. */
    for (int f64 = 0; f64 < 2; f64++)
        for (int kind = 0; kind < 5; kind++) wrong += check(f64, kind, 131, 267, 521 - 200 * f64, 0) + check(f64, kind, 1, 300, 300, 0) + check(f64, kind, 300, 1, 300, 0);
    /* Several parts of each operand. */
    for (int f64 = 0; f64 < 2; f64++)
        for (int kind = 0; kind < 5; kind++) wrong += check(f64, kind, 180, 310, 1100 - 500 * f64, 0);
    for (int kind = 0; kind < 5; kind++)
        for (int s = 1; s < 40; s += 5) wrong += check(1, kind, s, 19, 7, INFINITY) + check(0, kind, 11, s, 23, NAN) + check(0, kind, 1, s, 23, INFINITY);
    printf("%d wrong\n", wrong);
}
