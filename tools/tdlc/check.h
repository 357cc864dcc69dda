/* tdlc check: derivatives against each other and against finite differences.
 *
 * A *target* is a function with the parameters that it is differentiated by: what a grad, vjp, jvp, ... of the exported
 * functions is taken of. check.c finds the targets and points, check_forms.c makes the functions that are called,
 * check_compare.c compares them at a point, check_locate.c looks for the operation that is off. */
#ifndef TDL_TOOLS_TDLC_CHECK_H
#define TDL_TOOLS_TDLC_CHECK_H

#include "tools/tdlc/native.h"

typedef TDL_VEC(int64_t) Int64s;

typedef struct {
    Session *s;
    const char *ir;          /* what is checked as typed IR, in text: a pass changes a module, so each probe reads it again */
    size_t ir_bytes;
    bool single;             /* something in it is f32: tolerances that fit */
    uint64_t random;         /* state of the generator */
    struct CheckPlaces *reported; /* what was said to be off, each place once */
} Check;
typedef struct CheckPlaces { TdlArena *arena; TDL_VEC(TdlSpan) at; } CheckPlaces;

/* Uniform in [0, 1). */
double check_random(Check *c);

/* ---- a module of functions to call (check_forms.c) ---- */

typedef struct { Check *c; Session s; Native native; } Probe;

typedef struct {             /* the function f by f->params[wrt]: what can be called */
    TdlFunc *value;          /* (x...) -> results */
    TdlFunc *reverse;        /* (x..., cotangent of each float result) -> results, cotangents of wrt; NULL: it has none */
    TdlFunc *forward;        /* (x..., tangent of each wrt) -> results, tangents of the float results; NULL: it has none */
    Int64s wrt;
    bool iterates;           /* some loop ends by what it computes: results may be good to a tolerance of the program's alone */
} Forms;

/* Reads the program again; its diagnostics are the probe's own. */
bool probe_open(Probe *p, Check *c);
/* `modes`: which of the two to make; `automatic`: without f's own rules. Names begin with `stem`. */
enum { MODE_REVERSE = 1, MODE_FORWARD = 2 };
Forms probe_forms(Probe *p, TdlFunc *f, const int64_t *wrt, uint32_t nwrt, const char *stem, int modes, bool automatic);
/* Compiles the functions that were made, and nothing else of the module. */
bool probe_compile(Probe *p);
void probe_close(Probe *p);
/* Makes all floats f64, so that differences say something of the formulas and kinks are seen for what they are; C functions
 * keep theirs, and where one of them is of f32, 16-bit floats become f32 alone. Returns whether
 * that is so. */
bool check_widen(TdlModule *m);
bool check_is_half(const TdlFunc *f); /* it has parameters or results of those types */
/* Float parameters of f. */
Int64s check_float_params(Check *c, const TdlFunc *f);

/* ---- values ---- */

typedef struct { TdlSym *names; int64_t *at; uint32_t n; } CheckDims;
double value_get(const Value *v, int64_t i);
void value_set(Value *v, int64_t i, double x);
Value value_copy(TdlArena *a, const Value *v);

/* ---- comparing at a point (check_compare.c) ---- */

typedef enum {
    AT_OK, AT_OFF,
    AT_KINK,     /* slopes on both sides differ */
    AT_SINGULAR, /* the value is finite, a derivative is not */
    AT_UNCLEAR,  /* differences do not converge */
    AT_FAILED    /* a status, or the value is not finite */
} AtState;
typedef struct {
    AtState state;
    uint32_t param;              /* that it is about */
    double forward, reverse;     /* derivatives along a direction, summed with weights; NaN: there is no such form */
    double difference, error;    /* by finite differences, and an estimate of their error */
    double scale;                /* of the terms of the sum */
    double modes, differences;   /* largest relative deviations over the parameters */
    bool left_out;               /* some elements are at a kink: others alone were compared */
    const char *why;             /* FAILED: what the function answered */
} AtResult;
/* Bounds of elements, by parameter; low = high: none. */
typedef struct { double low, high; } Bounds;
AtResult compare_at(Probe *p, const Forms *f, const CheckDims *dims, const Value *point, const Bounds *bounds);
/* Calls a function that was made: params[] holds its inputs, then gets its results. 0, or its status. */
int probe_call(Probe *p, TdlFunc *f, const CheckDims *dims, Value *params);

/* ---- what is off (check_locate.c) ---- */
/* Reports the operation, call or rule in `f` that is off at a point; false: it was reported before. */
bool locate(Check *c, TdlSym f, const CheckDims *dims, const Value *point, const AtResult *seen);

/* ---- domains (check_domain.c) ---- */

typedef struct { bool stated, integer, sorted; double low, high; } Domain;
/* Of parameter `name`, from the lines `name: ... in (0, 1)` of the comment of f; false after an error. */
bool domain_read(Check *c, const TdlFunc *f, const char *name, const CheckDims *dims, Domain *out);

#endif
