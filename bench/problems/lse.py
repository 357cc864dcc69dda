"""Log-sum-exp of rows, value and gradient."""
from harness.machine import Work
from harness.native import ROOT

TITLE = "logsumexp of rows"
SOURCE = ROOT / "bench/problems/lse.tdl"
FUNCTION, PRIMAL = "lse_grad", "lse"
FIXED = ()
SIZES = [dict(n=512, m=256), dict(n=1000, m=1000)]
SMALL = dict(n=5, m=37)
TARGET = {"run time": 1.3, "other": 1}


def draw(rng):
    return dict(n=int(rng.integers(100, 1000)), m=int(rng.integers(30, 1000)))


def inputs(size, rng):
    return dict(x=3 * rng.standard_normal((size["n"], size["m"])))


def work(size):
    e = size["n"] * size["m"]
    return Work(fma=4 * e, exp=e, bytes=24 * e)


def primal_work(size):
    e = size["n"] * size["m"]
    return Work(fma=3 * e, exp=e, bytes=8 * e)


def torch(torch, size, a):
    return lambda x: torch.logsumexp(x, 1).sum(), {"x": torch.tensor(a["x"])}, ("x",)


def jax(jax, size, a):
    return lambda x: jax.scipy.special.logsumexp(x, axis=1).sum(), {"x": jax.numpy.asarray(a["x"])}, ("x",)
