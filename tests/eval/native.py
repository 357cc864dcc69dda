"""native.py EVALUATE TDLC CC FIRST COUNT [TDLC OPTIONS]: random programs (tests/adjoint/fuzz.py) with their gradients, compiled
to objects and called, against the reference evaluator. Seeds are repeatable; all functions go into one object."""
import ctypes
import os
import pathlib
import random
import re
import subprocess
import sys
import tempfile

sys.path.insert(0, str(pathlib.Path(__file__).parent.parent / "adjoint"))
from fuzz import Program  # noqa: E402

DRIVER = """func @g{k}<n>(%0 x: f64[n], %1 y: f64[n], %2 s: f64, %3 t: f64, %4 ca: f64, %5 cb: f64[n]) -> (a: f64, b: f64[n], dx: f64[n], dy: f64[n], ds: f64, dt: f64) {{export}} {{
  %6, %7, %8, %9, %10, %11 = vjp %0, %1, %2, %3, %4, %5 {{callee = @f{k}, dims = <n>, wrt = [0, 1, 2, 3]}} : f64, f64[n], f64[n], f64[n], f64, f64
  return %6, %7, %8, %9, %10, %11
}}
"""
N = 3
VECTORS, SCALARS = ("x", "y", "cb"), ("s", "t", "ca")


def inputs(seed):
    r = random.Random(seed)
    v = {n: [r.uniform(0.2, 1.2) for _ in range(N)] for n in VECTORS}
    v.update({n: [r.uniform(0.2, 1.2)] for n in SCALARS})
    return v


def reference(evaluate, path, k, at):
    sets = ["%s=%s" % (n, ",".join(map(repr, v))) for n, v in at.items()]
    run = subprocess.run([evaluate, "--passes=adjoint", path, "g%d" % k, "n=%d" % N] + sets, capture_output=True, text=True)
    if run.returncode:
        raise RuntimeError(run.stdout + run.stderr)
    return {m[1]: [float(x) for x in m[2].split(",")] for m in re.finditer(r"^(\w+) = \[?(.*?)\]?$", run.stdout, re.M)}


def compiled(lib, k, at):
    vec = lambda v=(0,) * N: (ctypes.c_double * len(v))(*v)
    out = {n: vec() if n in ("b", "dx", "dy") else vec((0,)) for n in ("a", "b", "dx", "dy", "ds", "dt")}
    args = [ctypes.c_int64(N), vec(at["x"]), vec(at["y"]), ctypes.c_double(at["s"][0]), ctypes.c_double(at["t"][0]),
            ctypes.c_double(at["ca"][0]), vec(at["cb"])] + list(out.values()) + [None, ctypes.c_size_t(0)]
    status = getattr(lib, "g%d" % k)(*args)
    if status:
        raise RuntimeError("status %d" % status)
    return {n: list(v) for n, v in out.items()}


def differ(a, b):
    near = lambda p, q: p == q or (p != p and q != q) or abs(p - q) <= 1e-9 * (1 + abs(q))
    return [n for n in b if not all(near(p, q) for p, q in zip(a[n], b[n]))]


def main():
    evaluate, tdlc, cc, first, count = sys.argv[1], sys.argv[2], sys.argv[3], int(sys.argv[4]), int(sys.argv[5])
    bad = 0
    with tempfile.TemporaryDirectory() as folder:
        path = lambda e: os.path.join(folder, e)
        texts = [Program(k).text().replace("@f<", "@f%d<" % k) + DRIVER.format(k=k) for k in range(first, first + count)]
        open(path("all.tir"), "w").write("\n".join(texts))
        done = subprocess.run([tdlc, path("all.tir"), "-o", path("all.o")] + sys.argv[6:], capture_output=True, text=True)
        if done.returncode:
            print("tdlc (status %d):\n%s" % (done.returncode, done.stderr[:3000]))
            return 1
        subprocess.run([cc, "-shared", "-o", path("all.so"), path("all.o"), "-lm"], check=True)
        lib = ctypes.CDLL(path("all.so"))
        for k in range(first, first + count):
            at = inputs(k)
            try:
                want, got = reference(evaluate, path("all.tir"), k, at), compiled(lib, k, at)
                wrong = ["%s is %s, evaluated %s" % (n, got[n], want[n]) for n in differ(got, want)]
            except RuntimeError as e:
                wrong = [str(e)[:300]]
            if wrong:
                bad += 1
                print("FAIL seed %d: %s" % (k, "; ".join(wrong)[:500]))
    print("%d programs, %d failed" % (count, bad))
    return bool(bad)


if __name__ == "__main__":
    sys.exit(main())
