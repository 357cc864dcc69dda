"""Heat equation in two dimensions: gradient of a final temperature's error by the source, over 1,000 steps."""
from harness.machine import Work
from harness.native import ROOT

TITLE = "heat control, 1,000 steps"
SOURCE = ROOT / "bench/problems/heat.tdl"
FUNCTION, PRIMAL = "heat_grad", "heat"
FIXED = ()
SIZES = [dict(n=64, m=64, steps=1000)]
SMALL = dict(n=9, m=21, steps=7)
TARGET = {"run time": 1.3, "other": 1}
WITHOUT = {"torch.compile": "it unrolls the steps: minutes to compile"}
TOLERANCE = 1e-9


def draw(rng):
    return dict(n=int(rng.integers(20, 120)), m=int(rng.integers(20, 120)), steps=1000)


def inputs(size, rng):
    shape = size["n"], size["m"]
    return dict(source=0.01 * rng.random(shape), wanted=rng.random(shape), start=rng.random(shape), steps=size["steps"], rate=0.2)


def work(size):
    return Work(fma=10 * size["n"] * size["m"] * size["steps"])


def primal_work(size):
    return Work(fma=5 * size["n"] * size["m"] * size["steps"])


def torch(torch, size, a):
    start, wanted, pad = torch.tensor(a["start"]), torch.tensor(a["wanted"]), torch.nn.functional.pad

    def f(source):
        u = start
        for _ in range(size["steps"]):
            p = pad(u, (1, 1, 1, 1))
            u = u + a["rate"] * (p[:-2, 1:-1] + p[2:, 1:-1] + p[1:-1, :-2] + p[1:-1, 2:] - 4 * u) + source
        return 0.5 * (u - wanted).square().sum()
    return f, {"source": torch.tensor(a["source"])}, ("source",)


def jax(jax, size, a):
    jnp = jax.numpy
    start, wanted = jnp.asarray(a["start"]), jnp.asarray(a["wanted"])

    def f(source):
        def step(u, _):
            p = jnp.pad(u, 1)
            return u + a["rate"] * (p[:-2, 1:-1] + p[2:, 1:-1] + p[1:-1, :-2] + p[1:-1, 2:] - 4 * u) + source, None
        u = jax.lax.scan(step, start, None, length=size["steps"])[0]
        return 0.5 * ((u - wanted)**2).sum()
    return f, {"source": jnp.asarray(a["source"])}, ("source",)
