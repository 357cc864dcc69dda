/* What the reverse of a region keeps of it, and what it computes again: a cut of least bytes.
 *
 *     for ... {(%i, %y) %a = dot %w, %y   %b = exp %a   %c = mul %b, %s   %d = add %c, %r ...}     reverse reads %b, %c, %d
 *
 * %b is kept, %c and %d are computed again from it. Each value is two nodes:
 *
 *     source --price--> in --bytes--> out --never--> in of what it is an operand of
 *                                     out --never--> sink, where the reverse reads it
 *
 * To cut `bytes` is to keep the value, to cut `price` is to compute it again, from operands that are kept or computed
 * again themselves; the price of what must not be computed again (loops, contractions, reductions, calls, carried values)
 * is `never`. What the reverse has anyway (constants, the loop's index, values from outside) has no node. Of two cuts that
 * cost the same the one that computes less again is taken.
 *
 * Bytes are those of one iteration, with every dimension that is not known taken to be 128, so that what is of a higher
 * degree in the dimensions weighs more. Prices are the bytes that take as long to write to a tape and to read again, for
 * each element:
 *
 *     views, constants, broadcast                 0
 *     an element that is read                     1/4
 *     arithmetic, comparison                      1/2
 *     division, square root, integer division     4
 *     exp, sin, ...                              24     (measured: to keep them is 1.3 to 2 times as fast)
 *
 * A map of such operations is computed again like them, branches between them too (a selection and both sides). Prices are lowered, to an eighth at last, until no more than four
 * times the least bytes are kept; under --max-tape they are at an eighth from the start. Cost: up to five maximum flows for
 * each reversed region that reads of its primal. */
#include "passes/adjoint.h"
#include "support/mincut.h"

enum {
    NOMINAL = 128,       /* an unknown dimension */
    UNIT = 8,            /* capacities are in eighths of a byte */
    LOWEST = 8,          /* the share of the prices that leads to the least bytes */
    MOST_TIMES_LEAST = 4
};
enum { SOURCE, SINK };
static const int64_t MOST = (int64_t)1 << 40; /* of one capacity */

typedef struct {
    Adj *a;
    AdjNeed *n;
    Cut cut;
    int share;    /* prices are divided by it */
} Keep;

/* ---- sizes and prices ---- */

static double nominal(const TdlModule *m, TdlDim d) {
    double sum = 0;
    for (uint32_t i = 0; i < dim_nterms(m, d); i++) {
        double x = (double)dim_term_coef(m, d, i);
        for (uint32_t k = 0; k < dim_term_natoms(m, d, i); k++) {
            TdlDimAtom at = dim_term_atom(m, d, i, k);
            x *= at.kind == DIM_ATOM_VAR ? NOMINAL : at.kind == DIM_ATOM_MOD ? (double)at.c / 2 : nominal(m, at.arg) / (double)at.c;
        }
        sum += x;
    }
    return sum;
}

static double elements(const Keep *k, TdlType t) {
    double n = ty_kind(k->a->m, t) == TY_TENSOR ? nominal(k->a->m, ty_numel(k->a->m, t)) : 1;
    return n > 1 ? n : 1;
}

static int64_t capacity(double eighths) { return eighths < (double)MOST ? (int64_t)eighths : MOST; }

static int64_t bytes(const Keep *k, TdlType t) {
    double n = elements(k, t), unit = k->n->unit;
    if (ty_kind(k->a->m, t) == TY_TENSOR) n *= el_bytes(ty_elem(k->a->m, t));
    return capacity((n < unit ? unit : n) * UNIT);
}

/* Of an element, in eighths of a byte; negative: never. */
static int full_price(TdlOpcode c) {
    switch (c) {
    case OP_CONST: case OP_DIM: case OP_UNDEF: case OP_IOTA: case OP_NEWDIM: case OP_STACKNEW: case OP_BROADCAST:
    case OP_RESHAPE: case OP_PERMUTE: case OP_SLICE: return 0;
    case OP_INDEX: return 2;
    case OP_DIV: case OP_SQRT: case OP_FLOORDIV: case OP_MOD: return 32;
    default:
        if (op_info(c)->flags & OPF_FUNCTION) return 192;
        return op_info(c)->flags & OPF_ELEMENTWISE ? 4 : -1;
    }
}

static int price(const Keep *k, TdlOpcode c) {
    int p = full_price(c);
    if (p > 0 && k->n->save_all) return -1;
    return p > 0 ? (p + k->share - 1) / k->share : p;
}

/* Of the operations of a region, once; a branch costs a selection and both its sides. Negative: never. */
static double price_of_region(const Keep *k, TdlRegion r) {
    const Adj *a = k->a;
    double sum = 0;
    IR_FOREACH_OP(a->f, r, o) {
        TdlOpcode code = ir_op(a->f, o)->code;
        if (op_info(code)->flags & OPF_TERMINATOR) continue;
        int p = code == OP_IF ? price(k, OP_SELECT) : price(k, code);
        if (p < 0 || (code == OP_IF && !ir_op(a->f, o)->nresults)) return -1;
        sum += p * elements(k, adj_type(a, adj_res(a, o, 0)));
        for (uint32_t i = 0; i < ir_op(a->f, o)->nregions; i++) {
            double inner = price_of_region(k, ir_op(a->f, o)->regions[i]);
            if (inner < 0) return -1;
            sum += inner;
        }
    }
    return sum;
}

/* Of a map: its body for each of its elements. */
static int64_t price_of_map(const Keep *k, TdlOp o) {
    const Adj *a = k->a;
    double n = 1, sum = price_of_region(k, ir_op(a->f, o)->regions[0]);
    TdlDim d;
    for (uint32_t i = 0; i < ir_op(a->f, o)->noperands; i++) n *= ir_val_dim(a->f, adj_arg(a, o, i), &d) ? nominal(a->m, d) : NOMINAL;
    return sum < 0 ? -1 : capacity(n * sum);
}

static int64_t price_of(const Keep *k, TdlOp o) {
    const TdlOpData *d = ir_op(k->a->f, o);
    if (d->code == OP_MAP && d->nresults && !k->n->save_all) return price_of_map(k, o);
    int p = price(k, d->code);
    return p < 0 ? -1 : capacity(p * elements(k, adj_type(k->a, d->results[0])));
}

/* ---- the graph ---- */

/* Node `in` of v, where it has one; 0: none. */
static uint32_t known(const Keep *k, TdlVal v) { return v.id < k->a->cut.n ? k->a->cut.p[v.id] : 0; }

/* Node `in` of v; 0: v is to be had anyway. */
static uint32_t node(Keep *k, TdlVal v) {
    Adj *a = k->a;
    if (known(k, v)) return known(k, v);
    if (adj_at_hand(a, k->n, v) || ty_kind(a->m, adj_type(a, v)) == TY_ACC) return 0;
    while (a->cut.n <= v.id) VEC_PUSH(a->arena, a->cut, 0);
    VEC_PUSH(a->arena, k->n->chosen, v);
    a->cut.p[v.id] = cut_node(&k->cut);
    cut_node(&k->cut);
    return a->cut.p[v.id];
}

static void read_by(Keep *k, TdlVal v, uint32_t to) {
    uint32_t in = node(k, v);
    if (in) cut_edge(&k->cut, in + 1, to, CUT_NEVER);
}

/* What o reads, in its regions too. */
static TdlVals read_of(const Keep *k, TdlOp o) {
    const Adj *a = k->a;
    TdlVals vals = {0};
    for (uint32_t i = 0; i < ir_op(a->f, o)->noperands; i++) VEC_PUSH(a->arena, vals, adj_arg(a, o, i));
    for (uint32_t i = 0; i < ir_op(a->f, o)->nregions; i++) ir_free_vals(a->f, ir_op(a->f, o)->regions[i], a->arena, &vals);
    return vals;
}

/* The edges of the results of o that have nodes. */
static void join(Keep *k, TdlOp o) {
    const Adj *a = k->a;
    bool any = false, kept = ir_op(a->f, o)->code != OP_NEWDIM;
    for (uint32_t i = 0; i < ir_op(a->f, o)->nresults; i++) {
        if (!known(k, adj_res(a, o, i))) continue;
        any = true;
        kept = kept && adj_can_save(k->a, k->n, adj_res(a, o, i));
    }
    if (!any) return;
    int64_t p = price_of(k, o);
    if (p < 0 && !kept) p = MOST;
    TdlVals operands = p < 0 ? (TdlVals){0} : read_of(k, o);
    for (uint32_t i = 0; i < ir_op(a->f, o)->nresults; i++) {
        uint32_t in = known(k, adj_res(a, o, i));
        if (!in) continue;
        cut_edge(&k->cut, SOURCE, in, p < 0 ? CUT_NEVER : p);
        cut_edge(&k->cut, in, in + 1, kept ? bytes(k, adj_type(a, adj_res(a, o, i))) : CUT_NEVER);
        for (uint32_t j = 0; j < operands.n; j++) read_by(k, operands.p[j], in);
    }
}

static bool is_read(const Keep *k, TdlVal v) { return adj_marked(k->a, v); }

static void build(Keep *k) {
    Adj *a = k->a;
    for (uint32_t i = 0; i < k->n->newdims.n; i++) read_by(k, adj_arg(a, k->n->newdims.p[i], 0), SINK);
    for (TdlOp o = ir_region(a->f, k->n->from)->last; o.id; o = ir_op(a->f, o)->prev) {
        for (uint32_t i = 0; i < ir_op(a->f, o)->nresults; i++)
            if (is_read(k, adj_res(a, o, i))) read_by(k, adj_res(a, o, i), SINK);
        join(k, o);
    }
    for (uint32_t i = 0; i < ir_region(a->f, k->n->from)->args.n; i++) {
        TdlVal v = ir_region(a->f, k->n->from)->args.p[i];
        if (is_read(k, v)) read_by(k, v, SINK);
        if (!known(k, v)) continue;
        cut_edge(&k->cut, SOURCE, known(k, v), CUT_NEVER);
        cut_edge(&k->cut, known(k, v), known(k, v) + 1, bytes(k, adj_type(a, v)));
    }
}

/* ---- the whole ---- */

static double total(const Keep *k, const bool *sinks) {
    double sum = 0;
    for (uint32_t i = 0; i < k->n->chosen.n; i++) {
        uint32_t in = known(k, k->n->chosen.p[i]);
        if (!sinks[in] && sinks[in + 1]) sum += (double)bytes(k, adj_type(k->a, k->n->chosen.p[i]));
    }
    return sum;
}

/* Chooses at these prices; returns the bytes that are kept. */
static double choose(Adj *a, AdjNeed *n, int share) {
    Keep k = {.a = a, .n = n, .cut = cut_new(a->arena), .share = share};
    for (uint32_t i = 0; i < n->chosen.n; i++) a->cut.p[n->chosen.p[i].id] = 0;
    VEC_CLEAR(n->chosen);
    build(&k);
    if (!n->chosen.n) return 0;
    const bool *sinks = cut_least(&k.cut);
    double kept = total(&k, sinks);
    for (uint32_t i = 0; i < n->chosen.n; i++) {
        uint32_t *at = &a->cut.p[n->chosen.p[i].id];
        *at = sinks[*at] ? ADJ_AGAIN : sinks[*at + 1] ? ADJ_KEPT : ADJ_UNREAD;
    }
    return kept;
}

void adj_cut(Adj *a, AdjNeed *n) {
    double least = choose(a, n, LOWEST);
    if (n->save_all || !n->chosen.n || (a->opt && a->opt->limit_tape)) return;
    for (int share = 1; share < LOWEST; share *= 2)
        if (choose(a, n, share) <= MOST_TIMES_LEAST * least) return;
    choose(a, n, LOWEST);
}
