/* Values on the command line of `tdlc run`: numbers, lists such as [[1, 2], [3, 4]], .npy files. */
#ifndef TDL_TOOLS_TDLC_VALUE_H
#define TDL_TOOLS_TDLC_VALUE_H

#include "runtime/tdl_npy.h"
#include "tools/tdlc/session.h"

/* A tensor in memory (arena-owned), of the element type wanted. */
typedef struct { TdlElem elem; uint32_t rank; int64_t dims[TDL_NPY_MAX_RANK]; void *data; } Value;

/* Reads `text` as a value of element type `e` for the argument `name`; false: a diagnostic says why. */
bool value_read(Session *s, const char *name, const char *text, TdlElem e, Value *out);
bool value_write_npy(Session *s, const char *path, const Value *v);
int64_t value_count(const Value *v);

#endif
