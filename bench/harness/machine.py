"""The machine's peaks, measured, and what the least time of an amount of work is by them."""
import ctypes
import dataclasses
import pathlib

import numpy as np

from .native import ROOT, TUNED, command


SIZES = [1 << 15, 1 << 20, 1 << 22, 1 << 25, 1 << 28]    # bytes that caches and the memory are measured with


@dataclasses.dataclass
class Work:
    """What a problem must do at least. Multiply-adds count one, as does an addition or product alone: `fma` in f64,
    `fma32` in f32; exponentials (a logarithm, tanh or sigmoid counts as one); bytes that are read, and twice those
    that are written (they are fetched first),
    if each is once."""
    fma: float = 0
    fma32: float = 0
    exp: float = 0
    exp32: float = 0
    bytes: float = 0

    def operations(self):
        """An exponential is twenty."""
        return self.fma + self.fma32 + 20 * (self.exp + self.exp32)


@dataclasses.dataclass
class Peaks:
    """A second's worth of each."""
    fma: float
    fma32: float
    exp: float
    exp32: float
    bytes: dict     # by the size of what is read

    def bandwidth(self, size):
        return next((rate for limit, rate in self.bytes.items() if size <= limit), min(self.bytes.values()))

    def seconds(self, w):
        arithmetic = w.fma / self.fma + w.fma32 / self.fma32 + w.exp / self.exp + w.exp32 / self.exp32
        return max(arithmetic, w.bytes / self.bandwidth(w.bytes))


def measure(builder):
    out = builder.folder / "peaks.so"
    command(builder.cc, "-std=gnu11", "-O3", "-march=native", *TUNED, "-fPIC", "-shared", ROOT / "bench/limit/peaks.c", "-o", out, "-lm")
    lib = ctypes.CDLL(str(pathlib.Path(out)))
    for name in ("f64", "f32", "read", "exp", "expf"):
        getattr(lib, f"peak_{name}").restype = ctypes.c_double
    pointer = lambda a: ctypes.c_void_p(a.ctypes.data)  # noqa: E731
    sink, sink32, large = np.zeros(1), np.zeros(1, np.float32), np.ones(1 << 25)
    small, small32 = np.linspace(-1, 1, 2048), np.linspace(-1, 1, 2048, dtype=np.float32)
    best = lambda f, times: max(f() for _ in range(times))  # noqa: E731
    return Peaks(fma=best(lambda: lib.peak_f64(pointer(sink)), 50), fma32=best(lambda: lib.peak_f32(pointer(sink32)), 50),
                 exp=best(lambda: lib.peak_exp(pointer(small), ctypes.c_long(small.size)), 50),
                 exp32=best(lambda: lib.peak_expf(pointer(small32), ctypes.c_long(small32.size)), 50),
                 bytes={size: best(lambda: lib.peak_read(pointer(large), ctypes.c_long(size // 8), pointer(sink)), 9) for size in SIZES})
