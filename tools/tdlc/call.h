/* A call of a function with values from the command line: its dimensions, arguments and results. */
#ifndef TDL_TOOLS_TDLC_CALL_H
#define TDL_TOOLS_TDLC_CALL_H

#include "tools/tdlc/value.h"

typedef struct {
    Session *s;
    TdlFunc *f;
    TdlSym *names;          /* dimension variables with a value, and the values */
    TdlDim *values;
    uint32_t nbound;
    Value *args;            /* by parameter; no data: not known yet */
} Call;

Call call_of(Session *s, TdlFunc *f);
/* What the command line gives to `name`; NULL: nothing. */
const char *call_binding(const Call *c, const char *name);
bool call_bound(const Call *c, TdlSym v);
void call_bind(Call *c, TdlSym v, TdlDim value);
/* Dimensions that the command line gives by name; false after an error. */
bool call_given(Call *c);
/* Those that follow from the shapes of the arguments. */
void call_solve(Call *c);
/* Whether all dimensions are known; every one that is not is reported. */
bool call_all_bound(const Call *c);
/* True when argument i has the shape that its type says; every disagreement is reported. */
bool call_fits(const Call *c, uint32_t i);
/* Memory for a value of type t; false where its size does not follow from the dimensions, is negative or too large. */
bool call_shape(const Call *c, TdlType t, Value *v);
/* The values of the function's dimensions, in order. */
int64_t *call_dims(const Call *c);

#endif
