/* Vectors of 64 bytes for code by hand: eight doubles or sixteen floats, and the elementary functions on them. Clang and
 * GCC split them where a machine's registers are narrower. */
#ifndef LIMIT_VECTOR_H
#define LIMIT_VECTOR_H

#include <math.h>
#include <stdint.h>
#include <string.h>

#define INLINE static inline __attribute__((always_inline))

#ifdef __clang__
#define UNROLL _Pragma("unroll")
#else
#define UNROLL _Pragma("GCC unroll 16")
#endif

enum { LANES = 8, FLOATS = 16 };
typedef double V __attribute__((vector_size(64)));
typedef double VU __attribute__((vector_size(64), aligned(8), may_alias));
typedef int64_t I __attribute__((vector_size(64)));
typedef float F __attribute__((vector_size(64)));
typedef float FU __attribute__((vector_size(64), aligned(4), may_alias));
typedef int32_t J __attribute__((vector_size(64)));

INLINE V load(const double *p) { return *(const VU *)p; }
INLINE void store(double *p, V v) { *(VU *)p = v; }
INLINE F loadf(const float *p) { return *(const FU *)p; }
INLINE void storef(float *p, F v) { *(FU *)p = v; }
INLINE V pick(I mask, V yes, V no) { return (V)(((I)yes & mask) | ((I)no & ~mask)); }
INLINE F pickf(J mask, F yes, F no) { return (F)(((J)yes & mask) | ((J)no & ~mask)); }
INLINE V larger(V a, V b) { return pick((I)(a > b), a, b); }
INLINE F largerf(F a, F b) { return pickf((J)(a > b), a, b); }

/* The next multiple of 64 at or after p. */
INLINE void *aligned(void *p) { return (void *)(((uintptr_t)p + 63) & ~(uintptr_t)63); }

INLINE double total(V x) { return ((x[0] + x[1]) + (x[2] + x[3])) + ((x[4] + x[5]) + (x[6] + x[7])); }
INLINE double largest(V x) {
    double m = x[0];
    for (int i = 1; i < LANES; i++) m = x[i] > m ? x[i] : m;
    return m;
}

#define MIX(a, b, ...) __builtin_shufflevector(a, b, __VA_ARGS__)

/* Lane i is the sum of the lanes of a[i]. */
INLINE V totals(const V *a) {
    V s[4], t[2];
    for (int i = 0; i < 4; i++)
        s[i] = MIX(a[2 * i], a[2 * i + 1], 0, 8, 2, 10, 4, 12, 6, 14) + MIX(a[2 * i], a[2 * i + 1], 1, 9, 3, 11, 5, 13, 7, 15);
    for (int i = 0; i < 2; i++)
        t[i] = MIX(s[2 * i], s[2 * i + 1], 0, 1, 8, 9, 4, 5, 12, 13) + MIX(s[2 * i], s[2 * i + 1], 2, 3, 10, 11, 6, 7, 14, 15);
    return MIX(t[0], t[1], 0, 1, 2, 3, 8, 9, 10, 11) + MIX(t[0], t[1], 4, 5, 6, 7, 12, 13, 14, 15);
}

/* Lane j of a[i] becomes lane i of a[j]: blocks of 1, 2, 4, ... lanes change places. */
INLINE void transpose(V *a) {
    for (int i = 0; i < 8; i += 2) {
        V x = a[i], y = a[i + 1];
        a[i] = MIX(x, y, 0, 8, 2, 10, 4, 12, 6, 14), a[i + 1] = MIX(x, y, 1, 9, 3, 11, 5, 13, 7, 15);
    }
    for (int i = 0; i < 8; i += i % 2 ? 3 : 1) {
        V x = a[i], y = a[i + 2];
        a[i] = MIX(x, y, 0, 1, 8, 9, 4, 5, 12, 13), a[i + 2] = MIX(x, y, 2, 3, 10, 11, 6, 7, 14, 15);
    }
    for (int i = 0; i < 4; i++) {
        V x = a[i], y = a[i + 4];
        a[i] = MIX(x, y, 0, 1, 2, 3, 8, 9, 10, 11), a[i + 4] = MIX(x, y, 4, 5, 6, 7, 12, 13, 14, 15);
    }
}

INLINE void transposef(F *a) {
    for (int i = 0; i < 16; i += 2) {
        F x = a[i], y = a[i + 1];
        a[i] = MIX(x, y, 0, 16, 2, 18, 4, 20, 6, 22, 8, 24, 10, 26, 12, 28, 14, 30);
        a[i + 1] = MIX(x, y, 1, 17, 3, 19, 5, 21, 7, 23, 9, 25, 11, 27, 13, 29, 15, 31);
    }
    for (int i = 0; i < 16; i += i % 2 ? 3 : 1) {
        F x = a[i], y = a[i + 2];
        a[i] = MIX(x, y, 0, 1, 16, 17, 4, 5, 20, 21, 8, 9, 24, 25, 12, 13, 28, 29);
        a[i + 2] = MIX(x, y, 2, 3, 18, 19, 6, 7, 22, 23, 10, 11, 26, 27, 14, 15, 30, 31);
    }
    for (int i = 0; i < 16; i += i % 4 == 3 ? 5 : 1) {
        F x = a[i], y = a[i + 4];
        a[i] = MIX(x, y, 0, 1, 2, 3, 16, 17, 18, 19, 8, 9, 10, 11, 24, 25, 26, 27);
        a[i + 4] = MIX(x, y, 4, 5, 6, 7, 20, 21, 22, 23, 12, 13, 14, 15, 28, 29, 30, 31);
    }
    for (int i = 0; i < 8; i++) {
        F x = a[i], y = a[i + 8];
        a[i] = MIX(x, y, 0, 1, 2, 3, 4, 5, 6, 7, 16, 17, 18, 19, 20, 21, 22, 23);
        a[i + 8] = MIX(x, y, 8, 9, 10, 11, 12, 13, 14, 15, 24, 25, 26, 27, 28, 29, 30, 31);
    }
}

/* to[j][i] = from[i][j], rows of `from` a distance of ld apart. */
static inline void transpose_to(const float *restrict from, long rows, long columns, long ld, float *restrict to) {
    for (long i = 0; i < rows; i += FLOATS)
        for (long j = 0; j < columns; j += FLOATS) {
            F block[FLOATS];
            if (i + FLOATS > rows || j + FLOATS > columns) {
                for (long r = i; r < i + FLOATS && r < rows; r++)
                    for (long c = j; c < j + FLOATS && c < columns; c++) to[c * rows + r] = from[r * ld + c];
                continue;
            }
            for (int r = 0; r < FLOATS; r++) block[r] = loadf(from + (i + r) * ld + j);
            transposef(block);
            for (int r = 0; r < FLOATS; r++) storef(to + (j + r) * rows + i, block[r]);
        }
}

/* e**x without a check: for |x| < 708. The coefficients are those of codegen/math.c. */
INLINE V exp_near(V x) {
    const double magic = 0x1.8p52;
    V n = x * 1.4426950408889634 + magic, k = n - magic, r = x - k * 0x1.62e42fefa3p-1 - k * 0x1.3de6af278ece6p-42, s = r * r, t = s * s;
    V p0 = 0x1.5555555555558p-3 * r + 0x1.0000000000009p-1, p1 = 0x1.111111110f803p-7 * r + 0x1.55555555503e3p-5;
    V p2 = 0x1.a01a01b00c2c6p-13 * r + 0x1.6c16c18601e8cp-10, p3 = 0x1.71ddf6b3f10d1p-19 * r + 0x1.a01993b37a9cap-16;
    V p4 = 0x1.af632ad6abee8p-26 * r + 0x1.28b410d73d492p-22;
    V p = 1 + (r + s * ((p0 + p1 * s) + t * ((p2 + p3 * s) + t * p4)));
    return (V)((I)p + ((I)n << 52));
}

/* The same for x <= 0; 0 where it is below the normal numbers. */
INLINE V exp_below(V x) { return pick((I)(x < -708.39), (V){0}, exp_near(x)); }

/* e**x; 0 where it is below the normal numbers, infinity where it is above all. */
INLINE V vexp(V x) {
    return pick((I)(x > 709.78), (V){0} + INFINITY, exp_below(x));
}

/* log(x) of a normal x > 0. */
INLINE V vlog(V x) {
    I w = (I)x, biased = (w + (0x3ff0000000000000 - 0x3fe6a09e667f3bcd)) >> 52, unit = w + 0x3ff0000000000000 - (biased << 52);
    V e = (V)(biased + 0x4338000000000000) - (0x1.8p52 + 1023), z = (V)unit - 1, s = z / (z + 2), t = s * s, u = t * t, half = z * 0.5 * z;
    V p0 = 0x1.99999999847b5p-2 * t + 0x1.555555555557cp-1, p1 = 0x1.c71c52bb3f3efp-3 * t + 0x1.2492493fb0e02p-2;
    V p2 = 0x1.399d154f235f8p-3 * t + 0x1.746648978100bp-3, p = p0 + u * (p1 + u * (p2 + u * 0x1.2f51c76fc9989p-3));
    return e * 0x1.62e42fefa3p-1 + (z - (half - (s * (t * p + half) + e * 0x1.3de6af278ece6p-42)));
}

/* 1 / (1 + e**-x), |x| < 708. */
INLINE V sigmoid(V x) { return 1 / (1 + exp_near(-x)); }

/* tanh(x) = (1 - e) / (1 + e), e = e**(-2x), its error near 0 absolute, not relative. |x| < 354. */
INLINE V vtanh(V x) {
    V e = exp_near(-2 * x);
    return (1 - e) / (1 + e);
}

/* e**x for |x| < 87. */
INLINE F vexpf(F x) {
    F n = x * 1.44269504f + 0x1.8p23f, k = n - 0x1.8p23f, r = x - k * 0x1.62e4p-1f - k * 0x1.7f7d1cp-20f, s = r * r;
    F p = 0x1.fffffcp-2f + r * 0x1.555492p-3f + s * (0x1.5558f2p-5f + r * 0x1.1239e4p-7f + s * 0x1.6a243ap-10f);
    return (F)((J)(1 + (r + s * p)) + ((J)n << 23));
}

#endif
