/* Reading IR text: operations, functions, the module. Every value is defined before its uses in the text; where it
 * must also dominate them the verifier says so. */
#include "ir/attr.h"
#include "ir/parse.h"

#include <string.h>

/* ---- numbered values ---- */

static uint32_t slot_of(const Parser *p, uint64_t number) {
    uint32_t i = (uint32_t)(number * 2654435761u) & (p->nslots - 1);
    while (p->vals[i].val.id && p->vals[i].number != number) i = (i + 1) & (p->nslots - 1);
    return i;
}

static void grow_vals(Parser *p) {
    NumberedVal *old = p->vals;
    uint32_t n = p->nslots;
    p->nslots = n ? 2 * n : 64;
    p->vals = ARENA_ARRAY(&p->scratch, NumberedVal, p->nslots);
    for (uint32_t i = 0; i < n; i++)
        if (old[i].val.id) p->vals[slot_of(p, old[i].number)] = old[i];
}

/* `from`: where the definition is. */
static bool define(Parser *p, const char *from, uint64_t number, TdlVal v) {
    if (2 * p->nvals >= p->nslots) grow_vals(p);
    NumberedVal *slot = &p->vals[slot_of(p, number)];
    if (slot->val.id) return scan_error(p, from, "%%%llu is defined twice", (unsigned long long)number);
    *slot = (NumberedVal){number, v};
    p->nvals++;
    return true;
}

static bool operand(Parser *p, TdlVal *v) {
    uint64_t n;
    scan_space(p);
    const char *from = p->p;
    if (!scan_value_number(p, &n)) return false;
    if (p->nslots) *v = p->vals[slot_of(p, n)].val;
    return v->id != 0 || scan_error(p, from, "%%%llu is not defined before", (unsigned long long)n);
}

/* ---- attributes ---- */

static bool int_list(Parser *p, TdlOp o, const char *key) {
    TDL_VEC(int64_t) list = {0};
    if (!scan_expect(p, "[")) return false;
    while (!scan_is(p, "]")) {
        int64_t v;
        if ((list.n && !scan_expect(p, ",")) || !scan_int(p, &v)) return false;
        VEC_PUSH(p->m->arena, list, v);
    }
    op_set_ints(p->f, o, key, list.p, list.n);
    return scan_expect(p, "]");
}

static bool text_value(Parser *p, TdlOp o, const char *key) {
    const char *s;
    char *q;
    size_t n;
    scan_accept(p, "@");
    if (scan_is(p, "\"")) {
        if (!scan_string(p, &q, &n)) return false;
        s = q;
    } else if (!scan_word(p, &s, &n, "a text")) return false;
    op_set_str(p->f, o, key, s, (uint32_t)n);
    return true;
}

static bool number_value(Parser *p, TdlOp o, const char *key) {
    bool is_float;
    int64_t i;
    double f;
    if (!scan_number(p, &is_float, &i, &f)) return false;
    if (is_float) op_set_float(p->f, o, key, f);
    else op_set_int(p->f, o, key, i);
    return true;
}

/* A value by its form, for names that the table does not have. */
static bool any_value(Parser *p, TdlOp o, const char *key) {
    if (scan_is(p, "[")) return int_list(p, o, key);
    if (scan_peek_word(p, "inf") || scan_peek_word(p, "nan")) return number_value(p, o, key);
    if (scan_is(p, "\"") || scan_is(p, "@") || scan_at_word(p)) return text_value(p, o, key);
    return number_value(p, o, key);
}

static bool attribute(Parser *p, TdlOp o) {
    const char *s;
    size_t n;
    TdlDim d;
    TdlDims dims = {0};
    TdlType t;
    int64_t i;
    if (!scan_word(p, &s, &n, "the name of an attribute")) return false;
    const char *key = arena_strndup(p->m->arena, s, n);
    if (op_attr(p->f, o, key)) return scan_error(p, s, "attribute '%s' occurs twice", key);
    if (!scan_expect(p, "=")) return false;
    const TdlAttrForm *form = attr_form(key);
    if (!form) return scan_is(p, "<") ? (scan_dims(p, &dims) && (op_set_dims(p->f, o, key, dims.p, dims.n), true)) : any_value(p, o, key);
    switch (form->kind) {
    case ATTR_INT: return scan_int(p, &i) && (op_set_int(p->f, o, key, i), true);
    case ATTR_FLOAT: return number_value(p, o, key);
    case ATTR_STR: return text_value(p, o, key);
    case ATTR_INTS: return int_list(p, o, key);
    case ATTR_DIM: return scan_dim(p, &d) && (op_set_dim(p->f, o, key, d), true);
    case ATTR_DIMS: return scan_dims(p, &dims) && (op_set_dims(p->f, o, key, dims.p, dims.n), true);
    case ATTR_TYPE: return scan_type(p, &t) && (op_set_type(p->f, o, key, t), true);
    }
    return false;
}

static bool attributes(Parser *p, TdlOp o) {
    if (!scan_accept(p, "{")) return true;
    do {
        if (!attribute(p, o)) return false;
    } while (scan_accept(p, ","));
    return scan_expect(p, "}");
}

/* ---- operations ---- */

static bool operations(Parser *p, TdlRegion r);

static bool region(Parser *p, TdlRegion r) {
    if (!scan_expect(p, "{")) return false;
    if (scan_accept(p, "(")) {
        do {
            uint64_t n;
            TdlType t;
            scan_space(p);
            const char *from = p->p;
            if (!scan_value_number(p, &n) || !scan_expect(p, ":") || !scan_type(p, &t)) return false;
            if (!define(p, from, n, ir_region_arg(p->f, r, t, SYM_NONE))) return false;
        } while (scan_accept(p, ","));
        if (!scan_expect(p, ")")) return false;
    }
    if (++p->depth > PARSE_MAX_DEPTH) return scan_error(p, NULL, "nested too deeply");
    if (!operations(p, r)) return false;
    p->depth--;
    return true;
}

static bool result_types(Parser *p, TdlOp o) {
    uint16_t n = ir_op(p->f, o)->nresults;
    if (!n) return true;
    if (!scan_expect(p, ":")) return false;
    for (uint16_t i = 0; i < n; i++) {
        TdlType t;
        if (i && !scan_accept(p, ",")) return scan_error(p, NULL, "%u results need as many types", (unsigned)n);
        if (!scan_type(p, &t)) return false;
        ir_val(p->f, ir_result(p->f, o, i))->type = t;
    }
    return true;
}

/* `value = 3` of a float constant means 3.0. */
static void fix_constant(Parser *p, TdlOp o) {
    const TdlAttr *a = op_attr(p->f, o, "value");
    if (ir_op(p->f, o)->code != OP_CONST || !a || a->kind != ATTR_INT || ir_op(p->f, o)->nresults != 1) return;
    if (ty_is_float(p->m, ir_type(p->f, ir_result(p->f, o, 0)))) op_set_float(p->f, o, "value", (double)a->i);
}

static bool operation_tail(Parser *p, TdlOp o) {
    TdlSpan span;
    for (uint16_t i = 0; i < ir_op(p->f, o)->nregions; i++)
        if (!region(p, ir_op(p->f, o)->regions[i])) return false;
    if (!attributes(p, o) || !result_types(p, o)) return false;
    if (scan_accept(p, "@")) {
        TdlSym name;
        if (!scan_name(p, &name, "a grad_fn name")) return false;
        ir_op(p->f, o)->grad_fn = name;
    }
    if (scan_accept(p, "!")) {
        if (!scan_span(p, &span)) return false;
        ir_op(p->f, o)->span = span;
    }
    fix_constant(p, o);
    return true;
}

enum { MAX_VALUES = UINT16_MAX }; /* operands or results of one operation */

static bool operand_list(Parser *p, TdlVals *out) {
    while (scan_is(p, "%")) {
        TdlVal v = {0};
        if (!operand(p, &v)) return false;
        VEC_PUSH(p->m->arena, *out, v);
        if (out->n > MAX_VALUES) return scan_error(p, NULL, "too many operands");
        if (!scan_accept(p, ",")) return true;
        if (!scan_is(p, "%")) return scan_error(p, NULL, "expected a value, %%N");
    }
    return true;
}

static bool operation(Parser *p, TdlRegion r) {
    TDL_VEC(uint64_t) results = {0};
    TdlVals operands = {0};
    const char *s;
    size_t n;
    scan_space(p);
    const char *from = p->p;
    while (scan_is(p, "%")) {
        uint64_t v;
        if (!scan_value_number(p, &v)) return false;
        VEC_PUSH(p->m->arena, results, v);
        if (results.n > MAX_VALUES) return scan_error(p, NULL, "too many results");
        if (!scan_accept(p, ",")) break;
    }
    if (results.n && !scan_expect(p, "=")) return false;
    if (!scan_word(p, &s, &n, "an operation")) return false;
    TdlOpcode code = op_by_name(arena_strndup(p->m->arena, s, n));
    if (code == OP_NONE) return scan_error(p, s, "unknown operation '%.*s'", (int)n, s);
    const char *head = p->p;
    TdlBuilder b = ir_at_end(p->f, r, scan_here(p, s, head));
    if (!operand_list(p, &operands)) return false;
    TdlType *types = ARENA_ARRAY(p->m->arena, TdlType, results.n);
    TdlOp o = ir_emit(&b, code, operands.p, operands.n, types, results.n);
    if (!operation_tail(p, o)) return false;
    const char *end = p->p;
    p->p = head; /* a second definition is reported from the results to the mnemonic */
    for (uint32_t i = 0; i < results.n; i++)
        if (!define(p, from, results.p[i], ir_result(p->f, o, i))) return false;
    p->p = end;
    return true;
}

/* Operations up to the closing brace. */
static bool operations(Parser *p, TdlRegion r) {
    while (!scan_accept(p, "}")) {
        if (p->p >= p->end) return scan_error(p, NULL, "expected '}'");
        if (!operation(p, r)) return false;
    }
    return true;
}

/* ---- functions ---- */

/* A parameter in front of here, by name or number. */
static bool port_param(Parser *p, uint32_t *out) {
    scan_space(p);
    const char *from = p->p;
    int64_t k = -1;
    TdlSym name;
    if (p->p < p->end && *p->p >= '0' && *p->p <= '9') {
        if (!scan_int(p, &k)) return false;
    } else {
        if (!scan_name(p, &name, "a parameter")) return false;
        for (uint32_t i = 0; i < p->f->params.n && k < 0; i++)
            if (sym_eq(p->f->params.p[i].name, name)) k = i;
    }
    if (k < 0 || k >= (int64_t)p->f->params.n) return scan_error(p, from, "there is no such parameter");
    *out = (uint32_t)k;
    return true;
}

static bool port_word(Parser *p, const char *word) {
    if (!scan_peek_word(p, word)) return false;
    p->p += strlen(word);
    return true;
}

/* `over p`, with further ones behind commas: the next parameter of the list begins with `%`. */
static bool port_over(Parser *p, TdlPort *port) {
    const char *comma;
    do {
        uint32_t k;
        if (!port_param(p, &k)) return false;
        VEC_PUSH(p->m->arena, port->over, k);
        scan_space(p);
        comma = p->p;
    } while (scan_accept(p, ",") && !scan_is(p, "%"));
    if (*comma == ',') p->p = comma;
    return true;
}

/* After the name and type of a port: `of p`, `saved`, `prior k`, `over p` and `doc "..."`. */
static bool port_tail(Parser *p, TdlPort *port) {
    char *s;
    size_t n;
    uint32_t k;
    int64_t result;
    if (port_word(p, "of")) {
        if (!port_param(p, &k)) return false;
        port->cotangent_of = (int32_t)k;
    }
    port->saved = port_word(p, "saved");
    if (port_word(p, "prior")) {
        scan_space(p);
        const char *from = p->p;
        if (!scan_int(p, &result)) return false;
        if (result < 0 || result > INT32_MAX) return scan_error(p, from, "expected the number of a result");
        port->prior_of = (int32_t)result;
    }
    if (port_word(p, "over") && !port_over(p, port)) return false;
    if (port_word(p, "doc")) {
        if (!scan_string(p, &s, &n)) return false;
        port->doc = s;
    }
    return true;
}

/* `name: type`, or a type alone. */
static bool port(Parser *p, TdlPort *port) {
    *port = (TdlPort){.cotangent_of = -1, .prior_of = -1};
    scan_space(p);
    const char *from = p->p;
    TdlSym name;
    if (scan_name(p, &name, "a name") && scan_accept(p, ":")) port->name = name;
    else if (p->failed) return false;
    else p->p = from;
    return scan_type(p, &port->type) && port_tail(p, port);
}

static bool parameter(Parser *p) {
    uint64_t n;
    TdlPort q;
    scan_space(p);
    const char *start = p->p;
    if (!scan_value_number(p, &n)) return false;
    bool out = false;
    const char *from = p->p;
    if (scan_peek_word(p, "out")) { /* `out y: ...`, `out : ...` is a parameter named out */
        p->p += 3;
        out = !scan_is(p, ":");
        if (!out) p->p = from;
    }
    scan_accept(p, ":");
    if (!port(p, &q)) return false;
    q.out = out;
    VEC_PUSH(p->m->arena, p->f->params, q);
    return define(p, start, n, ir_region_arg(p->f, p->f->body, q.type, q.name));
}

static bool ports(Parser *p, bool params) {
    if (!scan_expect(p, "(")) return false;
    if (scan_accept(p, ")")) return true;
    do {
        TdlPort q;
        if (params ? !parameter(p) : !port(p, &q)) return false;
        if (!params) VEC_PUSH(p->m->arena, p->f->results, q);
    } while (scan_accept(p, ","));
    return scan_expect(p, ")");
}

/* = @name */
static bool rule_name(Parser *p, TdlSym *name) {
    return scan_expect(p, "=") && scan_expect(p, "@") && scan_name(p, name, "the name of a function");
}

/* = k, the number of a parameter behind the first */
static bool split_number(Parser *p) {
    int64_t k;
    if (!scan_expect(p, "=")) return false;
    scan_space(p);
    const char *from = p->p;
    if (!scan_int(p, &k)) return false;
    if (k < 1 || k >= (int64_t)p->f->params.n) return scan_error(p, from, "expected the number of the first cotangent");
    p->f->split = (uint32_t)k;
    return true;
}

static bool func_attributes(Parser *p) {
    static const char *const names[] = {"export", "script", "workspace", "extern", "reverse", "forward",
                                        "split", "saves", "restores", "case", "chunk"};
    const char *from = p->p, *s;
    size_t n;
    TdlSym symbol;
    bool any = false;
    if (!scan_accept(p, "{")) return true;
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) any |= scan_peek_word(p, names[i]);
    if (!any) {
        p->p = from; /* the body */
        return true;
    }
    do {
        if (!scan_word(p, &s, &n, "an attribute")) return false;
        if (n == 6 && !memcmp(s, "export", n)) p->f->exported = true;
        else if (n == 6 && !memcmp(s, "script", n)) p->f->script = true;
        else if (n == 9 && !memcmp(s, "workspace", n)) {
            if (!scan_expect(p, "=") || !scan_dim(p, &p->f->workspace)) return false;
        } else if (n == 5 && !memcmp(s, "chunk", n)) {
            if (!scan_expect(p, "=") || !scan_dim(p, &p->f->chunk)) return false;
        } else if (n == 6 && !memcmp(s, "extern", n)) {
            if (!scan_expect(p, "=") || !scan_name(p, &symbol, "the name of a C function")) return false;
            p->f->symbol = sym_text(p->m->names, symbol);
        } else if (n == 5 && !memcmp(s, "split", n)) {
            if (!split_number(p)) return false;
        } else if (n == 5 && !memcmp(s, "saves", n)) {
            if (!scan_expect(p, "=") || !scan_name(p, &p->f->saves, "a name")) return false;
        } else if (n == 8 && !memcmp(s, "restores", n)) {
            if (!scan_expect(p, "=") || !scan_name(p, &p->f->restores, "a name")) return false;
        } else if (n == 4 && !memcmp(s, "case", n)) {
            if (!rule_name(p, &p->f->general) || !scan_dims(p, &p->f->at)) return false;
        } else if (n == 7 && !memcmp(s, "reverse", n)) {
            if (!rule_name(p, &p->f->reverse)) return false;
        } else if (n == 7 && !memcmp(s, "forward", n)) {
            if (!rule_name(p, &p->f->forward)) return false;
        } else return scan_error(p, s, "unknown attribute of a function");
    } while (scan_accept(p, ","));
    return scan_expect(p, "}");
}

static bool func_head(Parser *p) {
    TdlSym name;
    char *s;
    size_t n;
    const char *from = p->p;
    if (!scan_expect(p, "@") || !scan_name(p, &name, "the name of a function")) return false;
    if (ir_func_find(p->m, name)) return scan_error(p, from, "function @%s is defined twice", sym_text(p->m->names, name));
    p->f = ir_func_new(p->m, name, scan_here(p, from, p->p));
    if (scan_accept(p, "<")) {
        do {
            if (!scan_name(p, &name, "a dimension")) return false;
            dim_var(p->m, name);
            VEC_PUSH(p->m->arena, p->f->dims, name);
        } while (scan_accept(p, ","));
        if (!scan_expect(p, ">")) return false;
    }
    if (!ports(p, true) || !scan_expect(p, "->") || !ports(p, false) || !func_attributes(p)) return false;
    if (scan_peek_word(p, "doc")) {
        p->p += 3;
        if (!scan_string(p, &s, &n)) return false;
        p->f->doc = s;
    }
    return !scan_accept(p, "!") || scan_span(p, &p->f->span);
}

/* To the next line that begins a function. */
static void skip_to_func(Parser *p) {
    while (p->p < p->end) {
        if ((p->p == p->text || p->p[-1] == '\n') && (size_t)(p->end - p->p) >= 5 && !memcmp(p->p, "func ", 5)) return;
        p->p++;
    }
}

static bool func(Parser *p) {
    arena_init_like(&p->scratch, p->m->arena);
    p->failed = false;
    p->vals = NULL;
    p->nvals = p->nslots = 0;
    p->depth = 0;
    bool ok = scan_peek_word(p, "func");
    if (ok) p->p += 4;
    else scan_error(p, NULL, "expected 'func'");
    ok = ok && func_head(p) && (p->f->symbol || (scan_expect(p, "{") && operations(p, p->f->body)));
    if (!ok && p->p < p->end) p->p++;
    if (!ok) skip_to_func(p);
    arena_free(&p->scratch);
    return ok;
}

/* A source, a function, a backward graph or the list of grad_fn names. */
static void item(Parser *p) {
    static const struct { const char *word; bool (*read)(Parser *p); } items[] = {
        {"source", source_parse}, {"graph", graph_parse}, {"grad_fns", graph_parse_names}};
    p->failed = false;
    for (size_t i = 0; i < sizeof items / sizeof *items; i++)
        if (scan_peek_word(p, items[i].word)) {
            if (!items[i].read(p)) skip_to_func(p);
            return;
        }
    func(p);
}

TdlModule *ir_parse_module(TdlArena *a, TdlInterner *in, TdlSources *s, TdlDiags *d, uint32_t file) {
    TdlModule *m = ir_module_new(a, in, s, d);
    size_t n, errors = diags_errors(d);
    const char *text = sources_text(s, file, &n);
    Parser p = {.m = m, .file = file, .text = text, .p = text, .end = text + n};
    for (scan_space(&p); p.p < p.end; scan_space(&p)) item(&p);
    return diags_errors(d) == errors ? m : NULL;
}
