/* ba: the residuals of bundle adjustment and their sparse Jacobian (ba.tdl). The input is one camera, point, weight
 * and feature, which every observation repeats; observation i is of camera i mod n and point i mod m. */
#include "ba.h"
#include "problem.h"

enum { CAM = 11, POINT = 3, ROW = CAM + POINT + 1 };

typedef struct {
    int64_t n, m, p;
    double *cams, *xs, *w, *feat;
    int64_t *camera, *point;
    double *residual, *weight;    /* p x 2, p */
    double *dcam, *dpoint, *dw, *dweight; /* p x 2 x 11, p x 2 x 3, p x 2; p, of the weights' errors */
    int64_t *rows, *cols;         /* of the whole Jacobian in CSR: 3p rows */
    double *vals;
    void *workspace;
    size_t bytes;
} Ba;

static double *repeated(Request *r, const cJSON *in, const char *field, int64_t width, int64_t times)
{
    const double *one = request_exactly(r, in, field, width);
    if (*r->error) return NULL;
    double *all = request_take(r, (size_t)(width * times), sizeof *all);
    for (int64_t i = 0; i < width * times; i++) all[i] = one[i % width];
    return all;
}

static Ba *load(Request *r, const cJSON *in)
{
    Ba *b = request_take(r, 1, sizeof *b);
    b->n = request_size(r, in, "n");
    b->m = request_size(r, in, "m");
    b->p = request_size(r, in, "p");
    if (b->n < 1 || b->m < 1) request_fail(r, "n, m: no camera or no point");
    b->cams = repeated(r, in, "cam", CAM, b->n);
    b->xs = repeated(r, in, "x", POINT, b->m);
    b->w = repeated(r, in, "w", 1, b->p);
    b->feat = repeated(r, in, "feat", 2, b->p);
    if (*r->error) return NULL;
    b->camera = request_take(r, (size_t)b->p, sizeof *b->camera);
    b->point = request_take(r, (size_t)b->p, sizeof *b->point);
    for (int64_t i = 0; i < b->p; i++) {
        b->camera[i] = i % b->n;
        b->point[i] = i % b->m;
    }
    return b;
}

static void *load_objective(Request *r, const cJSON *in)
{
    Ba *b = load(r, in);
    if (!b) return NULL;
    b->residual = request_take(r, (size_t)(2 * b->p), sizeof(double));
    b->weight = request_take(r, (size_t)b->p, sizeof(double));
    b->bytes = objective_workspace_size(b->n, b->m, b->p);
    b->workspace = request_take(r, b->bytes, 1);
    return b;
}

static void *load_jacobian(Request *r, const cJSON *in)
{
    Ba *b = load(r, in);
    if (!b) return NULL;
    size_t p = (size_t)b->p;
    b->dcam = request_take(r, 2 * CAM * p, sizeof(double));
    b->dpoint = request_take(r, 2 * POINT * p, sizeof(double));
    b->dw = request_take(r, 2 * p, sizeof(double));
    b->dweight = request_take(r, p, sizeof(double));
    b->rows = request_take(r, 3 * p + 1, sizeof(int64_t));
    b->cols = request_take(r, (2 * ROW + 1) * p, sizeof(int64_t));
    b->vals = request_take(r, (2 * ROW + 1) * p, sizeof(double));
    b->bytes = jacobian_workspace_size(b->n, b->m, b->p);
    b->workspace = request_take(r, b->bytes, 1);
    return b;
}

static int run_objective(void *state)
{
    Ba *b = state;
    return objective(b->n, b->m, b->p, b->cams, b->xs, b->w, b->camera, b->point, b->feat, b->residual, b->weight,
                     b->workspace, b->bytes);
}

static int64_t put(Ba *b, int64_t at, int64_t col, const double *values, int64_t count)
{
    for (int64_t j = 0; j < count; j++) {
        b->cols[at + j] = col + j;
        b->vals[at + j] = values[j];
    }
    return at + count;
}

/* From the blocks of the observations to one sparse matrix: two rows an observation, then one a weight. */
static void assemble(Ba *b)
{
    int64_t points = CAM * b->n, weights = points + POINT * b->m, at = 0;
    for (int64_t row = 0; row < 2 * b->p; row++) {
        int64_t i = row / 2;
        b->rows[row] = at;
        at = put(b, at, CAM * b->camera[i], b->dcam + CAM * row, CAM);
        at = put(b, at, points + POINT * b->point[i], b->dpoint + POINT * row, POINT);
        at = put(b, at, weights + i, b->dw + row, 1);
    }
    for (int64_t i = 0; i < b->p; i++) {
        b->rows[2 * b->p + i] = at;
        at = put(b, at, weights + i, b->dweight + i, 1);
    }
    b->rows[3 * b->p] = at;
}

static int run_jacobian(void *state)
{
    Ba *b = state;
    int status = jacobian(b->n, b->m, b->p, b->cams, b->xs, b->w, b->camera, b->point, b->feat, b->dcam, b->dpoint,
                          b->dw, b->dweight, b->workspace, b->bytes);
    if (!status) assemble(b);
    return status;
}

/* Observations are all the same: the first stands for them. */
static cJSON *objective_output(const void *state)
{
    const Ba *b = state;
    cJSON *v = cJSON_CreateObject();
    cJSON *error = cJSON_CreateObject(), *weight = cJSON_CreateObject();
    cJSON_AddItemToObject(error, "elements", json_vector(b->residual, b->p ? 2 : 0));
    cJSON_AddNumberToObject(error, "repeated", (double)b->p);
    cJSON_AddNumberToObject(weight, "element", b->p ? b->weight[0] : 0);
    cJSON_AddNumberToObject(weight, "repeated", (double)b->p);
    cJSON_AddItemToObject(v, "reproj_error", error);
    cJSON_AddItemToObject(v, "w_err", weight);
    return v;
}

/* The first 30 entries and the last one: the observations between are copies. */
enum { SHOWN = 2 * ROW };

static cJSON *shown_integers(const int64_t *x, int64_t n)
{
    cJSON *v = cJSON_CreateArray();
    for (int64_t i = 0; i < n && i < SHOWN; i++) cJSON_AddItemToArray(v, cJSON_CreateNumber((double)x[i]));
    if (n) cJSON_AddItemToArray(v, cJSON_CreateNumber((double)x[n - 1]));
    return v;
}

static cJSON *jacobian_output(const void *state)
{
    const Ba *b = state;
    int64_t entries = b->rows[3 * b->p];
    cJSON *v = cJSON_CreateObject();
    cJSON_AddItemToObject(v, "rows", shown_integers(b->rows, 3 * b->p + 1));
    cJSON_AddItemToObject(v, "cols", shown_integers(b->cols, entries));
    cJSON *vals = json_vector(b->vals, entries < SHOWN ? entries : SHOWN);
    if (entries) cJSON_AddItemToArray(vals, json_number(b->vals[entries - 1]));
    cJSON_AddItemToObject(v, "vals", vals);
    return v;
}

const Function ba_functions[2] = {
    {"ba", "objective", load_objective, run_objective, objective_output},
    {"ba", "jacobian", load_jacobian, run_jacobian, jacobian_output},
};
