/* Interned strings: equal text has equal ids, so names compare as integers. */
#ifndef TDL_SUPPORT_INTERN_H
#define TDL_SUPPORT_INTERN_H

#include "support/arena.h"
#include <stdint.h>

typedef struct { uint32_t id; } TdlSym; /* 0: no symbol */

typedef struct TdlInterner TdlInterner;

/* The interner and its strings live in `a`. */
TdlInterner *intern_new(TdlArena *a);
TdlSym intern_n(TdlInterner *in, const char *s, size_t n);
TdlSym intern(TdlInterner *in, const char *s);
/* The text of `s`, NUL-terminated, valid as long as the interner; "" for symbol 0. */
const char *sym_text(const TdlInterner *in, TdlSym s);

#define SYM_NONE ((TdlSym){0})
static inline int sym_eq(TdlSym a, TdlSym b) { return a.id == b.id; }

#endif
