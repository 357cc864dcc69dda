/* The LSTM's gradient as GradBench's C++ has it by hand: derivatives of the states by the weights that they depend on, carried
 * forward, a bit at a time. Those of layer i are by the 8 weights of each of the layers 0..i, and by the first extra weight. */
#include "lstm.h"

#include <math.h>
#include <string.h>

static int64_t width(int64_t l) { return 8 * l + 1; }

/* States, and their derivatives by [layer][bit][width]; one input's derivatives; a character's results. */
size_t lstm_grad_workspace_size(int64_t l, int64_t c, int64_t b) {
    (void)c;
    return (size_t)(2 * l * b + (2 * l + 1) * b * width(l) + 2 * b) * sizeof(double);
}

static double sigmoid(double x) { return 1 / (1 + exp(-x)); }

/* One layer and bit: w[8] are its weights, b apart; *h, *s and their derivatives become the new ones. `own`: where the layer's
 * weights begin among `n` derivatives. The input x has the derivatives dx. */
static void step(int64_t b, int64_t own, int64_t n, const double *w, double x, const double *restrict dx, double *h, double *s,
                 double *restrict dh, double *restrict ds) {
    double f = sigmoid(x * w[0] + w[4 * b]), g = sigmoid(*h * w[b] + w[5 * b]), o = sigmoid(x * w[2 * b] + w[6 * b]);
    double a = tanh(*h * w[3 * b] + w[7 * b]), cell = *s * f + g * a, squashed = tanh(cell);
    double df = *s * f * (1 - f), dg = a * g * (1 - g), d_o = squashed * o * (1 - o), da = g * (1 - a * a), dcell = o * (1 - squashed * squashed);
    double direct_s[8] = {df * x, dg * *h, 0, da * *h, df, dg, 0, da}, direct_o[8] = {0, 0, d_o * x, 0, 0, 0, d_o, 0};
    for (int64_t p = 0; p < n; p++) {
        double change = ds[p] * f + df * w[0] * dx[p] + (dg * w[b] + da * w[3 * b]) * dh[p];
        dh[p] = d_o * w[2 * b] * dx[p] + dcell * change;
        ds[p] = change;
    }
    for (int i = 0; i < 8; i++) {
        ds[own + i] += direct_s[i];
        dh[own + i] += direct_o[i] + dcell * direct_s[i];
    }
    *s = cell;
    *h = o * squashed;
}

int lstm_grad(int64_t l, int64_t c, int64_t b, const double *main, const double *extra, const double *state, const double *sequence,
              double *value, double *dmain, double *dextra, void *workspace, size_t bytes) {
    (void)bytes;
    int64_t n = width(l);
    double *h = workspace, *s = h + l * b, *dh = s + l * b, *ds = dh + l * b * n, *dx = ds + l * b * n, *y = dx + b * n, *e = y + b;
    double sum = 0, scale = -1 / (double)((c - 1) * b);
    memset(dmain, 0, (size_t)(l * 8 * b) * sizeof(double));
    memset(dextra, 0, (size_t)(3 * b) * sizeof(double));
    memset(dh, 0, (size_t)((2 * l + 1) * b * n) * sizeof(double));
    for (int64_t i = 0; i < l * b; i++) h[i] = state[i / b * 2 * b + i % b], s[i] = state[(i / b * 2 + 1) * b + i % b];
    for (int64_t t = 0; t < c - 1; t++) {
        const double *next = sequence + (t + 1) * b;
        double all = 2, ones = 0;
        for (int64_t j = 0; j < b; j++) {
            double x = sequence[t * b + j] * extra[j], *d = dx + j * n;
            memset(d, 0, (size_t)n * sizeof(double));
            d[8 * l] = sequence[t * b + j];
            for (int64_t i = 0; i < l; i++) {
                int64_t at = i * b + j;
                step(b, 8 * i, n, main + i * 8 * b + j, x, i ? dh + (at - b) * n : d, &h[at], &s[at], dh + at * n, ds + at * n);
                x = h[at];
            }
            y[j] = x * extra[b + j] + extra[2 * b + j];
            all += e[j] = exp(y[j]);
            ones += next[j];
        }
        for (int64_t j = 0; j < b; j++) {
            const double *d = dh + ((l - 1) * b + j) * n;
            double dy = scale * (next[j] - ones * e[j] / all);
            sum += next[j] * (y[j] - log(all));
            for (int64_t p = 0; p < 8 * l; p++) dmain[p * b + j] += dy * extra[b + j] * d[p];
            dextra[j] += dy * extra[b + j] * d[8 * l];
            dextra[b + j] += dy * h[(l - 1) * b + j];
            dextra[2 * b + j] += dy;
        }
    }
    *value = scale * sum;
    return 0;
}
