"""Elementary functions: inline code against the C library's (--math=libm), on arrays in the cache, in one process.

    bench/elementary.py TDLC [CC]

For each target and precision: how many times as fast (median of the pairs' ratios), and the least ns an element."""
import ctypes
import pathlib
import random
import statistics
import subprocess
import sys
import tempfile
import time

N, PAIRS = 4096, 61
FUNCTIONS = ("exp", "expm1", "log", "log1p", "tanh", "sigmoid", "sin", "cos", "tan", "pow", "erf", "erfc", "asin", "acos", "atan", "atan2", "sinh", "cosh",
             "asinh", "acosh", "atanh")
OF_TWO = ("pow", "atan2")
SOURCE = pathlib.Path(__file__).parent.parent / "tests/codegen/Inputs/math/functions.tdl"


def library(tdlc, cc, folder, options):
    path = folder / ("m" + "".join(options))
    subprocess.run([tdlc, *options, SOURCE, "-o", f"{path}.o"], check=True)
    subprocess.run([cc, "-shared", "-o", f"{path}.so", f"{path}.o", "-lm"], check=True)
    return ctypes.CDLL(f"{path}.so")


def seconds(fn, *arrays):
    start = time.perf_counter()
    fn(ctypes.c_int64(N), *arrays, None, ctypes.c_size_t(0))
    return time.perf_counter() - start


def main():
    tdlc, cc = sys.argv[1], (sys.argv + ["cc"])[2]
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        for target in ((), ("--mcpu=native",)):
            inline, libm = (library(tdlc, cc, folder, (*target, m)) for m in ("--math=inline", "--math=libm"))
            for bits, type in (("64", ctypes.c_double), ("32", ctypes.c_float)):
                x, y = (type * N)(*(random.uniform(0.1, 3) for _ in range(N))), (type * N)()
                row = []
                for f in FUNCTIONS:
                    arrays = (x, x, y) if f in OF_TWO else (x, y)
                    pairs = [[seconds(getattr(lib, f + bits), *arrays) for lib in (inline, libm)] for _ in range(PAIRS)]
                    row.append("%s %.1f (%.2f ns)" % (f, statistics.median(b / a for a, b in pairs), min(pairs)[0] / N * 1e9))
                print(*target or ["default"], "f" + bits, " ".join(row))


main()
