/* Heat in a plate and the gradient by its source. The steps are linear: the reverse needs no state, and is the same stencil.
 * Rows lie between zeros, in two grids that change places.
 *
 * Bound: five operations a point and step, there and back. */
#include "heat.h"
#include "vector.h"

typedef struct { int64_t n, m, vectors, stride; } Grid;

static Grid grid(int64_t n, int64_t m) {
    int64_t vectors = (m + LANES - 1) / LANES;
    return (Grid){n, m, vectors, (vectors + 1) * LANES};
}

static int64_t size_of(Grid g) { return (g.n + 2) * g.stride + 2 * LANES; }

size_t heat_grad_workspace_size(int64_t n, int64_t m, int64_t steps) {
    (void)steps;
    return 64 + (size_t)(4 * size_of(grid(n, m))) * sizeof(double);
}

/* One step of the stencil, without the source. */
INLINE V stencil(const double *u, int64_t stride, double rate, double rest) {
    return rest * load(u) + rate * ((load(u - 1) + load(u + 1)) + (load(u - stride) + load(u + stride)));
}

/* to = stencil(from) + source. */
static void forward(Grid g, const double *restrict from, const double *restrict source, double *restrict to, double rate, I inside) {
    for (int64_t i = 0; i < g.n; i++) {
        int64_t at = i * g.stride, last = (g.vectors - 1) * LANES;
        for (int64_t j = 0; j < last; j += LANES) store(to + at + j, stencil(from + at + j, g.stride, rate, 1 - 4 * rate) + load(source + at + j));
        V v = stencil(from + at + last, g.stride, rate, 1 - 4 * rate) + load(source + at + last);
        store(to + at + last, pick(inside, v, (V){0}));
    }
}

/* sum += from; to = stencil(from). */
static void back(Grid g, const double *restrict from, double *restrict sum, double *restrict to, double rate, I inside) {
    for (int64_t i = 0; i < g.n; i++) {
        int64_t at = i * g.stride, last = (g.vectors - 1) * LANES;
        for (int64_t j = 0; j <= last; j += LANES) {
            V v = stencil(from + at + j, g.stride, rate, 1 - 4 * rate);
            store(sum + at + j, load(sum + at + j) + load(from + at + j));
            store(to + at + j, j < last ? v : pick(inside, v, (V){0}));
        }
    }
}

int heat_grad(int64_t n, int64_t m, const double *source, const double *wanted, const double *start, int64_t steps, double rate,
              double *value, double *dsource, void *workspace, size_t bytes) {
    (void)bytes;
    Grid g = grid(n, m);
    int64_t size = size_of(g);
    double *first = (double *)aligned(workspace) + g.stride + LANES, *a = first, *b = a + size, *s = b + size, *sum = s + size, loss = 0;
    V lane = {0, 1, 2, 3, 4, 5, 6, 7};
    I inside = (I)(lane < (V){0} + (double)(m - (g.vectors - 1) * LANES));
    memset(workspace, 0, heat_grad_workspace_size(n, m, steps));
    for (int64_t i = 0; i < n; i++) {
        memcpy(a + i * g.stride, start + i * m, (size_t)m * sizeof(double));
        memcpy(s + i * g.stride, source + i * m, (size_t)m * sizeof(double));
    }
    for (int64_t t = 0; t < steps; t++) {
        forward(g, a, s, b, rate, inside);
        double *swap = a;
        a = b, b = swap;
    }
    for (int64_t i = 0; i < n; i++)
        for (int64_t j = 0; j < m; j++) {
            double r = a[i * g.stride + j] -= wanted[i * m + j];
            loss += 0.5 * r * r;
        }
    for (int64_t t = 0; t < steps; t++) {
        back(g, a, sum, b, rate, inside);
        double *swap = a;
        a = b, b = swap;
    }
    for (int64_t i = 0; i < n; i++) memcpy(dsource + i * m, sum + i * g.stride, (size_t)m * sizeof(double));
    *value = loss;
    return 0;
}
