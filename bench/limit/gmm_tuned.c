/* Points in the lanes of vectors, 64 of them a tile. For each tile: y = Q (x - mu) for every component with the triangle's
 * rows as broadcast operands and x - mu in registers; a softmax over the components; then for each component the sums of
 * w, w y and w y (x - mu)^T, blocks of two rows of the triangle in registers. Everything linear (Q^T sum w y, the product
 * with the diagonal) waits until the sums are complete. */
#include "gmm.h"

#include <math.h>
#include <stdint.h>
#include <string.h>

enum { LANES = 8, VECTORS = 8, TILE = LANES * VECTORS, MOST = 16 };
typedef double V __attribute__((vector_size(64)));
typedef int64_t I __attribute__((vector_size(64)));

#define INLINE static inline __attribute__((always_inline))

INLINE V pick(I mask, V yes, V no) { return (V)(((I)yes & mask) | ((I)no & ~mask)); }

/* e**x for x <= 0; below the normal numbers 0. As in codegen/math.c. */
INLINE V vexp(V x) {
    const double magic = 0x1.8p52;
    V n = x * 1.4426950408889634 + magic, k = n - magic, r = x - k * 0x1.62e42fefa3p-1 - k * 0x1.3de6af278ece6p-42, s = r * r, t = s * s;
    V p0 = 0x1.5555555555558p-3 * r + 0x1.0000000000009p-1, p1 = 0x1.111111110f803p-7 * r + 0x1.55555555503e3p-5;
    V p2 = 0x1.a01a01b00c2c6p-13 * r + 0x1.6c16c18601e8cp-10, p3 = 0x1.71ddf6b3f10d1p-19 * r + 0x1.a01993b37a9cap-16;
    V p4 = 0x1.af632ad6abee8p-26 * r + 0x1.28b410d73d492p-22;
    V p = 1 + (r + s * ((p0 + p1 * s) + t * ((p2 + p3 * s) + t * p4)));
    V v = (V)((I)p + ((I)n << 52));
    return pick((I)(x < -708.39), v - v, v);
}

INLINE double total_of(V x) {
    double s = 0;
    for (int i = 0; i < LANES; i++) s += x[i];
    return s;
}

/* What the tiles share: parameters by component, and sums in lanes. */
typedef struct {
    double *start, *qd, *rows;     /* [k] alpha + sum q; [k][d]; [k] the triangle row by row, diagonal included */
    V *x, *y, *e, *wy, *xc;        /* [d][VECTORS]; [k][d][VECTORS]; [k][VECTORS]; [d][VECTORS]; [d][VECTORS] */
    V *sum_w, *sum_wy, *sum_s;     /* [k]; [k][d]; [k][d(d+1)/2] */
} State;

static long size_of(int d, int k) {
    long tri = d * (d + 1L) / 2, vectors = 3L * d * VECTORS + (long)k * d * VECTORS + (long)k * VECTORS + k * (1 + d + tri);
    return k + (long)k * d + k * tri + LANES + LANES * vectors;
}

long gmm_tuned_work(const Gmm *g) { return size_of(g->d, g->k); }

static void divide(State *s, int d, int k, double *work) {
    long tri = d * (d + 1L) / 2;
    s->start = work, s->qd = s->start + k, s->rows = s->qd + (long)k * d;
    V *v = (V *)(((uintptr_t)(s->rows + k * tri) + 63) & ~(uintptr_t)63);
    s->x = v, s->y = s->x + d * VECTORS, s->e = s->y + (long)k * d * VECTORS, s->wy = s->e + (long)k * VECTORS;
    s->xc = s->wy + d * VECTORS, s->sum_w = s->xc + d * VECTORS, s->sum_wy = s->sum_w + k, s->sum_s = s->sum_wy + (long)k * d;
}

/* rows[r][c]: the lower triangle by rows. */
static void unpack(const Gmm *g, State *s) {
    int d = g->d;
    for (int c = 0; c < g->k; c++) {
        const double *l = g->l + (long)c * (d * (d - 1) / 2);
        double *row = s->rows + (long)c * (d * (d + 1) / 2);
        s->start[c] = g->alpha[c];
        for (int j = 0; j < d; j++) {
            s->start[c] += g->q[c * d + j];
            row[j * (j + 1) / 2 + j] = s->qd[c * d + j] = exp(g->q[c * d + j]);
            for (int r = j + 1; r < d; r++) row[r * (r + 1) / 2 + j] = *l++;
        }
    }
}

/* y and inner of one component for the tile; the largest inner so far. */
INLINE void whiten(const State *s, const double *mu, int c, int d, V *most) {
    const double *row = s->rows + (long)c * (d * (d + 1) / 2);
    V *y = s->y + (long)c * d * VECTORS, *e = s->e + (long)c * VECTORS;
    for (int v = 0; v < VECTORS; v++) {
        V xc[MOST], squares = {0};
        for (int r = 0; r < d; r++) xc[r] = s->x[r * VECTORS + v] - mu[c * d + r];
        for (int r = 0; r < d; r++) {
            V t = xc[0] * row[r * (r + 1) / 2];
            for (int j = 1; j <= r; j++) t += xc[j] * row[r * (r + 1) / 2 + j];
            y[r * VECTORS + v] = t;
            squares += t * t;
        }
        e[v] = s->start[c] - 0.5 * squares;
        most[v] = pick((I)(e[v] > most[v]), e[v], most[v]);
    }
}

/* Rows r and r + 1 of w y (x - mu)^T, summed over the tile. */
INLINE void add_rows(const State *s, V *sum, int r, int d) {
    int second = r + 1 < d;
    V a[MOST] = {{0}}, b[MOST] = {{0}};
    for (int v = 0; v < VECTORS; v++) {
        V ya = s->wy[r * VECTORS + v], yb = second ? s->wy[(r + 1) * VECTORS + v] : ya;
        for (int j = 0; j <= r; j++) {
            V x = s->xc[j * VECTORS + v];
            a[j] += ya * x;
            if (second) b[j] += yb * x;
        }
        if (second) b[r + 1] += yb * s->xc[(r + 1) * VECTORS + v];
    }
    for (int j = 0; j <= r; j++) sum[r * (r + 1) / 2 + j] += a[j];
    if (second)
        for (int j = 0; j <= r + 1; j++) sum[(r + 1) * (r + 2) / 2 + j] += b[j];
}

INLINE void add_component(const State *s, const double *mu, int c, int d, const V *inverse) {
    const V *y = s->y + (long)c * d * VECTORS, *e = s->e + (long)c * VECTORS;
    V sum_w = {0}, sum_wy[MOST] = {{0}};
    for (int v = 0; v < VECTORS; v++) {
        V w = e[v] * inverse[v];
        sum_w += w;
        for (int r = 0; r < d; r++) {
            V t = w * y[r * VECTORS + v];
            s->wy[r * VECTORS + v] = t;
            sum_wy[r] += t;
            s->xc[r * VECTORS + v] = s->x[r * VECTORS + v] - mu[c * d + r];
        }
    }
    s->sum_w[c] += sum_w;
    for (int r = 0; r < d; r++) s->sum_wy[c * d + r] += sum_wy[r];
    for (int r = 0; r < d; r += 2) add_rows(s, s->sum_s + (long)c * (d * (d + 1) / 2), r, d);
}

/* Points first .. first + TILE - 1; those beyond n count nothing. Returns the sum of their log-sum-exps. */
INLINE double tile(const Gmm *g, State *s, int first, int d) {
    V most[VECTORS], sum[VECTORS], inverse[VECTORS];
    double value = 0;
    for (int i = 0; i < TILE; i++) {
        const double *x = g->x + (long)(first + i < g->n ? first + i : g->n - 1) * d;
        for (int r = 0; r < d; r++) s->x[r * VECTORS + i / LANES][i % LANES] = x[r];
    }
    for (int v = 0; v < VECTORS; v++) most[v] = (V){0} - INFINITY, sum[v] = (V){0};
    for (int c = 0; c < g->k; c++) whiten(s, g->mu, c, d, most);
    for (int c = 0; c < g->k; c++)
        for (int v = 0; v < VECTORS; v++) sum[v] += s->e[c * VECTORS + v] = vexp(s->e[c * VECTORS + v] - most[v]);
    for (int i = 0; i < TILE; i++) {
        int v = i / LANES, lane = i % LANES, counts = first + i < g->n;
        inverse[v][lane] = counts ? 1 / sum[v][lane] : 0;
        if (counts) value += most[v][lane] + log(sum[v][lane]);
    }
    for (int c = 0; c < g->k; c++) add_component(s, g->mu, c, d, inverse);
    return value;
}

static void finish(const Gmm *g, const State *s, const GmmGrad *out) {
    int d = g->d;
    for (int c = 0; c < g->k; c++) {
        const double *row = s->rows + (long)c * (d * (d + 1) / 2);
        const V *sum = s->sum_s + (long)c * (d * (d + 1) / 2);
        double *dl = out->dl + (long)c * (d * (d - 1) / 2), w = total_of(s->sum_w[c]), wy[MOST];
        out->dalpha[c] = w;
        for (int r = 0; r < d; r++) wy[r] = total_of(s->sum_wy[c * d + r]);
        for (int j = 0; j < d; j++) {
            double t = 0;
            out->dq[c * d + j] = w - total_of(sum[j * (j + 1) / 2 + j]) * s->qd[c * d + j];
            for (int r = j; r < d; r++) t += row[r * (r + 1) / 2 + j] * wy[r];
            out->dmu[c * d + j] = t;
            for (int r = j + 1; r < d; r++) *dl++ = -total_of(sum[r * (r + 1) / 2 + j]);
        }
    }
}

INLINE double run(const Gmm *g, const GmmGrad *out, double *work, int d) {
    State s;
    double value = 0;
    divide(&s, d, g->k, work);
    unpack(g, &s);
    memset(s.sum_w, 0, sizeof(V) * (size_t)(g->k * (1 + d + d * (d + 1) / 2)));
    for (int i = 0; i < g->n; i += TILE) value += tile(g, &s, i, d);
    finish(g, &s, out);
    return value + gmm_prior(g, s.qd, out);
}

double gmm_tuned(const Gmm *g, const GmmGrad *out, double *work) {
    switch (g->d) {
#define CASE(D) case D: return run(g, out, work, D);
    CASE(2) CASE(3) CASE(4) CASE(5) CASE(6) CASE(8) CASE(10) CASE(12) CASE(16)
#undef CASE
    default: return NAN;
    }
}
