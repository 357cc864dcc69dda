/* An attention block and its gradient from products by register tiles (gemm.h), head by head in the middle. Matrices that a
 * product wants transposed on its right are transposed first.
 *
 * Bound: its multiply-adds, and two passes over the weights with an exponential each. */
#include "attention.h"
#include "vector.h"
#include "gemm32.h"

typedef struct { float *q, *k, *v, *y, *dq, *dk, *dv, *dy, *out, *p, *dp, *turned, *spare; } Work;

static size_t divide(Work *w, float *from, int64_t t, int64_t d, int64_t h, int64_t e) {
    float *start = from, **projected[] = {&w->q, &w->k, &w->v, &w->y, &w->dq, &w->dk, &w->dv, &w->dy};
    int64_t wide = h * e > t ? h * e : t;
    for (int i = 0; i < 8; i++) *projected[i] = from, from += t * h * e;
    w->out = from, from += t * d;
    w->p = from, from += h * t * t;
    w->dp = from, from += t * t;
    w->turned = from, from += (d > t ? d : t) * wide;
    w->spare = from;
    return (size_t)(from - start) + gemm32_spare(wide > d ? wide : d);
}

size_t attention_grad_workspace_size(int64_t t, int64_t d, int64_t h, int64_t e) {
    Work w;
    return 64 + divide(&w, NULL, t, d, h, e) * sizeof(float);
}

static float *turn(const float *from, int64_t rows, int64_t columns, int64_t ld, float *to) {
    transpose_to(from, rows, columns, ld, to);
    return to;
}

static float sum_of(F x) {
    float s = 0;
    for (int i = 0; i < FLOATS; i++) s += x[i];
    return s;
}

/* Rows of s become their softmax. */
static void softmax(int64_t t, float *s) {
    for (int64_t i = 0; i < t; i++) {
        float *row = s + i * t, most = row[0], rest = 0;
        F sum = {0};
        int64_t j = 0;
        for (int64_t c = 0; c < t; c++) most = row[c] > most ? row[c] : most;
        for (; j + FLOATS <= t; j += FLOATS) {
            F x = loadf(row + j) - most, e = vexpf(largerf(x, (F){0} - 87));
            storef(row + j, e);
            sum += e;
        }
        for (; j < t; j++) rest += row[j] = expf(row[j] - most);
        float scale = 1 / (rest + sum_of(sum));
        for (j = 0; j < t; j++) row[j] *= scale;
    }
}

/* dp becomes scale p (dp - sum p dp), rows by themselves. */
static void back_softmax(int64_t t, const float *restrict p, float *restrict dp, float scale) {
    for (int64_t i = 0; i < t; i++, p += t, dp += t) {
        F sum = {0};
        float rest = 0;
        int64_t j = 0;
        for (; j + FLOATS <= t; j += FLOATS) sum += loadf(p + j) * loadf(dp + j);
        for (; j < t; j++) rest += p[j] * dp[j];
        rest += sum_of(sum);
        for (j = 0; j < t; j++) dp[j] = scale * p[j] * (dp[j] - rest);
    }
}

int attention_grad(int64_t t, int64_t d, int64_t h, int64_t e, const float *x, const float *wq, const float *wk, const float *wv, const float *wo,
                   float *value, float *dx, float *dwq, float *dwk, float *dwv, float *dwo, void *workspace, size_t bytes) {
    (void)bytes;
    Work w;
    int64_t he = h * e;
    float scale = 1 / sqrtf((float)e);
    double loss = 0;
    divide(&w, aligned(workspace), t, d, h, e);
    gemm32(t, he, d, x, d, 1, wq, he, 1, NULL, w.q, he, w.spare);
    gemm32(t, he, d, x, d, 1, wk, he, 1, NULL, w.k, he, w.spare);
    gemm32(t, he, d, x, d, 1, wv, he, 1, NULL, w.v, he, w.spare);
    for (int64_t i = 0; i < h; i++) {
        float *p = w.p + i * t * t;
        gemm32(t, t, e, w.q + i * e, he, 1, turn(w.k + i * e, t, e, he, w.turned), t, scale, NULL, p, t, w.spare);
        softmax(t, p);
        gemm32(t, e, t, p, t, 1, w.v + i * e, he, 1, NULL, w.y + i * e, he, w.spare);
    }
    gemm32(t, d, he, w.y, he, 1, wo, d, 1, x, w.out, d, w.spare);
    for (int64_t i = 0; i < t * d; i++) {
        loss += (double)w.out[i] * w.out[i];
        w.out[i] *= 2 / (float)(t * d);
    }
    *value = (float)(loss / (double)(t * d));
    gemm32(he, d, t, w.y, 1, he, w.out, d, 1, NULL, dwo, d, w.spare);
    gemm32(t, he, d, w.out, d, 1, turn(wo, he, d, d, w.turned), he, 1, NULL, w.dy, he, w.spare);
    for (int64_t i = 0; i < h; i++) {
        float *p = w.p + i * t * t, *dy = w.dy + i * e;
        gemm32(t, e, t, p, 1, t, dy, he, 1, NULL, w.dv + i * e, he, w.spare);
        gemm32(t, t, e, dy, he, 1, turn(w.v + i * e, t, e, he, w.turned), t, 1, NULL, w.dp, t, w.spare);
        back_softmax(t, p, w.dp, scale);
        gemm32(t, e, t, w.dp, t, 1, w.k + i * e, he, 1, NULL, w.dq + i * e, he, w.spare);
        gemm32(t, e, t, w.dp, 1, t, w.q + i * e, he, 1, NULL, w.dk + i * e, he, w.spare);
    }
    const float *weights[] = {wq, wk, wv}, *cotangents[] = {w.dq, w.dk, w.dv}, *base = w.out;
    float *gradients[] = {dwq, dwk, dwv};
    for (int i = 0; i < 3; i++, base = dx) {
        gemm32(d, he, t, x, 1, d, cotangents[i], he, 1, NULL, gradients[i], he, w.spare);
        gemm32(t, d, he, cotangents[i], he, 1, turn(weights[i], d, he, he, w.turned), d, 1, base, dx, d, w.spare);
    }
    return 0;
}
