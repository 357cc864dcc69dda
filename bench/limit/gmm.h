/* The Gaussian mixture's log posterior and its gradient (formula: examples/gmm/gmm.tdl), by hand. Arrays are row-major:
 * alpha[k], mu[k][d], q[k][d], l[k][d(d-1)/2] (column by column), x[n][d]; the gradients likewise. Returns the value. */
#ifndef LIMIT_GMM_H
#define LIMIT_GMM_H

typedef struct {
    int n, d, k, m;
    double gamma;
    const double *alpha, *mu, *q, *l, *x;
} Gmm;

typedef struct { double *dalpha, *dmu, *dq, *dl; } GmmGrad;

/* As one writes it: loops over points and components, one point at a time. */
double gmm_scalar(const Gmm *g, const GmmGrad *out, double *work);
long gmm_scalar_work(const Gmm *g); /* doubles */

/* For 2 <= d <= 16, each with code of its own: points in vector lanes, the triangles in registers. */
double gmm_tuned(const Gmm *g, const GmmGrad *out, double *work);
long gmm_tuned_work(const Gmm *g);

/* log posterior terms that do not depend on the points, and their part of the gradient, which is added. */
double gmm_prior(const Gmm *g, const double *qd, const GmmGrad *out);

#endif
