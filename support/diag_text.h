/* Drawing one message with its source line (used by diag.c alone). */
#ifndef TDL_SUPPORT_DIAG_TEXT_H
#define TDL_SUPPORT_DIAG_TEXT_H

#include "support/diag.h"

/* `name:line:col: kind: text`, and below it the line with `~~^~~` where the span is in a file. */
void diag_text_message(const TdlSources *s, TdlStr *out, TdlSpan at, const char *kind, const char *text);
/* `name:line:col: fix-it: replace 'old' by 'new'`. */
void diag_text_fixit(const TdlSources *s, TdlStr *out, TdlSpan at, const char *text);

#endif
