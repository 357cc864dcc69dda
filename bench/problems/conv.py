"""A small convolution network in f32: two layers of 3 x 3 with pooling, one linear; value and gradient by the weights."""
import numpy as np

from harness.machine import Work
from harness.native import ROOT

TITLE = "convolution network"
SOURCE = ROOT / "bench/problems/conv.tdl"
FUNCTION, PRIMAL, TOLERANCE = "convnet_grad", "convnet", 1e-4
FIXED = ("c", "s", "a", "b", "o")
SIZES = [dict(n=32, c=1, s=7, a=16, b=32, o=10)]
SMALL = dict(n=3, c=2, s=2, a=5, b=17, o=4)
TARGET = {"-D": 1.3, "other": 1}
NAMES = ("w1", "b1", "w2", "b2", "w3", "b3")


def draw(rng):
    return dict(n=int(rng.integers(4, 40)), c=int(rng.integers(1, 4)), s=int(rng.integers(3, 9)), a=int(rng.integers(4, 32)),
                b=int(rng.integers(8, 48)), o=int(rng.integers(3, 20)))


def inputs(size, rng):
    n, c, s, a, b, o = (size[d] for d in "ncsabo")
    shapes = dict(w1=(a, c, 3, 3), b1=(a,), w2=(b, a, 3, 3), b2=(b,), w3=(o, b * s * s), b3=(o,))
    weights = {k: (rng.standard_normal(v) / np.sqrt(max(1, np.prod(v[1:])))).astype(np.float32) for k, v in shapes.items()}
    return {**weights, "x": rng.random((n, c, 4 * s, 4 * s), np.float32), "label": rng.integers(0, o, n)}


def _products(size):
    n, c, s, a, b, o = (size[d] for d in "ncsabo")
    return n * 16 * s * s * 9 * c * a, n * 4 * s * s * 9 * a * b, n * o * b * s * s


def work(size):
    first, second, last = _products(size)
    return Work(fma32=2 * first + 3 * second + 3 * last)


def primal_work(size):
    return Work(fma32=sum(_products(size)))


def torch(torch, size, a):
    x, label, net = torch.tensor(a["x"]), torch.tensor(a["label"]), torch.nn.functional

    def f(w1, b1, w2, b2, w3, b3):
        y = net.max_pool2d(torch.relu(net.conv2d(x, w1, b1, padding=1)), 2)
        z = net.max_pool2d(torch.relu(net.conv2d(y, w2, b2, padding=1)), 2)
        return net.cross_entropy(net.linear(z.flatten(1), w3, b3), label)
    return f, {n: torch.tensor(a[n]) for n in NAMES}, NAMES


def jax(jax, size, a):
    jnp, lax = jax.numpy, jax.lax
    x, label = jnp.asarray(a["x"]), jnp.asarray(a["label"])

    def layer(x, w, b):
        y = lax.conv_general_dilated(x, w, (1, 1), "SAME", dimension_numbers=("NCHW", "OIHW", "NCHW")) + b[:, None, None]
        return lax.reduce_window(jax.nn.relu(y), -jnp.inf, lax.max, (1, 1, 2, 2), (1, 1, 2, 2), "VALID")

    def f(w1, b1, w2, b2, w3, b3):
        z = layer(layer(x, w1, b1), w2, b2)
        logits = jax.nn.log_softmax(z.reshape(len(x), -1) @ w3.T + b3)
        return -jnp.take_along_axis(logits, label[:, None], 1).mean()
    return f, {n: jnp.asarray(a[n]) for n in NAMES}, NAMES
