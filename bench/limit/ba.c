/* The Jacobian of bundle adjustment by rows. A camera's rotation and its derivatives are made once; an observation is then a
 * few products of 3 x 3 matrices, whose rows are vectors of four numbers of which the last is free: stores overlap, in order.
 *
 * Bound: 31 numbers are written an observation. */
#include "ba.h"
#include "vector.h"

typedef double Q __attribute__((vector_size(32)));
typedef double QU __attribute__((vector_size(32), aligned(8), may_alias));

/* Rotation R[i] by rows; turn[i][k]: lane j is the derivative of R[i][k] by r_j. The rest of the camera follows. */
typedef struct {
    Q rotation[3], turn[3][3];
    double centre[3], focal, principal[2], radial[2];
} Camera;

size_t values_workspace_size(int64_t n, int64_t m, int64_t p) {
    (void)m, (void)p;
    return 64 + (size_t)n * sizeof(Camera);
}

/* R = cos I + a K + b r r^T with K v = r x v; all by the components of r. */
static void prepare(const double *cam, Camera *c) {
    double r[3] = {cam[0], cam[1], cam[2]}, t2 = r[0] * r[0] + r[1] * r[1] + r[2] * r[2], t = sqrt(t2);
    double cosine = 1, a = 1, b = 0, da = 0, db = 0, dc = 0; /* derivatives by r_j are these times r_j */
    if (t2 > 0) {
        cosine = cos(t), a = sin(t) / t, b = (1 - cosine) / t2;
        dc = -a, da = (cosine - a) / t2, db = (a - 2 * b) / t2;
    }
    for (int i = 0; i < 3; i++)
        for (int k = 0; k < 3; k++) {
            int third = 3 - i - k, sign = i == k ? 0 : (k - i + 3) % 3 == 1 ? -1 : 1;
            double cross = sign ? sign * r[third] : 0;
            c->rotation[i][k] = (i == k ? cosine : 0) + a * cross + b * r[i] * r[k];
            for (int j = 0; j < 3; j++)
                c->turn[i][k][j] = (i == k ? dc : 0) * r[j] + da * r[j] * cross + (sign && j == third ? a * sign : 0) +
                                   db * r[j] * r[i] * r[k] + b * ((i == j) * r[k] + (k == j) * r[i]);
        }
    memcpy(c->centre, cam + 3, 8 * sizeof(double));
}

INLINE void store4(double *to, Q v) { *(QU *)to = v; }

/* Rows of one observation: rotation, centre, focal length, principal point, distortion, point, weight. */
INLINE void observe(const Camera *c, const double *x, double w, const double *feat, double *row) {
    double v[3] = {x[0] - c->centre[0], x[1] - c->centre[1], x[2] - c->centre[2]}, p[3];
    Q by_r[3];
    for (int i = 0; i < 3; i++) {
        p[i] = c->rotation[i][0] * v[0] + c->rotation[i][1] * v[1] + c->rotation[i][2] * v[2];
        by_r[i] = c->turn[i][0] * v[0] + c->turn[i][1] * v[1] + c->turn[i][2] * v[2];
    }
    double z = 1 / p[2], q[2] = {p[0] * z, p[1] * z}, s = q[0] * q[0] + q[1] * q[1];
    double g = 1 + s * (c->radial[0] + s * c->radial[1]), slope = 2 * (c->radial[0] + 2 * s * c->radial[1]), wf = w * c->focal;
    for (int i = 0; i < 2; i++, row += 15) {
        double a0 = slope * q[i] * q[0], a1 = slope * q[i] * q[1]; /* of the distorted q_i by q */
        if (i) a1 += g;
        else a0 += g;
        double m0 = wf * z * a0, m1 = wf * z * a1, m2 = -(m0 * q[0] + m1 * q[1]);
        Q by_x = c->rotation[0] * m0 + c->rotation[1] * m1 + c->rotation[2] * m2;
        store4(row, by_r[0] * m0 + by_r[1] * m1 + by_r[2] * m2);
        store4(row + 3, -by_x);
        store4(row + 6, (Q){w * q[i] * g, i ? 0 : w, i ? w : 0, wf * q[i] * s});
        row[10] = wf * q[i] * s * s;
        store4(row + 11, by_x);
        row[14] = q[i] * g * c->focal + c->principal[i] - feat[i];
    }
}

int values(int64_t n, int64_t m, int64_t p, const double *cams, const double *xs, const double *w, const int64_t *camera, const int64_t *point,
           const double *feat, double *rows, double *weights, void *workspace, size_t bytes) {
    (void)m, (void)bytes;
    Camera *c = aligned(workspace);
    for (int64_t i = 0; i < n; i++) prepare(cams + 11 * i, &c[i]);
    for (int64_t i = 0; i < p; i++) {
        observe(&c[camera[i]], xs + 3 * point[i], w[i], feat + 2 * i, rows + 30 * i);
        weights[i] = -2 * w[i];
    }
    return 0;
}
