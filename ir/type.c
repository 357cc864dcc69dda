/* Types, interned: equal types are equal handles. */
#include "ir/type.h"

#include <string.h>

static const struct { const char *name; uint32_t bytes; } ELEMS[EL_COUNT] = {
    [EL_BOOL] = {"bool", 1}, [EL_I32] = {"i32", 4}, [EL_I64] = {"i64", 8}, [EL_F16] = {"f16", 2},
    [EL_BF16] = {"bf16", 2}, [EL_F32] = {"f32", 4}, [EL_F64] = {"f64", 8},
};

const char *el_name(TdlElem e) { return ELEMS[e].name; }
uint32_t el_bytes(TdlElem e) { return ELEMS[e].bytes; }

typedef struct {
    TdlTypeKind kind;
    TdlElem elem;         /* TENSOR */
    uint32_t n;           /* TENSOR: rank; STACK: elements; ACC, BUF: 1 */
    const uint32_t *parts;/* TENSOR: dimension ids; others: type ids */
    uint32_t hash;
} TypeData;

struct TdlTypeTable {
    TDL_VEC(TypeData) types; /* [0] unused */
    uint32_t *slots;         /* open addressing; a power of two, at most half full */
    uint32_t nslots;
};

void ty_table_new(TdlModule *m) {
    struct TdlTypeTable *t = m->types = ARENA_NEW(m->arena, struct TdlTypeTable);
    t->nslots = 64;
    t->slots = ARENA_ARRAY(m->arena, uint32_t, t->nslots);
    VEC_PUSH(m->arena, t->types, (TypeData){0});
}

static const TypeData *data(const TdlModule *m, TdlType t) { return &m->types->types.p[t.id]; }

static void grow(TdlModule *m) {
    struct TdlTypeTable *t = m->types;
    t->nslots *= 2;
    t->slots = ARENA_ARRAY(m->arena, uint32_t, t->nslots);
    for (uint32_t id = 1; id < t->types.n; id++) {
        uint32_t i = t->types.p[id].hash & (t->nslots - 1);
        while (t->slots[i]) i = (i + 1) & (t->nslots - 1);
        t->slots[i] = id;
    }
}

static TdlType intern_type(TdlModule *m, TdlTypeKind kind, TdlElem e, const uint32_t *parts, uint32_t n) {
    struct TdlTypeTable *t = m->types;
    uint32_t h = (2166136261u ^ (uint32_t)kind) * 16777619u;
    h = (h ^ (uint32_t)e) * 16777619u;
    for (uint32_t k = 0; k < n; k++) h = (h ^ parts[k]) * 16777619u;
    h ^= h >> 15;
    uint32_t i = h & (t->nslots - 1);
    for (; t->slots[i]; i = (i + 1) & (t->nslots - 1)) {
        const TypeData *d = &t->types.p[t->slots[i]];
        if (d->hash == h && d->kind == kind && d->elem == e && d->n == n &&
            (n == 0 || memcmp(d->parts, parts, n * sizeof *parts) == 0))
            return (TdlType){t->slots[i]};
    }
    uint32_t id = t->types.n;
    const uint32_t *copy = arena_memdup(m->arena, parts, n * sizeof *parts);
    VEC_PUSH(m->arena, t->types, ((TypeData){kind, e, n, copy, h}));
    t->slots[i] = id;
    if (2 * t->types.n > t->nslots) grow(m);
    return (TdlType){id};
}

/* TdlDim and TdlType hold one uint32_t each: arrays of them are arrays of ids. */
_Static_assert(sizeof(TdlDim) == sizeof(uint32_t) && sizeof(TdlType) == sizeof(uint32_t), "handles are ids");

TdlType ty_tensor(TdlModule *m, TdlElem e, const TdlDim *dims, uint32_t rank) {
    return intern_type(m, TY_TENSOR, e, (const uint32_t *)dims, rank);
}
TdlType ty_scalar(TdlModule *m, TdlElem e) { return intern_type(m, TY_TENSOR, e, NULL, 0); }
TdlType ty_acc(TdlModule *m, TdlType tensor) { return intern_type(m, TY_ACC, EL_BOOL, &tensor.id, 1); }
TdlType ty_buf(TdlModule *m, TdlType tensor) { return intern_type(m, TY_BUF, EL_BOOL, &tensor.id, 1); }
TdlType ty_stack(TdlModule *m, const TdlType *elems, uint32_t n) {
    return intern_type(m, TY_STACK, EL_BOOL, (const uint32_t *)elems, n);
}

TdlTypeKind ty_kind(const TdlModule *m, TdlType t) { return data(m, t)->kind; }

TdlType ty_tensor_of(const TdlModule *m, TdlType t) {
    const TypeData *d = data(m, t);
    return d->kind == TY_ACC || d->kind == TY_BUF ? (TdlType){d->parts[0]} : t;
}

static const TypeData *tensor_data(const TdlModule *m, TdlType t) { return data(m, ty_tensor_of(m, t)); }

TdlElem ty_elem(const TdlModule *m, TdlType t) { return tensor_data(m, t)->elem; }
uint32_t ty_rank(const TdlModule *m, TdlType t) {
    const TypeData *d = tensor_data(m, t);
    return d->kind == TY_TENSOR ? d->n : 0;
}
const TdlDim *ty_dims(const TdlModule *m, TdlType t) {
    const TypeData *d = tensor_data(m, t);
    return d->kind == TY_TENSOR ? (const TdlDim *)d->parts : NULL;
}
uint32_t ty_stack_n(const TdlModule *m, TdlType t) { return data(m, t)->kind == TY_STACK ? data(m, t)->n : 0; }
TdlType ty_stack_elem(const TdlModule *m, TdlType t, uint32_t i) { return (TdlType){data(m, t)->parts[i]}; }

bool ty_is_scalar(const TdlModule *m, TdlType t) {
    const TypeData *d = data(m, t);
    return t.id && d->kind == TY_TENSOR && d->n == 0;
}
bool ty_is_float(const TdlModule *m, TdlType t) {
    return t.id && data(m, t)->kind != TY_STACK && el_is_float(ty_elem(m, t));
}

/* A type of t's kind around another tensor. */
static TdlType rewrap(TdlModule *m, TdlType t, TdlType tensor) {
    TdlTypeKind k = ty_kind(m, t);
    return k == TY_ACC ? ty_acc(m, tensor) : k == TY_BUF ? ty_buf(m, tensor) : tensor;
}

TdlType ty_with_elem(TdlModule *m, TdlType t, TdlElem e) {
    return rewrap(m, t, ty_tensor(m, e, ty_dims(m, t), ty_rank(m, t)));
}

TdlType ty_drop(TdlModule *m, TdlType t, uint32_t n) {
    uint32_t rank = ty_rank(m, t);
    if (n > rank) n = rank;
    return rewrap(m, t, ty_tensor(m, ty_elem(m, t), n == rank ? NULL : ty_dims(m, t) + n, rank - n));
}

TdlType ty_prepend(TdlModule *m, TdlType t, const TdlDim *dims, uint32_t n) {
    uint32_t rank = ty_rank(m, t);
    TdlDim *all = ARENA_ARRAY(m->arena, TdlDim, n + rank);
    for (uint32_t i = 0; i < n; i++) all[i] = dims[i];
    for (uint32_t i = 0; i < rank; i++) all[n + i] = ty_dims(m, t)[i];
    return rewrap(m, t, ty_tensor(m, ty_elem(m, t), all, n + rank));
}

TdlType ty_append(TdlModule *m, TdlType t, const TdlDim *dims, uint32_t n) {
    uint32_t rank = ty_rank(m, t);
    TdlDim *all = ARENA_ARRAY(m->arena, TdlDim, n + rank);
    for (uint32_t i = 0; i < rank; i++) all[i] = ty_dims(m, t)[i];
    for (uint32_t i = 0; i < n; i++) all[rank + i] = dims[i];
    return rewrap(m, t, ty_tensor(m, ty_elem(m, t), all, n + rank));
}

TdlType ty_subst(TdlModule *m, TdlType t, const TdlSym *names, const TdlDim *to, uint32_t n) {
    if (!t.id || !n) return t;
    TypeData d = *data(m, t);
    if (!d.n) return t;
    uint32_t *parts = ARENA_ARRAY(m->arena, uint32_t, d.n);
    for (uint32_t i = 0; i < d.n; i++)
        parts[i] = d.kind == TY_TENSOR ? dim_subst(m, (TdlDim){d.parts[i]}, names, to, n).id
                                       : ty_subst(m, (TdlType){d.parts[i]}, names, to, n).id;
    return intern_type(m, d.kind, d.elem, parts, d.n);
}

TdlDim ty_numel(TdlModule *m, TdlType t) {
    TdlDim n = dim_const(m, 1);
    for (uint32_t i = 0; i < ty_rank(m, t); i++) n = dim_mul(m, n, ty_dims(m, t)[i]);
    return n;
}

void ty_print(const TdlModule *m, TdlType t, TdlStr *out) {
    if (!t.id) {
        str_putc(out, '?');
        return;
    }
    const TypeData *d = data(m, t);
    if (d->kind == TY_TENSOR) {
        str_puts(out, el_name(d->elem));
        for (uint32_t i = 0; i < d->n; i++) {
            str_puts(out, i ? ", " : "[");
            dim_print(m, (TdlDim){d->parts[i]}, out);
        }
        if (d->n) str_putc(out, ']');
        return;
    }
    str_puts(out, d->kind == TY_ACC ? "acc<" : d->kind == TY_BUF ? "buf<" : "stack<");
    for (uint32_t i = 0; i < d->n; i++) {
        if (i) str_puts(out, ", ");
        ty_print(m, (TdlType){d->parts[i]}, out);
    }
    str_putc(out, '>');
}
