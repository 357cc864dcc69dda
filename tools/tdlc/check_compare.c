/* Forward mode, reverse mode and finite differences along one direction of each parameter, at one point.
 *
 * With weights w of the results' elements and a direction v of parameter x, all three say w . J v: forward mode as
 * w . (J v), reverse mode as (w J) . v, differences as the derivative of w . f(x + t v) at t = 0. Differences are
 * extrapolated (C. J. F. Ridders, "Accurate computation of F'(x) and F'(x)F''(x)", 1982): steps from large to small, the
 * entry of the tableau with the smallest estimate of its error; the rounding of f at that step is added to it. */
#include "tools/tdlc/call.h"
#include "tools/tdlc/check.h"
#include "runtime/tdl.h"

#include <float.h>
#include <math.h>
#include <string.h>

enum { ROWS = 10, SPLITS = 12 };
static const double ITERATED = 1e-11; /* of a result: what an iteration that stops at a tolerance may leave */

typedef struct {
    Probe *p;
    const Forms *f;
    const CheckDims *dims;
    Value *value, *reverse, *forward; /* parameters of each form, results among them */
    Value *weights;                   /* by result of f; no data: not a float */
    Value direction;
    uint32_t nparams, nresults, of;   /* of: the parameter that moves */
    const Value *point;
    double epsilon, magnitude;        /* of the type; sum of |w f(x)| */
    bool single;
} Eval;

static Value *allocate(Eval *e, TdlFunc *f) {
    if (!f) return NULL;
    Call c = call_of(&e->p->s, f);
    for (uint32_t i = 0; i < e->dims->n; i++) call_bind(&c, e->dims->names[i], dim_const(e->p->s.m, e->dims->at[i]));
    for (uint32_t i = 0; i < f->params.n; i++) call_shape(&c, f->params.p[i].type, &c.args[i]);
    for (uint32_t i = 0; i < e->nparams; i++) c.args[i] = value_copy(e->p->s.arena, &e->point[i]);
    return c.args;
}

/* Sum of a[i] * b[i]; *scale of the magnitudes. */
static double inner(const Value *a, const Value *b, double *scale) {
    double sum = 0;
    int64_t n = value_count(a);
    for (int64_t i = 0; i < n; i++) {
        double term = value_get(a, i) * value_get(b, i);
        sum += term;
        *scale += fabs(term);
    }
    return sum;
}

/* Weighted sum of the results of f that begin at v; only_float: the others are not among them. */
static double weighted(const Eval *e, const Value *v, bool only_float, double *scale) {
    double sum = 0;
    for (uint32_t i = 0; i < e->nresults; i++) {
        if (!e->weights[i].data && only_float) continue;
        if (e->weights[i].data) sum += inner(v, &e->weights[i], scale);
        v++;
    }
    return sum;
}

/* w . f(x + t v); NaN where f fails. */
static double at(Eval *e, double t) {
    Value *x = &e->value[e->of];
    double scale = 0;
    for (int64_t i = 0; i < value_count(x); i++) value_set(x, i, value_get(&e->point[e->of], i) + t * value_get(&e->direction, i));
    int status = probe_call(e->p, e->f->value, e->dims, e->value);
    double y = status ? (double)NAN : weighted(e, e->value + e->nparams, false, &scale);
    memcpy(x->data, e->point[e->of].data, (size_t)value_count(x) * el_bytes(x->elem));
    return y;
}

static double central(Eval *e, double h) { return (at(e, h) - at(e, -h)) / (2 * h); }

/* The derivative at 0 from steps of at most h; *error: an estimate of its error. */
static double ridders(Eval *e, double h, double *error) {
    double a[ROWS][ROWS], best = NAN, ratio = 2;
    int rows = e->single ? 6 : ROWS;
    *error = INFINITY;
    for (int i = 0; i < rows; i++, h /= ratio) {
        double power = ratio * ratio, noise = e->epsilon * e->magnitude / h;
        a[0][i] = central(e, h);
        for (int j = 1; j <= i; j++, power *= ratio * ratio) {
            a[j][i] = (power * a[j - 1][i] - a[j - 1][i - 1]) / (power - 1);
            double d = fmax(fabs(a[j][i] - a[j - 1][i]), fabs(a[j][i] - a[j - 1][i - 1])) + noise;
            if (isfinite(a[j][i]) && d < *error) *error = d, best = a[j][i];
        }
    }
    return best;
}

/* Whether the slopes on both sides stay apart as the step shrinks, or one side is not defined. */
static bool kinked(Eval *e, double scale) {
    double y = at(e, 0), gap[2], h = 0;
    for (int k = 0; k < 2; k++) {
        h = (e->single ? 4e-3 : 1e-5) / (k ? 4 : 1);
        double right = (at(e, h) - y) / h, left = (y - at(e, -h)) / h;
        gap[k] = fabs(right - left);
        if (!isfinite(right) || !isfinite(left)) return true;
    }
    return gap[1] > 0.6 * gap[0] && gap[1] > (e->single ? 5e-2 : 1e-3) * scale + 10 * e->epsilon * e->magnitude / h;
}

/* The largest step that keeps every element within its bounds. */
static double largest_step(const Eval *e, const Bounds *b) {
    double h = e->single ? 0.1 : 0.05;
    const Value *x = &e->point[e->of];
    for (int64_t i = 0; b && b->low < b->high && i < value_count(x); i++) {
        double room = 0.9 * fmin(value_get(x, i) - b->low, b->high - value_get(x, i)), v = fabs(value_get(&e->direction, i));
        if (room > 0 && v * h > room) h = room / v;
    }
    return h;
}

/* Random, in proportion to the elements of the parameter. */
static void choose_direction(Eval *e) {
    Value *v = &e->direction;
    const Value *x = &e->point[e->of];
    double largest = 0;
    int64_t n = value_count(x);
    *v = value_copy(e->p->s.arena, x);
    for (int64_t i = 0; i < n; i++) largest = fmax(largest, fabs(value_get(x, i)));
    for (int64_t i = 0; i < n; i++) {
        double size = largest > 0 ? fmax(fabs(value_get(x, i)), 0.1 * largest) : 1;
        value_set(v, i, size * (2 * check_random(e->p->c) - 1));
    }
}

static const char *status_text(Eval *e, const char *what, int status) {
    if (!status) return NULL;
    return arena_printf(e->p->s.arena, "%s%s", what, tdl_last_error());
}

/* Values at the point and weights; the reverse form is called, too. Returns why there is nothing to compare, or NULL. */
static const char *start(Eval *e) {
    TdlFunc *f = e->f->value;
    e->value = allocate(e, f);
    e->forward = allocate(e, e->f->forward);
    e->reverse = allocate(e, e->f->reverse);
    const char *why = status_text(e, "", probe_call(e->p, f, e->dims, e->value));
    if (why) return why;
    e->weights = ARENA_ARRAY(e->p->s.arena, Value, e->nresults + 1);
    e->single = e->p->c->single;
    e->epsilon = 4 * (e->single ? (double)FLT_EPSILON : DBL_EPSILON);
    uint32_t cotangent = e->nparams;
    for (uint32_t i = 0; i < e->nresults; i++) {
        Value *r = &e->value[e->nparams + i];
        if (!el_is_float(r->elem)) continue;
        e->weights[i] = value_copy(e->p->s.arena, r);
        for (int64_t k = 0; k < value_count(r); k++) {
            if (!isfinite(value_get(r, k))) return "the result is not finite";
            value_set(&e->weights[i], k, (0.5 + check_random(e->p->c)) * (check_random(e->p->c) < 0.5 ? -1 : 1));
        }
        if (e->reverse) e->reverse[cotangent++] = e->weights[i];
    }
    weighted(e, e->value + e->nparams, false, &e->magnitude);
    return e->reverse ? status_text(e, "reverse mode: ", probe_call(e->p, e->f->reverse, e->dims, e->reverse)) : NULL;
}

/* Derivatives by parameter wrt[k]. */
static const char *both_modes(Eval *e, uint32_t k, AtResult *r) {
    r->forward = r->reverse = NAN;
    r->scale = 0;
    if (e->forward) {
        for (uint32_t i = 0; i < e->f->wrt.n; i++) {
            Value *t = &e->forward[e->nparams + i];
            memset(t->data, 0, (size_t)value_count(t) * el_bytes(t->elem));
        }
        Value *t = &e->forward[e->nparams + k];
        memcpy(t->data, e->direction.data, (size_t)value_count(t) * el_bytes(t->elem));
        const char *why = status_text(e, "forward mode: ", probe_call(e->p, e->f->forward, e->dims, e->forward));
        if (why) return why;
        r->forward = weighted(e, e->forward + e->nparams + e->f->wrt.n + e->nresults, true, &r->scale);
    }
    if (e->reverse) {
        double scale = 0;
        uint32_t first = e->f->reverse->params.n - e->f->wrt.n;
        r->reverse = inner(&e->reverse[first + k], &e->direction, &scale);
        r->scale = fmax(r->scale, scale);
    }
    return NULL;
}

static bool apart(double x, double y, double tolerance) { return !(fabs(x - y) <= tolerance); }

/* Whether smaller steps say the same of what is off, down to where rounding hides it: larger ones may have met a kink, or
 * oscillations, that they do not know of. */
static bool confirmed(Eval *e, double step, const AtResult *r) {
    static const double finer[] = {7, 1e3, 1e5, 1e7};
    double ours = isnan(r->forward) ? r->reverse : r->forward;
    if (!isnan(r->reverse) && fabs(r->reverse - r->difference) > fabs(ours - r->difference)) ours = r->reverse;
    double gap = fabs(ours - r->difference);
    for (size_t i = 0; i < sizeof finer / sizeof *finer; i++) {
        double error, h = step / finer[i];
        if (i && !(10 * e->epsilon * e->magnitude / h < gap)) break;
        if (!(fabs(ridders(e, h, &error) - r->difference) < 0.2 * gap)) return false;
    }
    return true;
}

/* What differences say of both modes along the direction: steps that meet kinks on the way make them vague, or sure of what is
 * wrong; smaller ones meet fewer. */
static AtState judged(Eval *e, const Bounds *bounds, AtResult *r) {
    static const double finer[] = {1, 50, 2500};
    double step = largest_step(e, bounds), floor = e->epsilon * e->magnitude + DBL_MIN, ours = e->forward ? r->forward : r->reverse;
    for (size_t i = 0; i < sizeof finer / sizeof *finer; i++) {
        double h = step / finer[i];
        r->difference = ridders(e, h, &r->error);
        double scale = fmax(r->scale, fabs(r->difference)), iterated = e->f->iterates && !e->single ? ITERATED * e->magnitude : 0;
        double tolerance = (e->single ? 2e-3 : 1e-7) * scale + 10 * r->error + floor + iterated;
        if (i == 0 && kinked(e, scale)) return AT_KINK;
        bool off = (e->forward && apart(r->forward, r->difference, tolerance)) || (e->reverse && apart(r->reverse, r->difference, tolerance));
        bool vague = 10 * r->error > 0.1 * fabs(r->difference) && r->error > (e->single ? 1e3 : 3e4) * floor; /* not converged */
        if (vague) continue;
        double least = h / (1 << ROWS) * (i ? 1 : 1e-5); /* of a step, with those of `confirmed` */
        /* Else what is computed changes faster than the steps see. */
        bool converged = r->error <= 1e-6 * fabs(r->difference) + 1e-9 * e->magnitude;
        bool resolved = converged || fabs(ours) * least < e->magnitude;
        if (off && resolved && confirmed(e, h, r)) return AT_OFF;
        if (off) continue;
        r->differences = fmax(r->differences, fabs(ours - r->difference) / fmax(scale + floor, e->magnitude));
        return AT_OK;
    }
    return AT_UNCLEAR;
}

/* Along the direction, into r. */
static AtState compare_along(Eval *e, uint32_t k, const Bounds *bounds, AtResult *r) {
    bool forward = e->forward != NULL, reverse = e->reverse != NULL;
    r->why = both_modes(e, k, r);
    if (r->why) return AT_OFF;
    if ((forward && !isfinite(r->forward)) || (reverse && !isfinite(r->reverse))) return AT_SINGULAR;
    double gap = fabs(r->forward - r->reverse), scale = r->scale, floor = e->epsilon * e->magnitude + DBL_MIN;
    bool differ = forward && reverse && apart(r->forward, r->reverse, (e->single ? 1e-4 : 1e-9) * scale + floor);
    AtState s = judged(e, bounds, r);
    if (forward && reverse) r->modes = fmax(r->modes, gap / (fmax(scale, fabs(r->difference)) + floor));
    return differ ? AT_OFF : s;
}

/* Along the part of direction `all` that moves elements first..end. At a kink each half is looked at by itself, as long as
 * `splits` are left, so that what is left out in the end is no more than what is at the kink. */
static AtState compare_part(Eval *e, uint32_t k, const Bounds *bounds, const Value *all, int64_t first, int64_t end, int *splits, AtResult *r) {
    for (int64_t i = 0; i < value_count(all); i++) value_set(&e->direction, i, i >= first && i < end ? value_get(all, i) : 0);
    AtState s = compare_along(e, k, bounds, r);
    if (s != AT_KINK && s != AT_UNCLEAR) return s;
    r->left_out = true;
    if (end - first < 2 || --*splits < 0) return s;
    int64_t middle = first + (end - first) / 2;
    AtState low = compare_part(e, k, bounds, all, first, middle, splits, r);
    if (low == AT_OFF) return low;
    AtState high = compare_part(e, k, bounds, all, middle, end, splits, r);
    return high == AT_OFF || low != AT_OK ? high : low;
}

/* Fills r for parameter wrt[k]. */
static void compare(Eval *e, uint32_t k, const Bounds *bounds, AtResult *r) {
    int splits = SPLITS;
    e->of = r->param = (uint32_t)e->f->wrt.p[k];
    choose_direction(e);
    Value all = value_copy(e->p->s.arena, &e->direction);
    r->state = compare_part(e, k, bounds, &all, 0, value_count(&all), &splits, r);
}

AtResult compare_at(Probe *p, const Forms *f, const CheckDims *dims, const Value *point, const Bounds *bounds) {
    AtResult r = {.state = AT_OK};
    Eval e = {.p = p, .f = f, .dims = dims, .point = point};
    for (uint32_t i = 0; i < f->value->params.n; i++)
        if (f->value->params.p[i].out) e.nresults++; else e.nparams++;
    r.why = start(&e);
    if (r.why) {
        r.state = strstr(r.why, "reverse mode: ") == r.why ? AT_OFF : AT_FAILED;
        return r;
    }
    for (uint32_t k = 0; k < f->wrt.n && r.state == AT_OK; k++) {
        Value *x = &e.value[f->wrt.p[k]];
        if (value_count(x)) compare(&e, k, bounds ? &bounds[f->wrt.p[k]] : NULL, &r);
    }
    return r;
}
