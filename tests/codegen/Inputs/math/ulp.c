/* ulp PAGE [FUNCTION]: the largest error of each function of functions.tdl (of one), in units of the last place, against MPFR at N points;
 * fails where one is above its line `| name | f64 | f32 |` on the page docs/math.md, and where a special value is not
 * that of the C library. */
#include "functions.h"
#include <math.h>
#include <mpfr.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { N = 50000 };

/* splitmix64 */
static uint64_t state = 1;
static uint64_t next(void) {
    uint64_t z = (state += 0x9E3779B97F4A7C15ull);
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9ull;
    z = (z ^ (z >> 27)) * 0x94D049BB133111EBull;
    return z ^ (z >> 31);
}
static double uniform(double lo, double hi) { return lo + (hi - lo) * (double)(next() >> 11) * 0x1p-53; }

static int sigmoid(mpfr_t r, const mpfr_t x, mpfr_rnd_t rnd) {
    mpfr_neg(r, x, rnd);
    mpfr_exp(r, r, rnd);
    mpfr_add_ui(r, r, 1, rnd);
    return mpfr_ui_div(r, 1, r, rnd);
}

static int mpfr_bell(mpfr_t r, const mpfr_t x, mpfr_rnd_t rnd) {
    mpfr_sqr(r, x, rnd);
    mpfr_neg(r, r, rnd);
    return mpfr_exp(r, r, rnd);
}

static double bell(double x) { return (double)expl(-(long double)x * x); } /* the square not rounded to 53 bits */

static double logistic(double x) { return x > 0 ? 1 / (1 + exp(-x)) : exp(x) / (1 + exp(x)); }

typedef struct {
    const char *name;
    int (*f64)(int64_t, const double *, double *, void *, size_t);
    int (*f32)(int64_t, const float *, float *, void *, size_t);
    int (*exact)(mpfr_t, const mpfr_t, mpfr_rnd_t);
    double (*libm)(double);
    double lo, hi, lo32, hi32; /* where results are neither infinite nor below the normal numbers */
    double worst[2];
    double period;             /* points beside its multiples, too; 0: none */
} Function;

static const Function FUNCTIONS[] = {
    {"exp", exp64, exp32, mpfr_exp, exp, -708.39, 709.78, -87.33, 88.72, {-1, 1}},
    {"expm1", expm164, expm132, mpfr_expm1, expm1, -60, 709.78, -30, 88.72, {0.3, 0.45}},
    {"log", log64, log32, mpfr_log, log, 0, 1.79e308, 0, 3.4e38, {0.7, 1.42}},
    {"log1p", log1p64, log1p32, mpfr_log1p, log1p, -1, 1.79e308, -1, 3.4e38, {-0.5, 0.5}},
    {"tanh", tanh64, tanh32, mpfr_tanh, tanh, -30, 30, -15, 15, {0.05, 0.6}},
    {"sigmoid", sigmoid64, sigmoid32, sigmoid, logistic, -708.3, 50, -87.3, 20, {-4, -0.5}},
    {"sin", sin64, sin32, mpfr_sin, sin, -1.02e5, 1.02e5, -1.6e6, 1.6e6, {-50, 50}, 1.5707963267948966},
    {"cos", cos64, cos32, mpfr_cos, cos, -1.02e5, 1.02e5, -1.6e6, 1.6e6, {-50, 50}, 1.5707963267948966},
    {"erf", erf64, erf32, mpfr_erf, erf, -6, 6, -4, 4, {-1.5, 1.5}, 0},
    {"erfc", erfc64, erfc32, mpfr_erfc, erfc, -6, 26.54, -4, 9.19, {0, 3}, 0},
    {"erf", erf_pair64, erf_pair32, mpfr_erf, erf, -6, 6, -4, 4, {-1.5, 1.5}, 0},
    {"erfc", erfc_pair64, erfc_pair32, mpfr_erfc, erfc, -6, 26.54, -4, 9.19, {0, 3}, 0},
    {"exp(-(x*x))", bell64, bell32, mpfr_bell, bell, -26.61, 26.61, -9.34, 9.34, {-3, 3}, 0},
    {"exp(-(x*x))", bellc64, bellc32, mpfr_bell, bell, -26.61, 26.61, -9.34, 9.34, {-3, 3}, 0},
    {"asin", asin64, asin32, mpfr_asin, asin, -1, 1, -1, 1, {0.4, 0.7}, 0},
    {"acos", acos64, acos32, mpfr_acos, acos, -1, 1, -1, 1, {0.4, 0.9}, 0},
    {"atan", atan64, atan32, mpfr_atan, atan, -1e300, 1e300, -1e38, 1e38, {-3, 3}, 0},
    {"sinh", sinh64, sinh32, mpfr_sinh, sinh, -710.47, 710.47, -89.41, 89.41, {-2, 2}, 0},
    {"cosh", cosh64, cosh32, mpfr_cosh, cosh, -710.47, 710.47, -89.41, 89.41, {-2, 2}, 0},
    {"asinh", asinh64, asinh32, mpfr_asinh, asinh, -1e308, 1e308, -1e38, 1e38, {-2, 2}, 0},
    {"acosh", acosh64, acosh32, mpfr_acosh, acosh, 1, 1e308, 1, 1e38, {1, 3}, 0},
    {"atanh", atanh64, atanh32, mpfr_atanh, atanh, -1, 1, -1, 1, {-0.8, 0.8}, 0},
    {"tan", tan64, tan32, mpfr_tan, tan, -1.02e5, 1.02e5, -1.6e6, 1.6e6, {-50, 50}, 1.5707963267948966},
};

/* Half of the points where the errors are the largest, a quarter uniform, the rest near 0 or 1 and of any exponent. */
static double point(const Function *f, double lo, double hi, int i) {
    double x = uniform(lo, hi), s = next() & 1 ? 1 : -1;
    if (i % 2 == 1) x = uniform(f->worst[0], f->worst[1]);
    if (i % 8 == 2) x = (!strcmp(f->name, "log")) + s * ldexp(uniform(0.5, 1), -(int)(next() % 60));
    if (i % 8 == 6 && f->period) x = s * f->period * (double)(next() % (uint64_t)(hi / f->period));
    if (i % 8 == 4) x = s * ldexp(uniform(0.5, 1), (int)(next() % 2000) - 1000);
    return x < lo || x > hi ? uniform(lo < -20 ? -20 : lo, hi > 20 ? 20 : hi) : x;
}

/* |got - r| in ulps of r; digits: 53 or 24. */
static double distance(mpfr_t r, double got, int digits) {
    long e = mpfr_zero_p(r) ? 0 : (long)mpfr_get_exp(r), least = digits == 53 ? -1021 : -125;
    mpfr_sub_d(r, r, got, MPFR_RNDN);
    mpfr_div_2si(r, r, (e < least ? least : e) - digits, MPFR_RNDN);
    double e_ulp = fabs(mpfr_get_d(r, MPFR_RNDN));
    return e_ulp == e_ulp ? e_ulp : INFINITY;
}

/* The two bounds of a function on the page. */
static bool bounds(const char *page, const char *name, double *f64, double *f32) {
    char line[400], want[40];
    FILE *in = fopen(page, "r");
    bool found = false;
    snprintf(want, sizeof want, "| `%s` | %%lf | %%lf |", name);
    while (in && !found && fgets(line, sizeof line, in)) found = sscanf(line, want, f64, f32) == 2;
    if (in) fclose(in);
    return found;
}

static const double SPECIAL[] = {0.0, -0.0, INFINITY, -INFINITY, NAN, 1, -1, -2, 0x1p-1022, 0x1p-1074, -0x1p-1074, 0x1.fffffffffffffp1023,
                                 -0x1.fffffffffffffp1023, 709.79, -1000, 1000, 0x1p-60, 0x1p-126, 0x1p-149, -0x1p-149, 88.73, 1e-30,
                                 1e5, 1e6, 1e7, -1e22, 26.615717509251258, 26.61571750925126, 9.345401763916016, 9.34540271759};
enum { SPECIALS = sizeof SPECIAL / sizeof *SPECIAL };

/* Equal, but that what is below the normal numbers may be 0, and an ulp or two where the value is nothing special. */
static bool same(double got, double want, double normal, double ulps) {
    if (want != want) return got != got;
    if (fabs(want) < normal && got == 0) return true;
    if (want == 0 || isinf(want) || fabs(want) == 1) return got == want && signbit(got) == signbit(want);
    return fabs(got - want) <= 3 * ulps * fabs(want);
}

static int specials(const Function *f) {
    double out[SPECIALS];
    float in32[SPECIALS], out32[SPECIALS];
    int bad = 0;
    for (int i = 0; i < SPECIALS; i++) in32[i] = (float)SPECIAL[i];
    if (f->f64(SPECIALS, SPECIAL, out, NULL, 0) || f->f32(SPECIALS, in32, out32, NULL, 0)) return 1;
    for (int i = 0; i < SPECIALS; i++) {
        double want = f->libm(SPECIAL[i]), want32 = (float)f->libm(in32[i]);
        bool ok = same(out[i], want, 0x1p-1022, 0x1p-53), ok32 = same(out32[i], want32, 0x1p-126, 0x1p-24);
        if (!ok) printf("%s(%a) is %a, not %a\n", f->name, SPECIAL[i], out[i], want);
        if (!ok32) printf("%s(%a) in f32 is %a, not %a\n", f->name, in32[i], out32[i], want32);
        bad += !ok + !ok32;
    }
    return bad;
}

/* The page's bounds against what was found. */
static int verdict(const char *page, const char *name, const double worst[2]) {
    double bound[2] = {0, 0};
    bool ok = bounds(page, name, &bound[0], &bound[1]) && worst[0] <= bound[0] && worst[1] <= bound[1];
    printf("%-8s f64 %.2f  f32 %.2f%s\n", name, worst[0], worst[1], ok ? "" : ": above its bound");
    return !ok;
}

static double x[N], y[N], v[N];
static float x32[N], y32[N], v32[N];

/* What is rare in one lane changes nothing in the others: v, of x, is compared with what x gives beside infinities. */
static int neighbours(const Function *f) {
    int bad = 0;
    for (int i = 3; i < N; i += 8) x[i] = INFINITY;
    if (f->f64(N, x, y, NULL, 0)) return 1;
    for (int i = 0; i < N; i++) bad += i % 8 != 3 && memcmp(&v[i], &y[i], sizeof *v);
    if (bad) printf("%s: %d results depend on their neighbours\n", f->name, bad);
    return bad != 0;
}

static int measure(const char *page, const Function *f) {
    double worst[2] = {0, 0};
    mpfr_t a, r;
    mpfr_init2(a, 120), mpfr_init2(r, 120);
    for (int i = 0; i < N; i++) {
        x[i] = point(f, f->lo, f->hi, i);
        x32[i] = (float)point(f, f->lo32, f->hi32, i);
        if (x32[i] == 0) x32[i] = 0.75f;
    }
    if (f->f64(N, x, v, NULL, 0) || f->f32(N, x32, v32, NULL, 0)) return puts(tdl_last_error()), 1;
    for (int i = 0; i < N; i++) {
        for (int k = 0; k < 2; k++) {
            mpfr_set_d(a, k ? x32[i] : x[i], MPFR_RNDN);
            f->exact(r, a, MPFR_RNDN);
            double e = distance(r, k ? v32[i] : v[i], k ? 24 : 53);
            if (!(e <= worst[k])) worst[k] = e;
        }
    }
    return verdict(page, f->name, worst) + neighbours(f) + specials(f);
}

/* ---- functions of two operands ---- */

typedef struct {
    const char *name;
    int (*f64)(int64_t, const double *, const double *, double *, void *, size_t);
    int (*f32)(int64_t, const float *, const float *, float *, void *, size_t);
    int (*exact)(mpfr_t, const mpfr_t, const mpfr_t, mpfr_rnd_t);
    double (*libm)(double, double);
    void (*points)(double *x, double *y, int i, double exponent);
} Function2;

static double sign(void) { return next() & 1 ? 1 : -1; }

/* Results of any exponent: x of any, x near 1 with large y, whole y of any sign of x. */
static void pow_points(double *px, double *py, int i, double exponent) {
    double wanted = uniform(-exponent, exponent);
    *px = exp2(uniform(-exponent, exponent));
    if (i % 2) *px = 1 + sign() * exp2(uniform(exponent < 1000 ? -20 : -40, -1));
    if (exponent < 1000) *px = (float)*px;
    *py = wanted / log2(*px);
    if (i % 4 == 2) *px *= sign(), *py = rint(*py);
    if (!(fabs(*py * log2(fabs(*px))) <= exponent)) *py = 1;
}

/* Angles of all quadrants, and lengths that differ by any factor. */
static void atan2_points(double *py, double *px, int i, double exponent) {
    *px = sign() * (i % 4 ? uniform(0, 1) : exp2(uniform(-exponent, exponent) / 2));
    *py = sign() * (i % 2 ? uniform(0, 1) : fabs(*px) * exp2(uniform(-40, 40)));
}

static const Function2 FUNCTIONS2[] = {
    {"pow", pow64, pow32, mpfr_pow, pow, pow_points},
    {"atan2", atan264, atan232, mpfr_atan2, atan2, atan2_points},
};

static int specials2(const Function2 *f) {
    static const double more[] = {3, -3, 0.5, -0.5, 2.5, 1e17, -1e17, 0x1p51, 0x1p52, 4503599627370497, 9007199254740991, 0x1p53, 0x1.8p-1074};
    enum { ALL = SPECIALS + sizeof more / sizeof *more };
    int bad = 0;
    for (int i = 0; i < ALL * ALL; i++) {
        int p = i / ALL, q = i % ALL;
        x[i] = p < SPECIALS ? SPECIAL[p] : more[p - SPECIALS];
        y[i] = q < SPECIALS ? SPECIAL[q] : more[q - SPECIALS];
        x32[i] = (float)x[i], y32[i] = (float)y[i];
    }
    if (f->f64(ALL * ALL, x, y, v, NULL, 0) || f->f32(ALL * ALL, x32, y32, v32, NULL, 0)) return 1;
    for (int i = 0; i < ALL * ALL; i++) {
        double want = f->libm(x[i], y[i]), want32 = (float)f->libm(x32[i], y32[i]);
        bool ok = same(v[i], want, 0x1p-1022, 0x1p-53), ok32 = same(v32[i], want32, 0x1p-126, 0x1p-24);
        if (!ok) printf("%s(%a, %a) is %a, not %a\n", f->name, x[i], y[i], v[i], want);
        if (!ok32) printf("%s(%a, %a) in f32 is %a, not %a\n", f->name, x32[i], y32[i], v32[i], want32);
        bad += !ok + !ok32;
    }
    return bad;
}

static int measure2(const char *page, const Function2 *f) {
    double worst[2] = {0, 0};
    mpfr_t a, b, r;
    mpfr_init2(a, 120), mpfr_init2(b, 120), mpfr_init2(r, 120);
    for (int i = 0; i < N; i++) {
        double p, q;
        f->points(&x[i], &y[i], i, 1020);
        f->points(&p, &q, i, 124);
        x32[i] = (float)p, y32[i] = (float)q;
    }
    if (f->f64(N, x, y, v, NULL, 0) || f->f32(N, x32, y32, v32, NULL, 0)) return puts(tdl_last_error()), 1;
    for (int i = 0; i < N; i++) {
        for (int k = 0; k < 2; k++) {
            mpfr_set_d(a, k ? x32[i] : x[i], MPFR_RNDN), mpfr_set_d(b, k ? y32[i] : y[i], MPFR_RNDN);
            f->exact(r, a, b, MPFR_RNDN);
            double e = distance(r, k ? v32[i] : v[i], k ? 24 : 53);
            if (!(e <= worst[k])) worst[k] = e;
        }
    }
    return verdict(page, f->name, worst) + specials2(f);
}

int main(int argc, char **argv) {
    int bad = argc < 2;
    for (size_t i = 0; argc >= 2 && i < sizeof FUNCTIONS / sizeof *FUNCTIONS; i++)
        if (argc == 2 || !strcmp(argv[2], FUNCTIONS[i].name)) bad += measure(argv[1], &FUNCTIONS[i]);
    for (size_t i = 0; argc >= 2 && i < sizeof FUNCTIONS2 / sizeof *FUNCTIONS2; i++)
        if (argc == 2 || !strcmp(argv[2], FUNCTIONS2[i].name)) bad += measure2(argv[1], &FUNCTIONS2[i]);
    printf("%d faults\n", bad);
    return bad != 0;
}
