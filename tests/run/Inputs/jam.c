/* Prints what the functions of jam.tdl give for all kinds of numbers of rows and of lanes. Values are small integers, whose sums
 * are exact in any order. */
#include "jam.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

static double *matrix(int64_t rows, int64_t columns, int64_t factor) {
    double *a = malloc(sizeof(double) * (size_t)(rows * columns + 1));
    for (int64_t i = 0; i < rows; i++)
        for (int64_t j = 0; j < columns; j++) a[i*columns + j] = (double)((factor*i + 3*j + i*j) % 7 - 3);
    return a;
}

static void show(const char *name, int status, const double *a, int64_t n) {
    printf("%s %d:", name, status);
    for (int64_t i = 0; i < n; i++) printf(" %.17g", a[i]);
    printf("\n");
}

static void run(int64_t n, int64_t d) {
    double *l = matrix(d, d, 2), *x = matrix(n, d, 5), *c = matrix(d + 3, d, 4), *dl = matrix(d, d, 1), *out = matrix(n, 1, 1), value = 0;
    printf("n = %d, d = %d\n", (int)n, (int)d);
    show("lower_grad", lower_grad(n, d, l, x, &value, dl, NULL, 0), dl, d*d);
    show("value", 0, &value, 1);
    double *lk = matrix(3*d, d, 2), *mu = matrix(3, d, 1), *dlk = matrix(3*d, d, 1), *dmu = matrix(3, d, 1);
    show("mixed_grad", mixed_grad(n, 3, d, lk, x, mu, &value, dlk, dmu, NULL, 0), dmu, 3*d);
    show("dl", 0, dlk, 3*d*d);
    show("shifted_grad", shifted_grad(n, d, l, x, mu, &value, dmu, NULL, 0), dmu, d);
    show("along_grad", along_grad(n, d, l, x, mu, &value, dmu, NULL, 0), dmu, d);
    show("summed", summed(n, d, l, x, dmu, NULL, 0), dmu, 1);
    for (int64_t i = 0; i < d*d && !n; i++) l[i] = INFINITY;
    if (!n) show("no points", shifted_grad(n, d, l, x, mu, &value, dmu, NULL, 0), dmu, d);
    free(lk), free(mu), free(dlk), free(dmu);
    show("nearest", nearest(n, d + 3, d, x, c, out, NULL, 0), out, n);
    show("solved", solved(n, d, l, x, out, NULL, 0), out, n);
    show("swept", swept(n, d, l, x, out, NULL, 0), out, n);
    show("again", again(n, d, l, x, out, NULL, 0), out, n);
    free(l), free(x), free(c), free(dl), free(out);
}

int main(void) {
    static const int64_t ROWS[] = {0, 1, 2, 3, 4, 7}, LANES[] = {0, 1, 9, 32, 45};
    for (int i = 0; i < 6; i++)
        for (int k = 0; k < 5; k++) run(LANES[k], ROWS[i]);
    return 0;
}
