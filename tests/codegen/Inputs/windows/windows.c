/* Convolutions of many shapes and their cotangents against loops, exact on small integers; every array ends at a page that
 * cannot be touched. Prints the number of wrong results. */
#include "windows.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

enum { ARRAYS = 6, BYTES = 8 << 20, WORK = 64 << 20, X = 0, K, Z, Y, DX, DK };

typedef struct { int64_t n, c, h, w, o, p, q; } Shape;
/* What a function does: size of its elements, steps, dilations, zeros around x, whether channels lie last. */
typedef struct { const char *name; int size, step, di, dj, pad, last; } Kind;
static const Kind KINDS[] = {{"rows", 4, 1, 1, 1, 1, 0}, {"steps", 8, 2, 1, 1, 1, 0}, {"spread", 8, 1, 3, 2, 0, 0}, {"last", 4, 1, 1, 1, 0, 1}};
static char *ends[ARRAYS], *work;
static double *expected[3];

static char *guarded(void) {
    char *p = mmap(NULL, BYTES + 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (p == MAP_FAILED || mprotect(p + BYTES, 4096, PROT_NONE)) exit(1);
    return p + BYTES;
}

static double get(int size, const void *p, int64_t i) { return size == 8 ? ((const double *)p)[i] : (double)((const float *)p)[i]; }
static void put(int size, void *p, int64_t i, double x) {
    if (size == 8) ((double *)p)[i] = x;
    else ((float *)p)[i] = (float)x;
}

static int call(int kind, Shape s, void *const *a) {
    switch (kind) {
    case 0: return rows(s.n, s.c, s.h, s.w, s.o, a[X], a[K], a[Z], a[Y], a[DX], a[DK], work, WORK);
    case 1: return steps(s.n, s.c, s.h, s.w, s.o, s.p, s.q, a[X], a[K], a[Z], a[Y], a[DX], a[DK], work, WORK);
    case 2: return spread(s.n, s.c, s.h, s.w, s.o, a[X], a[K], a[Z], a[Y], a[DX], a[DK], work, WORK);
    default: return last(s.n, s.c, s.h, s.w, s.o, a[X], a[K], a[Z], a[Y], a[DX], a[DK], work, WORK);
    }
}

static int64_t image(const Kind *k, int64_t m, int64_t e, int64_t i, int64_t j, int64_t c, int64_t h, int64_t w) {
    return k->last ? ((m * h + i) * w + j) * c + e : ((m * c + e) * h + i) * w + j;
}

/* y, dx, dk by definition. */
static void define(const Kind *k, Shape s, int64_t h, int64_t w, void *const *a) {
    for (int64_t m = 0; m < s.n; m++)
        for (int64_t f = 0; f < s.o; f++)
            for (int64_t i = 0; i < h; i++)
                for (int64_t j = 0; j < w; j++) {
                    int64_t at = image(k, m, f, i, j, s.o, h, w);
                    for (int64_t e = 0; e < s.c; e++)
                        for (int64_t p = 0; p < s.p; p++)
                            for (int64_t q = 0; q < s.q; q++) {
                                int64_t u = i * k->step + p * k->di - k->pad, v = j * k->step + q * k->dj - k->pad;
                                if (u < 0 || v < 0 || u >= s.h || v >= s.w) continue;
                                int64_t x = image(k, m, e, u, v, s.c, s.h, s.w);
                                int64_t t = k->last ? ((p * s.q + q) * s.c + e) * s.o + f : ((f * s.c + e) * s.p + p) * s.q + q;
                                expected[0][at] += get(k->size, a[X], x) * get(k->size, a[K], t);
                                expected[1][x] += get(k->size, a[Z], at) * get(k->size, a[K], t);
                                expected[2][t] += get(k->size, a[Z], at) * get(k->size, a[X], x);
                            }
                }
}

/* 0: right. */
static int check(int kind, Shape s) {
    const Kind *k = &KINDS[kind];
    int64_t h = (s.h + 2 * k->pad - (s.p - 1) * k->di - 1) / k->step + 1, w = (s.w + 2 * k->pad - (s.q - 1) * k->dj - 1) / k->step + 1;
    int64_t x = s.n * s.c * s.h * s.w, t = s.o * s.c * s.p * s.q, y = s.n * s.o * h * w, sizes[ARRAYS] = {x, t, y, y, x, t};
    void *a[ARRAYS];
    for (int i = 0; i < ARRAYS; i++) {
        a[i] = ends[i] - sizes[i] * k->size;
        if (i >= Y) memset(a[i], 0xff, (size_t)(sizes[i] * k->size));
        else for (int64_t j = 0; j < sizes[i]; j++) put(k->size, a[i], j, (double)(j * (2 * i + 3) % 7 - 3));
    }
    for (int i = 0; i < 3; i++) memset(expected[i], 0, (size_t)sizes[Y + i] * sizeof(double));
    define(k, s, h, w, a);
    if (call(kind, s, a)) return puts(tdl_last_error()), 1;
    for (int i = 0; i < 3; i++)
        for (int64_t j = 0; j < sizes[Y + i]; j++)
            if (get(k->size, a[Y + i], j) != expected[i][j])
                return printf("%s of %d x %d x %d x %d, %d x %d x %d: result %d, element %d is %g, not %g\n", k->name, (int)s.n, (int)s.c, (int)s.h,
                              (int)s.w, (int)s.o, (int)s.p, (int)s.q, i, (int)j, get(k->size, a[Y + i], j), expected[i][j]), 1;
    return 0;
}

int main(void) {
    static const Shape SHAPES[] = {{2, 3, 7, 9, 8, 3, 3}, {1, 17, 14, 14, 33, 3, 3}, {2, 5, 11, 60, 9, 2, 4}, {3, 2, 12, 13, 10, 3, 3}, {2, 9, 9, 10, 16, 1, 2},
                                   {1, 600, 6, 7, 8, 2, 2}, {1, 2, 6, 7, 300, 5, 5}, {0, 4, 6, 7, 8, 3, 3}, {2, 0, 6, 7, 8, 3, 3}, {2, 3, 6, 7, 0, 3, 3},
                                   {1, 1, 4, 5, 1, 1, 1}, {2, 3, 6, 7, 8, 0, 2}, {1, 2, 5, 600, 9, 3, 1}, {1, 16, 24, 24, 16, 3, 3}};
    int wrong = 0;
    for (int i = 0; i < ARRAYS; i++) ends[i] = guarded();
    for (int i = 0; i < 3; i++) expected[i] = malloc(BYTES);
    work = malloc(WORK);
    for (int kind = 0; kind < 4; kind++)
        for (size_t i = 0; i < sizeof SHAPES / sizeof *SHAPES; i++) {
            Shape s = SHAPES[i];
            if (kind != 1) s.p = kind == 2 ? 2 : 3, s.q = 3;
            wrong += check(kind, s);
        }
    printf("%d wrong\n", wrong);
    return wrong != 0;
}
