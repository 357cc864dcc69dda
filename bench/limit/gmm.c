/* The Gaussian mixture's gradient, for one d known when this is compiled (-DFIX_d=10). Points lie in the lanes of vectors.
 *
 * A tile of points: Q (x - mu) for each component, in blocks of 6 rows by 4 vectors, whose squares give inner; then the
 * square roots s of the softmax's weights; then for each component u = s (x - mu) and the sums of s u and u u^T, blocks of
 * 5 by 5 in registers. All that is linear, Q (sum u u^T) and Q^T Q (sum s u), waits until the sums are complete. Rows of
 * vectors are a vector longer than a power of two, so that columns fall into different sets of the cache.
 *
 * Bound: a point and component take d(d+1) multiply-adds, 6 d more operations, and half an exponential. */
#include "gmm.h"
#include "vector.h"

enum { D = FIX_d, TILE = 32, STRIDE = TILE + 1, GROUP = 4, ROWS = D < 16 ? 5 : 6, SIDE = 5, BLOCK = 32, TRI = D * (D - 1) / 2, VECTORS = (D + 7) / 8 };
enum { ROW_BLOCKS = (D + ROWS - 1) / ROWS, SIDES = (D + SIDE - 1) / SIDE, BLOCKS = SIDES * (SIDES + 1) / 2 };
enum { PACKED = ROWS * (ROWS * ROW_BLOCKS * (ROW_BLOCKS + 1) / 2), WX = SIDE * SIDE /* a block's place for sums of s u */ };

typedef struct {
    V x[D][STRIDE], u[D][STRIDE], centred[D][GROUP], most[STRIDE], scale[STRIDE], value;
} Points;

typedef struct {                    /* of a component */
    V column[D][VECTORS];           /* Q */
    double q[PACKED], start;        /* the same by blocks of rows, column by column in each; alpha + sum q */
    double w;                       /* sums over the points: s s, and by blocks u u^T and s u */
    V s[BLOCKS][BLOCK / 8];
} Component;

#define PHASE static __attribute__((noinline))

PHASE void pack(Component *c, double alpha, const double *q, const double *l) {
    memset(c, 0, sizeof *c);
    c->start = alpha;
    for (int j = 0; j < D; j++) {
        double *column = (double *)c->column[j];
        c->start += q[j];
        column[j] = exp(q[j]);
        for (int i = j + 1; i < D; i++) column[i] = *l++;
    }
    double *to = c->q;
    for (int r = 0; r < D; r += ROWS)
        for (int j = 0; j < r + ROWS && j < D; j++)
            for (int i = r; i < r + ROWS; i++) *to++ = i < D ? ((double *)c->column[j])[i] : 0;
}

/* Eight points, coordinates in rows of p->x; for D < 8 one number at a time. */
PHASE void gather(Points *p, const double *x, int points) {
    int vectors = (points + LANES - 1) / LANES, all = (vectors + GROUP - 1) / GROUP * GROUP;
    for (int v = 0; v < all; v++) {
        const double *from[LANES];
        for (int i = 0; i < LANES; i++) from[i] = x + (long)(v * LANES + i < points ? v * LANES + i : points - 1) * D;
        p->most[v] = (V){0} - INFINITY;
        for (int j = 0; j < D && D < 8; j++)
            p->x[j][v] = (V){from[0][j], from[1][j], from[2][j], from[3][j], from[4][j], from[5][j], from[6][j], from[7][j]};
        for (int j = 0; j < D && D >= 8; j += 8) {
            V block[LANES];
            int at = j + 8 <= D ? j : D - 8;
            for (int i = 0; i < LANES; i++) block[i] = load(from[i] + at);
            transpose(block);
            for (int i = 0; i < LANES; i++) p->x[at + i][v] = block[i];
        }
    }
}

/* Adds the squares of rows r .. r + rows - 1 of Q times the centred points. */
INLINE const double *block_of_rows(const double *q, V (*centred)[GROUP], int r, int rows, V *squares) {
    V y[ROWS][GROUP] = {{{0}}};
    for (int j = 0; j < r; j++, q += ROWS)
        for (int i = 0; i < rows; i++)
            for (int g = 0; g < GROUP; g++) y[i][g] += q[i] * centred[j][g];
    for (int j = 0; j < rows; j++, q += ROWS)
        for (int i = j; i < rows; i++)
            for (int g = 0; g < GROUP; g++) y[i][g] += q[i] * centred[r + j][g];
    for (int i = 0; i < rows; i++)
        for (int g = 0; g < GROUP; g++) squares[g] += y[i][g] * y[i][g];
    return q;
}

PHASE void whiten(Points *p, const Component *c, const double *mu, int vectors, V *inner) {
    for (int v = 0; v < vectors; v += GROUP) {
        V squares[GROUP] = {{0}};
        const double *q = c->q;
        for (int j = 0; j < D; j++)
            for (int g = 0; g < GROUP; g++) p->centred[j][g] = p->x[j][v + g] - mu[j];
        for (int r = 0; r + ROWS <= D; r += ROWS) q = block_of_rows(q, p->centred, r, ROWS, squares);
        if (D % ROWS) block_of_rows(q, p->centred, D - D % ROWS, D % ROWS, squares);
        for (int g = 0; g < GROUP; g++) {
            V e = inner[v + g] = c->start - 0.5 * squares[g];
            p->most[v + g] = larger(p->most[v + g], e);
        }
    }
}

/* inner becomes the square roots of the weights, but for a factor of the point; beyond the last point that is 0. */
PHASE void softmax(Points *p, V (*inner)[STRIDE], int k, int points) {
    for (int v = 0; v * LANES < points; v++) {
        V sum = {0}, most = p->most[v], lane = {0, 1, 2, 3, 4, 5, 6, 7};
        for (int c = 0; c < k; c++) {
            V s = inner[c][v] = exp_below(0.5 * (inner[c][v] - most));
            sum += s * s;
        }
        I inside = (I)(lane < (V){0} + (points - v * LANES));
        p->value += pick(inside, most + vlog(sum), (V){0});
        V root = sum;
        for (int i = 0; i < LANES; i++) root[i] = sqrt(sum[i]);
        p->scale[v] = pick(inside, 1 / root, (V){0});
    }
}

/* Rows a .. of u, their sums times s, and their products. */
INLINE void block_of_points(Points *p, const V *s, const double *mu, int a, int rows, int vectors, V *sums) {
    V t[BLOCK] = {{0}};
    for (int v = 0; v < vectors; v++) {
        V u[SIDE];
        for (int i = 0; i < rows; i++) {
            u[i] = p->u[a + i][v] = s[v] * (p->x[a + i][v] - mu[a + i]);
            t[WX + i] += s[v] * u[i];
            for (int j = 0; j <= i; j++) t[i * SIDE + j] += u[i] * u[j];
        }
    }
    for (int i = 0; i < BLOCK / 8; i++) sums[i] += totals(t + 8 * i);
}

/* Products of rows a .. and rows b .., of other points than those. */
INLINE void block_of_products(V (*u)[STRIDE], int a, int b, int rows, int vectors, V *sums) {
    V t[BLOCK] = {{0}};
    for (int v = 0; v < vectors; v++)
        for (int i = 0; i < rows; i++)
            for (int j = 0; j < SIDE; j++) t[i * SIDE + j] += u[a + i][v] * u[b + j][v];
    for (int i = 0; i < BLOCK / 8; i++) sums[i] += totals(t + 8 * i);
}

INLINE V (*row_of_blocks(Points *p, const V *s, const double *mu, int a, int rows, int vectors, V (*sums)[BLOCK / 8]))[BLOCK / 8] {
    block_of_points(p, s, mu, a, rows, vectors, *sums++);
    for (int b = 0; b < a; b += SIDE) block_of_products(p->u, a, b, rows, vectors, *sums++);
    return sums;
}

PHASE void add(Points *p, Component *c, const double *mu, V *s, int vectors) {
    V w = {0}, (*sums)[BLOCK / 8] = c->s;
    for (int v = 0; v < vectors; v++) {
        s[v] *= p->scale[v];
        w += s[v] * s[v];
    }
    c->w += total(w);
    for (int a = 0; a + SIDE <= D; a += SIDE) sums = row_of_blocks(p, s, mu, a, SIDE, vectors, sums);
    if (D % SIDE) row_of_blocks(p, s, mu, D - D % SIDE, D % SIDE, vectors, sums);
}

/* From the sums to the gradient of a component. */
PHASE void finish(const Component *c, const double *l, double gamma, double m, double *dmu, double *dq, double *dl) {
    double s[D][D];
    V qw[VECTORS] = {{0}};
    const double *block = (const double *)c->s;
    for (int a = 0; a < D; a += SIDE)
        for (int b = -1; b < a; b = b < 0 ? 0 : b + SIDE, block += BLOCK) {
            for (int i = 0; i < SIDE && a + i < D; i++) {
                int column = b < 0 ? a : b;
                for (int j = 0; j < SIDE && column + j <= a + i; j++) s[a + i][column + j] = s[column + j][a + i] = block[i * SIDE + j];
                for (int t = (a + i) / 8; t < VECTORS && b < 0; t++) qw[t] += c->column[a + i][t] * block[WX + i];
            }
        }
    UNROLL for (int f = 0; f < VECTORS; f++)
        for (int j = 8 * f; j < D && j < 8 * f + 8; j++) {
            V qs[VECTORS] = {{0}}, sum = {0};
            for (int t = 0; t < D; t++)
                for (int i = f; i < VECTORS; i++) qs[i] += c->column[t][i] * s[j][t];
            for (int i = f; i < VECTORS; i++) sum += c->column[j][i] * qw[i];
            double *q = (double *)qs, d = ((double *)c->column[j])[j];
            dmu[j] = total(sum);
            dq[j] = c->w - q[j] * d + m - gamma * gamma * d * d;
            for (int i = j + 1; i < D; i++, l++) *dl++ = -q[i] - gamma * gamma * *l;
        }
}

/* The part of the value that does not depend on the points. */
PHASE double prior(int64_t n, int64_t k, const double *alpha, const Component *c, const double *l, double gamma, double m, double *dalpha) {
    double nu = D + m + 1, log_gamma = 0.25 * D * (D - 1) * log(M_PI), squares = 0, sum = 0, most = alpha[0], total = 0;
    for (int j = 0; j < D; j++) log_gamma += lgamma(0.5 * nu - 0.5 * j);
    for (int i = 0; i < k; i++) {
        sum += c[i].start - alpha[i];
        most = fmax(most, alpha[i]);
        for (int j = 0; j < D; j++) squares += pow(((double *)c[i].column[j])[j], 2);
    }
    V more = {0};
    long j = 0;
    for (; j + 8 <= k * TRI; j += 8) more += load(l + j) * load(l + j);
    for (; j < k * TRI; j++) squares += l[j] * l[j];
    squares += (more[0] + more[1] + more[2] + more[3]) + (more[4] + more[5] + more[6] + more[7]);
    for (int i = 0; i < k; i++) total += exp(alpha[i] - most);
    for (int i = 0; i < k; i++) dalpha[i] = c[i].w - (double)n * exp(alpha[i] - most) / total;
    return (double)k * (nu * D * (log(gamma) - 0.5 * log(2)) - log_gamma) - 0.5 * gamma * gamma * squares + m * sum -
           (double)n * (0.5 * D * log(2 * M_PI) + most + log(total));
}

size_t gmm_grad_workspace_size(int64_t n, int64_t d, int64_t k, int64_t m) {
    (void)n, (void)d, (void)m;
    return 64 + sizeof(Points) + (size_t)k * (sizeof(Component) + sizeof(V[STRIDE]));
}

int gmm_grad(int64_t n, int64_t d, int64_t k, const double *alpha, const double *mu, const double *q, const double *l, const double *x,
             double gamma, int64_t m, double *value, double *dalpha, double *dmu, double *dq, double *dl, void *workspace, size_t bytes) {
    (void)bytes;
    if (d != D) return 1;
    Points *p = aligned(workspace);
    Component *c = (Component *)(p + 1);
    V(*inner)[STRIDE] = (V(*)[STRIDE])(c + k);
    p->value = (V){0};
    for (int i = 0; i < k; i++) pack(&c[i], alpha[i], q + i * D, l + (long)i * TRI);
    for (int64_t first = 0; first < n; first += TILE * LANES) {
        int points = (int)(n - first < TILE * LANES ? n - first : TILE * LANES), vectors = (points + LANES - 1) / LANES;
        gather(p, x + first * D, points);
        for (int i = 0; i < k; i++) whiten(p, &c[i], mu + i * D, vectors, inner[i]);
        softmax(p, inner, (int)k, points);
        for (int i = 0; i < k; i++) add(p, &c[i], mu + i * D, inner[i], vectors);
    }
    for (int i = 0; i < k; i++)
        finish(&c[i], l + (long)i * TRI, gamma, (double)m, dmu + i * D, dq + i * D, dl + (long)i * TRI);
    *value = total(p->value) + prior(n, k, alpha, c, l, gamma, (double)m, dalpha);
    return 0;
}
