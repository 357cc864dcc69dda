"""plants.py PLANTED CC ROOT [OPTION]...: a sign error in each derivative rule, one at a time, is found by random programs.

  --programs=N    that are at hand (400)
  --few=N         only N of the rules, others each day (0: all)
  --only=TEXT     only the rules whose name has TEXT

The rules are read from ir/ops.def and passes/partials.tdl under ROOT; PLANTED is tdlc-planted (plant.c). For each, programs
with the operation in them are checked until one fails. The last line says how many were found."""
import argparse
import datetime
import os
import pathlib
import re
import sys
import tempfile

from check import STRUCT, Tools, operations, reached, run, source
from property import batch, generate

# what contributes nothing: terminators, an empty stack, and the leaves of scripts, where backward() ends
NOTHING = {m + op for m in ("reverse:", "forward:") for op in ("yield", "return", "stack_new", "leaf")}
OPERANDS = {"dot": (0, 1), "correlate": (1,), "select": (1, 2), "update": (0, 1), "upslice": (0, 1), "scatter_add": (0, 2), "concat": (0, 1),
            "stack": (0, 1)}
OPTIMISED = {"correlate"}   # what -O2 alone makes: the programs are compiled with it, too
FOUND = ("gradient", "modes", "second derivative", "script", "optimised")


def rules(root):
    """(spec of the plant, mnemonic)"""
    out = []
    for op, answer in re.findall(r'^OP\(\w+, *"(\w+)",.*?\b(PARTIAL|RULE|LINEAR),', (root / "ir/ops.def").read_text(), re.M):
        if answer != "PARTIAL":
            out += [("reverse:" + op, op), ("forward:" + op, op)] + [("reverse:%s:%d" % (op, k), op) for k in OPERANDS.get(op, ())]
    for op, body in re.findall(r"^derivative (\w+)\(.*?\{(.*?)\}$", (root / "passes/partials.tdl").read_text(), re.M | re.S):
        out += [("partial:%s:%d" % (op, k), op) for k in range(len(re.findall(r"\bpartial \w+ =", body)))]
    return [r for r in out if r[0] not in NOTHING]


def programs_by_operation(tools, count, folder):
    """Seeds of the programs that an operation is in, the shorter programs first."""
    found, programs = {}, [generate(s) for s in range(count)]
    for first in range(0, count, 50):
        part = programs[first:first + 50]
        path = folder / "all.tdl"
        path.write_text(STRUCT + "\n".join(source(p) for p in part))
        ir = operations(run([tools.tdlc, "--emit=adjoint", str(path), "-o", "-"]))
        for p in part:
            for op in reached(ir, "v_%d" % p.seed):
                found.setdefault(op, []).append(p)
    return {op: sorted(ps, key=lambda p: len(p.text())) for op, ps in found.items()}


def look(tools, plant, programs, folder):
    """How many programs it took to find the plant, and what the last one said; 0: none did."""
    os.environ["TDL_PLANT"] = plant
    tried, first, size = 0, 0, 2
    while first < len(programs):
        results = batch(tools, programs[first:first + size], folder, 120)
        first, size = first + size, min(2 * size, 25)
        for r in results:
            tried += 1
            if r.failure and r.failure.split(":")[0].split(" (")[0] in FOUND:
                return tried, r.failure
    return 0, "%d programs with it" % len(programs)


def main():
    o = argparse.ArgumentParser()
    o.add_argument("planted"), o.add_argument("cc"), o.add_argument("root", type=pathlib.Path)
    o.add_argument("--programs", type=int, default=400), o.add_argument("--few", type=int, default=0), o.add_argument("--only", default="")
    a = o.parse_args()
    wanted = [r for r in rules(a.root) if a.only in r[0]]
    if a.few:
        day = datetime.date.today().toordinal() * a.few
        wanted = [wanted[(day + i) % len(wanted)] for i in range(min(a.few, len(wanted)))]
    tools, count = {level: Tools(a.planted, a.cc, level) for level in ("none", "full")}, 0
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        by_op = programs_by_operation(tools["none"], a.programs, folder)
        for plant, op in wanted:
            tried, what = look(tools["full" if op in OPTIMISED else "none"], plant, by_op.get(op, []), folder)
            count += tried > 0
            print("%-24s %s: %s" % (plant, "%3d programs" % tried if tried else "NOT FOUND", what.split("\n")[0][:70]), flush=True)
            for f in folder.iterdir():
                f.unlink()
    print("%d plants, %d found" % (len(wanted), count))
    return count != len(wanted)


if __name__ == "__main__":
    sys.exit(main())
