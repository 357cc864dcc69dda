/* Dimension arithmetic against brute force: random expressions are evaluated as integers and as normal forms, for
 * many assignments; equal expressions have equal handles; bounds that are claimed hold; text reads back. */
#include "ir/ir.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CHECK(c) ((c) ? (void)0 : (printf("%s:%d: %s\n", __FILE__, __LINE__, #c), exit(1)))

static TdlArena arena;
static TdlModule *m;
static TdlSym vars[3];

static TdlModule *new_module(void) {
    TdlSources *s = sources_new(&arena);
    return ir_module_new(&arena, intern_new(&arena), s, diags_new(&arena, s));
}

static uint64_t seed = 88172645463325252u;
static uint32_t rnd(uint32_t n) {
    seed ^= seed << 13;
    seed ^= seed >> 7;
    seed ^= seed << 17;
    return (uint32_t)(seed >> 33) % n;
}

static int64_t floor_div(int64_t a, int64_t b) { return a / b - (a % b != 0 && (a < 0) != (b < 0)); }

/* The value of a normal form, by its structure. */
static int64_t eval(TdlDim d, const int64_t *at) {
    int64_t sum = 0;
    for (uint32_t t = 0; t < dim_nterms(m, d); t++) {
        int64_t p = dim_term_coef(m, d, t);
        for (uint32_t i = 0; i < dim_term_natoms(m, d, t); i++) {
            TdlDimAtom a = dim_term_atom(m, d, t, i);
            if (a.kind == DIM_ATOM_VAR) {
                int v = 0;
                while (!sym_eq(vars[v], a.var)) v++;
                p *= at[v];
            } else {
                int64_t x = eval(a.arg, at), q = a.kind == DIM_ATOM_MIN ? 0 : floor_div(x, a.c);
                p *= a.kind == DIM_ATOM_FLOORDIV ? q : a.kind == DIM_ATOM_MOD ? x - a.c * q : x < a.c ? x : a.c;
            }
        }
        sum += p;
    }
    return sum;
}

enum { SAMPLES = 27 };
typedef struct { TdlDim d; int64_t at[SAMPLES]; } Expr; /* a normal form, and the values it should have */

static void assignment(int k, int64_t *at) {
    static const int64_t V[3][3] = {{0, 1, 7}, {0, 2, 5}, {1, 3, 10}};
    for (int i = 0; i < 3; i++, k /= 3) at[i] = V[i][k % 3];
}

static Expr leaf(void) {
    Expr e;
    int v = (int)rnd(4);
    int64_t c = (int64_t)rnd(9) - 4, at[3];
    e.d = v < 3 ? dim_var(m, vars[v]) : dim_const(m, c);
    for (int k = 0; k < SAMPLES; k++) {
        assignment(k, at);
        e.at[k] = v < 3 ? at[v] : c;
    }
    return e;
}

static Expr expr(int depth) {
    if (depth == 0 || rnd(6) == 0) return leaf();
    Expr a = expr(depth - 1), b = expr(depth - 1), r;
    uint32_t op = rnd(6);
    int64_t c = 1 + rnd(6);
    r.d = op == 0 ? dim_add(m, a.d, b.d) : op == 1 ? dim_sub(m, a.d, b.d) : op == 2 ? dim_mul(m, a.d, b.d)
          : op == 3 ? dim_floordiv(m, a.d, c) : op == 4 ? dim_mod(m, a.d, c) : dim_min(m, a.d, c - 2);
    for (int k = 0; k < SAMPLES; k++) {
        int64_t x = a.at[k], y = b.at[k], q = floor_div(x, c);
        r.at[k] = op == 0 ? x + y : op == 1 ? x - y : op == 2 ? x * y : op == 3 ? q : op == 4 ? x - c * q : x < c - 2 ? x : c - 2;
    }
    return r;
}

/* What a dimension reads as, printed. */
static const char *reprint(const char *text) {
    char *src = arena_printf(&arena, "func @f<a, b, c>() -> () {\n  %%0 = dim {d = %s} : i64\n  return\n}\n", text);
    uint32_t file = sources_add(m->sources, "d", src, strlen(src));
    TdlModule *p = ir_parse_module(&arena, m->names, m->sources, m->diags, file);
    CHECK(p);
    TdlFunc *f = p->funcs.p[0];
    TdlStr s = str_new(&arena);
    dim_print(p, op_attr(f, ir_region(f, f->body)->first, "d")->dim, &s);
    return s.p;
}

static void test_random(void) {
    int64_t at[3];
    for (int i = 0; i < 4000; i++) {
        Expr e = expr(1 + (int)rnd(4)), g = expr(2);
        for (int k = 0; k < SAMPLES; k++) {
            assignment(k, at);
            CHECK(eval(e.d, at) == e.at[k]);
        }
        if (dim_known_ge(m, e.d, g.d))
            for (int k = 0; k < SAMPLES; k++) CHECK(e.at[k] >= g.at[k]);
        int64_t most;
        if (dim_most(m, e.d, &most))
            for (int k = 0; k < SAMPLES; k++) CHECK(e.at[k] <= most);
        CHECK(dim_eq(dim_add(m, dim_sub(m, e.d, g.d), g.d), e.d));
        CHECK(dim_eq(dim_mul(m, e.d, g.d), dim_mul(m, g.d, e.d)));
        CHECK(dim_eq(dim_floordiv(m, dim_add(m, e.d, dim_mul(m, dim_const(m, 3), g.d)), 3),
                     dim_add(m, dim_floordiv(m, e.d, 3), g.d)));
        CHECK(dim_eq(dim_subst(m, e.d, vars, (TdlDim[]){dim_var(m, vars[0])}, 1), e.d));
        TdlDim to[3] = {g.d, dim_var(m, vars[0]), dim_const(m, 2)}; /* simultaneous: b becomes a, not g */
        TdlDim sub = dim_subst(m, e.d, vars, to, 3);
        for (int k = 0; k < SAMPLES; k += 5) {
            assignment(k, at);
            int64_t moved[3] = {eval(g.d, at), at[0], 2};
            CHECK(eval(sub, at) == eval(e.d, moved));
        }
        TdlStr s = str_new(&arena);
        dim_print(m, e.d, &s);
        if (i % 8 == 0) CHECK(strcmp(reprint(s.p), s.p) == 0);
    }
}

static void test_forms(void) {
    static const char *const FORMS[] = {
        "a*(a - 1)//2", "a*(a + 1)//2", "(2*a + 7)//2", "(a + 1)*(a - 1)", "(4*a + 6*b + 9)//6", "(a//2)//3", "(a//2 + 1)//3",
        "(8*a + 63)//64*64", "(5*a + 2*b) % 5", "(4*a + 6) % 8", "(a % 4) % 8", "2*(a//2) + a % 2", "b + a", "-a", "-(a//2)",
        "b - a//2 - 2*(b % 3)", "(a + b)**3", "a - a", "7//2 + 7 % 2", "-7//2", "3*min(a*b + 1, 7) - min(b, 2)*a", "min(7, 3) + min(a//2, 4)", "((a - 3)//2 + 1)*b",
    };
    for (size_t i = 0; i < sizeof FORMS / sizeof *FORMS; i++) printf("%s = %s\n", FORMS[i], reprint(FORMS[i]));
}

static void test_solve(void) {
    TdlSym v;
    TdlDim value, a = dim_var(m, vars[0]), b = dim_var(m, vars[1]), three = dim_const(m, 3);
    CHECK(dim_solve(m, dim_add(m, dim_mul(m, three, a), dim_const(m, 2)), dim_const(m, 17), &v, &value));
    CHECK(sym_eq(v, vars[0]) && dim_eq(value, dim_const(m, 5)));
    CHECK(dim_solve(m, dim_sub(m, dim_const(m, 10), a), b, &v, &value) && dim_eq(value, dim_sub(m, dim_const(m, 10), b)));
    CHECK(!dim_solve(m, dim_add(m, a, b), three, &v, &value));
    CHECK(!dim_solve(m, dim_mul(m, a, a), three, &v, &value));
    CHECK(!dim_solve(m, three, three, &v, &value));
    /* What bounds must find: triangles, halves, remainders. */
    TdlDim tri = dim_floordiv(m, dim_sub(m, dim_mul(m, a, a), a), 2), zero = dim_const(m, 0);
    CHECK(dim_known_ge(m, tri, zero) && dim_known_ge(m, a, dim_floordiv(m, a, 2)) && dim_known_ge(m, a, dim_sub(m, a, b)));
    CHECK(dim_known_ge(m, dim_const(m, 4), dim_mod(m, a, 5)) && !dim_known_ge(m, a, dim_const(m, 1)));
    CHECK(!dim_known_ge(m, a, b) && !dim_known_ge(m, dim_sub(m, a, b), zero));
    /* A coefficient that leaves 64 bits is an error, not a wrong number. */
    size_t before = diags_errors(m->diags);
    dim_mul(m, dim_mul(m, a, dim_const(m, INT64_MAX)), three);
    CHECK(diags_errors(m->diags) == before + 1);
}

int main(void) {
    arena_init(&arena);
    m = new_module();
    for (int i = 0; i < 3; i++) vars[i] = intern(m->names, (const char *[]){"a", "b", "c"}[i]);
    test_random();
    test_forms();
    test_solve();
    arena_free(&arena);
    return 0;
}
