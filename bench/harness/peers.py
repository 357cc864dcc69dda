"""PyTorch (eager and compiled) and JAX (jit), one thread each, on the same inputs. What is not installed is skipped."""
import os
import time

import numpy as np

for _name in ("OPENBLAS_CORETYPE", "OPENBLAS_L2_SIZE"):
    os.environ.pop(_name, None)
for _name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ[_name] = "1"
os.environ.setdefault("XLA_FLAGS", "--xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1")
os.environ.setdefault("JAX_PLATFORMS", "cpu")


class Called:
    """A Python function without arguments; `unpack` makes a dictionary of arrays of what it returns."""

    def __init__(self, run, unpack):
        self.run, self.unpack = run, unpack

    def seconds(self, runs):
        start = time.process_time()
        for _ in range(runs):
            self.run()
        return time.process_time() - start

    def results(self):
        return self.unpack(self.run())


def find_torch():
    try:
        import torch
    except ImportError:
        return None
    torch.set_num_threads(1)
    return torch


def find_jax():
    try:
        import jax
    except ImportError:
        return None
    jax.config.update("jax_enable_x64", True)
    return jax


def numbers(value):
    return {name: np.asarray(v.detach() if hasattr(v, "detach") else v) for name, v in value.items()}


def of_torch(torch, problem, size, inputs, compiled):
    """The problem's `torch(torch, size, inputs)` is (f, arguments, wrt): a function of tensors, either one with a scalar
    value, differentiated with respect to the arguments `wrt`, or (wrt is None) one that gives the dictionary of results."""
    f, arguments, wrt = problem.torch(torch, size, inputs)
    if compiled:
        f = torch.compile(f, dynamic=False)
    if wrt is None:
        return Called(lambda: f(**arguments), numbers)
    leaves = [arguments[name].requires_grad_() for name in wrt]

    def run():
        value = f(**arguments)
        return value, torch.autograd.grad(value, leaves)
    return Called(run, lambda r: numbers({"value": r[0], **{f"d{n}": g for n, g in zip(wrt, r[1])}}))


def of_jax(jax, problem, size, inputs):
    f, arguments, wrt = problem.jax(jax, size, inputs)
    if wrt is None:
        g = jax.jit(f)
        return Called(lambda: jax.block_until_ready(g(**arguments)), numbers)
    names = list(arguments)
    g = jax.jit(jax.value_and_grad(lambda *a: f(**dict(zip(names, a))), argnums=tuple(names.index(n) for n in wrt)))
    values = tuple(arguments.values())
    return Called(lambda: jax.block_until_ready(g(*values)),
                  lambda r: numbers({"value": r[0], **{f"d{n}": v for n, v in zip(wrt, r[1])}}))


def of_all(problem, size, inputs, quick):
    """{name: Called}, and what was skipped and why. `quick`: without torch.compile, which takes long to compile."""
    found, skipped = {}, {}
    torch, jax = find_torch(), find_jax()
    makers = {"PyTorch": (torch, lambda: of_torch(torch, problem, size, inputs, False)),
              "torch.compile": (torch, lambda: of_torch(torch, problem, size, inputs, True)),
              "JAX": (jax, lambda: of_jax(jax, problem, size, inputs))}
    for name, (library, make) in makers.items():
        asked = "jax" if name == "JAX" else "torch"
        if library is None:
            skipped[name] = "not installed"
        elif not hasattr(problem, asked) or name in getattr(problem, "WITHOUT", {}):
            skipped[name] = getattr(problem, "WITHOUT", {}).get(name, "not written")
        elif not (quick and name == "torch.compile"):
            try:
                found[name] = make()
                found[name].run()
            except Exception as e:  # noqa: BLE001  (a peer's own failure is reported, not ours)
                found.pop(name, None)
                skipped[name] = f"{type(e).__name__}: {str(e).strip().splitlines()[0][:120] if str(e).strip() else ''}"
    return found, skipped
