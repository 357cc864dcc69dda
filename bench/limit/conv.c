/* A small convolution network's gradient, an image at a time, there and back while it is in the cache. Channels lie last, and
 * images between zeros, so that a convolution is three products of matrices (gemm.h), one for each row of the kernel: row i of
 * the left one begins at pixel i and holds three pixels. The sums at a row's last two pixels mean nothing and are not used.
 *
 * Bound: its multiply-adds. */
#include "conv.h"
#include "vector.h"
#include "gemm32.h"

/* `side` pixels square, `channels` each; padded: side + 2. */
typedef struct { long side, channels; } Image;

static long padded(Image i) { return (i.side + 2) * (i.side + 2) * i.channels + 2 * i.channels; }
static long pixels(Image i) { return i.side * (i.side + 2); } /* of a convolution's result, with the two that mean nothing */

typedef struct {
    float *x, *y, *dy, *v1, *v2, *dv1, *dv2, *z, *dz, *logits;  /* padded inputs; results before and after pooling */
    float *w1, *w2, *turned, *dw1, *dw2, *w3, *dw3, *spare;     /* weights as the products want them */
} Work;

static size_t divide(Work *w, float *from, long c, long s, long a, long b, long o) {
    Image x = {4 * s, c}, y = {2 * s, a}, z = {s, b};
    float *start = from;
    const struct { float **to; long size; } parts[] = {
        {&w->x, padded(x)}, {&w->y, padded(y)}, {&w->dy, padded(y)}, {&w->v1, pixels(x) * a}, {&w->v2, pixels(y) * b}, {&w->dv1, pixels(x) * a},
        {&w->dv2, padded((Image){2 * s, b})}, {&w->z, s * s * b}, {&w->dz, s * s * b}, {&w->logits, o}, {&w->w1, 9 * c * a},
        {&w->w2, 9 * a * b}, {&w->turned, 9 * a * b}, {&w->dw1, 9 * c * a}, {&w->dw2, 9 * a * b}, {&w->w3, o * s * s * z.channels},
        {&w->dw3, o * s * s * b}};
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++) *parts[i].to = from, from += parts[i].size;
    w->spare = from;
    return (size_t)(from - start) + gemm32_spare(a > b ? a : b);
}

size_t convnet_grad_workspace_size(int64_t n, int64_t c, int64_t s, int64_t a, int64_t b, int64_t o) {
    Work w;
    (void)n;
    return 64 + divide(&w, NULL, c, s, a, b, o) * sizeof(float);
}

/* to[pixel][out] = sum over the kernel of from times w[row][column, in][out]. */
static void convolve(Image from, const float *x, const float *w, long out, float *to, float *spare) {
    long k = 3 * from.channels, line = (from.side + 2) * from.channels;
    for (int r = 0; r < 3; r++) gemm32(pixels(from), out, k, x + r * line, from.channels, 1, w + r * k * out, out, 1, r ? to : NULL, to, out, spare);
}

/* dw += the kernel's cotangent; those of the pixels that mean nothing are 0. */
static void back_weights(Image from, const float *x, const float *dv, long out, float *dw, float *spare) {
    long k = 3 * from.channels, line = (from.side + 2) * from.channels;
    for (int r = 0; r < 3; r++)
        gemm32(k, out, pixels(from), x + r * line, 1, from.channels, dv, out, 1, dw + r * k * out, dw + r * k * out, out, spare);
}

/* Pixel (i, j) of the result of pooling relu(v + bias), `v` of a row length of side + 2. */
static void pool(long side, long channels, const float *v, const float *bias, float *to, long line) {
    long row = (side + 2) * channels;
    for (long i = 0; i < side / 2; i++)
        for (long j = 0; j < side / 2; j++) {
            const float *p = v + 2 * i * row + 2 * j * channels;
            float *restrict q = to + i * line + j * channels;
            for (long c = 0; c < channels; c++) {
                float m = p[c] > p[c + channels] ? p[c] : p[c + channels], l = p[row + c] > p[row + c + channels] ? p[row + c] : p[row + c + channels];
                m = (m > l ? m : l) + bias[c];
                q[c] = m > 0 ? m : 0;
            }
        }
}

/* dv gets the cotangent of the largest of each four, where it was positive; db the sums. */
static void back_pool(long side, long channels, const float *v, const float *y, const float *dy, long line, float *dv, float *db) {
    long row = (side + 2) * channels;
    for (long i = 0; i < side / 2; i++)
        for (long j = 0; j < side / 2; j++) {
            long at = 2 * i * row + 2 * j * channels;
            const float *p = v + at, *yq = y + i * line + j * channels, *d = dy + i * line + j * channels;
            float *restrict q = dv + at;
            for (long c = 0; c < channels; c++) {
                float top = p[c] > p[c + channels] ? p[c] : p[c + channels], low = p[row + c] > p[row + c + channels] ? p[row + c] : p[row + c + channels];
                float g = yq[c] > 0 ? d[c] : 0;
                int first = top >= low;
                q[c] = first && p[c] == top ? g : 0;
                q[c + channels] = first && p[c] != top ? g : 0;
                q[row + c] = !first && p[row + c] == low ? g : 0;
                q[row + c + channels] = !first && p[row + c] != low ? g : 0;
                db[c] += g;
            }
        }
}

/* w[out][in][3][3] as [3][3][in][out]; `turned` (or NULL) as [2-r][2-q][out][in], for the way back. */
static void arrange(const float *w, long in, long out, float *to, float *turned) {
    for (long k = 0; k < out; k++)
        for (long c = 0; c < in; c++)
            for (long t = 0; t < 9; t++) {
                float v = w[(k * in + c) * 9 + t];
                to[(t * in + c) * out + k] = v;
                if (turned) turned[((8 - t) * out + k) * in + c] = v;
            }
}

static void disarrange(const float *from, long in, long out, float *dw) {
    for (long k = 0; k < out; k++)
        for (long c = 0; c < in; c++)
            for (long t = 0; t < 9; t++) dw[(k * in + c) * 9 + t] = from[(t * in + c) * out + k];
}

/* The last layer, its loss and cotangents. */
static double classify(Work *w, long features, long o, const float *b3, int64_t label, float weight, float *db3) {
    float most = -INFINITY, sum = 0, chosen;
    for (long k = 0; k < o; k++) {
        F s = {0};
        long j = 0;
        float t = b3[k];
        for (; j + FLOATS <= features; j += FLOATS) s += loadf(w->w3 + k * features + j) * loadf(w->z + j);
        for (; j < features; j++) t += w->w3[k * features + j] * w->z[j];
        for (int i = 0; i < FLOATS; i++) t += s[i];
        w->logits[k] = t;
        most = t > most ? t : most;
    }
    chosen = w->logits[label];
    for (long k = 0; k < o; k++) sum += w->logits[k] = expf(w->logits[k] - most);
    memset(w->dz, 0, (size_t)features * sizeof(float));
    for (long k = 0; k < o; k++) {
        float d = weight * (w->logits[k] / sum - (float)(k == label));
        db3[k] += d;
        for (long j = 0; j < features; j++) {
            w->dz[j] += d * w->w3[k * features + j];
            w->dw3[k * features + j] += d * w->z[j];
        }
    }
    return (double)(most + logf(sum) - chosen);
}

static double one_image(Work *w, long c, long s, long a, long b, long o, const float *b1, const float *b2, const float *b3, const float *x,
                        int64_t label, float weight, float *db1, float *db2, float *db3) {
    Image first = {4 * s, c}, second = {2 * s, a}, top = {2 * s, b};
    long line = (second.side + 2) * a;
    for (long i = 0; i < first.side; i++)
        for (long j = 0; j < first.side; j++)
            for (long k = 0; k < c; k++) w->x[((i + 1) * (first.side + 2) + j + 1) * c + k] = x[(k * first.side + i) * first.side + j];
    convolve(first, w->x, w->w1, a, w->v1, w->spare);
    pool(first.side, a, w->v1, b1, w->y + line + a, line);
    convolve(second, w->y, w->w2, b, w->v2, w->spare);
    pool(second.side, b, w->v2, b2, w->z, s * b);
    double loss = classify(w, s * s * b, o, b3, label, weight, db3);
    float *dv2 = w->dv2 + (top.side + 2) * b + b; /* between zeros, for the way back */
    back_pool(second.side, b, w->v2, w->z, w->dz, s * b, dv2, db2);
    back_weights(second, w->y, dv2, b, w->dw2, w->spare);
    convolve(top, w->dv2, w->turned, a, w->dy, w->spare);
    back_pool(first.side, a, w->v1, w->y + line + a, w->dy, line, w->dv1, db1);
    back_weights(first, w->x, w->dv1, a, w->dw1, w->spare);
    return loss;
}

/* Features by pixel and channel instead of channel and pixel, or back. */
static void exchange(const float *from, long o, long rows, long columns, float *to) {
    for (long k = 0; k < o; k++)
        for (long i = 0; i < rows; i++)
            for (long j = 0; j < columns; j++) to[(k * columns + j) * rows + i] = from[(k * rows + i) * columns + j];
}

int convnet_grad(int64_t n, int64_t c, int64_t s, int64_t a, int64_t b, int64_t o, const float *w1, const float *b1, const float *w2,
                 const float *b2, const float *w3, const float *b3, const float *x, const int64_t *label, float *value, float *dw1, float *db1,
                 float *dw2, float *db2, float *dw3, float *db3, void *workspace, size_t bytes) {
    Work w;
    double loss = 0;
    memset(workspace, 0, bytes);
    divide(&w, aligned(workspace), c, s, a, b, o);
    arrange(w1, c, a, w.w1, NULL);
    arrange(w2, a, b, w.w2, w.turned);
    exchange(w3, o, b, s * s, w.w3);
    memset(db1, 0, (size_t)a * sizeof(float));
    memset(db2, 0, (size_t)b * sizeof(float));
    memset(db3, 0, (size_t)o * sizeof(float));
    for (int64_t i = 0; i < n; i++)
        loss += one_image(&w, c, s, a, b, o, b1, b2, b3, x + i * c * 16 * s * s, label[i], 1 / (float)n, db1, db2, db3);
    disarrange(w.dw1, c, a, dw1);
    disarrange(w.dw2, a, b, dw2);
    exchange(w.dw3, o, s * s, b, dw3);
    *value = (float)(loss / (double)n);
    return 0;
}
