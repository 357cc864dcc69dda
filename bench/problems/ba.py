"""Bundle adjustment (ADBench): the values of the sparse Jacobian by rows; the pattern is made once."""
import numpy as np

from harness.machine import Work
from harness.native import ROOT

TITLE = "bundle adjustment, Jacobian by rows"
SOURCE = ROOT / "bench/problems/ba.tdl"
FUNCTION, PRIMAL = "values", "objective"
FIXED = ()
SIZES = [dict(n=49, m=7776, p=31843)]
SMALL = dict(n=4, m=9, p=37)
TARGET = {"run time": 1.3, "other": 1}
DATA = ROOT / "bench/gradbench/data/ba_ba1_n49_m7776_p31843"


def draw(rng):
    return dict(n=int(rng.integers(3, 300)), m=int(rng.integers(100, 10000)), p=int(rng.integers(1000, 60000)))


def inputs(size, rng):
    """The one camera and point of the reference data, with a little of noise on each number."""
    n, m, p = size["n"], size["m"], size["p"]
    one = {v: np.load(DATA / f"{v}.npy").ravel() for v in ("cam", "x", "w", "feat")}
    many = lambda v, count: v * (1 + 0.01 * rng.standard_normal((count, v.size)))  # noqa: E731
    return dict(cams=many(one["cam"], n), xs=many(one["x"], m), w=many(one["w"], p).ravel(), feat=many(one["feat"], p),
                camera=np.arange(p) % n, point=np.arange(p) % m)


def work(size):
    """Some 120 operations an observation; its numbers are written, its own and its point's read."""
    return Work(fma=120 * size["p"], bytes=size["p"] * (2 * 31 + 10) * 8)


def primal_work(size):
    return Work(fma=45 * size["p"], bytes=size["p"] * (2 * 3 + 10) * 8)


def _residual(xp, cross):
    def residual(cam, x, w, feat):
        r, v = cam[:3], x - cam[3:6]
        angle = xp.sqrt((r * r).sum())
        axis = r / angle
        p = v * xp.cos(angle) + cross(axis, v) * xp.sin(angle) + axis * ((axis * v).sum() * (1 - xp.cos(angle)))
        q = p[:2] / p[2]
        s = (q * q).sum()
        return w * (q * (1 + cam[9] * s + cam[10] * s**2) * cam[6] + cam[7:9] - feat)
    return residual


def torch(torch, size, a):
    t = {n: torch.tensor(v) for n, v in a.items()}
    cross = lambda a, b: torch.linalg.cross(a, b)  # noqa: E731
    jacobian = torch.func.vmap(torch.func.jacrev(_residual(torch, cross), argnums=(0, 1, 2)))

    def f(cams, xs, w):
        by = jacobian(cams[t["camera"]], xs[t["point"]], w, t["feat"])
        return {"out_0": torch.cat((by[0], by[1], by[2][:, :, None]), 2), "out_1": -2 * w}
    return f, {n: t[n] for n in ("cams", "xs", "w")}, None


def jax(jax, size, a):
    jnp = jax.numpy
    t = {n: jnp.asarray(v) for n, v in a.items()}
    jacobian = jax.vmap(jax.jacrev(_residual(jnp, jnp.cross), argnums=(0, 1, 2)))

    def f(cams, xs, w):
        by = jacobian(cams[t["camera"]], xs[t["point"]], w, t["feat"])
        return {"out_0": jnp.concatenate((by[0], by[1], by[2][:, :, None]), 2), "out_1": -2 * w}
    return f, {n: t[n] for n in ("cams", "xs", "w")}, None
