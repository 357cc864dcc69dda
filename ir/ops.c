/* The operation table, from ops.def. */
#include "ir/ir.h"

#include <string.h>

#define PURE OPF_PURE
#define ELEMENTWISE OPF_ELEMENTWISE
#define COMMUTATIVE OPF_COMMUTATIVE
#define FUNCTION OPF_FUNCTION
#define TERMINATOR OPF_TERMINATOR
#define EFFECT OPF_EFFECT
#define LOOPIR OPF_LOOPIR
#define VIEW OPF_VIEW
#define REDUCE OPF_REDUCE
#define REGION OPF_REGION

static const TdlOpInfo OPS[OP_COUNT] = {
    [OP_NONE] = {"none", 0, 0, 0, 0, DERIV_NONE, LOWER_EARLY, "", "a removed operation"},
#define OP(NAME, mnemonic, min, max, regions, flags, TYPE, DERIV, LOWER, attributes, documentation) \
    [OP_##NAME] = {mnemonic, min, max, regions, flags, DERIV_##DERIV, LOWER_##LOWER, attributes, documentation},
#include "ir/ops.def"
#undef OP
};

const TdlOpInfo *op_info(TdlOpcode code) { return &OPS[code < OP_COUNT ? code : OP_NONE]; }

TdlOpcode op_by_name(const char *name) {
    for (int c = OP_NONE + 1; c < OP_COUNT; c++)
        if (OPS[c].name[0] == name[0] && strcmp(OPS[c].name, name) == 0) return (TdlOpcode)c;
    return OP_NONE;
}

uint32_t ir_op_weight(TdlOpcode code) {
    switch (code) {
    case OP_CONST: case OP_DIM: case OP_UNDEF: case OP_YIELD: case OP_CAST: return 0;
    case OP_DIV: case OP_SQRT: case OP_FLOORDIV: case OP_MOD: return 4;
    default: return op_info(code)->flags & OPF_FUNCTION ? 20 : 1;
    }
}

/* A conversion between a 16-bit float and f32. */
static bool is_half_cast(TdlElem from, TdlElem to) {
    TdlElem other = from == EL_F32 ? to : to == EL_F32 ? from : EL_COUNT;
    return other == EL_F16 || other == EL_BF16;
}

bool ir_in_lanes(const TdlFunc *f, TdlOp o) {
    const TdlOpData *d = ir_op(f, o);
    TdlElem e = d->noperands ? ty_elem(f->module, ir_type(f, d->operands[0])) : EL_COUNT;
    switch ((int)d->code) {
    case OP_ADD: case OP_SUB: case OP_MUL: case OP_NEG: case OP_AND: case OP_OR: case OP_NOT: case OP_SELECT: case OP_DETACH:
    case OP_EQ: case OP_NE: case OP_LT: case OP_LE: case OP_GT: case OP_GE: return true;
    case OP_DIV: case OP_ABS: case OP_MAX: case OP_MIN: case OP_SQRT: case OP_FLOOR: case OP_CEIL: case OP_TRUNC: case OP_ROUND:
    case OP_SIN: case OP_COS: return el_is_float(e);
    case OP_EXP: case OP_EXPM1: case OP_LOG: case OP_LOG1P: case OP_TANH: case OP_SIGMOID: case OP_TAN:
    case OP_ERF: case OP_ERFC: case OP_ASIN: case OP_ACOS: case OP_ATAN: case OP_ATAN2: case OP_SINH: case OP_COSH: case OP_ASINH:
    case OP_ACOSH: case OP_ATANH: return true;
    case OP_POW: return el_is_float(e);
    case OP_CAST: return is_half_cast(e, ty_elem(f->module, ir_type(f, d->results[0])));
    default: return false;
    }
}
