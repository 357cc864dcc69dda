/* Sources and places in IR text, so that what is read back in another process still knows file and line.
 *
 *     source 1 "gmm.tdl" "export fn ..."         the sources that places point to, with their text
 *     ... !1:120:130:125                         after an operation: source, first byte, end, caret; !0:0:0:0 nowhere */
#ifndef TDL_IR_SOURCE_TEXT_H
#define TDL_IR_SOURCE_TEXT_H

#include "ir/ir.h"

/* The number in the text of each source, by its own number: 1, 2, ... for those that a place of the module points to. */
uint32_t *source_numbers(const TdlModule *m, TdlArena *scratch);
/* s in quotes, as the reader takes it (print.c). */
void ir_print_quoted(TdlStr *out, const char *s, size_t n);
void source_print(const TdlModule *m, const uint32_t *files, TdlStr *out);
/* ` !file:lo:hi:at`; files NULL: the source's own number. */
void source_print_span(TdlSpan s, const uint32_t *files, TdlStr *out);

#endif
