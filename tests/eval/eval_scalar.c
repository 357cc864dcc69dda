/* Elementwise operations, one element at a time, in double and rounded to the element type. */
#include "eval.h"
#include <math.h>

double ev_round(TdlElem e, double x) { return e == EL_F32 ? (double)(float)x : x; }

/* psi_n(x): recurrence up to x >= 20, then the asymptotic series (DLMF 5.11.2, 5.15.8); reflection by differences is
 * not needed: tests stay at x > 0. */
static double polygamma(int64_t n, double x) {
    static const double b[] = {1.0 / 6, -1.0 / 30, 1.0 / 42, -1.0 / 30, 5.0 / 66, -691.0 / 2730, 7.0 / 6};
    double s = 0, fact = tgamma((double)n + 1), sign = n % 2 ? 1 : -1;
    for (; x < 20; x += 1) s += n ? sign * fact * pow(x, -(double)(n + 1)) : -1 / x;
    if (!n) {
        s += log(x) - 0.5 / x;
        for (int k = 0; k < 7; k++) s -= b[k] / ((2 * k + 2) * pow(x, 2 * k + 2));
        return s;
    }
    s += sign * (tgamma((double)n) / pow(x, (double)n) + fact / (2 * pow(x, (double)n + 1)));
    for (int k = 0; k < 7; k++)
        s += sign * b[k] * tgamma((double)(2 * k + 2 + n)) / (tgamma(2 * k + 3.0) * pow(x, (double)(2 * k + 2 + n)));
    return s;
}

bool ev_beats(double x, double best, bool max, bool zeros) {
    if (best != best || x != x) return best == best;
    if (zeros && x == 0 && best == 0) return max ? signbit(best) && !signbit(x) : signbit(x) && !signbit(best);
    return max ? x > best : x < best;
}

static double float_op(EvCall *c, TdlOp o, const double *x) {
    double a = x[0], b = x[1];
    switch (ir_op(c->f, o)->code) {
    case OP_NEG: return -a;
    case OP_ABS: return fabs(a);
    case OP_SIGN: return a > 0 ? 1 : a < 0 ? -1 : a;
    case OP_FLOOR: return floor(a);
    case OP_CEIL: return ceil(a);
    case OP_ROUND: return nearbyint(a);
    case OP_TRUNC: return trunc(a);
    case OP_SQRT: return sqrt(a);
    case OP_EXP: return exp(a);
    case OP_EXPM1: return expm1(a);
    case OP_LOG: return log(a);
    case OP_LOG1P: return log1p(a);
    case OP_SIN: return sin(a);
    case OP_COS: return cos(a);
    case OP_TAN: return tan(a);
    case OP_ASIN: return asin(a);
    case OP_ACOS: return acos(a);
    case OP_ATAN: return atan(a);
    case OP_SINH: return sinh(a);
    case OP_COSH: return cosh(a);
    case OP_TANH: return tanh(a);
    case OP_ASINH: return asinh(a);
    case OP_ACOSH: return acosh(a);
    case OP_ATANH: return atanh(a);
    case OP_SIGMOID: return a >= 0 ? 1 / (1 + exp(-a)) : exp(a) / (1 + exp(a));
    case OP_ERF: return erf(a);
    case OP_ERFC: return erfc(a);
    case OP_LGAMMA: return lgamma(a);
    case OP_POLYGAMMA: return polygamma(op_int(c->f, o, "n", 0), a);
    case OP_ADD: return a + b;
    case OP_SUB: return a - b;
    case OP_MUL: return a * b;
    case OP_DIV: return a / b;
    case OP_FLOORDIV: return floor(a / b);
    case OP_MOD: return a - b * floor(a / b);
    case OP_POW: return pow(a, b);
    case OP_ATAN2: return atan2(a, b);
    case OP_MAX: return a != a || b != b ? (double)NAN : ev_beats(b, a, true, true) ? b : a;
    case OP_MIN: return a != a || b != b ? (double)NAN : ev_beats(b, a, false, true) ? b : a;
    default: ev_fail(c, "not evaluated: %s", op_info(ir_op(c->f, o)->code)->name); return 0;
    }
}

static int64_t wrap(TdlElem e, uint64_t x) { return e == EL_I32 ? (int64_t)(int32_t)(uint32_t)x : (int64_t)x; }

static int64_t int_pow(EvCall *c, int64_t a, int64_t b) {
    uint64_t z = 1;
    if (b < 0) ev_fail(c, "negative power");
    for (int64_t i = 0; i < b; i++) z *= (uint64_t)a;
    return (int64_t)z;
}

/* Philox4x32-10 (Salmon et al. 2011): first word for key (seed) and counter. */
static int64_t philox(uint64_t seed, uint64_t counter) {
    uint32_t x[4] = {(uint32_t)counter, (uint32_t)(counter >> 32), 0, 0}, k[2] = {(uint32_t)seed, (uint32_t)(seed >> 32)};
    for (int r = 0; r < 10; r++, k[0] += 0x9E3779B9u, k[1] += 0xBB67AE85u) {
        uint64_t p = 0xD2511F53ull * x[0], q = 0xCD9E8D57ull * x[2];
        uint32_t y[4] = {(uint32_t)(q >> 32) ^ x[1] ^ k[0], (uint32_t)q, (uint32_t)(p >> 32) ^ x[3] ^ k[1], (uint32_t)p};
        for (int i = 0; i < 4; i++) x[i] = y[i];
    }
    return (int64_t)x[0];
}

static int64_t int_op(EvCall *c, TdlOp o, TdlElem e, const int64_t *x) {
    int64_t a = x[0], b = x[1];
    TdlOpcode code = ir_op(c->f, o)->code;
    if ((code == OP_FLOORDIV || code == OP_MOD) && !b) {
        ev_fail(c, "integer division by zero");
        return 0;
    }
    int64_t q = b && code >= OP_FLOORDIV ? (b == -1 ? (int64_t)(0 - (uint64_t)a) : a / b - (a % b && (a % b < 0) != (b < 0))) : 0;
    switch (code) {
    case OP_NEG: return wrap(e, 0 - (uint64_t)a);
    case OP_ABS: return wrap(e, a < 0 ? 0 - (uint64_t)a : (uint64_t)a);
    case OP_SIGN: return (a > 0) - (a < 0);
    case OP_FLOOR: case OP_CEIL: case OP_ROUND: case OP_TRUNC: return a;
    case OP_NOT: return !a;
    case OP_ADD: return wrap(e, (uint64_t)a + (uint64_t)b);
    case OP_SUB: return wrap(e, (uint64_t)a - (uint64_t)b);
    case OP_MUL: return wrap(e, (uint64_t)a * (uint64_t)b);
    case OP_FLOORDIV: return wrap(e, (uint64_t)q);
    case OP_MOD: return wrap(e, (uint64_t)a - (uint64_t)q * (uint64_t)b);
    case OP_POW: return wrap(e, (uint64_t)int_pow(c, a, b));
    case OP_MAX: return a > b ? a : b;
    case OP_MIN: return a < b ? a : b;
    case OP_AND: return a & b;
    case OP_OR: return a | b;
    case OP_PHILOX: return philox((uint64_t)a, (uint64_t)b);
    default: ev_fail(c, "not evaluated: %s", op_info(code)->name); return 0;
    }
}

static bool compare(TdlOpcode c, double a, double b) {
    switch (c) {
    case OP_EQ: return a == b;
    case OP_NE: return a != b;
    case OP_LT: return a < b;
    case OP_LE: return a <= b;
    case OP_GT: return a > b;
    default: return a >= b;
    }
}

static bool compare_int(TdlOpcode c, int64_t a, int64_t b) {
    return compare(c, a < b ? -1 : a > b, 0);
}

static void cast(EvVal *z, const EvVal *x, int64_t i) {
    if (z->f) z->f[i] = ev_round(z->elem, x->f ? x->f[i] : (double)x->i[i]);
    else if (z->elem == EL_BOOL) z->i[i] = x->f ? x->f[i] != 0 : x->i[i] != 0;
    else z->i[i] = x->f ? (int64_t)x->f[i] : wrap(z->elem, (uint64_t)x->i[i]);
}

void ev_scalar_op(EvCall *c, TdlOp o) {
    TdlOpcode code = ir_op(c->f, o)->code;
    uint32_t nops = ir_op(c->f, o)->noperands;
    EvVal z = ev_tensor(c, ir_type(c->f, ir_op(c->f, o)->results[0]));
    for (uint32_t k = 0; k < nops; k++)
        if (ev_in(c, o, k)->n != z.n) ev_fail(c, "%s: shapes differ at run time", op_info(code)->name);
    for (int64_t i = 0; i < z.n && !c->why; i++) {
        double f[2] = {0};
        int64_t n[2] = {0};
        for (uint32_t k = 0; k < nops && k < 2; k++) {
            const EvVal *x = ev_in(c, o, k);
            if (x->f) f[k] = x->f[i];
            else n[k] = x->i[i];
        }
        if (code == OP_SELECT) ev_move(&z, i, ev_in(c, o, n[0] ? 1 : 2), i, 1);
        else if (code == OP_CAST) cast(&z, ev_in(c, o, 0), i);
        else if (code >= OP_EQ && code <= OP_GE)
            z.i[i] = ev_in(c, o, 0)->f ? compare(code, f[0], f[1]) : compare_int(code, n[0], n[1]);
        else if (z.f) z.f[i] = ev_round(z.elem, float_op(c, o, f));
        else z.i[i] = int_op(c, o, z.elem, n);
    }
    *ev_out(c, o, 0) = z;
}
