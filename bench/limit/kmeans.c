/* Newton's direction of k-means for one number of coordinates (-DFIX_d=16): centroid less the mean of its points. Points lie in
 * lanes, two vectors at a time, every centroid's coordinates broadcast.
 *
 * Bound: a difference and a multiply-add for each point, centroid and coordinate. */
#include "kmeans.h"
#include "vector.h"

enum { D = FIX_d, GROUP = 2 };

size_t dir_workspace_size(int64_t n, int64_t k, int64_t d) {
    (void)n;
    return (size_t)(k * (d + 1)) * sizeof(double);
}

/* Which centroid is nearest to the points in the lanes of x. */
INLINE void nearest(const double *centroids, int64_t k, V (*x)[GROUP], V *which) {
    V least[GROUP];
    for (int g = 0; g < GROUP; g++) least[g] = (V){0} + INFINITY, which[g] = (V){0};
    for (int64_t c = 0; c < k; c++) {
        V even[GROUP] = {{0}}, odd[GROUP] = {{0}};
        for (int j = 0; j < D; j++)
            for (int g = 0; g < GROUP; g++) {
                V t = x[j][g] - centroids[c * D + j];
                if (j % 2) odd[g] += t * t;
                else even[g] += t * t;
            }
        for (int g = 0; g < GROUP; g++) {
            V distance = even[g] + odd[g];
            I closer = (I)(distance < least[g]);
            least[g] = pick(closer, distance, least[g]);
            which[g] = pick(closer, (V){0} + (double)c, which[g]);
        }
    }
}

int dir(int64_t n, int64_t k, int64_t d, const double *centroids, const double *points, double *out, void *workspace, size_t bytes) {
    (void)bytes;
    if (d != D) return 1;
    double *count = workspace, *sum = count + k;
    memset(workspace, 0, dir_workspace_size(n, k, d));
    for (int64_t i = 0; i < n; i += GROUP * LANES) {
        V x[D][GROUP], which[GROUP];
        for (int j = 0; j < D; j++)
            for (int v = 0; v < GROUP * LANES; v++) ((double *)x[j])[v] = points[(i + v < n ? i + v : n - 1) * D + j];
        nearest(centroids, k, x, which);
        for (int v = 0; v < GROUP * LANES && i + v < n; v++) {
            int64_t c = (int64_t)((double *)which)[v];
            count[c]++;
            for (int j = 0; j < D; j++) sum[c * D + j] += points[(i + v) * D + j];
        }
    }
    for (int64_t c = 0; c < k; c++)
        for (int j = 0; j < D; j++) out[c * D + j] = centroids[c * D + j] - sum[c * D + j] / count[c];
    return 0;
}
