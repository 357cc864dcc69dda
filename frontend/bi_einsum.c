/* matmul and einsum. An einsum contracts its operands from left to right: two at a time by one `dot`, after summing
 * the letters that only one of them has and nobody needs later. A letter that is twice in one operand is its diagonal.
 * The axes of `...` get letters of their own, the last one \1, the one before \2. */
#include "frontend/bi.h"

#include <ctype.h>
#include <string.h>

LowValue bi_matmul(LowCall *c) { return low_matmul(c->L, c->a[0], c->a[1], c->at, c->bi->name); }

enum { MAX_TERMS = 16 };

typedef struct { char at[LOW_MAX_RANK + 1]; uint32_t n; } Letters;
typedef struct { Letters in[MAX_TERMS], out; uint32_t n; bool implicit; } Equation;
typedef struct { TdlVal v; Letters l; } Term;

static bool has(const Letters *l, char x) { return memchr(l->at, x, l->n) != NULL; }
static uint32_t place(const Letters *l, char x) { return (uint32_t)((const char *)memchr(l->at, x, l->n) - l->at); }

/* ---- the equation ---- */

static bool read_letters(LowCall *c, const char **s, const char *end, Letters *l) {
    for (; *s < end && **s != ',' && **s != '-'; ++*s) {
        if (**s == ' ') continue;
        if (end - *s >= 3 && !memcmp(*s, "...", 3) && !has(l, '.')) {
            l->at[l->n++] = '.';
            *s += 2;
            continue;
        }
        if (!isalpha((unsigned char)**s) || l->n == LOW_MAX_RANK) {
            bi_err(c, "the equation has letters, commas, `->` and one `...` an operand, not `%c`", **s);
            return false;
        }
        l->at[l->n++] = **s;
    }
    return true;
}

/* The letters of l with those of n axes in the place of `...`. */
static bool expand_ellipsis(Letters *l, uint32_t n) {
    Letters r = {0};
    for (uint32_t i = 0; i < l->n; i++) {
        if (l->n + n > LOW_MAX_RANK + 1) return false;
        if (l->at[i] != '.') r.at[r.n++] = l->at[i];
        else for (uint32_t k = n; k > 0; k--) r.at[r.n++] = (char)k;
    }
    *l = r;
    return true;
}

/* Without `->`, the result has the axes of `...`, then the letters that occur once, in alphabetical order. */
static void implicit_out(Equation *q, uint32_t ellipsis) {
    for (uint32_t k = ellipsis; k > 0; k--) q->out.at[q->out.n++] = (char)k;
    for (int x = 'A'; x <= 'z'; x++) {
        uint32_t count = 0;
        for (uint32_t i = 0; i < q->n; i++)
            for (uint32_t k = 0; k < q->in[i].n; k++) count += q->in[i].at[k] == x;
        if (count == 1 && q->out.n < LOW_MAX_RANK) q->out.at[q->out.n++] = (char)x;
    }
}

static bool read_equation(LowCall *c, Equation *q) {
    const char *s = c->a[0].s, *end = s + c->a[0].n;
    *q = (Equation){0};
    for (;;) {
        if (q->n == MAX_TERMS) {
            bi_err(c, "at most %d operands", MAX_TERMS);
            return false;
        }
        if (!read_letters(c, &s, end, &q->in[q->n++])) return false;
        if (s == end || *s != ',') break;
        s++;
    }
    if (s == end) {
        q->implicit = true;
        return true;
    }
    if (end - s < 2 || s[1] != '>') {
        bi_err(c, "the equation has letters, commas and `->`, not `-`");
        return false;
    }
    s += 2;
    if (!read_letters(c, &s, end, &q->out)) return false;
    if (s == end) return true;
    bi_err(c, "nothing follows the letters of the result");
    return false;
}

/* Gives the axes of each `...` their letters. */
static bool name_ellipsis(LowCall *c, Equation *q, const Term *t) {
    uint32_t most = 0;
    for (uint32_t i = 0; i < q->n; i++) {
        uint32_t rank = ty_rank(c->L->m, ir_type(c->L->b.f, t[i].v)), n = rank + 1 > q->in[i].n ? rank + 1 - q->in[i].n : 0;
        if (!has(&q->in[i], '.')) continue;
        if (!expand_ellipsis(&q->in[i], n)) {
            bi_err(c, "too many dimensions in operand %u", i + 1);
            return false;
        }
        if (n > most) most = n;
    }
    if (q->implicit) implicit_out(q, most);
    else if (has(&q->out, '.') && !expand_ellipsis(&q->out, most)) {
        bi_err(c, "too many dimensions in the result");
        return false;
    }
    return true;
}

/* An axis of size 1 goes with any size of its letter in the others: it is dropped where theirs is another. */
static void drop_ones(Low *L, Equation *q, Term *t) {
    TdlDim size[128] = {{0}}, one = dim_const(L->m, 1);
    for (uint32_t i = 0; i < q->n; i++) {
        TdlType ty = ir_type(L->b.f, t[i].v);
        for (uint32_t k = 0; k < q->in[i].n && k < ty_rank(L->m, ty); k++)
            if (!dim_eq(ty_dims(L->m, ty)[k], one)) size[(unsigned char)q->in[i].at[k]] = ty_dims(L->m, ty)[k];
    }
    for (uint32_t i = 0; i < q->n; i++) {
        TdlType ty = ir_type(L->b.f, t[i].v);
        TdlDim left[LOW_MAX_RANK];
        Letters l = {0};
        if (ty_rank(L->m, ty) != q->in[i].n) continue;
        for (uint32_t k = 0; k < q->in[i].n; k++) {
            if (dim_eq(ty_dims(L->m, ty)[k], one) && size[(unsigned char)q->in[i].at[k]].id) continue;
            left[l.n] = ty_dims(L->m, ty)[k];
            l.at[l.n++] = q->in[i].at[k];
        }
        t[i].v = low_reshape(L, t[i].v, left, l.n);
        t[i].l = q->in[i] = l;
    }
}

/* Every letter of the result occurs in an operand and only once in the result; operands have as many dimensions as
 * letters, and equal letters equal sizes. */
static bool check_equation(LowCall *c, const Equation *q, const Term *t) {
    Low *L = c->L;
    TdlDim size[128] = {{0}};
    for (uint32_t i = 0; i < q->n; i++) {
        TdlType ty = ir_type(L->b.f, t[i].v);
        if (ty_rank(L->m, ty) != q->in[i].n) {
            bi_err(c, "operand %u has %u letters, but is %s", i + 1, q->in[i].n, ty_text(L, ty));
            return false;
        }
        for (uint32_t k = 0; k < q->in[i].n; k++) {
            TdlDim *d = &size[(unsigned char)q->in[i].at[k]], have = ty_dims(L->m, ty)[k];
            if (d->id && !dim_eq(*d, have)) {
                char x = q->in[i].at[k];
                bi_err(c, "`%s` is both %s and %s", x < 'A' ? "..." : (char[]){x, 0}, dim_text(L, *d), dim_text(L, have));
                return false;
            }
            *d = have;
        }
    }
    for (uint32_t k = 0; k < q->out.n; k++) {
        char x = q->out.at[k];
        if (!size[(unsigned char)x].id || place(&q->out, x) != k) {
            bi_err(c, size[(unsigned char)x].id ? "`%c` is twice in the result" : "`%c` of the result is in no operand", x);
            return false;
        }
    }
    return true;
}

/* ---- contraction ---- */

/* t with each letter once: out[i, j] = t[i, i, j]. */
static void diagonal(Low *L, Term *t) {
    Letters once = {0};
    TdlDim dims[LOW_MAX_RANK];
    TdlVal extents[LOW_MAX_RANK], idx[LOW_MAX_RANK], args[LOW_MAX_RANK];
    TdlType type = ir_type(L->b.f, t->v);
    for (uint32_t k = 0; k < t->l.n; k++) {
        if (has(&once, t->l.at[k])) continue;
        dims[once.n] = ty_dims(L->m, type)[k];
        extents[once.n] = ir_dim(&L->b, dims[once.n]);
        once.at[once.n++] = t->l.at[k];
    }
    if (once.n == t->l.n) return;
    TdlType result = ty_tensor(L->m, ty_elem(L->m, type), dims, once.n);
    TdlOp o = ir_emit(&L->b, OP_MAP, extents, once.n, &result, 1);
    TdlRegion body = ir_op(L->b.f, o)->regions[0];
    for (uint32_t k = 0; k < once.n; k++) args[k] = ir_region_arg(L->b.f, body, ty_scalar(L->m, EL_I64), SYM_NONE);
    for (uint32_t k = 0; k < t->l.n; k++) idx[k] = args[place(&once, t->l.at[k])];
    TdlBuilder in = ir_at_end(L->b.f, body, L->b.span);
    TdlVal e = ir_index(&in, t->v, idx, t->l.n);
    ir_emit(&in, OP_YIELD, &e, 1, NULL, 0);
    *t = (Term){ir_result(L->b.f, o, 0), once};
}

/* Sums the letters of t that are not in `needed`. */
static void sum_out(Low *L, Term *t, const Letters *needed, uint32_t nneeded) {
    int64_t axes[LOW_MAX_RANK];
    uint32_t n = 0;
    Letters left = {0};
    for (uint32_t k = 0; k < t->l.n; k++) {
        bool need = false;
        for (uint32_t i = 0; i < nneeded; i++) need |= has(&needed[i], t->l.at[k]);
        if (need) left.at[left.n++] = t->l.at[k];
        else axes[n++] = k;
    }
    if (!n) return;
    TdlType type = bi_reduced_type(L, ir_type(L->b.f, t->v), ty_elem(L->m, ir_type(L->b.f, t->v)), axes, n, false);
    t->v = low_emit(L, OP_SUM, &t->v, 1, type);
    op_set_ints(L->b.f, low_def(L, t->v), "axes", axes, n);
    t->l = left;
}

/* One `dot`: letters of both that are needed later are batches, those that are not are contracted. */
static void contract(Low *L, Term *a, const Term *b, const Letters *needed, uint32_t nneeded) {
    int64_t ba[LOW_MAX_RANK], bb[LOW_MAX_RANK], ca[LOW_MAX_RANK], cb[LOW_MAX_RANK];
    uint32_t nb = 0, nc = 0;
    Letters out = {0}, gone = {0};
    TdlDim dims[2 * LOW_MAX_RANK];
    const TdlDim *da = ty_dims(L->m, ir_type(L->b.f, a->v)), *db = ty_dims(L->m, ir_type(L->b.f, b->v));
    for (uint32_t k = 0; k < a->l.n; k++) {
        char x = a->l.at[k];
        bool need = false;
        if (!has(&b->l, x)) continue;
        for (uint32_t i = 0; i < nneeded; i++) need |= has(&needed[i], x);
        if (need) {
            ba[nb] = k;
            bb[nb++] = place(&b->l, x);
            dims[out.n] = da[k];
            out.at[out.n++] = x;
        } else {
            ca[nc] = k;
            cb[nc++] = place(&b->l, x);
            gone.at[gone.n++] = x;
        }
    }
    for (uint32_t k = 0; k < a->l.n + b->l.n; k++) {
        bool left = k < a->l.n;
        char x = left ? a->l.at[k] : b->l.at[k - a->l.n];
        if (has(&out, x) || has(&gone, x)) continue;
        dims[out.n] = left ? da[k] : db[k - a->l.n];
        out.at[out.n++] = x;
    }
    a->v = low_emit(L, OP_DOT, (TdlVal[]){a->v, b->v}, 2, ty_tensor(L->m, ty_elem(L->m, ir_type(L->b.f, a->v)), dims, out.n));
    TdlOp o = low_def(L, a->v);
    op_set_ints(L->b.f, o, "batch_a", ba, nb);
    op_set_ints(L->b.f, o, "batch_b", bb, nb);
    op_set_ints(L->b.f, o, "contract_a", ca, nc);
    op_set_ints(L->b.f, o, "contract_b", cb, nc);
    a->l = out;
}

static void arrange(Low *L, Term *t, const Letters *out) {
    int64_t perm[LOW_MAX_RANK];
    TdlDim dims[LOW_MAX_RANK];
    if (memcmp(t->l.at, out->at, out->n) == 0) return;
    for (uint32_t k = 0; k < out->n; k++) {
        perm[k] = place(&t->l, out->at[k]);
        dims[k] = ty_dims(L->m, ir_type(L->b.f, t->v))[perm[k]];
    }
    t->v = low_emit(L, OP_PERMUTE, &t->v, 1, ty_tensor(L->m, ty_elem(L->m, ir_type(L->b.f, t->v)), dims, out->n));
    op_set_ints(L->b.f, low_def(L, t->v), "perm", perm, out->n);
    t->l = *out;
}

/* The letters of a and b together may be more than a tensor has dimensions. */
static bool too_many(const Term *a, const Term *b) {
    uint32_t n = a->l.n;
    for (uint32_t k = 0; k < b->l.n; k++) n += !has(&a->l, b->l.at[k]);
    return n > LOW_MAX_RANK;
}

LowValue bi_einsum(LowCall *c) {
    Low *L = c->L;
    Equation q;
    Term t[MAX_TERMS];
    LowValue ops = c->a[1];
    if (c->a[0].kind != LV_STR) return bi_err(c, "the equation is a string, not %s", lv_text(L, c->a[0]));
    if (!read_equation(c, &q)) return LOW_ERR;
    if (ops.kind != LV_TUPLE || ops.n != q.n) return bi_err(c, "the equation has %u operands, the call %u", q.n, ops.n);
    LowValue widest = ops.elems[0];
    for (uint32_t i = 0; i < q.n; i++) {
        if (!lv_is_num(ops.elems[i])) return bi_err(c, "needs tensors, not %s", lv_text(L, ops.elems[i]));
        if (lv_elem(L, widest) != low_promote(L, widest, ops.elems[i])) widest = ops.elems[i];
    }
    if (lv_elem(L, widest) == EL_BOOL) return bi_err(c, "needs numbers, not bools");
    for (uint32_t i = 0; i < q.n; i++) t[i] = (Term){.v = low_mat(L, ops.elems[i], lv_elem(L, widest))};
    if (!name_ellipsis(c, &q, t)) return LOW_ERR;
    drop_ones(L, &q, t);
    for (uint32_t i = 0; i < q.n; i++) t[i].l = q.in[i];
    if (!check_equation(c, &q, t)) return LOW_ERR;
    TdlVal first = t[0].v;
    for (uint32_t i = 0; i < q.n; i++) diagonal(L, &t[i]);
    Letters needed[MAX_TERMS + 1];
    for (uint32_t i = 1; i < q.n; i++) {
        uint32_t n = 0;
        needed[n++] = q.out;
        for (uint32_t k = i + 1; k < q.n; k++) needed[n++] = t[k].l;
        needed[n] = t[i].l;
        sum_out(L, &t[0], needed, n + 1);
        needed[n] = t[0].l;
        sum_out(L, &t[i], needed, n + 1);
        if (too_many(&t[0], &t[i])) return bi_err(c, "too many dimensions on the way");
        contract(L, &t[0], &t[i], needed, n);
    }
    bool contracts = q.n > 1 && op_attr(L->b.f, low_def(L, t[0].v), "contract_a")->n > 0, sums = t[0].l.n > q.out.n;
    sum_out(L, &t[0], &q.out, 1);
    arrange(L, &t[0], &q.out);
    const char *one = sums ? "SumBackward1" : "PermuteBackward0";
    return bi_named(c, t[0].v, first, q.n == 1 ? one : contracts ? "ViewBackward0" : sums ? "SumBackward1" : "MulBackward0");
}
