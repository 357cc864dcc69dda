/* What is known of attributes by their names: how a value is read and printed, and of what kind it must be. */
#ifndef TDL_IR_ATTR_H
#define TDL_IR_ATTR_H

#include "ir/ir.h"

typedef struct {
    const char *key;
    TdlAttrKind kind;
    bool quoted; /* STR: always printed with quotes */
} TdlAttrForm;

/* NULL: a name that is not in the table; its value is read by its form. `value` is in no table: INT or FLOAT. */
const TdlAttrForm *attr_form(const char *key);
const char *attr_kind_name(TdlAttrKind k);
/* Notes that every operation may have and that change no meaning. For reports: `saved`, how its result is kept for the
 * reverse sweep, and `redone`, it is done again there; in loop IR `exact`: neither contracted nor reassociated. */
bool attr_is_note(const char *key);
/* For tables of operations: equal attributes, floats to the bit, have equal hashes; attr_mix adds a number to a hash. */
bool attr_equal(const TdlAttr *a, const TdlAttr *b);
uint32_t attr_hash(const TdlAttr *a);
uint32_t attr_mix(uint32_t h, uint64_t x);
/* True when `s` can stand without quotes: a letter or _, then letters, digits, _ and dots; not inf or nan. */
bool attr_is_word(const char *s, size_t n);

#endif
