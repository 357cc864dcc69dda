/* ode: a chain of equations by Runge-Kutta, and the gradient of its last component (ode.tdl). */
#include "ode.h"
#include "problem.h"

typedef struct {
    int64_t n, s;
    double *x, *out;
    void *workspace;
    size_t bytes;
} Ode;

static Ode *load(Request *r, const cJSON *in)
{
    Ode *o = request_take(r, 1, sizeof *o);
    o->x = request_numbers(r, in, "x", &o->n);
    o->s = request_size(r, in, "s");
    o->out = request_take(r, (size_t)o->n, sizeof(double));
    return o;
}

static void *load_primal(Request *r, const cJSON *in)
{
    Ode *o = load(r, in);
    if (*r->error) return NULL;
    o->bytes = ode_workspace_size(o->n, o->s);
    o->workspace = request_take(r, o->bytes, 1);
    return o;
}

static void *load_gradient(Request *r, const cJSON *in)
{
    Ode *o = load(r, in);
    if (*r->error) return NULL;
    o->bytes = ode_grad_workspace_size(o->n, o->s);
    o->workspace = request_take(r, o->bytes, 1);
    return o;
}

static int run_primal(void *state)
{
    Ode *o = state;
    return ode(o->n, o->x, o->s, o->out, o->workspace, o->bytes);
}

static int run_gradient(void *state)
{
    Ode *o = state;
    return ode_grad(o->n, o->x, o->s, o->out, o->workspace, o->bytes);
}

static cJSON *output(const void *state) { return json_vector(((const Ode *)state)->out, ((const Ode *)state)->n); }

const Function ode_functions[2] = {
    {"ode", "primal", load_primal, run_primal, output},
    {"ode", "gradient", load_gradient, run_gradient, output},
};
