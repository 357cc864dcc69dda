/* Type rules: what the operands, attributes and regions of an operation say about its results. One function
 * rule_<TYPE> for each word in column TYPE of ops.def; the builder uses them to find result types, the verifier to
 * check them. */
#ifndef TDL_IR_TYPERULE_H
#define TDL_IR_TYPERULE_H

#include "ir/ir.h"

typedef struct {
    TdlModule *m;
    const TdlFunc *f;
    TdlOp op;
    const TdlOpData *d;   /* of op; valid as long as nothing is added to f */
    const TdlType *given; /* the result types the operation has; NULL while they are looked for */
    TdlType *out;         /* filled by the rule: d->nresults of them */
    TdlStr *why;          /* set on a fault: what is wrong, with the shapes */
} TdlRule;

/* Finds what the results of `o` must be. False: the operands, attributes or regions do not fit, *why says how. */
bool ir_type_rule(TdlFunc *f, TdlOp o, TdlType *out, TdlStr *why, bool given);

#define OP(NAME, mnemonic, min, max, regions, flags, TYPE, ...) bool rule_##TYPE(TdlRule *r);
#include "ir/ops.def"
#undef OP

/* ---- helpers shared by the rule files ---- */

bool rule_fault(TdlRule *r, const char *fmt, ...) __attribute__((format(printf, 2, 3))); /* returns false */
/* `lanes` is a power of two from 2 to 64. */
bool rule_lanes(TdlRule *r, int64_t lanes);
static inline TdlType rule_in(const TdlRule *r, uint32_t i) { return ir_type(r->f, r->d->operands[i]); }
const char *rule_text(TdlRule *r, TdlType t);
/* Operands from `first` on are i64 scalars; at most `max` of them. */
bool rule_indices(TdlRule *r, uint32_t first, uint32_t max);
bool rule_tensor(TdlRule *r, uint32_t i);     /* operand i is a tensor */
bool rule_is(TdlRule *r, TdlType t, TdlType want, const char *what); /* t is want, else a fault naming `what` */
bool rule_results(TdlRule *r, uint32_t n);    /* there are n results */

#endif
