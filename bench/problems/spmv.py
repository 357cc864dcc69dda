"""A sparse matrix-vector fit: gradient by the entries and by the vector."""
import numpy as np

from harness.machine import Work
from harness.native import ROOT

TITLE = "sparse matrix-vector fit"
SOURCE = ROOT / "bench/problems/spmv.tdl"
FUNCTION, PRIMAL = "fit_grad", "fit"
FIXED = ()
SIZES = [dict(rows=20000, nnz=200000, n=20000)]
SMALL = dict(rows=7, nnz=31, n=9)
TARGET = {"run time": 1.3, "other": 1}


def draw(rng):
    rows = int(rng.integers(1000, 50000))
    return dict(rows=rows, nnz=rows * int(rng.integers(3, 20)), n=int(rng.integers(500, 50000)))


def inputs(size, rng):
    rows, nnz, n = size["rows"], size["nnz"], size["n"]
    ptr = np.concatenate(([0], np.sort(rng.integers(0, nnz + 1, rows - 1)), [nnz]))
    return dict(ptr=ptr, col=rng.integers(0, n, nnz), v=rng.standard_normal(nnz), x=rng.standard_normal(n), b=rng.standard_normal(rows))


def work(size):
    return Work(fma=3 * size["nnz"], bytes=32 * size["nnz"])


def primal_work(size):
    return Work(fma=size["nnz"], bytes=16 * size["nnz"])


def _rows(a):
    return np.repeat(np.arange(len(a["ptr"]) - 1), np.diff(a["ptr"]))


def torch(torch, size, a):
    col, row, b = torch.tensor(a["col"]), torch.tensor(_rows(a)), torch.tensor(a["b"])

    def f(v, x):
        return 0.5 * (torch.zeros_like(b).index_add(0, row, v * x[col]) - b).square().sum()
    return f, {n: torch.tensor(a[n]) for n in ("v", "x")}, ("v", "x")


def jax(jax, size, a):
    jnp = jax.numpy
    col, row, b = jnp.asarray(a["col"]), jnp.asarray(_rows(a)), jnp.asarray(a["b"])

    def f(v, x):
        y = jax.ops.segment_sum(v * x[col], row, num_segments=size["rows"], indices_are_sorted=True)
        return 0.5 * ((y - b)**2).sum()
    return f, {n: jnp.asarray(a[n]) for n in ("v", "x")}, ("v", "x")
