"""Checks derivatives of every case: compiled gradient against finite differences and against PyTorch's; forward mode against
the gradient.

    check.py grads TDLC CC       gradients (cases.py and extra.py)
    check.py names TDLC          grad_fn names (expected.txt)
    check.py coverage TDLC ROOT  every differentiable operation of ir/ops.def and every library function has a case

Prints one line a failure and a total; exits 1 when anything failed. Only Python's standard library is needed.
"""
import ctypes
import json
import math
import pathlib
import re
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor

from cases import CASES, INDICES, LEAVES
from extra import EXTRA, HELPERS
from forms import elementwise_cases, missing_forms
from leaves import names_in, values, weight

HERE = pathlib.Path(__file__).parent
ROOT = HERE.parent.parent
SCRIPT_ONLY = {"leaf"}
STEP = 1e-3          # fourth-order differences: truncation about STEP**4, rounding about 1e-16 / STEP
TOLERANCE = 2e-7     # relative to the largest gradient of the leaf: covers both
TORCH_TOLERANCE = 1e-9


class Case:
    """One compiled function: parameters (leaves, then index tensors), the loss of `weight`ed elements."""

    def __init__(self, number, title, expr, prelude=""):
        self.name, self.title = f"case{number}", title
        self.leaves, self.indices = names_in(prelude + " " + expr)
        params = [f"{n}: f64{list(LEAVES[n]) if LEAVES[n] else ''}" for n in self.leaves]
        params += [f"{n}: i64{list(shape_of(INDICES[n]))}" for n in self.indices]
        self.source = (f"export fn {self.name}({', '.join(params)}) -> f64 {{\n{prelude}"
                       f"    let result = flatten({expr})\n"
                       f"    return sum(result[k] * (1.3 + cos(1.7*k)) for k in numel(result))\n}}\n"
                       f"export let {self.name}_grad = value_and_grad({self.name}, wrt=({', '.join(self.leaves)},))\n"
                       f"export let {self.name}_dot = jvp({self.name}, wrt=({', '.join(self.leaves)},))\n")


def shape_of(x):
    return [len(x), *shape_of(x[0])] if isinstance(x, list) else []


def flat(x):
    return [e for row in x for e in flat(row)] if isinstance(x, list) else [x]


def all_cases():
    cases = [Case(i, tdl, tdl) for i, (tdl, _) in enumerate(CASES)]
    extra = [*EXTRA, *elementwise_cases(ROOT)]
    return cases + [Case(len(CASES) + i, title, expr, prelude) for i, (title, prelude, expr) in enumerate(extra)]


def compile_cases(tdlc, cc, cases, folder, stem):
    """A shared library of the cases; or the compiler's message as a string."""
    tdl, obj, lib = (pathlib.Path(folder) / f"{stem}{e}" for e in (".tdl", ".o", ".so"))
    tdl.write_text(HELPERS + "\n".join(c.source for c in cases))
    done = subprocess.run([*tdlc, str(tdl), "-o", str(obj)], capture_output=True, text=True)
    if done.returncode:
        return (done.stderr or f"exit status {done.returncode}").strip()
    subprocess.run([cc, "-shared", "-o", str(lib), str(obj), "-llapack", "-lblas", "-lm"], check=True)
    return ctypes.CDLL(str(lib))


def call(lib, case, name, leaf_values, gradients):
    arrays, args = [], []
    for n in case.leaves:
        if LEAVES[n]:
            arrays.append((ctypes.c_double * len(leaf_values[n]))(*leaf_values[n]))
            args.append(arrays[-1])
        else:
            args.append(ctypes.c_double(leaf_values[n][0]))
    for n in case.indices:
        data = flat(INDICES[n])
        args.append((ctypes.c_int64 * len(data))(*data))
    out = ctypes.c_double()
    args.append(ctypes.byref(out))
    grads = {n: (ctypes.c_double * len(leaf_values[n]))() for n in case.leaves} if gradients else {}
    args += [grads[n] for n in case.leaves if gradients]
    status = getattr(lib, name)(*args, None, ctypes.c_size_t(0))
    if status:
        raise RuntimeError(f"status {status}")
    return out.value, {n: list(g) for n, g in grads.items()}


def directional(lib, case, at, grads):
    """Along a direction: forward mode says, the gradient says."""
    along = {n: [weight(k) * (1 if i % 2 else -1) for k in range(len(at[n]))] for i, n in enumerate(case.leaves)}
    args = []
    for n in case.leaves:
        args.append((ctypes.c_double * len(at[n]))(*at[n]) if LEAVES[n] else ctypes.c_double(at[n][0]))
    for n in case.indices:
        data = flat(INDICES[n])
        args.append((ctypes.c_int64 * len(data))(*data))
    for n in case.leaves:
        args.append((ctypes.c_double * len(at[n]))(*along[n]) if LEAVES[n] else ctypes.c_double(along[n][0]))
    value, dot = ctypes.c_double(), ctypes.c_double()
    status = getattr(lib, case.name + "_dot")(*args, ctypes.byref(value), ctypes.byref(dot), None, ctypes.c_size_t(0))
    if status:
        raise RuntimeError(f"forward mode: status {status}")
    terms = [g * t for n in case.leaves for g, t in zip(grads[n], along[n])]
    return dot.value, sum(terms), sum(map(abs, terms))


def difference(lib, case, at, leaf, i):
    def f(t):
        moved = dict(at)
        moved[leaf] = list(at[leaf])
        moved[leaf][i] += t
        return call(lib, case, case.name, moved, False)[0]
    return (8 * (f(STEP) - f(-STEP)) - (f(2 * STEP) - f(-2 * STEP))) / (12 * STEP)


def compare(what, leaf, got, want, tolerance):
    scale = max([1e-3] + [abs(w) for w in want])
    for i, (a, b) in enumerate(zip(got, want)):
        if not abs(a - b) <= tolerance * scale:
            return f"d{leaf}[{i}] is {a!r}, {what} {b!r}"
    return None


def check_case(lib, case, torch_grads):
    at = values(case.leaves)
    _, grads = call(lib, case, case.name + "_grad", at, True)
    forward, reverse, scale = directional(lib, case, at, grads)
    if not abs(forward - reverse) <= 1e-11 * max(scale, 1):
        return f"forward mode says {forward!r}, reverse mode {reverse!r}"
    for leaf in case.leaves:
        fault = None
        # What is detached has no derivative, but a difference; f32 rounds a difference away.
        if leaf + ".detach()" not in case.title and not re.search(r"float\(|to\(f32\)", case.title):
            want = [difference(lib, case, at, leaf, i) for i in range(len(at[leaf]))]
            fault = compare("finite differences say", leaf, grads[leaf], want, TOLERANCE)
        if not fault and torch_grads and torch_grads.get(leaf):
            fault = compare("PyTorch says", leaf, grads[leaf], torch_grads[leaf], TORCH_TOLERANCE)
        if fault:
            return fault
    return None


def grads(tdlc, cc):
    cases, failed = all_cases(), 0
    torch_grads = json.loads((HERE / "expected_grads.json").read_text())
    with tempfile.TemporaryDirectory() as folder:
        whole = compile_cases(tdlc, cc, cases, folder, "all")

        def one(case):
            lib = whole if not isinstance(whole, str) else compile_cases(tdlc, cc, [case], folder, case.name)
            if isinstance(lib, str):
                return lib.splitlines()[0]
            try:
                return check_case(lib, case, torch_grads.get(case.title))
            except RuntimeError as e:
                return str(e)

        with ThreadPoolExecutor(2) as pool:
            for case, fault in zip(cases, pool.map(one, cases)):
                if fault:
                    failed += 1
                    print(f"{case.title}: {fault}")
    print(f"gradients: {len(cases) - failed} right, {failed} wrong")
    return failed


def names(tdlc):
    failed, lines = 0, [l for l in (HERE / "expected.txt").read_text().splitlines() if l and l[0] != "#"]

    def one(line):
        tdl, want = line.split(" => ")
        leaves, indices = names_in(tdl)
        at = values(leaves)
        script = []
        for n in leaves:
            data = "[" + ", ".join(repr(v) for v in at[n]) + "]" if LEAVES[n] else repr(at[n][0])
            shape = "(" + ", ".join(map(str, LEAVES[n])) + ("," if len(LEAVES[n]) == 1 else "") + ")"
            made = f"reshape({data}, {shape})" if LEAVES[n] else f"full((), {data})"
            script.append(f"let {n} = tensor({made}, requires_grad=true)")
        script += [f"let {n} = {INDICES[n]}" for n in indices]
        script += [f"let result = {tdl}", "print(result.grad_fn)"]
        with tempfile.NamedTemporaryFile("w", suffix=".tdl") as f:
            f.write("\n".join(script) + "\n")
            f.flush()
            done = subprocess.run([*tdlc, "run", f.name], capture_output=True, text=True)
        got = done.stdout.strip() if done.returncode == 0 else (done.stderr.strip().splitlines() or ["crash"])[0]
        return None if got == f"<{want}>" else f"{tdl}: {got}, PyTorch says <{want}>"

    with ThreadPoolExecutor(2) as pool:
        for fault in pool.map(one, lines):
            if fault:
                failed += 1
                print(fault)
    print(f"grad_fn names: {len(lines) - failed} right, {failed} wrong")
    return failed


def compiles(tdlc, source):
    with tempfile.NamedTemporaryFile("w", suffix=".tdl") as f:
        f.write(HELPERS + source)
        f.flush()
        return subprocess.run([*tdlc, "--emit=ir", f.name, "-o", "/dev/null"], capture_output=True).returncode == 0


def operations_missing(tdlc, root, cases, left_out):
    """Operations of ops.def with a derivative that neither the cases' IR nor that of their derivatives contains."""
    with tempfile.NamedTemporaryFile("w", suffix=".tdl") as f:
        f.write(HELPERS + "\n".join(c.source for c in cases))
        f.flush()
        ir = "".join(subprocess.run([*tdlc, s, f.name, "-o", "-"], capture_output=True, text=True, check=True).stdout
                     for s in ("--emit=ir", "--emit=adjoint"))
    used = set(re.findall(r"^ *(?:%[\w, %]* = )?([a-z_][a-z_0-9]*)\b", ir, re.M))
    rows = re.findall(r'^OP\(\w+, *"(\w+)",.*?\b(?:PARTIAL|RULE|LINEAR),', (root / "ir/ops.def").read_text(), re.M)
    return [f"operation {name}" for name in rows if name not in used and name not in left_out]


def coverage(tdlc, root):
    """Operations with a derivative that no case's IR contains; forms of library functions that no case calls."""
    root = pathlib.Path(root)
    missing = operations_missing(tdlc, root, all_cases(), SCRIPT_ONLY)
    missing += missing_forms(root, all_cases(), HELPERS, lambda source: compiles(tdlc, source))
    for m in missing:
        print(f"no derivative case: {m}")
    print(f"coverage: {len(missing)} missing")
    return len(missing)


if __name__ == "__main__":
    mode, tdlc = sys.argv[1], sys.argv[2].split()
    failures = {"grads": lambda: grads(tdlc, sys.argv[3]), "names": lambda: names(tdlc),
                "coverage": lambda: coverage(tdlc, sys.argv[3])}[mode]()
    sys.exit(1 if failures else 0)
