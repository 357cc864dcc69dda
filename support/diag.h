/* Source text, places in it, and diagnostics about it.
 *
 * A TdlSources holds every file read in a compilation. A TdlSpan is a byte range in one of them.
 * Diagnostics are collected in a TdlDiags (never printed by the library), sorted by place and capped when
 * rendered, as text with caret:
 *
 *     mlp.tdl:7:14: error: matmul: inner dimensions differ: f32[32, 784] @ f32[785, 128]
 *         let h = relu(x @ W1)
 *                      ~~^~~~
 *     mlp.tdl:2:9: note: W1 declared here
 *
 * or as JSON (one object a line). Wording: lower case, no full stop, `construct: what is wrong: the shapes`. */
#ifndef TDL_SUPPORT_DIAG_H
#define TDL_SUPPORT_DIAG_H

#include "support/arena.h"
#include "support/str.h"
#include <stdbool.h>
#include <stdint.h>
#include <stddef.h>

typedef struct { uint32_t file; uint32_t lo, hi; uint32_t at; } TdlSpan; /* file 0: nowhere; [lo, hi) bytes; caret at `at` */
#define SPAN_NONE ((TdlSpan){0, 0, 0, 0})

typedef struct TdlSources TdlSources;
typedef struct TdlDiags TdlDiags;

TdlSources *sources_new(TdlArena *a);
/* Adds `text` (copied, n bytes) under `name`; returns its file number (1..). Adding the same name again gives a new file. */
uint32_t sources_add(TdlSources *s, const char *name, const char *text, size_t n);
/* Reads the file `path` ("-": standard input) and adds it; 0 on failure with *why set to a message (arena-owned). */
uint32_t sources_read(TdlSources *s, const char *path, const char **why);
/* Files are numbered 1 to this. */
uint32_t sources_count(const TdlSources *s);
const char *sources_name(const TdlSources *s, uint32_t file);
const char *sources_text(const TdlSources *s, uint32_t file, size_t *n);
/* Line and column (bytes), both from 1, of byte `off`. */
void sources_line_col(const TdlSources *s, uint32_t file, uint32_t off, uint32_t *line, uint32_t *col);
/* The smallest span that covers both (caret of a); either may be SPAN_NONE. */
TdlSpan span_join(TdlSpan a, TdlSpan b);

typedef enum { DIAG_ERROR, DIAG_WARNING } TdlSeverity;

/* Kinds of warnings, and their names in -WNAME and -Wno-NAME: WARNING(KIND, name). */
#define TDL_WARNINGS(WARNING) \
    WARNING(ONE_MODE_RULE, "one-mode-rule") \
    WARNING(PATTERN_VALUES, "pattern-values") \
    WARNING(ZERO_DERIVATIVE, "zero-derivative")
typedef enum {
#define WARNING(KIND, name) WARN_##KIND,
    TDL_WARNINGS(WARNING)
#undef WARNING
    WARN_COUNT
} TdlWarning;
typedef enum { WARN_AS_WARNING, WARN_IGNORED, WARN_AS_ERROR } TdlWarningLevel;

TdlDiags *diags_new(TdlArena *a, TdlSources *s);
void diags_set_warning(TdlDiags *d, TdlWarning kind, TdlWarningLevel level);
/* The kind of that name; WARN_COUNT: there is none. */
TdlWarning warning_by_name(const char *name);
/* Records a diagnostic; notes and fix-its that follow belong to it. */
void diag_error(TdlDiags *d, TdlSpan at, const char *fmt, ...) __attribute__((format(printf, 3, 4)));
void diag_warning(TdlDiags *d, TdlWarning kind, TdlSpan at, const char *fmt, ...) __attribute__((format(printf, 4, 5)));
void diag_note(TdlDiags *d, TdlSpan at, const char *fmt, ...) __attribute__((format(printf, 3, 4)));
/* Suggests replacing the bytes of `at` by `text`. */
void diag_fixit(TdlDiags *d, TdlSpan at, const char *text);
size_t diags_errors(const TdlDiags *d);
size_t diags_count(const TdlDiags *d);
TdlSources *diags_sources(const TdlDiags *d);
/* At most `cap` diagnostics (0: all), sorted by place, duplicates once; then "N errors not shown" where some were left out. */
void diags_render_text(const TdlDiags *d, TdlStr *out, size_t cap);
void diags_render_json(const TdlDiags *d, TdlStr *out);

#endif
