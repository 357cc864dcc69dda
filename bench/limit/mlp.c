/* The training step of a network with two hidden layers by register tiles (gemm.h). Weights are updated where their gradient
 * is summed. The cotangent of a layer's input is taken transposed, W dy^T, so that it is W that is read along its rows.
 *
 * Bound: its multiply-adds. */
#include "mlp.h"
#include "vector.h"
#include "gemm32.h"

typedef struct { float *a, *b, *z, *da, *db, *across, *back, *w3, *spare; } Work;

static size_t divide(Work *w, float *from, int64_t n, int64_t h, int64_t o) {
    float *start = from;
    float **of_layer[] = {&w->a, &w->b, &w->da, &w->db, &w->across, &w->back};
    for (int i = 0; i < 6; i++) *of_layer[i] = from, from += n * h;
    w->z = from, from += n * o;
    w->w3 = from, from += h * o;
    w->spare = from;
    return (size_t)(from - start) + gemm32_spare(h > n ? h : n);
}

size_t train_workspace_size(int64_t n, int64_t i, int64_t h, int64_t o) {
    Work w;
    (void)i;
    return 64 + divide(&w, NULL, n, h, o) * sizeof(float);
}

/* y = x w + b, negative ones replaced by `least`. */
static void layer(int64_t n, int64_t in, int64_t out, const float *x, const float *w, const float *restrict b, float least, float *restrict y, float *spare) {
    gemm32(n, out, in, x, in, 1, w, out, 1, NULL, y, out, spare);
    for (int64_t i = 0; i < n; i++)
        for (int64_t j = 0; j < out; j++) {
            float v = y[i * out + j] + b[j];
            y[i * out + j] = v > least ? v : least;
        }
}

/* z becomes its cotangent; the mean loss. */
static float cross_entropy(int64_t n, int64_t o, float *z, const int64_t *label) {
    double loss = 0;
    for (int64_t i = 0; i < n; i++) {
        float *row = z + i * o, most = row[0], sum = 0;
        for (int64_t j = 1; j < o; j++) most = row[j] > most ? row[j] : most;
        loss += most - row[label[i]];
        for (int64_t j = 0; j < o; j++) sum += row[j] = expf(row[j] - most);
        loss += logf(sum);
        for (int64_t j = 0; j < o; j++) row[j] = (row[j] / sum - (float)(j == label[i])) / (float)n;
    }
    return (float)(loss / (double)n);
}

/* w - rate x^T dy and b - rate times the columns' sums of dy. */
static void update(int64_t n, int64_t in, int64_t out, const float *x, const float *dy, const float *w, const float *b, float rate, float *new_w,
                   float *new_b, float *spare) {
    gemm32(in, out, n, x, 1, in, dy, out, -rate, w, new_w, out, spare);
    memcpy(new_b, b, (size_t)out * sizeof(float));
    for (int64_t i = 0; i < n; i++)
        for (int64_t j = 0; j < out; j++) new_b[j] -= rate * dy[i * out + j];
}

static void mask(int64_t count, const float *restrict y, float *restrict dy) {
    for (int64_t i = 0; i < count; i++) dy[i] = y[i] > 0 ? dy[i] : 0;
}

int train(int64_t n, int64_t i, int64_t h, int64_t o, const float *w1, const float *b1, const float *w2, const float *b2, const float *w3,
          const float *b3, const float *x, const int64_t *label, float rate, float *loss, float *new_w1, float *new_b1, float *new_w2,
          float *new_b2, float *new_w3, float *new_b3, void *workspace, size_t bytes) {
    (void)bytes;
    Work w;
    divide(&w, aligned(workspace), n, h, o);
    layer(n, i, h, x, w1, b1, 0, w.a, w.spare);
    layer(n, h, h, w.a, w2, b2, 0, w.b, w.spare);
    layer(n, h, o, w.b, w3, b3, -INFINITY, w.z, w.spare);
    *loss = cross_entropy(n, o, w.z, label);
    transpose_to(w3, h, o, o, w.w3);
    gemm32(n, h, o, w.z, o, 1, w.w3, h, 1, NULL, w.db, h, w.spare);
    mask(n * h, w.b, w.db);
    transpose_to(w.db, n, h, h, w.across);
    gemm32(h, n, h, w2, h, 1, w.across, n, 1, NULL, w.back, n, w.spare);
    transpose_to(w.back, h, n, n, w.da);
    mask(n * h, w.a, w.da);
    update(n, h, o, w.b, w.z, w3, b3, rate, new_w3, new_b3, w.spare);
    update(n, h, h, w.a, w.db, w2, b2, rate, new_w2, new_b2, w.spare);
    update(n, i, h, x, w.da, w1, b1, rate, new_w1, new_b1, w.spare);
    return 0;
}
