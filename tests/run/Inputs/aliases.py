"""Calls every function of a library with its outputs over inputs, in every way that its manifest allows.

    aliases.py MANIFEST LIBRARY     functions f(n, x, y, s, out_0, out_1): x, y f64[n], s i64, both outputs f64[n]
"""
import ctypes
import itertools
import json
import sys

manifest = json.load(open(sys.argv[1]))
library = ctypes.CDLL(sys.argv[2])
calls = wrong = 0


def call(name, n, s, over):
    inputs = {k: (ctypes.c_double * n)(*[(7 * i + a) % 5 + 0.5 for i in range(n)]) for k, a in (("x", 1), ("y", 3))}
    outputs = [inputs[o] if o else (ctypes.c_double * n)() for o in over]
    status = getattr(library, name)(ctypes.c_int64(n), inputs["x"], inputs["y"], ctypes.c_int64(s), *outputs, None, ctypes.c_size_t(0))
    return status, [list(o) for o in outputs]


for f in manifest["functions"]:
    allowed = [["", *p.get("aliases", [])] for p in f["arguments"] if p["role"] == "output"]
    for over, n, s in itertools.product(itertools.product(*allowed), (1, 3, 70), (0, 1, 2, 3)):
        if over[0] and over[0] == over[1]:
            continue
        calls += 1
        got, want = call(f["name"], n, s, over), call(f["name"], n, s, ("", ""))
        if got != want:
            wrong += 1
            print(f"{f['name']} n={n} s={s} over {over} is another result")
print(f"{calls > 40}: {wrong} wrong")
