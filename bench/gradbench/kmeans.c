/* kmeans: cost of the centroids, and Newton's direction (kmeans.tdl). */
#include "kmeans.h"
#include "problem.h"

typedef struct {
    int64_t n, k, d;
    double *points, *centroids, value, *direction;
    void *workspace;
    size_t bytes;
} KMeans;

static KMeans *load(Request *r, const cJSON *in)
{
    KMeans *s = request_take(r, 1, sizeof *s);
    int64_t count;
    s->n = request_rows(r, in, "points");
    s->k = request_rows(r, in, "centroids");
    s->centroids = request_numbers(r, in, "centroids", &count);
    s->d = s->k ? count / s->k : 0;
    s->centroids = request_exactly(r, in, "centroids", s->k * s->d);
    s->points = request_exactly(r, in, "points", s->n * s->d);
    return s;
}

static void *load_cost(Request *r, const cJSON *in)
{
    KMeans *s = load(r, in);
    if (*r->error) return NULL;
    s->bytes = cost_workspace_size(s->n, s->k, s->d);
    s->workspace = request_take(r, s->bytes, 1);
    return s;
}

static void *load_direction(Request *r, const cJSON *in)
{
    KMeans *s = load(r, in);
    if (*r->error) return NULL;
    s->bytes = dir_workspace_size(s->n, s->k, s->d);
    s->workspace = request_take(r, s->bytes, 1);
    s->direction = request_take(r, (size_t)(s->k * s->d), sizeof(double));
    return s;
}

static int run_cost(void *state)
{
    KMeans *s = state;
    return cost(s->n, s->k, s->d, s->centroids, s->points, &s->value, s->workspace, s->bytes);
}

static int run_direction(void *state)
{
    KMeans *s = state;
    return dir(s->n, s->k, s->d, s->centroids, s->points, s->direction, s->workspace, s->bytes);
}

static cJSON *value(const void *state) { return json_number(((const KMeans *)state)->value); }

static cJSON *direction(const void *state)
{
    const KMeans *s = state;
    return json_matrix(s->direction, s->k, s->d);
}

const Function kmeans_functions[2] = {
    {"kmeans", "cost", load_cost, run_cost, value},
    {"kmeans", "dir", load_direction, run_direction, direction},
};
