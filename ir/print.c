/* The text form: docs/ir.md has the grammar, parse.c reads it back. Values are numbered by position. */
#include "ir/attr.h"
#include "ir/graph.h"
#include "ir/source_text.h"

#include <inttypes.h>
#include <string.h>

typedef struct {
    const TdlFunc *f;
    const TdlModule *m;
    TdlStr *out;
    const uint32_t *numbers;
    bool spans;
    const uint32_t *files; /* number of each source in the text; NULL: its own */
} Printer;

/* ---- numbers ---- */

typedef struct { const TdlFunc *f; uint32_t *numbers, next; } Numbering;

static void number_region(Numbering *n, TdlRegion r) {
    const TdlRegionData *d = ir_region(n->f, r);
    for (uint32_t i = 0; i < d->args.n; i++) n->numbers[d->args.p[i].id] = ++n->next;
    for (TdlOp o = d->first; o.id; o = ir_op(n->f, o)->next) {
        const TdlOpData *p = ir_op(n->f, o);
        for (uint16_t i = 0; i < p->nresults; i++) n->numbers[p->results[i].id] = ++n->next;
        for (uint16_t i = 0; i < p->nregions; i++) number_region(n, p->regions[i]);
    }
}

uint32_t *ir_numbers(const TdlFunc *f, TdlArena *scratch) {
    Numbering n = {f, ARENA_ARRAY(scratch, uint32_t, f->vals.n), 0};
    number_region(&n, f->body);
    return n.numbers;
}

/* ---- pieces ---- */

static void print_val(Printer *p, TdlVal v) {
    uint32_t k = v.id < p->f->vals.n ? p->numbers[v.id] : 0;
    if (k) str_printf(p->out, "%%%" PRIu32, k - 1);
    else str_printf(p->out, "%%?%" PRIu32, v.id); /* not in the body: broken IR, printed to be looked at */
}

static void print_vals(Printer *p, const TdlVal *v, uint32_t n) {
    for (uint32_t i = 0; i < n; i++) {
        if (i) str_puts(p->out, ", ");
        print_val(p, v[i]);
    }
}

void ir_print_quoted(TdlStr *out, const char *s, size_t n) {
    str_putc(out, '"');
    for (size_t i = 0; i < n; i++) {
        unsigned char c = (unsigned char)s[i];
        if (c == '"' || c == '\\') str_printf(out, "\\%c", c);
        else if (c == '\n') str_puts(out, "\\n");
        else if (c == '\t') str_puts(out, "\\t");
        else if (c < 0x20 || c == 0x7f) str_printf(out, "\\x%02x", (unsigned)c);
        else str_putc(out, (char)c);
    }
    str_putc(out, '"');
}

static void print_name(TdlStr *out, const char *s) {
    if (attr_is_word(s, strlen(s))) str_puts(out, s);
    else ir_print_quoted(out, s, strlen(s));
}

static void print_span(Printer *p, TdlSpan s) {
    if (p->spans) source_print_span(s, p->files, p->out);
}

static void print_dims(const TdlModule *m, const TdlDim *d, uint32_t n, TdlStr *out) {
    str_putc(out, '<');
    for (uint32_t i = 0; i < n; i++) {
        if (i) str_puts(out, ", ");
        dim_print(m, d[i], out);
    }
    str_putc(out, '>');
}

static void print_attr(Printer *p, const TdlAttr *a) {
    const char *key = sym_text(p->m->names, a->key);
    const TdlAttrForm *form = attr_form(key);
    str_printf(p->out, "%s = ", key);
    switch (a->kind) {
    case ATTR_INT: str_printf(p->out, "%" PRId64, a->i); break;
    case ATTR_FLOAT: str_double(p->out, a->f); break;
    case ATTR_STR:
        if (!strcmp(key, "callee")) str_putc(p->out, '@');
        if ((form && form->quoted) || !attr_is_word(a->s, a->n)) ir_print_quoted(p->out, a->s, a->n);
        else str_putn(p->out, a->s, a->n);
        break;
    case ATTR_INTS:
        str_putc(p->out, '[');
        for (uint32_t i = 0; i < a->n; i++) str_printf(p->out, "%s%" PRId64, i ? ", " : "", a->ints[i]);
        str_putc(p->out, ']');
        break;
    case ATTR_DIM: dim_print(p->m, a->dim, p->out); break;
    case ATTR_DIMS: print_dims(p->m, a->dims, a->n, p->out); break;
    case ATTR_TYPE: ty_print(p->m, a->type, p->out); break;
    }
}

static void print_attrs(Printer *p, const TdlOpData *d) {
    if (!d->nattrs) return;
    for (uint16_t i = 0; i < d->nattrs; i++) {
        str_puts(p->out, i ? ", " : " {");
        print_attr(p, &d->attrs[i]);
    }
    str_putc(p->out, '}');
}

/* ---- operations and regions ---- */

static void indent(Printer *p, int depth) {
    for (int i = 0; i < depth; i++) str_puts(p->out, "  ");
}

static void print_op(Printer *p, TdlOp o, int depth);

static void print_body(Printer *p, TdlRegion r, int depth) {
    for (TdlOp o = ir_region(p->f, r)->first; o.id; o = ir_op(p->f, o)->next) print_op(p, o, depth);
}

static void print_region(Printer *p, TdlRegion r, int depth) {
    const TdlRegionData *d = ir_region(p->f, r);
    str_puts(p->out, " {");
    for (uint32_t i = 0; i < d->args.n; i++) {
        str_puts(p->out, i ? ", " : "(");
        print_val(p, d->args.p[i]);
        str_puts(p->out, ": ");
        ty_print(p->m, ir_type(p->f, d->args.p[i]), p->out);
    }
    str_puts(p->out, d->args.n ? ")\n" : "\n");
    print_body(p, r, depth + 1);
    indent(p, depth);
    str_putc(p->out, '}');
}

static void print_op(Printer *p, TdlOp o, int depth) {
    const TdlOpData *d = ir_op(p->f, o);
    indent(p, depth);
    print_vals(p, d->results, d->nresults);
    if (d->nresults) str_puts(p->out, " = ");
    str_puts(p->out, op_info(d->code)->name);
    if (d->noperands) str_putc(p->out, ' ');
    print_vals(p, d->operands, d->noperands);
    for (uint16_t i = 0; i < d->nregions; i++) print_region(p, d->regions[i], depth);
    print_attrs(p, d);
    for (uint16_t i = 0; i < d->nresults; i++) {
        str_puts(p->out, i ? ", " : " : ");
        ty_print(p->m, ir_type(p->f, d->results[i]), p->out);
    }
    if (d->grad_fn.id) {
        str_puts(p->out, " @");
        print_name(p->out, sym_text(p->m->names, d->grad_fn));
    }
    print_span(p, d->span);
    str_putc(p->out, '\n');
}

/* ---- functions ---- */

/* Parameter k: by name where it is the first so named, else by number. */
static void print_param(Printer *p, const char *before, uint32_t k) {
    if (k >= p->f->params.n) return;
    TdlSym name = p->f->params.p[k].name;
    uint32_t i = 0;
    while (!sym_eq(p->f->params.p[i].name, name)) i++;
    str_puts(p->out, before);
    if (name.id && i == k) print_name(p->out, sym_text(p->m->names, name));
    else str_printf(p->out, "%" PRIu32, k);
}

static void print_port(Printer *p, const TdlPort *port) {
    if (port->out) str_puts(p->out, "out ");
    if (port->name.id) {
        print_name(p->out, sym_text(p->m->names, port->name));
        str_puts(p->out, ": ");
    }
    ty_print(p->m, port->type, p->out);
    if (port->cotangent_of >= 0) print_param(p, " of ", (uint32_t)port->cotangent_of);
    if (port->saved) str_puts(p->out, " saved");
    if (port->prior_of >= 0) str_printf(p->out, " prior %" PRId32, port->prior_of);
    for (uint32_t i = 0; i < port->over.n; i++) print_param(p, i ? ", " : " over ", port->over.p[i]);
    if (!port->doc) return;
    str_puts(p->out, " doc ");
    ir_print_quoted(p->out, port->doc, strlen(port->doc));
}

static void print_head(Printer *p) {
    const TdlFunc *f = p->f;
    str_puts(p->out, "func @");
    print_name(p->out, sym_text(p->m->names, f->name));
    for (uint32_t i = 0; i < f->dims.n; i++)
        str_printf(p->out, "%s%s", i ? ", " : "<", sym_text(p->m->names, f->dims.p[i]));
    str_puts(p->out, f->dims.n ? ">(" : "(");
    for (uint32_t i = 0; i < f->params.n; i++) {
        if (i) str_puts(p->out, ", ");
        if (i < ir_region(f, f->body)->args.n) print_val(p, ir_region(f, f->body)->args.p[i]);
        str_puts(p->out, f->params.p[i].name.id || f->params.p[i].out ? " " : ": ");
        print_port(p, &f->params.p[i]);
    }
    str_puts(p->out, ") -> (");
    for (uint32_t i = 0; i < f->results.n; i++) {
        if (i) str_puts(p->out, ", ");
        print_port(p, &f->results.p[i]);
    }
    str_putc(p->out, ')');
}

static void print_func_attrs(Printer *p) {
    const TdlFunc *f = p->f;
    const char *sep = " {";
    if (f->exported) str_printf(p->out, "%sexport", sep), sep = ", ";
    if (f->script) str_printf(p->out, "%sscript", sep), sep = ", ";
    if (f->symbol) {
        str_printf(p->out, "%sextern = ", sep), sep = ", ";
        print_name(p->out, f->symbol);
    }
    if (f->split) str_printf(p->out, "%ssplit = %" PRIu32, sep, f->split), sep = ", ";
    if (f->saves.id) str_printf(p->out, "%ssaves = %s", sep, sym_text(p->m->names, f->saves)), sep = ", ";
    if (f->restores.id) str_printf(p->out, "%srestores = %s", sep, sym_text(p->m->names, f->restores)), sep = ", ";
    if (f->general.id) {
        str_printf(p->out, "%scase = @%s<", sep, sym_text(p->m->names, f->general)), sep = ", ";
        for (uint32_t i = 0; i < f->at.n; i++) {
            if (i) str_puts(p->out, ", ");
            dim_print(p->m, f->at.p[i], p->out);
        }
        str_putc(p->out, '>');
    }
    if (f->reverse.id) str_printf(p->out, "%sreverse = @%s", sep, sym_text(p->m->names, f->reverse)), sep = ", ";
    if (f->forward.id) str_printf(p->out, "%sforward = @%s", sep, sym_text(p->m->names, f->forward)), sep = ", ";
    if (f->workspace.id) {
        str_printf(p->out, "%sworkspace = ", sep), sep = ", ";
        dim_print(p->m, f->workspace, p->out);
    }
    if (f->chunk.id) {
        str_printf(p->out, "%schunk = ", sep), sep = ", ";
        dim_print(p->m, f->chunk, p->out);
    }
    if (sep[0] == ',') str_putc(p->out, '}');
    if (f->doc) {
        str_puts(p->out, " doc ");
        ir_print_quoted(p->out, f->doc, strlen(f->doc));
    }
    print_span(p, f->span);
}

static void print_func(const TdlFunc *f, bool spans, const uint32_t *files, TdlStr *out) {
    TdlArena scratch;
    arena_init_like(&scratch, f->module->arena);
    Printer p = {f, f->module, out, ir_numbers(f, &scratch), spans, files};
    print_head(&p);
    print_func_attrs(&p);
    if (!f->symbol) {
        str_puts(out, " {\n");
        print_body(&p, f->body, 1);
        str_putc(out, '}');
    }
    str_putc(out, '\n');
    arena_free(&scratch);
}

void ir_print_func_as(const TdlFunc *f, TdlStr *out, int flags) { print_func(f, (flags & IR_PRINT_SPANS) != 0, NULL, out); }

void ir_print_func(const TdlFunc *f, TdlStr *out) { ir_print_func_as(f, out, 0); }

void ir_print_module_as(const TdlModule *m, TdlStr *out, int flags) {
    bool spans = (flags & IR_PRINT_SPANS) != 0;
    TdlArena scratch;
    arena_init_like(&scratch, m->arena);
    uint32_t *files = spans && (flags & IR_PRINT_SOURCES) ? source_numbers(m, &scratch) : NULL;
    if (files) source_print(m, files, out);
    for (uint32_t i = 0; i < m->funcs.n; i++) {
        if (i) str_putc(out, '\n');
        print_func(m->funcs.p[i], spans, files, out);
    }
    graph_print_ir(m, spans, files, out);
    arena_free(&scratch);
}

void ir_print_module(const TdlModule *m, TdlStr *out) { ir_print_module_as(m, out, 0); }
