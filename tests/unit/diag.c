/* Renders a fixed set of diagnostics; tests/support/diag.test says what must come out.
 *   diag text|capped|json */
#include "support/diag.h"

#include <stdio.h>
#include <string.h>

static const char source[] = "fn f(x: f64) -> f64 {\n"
                             "\tlet h = relu(x @ W1)\n"
                             "    caf\xc3\xa9 \xe4\xb8\xad + \xff y\r\n"
                             "    a / b\n"
                             "}";

/* The span of the first `what` in the source, caret at its byte `caret`. */
static TdlSpan find(uint32_t file, const char *what, uint32_t caret) {
    uint32_t lo = (uint32_t)(strstr(source, what) - source);
    return (TdlSpan){file, lo, lo + (uint32_t)strlen(what), lo + caret};
}

static void report(TdlDiags *d, uint32_t file) {
    uint32_t end = (uint32_t)strlen(source);
    diag_error(d, find(file, "a / b", 2), "index: made with '/'");
    diag_fixit(d, find(file, "/", 0), "//");
    diag_warning(d, WARN_ZERO_DERIVATIVE, find(file, "+", 0), "wide characters");
    diag_error(d, find(file, "x @ W1", 2), "matmul: inner dimensions differ");
    diag_note(d, find(file, "x: f64", 0), "x declared here");
    diag_note(d, SPAN_NONE, "without a place");
    diag_error(d, find(file, "x @ W1", 2), "matmul: inner dimensions differ");
    diag_error(d, (TdlSpan){file, end, end, end}, "end of file");
    diag_fixit(d, (TdlSpan){file, end, end, end}, "}");
    diag_error(d, (TdlSpan){file, 21, 5000, 90000}, "from the end of a line, too far");
    diag_error(d, SPAN_NONE, "no place");
}

int main(int argc, char **argv) {
    const char *mode = argc > 1 ? argv[1] : "text";
    TdlArena a;
    arena_init(&a);
    TdlSources *s = sources_new(&a);
    TdlDiags *d = diags_new(&a, s);
    diag_note(d, SPAN_NONE, "belongs to nothing");
    report(d, sources_add(s, "m.tdl", source, sizeof source - 1));
    TdlStr out = str_new(&a);
    if (strcmp(mode, "json") == 0) diags_render_json(d, &out);
    else diags_render_text(d, &out, strcmp(mode, "capped") == 0 ? 2 : 0);
    fputs(out.p, stdout);
    printf("%zu errors of %zu\n", diags_errors(d), diags_count(d));
    arena_free(&a);
    return 0;
}
