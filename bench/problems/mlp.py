"""A training step of a 784-512-512-10 network on batches of 64, in f32."""
import numpy as np

from harness.machine import Work
from harness.native import ROOT

TITLE = "784-512-512-10 network, training step"
SOURCE = ROOT / "bench/problems/mlp.tdl"
FUNCTION, PRIMAL, TOLERANCE = "train", "loss", 1e-4
FIXED = ("n", "i", "h", "o")
SIZES = [dict(n=64, i=784, h=512, o=10)]
SMALL = dict(n=7, i=23, h=33, o=5)
TARGET = {"-D": 1.05, "other": 1}
NAMES = ("w1", "b1", "w2", "b2", "w3", "b3")


def draw(rng):
    return dict(n=int(rng.integers(8, 100)), i=int(rng.integers(50, 800)), h=int(rng.integers(50, 600)), o=int(rng.integers(3, 20)))


def inputs(size, rng):
    n, i, h, o = (size[d] for d in "niho")
    shapes = (i, h), (h,), (h, h), (h,), (h, o), (o,)
    net = {f"net_{name}": (rng.standard_normal(s) / np.sqrt(s[0])).astype(np.float32) for name, s in zip(NAMES, shapes)}
    return {**net, "x": rng.random((n, i), np.float32), "label": rng.integers(0, o, n), "rate": np.float32(0.1)}


def work(size):
    """Each weight is used for the layer, for its gradient, and but for the first layer's for its input's cotangent."""
    n, i, h, o = (size[d] for d in "niho")
    return Work(fma32=n * (2 * i * h + 3 * h * h + 3 * h * o))


def primal_work(size):
    n, i, h, o = (size[d] for d in "niho")
    return Work(fma32=n * (i * h + h * h + h * o))


def torch(torch, size, a):
    t = {n: torch.tensor(a[f"net_{n}"]) for n in NAMES}
    x, label, rate = torch.tensor(a["x"]), torch.tensor(a["label"]), float(a["rate"])

    def loss(w1, b1, w2, b2, w3, b3):
        y = torch.relu(torch.addmm(b2, torch.relu(torch.addmm(b1, x, w1)), w2))
        return torch.nn.functional.cross_entropy(torch.addmm(b3, y, w3), label)

    def f(**net):
        leaves = [v.detach().requires_grad_() for v in net.values()]
        value = loss(*leaves)
        with torch.no_grad():
            new = [w - rate * g for w, g in zip(leaves, torch.autograd.grad(value, leaves))]
        return {"out_0": value, **{f"out_1_{n}": v for n, v in zip(NAMES, new)}}
    return f, t, None


def jax(jax, size, a):
    jnp = jax.numpy
    t = {n: jnp.asarray(a[f"net_{n}"]) for n in NAMES}
    x, label, rate = jnp.asarray(a["x"]), jnp.asarray(a["label"]), float(a["rate"])

    def loss(net):
        y = jax.nn.relu(jax.nn.relu(x @ net["w1"] + net["b1"]) @ net["w2"] + net["b2"])
        logits = jax.nn.log_softmax(y @ net["w3"] + net["b3"])
        return -jnp.take_along_axis(logits, label[:, None], 1).mean()

    def f(**net):
        value, g = jax.value_and_grad(loss)(net)
        return {"out_0": value, **{f"out_1_{n}": net[n] - rate * g[n] for n in NAMES}}
    return f, t, None
