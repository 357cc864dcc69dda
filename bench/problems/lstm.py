"""ADBench's LSTM with diagonal weights: value and gradient by main and extra."""
import numpy as np

from harness.machine import Work
from harness.native import ROOT

TITLE = "LSTM"
SOURCE = ROOT / "bench/problems/lstm.tdl"
FUNCTION, PRIMAL = "lstm_grad", "lstm"
FIXED = ("l", "b")
SIZES = [dict(l=2, c=1024, b=14), dict(l=4, c=1024, b=14)]
SMALL = dict(l=2, c=1024, b=14)
TARGET = {"-D": 1.3, "other": 7}
WITHOUT = {"torch.compile": "it unrolls the loop over the characters: minutes to compile"}


def draw(rng):
    return dict(l=int(rng.integers(1, 5)), c=int(rng.integers(200, 2000)), b=int(rng.integers(5, 33)))


def inputs(size, rng):
    layers, c, b = size["l"], size["c"], size["b"]
    given = ROOT / f"bench/gradbench/data/lstm_l{layers}_c{c}"
    if b == 14 and given.is_dir():
        return {f.stem: np.load(f) for f in given.glob("*.npy")}
    sequence = np.zeros((c, b))
    sequence[np.arange(c), rng.integers(0, b, c)] = 1
    return dict(main=rng.uniform(-1, 1, (layers, 2, 4, b)), extra=rng.uniform(-1, 1, (3, b)), state=rng.uniform(-1, 1, (layers, 2, b)),
                sequence=sequence)


def work(size):
    """Five exponentials a layer and bit, each with a quotient (eight operations); 52 multiply-adds there and back."""
    steps, b = (size["c"] - 1), size["b"]
    return Work(fma=steps * size["l"] * b * (52 + 40), exp=steps * b * (5 * size["l"] + 1))


def primal_work(size):
    steps, b = (size["c"] - 1), size["b"]
    return Work(fma=steps * size["l"] * b * (8 + 40), exp=steps * b * (5 * size["l"] + 1))


def torch(torch, size, a):
    state, sequence = torch.tensor(a["state"]), torch.tensor(a["sequence"])
    layers, c, b = size["l"], size["c"], size["b"]

    def f(main, extra):
        hidden, cell, total = [state[i, 0] for i in range(layers)], [state[i, 1] for i in range(layers)], 0.0
        weights = [(w[0], w[1]) for w in main.unbind()]
        for t in range(c - 1):
            x = sequence[t] * extra[0]
            for i in range(layers):
                w, bias = weights[i]
                z = torch.stack((x, hidden[i], x, hidden[i])) * w + bias
                gates = torch.sigmoid(z[:3])
                cell[i] = cell[i] * gates[0] + gates[1] * torch.tanh(z[3])
                x = hidden[i] = gates[2] * torch.tanh(cell[i])
            y = x * extra[1] + extra[2]
            total = total + (sequence[t + 1] * (y - torch.log(2 + torch.exp(y).sum()))).sum()
        return -total / ((c - 1) * b)
    return f, {v: torch.tensor(a[v]) for v in ("main", "extra")}, ("main", "extra")


def jax(jax, size, a):
    jnp = jax.numpy
    state, sequence = jnp.asarray(a["state"]), jnp.asarray(a["sequence"])
    layers, c, b = size["l"], size["c"], size["b"]

    def f(main, extra):
        def step(s, pair):
            now, after = pair
            x, new = now * extra[0], []
            for i in range(layers):
                hidden, cell = s[i]
                w, bias = main[i, 0], main[i, 1]
                cell = cell * jax.nn.sigmoid(x * w[0] + bias[0]) + jax.nn.sigmoid(hidden * w[1] + bias[1]) * jnp.tanh(hidden * w[3] + bias[3])
                x = jax.nn.sigmoid(x * w[2] + bias[2]) * jnp.tanh(cell)
                new.append((x, cell))
            y = x * extra[1] + extra[2]
            return tuple(new), (after * (y - jnp.log(2 + jnp.exp(y).sum()))).sum()
        start = tuple((state[i, 0], state[i, 1]) for i in range(layers))
        return -jax.lax.scan(step, start, (sequence[:-1], sequence[1:]))[1].sum() / ((c - 1) * b)
    return f, {v: jnp.asarray(a[v]) for v in ("main", "extra")}, ("main", "extra")
