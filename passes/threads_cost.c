/* How much work a loop is: simple operations on one element, as a product of sizes in f64, which no sizes overflow.
 * A loop inside counts with its bounds, those that depend on a loop around it with the average of its index; what is
 * known at run time alone, inside, counts UNKNOWN iterations. */
#include "passes/threads.h"

enum { UNKNOWN = 8, DIVISION = 4, FUNCTION = 20, PRODUCTS = 4, /* multiply-adds of a contraction that are one operation */
       RANGE = 64 /* rows of one of which a range is computed */ };

ThreadCost cost_number(double n) { return (ThreadCost){.n = n}; }

TdlVal cost_value(TdlBuilder *b, ThreadCost x) { return x.v.id ? x.v : ir_const_float(b, EL_F64, x.n); }

ThreadCost cost_add(TdlBuilder *b, ThreadCost x, ThreadCost y) {
    if (!x.v.id && !y.v.id) return cost_number(x.n + y.n);
    if (!x.v.id && x.n == 0) return y;
    if (!y.v.id && y.n == 0) return x;
    return (ThreadCost){.v = ir_binary(b, OP_ADD, cost_value(b, x), cost_value(b, y))};
}

ThreadCost cost_mul(TdlBuilder *b, ThreadCost x, ThreadCost y) {
    if (!x.v.id && !y.v.id) return cost_number(x.n * y.n);
    if ((!x.v.id && x.n == 0) || (!y.v.id && y.n == 1)) return x;
    if ((!y.v.id && y.n == 0) || (!x.v.id && x.n == 1)) return y;
    return (ThreadCost){.v = ir_binary(b, OP_MUL, cost_value(b, x), cost_value(b, y))};
}

/* ---- sizes ---- */

ThreadCost cost_of_dim(Threads *t, TdlBuilder *b, TdlDim d) {
    int64_t n;
    if (dim_is_const(t->m, d, &n)) return cost_number((double)n);
    return ir_dim_at_entry(t->f, d) ? (ThreadCost){.v = ir_cast(b, ir_dim(b, d), EL_F64)} : cost_number(UNKNOWN);
}

/* Size by size: their product may not fit into 64 bits where one of them is 0. */
static ThreadCost cost_of_elements(Threads *t, TdlBuilder *b, TdlVal buf) {
    ThreadCost n = cost_number(1);
    TdlType type = ir_type(t->f, buf);
    for (uint32_t i = 0; i < ty_rank(t->m, type); i++) n = cost_mul(b, n, cost_of_dim(t, b, ty_dims(t->m, type)[i]));
    return n;
}

/* Negative and unknown ones. */
static ThreadCost at_least_0(TdlBuilder *b, ThreadCost x) {
    if (!x.v.id) return cost_number(x.n > 0 ? x.n : 0);
    return (ThreadCost){.v = ir_binary(b, OP_MAX, x.v, ir_const_float(b, EL_F64, 0))};
}

static bool average(Threads *t, TdlBuilder *b, TdlVal x, ThreadCost *n);

/* The average of the index of a loop. */
static bool middle(Threads *t, TdlBuilder *b, TdlOp loop, ThreadCost *n) {
    ThreadCost lo, hi;
    if (ir_op(t->f, loop)->code != OP_FOR || !average(t, b, ir_op(t->f, loop)->operands[0], &lo) || !average(t, b, ir_op(t->f, loop)->operands[1], &hi)) return false;
    *n = cost_mul(b, cost_number(0.5), cost_add(b, lo, hi));
    return true;
}

/* The average of an integer; false: it is found at run time, inside the loop. */
static bool average(Threads *t, TdlBuilder *b, TdlVal x, ThreadCost *n) {
    TdlOp def = ir_val(t->f, x)->def;
    TdlDim d;
    int64_t c;
    if (ir_val_dim(t->f, x, &d) && dim_is_const(t->m, d, &c)) return *n = cost_number((double)c), true;
    if (!ir_defined_in(t->f, x, t->body)) return *n = (ThreadCost){.v = ir_cast(b, x, EL_F64)}, true;
    if (!def.id) return ir_val(t->f, x)->index == 0 && middle(t, b, ir_region(t->f, ir_val(t->f, x)->region)->parent, n);
    TdlOpcode code = ir_op(t->f, def)->code;
    ThreadCost y, z;
    if (code == OP_DIM) return *n = cost_of_dim(t, b, op_attr(t->f, def, "d")->dim), true;
    if (code != OP_ADD && code != OP_SUB && code != OP_MUL) return false;
    if (!average(t, b, ir_op(t->f, def)->operands[0], &y) || !average(t, b, ir_op(t->f, def)->operands[1], &z)) return false;
    *n = code == OP_MUL ? cost_mul(b, y, z) : cost_add(b, y, cost_mul(b, cost_number(code == OP_SUB ? -1 : 1), z));
    return true;
}

/* ---- operations ---- */

static double simple(const Threads *t, TdlOp o) {
    TdlOpcode code = ir_op(t->f, o)->code;
    switch ((int)code) {
    case OP_CONST: case OP_DIM: case OP_YIELD: case OP_VIEW: case OP_ALLOC: return 0;
    case OP_DIV: case OP_FLOORDIV: case OP_MOD: case OP_SQRT: return DIVISION;
    case OP_EXP: case OP_EXPM1: case OP_LOG: case OP_LOG1P: case OP_SIN: case OP_COS: case OP_TAN: case OP_ASIN: case OP_ACOS:
    case OP_ATAN: case OP_ATAN2: case OP_SINH: case OP_COSH: case OP_TANH: case OP_ASINH: case OP_ACOSH: case OP_ATANH:
    case OP_SIGMOID: case OP_ERF: case OP_ERFC: case OP_POW: return FUNCTION;
    default: return op_info(code)->flags & OPF_ELEMENTWISE && !ir_in_lanes(t->f, o) ? FUNCTION : 1;
    }
}

static ThreadCost region_cost(Threads *t, TdlBuilder *b, TdlRegion r);

ThreadCost cost_of_loop(Threads *t, TdlBuilder *b, TdlOp loop) {
    ThreadCost lo, hi, trips = cost_number(UNKNOWN);
    bool known = average(t, b, ir_op(t->f, loop)->operands[0], &lo) && average(t, b, ir_op(t->f, loop)->operands[1], &hi);
    if (known) trips = at_least_0(b, cost_add(b, hi, cost_mul(b, cost_number(-1), lo)));
    return cost_mul(b, trips, region_cost(t, b, ir_op(t->f, loop)->regions[0]));
}

/* The axes of one operand that the other does not have, or all. */
static ThreadCost axes_cost(Threads *t, TdlBuilder *b, TdlOp o, uint32_t operand, const TdlAttr *without) {
    ThreadCost n = cost_number(1);
    const TdlAttr *axes = op_attr(t->f, o, operand == 1 ? "axes_a" : "axes_b");
    int64_t range = ir_op(t->f, o)->noperands == 6 ? op_attr(t->f, o, "axes_c")->ints[0] : -1;
    for (uint32_t i = 0; i < axes->n; i++) {
        bool counted = false;
        for (uint32_t k = 0; without && k < without->n; k++) counted |= without->ints[k] == axes->ints[i];
        TdlDim size = ty_dims(t->m, ir_type(t->f, ir_op(t->f, o)->operands[operand]))[i];
        if (!counted) n = cost_mul(b, n, axes->ints[i] == range ? cost_number(RANGE) : cost_of_dim(t, b, size));
    }
    return n;
}

ThreadCost cost_of_contraction(Threads *t, TdlBuilder *b, TdlOp o) {
    ThreadCost a = axes_cost(t, b, o, 1, NULL), rest = axes_cost(t, b, o, 2, op_attr(t->f, o, "axes_a"));
    return cost_mul(b, cost_mul(b, a, rest), cost_number(1.0 / PRODUCTS));
}

static ThreadCost region_cost(Threads *t, TdlBuilder *b, TdlRegion r) {
    ThreadCost sum = cost_number(0);
    IR_FOREACH_OP(t->f, r, o) {
        TdlOpcode code = ir_op(t->f, o)->code;
        ThreadCost c = cost_number(simple(t, o));
        if (code == OP_FOR) c = cost_of_loop(t, b, o);
        else if (code == OP_CONTRACT) c = cost_of_contraction(t, b, o);
        else if (code == OP_COPY || code == OP_FILL) c = cost_of_elements(t, b, ir_op(t->f, o)->operands[0]);
        else
            for (uint32_t k = 0; k < ir_op(t->f, o)->nregions; k++)
                c = cost_add(b, c, cost_mul(b, cost_number(code == OP_WHILE ? UNKNOWN : 1), region_cost(t, b, ir_op(t->f, o)->regions[k])));
        sum = cost_add(b, sum, c);
    }
    return sum;
}
