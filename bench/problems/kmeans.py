"""k-means' Newton direction: gradient over the diagonal of the Hessian."""
import numpy as np

from harness.machine import Work
from harness.native import ROOT

TITLE = "k-means direction"
SOURCE = ROOT / "bench/problems/kmeans.tdl"
FUNCTION, PRIMAL = "dir", "cost"
FIXED = ("d",)
SIZES = [dict(n=10000, k=100, d=16), dict(n=1000, k=10, d=8)]
SMALL = dict(n=1000, k=10, d=8)
TARGET = {"-D": 1.3, "other": 1}
WITHOUT = {"torch.compile": "no second derivatives"}


def draw(rng):
    return dict(n=int(rng.integers(1000, 10000)), k=int(rng.integers(5, 100)), d=int(rng.integers(2, 30)))


def inputs(size, rng):
    given = ROOT / "bench/gradbench/data/kmeans_k{k}_n{n}_d{d}".format(**size)
    if given.is_dir():
        a = {f.stem: np.load(f) for f in given.glob("*.npy")}
        return dict(points=a["points"], centroids=a["centroids"], expect_out=a["expect_dir"])
    points = rng.random((size["n"], size["d"]))
    return dict(points=points, centroids=points[:size["k"]] + 1e-3)


def work(size):
    return Work(fma=2 * size["n"] * size["k"] * size["d"])


primal_work = work


def torch(torch, size, a):
    points = torch.tensor(a["points"])

    def cost(c):
        return (c[None] - points[:, None]).square().sum(2).min(1).values.sum()

    def f(centroids):
        c = centroids.detach().requires_grad_()
        gradient, = torch.autograd.grad(cost(c), c, create_graph=True)
        return {"out": gradient / torch.autograd.grad(gradient.sum(), c)[0]}
    return f, {"centroids": torch.tensor(a["centroids"])}, None


def jax(jax, size, a):
    jnp = jax.numpy
    points = jnp.asarray(a["points"])

    def cost(c):
        return ((c[None] - points[:, None])**2).sum(2).min(1).sum()

    def f(centroids):
        gradient, diagonal = jax.jvp(jax.grad(cost), (centroids,), (jnp.ones_like(centroids),))
        return {"out": gradient / diagonal}
    return f, {"centroids": jnp.asarray(a["centroids"])}, None
