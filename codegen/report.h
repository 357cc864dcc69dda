/* What a function keeps for its reverse sweep, and what it does again there, by source line (report.c). */
#ifndef TDL_CODEGEN_REPORT_H
#define TDL_CODEGEN_REPORT_H

#include "ir/ir.h"

typedef struct {
    const char *file;
    uint32_t line;
    const char *how;          /* tape, snapshots, value; redone: nothing is kept */
    TdlDim bytes;             /* a call, or an iteration */
    bool each;                /* of a loop whose length is found at run time */
} ReportRow;

typedef struct {
    TdlFunc *f;
    TDL_VEC(ReportRow) kept, redone; /* by file and line */
    TdlDim bytes;             /* kept a call */
    TdlDim each;              /* and an iteration of each loop of a length found at run time; 0: there is none */
} Report;

/* Of a function in loop IR. */
Report report_of(TdlFunc *f);
/* ` * Kept for the reverse sweep: ...` for the header; nothing where nothing is kept. */
void report_header(TdlFunc *f, TdlStr *out);

#endif
