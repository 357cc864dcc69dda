/* The LSTM's gradient by a reverse sweep as one writes it: gates kept, one bit at a time. */
#include "lstm.h"

#include <math.h>
#include <string.h>

enum { FORGET, IN, OUT, CHANGE, CELL, HIDDEN, KEPT };

size_t lstm_grad_workspace_size(int64_t l, int64_t c, int64_t b) { return (size_t)(((c - 1) * l * KEPT + 4 * l + 2) * b) * sizeof(double); }

static double sigmoid(double x) { return 1 / (1 + exp(-x)); }

/* One layer: w[2][4][b]; `kept`[KEPT][b] takes the gates and the new states. */
static void step(int64_t b, const double *w, const double *hidden, const double *cell, const double *x, double *restrict kept) {
    for (int64_t j = 0; j < b; j++) {
        double f = sigmoid(x[j] * w[j] + w[4 * b + j]), g = sigmoid(hidden[j] * w[b + j] + w[5 * b + j]);
        double o = sigmoid(x[j] * w[2 * b + j] + w[6 * b + j]), a = tanh(hidden[j] * w[3 * b + j] + w[7 * b + j]);
        double s = cell[j] * f + g * a;
        kept[FORGET * b + j] = f, kept[IN * b + j] = g, kept[OUT * b + j] = o, kept[CHANGE * b + j] = a;
        kept[CELL * b + j] = s, kept[HIDDEN * b + j] = o * tanh(s);
    }
}

/* dh and ds of after become those of before; adds to dw; dx is the input's. */
static void back(int64_t b, const double *w, const double *hidden, const double *cell, const double *x, const double *kept,
                 double *restrict dh, double *restrict ds, double *restrict dx, double *restrict dw) {
    for (int64_t j = 0; j < b; j++) {
        double f = kept[FORGET * b + j], g = kept[IN * b + j], o = kept[OUT * b + j], a = kept[CHANGE * b + j];
        double th = tanh(kept[CELL * b + j]), d = ds[j] + dh[j] * o * (1 - th * th);
        double zf = d * cell[j] * f * (1 - f), zg = d * a * g * (1 - g), zo = dh[j] * th * o * (1 - o), za = d * g * (1 - a * a);
        dw[j] += zf * x[j], dw[b + j] += zg * hidden[j], dw[2 * b + j] += zo * x[j], dw[3 * b + j] += za * hidden[j];
        dw[4 * b + j] += zf, dw[5 * b + j] += zg, dw[6 * b + j] += zo, dw[7 * b + j] += za;
        ds[j] = d * f;
        dh[j] = zg * w[b + j] + za * w[3 * b + j];
        dx[j] = zf * w[j] + zo * w[2 * b + j];
    }
}

int lstm_grad(int64_t l, int64_t c, int64_t b, const double *main, const double *extra, const double *state, const double *sequence,
              double *value, double *dmain, double *dextra, void *workspace, size_t bytes) {
    (void)bytes;
    double *kept = workspace, *d = kept + (c - 1) * l * KEPT * b, *x = d + 2 * l * b, *dx = x + b, sum = 0, scale = -1 / (double)((c - 1) * b);
    memset(dmain, 0, (size_t)(l * 8 * b) * sizeof(double));
    memset(dextra, 0, (size_t)(3 * b) * sizeof(double));
    memset(d, 0, (size_t)(2 * l * b) * sizeof(double));
    for (int64_t t = 0; t < c - 1; t++) {
        for (int64_t j = 0; j < b; j++) x[j] = sequence[t * b + j] * extra[j];
        for (int64_t i = 0; i < l; i++) {
            double *k = kept + (t * l + i) * KEPT * b, *before = k - l * KEPT * b;
            const double *hidden = t ? before + HIDDEN * b : state + 2 * i * b, *cell = t ? before + CELL * b : state + (2 * i + 1) * b;
            step(b, main + i * 8 * b, hidden, cell, i ? k - b : x, k);
        }
    }
    for (int64_t t = c - 2; t >= 0; t--) {
        const double *top = kept + ((t + 1) * l * KEPT - 1) * b, *next = sequence + (t + 1) * b;
        double all = 2, ones = 0;
        for (int64_t j = 0; j < b; j++) all += exp(top[j] * extra[b + j] + extra[2 * b + j]), ones += next[j];
        for (int64_t j = 0; j < b; j++) {
            double y = top[j] * extra[b + j] + extra[2 * b + j], dy = scale * (next[j] - ones * exp(y) / all);
            sum += next[j] * (y - log(all));
            dextra[b + j] += dy * top[j], dextra[2 * b + j] += dy;
            dx[j] = dy * extra[b + j];
            x[j] = sequence[t * b + j] * extra[j];
        }
        for (int64_t i = l - 1; i >= 0; i--) {
            double *k = kept + (t * l + i) * KEPT * b, *before = k - l * KEPT * b;
            const double *hidden = t ? before + HIDDEN * b : state + 2 * i * b, *cell = t ? before + CELL * b : state + (2 * i + 1) * b;
            for (int64_t j = 0; j < b; j++) d[2 * i * b + j] += dx[j];
            back(b, main + i * 8 * b, hidden, cell, i ? k - b : x, k, d + 2 * i * b, d + (2 * i + 1) * b, dx, dmain + i * 8 * b);
        }
        for (int64_t j = 0; j < b; j++) dextra[j] += dx[j] * sequence[t * b + j];
    }
    *value = scale * sum;
    return 0;
}
