/* Prints the tokens or the tree of a file with its diagnostics: `parse tokens|ast FILE`. `parse fuzz FILE SEED N` parses
 * N truncated and N mutated copies of a program, `parse lower FILE SEED N` also lowers those that parse: nothing may
 * crash or loop, and what was lowered without an error must be IR that verifies. */
#include "frontend/lower.h"
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

/* Parses (and lowers) n bytes and prints the tree to nowhere. */
static bool try_text(const char *text, size_t n, bool lower, uint32_t *accepted) {
    bool ok = true;
    TdlArena a;
    arena_init(&a);
    TdlSources *s = sources_new(&a);
    TdlDiags *d = diags_new(&a, s);
    TdlInterner *in = intern_new(&a);
    uint32_t file = sources_add(s, "fuzz.tdl", text, n);
    TdlStr out = str_new(&a);
    AstFile *f = parse_file(&a, in, d, file);
    ast_print(f, in, s, &out);
    if (lower && !diags_errors(d)) {
        TdlModule *m = ir_module_new(&a, in, s, d);
        bool lowered = lower_file(m, f, NULL);
        *accepted += lowered;
        ok = !lowered || ir_verify_module(m);
        if (!ok) {
            TdlStr err = str_new(&a);
            diags_render_text(d, &err, 3);
            fprintf(stderr, "accepted, but the IR is broken:\n%.*s\n%s\n", (int)n, text, err.p);
        }
    }
    diags_render_text(d, &out, 20);
    diags_render_json(d, &out);
    arena_free(&a);
    return ok;
}

static uint32_t next_random(uint32_t *state) { /* xorshift32, Marsaglia 2003 */
    *state ^= *state << 13;
    *state ^= *state >> 17;
    *state ^= *state << 5;
    return *state;
}

static bool in_word(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_'; }

/* Replaces a word by another of the text: programs that still parse, with wrong names, types and sizes. */
static size_t swap_word(char *t, size_t n, size_t cap, uint32_t *rng) {
    size_t at = next_random(rng) % n, from = next_random(rng) % n, len = 0, old = 0;
    char word[32];
    while (at > 0 && in_word(t[at - 1])) at--;
    while (from > 0 && in_word(t[from - 1])) from--;
    while (from + len < n && len < sizeof word && in_word(t[from + len])) len++;
    while (at + old < n && in_word(t[at + old])) old++;
    if (!len || !old || n - old + len > cap) return n;
    memcpy(word, t + from, len);
    memmove(t + at + len, t + at + old, n - at - old);
    memcpy(t + at, word, len);
    return n - old + len;
}

/* Changes up to four places: a byte, a cut, a piece copied from elsewhere, a word, or a token of the language. */
static size_t mutate(char *t, size_t n, size_t cap, uint32_t *rng) {
    static const char *const pieces[] = {"(", ")", "[", "]", "{", "}", "fn ", "let ", "\n", ";", "=", "if ", "else ", "..",
                                         ",", ":", "\"", "#", "##", "1e999", "-", "\xff", "\xce\xb1", "derivative ", "@"};
    for (uint32_t k = 1 + next_random(rng) % 4; k > 0 && n > 8; k--) {
        size_t at = next_random(rng) % n, from = next_random(rng) % n, len = next_random(rng) % 16;
        const char *piece = pieces[next_random(rng) % (sizeof pieces / sizeof pieces[0])];
        switch (next_random(rng) % 9) {
        case 4: case 5: case 6: case 7: case 8: n = swap_word(t, n, cap, rng); break;
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

static int fuzz(const char *path, uint32_t seed, uint32_t rounds, bool lower) {
    FILE *f = fopen(path, "rb");
    static char text[1 << 16], copy[1 << 17];
    if (!f) return 2;
    size_t n = fread(text, 1, sizeof text, f);
    fclose(f);
    uint32_t rng = seed * 2654435761u + 1;
    int bad = 0;
    uint32_t accepted = 0;
    for (uint32_t i = 0; i < rounds; i++) {
        bad += !try_text(text, next_random(&rng) % (n + 1), lower, &accepted);
        memcpy(copy, text, n);
        bad += !try_text(copy, mutate(copy, n, sizeof copy, &rng), lower, &accepted);
    }
    printf("%u mutations, %u lowered, %d bad\n", rounds, accepted, bad);
    return bad != 0;
}

int main(int argc, char **argv) {
    if (argc == 3) return show(argv[1], argv[2]);
    if (argc == 5 && (strcmp(argv[1], "fuzz") == 0 || strcmp(argv[1], "lower") == 0))
        return fuzz(argv[2], (uint32_t)atoi(argv[3]), (uint32_t)atoi(argv[4]), argv[1][0] == 'l');
    fprintf(stderr, "usage: parse tokens|ast FILE, parse fuzz|lower FILE SEED N\n");
    return 2;
}
