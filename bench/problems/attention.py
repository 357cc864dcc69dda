"""An attention block in f32, value and gradient by input and weights."""
import numpy as np

from harness.machine import Work
from harness.native import ROOT

TITLE = "attention block"
SOURCE = ROOT / "bench/problems/attention.tdl"
FUNCTION, PRIMAL, TOLERANCE = "attention_grad", "attention", 1e-4
FIXED = ("t", "d", "h", "e")
SIZES = [dict(t=128, d=256, h=4, e=64)]
SMALL = dict(t=11, d=18, h=3, e=7)
TARGET = {"-D": 1.3, "other": 1}
NAMES = ("x", "wq", "wk", "wv", "wo")


def draw(rng):
    return dict(t=int(rng.integers(20, 200)), d=int(rng.integers(32, 300)), h=int(rng.integers(1, 6)), e=int(rng.integers(8, 80)))


def inputs(size, rng):
    t, d, h, e = (size[v] for v in "tdhe")
    weights = {n: (rng.standard_normal((d, h, e)) / np.sqrt(d)).astype(np.float32) for n in ("wq", "wk", "wv")}
    return dict(x=rng.standard_normal((t, d)).astype(np.float32), **weights, wo=(rng.standard_normal((h, e, d)) / np.sqrt(h * e)).astype(np.float32))


def work(size):
    t, d, h, e = (size[v] for v in "tdhe")
    return Work(fma32=3 * (4 * t * d * h * e + 2 * h * t * t * e) + 8 * h * t * t, exp32=h * t * t)


def primal_work(size):
    t, d, h, e = (size[v] for v in "tdhe")
    return Work(fma32=4 * t * d * h * e + 2 * h * t * t * e + 4 * h * t * t, exp32=h * t * t)


def torch(torch, size, a):
    t, d, h, e = (size[v] for v in "tdhe")

    def f(x, wq, wk, wv, wo):
        q, k, v = ((x @ w.reshape(d, h * e)).reshape(t, h, e).transpose(0, 1) for w in (wq, wk, wv))
        y = torch.nn.functional.scaled_dot_product_attention(q[None], k[None], v[None])[0]
        return (x + y.transpose(0, 1).reshape(t, h * e) @ wo.reshape(h * e, d)).square().mean()
    return f, {n: torch.tensor(a[n]) for n in NAMES}, NAMES


def jax(jax, size, a):
    jnp = jax.numpy
    e = size["e"]

    def f(x, wq, wk, wv, wo):
        q, k, v = (jnp.einsum("td,dhe->hte", x, w) for w in (wq, wk, wv))
        weights = jax.nn.softmax(jnp.einsum("hte,hse->hts", q, k) / e**0.5, axis=2)
        return ((x + jnp.einsum("hts,hse,hed->td", weights, v, wo, optimize="optimal"))**2).mean()
    return f, {n: jnp.asarray(a[n]) for n in NAMES}, NAMES
