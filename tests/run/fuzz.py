"""Random IR gives the values of the reference evaluator when it is compiled, through the whole pipeline.

usage: fuzz.py TDLC EVALUATE DIR COUNT SEED [options of tdlc run]...

Values are equal to the sign of a zero with --strict-fp, without it up to 1e-9: sums may be taken in another order. f32 values are compared at 1e-6, the evaluator's output being shortest f64."""
import math
import os
import re
import struct
import subprocess
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "simplify"))
from random_ir import program  # noqa: E402

FORMATS = {"<f8": "d", "<f4": "f", "<i8": "q", "<i4": "i", "|b1": "?"}


def write_npy(path, shape, values):
    head = "{'descr': '<f8', 'fortran_order': False, 'shape': %s, }" % (shape,)
    head += " " * (-(len(head) + 11) % 64) + "\n"
    with open(path, "wb") as f:
        f.write(b"\x93NUMPY\x01\x00" + struct.pack("<H", len(head)) + head.encode() + struct.pack("<%dd" % len(values), *values))


def read_npy(path):
    with open(path, "rb") as f:
        data = f.read()
    n = struct.unpack("<H", data[8:10])[0]
    kind = FORMATS[re.search(r"'descr': '(...)'", data[10:10 + n].decode()).group(1)]
    body = data[10 + n:]
    return [float(x) for x in struct.unpack("<%d%s" % (len(body) // struct.calcsize(kind), kind), body)]


def same(a, b, exact):
    if math.isnan(a) or math.isnan(b):
        return math.isnan(a) and math.isnan(b)
    if exact and a == b:
        return math.copysign(1, a) == math.copysign(1, b)
    return a == b or abs(a - b) <= (1e-9 if not exact else 0) * max(abs(a), abs(b)) or struct.pack("f", min(max(a, -1e38), 1e38)) == struct.pack("f", min(max(b, -1e38), 1e38))


def run(cmd):
    r = subprocess.run(cmd, capture_output=True, text=True)
    return r.returncode, r.stdout, r.stderr


def main():
    tdlc, evaluate, where, count, first = sys.argv[1:4] + [int(a) for a in sys.argv[4:6]]
    flags = sys.argv[6:]
    v, w = [-0.0, math.nan, 2.5], [math.inf, -1.0, 0.0, -0.0, 3.0, 0.5]
    write_npy(where + "/v.npy", "(3,)", v)
    write_npy(where + "/w.npy", "(3, 2)", w)
    scalars = ["x=-0.0", "y=1.5", "s=0.1", "i=5"]
    for seed in range(first, first + count):
        path = "%s/%d.tir" % (where, seed)
        text, n = program(seed)
        with open(path, "w") as f:
            f.write(text)
        want = run([evaluate, path, "f", "n=3"] + scalars + ["v=" + ",".join(map(str, v)), "w=" + ",".join(map(str, w))])
        outs = [a for i in range(n) for a in ("-o", "r%d=%s/r%d.npy" % (i, where, i))]
        got = run([tdlc, "run", path, "--call", "f"] + scalars + ["v=%s/v.npy" % where, "w=%s/w.npy" % where] + flags + outs)
        if bool(want[0]) != bool(got[0]):
            sys.exit("%s: exit status %d, the evaluator's is %d\n%s%s" % (path, got[0], want[0], got[2], want[2]))
        for i, line in enumerate(want[1].split("\n")[:n] if not want[0] else []):
            a = [float(t) for t in re.sub(r"[\[\]]", "", line.split("=")[1]).split(",")]
            b = read_npy("%s/r%d.npy" % (where, i))
            if len(a) != len(b) or not all(same(p, q, "--strict-fp" in flags) for p, q in zip(a, b)):
                sys.exit("%s: r%d is %s, the evaluator has %s" % (path, i, b, a))


main()
