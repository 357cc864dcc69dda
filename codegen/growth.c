/* What a function takes of the growing part for certain and as its arguments say: the tensors of its body whose sizes
 * follow from dimensions and integer arguments,
 *
 *     %16 = newdim %14 {sym = trip.1}                 %14 = max %s, 0
 *     %17 = alloc {dynamic = 1} : buf<f64[trip.1, n]>
 *
 * so that `f_workspace_size(n, s)` covers the tape of a loop over an argument. What lies in loops and branches, and what
 * is counted or computed from data, is not in it. */
#include "codegen/growth.h"
#include "codegen/codegen.h"

static bool integer(const TdlFunc *f, TdlVal v)
{
    TdlType t = ir_type(f, v);
    return ty_kind(f->module, t) == TY_TENSOR && ty_is_scalar(f->module, t) &&
           (ty_elem(f->module, t) == EL_I64 || ty_elem(f->module, t) == EL_I32);
}

static uint32_t variable(const Growth *g, TdlSym name)
{
    uint32_t i = 0;
    while (i < g->vars.n && !sym_eq(g->vars.p[i].name, name)) i++;
    return i;
}

typedef struct { Growth *g; bool known; } Vars;

static void look(void *user, TdlSym name)
{
    Vars *s = user;
    for (uint32_t i = 0; i < s->g->f->dims.n; i++)
        if (sym_eq(s->g->f->dims.p[i], name)) return;
    s->known = s->known && variable(s->g, name) < s->g->vars.n;
}

static bool certain(Growth *g, TdlVal v, uint32_t depth);

static bool known(Growth *g, TdlDim d)
{
    Vars s = {g, true};
    dim_vars(g->f->module, d, look, &s);
    return s.known;
}

static bool all_certain(Growth *g, TdlOp o, uint32_t depth)
{
    for (uint32_t i = 0; i < ir_op(g->f, o)->noperands; i++)
        if (!certain(g, ir_op(g->f, o)->operands[i], depth)) return false;
    return true;
}

/* A budget shared out, c // p: the constant is at least 0, the divisor never 0. */
static bool is_share(const Growth *g, const TdlVal *x)
{
    TdlModule *m = g->f->module;
    TdlDim c, d;
    int64_t i;
    return ir_val_dim(g->f, x[0], &c) && dim_is_const(m, c, &i) && i >= 0 && ir_val_dim(g->f, x[1], &d) && dim_known_ge(m, d, dim_const(m, 1));
}

/* Is v an integer that is computed at the top of the function from its arguments alone, without what can fail? */
static bool certain(Growth *g, TdlVal v, uint32_t depth)
{
    TdlOp o = ir_val(g->f, v)->def;
    if (!depth || !integer(g->f, v)) return false;
    if (!o.id) return ir_val(g->f, v)->region.id == g->f->body.id && !g->f->params.p[ir_val(g->f, v)->index].saved;
    if (ir_op(g->f, o)->parent.id != g->f->body.id) return false;
    switch (ir_op(g->f, o)->code) {
    case OP_CONST: return true;
    case OP_DIM: return known(g, op_attr(g->f, o, "d")->dim);
    case OP_NEWDIM: case OP_NEG: case OP_ADD: case OP_SUB: case OP_MUL: case OP_MAX: case OP_MIN: case OP_CAST:
        return all_certain(g, o, depth - 1);
    case OP_FLOORDIV: return is_share(g, ir_op(g->f, o)->operands) && all_certain(g, o, depth - 1);
    default: return false;
    }
}

static void use(void *user, TdlSym name)
{
    Growth *g = user;
    uint32_t i = variable(g, name);
    if (i < g->vars.n) g->vars.p[i].used = true;
}

/* Bytes of a buffer as the run time takes them: whole lines of 64, one at least. */
static TdlDim lines(TdlModule *m, TdlType t)
{
    TdlDim bytes = dim_mul(m, ty_numel(m, t), dim_const(m, el_bytes(ty_elem(m, t))));
    int64_t spare = dim_known_ge(m, bytes, dim_const(m, 1)) ? 63 : 64 + 63;
    return dim_mul(m, dim_floordiv(m, dim_add(m, bytes, dim_const(m, spare)), 64), dim_const(m, 64));
}

TdlDim growth_words(TdlModule *m, TdlType t)
{
    uint32_t size = el_bytes(ty_elem(m, t));
    TdlDim bytes = dim_mul(m, ty_numel(m, t), dim_const(m, size));
    if (size % 8 == 0) return bytes;
    return dim_mul(m, dim_floordiv(m, dim_add(m, bytes, dim_const(m, 7)), 8), dim_const(m, 8));
}

static void add_buffer(Growth *g, TdlVal v, TdlDim (*size)(TdlModule *m, TdlType t))
{
    TdlModule *m = g->f->module;
    TdlType t = ty_tensor_of(m, ir_type(g->f, v));
    bool all = ty_kind(m, t) == TY_TENSOR;
    for (uint32_t i = 0; all && i < ty_rank(m, t); i++) all = known(g, ty_dims(m, t)[i]);
    g->more = g->more || !all;
    if (!all) return;
    for (uint32_t i = 0; i < ty_rank(m, t); i++) dim_vars(m, ty_dims(m, t)[i], use, g);
    g->bytes = dim_add(m, g->bytes, size(m, t));
}

/* Beside `bytes`: the dynamic allocations, or what is saved. */
static Growth grown(TdlFunc *f, TdlDim bytes, bool saved)
{
    enum { DEPTH = 12 }; /* of the computation of a size */
    Growth g = {.f = f, .bytes = bytes};
    IR_FOREACH_OP(f, f->body, o) {
        TdlOpcode code = ir_op(f, o)->code;
        if (code == OP_NEWDIM && certain(&g, ir_op(f, o)->operands[0], DEPTH))
            VEC_PUSH(f->module->arena, g.vars, ((GrowthVar){intern(f->module->names, op_str(f, o, "sym")), ir_op(f, o)->operands[0], false}));
        if (!saved && code == OP_ALLOC && op_int(f, o, "dynamic", 0)) add_buffer(&g, ir_result(f, o, 0), lines);
        if (saved && code == OP_SAVE) add_buffer(&g, ir_op(f, o)->operands[0], growth_words);
    }
    return g;
}

/* Stacks, recursion, and allocations inside loops and branches: how often and how much, the arguments do not say. */
static void find_unbounded(void *user, TdlFunc *f, TdlOp o)
{
    Growth *g = user;
    TdlOpcode code = ir_op(f, o)->code;
    bool inside = ir_op(f, o)->parent.id != f->body.id;
    TdlFunc *callee = code == OP_CALL ? ir_func_find(f->module, intern(f->module->names, op_str(f, o, "callee"))) : NULL;
    g->more |= code == OP_STACKNEW || (callee && !callee->symbol) || (code == OP_ALLOC && inside && op_int(f, o, "dynamic", 0));
}

Growth growth_of(TdlFunc *f)
{
    Growth g = grown(f, dim_const(f->module, 0), false);
    ir_walk(f, f->body, find_unbounded, &g);
    return g;
}

Growth growth_saved(TdlFunc *f) { return grown(f, cg_saved_bytes(f, f->params.n), true); }

Growth growth_bytes(TdlFunc *f, TdlDim bytes)
{
    Growth g = grown(f, bytes, false);
    g.bytes = bytes;
    for (uint32_t i = 0; i < g.vars.n; i++) g.vars.p[i].used = false;
    dim_vars(f->module, bytes, use, &g);
    g.more = !known(&g, bytes);
    return g;
}

/* ---- as text ---- */

static void value_text(const TdlFunc *f, TdlVal v, TdlStr *out);

static void operand_text(const TdlFunc *f, TdlOp o, uint32_t i, TdlStr *out) { value_text(f, ir_op(f, o)->operands[i], out); }

static void infix(const TdlFunc *f, TdlOp o, const char *before, const char *between, TdlStr *out)
{
    str_puts(out, before);
    operand_text(f, o, 0, out);
    str_puts(out, between);
    operand_text(f, o, 1, out);
    str_putc(out, ')');
}

static void value_text(const TdlFunc *f, TdlVal v, TdlStr *out)
{
    TdlOp o = ir_val(f, v)->def;
    if (!o.id) {
        str_puts(out, sym_text(f->module->names, f->params.p[ir_val(f, v)->index].name));
        return;
    }
    switch (ir_op(f, o)->code) {
    case OP_CONST: str_printf(out, "%lld", (long long)op_int(f, o, "value", 0)); break;
    case OP_DIM:
        str_puts(out, dim_nterms(f->module, op_attr(f, o, "d")->dim) > 1 ? "(" : "");
        dim_print(f->module, op_attr(f, o, "d")->dim, out);
        str_puts(out, dim_nterms(f->module, op_attr(f, o, "d")->dim) > 1 ? ")" : "");
        break;
    case OP_MAX: infix(f, o, "max(", ", ", out); break;
    case OP_MIN: infix(f, o, "min(", ", ", out); break;
    case OP_ADD: infix(f, o, "(", " + ", out); break;
    case OP_SUB: infix(f, o, "(", " - ", out); break;
    case OP_MUL: infix(f, o, "(", " * ", out); break;
    case OP_FLOORDIV: infix(f, o, "(", " // ", out); break;
    case OP_NEG: str_puts(out, "-"); operand_text(f, o, 0, out); break;
    default: operand_text(f, o, 0, out); break; /* newdim, cast */
    }
}

void growth_text(const Growth *g, TdlStr *out)
{
    const char *before = ", where ";
    for (uint32_t i = 0; i < g->vars.n; i++) {
        if (!g->vars.p[i].used) continue;
        str_printf(out, "%s%s = ", before, sym_text(g->f->module->names, g->vars.p[i].name));
        value_text(g->f, g->vars.p[i].value, out);
        before = ", ";
    }
}
