/* Computes the GMM log posterior and its gradient with the compiled gmm_grad, and compares with reference results.
 *
 *     gmm DATA_FOLDER...     each holds alpha mu q l x gamma m and expect_value, expect_dalpha, ... as .npy files
 *
 * Prints max |a - b| / max |b| for each result; fails when one is over 1e-10. */
#include "gmm.h"
#include "tdl_npy.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

static void die(const char *what)
{
    fprintf(stderr, "gmm: %s\n", what);
    exit(1);
}

static TdlNpy load(const char *folder, const char *name)
{
    char path[4096];
    snprintf(path, sizeof path, "%s/%s.npy", folder, name);
    TdlNpy a;
    if (tdl_npy_read(path, &a))
        die(tdl_npy_error());
    return a;
}

/* Compares `got` with the reference in expect_NAME.npy; true when the relative error is small enough. */
static int agrees(const char *folder, const char *name, const double *got)
{
    char file[64];
    snprintf(file, sizeof file, "expect_%s", name);
    TdlNpy want = load(folder, file);
    const double *b = want.data;
    double error = 0, scale = 0;
    for (int64_t i = 0; i < tdl_npy_count(&want); i++) {
        error = fmax(error, fabs(got[i] - b[i]));
        scale = fmax(scale, fabs(b[i]));
        if (isnan(got[i]))
            error = INFINITY;
    }
    printf("  %-6s %.1e", name, error / scale);
    tdl_npy_free(&want);
    return error <= 1e-10 * scale;
}

static double *array(int64_t n)
{
    double *p = malloc((size_t)n * sizeof *p);
    return p ? p : (die("out of memory"), NULL);
}

static double seconds(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static int run(const char *folder)
{
    TdlNpy alpha = load(folder, "alpha"), mu = load(folder, "mu"), q = load(folder, "q"), l = load(folder, "l");
    TdlNpy x = load(folder, "x"), gamma = load(folder, "gamma"), m = load(folder, "m");
    int64_t n = x.dims[0], d = x.dims[1], k = alpha.dims[0];
    double value, *dalpha = array(k), *dmu = array(k * d), *dq = array(k * d), *dl = array(k * (d * (d - 1) / 2) + 1);
    size_t ws_bytes = (size_t)gmm_grad_workspace_size(n, d, k, *(int64_t *)m.data);
    void *ws = malloc(ws_bytes ? ws_bytes : 1);
    double best = INFINITY;
    for (int i = 0; i < 5; i++) {
        double start = seconds();
        if (gmm_grad(n, d, k, alpha.data, mu.data, q.data, l.data, x.data, *(double *)gamma.data, *(int64_t *)m.data,
                     &value, dalpha, dmu, dq, dl, ws, ws_bytes))
            die(tdl_last_error());
        best = fmin(best, seconds() - start);
    }
    printf("n=%lld d=%lld k=%lld: %.3g ms, log posterior %.10g; relative errors:\n", (long long)n, (long long)d,
           (long long)k, best * 1e3, value);
    int ok = agrees(folder, "value", &value) & agrees(folder, "dalpha", dalpha) & agrees(folder, "dmu", dmu) &
             agrees(folder, "dq", dq) & agrees(folder, "dl", dl);
    printf("  %s\n", ok ? "ok" : "WRONG");
    TdlNpy *all[] = {&alpha, &mu, &q, &l, &x, &gamma, &m};
    for (int i = 0; i < 7; i++)
        tdl_npy_free(all[i]);
    free(dalpha), free(dmu), free(dq), free(dl), free(ws);
    return ok;
}

int main(int argc, char **argv)
{
    int ok = argc > 1;
    for (int i = 1; i < argc; i++)
        ok &= run(argv[i]);
    return ok ? 0 : 1;
}
