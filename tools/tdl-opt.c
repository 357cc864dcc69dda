/* tdl-opt: reads IR text, runs passes on it, prints IR text. A pass is tested by itself with it. */
#include "passes/pass.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char USAGE[] =
    "usage: tdl-opt [options] FILE\n"
    "  FILE               IR text; - is standard input\n"
    "  --passes=A,B,...   passes to run, in order (adjoint-pipeline and loops-pipeline stand for the compiler's)\n"
    "  --verify-each      verify the IR after each pass; --no-verify: never\n"
    "  --print-after-all  print the IR after each pass to standard error\n"
    "  --print-spans      print places too\n"
    "  --strict-fp        no reassociation\n"
    "  -fopenmp           large loops run in threads\n"
    "  -fcheck=nan        reverse sweeps check what they compute\n"
    "  --max-tape=BYTES   most that the loops of a function keep for their reverse\n"
    "  --specialise=D=N,K=M\n"
    "                     sizes that pass specialise makes cases for; may be given several times\n"
    "  --vector-bytes=N   the target's vector registers: 16 (the default), 32 or 64\n"
    "  -O0 .. -O3         level of optimisation (default: -O2)\n"
    "  -o FILE            where to write (default: standard output)\n"
    "  --list             list the passes\n"
    "  --list-ops         list the operations\n"
    "  --json             diagnostics as JSON\n"
    "  --help, --version\n";

typedef struct {
    const char *input, *output, *passes;
    bool verify_each, no_verify, print_all, spans, json;
    TDL_VEC(TdlCase) cases;
    TdlPassOptions pass;
} Options;

enum { EXIT_OK, EXIT_USER, EXIT_USAGE, EXIT_INTERNAL = 70 };

static int usage_error(const char *what, const char *arg) {
    fprintf(stderr, "tdl-opt: %s '%s'\n", what, arg);
    fputs(USAGE, stderr);
    return EXIT_USAGE;
}

static int list_passes(void) {
    for (int i = PASS_NONE + 1; i < PASS_COUNT; i++)
        printf("%-10s %s\n", pass_info((TdlPassId)i)->name, pass_info((TdlPassId)i)->help);
    return EXIT_OK;
}

static int list_ops(void) {
    for (int i = OP_NONE + 1; i < OP_COUNT; i++)
        printf("%-12s %s\n", op_info((TdlOpcode)i)->name, op_info((TdlOpcode)i)->doc);
    return EXIT_OK;
}

/* -1: go on; else the exit status. */
static int parse_options(TdlArena *arena, int argc, char **argv, Options *o) {
    for (int i = 1; i < argc; i++) {
        const char *a = argv[i];
        TdlCase c;
        if (!strcmp(a, "--help")) return fputs(USAGE, stdout), EXIT_OK;
        if (!strcmp(a, "--version")) return printf("tdl-opt %s\n", TDL_VERSION), EXIT_OK;
        if (!strcmp(a, "--list")) return list_passes();
        if (!strcmp(a, "--list-ops")) return list_ops();
        if (!strncmp(a, "--passes=", 9)) o->passes = a + 9;
        else if (!strcmp(a, "--verify-each")) o->verify_each = true;
        else if (!strcmp(a, "--no-verify")) o->no_verify = true;
        else if (!strcmp(a, "--print-after-all")) o->print_all = true;
        else if (!strcmp(a, "--print-spans")) o->spans = true;
        else if (!strcmp(a, "--strict-fp")) o->pass.strict_fp = true;
        else if (!strcmp(a, "-fopenmp")) o->pass.openmp = true;
        else if (!strcmp(a, "-fcheck=nan")) o->pass.check_nan = true;
        else if (!strncmp(a, "--max-tape=", 11) && pass_bytes(a + 11, &o->pass.max_tape)) o->pass.limit_tape = true;
        else if (!strncmp(a, "--specialise=", 13) && !pass_case(arena, a + 13, &c)) VEC_PUSH(arena, o->cases, c);
        else if (!strcmp(a, "--vector-bytes=16")) o->pass.vector_bytes = 16;
        else if (!strcmp(a, "--vector-bytes=32")) o->pass.vector_bytes = 32;
        else if (!strcmp(a, "--vector-bytes=64")) o->pass.vector_bytes = 64;
        else if (!strcmp(a, "--json")) o->json = true;
        else if (a[0] == '-' && a[1] == 'O' && a[2] >= '0' && a[2] <= '3' && !a[3]) o->pass.opt_level = a[2] - '0';
        else if (!strcmp(a, "-o") && i + 1 < argc) o->output = argv[++i];
        else if (a[0] == '-' && a[1]) return usage_error("unknown option", a);
        else if (o->input) return usage_error("more than one input:", a);
        else o->input = a;
    }
    o->pass.cases = o->cases.p;
    o->pass.ncases = o->cases.n;
    return o->input ? -1 : (fputs("tdl-opt: no input\n", stderr), fputs(USAGE, stderr), EXIT_USAGE);
}

typedef TDL_VEC(TdlPassId) PassIds;

static bool add_pass(TdlArena *a, const Options *o, const char *name, PassIds *ids) {
    const TdlPassId *list = !strcmp(name, "adjoint-pipeline") ? pipeline_adjoint(&o->pass)
                            : !strcmp(name, "loops-pipeline") ? pipeline_loops(&o->pass) : NULL;
    if (list) {
        for (; *list != PASS_NONE; list++) VEC_PUSH(a, *ids, *list);
        return true;
    }
    TdlPassId id = pass_by_name(name);
    if (id == PASS_NONE) return false;
    VEC_PUSH(a, *ids, id);
    return true;
}

static int parse_passes(TdlArena *a, const Options *o, PassIds *ids) {
    const char *s = o->passes ? o->passes : "";
    while (*s) {
        size_t n = strcspn(s, ",");
        char *name = arena_strndup(a, s, n);
        if (n && !add_pass(a, o, name, ids)) return usage_error("unknown pass", name);
        s += n + (s[n] == ',');
    }
    return -1;
}

static void flush_diags(const TdlDiags *d, TdlArena *a, bool json) {
    TdlStr s = str_new(a);
    if (json) diags_render_json(d, &s);
    else diags_render_text(d, &s, 50);
    fwrite(s.p, 1, s.n, stderr);
}

static bool print_after(void *user, TdlModule *m, TdlPassId id, double seconds) {
    const Options *o = user;
    (void)seconds;
    if (!o->print_all) return true;
    TdlStr s = str_new(m->arena);
    str_printf(&s, "// after %s\n", pass_info(id)->name);
    ir_print_module_as(m, &s, o->spans ? IR_PRINT_SPANS | IR_PRINT_SOURCES : 0);
    fwrite(s.p, 1, s.n, stderr);
    return true;
}

static int write_output(const Options *o, const TdlStr *s) {
    FILE *out = o->output && strcmp(o->output, "-") ? fopen(o->output, "wb") : stdout;
    bool ok = out && fwrite(s->p, 1, s->n, out) == s->n && fflush(out) == 0;
    if (out && out != stdout) ok = fclose(out) == 0 && ok;
    if (!ok) fprintf(stderr, "tdl-opt: cannot write '%s'\n", o->output ? o->output : "<stdout>");
    return ok ? EXIT_OK : EXIT_USER;
}

/* Reads, verifies, runs the passes and prints into *out; false: the diagnostics say why. */
static bool work(const Options *o, TdlArena *a, TdlDiags *d, uint32_t file, const PassIds *ids, TdlStr *out) {
    TdlModule *m = ir_parse_module(a, intern_new(a), diags_sources(d), d, file);
    if (!m || (!o->no_verify && !ir_verify_module(m))) return false;
    TdlPassHooks hooks = {print_after, (void *)(uintptr_t)o, o->verify_each && !o->no_verify};
    if (!passes_run(m, ids->p, ids->n, &o->pass, &hooks)) return false;
    if (!o->no_verify && !hooks.verify_each && ids->n && !ir_verify_module(m)) {
        diag_error(d, SPAN_NONE, "internal: the IR is broken after the passes");
        return false;
    }
    ir_print_module_as(m, out, o->spans ? IR_PRINT_SPANS | IR_PRINT_SOURCES : 0);
    return true;
}

static void out_of_memory(void *user, size_t bytes) {
    (void)user;
    fprintf(stderr, "tdl-opt: out of memory (%zu bytes)\n", bytes);
    exit(EXIT_INTERNAL);
}

int main(int argc, char **argv) {
    Options o = {.verify_each = TDL_VERIFY_EACH_DEFAULT, .pass = {.opt_level = 2, .vector_bytes = 16}};
    PassIds ids = {0};
    TdlArena arena;
    arena_init(&arena);
    arena.on_full = out_of_memory;
    const char *stress = getenv("TDL_ARENA_STRESS"), *why = NULL;
    arena.stress = stress && *stress && strcmp(stress, "0");
    int status = parse_options(&arena, argc, argv, &o);
    if (status < 0) status = parse_passes(&arena, &o, &ids);
    if (status >= 0) return arena_free(&arena), status;
    TdlSources *sources = sources_new(&arena);
    TdlDiags *diags = diags_new(&arena, sources);
    uint32_t file = sources_read(sources, o.input, &why);
    if (!file) {
        fprintf(stderr, "tdl-opt: %s\n", why);
        return arena_free(&arena), EXIT_USER;
    }
    TdlStr out = str_new(&arena);
    bool ok = work(&o, &arena, diags, file, &ids, &out);
    flush_diags(diags, &arena, o.json);
    status = ok ? write_output(&o, &out) : EXIT_USER;
    arena_free(&arena);
    return status;
}
