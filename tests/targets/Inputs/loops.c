/* Value, gradient against central differences, and the message of a failed check. */
#include "loops.h"
#include <math.h>
#include <stdio.h>
#include <string.h>

int main(void)
{
    double x[9], dx[9], value, other[9], up, down;
    for (int i = 0; i < 9; i++) x[i] = 0.1 * i + 0.03;
    if (walk_grad(9, x, 3, 2, &value, dx, NULL, 0)) return puts(tdl_last_error()), 1;
    for (int i = 0; i < 9; i++) { /* central differences */
        memcpy(other, x, sizeof x);
        other[i] = x[i] + 1e-6, walk_grad(9, other, 3, 2, &up, NULL, NULL, 0);
        other[i] = x[i] - 1e-6, walk_grad(9, other, 3, 2, &down, NULL, NULL, 0);
        if (!(fabs((up - down) / 2e-6 - dx[i]) < 1e-7)) return printf("%d: %g %g\n", i, (up - down) / 2e-6, dx[i]), 1;
    }
    printf("%.10f\n", value);
    if (!walk_grad(9, x, 3, 9, &value, dx, NULL, 0)) return 1;
    puts(tdl_last_error());
    return 0;
}
