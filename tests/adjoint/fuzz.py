"""fuzz.py EVALUATE FIRST COUNT [PASSES]: random programs of nested maps, reductions, loops, branches, element updates and
accumulators; the gradient of each (and its gradient) is checked against differences. Seeds FIRST.. are repeatable; a
failing program is printed. PASSES run after the adjoint."""
import os
import random
import subprocess
import sys
import tempfile


class Program:
    def __init__(self, seed):
        self.r = random.Random(seed)
        self.next = 0
        self.lines = []
        self.budget = self.r.randint(6, 22)

    def new(self):
        self.next += 1
        return "%%%d" % (self.next - 1)

    def emit(self, depth, text):
        self.lines.append("  " * depth + text)

    def op(self, d, text, t):
        v = self.new()
        self.emit(d, "%s = %s : %s" % (v, text, t))
        return v

    # a scope: s scalars, v vectors f64[n], m matrices f64[n, n], i integers in 0..n-1, a accumulators (name, rank)
    def pick(self, items):
        return self.r.choice(items[-6:] if self.r.random() < 0.7 else items)

    def tame(self, d, x, t):
        return self.op(d, "%s %s" % (self.r.choice(["sin", "tanh", "sigmoid"]), x), t)

    def cond(self, d, sc):
        if sc["i"] and self.r.random() < 0.7:
            return self.op(d, "%s %s, %s" % (self.r.choice(["lt", "eq", "ge"]), self.pick(sc["i"]), self.pick(sc["i"] + ["%one"])), "bool")
        c = self.op(d, "const {value = %r}" % self.r.choice([0.31, 0.52, 0.77]), "f64")
        return self.op(d, "gt %s, %s" % (self.pick(sc["s"]), c), "bool")

    def block(self, d, sc, n):
        sc = {k: list(v) for k, v in sc.items()}
        for _ in range(n):
            if self.budget <= 0:
                break
            self.budget -= 1
            self.r.choice(self.kinds(d))(d, sc)
        return sc

    def kinds(self, d):
        simple = [self.scalar, self.scalar, self.vector, self.index, self.update, self.total, self.matrix, self.whole, self.choice]
        if d > 3:
            return simple
        return simple + [self.map, self.map, self.reduce, self.reduce, self.loop, self.loop, self.loop, self.branch, self.branch,
                         self.loop_while, self.withacc, self.sized, self.maps, self.adds, self.checkpoint] + [self.accadd] * 3

    def scalar(self, d, sc):
        x = self.op(d, "%s %s, %s" % (self.r.choice(["mul", "add", "sub", "mul"]), self.pick(sc["s"]), self.pick(sc["s"])), "f64")
        sc["s"].append(self.tame(d, x, "f64") if self.r.random() < 0.6 else x)

    def vector(self, d, sc):
        x = self.op(d, "%s %s, %s" % (self.r.choice(["mul", "add", "sub"]), self.pick(sc["v"]), self.pick(sc["v"])), "f64[n]")
        sc["v"].append(self.tame(d, x, "f64[n]"))

    def index(self, d, sc):
        if sc["i"] and self.r.random() < 0.7:
            sc["s"].append(self.op(d, "index %s, %s" % (self.pick(sc["v"]), self.pick(sc["i"])), "f64"))
        elif sc["i"] and self.r.random() < 0.5:
            sc["s"].append(self.op(d, "index %s, %s, %s" % (self.pick(sc["m"]), self.pick(sc["i"]), self.pick(sc["i"])), "f64"))
        else:
            sc["v"].append(self.op(d, "index %s, %s" % (self.pick(sc["m"]), self.pick(sc["i"] + ["%zero"])), "f64[n]"))

    def update(self, d, sc):
        if sc["i"]:
            sc["v"].append(self.op(d, "update %s, %s, %s" % (self.pick(sc["v"]), self.pick(sc["s"]), self.pick(sc["i"])), "f64[n]"))

    def matrix(self, d, sc):
        k, i = self.r.randrange(5), self.pick(sc["i"] + ["%zero"])
        if k == 0:
            x = self.op(d, "broadcast %s {axes = [%d]}" % (self.pick(sc["v"]), self.r.randrange(2)), "f64[n, n]")
            x = self.op(d, "%s %s, %s" % (self.r.choice(["mul", "add"]), x, self.pick(sc["m"])), "f64[n, n]")
        elif k == 1:
            x = self.op(d, "permute %s {perm = [1, 0]}" % self.pick(sc["m"]), "f64[n, n]")
        elif k == 2:
            x = self.op(d, "update %s, %s, %s" % (self.pick(sc["m"]), self.pick(sc["v"]), i), "f64[n, n]")
        elif k == 3:
            x = self.op(d, "dot %s, %s {batch_a = [], batch_b = [], contract_a = [1], contract_b = [%d]}" % (
                self.pick(sc["m"]), self.pick(sc["m"]), self.r.randrange(2)), "f64[n, n]")
        else:
            x = self.op(d, "update %s, %s, %s, %s" % (self.pick(sc["m"]), self.pick(sc["s"]), i, self.pick(sc["i"] + ["%zero"])), "f64[n, n]")
        sc["m"].append(self.tame(d, x, "f64[n, n]"))

    def whole(self, d, sc):
        """Operations on whole tensors."""
        k, v, m = self.r.randrange(8), self.pick(sc["v"]), self.pick(sc["m"])
        if k == 0:
            x, i = self.new(), self.new()
            self.emit(d, "%s, %s = sort %s {axis = 0} : f64[n], i64[n]" % (x, i, v))
            sc["v"].append(x)
            sc["i"].append(self.op(d, "index %s, %%zero" % i, "i64"))
            return
        if k == 1:
            x = self.op(d, "concat %s, %s {axis = 0}" % (v, self.pick(sc["v"])), "f64[2*n]")
            x = self.op(d, "slice %s, %s {steps = [%d]}" % (x, self.pick(sc["i"] + ["%zero"]), 1), "f64[n]")
        elif k == 2:
            i = self.op(d, "iota {axis = 0}", "i64[n]")
            i = self.op(d, "mul %s, %s" % (i, self.op(d, "broadcast %s {axes = []}" % self.r.choice(["%zero", "%one"]), "i64[n]")), "i64[n]")
            x = self.op(d, "%s {axis = 0}" % self.r.choice(["take %s, %s" % (v, i), "gather %s, %s" % (v, i), "scatter_add %s, %s, %s" % (v, i, self.pick(sc["v"]))]), "f64[n]")
        elif k < 6:
            x = self.op(d, "%s %s {axes = [%d]}" % (self.r.choice(["sum", "prod", "amax", "amin"]), m, self.r.randrange(2)), "f64[n]")
        else:
            x = self.op(d, "dot %s, %s {batch_a = [0], batch_b = [0], contract_a = [1], contract_b = [1]}" % (m, self.pick(sc["m"])), "f64[n]")
        sc["v"].append(self.tame(d, x, "f64[n]"))

    def choice(self, d, sc):
        k = self.r.choice("svmi")
        if self.r.random() < 0.2:
            one = self.op(d, "const {value = 1.0}", "f64") # the evaluator's differences do not see what is cut off: times 0
            x = self.op(d, "detach %s" % one, "f64")
            sc["s"].append(self.op(d, "mul %s, %s" % (self.pick(sc["s"]), x), "f64"))
        elif k in "si" and (sc["i"] or k == "s"):
            t = self.type(k)
            sc[k].append(self.op(d, "select %s, %s, %s" % (self.cond(d, sc), self.pick(sc[k]), self.pick(sc[k])), t))
        elif k in "sv":
            sc[k].append(self.op(d, "%s %s, %s" % (self.r.choice(["max", "min"]), self.pick(sc[k]), self.pick(sc[k])), self.type(k)))

    def total(self, d, sc):
        k = self.r.random()
        if k < 0.4:
            z = self.op(d, "sum %s {axes = [0]}" % self.pick(sc["v"]), "f64")
        elif k < 0.8:
            z = self.op(d, "dot %s, %s {batch_a = [], batch_b = [], contract_a = [0], contract_b = [0]}" % (self.pick(sc["v"]), self.pick(sc["v"])), "f64")
        else:
            sc["v"].append(self.op(d, "cumsum %s {axis = 0}" % self.pick(sc["v"]), "f64[n]"))
            return
        sc["s"].append(self.tame(d, z, "f64"))

    def accadd(self, d, sc):
        if not sc["a"]:
            return
        acc, rank = self.pick(sc["a"])
        if rank and sc["i"] and self.r.random() < 0.8:
            self.emit(d, "accadd %s, %s, %s" % (acc, self.pick(sc["s"]), self.pick(sc["i"])))
        else:
            self.emit(d, "accadd %s, %s" % (acc, self.pick(sc["v"] if rank else sc["s"])))

    def body(self, d, sc, args, yields, n=None):
        """The inside of a region: a block, then values of the given kinds; returns the yielded names."""
        inner = {k: list(v) for k, v in sc.items()}
        for kind, name in args:
            inner[kind].append(name)
        inner = self.block(d, inner, n or self.r.randint(1, 4))
        out = []
        for kind in yields:
            x = self.pick(inner[kind])
            out.append(self.tame(d, x, self.type(kind)) if kind != "i" and self.r.random() < 0.5 else x)
        return out

    def type(self, kind):
        return {"s": "f64", "v": "f64[n]", "m": "f64[n, n]", "i": "i64"}[kind]

    def map(self, d, sc):
        i, z = self.new(), self.new()
        self.emit(d, "%s = map %%dim {(%s: i64)" % (z, i))
        y = self.body(d + 1, sc, [("i", i)], ["s"])
        self.emit(d + 1, "yield " + y[0])
        self.emit(d, "} : f64[n]")
        sc["v"].append(z)

    def maps(self, d, sc):
        """Tensors for values, several results, two extents."""
        if self.r.random() < 0.5:
            i, z, w = self.new(), self.new(), self.new()
            self.emit(d, "%s, %s = map %%dim {(%s: i64)" % (z, w, i))
            self.emit(d + 1, "yield " + ", ".join(self.body(d + 1, sc, [("i", i)], "vs")))
            self.emit(d, "} : f64[n, n], f64[n]")
            sc["v"].append(w)
        else:
            i, j, z = self.new(), self.new(), self.new()
            self.emit(d, "%s = map %%dim, %%dim {(%s: i64, %s: i64)" % (z, i, j))
            self.emit(d + 1, "yield " + self.body(d + 1, sc, [("i", i), ("i", j)], "s")[0])
            self.emit(d, "} : f64[n, n]")
        sc["m"].append(z)

    def adds(self, d, sc):
        """A map without results, over any number of indices."""
        if not sc["a"]:
            return
        i = self.new()
        self.emit(d, "map %s {(%s: i64)" % (self.pick(sc["i"] + ["%dim"]), i))
        inner = dict(sc, i=sc["i"] + [i])
        self.body(d + 1, inner, [], "")
        self.accadd(d + 1, inner)
        self.emit(d + 1, "yield")
        self.emit(d, "}")

    def sized(self, d, sc):
        """A tensor whose size is a value; a loop that carries it."""
        size, t, i = self.new(), self.new(), self.new()
        sym = "t" + size[1:]
        self.emit(d, "%s = newdim %s {sym = %s} : i64" % (size, self.pick(sc["i"] + ["%dim"]), sym))
        self.emit(d, "%s = map %s {(%s: i64)" % (t, size, i))
        self.emit(d + 1, "yield " + self.body(d + 1, sc, [("i", i)], "s")[0])
        self.emit(d, "} : f64[%s]" % sym)
        if self.r.random() < 0.5:
            z, i, x = self.new(), self.new(), self.new()
            self.emit(d, "%s = for %%zero, %s, %s {(%s: i64, %s: f64[%s])" % (z, self.r.choice([size, "%one", "%dim"]), t, i, x, sym))
            y = self.body(d + 1, sc, [], "s", 2)[0]
            y = self.op(d + 1, "mul %s, %s" % (x, self.op(d + 1, "broadcast %s {axes = []}" % y, "f64[%s]" % sym)), "f64[%s]" % sym)
            self.emit(d + 1, "yield " + self.tame(d + 1, y, "f64[%s]" % sym))
            self.emit(d, "} : f64[%s]" % sym)
            t = z
        sc["s"].append(self.tame(d, self.op(d, "%s %s {axes = [0]}" % (self.r.choice(["sum", "prod"]), t), "f64"), "f64"))

    def reduce(self, d, sc):
        i, z = self.new(), self.new()
        extent = self.pick(sc["i"]) if sc["i"] and self.r.random() < 0.4 else "%dim"
        kind = self.r.choice("ssvm")
        how = self.r.choice(["sum", "sum", "prod", "max", "min"])
        filtered = self.r.random() < 0.25 and how not in ("max", "min")
        ties = ", ties = first" if how in ("max", "min") and self.r.random() < 0.5 else ""
        if how in ("max", "min"):
            extent = "%dim"  # over nothing they fail
        self.emit(d, "%s = reduce %s {(%s: i64)" % (z, extent, i))
        y = self.body(d + 1, sc, [("i", i)], [kind])
        if filtered:
            y.append(self.cond(d + 1, dict(sc, i=sc["i"] + [i])))
        self.emit(d + 1, "yield " + ", ".join(y))
        self.emit(d, "} {kind = %s%s%s} : %s" % (how, ", filter = 1" if filtered else "", ties, self.type(kind)))
        sc[kind].append(self.tame(d, z, self.type(kind)))

    def carried(self, sc):
        kinds = [self.r.choice("ssvssvmi") for _ in range(self.r.randint(1, 3))]
        return kinds, [self.pick(sc[k] if k != "i" else sc[k] + ["%zero"]) for k in kinds]

    def results(self, d, sc, kinds, names):
        for k, z in zip(kinds, names):
            sc[k].append(z if k == "i" else self.tame(d, z, self.type(k)))

    def loop(self, d, sc):
        kinds, inits = self.carried(sc)
        lo, hi = "%zero", "%dim"
        if sc["i"] and self.r.random() < 0.4:
            lo, hi = self.r.choice([(self.pick(sc["i"]), hi), (lo, self.pick(sc["i"])), (self.pick(sc["i"]), self.pick(sc["i"]))])
        i, args, res = self.new(), [self.new() for _ in kinds], [self.new() for _ in kinds]
        exits = self.r.random() < 0.25
        attrs = (["exit = 1"] if exits else []) + (["down = 1"] if self.r.random() < 0.3 else [])
        head = ([self.new()] if exits else []) + res
        self.emit(d, "%s = for %s {(%s)" % (", ".join(head), ", ".join([lo, hi] + inits),
                                            ", ".join("%s: %s" % p for p in [(i, "i64")] + [(a, self.type(k)) for a, k in zip(args, kinds)])))
        inner = {k: list(v) for k, v in sc.items()}
        y = self.body(d + 1, sc, [("i", i)] + list(zip(kinds, args)), kinds)
        if exits:
            y = [self.cond(d + 1, dict(inner, i=[i]))] + y
        self.emit(d + 1, "yield " + ", ".join(y))
        self.emit(d, "}%s : %s" % (" {%s}" % ", ".join(attrs) if attrs else "", ", ".join((["i64"] if exits else []) + [self.type(k) for k in kinds])))
        self.results(d, sc, kinds, res)

    def loop_while(self, d, sc):
        kinds, inits = self.carried(sc)
        n = self.op(d, "const {value = %d}" % self.r.randint(0, 3), "i64")
        a0, a1 = [self.new() for _ in range(len(kinds) + 1)], [self.new() for _ in range(len(kinds) + 1)]
        res = [self.new() for _ in range(len(kinds) + 1)]
        types = ["i64"] + [self.type(k) for k in kinds]
        args = lambda names: ", ".join("%s: %s" % p for p in zip(names, types))
        self.emit(d, "%s = while %s {(%s)" % (", ".join(res), ", ".join(["%zero"] + inits), args(a0)))
        c = self.op(d + 1, "lt %s, %s" % (a0[0], n), "bool")
        if self.r.random() < 0.3:
            inner = {k: list(v) for k, v in sc.items()}
            for k, a in zip(kinds, a0[1:]):
                inner[k].append(a)
            c = self.op(d + 1, "and %s, %s" % (c, self.cond(d + 1, inner)), "bool")
        self.emit(d + 1, "yield " + c)
        self.emit(d, "} {(%s)" % args(a1))
        y = self.body(d + 1, sc, list(zip(kinds, a1[1:])), kinds)
        k = self.op(d + 1, "add %s, %%one" % a1[0], "i64")
        self.emit(d + 1, "yield " + ", ".join([k] + y))
        self.emit(d, "} : " + ", ".join(types))
        self.results(d, sc, kinds, res[1:])

    def branch(self, d, sc):
        kinds = [self.r.choice("svm" + "i" * bool(sc["i"])) for _ in range(self.r.randint(1, 2))]
        c = self.cond(d, sc)
        res = [self.new() for _ in kinds]
        self.emit(d, "%s = if %s {" % (", ".join(res), c))
        for k in range(2):
            y = self.body(d + 1, sc, [], kinds)
            self.emit(d + 1, "yield " + ", ".join(y))
            self.emit(d, "} {" if k == 0 else "} : " + ", ".join(self.type(t) for t in kinds))
        for k, z in zip(kinds, res):
            sc[k].append(z)

    def checkpoint(self, d, sc):
        kinds = [self.r.choice("sv") for _ in range(self.r.randint(1, 2))]
        res = [self.new() for _ in kinds]
        self.emit(d, "%s = checkpoint {" % ", ".join(res))
        self.emit(d + 1, "yield " + ", ".join(self.body(d + 1, sc, [], kinds)))
        self.emit(d, "} : " + ", ".join(self.type(t) for t in kinds))
        for k, z in zip(kinds, res):
            sc[k].append(z)

    def withacc(self, d, sc):
        kinds = [self.r.choice("sv") for _ in range(self.r.randint(1, 3))]
        inits = [self.pick(sc[k]) for k in kinds]
        accs, res, extra = [self.new() for _ in kinds], [self.new() for _ in kinds], self.new()
        self.emit(d, "%s = withacc %s {(%s)" % (", ".join(res + [extra]), ", ".join(inits), ", ".join(
            "%s: acc<%s>" % (a, self.type(k)) for a, k in zip(accs, kinds))))
        inner = dict(sc, a=sc["a"] + [(a, k == "v") for a, k in zip(accs, kinds)])
        y = self.body(d + 1, inner, [], ["s"], 5)
        for a, k in zip(accs, kinds):
            self.accadd(d + 1, dict(inner, a=[(a, k == "v")]))
        self.emit(d + 1, "yield " + y[0])
        self.emit(d, "} : " + ", ".join([self.type(k) for k in kinds] + ["f64"]))
        for k, z in zip(kinds, res):
            sc[k].append(self.tame(d, z, self.type(k)))
        sc["s"].append(self.tame(d, extra, "f64"))

    def text(self):
        params = [self.new() for _ in range(4)]
        names = {"%dim": self.new(), "%zero": self.new(), "%one": self.new()}
        self.emit(1, "%dim = dim {d = n} : i64")
        self.emit(1, "%zero = const {value = 0} : i64")
        self.emit(1, "%one = const {value = 1} : i64")
        square = self.op(1, "dot %s, %s {batch_a = [], batch_b = [], contract_a = [], contract_b = []}" % tuple(params[:2]), "f64[n, n]")
        sc = self.block(1, {"s": params[2:], "v": params[:2], "m": [square], "i": [], "a": []}, 40)
        body = "\n".join(self.lines) + "\n  return %s, %s\n}\n" % (sc["s"][-1], sc["v"][-1])
        for k, v in names.items():
            body = body.replace(k, v)
        return "func @f<n>(%s x: f64[n], %s y: f64[n], %s s: f64, %s t: f64) -> (a: f64, b: f64[n]) {\n" % tuple(params) + body


def main():
    evaluate, first, count = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
    passes = ["--passes=" + sys.argv[4]] if len(sys.argv) > 4 else []
    bad = 0
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "fuzz.tir")
        for seed in range(first, first + count):
            text = Program(seed).text()
            open(path, "w").write(text)
            for order, inner, tol in (("1", [], "1e-5"), ("2", [], "1e-4"), ("2", ["--inner=forward"], "1e-4")):
                for step in ("1e-3", "1e-5"):  # a branch may change within the larger step
                    command = [evaluate, "--grad", "--order=" + order, "--tol=" + tol, "--step=" + step, "--seed=%d" % seed] + inner
                    run = subprocess.run(command + passes + [path, "f", "n=3"], capture_output=True, text=True)
                    if run.returncode == 0 and run.stdout.startswith("ok"):
                        break
                else:
                    bad += 1
                    print("FAIL seed %d order %s (status %d)\n%s%s" % (seed, order, run.returncode, run.stdout[:800], run.stderr[:1500]))
                    if "-v" in os.environ.get("FUZZ", ""):
                        print(text)
                    break
    print("%d programs, %d failed" % (count, bad))
    return bool(bad)


if __name__ == "__main__":
    sys.exit(main())
