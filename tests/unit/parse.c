/* Prints the tokens or the tree of a file with its diagnostics: `parse tokens|ast FILE`. Without a command line, parses
 * truncated and mutated copies of a program: nothing may crash, loop or leave a tree out. `parse fuzz FILE SEED N`. */
#include "frontend/ast.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int show(const char *what, const char *path) {
    TdlArena a;
    arena_init(&a);
    TdlSources *s = sources_new(&a);
    TdlDiags *d = diags_new(&a, s);
    TdlInterner *in = intern_new(&a);
    const char *why = NULL;
    uint32_t file = sources_read(s, path, &why);
    if (!file) {
        fprintf(stderr, "%s\n", why);
        arena_free(&a);
        return 2;
    }
    TdlStr out = str_new(&a), err = str_new(&a);
    if (strcmp(what, "tokens") == 0) tokens_print(&a, in, d, file, &out);
    else ast_print(parse_file(&a, in, d, file), in, s, &out);
    diags_render_text(d, &err, 0);
    fputs(out.p, stdout);
    fputs(err.p, stderr);
    int rc = diags_errors(d) != 0;
    arena_free(&a);
    return rc;
}

/* Parses n bytes and prints the tree to nowhere. */
static void try_text(const char *text, size_t n) {
    TdlArena a;
    arena_init(&a);
    TdlSources *s = sources_new(&a);
    TdlDiags *d = diags_new(&a, s);
    TdlInterner *in = intern_new(&a);
    uint32_t file = sources_add(s, "fuzz.tdl", text, n);
    TdlStr out = str_new(&a);
    ast_print(parse_file(&a, in, d, file), in, s, &out);
    diags_render_text(d, &out, 20);
    diags_render_json(d, &out);
    arena_free(&a);
}

static uint32_t next_random(uint32_t *state) { /* xorshift32, Marsaglia 2003 */
    *state ^= *state << 13;
    *state ^= *state >> 17;
    *state ^= *state << 5;
    return *state;
}

/* Changes up to four places: a byte, a cut, a piece copied from elsewhere, or a token of the language. */
static size_t mutate(char *t, size_t n, size_t cap, uint32_t *rng) {
    static const char *const pieces[] = {"(", ")", "[", "]", "{", "}", "fn ", "let ", "\n", ";", "=", "if ", "else ", "..",
                                         ",", ":", "\"", "#", "##", "1e999", "-", "\xff", "\xce\xb1", "derivative ", "@"};
    for (uint32_t k = 1 + next_random(rng) % 4; k > 0 && n > 8; k--) {
        size_t at = next_random(rng) % n, from = next_random(rng) % n, len = next_random(rng) % 16;
        const char *piece = pieces[next_random(rng) % (sizeof pieces / sizeof pieces[0])];
        switch (next_random(rng) % 4) {
        case 0: t[at] = (char)next_random(rng); break;
        case 1: if (at + len < n) memmove(t + at, t + at + len, n - at - len), n -= len; break;
        case 2: if (at + len < n && from + len < n) memmove(t + at, t + from, len); break;
        default:
            len = strlen(piece);
            if (n + len > cap) break;
            memmove(t + at + len, t + at, n - at);
            memcpy(t + at, piece, len);
            n += len;
        }
    }
    return n;
}

static int fuzz(const char *path, uint32_t seed, uint32_t rounds) {
    FILE *f = fopen(path, "rb");
    static char text[1 << 16], copy[1 << 17];
    if (!f) return 2;
    size_t n = fread(text, 1, sizeof text, f);
    fclose(f);
    uint32_t rng = seed * 2654435761u + 1;
    for (uint32_t i = 0; i < rounds; i++) {
        try_text(text, next_random(&rng) % (n + 1));
        memcpy(copy, text, n);
        try_text(copy, mutate(copy, n, sizeof copy, &rng));
    }
    printf("%u mutations\n", rounds);
    return 0;
}

int main(int argc, char **argv) {
    if (argc == 3) return show(argv[1], argv[2]);
    if (argc == 5 && strcmp(argv[1], "fuzz") == 0)
        return fuzz(argv[2], (uint32_t)atoi(argv[3]), (uint32_t)atoi(argv[4]));
    fprintf(stderr, "usage: parse tokens|ast FILE, parse fuzz FILE SEED N\n");
    return 2;
}
