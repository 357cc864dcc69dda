/* `tdlc graph`: the backward graphs as text, JSON or dot, or as a picture that Graphviz draws. */
#define _GNU_SOURCE
#include "tools/tdlc/session.h"
#include "passes/graph_print.h"

#include <errno.h>
#include <spawn.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

extern char **environ;

static const struct { const char *name; void (*print)(const TdlModule *m, TdlStr *out); bool picture; } FORMATS[] = {
    {"text", graph_print_text, false}, {"json", graph_print_json, false}, {"dot", graph_print_dot, false},
    {"svg", graph_print_dot, true},    {"png", graph_print_dot, true},    {"pdf", graph_print_dot, true},
};

enum { NFORMATS = sizeof FORMATS / sizeof *FORMATS };

static int format_by_name(const char *name) {
    for (int i = 0; i < NFORMATS; i++)
        if (name && !strcmp(FORMATS[i].name, name)) return i;
    return -1;
}

bool graph_format_known(const char *name) { return format_by_name(name) >= 0; }

/* As --format says, else as the output's name ends, else text. */
static int choose(const Options *o) {
    const char *dot = o->output ? strrchr(o->output, '.') : NULL;
    int k = o->graph_format ? format_by_name(o->graph_format) : dot ? format_by_name(dot + 1) : 0;
    return k < 0 ? 0 : k;
}

/* Runs Graphviz on `source`; its output goes to `picture`. The reason, or NULL when it worked. */
static const char *run_dot(Session *s, const char *format, const char *source, const char *picture) {
    char *const argv[] = {"dot", arena_printf(s->arena, "-T%s", format), "-o", arena_strndup(s->arena, picture, strlen(picture)),
                          arena_strndup(s->arena, source, strlen(source)), NULL};
    pid_t pid;
    int status = 0, e = posix_spawnp(&pid, "dot", NULL, NULL, argv, environ);
    if (e == ENOENT) return "Graphviz's `dot` is not installed: install graphviz, or write a .dot file";
    if (e) return strerror(e);
    while (waitpid(pid, &status, 0) < 0)
        if (errno != EINTR) return strerror(errno);
    return WIFEXITED(status) && WEXITSTATUS(status) == 0 ? NULL : "Graphviz's `dot` failed";
}

/* Draws dot text to the output, by way of files beside it. */
static bool draw(Session *s, const char *format, const TdlStr *dot) {
    const char *source = output_temporary(s, "dot"), *picture = output_temporary(s, format);
    if (!output_write(s, source, dot->p, dot->n)) return false;
    const char *why = run_dot(s, format, source, picture);
    TdlStr bytes = str_new(s->arena);
    bool ok = !why && output_read(s, picture, &bytes);
    if (why) diag_error(s->diags, SPAN_NONE, "cannot draw the graph: %s", why);
    remove(source);
    remove(picture);
    return ok && output_write(s, s->o->output, bytes.p, bytes.n);
}

bool graph_write(Session *s) {
    int k = choose(s->o);
    TdlStr text = str_new(s->arena);
    if (!stage_graph(s)) return false;
    FORMATS[k].print(s->m, &text);
    return FORMATS[k].picture ? draw(s, FORMATS[k].name, &text) : output_write(s, s->o->output, text.p, text.n);
}
