/* The chain of equations by Runge-Kutta and its reverse. Forward, the stages of a step are nested expressions of the four
 * components before, read from memory unaligned: no step through the components waits for another. The reverse goes down
 * the components and hands one lane on from vector to vector.
 *
 * Bound: 11 operations a component and step forward, 32 in the reverse; or the states' way to memory and back. */
#include "ode.h"
#include "vector.h"

enum { PAD = 8 };

static int64_t stride_of(int64_t n) { return (n + LANES - 1) / LANES * LANES + 2 * PAD; }

size_t ode_grad_workspace_size(int64_t n, int64_t s) { return 64 + (size_t)((s + 5) * stride_of(n)) * sizeof(double); }

/* The stages' arguments at component i - 1; x and y have PAD elements before the first. Component -1 is the constant 1. */
INLINE void stages(const double *x, const double *y, V a, V h, V *u) {
    V x1 = load(x - 1), x2 = load(x - 2), x3 = load(x - 3), y1 = load(y - 1), y2 = load(y - 2), y3 = load(y - 3), y4 = load(y - 4);
    u[0] = y1;
    u[1] = y1 + a * x1 * y2;
    u[2] = y1 + a * x1 * (y2 + a * x2 * y3);
    u[3] = y1 + h * x1 * (y2 + a * x2 * (y3 + a * x3 * y4));
}

static void step(int64_t n, const double *x, const double *y, double *after, double h) {
    V half = (V){0} + 0.5 * h, whole = (V){0} + h, sixth = (V){0} + h / 6;
    for (int64_t i = 0; i < n; i += LANES) {
        V u[4];
        stages(x + i, y + i, half, whole, u);
        store(after + i, load(y + i) + sixth * load(x + i) * ((u[0] + u[3]) + 2 * (u[1] + u[2])));
    }
}

/* v of the next component; *above is the lowest of the vector above, and becomes that of v. */
INLINE V from_above(V v, V *above) {
    V next = MIX(v, *above, 1, 2, 3, 4, 5, 6, 7, 8);
    *above = v;
    return next;
}

/* dy becomes the cotangent of the state before the step. */
static void back(int64_t n, const double *x, const double *y, double *dy, double *dx, double h) {
    V half = (V){0} + 0.5 * h, whole = (V){0} + h, carry[4] = {{0}};
    for (int64_t i = (n - 1) / LANES * LANES; i >= 0; i -= LANES) {
        V u[4], w = load(dy + i), xi = load(x + i), third = w * (h / 3), k4 = 0.5 * third;
        stages(x + i, y + i, half, whole, u);
        V d4 = from_above(xi * k4, carry + 3), k3 = third + whole * d4, d3 = from_above(xi * k3, carry + 2);
        V k2 = third + half * d3, d2 = from_above(xi * k2, carry + 1), k1 = 0.5 * third + half * d2, d1 = from_above(xi * k1, carry);
        store(dy + i, (w + d4) + (d3 + d2) + d1);
        store(dx + i, load(dx + i) + (k1 * u[0] + k2 * u[1]) + (k3 * u[2] + k4 * u[3]));
    }
}

int ode_grad(int64_t n, const double *x, int64_t s, double *out, void *workspace, size_t bytes) {
    (void)bytes;
    int64_t stride = stride_of(n);
    double *xs = (double *)aligned(workspace) + PAD, *dy = xs + stride, *dx = dy + stride, *y = dx + stride, h = 2 / (double)s;
    memset(xs - PAD, 0, (size_t)(3 * stride + PAD) * sizeof(double));
    memcpy(xs, x, (size_t)n * sizeof(double));
    memset(y - PAD, 0, (size_t)stride * sizeof(double));
    for (int64_t t = 0; t < s; t++) {
        double *after = y + (t + 1) * stride;
        memset(after - PAD, 0, PAD * sizeof(double));
        y[t * stride - 1] = 1;
        step(n, xs, y + t * stride, after, h);
    }
    dy[n - 1] = 1;
    for (int64_t t = s - 1; t >= 0; t--) back(n, xs, y + t * stride, dy, dx, h);
    memcpy(out, dx, (size_t)n * sizeof(double));
    return 0;
}
