/* network: a training step (value, gradients, update) of a network of two hidden layers, in % of what its multiply-adds
 * take at least: network [BATCH INPUTS HIDDEN OUTPUTS], 64 784 512 10 by default. Least time of many steps. The loss goes
 * down, or the exit status is 1. */
#include "network.h"
#include "peak.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { REPEATS = 300 };

static float *numbers(int64_t n, float scale) {
    float *p = aligned_alloc(64, (size_t)(n * 4 + 63) / 64 * 64);
    for (int64_t i = 0; i < n; i++) p[i] = scale * ((float)rand() / (float)RAND_MAX - 0.5f);
    return p;
}

int main(int argc, char **argv) {
    int64_t size[4] = {64, 784, 512, 10};
    for (int i = 0; i + 1 < argc && i < 4; i++) size[i] = atoi(argv[i + 1]);
    int64_t n = size[0], d = size[1], h = size[2], c = size[3];
    float *w1 = numbers(d * h, 0.1f), *w2 = numbers(h * h, 0.1f), *w3 = numbers(h * c, 0.1f), *x = numbers(n * d, 1);
    float *b1 = numbers(h, 0), *b2 = numbers(h, 0), *b3 = numbers(c, 0), value, first = 0;
    int64_t *label = malloc((size_t)n * 8);
    for (int64_t i = 0; i < n; i++) label[i] = rand() % c;
    size_t bytes = step_workspace_size(n, d, h, c);
    void *ws = aligned_alloc(64, (bytes + 63) / 64 * 64);
    memset(ws, 0, bytes);
    double best = INFINITY, peak = peak_f32(), flops = 2.0 * (double)n * (double)(2 * d * h + 3 * h * h + 3 * h * c);
    for (int r = 0; r < REPEATS; r++) {
        double start = seconds();
        if (step(n, d, h, c, w1, b1, w2, b2, w3, b3, x, label, 0.05f, &value, w1, b1, w2, b2, w3, b3, ws, bytes)) return puts(tdl_last_error()), 1;
        double t = seconds() - start;
        best = t < best ? t : best;
        if (r == 0) first = value;
    }
    printf("%.1f us, %.1f %% of the multiply-add bound of %.1f us; loss %.3f to %.3f; workspace %.2f MB\n", 1e6 * best,
           100 * flops / peak / best, 1e6 * flops / peak, (double)first, (double)value, 1e-6 * (double)bytes);
    return !(value < first);
}
