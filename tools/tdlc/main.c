/* tdlc: the driver. What is compiled, in what order, and what is written; the stages are in stages.c. */
#include "tools/tdlc/session.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

/* Appends the output of one --emit stage to the answer. */
static bool emit_text(Session *s, TdlStr *text) {
    return output_write(s, s->o->output, text->p, text->n);
}

static bool emit_ir(Session *s, Emit e) {
    TdlStr text = str_new(s->arena);
    if (!s->o->emit[e]) return true;
    ir_print_module_as(s->m, &text, s->o->print_spans ? IR_PRINT_SPANS | IR_PRINT_SOURCES : 0);
    return emit_text(s, &text);
}

/* True when one of the stages from `first` on is asked for. */
static bool wanted_from(const Options *o, Emit first) {
    for (int e = first; e < EMIT_COUNT; e++)
        if (o->emit[e]) return true;
    return false;
}

static bool emit_syntax(Session *s) {
    TdlStr tokens = str_new(s->arena), ast = str_new(s->arena);
    if (s->o->emit[EMIT_TOKENS] && !(stage_tokens(s, &tokens) && emit_text(s, &tokens))) return false;
    return !s->o->emit[EMIT_AST] || (stage_ast(s, &ast) && emit_text(s, &ast));
}

static bool emit_header(Session *s, const char *object) {
    TdlStr header = str_new(s->arena), manifest = str_new(s->arena);
    bool file = !s->o->any_emit && !output_is_special(s->o->output); /* -o /dev/null: no header beside a device */
    if (s->o->emit[EMIT_HEADER] || file) cg_header(s->m, output_stem(s, object), &s->o->cg, &header);
    if (s->o->emit[EMIT_HEADER] && !emit_text(s, &header)) return false;
    if (s->o->emit[EMIT_MANIFEST]) {
        cg_manifest(s->m, s->o->any_emit ? arena_printf(s->arena, "%s.o", output_stem(s, object)) : object, &s->o->cg, &manifest);
        if (!emit_text(s, &manifest)) return false;
    }
    return !file || output_write(s, output_name(s, ".h"), header.p, header.n);
}

/* Seconds on a clock that only goes forward. */
static double now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

/* For --time-passes: what LLVM's part of the work took since *from. */
static void timed(const Session *s, const char *what, double *from) {
    double t = now();
    if (s->o->time_passes) fprintf(stderr, "%-12s %9.3f ms\n", what, (t - *from) * 1e3);
    *from = t;
}

/* Code generation and the outputs behind it. */
static bool compile(Session *s) {
    const char *object = s->o->any_emit ? s->o->input : output_name(s, ".o");
    static const struct { Emit emit; CgOutput output; } stages[] = {{EMIT_LLVM, CG_LLVM}, {EMIT_ASM, CG_ASM}, {EMIT_OBJ, CG_OBJECT}};
    double from = now();
    CgUnit *u = cg_module(s->m, &s->o->cg);
    timed(s, "to LLVM", &from);
    bool ok = u && cg_optimize(u);
    timed(s, "LLVM passes", &from);
    for (size_t i = 0; ok && i < 3; i++) {
        TdlStr text = str_new(s->arena);
        if (s->o->emit[stages[i].emit]) ok = cg_emit(u, stages[i].output, &text) && emit_text(s, &text);
    }
    if (ok && !s->o->any_emit) {
        TdlStr bytes = str_new(s->arena);
        ok = cg_emit(u, CG_OBJECT, &bytes) && output_write(s, object, bytes.p, bytes.n);
    }
    timed(s, "LLVM output", &from);
    cg_free(u);
    return ok && emit_header(s, object) && (!s->o->deps || output_deps(s, object));
}

static bool report(Session *s) {
    TdlStr text = str_new(s->arena);
    cg_report(s->m, &s->o->cg, &text);
    if (!text.n) diag_error(s->diags, SPAN_NONE, "%s: exports no function: there is nothing to report", s->o->input);
    return text.n && output_write(s, s->o->output, text.p, text.n);
}

/* The recipe. */
static bool work(Session *s) {
    const Options *o = s->o;
    if (!emit_syntax(s)) return false;
    if (o->any_emit && !wanted_from(o, EMIT_IR)) return true;
    if (!stage_front(s, o->command != CMD_COMPILE && o->command != CMD_REPORT) || !emit_ir(s, EMIT_IR)) return false;
    if (o->any_emit && !wanted_from(o, EMIT_ADJOINT)) return true;
    if (o->command == CMD_CHECK) return check_program(s);
    if (o->command == CMD_GRAPH || o->emit[EMIT_GRAPH]) {
        if (!graph_write(s)) return false;
        if (o->command == CMD_GRAPH) return true;
    }
    if (!o->loops_input && !stage_passes(s, pipeline_adjoint(&o->pass))) return false;
    if (!emit_ir(s, EMIT_ADJOINT)) return false;
    TdlStr adjoint = str_new(s->arena);
    if (o->variants.n && !o->loops_input) ir_print_module_as(s->m, &adjoint, IR_PRINT_SPANS);
    if (!o->loops_input && (!o->any_emit || wanted_from(o, EMIT_LOOPS)) && !stage_passes(s, pipeline_loops(&o->pass)))
        return false;
    if (!emit_ir(s, EMIT_LOOPS)) return false;
    if (o->command == CMD_RUN) return run_program(s);
    if (o->any_emit && !wanted_from(o, EMIT_LLVM)) return true;
    if (!o->loops_input && !stage_variants(s, &adjoint)) return false;
    return o->command == CMD_REPORT ? report(s) : compile(s);
}

static void flush_diags(const Session *s) {
    TdlStr text = str_new(s->arena);
    if (s->o->json) diags_render_json(s->diags, &text);
    else diags_render_text(s->diags, &text, 50);
    fwrite(text.p, 1, text.n, stderr);
}

static void out_of_memory(void *user, size_t bytes) {
    (void)user;
    fprintf(stderr, "tdlc: out of memory (%zu bytes)\n", bytes);
    exit(EXIT_INTERNAL);
}

/* An error whose text starts with "internal" is a defect of the compiler. */
static int exit_status(const Session *s, bool ok) {
    TdlStr text = str_new(s->arena);
    if (ok && !diags_errors(s->diags)) return EXIT_OK;
    diags_render_text(s->diags, &text, 0);
    return text.p && strstr(text.p, "error: internal") ? EXIT_INTERNAL : EXIT_USER;
}

int main(int argc, char **argv) {
    TdlArena arena;
    arena_init(&arena);
    arena.on_full = out_of_memory;
    const char *stress = getenv("TDL_ARENA_STRESS");
    arena.stress = stress && *stress && strcmp(stress, "0");
    Options o = {.verify_each = TDL_VERIFY_EACH_DEFAULT, .pass.opt_level = 2, .cg.opt_level = 2, .points = 10};
    int status = options_parse(&arena, argc, argv, &o);
    if (status >= 0) return arena_free(&arena), status;
    cg_start(&o.cg, o.time_passes);
    o.pass.vector_bytes = (int)cg_vector_bytes(&o.cg);
    TdlSources *sources = sources_new(&arena);
    Session s = {.o = &o, .arena = &arena, .names = intern_new(&arena), .sources = sources, .diags = diags_new(&arena, sources)};
    for (int k = 0; k < WARN_COUNT; k++) diags_set_warning(s.diags, (TdlWarning)k, o.warnings[k]);
    bool ok = work(&s);
    if (o.time_passes) cg_report_times();
    flush_diags(&s);
    status = exit_status(&s, ok);
    arena_free(&arena);
    return status;
}
