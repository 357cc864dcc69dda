/* limit: the derivatives by hand beside the compiled one, in one process. Each line has the least time of REPEATS runs that
 * alternate, and the median ratio; results are compared with the references first.
 *
 *     limit DATA_FOLDER...    as examples/gmm/data/d10_k25 */
#include "gmm.h"
#include "both.h"
#include "tdl_npy.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

enum { REPEATS = 41 };

static double seconds(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static TdlNpy load(const char *folder, const char *name) {
    char path[4096];
    TdlNpy a;
    snprintf(path, sizeof path, "%s/%s.npy", folder, name);
    if (tdl_npy_read(path, &a)) fprintf(stderr, "%s\n", tdl_npy_error()), exit(1);
    return a;
}

typedef struct { double *p[4], value; long size[4]; } Result;

static Result result_of(const Gmm *g) {
    Result r = {.size = {g->k, (long)g->k * g->d, (long)g->k * g->d, (long)g->k * (g->d * (g->d - 1) / 2)}};
    for (int i = 0; i < 4; i++) r.p[i] = calloc((size_t)r.size[i] + 1, sizeof(double));
    return r;
}

/* max |a - b| / max |b| over the four gradients and the value. */
static double difference(const char *folder, const Result *r) {
    static const char *const names[] = {"expect_dalpha", "expect_dmu", "expect_dq", "expect_dl"};
    TdlNpy v = load(folder, "expect_value");
    double worst = fabs(r->value / *(double *)v.data - 1);
    for (int i = 0; i < 4; i++) {
        TdlNpy want = load(folder, names[i]);
        double error = 0, scale = 0;
        for (long j = 0; j < r->size[i]; j++) {
            error = fmax(error, fabs(r->p[i][j] - ((double *)want.data)[j]));
            scale = fmax(scale, fabs(((double *)want.data)[j]));
        }
        worst = fmax(worst, error / scale);
        tdl_npy_free(&want);
    }
    tdl_npy_free(&v);
    return worst;
}

enum { SCALAR, TUNED, COMPILED, FIXED, KINDS };
static const char *const KIND[] = {"by hand, scalar", "by hand, tuned", "tdlc", "tdlc -D d=10"};

static void once(int kind, const Gmm *g, Result *r, double *work, void *ws, size_t bytes) {
    GmmGrad out = {r->p[0], r->p[1], r->p[2], r->p[3]};
    if (kind == SCALAR) r->value = gmm_scalar(g, &out, work);
    else if (kind == TUNED) r->value = gmm_tuned(g, &out, work);
    else if ((kind == COMPILED ? gmm_grad : gmm10_grad)(g->n, g->d, g->k, g->alpha, g->mu, g->q, g->l, g->x, g->gamma, g->m,
                                                      &r->value, r->p[0], r->p[1], r->p[2], r->p[3], ws, bytes))
        fprintf(stderr, "%s\n", tdl_last_error()), exit(1);
}

static int by_size(const void *a, const void *b) { return *(double *)a < *(double *)b ? -1 : *(double *)a > *(double *)b; }

static int compare(const char *folder) {
    static const char *const names[] = {"alpha", "mu", "q", "l", "x", "gamma", "m"};
    TdlNpy a[7];
    for (int i = 0; i < 7; i++) a[i] = load(folder, names[i]);
    Gmm g = {(int)a[4].dims[0], (int)a[4].dims[1], (int)a[0].dims[0], (int)*(int64_t *)a[6].data, *(double *)a[5].data,
             a[0].data, a[1].data, a[2].data, a[3].data, a[4].data};
    size_t bytes = gmm_grad_workspace_size(g.n, g.d, g.k, g.m), other = gmm10_grad_workspace_size(g.n, g.d, g.k, g.m);
    if (g.d == 10 && other > bytes) bytes = other;
    void *ws = malloc(bytes);
    double *work[] = {malloc((size_t)gmm_scalar_work(&g) * 8), malloc((size_t)gmm_tuned_work(&g) * 8 + 64)};
    double time[KINDS][REPEATS], ratio[REPEATS];
    int used[KINDS] = {1, g.d <= 16, 1, g.d == 10}, bad = 0;
    printf("n=%d d=%d k=%d\n", g.n, g.d, g.k);
    Result r = result_of(&g);
    for (int k = 0; k < KINDS; k++) {
        if (!used[k]) continue;
        once(k, &g, &r, work[k == TUNED], ws, bytes);
        double e = difference(folder, &r);
        bad += !(e < 1e-10);
    }
    for (int i = 0; i < REPEATS; i++)
        for (int k = 0; k < KINDS; k++) {
            double start = seconds();
            if (used[k]) once(k, &g, &r, work[k == TUNED], ws, bytes);
            time[k][i] = seconds() - start;
        }
    for (int k = 0; k < KINDS; k++) {
        if (!used[k]) continue;
        for (int i = 0; i < REPEATS; i++) ratio[i] = time[SCALAR][i] / time[k][i];
        qsort(ratio, REPEATS, sizeof *ratio, by_size);
        qsort(time[k], REPEATS, sizeof(double), by_size);
        printf("  %-16s %9.1f us   %5.1f times the scalar (%.1f to %.1f)\n", KIND[k], 1e6 * time[k][0], ratio[REPEATS / 2],
               ratio[REPEATS / 10], ratio[REPEATS - 1 - REPEATS / 10]);
    }
    for (int i = 0; i < 4; i++) free(r.p[i]);
    for (int i = 0; i < 7; i++) tdl_npy_free(&a[i]);
    free(ws), free(work[0]), free(work[1]);
    if (bad) printf("  WRONG: %d of them differ from the reference by more than 1e-10\n", bad);
    return bad;
}

int main(int argc, char **argv) {
    int bad = argc < 2;
    for (int i = 1; i < argc; i++) bad += compare(argv[i]);
    return bad != 0;
}
