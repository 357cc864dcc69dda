/* Trains a two-layer network on handwritten digits with the compiled loss_grad, by stochastic gradient descent with
 * momentum. Every fifth image (i mod 5 = 4) is kept for the test.
 *
 *     train DATA_FOLDER      reads images.npy (f32, 1797 x 64, in 0..1) and labels.npy (i64)
 */
#include "digits.h"
#include "tdl_npy.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { PIXELS = 64, HIDDEN = 64, CLASSES = 10, BATCH = 32, EPOCHS = 40 };
enum { NW1 = PIXELS * HIDDEN, NB1 = HIDDEN, NW2 = HIDDEN * CLASSES, NB2 = CLASSES, NPARAMS = NW1 + NB1 + NW2 + NB2 };

/* All weights in one array, and a gradient and a velocity of the same layout. */
typedef struct { float w1[NW1], b1[NB1], w2[NW2], b2[NB2]; } Params;

static void die(const char *what)
{
    fprintf(stderr, "train: %s\n", what);
    exit(1);
}

static void check(int status)
{
    if (status)
        die(tdl_last_error());
}

/* Uniform in [-1, 1), from a linear congruential generator (Knuth, MMIX). */
static float uniform(uint64_t *state)
{
    *state = *state * 6364136223846793005u + 1442695040888963407u;
    return (float)((double)(*state >> 11) / 4503599627370496.0 - 1.0);
}

static void init(Params *p, uint64_t *seed)
{
    memset(p, 0, sizeof *p);
    for (int i = 0; i < NW1; i++)
        p->w1[i] = uniform(seed) * sqrtf(6.0f / PIXELS);
    for (int i = 0; i < NW2; i++)
        p->w2[i] = uniform(seed) * sqrtf(3.0f / HIDDEN);
}

/* Moves test images to the end; returns the number of training images. */
static int64_t split(const float *images, const int64_t *labels, int64_t n, float *x, int64_t *y)
{
    int64_t ntrain = 0, at = 0;
    for (int pass = 0; pass < 2; pass++) {
        for (int64_t i = 0; i < n; i++)
            if ((i % 5 == 4) == pass) {
                memcpy(x + at * PIXELS, images + i * PIXELS, PIXELS * sizeof *x);
                y[at++] = labels[i];
            }
        ntrain = pass ? ntrain : at;
    }
    return ntrain;
}

static void shuffle(float *x, int64_t *y, int64_t n, uint64_t *seed)
{
    for (int64_t i = n - 1; i > 0; i--) {
        int64_t j = (int64_t)((double)(uniform(seed) * 0.5f + 0.5f) * (double)(i + 1));
        j = j > i ? i : j;
        float row[PIXELS];
        memcpy(row, x + i * PIXELS, sizeof row);
        memcpy(x + i * PIXELS, x + j * PIXELS, sizeof row);
        memcpy(x + j * PIXELS, row, sizeof row);
        int64_t label = y[i];
        y[i] = y[j];
        y[j] = label;
    }
}

/* One pass over the training images; returns the mean loss. */
static double epoch(Params *p, Params *velocity, const float *x, const int64_t *y, int64_t n, float rate, void *ws,
                    size_t ws_bytes)
{
    static Params grad;
    double total = 0;
    int64_t batches = n / BATCH;
    for (int64_t b = 0; b < batches; b++) {
        float loss;
        check(loss_grad(BATCH, HIDDEN, x + b * BATCH * PIXELS, y + b * BATCH, p->w1, p->b1, p->w2, p->b2, &loss,
                        grad.w1, grad.b1, grad.w2, grad.b2, ws, ws_bytes));
        float *w = (float *)p, *v = (float *)velocity, *g = (float *)&grad;
        for (int i = 0; i < NPARAMS; i++) {
            v[i] = 0.9f * v[i] + g[i];
            w[i] -= rate * v[i];
        }
        total += (double)loss;
    }
    return total / (double)batches;
}

int main(int argc, char **argv)
{
    if (argc != 2)
        die("usage: train DATA_FOLDER");
    char path[4096];
    TdlNpy images, labels;
    snprintf(path, sizeof path, "%s/images.npy", argv[1]);
    if (tdl_npy_read(path, &images))
        die(tdl_npy_error());
    snprintf(path, sizeof path, "%s/labels.npy", argv[1]);
    if (tdl_npy_read(path, &labels))
        die(tdl_npy_error());
    if (images.rank != 2 || images.dims[1] != PIXELS || labels.rank != 1 || labels.dims[0] != images.dims[0])
        die("images.npy and labels.npy do not have the shapes [n, 64] and [n]");
    int64_t n = images.dims[0];

    float *x = malloc((size_t)n * PIXELS * sizeof *x);
    int64_t *y = malloc((size_t)n * sizeof *y), *predicted = malloc((size_t)n * sizeof *y);
    size_t ws_bytes = (size_t)loss_grad_workspace_size(BATCH, HIDDEN);
    void *ws = malloc(ws_bytes ? ws_bytes : 1);
    if (!x || !y || !predicted || !ws)
        die("out of memory");
    int64_t ntrain = split(images.data, labels.data, n, x, y), ntest = n - ntrain;

    static Params p, velocity;
    uint64_t seed = 42;
    init(&p, &seed);
    for (int e = 1; e <= EPOCHS; e++) {
        shuffle(x, y, ntrain, &seed);
        double loss = epoch(&p, &velocity, x, y, ntrain, e <= EPOCHS / 2 ? 0.05f : 0.01f, ws, ws_bytes);
        printf("epoch %2d  loss %.5f  ", e, loss);
        for (int i = 0; i < (int)(loss * 40) && i < 60; i++)
            putchar('*');
        putchar('\n');
    }
    check(classify(ntest, HIDDEN, x + ntrain * PIXELS, p.w1, p.b1, p.w2, p.b2, predicted, NULL, 0));
    int64_t right = 0;
    for (int64_t i = 0; i < ntest; i++)
        right += predicted[i] == y[ntrain + i];
    printf("test accuracy %.2f %% (%lld of %lld images)\n", 100.0 * (double)right / (double)ntest, (long long)right,
           (long long)ntest);
    tdl_npy_free(&images), tdl_npy_free(&labels);
    free(x), free(y), free(predicted), free(ws);
    return right > 0.96 * (double)ntest ? 0 : 1;
}
