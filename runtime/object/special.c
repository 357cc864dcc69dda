/* Special functions that libm lacks: digamma and polygamma; lgamma without its global sign. */
#include "runtime/object/bodies.h"

#include <math.h>

double lgamma_r(double x, int *sign);

/* lgamma of libm writes the global signgam; lgamma_r does not. */
double tdlrt_lgamma(double x) {
    int sign;
    return lgamma_r(x, &sign);
}

#define PI 3.14159265358979323846

/* Positive zero of digamma in two parts, and a Taylor series about it would cost less than it gains: near the zero the
 * result has the absolute error of the terms it is the difference of (about 1e-16), as PyTorch's and SciPy's have. */
static double digamma(double x) {
    if (x == 0.0) return copysign(INFINITY, -x);
    double shift = 0.0;
    if (x < 0.0) {
        if (x == floor(x)) return NAN;
        double fraction = x - floor(x);
        shift = -PI / tan(PI * fraction);   /* reflection: digamma(1 - x) - pi/tan(pi x) */
        x = 1.0 - x;
    }
    while (x < 10.0) {
        shift -= 1.0 / x;
        x += 1.0;
    }
    /* Asymptotic series, Abramowitz and Stegun 6.3.18; below 1e-17 relative for x >= 10. */
    double y = 1.0 / (x * x);
    double s = y * (1.0 / 12 - y * (1.0 / 120 - y * (1.0 / 252 - y * (1.0 / 240 - y * (1.0 / 132 - y * (691.0 / 32760 - y / 12))))));
    return log(x) - 0.5 / x - s + shift;
}

/* Hurwitz zeta(s, q) for s > 1, q > 0 by Euler-Maclaurin with 12 direct terms and 12 corrections. */
static double zeta(double s, double q) {
    static const double bernoulli[12] = {   /* B_2j / (2j)! */
        8.333333333333333e-2, -1.388888888888889e-3, 3.306878306878307e-5, -8.267195767195767e-7,
        2.087675698786810e-8, -5.284190138687493e-10, 1.338253653068468e-11, -3.389680296322583e-13,
        8.586062056277845e-15, -2.174868698558062e-16, 5.509002828360230e-18, -1.395446468581252e-19};
    double sum = 0.0;
    for (int i = 0; i < 12; i++) sum += pow(q + i, -s);
    double a = q + 12.0, p = pow(a, -s), factor = s;
    sum += a * p / (s - 1.0) + 0.5 * p;
    p /= a;
    for (int j = 0; j < 12; j++) {
        sum += bernoulli[j] * factor * p;
        factor *= (s + 2 * j + 1) * (s + 2 * j + 2);
        p /= a * a;
    }
    return sum;
}

/* Derivatives of pi*cot(pi x): the n-th is (-pi)**n * pi * P_n(c) with c = cot, P_0 = c, P_{k+1} = (1 + c*c)*P_k'.
 * Exact for the orders the language offers in nested derivatives; above 20 coefficients would overflow: NaN. */
static double cot_derivative(int64_t n, double x) {
    if (n > 20) return NAN;
    double fraction = x - floor(x), c = 1.0 / tan(PI * fraction), p[24] = {0.0}, scale = PI;
    if (fraction == 0.5) c = 0.0;
    p[1] = 1.0;
    for (int64_t k = 0; k < n; k++) {
        double next[24] = {0.0};
        for (int64_t i = 1; i <= k + 1; i++) {
            next[i - 1] += (double)i * p[i];
            next[i + 1] += (double)i * p[i];
        }
        for (int i = 0; i < 24; i++) p[i] = next[i];
        scale *= -PI;
    }
    double value = 0.0;
    for (int64_t i = n + 1; i >= 0; i--) value = value * c + p[i];
    return scale * value;
}

/* n-th derivative of digamma: (-1)**(n+1) n! zeta(n+1, x); reflection for x < 0. */
double tdlrt_polygamma(int64_t n, double x) {
    if (n == 0) return digamma(x);
    if (x != x) return x;
    if (isinf(x)) return x > 0.0 ? 0.0 : (double)NAN;
    if (x <= 0.0 && x == floor(x)) return n % 2 ? INFINITY : NAN;
    double sign = n % 2 ? 1.0 : -1.0;
    if (x > 0.0) return sign * tgamma((double)n + 1.0) * zeta((double)n + 1.0, x);
    /* digamma(1 - x) - digamma(x) = pi cot(pi x); differentiated n times. */
    double reflected = (n % 2 ? -1.0 : 1.0) * tdlrt_polygamma(n, 1.0 - x);
    return reflected - cot_derivative(n, x);
}
