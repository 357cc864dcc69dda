"""Checks docs/nonsmooth.md: each row's derivative in both modes, and its word about PyTorch.

    check.py TDLC CC DOC

A row is `expression` | point | derivative | PyTorch 2.13, where the last says `same` or the other value. Every case of
cases.py must be a row. Only Python's standard library is needed.
"""
import ctypes
import json
import math
import pathlib
import re
import subprocess
import sys
import tempfile

from cases import CASES
from points import read_point, show

HERE = pathlib.Path(__file__).parent


def read_rows(doc):
    for line in doc.splitlines():
        cells = [c.strip() for c in re.split(r"(?<!\\)\|", line)[1:-1]]
        if len(cells) == 4 and cells[0].startswith("`"):
            yield cells[0].strip("`"), cells[1], cells[2], cells[3]


def source(i, tdl, at):
    params = ", ".join(f"{n}: f64[{len(v)}]" if isinstance(v, list) else f"{n}: f64" for n, v in at.items())
    wrt = "(" + ", ".join(at) + ",)"
    return (f"fn row{i}({params}) -> f64 = {tdl}\n"
            f"export let r{i} = grad(row{i}, wrt={wrt})\nexport let t{i} = jacfwd(row{i}, wrt={wrt})\n")


def compile_rows(tdlc, cc, rows, folder):
    tdl, obj, lib = (folder / f"rows{e}" for e in (".tdl", ".o", ".so"))
    tdl.write_text("".join(source(i, r[0], read_point(r[1])) for i, r in enumerate(rows)))
    subprocess.run([*tdlc, "-w", str(tdl), "-o", str(obj)], check=True)
    subprocess.run([cc, "-shared", "-o", str(lib), str(obj), "-lm"], check=True)
    return ctypes.CDLL(str(lib))


def derivative(lib, name, at):
    array = lambda v: (ctypes.c_double * len(v))(*v)
    args = [array(v) if isinstance(v, list) else ctypes.c_double(v) for v in at.values()]
    out = [array([math.nan] * (len(v) if isinstance(v, list) else 1)) for v in at.values()]
    status = getattr(lib, name)(*args, *out, None, ctypes.c_size_t(0))
    assert status == 0, f"{name}: status {status}"
    return {n: list(o) if isinstance(v, list) else o[0] for (n, v), o in zip(at.items(), out)}


def faults(rows, lib, expected):
    for i, (tdl, where, stated, torch) in enumerate(rows):
        at = read_point(where)
        for mode, name in (("reverse", f"r{i}"), ("forward", f"t{i}")):
            got = show(derivative(lib, name, at))
            if got != stated:
                yield f"{tdl} at {where}: {mode} mode says {got}, the table {stated}"
        theirs = expected.get(f"{tdl} at {where}")
        if theirs and torch != ("same" if theirs == stated else theirs):
            yield f"{tdl} at {where}: PyTorch says {theirs}, the table {torch}"
        if not theirs and torch != "-":
            yield f"{tdl} at {where}: the table says {torch} of PyTorch, which was not asked"
    for tdl, where, _ in CASES:
        if not any(r[:2] == (tdl, where) for r in rows):
            yield f"{tdl} at {where}: is no row of the table"


def main(tdlc, cc, doc):
    rows = list(read_rows(pathlib.Path(doc).read_text()))
    expected = json.loads((HERE / "expected.json").read_text())
    with tempfile.TemporaryDirectory() as folder:
        found = list(faults(rows, compile_rows(tdlc.split(), cc, rows, pathlib.Path(folder)), expected))
    print("\n".join(found + [f"rows: {len(rows)}, faults: {len(found)}"]))
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:4]))
