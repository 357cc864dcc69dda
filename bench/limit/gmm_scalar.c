#include "gmm.h"

#include <math.h>
#include <string.h>

double gmm_prior(const Gmm *g, const double *qd, const GmmGrad *out) {
    int d = g->d, tri = d * (d - 1) / 2;
    double nu = d + g->m + 1, log_gamma = 0.25 * d * (d - 1) * log(M_PI), squares = 0, sum = 0, most = g->alpha[0], total = 0;
    for (int j = 0; j < d; j++) log_gamma += lgamma(0.5 * nu - 0.5 * j);
    for (int i = 0; i < g->k * d; i++) {
        squares += qd[i] * qd[i];
        sum += g->q[i];
        out->dq[i] += g->m - g->gamma * g->gamma * qd[i] * qd[i];
    }
    for (int i = 0; i < g->k * tri; i++) {
        squares += g->l[i] * g->l[i];
        out->dl[i] -= g->gamma * g->gamma * g->l[i];
    }
    for (int c = 1; c < g->k; c++) most = fmax(most, g->alpha[c]);
    for (int c = 0; c < g->k; c++) total += exp(g->alpha[c] - most);
    for (int c = 0; c < g->k; c++) out->dalpha[c] -= g->n * exp(g->alpha[c] - most) / total;
    double normal = nu * d * (log(g->gamma) - 0.5 * log(2)) - log_gamma;
    return g->k * normal - 0.5 * g->gamma * g->gamma * squares + g->m * sum -
           g->n * (0.5 * d * log(2 * M_PI) + most + log(total));
}

long gmm_scalar_work(const Gmm *g) { return (long)g->k * (2 * g->d + 2) + 2L * g->k * g->d; }

/* inner[c] and y[c] = Q_c (x - mu_c) of a point; returns the largest. */
static double whiten(const Gmm *g, const double *x, const double *qd, const double *sumq, double *y, double *centred, double *inner) {
    int d = g->d, tri = d * (d - 1) / 2;
    double most = -1e308;
    for (int c = 0; c < g->k; c++) {
        double *yc = y + c * d, *xc = centred + c * d, squares = 0;
        for (int r = 0; r < d; r++) xc[r] = x[r] - g->mu[c * d + r];
        for (int r = 0; r < d; r++) yc[r] = qd[c * d + r] * xc[r];
        const double *l = g->l + (long)c * tri;
        for (int j = 0; j < d; j++)
            for (int r = j + 1; r < d; r++) yc[r] += *l++ * xc[j];
        for (int r = 0; r < d; r++) squares += yc[r] * yc[r];
        inner[c] = g->alpha[c] + sumq[c] - 0.5 * squares;
        most = fmax(most, inner[c]);
    }
    return most;
}

/* Adds the gradient of w * inner[c] of one point. */
static void add_component(const Gmm *g, int c, double w, const double *qd, const double *y, const double *xc, const GmmGrad *out) {
    int d = g->d, tri = d * (d - 1) / 2;
    const double *l = g->l + (long)c * tri;
    double *dl = out->dl + (long)c * tri, *dq = out->dq + c * d, *dmu = out->dmu + c * d;
    out->dalpha[c] += w;
    for (int r = 0; r < d; r++) {
        dq[r] += w * (1 - y[r] * xc[r] * qd[c * d + r]);
        dmu[r] += w * qd[c * d + r] * y[r];
    }
    for (int j = 0; j < d; j++)
        for (int r = j + 1; r < d; r++, l++, dl++) {
            *dl -= w * y[r] * xc[j];
            dmu[j] += w * *l * y[r];
        }
}

double gmm_scalar(const Gmm *g, const GmmGrad *out, double *work) {
    int d = g->d, k = g->k, tri = d * (d - 1) / 2;
    double *qd = work, *sumq = qd + k * d, *inner = sumq + k, *y = inner + k, *centred = y + k * d, value = 0;
    memset(out->dalpha, 0, (size_t)k * sizeof(double));
    memset(out->dmu, 0, (size_t)(k * d) * sizeof(double));
    memset(out->dq, 0, (size_t)(k * d) * sizeof(double));
    memset(out->dl, 0, (size_t)k * (size_t)tri * sizeof(double));
    for (int c = 0; c < k; c++) {
        sumq[c] = 0;
        for (int r = 0; r < d; r++) qd[c * d + r] = exp(g->q[c * d + r]), sumq[c] += g->q[c * d + r];
    }
    for (int i = 0; i < g->n; i++) {
        double most = whiten(g, g->x + (long)i * d, qd, sumq, y, centred, inner), total = 0;
        for (int c = 0; c < k; c++) total += inner[c] = exp(inner[c] - most);
        for (int c = 0; c < k; c++) add_component(g, c, inner[c] / total, qd, y + c * d, centred + c * d, out);
        value += most + log(total);
    }
    return value + gmm_prior(g, qd, out);
}
