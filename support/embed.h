/* Text files built into the program (CMake's tdl_embed): an array that ends with a NULL name.
 *
 *     extern const TdlEmbedded std_files[]; */
#ifndef TDL_SUPPORT_EMBED_H
#define TDL_SUPPORT_EMBED_H

#include <stddef.h>

typedef struct { const char *name, *text; size_t n; } TdlEmbedded; /* text ends in NUL, which n does not count */

#endif
