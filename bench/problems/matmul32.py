"""Matrix products in f32: square ones from 64 to 1024, skinny ones, a vector."""
import numpy as np

from harness.machine import Work
from harness.native import ROOT

TITLE = "matrix product f32"
SOURCE = ROOT / "bench/problems/matmul.tdl"
TYPE, FUNCTION, TOLERANCE = np.float32, "product32", 1e-5
FIXED = ()
SIZES = [dict(m=m, n=n, k=k) for m, n, k in ((64, 64, 64), (256, 256, 256), (512, 512, 512), (1024, 1024, 1024), (64, 768, 768), (8, 64, 64),
                                             (1, 1024, 1024))]
SMALL = dict(m=13, n=37, k=21)
TARGET = {"run time": 1.05, "other": 1}


def draw(rng):
    return {d: int(rng.integers(5, 400)) for d in ("m", "n", "k")}


def inputs(size, rng):
    m, n, k = size["m"], size["n"], size["k"]
    return dict(a=rng.standard_normal((m, k)).astype(TYPE), b=rng.standard_normal((k, n)).astype(TYPE))


def of_type(size, kind):
    m, n, k = size["m"], size["n"], size["k"]
    width = np.dtype(kind).itemsize
    bytes = width * (m * k + k * n + m * n)
    return Work(**{"fma32" if width == 4 else "fma": m * n * k}, bytes=bytes)


def work(size):
    return of_type(size, TYPE)


def torch(torch, size, a):
    t = {n: torch.tensor(v) for n, v in a.items()}
    return lambda a, b: {"out": a @ b}, t, None


def jax(jax, size, a):
    return lambda a, b: {"out": a @ b}, {n: jax.numpy.asarray(v) for n, v in a.items()}, None


WITHOUT = {"torch.compile": "a product is one call"}
