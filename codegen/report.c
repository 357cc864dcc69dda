/* Memory by source line, from the notes that the adjoint pass leaves on operations and bufferize hands on to buffers:
 *
 *     %17 = alloc {offset = 0, saved = tape} : buf<f64[10, n]>          line 9    80*n bytes
 *     %28 = push %23, %21 {saved = tape} : stack<f64>                   line 15   8 bytes an iteration
 *     %38 = div %0, %37 {redone = 1}                                    line 15   computed again
 *
 * So it says what is in the object: a value that fusion computes where it is read is not kept, nor is one that lies in
 * an output. */
#include "codegen/report.h"
#include "codegen/codegen.h"
#include "codegen/growth.h"

#include <stdlib.h>
#include <string.h>

static bool place(const TdlModule *m, TdlSpan at, ReportRow *row)
{
    if (!at.file) return false;
    uint32_t col;
    row->file = sources_name(m->sources, at.file);
    sources_line_col(m->sources, at.file, at.at, &row->line, &col);
    return true;
}

static void keep(Report *r, TdlSpan at, const char *how, TdlType t, bool each)
{
    TdlModule *m = r->f->module;
    TdlType x = ty_tensor_of(m, t);
    ReportRow row = {.how = how, .each = each, .bytes = dim_mul(m, ty_numel(m, x), dim_const(m, el_bytes(ty_elem(m, x))))};
    if (!place(m, at, &row)) return;
    TdlDim *sum = each ? &r->each : &r->bytes;
    *sum = sum->id ? dim_add(m, *sum, row.bytes) : row.bytes;
    VEC_PUSH(m->arena, r->kept, row);
}

static void look(void *user, TdlFunc *f, TdlOp o)
{
    Report *r = user;
    const TdlOpData *d = ir_op(f, o);
    const char *how = op_str(f, o, "saved");
    if (how && d->code == OP_ALLOC && !d->noperands) keep(r, d->span, how, ir_type(f, d->results[0]), false);
    for (uint32_t i = 1; how && d->code == OP_PUSH && i < d->noperands; i++) {
        TdlOp def = ir_val(f, d->operands[i])->def;
        keep(r, def.id ? ir_op(f, def)->span : d->span, how, ir_type(f, d->operands[i]), true);
    }
    ReportRow row = {.how = "redone"};
    if (op_int(f, o, "redone", 0) && place(f->module, d->span, &row)) VEC_PUSH(f->module->arena, r->redone, row);
}

static int by_place(const void *x, const void *y)
{
    const ReportRow *a = x, *b = y;
    int c = strcmp(a->file, b->file);
    return c ? c : a->line != b->line ? (a->line < b->line ? -1 : 1) : a->bytes.id < b->bytes.id ? -1 : a->bytes.id > b->bytes.id;
}

Report report_of(TdlFunc *f)
{
    Report r = {.f = f, .bytes = dim_const(f->module, 0)};
    ir_walk(f, f->body, look, &r);
    if (r.kept.n) qsort(r.kept.p, r.kept.n, sizeof *r.kept.p, by_place);
    if (r.redone.n) qsort(r.redone.p, r.redone.n, sizeof *r.redone.p, by_place);
    uint32_t n = 0;
    for (uint32_t i = 0; i < r.redone.n; i++) /* each line once */
        if (!n || by_place(&r.redone.p[i], &r.redone.p[n - 1])) r.redone.p[n++] = r.redone.p[i];
    r.redone.n = n;
    return r;
}

/* ---- as text ---- */

static void totals(const Report *r, TdlStr *out)
{
    Growth g = growth_bytes(r->f, r->bytes);
    int64_t c;
    bool none = dim_is_const(r->f->module, r->bytes, &c) && c == 0;
    if (!none) {
        dim_print(r->f->module, r->bytes, out);
        str_puts(out, r->each.id ? " bytes and " : " bytes");
    }
    if (r->each.id) {
        dim_print(r->f->module, r->each, out);
        str_puts(out, " bytes an iteration of loops whose length is found at run time");
    }
    growth_text(&g, out);
}

void report_header(TdlFunc *f, TdlStr *out)
{
    Report r = report_of(f);
    if (!r.kept.n) return;
    str_puts(out, " * Kept for the reverse sweep: ");
    totals(&r, out);
    str_puts(out, ".\n");
}

static void write_rows(const Report *r, TdlStr *out)
{
    for (uint32_t i = 0; i < r->kept.n; i++) {
        const ReportRow *row = &r->kept.p[i];
        TdlStr where = str_new(r->f->module->arena);
        str_printf(&where, "%s:%u", row->file, (unsigned)row->line);
        str_printf(out, "    %-24s %-10s ", where.p, row->how);
        dim_print(r->f->module, row->bytes, out);
        str_puts(out, row->each ? " bytes an iteration\n" : " bytes\n");
    }
}

static void write_redone(const Report *r, TdlStr *out)
{
    if (!r->redone.n) return;
    str_puts(out, "  computed again in the reverse sweep:\n");
    for (uint32_t i = 0; i < r->redone.n; i++) str_printf(out, "    %s:%u\n", r->redone.p[i].file, (unsigned)r->redone.p[i].line);
}

void cg_report(TdlModule *m, TdlStr *out)
{
    for (uint32_t i = 0; i < m->funcs.n; i++) {
        TdlFunc *f = m->funcs.p[i];
        if (!f->exported) continue;
        Report r = report_of(f);
        str_printf(out, "%s\n  workspace: ", sym_text(m->names, f->name));
        cg_workspace_text(m, f, out);
        str_puts(out, "\n  kept for the reverse sweep: ");
        if (r.kept.n) totals(&r, out);
        else str_puts(out, "nothing");
        str_putc(out, '\n');
        write_rows(&r, out);
        write_redone(&r, out);
    }
}
