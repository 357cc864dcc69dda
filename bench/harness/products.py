"""Matrix products as problems: plain, of a transposed operand, and with what follows them; of one type each."""
import numpy as np

from .machine import Work
from .native import ROOT

SIZES = [dict(m=m, n=n, k=k) for m, n, k in ((64, 64, 64), (256, 256, 256), (512, 512, 512), (1024, 1024, 1024), (64, 768, 768), (8, 64, 64),
                                             (1, 1024, 1024))]
KINDS = {"": ("a b", lambda a, b: a @ b), "tn": ("a' b", lambda a, b: a.T @ b), "nt": ("a b'", lambda a, b: a @ b.T),
         "relu": ("relu(a b)", None)}


def draw(rng):
    return {d: int(rng.integers(5, 400)) for d in ("m", "n", "k")}


def problem(kind, bits):
    """The attributes of a problem (see suite.py). Transposed operands and what follows are measured at the larger sizes."""
    text, product = KINDS[kind]
    real = np.dtype(f"f{bits // 8}").type

    def inputs(size, rng):
        m, n, k = size["m"], size["n"], size["k"]
        return dict(a=rng.standard_normal((k, m) if kind == "tn" else (m, k)).astype(real),
                    b=rng.standard_normal((n, k) if kind == "nt" else (k, n)).astype(real))

    def work(size):
        m, n, k = size["m"], size["n"], size["k"]
        return Work(**{"fma32" if bits == 32 else "fma": m * n * k}, bytes=bits // 8 * (m * k + k * n + m * n))

    def torch(torch, size, a):
        run = product or (lambda a, b: torch.relu(a @ b))
        return lambda a, b: {"out": run(a, b)}, {n: torch.tensor(v) for n, v in a.items()}, None

    def jax(jax, size, a):
        run = product or (lambda a, b: jax.nn.relu(a @ b))
        return lambda a, b: {"out": run(a, b)}, {n: jax.numpy.asarray(v) for n, v in a.items()}, None

    return dict(TITLE=f"matrix product {text + ', ' if kind else ''}f{bits}", SOURCE=ROOT / "bench/problems/matmul.tdl",
                FUNCTION=f"product{kind}{bits}", TOLERANCE=1e-5 if bits == 32 else 1e-12, FIXED=(),
                SIZES=SIZES[2:5] if kind else SIZES, SMALL=dict(m=13, n=37, k=21), TARGET={"run time": 1.05, "other": 1}, draw=draw,
                inputs=inputs, work=work, torch=torch, jax=jax, WITHOUT={"torch.compile": "a product is one call"})
