/* gmm: log posterior of a Gaussian mixture, and its gradient (examples/gmm/gmm.tdl). */
#include "gmm.h"
#include "problem.h"

typedef struct {
    int64_t n, d, k, m;
    double *alpha, *mu, *q, *l, *x, gamma;
    double value, *dalpha, *dmu, *dq, *dl;
    void *workspace;
    size_t bytes;
} Gmm;

static Gmm *load(Request *r, const cJSON *in)
{
    Gmm *g = request_take(r, 1, sizeof *g);
    g->n = request_size(r, in, "n");
    g->d = request_size(r, in, "d");
    g->k = request_size(r, in, "k");
    g->m = request_size(r, in, "m");
    g->gamma = request_number(r, in, "gamma");
    g->alpha = request_exactly(r, in, "alpha", g->k);
    g->mu = request_exactly(r, in, "mu", g->k * g->d);
    g->q = request_exactly(r, in, "q", g->k * g->d);
    g->l = request_exactly(r, in, "l", g->k * (g->d * (g->d - 1) / 2));
    g->x = request_exactly(r, in, "x", g->n * g->d);
    return g;
}

static void *load_value(Request *r, const cJSON *in)
{
    Gmm *g = load(r, in);
    if (*r->error) return NULL;
    g->bytes = gmm_workspace_size(g->n, g->d, g->k, g->m);
    g->workspace = request_take(r, g->bytes, 1);
    return g;
}

static void *load_gradient(Request *r, const cJSON *in)
{
    Gmm *g = load(r, in);
    if (*r->error) return NULL;
    g->bytes = gmm_grad_workspace_size(g->n, g->d, g->k, g->m);
    g->workspace = request_take(r, g->bytes, 1);
    g->dalpha = request_take(r, (size_t)g->k, sizeof(double));
    g->dmu = request_take(r, (size_t)(g->k * g->d), sizeof(double));
    g->dq = request_take(r, (size_t)(g->k * g->d), sizeof(double));
    g->dl = request_take(r, (size_t)(g->k * (g->d * (g->d - 1) / 2)), sizeof(double));
    return g;
}

static int run_value(void *state)
{
    Gmm *g = state;
    return gmm(g->n, g->d, g->k, g->alpha, g->mu, g->q, g->l, g->x, g->gamma, g->m, &g->value, g->workspace, g->bytes);
}

static int run_gradient(void *state)
{
    Gmm *g = state;
    return gmm_grad(g->n, g->d, g->k, g->alpha, g->mu, g->q, g->l, g->x, g->gamma, g->m, &g->value, g->dalpha, g->dmu,
                    g->dq, g->dl, g->workspace, g->bytes);
}

static cJSON *value(const void *state) { return json_number(((const Gmm *)state)->value); }

static cJSON *gradient(const void *state)
{
    const Gmm *g = state;
    cJSON *v = cJSON_CreateObject();
    cJSON_AddItemToObject(v, "alpha", json_vector(g->dalpha, g->k));
    cJSON_AddItemToObject(v, "mu", json_matrix(g->dmu, g->k, g->d));
    cJSON_AddItemToObject(v, "q", json_matrix(g->dq, g->k, g->d));
    cJSON_AddItemToObject(v, "l", json_matrix(g->dl, g->k, g->d * (g->d - 1) / 2));
    return v;
}

const Function gmm_functions[2] = {
    {"gmm", "objective", load_value, run_value, value},
    {"gmm", "jacobian", load_gradient, run_gradient, gradient},
};
