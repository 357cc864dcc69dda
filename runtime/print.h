/* `print` of scripts: values as PyTorch 2.13 shows them. */
#ifndef TDL_RUNTIME_PRINT_H
#define TDL_RUNTIME_PRINT_H

#include <stddef.h>
#include <stdint.h>

/* Element types, numbered as the compiler numbers them. */
enum tdlrt_elem { TDLRT_BOOL, TDLRT_I32, TDLRT_I64, TDLRT_F16, TDLRT_BF16, TDLRT_F32, TDLRT_F64 };

/* One operand: a row-major tensor. Generated code builds these. */
typedef struct { const void *data; const int64_t *dims; int32_t elem, rank; } TdlrtArg;

/* Writes `format` and a newline to standard output. In it, {} is the next operand as `tensor(...)`, {r} the same with
 * requires_grad=True, {f} a tensor and its grad_fn (two operands: the tensor, the number of the name or -1), {g} the
 * number of a grad_fn as <Name> or None, {v} a scalar as Python prints numbers; {?} and {?f}
 * begin with a bool, and are None where it is false; {{ is a brace. */
void tdlrt_print(const char *format, const TdlrtArg *args, int64_t n, const char *const *names);
/* The same as text of malloc (NULL: no memory). */
char *tdlrt_format(const char *format, const TdlrtArg *args, int64_t n, const char *const *names);

#endif
