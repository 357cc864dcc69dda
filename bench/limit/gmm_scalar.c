/* The Gaussian mixture's gradient as one writes it: loops over points and components, one point at a time. */
#include "gmm.h"

#include <math.h>
#include <string.h>

size_t gmm_grad_workspace_size(int64_t n, int64_t d, int64_t k, int64_t m) {
    (void)n, (void)m;
    return (size_t)(k * (3 * d + 2)) * sizeof(double);
}

/* inner[c], y[c] = Q_c (x - mu_c) and x - mu_c of a point; returns the largest inner. */
static double whiten(int64_t d, int64_t k, const double *alpha, const double *mu, const double *l, const double *x, const double *qd,
                     const double *sumq, double *restrict y, double *restrict centred, double *inner) {
    double most = -1e308;
    for (int64_t c = 0; c < k; c++) {
        double *yc = y + c * d, *xc = centred + c * d, squares = 0;
        for (int64_t r = 0; r < d; r++) xc[r] = x[r] - mu[c * d + r];
        for (int64_t r = 0; r < d; r++) yc[r] = qd[c * d + r] * xc[r];
        const double *lc = l + c * (d * (d - 1) / 2);
        for (int64_t j = 0; j < d; j++)
            for (int64_t r = j + 1; r < d; r++) yc[r] += *lc++ * xc[j];
        for (int64_t r = 0; r < d; r++) squares += yc[r] * yc[r];
        inner[c] = alpha[c] + sumq[c] - 0.5 * squares;
        most = fmax(most, inner[c]);
    }
    return most;
}

/* Adds the gradient of w * inner of one point and component. */
static void add(int64_t d, double w, const double *restrict qd, const double *restrict l, const double *restrict y, const double *restrict xc, double *restrict dmu, double *restrict dq, double *restrict dl) {
    for (int64_t r = 0; r < d; r++) {
        dq[r] += w * (1 - y[r] * xc[r] * qd[r]);
        dmu[r] += w * qd[r] * y[r];
    }
    for (int64_t j = 0; j < d; j++)
        for (int64_t r = j + 1; r < d; r++, l++, dl++) {
            *dl -= w * y[r] * xc[j];
            dmu[j] += w * *l * y[r];
        }
}

/* What does not depend on the points; its gradient is added. */
static double prior(int64_t n, int64_t d, int64_t k, const double *alpha, const double *q, const double *l, const double *qd, double gamma,
                    double m, double *dalpha, double *dq, double *dl) {
    double nu = (double)d + m + 1, log_gamma = 0.25 * (double)(d * (d - 1)) * log(M_PI), squares = 0, sum = 0, most = alpha[0], total = 0;
    for (int64_t j = 0; j < d; j++) log_gamma += lgamma(0.5 * nu - 0.5 * (double)j);
    for (int64_t i = 0; i < k * d; i++) {
        squares += qd[i] * qd[i];
        sum += q[i];
        dq[i] += m - gamma * gamma * qd[i] * qd[i];
    }
    for (int64_t i = 0; i < k * (d * (d - 1) / 2); i++) {
        squares += l[i] * l[i];
        dl[i] -= gamma * gamma * l[i];
    }
    for (int64_t c = 1; c < k; c++) most = fmax(most, alpha[c]);
    for (int64_t c = 0; c < k; c++) total += exp(alpha[c] - most);
    for (int64_t c = 0; c < k; c++) dalpha[c] -= (double)n * exp(alpha[c] - most) / total;
    return (double)k * (nu * (double)d * (log(gamma) - 0.5 * log(2)) - log_gamma) - 0.5 * gamma * gamma * squares + m * sum -
           (double)n * (0.5 * (double)d * log(2 * M_PI) + most + log(total));
}

int gmm_grad(int64_t n, int64_t d, int64_t k, const double *alpha, const double *mu, const double *q, const double *l, const double *x,
             double gamma, int64_t m, double *value, double *dalpha, double *dmu, double *dq, double *dl, void *workspace, size_t bytes) {
    (void)bytes;
    int64_t tri = d * (d - 1) / 2;
    double *qd = workspace, *sumq = qd + k * d, *inner = sumq + k, *y = inner + k, *centred = y + k * d, sum = 0;
    memset(dalpha, 0, (size_t)k * sizeof(double));
    memset(dmu, 0, (size_t)(k * d) * sizeof(double));
    memset(dq, 0, (size_t)(k * d) * sizeof(double));
    memset(dl, 0, (size_t)(k * tri) * sizeof(double));
    for (int64_t c = 0; c < k; c++) {
        sumq[c] = 0;
        for (int64_t r = 0; r < d; r++) qd[c * d + r] = exp(q[c * d + r]), sumq[c] += q[c * d + r];
    }
    for (int64_t i = 0; i < n; i++) {
        double most = whiten(d, k, alpha, mu, l, x + i * d, qd, sumq, y, centred, inner), total = 0;
        for (int64_t c = 0; c < k; c++) total += inner[c] = exp(inner[c] - most);
        for (int64_t c = 0; c < k; c++) {
            double w = inner[c] / total;
            dalpha[c] += w;
            add(d, w, qd + c * d, l + c * tri, y + c * d, centred + c * d, dmu + c * d, dq + c * d, dl + c * tri);
        }
        sum += most + log(total);
    }
    *value = sum + prior(n, d, k, alpha, q, l, qd, gamma, (double)m, dalpha, dq, dl);
    return 0;
}
