/* ulp PAGE: the largest error of each function of functions.tdl, in units of the last place, against MPFR at N points;
 * fails where one is above its line `| name | f64 | f32 |` on the page docs/math.md, and where a special value is not
 * that of the C library. */
#include "functions.h"
#include <math.h>
#include <mpfr.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { N = 100000 };

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

/* In ulps of the exact value; digits: 53 or 24. */
static double error(const Function *f, double x, double got, int digits, mpfr_t a, mpfr_t r) {
    mpfr_set_d(a, x, MPFR_RNDN);
    f->exact(r, a, MPFR_RNDN);
    long e = (long)mpfr_get_exp(r), least = digits == 53 ? -1021 : -125;
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
                                 1e5, 1e6, 1e7, -1e22};
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

int main(int argc, char **argv) {
    int bad = argc != 2;
    static double x[N], y[N];
    static float x32[N], y32[N];
    mpfr_t a, r;
    mpfr_init2(a, 120), mpfr_init2(r, 120);
    for (size_t k = 0; k < sizeof FUNCTIONS / sizeof *FUNCTIONS; k++) {
        const Function *f = &FUNCTIONS[k];
        double worst = 0, worst32 = 0, at = 0, at32 = 0;
        for (int i = 0; i < N; i++) {
            x[i] = point(f, f->lo, f->hi, i);
            x32[i] = (float)point(f, f->lo32, f->hi32, i);
            if (x32[i] == 0) x32[i] = 0.75f;
        }
        if (f->f64(N, x, y, NULL, 0) || f->f32(N, x32, y32, NULL, 0)) return puts(tdl_last_error()), 1;
        for (int i = 0; i < N; i++) {
            double e = error(f, x[i], y[i], 53, a, r), e32 = error(f, x32[i], y32[i], 24, a, r);
            if (!(e <= worst)) worst = e, at = x[i];
            if (!(e32 <= worst32)) worst32 = e32, at32 = x32[i];
        }
        double bound = 0, bound32 = 0;
        bool ok = argc == 2 && bounds(argv[1], f->name, &bound, &bound32) && worst <= bound && worst32 <= bound32;
        printf("%-8s f64 %.2f at %a  f32 %.2f at %a%s\n", f->name, worst, at, worst32, at32, ok ? "" : ": above its bound");
        bad += !ok + specials(f);
    }
    printf("%d faults\n", bad);
    return bad != 0;
}
