"""A chain of equations by Runge-Kutta (cmpad): gradient of the last component."""
import numpy as np

from harness.machine import Work
from harness.native import ROOT

TITLE = "ODE"
SOURCE = ROOT / "bench/problems/ode.tdl"
FUNCTION, PRIMAL = "ode_grad", "ode"
FIXED = ()
SIZES = [dict(n=10000, s=100), dict(n=12, s=100)]
SMALL = dict(n=12, s=100)
TARGET = {"run time": 1.3, "other": 1}


def draw(rng):
    return dict(n=int(rng.integers(50, 5000)), s=int(rng.integers(20, 200)))


def inputs(size, rng):
    given = ROOT / "bench/gradbench/data/ode_n{n}_s{s}".format(**size)
    if given.is_dir():
        return dict(x=np.load(given / "x.npy"), s=size["s"], expect_dx=np.load(given / "expect_gradient.npy"))
    return dict(x=rng.uniform(0.5, 1.5, size["n"]), s=size["s"])


def work(size):
    e = size["n"] * size["s"]
    return Work(fma=43 * e, bytes=24 * e)


def primal_work(size):
    return Work(fma=11 * size["n"] * size["s"])


def _solve(xp, x, s, first, loop):
    h = 2 / s
    rate = lambda y: first(x, y)  # noqa: E731

    def step(y):
        k1 = rate(y)
        k2 = rate(y + 0.5 * h * k1)
        k3 = rate(y + 0.5 * h * k2)
        return y + h / 6 * (k1 + 2 * k2 + 2 * k3 + rate(y + h * k3))
    return loop(step, xp.zeros_like(x))


def torch(torch, size, a):
    one = torch.ones(1, dtype=torch.float64)

    def loop(step, y):
        for _ in range(size["s"]):
            y = step(y)
        return y

    def f(x):
        return _solve(torch, x, size["s"], lambda x, y: x * torch.cat((one, y[:-1])), loop)[-1]

    return f, {"x": torch.tensor(a["x"])}, ("x",)


def jax(jax, size, a):
    jnp = jax.numpy

    def loop(step, y):
        return jax.lax.scan(lambda y, _: (step(y), None), y, None, length=size["s"])[0]

    def f(x):
        return _solve(jnp, x, size["s"], lambda x, y: x * jnp.concatenate((jnp.ones(1), y[:-1])), loop)[-1]

    return f, {"x": jnp.asarray(a["x"])}, ("x",)


WITHOUT = {"torch.compile": "it unrolls the steps: minutes to compile"}
