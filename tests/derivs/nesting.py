"""Derivatives of derivatives of derivatives: every three of the modes nested, and any two around a variable of the outer one.

    nesting.py TDLC CC [MODE...]    (MODE: only nests that begin with it)

Each mode makes a scalar function of a scalar function: its derivative along a direction of the level (for hessian and hvp:
along two). The nest is then one number, which numbers with nilpotent parts give exactly: with e1 e1 = e2 e2 = ... = 0, the
coefficient of e1 e2 e3 in f(x + a e1 + b e2 + c e3) is the derivative of f along a, b and c.
"""
import ctypes
import itertools
import math
import pathlib
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor

MODES = ["grad", "vjp", "jvp", "jacfwd", "jacrev", "hessian", "hvp"]
X = [0.7, 0.4]
A = [[0.9, -0.4], [0.3, 0.8], [-0.6, 0.5]]      # directions of the levels, and their second ones
B = [[0.2, 0.7], [-0.5, 0.6], [0.4, 0.3]]
TOLERANCE = 1e-11                               # relative to the result: sums of products in another order

# A call, a loop with a branch, index notation, a filtered sum.
FUNCTION = """
fn step(t: f64, a: f64) -> f64 = sin(t) * a + t

fn f(x: f64[2]) -> f64 {
    var s = 0.5
    for k in 3 {
        if s > 1.2 { s = step(s, x[k % 2]) } else { s = s * x[k % 2] + exp(0.5 * s) }
    }
    let y = [ step(x[i], s) * x[(i + 1) % 2] for i in 2 ]
    return sum(y[i] * y[i] for i in 2 if y[i] > 0.1) * 0.1 + s
}
"""


class Nilpotent:
    """Coefficients by the set of parts, a bit mask."""

    def __init__(self, c):
        self.c = c

    def __add__(self, o):
        o = o if isinstance(o, Nilpotent) else Nilpotent({0: o})
        return Nilpotent({k: self.c.get(k, 0.0) + o.c.get(k, 0.0) for k in self.c.keys() | o.c.keys()})

    def __mul__(self, o):
        o = o if isinstance(o, Nilpotent) else Nilpotent({0: o})
        out = {}
        for a, p in self.c.items():
            for b, q in o.c.items():
                if not a & b:
                    out[a | b] = out.get(a | b, 0.0) + p * q
        return Nilpotent(out)

    __radd__, __rmul__ = __add__, __mul__

    def of(self, derivatives):
        """Taylor's series, from the derivatives at the real part."""
        rest = Nilpotent({k: v for k, v in self.c.items() if k})
        out, power = Nilpotent({0: derivatives[0]}), Nilpotent({0: 1.0})
        for n, d in enumerate(derivatives[1:], 1):
            power = power * rest
            out = out + power * (d / math.factorial(n))
        return out


def sin(x):
    r = x.c.get(0, 0.0)
    return x.of([math.sin(r + k * math.pi / 2) for k in range(7)])


def exp(x):
    return x.of([math.exp(x.c.get(0, 0.0))] * 7)


def f(x):
    """FUNCTION again."""
    def step(t, a):
        return sin(t) * a + t
    s = Nilpotent({0: 0.5})
    for k in range(3):
        s = step(s, x[k % 2]) if s.c[0] > 1.2 else s * x[k % 2] + exp(0.5 * s)
    y = [step(x[i], s) * x[(i + 1) % 2] for i in range(2)]
    return sum((e * e for e in y if e.c[0] > 0.1), Nilpotent({})) * 0.1 + s


def directions(nest):
    return [d for i, m in enumerate(nest) for d in ([A[i], B[i]] if m in ("hessian", "hvp") else [A[i]])]


def exact(nest):
    ds = directions(nest)
    x = [Nilpotent({0: X[i], **{1 << k: d[i] for k, d in enumerate(ds)}}) for i in range(2)]
    return f(x).c[(1 << len(ds)) - 1]


def level(mode, inner, i):
    a, b = str(A[i]), str(B[i])
    body = {"grad": f"sum(grad({inner})(x) * {a})", "vjp": f"sum(vjp({inner})(x, 1.0).1 * {a})",
            "jvp": f"jvp({inner})(x, {a}).1", "jacfwd": f"sum(jacfwd({inner})(x) * {a})",
            "jacrev": f"sum(jacrev({inner})(x) * {a})", "hvp": f"sum(hvp({inner})(x, {a}).1 * {b})",
            "hessian": f"sum((hessian({inner})(x) @ {a}) * {b})"}[mode]
    return f"fn(x: f64[2]) => {body}"


def nested(nest):
    inner = "f"
    for i in reversed(range(len(nest))):
        inner = level(nest[i], inner, i)
    return inner


# x * (the derivative of x*y*y + sin(y) by y, at 3x): the inner mode must not see the outer one's x as its own y.
CONFUSION = {"grad": "grad(g)(3*x)", "vjp": "vjp(g)(3*x, 1.0).1", "jvp": "jvp(g)(3*x, 1.0).1", "jacfwd": "jacfwd(g)(3*x)",
             "jacrev": "jacrev(g)(3*x)", "hessian": "hessian(g)(3*x)", "hvp": "hvp(g)(3*x, 1.0).1"}


def confusion(outer, inner):
    body = f"fn(x: f64) => {{ let g = fn(y: f64) => x*y*y + sin(y); x * {CONFUSION[inner]} }}"
    return CONFUSION[outer].replace("3*x", "x").replace("(g)", f"({body})")


def confusion_exact(outer, inner, x):
    """x (2 x y + cos y) = 6 x^3 + x cos 3x at y = 3x; or x (2 x - sin y) = 2 x^2 - x sin 3x; once or twice differentiated."""
    s, c = math.sin(3 * x), math.cos(3 * x)
    twice = outer in ("hessian", "hvp")
    if inner in ("hessian", "hvp"):
        return 4 - 6 * c + 9 * x * s if twice else 4 * x - s - 3 * x * c
    return 36 * x - 6 * s - 9 * x * c if twice else 18 * x * x + c - 3 * x * s


def cases(only):
    for nest in itertools.product(MODES, repeat=3):
        if not only or nest[0] in only:
            yield "_".join(nest), f"fn NAME(x: f64[2]) -> f64 {{ let d = {nested(nest)}; d(x) }}", exact(nest), True
    for outer, inner in itertools.product(MODES, repeat=2):
        if not only or outer in only:
            yield f"confusion_{outer}_{inner}", f"fn NAME(x: f64) -> f64 = {confusion(outer, inner)}", confusion_exact(outer, inner, X[0]), False


def value(lib, name, vector):
    out = ctypes.c_double()
    x = (ctypes.c_double * 2)(*X) if vector else ctypes.c_double(X[0])
    status = getattr(lib, name)(x, ctypes.byref(out), None, ctypes.c_size_t(0))
    return out.value if not status else math.nan


def build(tdlc, cc, folder, stem, part):
    tdl, obj, lib = (pathlib.Path(folder) / f"{stem}{e}" for e in (".tdl", ".o", ".so"))
    tdl.write_text(FUNCTION + "\n".join("export " + source.replace("NAME", name) for name, source, _, _ in part) + "\n")
    subprocess.run([*tdlc, str(tdl), "-o", str(obj)], check=True)
    subprocess.run([cc, "-shared", "-o", str(lib), str(obj), "-lm"], check=True)
    return ctypes.CDLL(str(lib))


def main(tdlc, cc, only):
    todo, wrong = list(cases(only)), 0
    parts = [todo[::2], todo[1::2]]
    with tempfile.TemporaryDirectory() as folder, ThreadPoolExecutor(2) as pool:
        libs = list(pool.map(lambda k: build(tdlc, cc, folder, f"part{k}", parts[k]), range(2)))
        for part, lib in zip(parts, libs):
            for name, _, want, vector in part:
                got = value(lib, name, vector)
                if not abs(got - want) <= TOLERANCE * max(1.0, abs(want)):
                    wrong += 1
                    print(f"{name}: {got!r}, not {want!r}")
    print(f"nests: {len(todo) - wrong} right, {wrong} wrong")
    return wrong


if __name__ == "__main__":
    sys.exit(1 if main(sys.argv[1].split(), sys.argv[2], sys.argv[3:]) else 0)
