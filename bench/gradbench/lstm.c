/* lstm: negative log likelihood of a sequence, and its gradient by the weights (lstm.tdl). */
#include "lstm.h"
#include "problem.h"

typedef struct {
    int64_t l, c, b;
    double *main, *extra, *state, *sequence;
    double value, *gradient; /* of main, then of extra */
    void *workspace;
    size_t bytes;
} Lstm;

static Lstm *load(Request *r, const cJSON *in)
{
    Lstm *s = request_take(r, 1, sizeof *s);
    int64_t count;
    s->l = request_rows(r, in, "state") / 2; /* two rows a layer: hidden, cell */
    s->c = request_rows(r, in, "sequence");
    s->sequence = request_numbers(r, in, "sequence", &count);
    s->b = s->c ? count / s->c : 0;
    s->sequence = request_exactly(r, in, "sequence", s->c * s->b);
    s->main = request_exactly(r, in, "main_params", s->l * 8 * s->b);
    s->extra = request_exactly(r, in, "extra_params", 3 * s->b);
    s->state = request_exactly(r, in, "state", s->l * 2 * s->b);
    return s;
}

static void *load_value(Request *r, const cJSON *in)
{
    Lstm *s = load(r, in);
    if (*r->error) return NULL;
    s->bytes = lstm_workspace_size(s->l, s->c, s->b);
    s->workspace = request_take(r, s->bytes, 1);
    return s;
}

static void *load_gradient(Request *r, const cJSON *in)
{
    Lstm *s = load(r, in);
    if (*r->error) return NULL;
    s->bytes = lstm_grad_workspace_size(s->l, s->c, s->b);
    s->workspace = request_take(r, s->bytes, 1);
    s->gradient = request_take(r, (size_t)((s->l * 8 + 3) * s->b), sizeof(double));
    return s;
}

static int run_value(void *state)
{
    Lstm *s = state;
    return lstm(s->l, s->c, s->b, s->main, s->extra, s->state, s->sequence, &s->value, s->workspace, s->bytes);
}

static int run_gradient(void *state)
{
    Lstm *s = state;
    return lstm_grad(s->l, s->c, s->b, s->main, s->extra, s->state, s->sequence, &s->value, s->gradient,
                     s->gradient + s->l * 8 * s->b, s->workspace, s->bytes);
}

static cJSON *value(const void *state) { return json_number(((const Lstm *)state)->value); }

static cJSON *gradient(const void *state)
{
    const Lstm *s = state;
    return json_vector(s->gradient, (s->l * 8 + 3) * s->b);
}

const Function lstm_functions[2] = {
    {"lstm", "objective", load_value, run_value, value},
    {"lstm", "jacobian", load_gradient, run_gradient, gradient},
};
