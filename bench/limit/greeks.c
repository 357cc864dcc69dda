/* Prices of calls and their Greeks in closed form, an option a lane. The normal density at d1 gives both distribution
 * functions: erfc(z) = exp(-z z) erfcx(z), and s density(d1) = k exp(-r t) density(d2).
 *
 * Bound: a logarithm, two exponentials, two polynomials of degree 22, six quotients and a root: about 300 operations. */
#include "greeks.h"
#include "vector.h"

static const double SCALED[] = {
    0x1.3ba5916e9fd7fp+0, -0x1.1df1ad154a29ap-3, 0x1.f7f5df66fda68p-7, 0x1.16ecefcfa5ef4p-4, -0x1.9ddb23c3ea117p-4, 0x1.7fee004df8fd8p-4,
    -0x1.0fb06dfe39c6ep-4, 0x1.3079edf9c6579p-5, -0x1.09623885e296cp-6, 0x1.49c671981a350p-8, -0x1.8d4a9b8de5113p-11, -0x1.a1de821a844f8p-13,
    0x1.3be08def94d4ep-13, -0x1.996aba9c22640p-16, -0x1.789e15c15fc4bp-17, 0x1.7fbcc3f447a87p-18, 0x1.426a45261adb0p-22, -0x1.c0c6363fdbeaep-21,
    0x1.10cff3710db44p-24, 0x1.f347b88d2069cp-24, -0x1.0d4e9902913a9p-27, -0x1.e3bd0ec1921e9p-27, -0x1.0b66f16459774p-29};
enum { DEGREE = sizeof SCALED / sizeof *SCALED - 1 };

/* The normal distribution function at x, given exp(-x x / 2): erfcx(z) (1 + 2 z) is a polynomial of (z - 4) / (z + 4), z >= 0. */
INLINE V normal(V x, V bell) {
    V z = larger(x, -x) * 0.70710678118654752, below = z + 4, above = 1 + 2 * z, inverse = 1 / (below * above);
    V t = (z - 4) * above * inverse, t2 = t * t, even = (V){0} + SCALED[DEGREE], odd = (V){0} + SCALED[DEGREE - 1];
    for (int i = DEGREE - 2; i >= 0; i -= 2) even = even * t2 + SCALED[i];
    for (int i = DEGREE - 3; i >= 0; i -= 2) odd = odd * t2 + SCALED[i];
    V tail = 0.5 * bell * (even + t * odd) * below * inverse;
    return pick((I)(x > 0), 1 - tail, tail);
}

INLINE V root(V x) {
    for (int i = 0; i < LANES; i++) x[i] = sqrt(x[i]);
    return x;
}

typedef struct { V count, s, k, r, v, t; } In;
typedef struct { V value, s, k, r, v, t; } Out;

INLINE Out option(In a) {
    V sqrt_t = root(a.t), spread = a.v * sqrt_t, d1 = (vlog(a.s / a.k) + (a.r + 0.5 * a.v * a.v) * a.t) / spread, d2 = d1 - spread;
    V paid = a.k * vexp(-a.r * a.t), bell = vexp(-0.5 * d1 * d1), p1 = normal(d1, bell), p2 = normal(d2, bell * a.s / paid);
    V density = a.count * a.s * bell * 0.39894228040143268, due = a.count * paid * p2;
    return (Out){a.count * a.s * p1 - due, a.count * p1, -due / a.k, due * a.t, density * sqrt_t, 0.5 * density * a.v / sqrt_t + a.r * due};
}

size_t greeks_workspace_size(int64_t n) {
    (void)n;
    return 0;
}

int greeks(int64_t n, const double *count, const double *s, const double *k, const double *r, const double *v, const double *t, double *value,
           double *ds, double *dk, double *dr, double *dv, double *dt, void *workspace, size_t bytes) {
    (void)workspace, (void)bytes;
    V sum = {0};
    for (int64_t i = 0; i < n; i += LANES) {
        int64_t left = n - i < LANES ? n - i : LANES;
        In a = {{0}, (V){0} + 1, (V){0} + 1, {0}, (V){0} + 1, (V){0} + 1};
        if (left == LANES) a = (In){load(count + i), load(s + i), load(k + i), load(r + i), load(v + i), load(t + i)};
        else
            for (int j = 0; j < left; j++)
                a.count[j] = count[i + j], a.s[j] = s[i + j], a.k[j] = k[i + j], a.r[j] = r[i + j], a.v[j] = v[i + j], a.t[j] = t[i + j];
        Out o = option(a);
        sum += o.value;
        V all[] = {o.s, o.k, o.r, o.v, o.t};
        double *to[] = {ds, dk, dr, dv, dt};
        for (int j = 0; j < 5; j++)
            if (left == LANES) store(to[j] + i, all[j]);
            else memcpy(to[j] + i, &all[j], (size_t)left * sizeof(double));
    }
    *value = total(sum);
    return 0;
}
