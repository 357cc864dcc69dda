/* Memory by source line, from the notes that the adjoint pass leaves on operations and bufferize hands on to buffers:
 *
 *     %17 = alloc {offset = 0, saved = tape} : buf<f64[10, n]>          line 9    80*n bytes
 *     %28 = push %23, %21 {saved = tape} : stack<f64>                   line 15   16 bytes an iteration
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

static TdlDim bytes_of(TdlModule *m, TdlType t, int64_t times)
{
    TdlType x = ty_tensor_of(m, t);
    return dim_mul(m, ty_numel(m, x), dim_const(m, times * el_bytes(ty_elem(m, x))));
}

/* What a value takes in a row of a stack (memory.c). */
static TdlDim row_bytes(TdlModule *m, TdlType t)
{
    return dim_mul(m, dim_const(m, 16), dim_floordiv(m, dim_add(m, bytes_of(m, t, 1), dim_const(m, 15)), 16));
}

static void keep(Report *r, TdlSpan at, const char *how, TdlDim bytes, ReportPer per)
{
    TdlModule *m = r->f->module;
    ReportRow row = {.how = how, .per = per, .bytes = bytes};
    if (!place(m, at, &row)) return;
    TdlDim *sum = &r->sum[per];
    *sum = sum->id ? dim_add(m, *sum, row.bytes) : row.bytes;
    VEC_PUSH(m->arena, r->kept, row);
}

static void look(void *user, TdlFunc *f, TdlOp o);

static void look_into(Report *r, TdlFunc *f)
{
    for (uint32_t i = 0; i < r->called.n; i++)
        if (r->called.p[i] == f) return;
    VEC_PUSH(f->module->arena, r->called, f);
    ir_walk(f, f->body, look, r);
}

static void look(void *user, TdlFunc *f, TdlOp o)
{
    Report *r = user;
    TdlModule *m = f->module;
    const TdlOpData *d = ir_op(f, o);
    const char *how = op_str(f, o, "saved");
    if (how && d->code == OP_ALLOC && !d->noperands)
        keep(r, d->span, how, bytes_of(m, ir_type(f, d->results[0]), op_int(f, o, "lanes", 1)), f == r->f ? PER_CALL : PER_LEVEL);
    for (uint32_t i = 1; how && d->code == OP_PUSH && i < d->noperands; i++) {
        TdlOp def = ir_val(f, d->operands[i])->def;
        keep(r, def.id ? ir_op(f, def)->span : d->span, how, row_bytes(m, ir_type(f, d->operands[i])), PER_ITERATION);
    }
    if (d->code == OP_SAVE && ty_kind(m, ir_type(f, d->operands[0])) != TY_STACK)
        keep(r, d->span, "state", growth_words(m, ty_tensor_of(m, ir_type(f, d->operands[0]))), PER_CALL);
    TdlFunc *callee = d->code == OP_CALL ? ir_func_find(m, intern(m->names, op_str(f, o, "callee"))) : NULL;
    if (callee) look_into(r, callee);
    ReportRow row = {.how = "redone"};
    int64_t redone = op_int(f, o, "redone", 0);
    if (redone == 1 && place(m, d->span, &row)) VEC_PUSH(m->arena, r->redone, row);
    if (redone > 1 && f == r->f) VEC_PUSH(m->arena, r->bodies, o);
}

/* ---- bodies of index notation ---- */

typedef struct { const TdlOpData *of; bool found; } Twin;

static void find_twin(void *user, TdlFunc *f, TdlOp o)
{
    Twin *t = user;
    const TdlOpData *d = ir_op(f, o);
    t->found |= d->code == t->of->code && !memcmp(&d->span, &t->of->span, sizeof d->span) && !op_attr(f, o, "redone");
}

/* Elementary functions and loops; arithmetic is cheap. */
static bool is_worth_a_line(TdlOpcode c)
{
    return (op_info(c)->flags & OPF_FUNCTION) || c == OP_SQRT || c == OP_WHILE || c == OP_FOR;
}

/* What the reverse of index notation computes is computed again where the primal has it, too: it may be needed for the
 * gradient alone, and the two may have become one nest. Arithmetic is not looked at: that of the reverse has its place. */
static void look_at_bodies(Report *r)
{
    TdlModule *m = r->f->module;
    for (uint32_t i = 0; i < r->bodies.n; i++) {
        Twin t = {.of = ir_op(r->f, r->bodies.p[i])};
        ReportRow row = {.how = "redone"};
        if (!is_worth_a_line(t.of->code) || !place(m, t.of->span, &row)) continue;
        ir_walk(r->f, r->f->body, find_twin, &t);
        if (t.found) VEC_PUSH(m->arena, r->redone, row);
    }
}

/* ---- sizes that are found at run time ---- */

static void want_size(void *user, TdlSym name)
{
    Report *r = user;
    for (uint32_t k = 0; k < r->called.n; k++)
        for (uint32_t i = 0; i < r->called.p[k]->dims.n; i++)
            if (sym_eq(r->called.p[k]->dims.p[i], name)) return;
    for (uint32_t i = 0; i < r->sizes.n; i++)
        if (sym_eq(r->sizes.p[i].name, name)) return;
    VEC_PUSH(r->f->module->arena, r->sizes, ((ReportSize){.name = name}));
}

static void find_size(void *user, TdlFunc *f, TdlOp o)
{
    Report *r = user;
    if (ir_op(f, o)->code != OP_NEWDIM) return;
    TdlSym name = intern(f->module->names, op_str(f, o, "sym"));
    for (uint32_t i = 0; i < r->sizes.n; i++)
        if (sym_eq(r->sizes.p[i].name, name)) r->sizes.p[i].f = f, r->sizes.p[i].newdim = o;
}

static void look_at_sizes(Report *r)
{
    for (uint32_t i = 0; i < r->kept.n; i++) dim_vars(r->f->module, r->kept.p[i].bytes, want_size, r);
    for (uint32_t i = 0; r->sizes.n && i < r->called.n; i++) ir_walk(r->called.p[i], r->called.p[i]->body, find_size, r);
}

typedef struct { TdlVal v; TdlSpan at; } Use;

static void find_use(void *user, TdlFunc *f, TdlOp o)
{
    Use *use = user;
    for (uint32_t i = 0; i < ir_op(f, o)->noperands; i++)
        if (ir_op(f, o)->operands[i].id == use->v.id && !use->at.file) use->at = ir_op(f, o)->span;
}

/* What the forward half of a split function leaves in its outputs; the place is where it is first written. */
static void look_at_state(Report *r)
{
    TdlFunc *f = r->f;
    for (uint32_t i = 0; i < f->params.n; i++) {
        if (!f->params.p[i].saved || !f->params.p[i].out) continue;
        Use use = {.v = ir_region(f, f->body)->args.p[i]};
        ir_walk(f, f->body, find_use, &use);
        keep(r, use.at.file ? use.at : f->span, "state", growth_words(f->module, ty_tensor_of(f->module, f->params.p[i].type)), PER_CALL);
    }
}

static int by_place(const void *x, const void *y)
{
    const ReportRow *a = x, *b = y;
    int c = strcmp(a->file, b->file);
    if (!c) c = a->line < b->line ? -1 : a->line > b->line;
    if (!c) c = strcmp(a->how, b->how);
    return c ? c : a->bytes.id < b->bytes.id ? -1 : a->bytes.id > b->bytes.id;
}

Report report_of(TdlFunc *f)
{
    Report r = {.f = f};
    look_into(&r, f);
    look_at_state(&r);
    look_at_bodies(&r);
    look_at_sizes(&r);
    if (r.kept.n) qsort(r.kept.p, r.kept.n, sizeof *r.kept.p, by_place);
    if (r.redone.n) qsort(r.redone.p, r.redone.n, sizeof *r.redone.p, by_place);
    uint32_t n = 0;
    for (uint32_t i = 0; i < r.redone.n; i++) /* each line once */
        if (!n || by_place(&r.redone.p[i], &r.redone.p[n - 1])) r.redone.p[n++] = r.redone.p[i];
    r.redone.n = n;
    return r;
}

/* ---- as text ---- */

const char *report_per(ReportPer per)
{
    static const char *const TEXT[PER_COUNT] = {"a call", "an iteration", "a level of the recursion"};
    return TEXT[per];
}

static void totals(const Report *r, TdlStr *out)
{
    const char *between = "";
    Growth g = growth_bytes(r->f, r->sum[PER_CALL].id ? r->sum[PER_CALL] : dim_const(r->f->module, 0));
    for (ReportPer per = 0; per < PER_COUNT; per++) {
        if (!r->sum[per].id) continue;
        str_puts(out, between);
        dim_print(r->f->module, r->sum[per], out);
        str_puts(out, " bytes");
        if (per) str_printf(out, " %s", report_per(per));
        between = " and ";
    }
    growth_text(&g, out);
    if (g.more) str_puts(out, "; further sizes are found at run time");
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
    TdlArena *arena = r->f->module->arena;
    TdlStr *where = ARENA_ARRAY(arena, TdlStr, r->kept.n + 1);
    size_t width = 0;
    for (uint32_t i = 0; i < r->kept.n; i++) {
        where[i] = str_new(arena);
        str_printf(&where[i], "%s:%u", r->kept.p[i].file, (unsigned)r->kept.p[i].line);
        if (where[i].n > width) width = where[i].n;
    }
    for (uint32_t i = 0; i < r->kept.n; i++) {
        const ReportRow *row = &r->kept.p[i];
        str_printf(out, "    %-*s  %-9s  ", (int)width, where[i].p, row->how);
        dim_print(r->f->module, row->bytes, out);
        str_puts(out, " bytes");
        if (row->per) str_printf(out, " %s", report_per(row->per));
        str_putc(out, '\n');
    }
}

/* What the adjoint pass calls its sizes (adjoint_loop.c, adjoint_long.c); others are of the program's own tensors. */
static const char *meaning(const char *name)
{
    static const struct { const char *name, *meaning; } TEXT[] = {
        {"trip.", "iterations of the loop"}, {"extent.", "terms of the reduction"}, {"snapshots.", "states that are kept of the loop"},
        {"leaf.", "iterations that a tape holds of the loop"}};
    for (size_t i = 0; i < sizeof TEXT / sizeof *TEXT; i++)
        if (!strncmp(name, TEXT[i].name, strlen(TEXT[i].name))) return TEXT[i].meaning;
    return "size found";
}

static void write_sizes(const Report *r, TdlStr *out)
{
    for (uint32_t i = 0; i < r->sizes.n; i++) {
        const ReportSize *s = &r->sizes.p[i];
        const char *name = sym_text(r->f->module->names, s->name);
        ReportRow at = {0};
        str_printf(out, "    %s: %s", name, meaning(name));
        if (s->newdim.id && place(r->f->module, ir_op(s->f, s->newdim)->span, &at)) str_printf(out, " at %s:%u", at.file, (unsigned)at.line);
        if (s->newdim.id && ir_op(s->f, s->newdim)->parent.id != s->f->body.id) str_puts(out, ", each time");
        str_putc(out, '\n');
    }
}

static void write_redone(const Report *r, TdlStr *out)
{
    if (!r->redone.n) return;
    str_puts(out, "  computed again in the reverse sweep:\n");
    for (uint32_t i = 0; i < r->redone.n; i++) str_printf(out, "    %s:%u\n", r->redone.p[i].file, (unsigned)r->redone.p[i].line);
}

/* What the workspace cannot be less than: the most that is in use at once, as f or a variant of it computes. Formulas that
 * may each be the largest stand in max(...). */
static const char *least_text(TdlFunc *f)
{
    TdlModule *m = f->module;
    TdlArena scratch;
    arena_init_like(&scratch, m->arena);
    TdlDims peaks = ir_live_peaks(f, &scratch);
    Growth g = growth_of(f);
    TdlStr s = str_new(m->arena);
    int64_t least, planned;
    if (peaks.n > 1) str_puts(&s, "max(");
    for (uint32_t i = 0; i < peaks.n; i++) {
        if (i) str_puts(&s, ", ");
        dim_print(m, dim_add(m, peaks.p[i], g.bytes), &s);
    }
    if (peaks.n > 1) str_putc(&s, ')');
    if (peaks.n) str_puts(&s, " bytes");
    growth_text(&g, &s);
    if (peaks.n == 1 && dim_is_const(m, dim_add(m, peaks.p[0], g.bytes), &least) && least > 0 &&
        dim_is_const(m, dim_add(m, ir_static_bytes(f), g.bytes), &planned))
        str_printf(&s, "; planned is %.2f times that", (double)planned / (double)least);
    arena_free(&scratch);
    return s.n ? s.p : NULL;
}

static void write_least(TdlFunc *f, const CgOptions *opt, TdlStr *out)
{
    const char *own = least_text(f);
    if (own) str_printf(out, "\n  least possible: %s", own);
    for (uint32_t i = 0; own && i < cg_nvariants(opt, f); i++) {
        const char *other = least_text(cg_variant_of(opt, f, i));
        if (other && strcmp(own, other)) str_printf(out, "\n  least possible for %s: %s", opt->variants[i].cpu, other);
    }
}

typedef struct { TdlStr *out; bool any; } Threads;

static void write_threads(void *user, TdlFunc *f, TdlOp o)
{
    Threads *t = user;
    ReportRow at = {0};
    int64_t chunks = op_int(f, o, "threads", 0);
    if (!chunks || !place(f->module, ir_op(f, o)->span, &at)) return;
    if (!t->any) str_puts(t->out, "  in threads, where there is enough to do:\n");
    t->any = true;
    str_printf(t->out, "    %s:%u  up to %lld chunks\n", at.file, (unsigned)at.line, (long long)chunks);
}

static void write_function(TdlModule *m, TdlFunc *f, const CgOptions *opt, TdlStr *out)
{
    Report r = report_of(f);
    str_puts(out, cg_public_name(f));
    if (f->general.id) str_printf(out, " for %s", cg_case_text(f));
    str_puts(out, "\n  workspace: ");
    cg_workspace_text(m, f, opt, out);
    write_least(f, opt, out);
    str_puts(out, "\n  kept for the reverse sweep: ");
    if (r.kept.n) totals(&r, out);
    else str_puts(out, "nothing");
    str_putc(out, '\n');
    write_rows(&r, out);
    write_sizes(&r, out);
    write_redone(&r, out);
    Threads t = {.out = out};
    ir_walk(f, f->body, write_threads, &t);
    if (cg_processors_text(opt, f)) str_printf(out, "  code for %s\n", cg_processors_text(opt, f));
}

void cg_report(TdlModule *m, const CgOptions *opt, TdlStr *out)
{
    for (uint32_t i = 0; i < m->funcs.n; i++) {
        TdlFunc *f = m->funcs.p[i], *c;
        if (!f->exported || f->general.id) continue;
        write_function(m, f, opt, out);
        for (uint32_t k = 0; (c = cg_next_case(m, f, &k));) write_function(m, c, opt, out);
    }
}
