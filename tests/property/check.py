"""One batch of programs: compiled into one object, called, and compared.

Of each program f: the gradient in reverse mode against forward mode and against differences of f, in two directions; the
same after the optimising passes; of some the second derivatives (each mode over each), and the gradient of a script.
A Result says what was found; nothing here prints."""
import ctypes
import math
import os
import pathlib
import random
import re
import struct
import subprocess

from generate import ENTRY, STRUCT

FLOATS = [n for n, t in ENTRY if t[0] != "i"]   # x y a c s t p
LEAVES = ["x", "y", "a", "c", "s", "t", "p_w", "p_b"]
STEPS = (4e-3, 4e-4, 4e-5, 4e-6)  # the first at which the differences converge is taken: kinks and branches come near
MODES = 1e-9      # forward against reverse mode, -O0 against -O2: rounding alone; relative to the sum of magnitudes
DIFFERENCES = 2e-6  # against differences that have converged to a tenth of it
SINGLE = 2e-5     # where something is rounded to f32


class Result:
    def __init__(self, seed):
        self.seed, self.failure, self.discarded, self.tags, self.ops = seed, None, None, set(), set()


class Tools:
    def __init__(self, tdlc, cc, level="passes"):
        self.tdlc, self.cc, self.level = tdlc, cc, level  # level: none, passes (the passes of -O2), full (-O2)
        self.opt = str(pathlib.Path(tdlc).with_name("tdl-opt"))


class CompileError(Exception):
    pass


def run(command, timeout=300):
    done = subprocess.run(command, capture_output=True, text=True, timeout=timeout)
    if done.returncode:
        raise CompileError("%s (status %d): %s" % (os.path.basename(command[0]), done.returncode, done.stderr[:1500]))
    return done.stdout


# ---- source ----

SECOND = ["hvp", "reverse over reverse", "reverse over forward", "forward over forward"]


def second_order(program):
    """How second derivatives of this program are taken; None: not at all."""
    r = random.Random(program.seed + 1)
    return r.choice(SECOND) if not program.first_order and len(program.text()) < 1500 and r.random() < 0.3 else None


def source(program):
    """The program with its derivatives, by names that end in the seed."""
    s = program.seed
    text = re.sub(r"\b(f|h\d+)\b", r"\1_%d" % s, program.text())
    text += "export let v_{0} = f_{0}\nexport let g_{0} = value_and_grad(f_{0})\nexport let j_{0} = jvp(f_{0})\n".format(s)
    how = second_order(program)
    params, names = ", ".join("%s: %s" % p for p in ENTRY), ", ".join(n for n, _ in ENTRY)
    along = ", ".join("v%s: %s" % (n, t) for n, t in ENTRY if n in FLOATS)
    head = "fn d_%d[n, m](%s, %s) -> f64 = " % (s, params, along)
    dots = "".join(" + sum(g.%d * v%s)" % (i, n) if n != "p" else " + sum(g.%d.w * vp.w) + g.%d.b * vp.b" % (i, i) for i, n in enumerate(FLOATS))
    if how == "hvp":
        text += "export let w_%d = hvp(f_%d)\n" % (s, s)
    elif how == "reverse over reverse":
        text += head + "{\n let g = grad(f_%d)(%s)\n return%s\n}\n" % (s, names, dots[2:])
    elif how:
        text += head + "jvp(f_%d)(%s, %s).1\n" % (s, names, ", ".join("v" + n for n in FLOATS))
    if how and how != "hvp":
        text += "export let w_%d = %s(d_%d, wrt=(%s))\n" % (s, "jvp" if how == "forward over forward" else "grad", s, ", ".join(FLOATS))
    return text


def script(program, at, sizes):
    """The program as PyTorch says it: leaves, backward(), .grad."""
    def lit(v):
        return "[" + ", ".join(map(repr, v)) + "]"
    shapes = {"x": (sizes["n"],), "y": (sizes["m"],), "a": (sizes["n"], sizes["m"]), "c": (sizes["n"], sizes["n"]), "p_w": (sizes["m"],)}
    lines = [program.text()]
    for n in LEAVES:
        data = "reshape(tensor(%s, dtype=f64), %s)" % (lit(at[n]), ", ".join(map(str, shapes[n]))) if n in shapes else "full((), %r, dtype=f64)" % at[n][0]
        lines.append("let %s = tensor(%s, requires_grad=true)" % (n, data))
    lines += ["let idx = %s\nlet ptr = %s" % (at["idx"], at["ptr"]), "let out = f(x, y, a, c, s, t, P(w=p_w, b=p_b), idx, ptr, %d)" % at["k"], "out.backward()"]
    return "\n".join(lines + ["let grad_%s = %s.grad" % (n, n) for n in LEAVES]) + "\n"


# ---- calls ----

def inputs(program):
    r, (n, m) = random.Random(program.seed * 7 + 3), program.sizes
    value = lambda k: [r.choice((-1, 1)) * r.uniform(0.1, 1.1) for _ in range(k)]
    sizes = {"x": n, "y": m, "a": n * m, "c": n * n, "s": 1, "t": 1, "p_w": m, "p_b": 1}
    at = {name: value(sizes[name]) for name in LEAVES}
    along = [{name: value(sizes[name]) for name in LEAVES} for _ in range(2)]
    at["idx"] = [r.randrange(m) for _ in range(n)]
    at["ptr"] = [0] + sorted(r.randrange(m + 1) for _ in range(n - 1)) + [m]
    at["k"] = r.randrange(4)
    return {"n": n, "m": m}, at, along


class Failed(Exception):
    pass


class Compiled:
    def __init__(self, lib, seed, sizes):
        self.lib, self.seed, self.sizes = lib, seed, sizes

    def call(self, name, at, behind, outs):
        """Calls NAME_seed: the inputs, those behind them, outputs of the given sizes."""
        args = [ctypes.c_int64(self.sizes["n"]), ctypes.c_int64(self.sizes["m"])]
        for group in [at] + behind:
            for leaf in LEAVES:
                data = (ctypes.c_double * len(group[leaf]))(*group[leaf])
                args.append(data if leaf not in ("s", "t", "p_b") else ctypes.c_double(group[leaf][0]))
            if group is at:
                args += [(ctypes.c_int64 * len(at["idx"]))(*at["idx"]), (ctypes.c_int64 * len(at["ptr"]))(*at["ptr"]), ctypes.c_int64(at["k"])]
        results = [(ctypes.c_double * k)() for k in outs]
        status = getattr(self.lib, "%s_%d" % (name, self.seed))(*args, *results, None, ctypes.c_size_t(0))
        if status:
            error = self.lib.tdl_last_error
            error.restype = ctypes.c_char_p
            raise Failed("status %d of %s: %s" % (status, name, error().decode()))
        return [list(r) for r in results]

    def value(self, at):
        return self.call("v", at, [], [1])[0][0]

    def gradient(self, at):
        out = self.call("g", at, [], [1] + [len(at[n]) for n in LEAVES])
        return out[0][0], dict(zip(LEAVES, out[1:]))

    def tangent(self, at, along):
        value, dot = self.call("j", at, [along], [1, 1])
        return value[0], dot[0]


def moved(at, along, h):
    return {n: [x + h * d for x, d in zip(v, along[n])] if n in LEAVES else v for n, v in at.items()}


def inner(g, along):
    terms = [a * b for n in LEAVES for a, b in zip(g[n], along[n])]
    return sum(terms), sum(map(abs, terms))


def difference(f, h):
    """Derivative of f at 0 by central differences at h, h/2, h/4, extrapolated, and its error."""
    d = [(f(k) - f(-k)) / (2 * k) for k in (h, h / 2, h / 4)]
    first, second = (4 * d[1] - d[0]) / 3, (4 * d[2] - d[1]) / 3
    return second + (second - first) / 15, abs(second - first)


def against_differences(f, got, scale, tolerance):
    """None when `got` is the derivative of f at 0; a message when it is not; Discard where differences say nothing."""
    said = None
    for h in STEPS:
        want, error = difference(f, h)
        size = max(scale, abs(want))
        if not error <= 0.1 * tolerance * size:
            continue
        if abs(got - want) <= tolerance * size:
            return None
        said = "%.12g, differences say %.12g" % (got, want)
    if said is None:
        raise Discard("differences do not converge")
    return said


class Discard(Exception):
    pass


def too_steep(slope, value):
    """A function that runs through its whole range within the smallest step, as the sine of a huge number does."""
    if abs(slope) * STEPS[-1] > 10 * max(1, abs(value)):
        raise Discard("too steep for differences")


# ---- comparison ----

def check(program, fn, optimised):
    sizes, at, along = inputs(program)
    tolerance = DIFFERENCES if program.exact else SINGLE
    value, g = fn.gradient(at)
    if not all(map(math.isfinite, [value] + [v for n in LEAVES for v in g[n]])):
        if math.isfinite(value) and all(math.isfinite(fn.value(moved(at, d, h))) for d in along for h in (1e-5, -1e-5)):
            raise Failed("gradient: not finite")
        raise Discard("not finite")
    if abs(fn.value(at) - value) > 1e-12 * max(1, abs(value)):
        raise Failed("value: %r with its gradient, %r without" % (value, fn.value(at)))
    for d in along:
        reverse, scale = inner(g, d)
        scale = max(scale, 1e-3 * abs(value), 1e-6)
        _, forward = fn.tangent(at, d)
        if not abs(forward - reverse) <= (MODES if program.exact else SINGLE) * scale:
            raise Failed("modes: forward %.12g, reverse %.12g" % (forward, reverse))
        too_steep(reverse, value)
        wrong = against_differences(lambda h: fn.value(moved(at, d, h)), reverse, scale, tolerance)
        if wrong:
            raise Failed("gradient: " + wrong)
        if optimised:
            compare_optimised(program, optimised, at, d, value, g, forward, scale)
    if second_order(program):
        check_second(program, fn, at, along, optimised)


def compare_optimised(program, optimised, at, d, value, g, forward, scale):
    near = MODES if program.exact else SINGLE
    value2, g2 = optimised.gradient(at)
    if not abs(value2 - value) <= near * max(1, abs(value)):
        raise Failed("optimised: value %r, not %r" % (value2, value))
    for n in LEAVES:
        for p, q in zip(g[n], g2[n]):
            if not abs(p - q) <= near * max(scale, abs(p)):
                raise Failed("optimised: d%s has %r, not %r" % (n, q, p))
    if not abs(optimised.tangent(at, d)[1] - forward) <= near * scale:
        raise Failed("optimised: tangent")


def product(program, fn, at, v, e):
    """e H v, the way the program takes it."""
    how, k = second_order(program), [len(at[n]) for n in LEAVES]
    if how == "forward over forward":
        out = fn.call("w", at, [v, e], [1, 1])
        return out[1][0], abs(out[1][0])
    out = fn.call("w", at, [v], (k if how == "hvp" else []) + k)
    return inner(dict(zip(LEAVES, out[-len(LEAVES):])), e)


def check_second(program, fn, at, along, optimised):
    v, e = along
    got, scale = product(program, fn, at, v, e)
    slope = inner(fn.gradient(at)[1], v)[1]
    scale = max(scale, 1e-3 * slope, 1e-6)
    too_steep(got, slope)
    wrong = against_differences(lambda h: inner(fn.gradient(moved(at, e, h))[1], v)[0], got, scale, 10 * DIFFERENCES)
    if wrong:
        raise Failed("second derivative (%s): %s" % (second_order(program), wrong))
    if optimised and not abs(product(program, optimised, at, v, e)[0] - got) <= MODES * scale:
        raise Failed("optimised: second derivative")


def read_npy(path):
    data = pathlib.Path(path).read_bytes()
    n = struct.unpack("<H", data[8:10])[0]
    return [x[0] for x in struct.iter_unpack("<d", data[10 + n:])]


def check_script(tools, program, fn, folder):
    sizes, at, _ = inputs(program)
    path = folder / "script.tdl"
    path.write_text(STRUCT + script(program, at, sizes))
    outs = [a for n in LEAVES for a in ("-o", "grad_%s=%s" % (n, folder / (n + ".npy")))]
    run([tools.tdlc, "run", "-O0", str(path)] + outs)
    _, g = fn.gradient(at)
    for n in LEAVES:
        got = read_npy(folder / (n + ".npy"))
        for p, q in zip(got, g[n]):
            if not abs(p - q) <= (MODES if program.exact else SINGLE) * max(1, abs(q)):
                raise Failed("script: %s.grad has %r, the gradient %r" % (n, p, q))


# ---- batches ----

def operations(text):
    """Of each function in IR text: mnemonics, kinds of reductions, callees."""
    found = {}
    for body in re.split(r"^func @", text, flags=re.M)[1:]:
        name = re.match(r'[\w.]+|"[^"]*"', body)[0]
        ops = set(re.findall(r"^ +(?:%[\w, %]* = )?([a-z_][a-z_0-9]*)\b", body, re.M))
        found[name] = ops, set(re.findall(r"callee = @([\w.]+)", body)), set(re.findall(r"kind = (\w+)", body))
    return found


def reached(found, name):
    ops, todo, done = set(), [name], set()
    while todo:
        at = todo.pop()
        if at in done or at not in found:
            continue
        done.add(at)
        ops |= found[at][0] | {"reduce " + k for k in found[at][2] if "reduce" in found[at][0]}
        todo += found[at][1]
    return ops - {"func", "yield", "return"}


def library(cc, obj):
    lib = obj.with_suffix(".so")
    run([cc, "-shared", "-o", str(lib), str(obj), "-llapack", "-lblas", "-lm"])
    return ctypes.CDLL(str(lib))


def compile_batch(tools, programs, folder, stem):
    """(library at -O0, optimised library or None, operations by function)"""
    path = lambda e: folder / (stem + e)
    path(".tdl").write_text(STRUCT + "\n".join(source(p) for p in programs))
    run([tools.tdlc, "-O0", str(path(".tdl")), "-o", str(path(".o"))])
    run([tools.tdlc, "--emit=adjoint", str(path(".tdl")), "-o", str(path(".tir"))])
    lib, best = library(tools.cc, path(".o")), None
    if tools.level == "passes":  # the passes of -O2 through text, with LLVM's at -O0: that is where the time goes
        run([tools.opt, "-O2", "--passes=loops-pipeline", str(path(".tir")), "-o", str(path("2.tir"))])
        run([tools.tdlc, "-O0", "--loops-input", str(path("2.tir")), "-o", str(path("2.o"))])
        best = library(tools.cc, path("2.o"))
    elif tools.level == "full":
        run([tools.tdlc, "-O2", "--mcpu=native", str(path(".tdl")), "-o", str(path("2.o"))])
        best = library(tools.cc, path("2.o"))
    return lib, best, operations(path(".tir").read_text())


def check_program(tools, program, libs, folder):
    """What is wrong with one program of a batch, by kind and text; None: nothing. Raises Discard."""
    lib, best, _ = libs
    sizes = dict(zip("nm", program.sizes))
    fn = Compiled(lib, program.seed, sizes)
    try:
        check(program, fn, best and Compiled(best, program.seed, sizes))
        if program.seed % 40 == 0:
            check_script(tools, program, fn, folder)
    except Failed as e:
        return str(e)
    except CompileError as e:
        return "script: " + str(e)
    return None


def check_batch(tools, programs, folder):
    results = []
    try:
        libs = compile_batch(tools, programs, folder, "batch%d" % programs[0].seed)
    except (CompileError, subprocess.TimeoutExpired) as e:
        if len(programs) > 1:  # which one?
            return [r for p in programs for r in check_batch(tools, [p], folder)]
        r = Result(programs[0].seed)
        r.failure = "compile: " + str(e)
        return [r]
    for p in programs:
        r = Result(p.seed)
        r.tags, r.ops = p.tags | ({"second order: " + second_order(p)} if second_order(p) else set()), reached(libs[2], "v_%d" % p.seed)
        try:
            r.failure = check_program(tools, p, libs, folder)
        except Discard as e:
            r.discarded = str(e)
        if p.seed % 40 == 0:
            r.tags.add("script")
            r.ops.add("leaf")
        results.append(r)
    return results
