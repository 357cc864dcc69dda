/* From the syntax tree to typed IR: names, types, shapes and operations in one walk.
 *
 * A frontend value is compile-time structure (tuples, structs, functions, literals, dimensions) over SSA values;
 * only the SSA values reach the IR. lower_int.h is the tour of the implementation. */
#ifndef TDL_FRONTEND_LOWER_H
#define TDL_FRONTEND_LOWER_H

#include "frontend/ast.h"
#include "ir/ir.h"


typedef struct {
    const char *const *include_dirs; /* -I, searched after the folder of the file that says `use` */
    uint32_t ninclude;
    const TdlDimFix *fixes;          /* -D d=10: dimension parameters of that name in exported functions */
    uint32_t nfixes;
    const AstFile *const *more;      /* further declarations, beside those of the file: of the command line */
    uint32_t nmore;
    bool no_script;                  /* top-level statements are an error (a file that becomes an object) */
    /* Called with the path of each file that `use` reads (dependency files); may be NULL. */
    void (*on_use)(void *user, const char *path);
    void *user;
} TdlLowerOptions;

/* Lowers `f` and what it uses into `m`. Errors go to m->diags; true when there was none. `opt` may be NULL. */
bool lower_file(TdlModule *m, const AstFile *f, const TdlLowerOptions *opt);

#endif
