"""Random programs: `Generator(seed).program()`. An entry `f`, which returns a scalar, and functions that it may call.

Differentiability: programs are smooth but for branches and the kinks of some operations, which random inputs hit with
probability 0 and differences see when they come near (check.py)."""
import random
import re

from expressions import Expressions
from terms import Scope, dims, tensor
from tree import Block, Function, Node, Program

ENTRY = [("x", "f64[n]"), ("y", "f64[m]"), ("a", "f64[n, m]"), ("c", "f64[n, n]"), ("s", "f64"), ("t", "f64"), ("p", "P[m]"),
         ("idx", "i64[n]"), ("ptr", "i64[n + 1]"), ("k", "i64")]
STRUCT = "struct P[m] { w: f64[m]; b: f64 }\n"


class Helper:
    def __init__(self, name, dims, names, params, result, kind, heavy=False):
        self.name, self.dims, self.names, self.params, self.result = name, dims, names, params, result
        self.kind, self.heavy = kind, heavy

    def typed(self, t, mapping):
        return re.sub(r"\b[a-z]\b", lambda w: mapping.get(w[0], w[0]), t)

    def parts(self):
        return re.findall(r"f64\[[^\]]*\]|f64", self.result)


class Generator(Expressions):
    STATEMENTS = {"let": 5, "var": 2.5, "assign": 3, "add_to": 2.5, "element_update": 4, "slice_update": 1.2, "scatter_update": 0.8, "if_": 3, "for_": 4, "while_": 1.6,
                  "tuple_let": 1, "leave": 1.5, "no_grad_block": 0.4, "swap": 1.2, "struct_let": 0.5,
                  "checkpoint_block": 0.5}

    def __init__(self, seed, weights=None):
        super().__init__(random.Random(seed), weights or {})
        self.seed, self.functions = seed, []

    # ---- statements ----

    def statements(self, sc, n, depth):
        out = []
        for _ in range(n):
            made = self.choose(self.STATEMENTS, sc, depth)
            if made is not None:
                out.append(made)
        return out

    def type_of_value(self, sc):
        return "f64" if self.r.random() < 0.45 else self.r.choice(sc.types())

    def target(self, sc, tensors=False):
        fits = [v for v in sc.vars if v[3] and (dims(v[1]) or not tensors)]
        return self.r.choice(fits[-4:] if self.r.random() < 0.7 else fits) if fits else None

    def let(self, sc, depth):
        t, name = self.type_of_value(sc), self.new("u")
        e = self.expr(sc, t, depth)
        sc.vars.append((name, t, e.mag, False))
        return Node(None, "let %s = $" % name, e)

    def var(self, sc, depth):
        t, name = self.type_of_value(sc), self.new("v")
        if self.r.random() < 0.2:
            text = "0.0" if t == "f64" else "zeros(%s)" % ", ".join(dims(t))
            e = Node(t, text, mag=0)
        else:
            e = self.arg(sc, t, min(depth, 1))
        sc.vars.append((name, t, 3, True))
        return Node(None, "var %s = $" % name, e)

    def assign(self, sc, depth):
        v = self.target(sc)
        return v and Node(None, "%s = $" % v[0], self.arg(sc, v[1], depth))

    def add_to(self, sc, depth):
        v = self.target(sc)
        if not v:
            return None
        e = self.arg(sc, v[1], depth) if self.r.random() < 0.7 else self.broadcast(sc, v[1], depth)
        if self.r.random() < 0.15:
            return Node(None, "%s *= (0.8 + 0.2 * tanh($))" % v[0], e)
        return Node(None, "%s %s 0.3 * $" % (v[0], self.r.choice(["+=", "+=", "-="])), e)

    def element_update(self, sc, depth):
        v = self.target(sc, tensors=True)
        if not v:
            return None
        ds = dims(v[1])
        n = self.r.randint(1, len(ds))
        at = [self.integer(sc, d) for d in ds[:n]]
        e = self.arg(sc, tensor(ds[n:]), depth)
        k = self.r.random()
        update = "= $" if k < 0.5 else "+= 0.4 * $" if k < 0.85 else "-= 0.4 * $" if k < 0.92 else "*= (0.8 + 0.2 * tanh($))"
        return Node(None, "%s[%s] %s" % (v[0], ", ".join("$" * n), update), *at, e)

    def slice_update(self, sc, depth):
        v = self.target(sc, tensors=True)
        if not v:
            return None
        ds, update = dims(v[1]), self.r.choice(["=", "+=", "="])
        if len(ds) == 2 and self.r.random() < 0.5:
            return Node(None, "%s[:, $] %s 0.5 * $" % (v[0], update), self.integer(sc, ds[1]), self.arg(sc, tensor(ds[:1]), depth))
        return Node(None, "%s[1:] %s 0.5 * $[1:]" % (v[0], update), self.arg(sc, v[1], depth))

    def scatter_update(self, sc, depth):
        """Several elements by an index tensor; with += duplicates add."""
        v = self.target(sc, tensors=True)
        if not v:
            return None
        ds, k = dims(v[1]), self.r.choice(sc.dims)
        return Node(None, "%s[$] += 0.3 * $" % v[0], self.indices(sc, [k], ds[0]), self.arg(sc, tensor([k] + ds[1:]), depth))

    def swap(self, sc, depth):
        v = self.target(sc)
        fits = [w for w in sc.vars if v and w[1] == v[1] and w[3] and w[0] != v[0]]
        if not fits:
            return None
        w = self.r.choice(fits)
        return Node(None, "(%s, %s) = (%s, $)" % (v[0], w[0], w[0]), self.arg(sc, v[1], depth))

    def struct_let(self, sc, depth):
        d, name = self.r.choice(sc.dims), self.new("q")
        e = Node("P[%s]" % d, "P(w=$, b=$)", self.arg(sc, tensor([d]), depth), self.arg(sc, "f64", depth))
        sc.vars += [(name + ".w", tensor([d]), 2, False), (name + ".b", "f64", 2, False)]
        if self.r.random() < 0.3:
            return Node(None, "let %s = tree_map(fn(e) => 0.9 * sin(e), $)" % name, e)
        return Node(None, "let %s = $" % name, e)

    def tuple_let(self, sc, depth):
        fits = [(h, m) for h in self.helpers if h.result.startswith("(") for m in self.mappings(sc, h)]
        if not fits or sc.level > 3:
            return None
        h, m = self.r.choice(fits)
        names, types = [self.new("u") for _ in h.parts()], [h.typed(p, m) for p in h.parts()]
        args = self.arguments(sc, [h.typed(p, m) for p in h.params], min(depth, 1))
        sc.vars += [(n, t, 3, False) for n, t in zip(names, types)]
        self.tag("call " + h.kind)
        return Node(None, "let (%s) = %s(%s)" % (", ".join(names), h.name, ", ".join("$" * len(args))), *args)

    def body(self, sc, depth, n=None, **set):
        inner = sc.inner(level=sc.level + 1, **set)
        kids = self.statements(inner, n or self.r.randint(1, 3), depth - 1)
        return Block(kids or [k for k in [self.assign(inner, 0)] if k])

    def if_(self, sc, depth):
        if sc.level > 3 or not any(v[3] for v in sc.vars):
            return None
        if self.r.random() < 0.5:
            return Node(None, "if $ $", self.condition(sc, depth), self.body(sc, depth))
        return Node(None, "if $ $ else $", self.condition(sc, depth), self.body(sc, depth), self.body(sc, depth))

    def for_(self, sc, depth):
        if sc.level > 2 or not any(v[3] for v in sc.vars):
            return None
        i, (text, d, _) = self.new("j"), self.range(sc, None)
        rows = sc.rows + [i] if d == "n" else sc.rows
        body = self.body(sc, depth, self.r.randint(1, 4), loop=True, ints=sc.ints + [(i, d)], rows=rows)
        return Node(None, "for %s in $ $" % i, Node("i64", text), body)

    def while_(self, sc, depth):
        if sc.level > 2 or not any(v[3] for v in sc.vars):
            return None
        q = self.new("q")
        if self.r.random() < 0.5:
            cond = [self.compare(sc, 0)] if self.r.random() < 0.5 else []
            sc.ints.append((q, None))
            body = self.body(sc, depth, loop=True)
            body.kids.insert(0, Node("step", "%s += 1" % q))
            return Node(None, "var %s = 0\nwhile %s < %d%s $" % (q, q, self.r.randint(1, 4), " and $" if cond else ""), *cond, body)
        self.tag("while on floats")
        step = Node("step", "%s += 0.35 + 0.3 * sigmoid($)" % q, self.arg(sc, "f64", 1))
        body = self.body(sc, depth, loop=True)
        body.kids.insert(0, step)
        start = self.arg(sc, "f64", 0)
        sc.vars.append((q, "f64", 2, False))
        return Node(None, "var %s = 0.3 * $\nwhile %s < 1.2 $" % (q, q), start, body)

    def leave(self, sc, depth):
        """break, continue or return, behind a condition."""
        kinds = (["break", "continue"] if sc.loop else []) + (["return"] if sc.result and sc.level else [])
        if not kinds:
            return None
        kind = self.r.choice(kinds)
        self.tag(kind if kind != "return" else "early return")
        jump = Node(None, kind) if kind != "return" else Node(None, "return $", self.arg(sc, sc.result, 1))
        before = self.statements(sc.inner(level=sc.level + 1), 1, 0) if self.r.random() < 0.3 else []
        return Node(None, "if $ $", self.condition(sc, 0), Block(before + [jump]))

    def checkpoint_block(self, sc, depth):
        """What is computed in it is computed again by the reverse."""
        if sc.level > 2 or not any(v[3] for v in sc.vars):
            return None
        return Node(None, "checkpoint $", self.body(sc, depth, loop=False, result=None))

    def no_grad_block(self, sc, depth):
        """A constant made by statements; what is used of it cancels to first order."""
        v = [w for w in sc.vars if w[1] == "f64"]
        if sc.order or not v:
            return None
        self.first_order = True
        name, u, w = self.new("u"), self.r.choice(v)[0], self.r.choice(v)[0]
        sc.vars.append((name, "f64", 3, False))
        self.tag("no_grad")
        k = self.new("k")
        return Node(None, "var %s = 0.0\nno_grad { %s = %s; %s *= 1.0 }\nlet %s = %s * sin(%s) + %s * detach(sin(%s)) - %s * detach(sin(%s))" %
                    (k, k, u, k, name, k, w, u, w, k, w))

    # ---- functions ----

    def function_scope(self, dims_, params):
        sc = Scope(dims_)
        sc.order = 1     # it may be differentiated where it is called: no constants that cancel to first order only
        for name, t in params:
            if t.startswith("P["):
                sc.vars += [(name + ".w", tensor([t[2:-1]]), 1.5, False), (name + ".b", "f64", 1.5, False)]
            elif t == "i64":
                sc.vars.append((name, t, 1, False))
            elif not t.startswith("fn("):
                sc.vars.append((name, t, 1.5, False))
        return sc

    def add(self, kind, dims_, params, result, body, extra="", heavy=False):
        name = self.new("h")
        generics = "[%s]" % ", ".join(dims_) if dims_ else ""
        again = "@checkpoint\n" if self.r.random() < 0.08 and not extra else ""
        if again:
            self.tag("@checkpoint")
        head = again + "fn %s%s(%s) -> %s " % (name, generics, ", ".join("%s: %s" % p for p in params), result)
        self.functions.append(Function(name, head.replace("SELF", name) + "$", body, extra.replace("SELF", name)))
        for node in body.walk():
            node.text = node.text.replace("SELF", name)
        self.helpers.append(Helper(name, dims_, [n for n, _ in params], [t for _, t in params], result, kind, heavy))

    def finish(self, sc, statements, result):
        """Statements and a value of type `result` that depends on what they made."""
        made = [v for v in sc.vars if v[1] == result][-2:]
        e = self.arg(sc, result, 2)
        for v in made:
            e = Node(result, "(0.7 * $ + $)", self.tame(Node(result, v[0], mag=v[2])), e)
        return Block(statements + [Node(None, "return $", e)])

    def random_params(self, sc_dims):
        types = ["f64"] + Scope(sc_dims).types()[:-1]
        params = [("b%d" % i, tensor([d])) for i, d in enumerate(sc_dims)]  # binds the dimensions
        params += [("w%d" % i, self.r.choice(types)) for i in range(self.r.randint(0, 2))]
        return params or [("w", "f64")]

    def plain_function(self):
        dims_ = self.r.choice([[], ["n"], ["n"], ["n", "m"]])
        params = self.random_params(dims_)
        result = "f64" if self.r.random() < 0.6 else self.r.choice(["f64"] + Scope(dims_).types())
        if result == "f64[3]" and self.r.random() < 0.7:
            result = "f64"
        sc = self.function_scope(dims_ or ["3"], params)
        sc.result = result
        stmts = self.statements(sc, self.r.randint(0, 4), 2)
        self.add("plain", dims_, params, result, self.finish(sc, stmts, result))

    def loop_function(self):
        """A loop that carries values through something that is not linear: its reverse reads them."""
        params = [("u", "f64[n]"), ("w", "f64")]
        sc = self.function_scope(["n"], params)
        i, v, z = self.new("j"), self.new("v"), self.new("v")
        starts = self.arg(sc, "f64", 0), self.arg(sc, "f64[n]", 0)
        sc.vars += [(v, "f64", 1.5, True), (z, "f64[n]", 1.5, True)]
        inner = sc.inner(level=1, loop=True)
        inner.ints.append((i, None))
        stmts = self.statements(inner, self.r.randint(0, 2), 1)
        steps = [Node("step", "%s = 0.6 * sin(%s * $) + 0.3 * $" % (v, v), self.arg(inner, "f64", 0), self.arg(inner, "f64", 0)),
                 Node("step", "%s = 0.5 * tanh(%s * $) + 0.2 * $" % (z, z), self.arg(inner, "f64", 0), self.arg(inner, "f64[n]", 0))]
        if self.r.random() < 0.5:
            steps.append(Node("step", "%s[0] += 0.3 * %s" % (z, v)))
        body = Block([Node("step", "%s += 1" % i)] + stmts + steps)
        head, kind = self.r.choice([("while %s < %d $" % (i, self.r.randint(1, 4)), "while"), ("while %s < 4 and %s < 0.9 $" % (i, v), "while"),
                                    ("for q in 0..%s + 3 $" % i, "for"), ("for q in i64(2.0 + sin(w)) + 1 $", "for")])
        if self.r.random() < 0.3:
            body.kids.append(Node(None, "if $ { break }", self.compare(inner, 0)))
        loop = Node(None, "var %s = $\nvar %s = $\nvar %s = 0\n%s" % (v, z, i, head), *starts, body)
        total = Node(None, "return %s * $ + sum(sin(%s) * $)" % (v, z), self.arg(sc, "f64", 1), self.leaf(sc, "f64[n]", 0))
        self.add("loop", ["n"], params, "f64", Block([loop, total]))

    def tuple_function(self):
        dims_ = self.r.choice([["n"], ["n", "m"]])
        params = self.random_params(dims_)
        sc = self.function_scope(dims_, params)
        stmts = self.statements(sc, self.r.randint(0, 2), 1)
        parts = [self.r.choice(["f64"] + sc.types()[:-1]) for _ in range(2)]
        value = Node(None, "return ($, $)", *[self.arg(sc, p, 2) for p in parts])
        self.add("tuple", dims_, params, "(%s)" % ", ".join(parts), Block(stmts + [value]))

    def struct_function(self):
        params = [("q", "P[n]"), ("u", "f64[n]")]
        sc = self.function_scope(["n"], params)
        stmts = self.statements(sc, self.r.randint(0, 2), 1)
        self.add("struct", ["n"], params, "f64", self.finish(sc, stmts, "f64"))

    def function_parameter(self):
        if self.r.random() < 0.5:
            params, result = [("g", "fn(f64) -> f64"), ("u", "f64[n]")], self.r.choice(["f64", "f64[n]"])
            call = Node("f64", "g($)", Node("f64", "u[i]"))
            text = {"f64": "sum($ * (0.5 + 0.1*i) for i in n)", "f64[n]": "[ $ for i in n ]"}[result]
            value = Node(result, text, call)
        else:
            params, result = [("g", "fn(f64[n]) -> f64"), ("u", "f64[n]"), ("w", "f64")], "f64"
            value = Node(result, self.r.choice(["(sin(g(u)) + 0.5 * g($))", "sum(grad(g)(u * $))", "(g(u) * w + jvp(g)(u, $).1)"]),
                         self.leaf(self.function_scope(["n"], params[1:]), "f64[n]", 0))
        sc = self.function_scope(["n"], params[1:])
        stmts = self.statements(sc, self.r.randint(0, 1), 1)
        self.add("function parameter", ["n"], params, result, self.finish_with(sc, stmts, value, result), heavy=True)

    def finish_with(self, sc, stmts, value, result):
        return Block(stmts + [Node(None, "return $", Node(result, "(0.6 * $ + $)", value, self.arg(sc, result, 1)))])

    def recursion(self):
        """A counter that goes down; sometimes two functions that call each other."""
        params = [("u", "f64[n]"), ("w", "f64"), ("depth", "i64")]
        sc = self.function_scope(["n"], params[:2])
        base, step, other = self.arg(sc, "f64", 1), self.arg(sc, "f64", 1), self.arg(sc, "f64[n]", 1)
        stop = Node("step", "if depth <= 0 or depth > 4 { return $ }", base)
        text = self.r.choice(["sin($ + 0.5 * SELF($, $, depth - 1))", "0.5 * SELF($, $, depth - 1) * $", "tanh(SELF(SHIFT$, $, depth - 1) - $)"])
        kids = [step, other, self.arg(sc, "f64", 1)] if text[:3] == "sin" else [other, self.arg(sc, "f64", 1), step]
        value = Node(None, "return " + text.replace("SHIFT", ""), *kids)
        self.add("recursion", ["n"], params, "f64", Block([stop, value]), heavy=True)

    def shrinking_recursion(self):
        params = [("u", "f64[n]"), ("w", "f64")]
        sc = self.function_scope(["n"], params)
        stop = Node("step", "if n <= 1 { return sum(u) * $ }", self.arg(sc, "f64", 0))
        how = self.r.choice(["u[1:]", "[ sin(u[i] + 0.5 * u[i + 1]) for i in n - 1 ]", "u[:-1] * u[1:]"])
        value = Node(None, "return " + self.r.choice(["sin(SELF(%s, $)) + $", "0.7 * SELF(%s, $) * $", "u[0] * $ - 0.5 * SELF(%s, $)"]) % how,
                     self.arg(sc, "f64", 1), self.arg(sc, "f64", 1))
        self.add("shrinking recursion", ["n"], params, "f64", Block([stop, value]), heavy=True)

    def tree_recursion(self):
        params = [("u", "f64[n]"), ("w", "f64")]
        sc = self.function_scope(["n"], params)
        name = self.new("h")
        stop = Node("step", "if hi - lo <= 1 { return sin(u[lo]) * $ }", self.arg(sc, "f64", 1))
        value = Node(None, "let mid = (lo + hi) // 2\nreturn tanh(%s(u, w, lo, mid) * $ + %s(u, $, mid, hi))" % (name, name), self.arg(sc, "f64", 1), self.arg(sc, "f64", 1))
        self.functions.append(Function(name, "fn %s[n](u: f64[n], w: f64, lo: i64, hi: i64) -> f64 $" % name, Block([stop, value])))
        self.add("tree recursion", ["n"], params, "f64", Block([Node(None, "return $", Node("f64", "%s($, $, 0, n)" % name, self.leaf(sc, "f64[n]", 0), Node("f64", "w")))]), heavy=True)

    def mutual_recursion(self):
        odd, params = self.new("h"), [("w", "f64"), ("depth", "i64")]
        sc = self.function_scope(["3"], params[:1])
        e = lambda: self.arg(sc, "f64", 1)
        body = Block([Node("step", "if depth <= 0 or depth > 5 { return $ }", e()), Node(None, "return cos($) + 0.6 * SELF($, depth - 1)", e(), e())])
        other = Function(odd, "fn %s(w: f64, depth: i64) -> f64 $" % odd, body)
        value = Block([Node("step", "if depth <= 0 or depth > 5 { return $ }", e()), Node(None, "return sin($) * %s($, depth - 1)" % odd, e(), e())])
        self.add("mutual recursion", [], params, "f64", value, heavy=True)
        for node in body.walk():
            node.text = node.text.replace("SELF", self.helpers[-1].name)
        self.functions.insert(-1, other)

    def own_partial(self):
        k = self.number()
        params = [("u", "f64"), ("w", "f64")]
        value, by_u, by_w = self.r.choice([("sin(u * w) + K * u", "w * cos(u * w) + K", "u * cos(u * w)"), ("exp(K * u) * w", "K * z", "exp(K * u)"),
                                           ("tanh(u) * w * w", "(1.0 - square(tanh(u))) * w * w", "2.0 * w * tanh(u)")])
        extra = "derivative SELF(u, w) -> z { partial u = %s; partial w = %s }\n" % (by_u, by_w)
        self.add("own partial", [], params, "f64", Block([Node(None, "return " + value.replace("K", k))]), extra.replace("K", k))

    def own_rule(self):
        k = self.number()
        params = [("u", "f64[n]"), ("w", "f64")]
        extra = "derivative SELF(u, w) -> z {\n    let e = cos(u)\n    reverse { (e * w * dz, sum((sin(u) + K) * dz)) }\n    forward { e * w * tu + (sin(u) + K) * tw }\n}\n"
        self.add("own rule", ["n"], params, "f64[n]", Block([Node(None, "return (sin(u) + K) * w".replace("K", k))]), extra.replace("K", k))

    HELPERS = {"plain_function": 8, "loop_function": 2, "tuple_function": 1.2, "struct_function": 0.8, "function_parameter": 1, "recursion": 1, "shrinking_recursion": 1,
               "tree_recursion": 0.6, "mutual_recursion": 0.6, "own_partial": 0.6, "own_rule": 0.6}

    def helper(self):
        names = list(self.HELPERS)
        getattr(self, self.r.choices(names, [self.HELPERS[n] * self.weights.get(n, 1.0) for n in names])[0])()

    # ---- the program ----

    def program(self):
        small = self.r.random() < 0.85
        sizes = [self.r.randint(2, 5) if small else self.r.randint(1, 17) for _ in range(2)]
        for _ in range(self.r.choice([0, 1, 1, 2, 2, 3])):
            self.helper()
        sc = self.function_scope(["n", "m"], ENTRY)
        sc.order = 0
        sc.vars.append(("idx", "i64[n]", 1, False))
        sc.vars.append(("ptr", "i64[n + 1]", 1, False))
        sc.result = "f64" if self.r.random() < 0.3 else None
        stmts = self.statements(sc, self.r.randint(2, 7), 3)
        own = [v for v in sc.vars[len(ENTRY) + 4:] if v[1] == "f64" or dims(v[1])]
        own = [v for v in own if v[0] not in dict(ENTRY)][-6:]
        total = self.arg(sc, "f64", 3)
        for v in own:
            total = Node("f64", "($ + $)", total, self.weighed(v))
        if self.r.random() < 0.3:
            total = Node("f64", "tanh(0.3 * $) + 0.1 * $", total, total)
        self.functions.append(Function("f", "fn f[n, m](%s) -> f64 $" % ", ".join("%s: %s" % p for p in ENTRY),
                                       Block(stmts + [Node(None, "return $", total)])))
        program = Program(self.seed, sizes, self.functions)
        program.tags, program.first_order = self.tags, self.first_order
        program.exact = "cast" not in self.tags
        return program

    def weighed(self, v):
        """Something of a value to which each of its elements adds in its own measure."""
        ds = dims(v[1])
        e = self.tame(Node(v[1], v[0], mag=v[2]))
        if not ds:
            return e
        if self.r.random() < 0.3:
            return Node("f64", "mean($)", Node(v[1], "square($)", e))
        if len(ds) == 1:
            return Node("f64", "sum(sin(%s[q]) * (0.7 + 0.2*q) for q in %s)" % (v[0], ds[0]))
        return Node("f64", "sum(sin(%s[q, r]) * (0.7 + 0.2*q - 0.1*r) for q in %s, r in %s)" % (v[0], *ds))
