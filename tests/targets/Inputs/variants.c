/* Calls every variant of the object on the same data: `tdl.level`, made visible, says which. The sizes are the same, the
 * gradients agree up to contraction. Without an argument: the level that the object finds itself, from four threads at once. */
#include "gmm.h"
#include <math.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

#ifndef TOLERANCE
#define TOLERANCE 1e-12
#endif

#ifdef LEVEL
extern int level __asm__("tdl.level");
#else
static int level;
#endif
enum { N = 37, D = 5, K = 3, L = D * (D - 1) / 2 };
static double alpha[K], mu[K * D], q[K * D], l[K * L], x[N * D];

typedef struct { double value, dalpha[K], dmu[K * D], dq[K * D], dl[K * L]; } Out;

static void *run(void *user) {
    Out *o = user;
    size_t bytes = gmm_grad_workspace_size(N, D, K, 0);
    void *ws = malloc(bytes);
    if (gmm_grad(N, D, K, alpha, mu, q, l, x, 1.0, 0, &o->value, o->dalpha, o->dmu, o->dq, o->dl, ws, bytes)) puts(tdl_last_error());
    free(ws);
    return NULL;
}

static void fill(double *p, int n, double scale) {
    for (int i = 0; i < n; i++) p[i] = scale * sin(i * 7.3 + 0.1 * n);
}

int main(void) {
    Out o[4];
    pthread_t t[4];
    fill(alpha, K, 1), fill(mu, K * D, 2), fill(q, K * D, 0.3), fill(l, K * L, 0.5), fill(x, N * D, 2);
    int most = __builtin_cpu_supports("x86-64-v4") ? 4 : __builtin_cpu_supports("x86-64-v3") ? 3 : 2;
    for (int i = 0; i < 4; i++) {
        level = i < most ? i + 1 : most;
#ifdef LEVEL
        run(&o[i]);
    }
#else
        pthread_create(&t[i], NULL, run, &o[i]);
    }
    for (int i = 0; i < 4; i++) pthread_join(t[i], NULL);
#endif
    (void)t;
    for (int i = 1; i < 4; i++)
        for (size_t k = 0; k < sizeof *o / sizeof(double); k++) {
            double a = ((double *)&o[0])[k], b = ((double *)&o[i])[k];
            if (!(fabs(a - b) <= TOLERANCE * (1 + fabs(a)))) return printf("%d: %zu: %.17g %.17g\n", i, k, a, b), 1;
        }
    puts("same");
    return 0;
}
