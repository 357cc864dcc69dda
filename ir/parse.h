/* Reading IR text: the reader's state and its pieces. scan.c reads characters, names, numbers, dimensions and
 * types; parse.c operations and functions. The first error in a function is reported and the function is left. */
#ifndef TDL_IR_PARSE_H
#define TDL_IR_PARSE_H

#include "ir/ir.h"

typedef struct { uint64_t number; TdlVal val; } NumberedVal;

typedef struct {
    TdlModule *m;
    uint32_t file;
    const char *text, *p, *end;
    bool failed;             /* in the function being read */
    int depth;               /* of regions, types and parentheses: bounded, so that no text exhausts the stack */
    TdlFunc *f;
    NumberedVal *vals;       /* values of f by the number they have in the text: open addressing, val 0 is free */
    uint32_t nvals, nslots;
    TDL_VEC(uint32_t) files; /* the sources that places point to, by their number in the text; none: places are as they stand */
    TdlArena scratch;        /* of the function being read */
} Parser;

enum { PARSE_MAX_DEPTH = 500 };

/* Reports an error at [from, to) (at the next character when from is NULL); returns false. */
bool scan_error(Parser *p, const char *from, const char *fmt, ...) __attribute__((format(printf, 3, 4)));
void scan_space(Parser *p);                       /* blanks, line ends and comments */
bool scan_is(Parser *p, const char *punct);       /* after space: does `punct` come next? */
bool scan_accept(Parser *p, const char *punct);   /* and takes it */
bool scan_expect(Parser *p, const char *punct);
bool scan_peek_word(Parser *p, const char *word); /* a whole word comes next */
bool scan_at_word(Parser *p);                     /* a letter or _ comes next */
bool scan_word(Parser *p, const char **s, size_t *n, const char *what);
bool scan_name(Parser *p, TdlSym *name, const char *what); /* a word or a quoted text */
bool scan_string(Parser *p, char **s, size_t *n);
bool scan_int(Parser *p, int64_t *v);
/* An integer or a float (inf, nan too). */
bool scan_number(Parser *p, bool *is_float, int64_t *i, double *f);
bool scan_value_number(Parser *p, uint64_t *n);   /* %12 */
bool scan_dim(Parser *p, TdlDim *d);
bool scan_dims(Parser *p, TdlDims *out);          /* <a, b> */
bool scan_type(Parser *p, TdlType *t);
bool scan_span(Parser *p, TdlSpan *s);            /* after `!` */
/* A backward graph, from the word `graph`; the names after `grad_fns` (graph_text.c). */
bool graph_parse(Parser *p);
bool graph_parse_names(Parser *p);
bool source_parse(Parser *p);                     /* from the word `source` (source_text.c) */
TdlSpan scan_here(const Parser *p, const char *from, const char *to);

#endif
