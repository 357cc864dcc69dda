/* The module's type table (type.c); ir.h has the types themselves. */
#ifndef TDL_IR_TYPE_H
#define TDL_IR_TYPE_H

#include "ir/ir.h"

/* Called once by ir_module_new. */
void ty_table_new(TdlModule *m);

#endif
