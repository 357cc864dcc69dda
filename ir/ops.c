/* The operation table, from ops.def. */
#include "ir/ir.h"

#include <string.h>

#define PURE OPF_PURE
#define ELEMENTWISE OPF_ELEMENTWISE
#define COMMUTATIVE OPF_COMMUTATIVE
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
