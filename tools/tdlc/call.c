/* Dimensions and shapes of a call: what is given, what follows from it, what does not fit. */
#include "tools/tdlc/call.h"

#include <string.h>

static const char *text(const Call *c, TdlSym s) { return sym_text(c->s->names, s); }

Call call_of(Session *s, TdlFunc *f) {
    Call c = {.s = s, .f = f};
    c.names = ARENA_ARRAY(s->arena, TdlSym, f->dims.n + 1);
    c.values = ARENA_ARRAY(s->arena, TdlDim, f->dims.n + 1);
    c.args = ARENA_ARRAY(s->arena, Value, f->params.n + 1);
    return c;
}

const char *call_binding(const Call *c, const char *name) {
    const Options *o = c->s->o;
    for (uint32_t i = 0; i < o->arguments.n; i++)
        if (!strcmp(o->arguments.p[i].name, name)) return o->arguments.p[i].value;
    return NULL;
}

static TdlDim known(const Call *c, TdlDim d) { return dim_subst(c->s->m, d, c->names, c->values, c->nbound); }

bool call_bound(const Call *c, TdlSym v) {
    for (uint32_t i = 0; i < c->nbound; i++)
        if (sym_eq(c->names[i], v)) return true;
    return false;
}

void call_bind(Call *c, TdlSym v, TdlDim value) {
    if (call_bound(c, v)) return;
    c->names[c->nbound] = v;
    c->values[c->nbound++] = value;
}

/* Finds variables from assert(n == 2*m) at the top of the function. */
static void solve_asserts(Call *c) {
    TdlModule *m = c->s->m;
    IR_FOREACH_OP(c->f, c->f->body, o) {
        if (ir_op(c->f, o)->code != OP_ASSERT) continue;
        TdlOp eq = ir_val(c->f, ir_op(c->f, o)->operands[0])->def;
        TdlDim x, y, value;
        TdlSym v;
        if (!eq.id || ir_op(c->f, eq)->code != OP_EQ) continue;
        if (!ir_val_dim(c->f, ir_op(c->f, eq)->operands[0], &x) || !ir_val_dim(c->f, ir_op(c->f, eq)->operands[1], &y)) continue;
        if (dim_solve(m, known(c, dim_sub(m, x, y)), dim_const(m, 0), &v, &value)) call_bind(c, v, value);
    }
}

/* Finds variables from the shapes of the arrays, until nothing more is found. */
void call_solve(Call *c) {
    for (uint32_t before = c->nbound + 1; before != c->nbound;) {
        before = c->nbound;
        for (uint32_t i = 0; i < c->f->params.n; i++) {
            const TdlPort *p = &c->f->params.p[i];
            TdlType t = ty_tensor_of(c->s->m, p->type);
            if (p->out || !c->args[i].data) continue;
            for (uint32_t k = 0; k < ty_rank(c->s->m, t) && k < c->args[i].rank; k++) {
                TdlSym v;
                TdlDim value, total = dim_const(c->s->m, c->args[i].dims[k]);
                if (dim_solve(c->s->m, known(c, ty_dims(c->s->m, t)[k]), total, &v, &value)) call_bind(c, v, value);
            }
        }
        solve_asserts(c);
    }
}

bool call_given(Call *c) {
    for (uint32_t i = 0; i < c->f->dims.n; i++) {
        const char *name = text(c, c->f->dims.p[i]), *value = call_binding(c, name);
        Value v;
        for (uint32_t k = 0; k < c->s->o->fixed.n; k++)
            if (!strcmp(c->s->o->fixed.p[k].name, name)) call_bind(c, c->f->dims.p[i], dim_const(c->s->m, c->s->o->fixed.p[k].value));
        if (!value) continue;
        if (!value_read(c->s, name, value, EL_I64, &v)) return false;
        if (v.rank) {
            diag_error(c->s->diags, SPAN_NONE, "%s: a dimension is one integer", name);
            return false;
        }
        call_bind(c, c->f->dims.p[i], dim_const(c->s->m, *(int64_t *)v.data));
    }
    return true;
}

bool call_all_bound(const Call *c) {
    bool ok = true;
    for (uint32_t i = 0; i < c->f->dims.n; i++) {
        if (call_bound(c, c->f->dims.p[i])) continue;
        const char *name = text(c, c->f->dims.p[i]);
        diag_error(c->s->diags, SPAN_NONE, "dimension %s follows from no argument: give it as %s=N", name, name);
        ok = false;
    }
    return ok;
}

static void shape_text(const Call *c, const Value *v, TdlStr *out) {
    str_printf(out, "%s[", el_name(v->elem));
    for (uint32_t i = 0; i < v->rank; i++) str_printf(out, i ? ", %lld" : "%lld", (long long)v->dims[i]);
    str_putc(out, ']');
    (void)c;
}

/* True when the value has the shape that the parameter's type says; every disagreement is reported. */
bool call_fits(const Call *c, uint32_t i) {
    const TdlPort *p = &c->f->params.p[i];
    TdlType t = ty_tensor_of(c->s->m, p->type);
    const Value *v = &c->args[i];
    TdlStr want = str_new(c->s->arena), got = str_new(c->s->arena), known_text = str_new(c->s->arena);
    if (!ty_rank(c->s->m, t) && value_count(v) == 1) return true;   /* [1] is a scalar too: many files hold it so */
    bool same = ty_rank(c->s->m, t) == v->rank;
    for (uint32_t k = 0; same && k < v->rank; k++) {
        int64_t n = -1;
        same = dim_is_const(c->s->m, known(c, ty_dims(c->s->m, t)[k]), &n) && n == v->dims[k];
    }
    if (same) return true;
    ty_print(c->s->m, t, &want);
    shape_text(c, v, &got);
    ty_print(c->s->m, ty_subst(c->s->m, t, c->names, c->values, c->nbound), &known_text);
    diag_error(c->s->diags, SPAN_NONE, "%s: the shape does not fit: %s is wanted, which is %s here: got %s", text(c, p->name),
               want.p, known_text.p, got.p);
    return false;
}

bool call_shape(const Call *c, TdlType type, Value *v) {
    TdlType t = ty_tensor_of(c->s->m, type);
    v->elem = ty_elem(c->s->m, t);
    v->rank = ty_rank(c->s->m, t);
    for (uint32_t k = 0; k < v->rank; k++)
        if (!dim_is_const(c->s->m, known(c, ty_dims(c->s->m, t)[k]), &v->dims[k]) || v->dims[k] < 0) return false;
    int64_t bytes = (int64_t)el_bytes(v->elem);
    for (uint32_t k = 0; k < v->rank; k++)
        if (__builtin_mul_overflow(bytes, v->dims[k] ? v->dims[k] : 1, &bytes)) return false;
    v->data = arena_alloc(c->s->arena, (size_t)bytes);
    return true;
}

int64_t *call_dims(const Call *c) {
    int64_t *dims = ARENA_ARRAY(c->s->arena, int64_t, c->f->dims.n + 1);
    for (uint32_t i = 0; i < c->f->dims.n; i++)
        for (uint32_t k = 0; k < c->nbound; k++)
            if (sym_eq(c->names[k], c->f->dims.p[i])) dim_is_const(c->s->m, c->values[k], &dims[i]);
    return dims;
}
