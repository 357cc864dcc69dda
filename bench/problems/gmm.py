"""The Gaussian mixture's log posterior (ADBench): value and gradient by alpha, mu, q, l."""
import numpy as np

from harness.machine import Work
from harness.native import ROOT

TITLE = "Gaussian mixture"
SOURCE = ROOT / "examples/gmm/gmm.tdl"
FUNCTION, PRIMAL = "gmm_grad", "gmm"
FIXED = ("d",)
SIZES = [dict(n=1000, d=10, k=25), dict(n=1000, d=64, k=50), dict(n=1000, d=2, k=5), dict(n=1000, d=128, k=20)]
SMALL = dict(n=1000, d=2, k=5)
TARGET = {"-D": 1.3, "run time": 1.6, "scalar": {10: 15, 64: 9}, "other": 3}


def draw(rng):
    return dict(n=int(rng.integers(300, 3000)), d=int(rng.integers(3, 100)), k=int(rng.integers(3, 40)))


def target_over_scalar(size):
    return TARGET["scalar"].get(size["d"])


def inputs(size, rng):
    n, d, k = size["n"], size["d"], size["k"]
    given = ROOT / f"examples/gmm/data/d{d}_k{k}"
    if n == 1000 and given.is_dir():
        return {f.stem: np.load(f) for f in given.glob("*.npy")}
    return dict(x=rng.standard_normal((n, d)), alpha=rng.standard_normal(k), mu=rng.random((k, d)),
                q=0.1 * rng.standard_normal((k, d)), l=0.1 * rng.standard_normal((k, d * (d - 1) // 2)), gamma=1.0, m=0)


def work(size):
    """y = Q (x - mu) and the sums of y y^T, half of each matrix; x - mu and its scaling; a softmax."""
    pairs, d = size["n"] * size["k"], size["d"]
    return Work(fma=pairs * (d * (d + 1) + 6 * d), exp=pairs, bytes=8 * size["n"] * d)


def primal_work(size):
    pairs, d = size["n"] * size["k"], size["d"]
    return Work(fma=pairs * (d * (d + 1) / 2 + 2 * d), exp=pairs, bytes=8 * size["n"] * d)


def _prior(size, a, lgamma):
    d, k, gamma, m = size["d"], size["k"], float(np.ravel(a["gamma"])[0]), int(np.ravel(a["m"])[0])
    nu = d + m + 1
    log_gamma = 0.25 * d * (d - 1) * np.log(np.pi) + sum(lgamma(0.5 * nu - 0.5 * j) for j in range(d))
    return k * (nu * d * (np.log(gamma) - 0.5 * np.log(2)) - log_gamma), gamma, m


def torch(torch, size, a):
    from math import lgamma
    n, d, k = size["n"], size["d"], size["k"]
    constant, gamma, m = _prior(size, a, lgamma)
    column, row = (torch.tensor(v) for v in np.triu_indices(d, 1))
    x = torch.tensor(a["x"])

    def f(alpha, mu, q, l):  # noqa: E741
        qd = torch.exp(q)
        full = torch.zeros(k, d, d, dtype=torch.float64).index_put((torch.arange(k)[:, None], row, column), l) + torch.diag_embed(qd)
        white = torch.bmm(x[None] - mu[:, None], full.transpose(1, 2))     # k, n, d
        inner = (alpha + q.sum(1))[:, None] - 0.5 * (white * white).sum(2)
        value = torch.logsumexp(inner, 0).sum() - n * (0.5 * d * np.log(2 * np.pi) + torch.logsumexp(alpha, 0))
        return value + constant - 0.5 * gamma**2 * ((qd * qd).sum() + (l * l).sum()) + m * q.sum()
    return f, {v: torch.tensor(a[v]) for v in ("alpha", "mu", "q", "l")}, ("alpha", "mu", "q", "l")


def jax(jax, size, a):
    from math import lgamma
    jnp, lse = jax.numpy, jax.scipy.special.logsumexp
    n, d, k = size["n"], size["d"], size["k"]
    constant, gamma, m = _prior(size, a, lgamma)
    column, row = np.triu_indices(d, 1)
    x = jnp.asarray(a["x"])

    def f(alpha, mu, q, l):  # noqa: E741
        qd = jnp.exp(q)
        full = jnp.zeros((k, d, d)).at[:, row, column].set(l) + jax.vmap(jnp.diag)(qd)
        white = jnp.einsum("kij,knj->kni", full, x[None] - mu[:, None])
        inner = (alpha + q.sum(1))[:, None] - 0.5 * (white * white).sum(2)
        value = lse(inner, axis=0).sum() - n * (0.5 * d * np.log(2 * np.pi) + lse(alpha))
        return value + constant - 0.5 * gamma**2 * ((qd * qd).sum() + (l * l).sum()) + m * q.sum()
    return f, {v: jnp.asarray(a[v]) for v in ("alpha", "mu", "q", "l")}, ("alpha", "mu", "q", "l")
