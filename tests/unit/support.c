/* Arenas, vectors, interned names and strings keep what was put into them, across growth and under stress. */
#include "support/arena.h"
#include "support/idmap.h"
#include "support/intern.h"
#include "support/json.h"
#include "support/str.h"
#include "support/vec.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CHECK(c) ((c) ? (void)0 : (printf("%s:%d: %s\n", __FILE__, __LINE__, #c), exit(1)))

static void test_arena(bool stress) {
    TdlArena a;
    arena_init(&a);
    a.stress = stress;
    for (size_t n = 0; n < 3000; n += 7) {
        char *p = arena_alloc(&a, n);
        CHECK((size_t)p % 16 == 0);
        for (size_t i = 0; i < n; i++) CHECK(p[i] == 0);
        memset(p, 1, n);
    }
    memset(arena_alloc(&a, 3 << 20), 1, 3 << 20);
    CHECK(strcmp(arena_printf(&a, "%d-%s", 7, "x"), "7-x") == 0);
    arena_free(&a);
    CHECK(strcmp(arena_strndup(&a, "abc", 2), "ab") == 0);
    arena_free(&a);
}

static void test_vec_and_intern(TdlArena *a) {
    TDL_VEC(int) v = {0};
    for (int i = 0; i < 1000; i++) VEC_PUSH(a, v, i);
    for (int i = 0; i < 1000; i++) CHECK(v.p[i] == i);
    CHECK(VEC_POP(v) == 999 && VEC_LAST(v) == 998);
    TdlInterner *in = intern_new(a);
    for (uint32_t i = 0; i < 2000; i++) CHECK(intern(in, arena_printf(a, "n%u", i)).id == i + 1);
    for (uint32_t i = 0; i < 2000; i++) CHECK(intern(in, arena_printf(a, "n%u", i)).id == i + 1);
    CHECK(strcmp(sym_text(in, intern_n(in, "n17x", 3)), "n17") == 0);
    CHECK(*sym_text(in, SYM_NONE) == 0);
}

static const char *shown(TdlArena *a, double x) {
    TdlStr s = str_new(a);
    str_double(&s, x);
    return s.p;
}

static void test_str(TdlArena *a) {
    CHECK(strcmp(shown(a, 0.1), "0.1") == 0);
    CHECK(strcmp(shown(a, 1), "1.0") == 0);
    CHECK(strcmp(shown(a, -0.0), "-0.0") == 0);
    CHECK(strcmp(shown(a, 1e300), "1e+300") == 0);
    CHECK(strcmp(shown(a, -1.0 / 0.0), "-inf") == 0);
    CHECK(strtod(shown(a, 1.0 / 3.0), NULL) == 1.0 / 3.0);
    TdlStr s = str_new(a);
    str_json(&s, "a\"\\\n\x01\xff\xc3\xa9");
    CHECK(strcmp(s.p, "\"a\\\"\\\\\\n\\u0001\\ufffd\xc3\xa9\"") == 0);
    s = str_new(a);
    cJSON *object = cJSON_CreateObject();
    json_add_string(object, "text", a, "a\"\n\xff\xc3\xa9");
    json_add_int(object, "large", INT64_MAX);
    json_write(object, true, &s);
    CHECK(strcmp(s.p, "{\"text\":\"a\\\"\\n\xef\xbf\xbd\xc3\xa9\",\"large\":9223372036854775807}") == 0);
    for (int i = 0; i < 100; i++) str_printf(&s, "%d,", i);
    CHECK(strcmp(s.p + s.n - 3, "99,") == 0);
}

static void test_idmap(TdlArena *a) {
    TdlIdMap m = {0};
    CHECK(idmap_get(&m, 1) == 0);
    for (uint32_t i = 1; i < 3000; i += 3) *idmap_at(a, &m, i) = 2 * i;
    for (uint32_t i = 1; i < 3000; i += 3) CHECK(*idmap_at(a, &m, i) == 2 * i);
    for (uint32_t i = 1; i < 3100; i++) CHECK(idmap_get(&m, i) == (i < 3000 && i % 3 == 1 ? 2 * i : 0));
}

int main(void) {
    test_arena(false);
    test_arena(true);
    TdlArena a;
    arena_init(&a);
    test_vec_and_intern(&a);
    test_str(&a);
    test_idmap(&a);
    arena_free(&a);
    puts("ok");
    return 0;
}
