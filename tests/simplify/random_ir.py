"""Random IR programs: scalars and tensors of special values (signed zeros, infinities, NaN), constants, comparisons,
casts, views, element access, branches, loops, maps, reductions and accumulators; most of the values are returned."""
import random

FLOATS = ["0.0", "-0.0", "1.0", "-1.0", "2.0", "0.5", "inf", "-inf", "nan", "3.25"]
INTS = ["0", "1", "-1", "2", "3", "7", "-4"]
UNARY = ["neg", "abs", "sign", "floor", "ceil", "round", "trunc", "sqrt", "detach"]
BINARY = ["add", "sub", "mul", "max", "min"]
COMPARE = ["eq", "ne", "lt", "le", "gt", "ge"]


class Program:
    def __init__(self, rnd):
        self.r, self.lines, self.next, self.depth = rnd, [], 0, 1
        self.scopes = []

    def new(self):
        self.next += 1
        return "%%%d" % (self.next - 1)

    def emit(self, text, type=None):
        if type is None:
            self.lines.append("  " * self.depth + text)
            return None
        v = self.new()
        self.lines.append("  " * self.depth + "%s = %s : %s" % (v, text, type))
        self.scopes[-1].append((v, type))
        return v

    def pick(self, type):
        found = [v for s in self.scopes for v, t in s if t == type]
        if found and self.r.random() < 0.85:
            return self.r.choice(found[-8:] + [self.r.choice(found)])
        if type.endswith("]"):
            elem, dims = type[:type.index("[")], type[type.index("["):]
            return self.emit("broadcast %s {axes = []}" % self.pick(elem), elem + dims)
        value = {"f64": FLOATS, "f32": FLOATS, "i64": INTS, "i32": INTS, "bool": ["0", "1"]}[type]
        return self.emit("const {value = %s}" % self.r.choice(value), type)

    def type(self):
        return self.r.choice(["f64"] * 6 + ["f32", "i64", "i64", "bool", "f64[n]", "f64[n]", "f64[n, 2]", "i64[n]"])

    def yield_(self, *values):
        self.emit("yield " + ", ".join(values) if values else "yield")

    def nested(self, args, body, tail=""):
        """A region with arguments [(value, type)]; body() yields."""
        self.lines[-1] += " {" + ("(" + ", ".join("%s: %s" % a for a in args) + ")" if args else "")
        self.depth += 1
        self.scopes.append(list(args))
        body()
        self.scopes.pop()
        self.depth -= 1
        self.lines.append("  " * self.depth + "}" + tail)

    def define(self, v, type):
        self.scopes[-1].append((v, type))

    def some(self, n):
        for _ in range(n):
            self.step()

    def region_step(self):
        kind = self.r.choice(["if", "for", "exit", "while", "map", "reduce", "withacc", "adds", "newdim"])
        v = self.new()
        if kind == "if":
            t, c = self.type(), self.pick("bool")
            self.emit("%s = if %s" % (v, c))
            self.nested([], lambda: (self.some(self.r.randrange(3)), self.yield_(self.pick(t))))
            self.nested_more([], lambda: (self.some(self.r.randrange(3)), self.yield_(self.pick(t))), " : " + t)
            self.define(v, t)
        elif kind == "for":
            t1, t2 = self.type(), self.type()
            lo, hi = self.emit("const {value = %d}" % self.r.randrange(2), "i64"), self.emit("const {value = %d}" % self.r.randrange(4), "i64")
            a, b, w = self.pick(t1), self.pick(t2), self.new()
            i, x, y = self.new(), self.new(), self.new()
            flags = self.r.choice(["", " {down = 1}"])
            self.emit("%s, %s = for %s, %s, %s, %s" % (v, w, lo, hi, a, b))
            self.nested([(i, "i64"), (x, t1), (y, t2)],
                        lambda: (self.some(self.r.randrange(4)), self.yield_(self.pick(t1), self.r.choice([y, self.pick(t2)]))),
                        flags + " : %s, %s" % (t1, t2))
            self.define(v, t1)
            self.define(w, t2)
        elif kind == "exit":
            t, w = self.type(), self.new()
            lo, hi, a = self.emit("const {value = 0}", "i64"), self.emit("const {value = 3}", "i64"), self.pick(t)
            i, x = self.new(), self.new()
            self.emit("%s, %s = for %s, %s, %s" % (v, w, lo, hi, a))
            self.nested([(i, "i64"), (x, t)], lambda: (self.some(self.r.randrange(4)), self.yield_(self.pick("bool"), self.pick(t))),
                        " {exit = 1} : i64, %s" % t)
            self.define(v, "i64")
            self.define(w, t)
        elif kind == "newdim":
            c = self.emit("const {value = %d}" % self.r.randrange(4), "i64")
            m = self.emit("add %s, %s" % (c, self.emit("sub %s, %s" % ((self.pick("i64"),) * 2), "i64")), "i64")
            t, i = "t%s" % v[1:], self.new()
            self.emit("%s = newdim %s {sym = %s} : i64" % (v, m, t))
            x = self.new()
            self.emit("%s = map %s" % (x, v))
            self.nested([(i, "i64")], lambda: (self.some(self.r.randrange(4)), self.yield_(self.pick("f64"))), " : f64[%s]" % t)
            self.emit("%s %s {axes = [0]}" % (self.r.choice(["sum", "prod"]), x), "f64")
        elif kind == "adds":
            w, acc, i = self.new(), self.new(), self.new()
            zero, n = self.emit("const {value = 0.0}", "f64"), self.emit("dim {d = n}", "i64")
            a = self.r.choice([self.emit("broadcast %s {axes = []}" % zero, "f64[n]"), self.pick("f64[n]")])
            at = self.emit("const {value = 1}", "i64")

            def body():
                self.element(i)
                self.some(self.r.randrange(4))
                for _ in range(self.r.randrange(1, 3)):
                    self.emit("accadd %s, %s, %s" % (acc, self.pick("f64"), self.r.choice([i, i, at])))
                self.yield_(*([self.pick("f64")] if w else []))

            def outer():
                self.emit("%s = map %s" % (w, n))
                self.nested([(i, "i64")], body, " : f64[n]")
                self.define(w, "f64[n]")
                self.emit("yield %s" % w)
            x = self.new()
            self.emit("%s, %s = withacc %s" % (v, x, a))
            self.nested([(acc, "acc<f64[n]>")], outer, " : f64[n], f64[n]")
            self.define(v, "f64[n]")
            self.define(x, "f64[n]")
        elif kind == "while":
            t = self.type()
            zero, a, w = self.emit("const {value = 0}", "i64"), self.pick(t), self.new()
            i, x, j, y = self.new(), self.new(), self.new(), self.new()
            limit = self.r.randrange(3)

            def cond():
                n = self.emit("const {value = %d}" % limit, "i64")
                self.yield_(self.emit("lt %s, %s" % (i, n), "bool"))

            def body():
                self.some(self.r.randrange(3))
                one = self.emit("const {value = 1}", "i64")
                self.yield_(self.emit("add %s, %s" % (j, one), "i64"), self.pick(t))
            self.emit("%s, %s = while %s, %s" % (v, w, zero, a))
            self.nested([(i, "i64"), (x, t)], cond)
            self.nested_more([(j, "i64"), (y, t)], body, " : i64, " + t)
            self.define(v, "i64")
            self.define(w, t)
        elif kind == "map":
            n, i = self.emit("dim {d = n}", "i64"), self.new()
            self.emit("%s = map %s" % (v, n))
            self.nested([(i, "i64")], lambda: (self.element(i), self.some(self.r.randrange(4)), self.yield_(self.pick("f64"))), " : f64[n]")
            self.define(v, "f64[n]")
        elif kind == "reduce":
            n, i = self.emit(self.r.choice(["dim {d = n}", "const {value = 0}", "const {value = 1}"]), "i64"), self.new()
            k = self.r.choice(["sum", "prod"])
            self.emit("%s = reduce %s" % (v, n))
            self.nested([(i, "i64")], lambda: (self.some(self.r.randrange(4)), self.yield_(self.pick("f64"))), " {kind = %s} : f64" % k)
            self.define(v, "f64")
        else:
            a, b, w, acc, bcc = self.pick("f64[n]"), self.pick("f64"), self.new(), self.new(), self.new()

            def adds():
                self.some(self.r.randrange(3))
                if self.r.random() < 0.7:
                    self.emit("accadd %s, %s" % (acc, self.pick("f64[n]")))
                if self.r.random() < 0.7:
                    self.emit("accadd %s, %s" % (bcc, self.pick("f64")))
                self.yield_()
            self.emit("%s, %s = withacc %s, %s" % (v, w, a, b))
            self.nested([(acc, "acc<f64[n]>"), (bcc, "acc<f64>")], adds, " : f64[n], f64")
            self.define(v, "f64[n]")
            self.define(w, "f64")

    def nested_more(self, args, body, tail):
        self.nested(args, body, tail)

    def element(self, i):
        self.emit("index %s, %s {inbounds = 1}" % (self.pick("f64[n]"), i), "f64")

    def step(self):
        r, t = self.r, self.type()
        elem = t.split("[")[0]
        c = r.random()
        if c < 0.15 and self.depth < 4:
            self.region_step()
        elif c < 0.3 and elem == "f64":
            self.emit("%s %s" % (r.choice(UNARY), self.pick(t)), t)
        elif c < 0.6 and elem != "bool":
            self.emit("%s %s, %s" % (r.choice(BINARY + (["div"] if elem[0] == "f" else [])), self.pick(t), self.pick(t)), t)
        elif c < 0.68 and elem != "bool":
            self.emit("%s %s, %s" % (r.choice(COMPARE), self.pick(t), self.pick(t)), t.replace(elem, "bool"))
        elif c < 0.74:
            self.emit("select %s, %s, %s" % (self.pick(t.replace(elem, "bool")), self.pick(t), self.pick(t)), t)
        elif c < 0.8:
            self.emit(r.choice(["and %s, %s" % (self.pick("bool"), self.pick("bool")), "not %s" % self.pick("bool")]), "bool")
        elif c < 0.86:
            to = r.choice(["f64", "f32"])
            self.emit("cast %s {to = %s}" % (self.pick(r.choice(["f64", "f32", "i64", "bool"])), to), to)
        elif c < 0.9:
            self.emit("floordiv %s, %s" % (self.pick("i64"), self.emit("const {value = %s}" % r.choice(["1", "2", "-3"]), "i64")), "i64")
        else:
            self.structure()

    def structure(self):
        r = self.r
        i = self.emit("const {value = %d}" % r.randrange(3), "i64")
        inb = r.choice(["", " {inbounds = 1}"])
        pick = r.randrange(12)
        if pick > 6:
            return self.tensor_op(i)
        if pick == 0:
            self.emit("index %s, %s%s" % (self.pick("f64[n]"), i, inb), "f64")
        elif pick == 1:
            self.emit("update %s, %s, %s%s" % (self.pick("f64[n]"), self.pick("f64"), i, inb), "f64[n]")
        elif pick == 2:
            self.emit("broadcast %s {axes = [0]}" % self.pick("f64[n]"), "f64[n, 2]")
        elif pick == 3:
            self.emit("sum %s {axes = [%s]}" % (self.pick("f64[n, 2]"), r.choice(["1", "0, 1"][:1])), "f64[n]")
        elif pick == 4:
            p = self.emit("permute %s {perm = [1, 0]}" % self.pick("f64[n, 2]"), "f64[2, n]")
            self.emit("permute %s {perm = [1, 0]}" % p, "f64[n, 2]")
        elif pick == 5:
            row = self.emit("index %s, %s%s" % (self.pick("f64[n, 2]"), i, inb), "f64[2]")
            j = self.emit("const {value = %d}" % r.randrange(2), "i64")
            self.emit("index %s, %s%s" % (row, j, inb), "f64")
        else:
            p = self.emit("reshape %s" % self.pick("f64[n, 2]"), "f64[2*n]")
            self.emit("reshape %s" % p, "f64[n, 2]")

    def tensor_op(self, i):
        """Operations on whole tensors that expand or bufferize turn into nests; indices stay in range for n = 3."""
        r, v, w = self.r, self.pick("f64[n]"), self.pick("f64[n, 2]")
        iota = self.emit("iota {axis = 0}", "i64[n, 2]")
        bit = self.emit("const {value = %d}" % r.randrange(2), "i64")
        kind = r.randrange(15)
        if kind == 0:
            c = self.emit("concat %s, %s {axis = 0}" % (v, self.pick("f64[n]")), "f64[2*n]")
            self.emit("slice %s, %s {steps = [%d]}" % (c, bit, r.choice([1, 2])), "f64[n]")
        elif kind == 1:
            last = self.emit("dim {d = n - 1}", "i64")
            self.emit("slice %s, %s {steps = [-1]}" % (v, last), "f64[n]")
        elif kind == 2:
            p = self.emit("stack %s, %s" % (v, self.pick("f64[n]")), "f64[2, n]")
            self.emit("permute %s {perm = [1, 0]}" % p, "f64[n, 2]")
        elif kind == 3:
            j = self.emit("iota {axis = 0}", "i64[n]")
            self.emit("take %s, %s {axis = 0}" % (w, j), "f64[n, 2]")
        elif kind == 4:
            self.emit("gather %s, %s {axis = 0}" % (w, iota), "f64[n, 2]")
        elif kind == 5:
            self.emit("scatter_add %s, %s, %s {axis = 0}" % (w, iota, self.pick("f64[n, 2]")), "f64[n, 2]")
        elif kind == 6:
            self.emit("cumsum %s {axis = %d%s}" % (w, r.randrange(2), r.choice(["", ", reverse = 1"])), "f64[n, 2]")
        elif kind == 7:
            x, y = self.new(), self.new()
            self.emit("%s, %s = sort %s {axis = 0%s} : f64[n], i64[n]" % (x, y, v, r.choice(["", ", descending = 1"])))
            self.define(x, "f64[n]")
            self.define(y, "i64[n]")
        elif kind == 8:
            self.emit("dot %s, %s {batch_a = [], batch_b = [], contract_a = [0], contract_b = [0]}" % (v, self.pick("f64[n]")), "f64")
        elif kind == 9:
            self.emit("dot %s, %s {batch_a = [0], batch_b = [0], contract_a = [1], contract_b = [1]}" % (w, self.pick("f64[n, 2]")), "f64[n]")
        elif kind == 10:
            self.emit("%s %s {axes = [1]}" % (r.choice(["amax", "amin", "prod"]), w), "f64[n]")
        elif kind == 11:
            self.emit("%s %s {axes = [0]}" % (r.choice(["argmax", "argmin"]), v), "i64")
        elif kind == 12:
            self.emit("%s %s {axes = [0]}" % (r.choice(["any", "all"]), self.pick("bool[n]")), "bool")
        elif kind == 13:
            row = self.emit("index %s, %s" % (w, i), "f64[2]")
            self.emit("upslice %s, %s, %s {steps = [1]}" % (v, row, bit), "f64[n]")
        else:
            self.emit("update %s, %s, %s" % (w, self.emit("index %s, %s" % (w, bit), "f64[2]"), i), "f64[n, 2]")


def program(seed):
    """Text of @f<n>(x: f64, y: f64, s: f32, i: i64, v: f64[n], w: f64[n, 2]) and the number of its results r0, r1, ..."""
    p = Program(random.Random(seed))
    params = [("x", "f64"), ("y", "f64"), ("s", "f32"), ("i", "i64"), ("v", "f64[n]"), ("w", "f64[n, 2]")]
    values = [(p.new(), t) for _, t in params]
    p.scopes.append(list(values))
    p.some(25)
    outs = [v for v in p.scopes[0] if "acc" not in v[1]][-12:]
    head = ", ".join("%s %s: %s" % (v, n, t) for (v, t), (n, _) in zip(values, params))
    text = "func @f<n>(%s) -> (%s) {export} {\n%s\n  return %s\n}\n" % (
        head, ", ".join("r%d: %s" % (i, t) for i, (_, t) in enumerate(outs)), "\n".join(p.lines), ", ".join(v for v, _ in outs))
    return text, len(outs)
