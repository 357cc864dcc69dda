"""Runs problems: builds all implementations of one at a size, compares their results, times them in turns.

A problem is a module in bench/problems: TITLE, SOURCE (TDL), FUNCTION, FIXED (the dimensions that -D is given), SIZES,
SMALL, draw(rng), inputs(size, rng), work(size), TARGET and where they make sense PRIMAL, primal_work(size), torch, jax, WITHOUT,
TOLERANCE. bench/limit/NAME.c is its tuned C, NAME_scalar.c the plain one (NAME_reverse.c another), all with FUNCTION as entry."""
import dataclasses
import importlib
import os
import pkgutil
import secrets

import numpy as np

from . import machine, measure, peers
from .native import ROOT, SCALAR, TUNED, Builder, Failed, symbols

ORDER = ("gmm", "lstm", "ba", "kmeans", "ode", "lse", "conv", "attention", "greeks", "heat", "spmv", "mlp", "matmul32", "matmul64",
         "matmultn32", "matmultn64", "matmulnt32", "matmulnt64", "matmulrelu32", "matmulrelu64")


def problems():
    import problems as folder
    found = [m.name for m in pkgutil.iter_modules(folder.__path__)]
    return {n: importlib.import_module(f"problems.{n}") for n in sorted(found, key=lambda n: (ORDER.index(n) if n in ORDER else 99, n))}


@dataclasses.dataclass
class Row:
    """One problem at one size. Times by the implementation's name; `primal` that of tdlc's function without derivative."""
    problem: object
    name: str
    size: dict
    drawn: bool
    bound: float
    operations: float = None
    samples: dict = dataclasses.field(default_factory=dict)
    primal: object = None
    skipped: dict = dataclasses.field(default_factory=dict)
    wrong: dict = dataclasses.field(default_factory=dict)
    workspace: dict = dataclasses.field(default_factory=dict)
    compile_seconds: float = None

    def text(self):
        return " ".join(f"{k}={v}" for k, v in self.size.items())


@dataclasses.dataclass
class Results:
    seed: int
    peaks: object
    compiler: str
    rows: list = dataclasses.field(default_factory=list)
    errors: list = dataclasses.field(default_factory=list)


def implementations(builder, problem, name, size):
    """{name: Library}: tdlc with and without -D, C by hand where there is some. And the compiler's seconds."""
    manifest = builder.manifest(problem.SOURCE)
    function = symbols(manifest, problem.FUNCTION)
    fixed = {d: size[d] for d in problem.FIXED}
    plain, seconds = builder.tdl(problem.SOURCE)
    header, libraries = plain.with_suffix(".h"), {}
    for by_hand, source, dims, flags in (("scalar", f"{name}_scalar", {}, SCALAR), ("reverse", f"{name}_reverse", {}, SCALAR),
                                         ("tuned", name, fixed, TUNED)):
        path = ROOT / f"bench/limit/{source}.c"
        if path.exists():
            libraries[by_hand] = builder.library(builder.by_hand(path, header, dims, flags), header, function, flush=True)
    libraries["tdlc"] = builder.library(plain, header, function)
    if fixed:
        special, seconds = builder.tdl(problem.SOURCE, fixed)
        libraries["tdlc -D"] = builder.library(special, special.with_suffix(".h"), function)
    primal = getattr(problem, "PRIMAL", None)
    if primal:
        libraries["primal"] = builder.library(special if fixed else plain, header, symbols(manifest, primal))
    return libraries, seconds


def wanted(inputs, results, names):
    """The given reference, else the first implementation's results in the order of trust."""
    given = {k[len("expect_"):]: v for k, v in inputs.items() if k.startswith("expect_")}
    if given:
        return given, "reference"
    first = next(n for n in ("PyTorch", "JAX", "scalar", "tuned", "tdlc") if n in results)
    return {k: np.array(v) for k, v in results[first].items() if k in names}, first


def compare(row, bound, inputs, names, tolerance):
    """Leaves out of `bound` what gives another result, with its error in row.wrong."""
    results = {}
    for n, run in list(bound.items()):
        try:
            results[n] = {k: np.array(v) for k, v in run.results().items()}
        except Failed as e:
            row.wrong[n] = str(e)
            del bound[n]
    want, source = wanted(inputs, results, names)
    for n, got in results.items():
        error = measure.difference(got, {k: v for k, v in want.items() if k in got})
        if not error <= tolerance:
            row.wrong[n] = f"differs from {source} by {error:.1e}"
            del bound[n]


def measure_row(builder, problem, row, rng, args):
    inputs = problem.inputs(row.size, rng)
    libraries, row.compile_seconds = implementations(builder, problem, row.name, row.size)
    primal = libraries.pop("primal", None)
    bound = {n: lib.bind(row.size, inputs) for n, lib in libraries.items()}
    row.workspace = {n: b.bytes for n, b in bound.items()}
    names = set(next(iter(bound.values())).outputs)
    if not args.alone:
        others, row.skipped = peers.of_all(problem, row.size, inputs, args.quick or args.check or row.drawn)
        bound |= others
    compare(row, bound, inputs, names, getattr(problem, "TOLERANCE", 1e-10))
    if args.check:
        return
    if primal:
        bound["primal"] = primal.bind(row.size, inputs)
    rounds, seconds = (7, 1.5) if args.quick else (25, 3)
    row.samples = measure.take_turns(bound, rounds, seconds)
    row.primal = row.samples.pop("primal", None)


def show(row, check):
    if check:
        print(f"{row.name} {row.text()}: {'WRONG' if row.wrong else 'ok'}")
        return
    print(f"{row.name} {row.text()}{' (drawn)' if row.drawn else ''}: bound {1e6 * row.bound:.1f} us, compiled in {1e3 * row.compile_seconds:.0f} ms")
    base = row.samples.get("tuned")
    for n, s in row.samples.items():
        ratio = "  %6.2f of tuned (%.2f to %.2f)" % s.over(base) if base else ""
        print(f"  {n:14} {1e6 * s.median:11.1f} us{ratio}  {s.median / row.bound:6.2f} of the bound")
    for n, why in (row.skipped | {n: f"WRONG: {w}" for n, w in row.wrong.items()}).items():
        print(f"  {n:14} " + "\n".join(why.splitlines()[:6]), flush=True)


def sizes_of(problem, rng, args):
    """(size, was it drawn?)"""
    if args.check:
        return [(problem.SMALL, False)]
    fixed = [(s, False) for s in problem.SIZES]
    return fixed[:1] if args.quick else fixed + [(problem.draw(rng), True)]


def run(chosen, args):
    seed = args.seed if args.seed is not None else secrets.randbelow(1 << 31)
    builder = Builder(args.build, os.environ.get("TDLC", ROOT / "build/release/bin/tdlc"))
    peaks = machine.measure(builder)
    if not args.check:
        print(f"seed {seed}; {builder.cc}; {peaks}", flush=True)
    results = Results(seed, peaks, builder.cc)
    for name, problem in chosen.items():
        rng = np.random.default_rng([seed, *name.encode()])
        for size, drawn in sizes_of(problem, rng, args):
            row = Row(problem, name, size, drawn, peaks.seconds(problem.work(size)))
            if hasattr(problem, "primal_work"):
                row.operations = problem.work(size).operations() / problem.primal_work(size).operations()
            try:
                measure_row(builder, problem, row, rng, args)
            except Failed as e:
                row.wrong["build"] = str(e)
                row.compile_seconds = row.compile_seconds or 0
            results.errors += [f"{name} {row.text()}: {n}: {w}" for n, w in row.wrong.items()]
            results.rows.append(row)
            show(row, args.check)
    for e in results.errors:
        print("error: " + "\n".join(e.splitlines()[:6]))
    return results


__all__ = ["ROOT", "problems", "run"]
