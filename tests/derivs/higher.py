"""Second and third derivatives: of every operation and every function of the library, and of the constructs of extra.py.

    higher.py grads TDLC CC        against finite differences of the derivative one order below, in every mix of modes
    higher.py coverage TDLC ROOT   every operation and function has a case, or is left out for a reason

A case is one of check.py's. What is differentiated is a weighted sum of sin(result), so that linear functions have higher
derivatives too. u and v are directions: h is the gradient, H u and T u v are what it changes by along u, and again along v.
"""
import ctypes
import pathlib
import re
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor

from cases import CASES, INDICES, LEAVES
from check import ROOT, compile_cases, flat, operations_missing, shape_of
from extra import EXTRA, HELPERS
from forms import calls, functions, split
from leaves import names_in, values, weight

STEP = 1e-3         # of a direction within 0.3: fourth-order differences, truncation about (0.3 * STEP)**4 times the fifth derivative
TOLERANCE = 2e-7    # relative to the largest element
AGREE = 5e-9        # between modes: what solves an equation stops at 1e-10

JUMPS = "constant but for jumps: its derivative is 0"
ROUNDS = "rounds to f32, where a difference sees the steps"
LEFT_OUT = {"sign": JUMPS, "floor": JUMPS, "ceil": JUMPS, "round": JUMPS, "trunc": JUMPS, "float": ROUNDS}
OPERATIONS_LEFT_OUT = {"leaf": "stands in scripts only: tests/run/backward-graph.tdl"}

# Where none of check.py's cases will do.
MORE = [("double", "", "double(x) * y"), ("sqrt of a sum", "", "sqrt(x * y + s)"), ("power of powers", "", "(x ** y) ** 1.5"),
        ("operators as functions", "", "div(add(x, y), mul(x, sub(y, neg(x))) + 2.0)"), ("products of products", "", "prod(x) * prod(x, dim=1)"), ("det of a product", "", "det(q @ q + eye(3, dtype=f64))")]


class Case:
    def __init__(self, number, title, prelude, expr):
        self.name, self.title = f"case{number}", title
        self.leaves, self.indices = names_in(prelude + " " + expr)
        self.fixed = [n for n in self.leaves if n + ".detach()" in expr]
        p = ", ".join([f"{n}: f64{list(LEAVES[n]) if LEAVES[n] else ''}" for n in self.leaves] +
                      [f"{n}: i64{list(shape_of(INDICES[n]))}" for n in self.indices])
        u, v = (", ".join(f"{d}{n}: f64{list(LEAVES[n]) if LEAVES[n] else ''}" for n in self.leaves) for d in "uv")
        a, au, av = (", ".join(names) for names in
                     ([*self.leaves, *self.indices], [f"u{n}" for n in self.leaves], [f"v{n}" for n in self.leaves]))
        wrt = f"wrt=({', '.join(self.leaves)},)"

        def dot(d):
            return " + ".join(f"sum(d.{i} * {d}{n})" if LEAVES[n] else f"d.{i} * {d}{n}" for i, n in enumerate(self.leaves))
        c = self.name
        self.source = (
            f"fn {c}({p}) -> f64 {{\n{prelude}    let result = flatten({expr})\n"
            f"    return sum(sin(result[k]) * (1.3 + cos(1.7*k)) for k in numel(result))\n}}\n"
            f"fn {c}_u({p}, {u}) -> f64 {{\n    let d = grad({c}, {wrt})({a})\n    return {dot('u')}\n}}\n"
            f"fn {c}_uf({p}, {u}) -> f64 = jvp({c}, {wrt})({a}, {au}).1\n"
            f"fn {c}_v({p}, {u}, {v}) -> f64 {{\n    let d = grad({c}_u, {wrt})({a}, {au})\n    return {dot('v')}\n}}\n"
            f"fn {c}_vf({p}, {u}, {v}) -> f64 = jvp({c}_uf, {wrt})({a}, {au}, {av}).1\n"
            f"export let {c}_fr = hvp({c}, {wrt})\nexport let {c}_rf = grad({c}_uf, {wrt})\n"
            f"export let {c}_frr = hvp({c}_u, {wrt})\nexport let {c}_rrr = grad({c}_v, {wrt})\n"
            f"export let {c}_rff = grad({c}_vf, {wrt})\n")

    def direction(self, d):
        return {n: [0.0 if n in self.fixed else 0.1 * weight(k + 5 * i + d) * (1 if (k + d) % 2 else -1)
                    for k in range(len(values(self.leaves)[n]))] for i, n in enumerate(self.leaves)}

    def call(self, lib, name, at, *directions, outputs=1):
        """The outputs of an exported function, each a list over all leaves."""
        args = []
        for values_of in (at, *directions):
            args += [(ctypes.c_double * len(values_of[n]))(*values_of[n]) if LEAVES[n] else ctypes.c_double(values_of[n][0])
                     for n in self.leaves]
            if values_of is at:
                args += [(ctypes.c_int64 * len(flat(INDICES[n])))(*flat(INDICES[n])) for n in self.indices]
        out = [[(ctypes.c_double * len(at[n]))() for n in self.leaves] for _ in range(outputs)]
        status = getattr(lib, self.name + name)(*args, *sum(out, []), None, ctypes.c_size_t(0))
        if status:
            raise RuntimeError(f"{name[1:]}: status {status}")
        return [[e for leaf in o for e in leaf] for o in out]


def difference(f, at, along):
    """What f, a list, changes by along a direction."""
    def moved(t):
        return f({n: [x + t * STEP * d for x, d in zip(at[n], along[n])] for n in at})
    return [(8 * (p - m) - (pp - mm)) / (12 * STEP) for p, m, pp, mm in zip(moved(1), moved(-1), moved(2), moved(-2))]


def differ(what, got, want, tolerance):
    scale = max([1e-3] + [abs(w) for w in want])
    for i, (a, b) in enumerate(zip(got, want)):
        if not abs(a - b) <= tolerance * scale:
            return f"{what}: element {i} is {a!r}, not {b!r}"
    return None


def check(case, lib):
    at, u, v = values(case.leaves), case.direction(0), case.direction(1)
    second = difference(lambda x: case.call(lib, "_fr", x, u, outputs=2)[0], at, u)
    forward = case.call(lib, "_fr", at, u, outputs=2)[1]
    third = difference(lambda x: case.call(lib, "_fr", x, u, outputs=2)[1], at, v)
    reverse, mixed = case.call(lib, "_frr", at, u, v, outputs=2)
    return (differ("H u, forward over reverse", forward, second, TOLERANCE) or differ("H u, reverse over reverse", reverse, forward, AGREE) or
            differ("H u, reverse over forward", case.call(lib, "_rf", at, u)[0], forward, AGREE) or
            differ("T u v, forward over reverse over reverse", mixed, third, TOLERANCE) or
            differ("T u v, reverse three times", case.call(lib, "_rrr", at, u, v)[0], mixed, AGREE) or
            differ("T u v, reverse over forward over forward", case.call(lib, "_rff", at, u, v)[0], mixed, AGREE))


def chosen(root):
    """The constructs, and for each function the first case that calls it; functions without a case."""
    plain = [("", e) for e, _ in CASES]
    everything = [(t, p, e) for t, p, e in [*MORE, *((e, p, e) for p, e in plain), *EXTRA]
                  if not re.search(r"(?<!\.)detach\(|float\(|f32", e)]
    fs = [f for f in functions(root) if f.name not in LEFT_OUT]
    known = {f.name: f for f in fs}
    of, out = {}, list(MORE)
    for case in everything:
        for f, *_ in calls(case[1] + " " + case[2], known):
            of.setdefault(f.name, case)
    operators = [(e, "", e) for e, _ in CASES[:16]]
    constructs = EXTRA[:next(i for i, e in enumerate(EXTRA) if e[0] == "weights of classes")]
    for case in [*operators, *constructs, *of.values()]:
        if case not in out and not any(case[1:] == o[1:] for o in out):
            out.append(case)
    return [Case(i, *c) for i, c in enumerate(out)], [f.name for f in fs if f.name not in of]


def grads(tdlc, cc):
    cases, _ = chosen(ROOT)
    failed = 0
    with tempfile.TemporaryDirectory() as folder, ThreadPoolExecutor(2) as pool:
        half = len(cases) // 2
        libs = list(pool.map(lambda part: compile_cases(tdlc, cc, part[1], folder, part[0]), [("a", cases[:half]), ("b", cases[half:])]))
        for i, case in enumerate(cases):
            lib = libs[i >= half]
            try:
                fault = lib if isinstance(lib, str) else check(case, lib)
            except RuntimeError as e:
                fault = str(e)
            if fault:
                failed += 1
                print(f"{case.title}: {fault}")
            if isinstance(lib, str):
                break
    print(f"higher derivatives: {len(cases) - failed} right, {failed} wrong")
    return failed


def coverage(tdlc, root):
    root = pathlib.Path(root)
    cases, missing = chosen(root)
    missing += operations_missing(tdlc, root, cases, OPERATIONS_LEFT_OUT)
    missing += [f"{n}, left out although it is not there" for n in LEFT_OUT if n not in {f.name for f in functions(root)}]
    for m in missing:
        print(f"no case of higher derivatives: {m}")
    print(f"coverage: {len(missing)} missing")
    return len(missing)


if __name__ == "__main__":
    mode, tdlc = sys.argv[1], sys.argv[2].split()
    sys.exit(1 if (grads(tdlc, sys.argv[3]) if mode == "grads" else coverage(tdlc, sys.argv[3])) else 0)
