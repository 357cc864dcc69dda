/* Calls of builtins: the table, binding arguments to a signature, and reading arguments. */
#include "frontend/bi.h"

#include <stdarg.h>
#include <string.h>

static const LowBuiltin table[] = {
#define BI(name, sig, fn, op, grad_fn, grad_fn2, doc) {#name, sig, fn, op, grad_fn, grad_fn2},
#include "frontend/builtins.def"
#undef BI
};

const char *low_builtin_name(uint32_t i) { return i < sizeof table / sizeof table[0] ? table[i].name : NULL; }

const LowBuiltin *low_find_builtin(const char *name) {
    for (size_t i = 0; i < sizeof table / sizeof table[0]; i++)
        if (strcmp(table[i].name, name) == 0) return &table[i];
    return NULL;
}

/* ---- signatures ---- */

typedef struct { char name[24]; bool optional, star; } Param;

/* Reads the next parameter of a signature; false at its end. */
static bool next_param(const char **sig, Param *p) {
    const char *s = *sig + strspn(*sig, ", ");
    if (!*s) return false;
    *p = (Param){0};
    if (*s == '*') {
        p->star = true;
        s++;
    }
    size_t n = strcspn(s, ",=");
    memcpy(p->name, s, n);
    s += n;
    if (*s == '=') {
        p->optional = true;
        s++;
    }
    *sig = s;
    return true;
}

static LowValue wrong_name(Low *L, const LowBuiltin *bi, const LowArg *a) {
    TdlStr names = str_new(L->arena);
    Param p;
    for (const char *s = bi->sig; next_param(&s, &p);) str_printf(&names, "%s%s", names.n ? ", " : "", p.name);
    return low_error(L, a->name.span, "%s: no parameter `%s`: there are %s", bi->name, low_name(L, a->name.name), names.p);
}

static LowArg *named_arg(Low *L, LowArgs *args, const char *name) {
    for (uint32_t i = 0; i < args->n; i++)
        if (args->p[i].name.name.id && strcmp(low_name(L, args->p[i].name.name), name) == 0) return &args->p[i];
    return NULL;
}

/* Where a list is meant, [a, b] is one: its elements may differ in shape. Of several arguments that make the list
 * together, each is an element. */
static LowValue list_value(Low *L, LowArg *a, const char *param) {
    static const char *const lists[] = {"tensors", "shape", "dim", "dims", "shifts", "operands"};
    bool list = false;
    for (size_t i = 0; i < sizeof lists / sizeof *lists; i++) list |= !strcmp(param, lists[i]);
    if (!list || a->ready || !a->e || a->e->kind != AST_ARRAY) return low_arg_value(L, a);
    LowValue *v = ARENA_ARRAY(L->arena, LowValue, a->e->items.n);
    for (uint32_t i = 0; i < a->e->items.n; i++)
        if (lv_is_err(v[i] = low_expr(L, a->e->items.p[i]))) return LOW_ERR;
    return lv_tuple(L, v, a->e->items.n);
}

/* All positional arguments that are left, as one tuple; a single tuple is that already. */
static LowValue take_rest(Low *L, LowArgs *args, uint32_t *next, TdlSpan *span, const char *param) {
    LowValues rest = {0};
    while (*next < args->n && !args->p[*next].name.name.id) {
        LowArg *a = &args->p[(*next)++];
        bool alone = !rest.n && (*next == args->n || args->p[*next].name.name.id);
        LowValue v = alone ? list_value(L, a, param) : low_arg_value(L, a);
        if (lv_is_err(v)) return LOW_ERR;
        *span = rest.n ? span_join(*span, a->span) : a->span;
        VEC_PUSH(L->arena, rest, v);
    }
    return rest.n == 1 && rest.p[0].kind == LV_TUPLE ? rest.p[0] : lv_tuple(L, rest.p, rest.n);
}

static bool bind_args(LowCall *c, LowArgs *args) {
    Low *L = c->L;
    uint32_t i = 0, next = 0, used = 0;
    Param p;
    for (const char *s = c->bi->sig; next_param(&s, &p); i++) {
        LowArg *named = named_arg(L, args, p.name);
        bool positional = next < args->n && !args->p[next].name.name.id;
        c->span[i] = c->at;
        if (named && positional && !p.star) {
            low_error(L, named->name.span, "%s: `%s` is given twice", c->bi->name, p.name);
            return false;
        }
        c->named[i] = named != NULL;
        if (named) {
            c->a[i] = list_value(L, named, p.name);
            c->span[i] = named->span;
            used++;
        } else if (p.star) {
            uint32_t from = next;
            c->a[i] = take_rest(L, args, &next, &c->span[i], p.name);
            used += next - from;
        } else if (positional) {
            c->span[i] = args->p[next].span;
            c->a[i] = list_value(L, &args->p[next++], p.name);
            used++;
        } else if (!p.optional) {
            low_error(L, c->at, "%s: argument `%s` is missing: %s(%s)", c->bi->name, p.name, c->bi->name, c->bi->sig);
            return false;
        } else {
            c->a[i] = (LowValue){.kind = LV_NONE};
            continue;
        }
        if (lv_is_err(c->a[i])) return false;
        c->given[i] = c->a[i].kind != LV_NONE;
    }
    if (used == args->n) return true;
    for (uint32_t k = 0; k < args->n; k++) {
        const LowArg *a = &args->p[k];
        bool known = false;
        for (const char *s = c->bi->sig; a->name.name.id && next_param(&s, &p);)
            known |= strcmp(p.name, low_name(L, a->name.name)) == 0;
        if (a->name.name.id && !known) {
            wrong_name(L, c->bi, a);
            return false;
        }
    }
    low_error(L, c->at, "%s: too many arguments: %s(%s)", c->bi->name, c->bi->name, c->bi->sig);
    return false;
}

LowValue low_builtin_apply(Low *L, const LowBuiltin *bi, LowArgs *args, TdlSpan at) {
    LowCall c = {.L = L, .bi = bi, .at = at};
    if (!bind_args(&c, args)) return LOW_ERR;
    TdlSpan old = low_at(L, at);
    LowValue r = bi->fn(&c);
    low_unname(L);
    L->b.span = old;
    return r;
}

/* ---- reading arguments ---- */

LowValue bi_err(LowCall *c, const char *fmt, ...) {
    TdlStr s = str_new(c->L->arena);
    va_list ap;
    va_start(ap, fmt);
    str_vprintf(&s, fmt, ap);
    va_end(ap);
    return low_error(c->L, c->at, "%s: %s", c->bi->name, s.p);
}

bool bi_tensor(LowCall *c, uint32_t i) {
    if (!lv_is_num(c->a[i])) {
        bi_err(c, "needs a number or a tensor, not %s", lv_text(c->L, c->a[i]));
        return false;
    }
    bool weak = lv_is_weak(c->a[i]);
    if (c->a[i].kind != LV_TENSOR) c->a[i] = lv_tensor(low_mat_own(c->L, c->a[i]));
    c->a[i].weak = weak;
    return true;
}

bool bi_float(LowCall *c, uint32_t i) {
    if (!bi_tensor(c, i)) return false;
    if (el_is_float(lv_elem(c->L, c->a[i]))) return true;
    bool weak = c->a[i].weak;
    c->a[i] = lv_tensor(low_mat(c->L, c->a[i], c->L->frame->deflt));
    c->a[i].weak = weak;
    return true;
}

bool bi_int(LowCall *c, uint32_t i, int64_t *out) {
    if (lv_int_const(c->L, c->a[i], out)) return true;
    low_error(c->L, c->span[i], "%s: expected an integer that is known when compiling, not %s", c->bi->name,
              lv_text(c->L, c->a[i]));
    return false;
}

static bool one_axis(LowCall *c, LowValue v, TdlSpan at, uint32_t rank, uint32_t *axis) {
    int64_t k;
    if (!lv_int_const(c->L, v, &k)) {
        low_error(c->L, at, "%s: a dimension is an integer known when compiling, not %s", c->bi->name, lv_text(c->L, v));
        return false;
    }
    if (k < -(int64_t)rank || k >= (int64_t)rank) {
        low_error(c->L, at, "%s: there is no dimension %lld: %s has %u", c->bi->name, (long long)k,
                  c->a[0].kind == LV_TENSOR ? lv_text(c->L, c->a[0]) : "the result", rank);
        return false;
    }
    *axis = (uint32_t)(k < 0 ? k + rank : k);
    return true;
}

bool bi_axis(LowCall *c, uint32_t i, uint32_t rank, uint32_t *axis) { return one_axis(c, c->a[i], c->span[i], rank, axis); }

bool bi_axes(LowCall *c, uint32_t i, uint32_t rank, int64_t *axes, uint32_t *n) {
    const LowValue *v = &c->a[i];
    bool tuple = v->kind == LV_TUPLE;
    uint32_t count = tuple ? v->n : 1;
    *n = 0;
    if (!c->given[i]) {
        while (*n < rank) {
            axes[*n] = *n;
            ++*n;
        }
        return true;
    }
    for (uint32_t k = 0; k < count; k++) {
        uint32_t axis;
        if (!one_axis(c, tuple ? v->elems[k] : *v, c->span[i], rank, &axis)) return false;
        uint32_t at = *n; /* kept in order: attributes of one meaning print the same */
        while (at > 0 && axes[at - 1] >= (int64_t)axis) at--;
        if (at < *n && axes[at] == (int64_t)axis) {
            low_error(c->L, c->span[i], "%s: dimension %u is named twice", c->bi->name, axis);
            return false;
        }
        memmove(axes + at + 1, axes + at, (*n - at) * sizeof *axes);
        axes[at] = axis;
        ++*n;
    }
    return true;
}

bool bi_bool(LowCall *c, uint32_t i, bool deflt, bool *out) {
    *out = deflt;
    if (!c->given[i] || low_const_bool(&c->a[i], out)) return true;
    low_error(c->L, c->span[i], "%s: expected true or false, not %s", c->bi->name, lv_text(c->L, c->a[i]));
    return false;
}

bool bi_dim(LowCall *c, LowValue v, TdlSpan at, TdlDim *d) {
    int64_t k;
    if (!low_as_dim(c->L, v, at, c->bi->name, d)) return false;
    if (dim_is_const(c->L->m, *d, &k) && k < 0) {
        low_error(c->L, at, "%s: a dimension cannot be negative: %lld", c->bi->name, (long long)k);
        return false;
    }
    low_check_nonneg(c->L, *d, "a dimension is negative");
    return true;
}

bool bi_shape(LowCall *c, LowValue v, TdlDim *dims, uint32_t *rank) {
    bool tuple = v.kind == LV_TUPLE;
    *rank = tuple ? v.n : 1;
    if (*rank > LOW_MAX_RANK) {
        bi_err(c, "too many dimensions: %u, of at most %d", *rank, LOW_MAX_RANK);
        return false;
    }
    for (uint32_t i = 0; i < *rank; i++)
        if (!bi_dim(c, tuple ? v.elems[i] : v, c->at, &dims[i])) return false;
    return true;
}

bool bi_elem(LowCall *c, uint32_t i, TdlElem deflt, TdlElem *e) {
    *e = deflt;
    if (!c->given[i]) return true;
    if (c->a[i].kind != LV_ELEM) {
        low_error(c->L, c->span[i], "%s: dtype is a type such as f64, not %s", c->bi->name, lv_text(c->L, c->a[i]));
        return false;
    }
    *e = c->a[i].elem;
    return true;
}

bool bi_indices(LowCall *c, uint32_t i, TdlVal *out) {
    if (!bi_tensor(c, i)) return false;
    if (!el_is_int(lv_elem(c->L, c->a[i]))) {
        low_error(c->L, c->span[i], "%s: an index is a tensor of integers, not %s", c->bi->name, lv_text(c->L, c->a[i]));
        return false;
    }
    *out = low_mat(c->L, c->a[i], EL_I64);
    return true;
}

LowValue bi_named(LowCall *c, TdlVal v, TdlVal operand, const char *grad_fn) {
    return v.id == operand.id ? lv_tensor(v) : low_tag(c->L, v, grad_fn);
}
