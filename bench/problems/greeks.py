"""Black-Scholes calls: value of a book and its gradient by spot, strike, rate, volatility and time."""

from harness.machine import Work
from harness.native import ROOT

TITLE = "Black-Scholes Greeks"
SOURCE = ROOT / "bench/problems/greeks.tdl"
FUNCTION, PRIMAL = "greeks", "book"
FIXED = ()
SIZES = [dict(n=10000)]
SMALL = dict(n=21)
TARGET = {"run time": 1.3, "other": 1}
WRT = ("s", "k", "r", "v", "t")


def draw(rng):
    return dict(n=int(rng.integers(500, 50000)))


def inputs(size, rng):
    between = lambda a, b: rng.uniform(a, b, size["n"])  # noqa: E731
    return dict(count=between(1, 10), s=between(50, 150), k=between(50, 150), r=between(0, 0.1), v=between(0.1, 0.5), t=between(0.1, 2))


def work(size):
    """A logarithm, two exponentials; two polynomials of degree 22, two quotients and a root (eight operations each), 60 more."""
    return Work(fma=size["n"] * (46 + 3 * 8 + 60), exp=3 * size["n"], bytes=0)


def primal_work(size):
    """Here the distribution functions need an exponential each."""
    return Work(fma=size["n"] * (46 + 6 * 8 + 30), exp=4 * size["n"])


def torch(torch, size, a):
    t = {n: torch.tensor(v) for n, v in a.items()}
    count = t.pop("count")

    def f(s, k, r, v, t):
        normal = lambda x: 0.5 * (1 + torch.erf(x / 2**0.5))  # noqa: E731
        d1 = (torch.log(s / k) + (r + 0.5 * v * v) * t) / (v * torch.sqrt(t))
        return (count * (s * normal(d1) - k * torch.exp(-r * t) * normal(d1 - v * torch.sqrt(t)))).sum()
    return f, t, WRT


def jax(jax, size, a):
    jnp = jax.numpy
    t = {n: jnp.asarray(v) for n, v in a.items()}
    count = t.pop("count")

    def f(s, k, r, v, t):
        normal = lambda x: 0.5 * (1 + jax.scipy.special.erf(x / 2**0.5))  # noqa: E731
        d1 = (jnp.log(s / k) + (r + 0.5 * v * v) * t) / (v * jnp.sqrt(t))
        return (count * (s * normal(d1) - k * jnp.exp(-r * t) * normal(d1 - v * jnp.sqrt(t)))).sum()
    return f, t, WRT
