"""GMM gradient: the compiled gmm_grad beside PyTorch (eager, f64, one thread) on the same data, in one process.

    bench/gmm.py GMM_SHARED_OBJECT [DATA...]     needs torch and numpy

The two alternate, run by run; each figure is the median of the runs, the ratio the median of the pairs' ratios, with
the smallest and largest in brackets. Inputs, outputs and the workspace are allocated once.
"""
import ctypes
import os
import statistics
import sys
import time

for name in ("OPENBLAS_CORETYPE", "OPENBLAS_L2_SIZE"):
    os.environ.pop(name, None)
os.environ["OMP_NUM_THREADS"] = "1"

import numpy as np  # noqa: E402
import torch  # noqa: E402

torch.set_num_threads(1)
RUNS = 15


def load(folder):
    return {n: np.load(f"{folder}/{n}.npy") for n in ("alpha", "mu", "q", "l", "x", "gamma", "m")}


def torch_gradient(a):
    t = {n: torch.tensor(a[n], requires_grad=n in ("alpha", "mu", "q", "l")) for n in ("alpha", "mu", "q", "l", "x")}
    n, d = a["x"].shape
    k, gamma, m = len(a["alpha"]), float(a["gamma"].reshape(-1)[0]), int(a["m"].reshape(-1)[0])
    cols, rows = np.triu_indices(d, 1)  # column by column: (column, row) with row > column
    nu = d + m + 1
    halves = torch.lgamma(0.5 * nu - 0.5 * torch.arange(d, dtype=torch.float64)).sum()
    log_gamma = 0.25 * d * (d - 1) * np.log(np.pi) + halves
    normal = k * (nu * d * (np.log(gamma) - 0.5 * np.log(2)) - log_gamma)

    def run():
        for v in t.values():
            v.grad = None
        qd = torch.exp(t["q"])
        lower = torch.zeros(k, d, d, dtype=torch.float64)
        lower[:, rows, cols] = t["l"]
        full = lower + torch.diag_embed(qd)
        centred = t["x"][:, None, :] - t["mu"][None]                       # n, k, d
        white = torch.einsum("kij,nkj->nki", full, centred)
        sumq = t["q"].sum(1)
        inner = t["alpha"] + sumq - 0.5 * (white * white).sum(2)
        value = torch.logsumexp(inner, 1).sum() - n * (0.5 * d * np.log(2 * np.pi) + torch.logsumexp(t["alpha"], 0))
        value = value + normal - 0.5 * gamma**2 * ((qd * qd).sum() + (t["l"] * t["l"]).sum()) + m * sumq.sum()
        value.backward()
        return value.item(), {v: t[v].grad.numpy() for v in ("alpha", "mu", "q", "l")}
    return run


def compiled_gradient(lib, a):
    n, d = a["x"].shape
    k = len(a["alpha"])
    dims = [ctypes.c_int64(v) for v in (n, d, k)]
    lib.gmm_grad_workspace_size.restype = ctypes.c_size_t
    size = lib.gmm_grad_workspace_size(*dims, ctypes.c_int64(a["m"].reshape(-1)[0]))
    ws = np.zeros(size + 64, dtype=np.uint8)
    out = {v: np.zeros_like(a[v]) for v in ("alpha", "mu", "q", "l")}
    value = ctypes.c_double()
    ptr = lambda x: ctypes.c_void_p(x.ctypes.data)  # noqa: E731
    args = [*dims, *(ptr(a[v]) for v in ("alpha", "mu", "q", "l", "x")), ctypes.c_double(a["gamma"].reshape(-1)[0]),
            ctypes.c_int64(a["m"].reshape(-1)[0]), ctypes.byref(value), *(ptr(out[v]) for v in ("alpha", "mu", "q", "l")),
            ptr(ws), ctypes.c_size_t(size)]

    def run():
        if lib.gmm_grad(*args):
            raise SystemExit("gmm_grad failed")
        return value.value, out
    run.keep = ws  # the arguments hold its address alone
    return run


def clock(f):
    start = time.perf_counter()
    f()
    return time.perf_counter() - start


def main(path, folders):
    lib = ctypes.CDLL(os.path.abspath(path))
    for folder in folders:
        a = load(folder)
        ours, theirs = compiled_gradient(lib, a), torch_gradient(a)
        (v, g), (w, h) = ours(), theirs()
        worst = max(np.abs(g[n] - h[n]).max() / np.abs(h[n]).max() for n in g)
        pairs = [(clock(ours), clock(theirs)) for _ in range(RUNS)]
        ratios = sorted(b / a for a, b in pairs)
        n, d = a["x"].shape
        print(f"n={n} d={d} k={len(a['alpha'])}: tdlc {1e3 * statistics.median(p[0] for p in pairs):.3f} ms, "
              f"PyTorch {1e3 * statistics.median(p[1] for p in pairs):.3f} ms, PyTorch/tdlc "
              f"{statistics.median(ratios):.2f} [{ratios[0]:.2f}, {ratios[-1]:.2f}]; "
              f"largest relative difference {worst:.1e}, of the value {abs(v - w) / abs(w):.1e}")


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2:])
