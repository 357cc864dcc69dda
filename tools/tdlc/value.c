/* Values on the command line and in .npy files. */
#include "tools/tdlc/value.h"

#include "support/half.h"

#include <ctype.h>
#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

int64_t value_count(const Value *v) {
    int64_t n = 1;
    for (uint32_t i = 0; i < v->rank; i++) n *= v->dims[i];
    return n;
}

/* ---- .npy ---- */

static const char *npy_type(TdlElem e) {
    switch (e) {
    case EL_BOOL: return "b1";
    case EL_I32: return "i4";
    case EL_I64: return "i8";
    case EL_F16: return "f2";
    case EL_F32: return "f4";
    case EL_F64: return "f8";
    case EL_BF16: case EL_COUNT: break;
    }
    return NULL;
}

static bool read_npy(Session *s, const char *name, const char *path, TdlElem e, Value *out) {
    TdlNpy a;
    if (tdl_npy_read(path, &a)) {
        diag_error(s->diags, SPAN_NONE, "%s: %s", name, tdl_npy_error());
        return false;
    }
    const char *want = npy_type(e);
    bool ok = want && !strcmp(want, a.dtype);
    if (!ok)
        diag_error(s->diags, SPAN_NONE, "%s: %s holds elements of type %s: %s is wanted: convert with .astype('%s')", name, path,
                   a.dtype, el_name(e), want ? want : "f4");
    out->elem = e;
    out->rank = (uint32_t)a.rank;
    memcpy(out->dims, a.dims, sizeof out->dims);
    if (ok) out->data = arena_memdup(s->arena, a.data, (size_t)tdl_npy_count(&a) * el_bytes(e));
    if (ok && !out->data) out->data = arena_alloc(s->arena, 1);
    tdl_npy_free(&a);
    return ok;
}

bool value_write_npy(Session *s, const char *path, const Value *v) {
    TdlNpy a = {.rank = (int)v->rank, .data = v->data};
    const char *type = npy_type(v->elem);
    if (!type) {
        diag_error(s->diags, SPAN_NONE, "%s: NumPy has no type for %s: convert to f32", path, el_name(v->elem));
        return false;
    }
    memcpy(a.dtype, type, strlen(type) + 1);
    memcpy(a.dims, v->dims, sizeof v->dims);
    if (!tdl_npy_write(path, &a)) return true;
    diag_error(s->diags, SPAN_NONE, "%s", tdl_npy_error());
    return false;
}

/* ---- literals ---- */

/* `ranked`: a number was read, at the depth that every number has. */
typedef struct { Session *s; const char *name, *p; Value *v; bool ranked; TDL_VEC(double) floats; TDL_VEC(int64_t) ints; } Reader;

static bool malformed(Reader *r) {
    diag_error(r->s->diags, SPAN_NONE, "%s: expected a number, a list of numbers or a .npy file at '%s'", r->name, r->p);
    return false;
}

static bool too_large(Reader *r, const char *end) {
    diag_error(r->s->diags, SPAN_NONE, "%s: %.*s does not fit in %s", r->name, (int)(end - r->p), r->p, el_name(r->v->elem));
    return false;
}

static bool read_float(Reader *r, char **end) {
    errno = 0;
    double d = strtod(r->p, end);
    if (*end == r->p) return malformed(r);
    if ((errno == ERANGE && isinf(d)) || (r->v->elem == EL_F32 && isfinite(d) && isinf((float)d))) return too_large(r, *end);
    VEC_PUSH(r->s->arena, r->floats, d);
    return true;
}

static bool read_int(Reader *r, char **end) {
    errno = 0;
    long long i = strtoll(r->p, end, 10);
    if (*end == r->p) return malformed(r);
    if (errno || (r->v->elem == EL_I32 && (i < INT32_MIN || i > INT32_MAX))) return too_large(r, *end);
    VEC_PUSH(r->s->arena, r->ints, i);
    return true;
}

static bool read_bool(Reader *r, char **end) {
    static const char *const words[] = {"false", "true", "0", "1"};
    for (int i = 0; i < 4; i++)
        if (!strncmp(r->p, words[i], strlen(words[i]))) {
            VEC_PUSH(r->s->arena, r->ints, i % 2);
            *end = (char *)(uintptr_t)r->p + strlen(words[i]);
            return true;
        }
    diag_error(r->s->diags, SPAN_NONE, "%s: expected true or false, or a list of them, at '%s'", r->name, r->p);
    return false;
}

static bool read_number(Reader *r) {
    char *end = NULL;
    TdlElem e = r->v->elem;
    if (!(e == EL_BOOL ? read_bool(r, &end) : el_is_float(e) ? read_float(r, &end) : read_int(r, &end))) return false;
    r->p = end;
    return true;
}

static void spaces(Reader *r) {
    while (isspace((unsigned char)*r->p)) r->p++;
}

/* Lists at one depth have one length, which the first of them sets (-1: not seen yet). */
static bool read_list(Reader *r, uint32_t depth) {
    spaces(r);
    if (*r->p != '[') {
        if (r->ranked ? depth != r->v->rank : depth < r->v->rank) return malformed(r);
        r->v->rank = depth;
        r->ranked = true;
        return read_number(r);
    }
    if (depth == TDL_NPY_MAX_RANK || (r->ranked && depth >= r->v->rank)) return malformed(r);
    int64_t n = 0;
    for (r->p++; spaces(r), *r->p != ']'; n++) {
        if (n && *r->p++ != ',') return r->p--, malformed(r);
        if (!read_list(r, depth + 1)) return false;
    }
    r->p++;
    if (!n && depth + 1 > r->v->rank) r->v->rank = depth + 1;
    if (r->v->dims[depth] >= 0 && r->v->dims[depth] != n) {
        diag_error(r->s->diags, SPAN_NONE, "%s: lists of different lengths: %lld and %lld", r->name,
                   (long long)r->v->dims[depth], (long long)n);
        return false;
    }
    r->v->dims[depth] = n;
    return true;
}

static void store(Reader *r, int64_t i) {
    void *at = (char *)r->v->data + (size_t)i * el_bytes(r->v->elem);
    double d = el_is_float(r->v->elem) ? r->floats.p[i] : 0.0;
    float f = (float)d;
    int64_t n = el_is_float(r->v->elem) ? 0 : r->ints.p[i];
    int32_t small = (int32_t)n;
    uint16_t half = r->v->elem == EL_F16 ? f16_from_float(f) : bf16_from_float(f);
    switch (r->v->elem) {
    case EL_BOOL: *(uint8_t *)at = n != 0; break;
    case EL_I32: memcpy(at, &small, sizeof small); break;
    case EL_I64: memcpy(at, &n, sizeof n); break;
    case EL_F16: case EL_BF16: memcpy(at, &half, sizeof half); break;
    case EL_F32: memcpy(at, &f, sizeof f); break;
    default: memcpy(at, &d, sizeof d); break;
    }
}

static bool read_literal(Session *s, const char *name, const char *text, TdlElem e, Value *out) {
    Reader r = {.s = s, .name = name, .p = text, .v = out};
    out->elem = e;
    for (uint32_t i = 0; i < TDL_NPY_MAX_RANK; i++) out->dims[i] = -1;
    if (!read_list(&r, 0)) return false;
    spaces(&r);
    if (*r.p) return malformed(&r);
    int64_t n = value_count(out);
    if (n != (int64_t)(el_is_float(e) ? r.floats.n : r.ints.n)) return malformed(&r);
    out->data = arena_alloc(s->arena, (size_t)(n ? n : 1) * el_bytes(e));
    for (int64_t i = 0; i < n; i++) store(&r, i);
    return true;
}

bool value_read(Session *s, const char *name, const char *text, TdlElem e, Value *out) {
    size_t n = strlen(text);
    memset(out, 0, sizeof *out);
    if (n > 4 && !strcmp(text + n - 4, ".npy")) return read_npy(s, name, text, e, out);
    return read_literal(s, name, text, e, out);
}
