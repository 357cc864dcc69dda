/* The LSTM's value and gradient for one number of bits and layers (-DFIX_b=14 -DFIX_l=2), each bit in a lane. Forward keeps the
 * gates; the loss is a pass of its own, where exponentials of all characters are independent; the reverse has none.
 *
 * Bound: a character and layer take five exponentials and five quotients a bit, one more a character; forward, each step
 * of a layer waits for the one before. */
#include "lstm.h"
#include "vector.h"

enum { L = FIX_l, B = FIX_b, N = (B + LANES - 1) / LANES, GATES = 4 };    /* vectors of a row of bits */
typedef struct { V v[N]; } Row;
typedef struct { Row gate[GATES], cell, squashed; } Kept;  /* forget, in, out, change; the new cell, tanh of it */
typedef struct { Row w[2][GATES]; } Layer;
typedef struct { Row hidden, cell; } State;

static Row row(const double *p) {
    Row r = {{{0}}};
    memcpy(&r, p, B * sizeof(double));
    return r;
}

#define EACH for (int v = 0; v < N; v++)

/* One layer, one character. */
INLINE void step(const Layer *p, const Row *x, State *s, Kept *k) {
    Row z[GATES];
    for (int i = 0; i < GATES; i++) EACH z[i].v[v] = (i % 2 ? s->hidden.v[v] : x->v[v]) * p->w[0][i].v[v] + p->w[1][i].v[v];
    for (int i = 0; i < GATES; i++) EACH z[i].v[v] = k->gate[i].v[v] = i < 3 ? sigmoid(z[i].v[v]) : vtanh(z[i].v[v]);
    EACH k->cell.v[v] = s->cell.v[v] = s->cell.v[v] * z[0].v[v] + z[1].v[v] * z[3].v[v];
    EACH k->squashed.v[v] = vtanh(s->cell.v[v]);
    EACH s->hidden.v[v] = z[2].v[v] * k->squashed.v[v];
}

/* The loss of one character, of which the output layer's input is h; h becomes its cotangent. Returns 2 + sum exp(y), whose
 * logarithm counts `ones` times. */
INLINE double loss(const Row *extra, const double *next, Row *h, Row *dextra, V *linear, double *ones) {
    Row target = row(next), e, mask;
    V sum = {0}, count = {0};
    EACH for (int i = 0; i < LANES; i++) mask.v[v][i] = v * LANES + i < B;
    EACH {
        V y = h->v[v] * extra[1].v[v] + extra[2].v[v];
        e.v[v] = exp_near(y) * mask.v[v];
        *linear += target.v[v] * y;
        sum += e.v[v], count += target.v[v];
    }
    double all = 2 + total(sum);
    *ones = total(count);
    EACH {
        V dy = target.v[v] - *ones / all * e.v[v];
        dextra[1].v[v] += dy * h->v[v];
        dextra[2].v[v] += dy;
        h->v[v] = dy * extra[1].v[v];
    }
    return all;
}

/* Through one layer and character: from the cotangents of its states (dh complete) to those before it. */
INLINE Row back(const Layer *p, const Row *x, const State *before, const Kept *k, State *d, Layer *dp) {
    Row dx;
    EACH {
        V f = k->gate[0].v[v], g = k->gate[1].v[v], o = k->gate[2].v[v], a = k->gate[3].v[v], th = k->squashed.v[v];
        V dh = d->hidden.v[v], ds = d->cell.v[v] + dh * o * (1 - th * th);
        V zf = ds * before->cell.v[v] * (f - f * f), zg = ds * a * (g - g * g), zo = dh * th * (o - o * o), za = ds * g * (1 - a * a);
        V z[GATES] = {zf, zg, zo, za};
        for (int i = 0; i < GATES; i++) {
            dp->w[0][i].v[v] += z[i] * (i % 2 ? before->hidden.v[v] : x->v[v]);
            dp->w[1][i].v[v] += z[i];
        }
        d->cell.v[v] = ds * f;
        d->hidden.v[v] = zg * p->w[0][1].v[v] + za * p->w[0][3].v[v];
        dx.v[v] = zf * p->w[0][0].v[v] + zo * p->w[0][2].v[v];
    }
    return dx;
}

size_t lstm_grad_workspace_size(int64_t l, int64_t c, int64_t b) {
    (void)b;
    return 64 + (size_t)c * ((size_t)l * sizeof(Kept) + sizeof(Row) + 2 * sizeof(double));
}

/* Layer i is i characters behind the first, so that the layers' steps wait for nothing of each other. */
static void forward(int64_t c, const Layer *layer, const Row *extra, State *s, const double *sequence, Kept *kept, Row *top) {
    for (int64_t u = 0; u < c - 2 + L; u++)
        UNROLL for (int i = L - 1; i >= 0; i--) {
            int64_t t = u - i;
            if (t < 0 || t > c - 2) continue;
            Row x = i ? s[i - (i > 0)].hidden : row(sequence + t * B);
            if (!i) EACH x.v[v] *= extra[0].v[v];
            step(&layer[i], &x, &s[i], &kept[t * L + i]);
            if (i == L - 1) top[t] = s[i].hidden;
        }
}

static void reverse(int64_t c, const Layer *layer, const Row *extra, const State *start, const double *sequence, const Kept *kept, const Row *seed,
                    Layer *dlayer, Row *dextra) {
    State d[L];
    memset(d, 0, sizeof d);
    for (int64_t t = c - 2; t >= 0; t--) {
        Row dx = seed[t], first = row(sequence + t * B), input;
        EACH input.v[v] = first.v[v] * extra[0].v[v];
        UNROLL for (int i = L - 1; i >= 0; i--) {
            const Kept *k = kept + t * L + i;
            State before = start[i];
            Row x = input;
            if (t) {
                before.cell = k[-L].cell;
                EACH before.hidden.v[v] = k[-L].gate[2].v[v] * k[-L].squashed.v[v];
            }
            if (i) EACH x.v[v] = k[-1].gate[2].v[v] * k[-1].squashed.v[v];
            EACH d[i].hidden.v[v] += dx.v[v];
            dx = back(&layer[i], &x, &before, k, &d[i], &dlayer[i]);
        }
        EACH dextra[0].v[v] += dx.v[v] * first.v[v];
    }
}

int lstm_grad(int64_t l, int64_t c, int64_t b, const double *main, const double *extra, const double *state, const double *sequence,
              double *value, double *dmain, double *dextra, void *workspace, size_t bytes) {
    (void)bytes;
    if (l != L || b != B || c < 2) return 1;
    Layer layer[L], dlayer[L];
    State start[L], s[L];
    Row out[3], dout[3];
    Kept *kept = aligned(workspace);
    Row *seed = (Row *)(kept + c * L);
    double *all = (double *)(seed + c), *ones = all + c, logs = 0, scale = -1 / ((double)(c - 1) * B);
    V linear = {0};
    memset(dlayer, 0, sizeof dlayer);
    memset(dout, 0, sizeof dout);
    for (int i = 0; i < 3; i++) out[i] = row(extra + i * B);
    for (int i = 0; i < L * 2 * GATES; i++) layer[i / 8].w[i / 4 % 2][i % 4] = row(main + i * B);
    for (int i = 0; i < L; i++) start[i] = s[i] = (State){row(state + 2 * i * B), row(state + (2 * i + 1) * B)};
    forward(c, layer, out, s, sequence, kept, seed);
    for (int64_t t = 0; t < c - 1; t++) all[t] = loss(out, sequence + (t + 1) * B, &seed[t], dout, &linear, &ones[t]);
    for (int64_t t = 0; t < c - 1; t++) logs += ones[t] * log(all[t]);
    reverse(c, layer, out, start, sequence, kept, seed, dlayer, dout);
    *value = scale * (total(linear) - logs);
    for (int i = 0; i < L * 2 * GATES; i++)
        for (int j = 0; j < B; j++) dmain[i * B + j] = scale * ((double *)&dlayer[i / 8].w[i / 4 % 2][i % 4])[j];
    for (int i = 0; i < 3; i++)
        for (int j = 0; j < B; j++) dextra[i * B + j] = scale * ((double *)&dout[i])[j];
    return 0;
}
