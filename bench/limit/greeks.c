/* Prices of calls and their Greeks in closed form, an option a lane, in stages. The normal density at d1 gives both distribution
 * functions: erfc(z) = exp(-z z) erfcx(z), and s density(d1) = k exp(-r t) density(d2).
 *
 * Bound: a logarithm, two exponentials, two polynomials of degree 22, two quotients and a root, 60 more operations. */
#include "greeks.h"
#include "vector.h"

static const double SCALED[] = {
    0x1.3ba5916e9fd7fp+0, -0x1.1df1ad154a29ap-3, 0x1.f7f5df66fda68p-7, 0x1.16ecefcfa5ef4p-4, -0x1.9ddb23c3ea117p-4, 0x1.7fee004df8fd8p-4,
    -0x1.0fb06dfe39c6ep-4, 0x1.3079edf9c6579p-5, -0x1.09623885e296cp-6, 0x1.49c671981a350p-8, -0x1.8d4a9b8de5113p-11, -0x1.a1de821a844f8p-13,
    0x1.3be08def94d4ep-13, -0x1.996aba9c22640p-16, -0x1.789e15c15fc4bp-17, 0x1.7fbcc3f447a87p-18, 0x1.426a45261adb0p-22, -0x1.c0c6363fdbeaep-21,
    0x1.10cff3710db44p-24, 0x1.f347b88d2069cp-24, -0x1.0d4e9902913a9p-27, -0x1.e3bd0ec1921e9p-27, -0x1.0b66f16459774p-29};
enum { DEGREE = sizeof SCALED / sizeof *SCALED - 1 };

/* erfcx(z) (1 + 2 z) is a polynomial of t = (z - 4) / (z + 4), z >= 0. */
INLINE V polynomial(V t) {
    V t2 = t * t, even = (V){0} + SCALED[DEGREE], odd = (V){0} + SCALED[DEGREE - 1];
    for (int i = DEGREE - 2; i >= 0; i -= 2) even = even * t2 + SCALED[i];
    for (int i = DEGREE - 3; i >= 0; i -= 2) odd = odd * t2 + SCALED[i];
    return even + t * odd;
}

/* The normal distribution function at two points, given exp(-x x / 2) of each; one quotient for both. */
INLINE void normal(const V *x, const V *bell, V *p) {
    V z[2], below[2], above[2], both[2];
    for (int i = 0; i < 2; i++) {
        z[i] = larger(x[i], -x[i]) * 0.70710678118654752;
        below[i] = z[i] + 4, above[i] = 1 + 2 * z[i], both[i] = below[i] * above[i];
    }
    V inverse = 1 / (both[0] * both[1]);
    for (int i = 0; i < 2; i++) {
        V mine = inverse * both[1 - i], tail = 0.5 * bell[i] * polynomial((z[i] - 4) * above[i] * mine) * below[i] * mine;
        p[i] = pick((I)(x[i] > 0), 1 - tail, tail);
    }
}

INLINE V root(V x) {
    for (int i = 0; i < LANES; i++) x[i] = sqrt(x[i]);
    return x;
}

enum { GROUP = 8, BLOCK = GROUP * LANES, INPUTS = 6, OUTPUTS = 5 };
enum { COUNT, SPOT, STRIKE, RATE, VOLATILITY, TIME };

#define EACH for (int g = 0; g < GROUP; g++)

/* Some vectors of options, in stages, so that what one waits for the others do not. Returns their value. Quotients are slow:
 * one serves for the strike, its present value and the spread. */
static V options(V (*a)[GROUP], V (*out)[GROUP]) {
    V sqrt_t[GROUP], spread[GROUP], paid[GROUP], by_spread[GROUP], by_paid[GROUP], by_k[GROUP], d[GROUP][2], bell[GROUP][2], p[GROUP][2], sum = {0};
    EACH {
        V discount = vexp(-a[RATE][g] * a[TIME][g]);
        sqrt_t[g] = root(a[TIME][g]), spread[g] = a[VOLATILITY][g] * sqrt_t[g], paid[g] = a[STRIKE][g] * discount;
        V inverse = 1 / (paid[g] * spread[g]);
        by_spread[g] = inverse * paid[g], by_paid[g] = inverse * spread[g], by_k[g] = by_paid[g] * discount;
    }
    EACH {
        V drift = a[RATE][g] + 0.5 * a[VOLATILITY][g] * a[VOLATILITY][g];
        d[g][0] = (vlog(a[SPOT][g] * by_k[g]) + drift * a[TIME][g]) * by_spread[g];
        d[g][1] = d[g][0] - spread[g];
    }
    EACH {
        bell[g][0] = vexp(-0.5 * d[g][0] * d[g][0]);
        bell[g][1] = bell[g][0] * a[SPOT][g] * by_paid[g];
    }
    EACH normal(d[g], bell[g], p[g]);
    EACH {
        V value = a[COUNT][g] * p[g][0], due = a[COUNT][g] * paid[g] * p[g][1];
        V density = a[COUNT][g] * a[SPOT][g] * bell[g][0] * 0.39894228040143268;
        sum += a[SPOT][g] * value - due;
        out[0][g] = value;
        out[1][g] = -due * by_k[g];
        out[2][g] = due * a[TIME][g];
        out[3][g] = density * sqrt_t[g];
        out[4][g] = 0.5 * density * a[VOLATILITY][g] * a[VOLATILITY][g] * by_spread[g] + a[RATE][g] * due;
    }
    return sum;
}

size_t greeks_workspace_size(int64_t n) {
    (void)n;
    return 0;
}

int greeks(int64_t n, const double *count, const double *s, const double *k, const double *r, const double *v, const double *t, double *value,
           double *ds, double *dk, double *dr, double *dv, double *dt, void *workspace, size_t bytes) {
    (void)workspace, (void)bytes;
    const double *from[INPUTS] = {count, s, k, r, v, t};
    double *to[OUTPUTS] = {ds, dk, dr, dv, dt};
    V sum = {0}, a[INPUTS][GROUP], out[OUTPUTS][GROUP];
    for (int64_t i = 0; i < n; i += BLOCK) {
        size_t there = (size_t)(n - i < BLOCK ? n - i : BLOCK) * sizeof(double);
        for (int j = 0; j < INPUTS; j++) {
            if (n - i < BLOCK) EACH a[j][g] = (V){0} + (j == COUNT ? 0 : 1);
            memcpy(a[j], from[j] + i, there);
        }
        sum += options(a, out);
        for (int j = 0; j < OUTPUTS; j++) memcpy(to[j] + i, out[j], there);
    }
    *value = total(sum);
    return 0;
}
