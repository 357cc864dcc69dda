/* Dimension arithmetic: integer polynomials in normal form, interned, so that equal dimensions are equal handles.
 *
 * A polynomial is a sorted sum of terms with non-zero coefficients; a term's monomial is a sorted list of atoms. The
 * order is by degree (highest first), then by the text of the atoms: it does not depend on what was made first, so
 * that IR read back from its text prints as the same bytes.
 *
 * Normal form of p // c: every coefficient of p is split as c*q + r, and q leaves the atom:
 *     (c*q + r) // c = q + r // c        for all integers
 * with r in [0, c) for the terms of highest degree and for the constant, and in [-c/2, c/2) for those between: so
 * d*(d-1)//2 stays (d**2 - d)//2. A common divisor g of c and the coefficients cancels:
 *     (g*p + r) // (g*c) = (p + r//g) // c
 * and (p//a + k) // b = (p + a*k) // (a*b). p % c is reduced likewise, and its multiples of c vanish.
 * A coefficient that leaves 64 bits is reported to the module's diagnostics, once for each operation. */
#include "ir/dim.h"

#include <string.h>

typedef TDL_VEC(DimTerm) Terms;

/* ---- interning ---- */

static uint32_t mix(uint32_t h, uint64_t x) {
    h = (h ^ (uint32_t)x) * 16777619u;
    h = (h ^ (uint32_t)(x >> 32)) * 16777619u;
    return h ^ (h >> 15);
}

void dim_table_new(TdlModule *m) {
    struct TdlDimTable *t = m->dimtab = ARENA_NEW(m->arena, struct TdlDimTable);
    t->ndim_slots = t->natom_slots = 64;
    t->dim_slots = ARENA_ARRAY(m->arena, uint32_t, t->ndim_slots);
    t->atom_slots = ARENA_ARRAY(m->arena, uint32_t, t->natom_slots);
    VEC_PUSH(m->arena, t->dims, (DimData){0});
    VEC_PUSH(m->arena, t->atoms, (DimAtomData){0});
}

static bool same_terms(const DimTerm *a, const DimTerm *b, uint32_t n) {
    for (uint32_t i = 0; i < n; i++) {
        if (a[i].coef != b[i].coef || a[i].n != b[i].n) return false;
        if (a[i].n && memcmp(a[i].atoms, b[i].atoms, a[i].n * sizeof(uint32_t)) != 0) return false;
    }
    return true;
}

static void grow_dims(TdlModule *m) {
    struct TdlDimTable *t = m->dimtab;
    t->ndim_slots *= 2;
    t->dim_slots = ARENA_ARRAY(m->arena, uint32_t, t->ndim_slots);
    for (uint32_t id = 1; id < t->dims.n; id++) {
        uint32_t i = t->dims.p[id].hash & (t->ndim_slots - 1);
        while (t->dim_slots[i]) i = (i + 1) & (t->ndim_slots - 1);
        t->dim_slots[i] = id;
    }
}

/* The handle of the sum of `n` normalised terms; copies them when they are new. */
static TdlDim intern_dim(TdlModule *m, const DimTerm *terms, uint32_t n) {
    struct TdlDimTable *t = m->dimtab;
    uint32_t h = 2166136261u;
    for (uint32_t i = 0; i < n; i++) {
        h = mix(h, (uint64_t)terms[i].coef);
        for (uint32_t k = 0; k < terms[i].n; k++) h = mix(h, terms[i].atoms[k]);
    }
    uint32_t i = h & (t->ndim_slots - 1);
    for (; t->dim_slots[i]; i = (i + 1) & (t->ndim_slots - 1)) {
        const DimData *d = &t->dims.p[t->dim_slots[i]];
        if (d->hash == h && d->n == n && same_terms(d->terms, terms, n)) return (TdlDim){t->dim_slots[i]};
    }
    DimTerm *copy = ARENA_ARRAY(m->arena, DimTerm, n);
    for (uint32_t k = 0; k < n; k++) {
        copy[k] = terms[k];
        copy[k].atoms = arena_memdup(m->arena, terms[k].atoms, terms[k].n * sizeof(uint32_t));
    }
    uint32_t id = t->dims.n;
    VEC_PUSH(m->arena, t->dims, ((DimData){copy, n, h}));
    t->dim_slots[i] = id;
    if (2 * t->dims.n > t->ndim_slots) grow_dims(m);
    return (TdlDim){id};
}

static void grow_atoms(TdlModule *m) {
    struct TdlDimTable *t = m->dimtab;
    t->natom_slots *= 2;
    t->atom_slots = ARENA_ARRAY(m->arena, uint32_t, t->natom_slots);
    for (uint32_t id = 1; id < t->atoms.n; id++) {
        uint32_t i = t->atoms.p[id].hash & (t->natom_slots - 1);
        while (t->atom_slots[i]) i = (i + 1) & (t->natom_slots - 1);
        t->atom_slots[i] = id;
    }
}

static uint32_t intern_atom(TdlModule *m, TdlDimAtomKind kind, TdlSym var, TdlDim arg, int64_t c) {
    struct TdlDimTable *t = m->dimtab;
    uint32_t h = mix(mix(mix(mix(2166136261u, (uint64_t)kind), var.id), arg.id), (uint64_t)c);
    uint32_t i = h & (t->natom_slots - 1);
    for (; t->atom_slots[i]; i = (i + 1) & (t->natom_slots - 1)) {
        const DimAtomData *a = &t->atoms.p[t->atom_slots[i]];
        if (a->kind == kind && a->var.id == var.id && a->arg.id == arg.id && a->c == c) return t->atom_slots[i];
    }
    uint32_t id = t->atoms.n;
    VEC_PUSH(m->arena, t->atoms, ((DimAtomData){kind, var, arg, c, h}));
    t->atom_slots[i] = id;
    if (2 * t->atoms.n > t->natom_slots) grow_atoms(m);
    return id;
}

/* ---- order ---- */

static int sign64(int64_t a, int64_t b) { return a < b ? -1 : a > b; }

static int cmp_monomials(const TdlModule *m, const DimTerm *a, const DimTerm *b) {
    if (a->n != b->n) return a->n > b->n ? -1 : 1; /* higher degree first */
    for (uint32_t i = 0; i < a->n; i++) {
        int c = dim_cmp_atoms(m, a->atoms[i], b->atoms[i]);
        if (c) return c;
    }
    return 0;
}

static int cmp_dims(const TdlModule *m, TdlDim a, TdlDim b) {
    if (dim_eq(a, b)) return 0;
    const DimData *x = dim_data(m, a), *y = dim_data(m, b);
    for (uint32_t i = 0; i < x->n && i < y->n; i++) {
        int c = cmp_monomials(m, &x->terms[i], &y->terms[i]);
        if (!c) c = sign64(x->terms[i].coef, y->terms[i].coef);
        if (c) return c;
    }
    return sign64(x->n, y->n);
}

int dim_cmp_atoms(const TdlModule *m, uint32_t a, uint32_t b) {
    if (a == b) return 0;
    const DimAtomData *x = dim_atom_data(m, a), *y = dim_atom_data(m, b);
    if (x->kind != y->kind) return sign64(x->kind, y->kind);
    if (x->kind == DIM_ATOM_VAR) return strcmp(sym_text(m->names, x->var), sym_text(m->names, y->var));
    int c = cmp_dims(m, x->arg, y->arg);
    return c ? c : sign64(x->c, y->c);
}

/* ---- sums under construction ---- */

void dim_at(TdlModule *m, TdlSpan at) {
    if (at.file) m->dimtab->at = at;
}

static TdlDim overflow(TdlModule *m, const char *what) {
    if (!m->dimtab->quiet) diag_error(m->diags, m->dimtab->at, "dimension: %s", what);
    m->dimtab->overflowed = true;
    return dim_const(m, 0);
}

static const char TOO_LARGE[] = "a coefficient does not fit 64 bits";
enum { DIM_MAX_TERMS = 10000 };

/* Sorts (merge sort, stable), adds equal monomials, drops zeros and interns. */
static void sort_terms(const TdlModule *m, DimTerm *t, DimTerm *tmp, uint32_t n) {
    if (n < 2) return;
    uint32_t h = n / 2, i = 0, j = h, k = 0;
    sort_terms(m, t, tmp, h);
    sort_terms(m, t + h, tmp, n - h);
    while (i < h && j < n) tmp[k++] = cmp_monomials(m, &t[j], &t[i]) < 0 ? t[j++] : t[i++];
    while (i < h) tmp[k++] = t[i++];
    while (j < n) tmp[k++] = t[j++];
    memcpy(t, tmp, n * sizeof *t);
}

static TdlDim finish(TdlModule *m, Terms *s) {
    sort_terms(m, s->p, ARENA_ARRAY(m->arena, DimTerm, s->n), s->n);
    uint32_t k = 0;
    for (uint32_t i = 0; i < s->n; i++) {
        DimTerm t = s->p[i];
        while (i + 1 < s->n && cmp_monomials(m, &t, &s->p[i + 1]) == 0)
            if (__builtin_add_overflow(t.coef, s->p[++i].coef, &t.coef)) return overflow(m, TOO_LARGE);
        if (t.coef) s->p[k++] = t;
    }
    return intern_dim(m, s->p, k);
}

static bool push_scaled(TdlModule *m, Terms *s, TdlDim d, int64_t by) {
    DimData x = *dim_data(m, d);
    for (uint32_t i = 0; i < x.n; i++) {
        DimTerm t = x.terms[i];
        if (__builtin_mul_overflow(t.coef, by, &t.coef)) return false;
        VEC_PUSH(m->arena, *s, t);
    }
    return true;
}

/* ---- arithmetic ---- */

TdlDim dim_const(TdlModule *m, int64_t c) {
    DimTerm t = {c, 0, NULL};
    return intern_dim(m, &t, c != 0);
}

static TdlDim dim_of_atom(TdlModule *m, uint32_t atom) {
    DimTerm t = {1, 1, &atom};
    return intern_dim(m, &t, 1);
}

TdlDim dim_var(TdlModule *m, TdlSym name) {
    ir_name_use(m, name);
    return dim_of_atom(m, intern_atom(m, DIM_ATOM_VAR, name, (TdlDim){0}, 0));
}

bool dim_is_const(const TdlModule *m, TdlDim d, int64_t *c) {
    const DimData *x = dim_data(m, d);
    if (!d.id || x->n > 1 || (x->n == 1 && x->terms[0].n)) return false;
    if (c) *c = x->n ? x->terms[0].coef : 0;
    return true;
}

bool dim_is_var(const TdlModule *m, TdlDim d, TdlSym *name) {
    const DimData *x = dim_data(m, d);
    if (x->n != 1 || x->terms[0].coef != 1 || x->terms[0].n != 1) return false;
    const DimAtomData *a = dim_atom_data(m, x->terms[0].atoms[0]);
    if (a->kind != DIM_ATOM_VAR) return false;
    if (name) *name = a->var;
    return true;
}

static TdlDim add_scaled(TdlModule *m, TdlDim a, TdlDim b, int64_t by) {
    Terms s = {0};
    VEC_RESERVE(m->arena, s, dim_data(m, a)->n + dim_data(m, b)->n);
    if (!push_scaled(m, &s, a, 1) || !push_scaled(m, &s, b, by)) return overflow(m, TOO_LARGE);
    return finish(m, &s);
}

TdlDim dim_add(TdlModule *m, TdlDim a, TdlDim b) { return add_scaled(m, a, b, 1); }
TdlDim dim_sub(TdlModule *m, TdlDim a, TdlDim b) { return dim_eq(a, b) ? dim_const(m, 0) : add_scaled(m, a, b, -1); }

static DimTerm mul_terms(TdlModule *m, const DimTerm *a, const DimTerm *b, bool *ok) {
    DimTerm t = {0, a->n + b->n, NULL};
    if (__builtin_mul_overflow(a->coef, b->coef, &t.coef)) *ok = false;
    uint32_t *atoms = ARENA_ARRAY(m->arena, uint32_t, t.n), i = 0, j = 0;
    for (uint32_t k = 0; k < t.n; k++) {
        bool left = j == b->n || (i < a->n && dim_cmp_atoms(m, a->atoms[i], b->atoms[j]) <= 0);
        atoms[k] = left ? a->atoms[i++] : b->atoms[j++];
    }
    t.atoms = atoms;
    return t;
}

TdlDim dim_mul(TdlModule *m, TdlDim a, TdlDim b) {
    int64_t c;
    if (dim_is_const(m, a, &c) && c == 1) return b;
    if (dim_is_const(m, b, &c) && c == 1) return a;
    DimData x = *dim_data(m, a), y = *dim_data(m, b);
    Terms s = {0};
    bool ok = true;
    if ((uint64_t)x.n * y.n > DIM_MAX_TERMS) return overflow(m, "more than 10000 terms");
    for (uint32_t i = 0; i < x.n; i++)
        for (uint32_t j = 0; j < y.n; j++) VEC_PUSH(m->arena, s, mul_terms(m, &x.terms[i], &y.terms[j], &ok));
    return ok ? finish(m, &s) : overflow(m, TOO_LARGE);
}

/* ---- p // c and p % c ---- */

static int64_t floor_div(int64_t a, int64_t b) { return a / b - (a % b != 0 && (a < 0) != (b < 0)); }
static int64_t floor_mod(int64_t a, int64_t b) { return a - b * floor_div(a, b); }
static int64_t gcd(int64_t a, int64_t b) {
    while (b) {
        int64_t t = a % b;
        a = b;
        b = t;
    }
    return a < 0 ? -a : a;
}

/* p = c*q + r with the coefficients of r in the ranges at the top of the file. */
static void split(TdlModule *m, TdlDim p, int64_t c, TdlDim *q, TdlDim *r) {
    DimData x = *dim_data(m, p);
    Terms sq = {0}, sr = {0};
    bool any = false;
    uint32_t degree = 0; /* highest with a residue: multiples of c leave altogether */
    for (uint32_t i = 0; i < x.n; i++)
        if (x.terms[i].coef % c && !any) any = true, degree = x.terms[i].n;
    for (uint32_t i = 0; i < x.n; i++) {
        DimTerm t = x.terms[i];
        int64_t rest = floor_mod(t.coef, c), quot = floor_div(t.coef, c);
        if (t.n && t.n != degree && rest >= c - rest) rest -= c, quot++;
        t.coef = quot;
        VEC_PUSH(m->arena, sq, t);
        t.coef = rest;
        VEC_PUSH(m->arena, sr, t);
    }
    *q = finish(m, &sq);
    *r = finish(m, &sr);
}

/* g = gcd(c, the coefficients of r but the constant); r becomes (r - k)/g + k//g, and *k the constant's rest. */
static int64_t cancel(TdlModule *m, TdlDim *r, int64_t c, int64_t *k) {
    DimData x = *dim_data(m, *r);
    int64_t g = c;
    for (uint32_t i = 0; i < x.n; i++)
        if (x.terms[i].n) g = gcd(g, x.terms[i].coef);
    *k = 0;
    if (g == 1) return 1;
    Terms s = {0};
    for (uint32_t i = 0; i < x.n; i++) {
        DimTerm t = x.terms[i];
        if (!t.n) *k = floor_mod(t.coef, g);
        t.coef = floor_div(t.coef, g);
        VEC_PUSH(m->arena, s, t);
    }
    *r = finish(m, &s);
    return g;
}

/* True when d is p//a + k: a lone quotient and a constant. */
static bool lone_quotient(const TdlModule *m, TdlDim d, DimAtomData *a, int64_t *k) {
    const DimData *x = dim_data(m, d);
    if (x->n < 1 || x->n > 2 || x->terms[0].n != 1 || x->terms[0].coef != 1) return false;
    if (x->n == 2 && x->terms[1].n) return false;
    *a = *dim_atom_data(m, x->terms[0].atoms[0]);
    *k = x->n == 2 ? x->terms[1].coef : 0;
    return a->kind == DIM_ATOM_FLOORDIV;
}

TdlDim dim_floordiv(TdlModule *m, TdlDim a, int64_t c) {
    TdlDim q, r;
    int64_t k, inner, product;
    DimAtomData at;
    split(m, a, c, &q, &r);
    c /= cancel(m, &r, c, &k);
    if (c == 1) return dim_add(m, q, r);
    if (dim_is_const(m, r, &k)) return dim_add(m, q, dim_const(m, floor_div(k, c)));
    if (lone_quotient(m, r, &at, &inner) && !__builtin_mul_overflow(at.c, c, &product)) {
        TdlDim p = dim_add(m, at.arg, dim_mul(m, dim_const(m, at.c), dim_const(m, inner)));
        return dim_add(m, q, dim_floordiv(m, p, product));
    }
    return dim_add(m, q, dim_of_atom(m, intern_atom(m, DIM_ATOM_FLOORDIV, SYM_NONE, r, c)));
}

TdlDim dim_mod(TdlModule *m, TdlDim a, int64_t c) {
    TdlDim q, r;
    int64_t rest, k;
    split(m, a, c, &q, &r);
    int64_t g = cancel(m, &r, c, &rest);
    TdlDim value;
    if (dim_is_const(m, r, &k)) {
        value = dim_const(m, floor_mod(k, c / g));
    } else {
        const DimData *x = dim_data(m, r);
        bool lone = x->n == 1 && x->terms[0].n == 1 && x->terms[0].coef == 1;
        const DimAtomData *at = lone ? dim_atom_data(m, x->terms[0].atoms[0]) : NULL;
        if (c / g == 1) value = dim_const(m, 0);
        else if (at && at->kind == DIM_ATOM_MOD && at->c <= c / g) value = r; /* p % a is below a already */
        else value = dim_of_atom(m, intern_atom(m, DIM_ATOM_MOD, SYM_NONE, r, c / g));
    }
    return dim_add(m, dim_mul(m, dim_const(m, g), value), dim_const(m, rest));
}

TdlDim dim_min(TdlModule *m, TdlDim a, int64_t c) {
    int64_t k;
    if (dim_is_const(m, a, &k)) return dim_const(m, k < c ? k : c);
    return dim_of_atom(m, intern_atom(m, DIM_ATOM_MIN, SYM_NONE, a, c));
}

TdlDim dim_of(TdlModule *m, TdlDimAtomKind kind, TdlDim a, int64_t c) {
    if (kind == DIM_ATOM_MIN) return dim_min(m, a, c);
    return kind == DIM_ATOM_MOD ? dim_mod(m, a, c) : dim_floordiv(m, a, c);
}

/* ---- substitution and solving ---- */

static TdlDim subst_atom(TdlModule *m, uint32_t id, const TdlSym *names, const TdlDim *to, uint32_t n) {
    DimAtomData a = *dim_atom_data(m, id);
    if (a.kind == DIM_ATOM_VAR) {
        for (uint32_t i = 0; i < n; i++)
            if (sym_eq(names[i], a.var)) return to[i];
        return dim_of_atom(m, id);
    }
    TdlDim arg = dim_subst(m, a.arg, names, to, n);
    if (dim_eq(arg, a.arg)) return dim_of_atom(m, id);
    return dim_of(m, a.kind, arg, a.c);
}

TdlDim dim_subst(TdlModule *m, TdlDim d, const TdlSym *names, const TdlDim *to, uint32_t n) {
    if (!n || !d.id || dim_is_const(m, d, NULL)) return d;
    DimData x = *dim_data(m, d);
    TdlDim sum = dim_const(m, 0);
    for (uint32_t i = 0; i < x.n; i++) {
        TdlDim term = dim_const(m, x.terms[i].coef);
        for (uint32_t k = 0; k < x.terms[i].n; k++)
            term = dim_mul(m, term, subst_atom(m, x.terms[i].atoms[k], names, to, n));
        sum = dim_add(m, sum, term);
    }
    return sum;
}

bool dim_solve(TdlModule *m, TdlDim d, TdlDim total, TdlSym *v, TdlDim *value) {
    const DimData *x = dim_data(m, d);
    if (x->n < 1 || x->n > 2 || x->terms[0].n != 1 || (x->n == 2 && x->terms[1].n)) return false;
    const DimAtomData *a = dim_atom_data(m, x->terms[0].atoms[0]);
    int64_t coef = x->terms[0].coef, rest = x->n == 2 ? x->terms[1].coef : 0;
    if (a->kind != DIM_ATOM_VAR || coef == INT64_MIN) return false;
    *v = a->var;
    TdlDim left = coef > 0 ? dim_sub(m, total, dim_const(m, rest)) : dim_sub(m, dim_const(m, rest), total);
    *value = dim_floordiv(m, left, coef > 0 ? coef : -coef);
    return true;
}
