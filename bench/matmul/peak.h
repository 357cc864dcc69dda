/* What one core does: the thread's processor time, and its multiply-adds on the widest vectors. */
#ifndef TDL_BENCH_PEAK_H
#define TDL_BENCH_PEAK_H

#include <math.h>
#include <time.h>

static inline double seconds(void) {
    struct timespec t;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

/* 16 independent multiply-adds on the widest vectors: flops a second. */
#define PEAK(T, NAME) \
    typedef T V##NAME __attribute__((vector_size(VECTOR))); \
    static inline double peak_##NAME(void) { \
        double best = INFINITY; \
        for (int r = 0; r < 20; r++) { \
            V##NAME s[16]; \
            for (int i = 0; i < 16; i++) s[i] = (V##NAME){0} + (T)i; \
            V##NAME x = {0}, y = {0}; \
            __asm__("" : "+v"(x), "+v"(y)); \
            double start = seconds(); \
            for (long k = 0; k < 100000; k++) \
                for (int i = 0; i < 16; i++) { \
                    s[i] += x * y; \
                    __asm__("" : "+v"(s[i])); \
                } \
            double t = seconds() - start; \
            best = t < best ? t : best; \
        } \
        return 2.0 * 100000 * 16 * (VECTOR / sizeof(T)) / best; \
    }
#if defined __AVX512F__
enum { VECTOR = 64 };
#elif defined __AVX__
enum { VECTOR = 32 };
#else
enum { VECTOR = 16 };
#endif
#pragma clang fp contract(fast)
PEAK(float, f32)
PEAK(double, f64)

#endif
