/* Files that tdlc writes: under a temporary name first, so that nothing is ever half written. */
#include "tools/tdlc/session.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static bool write_all(FILE *f, const char *bytes, size_t n) { return n == 0 || fwrite(bytes, 1, n, f) == n; }

static bool fail(Session *s, const char *path) {
    diag_error(s->diags, SPAN_NONE, "cannot write '%s': %s", path, strerror(errno));
    return false;
}

/* A device, pipe or socket: written to as it is, since a rename would replace the node itself. */
bool output_is_special(const char *path) {
    struct stat st;
    return path && stat(path, &st) == 0 && !S_ISREG(st.st_mode) && !S_ISDIR(st.st_mode);
}

static bool write_special(Session *s, const char *path, const char *bytes, size_t n) {
    FILE *f = fopen(path, "wb");
    if (!f) return fail(s, path);
    bool ok = write_all(f, bytes, n);
    ok = fclose(f) == 0 && ok;
    return ok || fail(s, path);
}

bool output_write(Session *s, const char *path, const char *bytes, size_t n) {
    if (!path || !strcmp(path, "-")) {
        if (!write_all(stdout, bytes, n) || fflush(stdout)) return fail(s, "standard output");
        return true;
    }
    if (output_is_special(path)) return write_special(s, path, bytes, n);
    const char *temporary = arena_printf(s->arena, "%s.%ld.tmp", path, (long)getpid());
    FILE *f = fopen(temporary, "wb");
    if (!f) return fail(s, path);
    bool ok = write_all(f, bytes, n);
    ok = fclose(f) == 0 && ok;
    if (ok && rename(temporary, path) == 0) return true;
    fail(s, path);
    remove(temporary);
    return false;
}

const char *output_temporary(Session *s, const char *extension) {
    const char *path = s->o->output, *folder = getenv("TMPDIR");
    bool beside = path && strcmp(path, "-") != 0 && !output_is_special(path);
    if (!beside) path = arena_printf(s->arena, "%s/tdlc", folder && *folder ? folder : "/tmp");
    return arena_printf(s->arena, "%s.%ld.%s", path, (long)getpid(), extension);
}

bool output_read(Session *s, const char *path, TdlStr *out) {
    char chunk[4096];
    FILE *f = fopen(path, "rb");
    if (!f) return fail(s, path);
    for (size_t n; (n = fread(chunk, 1, sizeof chunk, f)) > 0;) str_putn(out, chunk, n);
    bool ok = !ferror(f);
    fclose(f);
    return ok || fail(s, path);
}

static const char *base_name(const char *path) {
    const char *slash = strrchr(path, '/');
    return slash ? slash + 1 : path;
}

const char *output_stem(Session *s, const char *path) {
    const char *base = base_name(path), *dot = strrchr(base, '.');
    return arena_strndup(s->arena, base, dot && dot != base ? (size_t)(dot - base) : strlen(base));
}

const char *output_name(Session *s, const char *extension) {
    const char *path = s->o->output;
    if (!path) return arena_printf(s->arena, "%s%s", output_stem(s, s->o->input), extension);
    if (!strcmp(extension, ".o")) return path;
    size_t folder = (size_t)(base_name(path) - path);
    return arena_printf(s->arena, "%.*s%s%s", (int)folder, path, output_stem(s, path), extension);
}

/* Spaces, $ and # as make wants them. */
static void make_name(TdlStr *out, const char *path) {
    for (const char *p = path; *p; p++) {
        if (*p == ' ' || *p == '#') str_putc(out, '\\');
        if (*p == '$') str_putc(out, '$');
        str_putc(out, *p);
    }
}

bool output_deps(Session *s, const char *object) {
    TdlStr text = str_new(s->arena);
    make_name(&text, object);
    if (!s->o->any_emit) {
        str_putc(&text, ' ');
        make_name(&text, output_name(s, ".h"));
    }
    str_putc(&text, ':');
    for (uint32_t i = 0; i < s->deps.n; i++) {
        str_puts(&text, i ? " \\\n  " : " ");
        make_name(&text, s->deps.p[i]);
    }
    str_putc(&text, '\n');
    const char *path = s->o->deps_file ? s->o->deps_file : output_name(s, ".d");
    return output_write(s, path, text.p, text.n);
}
