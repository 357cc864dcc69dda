/* One row an option: the table is --help and the parser's data. */
#include "tools/tdlc/session.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct Parser { TdlArena *a; Options *o; int status; } Parser;
typedef void (*Set)(Parser *p, const char *value);

static const char *const EMIT_NAMES[EMIT_COUNT] = {"tokens", "ast", "ir", "adjoint", "loops", "llvm", "asm", "obj", "header",
                                                   "manifest", "graph"};

static void fail(Parser *p, const char *what, const char *arg) {
    fprintf(stderr, "tdlc: %s '%s'\n", what, arg);
    fputs("tdlc: try 'tdlc --help'\n", stderr);
    p->status = EXIT_USAGE;
}

/* ---- setters ---- */

static void set_output(Parser *p, const char *v) {
    const char *eq = strchr(v, '=');
    if (p->o->command == CMD_RUN && eq)
        VEC_PUSH(p->a, p->o->results, ((Binding){arena_strndup(p->a, v, (size_t)(eq - v)), eq + 1}));
    else p->o->output = v;
}

static void set_emit(Parser *p, const char *v) {
    while (*v) {
        size_t n = strcspn(v, ",");
        int k = 0;
        while (k < EMIT_COUNT && (strlen(EMIT_NAMES[k]) != n || strncmp(EMIT_NAMES[k], v, n) != 0)) k++;
        if (k == EMIT_COUNT) {
            fail(p, "--emit: unknown stage", arena_strndup(p->a, v, n));
            return;
        }
        p->o->emit[k] = p->o->any_emit = true;
        v += n + (v[n] == ',');
    }
}

static void set_print_after(Parser *p, const char *v) {
    TdlPassId id = pass_by_name(v);
    if (id == PASS_NONE) fail(p, "--print-after: unknown pass", v);
    else p->o->print_after[id] = true;
}

static void set_fixed(Parser *p, const char *v) {
    TdlDimFix fix;
    const char *end = pass_dim_fix(p->a, v, &fix);
    if (!end || *end) fail(p, "-D: expected a dimension and its size, as in -D d=10, not", v);
    else VEC_PUSH(p->a, p->o->fixed, fix);
}

static void set_case(Parser *p, const char *v) {
    TdlCase c;
    const char *wrong = pass_case(p->a, v, &c);
    for (uint32_t i = 0; !wrong && i < p->o->cases.n; i++)
        if (pass_case_same(&p->o->cases.p[i], &c)) wrong = "these sizes were given before:";
    if (wrong) fail(p, arena_printf(p->a, "--specialise: %s", wrong), v);
    else VEC_PUSH(p->a, p->o->cases, c);
}

/* A dimension that -D fixes has no other value to specialise for. */
static void check_cases(Parser *p) {
    for (uint32_t i = 0; i < p->o->cases.n; i++)
        for (uint32_t k = 0; k < p->o->cases.p[i].fixes.n; k++)
            for (uint32_t j = 0; j < p->o->fixed.n; j++)
                if (p->status < 0 && !strcmp(p->o->cases.p[i].fixes.p[k].name, p->o->fixed.p[j].name))
                    fail(p, arena_printf(p->a, "--specialise: -D fixes %s already:", p->o->fixed.p[j].name), p->o->cases.p[i].text);
}

static void set_include(Parser *p, const char *v) { VEC_PUSH(p->a, p->o->includes, v); }
static void set_print_after_all(Parser *p, const char *v) { (void)v; p->o->print_after_all = true; }
static void set_verify_each(Parser *p, const char *v) { (void)v; p->o->verify_each = true; }
static void set_no_verify(Parser *p, const char *v) { (void)v; p->o->verify_each = false; p->o->no_verify = true; }
static void set_time(Parser *p, const char *v) { (void)v; p->o->time_passes = true; }
static void set_through_text(Parser *p, const char *v) { (void)v; p->o->through_text = true; }
static void set_spans(Parser *p, const char *v) { (void)v; p->o->print_spans = true; }
static void set_json(Parser *p, const char *v) { (void)v; p->o->json = true; }
static void set_debug(Parser *p, const char *v) { (void)v; p->o->cg.debug_info = true; }
static void set_strict(Parser *p, const char *v) { (void)v; p->o->cg.strict_fp = p->o->pass.strict_fp = true; }
static void set_openmp(Parser *p, const char *v) { (void)v; p->o->pass.openmp = true; }
static void set_math(Parser *p, const char *v) {
    p->o->cg.libm = !strcmp(v, "libm");
    if (!p->o->cg.libm && strcmp(v, "inline")) fail(p, "--math: expected inline or libm, not", v);
}

static void set_accumulate(Parser *p, const char *v) { (void)v; p->o->pass.accumulate = true; }

static void set_max_tape(Parser *p, const char *v) {
    p->o->pass.limit_tape = true;
    if (!pass_bytes(v, &p->o->pass.max_tape)) fail(p, "--max-tape: expected bytes, as in --max-tape=64M, not", v);
}

static void set_checks(Parser *p, const char *v) {
    if (strcmp(v, "nan") != 0) fail(p, "-fcheck: expected nan, not", v);
    p->o->pass.check_nan = true;
}

static void set_deps(Parser *p, const char *v) { (void)v; p->o->deps = true; }
static void set_deps_file(Parser *p, const char *v) { p->o->deps = true; p->o->deps_file = v; }
static void set_target(Parser *p, const char *v) { p->o->cg.target = v; }
static void set_cpu(Parser *p, const char *v) {
    p->o->cg.cpu = v;
    if (!*v) fail(p, "--mcpu: expected a processor, `native` or a list, not", "nothing");
}

/* a,b,c: the first is what the object needs; it has variants for the others, each better than the one before it. */
static void split_processors(Parser *p) {
    const char *v = cg_processors(&p->o->cg), *last = NULL;
    bool more = v && strchr(v, ',');
    while (more) {
        const char *cpu = arena_strndup(p->a, v, strcspn(v, ","));
        if (!cg_processor_known(cpu) || (last && strcmp(last, cpu) >= 0)) {
            fail(p, "--mcpu: a list names some of x86-64, x86-64-v2, x86-64-v3 and x86-64-v4, in this order, not", cpu);
            return;
        }
        if (last) VEC_PUSH(p->a, p->o->variants, cpu);
        else p->o->cg.cpu = cpu;
        last = cpu;
        v += strlen(cpu);
        more = *v++ != 0;
    }
}
static void set_load(Parser *p, const char *v) { VEC_PUSH(p->a, p->o->loads, v); }
static void set_function(Parser *p, const char *v) { p->o->function = v; }

static int64_t number(Parser *p, const char *what, const char *v, int64_t low, int64_t high) {
    char *end;
    errno = 0;
    long long n = strtoll(v, &end, 10);
    if (!*v || *end || errno || n < low || n > high) fail(p, what, v);
    return n;
}

static void set_seed(Parser *p, const char *v) { p->o->seed = number(p, "--seed: expected an integer, not", v, INT64_MIN, INT64_MAX); }
static void set_points(Parser *p, const char *v) { p->o->points = (uint32_t)number(p, "--points: expected 1 to 1000, not", v, 1, 1000); }
static void set_call(Parser *p, const char *v) { p->o->call = v; }
static void set_format(Parser *p, const char *v) {
    if (!graph_format_known(v)) fail(p, "--format: expected text, json, dot, svg, png or pdf, not", v);
    p->o->graph_format = v;
}

static void set_loops_input(Parser *p, const char *v) { (void)v; p->o->loops_input = true; }

/* -WNAME, -Wno-NAME, -Werror, -Werror=NAME. */
static void set_warning(Parser *p, const char *v) {
    bool off = !strncmp(v, "no-", 3), error = !strncmp(v, "error=", 6);
    TdlWarning kind = warning_by_name(v + (off ? 3 : error ? 6 : 0));
    if (!strcmp(v, "error")) p->o->warnings_are_errors = true;
    else if (kind == WARN_COUNT) fail(p, "-W: unknown warning", v);
    else p->o->warnings[kind] = off ? WARN_IGNORED : error ? WARN_AS_ERROR : WARN_AS_WARNING;
}

static void set_quiet(Parser *p, const char *v) {
    (void)v;
    for (int k = 0; k < WARN_COUNT; k++) p->o->warnings[k] = WARN_IGNORED;
}

static void set_level(Parser *p, const char *v) {
    if (v[0] < '0' || v[0] > '3' || v[1]) fail(p, "-O: expected 0 to 3, not", v);
    else p->o->cg.opt_level = p->o->pass.opt_level = v[0] - '0';
}

/* Length of the name that v begins with. */
static size_t word(const char *v) {
    size_t n = 0;
    while (v[n] == '_' || (v[n] >= '0' && v[n] <= '9') || (v[n] >= 'a' && v[n] <= 'z') || (v[n] >= 'A' && v[n] <= 'Z')) n++;
    return n;
}

/* x,p.w,...: names, fields of them, and commas between. */
static bool is_parameters(const char *v) {
    size_t n = word(v);
    return n && (!v[n] || ((v[n] == ',' || v[n] == '.') && is_parameters(v + n + 1)));
}

/* --KIND [NAME=]FUNCTION[:PARAMETER,...]: a declaration in TDL, whose errors are those of the language. */
static void derive(Parser *p, const char *flag, const char *kind, const char *v) {
    const char *f = word(v) && v[word(v)] == '=' ? v + word(v) + 1 : v;
    int n = (int)word(f);
    const char *name = f != v ? arena_strndup(p->a, v, word(v)) : arena_printf(p->a, "%.*s_%s", n, f, kind);
    const char *wrt = f[n] == ':' ? f + n + 1 : NULL;
    if (!n || (wrt ? !is_parameters(wrt) : f[n] != 0)) {
        fail(p, arena_printf(p->a, "%s: expected FUNCTION, FUNCTION:PARAMETER,... or NAME=FUNCTION:..., not", flag), v);
        return;
    }
    const char *which = !wrt ? "" : arena_printf(p->a, strchr(wrt, ',') ? ", wrt=(%s)" : ", wrt=%s", wrt);
    VEC_PUSH(p->a, p->o->derived, ((Derived){arena_printf(p->a, "%s %s", flag, v),
                                             arena_printf(p->a, "export let %s = %s(%.*s%s)\n", name, kind, n, f, which)}));
}

#define DERIVE(KIND, flag) static void set_##KIND(Parser *p, const char *v) { derive(p, flag, #KIND, v); }
DERIVE(grad, "--grad") DERIVE(value_and_grad, "--value-and-grad") DERIVE(vjp, "--vjp") DERIVE(jvp, "--jvp")
DERIVE(jacrev, "--jacrev") DERIVE(jacfwd, "--jacfwd") DERIVE(hessian, "--hessian") DERIVE(hvp, "--hvp")
DERIVE(split, "--split")

static void show_help(Parser *p, const char *v);

static void show_version(Parser *p, const char *v) {
    (void)v;
    printf("tdlc %s (LLVM %s)\n", TDL_VERSION, cg_llvm_version());
    p->status = EXIT_OK;
}

/* ---- the table: a name that ends in '=' takes what follows it; one with ' ' the rest or the next argument ---- */

#define BIT(COMMAND) (1u << CMD_##COMMAND)

/* help: NULL for another spelling. only: the commands that the option is for; 0: all. */
typedef struct { const char *name, *meta, *help; Set set; unsigned only; } Option;

static const Option OPTIONS[] = {
    {"-o ", "FILE", "where to write (default: FILE.o beside FILE.h, or standard output); run: NAME=FILE.npy", set_output, BIT(COMPILE) | BIT(RUN) | BIT(GRAPH)},
    {"--emit=", "STAGE", "tokens, ast, ir, adjoint, loops, llvm, asm, obj, header, manifest or graph", set_emit, BIT(COMPILE) | BIT(RUN)},
    {"-D ", "NAME=N", "fixes a dimension of the exported functions", set_fixed, 0},
    {"--specialise ", "D=N,K=M", "also code for these sizes, which a call with them takes; may be given several times", set_case, BIT(COMPILE) | BIT(RUN) | BIT(REPORT)},
    {"--specialize ", "D=N,K=M", NULL, set_case, BIT(COMPILE) | BIT(RUN) | BIT(REPORT)},
    {"-I ", "FOLDER", "where `use` looks for files", set_include, 0},
    {"-O", "N", "level of optimisation, 0 to 3 (default: 2)", set_level, 0},
    {"-g", NULL, "debug information: lines of the .tdl", set_debug, 0},
    {"--math=", "WHERE", "exp, log, tanh and their like: inline (the default), or libm: the C library's", set_math, 0},
    {"--strict-fp", NULL, "no reassociation and no contraction of floating-point arithmetic", set_strict, 0},
    {"-fopenmp", NULL, "large loops and contractions run in threads, with the same bits for any number of them (link with -fopenmp)", set_openmp, 0},
    {"--grad ", "F:X,Y", "also exports F_grad, the gradient of F with respect to X and Y (G=F:X,Y: called G; F: every float parameter)", set_grad, 0},
    {"--value-and-grad ", "F:X,Y", "likewise F_value_and_grad", set_value_and_grad, 0},
    {"--vjp ", "F:X,Y", "likewise F_vjp", set_vjp, 0},
    {"--jvp ", "F:X,Y", "likewise F_jvp", set_jvp, 0},
    {"--jacrev ", "F:X,Y", "likewise F_jacrev", set_jacrev, 0},
    {"--jacfwd ", "F:X,Y", "likewise F_jacfwd", set_jacfwd, 0},
    {"--hessian ", "F:X,Y", "likewise F_hessian", set_hessian, 0},
    {"--hvp ", "F:X,Y", "likewise F_hvp", set_hvp, 0},
    {"--split ", "F:X,Y", "likewise F_split_forward and F_split_reverse, with the saved state between them", set_split, 0},
    {"--accumulate", NULL, "beside each gradient NAME also NAME_acc, which adds to what is in its outputs", set_accumulate, 0},
    {"-fcheck=", "nan", "the first step of a reverse sweep that makes a NaN or an infinity fails, and is named", set_checks, 0},
    {"--max-tape=", "BYTES", "most that the loops of a function keep for their reverse (K, M, G): they compute the rest again", set_max_tape, 0},
    {"--target=", "TRIPLE", "machine to compile for (default: this one's kind)", set_target, 0},
    {"--mcpu=", "CPU", "processor to compile for, `native`, or a list to choose from when the code runs (default: any of the target)", set_cpu, 0},
    {"-MD", NULL, "also write FILE.d, a make rule with the files that were read", set_deps, BIT(COMPILE)},
    {"-MF ", "FILE", "as -MD, to FILE", set_deps_file, BIT(COMPILE)},
    {"-W", "NAME", "-Wno-NAME turns the warning NAME off, -Werror makes errors of all, -Werror=NAME of one", set_warning, 0},
    {"-w", NULL, "no warnings", set_quiet, 0},
    {"--json", NULL, "diagnostics as JSON, one object a line", set_json, 0},
    {"--call ", "NAME", "run: calls an exported function", set_call, BIT(RUN)},
    {"--function ", "NAME", "check: this function alone (default: all that the exported ones differentiate)", set_function, BIT(CHECK)},
    {"--points ", "N", "check: random points for each function (default: 10)", set_points, BIT(CHECK)},
    {"--seed ", "N", "check: another choice of points", set_seed, BIT(CHECK)},
    {"--load=", "LIB.so", "run: a shared library with C functions that are declared by `extern fn`", set_load, BIT(RUN) | BIT(CHECK)},
    {"--format=", "FORMAT", "graph: text, json, dot, svg, png or pdf (default: as the output's name ends, else text)", set_format, BIT(GRAPH)},
    {"--print-after=", "PASS", "prints the IR after a pass to standard error", set_print_after, 0},
    {"--print-after-all", NULL, "prints the IR after each pass", set_print_after_all, 0},
    {"--print-spans", NULL, "prints places too", set_spans, 0},
    {"--verify-each", NULL, "verifies the IR after each pass", set_verify_each, 0},
    {"--no-verify", NULL, "does not", set_no_verify, 0},
    {"--time-passes", NULL, "prints how long each pass took, LLVM's too", set_time, 0},
    {"--through-text", NULL, "prints and reads the IR again between passes (for tests)", set_through_text, 0},
    {"--loops-input", NULL, "FILE.tir is loop IR already: no pass is run (for tests)", set_loops_input, 0},
    {"--help", NULL, "prints this", show_help, 0},
    {"--version", NULL, "prints the version", show_version, 0},
};

static void show_help(Parser *p, const char *v) {
    (void)v;
    fputs("usage: tdlc [options] FILE.tdl             compiles to an object and a header\n"
          "       tdlc run [options] FILE.tdl [NAME=VALUE | NAME=FILE.npy]...\n"
          "       tdlc check [options] FILE.tdl [NAME=VALUE | NAME=FILE.npy]...\n"
          "                                           compares derivatives with finite differences\n"
          "       tdlc graph [options] FILE.tdl       prints the backward graphs\n"
          "       tdlc report [options] FILE.tdl      prints what gradients keep and compute again, in bytes and by line\n"
          "FILE.tir is IR text; - is standard input.\n\n", stdout);
    for (size_t i = 0; i < sizeof OPTIONS / sizeof *OPTIONS; i++) {
        char name[48];
        if (!OPTIONS[i].help) continue;
        snprintf(name, sizeof name, "%s%s", OPTIONS[i].name, OPTIONS[i].meta ? OPTIONS[i].meta : "");
        printf("  %-22s %s\n", name, OPTIONS[i].help);
    }
    p->status = EXIT_OK;
}

/* ---- parsing ---- */

/* 0: not this option; 1: it is; 2: it is and took the next argument. */
static int try_option(Parser *p, const Option *opt, const char *arg, const char *next) {
    size_t n = strlen(opt->name);
    char kind = opt->name[n - 1];
    if (!opt->meta) return strcmp(arg, opt->name) ? 0 : (opt->set(p, NULL), 1);
    if (kind != ' ') return strncmp(arg, opt->name, n) || (!arg[n] && kind != '=') ? 0 : (opt->set(p, arg + n), 1);
    n--;
    if (strncmp(arg, opt->name, n) != 0) return 0;
    if (arg[n] && n == 2) return opt->set(p, arg + n), 1;   /* -Ifolder */
    if (arg[n] == '=' && n > 2) return opt->set(p, arg + n + 1), 1;
    if (arg[n]) return 0;
    if (!next) fail(p, "argument is missing after", arg);
    else opt->set(p, next);
    return 2;
}

static void not_for(Parser *p, const char *arg) {
    static const char *const COMMANDS[] = {[CMD_COMPILE] = "compiling", [CMD_RUN] = "run", [CMD_CHECK] = "check",
                                           [CMD_GRAPH] = "graph", [CMD_REPORT] = "report"};
    fail(p, arena_printf(p->a, "%s: takes no option", COMMANDS[p->o->command]), arg);
}

static int option(Parser *p, const char *arg, const char *next) {
    for (size_t i = 0; i < sizeof OPTIONS / sizeof *OPTIONS; i++) {
        int used = try_option(p, &OPTIONS[i], arg, next);
        if (used && p->status < 0 && OPTIONS[i].only && !(OPTIONS[i].only & 1u << p->o->command)) not_for(p, arg);
        if (used) return used;
    }
    fail(p, "unknown option", arg);
    return 1;
}

static void positional(Parser *p, const char *arg) {
    const char *eq = strchr(arg, '=');
    if (!p->o->input) p->o->input = arg;
    else if ((p->o->command == CMD_RUN || p->o->command == CMD_CHECK) && eq && eq != arg)
        VEC_PUSH(p->a, p->o->arguments, ((Binding){arena_strndup(p->a, arg, (size_t)(eq - arg)), eq + 1}));
    else fail(p, p->o->command == CMD_RUN || p->o->command == CMD_CHECK ? "expected NAME=VALUE, not" : "more than one input:", arg);
}

int options_parse(TdlArena *a, int argc, char **argv, Options *o) {
    Parser p = {a, o, -1};
    int i = 1;
    if (argc > 1 && !strcmp(argv[1], "run")) o->command = CMD_RUN, i++;
    else if (argc > 1 && !strcmp(argv[1], "check")) o->command = CMD_CHECK, i++;
    else if (argc > 1 && !strcmp(argv[1], "graph")) o->command = CMD_GRAPH, i++;
    else if (argc > 1 && !strcmp(argv[1], "report")) o->command = CMD_REPORT, i++;
    while (i < argc && p.status < 0) {
        const char *arg = argv[i];
        if (arg[0] == '-' && arg[1]) i += option(&p, arg, i + 1 < argc ? argv[i + 1] : NULL);
        else positional(&p, arg), i++;
    }
    if (p.status < 0 && !o->input) {
        fputs("tdlc: no input\ntdlc: try 'tdlc --help'\n", stderr);
        return EXIT_USAGE;
    }
    if (p.status < 0 && o->command == CMD_RUN && o->output && !o->any_emit)
        fail(&p, "run: -o takes a result and its file, as in -o out=out.npy, not", o->output);
    for (int k = 0; k < WARN_COUNT; k++)
        if (o->warnings_are_errors && o->warnings[k] == WARN_AS_WARNING) o->warnings[k] = WARN_AS_ERROR;
    bool here = o->command == CMD_RUN || o->command == CMD_CHECK;
    if (here && !o->cg.cpu && !o->cg.target) o->cg.cpu = "native";
    if (p.status < 0) split_processors(&p);
    check_cases(&p);
    o->pass.cases = o->cases.p;
    o->pass.ncases = o->cases.n;
    o->cg.fixed = o->fixed.p;
    o->cg.nfixed = o->fixed.n;
    return p.status;
}
