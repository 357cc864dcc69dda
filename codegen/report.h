/* What a function keeps for its reverse sweep, and what it does again there, by source line (report.c). */
#ifndef TDL_CODEGEN_REPORT_H
#define TDL_CODEGEN_REPORT_H

#include "ir/ir.h"

/* Bytes are a call's, an iteration's of a loop whose length is found at run time, or a level's of a recursion (over the
 * dimensions of the recursive function). */
typedef enum { PER_CALL, PER_ITERATION, PER_LEVEL, PER_COUNT } ReportPer;

typedef struct {
    const char *file;
    uint32_t line;
    const char *how;          /* tape, snapshots, value, state; redone: nothing is kept */
    TdlDim bytes;
    ReportPer per;
} ReportRow;

typedef struct { TdlSym name; TdlFunc *f; TdlOp newdim; } ReportSize;

typedef struct {
    TdlFunc *f;
    TDL_VEC(ReportRow) kept, redone; /* by file and line */
    TDL_VEC(TdlOp) bodies;    /* of f: in the reverse of index notation */
    TDL_VEC(ReportSize) sizes; /* that the bytes mention and are found at run time */
    TdlDim sum[PER_COUNT];    /* of the bytes kept; 0: none */
    TDL_VEC(TdlFunc *) called;
} Report;

/* Of a function in loop IR, with the recursive ones that it calls. */
Report report_of(TdlFunc *f);
const char *report_per(ReportPer per); /* "a call" */
/* ` * Kept for the reverse sweep: ...` for the header; nothing where nothing is kept. */
void report_header(TdlFunc *f, TdlStr *out);

#endif
