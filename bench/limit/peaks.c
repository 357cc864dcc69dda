/* What the machine does at most: multiply-adds a second, bytes a second, exponentials a second. One thread. */
#include "vector.h"

#include <time.h>

static double now(void) {
    struct timespec t;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

enum { CHAINS = 12, STEPS = 20000 };

/* Multiply-adds of numbers, not of vectors. `sink` keeps them. */
double peak_f64(double *sink) {
    V s[CHAINS], a = (V){0} + 0.999, b = (V){0} + 1e-3;
    for (int i = 0; i < CHAINS; i++) s[i] = a + i;
    double start = now();
    for (int n = 0; n < STEPS; n++) {
        __asm__ volatile("" : "+v"(a));
        for (int i = 0; i < CHAINS; i++) s[i] = s[i] * a + b;
    }
    double took = now() - start;
    for (int i = 0; i < CHAINS; i++) *sink += total(s[i]);
    return (double)CHAINS * STEPS * LANES / took;
}

double peak_f32(float *sink) {
    F s[CHAINS], a = (F){0} + 0.999f, b = (F){0} + 1e-3f;
    for (int i = 0; i < CHAINS; i++) s[i] = a + (float)i;
    double start = now();
    for (int n = 0; n < STEPS; n++) {
        __asm__ volatile("" : "+v"(a));
        for (int i = 0; i < CHAINS; i++) s[i] = s[i] * a + b;
    }
    double took = now() - start;
    for (int i = 0; i < CHAINS; i++) *sink += s[i][0];
    return (double)CHAINS * STEPS * FLOATS / took;
}

/* Bytes a second that a sum reads from memory of n doubles. */
double peak_read(const double *p, long n, double *sink) {
    long passes = 1 + (1 << 20) / n;
    V s[8] = {{0}};
    double start = now();
    for (long r = 0; r < passes; r++)
        for (long i = 0; i + 64 <= n; i += 64)
            for (int j = 0; j < 8; j++) s[j] += load(p + i + 8 * j);
    double took = now() - start;
    for (int j = 0; j < 8; j++) *sink += total(s[j]);
    return (double)passes * (double)n * 8 / took;
}

double peak_exp(double *p, long n) {
    double start = now();
    for (int r = 0; r < 100; r++)
        for (long i = 0; i + 8 <= n; i += 8) store(p + i, vexp(load(p + i) * 0.5));
    return 100 * (double)n / (now() - start);
}

double peak_expf(float *p, long n) {
    double start = now();
    for (int r = 0; r < 100; r++)
        for (long i = 0; i + 16 <= n; i += 16) storef(p + i, vexpf(loadf(p + i) * 0.5f));
    return 100 * (double)n / (now() - start);
}
