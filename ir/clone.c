/* Cloning operations, regions and functions, with values mapped and dimensions substituted. */
#include "ir/ir.h"

#include <string.h>

TdlValMap valmap_new(TdlArena *a, const TdlFunc *src) {
    return (TdlValMap){ARENA_ARRAY(a, TdlVal, src->vals.n), src->vals.n, a};
}

void valmap_set(TdlValMap *m, TdlVal from, TdlVal to) {
    if (from.id >= m->n) { /* a value made after the map was */
        uint32_t n = from.id + 1 + m->n / 2;
        TdlVal *p = ARENA_ARRAY(m->arena, TdlVal, n);
        if (m->n) memcpy(p, m->p, m->n * sizeof *p);
        m->p = p;
        m->n = n;
    }
    m->p[from.id] = to;
}

TdlVal valmap_get(const TdlValMap *m, TdlVal v) { return v.id < m->n && m->p[v.id].id ? m->p[v.id] : v; }

/* The latest wins: a name may be defined again in a region beside the first. */
void dimmap_add(TdlDimMap *m, TdlSym name, TdlDim to) {
    for (uint32_t i = 0; i < m->n; i++)
        if (sym_eq(m->names[i], name)) {
            m->to[i] = to;
            return;
        }
    if (m->n == m->cap) {
        uint32_t cap = m->cap, to_cap = m->cap;
        m->names = vec_grow(m->arena, m->names, m->n, &cap, m->n + 1, sizeof *m->names);
        m->to = vec_grow(m->arena, m->to, m->n, &to_cap, m->n + 1, sizeof *m->to);
        m->cap = cap < to_cap ? cap : to_cap;
    }
    m->names[m->n] = name;
    m->to[m->n++] = to;
}

static TdlType map_type(TdlModule *m, TdlType t, const TdlDimMap *dims) {
    return dims ? ty_subst(m, t, dims->names, dims->to, dims->n) : t;
}

static TdlAttr map_attr(TdlModule *m, TdlAttr a, const TdlDimMap *dims) {
    if (!dims || !dims->n) return a;
    if (a.kind == ATTR_DIM) a.dim = dim_subst(m, a.dim, dims->names, dims->to, dims->n);
    if (a.kind == ATTR_TYPE) a.type = map_type(m, a.type, dims);
    if (a.kind == ATTR_DIMS) {
        TdlDim *d = ARENA_ARRAY(m->arena, TdlDim, a.n);
        for (uint32_t i = 0; i < a.n; i++) d[i] = dim_subst(m, a.dims[i], dims->names, dims->to, dims->n);
        a.dims = d;
    }
    return a;
}

/* The base of a fresh name: t.12 is t. */
static const char *strip_suffix(TdlModule *m, const char *name) {
    size_t n = strlen(name), i = n;
    while (i > 0 && name[i - 1] >= '0' && name[i - 1] <= '9') i--;
    return i < n && i > 1 && name[i - 1] == '.' ? arena_strndup(m->arena, name, i - 1) : name;
}

/* The clone of a `newdim` defines a variable of its own. */
static void rename_newdim(TdlFunc *f, TdlOp o, TdlDimMap *dims) {
    TdlModule *m = f->module;
    const char *old = op_str(f, o, "sym");
    if (!old) return;
    TdlSym fresh = ir_fresh(m, strip_suffix(m, old));
    const char *text = sym_text(m->names, fresh);
    dimmap_add(dims, intern(m->names, old), dim_var(m, fresh));
    op_set_str(f, o, "sym", text, (uint32_t)strlen(text));
}

static void clone_region(TdlFunc *dst, TdlRegion to, const TdlFunc *src, TdlRegion from, TdlValMap *map, TdlDimMap *dims) {
    TdlModule *m = dst->module;
    for (uint32_t i = 0; i < ir_region(src, from)->args.n; i++) {
        TdlVal a = ir_region(src, from)->args.p[i];
        TdlValData d = *ir_val(src, a);
        valmap_set(map, a, ir_region_arg(dst, to, map_type(m, d.type, dims), d.name));
    }
    TdlBuilder b = ir_at_end(dst, to, SPAN_NONE);
    /* When a region is cloned into a place inside itself the walk would not end: callers never do that. */
    for (TdlOp o = ir_region(src, from)->first; o.id; o = ir_op(src, o)->next) ir_clone_op(&b, src, o, map, dims);
}

TdlOp ir_clone_op(TdlBuilder *b, const TdlFunc *src, TdlOp o, TdlValMap *map, TdlDimMap *dims) {
    TdlFunc *dst = b->f;
    TdlModule *m = dst->module;
    TdlOpData d = *ir_op(src, o); /* a copy: src may be dst, whose arrays move */
    TdlVal *operands = ARENA_ARRAY(m->arena, TdlVal, d.noperands);
    TdlType *types = ARENA_ARRAY(m->arena, TdlType, d.nresults);
    for (uint16_t i = 0; i < d.noperands; i++) operands[i] = valmap_get(map, d.operands[i]);
    TdlBuilder at = *b;
    at.span = d.span;
    at.grad_fn = d.grad_fn;
    TdlOp n = ir_emit(&at, d.code, operands, d.noperands, types, d.nresults);
    TdlOpData *nd = ir_op(dst, n);
    nd->attrs = ARENA_ARRAY(m->arena, TdlAttr, d.nattrs);
    nd->nattrs = d.nattrs;
    for (uint16_t i = 0; i < d.nattrs; i++) nd->attrs[i] = map_attr(m, d.attrs[i], dims);
    if (d.code == OP_NEWDIM && dims) rename_newdim(dst, n, dims);
    for (uint16_t i = 0; i < d.nresults; i++) {
        TdlVal v = ir_result(dst, n, i);
        ir_val(dst, v)->type = map_type(m, ir_type(src, d.results[i]), dims);
        ir_val(dst, v)->name = ir_val(src, d.results[i])->name;
        valmap_set(map, d.results[i], v);
    }
    for (uint16_t i = 0; i < d.nregions; i++) clone_region(dst, ir_op(dst, n)->regions[i], src, d.regions[i], map, dims);
    return n;
}

void ir_clone_region_body(TdlBuilder *b, const TdlFunc *src, TdlRegion r, TdlValMap *map, TdlDimMap *dims, TdlVals *yields) {
    TdlOp last = ir_terminator(src, r);
    for (TdlOp o = ir_region(src, r)->first; o.id && o.id != last.id; o = ir_op(src, o)->next)
        ir_clone_op(b, src, o, map, dims);
    if (!yields || !last.id) return;
    for (uint16_t i = 0; i < ir_op(src, last)->noperands; i++)
        VEC_PUSH(b->f->module->arena, *yields, valmap_get(map, ir_op(src, last)->operands[i]));
}

static void clone_ports(TdlFunc *f, const TdlFunc *src, const TdlDimMap *dims) {
    TdlModule *m = f->module;
    for (uint32_t i = 0; i < src->params.n; i++) VEC_PUSH(m->arena, f->params, src->params.p[i]);
    for (uint32_t i = 0; i < src->results.n; i++) VEC_PUSH(m->arena, f->results, src->results.p[i]);
    for (uint32_t i = 0; i < f->params.n; i++) f->params.p[i].type = map_type(m, f->params.p[i].type, dims);
    for (uint32_t i = 0; i < f->results.n; i++) f->results.p[i].type = map_type(m, f->results.p[i].type, dims);
}

TdlFunc *ir_clone_func(TdlModule *m, const TdlFunc *src, TdlSym name, TdlDimMap *dims) {
    TdlFunc *f = ir_func_new(m, name, src->span);
    TdlArena scratch;
    arena_init_like(&scratch, m->arena);
    f->exported = src->exported;
    f->script = src->script;
    f->doc = src->doc;
    f->workspace = dims && src->workspace.id ? dim_subst(m, src->workspace, dims->names, dims->to, dims->n) : src->workspace;
    f->chunk = dims && src->chunk.id ? dim_subst(m, src->chunk, dims->names, dims->to, dims->n) : src->chunk;
    f->symbol = src->symbol;
    f->split = src->split;
    f->saves = src->saves;
    f->restores = src->restores;
    f->general = src->general;
    for (uint32_t i = 0; i < src->at.n; i++) VEC_PUSH(m->arena, f->at, src->at.p[i]);
    f->reverse = src->reverse;
    f->forward = src->forward;
    for (uint32_t i = 0; i < src->dims.n; i++) VEC_PUSH(m->arena, f->dims, src->dims.p[i]);
    clone_ports(f, src, dims);
    TdlValMap map = valmap_new(&scratch, src);
    if (src->symbol)
        for (uint32_t i = 0; i < src->params.n; i++) ir_region_arg(f, f->body, f->params.p[i].type, src->params.p[i].name);
    else clone_region(f, f->body, src, src->body, &map, dims);
    arena_free(&scratch);
    return f;
}
