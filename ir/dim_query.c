/* Questions about dimension polynomials, their structure for code generators, and their text. */
#include "ir/dim.h"

#include <inttypes.h>

/* ---- structure ---- */

uint32_t dim_nterms(const TdlModule *m, TdlDim d) { return dim_data(m, d)->n; }
int64_t dim_term_coef(const TdlModule *m, TdlDim d, uint32_t term) { return dim_data(m, d)->terms[term].coef; }
uint32_t dim_term_natoms(const TdlModule *m, TdlDim d, uint32_t term) { return dim_data(m, d)->terms[term].n; }

TdlDimAtom dim_term_atom(const TdlModule *m, TdlDim d, uint32_t term, uint32_t i) {
    const DimAtomData *a = dim_atom_data(m, dim_data(m, d)->terms[term].atoms[i]);
    return (TdlDimAtom){a->kind, a->var, a->arg, a->c};
}

typedef TDL_VEC(TdlSym) Syms;

static void collect_vars(const TdlModule *m, TdlDim d, Syms *out) {
    const DimData *x = dim_data(m, d);
    for (uint32_t i = 0; i < x->n; i++)
        for (uint32_t k = 0; k < x->terms[i].n; k++) {
            const DimAtomData *a = dim_atom_data(m, x->terms[i].atoms[k]);
            if (a->kind != DIM_ATOM_VAR) {
                collect_vars(m, a->arg, out);
                continue;
            }
            bool seen = false;
            for (uint32_t j = 0; j < out->n && !seen; j++) seen = sym_eq(out->p[j], a->var);
            if (!seen) VEC_PUSH(m->arena, *out, a->var);
        }
}

void dim_vars(const TdlModule *m, TdlDim d, void (*fn)(void *user, TdlSym var), void *user) {
    if (!d.id || dim_is_const(m, d, NULL)) return;
    Syms vars = {0};
    collect_vars(m, d, &vars);
    for (uint32_t i = 0; i < vars.n; i++) fn(user, vars.p[i]);
}

/* ---- bounds ----
 * d >= 0 for all variables >= 0 is proved term by term. A negative term -k*M is paid for by a positive term k'*M'
 * (k' >= k) where M' is M times atoms that occur in M: v >= 0 is an integer, so M*v >= M when v divides M. Before
 * that, quotients and remainders in negative terms give way to their bounds:
 *     -k*(p % c) >= -k*(c - 1),    -k*min(p, c) >= -k*c,    -k*(p // c) >= -k*p/c   (the whole sum is then scaled by c). */

enum { BOUND_DEPTH = 6 };
static bool nonneg(TdlModule *m, TdlDim d, int depth);

static bool atom_nonneg(TdlModule *m, uint32_t id, int depth) {
    DimAtomData a = *dim_atom_data(m, id);
    if (a.kind == DIM_ATOM_MIN && a.c < 0) return false;
    return a.kind == DIM_ATOM_VAR || a.kind == DIM_ATOM_MOD || nonneg(m, a.arg, depth - 1);
}

static bool atoms_nonneg(TdlModule *m, const DimTerm *t, int depth) {
    for (uint32_t i = 0; i < t->n; i++)
        if (!atom_nonneg(m, t->atoms[i], depth)) return false;
    return true;
}

/* True when the monomial of `big` is that of `small` times atoms of `small`. */
static bool is_multiple(const DimTerm *big, const DimTerm *small) {
    uint32_t i = 0;
    if (small->n == 0) return big->n == 0;
    for (uint32_t k = 0; k < big->n; k++) {
        if (i < small->n && big->atoms[k] == small->atoms[i]) {
            i++;
            continue;
        }
        bool occurs = false;
        for (uint32_t j = 0; j < small->n && !occurs; j++) occurs = small->atoms[j] == big->atoms[k];
        if (!occurs) return false;
    }
    return i == small->n;
}

static bool pay(int64_t *left, const DimData *x, uint32_t debt) {
    int64_t need = left[debt] == INT64_MIN ? INT64_MAX : -left[debt];
    for (uint32_t i = 0; i < x->n && need > 0; i++) {
        if (left[i] <= 0 || !is_multiple(&x->terms[i], &x->terms[debt])) continue;
        int64_t part = left[i] < need ? left[i] : need;
        left[i] -= part;
        need -= part;
    }
    return need == 0;
}

/* Replaces one quotient or remainder that stands alone in a negative term by its bound; false: there is none. */
static bool relax(TdlModule *m, TdlDim *d) {
    DimData x = *dim_data(m, *d);
    for (uint32_t i = 0; i < x.n; i++) {
        DimTerm t = x.terms[i];
        if (t.coef >= 0 || t.n != 1 || t.coef == INT64_MIN) continue;
        DimAtomData a = *dim_atom_data(m, t.atoms[0]);
        if (a.kind == DIM_ATOM_VAR || a.c > INT32_MAX || t.coef < INT32_MIN) continue;
        TdlDim k = dim_const(m, t.coef), c = dim_const(m, a.c);
        TdlDim rest = dim_sub(m, *d, dim_mul(m, k, dim_of(m, a.kind, a.arg, a.c)));
        if (a.kind != DIM_ATOM_FLOORDIV) *d = dim_add(m, rest, dim_mul(m, k, dim_const(m, a.c - (a.kind == DIM_ATOM_MOD))));
        else *d = dim_add(m, dim_mul(m, c, rest), dim_mul(m, k, a.arg));
        return true;
    }
    return false;
}

static bool nonneg(TdlModule *m, TdlDim d, int depth) {
    if (depth <= 0) return false;
    DimData x = *dim_data(m, d);
    int64_t *left = ARENA_ARRAY(m->arena, int64_t, x.n);
    bool ok = true;
    for (uint32_t i = 0; i < x.n && ok; i++) {
        left[i] = x.terms[i].coef;
        ok = atoms_nonneg(m, &x.terms[i], depth);
    }
    for (uint32_t i = 0; i < x.n && ok; i++)
        if (left[i] < 0) ok = pay(left, &x, i);
    if (ok) return true;
    return relax(m, &d) && nonneg(m, d, depth - 1);
}

bool dim_known_ge(TdlModule *m, TdlDim a, TdlDim b) {
    if (dim_eq(a, b)) return true;
    bool quiet = m->dimtab->quiet; /* a bound that does not fit 64 bits is a "no", not an error */
    m->dimtab->quiet = true;
    m->dimtab->overflowed = false;
    bool known = nonneg(m, dim_sub(m, a, b), BOUND_DEPTH) && !m->dimtab->overflowed;
    m->dimtab->quiet = quiet;
    return known;
}

bool dim_most(const TdlModule *m, TdlDim d, int64_t *most) {
    const DimData *x = dim_data(m, d);
    *most = 0;
    for (uint32_t i = 0; i < x->n; i++) {
        int64_t product = x->terms[i].coef;
        if (product < 0) return false;
        for (uint32_t k = 0; k < x->terms[i].n; k++) {
            const DimAtomData *a = dim_atom_data(m, x->terms[i].atoms[k]);
            bool bounded = a->kind == DIM_ATOM_MOD || (a->kind == DIM_ATOM_MIN && a->c >= 0);
            if (!bounded || __builtin_mul_overflow(product, a->c, &product)) return false;
        }
        if (__builtin_add_overflow(*most, product, most)) return false;
    }
    return true;
}

/* ---- text ---- */

static void print_atom(const TdlModule *m, const DimAtomData *a, bool alone, TdlStr *out) {
    if (a->kind == DIM_ATOM_VAR) {
        str_puts(out, sym_text(m->names, a->var));
        return;
    }
    if (a->kind == DIM_ATOM_MIN) {
        str_puts(out, "min(");
        dim_print(m, a->arg, out);
        str_printf(out, ", %" PRId64 ")", a->c);
        return;
    }
    bool plain = dim_is_var(m, a->arg, NULL);
    if (!alone) str_putc(out, '(');
    if (!plain) str_putc(out, '(');
    dim_print(m, a->arg, out);
    if (!plain) str_putc(out, ')');
    str_printf(out, "%s%" PRId64, a->kind == DIM_ATOM_MOD ? " % " : "//", a->c);
    if (!alone) str_putc(out, ')');
}

/* `first`: nothing stands before the term; a minus sign then belongs to its first factor. */
static void print_term(const TdlModule *m, const DimTerm *t, bool first, TdlStr *out) {
    uint64_t abs = t->coef < 0 ? 0 - (uint64_t)t->coef : (uint64_t)t->coef;
    if (!first) str_puts(out, t->coef < 0 ? " - " : " + ");
    else if (t->coef < 0) str_putc(out, '-');
    bool coef = abs != 1 || t->n == 0;
    if (coef) str_printf(out, "%" PRIu64, abs);
    bool alone = t->n == 1 && !coef && !(first && t->coef < 0);
    for (uint32_t i = 0; i < t->n;) {
        uint32_t power = 1;
        while (i + power < t->n && t->atoms[i + power] == t->atoms[i]) power++;
        if (coef || i) str_putc(out, '*');
        print_atom(m, dim_atom_data(m, t->atoms[i]), alone, out);
        if (power > 1) str_printf(out, "**%u", power);
        i += power;
    }
}

void dim_print(const TdlModule *m, TdlDim d, TdlStr *out) {
    if (!d.id) {
        str_putc(out, '?');
        return;
    }
    const DimData *x = dim_data(m, d);
    if (!x->n) str_putc(out, '0');
    for (uint32_t i = 0; i < x->n; i++) print_term(m, &x->terms[i], i == 0, out);
}
