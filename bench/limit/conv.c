/* A small convolution network's gradient, an image at a time, there and back while it is in the cache. Channels lie last, and
 * images between zeros, so that a convolution is three products of matrices (gemm.h), one for each row of the kernel: row i of
 * the left one begins at pixel i and holds three pixels. The sums at a row's last two pixels mean nothing and are not used.
 *
 * Bound: its multiply-adds. */
#include "conv.h"
#include "vector.h"
#include "gemm32.h"

enum { C = FIX_c, S = FIX_s, A = FIX_a, B = FIX_b, O = FIX_o, FEATURES = S * S * B };

/* `side` pixels square, `channels` each; padded: side + 2. */
typedef struct { long side, channels; } Image;

static const Image FIRST = {4 * S, C}, SECOND = {2 * S, A}, TOP = {2 * S, B};

static long padded(Image i) { return (i.side + 2) * (i.side + 2) * i.channels + 2 * i.channels; }
static long pixels(Image i) { return i.side * (i.side + 2); } /* of a convolution's result, with the two that mean nothing */

typedef struct {
    float *x, *y, *dy, *v1, *v2, *dv1, *dv2, *z, *dz;                   /* padded inputs; results before and after pooling */
    float *w1, *w2, *turned, *dw1, *dw2, *w3, *dw3, *spare; /* weights as the products want them */
} Work;

static size_t divide(Work *w, float *from) {
    float *start = from;
    const struct { float **to; long size; } parts[] = {
        {&w->x, padded(FIRST)}, {&w->y, padded(SECOND)}, {&w->dy, padded(SECOND)}, {&w->v1, pixels(FIRST) * A}, {&w->v2, pixels(SECOND) * B},
        {&w->dv1, pixels(FIRST) * A}, {&w->dv2, padded(TOP)}, {&w->z, FEATURES}, {&w->dz, FEATURES}, {&w->w1, 9 * C * A}, {&w->w2, 9 * A * B},
        {&w->turned, 9 * A * B}, {&w->dw1, 9 * C * A}, {&w->dw2, 9 * A * B}, {&w->w3, O * FEATURES}, {&w->dw3, O * FEATURES}};
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++) *parts[i].to = from, from += (parts[i].size + 15) / 16 * 16;
    w->spare = from;
    return (size_t)(from - start) + gemm32_spare(A > B ? A : B);
}

size_t convnet_grad_workspace_size(int64_t n, int64_t c, int64_t s, int64_t a, int64_t b, int64_t o) {
    Work w;
    (void)n, (void)c, (void)s, (void)a, (void)b, (void)o;
    return 64 + divide(&w, NULL) * sizeof(float);
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

/* Pooling of relu(v + bias), `v` of a row length of side + 2. */
INLINE void pool(long side, int channels, const float *restrict v, const float *restrict bias, float *restrict to, long line) {
    long row = (side + 2) * channels;
    for (long i = 0; i < side / 2; i++)
        for (long j = 0; j < side / 2; j++) {
            const float *p = v + 2 * i * row + 2 * j * channels;
            for (int c = 0; c < channels; c++) {
                float m = p[c] > p[c + channels] ? p[c] : p[c + channels], l = p[row + c] > p[row + c + channels] ? p[row + c] : p[row + c + channels];
                m = (m > l ? m : l) + bias[c];
                to[i * line + j * channels + c] = m > 0 ? m : 0;
            }
        }
}

/* dv gets the cotangent of the largest of each four, where it was positive; db the sums. */
INLINE void back_pool(long side, int channels, const float *restrict v, const float *restrict y, const float *restrict dy, long line,
                      float *restrict dv, float *restrict db) {
    long row = (side + 2) * channels;
    for (long i = 0; i < side / 2; i++)
        for (long j = 0; j < side / 2; j++) {
            const float *p = v + 2 * i * row + 2 * j * channels, *yq = y + i * line + j * channels, *d = dy + i * line + j * channels;
            float *q = dv + 2 * i * row + 2 * j * channels;
            for (int c = 0; c < channels; c++) {
                float p0 = p[c], p1 = p[c + channels], p2 = p[row + c], p3 = p[row + c + channels], top = p0 > p1 ? p0 : p1, low = p2 > p3 ? p2 : p3;
                float g = yq[c] > 0 ? d[c] : 0, above = top >= low ? g : 0, below = g - above;
                q[c] = p0 == top ? above : 0;
                q[c + channels] = p0 == top ? 0 : above;
                q[row + c] = p2 == low ? below : 0;
                q[row + c + channels] = p2 == low ? 0 : below;
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

/* The last layer, its loss and cotangents: dz, and added to dw3 and db3. */
static double classify(const float *restrict z, const float *restrict w3, const float *b3, int64_t label, float weight, float *restrict dz,
                       float *restrict dw3, float *db3) {
    float logits[O], most = -INFINITY, sum = 0;
    for (int k = 0; k < O; k++) {
        F s = {0};
        int j = 0;
        float t = b3[k];
        for (; j + FLOATS <= FEATURES; j += FLOATS) s += loadf(w3 + k * FEATURES + j) * loadf(z + j);
        for (; j < FEATURES; j++) t += w3[k * FEATURES + j] * z[j];
        for (int i = 0; i < FLOATS; i++) t += s[i];
        logits[k] = t;
        most = t > most ? t : most;
    }
    float chosen = logits[label];
    for (int k = 0; k < O; k++) sum += logits[k] = expf(logits[k] - most);
    for (int k = 0; k < O; k++) db3[k] += logits[k] = weight * (logits[k] / sum - (float)(k == label));
    for (int j = 0; j < FEATURES; j++) {
        float d = 0;
        for (int k = 0; k < O; k++) {
            d += logits[k] * w3[k * FEATURES + j];
            dw3[k * FEATURES + j] += logits[k] * z[j];
        }
        dz[j] = d;
    }
    return (double)(most + logf(sum) - chosen);
}

static double one_image(Work *w, const float *b1, const float *b2, const float *b3, const float *x, int64_t label, float weight, float *db1,
                        float *db2, float *db3) {
    long line = (SECOND.side + 2) * A;
    float *y = w->y + line + A, *dv2 = w->dv2 + (TOP.side + 2) * B + B; /* behind the zeros before the first pixel */
    for (long i = 0; i < FIRST.side; i++)
        for (long j = 0; j < FIRST.side; j++)
            for (long k = 0; k < C; k++) w->x[((i + 1) * (FIRST.side + 2) + j + 1) * C + k] = x[(k * FIRST.side + i) * FIRST.side + j];
    convolve(FIRST, w->x, w->w1, A, w->v1, w->spare);
    pool(FIRST.side, A, w->v1, b1, y, line);
    convolve(SECOND, w->y, w->w2, B, w->v2, w->spare);
    pool(SECOND.side, B, w->v2, b2, w->z, S * B);
    double loss = classify(w->z, w->w3, b3, label, weight, w->dz, w->dw3, db3);
    back_pool(SECOND.side, B, w->v2, w->z, w->dz, S * B, dv2, db2);
    back_weights(SECOND, w->y, dv2, B, w->dw2, w->spare);
    convolve(TOP, w->dv2, w->turned, A, w->dy, w->spare);
    back_pool(FIRST.side, A, w->v1, y, w->dy, line, w->dv1, db1);
    back_weights(FIRST, w->x, w->dv1, A, w->dw1, w->spare);
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
    if (c != C || s != S || a != A || b != B || o != O) return 1;
    memset(workspace, 0, bytes);
    divide(&w, aligned(workspace));
    arrange(w1, C, A, w.w1, NULL);
    arrange(w2, A, B, w.w2, w.turned);
    exchange(w3, O, B, S * S, w.w3);
    memset(db1, 0, A * sizeof(float));
    memset(db2, 0, B * sizeof(float));
    memset(db3, 0, O * sizeof(float));
    for (int64_t i = 0; i < n; i++)
        loss += one_image(&w, b1, b2, b3, x + i * C * FIRST.side * FIRST.side, label[i], 1 / (float)n, db1, db2, db3);
    disarrange(w.dw1, C, A, dw1);
    disarrange(w.dw2, A, B, dw2);
    exchange(w.dw3, O, S * S, B, dw3);
    *value = (float)(loss / (double)n);
    return 0;
}
