/* Attributes of operations: small arrays sorted by name. */
#include "ir/attr.h"

#include <string.h>

static const TdlAttrForm FORMS[] = {
    {"accumulate", ATTR_INT, false}, {"axes_a", ATTR_INTS, false}, {"axes_b", ATTR_INTS, false}, {"axes_c", ATTR_INTS, false},
    {"again", ATTR_INT, false},     {"axes", ATTR_INTS, false},     {"axis", ATTR_INT, false},       {"batch_a", ATTR_INTS, false},
    {"batch_b", ATTR_INTS, false},  {"callee", ATTR_STR, false},     {"checkpoint", ATTR_INT, false},     {"contract_a", ATTR_INTS, false},
    {"contract_b", ATTR_INTS, false}, {"create_graph", ATTR_INTS, false}, {"d", ATTR_DIM, false},        {"descending", ATTR_INT, false},
    {"dilations", ATTR_INTS, false}, {"dims", ATTR_DIMS, false},     {"down", ATTR_INT, false},       {"dynamic", ATTR_INT, false},
    {"empty", ATTR_INT, false},
    {"exact", ATTR_INT, false},    {"exit", ATTR_INT, false},      {"filter", ATTR_INT, false},     {"flat", ATTR_INT, false},
    {"format", ATTR_STR, true},     {"inbounds", ATTR_INT, false},   {"kind", ATTR_STR, false},
    {"lanes", ATTR_INT, false},
    {"local", ATTR_INT, false},     {"masked", ATTR_INT, false},     {"msg", ATTR_STR, true},         {"n", ATTR_INT, false},
    {"name", ATTR_STR, true},       {"offset", ATTR_DIM, false},     {"parallel", ATTR_INT, false},
    {"perm", ATTR_INTS, false},
    {"reverse", ATTR_INT, false},   {"saved", ATTR_STR, false},     {"search", ATTR_INT, false},    {"redone", ATTR_INT, false},
    {"steps", ATTR_INTS, false},     {"sym", ATTR_STR, false},
    {"taps", ATTR_INTS, false},     {"threads", ATTR_INT, false},    {"ties", ATTR_STR, false},      {"to", ATTR_TYPE, false},        {"workspace", ATTR_DIM, false},
    {"unroll", ATTR_INT, false},
    {"varying", ATTR_INTS, false},  {"vector", ATTR_INTS, false},     {"wrt", ATTR_INTS, false},
};

const TdlAttrForm *attr_form(const char *key) {
    for (size_t i = 0; i < sizeof FORMS / sizeof *FORMS; i++)
        if (strcmp(FORMS[i].key, key) == 0) return &FORMS[i];
    return NULL;
}

bool attr_is_note(const char *key) { return strcmp(key, "saved") == 0 || strcmp(key, "redone") == 0 || strcmp(key, "exact") == 0; }

const char *attr_kind_name(TdlAttrKind k) {
    static const char *const NAMES[] = {"an integer", "a float",    "a text", "a list of integers",
                                        "a dimension", "dimensions", "a type"};
    return NAMES[k];
}

static bool is_letter(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_'; }

bool attr_is_word(const char *s, size_t n) {
    if (!n || !is_letter(s[0]) || (n == 3 && (!memcmp(s, "inf", 3) || !memcmp(s, "nan", 3)))) return false;
    for (size_t i = 1; i < n; i++)
        if (!is_letter(s[i]) && !(s[i] >= '0' && s[i] <= '9') && s[i] != '.') return false;
    return true;
}

static int cmp_keys(const TdlModule *m, TdlSym a, TdlSym b) {
    return sym_eq(a, b) ? 0 : strcmp(sym_text(m->names, a), sym_text(m->names, b));
}

static void set(TdlFunc *f, TdlOp o, const char *key, TdlAttr a) {
    TdlModule *m = f->module;
    TdlOpData *d = ir_op(f, o);
    a.key = intern(m->names, key);
    uint16_t i = 0;
    while (i < d->nattrs && cmp_keys(m, d->attrs[i].key, a.key) < 0) i++;
    if (i < d->nattrs && sym_eq(d->attrs[i].key, a.key)) {
        d->attrs[i] = a;
        return;
    }
    TdlAttr *all = ARENA_ARRAY(m->arena, TdlAttr, d->nattrs + 1);
    for (uint16_t k = 0; k < i; k++) all[k] = d->attrs[k];
    all[i] = a;
    for (uint16_t k = i; k < d->nattrs; k++) all[k + 1] = d->attrs[k];
    d->attrs = all;
    d->nattrs++;
}

void op_set_int(TdlFunc *f, TdlOp o, const char *key, int64_t v) { set(f, o, key, (TdlAttr){.kind = ATTR_INT, .i = v}); }

void op_set_float(TdlFunc *f, TdlOp o, const char *key, double v) {
    set(f, o, key, (TdlAttr){.kind = ATTR_FLOAT, .f = v});
}

void op_set_str(TdlFunc *f, TdlOp o, const char *key, const char *s, uint32_t n) {
    set(f, o, key, (TdlAttr){.kind = ATTR_STR, .n = n, .s = arena_strndup(f->module->arena, s, n)});
}

void op_set_ints(TdlFunc *f, TdlOp o, const char *key, const int64_t *v, uint32_t n) {
    set(f, o, key, (TdlAttr){.kind = ATTR_INTS, .n = n, .ints = arena_memdup(f->module->arena, v, n * sizeof *v)});
}

void op_set_dim(TdlFunc *f, TdlOp o, const char *key, TdlDim d) {
    set(f, o, key, (TdlAttr){.kind = ATTR_DIM, .dim = d});
}

void op_set_dims(TdlFunc *f, TdlOp o, const char *key, const TdlDim *d, uint32_t n) {
    set(f, o, key, (TdlAttr){.kind = ATTR_DIMS, .n = n, .dims = arena_memdup(f->module->arena, d, n * sizeof *d)});
}

void op_set_type(TdlFunc *f, TdlOp o, const char *key, TdlType t) {
    set(f, o, key, (TdlAttr){.kind = ATTR_TYPE, .type = t});
}

void op_unset(TdlFunc *f, TdlOp o, const char *key) {
    TdlOpData *d = ir_op(f, o);
    TdlSym k = intern(f->module->names, key);
    uint16_t n = 0;
    for (uint16_t i = 0; i < d->nattrs; i++)
        if (!sym_eq(d->attrs[i].key, k)) d->attrs[n++] = d->attrs[i];
    d->nattrs = n;
}

const TdlAttr *op_attr(const TdlFunc *f, TdlOp o, const char *key) {
    const TdlOpData *d = ir_op(f, o);
    for (uint16_t i = 0; i < d->nattrs; i++)
        if (strcmp(sym_text(f->module->names, d->attrs[i].key), key) == 0) return &d->attrs[i];
    return NULL;
}

int64_t op_int(const TdlFunc *f, TdlOp o, const char *key, int64_t deflt) {
    const TdlAttr *a = op_attr(f, o, key);
    return a && a->kind == ATTR_INT ? a->i : deflt;
}

const char *op_str(const TdlFunc *f, TdlOp o, const char *key) {
    const TdlAttr *a = op_attr(f, o, key);
    return a && a->kind == ATTR_STR ? a->s : NULL;
}

bool op_has_int(const TdlFunc *f, TdlOp o, const char *key, int64_t i) {
    const TdlAttr *a = op_attr(f, o, key);
    for (uint32_t k = 0; a && a->kind == ATTR_INTS && k < a->n; k++)
        if (a->ints[k] == i) return true;
    return false;
}

/* ---- comparing ---- */

uint32_t attr_mix(uint32_t h, uint64_t x) {
    h = (h ^ (uint32_t)x) * 16777619u;
    h = (h ^ (uint32_t)(x >> 32)) * 16777619u;
    return h ^ (h >> 13);
}

uint32_t attr_hash(const TdlAttr *a) {
    uint32_t h = attr_mix(attr_mix(0, a->key.id), a->kind);
    uint64_t bits;
    memcpy(&bits, &a->f, sizeof bits);
    switch (a->kind) {
    case ATTR_INT: return attr_mix(h, (uint64_t)a->i);
    case ATTR_FLOAT: return attr_mix(h, bits);
    case ATTR_STR:
        for (uint32_t i = 0; i < a->n; i++) h = attr_mix(h, (unsigned char)a->s[i]);
        return h;
    case ATTR_INTS:
        for (uint32_t i = 0; i < a->n; i++) h = attr_mix(h, (uint64_t)a->ints[i]);
        return h;
    case ATTR_DIM: return attr_mix(h, a->dim.id);
    case ATTR_DIMS:
        for (uint32_t i = 0; i < a->n; i++) h = attr_mix(h, a->dims[i].id);
        return h;
    case ATTR_TYPE: return attr_mix(h, a->type.id);
    }
    return h;
}

bool attr_equal(const TdlAttr *a, const TdlAttr *b) {
    if (a->key.id != b->key.id || a->kind != b->kind || a->n != b->n) return false;
    switch (a->kind) {
    case ATTR_INT: return a->i == b->i;
    case ATTR_FLOAT: return memcmp(&a->f, &b->f, sizeof a->f) == 0;
    case ATTR_STR: return a->n == 0 || memcmp(a->s, b->s, a->n) == 0;
    case ATTR_INTS: return a->n == 0 || memcmp(a->ints, b->ints, a->n * sizeof *a->ints) == 0;
    case ATTR_DIM: return dim_eq(a->dim, b->dim);
    case ATTR_DIMS: return a->n == 0 || memcmp(a->dims, b->dims, a->n * sizeof *a->dims) == 0;
    case ATTR_TYPE: return ty_eq(a->type, b->type);
    }
    return false;
}
