/* Heat in a plate and the gradient by its source. The steps are linear: the reverse needs no state, and is the same stencil.
 * Some steps are made in one sweep over the rows: row i of a step follows row i + 1 of the step before, and lies in a ring of
 * four rows until the last step of the sweep writes it where it began. Columns lie between zeros.
 *
 * Bound: five operations a point and step, there and back. */
#include "heat.h"
#include "vector.h"

enum { SWEEP = 4, RING = 4 };

typedef struct {
    int64_t n, m, vectors, stride;
    double rate;
    I inside;                       /* lanes of a row's last vector that are points */
    double *u, *source, *sum, *zero, *ring;
} Plate;

static int64_t divide(Plate *p, double *from, int64_t n, int64_t m, double rate) {
    V lane = {0, 1, 2, 3, 4, 5, 6, 7};
    p->n = n, p->m = m, p->rate = rate, p->vectors = (m + LANES - 1) / LANES, p->stride = (p->vectors + 2) * LANES;
    p->inside = (I)(lane < (V){0} + (double)(m - (p->vectors - 1) * LANES));
    double *start = from, **parts[] = {&p->u, &p->source, &p->sum, &p->zero, &p->ring};
    int64_t rows[] = {n, n, n, 1, SWEEP * RING};
    for (int i = 0; i < 5; i++) *parts[i] = from + LANES, from += rows[i] * p->stride;
    return from - start;
}

size_t heat_grad_workspace_size(int64_t n, int64_t m, int64_t steps) {
    Plate p;
    (void)steps;
    return 64 + (size_t)divide(&p, NULL, n, m, 0) * sizeof(double);
}

/* Row i after `step` steps of a sweep of `steps`. */
INLINE double *row_of(const Plate *p, int64_t i, int step, int steps) {
    if (i < 0 || i >= p->n) return p->zero;
    if (step == 0 || step == steps) return p->u + i * p->stride;
    return p->ring + (step * RING + i % RING) * p->stride;
}

/* A row of the next step: with the source, or adding this step to the sum. */
INLINE void next_row(const Plate *p, const double *up, const double *mid, const double *down, const double *source, double *sum, double *to) {
    V before = {0}, here = load(mid);
    for (int64_t j = 0; j < p->vectors; j++) {
        V after = load(mid + (j + 1) * LANES), left = MIX(before, here, 7, 8, 9, 10, 11, 12, 13, 14), right = load(mid + j * LANES + 1);
        V v = (1 - 4 * p->rate) * here + p->rate * ((left + right) + (load(up + j * LANES) + load(down + j * LANES)));
        if (source) v += load(source + j * LANES);
        else store(sum + j * LANES, load(sum + j * LANES) + here);
        store(to + j * LANES, j < p->vectors - 1 ? v : pick(p->inside, v, (V){0}));
        before = here, here = after;
    }
}

INLINE void sweep(const Plate *p, int steps, int reverse) {
    for (int64_t r = 0; r < p->n + steps - 1; r++)
        for (int step = 1; step <= steps; step++) {
            int64_t i = r - (step - 1), at = i * p->stride;
            if (i < 0 || i >= p->n) continue;
            next_row(p, row_of(p, i - 1, step - 1, steps), row_of(p, i, step - 1, steps), row_of(p, i + 1, step - 1, steps),
                     reverse ? NULL : p->source + at, p->sum + at, row_of(p, i, step, steps));
        }
}

int heat_grad(int64_t n, int64_t m, const double *source, const double *wanted, const double *start, int64_t steps, double rate,
              double *value, double *dsource, void *workspace, size_t bytes) {
    (void)bytes;
    Plate p;
    double loss = 0;
    memset(workspace, 0, heat_grad_workspace_size(n, m, steps));
    divide(&p, aligned(workspace), n, m, rate);
    for (int64_t i = 0; i < n; i++) {
        memcpy(p.u + i * p.stride, start + i * m, (size_t)m * sizeof(double));
        memcpy(p.source + i * p.stride, source + i * m, (size_t)m * sizeof(double));
    }
    for (int64_t t = 0; t < steps; t += SWEEP) sweep(&p, steps - t < SWEEP ? (int)(steps - t) : SWEEP, 0);
    for (int64_t i = 0; i < n; i++)
        for (int64_t j = 0; j < m; j++) {
            double r = p.u[i * p.stride + j] -= wanted[i * m + j];
            loss += 0.5 * r * r;
        }
    for (int64_t t = 0; t < steps; t += SWEEP) sweep(&p, steps - t < SWEEP ? (int)(steps - t) : SWEEP, 1);
    for (int64_t i = 0; i < n; i++) memcpy(dsource + i * m, p.sum + i * p.stride, (size_t)m * sizeof(double));
    *value = loss;
    return 0;
}
